//! WebDAV: files over HTTP (RFC 4918), with what Nextcloud and ownCloud add.

mod abilities;
mod auth;
mod cloud;
mod dav;
mod fault;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod fuzz;
mod identify;
mod listing;
mod path;
mod profile;
mod properties;
mod props;
mod read;
mod storage;
mod write;
mod xml;

use std::sync::Arc;

use async_trait::async_trait;
use tramontane_connector::{
    Account, Category, Connector, Credential, Cx, Descriptor, Error, Field, FieldKind, Identity,
    Result, Settings, Sign, Storage,
};
use url::Url;

pub use storage::DavStorage;

/// What WebDAV is.
static DESCRIPTOR: Descriptor = Descriptor {
    name: "webdav",
    friendly_name: "WebDAV",
    category: Category::FileStore,
    apis: &["storage"],
    fields: &[
        Field::text(
            "url",
            "Address",
            "The URL of the folder to start in, for a Nextcloud https://HOST/remote.php/dav/files/USER/.",
        )
        .of(FieldKind::Url)
        .also(&["domain", "endpoint"]),
        Field::text("username", "User name", "The user to sign in as. Left out, nobody signs in.")
            .optional()
            .also(&["user"]),
        Field::secret(
            "password",
            "Password",
            "The user's password; for a Nextcloud better an app password.",
        )
        .optional(),
        Field::secret("token", "Token", "A bearer token, in place of user name and password.")
            .optional()
            .also(&["bearer_token"]),
    ],
    documentation: "https://www.rfc-editor.org/rfc/rfc4918",
};

/// Servers that speak WebDAV.
#[derive(Clone, Debug, Default)]
pub struct WebDav {
    storage: Arc<DavStorage>,
}

#[async_trait]
impl Connector for WebDav {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn normalize(&self, settings: &mut Settings, credential: &mut Credential) -> Result<()> {
        let text = settings.get("url").map(|url| url.trim().to_owned()).unwrap_or_default();
        // A bare host is what people have at hand.
        let text = if text.contains("://") { text } else { format!("https://{text}") };
        let mut url = Url::parse(&text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| Error::invalid("url must be an absolute http or https URL."))?;
        if url.password().is_some() || !url.username().is_empty() {
            return Err(Error::invalid(
                "url must not hold a user or a password. Give them as username and password.",
            ));
        }
        url = path::collection_url(url);
        settings.insert("url".into(), url.into());
        let given = settings.get("username").map(|name| name.trim().to_owned());
        let user = given.filter(|name| !name.is_empty());
        match &user {
            Some(user) if user.contains(':') => {
                return Err(Error::invalid("username must not contain \":\"."));
            }
            Some(user) => settings.insert("username".into(), user.clone()),
            None => settings.remove("username"),
        };
        let (password, token) = (credential.get("password"), credential.get("token"));
        if password.is_some() && user.is_none() {
            return Err(Error::invalid("username is needed with a password."));
        }
        if user.is_some() && password.is_none() && token.is_none() {
            return Err(Error::invalid("password or token is needed with a username."));
        }
        if password.is_some() && token.is_some() {
            return Err(Error::invalid("Give either password or token, not both."));
        }
        Ok(())
    }

    async fn identify(&self, cx: &Cx) -> Result<Identity> {
        identify::identify(cx, &self.storage.auth(&cx.account)).await
    }

    async fn settle(&self, cx: &Cx) -> Result<Settings> {
        identify::settle(cx, &self.storage.auth(&cx.account)).await
    }

    fn signer(&self, account: &Account) -> Result<Option<Arc<dyn Sign>>> {
        Ok(Some(self.storage.auth(account)))
    }

    fn base_url(&self, account: &Account) -> Result<Option<Url>> {
        profile::base(account).map(Some)
    }

    fn storage(&self) -> Option<Arc<dyn Storage>> {
        Some(self.storage.clone())
    }
}
