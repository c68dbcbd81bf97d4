//! Webhooks: one address for the whole app, set in the App Console; each message names users, and is signed
//! with the app's secret.
//!
//! "Webhooks" (<https://www.dropbox.com/developers/reference/webhooks>).

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderName, StatusCode};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use sha2::Sha256;
use std::collections::{BTreeMap, BTreeSet};
use tramontane_connector::error::Kind;
use tramontane_connector::push::{Inbound, Nudge, Push, PushKeys, Reach, Received, Reply};
use tramontane_connector::{Error, Result};

use super::storage::DropboxStorage;

const SIGNATURE: HeaderName = HeaderName::from_static("x-dropbox-signature");
/// The longest challenge that is given back, in bytes.
const MAX_CHALLENGE: usize = 1_024;
/// The longest id of a user that is taken for one, in bytes.
const MAX_USER: usize = 200;

/// What a message says: whose files changed. Users are named as `account_id`, which is what
/// [`tramontane_connector::Identity::id`] of a user's account is; members of a team, to apps that are linked to a
/// whole team, by `team_member_id` below the team's id.
#[derive(Default, Deserialize)]
struct Message {
    #[serde(default)]
    list_folder: Users,
}

#[derive(Default, Deserialize)]
struct Users {
    #[serde(default)]
    accounts: Vec<String>,
    #[serde(default)]
    teams: BTreeMap<String, Vec<String>>,
}

/// Whether one of the secrets made this signature of the body: HMAC-SHA256, in hex.
fn is_signed(body: &[u8], signature: &[u8], keys: &PushKeys) -> bool {
    keys.signing.iter().any(|key| {
        let mac = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes());
        mac.is_ok_and(|mut mac| {
            mac.update(body);
            mac.verify_slice(signature).is_ok()
        })
    })
}

impl Push for DropboxStorage {
    fn reach(&self) -> Reach {
        Reach::Client
    }

    /// The "verification request" is a `GET` whose `challenge` comes back as text within ten seconds. Whoever
    /// answers must forbid browsers to guess the type (`X-Content-Type-Options: nosniff`).
    fn receive(&self, request: &Inbound, keys: &PushKeys) -> Result<Received> {
        let Some(signature) = request.headers.get(SIGNATURE) else {
            let challenge = url::form_urlencoded::parse(request.query.as_bytes())
                .find(|(name, _)| name == "challenge")
                .map(|(_, value)| value.into_owned());
            return match challenge {
                Some(text) if request.body.is_empty() && text.len() <= MAX_CHALLENGE => {
                    Ok(Received::Handshake(Reply {
                        status: StatusCode::OK,
                        media_type: "text/plain; charset=utf-8",
                        body: Bytes::from(text),
                    }))
                }
                _ => Err(Error::new(Kind::Credential, "The push has no signature.")),
            };
        };
        let signature = hex::decode(signature.as_bytes()).unwrap_or_default();
        if !is_signed(&request.body, &signature, keys) {
            return Err(Error::new(Kind::Credential, "The push is not signed by Dropbox."));
        }
        let message: Message = serde_json::from_slice(&request.body)
            .map_err(|cause| Error::invalid("The push cannot be read.").because(cause))?;
        let members = message.list_folder.teams.into_values().flatten();
        let users: BTreeSet<String> =
            message.list_folder.accounts.into_iter().chain(members).collect();
        let users = users.into_iter().filter(|user| !user.is_empty() && user.len() <= MAX_USER);
        Ok(Received::Nudges(users.map(Nudge::User).collect()))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::Arc;

    use tramontane_connector::Bases;
    use tramontane_model::Timestamp;

    use super::super::api::Hosts;
    use super::*;

    fn receive(
        query: &str,
        signature: Option<&str>,
        body: &str,
        keys: &[&str],
    ) -> Result<Received> {
        let storage = DropboxStorage::new(Arc::new(Hosts::of(&Bases::default()).unwrap()));
        let mut headers = http::HeaderMap::new();
        if let Some(signature) = signature {
            headers.insert(SIGNATURE, signature.parse().unwrap());
        }
        let inbound = Inbound {
            query: query.into(),
            headers,
            body: Bytes::from(body.to_owned()),
            now: Timestamp::from_seconds(0),
        };
        let signing = keys.iter().map(|key| (*key).into()).collect();
        storage.receive(&inbound, &PushKeys { token: None, signing })
    }

    /// From `printf BODY | openssl dgst -sha256 -hmac app-secret`.
    const BODY: &str = r#"{"list_folder":{"accounts":["dbid:A","dbid:B","dbid:A"],"teams":{"dbtid:T":["dbmid:M"]}},"delta":{"users":[1]}}"#;
    const SIGNED: &str = "db118cc57302985565440c765edb0a2e880f26bd92b84018502c2e7443d0b75d";

    #[test]
    fn a_signed_message_names_users_and_members_once() {
        let received = receive("", Some(SIGNED), BODY, &["other", "app-secret"]).unwrap();
        let user = |id: &str| Nudge::User(id.to_owned());
        let all = vec![user("dbid:A"), user("dbid:B"), user("dbmid:M")];
        assert_eq!(received, Received::Nudges(all));
    }

    #[test]
    fn what_is_not_signed_with_a_key_of_ours_is_refused() {
        let changed = BODY.replace("dbid:A", "dbid:C");
        let short = SIGNED.get(..62).unwrap();
        for (signature, body, key) in [
            (Some(SIGNED), changed.as_str(), "app-secret"),
            (Some(SIGNED), BODY, "another-secret"),
            (Some(short), BODY, "app-secret"),
            (Some(""), BODY, "app-secret"),
            (Some("zz"), BODY, "app-secret"),
            (None, BODY, "app-secret"),
        ] {
            let refused = receive("", signature, body, &[key]).unwrap_err();
            assert_eq!(refused.kind, Kind::Credential, "{signature:?} {body}");
        }
        assert_eq!(receive("", Some(SIGNED), BODY, &[]).unwrap_err().kind, Kind::Credential);
        let both = receive("challenge=x", None, BODY, &["app-secret"]).unwrap_err();
        assert_eq!(both.kind, Kind::Credential, "a challenge has no body");
    }

    #[test]
    fn a_challenge_comes_back_as_text() {
        let Received::Handshake(reply) = receive("a=b&challenge=x%3Cy+z", None, "", &[]).unwrap()
        else {
            unreachable!("a challenge is a handshake")
        };
        assert_eq!((reply.status, &*reply.body), (StatusCode::OK, b"x<y z".as_slice()));
        assert!(reply.media_type.starts_with("text/plain"));
        let long = format!("challenge={}", "x".repeat(MAX_CHALLENGE + 1));
        assert!(receive(&long, None, "", &[]).is_err());
    }

    #[test]
    fn signed_nonsense_is_invalid() {
        // From `printf '[]x' | openssl dgst -sha256 -hmac app-secret`.
        let refused = receive(
            "",
            Some("8c095b40cecf7c3d7cdd859ddf307365278019e27c13cc87866e38ee0d63ac57"),
            "[]x",
            &["app-secret"],
        )
        .unwrap_err();
        assert_eq!(refused.kind, Kind::Invalid);
    }
}
