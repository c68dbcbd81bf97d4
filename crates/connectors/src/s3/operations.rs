//! The operations of S3's API that are one call each, and the listings of buckets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, Method, header};
use md5::Digest as _;
use tramontane_connector::http::Response;
use tramontane_connector::{ETag, Repeat, Result};

use super::answer::{self, Bucket, Listing, Versions};
use super::client::{Call, Client, Condition, Load, MAX_KEYS, Written, late_status};
use super::fault::{Said, fault};
use super::place::{Facts, Object};
use super::sign::BUCKET_REGION;
use super::target::{DEFAULT_REGION, encode};

/// The most pages of buckets that are read.
const MAX_BUCKET_PAGES: usize = 20;

const CHECKSUM_MODE: HeaderName = HeaderName::from_static("x-amz-checksum-mode");
pub(super) const COPY_SOURCE: HeaderName = HeaderName::from_static("x-amz-copy-source");
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// How to list.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ListHow<'a> {
    pub(super) prefix: &'a str,
    /// One level only.
    pub(super) delimited: bool,
    /// Keys after this one.
    pub(super) after: Option<&'a str>,
    /// Where the page before ended.
    pub(super) token: Option<&'a str>,
    pub(super) limit: usize,
}

impl Client<'_> {
    /// `ListBuckets`, all pages, by name.
    pub(super) async fn buckets(&self) -> Result<Vec<Bucket>> {
        let mut all = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..MAX_BUCKET_PAGES {
            let mut query = Vec::new();
            if self.target.is_aws() {
                // Accounts with more than 10,000 buckets must page.
                query.push(("max-buckets", "1000"));
            }
            if let Some(token) = &token {
                query.push(("continuation-token", token));
            }
            let call = Call {
                bucket: None,
                query: &query,
                ..Call::new("list_buckets", Method::GET, "", "")
            };
            let (page, next) = answer::buckets(&self.document(call).await?)?;
            for bucket in &page {
                if let Some(region) = &bucket.region {
                    self.learned.set_region(&self.target.authority(), &bucket.name, region);
                }
            }
            all.extend(page);
            token = next;
            if token.is_none() {
                break;
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// `HeadBucket`: what the server calls itself, if it says.
    pub(super) async fn head_bucket(&self, bucket: &str) -> Result<Option<String>> {
        let answer = self.call(Call::new("head_bucket", Method::HEAD, bucket, "")).await?;
        let server = answer.header(&header::SERVER).map(str::to_owned);
        if answer.header(&BUCKET_REGION).is_none() && self.target.is_aws() {
            let region = self.region(Some(bucket));
            self.learned.set_region(&self.target.authority(), bucket, &region);
        }
        Ok(server)
    }

    /// What the server calls itself, asked of the service as a whole.
    pub(super) async fn server(&self) -> Result<Option<String>> {
        let call = Call { bucket: None, ..Call::new("list_buckets", Method::GET, "", "") };
        let answer = self.call(call).await?;
        Ok(answer.header(&header::SERVER).map(str::to_owned))
    }

    /// `GetBucketLocation`.
    pub(super) async fn bucket_location(&self, bucket: &str) -> Result<String> {
        let query = [("location", "")];
        let call =
            Call { query: &query, ..Call::new("get_bucket_location", Method::GET, bucket, "") };
        let bytes = self.document(call).await?;
        let root = super::xml::parse(&bytes)?;
        Ok(match root.text.trim() {
            "" => DEFAULT_REGION.to_owned(),
            "EU" => "eu-west-1".to_owned(),
            other => other.to_owned(),
        })
    }

    /// `ListObjectsV2`.
    pub(super) async fn list(&self, bucket: &str, how: &ListHow<'_>) -> Result<Listing> {
        let limit = how.limit.clamp(1, MAX_KEYS).to_string();
        let mut query = vec![("list-type", "2"), ("encoding-type", "url"), ("max-keys", &*limit)];
        if how.delimited {
            query.push(("delimiter", "/"));
        }
        for (name, value) in [
            ("prefix", Some(how.prefix)),
            ("start-after", how.after),
            ("continuation-token", how.token),
        ] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                query.push((name, value));
            }
        }
        let call = Call { query: &query, ..Call::new("list_objects", Method::GET, bucket, "") };
        Listing::read(&self.document(call).await?)
    }

    /// `ListObjectVersions`.
    pub(super) async fn versions(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Versions> {
        let limit = limit.clamp(1, MAX_KEYS).to_string();
        let mut query = vec![
            ("versions", ""),
            ("encoding-type", "url"),
            ("max-keys", &*limit),
            ("prefix", prefix),
        ];
        if let Some((key, version)) = after {
            query.push(("key-marker", key));
            if !version.is_empty() {
                query.push(("version-id-marker", version));
            }
        }
        let call = Call { query: &query, ..Call::new("list_versions", Method::GET, bucket, "") };
        Versions::read(&self.document(call).await?)
    }

    /// Whether the bucket keeps (or kept) versions.
    pub(super) async fn is_versioned(&self, bucket: &str) -> Result<bool> {
        let query = [("versioning", "")];
        let call = Call { query: &query, ..Call::new("get_versioning", Method::GET, bucket, "") };
        let status = answer::text(&self.document(call).await?, "Status")?;
        Ok(matches!(status.as_deref(), Some("Enabled" | "Suspended")))
    }

    /// `HeadObject`; `None` when there is no such object.
    pub(super) async fn head(&self, object: &Object) -> Result<Option<Facts>> {
        Ok(self.head_version(object, None).await?.map(|(facts, _)| facts))
    }

    /// `HeadObject`, of one version if named, with all its headers.
    pub(super) async fn head_version(
        &self,
        object: &Object,
        version: Option<&str>,
    ) -> Result<Option<(Facts, HeaderMap)>> {
        let query = version.map(|id| [("versionId", id)]);
        let query = query.as_ref().map(|query| &query[..]).unwrap_or_default();
        let call = Call { query, ..Call::object("head_object", Method::HEAD, object) };
        match self.call(call.header(CHECKSUM_MODE, "ENABLED")).await {
            Ok(answer) => Ok(Some((answer::facts(&answer.headers, true), answer.headers))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `GetObject`.
    pub(super) async fn get(
        &self,
        object: &Object,
        version: Option<&str>,
        range: Option<&str>,
    ) -> Result<Response> {
        let query = version.map(|id| [("versionId", id)]);
        let query = query.as_ref().map(|query| &query[..]).unwrap_or_default();
        let mut call = Call { query, ..Call::object("get_object", Method::GET, object) };
        if let Some(range) = range {
            call = call.header(header::RANGE, range);
        }
        self.call(call).await
    }

    /// Whether anything is below this prefix. With a delimiter, because some servers keep folders
    /// that a flat listing does not show.
    pub(super) async fn is_populated(&self, bucket: &str, prefix: &str) -> Result<bool> {
        let how = ListHow { prefix, delimited: true, limit: 1, ..ListHow::default() };
        let page = self.list(bucket, &how).await?;
        Ok(!page.objects.is_empty() || !page.prefixes.is_empty() || page.next.is_some())
    }

    /// `PutObject`.
    pub(super) async fn put(
        &self,
        object: &Object,
        load: Load,
        media_type: Option<&str>,
        condition: &Condition,
    ) -> Result<Written> {
        let mut call = Call { load, ..Call::object("put_object", Method::PUT, object) };
        if let Some(media_type) = media_type {
            call = call.header(header::CONTENT_TYPE, media_type);
        }
        let answer = self.call(self.conditioned(call, condition)).await;
        let answer = answer.inspect_err(|error| self.note_refusal(error, condition))?;
        Ok(Written::of(&answer.headers))
    }

    /// `DeleteObject`, of one version if named.
    pub(super) async fn delete(
        &self,
        object: &Object,
        version: Option<&str>,
        condition: &Condition,
    ) -> Result<()> {
        let query = version.map(|id| [("versionId", id)]);
        let query = query.as_ref().map(|query| &query[..]).unwrap_or_default();
        let call = Call { query, ..Call::object("delete_object", Method::DELETE, object) };
        self.call(self.conditioned(call, condition)).await.map(|_| ())
    }

    /// `DeleteObjects`, at most 1,000: keys, each with a version or none.
    pub(super) async fn delete_many(
        &self,
        bucket: &str,
        doomed: &[(String, Option<String>)],
    ) -> Result<()> {
        let mut text = String::from(
            "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>",
        );
        for (key, version) in doomed {
            text.push_str("<Object><Key>");
            text.push_str(&super::xml::escape(key));
            text.push_str("</Key>");
            if let Some(version) = version {
                text.push_str("<VersionId>");
                text.push_str(&super::xml::escape(version));
                text.push_str("</VersionId>");
            }
            text.push_str("</Object>");
        }
        text.push_str("</Delete>");
        let md5 = STANDARD.encode(md5::Md5::digest(text.as_bytes()));
        let query = [("delete", "")];
        let call = Call {
            query: &query,
            load: Load::Bytes(text.into()),
            // Deleting what is gone already is a success.
            repeat: Some(Repeat::Yes),
            ..Call::new("delete_objects", Method::POST, bucket, "")
        };
        let call = call.header(CONTENT_MD5, &md5).header(header::CONTENT_TYPE, "application/xml");
        let (bytes, headers) = self.late_document(call).await?;
        match answer::first_failure(&bytes)? {
            None => Ok(()),
            Some((code, message)) => {
                let said = Said { code: Some(code), message: Some(message), ..Said::default() };
                Err(fault(late_status(&said), &headers, &said))
            }
        }
    }

    /// `CopyObject`.
    pub(super) async fn copy(
        &self,
        from: &Object,
        version: Option<&str>,
        to: &Object,
        condition: &Condition,
    ) -> Result<Written> {
        let call = Call {
            // The copy is the same however often it is made, but a condition would fail on itself.
            repeat: Some(if *condition == Condition::Any { Repeat::Yes } else { Repeat::No }),
            ..Call::object("copy_object", Method::PUT, to)
        };
        let call = call.header(COPY_SOURCE, &copy_source(from, version));
        let answer = self.late_document(self.conditioned(call, condition)).await;
        let (bytes, headers) = answer.inspect_err(|error| self.note_refusal(error, condition))?;
        let etag = answer::text(&bytes, "ETag")?.as_deref().and_then(ETag::parse);
        Ok(Written { etag, version: Written::of(&headers).version })
    }

    /// `GetObjectTagging`.
    pub(super) async fn tags(&self, object: &Object) -> Result<Vec<(String, String)>> {
        let query = [("tagging", "")];
        let call = Call { query: &query, ..Call::object("get_tags", Method::GET, object) };
        answer::tags(&self.document(call).await?)
    }

    /// `PutObjectTagging`, or `DeleteObjectTagging` when there is none to set.
    pub(super) async fn set_tags(&self, object: &Object, tags: &[(String, String)]) -> Result<()> {
        let query = [("tagging", "")];
        if tags.is_empty() {
            let call =
                Call { query: &query, ..Call::object("delete_tags", Method::DELETE, object) };
            return self.call(call).await.map(|_| ());
        }
        let mut text =
            String::from("<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><TagSet>");
        for (key, value) in tags {
            let (key, value) = (super::xml::escape(key), super::xml::escape(value));
            text.push_str(&format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>"));
        }
        text.push_str("</TagSet></Tagging>");
        let md5 = STANDARD.encode(md5::Md5::digest(text.as_bytes()));
        let load = Load::Bytes(text.into());
        let call = Call { query: &query, load, ..Call::object("set_tags", Method::PUT, object) };
        let call = call.header(CONTENT_MD5, &md5).header(header::CONTENT_TYPE, "application/xml");
        self.call(call).await.map(|_| ())
    }
}

pub(super) fn copy_source(from: &Object, version: Option<&str>) -> String {
    let source = format!("/{}/{}", from.bucket, encode(&from.key, true));
    match version {
        Some(version) => format!("{source}?versionId={}", encode(version, false)),
        None => source,
    }
}
