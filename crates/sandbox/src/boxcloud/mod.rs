//! Box as it behaves towards its clients: items with ids of their own kinds, versions, trash, upload
//! sessions, collaborations, metadata, search, events with long polling, webhooks, an enterprise.
//!
//! Paths are those of `api.box.com`, `upload.box.com/api` and `account.box.com`, all below one base.
//! Facts are from <https://developer.box.com/reference/>. `POST /_quirks` makes Box as slow or odd as
//! it can be; it is the sandbox's own.

mod answer;
mod assertion;
mod call;
mod collaborations;
mod content;
mod copying;
mod events;
mod form;
mod items;
mod listing;
mod metadata;
mod node;
mod oauth;
mod people;
mod routes;
mod search;
mod sessions;
mod show;
mod store;
mod thumbnail;
mod trash;
mod versions;
mod webhooks;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::issuer::{Issuer, IssuerRules};
use crate::world::{Lent, Service};
use store::Store;

/// Box, as one account of the sandbox's world sees it.
#[derive(Clone)]
pub(super) struct Cloud {
    store: Arc<Mutex<Store>>,
    issuer: Issuer,
    /// Counts events, for those who wait for one.
    news: Arc<tokio::sync::watch::Sender<u64>>,
}

impl Cloud {
    fn store(&self) -> std::sync::MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tokens as Box has them: refresh tokens are good once, for 60 days, without any grace that is
/// documented; access tokens live about an hour
/// (<https://developer.box.com/guides/authentication/tokens/refresh/>).
const RULES: IssuerRules = IssuerRules {
    title: "Box",
    access_life: Duration::from_secs(3_600),
    rotates: true,
    grace: Duration::ZERO,
    offline: None,
    token_prefix: "",
};

/// The simulated Box.
pub(super) fn service(lent: &Lent) -> Service {
    let issuer = Issuer::new(RULES, Arc::clone(&lent.clock), lent.dice.clone());
    let (news, _) = tokio::sync::watch::channel(0);
    let cloud = Cloud {
        store: Arc::new(Mutex::new(Store::new(lent))),
        issuer: issuer.clone(),
        news: Arc::new(news),
    };
    Service {
        name: "box",
        issuer,
        scope: "root_readwrite manage_managed_users manage_groups manage_webhook \
                manage_enterprise_properties",
        router: routes::router(cloud),
    }
}
