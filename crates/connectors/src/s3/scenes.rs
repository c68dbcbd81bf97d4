//! Scenes with a service that answers as a test says: regions, refusals, errors within successes, and
//! uploads that break off.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use tramontane_connector::storage::DeleteOptions;
use tramontane_connector::{
    Body, Conflict, Connector, EntryRef, Error, Kind, Place, Storage, WriteOptions,
};
use tramontane_model::{NativeId, PageRequest};

use super::S3;
use super::samples::{Answer, Scripted, Sent, context};

const OWN: &[(&str, &str)] = &[("endpoint", "http://h:1"), ("bucket", "b")];

fn storage() -> Arc<dyn Storage> {
    S3::amazon().storage().unwrap()
}

fn error(status: u16, code: &str) -> Answer {
    (status, Vec::new(), format!("<Error><Code>{code}</Code></Error>"))
}

fn listing(keys: &[&str]) -> Answer {
    let rows = keys.iter().map(|key| format!("<Contents><Key>{key}</Key></Contents>"));
    let rows: String = rows.collect();
    (200, Vec::new(), format!("<ListBucketResult>{rows}</ListBucketResult>"))
}

fn is_list(sent: &Sent) -> bool {
    sent.url.query().is_some_and(|query| query.contains("list-type=2"))
}

/// An empty bucket that takes everything.
fn empty(sent: &Sent) -> Answer {
    match sent.method.as_str() {
        "GET" if is_list(sent) => listing(&[]),
        "HEAD" => (404, Vec::new(), String::new()),
        "POST" if sent.url.query() == Some("uploads") => {
            let text = "<R><UploadId>up</UploadId></R>";
            (200, Vec::new(), text.into())
        }
        "POST" => (200, Vec::new(), "<R><ETag>\"whole-2\"</ETag></R>".into()),
        "DELETE" => (204, Vec::new(), String::new()),
        _ => (200, vec![("etag", "\"e\"")], String::new()),
    }
}

#[tokio::test]
async fn a_bucket_in_another_region_is_found_and_remembered() {
    let lent = Scripted::new(|sent| {
        if sent.url.host_str() == Some("b.s3.eu-west-1.amazonaws.com") {
            return listing(&["k"]);
        }
        let moved = vec![("x-amz-bucket-region", "eu-west-1")];
        (301, moved, "<Error><Code>PermanentRedirect</Code></Error>".into())
    });
    let (cx, storage) = (context(&[], &lent), storage());
    let first = PageRequest::first(10);
    for _ in 0..2 {
        let page = storage.list(&cx, &NativeId::new("/b"), &first).await.unwrap();
        assert_eq!(page.items.len(), 1);
    }
    let hosts: Vec<_> =
        lent.sent().iter().map(|sent| sent.url.host_str().unwrap().to_owned()).collect();
    assert_eq!(
        hosts,
        [
            "b.s3.us-east-1.amazonaws.com",
            "b.s3.eu-west-1.amazonaws.com",
            "b.s3.eu-west-1.amazonaws.com"
        ]
    );
}

#[tokio::test]
async fn a_region_in_the_error_document_is_followed_too() {
    let lent = Scripted::new(|sent| {
        if sent.url.host_str().unwrap().contains("ap-south-1") {
            return listing(&["k"]);
        }
        let text =
            "<Error><Code>AuthorizationHeaderMalformed</Code><Region>ap-south-1</Region></Error>";
        (400, Vec::new(), text.into())
    });
    let cx = context(&[], &lent);
    let page = storage().list(&cx, &NativeId::new("/b"), &PageRequest::first(10)).await.unwrap();
    assert_eq!(page.items.len(), 1);
}

#[tokio::test]
async fn a_region_that_is_none_leads_nowhere() {
    let lent = Scripted::new(|_| {
        let moved = vec![("x-amz-bucket-region", "x.evil.example/")];
        (301, moved, String::new())
    });
    let cx = context(&[], &lent);
    let refused = storage().list(&cx, &NativeId::new("/b"), &PageRequest::first(10)).await;
    assert!(refused.unwrap_err().message.contains("region"));
    assert_eq!(lent.sent().len(), 1);
}

#[tokio::test]
async fn a_stream_is_sent_only_when_the_region_is_known() {
    let lent = Scripted::new(|sent| match sent.method.as_str() {
        "HEAD" if sent.url.path() == "/" && sent.url.as_str().contains("us-east-1") => {
            (301, vec![("x-amz-bucket-region", "eu-west-1")], String::new())
        }
        "HEAD" => (200, vec![("etag", "\"old\"")], String::new()),
        _ => empty(sent),
    });
    let cx = context(&[], &lent);
    let body = Body::from_bytes(vec![1; 300 << 10]);
    storage().update(&cx, &NativeId::new("/b/k"), body, None).await.unwrap();
    let sent = lent.sent();
    let puts: Vec<_> = sent.iter().filter(|sent| sent.method == "PUT").collect();
    assert_eq!(puts.len(), 1);
    assert_eq!(puts[0].url.host_str(), Some("b.s3.eu-west-1.amazonaws.com"));
    assert_eq!(puts[0].headers["x-amz-content-sha256"], "UNSIGNED-PAYLOAD");
}

#[tokio::test]
async fn a_server_that_knows_no_conditions_is_asked_without() {
    let lent = Scripted::new(|sent| {
        if sent.headers.contains_key("if-none-match") {
            return error(501, "NotImplemented");
        }
        empty(sent)
    });
    let (cx, storage) = (context(OWN, &lent), storage());
    for name in ["one", "two"] {
        let at = Place::new(NativeId::new("/b"), name);
        let body = Body::from_bytes("x");
        storage.create(&cx, &at, body, &WriteOptions::fail()).await.unwrap();
    }
    let puts = lent.sent().into_iter().filter(|sent| sent.method == "PUT").count();
    // Once in vain, once without, and from then on without at once.
    assert_eq!(puts, 3);
}

#[tokio::test]
async fn losing_the_race_for_a_name_is_a_conflict() {
    for (status, code) in [
        (412, "PreconditionFailed"),
        (409, "ConditionalRequestConflict"),
        (409, "OperationAborted"),
    ] {
        let lent = Scripted::new(move |sent| match sent.method.as_str() {
            "PUT" => error(status, code),
            _ => empty(sent),
        });
        let at = Place::new(NativeId::new("/b"), "k");
        let body = Body::from_bytes("x");
        let lost = storage().create(&context(OWN, &lent), &at, body, &WriteOptions::fail()).await;
        let there = EntryRef::file(NativeId::new("/b/k"));
        assert_eq!(lost.unwrap_err().kind, Kind::Conflict(Some(there)), "{code}");
    }
}

#[tokio::test]
async fn an_error_within_a_success_is_an_error() {
    let lent = Scripted::new(|sent| match sent.method.as_str() {
        "HEAD" if sent.url.path() == "/b/from" => {
            (200, vec![("content-length", "1")], String::new())
        }
        "PUT" => error(200, "InternalError"),
        _ => empty(sent),
    });
    let from = EntryRef::file(NativeId::new("/b/from"));
    let to = Place::new(NativeId::new("/b"), "to");
    let copied = storage().copy(&context(OWN, &lent), &from, &to, Conflict::Replace).await;
    assert_eq!(copied.unwrap_err().kind, Kind::Unavailable);
}

#[tokio::test]
async fn keys_that_could_not_be_deleted_are_an_error() {
    let lent = Scripted::new(|sent| match sent.method.as_str() {
        "POST" => {
            let text =
                "<DeleteResult><Error><Key>k</Key><Code>AccessDenied</Code></Error></DeleteResult>";
            (200, Vec::new(), text.into())
        }
        "GET" => listing(&["d/", "d/k"]),
        _ => empty(sent),
    });
    let how = DeleteOptions { recursive: true, ..DeleteOptions::default() };
    let folder = EntryRef::folder(NativeId::new("/b/d"));
    let refused = storage().delete(&context(OWN, &lent), &folder, &how).await;
    assert_eq!(refused.unwrap_err().kind, Kind::Forbidden);
    let gone = lent.sent().into_iter().any(|sent| sent.method == "DELETE");
    assert!(!gone, "the folder went although it could not be emptied");
}

#[tokio::test]
async fn answers_that_are_no_xml_are_broken() {
    for text in ["", "<html>", "<ListBucketResult>", "{\"json\": true}", "\u{0}", "<a/><b/>"] {
        let lent = Scripted::new(move |_| (200, Vec::new(), text.into()));
        let cx = context(OWN, &lent);
        let listed = storage().list(&cx, &NativeId::new("/b"), &PageRequest::first(10)).await;
        assert_eq!(listed.unwrap_err().kind, Kind::Broken, "{text:?}");
    }
}

#[tokio::test]
async fn a_silent_refusal_is_asked_for_its_words() {
    let lent = Scripted::new(|sent| match sent.method.as_str() {
        "HEAD" => (403, Vec::new(), String::new()),
        _ => error(403, "InvalidAccessKeyId"),
    });
    let file = EntryRef::file(NativeId::new("/b/k"));
    let refused = storage().get(&context(OWN, &lent), &file).await;
    assert_eq!(refused.unwrap_err().kind, Kind::Credential);
}

/// A key that is right and may not list is told from one that is wrong: people look elsewhere for each.
#[tokio::test]
async fn a_key_without_the_right_to_list_lacks_a_permission_and_is_no_wrong_key() {
    for (code, expected) in [
        ("AccessDenied", Kind::Forbidden),
        ("InvalidAccessKeyId", Kind::Credential),
        ("SignatureDoesNotMatch", Kind::Credential),
    ] {
        for settings in [OWN, &[OWN, &[("bucket", "b")]].concat()] {
            let lent = Scripted::new(move |_| error(403, code));
            let refused = super::S3::compatible().identify(&context(settings, &lent)).await;
            let refused = refused.unwrap_err();
            assert_eq!(refused.kind, expected, "{code}");
            assert!(expected != Kind::Forbidden || refused.message.contains("list"), "{refused}");
        }
    }
}

fn long_body(breaks: bool) -> Body {
    let end = if breaks { Err(Error::new(Kind::Body, "broke off")) } else { Ok(Bytes::new()) };
    let parts = (0..18).map(|_| Ok(Bytes::from(vec![7; 1 << 20]))).chain([end]);
    Body::new(stream::iter(parts.collect::<Vec<_>>()), None)
}

async fn was_given_up(lent: &Scripted) -> bool {
    for _ in 0..1_000 {
        if lent.lines().contains(&"DELETE http://h:1/b/k?uploadId=up".to_owned()) {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

#[tokio::test]
async fn content_of_unknown_length_goes_in_parts() {
    let lent = Scripted::new(empty);
    let at = Place::new(NativeId::new("/b"), "k");
    let cx = context(OWN, &lent);
    storage().create(&cx, &at, long_body(false), &WriteOptions::fail()).await.unwrap();
    let parts: Vec<_> =
        lent.sent().into_iter().filter(|sent| sent.method == "PUT").map(|sent| sent.size).collect();
    assert_eq!(parts, [8 << 20, 8 << 20, 2 << 20]);
    let last = lent.sent().into_iter().rfind(|sent| sent.method == "POST").unwrap();
    assert_eq!(last.headers["if-none-match"], "*");
    assert!(!was_given_up(&lent).await);
}

#[tokio::test]
async fn parts_are_given_up_when_the_content_breaks_off() {
    let lent = Scripted::new(empty);
    let at = Place::new(NativeId::new("/b"), "k");
    let cx = context(OWN, &lent);
    let made = storage().create(&cx, &at, long_body(true), &WriteOptions::fail()).await;
    assert_eq!(made.unwrap_err().kind, Kind::Body);
    assert!(was_given_up(&lent).await);
    assert_eq!(lent.lines().iter().filter(|line| line.starts_with("POST")).count(), 1);
}

#[tokio::test]
async fn parts_are_given_up_when_nobody_waits_any_more() {
    let lent = Scripted::new(empty);
    let at = Place::new(NativeId::new("/b"), "k");
    let cx = context(OWN, &lent);
    let pieces = stream::iter((0..18).map(|_| Ok(Bytes::from(vec![7; 1 << 20]))));
    let endless = Body::new(futures::StreamExt::chain(pieces, stream::pending()), None);
    let storage = storage();
    let how = WriteOptions::fail();
    let upload = storage.create(&cx, &at, endless, &how);
    assert!(tokio::time::timeout(Duration::from_millis(200), upload).await.is_err());
    assert!(was_given_up(&lent).await);
}

#[tokio::test]
async fn parts_are_given_up_when_the_service_refuses_one() {
    let lent = Scripted::new(|sent| match sent.method.as_str() {
        "PUT" => error(403, "QuotaExceeded"),
        _ => empty(sent),
    });
    let at = Place::new(NativeId::new("/b"), "k");
    let cx = context(OWN, &lent);
    let made = storage().create(&cx, &at, long_body(false), &WriteOptions::fail()).await;
    assert_eq!(made.unwrap_err().kind, Kind::Full);
    assert!(was_given_up(&lent).await);
}

#[tokio::test]
async fn files_larger_than_one_copy_are_copied_in_parts() {
    let lent = Scripted::new(|sent| match sent.method.as_str() {
        "HEAD" if sent.url.path() == "/b/from" => {
            let told = vec![
                ("content-length", "6000000000"),
                ("content-type", "video/mp4"),
                ("x-amz-meta-a", "1"),
                ("x-amz-version-id", "v1"),
            ];
            (200, told, String::new())
        }
        "PUT" => (200, Vec::new(), "<R><ETag>\"p\"</ETag></R>".into()),
        _ => empty(sent),
    });
    let from = EntryRef::file(NativeId::new("/b/from"));
    let to = Place::new(NativeId::new("/b"), "to");
    storage().copy(&context(OWN, &lent), &from, &to, Conflict::Fail).await.unwrap();
    let sent = lent.sent();
    let begun = sent.iter().find(|sent| sent.url.query() == Some("uploads")).unwrap();
    assert_eq!(begun.headers["content-type"], "video/mp4");
    assert_eq!(begun.headers["x-amz-meta-a"], "1");
    let mut ranges: Vec<_> = sent
        .iter()
        .filter(|sent| sent.method == "PUT")
        .map(|sent| sent.headers["x-amz-copy-source-range"].to_str().unwrap().to_owned())
        .collect();
    ranges.sort();
    assert_eq!(ranges.len(), 6);
    assert_eq!(ranges[0], "bytes=0-1073741823");
    assert!(ranges.contains(&"bytes=5368709120-5999999999".to_owned()), "{ranges:?}");
    let source =
        &sent.iter().find(|sent| sent.method == "PUT").unwrap().headers["x-amz-copy-source"];
    assert_eq!(source, "/b/from?versionId=v1");
}

#[tokio::test]
async fn a_server_that_ignores_ranges_leaves_them_to_the_gap_filler() {
    use tramontane_connector::storage::{ByteRange, ReadOptions};
    let lent = Scripted::new(|_| (200, vec![("content-length", "5")], "hello".into()));
    let how = ReadOptions { range: Some(ByteRange::From(1, None)), export: None };
    let read = storage().read(&context(OWN, &lent), &NativeId::new("/b/k"), &how).await;
    assert!(read.unwrap_err().is_declined());
}
