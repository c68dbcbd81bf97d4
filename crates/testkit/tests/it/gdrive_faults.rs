//! Google Drive against the sandbox: what goes wrong on the way, and uploads that survive it.
#![expect(clippy::indexing_slicing, reason = "tests")]

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::Method;
use serde_json::{Value, json};
use tramontane_connector::storage::ReadOptions;
use tramontane_connector::{Body, Conflict, Error, Kind, Place, Storage, WriteOptions};
use tramontane_model::PageRequest;
use tramontane_sandbox::{Fault, FaultRule};

use crate::gdrive_scenes::Home;

fn refusal(status: u16, reason: &str, retry_after: Option<u64>) -> Fault {
    let body = json!({"error": {"code": status, "message": "as ordered", "errors": [
        {"domain": "usageLimits", "reason": reason, "message": "as ordered"},
    ]}});
    Fault::Status { status, retry_after, body: Some(body.to_string()) }
}

fn noise(len: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let word = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    Bytes::from((0..len.div_ceil(8)).flat_map(word).take(len).collect::<Vec<u8>>())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_upload_survives_what_goes_wrong() {
    let ana = Home::alone().await;
    let whole = noise((20 << 20) + 12_345);
    let faults = [
        ("nothing", None),
        ("reset", Some(Fault::Reset)),
        ("lost", Some(Fault::LoseAnswer)),
        ("502", Some(refusal(502, "backendError", None))),
        ("limited", Some(refusal(403, "userRateLimitExceeded", None))),
    ];
    for skip in [0, 1, 2] {
        for (name, fault) in &faults {
            if let Some(fault) = fault {
                let mut rule = FaultRule::next("gdrive", "upload_id=", fault.clone());
                rule.skip = skip;
                ana.running.sandbox.faults().add(rule);
            }
            let mut rest = whole.clone();
            let mut pieces = Vec::new();
            while !rest.is_empty() {
                pieces.push(Ok(rest.split_to(rest.len().min(1_000_000))));
            }
            let len = (skip == 1).then_some(whole.len() as u64);
            let body = Body::new(stream::iter(pieces), len);
            let at = Place::new(ana.root(), format!("{name} {skip}"));
            let made = ana.storage.create(&ana.cx, &at, body, &WriteOptions::fail()).await.unwrap();
            assert_eq!(made.size, Some(whole.len() as u64), "{name} {skip}");
            let read = ana.storage.read(&ana.cx, &made.id, &ReadOptions::default()).await.unwrap();
            assert_eq!(read.body.collect(64 << 20).await.unwrap(), whole, "{name} {skip}");
            assert!(ana.running.sandbox.faults().list().is_empty(), "{name} {skip} did not happen");
        }
    }
    let made = ana.names(&ana.root()).await;
    assert_eq!(made.len(), 3 * faults.len() + 2, "{made:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_makes_nothing_twice() {
    let ana = Home::alone().await;
    let (root, cx) = (ana.root(), &ana.cx);
    ana.spoil("/upload/drive/v3/files", Fault::LoseAnswer);
    let file = ana.put(&root, "file", "content").await;
    ana.running.sandbox.faults().add(FaultRule {
        method: Some("POST".into()),
        ..FaultRule::next("gdrive", "/drive/v3/files?", Fault::LoseAnswer)
    });
    ana.storage.create_folder(cx, &Place::new(root.clone(), "folder")).await.unwrap();
    ana.spoil("/copy", Fault::LoseAnswer);
    let to = Place::new(root.clone(), "copy");
    let copy = ana.storage.copy(cx, &file.reference(), &to, Conflict::Fail).await.unwrap();
    assert_eq!(ana.text(&copy.id).await.unwrap(), "content");
    assert!(ana.running.sandbox.faults().list().is_empty());
    let mut names = ana.names(&root).await;
    names.sort();
    assert_eq!(names, ["Shared drives", "Shared with me", "copy", "file", "folder"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_limits_are_waited_for_and_told() {
    let ana = Home::alone().await;
    let limits = [
        refusal(403, "userRateLimitExceeded", None),
        refusal(403, "rateLimitExceeded", Some(0)),
        refusal(429, "rateLimitExceeded", None),
        refusal(429, "rateLimitExceeded", Some(1)),
        refusal(503, "backendError", None),
    ];
    for (n, fault) in limits.into_iter().enumerate() {
        ana.spoil("/upload/", fault.clone());
        ana.spoil("/files?q=", fault);
        ana.put(&ana.root(), &format!("{n}"), "x").await;
        assert!(ana.running.sandbox.faults().list().is_empty());
    }
    // One that stays is told, with the wait.
    let stays = FaultRule {
        times: 0,
        ..FaultRule::next("gdrive", "/about", refusal(403, "userRateLimitExceeded", Some(600)))
    };
    ana.running.sandbox.faults().add(stays);
    let error = ana.storage.quota(&ana.cx).await.unwrap_err();
    assert_eq!(error.kind, Kind::RateLimited);
    assert_eq!(error.retry, tramontane_connector::Retry::After(Duration::from_secs(600)));
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_say_what_they_are() {
    let ana = Home::alone().await;
    let file = ana.put(&ana.root(), "file", &"0123456789".repeat(100_000)).await;
    let read = async || ana.text(&file.id).await.unwrap_err();
    ana.spoil("alt=media", Fault::Truncate { after: 700_000 });
    assert_eq!(read().await.kind, Kind::Broken);
    ana.spoil("alt=media", refusal(403, "cannotDownloadAbusiveFile", None));
    assert_eq!(read().await.kind, Kind::Forbidden);
    ana.spoil("drive/v3/files/", Fault::Garble);
    assert_eq!(read().await.kind, Kind::Broken);
    let virus = r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*";
    let virus = ana.put(&ana.root(), "virus", virus).await;
    let error = ana.text(&virus.id).await.unwrap_err();
    assert!(error.kind == Kind::Forbidden && error.message.contains("malware"), "{error}");

    ana.spoil("/upload/", refusal(403, "storageQuotaExceeded", None));
    let at = Place::new(ana.root(), "full");
    let full = ana.storage.create(&ana.cx, &at, Body::from_bytes("x"), &WriteOptions::fail()).await;
    assert_eq!(full.unwrap_err().kind, Kind::Full);
    let page = PageRequest::after("p::not-a-token".into(), 10);
    let stale = ana.storage.list(&ana.cx, &ana.root(), &page).await.unwrap_err();
    assert_eq!(stale.kind, Kind::CursorExpired);

    // The grant ends in the middle of an upload: said so, and nothing is there.
    let issuer = ana.running.sandbox.issuer("gdrive").unwrap().clone();
    let pieces = stream::iter(0..12u8).map(move |n| {
        if n == 9 {
            issuer.expire_access();
        }
        Ok(Bytes::from(vec![n; 1 << 20]))
    });
    let at = Place::new(ana.root(), "half");
    let half =
        ana.storage.create(&ana.cx, &at, Body::new(pieces, None), &WriteOptions::fail()).await;
    // A session's URL carries its own leave; what follows does not.
    if let Err(error) = &half {
        assert_eq!(error.kind, Kind::Credential, "{error}");
    }
    let error = ana.storage.get(&ana.cx, &file.reference()).await.unwrap_err();
    assert_eq!(error.kind, Kind::Credential);
    let again = Home::of(&ana.running, "ana", 43).await;
    let there = again.names(&again.root()).await;
    assert_eq!(there.contains(&"half".to_owned()), half.is_ok(), "{there:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_go_on_where_they_broke_off() {
    let ana = Home::alone().await;
    let whole = noise((17 << 20) + 5);
    let at = Place::new(ana.root(), "parts");
    let native = ana.connector.require_storage().unwrap();
    let sessions = native.sessions().unwrap();
    let how = WriteOptions::fail();
    let size = Some(whole.len() as u64);
    let session = sessions.start(&ana.cx, &at, size, &how).await.unwrap();
    assert!(!session.parallel && session.part_size == 8 << 20);
    let part = |n: usize| {
        let size = usize::try_from(session.part_size).unwrap();
        whole.slice((n - 1) * size..whole.len().min(n * size))
    };
    let put = async |n: usize| {
        let body = Body::from_bytes(part(n));
        sessions.put(&ana.cx, &session, u32::try_from(n).unwrap(), body).await
    };
    let early = put(2).await.unwrap_err();
    assert!(early.kind == Kind::Invalid && early.message.contains("part 1"), "{early}");
    // The first breaks off in its middle, and comes again.
    let half = part(1).slice(..3 << 20);
    let broken = Body::new(
        stream::iter([Ok(half), Err(Error::new(Kind::Body, "gone"))]),
        Some(session.part_size),
    );
    assert!(sessions.put(&ana.cx, &session, 1, broken).await.is_err());
    let mut done = vec![put(1).await.unwrap()];
    done.push(put(2).await.unwrap());
    assert_eq!(put(2).await.unwrap(), done[1], "a part that is there is there");
    done.push(put(3).await.unwrap());
    assert!(!ana.names(&ana.root()).await.iter().any(|name| name.contains("upload")));
    let short = sessions.finish(&ana.cx, &session, &done[..2]).await.unwrap_err();
    assert_eq!(short.kind, Kind::Invalid);
    let made = sessions.finish(&ana.cx, &session, &done).await.unwrap();
    let again = sessions.finish(&ana.cx, &session, &done).await.unwrap();
    assert_eq!((&made.id, made.name.as_str()), (&again.id, "parts"));
    let read = ana.storage.read(&ana.cx, &made.id, &ReadOptions::default()).await.unwrap();
    assert_eq!(read.body.collect(64 << 20).await.unwrap(), whole);
    // Given up when complete but not finished: nothing is left.
    let at = Place::new(ana.root(), "given up");
    let session = sessions.start(&ana.cx, &at, Some(3), &how).await.unwrap();
    sessions.put(&ana.cx, &session, 1, Body::from_bytes("abc")).await.unwrap();
    sessions.abort(&ana.cx, &session).await.unwrap();
    let left = ana.ask(Method::GET, "drive/v3/files", Value::Null).await;
    assert_eq!(left["files"].as_array().unwrap().len(), 1, "{left}");
}
