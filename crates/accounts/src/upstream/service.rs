//! Service accounts: tokens that a server gets for an organisation by its own key or secret
//! (RFC 7523 section 2.1, RFC 6749 section 4.4). They rest on no refresh token, so they are kept in
//! memory alone, one per member acted for.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use tramontane_connector::oauth::ACCESS_TOKEN;
use tramontane_connector::{Account, Connector, Credential, Error, Kind, ServiceAccount};
use tramontane_model::AccountId;

use super::client::{Client, Proof};
use super::endpoint::{Failure, oauth_of};
use super::fault::Fault;
use super::flight::Of;
use super::held::{Held, Pause};
use super::renew::{jittered, micros};
use super::{CLIENT_ID, Grants, answer, assertion};

/// How long a refusal is repeated without asking again.
const REFUSED: Duration = Duration::from_secs(30);

impl Grants {
    /// A token of a service account, for the member that `of` names.
    pub(super) async fn assert_service(&self, of: &Of, account: &Account) -> Result<Held, Fault> {
        let id = AccountId::new(of.0);
        let opened = match id {
            Some(id) => self.directory().open(id).await?,
            None => None,
        };
        let gone = || Fault::new(Kind::Credential, "The account is not there any more.");
        let opened = opened.ok_or_else(gone)?;
        let row = &opened.row;
        let connector = self.registry().get(&row.service).cloned();
        let connector = connector.ok_or_else(|| {
            Fault::new(Kind::Internal, format!("This server has no connector for {}.", row.service))
        })?;
        let named = opened.account.credential.get(CLIENT_ID).map(str::to_owned);
        let client = self
            .client_of_grant(&row.application, &row.service, row.admin, named.as_deref())
            .await?;
        let subject = of.1.as_deref();
        let tokens =
            self.service_tokens(connector.as_ref(), &client, &opened.account, subject).await;
        match tokens {
            Ok(tokens) => {
                let usual = oauth_of(connector.as_ref())?.refresh.access_life;
                let life = tokens.life.unwrap_or(usual.as_secs());
                let micros_left = i64::try_from(life.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
                let ends = self.now().saturating_add(micros_left);
                let revision = opened.account.revision.max(account.revision);
                let held = Held::new(tokens.access, Some(ends), life, revision);
                self.held().insert(of.clone(), held.clone());
                self.paused().invalidate(of);
                Ok(held)
            }
            Err(fault) => {
                let until = self.now().saturating_add(micros(jittered(REFUSED)));
                let pause =
                    Pause { until, revision: opened.account.revision, fault: fault.clone() };
                self.paused().insert(of.clone(), pause);
                Err(fault)
            }
        }
    }

    /// The credential that a service account is tried with: its client and a first token.
    ///
    /// # Errors
    /// [`crate::Error::NoClient`]; [`crate::Error::Connector`] with what the service said.
    pub async fn service_credential(
        &self,
        application: &str,
        connector: &dyn Connector,
        account: &Account,
    ) -> crate::Result<Credential> {
        let service = connector.descriptor().name;
        let client = self.client(application, service, account.admin).await?;
        let tokens = self.service_tokens(connector, &client, account, None).await;
        let tokens = tokens.map_err(|fault| crate::Error::Connector(fault.into()))?;
        let mut credential = account.credential.clone();
        credential.set(CLIENT_ID, client.id.as_str());
        credential.set(ACCESS_TOKEN, tokens.access.expose_secret());
        Ok(credential)
    }

    async fn service_tokens(
        &self,
        connector: &dyn Connector,
        client: &Client,
        account: &Account,
        subject: Option<&str>,
    ) -> Result<answer::Tokens, Fault> {
        let name = connector.descriptor().friendly_name;
        let oauth = oauth_of(connector)?;
        let Some(kind) = oauth.service_account else {
            let text = format!("{name} has no service accounts.");
            return Err(Fault::new(Kind::Invalid, text));
        };
        let asked = connector.service_token(account, subject)?;
        let endpoint = asked.endpoint.as_ref().unwrap_or(&oauth.token);
        let scopes = asked.scopes.unwrap_or_else(|| {
            let all = oauth.scopes_for(connector.descriptor().apis, true);
            all.into_iter().map(str::to_owned).collect()
        });
        let mut form: Vec<(&str, String)> = asked.params;
        let places = self.places(connector.descriptor().name);
        // The semaphore is never closed.
        let _place = places.acquire().await.ok();
        let tokens = match kind {
            ServiceAccount::ClientCredentials => {
                form.push(("grant_type", "client_credentials".to_owned()));
                if !scopes.is_empty() {
                    form.push(("scope", scopes.join(" ")));
                }
                self.ask(oauth, endpoint, Some(client), form, name).await
            }
            ServiceAccount::SignedAssertion => {
                let Proof::Key(key) = client.proof() else {
                    let text = format!(
                        "A service account of {name} needs a private key as its client secret: the \
                         JSON file that {name} hands out."
                    );
                    return Err(Fault::new(Kind::Invalid, text));
                };
                let assertion = assertion::of_service_account(&assertion::Granting {
                    client: &client.id,
                    key,
                    endpoint,
                    subject: asked.subject.as_deref(),
                    scopes: &scopes,
                    now: self.directory().clock().now(),
                })?;
                form.push(("grant_type", assertion::GRANT.to_owned()));
                form.push(("assertion", assertion));
                // The assertion itself says who asks.
                self.ask(oauth, endpoint, None, form, name).await
            }
        };
        tokens.map_err(|failure| match failure {
            // It is this member that may not be acted for; the account itself may be fine.
            Failure::Grant(code, text) | Failure::Client(code, text) if subject.is_some() => {
                let what = format!("{name} does not let the service account act for this member.");
                Error::new(Kind::Forbidden, what).said(Some(&code), text.as_deref()).into()
            }
            Failure::Grant(code, text) | Failure::Client(code, text) => {
                let what = format!(
                    "{name} does not let the service account in. Check that the organisation's \
                     administrator has allowed this client with these scopes."
                );
                Error::new(Kind::Credential, what).said(Some(&code), text.as_deref()).into()
            }
            failure => failure.into_error(name).into(),
        })
    }
}
