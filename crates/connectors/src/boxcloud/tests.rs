//! Mapping and fault tables, and ids and queries as an attacker would write them.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use tramontane_connector::error::Kind;
use tramontane_connector::{Bases, Connector as _, EntryKind, EntryRef, Retry};
use tramontane_model::NativeId;

use super::abilities::name_fault;
use super::fault::{Said, error};
use super::id::Id;
use super::item::entry;
use super::permissions::{box_role, role_of};
use super::properties::pointer;
use super::search::literal;
use super::{BoxCloud, DESCRIPTOR};

fn kind(status: u16, code: &str) -> Kind {
    let body = json!({"type": "error", "status": status, "code": code, "message": "m"});
    error(status, None, &Said::read(body.to_string().as_bytes())).kind
}

#[test]
fn codes_become_kinds() {
    for (status, code, wanted) in [
        (404, "not_found", Kind::NotFound),
        (404, "trashed", Kind::NotFound),
        (409, "item_name_in_use", Kind::Conflict(None)),
        (409, "operation_blocked_temporary", Kind::Unavailable),
        (400, "item_name_invalid", Kind::Invalid),
        (400, "item_name_too_long", Kind::Invalid),
        (400, "folder_not_empty", Kind::NotEmpty),
        (400, "cyclical_folder_structure", Kind::IntoItself),
        (412, "precondition_failed", Kind::Precondition),
        (412, "sync_item_precondition_failed", Kind::Precondition),
        (403, "storage_limit_exceeded", Kind::Full),
        (403, "file_size_limit_exceeded", Kind::TooLarge),
        (403, "access_denied_insufficient_permissions", Kind::Forbidden),
        (403, "access_denied_item_locked", Kind::Forbidden),
        (403, "never_heard_of", Kind::Forbidden),
        (400, "bad_digest", Kind::Broken),
        (412, "sha1_mismatch", Kind::Broken),
        (429, "rate_limit_exceeded", Kind::RateLimited),
        (503, "unavailable", Kind::Unavailable),
        (500, "internal_server_error", Kind::Broken),
    ] {
        assert_eq!(kind(status, code), wanted, "{status} {code}");
    }
}

#[test]
fn a_refusal_without_words_goes_by_its_status() {
    for (status, wanted) in [(401, Kind::Credential), (404, Kind::NotFound), (413, Kind::TooLarge)]
    {
        for body in ["", "<html>oops</html>", "null", "[]", "{\"code\": 7}"] {
            assert_eq!(error(status, None, &Said::read(body.as_bytes())).kind, wanted, "{body}");
        }
    }
}

#[test]
fn conflicts_tell_what_has_the_name() {
    let file = json!({"type": "file", "id": "12", "name": "a.txt"});
    let folder = json!([{"type": "folder", "id": "13", "name": "b"}]);
    for (conflicts, wanted) in [
        (file, Some(EntryRef::file(NativeId::new("file:12")))),
        (folder, Some(EntryRef::folder(NativeId::new("folder:13")))),
        (json!([]), None),
        (json!({"type": "file", "id": "../x"}), None),
    ] {
        let body = json!({"code": "item_name_in_use", "context_info": {"conflicts": conflicts}});
        let said = Said::read(body.to_string().as_bytes());
        assert_eq!(error(409, None, &said).kind, Kind::Conflict(wanted));
    }
}

#[test]
fn a_parent_that_is_not_there_is_told_apart() {
    let body = json!({"code": "not_found", "context_info": {"errors": [
        {"reason": "invalid_parameter", "name": "parent", "message": "not found"}]}});
    let said = Said::read(body.to_string().as_bytes());
    assert_eq!(error(404, None, &said).kind, Kind::ParentNotFound);
}

#[test]
fn a_named_wait_is_kept() {
    let said = Said::default();
    let wait = Some(Duration::from_secs(7));
    assert_eq!(error(429, wait, &said).retry, Retry::After(Duration::from_secs(7)));
    assert_eq!(error(429, None, &said).retry, Retry::Soon);
    assert_eq!(error(404, wait, &said).retry, Retry::Never);
}

#[test]
fn items_become_entries() {
    let file = json!({
        "type": "file", "id": "12345", "etag": "3", "sequence_id": "3", "name": "a.txt",
        "size": 629_644, "sha1": "85136C79CBF9FE36BB9D05D0639C70C265C18D37",
        "file_version": {"type": "file_version", "id": "99", "sha1": "85"},
        "parent": {"type": "folder", "id": "7", "name": "Sub"},
        "path_collection": {"total_count": 2, "entries": [
            {"type": "folder", "id": "0", "name": "All Files"}, {"type": "folder", "id": "7", "name": "Sub"}]},
        "created_at": "2012-12-12T10:53:43-08:00", "modified_at": "2012-12-12T10:55:43-08:00",
        "content_created_at": "2012-12-12T10:53:43-08:00",
        "content_modified_at": "2012-12-12T10:54:43-08:00",
        "owned_by": {"type": "user", "id": "11", "name": "Ana", "login": "ana@example.com"},
        "created_by": {"type": "user", "id": "", "name": "", "login": ""},
        "permissions": {"can_download": false, "can_upload": true}, "item_status": "active",
    });
    let made = entry(file, true).unwrap();
    assert_eq!((made.kind, made.id.as_str()), (EntryKind::File, "file:12345"));
    assert_eq!(made.path.as_deref(), Some("/Sub/a.txt"));
    assert_eq!(made.size, Some(629_644));
    assert_eq!(made.modified.unwrap().to_string(), "2012-12-12T18:54:43Z");
    assert_eq!(made.hashes.sha1.as_deref(), Some("85136c79cbf9fe36bb9d05d0639c70c265c18d37"));
    assert_eq!(made.version.as_deref(), Some("99"));
    assert_eq!(made.parent.unwrap().id.as_str(), "folder:7");
    assert_eq!(made.owner.unwrap().email.as_deref(), Some("ana@example.com"));
    assert_eq!(made.creator, None);
    assert!(!made.downloadable && made.raw.is_some());
    let root =
        json!({"type": "folder", "id": "0", "name": "All Files", "etag": null, "parent": null});
    let root = entry(root, false).unwrap();
    assert_eq!((root.path.as_deref(), root.parent, root.etag), (Some("/"), None, None));
    let shared = json!({"type": "folder", "id": "8", "name": "Theirs", "parent": null});
    assert_eq!(entry(shared, false).unwrap().parent.unwrap().id.as_str(), "folder:0");
    let link = json!({"type": "web_link", "id": "9", "name": "Box", "url": "https://box.com/"});
    let link = entry(link, false).unwrap();
    assert_eq!((link.kind, link.downloadable, link.size), (EntryKind::File, false, None));
    for odd in [json!({"type": "hub", "id": "1"}), json!({"type": "file", "id": "a/b"}), json!(7)] {
        assert_eq!(entry(odd, false).unwrap_err().kind, Kind::Broken);
    }
}

#[test]
fn roles_go_there_and_back() {
    for (ours, theirs) in [("writer", "editor"), ("reader", "viewer"), ("uploader", "uploader")] {
        assert_eq!(box_role(ours).unwrap(), theirs);
        assert_eq!(role_of(theirs), ours);
    }
    assert_eq!(role_of("co-owner"), "co-owner");
    assert!(matches!(box_role("owner").unwrap_err().kind, Kind::Unsupported(_)));
    assert_eq!(box_role("king").unwrap_err().kind, Kind::Invalid);
}

#[test]
fn signed_requests_go_to_box_alone() {
    let connector = BoxCloud::new(&Bases::default()).unwrap();
    let account = tramontane_connector::Account {
        id: tramontane_model::AccountId::new(1).unwrap(),
        service: DESCRIPTOR.name.into(),
        admin: false,
        settings: tramontane_connector::Settings::new(),
        credential: tramontane_connector::Credential::none(),
        revision: 1,
    };
    let may = |url: &str| connector.may_call(&account, &url.parse().unwrap());
    assert!(may("https://api.box.com/2.0/folders/0"));
    assert!(may("https://upload.box.com/api/2.0/files/content"));
    for other in [
        "https://dl.boxcloud.com/d/1/x/download",
        "https://account.box.com/api/oauth2/authorize",
        "http://api.box.com/2.0/folders/0",
        "https://api.box.com.evil.example/",
        "https://evil.example/api.box.com",
    ] {
        assert!(!may(other), "{other}");
    }
    let oauth = connector.oauth().unwrap();
    assert_eq!(oauth.authorize.as_str(), "https://account.box.com/api/oauth2/authorize");
    assert_eq!(oauth.token.as_str(), "https://api.box.com/oauth2/token");
    assert_eq!(oauth.scopes_for(&["storage"], false), ["root_readwrite"]);
}

#[test]
fn names_that_box_refuses_are_named() {
    for bad in ["a\\b", "a\tb", "trailing ", &"n".repeat(256)] {
        assert!(name_fault(bad).is_some(), "{bad:?}");
    }
    for good in [" leading", "dots...", "日本語", &"é".repeat(255)] {
        assert!(name_fault(good).is_none(), "{good:?}");
    }
}

proptest! {
    #[test]
    fn only_numbers_become_ids(text in "\\PC{0,30}") {
        if let Some(id) = Id::parse(&NativeId::new(text.as_str())) {
            prop_assert!(id.number.bytes().all(|byte| byte.is_ascii_digit()));
            let native = id.native();
            prop_assert_eq!(native.as_str(), text.as_str());
        }
    }

    #[test]
    fn ids_come_back(number in 1u64.., word in "(file|folder|web_link)") {
        let id = Id::of(&word, &number.to_string()).unwrap();
        prop_assert_eq!(Id::parse(&id.native()), Some(id));
    }

    #[test]
    fn queries_hold_no_operators(text in "\\PC{0,40}| AND \\PC{0,9} OR \"x\" NOT y") {
        let plain = literal(&text);
        prop_assert!(!plain.contains('"'));
        prop_assert!(!plain.split(' ').any(|word| matches!(word, "AND" | "OR" | "NOT")));
    }

    #[test]
    fn pointers_name_one_member(key in "\\PC{1,20}") {
        let path = pointer(&key);
        prop_assert_eq!(path.matches('/').count(), 1);
        prop_assert_eq!(path[1..].replace("~1", "/").replace("~0", "~"), key);
    }
}
