//! Events as webhooks bring them: as the API shows them, with their application named.

use std::net::{IpAddr, Ipv4Addr};

use async_trait::async_trait;
use tramontane_accounts::Caller;
use tramontane_feeds::deliver::{Owner, Render};
use tramontane_feeds::{Error, Numbered, Result};
use tramontane_model::AccountId;

use crate::account::Account;
use crate::call::Call;
use crate::state::{App, WeakApp};

use super::view::View;

/// Shows events to webhooks. It does not keep the app alive, which has the webhooks.
#[derive(Debug)]
pub struct WebhookView {
    app: WeakApp,
    base: String,
}

impl WebhookView {
    /// `base`: the URL that hrefs begin with, without a slash at the end.
    #[must_use]
    pub fn new(app: &App, base: String) -> Self {
        Self { app: app.downgrade(), base }
    }
}

#[async_trait]
impl Render for WebhookView {
    async fn event(&self, owner: &Owner, event: &Numbered) -> Result<Option<String>> {
        let app = self.app.upgrade().ok_or(Error::Lost)?;
        let Some(id) = AccountId::new(owner.account) else { return Ok(None) };
        // Whether it is switched on does not matter: the event is of when it was.
        let opened = app.directory().open(id).await?;
        let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let account = opened.map(|opened| {
            let call = Call::new(String::new(), self.base.clone(), client);
            Account::of_server(&app, &call, Caller::Tokens(Vec::new()), opened)
        });
        let view = match &account {
            Some(account) => View::of(account),
            None => View::of_gone(owner.account, &owner.service, &self.base),
        };
        let shown = view.naming(&owner.application).one(event.clone());
        Ok(shown.ok().and_then(|shown| serde_json::to_string(&shown).ok()))
    }
}
