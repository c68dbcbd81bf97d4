//! What S3 answers, read from XML and headers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, header};
use percent_encoding::percent_decode_str;
use tramontane_connector::error::Kind;
use tramontane_connector::{ETag, Error, Hashes, Result};
use tramontane_model::Timestamp;

use super::place::Facts;
use super::xml::{self, Element};

/// One object of a listing.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Row {
    pub(super) key: String,
    pub(super) facts: Facts,
}

/// One page of a listing.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Listing {
    pub(super) objects: Vec<Row>,
    /// The prefixes below the one listed, up to and with the delimiter.
    pub(super) prefixes: Vec<String>,
    /// Where the next page begins.
    pub(super) next: Option<String>,
}

impl Listing {
    /// Reads the answer of `ListObjectsV2`.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        let root = xml::parse(bytes)?;
        expect(&root, &["ListBucketResult"])?;
        let encoded = root.text_of("EncodingType") == Some("url");
        let mut listing = Self::default();
        for content in root.all("Contents") {
            let key = content.text_of("Key").map(|key| plain(key, encoded));
            let Some(key) = key else { return Err(nonsense("an object has no key")) };
            listing.objects.push(Row { key, facts: facts_of(content) });
        }
        for common in root.all("CommonPrefixes") {
            let prefix = common.text_of("Prefix").map(|prefix| plain(prefix, encoded));
            let Some(prefix) = prefix else { return Err(nonsense("a prefix is empty")) };
            listing.prefixes.push(prefix);
        }
        if root.text_of("IsTruncated") == Some("true") {
            let next = root.text_of("NextContinuationToken");
            let Some(next) = next else { return Err(nonsense("the next page has no token")) };
            listing.next = Some(next.to_owned());
        }
        Ok(listing)
    }
}

/// One bucket.
#[derive(Debug, PartialEq)]
pub(super) struct Bucket {
    pub(super) name: String,
    pub(super) created: Option<Timestamp>,
    pub(super) region: Option<String>,
}

/// Reads the answer of `ListBuckets`: the buckets, and the token of the next page.
pub(super) fn buckets(bytes: &[u8]) -> Result<(Vec<Bucket>, Option<String>)> {
    let root = xml::parse(bytes)?;
    expect(&root, &["ListAllMyBucketsResult", "ListBucketsResult"])?;
    let mut buckets = Vec::new();
    for bucket in root.child("Buckets").into_iter().flat_map(|list| list.all("Bucket")) {
        let Some(name) = bucket.text_of("Name") else {
            return Err(nonsense("a bucket has no name"));
        };
        buckets.push(Bucket {
            name: name.to_owned(),
            created: bucket.text_of("CreationDate").and_then(whole_seconds),
            region: bucket.text_of("BucketRegion").map(str::to_owned),
        });
    }
    Ok((buckets, root.text_of("ContinuationToken").map(str::to_owned)))
}

/// One version of an object.
#[derive(Debug, PartialEq)]
pub(super) struct VersionRow {
    pub(super) key: String,
    pub(super) id: String,
    pub(super) latest: bool,
    /// Whether it only says that the object was deleted.
    pub(super) marker: bool,
    pub(super) facts: Facts,
}

/// One page of versions.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Versions {
    pub(super) rows: Vec<VersionRow>,
    /// Key and version id to go on after.
    pub(super) next: Option<(String, String)>,
}

impl Versions {
    /// Reads the answer of `ListObjectVersions`.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        let root = xml::parse(bytes)?;
        expect(&root, &["ListVersionsResult", "ListObjectVersionsResult"])?;
        let encoded = root.text_of("EncodingType") == Some("url");
        let mut versions = Self::default();
        for row in &root.children {
            let marker = match row.name.as_str() {
                "Version" => false,
                "DeleteMarker" => true,
                _ => continue,
            };
            let key = row.text_of("Key").map(|key| plain(key, encoded));
            let Some(key) = key else { return Err(nonsense("a version has no key")) };
            versions.rows.push(VersionRow {
                key,
                id: row.text_of("VersionId").unwrap_or("null").to_owned(),
                latest: row.text_of("IsLatest") == Some("true"),
                marker,
                facts: facts_of(row),
            });
        }
        if root.text_of("IsTruncated") == Some("true") {
            let key = root.text_of("NextKeyMarker").map(|key| plain(key, encoded));
            let Some(key) = key else { return Err(nonsense("the next page has no marker")) };
            let id = root.text_of("NextVersionIdMarker").unwrap_or_default();
            versions.next = Some((key, id.to_owned()));
        }
        Ok(versions)
    }
}

/// Reads the first failure in the answer of `DeleteObjects`: its code and its words.
pub(super) fn first_failure(bytes: &[u8]) -> Result<Option<(String, String)>> {
    let root = xml::parse(bytes)?;
    expect(&root, &["DeleteResult", "DeleteObjectsResult"])?;
    let mut failures = root.all("Error").filter(|one| one.text_of("Code") != Some("NoSuchKey"));
    Ok(failures.next().map(|one| {
        let code = one.text_of("Code").unwrap_or("InternalError").to_owned();
        (code, one.text_of("Message").unwrap_or_default().to_owned())
    }))
}

/// The text of one element of an answer: an upload id, an etag, a status.
pub(super) fn text(bytes: &[u8], name: &str) -> Result<Option<String>> {
    let root = xml::parse(bytes)?;
    Ok(root.text_of(name).map(str::to_owned))
}

/// Reads the answer of `GetObjectTagging`.
pub(super) fn tags(bytes: &[u8]) -> Result<Vec<(String, String)>> {
    let root = xml::parse(bytes)?;
    expect(&root, &["Tagging", "GetObjectTaggingOutput"])?;
    let tags = root.child("TagSet").into_iter().flat_map(|set| set.all("Tag"));
    let pairs = tags.filter_map(|tag| {
        let value = tag.child("Value").map(|value| value.text.clone()).unwrap_or_default();
        Some((tag.text_of("Key")?.to_owned(), value))
    });
    Ok(pairs.collect())
}

/// What the headers of `HeadObject` or `GetObject` tell. `whole` says whether `Content-Length` is the
/// object's own size (and not a range's).
pub(super) fn facts(headers: &HeaderMap, whole: bool) -> Facts {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let named = |name: &'static str| text(&HeaderName::from_static(name));
    let etag = text(&header::ETAG).and_then(ETag::parse);
    let size = match text(&header::CONTENT_RANGE) {
        Some(range) => range.rsplit('/').next().and_then(|size| size.parse().ok()),
        None if whole => text(&header::CONTENT_LENGTH).and_then(|size| size.parse().ok()),
        None => None,
    };
    // S3's own word for "nothing was said" is no media type that anyone chose.
    let media_type = text(&header::CONTENT_TYPE)
        .filter(|kind| !matches!(*kind, "binary/octet-stream" | "application/octet-stream" | ""));
    let mut hashes = Hashes::default();
    let sealed = named("x-amz-server-side-encryption").is_some_and(|how| how != "AES256")
        || named("x-amz-server-side-encryption-customer-algorithm").is_some();
    if !sealed {
        hashes.md5 = etag.as_ref().and_then(md5_of);
    }
    let composite = named("x-amz-checksum-type") == Some("COMPOSITE");
    let checksum = |name: &'static str, length: usize| {
        let value = named(name).filter(|_| !composite)?;
        let bytes = STANDARD.decode(value).ok()?;
        (bytes.len() == length).then(|| hex::encode(bytes))
    };
    hashes.sha256 = checksum("x-amz-checksum-sha256", 32);
    hashes.sha1 = checksum("x-amz-checksum-sha1", 20);
    hashes.crc32c = checksum("x-amz-checksum-crc32c", 4);
    Facts {
        size,
        modified: text(&header::LAST_MODIFIED).and_then(Timestamp::parse_http_date),
        etag,
        media_type: media_type.map(str::to_owned),
        version: named("x-amz-version-id").filter(|id| *id != "null").map(str::to_owned),
        hashes,
    }
}

/// The MD5 that an etag is, when it is one: 32 hex digits and no part count after a `-`.
fn md5_of(etag: &ETag) -> Option<String> {
    let fine = etag.value.len() == 32 && etag.value.bytes().all(|byte| byte.is_ascii_hexdigit());
    fine.then(|| etag.value.to_ascii_lowercase())
}

/// What a listing tells of an object. No MD5: a listing does not say whether the object is encrypted
/// with a key of its own, which makes the etag something else.
fn facts_of(row: &Element) -> Facts {
    Facts {
        size: row.text_of("Size").and_then(|size| size.parse().ok()),
        modified: row.text_of("LastModified").and_then(whole_seconds),
        etag: row.text_of("ETag").and_then(ETag::parse),
        ..Facts::default()
    }
}

/// A moment cut to seconds, because headers tell no finer than that: an object's time shall be the
/// same in a listing and by itself.
fn whole_seconds(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text).map(|moment| Timestamp::from_seconds(moment.seconds()))
}

/// A key as it is. Encoded ones are encoded as forms are: `+` is a space.
fn plain(text: &str, encoded: bool) -> String {
    if !encoded {
        return text.to_owned();
    }
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

fn expect(root: &Element, names: &[&str]) -> Result<()> {
    if names.contains(&root.name.as_str()) {
        return Ok(());
    }
    Err(nonsense("it is something else"))
}

fn nonsense(why: &str) -> Error {
    Error::new(Kind::Broken, format!("The service's answer makes no sense: {why}."))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_a_listing_with_encoded_keys() {
        let listing = Listing::read(
            b"<ListBucketResult xmlns=\"x\"><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
              <NextContinuationToken>t=1</NextContinuationToken>\
              <Contents><Key>a+b%2Bc%2541/n%01</Key><ETag>&#34;0f&#34;</ETag><Size>5</Size>\
              <LastModified>2026-11-23T09:16:42.760Z</LastModified></Contents>\
              <CommonPrefixes><Prefix>d%20e/</Prefix></CommonPrefixes></ListBucketResult>",
        )
        .unwrap();
        let row = listing.objects.first().unwrap();
        assert_eq!(row.key, "a b+c%41/n\u{1}");
        assert_eq!(row.facts.etag, Some(ETag::strong("0f")));
        assert_eq!(row.facts.modified.unwrap().to_string(), "2026-11-23T09:16:42Z");
        assert_eq!(listing.prefixes, ["d e/"]);
        assert_eq!(listing.next.as_deref(), Some("t=1"));
    }

    #[test]
    fn keys_are_taken_as_they_are_when_the_server_did_not_encode() {
        let text = b"<ListBucketResult><Contents><Key>a+%41</Key></Contents></ListBucketResult>";
        assert_eq!(Listing::read(text).unwrap().objects.first().unwrap().key, "a+%41");
    }

    #[test]
    fn refuses_answers_that_are_something_else() {
        assert!(Listing::read(b"<html/>").is_err());
        assert!(Listing::read(b"<ListBucketResult><Contents/></ListBucketResult>").is_err());
        let no_token = b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>";
        assert!(Listing::read(no_token).is_err());
        assert!(Versions::read(b"<ListBucketResult/>").is_err());
        assert!(buckets(b"<Error/>").is_err());
    }

    #[test]
    fn versions_and_markers_keep_their_order() {
        let versions = Versions::read(
            b"<ListVersionsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>\
              <NextVersionIdMarker>2</NextVersionIdMarker>\
              <DeleteMarker><Key>k</Key><VersionId>3</VersionId><IsLatest>true</IsLatest></DeleteMarker>\
              <Version><Key>k</Key><VersionId>2</VersionId><Size>1</Size></Version></ListVersionsResult>",
        )
        .unwrap();
        let seen: Vec<_> = versions.rows.iter().map(|row| (row.id.as_str(), row.marker)).collect();
        assert_eq!(seen, [("3", true), ("2", false)]);
        assert_eq!(versions.next, Some(("k".into(), "2".into())));
    }

    #[test]
    fn an_etag_is_an_md5_only_when_it_surely_is_one() {
        let md5 = "5d41402abc4b2a76b9719d911017c592";
        let told = |pairs: &[(&'static str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
            });
            facts(&pairs.collect(), true).hashes.md5
        };
        let etag = format!("\"{md5}\"");
        assert_eq!(told(&[("etag", &etag)]).as_deref(), Some(md5));
        assert_eq!(told(&[("etag", &format!("\"{md5}-2\""))]), None);
        let kms = ("x-amz-server-side-encryption", "aws:kms");
        assert_eq!(told(&[("etag", &etag), kms]), None);
        let own = ("x-amz-server-side-encryption", "AES256");
        assert_eq!(told(&[("etag", &etag), own]).as_deref(), Some(md5));
    }

    #[test]
    fn checksums_of_parts_are_not_checksums_of_the_whole() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-checksum-crc32c", HeaderValue::from_static("AAAAAQ=="));
        assert_eq!(facts(&headers, true).hashes.crc32c.as_deref(), Some("00000001"));
        headers.insert("x-amz-checksum-type", HeaderValue::from_static("COMPOSITE"));
        assert_eq!(facts(&headers, true).hashes.crc32c, None);
        headers.remove("x-amz-checksum-type");
        headers.insert("x-amz-checksum-crc32c", HeaderValue::from_static("AAAAAQ==-2"));
        assert_eq!(facts(&headers, true).hashes.crc32c, None);
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_panic(
            text in "<(ListBucketResult|ListVersionsResult|DeleteResult|Tagging)>(</?(Contents|Key|Version|IsTruncated|TagSet|Tag|Error)>|true|%zz|&#x0;|.){0,30}"
        ) {
            let bytes = text.as_bytes();
            let _ = (Listing::read(bytes), Versions::read(bytes), buckets(bytes), tags(bytes));
            let _ = (first_failure(bytes), super::text(bytes, "UploadId"));
        }
    }
}
