//! Where an account's S3 is, what part of it the account may see, and how URLs are made of that.

use tramontane_connector::{Account, Error, Result};
use tramontane_model::Op;
use url::Url;

/// Where buckets are addressed when nothing else is known.
pub(super) const DEFAULT_REGION: &str = "us-east-1";
/// The longest key that S3 takes, in bytes.
pub(super) const MAX_KEY_BYTES: usize = 1_024;

/// How a bucket gets into the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Addressing {
    /// Virtual on AWS where the bucket's name allows it, else path.
    Auto,
    /// `https://host/bucket/key`
    Path,
    /// `https://bucket.host/key`
    Virtual,
}

/// One account's S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The endpoint of a compatible server; `None` for AWS.
    pub(super) endpoint: Option<Url>,
    /// The region to sign for until the service names another.
    pub(super) region: String,
    /// How buckets are addressed.
    pub(super) addressing: Addressing,
    /// The only bucket that the account sees.
    pub(super) bucket: Option<String>,
    /// The only keys of that bucket that it sees: empty, or ending in `/`.
    pub(super) prefix: String,
    /// The queue that the bucket's events go to.
    pub(super) queue: Option<Url>,
    /// What the server called itself when the account was connected.
    pub(super) server: Option<String>,
    /// Whether a bucket kept versions when the account was connected; `None` when nobody looked.
    pub(super) versioning: Option<bool>,
}

impl Target {
    /// What an account's settings say.
    ///
    /// # Errors
    /// `Invalid`, naming the field and the rule.
    pub(super) fn of(account: &Account) -> Result<Self> {
        let setting = |field| account.setting(field).map(str::trim).filter(|text| !text.is_empty());
        let addressing = match setting("addressing") {
            None | Some("auto") => Addressing::Auto,
            Some("path") => Addressing::Path,
            Some("virtual") => Addressing::Virtual,
            Some(_) => {
                return Err(Error::invalid(
                    "addressing must be \"auto\", \"path\" or \"virtual\".",
                ));
            }
        };
        let region = setting("region").unwrap_or(DEFAULT_REGION);
        if !is_region(region) {
            return Err(Error::invalid("region must be a region's name, such as \"eu-west-1\"."));
        }
        let bucket = setting("bucket").map(str::to_owned);
        if bucket.as_deref().is_some_and(|name| !is_bucket(name)) {
            return Err(Error::invalid(
                "bucket must be a bucket's name: 3 to 255 letters, digits, \".\", \"-\" or \"_\".",
            ));
        }
        let prefix = setting("prefix").map(|text| text.trim_matches('/')).unwrap_or_default();
        if !prefix.is_empty() && bucket.is_none() {
            return Err(Error::invalid("prefix needs the field \"bucket\" too."));
        }
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let queue = match setting("sqs_queue_url") {
            Some(text) => Some(queue(text)?),
            None => None,
        };
        let target = Self {
            endpoint: None,
            queue,
            region: region.to_owned(),
            addressing,
            bucket,
            prefix,
            server: setting("server").map(str::to_owned),
            versioning: setting("versioning").map(|told| told == "on"),
        };
        match setting("endpoint") {
            Some(text) => target.at(text),
            None if &*account.service == super::COMPATIBLE.name => {
                Err(Error::invalid("The account needs the field \"endpoint\"."))
            }
            None => Ok(target),
        }
    }

    /// The same, at this endpoint. AWS's own endpoints stand for AWS and the region in them.
    fn at(mut self, text: &str) -> Result<Self> {
        let rule = "endpoint must be a URL such as \"https://s3.example.com\", without a query.";
        let mut url = Url::parse(text).map_err(|_| Error::invalid(rule))?;
        if !is_plain(&url) {
            return Err(Error::invalid(rule));
        }
        let host = url.host_str().unwrap_or_default();
        if url.scheme() == "https" && url.port().is_none() && url.path() == "/" {
            if host == "s3.amazonaws.com" {
                return Ok(self);
            }
            if let Some((region, None)) = aws_host(host) {
                region.clone_into(&mut self.region);
                return Ok(self);
            }
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        self.endpoint = Some(url);
        Ok(self)
    }

    /// Whether this is AWS itself.
    pub(super) fn is_aws(&self) -> bool {
        self.endpoint.is_none()
    }

    /// Whether the server surely checks conditions atomically. For others they are looked up first.
    pub(super) fn knows_conditions(&self) -> bool {
        let known = ["seaweedfs", "minio", "ceph", "cloudflare", "amazons3"];
        let server = self.server.as_deref().unwrap_or_default().to_ascii_lowercase();
        self.is_aws() || known.iter().any(|name| server.starts_with(name))
    }

    /// Whether the server is SeaweedFS, which keeps keys as paths of a file system.
    pub(super) fn is_seaweed(&self) -> bool {
        let server = self.server.as_deref().unwrap_or_default().to_ascii_lowercase();
        server.starts_with("seaweedfs")
    }

    /// Whether all keys below a prefix are listed in an order, so that a walk can go on after any one.
    pub(super) fn lists_in_order(&self) -> bool {
        // SeaweedFS puts markers behind what is in their folders once it keeps versions.
        !self.is_seaweed() || self.versioning == Some(false)
    }

    /// Whether keys come in the order of their bytes, so that a listing can begin at any of them.
    pub(super) fn lists_by_bytes(&self) -> bool {
        // SeaweedFS goes through folders: `a/b` comes before `a-b` there, and after it elsewhere.
        !self.is_seaweed()
    }

    /// The longest name in a folder.
    pub(super) fn max_name_bytes(&self) -> usize {
        let whole = MAX_KEY_BYTES - 1 - self.prefix.len().min(MAX_KEY_BYTES - 1);
        match (self.is_seaweed(), self.versioning) {
            // A name is a file's name there, with ".versions" behind it when versions are kept.
            (true, Some(false)) => whole.min(255),
            (true, _) => whole.min(246),
            _ => whole,
        }
    }

    /// The name under which facts about the servers behind this target are remembered.
    pub(super) fn authority(&self) -> String {
        match &self.endpoint {
            None => "aws".to_owned(),
            Some(url) => url.origin().ascii_serialization(),
        }
    }

    /// Where relative URLs of the pass-through begin.
    pub(super) fn base(&self) -> Result<Url> {
        match &self.endpoint {
            Some(url) => {
                let mut url = url.clone();
                let path = format!("{}/", url.path().trim_end_matches('/'));
                url.set_path(&path);
                Ok(url)
            }
            None => parse(&format!("https://{}/", self.aws_domain(&self.region))),
        }
    }

    fn aws_domain(&self, region: &str) -> String {
        let china = if region.starts_with("cn-") { ".cn" } else { "" };
        format!("s3.{region}.amazonaws.com{china}")
    }

    fn is_virtual(&self, bucket: &str) -> bool {
        match self.addressing {
            Addressing::Path => false,
            Addressing::Virtual => is_label(bucket, true),
            // A dot in the name would not fit the certificate `*.s3.region.amazonaws.com`.
            Addressing::Auto => self.is_aws() && is_label(bucket, false),
        }
    }

    /// The URL of an object (or, with an empty key, of a bucket; or of the service).
    ///
    /// # Errors
    /// `Unsupported` for keys that no URL can hold.
    pub(super) fn url(
        &self,
        region: &str,
        bucket: Option<&str>,
        key: &str,
        query: &[(&str, &str)],
    ) -> Result<Url> {
        if key.split('/').any(|part| part == "." || part == "..") {
            return Err(Error::unsupported(
                Op::FileRead,
                "The object's key has a part \".\" or \"..\", which no URL can carry. It can be copied and \
                 deleted, not read or written.",
            ));
        }
        let (scheme, host, base) = match &self.endpoint {
            None => ("https", self.aws_domain(region), ""),
            Some(url) => {
                let host = url.host_str().unwrap_or_default();
                let host = match url.port() {
                    Some(port) => format!("{host}:{port}"),
                    None => host.to_owned(),
                };
                (url.scheme(), host, url.path().trim_end_matches('/'))
            }
        };
        let mut text = match bucket {
            None => format!("{scheme}://{host}{base}/"),
            Some(bucket) if self.is_virtual(bucket) => {
                format!("{scheme}://{bucket}.{host}{base}/{}", encode(key, true))
            }
            Some(bucket) if key.is_empty() => format!("{scheme}://{host}{base}/{bucket}"),
            Some(bucket) => format!("{scheme}://{host}{base}/{bucket}/{}", encode(key, true)),
        };
        for (at, (name, value)) in query.iter().enumerate() {
            text.push(if at == 0 { '?' } else { '&' });
            text.push_str(name);
            if !value.is_empty() {
                text.push('=');
                text.push_str(&encode(value, false));
            }
        }
        parse(&text)
    }

    /// The region that a URL is in, where its host tells.
    pub(super) fn region_of<'a>(&self, url: &'a Url) -> Option<&'a str> {
        let host = url.host_str()?;
        if let Some(region) = queue_region(host) {
            return Some(region);
        }
        if !self.is_aws() {
            return None;
        }
        aws_host(host).map(|(region, _)| region)
    }

    /// The bucket that a URL is about.
    pub(super) fn bucket_of(&self, url: &Url) -> Option<String> {
        let host = url.host_str()?;
        let sub = match &self.endpoint {
            None => aws_host(host)?.1,
            Some(endpoint) => host.strip_suffix(endpoint.host_str()?)?.strip_suffix('.'),
        };
        if let Some(bucket) = sub {
            return Some(bucket.to_owned());
        }
        let base = self.endpoint.as_ref().map_or("", |endpoint| endpoint.path());
        let path = url.path().strip_prefix(base.trim_end_matches('/'))?.strip_prefix('/')?;
        let bucket = path.split('/').next().filter(|bucket| !bucket.is_empty())?;
        Some(decode(bucket))
    }

    /// Whether a signed request may go to this URL: the same service, and the account's bucket if it
    /// has only one.
    pub(super) fn may_call(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let same_place = match &self.endpoint {
            None => {
                url.scheme() == "https"
                    && url.port().is_none()
                    && aws_host(host).is_some_and(|(_, bucket)| bucket.is_none_or(is_bucket))
            }
            Some(endpoint) => {
                let same = endpoint.host_str().unwrap_or_default();
                let below = host.strip_suffix(same).and_then(|rest| rest.strip_suffix('.'));
                url.scheme() == endpoint.scheme()
                    && url.port_or_known_default() == endpoint.port_or_known_default()
                    && (host == same
                        || (self.addressing == Addressing::Virtual && below.is_some_and(is_bucket)))
            }
        };
        let same_bucket = match &self.bucket {
            None => true,
            Some(only) => self.bucket_of(url).as_deref() == Some(only),
        };
        same_place && same_bucket
    }
}

/// Whether a URL names a place of HTTP and nothing else.
fn is_plain(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
}

/// A queue's URL: where it is, and the account and name it has there.
fn queue(text: &str) -> Result<Url> {
    let rule = "sqs_queue_url must be a queue's URL, such as \
                \"https://sqs.eu-west-1.amazonaws.com/123456789012/changes\".";
    let url = Url::parse(text).map_err(|_| Error::invalid(rule))?;
    if is_plain(&url) && url.path().len() > 1 { Ok(url) } else { Err(Error::invalid(rule)) }
}

/// The region in a host of AWS's SQS (`sqs.region.amazonaws.com[.cn]`).
fn queue_region(host: &str) -> Option<&str> {
    let rest =
        host.strip_suffix(".amazonaws.com").or_else(|| host.strip_suffix(".amazonaws.com.cn"))?;
    rest.strip_prefix("sqs.").filter(|region| is_region(region))
}

/// The region and the bucket in a host of AWS's S3 (`[bucket.]s3.region.amazonaws.com[.cn]`).
fn aws_host(host: &str) -> Option<(&str, Option<&str>)> {
    let rest =
        host.strip_suffix(".amazonaws.com").or_else(|| host.strip_suffix(".amazonaws.com.cn"))?;
    let (before, region) = rest.rsplit_once('.')?;
    if !is_region(region) {
        return None;
    }
    match before {
        "s3" => Some((region, None)),
        _ => before.strip_suffix(".s3").map(|bucket| (region, Some(bucket))),
    }
}

fn parse(text: &str) -> Result<Url> {
    Url::parse(text).map_err(|_| Error::invalid("The bucket's name does not fit into a URL."))
}

/// Whether this can be a region's name. What a server calls a region ends up in a host name, so
/// nothing else is let through.
pub(super) fn is_region(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Whether this can be a bucket's name. Older buckets and compatible servers have upper case and `_`.
pub(super) fn is_bucket(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        && !matches!(text, "." | "..")
}

fn is_label(text: &str, dots: bool) -> bool {
    let fine = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || (dots && byte == b'.')
    };
    (1..=63).contains(&text.len())
        && text.bytes().all(fine)
        && !text.starts_with(['-', '.'])
        && !text.ends_with(['-', '.'])
        && !text.contains("..")
}

/// Percent-encodes as signatures want it: all but letters, digits, `-._~`, and `/` in paths.
pub(super) fn encode(text: &str, path: bool) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            b'/' if path => out.push('/'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::super::samples::account;
    use super::*;

    fn target(settings: &[(&str, &str)]) -> Target {
        Target::of(&account("s3", settings)).unwrap()
    }

    #[test]
    fn aws_buckets_are_virtual_hosts_unless_their_name_does_not_fit() {
        let aws = target(&[("region", "eu-west-1")]);
        let url = |bucket, key| aws.url("eu-west-1", Some(bucket), key, &[]).unwrap().to_string();
        assert_eq!(url("b", "a b/c"), "https://b.s3.eu-west-1.amazonaws.com/a%20b/c");
        assert_eq!(url("b.c", "k"), "https://s3.eu-west-1.amazonaws.com/b.c/k");
        assert_eq!(url("Old_B", "k"), "https://s3.eu-west-1.amazonaws.com/Old_B/k");
        assert_eq!(url("b", "/x//y/"), "https://b.s3.eu-west-1.amazonaws.com//x//y/");
        let china = aws.url("cn-north-1", Some("b"), "", &[("location", "")]).unwrap();
        assert_eq!(china.as_str(), "https://b.s3.cn-north-1.amazonaws.com.cn/?location");
    }

    #[test]
    fn compatible_servers_are_addressed_by_path_unless_told_otherwise() {
        let own = target(&[("endpoint", "http://127.0.0.1:9000/s3/")]);
        let url = own.url("x", Some("b"), "k+%", &[("prefix", "a+ b")]).unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:9000/s3/b/k%2B%25?prefix=a%2B%20b");
        let own = target(&[("endpoint", "https://s3.example.com"), ("addressing", "virtual")]);
        let url = own.url("x", Some("b"), "k", &[]).unwrap();
        assert_eq!(url.as_str(), "https://b.s3.example.com/k");
        assert_eq!(own.bucket_of(&url).as_deref(), Some("b"));
    }

    #[test]
    fn aws_endpoints_stand_for_aws_and_their_region() {
        let aws = target(&[("endpoint", "https://s3.ap-south-1.amazonaws.com")]);
        assert!(aws.is_aws());
        assert_eq!(aws.region, "ap-south-1");
        assert!(target(&[("endpoint", "https://s3.amazonaws.com/")]).is_aws());
    }

    #[test]
    fn refuses_settings_that_make_no_sense() {
        for bad in [
            [("endpoint", "ftp://x")],
            [("endpoint", "https://u:p@x")],
            [("endpoint", "https://x/?q")],
            [("region", "evil.example.com/")],
            [("addressing", "magic")],
            [("bucket", "a/b")],
            [("bucket", "..")],
            [("prefix", "a")],
        ] {
            assert!(Target::of(&account("s3", &bad)).is_err(), "{bad:?}");
        }
        assert!(Target::of(&account("s3_compatible", &[])).is_err());
    }

    #[test]
    fn signed_requests_go_only_to_the_service_and_the_bucket() {
        let may = |target: &Target, url: &str| target.may_call(&Url::parse(url).unwrap());
        let aws = target(&[]);
        assert!(may(&aws, "https://s3.eu-west-1.amazonaws.com/b/k"));
        assert!(may(&aws, "https://b.c.s3.eu-west-1.amazonaws.com/k"));
        for bad in [
            "http://s3.eu-west-1.amazonaws.com/b",
            "https://ec2.eu-west-1.amazonaws.com/",
            "https://s3.eu-west-1.amazonaws.com.evil.com/",
            "https://s3.eu-west-1.amazonaws.com:8443/",
            "https://evil.com/s3.eu-west-1.amazonaws.com",
        ] {
            assert!(!may(&aws, bad), "{bad}");
        }
        let one = target(&[("endpoint", "http://h:1"), ("bucket", "b")]);
        assert!(may(&one, "http://h:1/b/k"));
        assert!(may(&one, "http://h:1/%62?list-type=2"));
        assert!(!may(&one, "http://h:1/"));
        assert!(!may(&one, "http://h:1/c/k"));
        assert!(!may(&one, "http://h:2/b/k"));
        assert!(!may(&one, "http://b.h:1/k"));
    }

    #[test]
    fn says_which_keys_no_url_can_carry() {
        let aws = target(&[]);
        for key in ["a/./b", "..", "a/.."] {
            assert!(aws.url("us-east-1", Some("b"), key, &[]).is_err(), "{key}");
        }
        let kept = aws.url("us-east-1", Some("b"), "%2e%2e/...", &[]).unwrap();
        assert_eq!(kept.path(), "/%252e%252e/...");
    }

    proptest! {
        #[test]
        fn every_key_survives_the_url(key in "\\PC{1,40}") {
            let dotted = key.split('/').any(|part| part == "." || part == "..");
            prop_assume!(!dotted);
            let own = target(&[("endpoint", "http://h:1")]);
            let url = own.url("x", Some("b"), &key, &[]).unwrap();
            prop_assert_eq!(decode(url.path().strip_prefix("/b/").unwrap()), key);
        }

        #[test]
        fn no_setting_panics(field in "endpoint|region|bucket|prefix|addressing", value in "\\PC{0,60}") {
            let _ = Target::of(&account("s3", &[(field.as_str(), value.as_str())]));
        }
    }
}
