//! What is open to whoever has the URL: link pages, dropped files, one-time uploads, the set-up of
//! widgets (wire API, sections 19 and 22.8). All of it is limited per address.

pub(crate) mod chunks;
pub(crate) mod config;
pub(crate) mod drop;
pub(crate) mod limit;
pub(crate) mod link;
pub(crate) mod page;
pub(crate) mod password;
pub(crate) mod upload;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tramontane_accounts::{Caller, Grant};
use tramontane_model::{AccountId, Code};

use crate::account::Account;
use crate::call::Call;
use crate::problem::{Answer, Problem};
use crate::state::App;

use limit::{Limit, counted};

/// Requests of one address to link pages in a minute.
const LINKS_A_MINUTE: u32 = 300;
/// Requests of one address to drop endpoints in a minute: at 5 MiB a chunk, 50 MB a second.
const DROPS_A_MINUTE: u32 = 600;
/// Requests of one address to the connect pages in a minute.
const CONNECTS_A_MINUTE: u32 = 120;
/// Credentials that one address may try on connect forms in ten minutes.
const TRIES_IN_TEN_MINUTES: u32 = 60;
/// Wrong passwords for one link from one address in ten minutes.
const WRONG_PASSWORDS: u32 = 10;
/// Password hashes computed at once: each takes a core and 20 MB for a while.
const HASHES_AT_ONCE: usize = 2;

/// What the public endpoints count and hold.
#[derive(Debug)]
pub(crate) struct Public {
    links: Limit<IpAddr>,
    drops: Limit<IpAddr>,
    connects: Limit<IpAddr>,
    tries: Limit<IpAddr>,
    wrong: Limit<(String, IpAddr)>,
    hashing: Arc<Semaphore>,
}

impl Default for Public {
    fn default() -> Self {
        Self {
            links: Limit::new(LINKS_A_MINUTE, 60),
            drops: Limit::new(DROPS_A_MINUTE, 60),
            connects: Limit::new(CONNECTS_A_MINUTE, 60),
            tries: Limit::new(TRIES_IN_TEN_MINUTES, 600),
            wrong: Limit::new(WRONG_PASSWORDS, 600),
            hashing: Arc::new(Semaphore::new(HASHES_AT_ONCE)),
        }
    }
}

/// Which public endpoint is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Links and one-time uploads.
    Links,
    /// Drop endpoints and widget set-up.
    Drops,
    /// Connect pages.
    Connect,
    /// Credentials tried on connect pages.
    Tries,
}

/// Counts a request against the limit of its address.
///
/// # Errors
/// `too_many_requests` with the wait.
pub(crate) fn admit(app: &App, call: &Call, place: Place) -> Answer<()> {
    let limit = match place {
        Place::Links => &app.public().links,
        Place::Drops => &app.public().drops,
        Place::Connect => &app.public().connects,
        Place::Tries => &app.public().tries,
    };
    limit.take(counted(call.client), app.now()).map_err(too_many)
}

/// `429` with the seconds to wait.
pub(crate) fn too_many(wait: u64) -> Problem {
    let text = format!("Too many requests from this address; try again in {wait} seconds.");
    Problem::new(Code::TooManyRequests, text).retry_after(Duration::from_secs(wait))
}

/// An account for the server's own use, when it and its application are switched on; `None` otherwise.
pub(crate) async fn open(app: &App, call: &Call, id: i64) -> Answer<Option<Account>> {
    let directory = app.directory();
    let Some(id) = AccountId::new(id) else { return Ok(None) };
    let Some(opened) = directory.open(id).await? else { return Ok(None) };
    let application = directory.public_application(&opened.row.application).await?;
    let Some(application) = application.filter(|_| opened.row.active) else { return Ok(None) };
    let grant = Grant {
        account: id,
        application,
        token_id: String::new(),
        access: Arc::default(),
        scope: String::new(),
        expires: None,
    };
    Ok(Some(Account::of_server(app, call, Caller::Tokens(vec![grant]), opened)))
}
