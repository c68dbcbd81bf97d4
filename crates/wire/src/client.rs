//! The wire itself: one request from its connector to the service and back.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderName, Method, StatusCode, header};
use moka::sync::Cache;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tracing::Instrument as _;
use tramontane_connector::error::Kind;
use tramontane_connector::http::{Payload, Request, Response};
use tramontane_connector::{
    Cx, Error, Lent, Permit, Registry, Repeat, Result, Retry, Sign, Tokens,
};
use tramontane_model::Clock;
use url::Url;

use crate::answer::{passing_refusal, peek, receive};
use crate::bearer::{AsStored, Bearer};
use crate::budget;
use crate::fault::fault;
use crate::guard::Guard;
use crate::outgoing::{Outgoing, Watch};
use crate::pace::{Gate, Place};
use crate::resolve::{GuardedResolver, Lookup};
use crate::retry::wait_before_next;

/// The most redirects that one request follows.
const MAX_REDIRECTS: usize = 5;
/// How long a TCP connection may take to open.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// The most connections to one host that are kept open for the next request: as many as a busy receiver of several
/// webhooks uses at once, so that they are not opened again and again.
const IDLE_PER_HOST: usize = 256;
/// How long gates and signers of an account that nobody uses are kept.
const KEPT_IDLE: Duration = Duration::from_secs(600);

/// Chooses the cryptography that the whole process speaks TLS with. Safe to call twice.
pub fn install_tls() {
    // Whoever came first chose the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// How the wire is set up.
#[derive(Clone, Debug)]
pub struct WireConfig {
    /// Which addresses may be called.
    pub guard: Guard,
    /// Without a byte for so long, a body is given up.
    pub idle: Duration,
    /// How long a service may take to answer once an upload is complete.
    pub answer: Duration,
    /// Calls at once to one account, in place of what its connector says.
    pub account_concurrency: Option<usize>,
    /// PEM certificates trusted beside the built-in ones.
    pub extra_ca: Option<Vec<u8>>,
}

impl Default for WireConfig {
    fn default() -> Self {
        Self {
            guard: Guard::default(),
            idle: Duration::from_secs(60),
            answer: Duration::from_secs(300),
            account_concurrency: None,
            extra_ca: None,
        }
    }
}

type Signer = Option<Arc<dyn Sign>>;

/// The only way out. Cheap to share, holds pooled connections.
pub struct Wire {
    http: reqwest::Client,
    resolver: GuardedResolver,
    guard: Arc<Guard>,
    config: WireConfig,
    registry: Registry,
    clock: Arc<dyn Clock>,
    accounts: Cache<(i64, i64), Arc<Gate>>,
    services: Cache<Arc<str>, Arc<Gate>>,
    signers: Cache<(i64, i64), Signer>,
    tokens: OnceLock<Arc<dyn Tokens>>,
}

impl Wire {
    /// A wire for these connectors.
    ///
    /// # Errors
    /// Certificates that cannot be read.
    pub fn new(
        config: WireConfig,
        registry: Registry,
        clock: Arc<dyn Clock>,
        lookup: Arc<dyn Lookup>,
    ) -> std::result::Result<Self, String> {
        install_tls();
        let guard = Arc::new(config.guard.clone());
        let resolver = GuardedResolver::new(Arc::clone(&guard), lookup);
        let mut builder = reqwest::Client::builder()
            .dns_resolver(Arc::new(resolver.clone()))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_TIME)
            .pool_idle_timeout(Duration::from_secs(60))
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .user_agent(concat!("tramontane/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = &config.extra_ca {
            let extra = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|error| format!("the extra certificates cannot be read: {error}"))?;
            builder = builder.tls_certs_merge(extra);
        }
        let http =
            builder.build().map_err(|error| format!("the HTTP client cannot be made: {error}"))?;
        Ok(Self {
            http,
            resolver,
            guard,
            config,
            registry,
            clock,
            accounts: Cache::builder().max_capacity(200_000).time_to_idle(KEPT_IDLE).build(),
            services: Cache::builder().max_capacity(1_000).build(),
            signers: Cache::builder().max_capacity(200_000).time_to_idle(KEPT_IDLE).build(),
            tokens: OnceLock::new(),
        })
    }

    /// Says where live access tokens come from; the first word counts. Without it, accounts behind
    /// OAuth are signed with the token that they carry.
    pub fn set_tokens(&self, tokens: Arc<dyn Tokens>) {
        let _ = self.tokens.set(tokens);
    }

    /// Gets a URL that a caller named: unsigned, guarded, at most five redirects. Gives the answer
    /// whatever its status.
    ///
    /// # Errors
    /// `Guarded`, `Invalid`, `Unavailable`, `Timeout`, `Broken`.
    pub async fn fetch(&self, url: Url, within: Duration) -> Result<Response> {
        self.unsigned(Request::new("fetch", Method::GET, url), within).await
    }

    /// Sends a request to a URL that a caller named (a webhook endpoint, say): unsigned, guarded,
    /// not repeated. Redirects are followed for `GET` only.
    ///
    /// # Errors
    /// As [`Wire::fetch`].
    pub async fn unsigned(&self, mut request: Request, within: Duration) -> Result<Response> {
        request.signed = false;
        let deadline = Instant::now() + within;
        let mut outgoing = Outgoing::of(std::mem::replace(
            &mut request.payload,
            Payload::Bytes(bytes::Bytes::new()),
        ));
        self.follow(&mut request, &mut outgoing, None, deadline).await
    }

    fn account_gate(&self, cx: &Cx) -> Arc<Gate> {
        self.accounts.get_with((cx.account.id.number(), cx.account.revision), || {
            let limits = self.limits(cx);
            let places = self.config.account_concurrency.unwrap_or(limits.0);
            Arc::new(Gate::new(places, limits.2))
        })
    }

    fn service_gate(&self, cx: &Cx) -> Arc<Gate> {
        if let Some(gate) = self.services.get(&cx.account.service) {
            return gate;
        }
        let places = self.limits(cx).1;
        self.services
            .get_with(Arc::clone(&cx.account.service), || Arc::new(Gate::new(places, None)))
    }

    /// Places per account and per service, and calls per second per account.
    fn limits(&self, cx: &Cx) -> (usize, usize, Option<f64>) {
        let storage =
            self.registry.get(&cx.account.service).and_then(|connector| connector.storage());
        match storage.map(|storage| storage.abilities(&cx.account).limits) {
            Some(limits) => {
                (limits.account_concurrency, limits.service_concurrency, limits.account_rate)
            }
            None => (8, 256, None),
        }
    }

    fn signer(&self, cx: &Cx) -> Result<Signer> {
        let connector = self.registry.get(&cx.account.service);
        if connector.is_some_and(|connector| connector.oauth().is_some()) {
            let tokens = self.tokens.get().cloned().unwrap_or_else(|| Arc::new(AsStored));
            let account = Arc::clone(&cx.account);
            return Ok(Some(Arc::new(Bearer::new(tokens, account, cx.as_user.clone()))));
        }
        let key = (cx.account.id.number(), cx.account.revision);
        if let Some(signer) = self.signers.get(&key) {
            return Ok(signer);
        }
        let connector =
            connector.ok_or_else(|| Error::internal("The account's service has no connector."))?;
        let signer = connector.signer(&cx.account)?;
        self.signers.insert(key, signer.clone());
        Ok(signer)
    }

    fn may_sign(&self, cx: &Cx, url: &Url) -> bool {
        let connector = self.registry.get(&cx.account.service);
        connector.is_some_and(|connector| connector.may_sign(&cx.account, url))
    }

    /// One attempt with its redirects.
    async fn follow(
        &self,
        request: &mut Request,
        outgoing: &mut Outgoing,
        account: Option<(&Cx, &Signer)>,
        deadline: Instant,
    ) -> Result<Response> {
        let mut redirects = 0;
        let mut challenged = false;
        loop {
            self.guard.check_url(&request.url)?;
            let plain = request.headers.clone();
            if request.signed
                && let Some((cx, Some(signer))) = account
            {
                // Signing may have to wait for a token.
                let signed = signer.sign(request, cx.now());
                tokio::time::timeout_at(deadline, signed).await.map_err(|_| {
                    let text = "The service did not renew the account's token in time.";
                    Error::new(Kind::Timeout, text)
                })??;
            }
            let answer = self.exchange(request, outgoing, deadline).await;
            request.headers = plain;
            let mut answer = answer?;
            if answer.status == StatusCode::UNAUTHORIZED
                || answer.status == StatusCode::FORBIDDEN
                || answer.status == StatusCode::BAD_REQUEST
            {
                let again = match account {
                    Some((_, Some(signer)))
                        if request.signed
                            && !challenged
                            && answer.status == StatusCode::UNAUTHORIZED =>
                    {
                        let said = peek(&mut answer).await;
                        signer.refused(&answer, &said).await
                    }
                    Some((_, Some(signer))) if request.signed && !challenged => {
                        signer.challenged(&answer).await
                    }
                    _ => false,
                };
                if again && !outgoing.is_spent() {
                    challenged = true;
                    continue;
                }
            }
            let Some(next) = redirect_of(&answer, request.follow) else { return Ok(answer) };
            redirects += 1;
            if redirects > MAX_REDIRECTS || outgoing.is_spent() {
                return Err(Error::new(Kind::Broken, "The service redirects without end."));
            }
            let same_origin = next.origin() == request.url.origin();
            if !same_origin {
                let may = account.is_some_and(|(cx, _)| self.may_sign(cx, &next));
                request.signed = request.signed && may;
                for secret in [header::AUTHORIZATION, header::COOKIE] {
                    request.headers.remove(secret);
                }
            }
            if answer.status == StatusCode::SEE_OTHER {
                request.method = Method::GET;
                *outgoing = Outgoing::Bytes(bytes::Bytes::new());
            }
            request.url = next;
        }
    }

    /// One exchange: request out, head of the answer in.
    async fn exchange(
        &self,
        request: &Request,
        outgoing: &mut Outgoing,
        deadline: Instant,
    ) -> Result<Response> {
        let mut builder = self
            .http
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone());
        let watch = Watch::default();
        let streamed = match std::mem::replace(outgoing, Outgoing::Spent) {
            Outgoing::Bytes(bytes) => {
                let says_length = !bytes.is_empty()
                    || matches!(request.method.as_str(), "PUT" | "POST" | "PATCH");
                if says_length {
                    builder =
                        builder.header(header::CONTENT_LENGTH, bytes.len()).body(bytes.clone());
                }
                *outgoing = Outgoing::Bytes(bytes);
                false
            }
            Outgoing::Stream(body) => {
                if let Some(len) = body.len() {
                    builder = builder.header(header::CONTENT_LENGTH, len);
                }
                builder = builder.body(watch.body(body));
                true
            }
            Outgoing::Spent => return Err(Error::internal("A stream cannot be sent twice.")),
        };
        let sent = builder.send();
        let sent = if streamed {
            tokio::select! {
                sent = sent => sent,
                stalled = watch.stalled(self.config.idle, self.config.answer) => return Err(stalled),
            }
        } else {
            match tokio::time::timeout_at(deadline, sent).await {
                Ok(sent) => sent,
                Err(_) => {
                    let host = request.url.host_str().unwrap_or("The service");
                    return Err(Error::new(
                        Kind::Timeout,
                        format!("{host} did not answer in time."),
                    ));
                }
            }
        };
        match sent {
            Ok(answer) => {
                // An upload that broke off is the caller's failure, whatever the service made of it.
                if let Some(failure) = watch.failure() {
                    return Err(failure);
                }
                Ok(receive(answer, &request.method, request.url.clone(), self.config.idle))
            }
            Err(error) => {
                if let Some(failure) = watch.failure() {
                    return Err(failure);
                }
                let mut error = fault(error, &request.url);
                if streamed && watch.begun() {
                    error.retry = Retry::Never;
                }
                Err(error)
            }
        }
    }

    fn count(&self, cx: &Cx, name: &'static str, outcome: &str, took: Duration) {
        let service = cx.account.service.to_string();
        metrics::counter!("tramontane_upstream_requests_total",
            "service" => service.clone(), "call" => name, "outcome" => outcome.to_owned())
        .increment(1);
        metrics::histogram!("tramontane_upstream_request_seconds", "service" => service, "call" => name)
            .record(took.as_secs_f64());
        tracing::debug!(
            account = cx.account.id.number(), service = %cx.account.service, call = name, outcome,
            took_ms = took.as_secs_f64() * 1e3, "upstream call"
        );
    }
}

/// Where an answer sends the request on to.
fn redirect_of(answer: &Response, follow: bool) -> Option<Url> {
    let moved = matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308);
    if !follow || !moved {
        return None;
    }
    let mut next = answer.url.join(answer.header(&header::LOCATION)?).ok()?;
    next.set_fragment(None);
    Some(next)
}

/// Two places held as one permit.
struct Places(
    #[expect(dead_code, reason = "held for its drop")] Place,
    #[expect(dead_code, reason = "held for its drop")] Place,
);

#[async_trait]
impl Lent for Wire {
    async fn send(&self, cx: &Cx, mut request: Request) -> Result<Response> {
        if request.signed && !self.may_sign(cx, &request.url) {
            let host = request.url.host_str().unwrap_or_default();
            return Err(Error::invalid(format!(
                "The account's credential may not be sent to {host}."
            )));
        }
        let signer = if request.signed { self.signer(cx)? } else { None };
        for (name, value) in cx.extra_headers.iter() {
            request.headers.insert(name.clone(), value.clone());
        }
        if let Some(trace) = &cx.traceparent
            && let Ok(value) = trace.parse()
        {
            request.headers.insert(HeaderName::from_static("traceparent"), value);
        }
        let mut outgoing = Outgoing::of(std::mem::replace(
            &mut request.payload,
            Payload::Bytes(bytes::Bytes::new()),
        ));
        let (name, repeat) = (request.name, request.repeat);
        let mut attempt = 0;
        loop {
            attempt += 1;
            let permit = self.permit(cx, name).await?;
            let begun = Instant::now();
            let first = (request.url.clone(), request.method.clone(), request.signed);
            let span = tracing::info_span!(
                target: "tramontane::trace", "service call", otel.name = name, otel.kind = "client",
                service = %cx.account.service, account = cx.account.id.number(), attempt,
                http.request.method = request.method.as_str(), server.address = request.url.host_str(),
                http.response.status_code = tracing::field::Empty, otel.status_code = tracing::field::Empty,
            );
            let answer = self
                .follow(&mut request, &mut outgoing, Some((cx, &signer)), cx.deadline)
                .instrument(span.clone())
                .await;
            match &answer {
                Ok(answer) => {
                    if let Some(told) = budget::told(&answer.headers, self.clock.now()) {
                        cx.told.note(told);
                    }
                    span.record("http.response.status_code", answer.status.as_u16())
                }
                Err(_) => span.record("otel.status_code", "ERROR"),
            };
            drop((span, permit));
            let (refusal, answer) = match answer {
                Ok(answer) => {
                    self.count(cx, name, answer.status.as_str(), begun.elapsed());
                    match passing_refusal(&answer, self.clock.now()) {
                        Some(refusal) => (refusal, Ok(answer)),
                        None => {
                            let _ = self.after(cx, name, attempt, repeat, Ok(()));
                            return Ok(answer);
                        }
                    }
                }
                Err(error) => {
                    self.count(cx, name, "error", begun.elapsed());
                    (Error::new(error.kind.clone(), "").retry(error.retry), Err(error))
                }
            };
            let wait = self.after(cx, name, attempt, repeat, Err(&refusal));
            match wait {
                Some(wait) if !outgoing.is_spent() => {
                    tokio::time::sleep(wait).await;
                    // An attempt that was redirected starts at the beginning again.
                    (request.url, request.method, request.signed) = first;
                }
                _ => return answer,
            }
        }
    }

    async fn connect(&self, cx: &Cx, host: &str, port: u16) -> Result<TcpStream> {
        self.guard.check_name(host, port)?;
        let addresses = self.resolver.resolve_name(host).await?;
        let within = cx.time_left().min(CONNECT_TIME);
        let mut last = None;
        for address in addresses {
            match tokio::time::timeout(within, TcpStream::connect((address, port))).await {
                Ok(Ok(stream)) => {
                    // Small packets of a conversation shall not wait for each other.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => last = Some(error.to_string()),
                Err(_) => last = Some("it did not answer in time".to_owned()),
            }
        }
        let why = last.unwrap_or_default();
        Err(Error::new(Kind::Unavailable, format!("{host}:{port} cannot be reached: {why}.")))
    }

    async fn permit(&self, cx: &Cx, _name: &'static str) -> Result<Permit> {
        let account = self.account_gate(cx).enter(cx.class, cx.deadline).await?;
        let service = self.service_gate(cx).enter(cx.class, cx.deadline).await?;
        Ok(Permit::holding(Places(account, service)))
    }

    fn after(
        &self,
        cx: &Cx,
        name: &'static str,
        attempt: u32,
        repeat: Repeat,
        outcome: std::result::Result<(), &Error>,
    ) -> Option<Duration> {
        let error = outcome.err()?;
        let jitter = f64::from(rand::random::<u32>()) / f64::from(u32::MAX);
        let wait = wait_before_next(error, attempt, repeat, cx.time_left(), jitter);
        if error.kind == Kind::RateLimited {
            let pause = match error.retry {
                Retry::After(named) => named,
                _ => wait.unwrap_or(Duration::from_secs(1)),
            };
            self.account_gate(cx).refused(pause);
        }
        if wait.is_some() {
            metrics::counter!("tramontane_upstream_retries_total",
                "service" => cx.account.service.to_string(), "call" => name)
            .increment(1);
        }
        wait
    }

    fn observed(&self, cx: &Cx, name: &'static str, fine: bool, took: Duration) {
        self.count(cx, name, if fine { "ok" } else { "error" }, took);
    }

    fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("registry", &self.registry).finish_non_exhaustive()
    }
}
