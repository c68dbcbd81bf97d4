//! One service.

use std::sync::Arc;

use async_trait::async_trait;
use url::Url;

use crate::account::{Account, Credential, Settings};
use crate::changes::{Changes, Watch};
use crate::cx::Cx;
use crate::descriptor::Descriptor;
use crate::error::{Error, Result};
use crate::http::{Request, Response};
use crate::oauth::{OAuth, SUBJECT, ServiceToken};
use crate::storage::Storage;
use crate::team::{AsUser, Team};

/// Who the credential belongs to, as the service says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The service's stable id of the user: the same whenever the same user connects again.
    pub id: String,
    /// What people know the account by, usually an address.
    pub display: String,
}

/// Puts a credential on outgoing requests. Made by the connector, kept by the wire for one account.
#[async_trait]
pub trait Sign: Send + Sync {
    /// Puts the credential on the request. Called for every attempt.
    ///
    /// # Errors
    /// `Credential` or `Invalid` when the account's credential cannot be used at all.
    async fn sign(&self, request: &mut Request, now: tramontane_model::Timestamp) -> Result<()>;

    /// Learns from a refusal (a Digest challenge, a clock that is off). True asks for one more try
    /// of the same request.
    async fn challenged(&self, _response: &Response) -> bool {
        false
    }

    /// As [`Sign::challenged`], for a 401 with the beginning of its body: some services say in the body alone
    /// that the credential is good and may not do this.
    async fn refused(&self, response: &Response, _said: &[u8]) -> bool {
        self.challenged(response).await
    }
}

/// One service: what it is, how to get at an account of it, and its parts.
///
/// A connector keeps no account's state but pooled connections, keyed by account and revision.
#[async_trait]
pub trait Connector: Send + Sync {
    /// What the service is and what connecting needs.
    fn descriptor(&self) -> &'static Descriptor;

    /// Checks settings and credential for sense, without asking the service, and brings them into
    /// their normal form (a URL with its slash, a default port).
    ///
    /// # Errors
    /// `Invalid`, naming the field and the rule.
    fn normalize(&self, _settings: &mut Settings, _credential: &mut Credential) -> Result<()> {
        Ok(())
    }

    /// Tries the credential and says whose it is. Reads only.
    ///
    /// # Errors
    /// `Credential`, `Unavailable`, `Guarded`, `Invalid`, with words that tell the user which field
    /// to look at.
    async fn identify(&self, cx: &Cx) -> Result<Identity>;

    /// Facts about the service that this account is at, learnt when connecting and kept with its
    /// settings: the dialect a server speaks, its host key. Called after [`Self::identify`], with an
    /// account that has the settings so far; what comes back is merged into them. Reads only.
    ///
    /// # Errors
    /// As [`Self::identify`].
    async fn settle(&self, _cx: &Cx) -> Result<Settings> {
        Ok(Settings::new())
    }

    /// OAuth at this service; `None` for services that are connected by a form.
    fn oauth(&self) -> Option<&OAuth> {
        None
    }

    /// The parameter of the authorization URL that tells the login page whose account is connected
    /// again, by its address. Servers ignore parameters that they do not know (RFC 6749 section 3.1);
    /// `None` for those that do not.
    fn login_hint(&self) -> Option<&'static str> {
        Some("login_hint")
    }

    /// The request that gives the account's grant back, where the service does not follow RFC 7009 but
    /// takes a live access token of the grant, which `token` is.
    fn revoke_request(&self, _token: &str) -> Option<Request> {
        None
    }

    /// What the token request of this account's service account needs. `subject`: the member to act
    /// for, by the service's id.
    ///
    /// # Errors
    /// `Invalid` when the account's settings lack something (a tenant).
    fn service_token(&self, account: &Account, subject: Option<&str>) -> Result<ServiceToken> {
        let subject = subject.or_else(|| account.setting(SUBJECT)).map(str::to_owned);
        Ok(ServiceToken { subject, ..ServiceToken::default() })
    }

    /// Makes what signs this account's HTTP requests. Connectors that speak HTTP have one, but for
    /// those behind OAuth: there the wire puts `Authorization: Bearer` on by itself.
    ///
    /// # Errors
    /// `Invalid` when the credential lacks something.
    fn signer(&self, _account: &Account) -> Result<Option<Arc<dyn Sign>>> {
        Ok(None)
    }

    /// Where this account's API is: the base of relative pass-through URLs. `None` where there is no
    /// HTTP.
    ///
    /// # Errors
    /// `Invalid` when the settings do not say.
    fn base_url(&self, _account: &Account) -> Result<Option<Url>> {
        Ok(None)
    }

    /// Whether a signed request may go to this URL. By default: only where [`Self::base_url`] is.
    fn may_call(&self, account: &Account, url: &Url) -> bool {
        match self.base_url(account) {
            Ok(Some(base)) => base.origin() == url.origin(),
            _ => false,
        }
    }

    /// Whether the connector's own requests to this URL may be signed. By default: where [`Self::may_call`] lets
    /// callers of the API go, too.
    fn may_sign(&self, account: &Account, url: &Url) -> bool {
        self.may_call(account, url)
    }

    /// The account's files; `None` for services without files.
    fn storage(&self) -> Option<Arc<dyn Storage>> {
        None
    }

    /// The account's changes by cursor; `None` for services without, whose folders are listed and
    /// compared instead.
    fn changes(&self) -> Option<Arc<dyn Changes>> {
        None
    }

    /// Hears of changes as they happen, for services without a feed of changes; `None` where nothing tells of them.
    /// `cx` is for whoever listens at a service, who sets a deadline for each call.
    ///
    /// # Errors
    /// `Unavailable` when the machine cannot watch (any more): changes are then found by looking.
    fn watch(&self, _cx: &Cx) -> Result<Option<Box<dyn Watch>>> {
        Ok(None)
    }

    /// Whether [`Connector::watch`] tells of a file when it was closed, so that none needs to be left alone
    /// because it may be still being written.
    fn hears_at_once(&self) -> bool {
        false
    }

    /// The people of an organisation's account; `None` for services without.
    fn team(&self) -> Option<Arc<dyn Team>> {
        None
    }

    /// How an organisation's account takes [`Cx::as_user`].
    fn as_user(&self) -> AsUser {
        AsUser::Refused
    }

    /// The account's files, for callers that need them.
    ///
    /// # Errors
    /// `Unsupported` for services without files.
    fn require_storage(&self) -> Result<Arc<dyn Storage>> {
        self.storage().ok_or_else(|| {
            let text = format!("{} has no files.", self.descriptor().friendly_name);
            Error::unsupported(tramontane_model::Op::FolderList, text)
        })
    }
}
