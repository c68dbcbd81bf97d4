//! Channels: Drive posts to an address when a log has something new.
//!
//! "Notifications for resource changes" (<https://developers.google.com/workspace/drive/api/guides/push>):
//! a channel for changes lives a week at most and is not prolonged but replaced; a message has no body and no
//! signature, so that only the channel's token shows that it is Google's.

use async_trait::async_trait;
use http::{HeaderName, Method};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::json;
use tramontane_connector::changes::Collection;
use tramontane_connector::error::Kind;
use tramontane_connector::push::{
    Channel, Inbound, Nudge, Push, PushKeys, PushTarget, Reach, Received,
};
use tramontane_connector::{Cx, Error, Result};
use tramontane_model::Timestamp;

use super::api::with_json;
use super::changes::{drive_of, log_query};
use super::storage::DriveStorage;

/// The longest life of a channel for changes, in seconds.
const LONGEST: u64 = 604_800;
const TOKEN: HeaderName = HeaderName::from_static("x-goog-channel-token");
const STATE: HeaderName = HeaderName::from_static("x-goog-resource-state");

/// A channel as it was granted.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Granted {
    id: String,
    resource_id: String,
    /// Milliseconds, as text.
    expiration: Option<String>,
}

#[async_trait]
impl Push for DriveStorage {
    fn reach(&self) -> Reach {
        Reach::Channel
    }

    /// `changes.watch`. The greeting (`sync`) may come before the answer.
    async fn subscribe(
        &self,
        cx: &Cx,
        of: &Collection,
        cursor: &str,
        to: &PushTarget,
    ) -> Result<Channel> {
        let client = self.client(cx);
        let life = i64::try_from(to.life.as_secs().min(LONGEST)).unwrap_or_default();
        let until = cx.now().plus_seconds(life).micros().div_euclid(1_000);
        let body = json!({
            "id": to.channel, "type": "web_hook", "address": to.url.as_str(),
            "token": to.token.expose_secret(), "expiration": until.to_string(),
        });
        let query = log_query(drive_of(of)?, Some(cursor));
        let url = client.url(&["changes", "watch"], &query)?;
        let granted: Granted =
            client.json(with_json("changes_watch", Method::POST, url, &body)).await?;
        let expires = granted.expiration.and_then(|text| text.parse().ok());
        Ok(Channel {
            id: to.channel.clone(),
            native: granted.id,
            resource: Some(granted.resource_id),
            expires: expires.map(Timestamp::from_millis),
        })
    }

    /// `channels.stop`.
    async fn stop(&self, cx: &Cx, channel: &Channel) -> Result<()> {
        let client = self.client(cx);
        let body = json!({"id": channel.native, "resourceId": channel.resource});
        let url = client.url(&["channels", "stop"], &[])?;
        match client.send(with_json("channels_stop", Method::POST, url, &body)).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn receive(&self, request: &Inbound, keys: &PushKeys) -> Result<Received> {
        let shown = request.headers.get(TOKEN).map(|value| value.as_bytes()).unwrap_or_default();
        let is_ours = keys.token.as_ref().is_some_and(|known| known.is_of(shown));
        if !is_ours {
            return Err(Error::new(
                Kind::Credential,
                "The push does not show the channel's token.",
            ));
        }
        match request.headers.get(STATE).map(|value| value.as_bytes()) {
            // The greeting: the channel is there.
            Some(b"sync") => Ok(Received::Nudges(Vec::new())),
            Some(_) => Ok(Received::Nudges(vec![Nudge::Channel])),
            None => Err(Error::invalid("The push does not say what it is about.")),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::Arc;
    use tramontane_connector::push::TokenHash;

    use tramontane_connector::Bases;

    use super::super::api::Api;
    use super::*;

    /// Header names and values as the guide shows them.
    fn receive(headers: &[(&str, &str)], token: Option<&str>) -> Result<Received> {
        let storage = DriveStorage::new(Arc::new(Api::new(&Bases::default()).unwrap()));
        let headers = headers.iter().map(|(name, value)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap())
        });
        let request = Inbound {
            query: String::new(),
            headers: headers.collect(),
            body: bytes::Bytes::new(),
            now: Timestamp::from_seconds(0),
        };
        let keys = PushKeys {
            token: token.map(TokenHash::of),
            signing: vec!["398348u3tu83ut8uu38".into()],
        };
        storage.receive(&request, &keys)
    }

    const SHOWN: (&str, &str) = ("X-Goog-Channel-Token", "398348u3tu83ut8uu38");

    #[test]
    fn a_message_with_the_token_is_a_nudge_and_a_greeting_is_none() {
        let known = Some(SHOWN.1);
        let state =
            |word| [SHOWN, ("X-Goog-Resource-State", word), ("X-Goog-Message-Number", "10")];
        let nudges = |all: Vec<Nudge>| Received::Nudges(all);
        assert_eq!(receive(&state("change"), known).unwrap(), nudges(vec![Nudge::Channel]));
        assert_eq!(receive(&state("sync"), known).unwrap(), nudges(vec![]));
        assert_eq!(receive(&[SHOWN], known).unwrap_err().kind, Kind::Invalid);
    }

    #[test]
    fn a_message_without_the_channels_token_is_refused() {
        let state = ("X-Goog-Resource-State", "change");
        for (headers, token) in [
            (vec![state], Some(SHOWN.1)),
            (vec![state, ("X-Goog-Channel-Token", "")], Some(SHOWN.1)),
            (vec![state, ("X-Goog-Channel-Token", "398348u3tu83ut8uu3")], Some(SHOWN.1)),
            (vec![state, ("X-Goog-Channel-Token", "398348u3tu83ut8uu39")], Some(SHOWN.1)),
            (vec![state, SHOWN], None),
            (vec![state, ("X-Goog-Channel-Token", "")], Some("")),
            (vec![state], Some("")),
        ] {
            let refused = receive(&headers, token).unwrap_err();
            assert_eq!(refused.kind, Kind::Credential, "{headers:?} {token:?}");
        }
    }
}
