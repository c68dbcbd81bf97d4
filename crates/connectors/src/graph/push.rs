//! Subscriptions: Graph posts to an address when a drive changed, and when the subscription itself wants
//! attention.
//!
//! "Receive change notifications through webhooks" (<https://learn.microsoft.com/graph/change-notifications-delivery-webhooks>),
//! "subscription resource type", "Reduce missing subscriptions and change notifications"
//! (<https://learn.microsoft.com/graph/change-notifications-lifecycle-events>).

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tramontane_connector::changes::Collection;
use tramontane_connector::push::{
    Channel, Inbound, Nudge, Push, PushKeys, PushTarget, Reach, Received, Reply,
};
use tramontane_connector::{Cx, Error, Kind, Result};
use tramontane_model::Timestamp;

use super::api::{nonsense, text};
use super::id::Id;
use super::names::escaped;
use super::storage::GraphStorage;

/// The longest life of a subscription to a drive is 42,300 minutes; a little less, since clocks differ.
const LONGEST: u64 = (42_300 - 10) * 60;
/// The longest validation token that is given back, in bytes.
const MAX_VALIDATION: usize = 2_048;

/// What arrives: notifications of one or more subscriptions.
#[derive(Deserialize)]
struct Message {
    value: Vec<Notification>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notification {
    client_state: Option<String>,
    lifecycle_event: Option<String>,
}

fn until(cx: &Cx, life: Duration) -> String {
    let seconds = i64::try_from(life.as_secs().min(LONGEST)).unwrap_or_default();
    cx.now().plus_seconds(seconds).to_string()
}

/// The channel that a subscription is.
fn granted(id: &str, subscription: &Value) -> Result<Channel> {
    let expires = text(subscription, "expirationDateTime").and_then(Timestamp::parse);
    Ok(Channel {
        id: id.to_owned(),
        native: text(subscription, "id").ok_or_else(nonsense)?.to_owned(),
        resource: None,
        expires,
    })
}

#[async_trait]
impl Push for GraphStorage {
    fn reach(&self) -> Reach {
        Reach::Channel
    }

    /// `POST /subscriptions`. Graph asks the address for the validation token before it answers. Drives
    /// know the change `updated` alone.
    async fn subscribe(
        &self,
        cx: &Cx,
        of: &Collection,
        _cursor: &str,
        to: &PushTarget,
    ) -> Result<Channel> {
        let client = self.api.at(cx);
        let resource = match client.root_of(of)? {
            Id::DriveRoot(drive) => format!("/drives/{drive}/root"),
            _ => format!("/{}/drive/root", client.whose()?),
        };
        let body = json!({
            "changeType": "updated", "resource": resource,
            "notificationUrl": to.url.as_str(), "lifecycleNotificationUrl": to.url.as_str(),
            "clientState": to.token.expose_secret(), "expirationDateTime": until(cx, to.life),
        });
        let request = client.with("subscribe", Method::POST, "subscriptions", &body)?;
        granted(&to.channel, &client.json(request).await?)
    }

    /// `PATCH /subscriptions/{id}`, which also counts as authorizing it again.
    async fn renew(&self, cx: &Cx, channel: &Channel, life: Duration) -> Result<Option<Channel>> {
        let client = self.api.at(cx);
        let path = format!("subscriptions/{}", escaped(&channel.native));
        let body = json!({"expirationDateTime": until(cx, life)});
        match client.json(client.with("renew", Method::PATCH, &path, &body)?).await {
            Ok(subscription) => granted(&channel.id, &subscription).map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn stop(&self, cx: &Cx, channel: &Channel) -> Result<()> {
        let client = self.api.at(cx);
        let path = format!("subscriptions/{}", escaped(&channel.native));
        match client.send(client.request("unsubscribe", Method::DELETE, &path)?).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The validation token comes back decoded, as text, within ten seconds. Notifications are known by
    /// `clientState`; those that do not show it are not ours.
    fn receive(&self, request: &Inbound, keys: &PushKeys) -> Result<Received> {
        let validation = url::form_urlencoded::parse(request.query.as_bytes())
            .find(|(name, _)| name == "validationToken")
            .map(|(_, value)| value.into_owned());
        if let Some(token) = validation.filter(|_| request.body.is_empty()) {
            if token.len() > MAX_VALIDATION {
                return Err(Error::invalid("The validation token is too long."));
            }
            return Ok(Received::Handshake(Reply {
                status: StatusCode::OK,
                media_type: "text/plain; charset=utf-8",
                body: Bytes::from(token),
            }));
        }
        let refused =
            || Error::new(Kind::Credential, "The push does not show the channel's token.");
        let known = keys.token.as_ref().ok_or_else(refused)?;
        let message: Message = serde_json::from_slice(&request.body)
            .map_err(|cause| Error::invalid("The push cannot be read.").because(cause))?;
        let (mut any, mut look, mut repair) = (false, false, false);
        for one in message.value {
            let state = one.client_state.unwrap_or_default();
            if !known.is_of(state.as_bytes()) {
                continue;
            }
            any = true;
            match one.lifecycle_event.as_deref() {
                None | Some("missed") => look = true,
                Some("reauthorizationRequired") => repair = true,
                // Removed, and whatever may come: what happened since was not told.
                Some(_) => (look, repair) = (true, true),
            }
        }
        if !any {
            return Err(refused());
        }
        let mut nudges = Vec::new();
        nudges.extend(look.then_some(Nudge::Channel));
        nudges.extend(repair.then_some(Nudge::Repair));
        Ok(Received::Nudges(nudges))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::Arc;
    use tramontane_connector::push::TokenHash;

    use tramontane_connector::Bases;

    use super::super::Flavour;
    use super::super::api::Api;
    use super::*;

    fn receive(query: &str, body: &str, token: Option<&str>) -> Result<Received> {
        let base = Bases::default().url("onedrive", "api", "https://graph.microsoft.com/v1.0/");
        let storage = GraphStorage { api: Arc::new(Api::new(Flavour::Personal, base.unwrap())) };
        let request = Inbound {
            query: query.into(),
            headers: http::HeaderMap::new(),
            body: Bytes::from(body.to_owned()),
            now: Timestamp::from_seconds(0),
        };
        storage.receive(&request, &PushKeys { token: token.map(TokenHash::of), signing: vec![] })
    }

    /// A notification in the form that the documentation shows.
    fn told(state: &str, event: Option<&str>) -> Value {
        let mut one = json!({
            "subscriptionId": "7f105c7d-2dc5-4530-97cd-4e7ae6534c07", "clientState": state,
            "subscriptionExpirationDateTime": "2026-01-01T00:00:00Z", "resource": "me/drive/root",
            "tenantId": "84bd8158-6d4d-4958-8b9f-9d6445542f95", "changeType": "updated",
        });
        if let (Some(event), Some(members)) = (event, one.as_object_mut()) {
            members.insert("lifecycleEvent".into(), event.into());
        }
        one
    }

    fn body(all: &[Value]) -> String {
        json!({"value": all}).to_string()
    }

    #[test]
    fn notifications_say_where_to_look_and_what_to_repair() {
        let (look, repair) = (Nudge::Channel, Nudge::Repair);
        for (all, nudges) in [
            (vec![told("s", None), told("s", None)], vec![look.clone()]),
            (vec![told("s", Some("missed"))], vec![look.clone()]),
            (vec![told("s", Some("reauthorizationRequired"))], vec![repair.clone()]),
            (vec![told("s", Some("subscriptionRemoved"))], vec![look.clone(), repair.clone()]),
            (vec![told("other", Some("subscriptionRemoved")), told("s", None)], vec![look]),
        ] {
            let received = receive("", &body(&all), Some("s")).unwrap();
            assert_eq!(received, Received::Nudges(nudges), "{all:?}");
        }
    }

    #[test]
    fn what_does_not_show_the_client_state_is_refused() {
        let mut stateless = told("s", None);
        stateless.as_object_mut().unwrap().remove("clientState");
        for (body, token) in [
            (body(&[told("t", None)]), Some("s")),
            (body(&[told("", None)]), Some("s")),
            (body(&[told("ss", None)]), Some("s")),
            (body(&[stateless.clone()]), Some("s")),
            (body(&[stateless]), Some("")),
            (body(&[]), Some("s")),
            (body(&[told("s", None)]), None),
        ] {
            let refused = receive("", &body, token).unwrap_err();
            assert_eq!(refused.kind, Kind::Credential, "{body} {token:?}");
        }
        assert_eq!(receive("", "<x>", Some("s")).unwrap_err().kind, Kind::Invalid);
        // A token in the address does not make a notification true.
        let refused = receive("validationToken=x", &body(&[told("t", None)]), Some("s"));
        assert_eq!(refused.unwrap_err().kind, Kind::Credential);
    }

    #[test]
    fn a_validation_token_comes_back_decoded_as_text() {
        let query = "validationToken=Validation%3a+Testing%20%3Cb%3E%26";
        let Received::Handshake(reply) = receive(query, "", None).unwrap() else {
            unreachable!("a validation token is a handshake")
        };
        assert_eq!(
            (reply.status, &*reply.body),
            (StatusCode::OK, &b"Validation: Testing <b>&"[..])
        );
        assert!(reply.media_type.starts_with("text/plain"));
    }
}
