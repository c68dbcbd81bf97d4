//! Microsoft Graph: OneDrive for personal use, OneDrive for Business, SharePoint.

mod abilities;
mod api;
mod changes;
mod fault;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod fuzz;
mod id;
mod item;
mod links;
mod moves;
mod names;
mod push;
mod read;
mod search;
mod sessions;
mod sharing;
mod sites;
mod storage;
mod team;
mod versions;
mod write;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tramontane_connector::oauth::ServiceToken;
use tramontane_connector::{
    Account, AsUser, Bases, Category, Changes, ClientAuth, Connector, Credential, Cx, Descriptor,
    Error, Field, Identity, OAuth, RefreshRules, Result, ScopeSet, ServiceAccount, Settings,
    Storage, Team,
};
use url::Url;

use self::api::{Api, collection, nonsense, text};
pub use self::storage::GraphStorage;

const API: &str = "https://graph.microsoft.com/";
const LOGIN: &str = "https://login.microsoftonline.com/";

/// Which of the three services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flavour {
    Personal,
    Business,
    Sharepoint,
}

impl Flavour {
    fn root_name(self) -> &'static str {
        match self {
            Self::Personal | Self::Business => "OneDrive",
            Self::Sharepoint => "SharePoint",
        }
    }

    /// Whose accounts may sign in ("Microsoft identity platform and OAuth 2.0 authorization code flow").
    fn tenant(self) -> &'static str {
        match self {
            Self::Personal => "consumers",
            Self::Business | Self::Sharepoint => "organizations",
        }
    }
}

/// The setting that names the organisation.
const TENANT: &str = "tenant";

const TENANT_FIELD: Field = Field::text(
    TENANT,
    "Organisation",
    "For an account of a whole organisation: its domain or tenant id.",
)
.optional();

static ONEDRIVE: Descriptor = Descriptor {
    name: "onedrive",
    friendly_name: "OneDrive",
    category: Category::FileStore,
    apis: &["storage"],
    fields: &[],
    documentation: "https://learn.microsoft.com/graph/api/resources/onedrive",
};

static ONEDRIVEBIZ: Descriptor = Descriptor {
    name: "onedrivebiz",
    friendly_name: "OneDrive for Business",
    category: Category::FileStore,
    apis: &["storage", "team"],
    fields: &[TENANT_FIELD],
    documentation: "https://learn.microsoft.com/graph/api/resources/onedrive",
};

static SHAREPOINT: Descriptor = Descriptor {
    name: "sharepoint",
    friendly_name: "SharePoint",
    category: Category::FileStore,
    apis: &["storage", "team"],
    fields: &[
        Field::text(
            sites::DOMAIN,
            "Site",
            "One site, as HOST/sites/NAME. Left out, every site that the account may see.",
        )
        .optional()
        .also(&["site"]),
        TENANT_FIELD,
    ],
    documentation: "https://learn.microsoft.com/graph/api/resources/sharepoint",
};

/// Delegated permissions for a user's own account, `.default` for an organisation's ("Microsoft Graph
/// permissions reference"; "Scopes and permissions in the Microsoft identity platform").
const FILES: &[ScopeSet] = &[
    ScopeSet { api: "basic", admin: false, scopes: &["offline_access", "User.Read"] },
    ScopeSet { api: "storage", admin: false, scopes: &["Files.ReadWrite.All"] },
    ScopeSet { api: "basic", admin: true, scopes: &["https://graph.microsoft.com/.default"] },
];

const SITES: &[ScopeSet] = &[
    ScopeSet { api: "basic", admin: false, scopes: &["offline_access", "User.Read"] },
    ScopeSet { api: "storage", admin: false, scopes: &["Sites.ReadWrite.All"] },
    ScopeSet { api: "basic", admin: true, scopes: &["https://graph.microsoft.com/.default"] },
];

/// One of the services that Microsoft Graph serves files of.
pub struct Graph {
    descriptor: &'static Descriptor,
    flavour: Flavour,
    base: Url,
    login: Url,
    oauth: OAuth,
    storage: Arc<GraphStorage>,
    team: Option<Arc<team::GraphTeam>>,
}

impl Graph {
    /// OneDrive for personal use.
    ///
    /// # Errors
    /// A base URL that cannot be used.
    pub fn onedrive(bases: &Bases) -> Result<Self> {
        Self::new(&ONEDRIVE, Flavour::Personal, FILES, bases)
    }

    /// OneDrive for Business.
    ///
    /// # Errors
    /// A base URL that cannot be used.
    pub fn onedrivebiz(bases: &Bases) -> Result<Self> {
        Self::new(&ONEDRIVEBIZ, Flavour::Business, FILES, bases)
    }

    /// The libraries of SharePoint's sites.
    ///
    /// # Errors
    /// A base URL that cannot be used.
    pub fn sharepoint(bases: &Bases) -> Result<Self> {
        Self::new(&SHAREPOINT, Flavour::Sharepoint, SITES, bases)
    }

    fn new(
        descriptor: &'static Descriptor,
        flavour: Flavour,
        scopes: &'static [ScopeSet],
        bases: &Bases,
    ) -> Result<Self> {
        let wrong = |_| Error::internal("A base URL of Microsoft Graph cannot be used.");
        let base = bases.url(descriptor.name, "api", API)?.join("v1.0/").map_err(wrong)?;
        let login = bases.url(descriptor.name, "login", LOGIN)?;
        let endpoint = |name: &str| {
            login.join(&format!("{}/oauth2/v2.0/{name}", flavour.tenant())).map_err(wrong)
        };
        let oauth = OAuth {
            authorize: endpoint("authorize")?,
            token: endpoint("token")?,
            // The platform has no endpoint that takes a grant back: users do it at their account's page.
            revoke: None,
            client_auth: ClientAuth::Body,
            pkce: true,
            authorize_params: &[("response_mode", "query")],
            scopes,
            // "Refresh tokens replace themselves with a fresh token upon every use" and live for 90 days;
            // the old one goes on for a while, on which nobody should rely ("Refresh tokens in the
            // Microsoft identity platform").
            refresh: RefreshRules {
                rotates: true,
                idle_life: Some(Duration::from_secs(90 * 86_400)),
                access_life: Duration::from_secs(3_600),
            },
            service_account: match flavour {
                Flavour::Personal => None,
                Flavour::Business | Flavour::Sharepoint => Some(ServiceAccount::ClientCredentials),
            },
        };
        let api = Arc::new(Api::new(flavour, base.clone()));
        let team = (flavour != Flavour::Personal)
            .then(|| Arc::new(team::GraphTeam { api: Arc::clone(&api) }));
        let storage = Arc::new(GraphStorage { api });
        Ok(Self { descriptor, flavour, base, login, oauth, storage, team })
    }
}

#[async_trait]
impl Connector for Graph {
    fn descriptor(&self) -> &'static Descriptor {
        self.descriptor
    }

    fn normalize(&self, settings: &mut Settings, _credential: &mut Credential) -> Result<()> {
        if let Some(tenant) = settings.get(TENANT).map(|tenant| tenant.trim().to_owned()) {
            let marks = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
            let fine = tenant.len() <= 253 && tenant.bytes().all(marks) && !tenant.starts_with('.');
            if !fine {
                return Err(Error::invalid(
                    "tenant must be the organisation's domain or its tenant id.",
                ));
            }
            settings.insert(TENANT.into(), tenant);
        }
        let given = settings.get(sites::DOMAIN).map(|domain| domain.trim()).unwrap_or_default();
        let bare = given.strip_prefix("https://").unwrap_or(given).trim_end_matches('/').to_owned();
        if bare.is_empty() {
            settings.remove(sites::DOMAIN);
            return Ok(());
        }
        let host = bare.split('/').next().unwrap_or_default();
        let fine = host.contains('.')
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
            && !bare.contains(['?', '#', ':', '\\'])
            && bare.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
        if !fine {
            return Err(Error::invalid(
                "domain must be HOST/sites/NAME, as in example.sharepoint.com/sites/team.",
            ));
        }
        settings.insert(sites::DOMAIN.into(), bare);
        Ok(())
    }

    async fn identify(&self, cx: &Cx) -> Result<Identity> {
        let client = self.storage.api.at(cx);
        if cx.account.admin {
            let (all, _) = collection(
                client.get("organization", "organization?$select=id,displayName").await?,
            )?;
            let first = all.first().ok_or_else(nonsense)?;
            return identity(first, &["displayName"]);
        }
        let select = "me?$select=id,displayName,mail,userPrincipalName";
        let me = client.get("me", select).await?;
        if let Some(site) = client.own_site() {
            client.get("site", site.trim_end_matches(':')).await.map_err(|error| {
                if error.is_not_found() {
                    return Error::invalid("domain names a site that is not there.").because(error);
                }
                error
            })?;
        }
        identity(&me, &["mail", "userPrincipalName", "displayName"])
    }

    fn oauth(&self) -> Option<&OAuth> {
        Some(&self.oauth)
    }

    /// "Microsoft identity platform and the OAuth 2.0 client credentials flow": at the organisation's own
    /// endpoint.
    fn service_token(&self, account: &Account, _subject: Option<&str>) -> Result<ServiceToken> {
        let tenant = account.required_setting(TENANT)?;
        let endpoint = self.login.join(&format!("{}/oauth2/v2.0/token", names::escaped(tenant)));
        let endpoint = endpoint.map_err(|_| {
            Error::invalid("tenant must be the organisation's domain or its tenant id.")
        })?;
        Ok(ServiceToken { endpoint: Some(endpoint), ..ServiceToken::default() })
    }

    fn base_url(&self, _account: &Account) -> Result<Option<Url>> {
        Ok(Some(self.base.clone()))
    }

    fn storage(&self) -> Option<Arc<dyn Storage>> {
        Some(self.storage.clone())
    }

    fn changes(&self) -> Option<Arc<dyn Changes>> {
        Some(self.storage.clone())
    }

    fn team(&self) -> Option<Arc<dyn Team>> {
        self.team.clone().map(|team| team as Arc<dyn Team>)
    }

    fn as_user(&self) -> AsUser {
        match self.flavour {
            Flavour::Business => AsUser::Needed,
            Flavour::Personal | Flavour::Sharepoint => AsUser::Refused,
        }
    }
}

/// The id and the first of these members that is there.
fn identity(of: &Value, names: &[&str]) -> Result<Identity> {
    let id = text(of, "id").ok_or_else(nonsense)?.to_owned();
    let display = names.iter().find_map(|name| text(of, name)).unwrap_or(&id).to_owned();
    Ok(Identity { id, display })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_brought_into_its_form_or_refused() {
        let graph = Graph::sharepoint(&Bases::default()).unwrap();
        let normal = |domain: &str| {
            let mut settings = Settings::from([("domain".to_owned(), domain.to_owned())]);
            let done = graph.normalize(&mut settings, &mut Credential::none());
            done.map(|()| settings.get("domain").cloned())
        };
        let site = Some("x.sharepoint.com/sites/team".to_owned());
        assert_eq!(normal(" https://x.sharepoint.com/sites/team/ ").unwrap(), site);
        assert_eq!(normal("").unwrap(), None);
        for bad in ["x", "x.y/../z", "x.y?z", "x.y:80/z", "x y.z/a"] {
            assert!(normal(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_organisation_has_a_token_endpoint_of_its_own() {
        let graph = Graph::onedrivebiz(&Bases::default()).unwrap();
        let account = |tenant: &str| Account {
            id: tramontane_model::AccountId::new(1).unwrap(),
            service: Arc::from("onedrivebiz"),
            admin: true,
            settings: Settings::from([(TENANT.to_owned(), tenant.to_owned())]),
            credential: Credential::none(),
            revision: 1,
        };
        let token = graph.service_token(&account("example.com"), None).unwrap();
        assert_eq!(
            token.endpoint.unwrap().as_str(),
            "https://login.microsoftonline.com/example.com/oauth2/v2.0/token"
        );
        assert!(graph.service_token(&account(""), None).is_err());
        for bad in ["../common", "a/b", ".."] {
            let mut settings = Settings::from([(TENANT.to_owned(), bad.to_owned())]);
            assert!(graph.normalize(&mut settings, &mut Credential::none()).is_err(), "{bad}");
        }
    }

    #[test]
    fn each_service_signs_in_at_its_own_tenants() {
        let graph = Graph::onedrive(&Bases::default()).unwrap();
        assert_eq!(
            graph.oauth().unwrap().token.as_str(),
            "https://login.microsoftonline.com/consumers/oauth2/v2.0/token"
        );
        let graph = Graph::onedrivebiz(&Bases::default()).unwrap();
        let scopes = graph.oauth().unwrap().scopes_for(&["storage"], false);
        assert_eq!(scopes, ["offline_access", "User.Read", "Files.ReadWrite.All"]);
    }
}
