//! Calls to S3: one function per operation of its API, with regions found on the way.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use sha2::{Digest, Sha256};
use tramontane_connector::error::Kind;
use tramontane_connector::http::{Request, Response};
use tramontane_connector::{Body, Cx, ETag, Error, Repeat, Result};

use super::answer::{self, Bucket, Listing, Versions};
use super::fault::{Said, fault, is_not_implemented};
use super::learned::Learned;
use super::place::{Facts, Object};
use super::sign::{BUCKET_REGION, PAYLOAD_HASH, UNSIGNED};
use super::target::{DEFAULT_REGION, Target, encode};

/// The most that is read of an error document.
const MAX_ERROR_BYTES: usize = 64 << 10;
/// The most that is read of an answer: a page of 1,000 keys of 1,024 encoded bytes is below 4 MiB.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// The most keys that a page holds.
pub(super) const MAX_KEYS: usize = 1_000;
/// The most pages of buckets that are read.
const MAX_BUCKET_PAGES: usize = 20;

/// Says which part of an object to read.
const CHECKSUM_MODE: HeaderName = HeaderName::from_static("x-amz-checksum-mode");
const COPY_SOURCE: HeaderName = HeaderName::from_static("x-amz-copy-source");
const COPY_RANGE: HeaderName = HeaderName::from_static("x-amz-copy-source-range");
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// What a call carries.
pub(super) enum Load {
    /// Sent as often as needed.
    Bytes(Bytes),
    /// Sent once.
    Stream(Body),
}

impl Load {
    fn none() -> Self {
        Self::Bytes(Bytes::new())
    }
}

/// One call.
struct Call<'a> {
    name: &'static str,
    method: Method,
    bucket: Option<&'a str>,
    key: &'a str,
    query: &'a [(&'a str, &'a str)],
    headers: HeaderMap,
    load: Load,
    repeat: Option<Repeat>,
}

impl<'a> Call<'a> {
    fn new(name: &'static str, method: Method, bucket: &'a str, key: &'a str) -> Self {
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

    fn object(name: &'static str, method: Method, object: &'a Object) -> Self {
        Self::new(name, method, &object.bucket, &object.key)
    }

    fn header(mut self, name: HeaderName, value: &str) -> Self {
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
    fn of(headers: &HeaderMap) -> Self {
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
    async fn call(&self, call: Call<'_>) -> Result<Response> {
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

    async fn document(&self, call: Call<'_>) -> Result<Bytes> {
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
    async fn late_document(&self, call: Call<'_>) -> Result<(Bytes, HeaderMap)> {
        let answer = self.call(call).await?;
        let headers = answer.headers.clone();
        let bytes = answer.body.collect(MAX_ANSWER_BYTES).await?;
        match Said::read(&bytes) {
            Some(said) => Err(fault(late_status(&said), &headers, &said)),
            None => Ok((bytes, headers)),
        }
    }

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

    fn conditioned<'c>(&self, call: Call<'c>, condition: &Condition) -> Call<'c> {
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
    fn note_refusal(&self, error: &Error, condition: &Condition) {
        if *condition != Condition::Any && is_not_implemented(error) {
            self.learned.set_refuses_conditions(&self.target.authority());
        }
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
        use base64::Engine as _;
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
        let md5 =
            base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(text.as_bytes()));
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

    /// `CreateMultipartUpload`: the upload's id.
    pub(super) async fn begin_upload(&self, object: &Object, told: &HeaderMap) -> Result<String> {
        let query = [("uploads", "")];
        let call = Call {
            query: &query,
            headers: told.clone(),
            ..Call::object("create_upload", Method::POST, object)
        };
        let bytes = self.document(call).await?;
        answer::text(&bytes, "UploadId")?
            .ok_or_else(|| Error::new(Kind::Broken, "The service began an upload without an id."))
    }

    /// `UploadPart`: the part's etag.
    pub(super) async fn upload_part(
        &self,
        object: &Object,
        upload: &str,
        number: u32,
        load: Load,
    ) -> Result<String> {
        let number = number.to_string();
        let query = [("partNumber", number.as_str()), ("uploadId", upload)];
        let call = Call { query: &query, load, ..Call::object("upload_part", Method::PUT, object) };
        let answer = self.call(call).await?;
        let etag = answer.header(&header::ETAG).map(str::to_owned);
        etag.ok_or_else(|| Error::new(Kind::Broken, "The service took a part without an etag."))
    }

    /// `UploadPartCopy`: the part's etag.
    pub(super) async fn copy_part(
        &self,
        object: &Object,
        upload: &str,
        number: u32,
        from: &Object,
        version: Option<&str>,
        range: (u64, u64),
    ) -> Result<String> {
        let number = number.to_string();
        let query = [("partNumber", number.as_str()), ("uploadId", upload)];
        let call = Call { query: &query, ..Call::object("copy_part", Method::PUT, object) };
        let call = call
            .header(COPY_SOURCE, &copy_source(from, version))
            .header(COPY_RANGE, &format!("bytes={}-{}", range.0, range.1));
        let (bytes, _) = self.late_document(call).await?;
        answer::text(&bytes, "ETag")?
            .ok_or_else(|| Error::new(Kind::Broken, "The service copied a part without an etag."))
    }

    /// `CompleteMultipartUpload`.
    pub(super) async fn finish_upload(
        &self,
        object: &Object,
        upload: &str,
        parts: &[(u32, String)],
        condition: &Condition,
    ) -> Result<Written> {
        let mut text = String::from(
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
        );
        for (number, etag) in parts {
            let etag = super::xml::escape(etag);
            text.push_str(&format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            ));
        }
        text.push_str("</CompleteMultipartUpload>");
        let text = Bytes::from(text);
        loop {
            let query = [("uploadId", upload)];
            let call = Call {
                query: &query,
                load: Load::Bytes(text.clone()),
                ..Call::object("finish_upload", Method::POST, object)
            };
            let call = call.header(header::CONTENT_TYPE, "application/xml");
            let known = self.learned.refuses_conditions(&self.target.authority());
            match self.late_document(self.conditioned(call, condition)).await {
                Ok((bytes, headers)) => {
                    let etag = answer::text(&bytes, "ETag")?.as_deref().and_then(ETag::parse);
                    return Ok(Written { etag, version: Written::of(&headers).version });
                }
                Err(error) => {
                    self.note_refusal(&error, condition);
                    let now = self.learned.refuses_conditions(&self.target.authority());
                    if known || !now {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// `AbortMultipartUpload`. An upload that is gone is fine.
    pub(super) async fn abort_upload(&self, object: &Object, upload: &str) -> Result<()> {
        let query = [("uploadId", upload)];
        let call = Call { query: &query, ..Call::object("abort_upload", Method::DELETE, object) };
        match self.call(call).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// `GetObjectTagging`.
    pub(super) async fn tags(&self, object: &Object) -> Result<Vec<(String, String)>> {
        let query = [("tagging", "")];
        let call = Call { query: &query, ..Call::object("get_tags", Method::GET, object) };
        answer::tags(&self.document(call).await?)
    }

    /// `PutObjectTagging`, or `DeleteObjectTagging` when there is none to set.
    pub(super) async fn set_tags(&self, object: &Object, tags: &[(String, String)]) -> Result<()> {
        use base64::Engine as _;
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
        let md5 =
            base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(text.as_bytes()));
        let load = Load::Bytes(text.into());
        let call = Call { query: &query, load, ..Call::object("set_tags", Method::PUT, object) };
        let call = call.header(CONTENT_MD5, &md5).header(header::CONTENT_TYPE, "application/xml");
        self.call(call).await.map(|_| ())
    }
}

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

fn copy_source(from: &Object, version: Option<&str>) -> String {
    let source = format!("/{}/{}", from.bucket, encode(&from.key, true));
    match version {
        Some(version) => format!("{source}?versionId={}", encode(version, false)),
        None => source,
    }
}

/// The status that an error within a 200 would have had.
fn late_status(said: &Said) -> u16 {
    match said.code.as_deref() {
        Some("InternalError") => 500,
        Some("SlowDown" | "ServiceUnavailable") => 503,
        Some("NoSuchKey" | "NoSuchBucket" | "NoSuchUpload") => 404,
        Some("PreconditionFailed") => 412,
        Some("AccessDenied") => 403,
        _ => 400,
    }
}
