//! Box: files and folders with ids of their own kinds, over the Box API 2.0.

mod abilities;
mod changes;
mod client;
mod commit;
mod events;
mod fault;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod fuzz;
mod id;
mod item;
mod links;
mod permissions;
mod properties;
mod reading;
mod search;
mod storage;
mod team;
#[cfg(test)]
mod tests;
mod trash;
mod upload;
mod versions;
mod walk;
mod write;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use tramontane_connector::oauth::{
    ClientAuth, OAuth, RefreshRules, SUBJECT, ScopeSet, ServiceAccount, ServiceToken,
};
use tramontane_connector::{
    Account, AsUser, Bases, Category, Changes, Connector, Cx, Descriptor, Error, Identity, Kind,
    Result, Storage, Team,
};
use url::Url;

use client::{Client, Sites};
use storage::BoxStorage;
use team::BoxTeam;

static DESCRIPTOR: Descriptor = Descriptor {
    name: "box",
    friendly_name: "Box",
    category: Category::FileStore,
    apis: &["storage", "team"],
    fields: &[],
    documentation: "https://developer.box.com/reference/",
};

/// <https://developer.box.com/guides/api-calls/permissions-and-errors/scopes/>
const SCOPES: &[ScopeSet] = &[
    ScopeSet { api: "storage", admin: false, scopes: &["root_readwrite"] },
    ScopeSet { api: "events", admin: false, scopes: &["root_readwrite"] },
    // Whose account it is needs a scope of users; files are then reached as a member.
    ScopeSet { api: "basic", admin: true, scopes: &["manage_managed_users"] },
    ScopeSet { api: "storage", admin: true, scopes: &["root_readwrite"] },
    ScopeSet { api: "team", admin: true, scopes: &["manage_managed_users", "manage_groups"] },
    ScopeSet { api: "events", admin: true, scopes: &["manage_enterprise_properties"] },
];

/// Refresh tokens are good once and lapse after 60 days without use; access tokens live about an hour.
/// No grace for a refresh token that was used is documented.
/// <https://developer.box.com/guides/authentication/tokens/refresh/>
const REFRESH: RefreshRules = RefreshRules {
    rotates: true,
    idle_life: Some(Duration::from_secs(60 * 86_400)),
    access_life: Duration::from_secs(3_600),
};

/// The connector of Box.
pub struct BoxCloud {
    oauth: OAuth,
    sites: Arc<Sites>,
    storage: Arc<BoxStorage>,
    team: Arc<BoxTeam>,
}

impl BoxCloud {
    /// The connector, at Box itself or at the base URLs that the operator set (`box`, or `box.api`,
    /// `box.upload` and `box.login`).
    ///
    /// # Errors
    /// A base URL that cannot be used.
    pub fn new(bases: &Bases) -> Result<Self> {
        let sites = Arc::new(Sites::of(bases)?);
        let login = bases.url("box", "login", "https://account.box.com/")?;
        let join = |base: &Url, path: &str| {
            base.join(path).map_err(|_| Error::internal(format!("{base}{path} is no URL.")))
        };
        let oauth = OAuth {
            // https://developer.box.com/reference/get-authorize/
            authorize: join(&login, "api/oauth2/authorize")?,
            token: join(&sites.api, "oauth2/token")?,
            revoke: Some(join(&sites.api, "oauth2/revoke")?),
            client_auth: ClientAuth::Body,
            // The reference of the authorization endpoint knows no code challenge.
            pkce: false,
            authorize_params: &[],
            scopes: SCOPES,
            refresh: REFRESH,
            // https://developer.box.com/guides/authentication/client-credentials/
            service_account: Some(ServiceAccount::ClientCredentials),
        };
        let storage = Arc::new(BoxStorage::new(Arc::clone(&sites)));
        let team = Arc::new(BoxTeam::new(Arc::clone(&sites)));
        Ok(Self { oauth, sites, storage, team })
    }
}

/// `GET /users/me` (<https://developer.box.com/reference/get-users-me/>).
#[derive(Deserialize)]
struct Me {
    id: String,
    name: Option<String>,
    login: Option<String>,
}

#[async_trait]
impl Connector for BoxCloud {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    async fn identify(&self, cx: &Cx) -> Result<Identity> {
        let client = Client { cx, sites: &self.sites };
        let url = client.api(&["users", "me"], &[("fields", "id,name,login,role")])?;
        let me: Me = client.json(client.request("who", Method::GET, url)).await?;
        let display = me.login.or(me.name).unwrap_or_else(|| me.id.clone());
        if me.id.is_empty() {
            return Err(Error::new(Kind::Broken, "Box does not say whose account it is."));
        }
        Ok(Identity { id: me.id, display })
    }

    fn oauth(&self) -> Option<&OAuth> {
        Some(&self.oauth)
    }

    /// Server authentication: the enterprise's service account, for the enterprise whose id the setting
    /// `subject` has. Its scopes are those of the app
    /// (<https://developer.box.com/guides/authentication/client-credentials/>).
    fn service_token(&self, account: &Account, _subject: Option<&str>) -> Result<ServiceToken> {
        let enterprise = account.setting(SUBJECT).ok_or_else(|| {
            Error::invalid("\"subject\" must be the enterprise's id, from Box's admin console.")
        })?;
        let params = vec![
            ("box_subject_type", "enterprise".to_owned()),
            ("box_subject_id", enterprise.to_owned()),
        ];
        Ok(ServiceToken { params, scopes: Some(Vec::new()), ..ServiceToken::default() })
    }

    fn base_url(&self, _account: &Account) -> Result<Option<Url>> {
        self.sites.api.join("2.0/").map(Some).map_err(|_| Error::internal("Box has no base URL."))
    }

    fn may_call(&self, _account: &Account, url: &Url) -> bool {
        [&self.sites.api, &self.sites.upload].iter().any(|own| own.origin() == url.origin())
    }

    fn storage(&self) -> Option<Arc<dyn Storage>> {
        Some(Arc::clone(&self.storage) as Arc<dyn Storage>)
    }

    fn changes(&self) -> Option<Arc<dyn Changes>> {
        Some(Arc::clone(&self.storage) as Arc<dyn Changes>)
    }

    fn team(&self) -> Option<Arc<dyn Team>> {
        Some(Arc::clone(&self.team) as Arc<dyn Team>)
    }

    /// An administrator's token opens their own files; everyone else's need the header `As-User`
    /// (<https://developer.box.com/guides/authentication/jwt/as-user/>). An organisation's account is
    /// always used for its members, so that nobody's files are taken for the organisation's.
    fn as_user(&self) -> AsUser {
        AsUser::Needed
    }
}
