//! Names to addresses, through the guard.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tramontane_connector::{Error, error::Kind};

use crate::guard::{Guard, refusal};

/// Asks DNS. Lent, so that tests answer themselves.
#[async_trait]
pub trait Lookup: Send + Sync + std::fmt::Debug {
    /// The addresses of a name.
    ///
    /// # Errors
    /// When the name has none, or nobody could be asked.
    async fn lookup(&self, name: &str) -> std::io::Result<Vec<IpAddr>>;
}

/// The machine's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, name: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// A resolver that gives only addresses that the guard lets pass.
#[derive(Clone, Debug)]
pub struct GuardedResolver {
    guard: Arc<Guard>,
    lookup: Arc<dyn Lookup>,
}

impl GuardedResolver {
    /// A resolver behind this guard.
    #[must_use]
    pub fn new(guard: Arc<Guard>, lookup: Arc<dyn Lookup>) -> Self {
        Self { guard, lookup }
    }

    /// The addresses of a name that may be called; at least one. A written address is itself: whoever
    /// asks has checked it with its port.
    ///
    /// # Errors
    /// `Unavailable` when the name has no address, `Guarded` when it has none that may be called.
    pub async fn resolve_name(&self, name: &str) -> Result<Vec<IpAddr>, Error> {
        if let Ok(address) = name.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok(vec![address]);
        }
        let found = self.lookup.lookup(name).await.map_err(|cause| {
            Error::new(Kind::Unavailable, format!("The host name \"{name}\" cannot be resolved."))
                .because(cause)
        })?;
        if found.is_empty() {
            return Err(Error::new(
                Kind::Unavailable,
                format!("The host name \"{name}\" has no address."),
            ));
        }
        if self.guard.allows_name(name) {
            return Ok(found);
        }
        let allowed: Vec<IpAddr> =
            found.iter().copied().filter(|address| self.guard.allows_address(*address)).collect();
        match found.first() {
            Some(first) if allowed.is_empty() => Err(refusal(&format!("{first} of {name}"))),
            _ => Ok(allowed),
        }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            let found = this.resolve_name(name.as_str()).await?;
            let found: Vec<SocketAddr> =
                found.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
