//! Dropbox: files of people and of teams, by API v2.

mod abilities;
mod api;
mod changes;
mod entry;
mod fault;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod fuzz;
mod links;
mod listing;
mod lookup;
mod permissions;
mod place;
mod properties;
mod push;
mod read;
mod search;
mod sessions;
mod storage;
mod team;
mod trash;
mod versions;
mod write;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderValue, Method, header};
use serde_json::Value;
use tramontane_connector::error::Kind;
use tramontane_connector::http::Request;
use tramontane_connector::{
    Account, AsUser, Bases, Category, Changes, ClientAuth, Connector, Cx, Descriptor, Error,
    Identity, OAuth, RefreshRules, Result, ScopeSet, Settings, Storage, Team,
};
use url::Url;

use abilities::ACCOUNT_TYPE;
use api::{Api, Hosts, ROOT_NAMESPACE};
use storage::DropboxStorage;
use team::DropboxTeam;

static DESCRIPTOR: Descriptor = Descriptor {
    name: "dropbox",
    friendly_name: "Dropbox",
    category: Category::FileStore,
    apis: &["storage", "team"],
    fields: &[],
    documentation: "https://www.dropbox.com/developers/documentation/http/documentation",
};

/// "OAuth Guide", scopes; <https://developers.dropbox.com/oauth-guide>.
const SCOPES: &[ScopeSet] = &[
    ScopeSet { api: "basic", admin: false, scopes: &["account_info.read"] },
    ScopeSet {
        api: "storage",
        admin: false,
        scopes: &[
            "files.metadata.read",
            "files.metadata.write",
            "files.content.read",
            "files.content.write",
            "sharing.read",
            "sharing.write",
        ],
    },
    ScopeSet {
        api: "basic",
        admin: true,
        scopes: &["account_info.read", "team_info.read", "team_data.member", "members.read"],
    },
    ScopeSet {
        api: "storage",
        admin: true,
        scopes: &[
            "files.metadata.read",
            "files.metadata.write",
            "files.content.read",
            "files.content.write",
            "files.permanent_delete",
            "sharing.read",
            "sharing.write",
        ],
    },
    ScopeSet { api: "team", admin: true, scopes: &["groups.read"] },
];

/// The connector of Dropbox.
pub struct Dropbox {
    hosts: Arc<Hosts>,
    oauth: OAuth,
    storage: Arc<DropboxStorage>,
    team: Arc<DropboxTeam>,
}

impl Dropbox {
    /// The connector, at Dropbox itself or where the operator says.
    ///
    /// # Errors
    /// A base URL that cannot be used.
    pub fn new(bases: &Bases) -> Result<Self> {
        let hosts = Arc::new(Hosts::of(bases)?);
        let oauth = OAuth {
            authorize: Hosts::join(&hosts.login, "oauth2/authorize")?,
            token: Hosts::join(&hosts.api, "oauth2/token")?,
            revoke: Some(Hosts::join(&hosts.api, "2/auth/token/revoke")?),
            client_auth: ClientAuth::Body,
            pkce: true,
            authorize_params: &[("token_access_type", "offline")],
            scopes: SCOPES,
            // Refresh tokens are "long-lived": they end when they are revoked.
            refresh: RefreshRules {
                rotates: false,
                idle_life: None,
                access_life: Duration::from_secs(14_400),
            },
            service_account: None,
        };
        let storage = Arc::new(DropboxStorage::new(Arc::clone(&hosts)));
        let team = Arc::new(DropboxTeam::new(Arc::clone(&hosts)));
        Ok(Self { hosts, oauth, storage, team })
    }
}

fn text(of: &Value, path: &str) -> Option<String> {
    of.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

#[async_trait]
impl Connector for Dropbox {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    async fn identify(&self, cx: &Cx) -> Result<Identity> {
        let api = Api::new(cx, &self.hosts);
        let (id, display) = if cx.account.admin {
            let admin: Value = api.look("team/token/get_authenticated_admin", &Value::Null).await?;
            (text(&admin, "/admin_profile/team_member_id"), text(&admin, "/admin_profile/email"))
        } else {
            let user: Value = api.look("users/get_current_account", &Value::Null).await?;
            (text(&user, "/account_id"), text(&user, "/email"))
        };
        let unnamed = || Error::new(Kind::Broken, "Dropbox did not say whose account this is.");
        let id = id.ok_or_else(unnamed)?;
        Ok(Identity { display: display.unwrap_or_else(|| id.clone()), id })
    }

    /// The kind of account, and the namespace of the team's space where paths begin there
    /// ("Team Files Guide").
    async fn settle(&self, cx: &Cx) -> Result<Settings> {
        let mut facts = Settings::new();
        let mut as_admin = cx.clone();
        if cx.account.admin {
            let identity = self.identify(cx).await?;
            as_admin.as_user = Some(identity.id.into());
        }
        // What the settings said before must not stand in the way of the question.
        let api = Api::new(&as_admin, &self.hosts);
        let user: Value = api.look("users/get_current_account", &Value::Null).await?;
        if let Some(kind) = text(&user, "/account_type/.tag") {
            facts.insert(ACCOUNT_TYPE.into(), kind);
        }
        let root = text(&user, "/root_info/root_namespace_id");
        let home = text(&user, "/root_info/home_namespace_id");
        // An empty setting is none: the space may be gone since the account was connected first.
        let space = root.filter(|root| home.as_ref() != Some(root)).unwrap_or_default();
        facts.insert(ROOT_NAMESPACE.into(), space);
        Ok(facts)
    }

    fn oauth(&self) -> Option<&OAuth> {
        Some(&self.oauth)
    }

    /// `auth/token/revoke` ends the access token that it is called with, and the refresh token behind
    /// that. A refresh token opens no function, so only a live access token gives the grant back.
    fn revoke_request(&self, token: &str) -> Option<Request> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
        bearer.set_sensitive(true);
        let url = self.oauth.revoke.clone()?;
        let mut request = Request::new("auth/token/revoke", Method::POST, url);
        request.signed = false;
        request.headers.insert(header::AUTHORIZATION, bearer);
        Some(request)
    }

    fn base_url(&self, _account: &Account) -> Result<Option<Url>> {
        Ok(Some(self.hosts.api.clone()))
    }

    fn may_call(&self, _account: &Account, url: &Url) -> bool {
        let hosts = [&self.hosts.api, &self.hosts.content, &self.hosts.notify];
        hosts.iter().any(|host| host.origin() == url.origin())
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_to_dropbox_alone() {
        let dropbox = Dropbox::new(&Bases::default()).unwrap();
        let account = Account {
            id: tramontane_model::AccountId::new(1).unwrap(),
            service: "dropbox".into(),
            admin: false,
            settings: Settings::new(),
            credential: tramontane_connector::Credential::none(),
            revision: 1,
        };
        let may = |url: &str| Url::parse(url).is_ok_and(|url| dropbox.may_call(&account, &url));
        assert!(may("https://api.dropboxapi.com/2/files/list_folder"));
        assert!(may("https://content.dropboxapi.com/2/files/upload"));
        assert!(may("https://notify.dropboxapi.com/2/files/list_folder/longpoll"));
        for elsewhere in [
            "http://api.dropboxapi.com/",
            "https://api.dropboxapi.com.evil.example/",
            "https://www.dropbox.com/oauth2/authorize",
            "https://dropboxapi.com/",
        ] {
            assert!(!may(elsewhere), "{elsewhere}");
        }
    }
}
