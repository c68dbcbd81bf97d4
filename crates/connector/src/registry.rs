//! Which connectors there are, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::connector::Connector;

/// All connectors of this server, by the name of their service.
#[derive(Clone, Default)]
pub struct Registry(BTreeMap<&'static str, Arc<dyn Connector>>);

impl Registry {
    /// A registry of these connectors.
    #[must_use]
    pub fn of(connectors: impl IntoIterator<Item = Arc<dyn Connector>>) -> Self {
        let named = connectors.into_iter().map(|one| (one.descriptor().name, one));
        Self(named.collect())
    }

    /// The connector of this service.
    #[must_use]
    pub fn get(&self, service: &str) -> Option<&Arc<dyn Connector>> {
        self.0.get(service)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Connector>> {
        self.0.values()
    }

    /// Their names, for messages.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.0.keys().copied().collect()
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
