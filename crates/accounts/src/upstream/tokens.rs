//! Live access tokens for the wire: from memory as a rule.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use tramontane_connector::oauth::{ACCESS_TOKEN, SERVICE_ACCOUNT};
use tramontane_connector::{Account, Error, Kind, ServiceAccount, Tokens};
use tramontane_store::accounts::CredentialState;

use super::Grants;
use super::fault::Fault;
use super::flight::Of;
use super::held::Held;
use super::renew::Want;

#[async_trait]
impl Tokens for Grants {
    async fn access_token(
        &self,
        account: &Account,
        subject: Option<&str>,
        refused: Option<&SecretString>,
    ) -> tramontane_connector::Result<SecretString> {
        let robot = account.credential.get(SERVICE_ACCOUNT).is_some();
        if account.revision < 0 {
            return Self::of_trial(account, refused);
        }
        // Only assertions are made for a member; elsewhere a header names whom a call is made as.
        let oauth = self.registry().get(&account.service).and_then(|one| one.oauth());
        let asserts =
            oauth.and_then(|oauth| oauth.service_account) == Some(ServiceAccount::SignedAssertion);
        if asserts && !robot && subject.is_some() {
            // The token of whoever consented would open their own things as the member's.
            let text = "Only a service account may act for members at this service: connect the \
                        organisation with one.";
            return Err(Error::new(Kind::Forbidden, text));
        }
        let of: Of = (account.id.number(), subject.filter(|_| asserts).map(Arc::from));
        let held = self.live(&of, account, refused, robot).await?;
        Ok(held.token.as_ref().clone())
    }
}

impl Grants {
    async fn live(
        &self,
        of: &Of,
        account: &Account,
        refused: Option<&SecretString>,
        robot: bool,
    ) -> Result<Held, Fault> {
        // Twice: the flight that was under way may have been after something else, and give the very
        // token that was refused.
        for _ in 0..2 {
            let now = self.now();
            let known = self.known(of, account, robot).await?;
            let paused = self.paused().get(of);
            let paused =
                paused.filter(|pause| now < pause.until && pause.revision >= account.revision);
            if let Some(held) = known.filter(|held| !held.is(refused) && held.serves(now)) {
                if held.ages(now) && paused.is_none() {
                    // Runs on its own; this caller need not wait for it.
                    drop(self.search(of, account, Want::Early, robot));
                }
                return Ok(held);
            }
            if let Some(pause) = paused {
                return Err(pause.fault);
            }
            let held = self.search(of, account, Want::Serving(refused.cloned()), robot).await?;
            if !held.is(refused) {
                return Ok(held);
            }
        }
        Err(Fault::new(Kind::Credential, "The service refuses the account's access token."))
    }

    /// The token in memory; on first use, the one that the account was opened with.
    async fn known(&self, of: &Of, account: &Account, robot: bool) -> Result<Option<Held>, Fault> {
        let held = self.held().get(of).filter(|held| held.revision >= account.revision);
        if held.is_some() || robot {
            return Ok(held);
        }
        let Some(opened) = self.directory().open(account.id).await? else { return Ok(None) };
        let oauth = self.registry().get(&opened.row.service).and_then(|one| one.oauth());
        let Some(oauth) = oauth.filter(|_| opened.row.credential_state != CredentialState::Dead)
        else {
            return Ok(None);
        };
        let held = Held::of(&opened, oauth.refresh.access_life);
        let held = held.filter(|held| held.revision >= account.revision);
        if let Some(held) = &held {
            self.held().insert(of.clone(), held.clone());
        }
        Ok(held)
    }

    fn search(&self, of: &Of, account: &Account, want: Want, robot: bool) -> super::flight::Flight {
        self.join(of, || {
            let (grants, of) = (self.clone(), of.clone());
            let robot = robot.then(|| account.clone());
            async move {
                match robot {
                    Some(account) => grants.assert_service(&of, &account).await,
                    None => grants.renew(of.0, want).await,
                }
            }
        })
    }

    /// An account that is only tried and kept nowhere: nothing can be refreshed, for a rotated token
    /// would be lost.
    fn of_trial(
        account: &Account,
        refused: Option<&SecretString>,
    ) -> tramontane_connector::Result<SecretString> {
        let stored = account.credential.get(ACCESS_TOKEN);
        let stored =
            stored.filter(|token| refused.is_none_or(|refused| refused.expose_secret() != *token));
        stored.map(|token| SecretString::from(token.to_owned())).ok_or_else(|| {
            Error::new(Kind::Credential, "The service refuses the account's access token.")
        })
    }
}
