//! The door to grants: what they hang on.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tramontane_connector::Registry;

use super::{BackChannel, OperatorClients};
use crate::directory::Directory;

/// How token endpoints are dealt with.
#[derive(Clone, Debug)]
pub struct GrantOptions {
    /// How long a token endpoint may take for one answer.
    pub call_time: Duration,
}

impl Default for GrantOptions {
    fn default() -> Self {
        Self { call_time: Duration::from_secs(40) }
    }
}

/// Grants of all accounts at services with OAuth. Cheap to clone.
#[derive(Clone)]
pub struct Grants(Arc<Inner>);

struct Inner {
    directory: Directory,
    registry: Registry,
    clients: OperatorClients,
    channel: Arc<dyn BackChannel>,
    options: GrantOptions,
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grants").field("clients", &self.0.clients).finish_non_exhaustive()
    }
}

impl Grants {
    /// Grants of the accounts of this directory.
    #[must_use]
    pub fn new(
        directory: Directory,
        registry: Registry,
        clients: OperatorClients,
        channel: Arc<dyn BackChannel>,
        options: GrantOptions,
    ) -> Self {
        Self(Arc::new(Inner { directory, registry, clients, channel, options }))
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.0.directory
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.0.registry
    }

    pub(super) fn operator_clients(&self) -> &OperatorClients {
        &self.0.clients
    }

    pub(super) fn channel(&self) -> &dyn BackChannel {
        self.0.channel.as_ref()
    }

    pub(super) fn options(&self) -> &GrantOptions {
        &self.0.options
    }
}
