//! Pushes, against the sandbox: asked for, arriving at a small receiver, read, forged, prolonged, ended.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Method, StatusCode, Uri};
use secrecy::SecretString;
use serde_json::json;
use tramontane_connector::changes::Changes;
use tramontane_connector::push::{
    Channel, Inbound, Nudge, Push, PushKeys, PushTarget, Reach, Received, TokenHash,
};
use tramontane_connector::{Kind, Result};
use tramontane_model::{Clock as _, SystemClock};
use tramontane_sandbox::{CLIENT_SECRET, Post};
use url::Url;

use crate::feeds::Watched;

/// What arrived, and what was made of it.
type Arrived = (Inbound, Result<Received>);

/// An address that pushes go to.
#[derive(Clone)]
struct Receiver {
    changes: Arc<dyn Changes>,
    token: Option<&'static str>,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

fn keys(token: Option<&str>, signing: &[&str]) -> PushKeys {
    let signing = signing.iter().map(|key| SecretString::from(*key)).collect();
    PushKeys { token: token.map(TokenHash::of), signing }
}

async fn arrive(
    State(receiver): State<Receiver>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let query = uri.query().unwrap_or_default().to_owned();
    let inbound = Inbound { query, headers, body, now: SystemClock.now() };
    let push = receiver.changes.push().unwrap();
    let received = push.receive(&inbound, &keys(receiver.token, &["older", CLIENT_SECRET]));
    let answer = match &received {
        Ok(Received::Handshake(reply)) => {
            let answer = Response::builder().status(reply.status);
            let answer = answer.header(http::header::CONTENT_TYPE, reply.media_type);
            answer.body(Body::from(reply.body.clone()))
        }
        Ok(Received::Nudges(_)) => Response::builder().status(StatusCode::OK).body(Body::empty()),
        Err(_) => Response::builder().status(StatusCode::FORBIDDEN).body(Body::empty()),
    };
    receiver.arrived.lock().unwrap().push((inbound, received));
    answer.unwrap()
}

impl Receiver {
    /// Listens on a free port of this machine.
    async fn listen(changes: Arc<dyn Changes>, token: Option<&'static str>) -> (Self, Url) {
        let receiver = Self { changes, token, arrived: Arc::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new().fallback(arrive).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (receiver, Url::parse(&format!("http://{address}/pushes/a-channel")).unwrap())
    }

    /// The nudges so far.
    fn nudges(&self) -> Vec<Nudge> {
        let arrived = self.arrived.lock().unwrap();
        let nudges = arrived.iter().filter_map(|(_, received)| match received {
            Ok(Received::Nudges(nudges)) => Some(nudges.clone()),
            _ => None,
        });
        nudges.flatten().collect()
    }

    /// Waits until so many nudges have arrived, and gives them.
    async fn until(&self, count: usize) -> Vec<Nudge> {
        for _ in 0..1_200 {
            let nudges = self.nudges();
            if nudges.len() >= count {
                return nudges;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{count} nudges did not arrive: {:?}", self.arrived.lock().unwrap());
    }

    /// The last request that was a nudge.
    fn last(&self) -> Inbound {
        let arrived = self.arrived.lock().unwrap();
        let nudge = arrived.iter().rev().find(
            |(_, received)| matches!(received, Ok(Received::Nudges(nudges)) if !nudges.is_empty()),
        );
        nudge.unwrap().0.clone()
    }
}

fn target(url: Url, channel: &str, token: &'static str) -> PushTarget {
    let life = Duration::from_secs(90 * 86_400);
    PushTarget { url, channel: channel.into(), token: token.into(), life }
}

async fn subscribe(of: &Watched, to: &PushTarget) -> Channel {
    let cursor = of.latest().await;
    let push = of.changes.push().unwrap();
    assert_eq!(push.reach(), Reach::Channel);
    let channel = push.subscribe(&of.cx, &of.of, &cursor, to).await.unwrap();
    assert_eq!(channel.id, to.channel);
    channel
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_tells_of_changes_until_it_is_stopped() {
    for service in ["gdrive", "onedrive", "onedrivebiz", "sharepoint"] {
        let ana = Watched::ana(service).await;
        let (receiver, url) = Receiver::listen(Arc::clone(&ana.changes), Some("first-token")).await;
        let first = subscribe(&ana, &target(url, "first", "first-token")).await;
        let days = (first.expires.unwrap().seconds() - ana.cx.now().seconds()) / 86_400;
        let granted = if service == "gdrive" { 6..=7 } else { 28..=30 };
        assert!(granted.contains(&days), "{service} grants {days} days");
        ana.put(&ana.of.root, "a.txt").await;
        let nudges = receiver.until(1).await;
        assert!(nudges.iter().all(|nudge| *nudge == Nudge::Channel), "{service}: {nudges:?}");
        // Nothing but what shows the channel's token is taken for a push.
        let push = ana.changes.push().unwrap();
        let real = receiver.last();
        for token in [Some("second-token"), Some("first-toke"), Some(""), None] {
            let refused = push.receive(&real, &keys(token, &["first-token"])).unwrap_err();
            assert_eq!(refused.kind, Kind::Credential, "{service}: {token:?}");
        }
        let bare = Inbound { headers: HeaderMap::new(), body: Bytes::new(), ..real };
        assert!(push.receive(&bare, &keys(Some("first-token"), &[])).is_err(), "{service}");

        // The next channel begins before the first one ends.
        let (other, url) = Receiver::listen(Arc::clone(&ana.changes), Some("second-token")).await;
        let second = subscribe(&ana, &target(url, "second", "second-token")).await;
        push.stop(&ana.cx, &first).await.unwrap();
        push.stop(&ana.cx, &first).await.unwrap();
        let before = receiver.nudges().len();
        ana.put(&ana.of.root, "b.txt").await;
        other.until(1).await;
        assert_eq!(receiver.nudges().len(), before, "{service}: a stopped channel tells");

        // One is prolonged, the other kind is replaced.
        let renewed = push.renew(&ana.cx, &second, Duration::from_secs(3_600)).await.unwrap();
        match service {
            "gdrive" => assert_eq!(renewed, None),
            _ => {
                let renewed = renewed.unwrap();
                assert_eq!((&renewed.id, &renewed.native), (&second.id, &second.native));
                assert!(renewed.expires < second.expires, "the expiry that was granted counts");
                let gone = push.renew(&ana.cx, &first, Duration::from_secs(3_600)).await.unwrap();
                assert_eq!(gone, None, "{service}: what is gone is not prolonged");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_and_doubled_pushes_are_only_pushes() {
    let ana = Watched::ana("gdrive").await;
    let (receiver, url) = Receiver::listen(Arc::clone(&ana.changes), Some("token")).await;
    subscribe(&ana, &target(url, "channel", "token")).await;
    let pushes = ana.running.sandbox.pushes();
    pushes.set_post(Post { lose: 1, double: 1 });
    ana.put(&ana.of.root, "lost.txt").await;
    ana.put(&ana.of.root, "doubled.txt").await;
    assert_eq!(receiver.until(2).await, [Nudge::Channel, Nudge::Channel]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_says_when_it_wants_attention() {
    let ana = Watched::ana("onedrivebiz").await;
    let (receiver, url) = Receiver::listen(Arc::clone(&ana.changes), Some("token")).await;
    let channel = subscribe(&ana, &target(url, "channel", "token")).await;
    let mut expected = Vec::new();
    for (event, nudges) in [
        ("reauthorizationRequired", vec![Nudge::Repair]),
        ("missed", vec![Nudge::Channel]),
        ("subscriptionRemoved", vec![Nudge::Channel, Nudge::Repair]),
    ] {
        ana.ask(Method::POST, "_sandbox/lifecycle", json!({"event": event})).await;
        expected.extend(nudges);
        assert_eq!(receiver.until(expected.len()).await, expected, "{event}");
    }
    let push = ana.changes.push().unwrap();
    let gone = push.renew(&ana.cx, &channel, Duration::from_secs(3_600)).await.unwrap();
    assert_eq!(gone, None, "what was removed is made anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_does_not_answer_gets_no_subscription() {
    let ana = Watched::ana("onedrive").await;
    // A service that knows another handshake answers here.
    let dropbox = Watched::of(&ana.running, "dropbox", "ana").await;
    let (_, url) = Receiver::listen(dropbox.changes, None).await;
    let push = ana.changes.push().unwrap();
    let cursor = ana.latest().await;
    let to = target(url, "channel", "token");
    assert!(push.subscribe(&ana.cx, &ana.of, &cursor, &to).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_of_dropbox_names_the_user_as_connecting_did() {
    let ana = Watched::ana("dropbox").await;
    let push: &dyn Push = ana.changes.push().unwrap();
    assert_eq!(push.reach(), Reach::Client);
    let (receiver, url) = Receiver::listen(Arc::clone(&ana.changes), None).await;
    ana.ask(Method::POST, "_sandbox/webhooks", json!({"url": url.as_str()})).await;
    let shaken = receiver.arrived.lock().unwrap().pop().unwrap().1;
    assert!(matches!(shaken, Ok(Received::Handshake(_))));
    ana.put(&ana.of.root, "a.txt").await;
    let identity = ana.connector.identify(&ana.cx).await.unwrap();
    assert_eq!(receiver.until(1).await, [Nudge::User(identity.id)]);
    // Another body, or another app's secret.
    let real = receiver.last();
    let body = String::from_utf8(real.body.to_vec()).unwrap().replace("dbid:", "dbid:x");
    let forged = Inbound { body: body.into(), ..real.clone() };
    for (request, key) in [(&forged, CLIENT_SECRET), (&real, "another-secret")] {
        let refused = push.receive(request, &keys(None, &[key])).unwrap_err();
        assert_eq!(refused.kind, Kind::Credential);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn box_has_no_pushes_and_waits_instead() {
    let ana = Watched::ana("box").await;
    assert!(ana.changes.push().is_none());
    let facts = ana.changes.facts(&ana.cx.account);
    assert!(facts.waits);
    // What happened before the poll began wakes it as well.
    let cursor = ana.latest().await;
    ana.put(&ana.of.root, "before.txt").await;
    let waited = ana.changes.wait(&ana.cx, &ana.of, &cursor, Duration::from_secs(60)).await;
    assert!(waited.unwrap().changed);
    let quiet = ana.latest().await;
    let waited = ana.changes.wait(&ana.cx, &ana.of, &quiet, Duration::from_millis(10)).await;
    assert!(!waited.unwrap().changed);
}
