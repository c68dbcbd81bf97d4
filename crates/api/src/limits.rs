//! The limits of the API: how large, how many, how long.

use std::time::Duration;

/// What an operator can set; the defaults are documented here.
#[derive(Clone, Debug)]
pub struct ApiLimits {
    /// The largest JSON body, in bytes. 1 MiB.
    pub json_body: usize,
    /// The largest JSON body of a batch, in bytes. 10 MiB.
    pub batch_body: usize,
    /// The largest upload, in bytes. `None` (the default) leaves it to the service.
    pub upload_body: Option<u64>,
    /// The longest request line with its headers, in bytes. 64 KiB, so that a request line of 32 KiB
    /// fits beside the headers.
    pub head: usize,
    /// Requests under way at once; more are answered 429. 4,096.
    pub concurrency: usize,
    /// Connections open at once; more wait. 8,192.
    pub connections: usize,
    /// How long the head of a request may take. 30 seconds.
    pub head_time: Duration,
    /// How long a body may pause before it counts as broken off. 60 seconds.
    pub body_pause: Duration,
    /// How long calls to a service may take before the answer begins, retries included. 30 seconds.
    pub deadline: Duration,
    /// How long requests that are under way may go on after the server was told to stop. 30 seconds.
    pub drain: Duration,
    /// Event streams of one application that are open at once, requests that wait for events included;
    /// more are answered 429. They do not count as requests under way. 100.
    pub streams: usize,
    /// How long a reader of an event stream may take nothing while there is something for it. 30 seconds.
    pub stream_stall: Duration,
    /// How often an event stream without events gets a comment, and how soon a revoked credential ends
    /// it. 15 seconds.
    pub stream_beat: Duration,
    /// Whether webhooks may have plain http URLs. False.
    pub insecure_webhooks: bool,
    /// Requests of one application in a window. `None` (the default) is no limit.
    pub application_rate: Option<Rate>,
    /// Requests for one account in a window. `None` (the default) is no limit.
    pub account_rate: Option<Rate>,
}

/// So many requests in a window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests.
    pub requests: u64,
    /// The window.
    pub window: Duration,
}

impl Default for ApiLimits {
    fn default() -> Self {
        Self {
            json_body: 1 << 20,
            batch_body: 10 << 20,
            upload_body: None,
            head: 64 << 10,
            concurrency: 4_096,
            connections: 8_192,
            head_time: Duration::from_secs(30),
            body_pause: Duration::from_secs(60),
            deadline: Duration::from_secs(30),
            drain: Duration::from_secs(30),
            streams: 100,
            stream_stall: Duration::from_secs(30),
            stream_beat: Duration::from_secs(15),
            insecure_webhooks: false,
            application_rate: None,
            account_rate: None,
        }
    }
}
