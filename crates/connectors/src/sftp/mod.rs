//! SFTP: files over SSH.

mod fault;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod fuzz;
mod link;
mod path;
mod storage;
mod transfer;

use std::sync::Arc;

use async_trait::async_trait;
use tramontane_connector::{
    Category, Connector, Credential, Cx, Descriptor, Error, Field, FieldKind, Identity, Repeat,
    Result, Settings, Storage,
};

pub use storage::SftpStorage;

/// What SFTP is.
static DESCRIPTOR: Descriptor = Descriptor {
    name: "sftp",
    friendly_name: "SFTP",
    category: Category::FileStore,
    apis: &["storage"],
    fields: &[
        Field::text("host", "Host", "The server's name or address.").also(&["domain"]),
        Field::text("port", "Port", "The server's SSH port.").of(FieldKind::Number).or("22"),
        Field::text("username", "User name", "The user to sign in as.").also(&["user"]),
        Field::secret("password", "Password", "The user's password. Not needed with a private key.")
            .optional(),
        Field::secret("private_key", "Private key", "A private key in OpenSSH or PEM form.")
            .of(FieldKind::SecretText)
            .optional()
            .also(&["key"]),
        Field::secret("passphrase", "Passphrase", "What opens the private key, if it is locked.")
            .optional(),
        Field::text(
            "host_key",
            "Host key",
            "The server's key as SHA256:... or as a line of known_hosts. Left out, the key that the server shows \
             when connecting is remembered, and any other is refused from then on.",
        )
        .optional(),
        Field::text("root", "Folder", "The folder to start in. Left out, the user's home.").optional(),
    ],
    documentation: "https://datatracker.ietf.org/doc/html/draft-ietf-secsh-filexfer-02",
};

/// Servers that speak SFTP version 3, OpenSSH above all.
#[derive(Clone, Debug, Default)]
pub struct Sftp {
    storage: Arc<SftpStorage>,
}

#[async_trait]
impl Connector for Sftp {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn normalize(&self, settings: &mut Settings, credential: &mut Credential) -> Result<()> {
        let host = settings.get("host").map(|host| host.trim().to_owned()).unwrap_or_default();
        if host.is_empty() || host.contains(['/', '@', ' ']) {
            return Err(Error::invalid("host must be a name or an address, without user or path."));
        }
        settings.insert("host".into(), host);
        let port = settings.get("port").map(String::as_str).unwrap_or("22");
        if !port.parse::<u16>().is_ok_and(|port| port > 0) {
            return Err(Error::invalid("port must be a number from 1 to 65535."));
        }
        if let Some(key) = settings.get("host_key").filter(|key| !key.is_empty()).cloned() {
            settings.insert("host_key".into(), link::fingerprint(&key)?);
        }
        if let Some(root) = settings.get("root").filter(|root| !root.is_empty()) {
            let trimmed = root.trim_end_matches('/');
            let trimmed = if trimmed.is_empty() { "/" } else { trimmed }.to_owned();
            settings.insert("root".into(), trimmed);
        }
        if credential.get("password").is_none() && credential.get("private_key").is_none() {
            return Err(Error::invalid("password or private_key is needed."));
        }
        if let Some(key) = credential.get("private_key") {
            link::read_key(key, credential.get("passphrase"))?;
        }
        Ok(())
    }

    async fn identify(&self, cx: &Cx) -> Result<Identity> {
        cx.call("identify", Repeat::Yes, || async {
            let link = self.storage.link(cx).await?;
            let account = &cx.account;
            let (user, host) =
                (account.required_setting("username")?, account.required_setting("host")?);
            let port = account.setting("port").unwrap_or("22");
            let place = match account.setting("root") {
                Some(_) => link.base().to_owned(),
                None => String::new(),
            };
            let name = if port == "22" {
                format!("{user}@{host}")
            } else {
                format!("{user}@{host}:{port}")
            };
            Ok(Identity { id: format!("{user}@{host}:{port}{place}"), display: name })
        })
        .await
    }

    async fn settle(&self, cx: &Cx) -> Result<Settings> {
        let link = self.storage.link(cx).await?;
        let mut found = Settings::new();
        found.insert("host_key".into(), link.host_key().to_owned());
        Ok(found)
    }

    fn storage(&self) -> Option<Arc<dyn Storage>> {
        Some(self.storage.clone())
    }
}
