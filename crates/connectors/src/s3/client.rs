//! One call to S3: signed, sent, its region found on the way, its refusal understood.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use sha2::{Digest, Sha256};
use tramontane_connector::error::Kind;
use tramontane_connector::http::{Request, Response};
use tramontane_connector::{Body, Cx, ETag, Error, Repeat, Result};

use super::answer;
use super::fault::{Said, fault, is_not_implemented};
use super::learned::Learned;
use super::place::Object;
use super::sign::{BUCKET_REGION, PAYLOAD_HASH, UNSIGNED};
use super::target::Target;

/// The most that is read of an error document.
const MAX_ERROR_BYTES: usize = 64 << 10;
/// The most that is read of an answer: a page of 1,000 keys of 1,024 encoded bytes is below 4 MiB.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// The most keys that a page holds.
pub(super) const MAX_KEYS: usize = 1_000;

/// What a call carries.
pub(super) enum Load {
    /// Sent as often as needed.
    Bytes(Bytes),
    /// Sent once.
    Stream(Body),
}

impl Load {
    pub(super) fn none() -> Self {
        Self::Bytes(Bytes::new())
    }
}

/// One call.
pub(super) struct Call<'a> {
    pub(super) name: &'static str,
    pub(super) method: Method,
    pub(super) bucket: Option<&'a str>,
    pub(super) key: &'a str,
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) headers: HeaderMap,
    pub(super) load: Load,
    pub(super) repeat: Option<Repeat>,
}

impl<'a> Call<'a> {
    pub(super) fn new(name: &'static str, method: Method, bucket: &'a str, key: &'a str) -> Self {
        Self {
            name,
            method,
            bucket: Some(bucket),
            key,
            query: &[],
            headers: HeaderMap::new(),
            load: Load::none(),
            repeat: None,
        }
    }

    pub(super) fn object(name: &'static str, method: Method, object: &'a Object) -> Self {
        Self::new(name, method, &object.bucket, &object.key)
    }

    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

/// A condition on what is there now, for a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// None.
    Any,
    /// Nothing is there.
    Absent,
    /// What is there has this etag.
    Matches(ETag),
}

/// What a write made.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    pub(super) etag: Option<ETag>,
    pub(super) version: Option<String>,
}

impl Written {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let facts = answer::facts(headers, false);
        Self { etag: facts.etag, version: facts.version }
    }
}

/// S3, as one account sees it in one call of ours.
#[derive(Clone)]
pub(super) struct Client<'a> {
    pub(super) cx: Cx,
    pub(super) target: Target,
    pub(super) learned: &'a Learned,
}

impl<'a> Client<'a> {
    /// The client of this call.
    ///
    /// # Errors
    /// `Invalid` when the account's settings make no sense.
    pub(super) fn of(cx: &Cx, learned: &'a Learned) -> Result<Self> {
        Ok(Self { cx: cx.clone(), target: Target::of(&cx.account)?, learned })
    }

    /// The same with a deadline of its own, for each step of work of many steps.
    pub(super) fn within(&self, within: std::time::Duration) -> Self {
        Self { cx: self.cx.within(within), ..self.clone() }
    }

    /// The region of a bucket, as far as it is known.
    pub(super) fn region(&self, bucket: Option<&str>) -> String {
        let learned = self.learned.region(&self.target.authority(), bucket.unwrap_or_default());
        learned.unwrap_or_else(|| self.target.region.clone())
    }

    /// Sends a call; once more when the service says that the bucket is in another region. Any
    /// success comes back, anything else is the error that it stands for.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Response> {
        let mut call = call;
        if matches!(call.load, Load::Stream(_)) {
            Box::pin(self.find_region(call.bucket.unwrap_or_default())).await?;
        }
        let mut redirected = false;
        loop {
            let url =
                self.target.url(&self.region(call.bucket), call.bucket, call.key, call.query)?;
            let protected = url.scheme() == "https";
            let mut request = Request::new(call.name, call.method.clone(), url);
            request.headers = call.headers.clone();
            if let Some(repeat) = call.repeat {
                request.repeat = repeat;
            }
            let spare = match call.load {
                Load::Bytes(bytes) => {
                    // Without TLS the signature is all that protects the content.
                    let hash = if protected && bytes.len() > 64 << 10 {
                        UNSIGNED.to_owned()
                    } else {
                        hex::encode(Sha256::digest(&bytes))
                    };
                    request = request.header(PAYLOAD_HASH, hash).bytes(bytes.clone());
                    Some(bytes)
                }
                Load::Stream(body) => {
                    request = request.header(PAYLOAD_HASH, UNSIGNED).stream(body);
                    None
                }
            };
            let answer = self.cx.send(request).await?;
            let bucket = call.bucket.unwrap_or_default();
            let named = answer.header(&BUCKET_REGION).map(str::to_owned);
            if answer.status.is_success() {
                if let Some(region) = named {
                    self.learned.set_region(&self.target.authority(), bucket, &region);
                }
                return Ok(answer);
            }
            let (status, headers) = (answer.status, answer.headers.clone());
            let said = match answer.body.collect(MAX_ERROR_BYTES).await {
                Ok(bytes) => Said::read(&bytes).unwrap_or_default(),
                Err(_) => Said::default(),
            };
            let region = named.or_else(|| said.region.clone());
            let elsewhere = matches!(status.as_u16(), 301 | 307 | 400 | 403);
            if let (true, false, Some(region), Some(bytes)) = (elsewhere, redirected, region, spare)
                && region != self.region(call.bucket)
                && self.learned.set_region(&self.target.authority(), bucket, &region)
            {
                redirected = true;
                call.load = Load::Bytes(bytes);
                continue;
            }
            return Err(self.refusal(&call.method, bucket, call.key, status, &headers, said).await);
        }
    }

    /// The error of a refusal. `HEAD` gets no words; when they would matter, they are asked for.
    async fn refusal(
        &self,
        method: &Method,
        bucket: &str,
        key: &str,
        status: StatusCode,
        headers: &HeaderMap,
        said: Said,
    ) -> Error {
        let silent = *method == Method::HEAD && matches!(status.as_u16(), 400 | 403);
        if !silent {
            return fault(status.as_u16(), headers, &said);
        }
        let Ok(url) = self.target.url(&self.region(Some(bucket)), Some(bucket), key, &[]) else {
            return fault(status.as_u16(), headers, &said);
        };
        let request = Request::new("get_object", Method::GET, url)
            .header(header::RANGE, "bytes=0-0")
            .header(PAYLOAD_HASH, hex::encode(Sha256::digest(b"")));
        let said = match self.cx.send(request).await {
            Ok(answer) if answer.status == status => {
                let bytes = answer.body.collect(MAX_ERROR_BYTES).await.unwrap_or_default();
                Said::read(&bytes).unwrap_or_default()
            }
            _ => said,
        };
        fault(status.as_u16(), headers, &said)
    }

    /// Learns where a bucket is before something is sent that cannot be sent twice. Compatible servers
    /// are in one place.
    async fn find_region(&self, bucket: &str) -> Result<()> {
        if !self.target.is_aws() || self.learned.region(&self.target.authority(), bucket).is_some()
        {
            return Ok(());
        }
        match self.head_bucket(bucket).await {
            Err(error) if error.kind != Kind::Forbidden => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) async fn document(&self, call: Call<'_>) -> Result<Bytes> {
        let answer = self.call(call).await?;
        answer.body.collect(MAX_ANSWER_BYTES).await.map_err(|error| match error.kind {
            Kind::TooLarge => {
                Error::new(Kind::Broken, "The service's answer is too large to read.")
            }
            _ => error,
        })
    }

    /// An answer that may say 200 and still hold an error, because the service had to answer before
    /// it knew.
    pub(super) async fn late_document(&self, call: Call<'_>) -> Result<(Bytes, HeaderMap)> {
        let answer = self.call(call).await?;
        let headers = answer.headers.clone();
        let bytes = answer.body.collect(MAX_ANSWER_BYTES).await?;
        match Said::read(&bytes) {
            Some(said) => Err(fault(late_status(&said), &headers, &said)),
            None => Ok((bytes, headers)),
        }
    }

    pub(super) fn conditioned<'c>(&self, call: Call<'c>, condition: &Condition) -> Call<'c> {
        if self.learned.refuses_conditions(&self.target.authority()) {
            return call;
        }
        match condition {
            Condition::Any => call,
            Condition::Absent => call.header(header::IF_NONE_MATCH, "*"),
            Condition::Matches(etag) => {
                call.header(header::IF_MATCH, &format!("\"{}\"", etag.value))
            }
        }
    }

    /// A server that does not know conditions says so once; from then on they are left out, and the
    /// look beforehand must do.
    pub(super) fn note_refusal(&self, error: &Error, condition: &Condition) {
        if *condition != Condition::Any && is_not_implemented(error) {
            self.learned.set_refuses_conditions(&self.target.authority());
        }
    }
}

/// The status that an error within a 200 would have had.
pub(super) fn late_status(said: &Said) -> u16 {
    match said.code.as_deref() {
        Some("InternalError") => 500,
        Some("SlowDown" | "ServiceUnavailable") => 503,
        Some("NoSuchKey" | "NoSuchBucket" | "NoSuchUpload") => 404,
        Some("PreconditionFailed") => 412,
        Some("AccessDenied") => 403,
        _ => 400,
    }
}
