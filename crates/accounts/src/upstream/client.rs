//! OAuth clients at services: an application's own, else the operator's.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tramontane_store::service_keys;

use super::Grants;
use crate::error::{Error, Result};

/// Whose a client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientOwner {
    /// The application's service key with this id.
    ServiceKey(String),
    /// The operator's, from the settings.
    Operator,
}

/// A client that is registered at a service.
#[derive(Clone, Debug)]
pub struct Client {
    /// The client id.
    pub id: String,
    /// The client secret, or a private key in its place (PEM, or JSON as services hand keys out);
    /// `None` for public clients.
    pub secret: Option<SecretString>,
    /// What to ask for in place of what the connector would ask for.
    pub scopes: Option<Vec<String>>,
    /// Whose it is.
    pub owner: ClientOwner,
}

/// The operator's clients, by service and access.
#[derive(Clone, Default)]
pub struct OperatorClients(BTreeMap<(String, bool), Client>);

impl fmt::Debug for OperatorClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl OperatorClients {
    /// Reads `service=client_id:client_secret` pairs. `service.admin=...` is for accounts with
    /// organisation-wide access; a secret that starts with `@` names a file that `read` reads, for
    /// private keys; without a secret the client is a public one.
    ///
    /// # Errors
    /// The service of the pair and the rule that it breaks; never the secret.
    pub fn parse<'a>(
        pairs: impl IntoIterator<Item = &'a str>,
        read: &dyn Fn(&str) -> std::io::Result<String>,
    ) -> std::result::Result<Self, String> {
        let mut clients = BTreeMap::new();
        for pair in pairs {
            let (service, client) = pair
                .split_once('=')
                .map(|(service, client)| (service.trim(), client.trim()))
                .filter(|(service, client)| !service.is_empty() && !client.is_empty())
                .ok_or("each client must be service=client_id:client_secret")?;
            let (id, secret) = match client.split_once(':') {
                Some((id, secret)) => (id, Some(secret).filter(|secret| !secret.is_empty())),
                None => (client, None),
            };
            if id.is_empty() {
                return Err(format!("the client of {service} needs a client id before the colon"));
            }
            let secret = match secret.and_then(|secret| secret.strip_prefix('@')) {
                Some(path) => Some(read(path).map_err(|error| {
                    format!("the secret file {path} of {service} cannot be read ({error})")
                })?),
                None => secret.map(str::to_owned),
            };
            let key = match service.strip_suffix(".admin") {
                Some(service) => (service.to_owned(), true),
                None => (service.to_owned(), false),
            };
            let client = Client {
                id: id.to_owned(),
                secret: secret.map(|secret| SecretString::from(secret.trim().to_owned())),
                scopes: None,
                owner: ClientOwner::Operator,
            };
            if clients.insert(key, client).is_some() {
                return Err(format!("{service} has two clients"));
            }
        }
        Ok(Self(clients))
    }

    /// The services that have a client.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|(service, _)| service.as_str())
    }

    /// Sets the client of a service.
    pub fn set(&mut self, service: &str, admin: bool, id: &str, secret: Option<SecretString>) {
        let client = Client { id: id.into(), secret, scopes: None, owner: ClientOwner::Operator };
        self.0.insert((service.into(), admin), client);
    }

    fn get(&self, service: &str, admin: bool) -> Option<&Client> {
        self.0.get(&(service.to_owned(), admin))
    }
}

impl Grants {
    /// The secrets of the operator's clients of a service: what some services sign their pushes with.
    #[must_use]
    pub fn operator_secrets(&self, service: &str) -> Vec<SecretString> {
        let clients = [false, true].map(|admin| self.operator_clients().get(service, admin));
        clients.into_iter().flatten().filter_map(|client| client.secret.clone()).collect()
    }

    /// The client that an application connects this service with: its own service key, else the
    /// operator's. For organisation-wide access those that were set for it come first, then the
    /// others.
    ///
    /// # Errors
    /// [`Error::NoClient`], which says what to configure.
    pub async fn client(&self, application: &str, service: &str, admin: bool) -> Result<Client> {
        let wanted: &[bool] = if admin { &[true, false] } else { &[false] };
        let keys = service_keys::list(self.directory().db(), application).await?;
        for &admin in wanted {
            if let Some(row) = keys.iter().find(|row| row.service == service && row.admin == admin)
            {
                return self.own_client(row).await;
            }
            if let Some(client) = self.operator_clients().get(service, admin) {
                return Ok(client.clone());
            }
        }
        Err(Error::NoClient { service: service.to_owned() })
    }

    /// Whether [`Grants::client`] would give one: for pages that list what can be connected.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn has_client(&self, application: &str, service: &str, admin: bool) -> Result<bool> {
        match self.client(application, service, admin).await {
            Ok(_) => Ok(true),
            Err(Error::NoClient { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The client that a grant was given to. A grant that does not say is taken to be of
    /// [`Grants::client`].
    pub(super) async fn client_of_grant(
        &self,
        application: &str,
        service: &str,
        admin: bool,
        id: Option<&str>,
    ) -> Result<Client> {
        let Some(id) = id else { return self.client(application, service, admin).await };
        let keys = service_keys::list(self.directory().db(), application).await?;
        let fits = |row: &&service_keys::ServiceKey| row.service == service && row.client_id == id;
        if let Some(row) = keys.iter().find(fits) {
            return self.own_client(row).await;
        }
        let operators = [admin, !admin].into_iter();
        let mut operators =
            operators.filter_map(|admin| self.operator_clients().get(service, admin));
        match operators.find(|client| client.id == id) {
            Some(client) => Ok(client.clone()),
            None => Err(Error::ClientGone { service: service.to_owned(), client: id.to_owned() }),
        }
    }

    async fn own_client(&self, row: &service_keys::ServiceKey) -> Result<Client> {
        let scopes = match &row.scopes {
            Some(Value::Array(scopes)) => {
                Some(scopes.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            }
            _ => None,
        };
        Ok(Client {
            id: row.client_id.clone(),
            secret: self.directory().client_secret(row).await?,
            scopes,
            owner: ClientOwner::ServiceKey(row.id.clone()),
        })
    }
}

/// What a client's secret is.
pub(super) enum Proof<'a> {
    /// Nothing: a public client.
    Nothing,
    /// A shared secret.
    Secret(&'a str),
    /// A private key, which signs assertions (RFC 7523).
    Key(&'a str),
}

impl Client {
    pub(super) fn proof(&self) -> Proof<'_> {
        match self.secret.as_ref().map(|secret| secret.expose_secret().trim()) {
            None | Some("") => Proof::Nothing,
            Some(key) if key.starts_with('{') || key.starts_with("-----BEGIN") => Proof::Key(key),
            Some(secret) => Proof::Secret(secret),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn parse(pairs: &[&str]) -> std::result::Result<OperatorClients, String> {
        let read = |path: &str| match path {
            "/key.json" => Ok("{\"private_key\": \"-----BEGIN\"}\n".to_owned()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        };
        OperatorClients::parse(pairs.iter().copied(), &read)
    }

    #[test]
    fn reads_secrets_files_and_public_clients_and_prints_none_of_them() {
        let clients =
            parse(&["gdrive=me:hush:hush", "gdrive.admin=robot:@/key.json", "box = pub"]).unwrap();
        let gdrive = clients.get("gdrive", false).unwrap();
        assert_eq!(gdrive.id, "me");
        assert!(matches!(gdrive.proof(), Proof::Secret("hush:hush")));
        assert!(matches!(clients.get("gdrive", true).unwrap().proof(), Proof::Key(_)));
        assert!(matches!(clients.get("box", false).unwrap().proof(), Proof::Nothing));
        assert!(clients.get("box", true).is_none());
        assert!(!format!("{clients:?} {gdrive:?}").contains("hush"));
    }

    #[test]
    fn refusals_name_the_service_and_no_secret() {
        for (bad, says) in [
            ("hush", "service=client_id"),
            ("gdrive=", "service=client_id"),
            ("gdrive=:hush", "gdrive"),
            ("gdrive=id:@/none", "/none"),
        ] {
            let refused = parse(&[bad]).unwrap_err();
            assert!(refused.contains(says) && !refused.contains("hush"), "{refused}");
        }
        assert!(parse(&["box=a:b", "box=c:d"]).unwrap_err().contains("two clients"));
    }
}
