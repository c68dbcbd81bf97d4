//! Who calls: from the `Authorization` header to what the caller may reach (wire API, section 4).

use std::sync::Arc;

use tramontane_model::AccountId;
use tramontane_store::applications::Application;
use tramontane_store::{developers, keys, tokens};
use tramontane_vault::{hash, same};

use crate::access::Access;
use crate::account::Opened;
use crate::directory::Directory;
use crate::error::{Error, Result};

/// The longest credential that is looked at (wire API, section 4.1).
const MAX_CREDENTIAL_BYTES: usize = 255;
/// The most accounts of one request (wire API, section 13).
const MAX_TOKENS: usize = 50;

/// Which kind of paths is called: it decides which credentials count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Realm {
    /// `/v1/accounts...`, `/v1/meetings...`: API keys and account tokens.
    Accounts,
    /// `/v1/meta...`, `/v1/applications...`: meta tokens.
    Management,
}

/// Why a caller is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no `Authorization` header. `403 forbidden`.
    #[error("a credential is needed; send it in the Authorization header")]
    Missing,
    /// The scheme is none of ours, or the wrong one for these paths. `403 forbidden`.
    #[error("this kind of credential is not taken here")]
    WrongKind,
    /// Nobody knows the credential, or it was revoked. `403 forbidden`.
    #[error("the credential is not known, or was revoked")]
    Unknown,
    /// The application or the API key is switched off. `403 forbidden`.
    #[error("the application or its API key is deactivated")]
    Deactivated,
    /// The API key or meta token is past its expiry. `403 forbidden`.
    #[error("the key has expired; make a new one")]
    KeyExpired,
    /// The account token is past its expiry. `401 invalid_token`.
    #[error("the token has expired")]
    TokenExpired,
    /// The token is not for this account. `403 forbidden`.
    #[error("the token is not for this account")]
    OtherAccount,
    /// The application switched the account off. `403 forbidden`.
    #[error("the account is switched off")]
    AccountInactive,
}

/// What a caller shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented<'a> {
    /// `APIKey {key}`.
    ApiKey(&'a str),
    /// `Bearer {token}`, or several with commas between.
    Bearer(Vec<&'a str>),
    /// `DeveloperKey {meta token}`.
    DeveloperKey(&'a str),
}

impl<'a> Presented<'a> {
    /// Reads the value of an `Authorization` header.
    ///
    /// # Errors
    /// [`Refusal::Missing`] without one, [`Refusal::WrongKind`] for other schemes,
    /// [`Refusal::Unknown`] when what follows cannot be a credential of ours.
    pub fn parse(header: Option<&'a str>) -> std::result::Result<Self, Refusal> {
        let header = header.map(str::trim).filter(|text| !text.is_empty());
        let header = header.ok_or(Refusal::Missing)?;
        let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            let tokens: Vec<&str> = rest.split(',').map(str::trim).collect();
            if tokens.len() > MAX_TOKENS || !tokens.iter().all(|token| plausible(token)) {
                return Err(Refusal::Unknown);
            }
            return Ok(Self::Bearer(tokens));
        }
        let key = scheme.eq_ignore_ascii_case("apikey");
        if !key && !scheme.eq_ignore_ascii_case("developerkey") {
            return Err(Refusal::WrongKind);
        }
        if !plausible(rest) {
            return Err(Refusal::Unknown);
        }
        Ok(if key { Self::ApiKey(rest) } else { Self::DeveloperKey(rest) })
    }
}

fn plausible(credential: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=MAX_CREDENTIAL_BYTES).contains(&credential.len()) && credential.bytes().all(fits)
}

/// Who calls.
#[derive(Clone, Debug)]
pub enum Caller {
    /// An application's server, with its API key.
    Key(KeyCaller),
    /// One or several account tokens, in the order given, one per account.
    Tokens(Vec<Grant>),
    /// A developer, with a meta token.
    Developer(DeveloperCaller),
}

/// An application's server.
#[derive(Clone, Debug)]
pub struct KeyCaller {
    /// The application.
    pub application: Arc<Application>,
    /// The key's id.
    pub key_id: String,
    /// What the key may do.
    pub access: Arc<Access>,
}

/// One account token.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The account that it opens.
    pub account: AccountId,
    /// The account's application.
    pub application: Arc<Application>,
    /// The token's id.
    pub token_id: String,
    /// What the token may do.
    pub access: Arc<Access>,
    /// Its scopes, space-separated.
    pub scope: String,
    /// When it ends, in microseconds.
    pub expires: Option<i64>,
}

/// A developer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeveloperCaller {
    /// The developer's id.
    pub developer: i64,
    /// The meta token's id.
    pub token_id: String,
}

/// An API key as it is kept in memory: without its sealed value.
pub(crate) struct KeyRecord {
    id: String,
    application: String,
    hash: String,
    access: Arc<Access>,
    active: bool,
    expires: Option<i64>,
}

/// A meta token as it is kept in memory.
pub(crate) struct MetaRecord {
    id: String,
    developer: i64,
    hash: String,
    expires: Option<i64>,
}

impl Caller {
    /// The application that the call counts for: the key's, or that of the first token.
    #[must_use]
    pub fn application(&self) -> Option<&Arc<Application>> {
        match self {
            Self::Key(key) => Some(&key.application),
            Self::Tokens(grants) => grants.first().map(|grant| &grant.application),
            Self::Developer(_) => None,
        }
    }

    /// The accounts that `me` stands for: those of the tokens, in the order given.
    #[must_use]
    pub fn me(&self) -> Vec<AccountId> {
        match self {
            Self::Tokens(grants) => grants.iter().map(|grant| grant.account).collect(),
            Self::Key(_) | Self::Developer(_) => Vec::new(),
        }
    }

    /// What the caller may do in an account; `None` when it is not the caller's.
    #[must_use]
    pub fn access(&self, account: AccountId) -> Option<&Arc<Access>> {
        match self {
            Self::Key(key) => Some(&key.access),
            Self::Tokens(grants) => {
                let grant = grants.iter().find(|grant| grant.account == account);
                grant.map(|grant| &grant.access)
            }
            Self::Developer(_) => None,
        }
    }

    /// A stable name of who owns the credential, for idempotency keys and rate limits.
    #[must_use]
    pub fn owner(&self) -> String {
        match self {
            Self::Key(key) => format!("application:{}", key.application.id),
            Self::Tokens(grants) => {
                let accounts = grants.iter().map(|grant| grant.account.to_string());
                format!("accounts:{}", accounts.collect::<Vec<_>>().join(","))
            }
            Self::Developer(developer) => format!("developer:{}", developer.developer),
        }
    }
}

impl Directory {
    /// Who calls, by the `Authorization` header. Reads only.
    ///
    /// # Errors
    /// [`Error::Refused`] with the reason; those of the database.
    pub async fn authenticate(&self, header: Option<&str>, realm: Realm) -> Result<Caller> {
        match (realm, Presented::parse(header)?) {
            (Realm::Accounts, Presented::ApiKey(key)) => {
                Ok(Caller::Key(self.caller_by_key(key).await?))
            }
            (Realm::Accounts, Presented::Bearer(tokens)) => {
                Ok(Caller::Tokens(self.caller_by_tokens(&tokens).await?))
            }
            (Realm::Management, Presented::DeveloperKey(token)) => {
                Ok(Caller::Developer(self.caller_by_meta(token).await?))
            }
            (Realm::Management, Presented::Bearer(tokens)) => match tokens.as_slice() {
                [token] => Ok(Caller::Developer(self.caller_by_meta(token).await?)),
                _ => Err(Refusal::WrongKind.into()),
            },
            _ => Err(Refusal::WrongKind.into()),
        }
    }

    /// The application that an API key belongs to.
    ///
    /// # Errors
    /// As [`Directory::authenticate`].
    pub async fn caller_by_key(&self, key: &str) -> Result<KeyCaller> {
        let hash = hash(key);
        let load = async {
            let Some(row) = keys::find_by_hash(&self.0.db, &hash).await? else { return Ok(None) };
            Ok(Some(Arc::new(KeyRecord {
                access: Arc::new(Access::from_stored(row.access.as_deref())?),
                id: row.id,
                application: row.application,
                hash: row.hash,
                active: row.active,
                expires: row.expires,
            })))
        };
        let record = self.0.key_by_hash.get(&hash, load).await?.ok_or(Refusal::Unknown)?;
        if !same(&record.hash, &hash) {
            return Err(Refusal::Unknown.into());
        }
        let application = self.live_application(&record.application).await?;
        if !record.active {
            return Err(Refusal::Deactivated.into());
        }
        if self.is_past(record.expires) {
            return Err(Refusal::KeyExpired.into());
        }
        Ok(KeyCaller { application, key_id: record.id.clone(), access: record.access.clone() })
    }

    /// What account tokens open, in the order given; a second token of one account is left out.
    ///
    /// # Errors
    /// As [`Directory::authenticate`], for the first token that is not good.
    pub async fn caller_by_tokens(&self, tokens: &[&str]) -> Result<Vec<Grant>> {
        let mut grants: Vec<Grant> = Vec::with_capacity(tokens.len());
        for token in tokens {
            let grant = self.grant(token).await?;
            if !grants.iter().any(|other| other.account == grant.account) {
                grants.push(grant);
            }
        }
        if grants.is_empty() { Err(Refusal::Missing.into()) } else { Ok(grants) }
    }

    async fn grant(&self, token: &str) -> Result<Grant> {
        let hash = hash(token);
        let load = async { Ok(tokens::find_by_hash(&self.0.db, &hash).await?.map(Arc::new)) };
        let row = self.0.token_by_hash.get(&hash, load).await?.ok_or(Refusal::Unknown)?;
        if !same(&row.hash, &hash) {
            return Err(Refusal::Unknown.into());
        }
        let account = AccountId::new(row.account).ok_or(Refusal::Unknown)?;
        let opened = self.open(account).await?.ok_or(Refusal::Unknown)?;
        let application = self.live_application(&opened.row.application).await?;
        if self.is_past(row.expires) {
            return Err(Refusal::TokenExpired.into());
        }
        Ok(Grant {
            account,
            application,
            token_id: row.id.clone(),
            access: Arc::new(Access::from_stored(row.access.as_deref())?),
            scope: row.scope.clone(),
            expires: row.expires,
        })
    }

    /// The developer that a meta token belongs to.
    ///
    /// # Errors
    /// As [`Directory::authenticate`].
    pub async fn caller_by_meta(&self, token: &str) -> Result<DeveloperCaller> {
        let hash = hash(token);
        let load = async {
            let found = developers::find_token(&self.0.db, &hash).await?;
            Ok(found.map(|row| {
                Arc::new(MetaRecord {
                    id: row.id,
                    developer: row.developer,
                    hash: row.hash,
                    expires: row.expires,
                })
            }))
        };
        let record = self.0.meta_by_hash.get(&hash, load).await?.ok_or(Refusal::Unknown)?;
        if !same(&record.hash, &hash) {
            return Err(Refusal::Unknown.into());
        }
        if self.is_past(record.expires) {
            return Err(Refusal::KeyExpired.into());
        }
        Ok(DeveloperCaller { developer: record.developer, token_id: record.id.clone() })
    }

    /// The account that a caller names, if it is the caller's: checks 3 of section 4.4. Whether it is
    /// switched on is asked next, with [`Opened::require_active`], where the operation needs it.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an API key, [`Refusal::OtherAccount`] for a token, when it is not.
    pub async fn account(&self, caller: &Caller, id: AccountId) -> Result<Arc<Opened>> {
        match caller {
            Caller::Key(key) => {
                let opened = self.open(id).await?;
                let own = opened.filter(|opened| opened.row.application == key.application.id);
                own.ok_or(Error::NotFound("account"))
            }
            Caller::Tokens(grants) => {
                if !grants.iter().any(|grant| grant.account == id) {
                    return Err(Refusal::OtherAccount.into());
                }
                self.open(id).await?.ok_or_else(|| Refusal::Unknown.into())
            }
            Caller::Developer(_) => Err(Refusal::WrongKind.into()),
        }
    }

    async fn live_application(&self, id: &str) -> Result<Arc<Application>> {
        let application = self.application_by_id(id).await?.ok_or(Refusal::Unknown)?;
        if application.active { Ok(application) } else { Err(Refusal::Deactivated.into()) }
    }

    fn is_past(&self, expires: Option<i64>) -> bool {
        expires.is_some_and(|expires| expires <= self.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_scheme_in_any_case() {
        assert_eq!(Presented::parse(Some("APIKey tmk_a")), Ok(Presented::ApiKey("tmk_a")));
        assert_eq!(Presented::parse(Some("apikey  tmk_a ")), Ok(Presented::ApiKey("tmk_a")));
        assert_eq!(
            Presented::parse(Some("Bearer a, b,c")),
            Ok(Presented::Bearer(vec!["a", "b", "c"]))
        );
        assert_eq!(Presented::parse(Some("DeveloperKey x")), Ok(Presented::DeveloperKey("x")));
    }

    #[test]
    fn refuses_with_the_reason() {
        let long = format!("Bearer {}", "a".repeat(256));
        let many = format!("Bearer {}", vec!["a"; 51].join(","));
        for (header, refusal) in [
            (None, Refusal::Missing),
            (Some(""), Refusal::Missing),
            (Some("  "), Refusal::Missing),
            (Some("AccountKey abc"), Refusal::WrongKind),
            (Some("Basic YTpi"), Refusal::WrongKind),
            (Some("tmb_abc"), Refusal::WrongKind),
            (Some("Bearer"), Refusal::Unknown),
            (Some("Bearer a,,b"), Refusal::Unknown),
            (Some("Bearer a'--"), Refusal::Unknown),
            (Some("APIKey a,b"), Refusal::Unknown),
            (Some("APIKey é"), Refusal::Unknown),
            (Some(long.as_str()), Refusal::Unknown),
            (Some(many.as_str()), Refusal::Unknown),
        ] {
            assert_eq!(Presented::parse(header), Err(refusal), "{header:?}");
        }
    }
}
