//! Who asks for tokens: an application, shown by its client secret, an API key, or not at all (public
//! clients with PKCE).

use std::sync::Arc;

use tramontane_store::applications::Application;
use tramontane_vault::{hash, same};

use super::{Fault, FaultCode};
use crate::access::Access;
use crate::directory::Directory;
use crate::error::Error;

/// Where the hash of an application's client secret is kept among its settings.
const CLIENT_SECRET: &str = "client_secret_hash";
/// The longest secret that is looked at.
const MAX_SECRET_BYTES: usize = 255;

/// What a client shows: every one of it has to be right.
#[derive(Clone, Debug, Default)]
pub struct ClientProof<'a> {
    /// The client id, where it is given; an API key names its application as well.
    pub id: Option<&'a str>,
    /// Client secrets or API keys, from the body and from headers.
    pub secrets: Vec<&'a str>,
}

/// A client that was looked at.
#[derive(Clone, Debug)]
pub struct Client {
    /// The application.
    pub application: Arc<Application>,
    /// What it may give away: an API key may be limited.
    pub access: Access,
    /// Whether it showed a secret. One that did not is a public client.
    pub has_secret: bool,
}

impl Directory {
    /// Finds out which client asks.
    ///
    /// # Errors
    /// `invalid_client` when it is unknown, switched off, or shows a wrong secret;
    /// `invalid_request` without an id.
    pub async fn oauth_client(&self, proof: &ClientProof<'_>) -> Result<Client, Fault> {
        let wrong = |text: &str| Fault::new(FaultCode::InvalidClient, text);
        let mut id = proof.id.map(str::to_owned);
        let mut access: Option<Access> = None;
        for secret in &proof.secrets {
            if secret.is_empty() || secret.len() > MAX_SECRET_BYTES {
                return Err(wrong("The client secret is not one of the application."));
            }
            match self.caller_by_key(secret).await {
                Ok(key) => {
                    let own = id.get_or_insert_with(|| key.application.id.clone());
                    if *own != key.application.id {
                        return Err(wrong("The API key is of another application."));
                    }
                    access = Some((*key.access).clone());
                }
                Err(Error::Refused(_)) => {
                    let id =
                        id.as_deref().ok_or_else(|| Fault::request("client_id is required."))?;
                    let known = self.public_application(id).await?;
                    let stored = known.as_ref().and_then(|row| row.settings.get(CLIENT_SECRET));
                    let stored = stored.and_then(serde_json::Value::as_str).unwrap_or_default();
                    if !same(stored, &hash(secret)) {
                        return Err(wrong("The client is unknown, or its secret is wrong."));
                    }
                    access.get_or_insert_with(Access::everything);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let id = id.ok_or_else(|| Fault::request("client_id is required."))?;
        let application = self.public_application(&id).await?;
        let application =
            application.ok_or_else(|| wrong("The client is unknown, or its secret is wrong."))?;
        let has_secret = access.is_some();
        Ok(Client { application, access: access.unwrap_or_default(), has_secret })
    }
}
