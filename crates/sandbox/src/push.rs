//! Messages that services send to their subscribers: signed and shaped by each service, sent from here.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use url::Url;

/// How long a subscriber may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How many messages are kept for looking at.
const MAX_KEPT: usize = 10_000;

/// What happens to messages on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Post {
    /// How many of the next messages are lost.
    pub lose: u32,
    /// How many of the next messages come twice.
    pub double: u32,
}

/// One message that was sent.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// The service.
    pub service: &'static str,
    /// Where it went.
    pub url: Url,
    /// Its body.
    pub body: String,
    /// What came back; `None` when nothing did, or when it was lost on the way.
    pub status: Option<u16>,
}

/// Sends messages. Cheap to clone: all clones are one.
#[derive(Clone, Default)]
pub struct Pushes {
    client: Arc<std::sync::OnceLock<Option<reqwest::Client>>>,
    post: Arc<Mutex<Post>>,
    sent: Arc<Mutex<Vec<Pushed>>>,
}

impl Pushes {
    /// Says what happens to messages on their way.
    pub fn set_post(&self, post: Post) {
        *self.post.lock().unwrap_or_else(PoisonError::into_inner) = post;
    }

    /// What was sent, oldest first.
    #[must_use]
    pub fn sent(&self) -> Vec<Pushed> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends a message in the background, unless it is to be lost.
    pub fn send(&self, service: &'static str, url: Url, headers: HeaderMap, body: String) {
        let copies = {
            let mut post = self.post.lock().unwrap_or_else(PoisonError::into_inner);
            if post.lose > 0 {
                post.lose -= 1;
                0
            } else if post.double > 0 {
                post.double -= 1;
                2
            } else {
                1
            }
        };
        for _ in 0..copies {
            let (pushes, url, headers, body) =
                (self.clone(), url.clone(), headers.clone(), body.clone());
            tokio::spawn(async move {
                let answer = pushes.exchange(&url, http::Method::POST, headers, body.clone()).await;
                pushes.keep(Pushed {
                    service,
                    url,
                    body,
                    status: answer.map(|(status, _)| status.as_u16()),
                });
            });
        }
        if copies == 0 {
            self.keep(Pushed { service, url, body, status: None });
        }
    }

    /// Sends one request and waits for what comes back: for handshakes with a subscriber. `None`
    /// when nothing did.
    pub async fn exchange(
        &self,
        url: &Url,
        method: http::Method,
        headers: HeaderMap,
        body: String,
    ) -> Option<(StatusCode, String)> {
        let client = self.client.get_or_init(|| {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let builder = reqwest::Client::builder().no_proxy().timeout(TIMEOUT);
            builder.redirect(reqwest::redirect::Policy::none()).build().ok()
        });
        let request = client.as_ref()?.request(method, url.clone()).headers(headers).body(body);
        let answer = request.send().await.ok()?;
        let status = answer.status();
        Some((status, answer.text().await.ok()?))
    }

    fn keep(&self, pushed: Pushed) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if sent.len() >= MAX_KEPT {
            sent.remove(0);
        }
        sent.push(pushed);
    }
}
