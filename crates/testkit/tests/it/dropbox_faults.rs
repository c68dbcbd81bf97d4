//! What goes wrong between us and Dropbox: told as what it is, nothing done twice, nothing half-done.

use std::time::Duration;

use tramontane_connector::storage::ReadOptions;
use tramontane_connector::{Body, Kind, Place, Retry, Storage, WriteOptions};
use tramontane_model::PageRequest;
use tramontane_sandbox::{Fault, FaultRule};

use crate::dropbox::Home;

fn status(status: u16, retry_after: Option<u64>, body: Option<&str>) -> Fault {
    Fault::Status { status, retry_after, body: body.map(str::to_owned) }
}

#[tokio::test(flavor = "multi_thread")]
async fn passing_failures_of_reads_are_tried_again() {
    let home = Home::ana().await;
    let made = home.put(&home.root(), "a.txt", "content").await;
    let passing = [
        status(429, None, None),
        status(429, Some(1), None),
        status(500, None, Some("Internal Server Error")),
        status(503, None, None),
        Fault::Reset,
        Fault::LoseAnswer,
    ];
    for fault in passing {
        home.spoil("get_metadata", fault.clone());
        let got = home.storage.get(&home.cx(), &made.reference()).await;
        assert_eq!(got.unwrap().id, made.id, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lasting_failures_are_told_as_the_services() {
    let home = Home::ana().await;
    let made = home.put(&home.root(), "a.txt", "content").await;
    let table = [
        (status(500, None, None), Kind::Broken),
        (status(503, None, None), Kind::Unavailable),
        (status(409, None, Some("<garbled")), Kind::Broken),
        (status(403, None, None), Kind::Forbidden),
        (status(400, None, Some("Error in call to API function")), Kind::Invalid),
        (Fault::Garble, Kind::Broken),
        (Fault::Truncate { after: 20 }, Kind::Broken),
    ];
    for (fault, expected) in table {
        let rule =
            FaultRule { times: 0, ..FaultRule::next("dropbox", "get_metadata", fault.clone()) };
        home.running.sandbox.faults().add(rule);
        let cx = home.cx().within(Duration::from_secs(2));
        let error = home.storage.get(&cx, &made.reference()).await.unwrap_err();
        home.running.sandbox.faults().clear();
        assert_eq!(error.kind, expected, "{fault:?}: {error}");
    }
    home.spoil("get_metadata", status(429, Some(600), None));
    let error = home.storage.get(&home.cx(), &made.reference()).await.unwrap_err();
    assert_eq!(error.kind, Kind::RateLimited);
    assert_eq!(error.retry, Retry::After(Duration::from_secs(600)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_told_as_the_credential() {
    let home = Home::ana().await;
    let made = home.put(&home.root(), "a.txt", "content").await;
    home.running.sandbox.issuer("dropbox").unwrap().expire_access();
    let error = home.storage.get(&home.cx(), &made.reference()).await.unwrap_err();
    assert_eq!(error.kind, Kind::Credential);
    let error = home.storage.read(&home.cx(), &made.id, &ReadOptions::default()).await.unwrap_err();
    assert_eq!(error.kind, Kind::Credential);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_whose_answer_is_lost_is_done_once() {
    let home = Home::ana().await;
    let at = Place::new(home.root(), "a.txt");
    let how = WriteOptions::fail();
    let cx = home.cx();
    let create =
        |content: &'static str| home.storage.create(&cx, &at, Body::from_bytes(content), &how);
    home.spoil("files/upload", Fault::LoseAnswer);
    assert!(create("first").await.is_err());
    assert_eq!(home.names(&home.root()).await, ["a.txt"]);
    let again = create("first").await.unwrap_err();
    assert!(matches!(again.kind, Kind::Conflict(Some(_))), "{again:?}");
    let folder = Place::new(home.root(), "folder");
    home.spoil("create_folder_v2", Fault::LoseAnswer);
    assert!(home.storage.create_folder(&home.cx(), &folder).await.is_err());
    let again = home.storage.create_folder(&home.cx(), &folder).await.unwrap_err();
    assert!(matches!(again.kind, Kind::Conflict(Some(_))), "{again:?}");
    assert_eq!(home.names(&home.root()).await, ["a.txt", "folder"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_fails_leaves_no_file() {
    let home = Home::ana().await;
    let at = Place::new(home.root(), "a.bin");
    let how = WriteOptions::fail();
    for (path, fault) in [
        ("files/upload", Fault::Reset),
        ("files/upload", status(500, None, None)),
        ("upload_session/start", status(403, None, None)),
        ("append_v2", status(403, None, None)),
        ("upload_session/finish", status(500, None, None)),
    ] {
        home.spoil(path, fault.clone());
        let len = if path == "files/upload" { 1_000 } else { 17 << 20 };
        let body = Body::from_bytes(vec![7; len]);
        let body = if path == "files/upload" { body } else { body.without_len() };
        let made = home.storage.create(&home.cx(), &at, body, &how).await;
        assert!(made.is_err(), "{path} {fault:?}");
        assert!(home.names(&home.root()).await.is_empty(), "{path} {fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_breaks_off_never_passes_for_a_whole_one() {
    let home = Home::ana().await;
    let made = home.put(&home.root(), "a.txt", &"content ".repeat(500_000)).await;
    home.spoil("files/download", Fault::Truncate { after: 2_000_000 });
    let read = home.storage.read(&home.cx(), &made.id, &ReadOptions::default()).await.unwrap();
    assert!(read.body.checked().collect(8 << 20).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_wait_while_too_much_is_written_at_once() {
    let home = Home::ana().await;
    let body = r#"{"error_summary":"path/too_many_write_operations/..","error":{".tag":"path","path":{".tag":"too_many_write_operations"}}}"#;
    home.spoil("create_folder_v2", status(409, None, Some(body)));
    let made = home.folder(&home.root(), "f").await;
    assert_eq!(home.names(&home.root()).await, ["f"]);
    assert_eq!(made.name, "f");
    let full = r#"{"error_summary":"path/insufficient_space/..","error":{".tag":"path","reason":{".tag":"insufficient_space"},"upload_session_id":"x"}}"#;
    home.spoil("files/upload", status(409, None, Some(full)));
    let at = Place::new(home.root(), "a");
    let refused =
        home.storage.create(&home.cx(), &at, Body::from_bytes("x"), &WriteOptions::fail()).await;
    assert_eq!(refused.unwrap_err().kind, Kind::Full);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_dropbox_forgot_is_expired() {
    let home = Home::ana().await;
    for name in ["a", "b", "c", "d"] {
        home.put(&home.root(), name, name).await;
    }
    let page = home.storage.list(&home.cx(), &home.root(), &PageRequest::first(2)).await.unwrap();
    let next = page.next.unwrap();
    let tree =
        home.storage.list_tree(&home.cx(), &home.root(), &PageRequest::first(2)).await.unwrap();
    let url = home.running.base("dropbox").unwrap().join("_sandbox/reset_cursors").unwrap();
    let mut reset = tramontane_connector::http::Request::new("reset", http::Method::POST, url);
    reset.signed = false;
    assert!(home.cx().send(reset).await.unwrap().status.is_success());
    let lost = home.storage.list(&home.cx(), &home.root(), &PageRequest::after(next, 2)).await;
    assert_eq!(lost.unwrap_err().kind, Kind::CursorExpired);
    let after = PageRequest::after(tree.next.unwrap(), 2);
    let lost = home.storage.list_tree(&home.cx(), &home.root(), &after).await;
    assert_eq!(lost.unwrap_err().kind, Kind::CursorExpired);
}
