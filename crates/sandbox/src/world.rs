//! The sandbox as a whole: its services, its clock and dice, and the server that carries them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::response::Html;
use axum::routing::get;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tramontane_model::{Clock, SystemClock};
use url::Url;

use crate::faults::{Faults, Spoil, spoil};
use crate::issuer::{Grant, Issuer};
use crate::people::find;
use crate::push::Pushes;
use crate::{control, page};

/// What the sandbox is made of.
#[derive(Clone)]
pub struct Config {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// What ids and tokens are made from: the same seed gives the same ones.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), seed: rand::random() }
    }
}

/// Seeded randomness. Cheap to clone: all clones are one.
#[derive(Clone)]
pub struct Dice(Arc<Mutex<StdRng>>);

impl Dice {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// A text of so many characters of `[A-Za-z0-9_-]` behind a prefix.
    #[must_use]
    pub fn token(&self, prefix: &str, length: usize) -> String {
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
        let mut random = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::from(prefix);
        for _ in 0..length {
            let letter = LETTERS.get(random.random_range(0..LETTERS.len())).copied();
            text.push(char::from(letter.unwrap_or(b'A')));
        }
        text
    }

    /// A number below `end`.
    #[must_use]
    pub fn below(&self, end: u64) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random_range(0..end.max(1))
    }
}

/// What a service is lent when it is made.
#[derive(Clone)]
pub struct Lent {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub dice: Dice,
    /// The way to subscribers.
    pub pushes: Pushes,
}

/// One simulated service.
pub struct Service {
    /// Its path, and the name that connectors have for it.
    pub name: &'static str,
    /// Its OAuth server.
    pub issuer: Issuer,
    /// The scope that a grant without the consent page has.
    pub scope: &'static str,
    /// Its API, OAuth endpoints included, with paths as they follow the service's own host.
    pub router: axum::Router,
}

struct Inner {
    services: Vec<Service>,
    faults: Faults,
    pushes: Pushes,
}

/// All simulated services. Cheap to clone.
#[derive(Clone)]
pub struct Sandbox(Arc<Inner>);

impl Sandbox {
    /// A fresh world.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let pushes = Pushes::default();
        let lent = Lent {
            clock: Arc::clone(&config.clock),
            dice: Dice::new(config.seed),
            pushes: pushes.clone(),
        };
        let services = services(&lent);
        Self(Arc::new(Inner { services, faults: Faults::default(), pushes }))
    }

    /// The names of the services.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.0.services.iter().map(|service| service.name).collect()
    }

    fn service(&self, name: &str) -> Option<&Service> {
        self.0.services.iter().find(|service| service.name == name)
    }

    /// A service's OAuth server.
    #[must_use]
    pub fn issuer(&self, service: &str) -> Option<&Issuer> {
        self.service(service).map(|service| &service.issuer)
    }

    /// Tokens of a person at a service, with everything that its connector asks for.
    #[must_use]
    pub fn grant(&self, service: &str, person: &str) -> Option<Grant> {
        self.grant_with(service, person, "")
    }

    /// As [`Sandbox::grant`], with this scope; the usual one when it is empty.
    #[must_use]
    pub fn grant_with(&self, service: &str, person: &str, scope: &str) -> Option<Grant> {
        let service = self.service(service)?;
        let scope = if scope.is_empty() { service.scope } else { scope };
        Some(service.issuer.grant(find(person)?, scope))
    }

    /// What goes wrong.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// What services tell their subscribers.
    #[must_use]
    pub fn pushes(&self) -> &Pushes {
        &self.0.pushes
    }

    /// Serves every service below its name.
    pub fn router(&self) -> axum::Router {
        let names = self.names();
        let mut router = axum::Router::new()
            .route("/", get(move || async move { Html(page::index(&names)) }))
            .nest("/_sandbox", control::router(self.clone()));
        for service in &self.0.services {
            let layer = Spoil { faults: self.0.faults.clone(), service: service.name };
            let inner = service.router.clone();
            let inner = inner.layer(axum::middleware::from_fn_with_state(layer, spoil));
            router = router.nest(&format!("/{}", service.name), inner);
        }
        router.layer(axum::extract::DefaultBodyLimit::disable())
    }

    /// Listens on a free port of this machine.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(&self) -> std::io::Result<Running> {
        self.start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Listens on this address.
    ///
    /// # Errors
    /// When it is taken.
    pub async fn start_at(&self, address: SocketAddr) -> std::io::Result<Running> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let router = self.router();
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the sandbox stopped");
            }
        });
        Ok(Running { sandbox: self.clone(), address, server })
    }
}

/// A sandbox that listens. Dropping it stops the server.
pub struct Running {
    /// The world behind it.
    pub sandbox: Sandbox,
    /// Where it listens.
    pub address: SocketAddr,
    server: JoinHandle<()>,
}

impl Running {
    /// The base URL of a service, ending with a slash.
    ///
    /// # Errors
    /// None for the names of services.
    pub fn base(&self, service: &str) -> Result<Url, url::ParseError> {
        Url::parse(&format!("http://{}/{service}/", self.address))
    }

    /// Waits until the server stops.
    pub async fn wait(mut self) {
        let _ = (&mut self.server).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Every service there is: one line each, in its own folder.
fn services(lent: &Lent) -> Vec<Service> {
    let mut all = vec![
        crate::boxcloud::service(lent),
        crate::dropbox::service(lent),
        crate::gdrive::service(lent),
    ];
    all.extend(crate::graph::services(lent));
    all
}
