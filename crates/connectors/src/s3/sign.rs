//! Signature Version 4, made by AWS's own crate: on requests, and in URLs that need no credential.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::identity::Identity;
use http::{HeaderName, HeaderValue, header};
use tramontane_connector::error::Kind;
use tramontane_connector::http::{Request, Response};
use tramontane_connector::{Account, Error, Result, Sign};
use tramontane_model::Timestamp;
use url::Url;

use super::learned::Learned;
use super::queue::{ACTION, SQS};
use super::target::{Target, encode};

/// Says what was signed of the payload: its SHA-256 in hex, or [`UNSIGNED`].
pub(super) const PAYLOAD_HASH: HeaderName = HeaderName::from_static("x-amz-content-sha256");
/// The payload is not part of the signature: it streams, or TLS protects it.
pub(super) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// The header in which servers say where a bucket is.
pub(super) const BUCKET_REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");
/// The longest that a signed URL may be good for, as S3 has it.
const LONGEST_URL: Duration = Duration::from_secs(7 * 24 * 3_600);
/// A clock that is off by less is not why a signature was refused (S3 allows 15 minutes).
const SKEW_SECONDS: i64 = 240;

/// Signs one account's requests.
pub(super) struct Signer {
    identity: Identity,
    target: Target,
    learned: Arc<Learned>,
    /// When the last request was signed, by our clock, to compare a refusal's `Date` with.
    last: AtomicI64,
}

impl Signer {
    /// The signer of this account.
    ///
    /// # Errors
    /// `Invalid` when a field is missing or makes no sense.
    pub(super) fn of(account: &Account, learned: Arc<Learned>) -> Result<Self> {
        let needed =
            |field: &str| {
                account.credential.get(field).or_else(|| account.setting(field)).ok_or_else(|| {
                    Error::invalid(format!("The account needs the field \"{field}\"."))
                })
            };
        let session = account.credential.get("session_token").map(str::to_owned);
        let credentials = Credentials::new(
            needed("access_key")?,
            needed("secret_key")?,
            session,
            None,
            "tramontane",
        );
        let target = Target::of(account)?;
        Ok(Self { identity: credentials.into(), target, learned, last: AtomicI64::new(0) })
    }

    /// The region that a URL's signature must name.
    fn region(&self, url: &Url) -> String {
        if let Some(region) = self.target.region_of(url) {
            return region.to_owned();
        }
        let bucket = self.target.bucket_of(url).unwrap_or_default();
        let learned = self.learned.region(&self.target.authority(), &bucket);
        learned.unwrap_or_else(|| self.target.region.clone())
    }

    /// The moment to sign with: ours, corrected by what the server's clock taught.
    fn moment(&self, now: Timestamp) -> SystemTime {
        let ahead = self.learned.skew(&self.target.authority());
        let micros = u64::try_from(now.plus_seconds(ahead).micros()).unwrap_or(0);
        SystemTime::UNIX_EPOCH + Duration::from_micros(micros)
    }

    /// A URL that does what `method` does, without a credential, for a while.
    ///
    /// # Errors
    /// `Internal` when the URL cannot be signed.
    pub(super) fn presign(
        &self,
        method: &str,
        url: Url,
        now: Timestamp,
        lasts: Duration,
    ) -> Result<Url> {
        let mut settings = settings();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
        settings.expires_in = Some(lasts.clamp(Duration::from_secs(1), LONGEST_URL));
        let region = self.region(&url);
        let parameters = SigningParams::builder()
            .identity(&self.identity)
            .region(&region)
            .name("s3")
            .time(self.moment(now))
            .settings(settings)
            .build()
            .map_err(unsigned)?
            .into();
        let request = SignableRequest::new(
            method,
            url.as_str(),
            std::iter::empty(),
            SignableBody::UnsignedPayload,
        )
        .map_err(unsigned)?;
        let (instructions, _) = sign(request, &parameters).map_err(unsigned)?.into_parts();
        let mut query = url.query().map(str::to_owned).unwrap_or_default();
        for (name, value) in instructions.params() {
            if !query.is_empty() {
                query.push('&');
            }
            query.push_str(&format!("{name}={}", encode(value, false)));
        }
        let mut url = url;
        url.set_query(Some(&query));
        Ok(url)
    }
}

fn settings() -> SigningSettings {
    let mut settings = SigningSettings::default();
    // S3 takes the path as it is on the line: keys may hold "//" and "%".
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    settings
}

fn unsigned(cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::internal("The request cannot be signed.").because(cause)
}

/// What S3 wants signed; anything else may be changed on the way by a proxy.
fn is_signed(name: &HeaderName) -> bool {
    matches!(name.as_str(), "content-type" | "content-md5") || name.as_str().starts_with("x-amz-")
}

#[async_trait]
impl Sign for Signer {
    async fn sign(&self, request: &mut Request, now: Timestamp) -> Result<()> {
        for ours in ["authorization", "x-amz-date", "x-amz-security-token"] {
            request.headers.remove(ours);
        }
        let given = request.headers.remove(&PAYLOAD_HASH);
        let body = match given.as_ref().and_then(|value| value.to_str().ok()) {
            Some(hash) if hash != UNSIGNED => SignableBody::Precomputed(hash.to_owned()),
            _ => SignableBody::UnsignedPayload,
        };
        let action = request.headers.get(&ACTION).and_then(|value| value.to_str().ok());
        let service = if action.is_some_and(|name| name.starts_with(SQS)) { "sqs" } else { "s3" };
        let headers = request.headers.iter().filter(|(name, _)| is_signed(name));
        let headers =
            headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let region = self.region(&request.url);
        let parameters = SigningParams::builder()
            .identity(&self.identity)
            .region(&region)
            .name(service)
            .time(self.moment(now))
            .settings(settings())
            .build()
            .map_err(unsigned)?
            .into();
        let signable =
            SignableRequest::new(request.method.as_str(), request.url.as_str(), headers, body)
                .map_err(unsigned)?;
        let (instructions, _) = sign(signable, &parameters).map_err(unsigned)?.into_parts();
        let (made, _) = instructions.into_parts();
        for header in made {
            let mut value = HeaderValue::from_str(header.value()).map_err(|_| {
                Error::new(Kind::Invalid, "The access key holds characters that no header can.")
            })?;
            value.set_sensitive(true);
            request.headers.insert(HeaderName::from_static(header.name()), value);
        }
        self.last.store(now.seconds(), Ordering::Relaxed);
        Ok(())
    }

    /// A refusal may come from a clock that is off, or from the wrong region in the signature; both
    /// tell what would be right.
    async fn challenged(&self, response: &Response) -> bool {
        let authority = self.target.authority();
        if response.status.as_u16() == 403 {
            let date = response.header(&header::DATE).and_then(Timestamp::parse_http_date);
            let Some(date) = date else { return false };
            let ahead = date.seconds() - self.last.load(Ordering::Relaxed);
            if (ahead - self.learned.skew(&authority)).abs() > SKEW_SECONDS {
                self.learned.set_skew(&authority, ahead);
                return true;
            }
            return false;
        }
        // On AWS the region is in the host name, so another URL is needed: the caller's work.
        if response.status.as_u16() == 400 && !self.target.is_aws() {
            let bucket = self.target.bucket_of(&response.url).unwrap_or_default();
            return response
                .header(&BUCKET_REGION)
                .is_some_and(|region| self.learned.set_region(&authority, &bucket, region));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use http::{HeaderMap, Method, StatusCode};
    use tramontane_connector::Body;

    use super::super::samples::account;
    use super::*;

    fn signer() -> Signer {
        Signer::of(&account("s3", &[]), Arc::default()).unwrap()
    }

    fn example_day() -> Timestamp {
        Timestamp::parse("2013-05-24T00:00:00Z").unwrap()
    }

    async fn signature(method: Method, url: &str, headers: &[(&'static str, &str)]) -> String {
        let mut request = Request::new("test", method, Url::parse(url).unwrap());
        for (name, value) in headers {
            request = request.header(HeaderName::from_static(name), value);
        }
        signer().sign(&mut request, example_day()).await.unwrap();
        let value = request.headers["authorization"].to_str().unwrap().to_owned();
        value.split("Signature=").nth(1).unwrap().to_owned()
    }

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    // The host of AWS's examples has no region; this connector always names one, so the published
    // signatures cannot come out. What is checked is the string that AWS publishes for its own host.
    #[tokio::test]
    async fn signs_like_the_examples_that_aws_publishes() {
        let own = Signer::of(
            &account("s3", &[("endpoint", "https://examplebucket.s3.amazonaws.com")]),
            Arc::default(),
        )
        .unwrap();
        let signed = async |url: &str, hash: &str| {
            let url = Url::parse(url).unwrap();
            let mut request = Request::new("test", Method::GET, url).header(PAYLOAD_HASH, hash);
            own.sign(&mut request, example_day()).await.unwrap();
            let value = request.headers["authorization"].to_str().unwrap().to_owned();
            value.split("Signature=").nth(1).unwrap().to_owned()
        };
        // "GET Bucket Lifecycle" and "Get Bucket (List Objects)" of the page named above.
        assert_eq!(
            signed("https://examplebucket.s3.amazonaws.com/?lifecycle", EMPTY).await,
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        );
        assert_eq!(
            signed("https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J", EMPTY).await,
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
    }

    #[tokio::test]
    async fn signs_urls_like_the_example_that_aws_publishes() {
        let own = Signer::of(
            &account("s3", &[("endpoint", "https://examplebucket.s3.amazonaws.com")]),
            Arc::default(),
        )
        .unwrap();
        let url = Url::parse("https://examplebucket.s3.amazonaws.com/test.txt").unwrap();
        let day = Duration::from_secs(86_400);
        let signed = own.presign("GET", url, example_day(), day).unwrap();
        let signature = signed.query_pairs().find(|(name, _)| name == "X-Amz-Signature").unwrap().1;
        assert_eq!(signature, "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
    }

    #[tokio::test]
    async fn the_region_in_the_host_is_the_region_signed_for() {
        let mut request = Request::new(
            "test",
            Method::GET,
            Url::parse("https://b.s3.eu-west-1.amazonaws.com/k").unwrap(),
        );
        signer().sign(&mut request, example_day()).await.unwrap();
        let value = request.headers["authorization"].to_str().unwrap();
        assert!(value.contains("/20130524/eu-west-1/s3/aws4_request"), "{value}");
        assert!(request.headers["authorization"].is_sensitive());
        assert_eq!(request.headers[&PAYLOAD_HASH], UNSIGNED);
    }

    #[tokio::test]
    async fn headers_that_proxies_change_are_not_signed() {
        let url = "https://b.s3.eu-west-1.amazonaws.com/k";
        let plain = signature(Method::GET, url, &[]).await;
        assert_eq!(signature(Method::GET, url, &[("range", "bytes=0-9")]).await, plain);
        assert_ne!(signature(Method::GET, url, &[("x-amz-meta-a", "1")]).await, plain);
    }

    #[tokio::test]
    async fn learns_from_a_clock_that_is_off_once() {
        let signer = signer();
        let url = Url::parse("https://b.s3.eu-west-1.amazonaws.com/k").unwrap();
        let mut request = Request::new("test", Method::GET, url.clone());
        signer.sign(&mut request, example_day()).await.unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("date", HeaderValue::from_static("Fri, 24 May 2013 02:00:00 GMT"));
        let status = StatusCode::FORBIDDEN;
        let answer = Response { status, headers, body: Body::empty(), url: url.clone() };
        assert!(signer.challenged(&answer).await);
        assert!(!signer.challenged(&answer).await);
        signer.sign(&mut request, example_day()).await.unwrap();
        assert_eq!(request.headers["x-amz-date"], "20130524T020000Z");
    }

    #[tokio::test]
    async fn learns_the_region_that_a_compatible_server_names() {
        let settings = [("endpoint", "http://h:1")];
        let signer = Signer::of(&account("s3", &settings), Arc::default()).unwrap();
        let url = Url::parse("http://h:1/b/k").unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(BUCKET_REGION, HeaderValue::from_static("garage"));
        let status = StatusCode::BAD_REQUEST;
        let answer = Response { status, headers, body: Body::empty(), url: url.clone() };
        assert!(signer.challenged(&answer).await);
        assert!(!signer.challenged(&answer).await);
        assert_eq!(signer.region(&url), "garage");
    }
}
