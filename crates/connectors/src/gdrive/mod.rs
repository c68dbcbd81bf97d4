//! Google Drive: the Drive API v3, with the Directory API for the people of an organisation.
//!
//! Documents: <https://developers.google.com/workspace/drive/api/reference/rest/v3>,
//! <https://developers.google.com/identity/protocols/oauth2/web-server>,
//! <https://developers.google.com/workspace/admin/directory/reference/rest/v1>.

mod abilities;
mod api;
mod changes;
mod chunks;
mod fault;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod fuzz;
mod ids;
mod item;
mod links;
mod list;
mod permissions;
mod place;
mod properties;
mod push;
mod query;
mod read;
mod search;
mod sessions;
mod storage;
mod team;
mod trash;
mod upload;
mod versions;
mod write;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use tramontane_connector::http::Request;
use tramontane_connector::{
    Account, AsUser, Bases, Category, Changes, ClientAuth, Connector, Cx, Descriptor, Error,
    Identity, Kind, OAuth, RefreshRules, Result, ScopeSet, ServiceAccount, Storage, Team,
};
use url::Url;

use api::{Api, Client};
pub use storage::DriveStorage;
pub use team::DriveTeam;

/// What Google Drive is.
static DESCRIPTOR: Descriptor = Descriptor {
    name: "gdrive",
    friendly_name: "Google Drive",
    category: Category::FileStore,
    apis: &["storage", "team"],
    fields: &[],
    documentation: "https://developers.google.com/workspace/drive/api/reference/rest/v3",
};

/// "OAuth 2.0 Scopes for Google APIs". The whole of Drive: with less, files that another application
/// made cannot be seen.
const BASIC: &[&str] = &[
    "openid",
    "https://www.googleapis.com/auth/userinfo.email",
    "https://www.googleapis.com/auth/userinfo.profile",
];
const DRIVE: &[&str] = &["https://www.googleapis.com/auth/drive"];
const DIRECTORY: &[&str] = &[
    "https://www.googleapis.com/auth/admin.directory.user.readonly",
    "https://www.googleapis.com/auth/admin.directory.group.readonly",
    "https://www.googleapis.com/auth/admin.directory.group.member.readonly",
];

const SCOPES: &[ScopeSet] = &[
    ScopeSet { api: "basic", admin: false, scopes: BASIC },
    ScopeSet { api: "storage", admin: false, scopes: DRIVE },
    ScopeSet { api: "basic", admin: true, scopes: BASIC },
    ScopeSet { api: "storage", admin: true, scopes: DRIVE },
    ScopeSet { api: "team", admin: true, scopes: DIRECTORY },
];

/// "Using OAuth 2.0 to Access Google APIs", "Refresh token expiration": one that is not used for six
/// months lapses.
const REFRESH: RefreshRules = RefreshRules {
    rotates: false,
    idle_life: Some(Duration::from_secs(180 * 24 * 3_600)),
    access_life: Duration::from_secs(3_599),
};

/// Google Drive.
#[derive(Debug)]
pub struct Gdrive {
    api: Arc<Api>,
    oauth: OAuth,
    storage: Arc<DriveStorage>,
    team: Arc<DriveTeam>,
}

impl Gdrive {
    /// Google Drive at Google's own addresses, or at those that the operator set (`gdrive`, or its parts
    /// `gdrive.api`, `gdrive.login`, `gdrive.token`, `gdrive.directory`, `gdrive.thumbnails`).
    ///
    /// # Errors
    /// `Internal` when an address cannot be used.
    pub fn new(bases: &Bases) -> Result<Self> {
        let login = bases.url("gdrive", "login", "https://accounts.google.com/")?;
        let token = bases.url("gdrive", "token", "https://oauth2.googleapis.com/")?;
        let oauth = OAuth {
            authorize: api::join(&login, "o/oauth2/v2/auth")?,
            token: api::join(&token, "token")?,
            revoke: Some(api::join(&token, "revoke")?),
            client_auth: ClientAuth::Body,
            pkce: true,
            // Without `prompt=consent` a second consent brings no refresh token.
            authorize_params: &[
                ("access_type", "offline"),
                ("prompt", "consent"),
                ("include_granted_scopes", "true"),
            ],
            scopes: SCOPES,
            refresh: REFRESH,
            service_account: Some(ServiceAccount::SignedAssertion),
        };
        let api = Arc::new(Api::new(bases)?);
        let storage = Arc::new(DriveStorage::new(Arc::clone(&api)));
        let team = Arc::new(DriveTeam::new(Arc::clone(&api)));
        Ok(Self { api, oauth, storage, team })
    }
}

#[derive(Deserialize)]
struct UserInfo {
    /// OpenID Connect calls it `sub`.
    #[serde(alias = "sub")]
    id: String,
    #[serde(default)]
    email: String,
}

#[derive(Deserialize)]
struct About {
    user: item::User,
}

#[async_trait]
impl Connector for Gdrive {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    async fn identify(&self, cx: &Cx) -> Result<Identity> {
        let client = Client::new(&self.api, cx);
        let url = api::join(&self.api.api, "oauth2/v2/userinfo")?;
        match client.json::<UserInfo>(Request::new("userinfo", Method::GET, url)).await {
            Ok(user) => {
                let display = if user.email.is_empty() { user.id.clone() } else { user.email };
                Ok(Identity { id: user.id, display })
            }
            // A token that was given without the scopes of `basic` still tells through Drive.
            Err(error) if matches!(error.kind, Kind::Forbidden | Kind::Credential) => {
                let url = client.url(&["about"], &[("fields", "user")])?;
                let about: About = client.json(Request::new("about", Method::GET, url)).await?;
                let id = about.user.permission_id.ok_or(error)?;
                let display = about.user.email_address.unwrap_or_else(|| id.clone());
                Ok(Identity { id, display })
            }
            Err(error) => Err(error),
        }
    }

    fn oauth(&self) -> Option<&OAuth> {
        Some(&self.oauth)
    }

    fn base_url(&self, _account: &Account) -> Result<Option<Url>> {
        Ok(Some(self.api.api.clone()))
    }

    fn may_call(&self, _account: &Account, url: &Url) -> bool {
        self.api.may_call(url)
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

    fn as_user(&self) -> AsUser {
        AsUser::Needed
    }
}

/// What cannot be: an answer without what it must have.
fn odd(what: &str) -> Error {
    Error::new(Kind::Broken, format!("Google's answer has no {what}."))
}
