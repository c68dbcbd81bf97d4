//! What a call is lent in tests: nothing but a clock, or the clock over whatever else a test needs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpStream;
use tramontane_connector::http::{Request, Response};
use tramontane_connector::{
    Account, Credential, Cx, Error, Kind, Lent, Permit, Repeat, Result, Settings,
};
use tramontane_model::{AccountId, Clock, SystemClock};

/// Lends a clock and unlimited permits; there is no way out.
#[derive(Debug)]
pub struct Offline(Box<dyn Clock>);

impl Offline {
    /// With the machine's clock.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::with_clock(SystemClock)
    }

    /// With this clock.
    #[must_use]
    pub fn with_clock(clock: impl Clock + 'static) -> Arc<Self> {
        Arc::new(Self(Box::new(clock)))
    }
}

fn no_way_out() -> Error {
    Error::new(Kind::Guarded, "This test lends no network.")
}

#[async_trait]
impl Lent for Offline {
    async fn send(&self, _cx: &Cx, _request: Request) -> Result<Response> {
        Err(no_way_out())
    }

    async fn connect(&self, _cx: &Cx, _host: &str, _port: u16) -> Result<TcpStream> {
        Err(no_way_out())
    }

    async fn permit(&self, _cx: &Cx, _name: &'static str) -> Result<Permit> {
        Ok(Permit::holding(()))
    }

    fn after(
        &self,
        _cx: &Cx,
        _name: &'static str,
        _attempt: u32,
        _repeat: Repeat,
        _outcome: std::result::Result<(), &Error>,
    ) -> Option<Duration> {
        None
    }

    fn clock(&self) -> &dyn Clock {
        self.0.as_ref()
    }
}

/// An account for tests, with no secrets.
///
/// # Panics
/// When the number is not one of an account.
#[must_use]
#[expect(clippy::expect_used, reason = "tests name their accounts themselves")]
pub fn account(number: i64, service: &str, settings: Settings) -> Account {
    Account {
        id: AccountId::new(number).expect("1 to 2147483647"),
        service: service.into(),
        admin: false,
        settings,
        credential: Credential::none(),
        revision: 1,
    }
}

/// A context for tests, with two minutes to go.
#[must_use]
pub fn context(account: Account, lent: Arc<dyn Lent>) -> Cx {
    Cx::interactive(Arc::new(account), lent, Duration::from_mins(2))
}
