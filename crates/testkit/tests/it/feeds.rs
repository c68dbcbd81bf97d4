//! Changes by cursor, against the sandbox: what each service is odd at.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, header};
use serde_json::{Value, json};
use tramontane_connector::changes::{Changes, Collection, Hint, Seen};
use tramontane_connector::http::Request;
use tramontane_connector::storage::{DeleteOptions, GranteeKind, PermissionChange};
use tramontane_connector::{
    Bases, Body, Conflict, Connector, Cx, Entry, EntryRef, Kind, Place, Storage, WriteOptions,
};
use tramontane_fill::{Filled, Spool};
use tramontane_model::{NativeId, PageRequest};
use tramontane_sandbox::{Fault, FaultRule, Running};
use tramontane_testkit::Mirror;
use tramontane_testkit::prove::Service;

use crate::sandboxed::sandbox;

/// Every service with a feed.
pub(crate) const ALL: [&str; 6] =
    ["box", "dropbox", "gdrive", "onedrive", "onedrivebiz", "sharepoint"];

/// Someone's account, a collection of it, and a folder in that.
pub(crate) struct Watched {
    pub(crate) running: Arc<Running>,
    pub(crate) service: &'static str,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) changes: Arc<dyn Changes>,
    pub(crate) storage: Filled,
    pub(crate) of: Collection,
    pub(crate) cx: Cx,
}

impl Watched {
    pub(crate) async fn of(running: &Arc<Running>, service: &'static str, person: &str) -> Self {
        let mut bases = Bases::default();
        bases.set(service, running.base(service).unwrap());
        let all = tramontane_connectors::all(&bases).unwrap();
        let connector = all.into_iter().find(|one| one.descriptor().name == service).unwrap();
        let grant = running.sandbox.grant(service, person).unwrap();
        let fields = [("access_token", grant.access_token.as_str())];
        let spool = Spool::new(tempfile::tempdir().unwrap().keep());
        let number = 300 + i64::from(person.bytes().last().unwrap());
        let connected = Service::connect(connector, number, &fields, spool.clone()).await.unwrap();
        let Service { connector, account, lent, .. } = connected;
        let cx = Cx::interactive(account, lent, Duration::from_secs(60));
        let changes = connector.changes().unwrap();
        // The main collection comes first; of libraries any will do.
        let of = changes.collections(&cx).await.unwrap().pop().unwrap();
        let of = match service {
            "sharepoint" => of,
            _ => changes.collections(&cx).await.unwrap().into_iter().next().unwrap(),
        };
        let storage = Filled::new(connector.require_storage().unwrap(), spool);
        Self { running: Arc::clone(running), service, connector, changes, storage, of, cx }
    }

    pub(crate) async fn ana(service: &'static str) -> Self {
        Self::of(&Arc::new(sandbox().await), service, "ana").await
    }

    /// Asks the service itself, or the sandbox around it.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let url = self.running.base(self.service).unwrap().join(path).unwrap();
        let request = Request::new("test", method, url)
            .header(header::CONTENT_TYPE, "application/json")
            .bytes(body.to_string());
        let answer = self.cx.send(request).await.unwrap();
        let status = answer.status;
        let bytes = answer.bytes().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&bytes));
        serde_json::from_slice(&bytes).unwrap_or(Value::Null)
    }

    /// Has the service put little on a page.
    async fn short_pages(&self, size: usize) {
        match self.service {
            "onedrive" | "onedrivebiz" | "sharepoint" => {
                self.ask(Method::POST, "_sandbox/pages", json!({"size": size})).await;
            }
            _ => {
                self.ask(Method::POST, "_quirks", json!({"page": size})).await;
            }
        }
    }

    fn mirror(&self) -> Mirror {
        self.mirror_of(&self.of)
    }

    fn mirror_of(&self, of: &Collection) -> Mirror {
        Mirror::new(self.changes.facts(&self.cx.account).keyed_by, of)
    }

    pub(crate) async fn latest(&self) -> String {
        self.changes.latest(&self.cx, &self.of).await.unwrap()
    }

    /// Everything that is listed, and the cursor from before.
    async fn whole(&self, of: &Collection) -> (Mirror, String) {
        let cursor = self.changes.latest(&self.cx, of).await.unwrap();
        let mut mirror = self.mirror_of(of);
        mirror.list(self.changes.as_ref(), &self.cx, of, None).await.unwrap();
        (mirror, cursor)
    }

    async fn until(
        &self,
        of: &Collection,
        seen: &mut (Mirror, String),
        what: &str,
        holds: impl Fn(&Mirror) -> bool,
    ) {
        let (changes, cursor) = (self.changes.as_ref(), seen.1.clone());
        seen.1 = seen.0.until(changes, &self.cx, of, cursor, what, holds).await.unwrap();
    }

    pub(crate) async fn put(&self, folder: &NativeId, name: &str) -> Entry {
        let at = Place::new(folder.clone(), name);
        let body = Body::from_bytes(name.to_owned());
        self.storage.create(&self.cx, &at, body, &WriteOptions::fail()).await.unwrap()
    }

    async fn folder(&self, folder: &NativeId, name: &str) -> Entry {
        let at = Place::new(folder.clone(), name);
        self.storage.create_folder(&self.cx, &at).await.unwrap()
    }

    async fn relocate(&self, what: &Entry, folder: &NativeId, name: &str) -> Entry {
        let to = Place::new(folder.clone(), name);
        let what = what.reference();
        self.storage.relocate(&self.cx, &what, &to, Conflict::Fail).await.unwrap()
    }

    async fn delete(&self, what: &Entry) {
        let all = DeleteOptions { recursive: true, ..DeleteOptions::default() };
        self.storage.delete(&self.cx, &what.reference(), &all).await.unwrap();
    }

    async fn share(&self, what: &Entry, email: &str, role: Option<&str>) {
        let change = PermissionChange {
            grantee: GranteeKind::User,
            id: None,
            email: Some(email.into()),
            role: role.map(str::to_owned),
        };
        let permissions = self.storage.permissions().unwrap();
        permissions.change(&self.cx, &what.reference(), &[change], false, false).await.unwrap();
    }

    async fn expired(&self, of: &Collection, cursor: &str) {
        let refused = self.changes.changes(&self.cx, of, cursor).await.unwrap_err();
        assert_eq!(refused.kind, Kind::CursorExpired, "{}: {refused}", self.service);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn feeds_and_listings_come_in_pages() {
    for service in ALL {
        let ana = Watched::ana(service).await;
        ana.short_pages(3).await;
        let mut seen = ana.whole(&ana.of).await;
        let top = ana.folder(&ana.of.root, "top").await;
        let mut made = vec![top.clone()];
        for n in 0..8 {
            made.push(ana.put(&top.id, &format!("{n}.txt")).await);
        }
        let (changes, cursor) = (ana.changes.as_ref(), seen.1.clone());
        let first = changes.changes(&ana.cx, &ana.of, &cursor).await.unwrap();
        assert!(first.more && first.changes.len() <= 3, "{service}");
        // A page that was lost on the way is read again.
        let again = changes.changes(&ana.cx, &ana.of, &cursor).await.unwrap();
        assert_eq!(again.changes.len(), first.changes.len(), "{service}");
        let pages = seen.0.drain(changes, &ana.cx, &ana.of, cursor).await.unwrap().1;
        assert!(pages >= 3, "{service}: {pages} pages");
        let mut listed = ana.mirror();
        let (_, pages) = listed.list(changes, &ana.cx, &ana.of, None).await.unwrap();
        assert!(pages >= 3 || service == "box", "{service}: {pages} pages");
        for mirror in [&seen.0, &listed] {
            for one in &made {
                let there = mirror.reached(&one.id);
                assert!(there.is_some_and(|there| there.name == one.name), "{service}: {one:?}");
            }
        }
        assert_eq!(seen.0.len(), listed.len(), "{service}");
    }
}

/// A cursor of Box's with this position and age.
fn aged(cursor: &str, position: Option<&str>, seconds: i64) -> String {
    let mut cursor: Value = serde_json::from_str(cursor).unwrap();
    let given = cursor.get("t").and_then(Value::as_i64).unwrap();
    let members = cursor.as_object_mut().unwrap();
    members.insert("t".into(), (given - seconds).into());
    members.extend(position.map(|position| ("p".to_owned(), position.into())));
    cursor.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_cursor_starts_the_listing_again() {
    for service in ALL {
        let ana = Watched::ana(service).await;
        let cursor = ana.latest().await;
        match service {
            "gdrive" => {
                for (status, reason) in [(400, "invalid"), (404, "notFound"), (410, "gone")] {
                    let body = json!({"error": {"code": status, "message": "Invalid Value", "errors": [
                        {"reason": reason, "location": "pageToken", "locationType": "parameter"}]}});
                    let fault =
                        Fault::Status { status, retry_after: None, body: Some(body.to_string()) };
                    ana.running.sandbox.faults().add(FaultRule::next(service, "changes?", fault));
                    ana.expired(&ana.of, &cursor).await;
                }
            }
            "dropbox" => {
                ana.ask(Method::POST, "_sandbox/reset_cursors", json!({})).await;
                let waited = ana.changes.wait(&ana.cx, &ana.of, &cursor, Duration::from_secs(9));
                assert_eq!(waited.await.unwrap_err().kind, Kind::CursorExpired);
                ana.expired(&ana.of, &cursor).await;
            }
            "box" => {
                // Box would read on from an old position without a word of what is missing.
                ana.expired(&ana.of, &aged(&cursor, None, 15 * 86_400)).await;
                ana.expired(&ana.of, &aged(&cursor, Some("99999999999999999999"), 0)).await;
                ana.expired(&ana.of, &aged(&cursor, Some("../1"), 0)).await;
            }
            _ => {
                ana.ask(Method::POST, "_sandbox/forget_cursors", json!({})).await;
                ana.expired(&ana.of, &cursor).await;
            }
        }
        let file = ana.put(&ana.of.root, "after.txt").await;
        let (mirror, _) = ana.whole(&ana.of).await;
        assert!(mirror.reached(&file.id).is_some(), "{service}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_no_forgotten_cursors() {
    for service in ALL {
        let ana = Watched::ana(service).await;
        let cursor = ana.latest().await;
        for (status, kind) in [(401, Kind::Credential), (403, Kind::Forbidden)] {
            let fault = Fault::Status { status, retry_after: None, body: None };
            let rule = FaultRule { path: None, ..FaultRule::next(service, "", fault) };
            ana.running.sandbox.faults().add(rule);
            let refused = ana.changes.changes(&ana.cx, &ana.of, &cursor).await.unwrap_err();
            assert_eq!(refused.kind, kind, "{service} {status}");
        }
        assert!(ana.changes.changes(&ana.cx, &ana.of, &cursor).await.is_ok(), "{service}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_late_is_not_lost() {
    for service in ["gdrive", "dropbox"] {
        let ana = Watched::ana(service).await;
        ana.ask(Method::POST, "_quirks", json!({"changes_lag": 1})).await;
        let file = ana.put(&ana.of.root, "late.txt").await;
        // Taken while the file is there and the feed has not heard of it.
        let mut seen = (ana.mirror(), ana.latest().await);
        let shows = |mirror: &Mirror| mirror.reached(&file.id).is_some();
        ana.until(&ana.of, &mut seen, "a late file is told of", shows).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_say_who_and_when() {
    for service in ALL {
        let ana = Watched::ana(service).await;
        let cursor = ana.latest().await;
        let before = ana.cx.now();
        let file = ana.put(&ana.of.root, "by ana.txt").await;
        let page = ana.changes.changes(&ana.cx, &ana.of, &cursor).await.unwrap();
        let mut of_file = page.changes.into_iter().filter(|change| match &change.seen {
            Seen::There { entry, .. } => entry.id == file.id,
            Seen::Gone { .. } => false,
        });
        let change = of_file.next().unwrap();
        assert!(of_file.next().is_none(), "{service}: told twice on one page");
        let age = before.seconds() - change.at.unwrap().seconds();
        assert!((-60..=60).contains(&age), "{service}: {age} s ago");
        match service {
            // Dropbox tells who wrote in shared folders alone.
            "dropbox" => assert_eq!(change.by, None),
            _ => assert_eq!(change.by.unwrap().name.as_deref(), Some("Ana Alves"), "{service}"),
        }
    }
}

/// The shared drive as one of an account's collections.
async fn collection(of: &Watched, id: &str) -> Option<Collection> {
    let all = of.changes.collections(&of.cx).await.unwrap();
    all.into_iter().find(|one| one.id == id)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_shared_drive_has_a_log_of_its_own() {
    let ana = Watched::ana("gdrive").await;
    let ben = Watched::of(&ana.running, "gdrive", "ben").await;
    let main = &ana.of;
    let mut own = ana.whole(main).await;
    let made = ana.ask(Method::POST, "drive/v3/drives?requestId=1", json!({"name": "Team"})).await;
    let id = made.get("id").and_then(Value::as_str).unwrap().to_owned();
    let page = ana.changes.changes(&ana.cx, main, &own.1).await.unwrap();
    assert!(page.collections, "the user's log tells of drives that come");
    let drive = collection(&ana, &id).await.unwrap();
    let mut team = ana.whole(&drive).await;
    assert!(team.0.is_empty(), "the top of a drive is not told of");

    // What is written there is in its log, and not in one's own.
    let file = ana.put(&drive.root, "report.txt").await;
    ana.until(&drive, &mut team, "a file is there", |mirror| mirror.reached(&file.id).is_some())
        .await;
    let nothing = |mirror: &Mirror| mirror.get(&file.id).is_none();
    ana.until(main, &mut own, "one's own log has it not", nothing).await;
    let (listed, _) = ana.whole(main).await;
    assert!(listed.get(&file.id).is_none(), "nor has the listing of one's own");

    // In and out again.
    let plan = ana.put(&main.root, "plan.txt").await;
    ana.until(main, &mut own, "a file is one's own", |mirror| mirror.reached(&plan.id).is_some())
        .await;
    ana.relocate(&plan, &drive.root, "plan.txt").await;
    ana.until(main, &mut own, "it is gone from here", |mirror| mirror.get(&plan.id).is_none())
        .await;
    ana.until(&drive, &mut team, "and there", |mirror| mirror.reached(&plan.id).is_some()).await;
    ana.relocate(&plan, &main.root, "plan.txt").await;
    ana.until(&drive, &mut team, "it is gone from there", |mirror| mirror.get(&plan.id).is_none())
        .await;
    ana.until(main, &mut own, "and here again", |mirror| mirror.reached(&plan.id).is_some()).await;

    // Another name of the drive, another member, and none any more.
    ana.ask(Method::PATCH, &format!("drive/v3/drives/{id}"), json!({"name": "Crew"})).await;
    let page = ana.changes.changes(&ana.cx, main, &own.1).await.unwrap();
    assert!(page.collections && page.changes.is_empty(), "a drive has another name");
    let bens = ben.latest().await;
    assert!(collection(&ben, &id).await.is_none());
    let refused = ben.changes.latest(&ben.cx, &drive).await.unwrap_err();
    assert_eq!(refused.kind, Kind::NotFound);
    let path = format!("drive/v3/files/{id}/permissions?supportsAllDrives=true");
    let who = json!({"type": "user", "role": "writer", "emailAddress": "ben@example.com"});
    let granted = ana.ask(Method::POST, &path, who).await;
    let page = ben.changes.changes(&ben.cx, &ben.of, &bens).await.unwrap();
    assert!(page.collections, "a drive came to Ben");
    let theirs = ben.changes.latest(&ben.cx, &drive).await.unwrap();
    let permission = granted.get("id").and_then(Value::as_str).unwrap();
    let path = format!("drive/v3/files/{id}/permissions/{permission}?supportsAllDrives=true");
    ana.ask(Method::DELETE, &path, json!({})).await;
    let after = ben.changes.changes(&ben.cx, &ben.of, &page.next).await.unwrap();
    assert!(after.collections, "a drive went from Ben");
    let refused = ben.changes.changes(&ben.cx, &drive, &theirs).await.unwrap_err();
    assert_eq!(refused.kind, Kind::NotFound, "the collection is gone, not its cursor");
}

#[tokio::test(flavor = "multi_thread")]
async fn sharing_shows_on_both_sides_at_drive() {
    let ana = Watched::ana("gdrive").await;
    let ben = Watched::of(&ana.running, "gdrive", "ben").await;
    let file = ana.put(&ana.of.root, "for ben.txt").await;
    let sharing = |page: tramontane_connector::ChangePage| {
        let mut all = page.changes.into_iter().filter_map(|change| match change.seen {
            Seen::There { entry, sharing, .. } if entry.id == file.id => sharing,
            _ => None,
        });
        all.next().unwrap()
    };
    let listed = ana.changes.listing(&ana.cx, &ana.of, None).await.unwrap();
    let page = tramontane_connector::ChangePage { changes: listed.entries, ..Default::default() };
    let alone = sharing(page);
    let cursor = ana.latest().await;
    let mut bens = (ben.mirror(), ben.latest().await);
    ana.share(&file, "ben@example.com", Some("reader")).await;
    let page = ana.changes.changes(&ana.cx, &ana.of, &cursor).await.unwrap();
    assert_ne!(sharing(page), alone);
    let is_shared = |mirror: &Mirror| {
        let folder = mirror.get(&file.id).and_then(|entry| entry.parent.clone());
        folder.is_some_and(|folder| folder.id.as_str() == "~shared-with-me")
    };
    ben.until(&ben.of, &mut bens, "what is shared lies with it", is_shared).await;
    ana.share(&file, "ben@example.com", None).await;
    let gone = |mirror: &Mirror| mirror.get(&file.id).is_none();
    ben.until(&ben.of, &mut bens, "what is shared no more is gone", gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_not_finished_does_not_show() {
    let ana = Watched::ana("gdrive").await;
    let mut seen = ana.whole(&ana.of).await;
    let native = ana.storage.native();
    let sessions = native.sessions().unwrap();
    let (at, how) = (Place::new(ana.of.root.clone(), "whole.bin"), WriteOptions::fail());
    let session = sessions.start(&ana.cx, &at, Some(6), &how).await.unwrap();
    let part = sessions.put(&ana.cx, &session, 1, Body::from_bytes("whole!")).await.unwrap();
    let quiet = |mirror: &Mirror| mirror.len() == 2;
    ana.until(&ana.of, &mut seen, "there are our own folders alone", quiet).await;
    let (listed, _) = ana.whole(&ana.of).await;
    assert_eq!(listed.len(), 2);
    let made = sessions.finish(&ana.cx, &session, &[part]).await.unwrap();
    let shows = |mirror: &Mirror| mirror.reached(&made.id).is_some();
    ana.until(&ana.of, &mut seen, "the finished file is there", shows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_library_is_followed() {
    let ana = Watched::ana("sharepoint").await;
    let all = ana.changes.collections(&ana.cx).await.unwrap();
    let mut names = Vec::new();
    for of in &all {
        let library = EntryRef::folder(of.root.clone());
        names.push(ana.storage.get(&ana.cx, &library).await.unwrap().name);
        let (mirror, _) = ana.whole(of).await;
        assert!(mirror.is_empty(), "a library itself is not told of");
    }
    assert_eq!(names, ["Documents", "Documents", "Archive"]);
    // What is written in one library is of that alone.
    let (first, other) = (all.first().unwrap(), all.last().unwrap());
    let (mut here, mut there) = (ana.whole(first).await, ana.whole(other).await);
    let file = ana.put(&first.root, "a.txt").await;
    ana.until(first, &mut here, "a file is here", |mirror| mirror.reached(&file.id).is_some())
        .await;
    ana.until(other, &mut there, "and not there", |mirror| mirror.get(&file.id).is_none()).await;
    let nowhere = Collection { id: String::new(), root: ana.storage.root(&ana.cx.account) };
    assert!(ana.changes.latest(&ana.cx, &nowhere).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_for_something_elsewhere_goes_by_the_key_that_was_told() {
    for service in ["onedrive", "onedrivebiz"] {
        let ben = Watched::of(&Arc::new(sandbox().await), service, "ben").await;
        let mut seen = ben.whole(&ben.of).await;
        let page = PageRequest::first(50);
        let shared = ben.storage.list(&ben.cx, &ben.of.root, &page).await.unwrap().items;
        let shared = shared.into_iter().find(|entry| entry.name == "Team plans").unwrap();
        assert!(seen.0.reached(&shared.id).is_some(), "{service}");
        ben.delete(&shared).await;
        let gone = |mirror: &Mirror| mirror.get(&shared.id).is_none();
        ben.until(&ben.of, &mut seen, "the shortcut is gone", gone).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_differ_in_case_alone_are_one_path_at_dropbox() {
    let ana = Watched::ana("dropbox").await;
    let mut seen = ana.whole(&ana.of).await;
    let folder = ana.folder(&ana.of.root, "Plans").await;
    let file = ana.put(&folder.id, "A.txt").await;
    let renamed = ana.relocate(&file, &folder.id, "a.TXT").await;
    let right = |mirror: &Mirror| {
        mirror.len() == 2 && mirror.reached(&renamed.id).is_some_and(|one| one.name == "a.TXT")
    };
    ana.until(&ana.of, &mut seen, "one file has its new name", right).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doubled_events_of_box_are_told_once() {
    let ana = Watched::ana("box").await;
    ana.ask(Method::POST, "_quirks", json!({"double_events": true})).await;
    let mut seen = ana.whole(&ana.of).await;
    let file = ana.put(&ana.of.root, "a.txt").await;
    let file = ana.relocate(&file, &ana.of.root, "b.txt").await;
    let page = ana.changes.changes(&ana.cx, &ana.of, &seen.1).await.unwrap();
    assert_eq!(page.changes.len(), 1, "the last state of the one file");
    let shows = |mirror: &Mirror| mirror.reached(&file.id).is_some_and(|one| one.name == "b.txt");
    ana.until(&ana.of, &mut seen, "the file has its last name", shows).await;
    ana.delete(&file).await;
    ana.until(&ana.of, &mut seen, "it is gone", |mirror| mirror.get(&file.id).is_none()).await;
    let thrown = seen.0.trashed.first().unwrap();
    assert_eq!((&thrown.id, thrown.name.as_str()), (&file.id, "b.txt"));
    // A position is worth keeping although nothing came with it.
    let quiet = ana.changes.changes(&ana.cx, &ana.of, &seen.1).await.unwrap();
    assert!(quiet.changes.is_empty() && !quiet.more);
    assert!(ana.changes.changes(&ana.cx, &ana.of, &quiet.next).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_into_sight_at_box_comes_with_what_is_in_it() {
    let ana = Watched::ana("box").await;
    let ben = Watched::of(&ana.running, "box", "ben").await;
    ana.short_pages(2).await;
    let top = ana.folder(&ana.of.root, "top").await;
    let mut below = Vec::new();
    for n in 0..3 {
        let folder = ana.folder(&top.id, &format!("{n}")).await;
        for m in 0..3 {
            below.push(ana.put(&folder.id, &format!("{m}.txt")).await);
        }
        below.push(folder);
    }
    let mut bens = ben.whole(&ben.of).await;
    assert!(bens.0.get(&top.id).is_none());
    let mut anas = ana.whole(&ana.of).await;
    ana.share(&top, "ben@example.com", Some("editor")).await;
    let all = |mirror: &Mirror| {
        mirror.reached(&top.id).is_some()
            && below.iter().all(|one| mirror.reached(&one.id).is_some())
    };
    ben.until(&ben.of, &mut bens, "all that was shared is there", all).await;
    let hinted = bens.0.hints.contains(&(top.id.as_str().to_owned(), Hint::Shared));
    assert!(hinted, "{:?}", bens.0.hints);
    // For Ana it was there before: there is nothing to walk through.
    let page = ana.changes.changes(&ana.cx, &ana.of, &anas.1).await.unwrap();
    assert!(page.changes.len() == 1 && !page.next.contains("\"w\""), "{}", page.next);
    ana.until(&ana.of, &mut anas, "Ana still has all", all).await;
    // What Ben does is told to Ana, and lies for each where they see it.
    let theirs = ben.put(&top.id, "from ben.txt").await;
    let shows = |mirror: &Mirror| mirror.reached(&theirs.id).is_some();
    ana.until(&ana.of, &mut anas, "Ana sees Ben's file", shows).await;
    ben.until(&ben.of, &mut bens, "and so does Ben", shows).await;
    ana.share(&top, "ben@example.com", None).await;
    let gone = |mirror: &Mirror| mirror.reached(&theirs.id).is_none();
    ben.until(&ben.of, &mut bens, "what is shared no more is gone", gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn box_says_what_was_copied_and_what_came_back() {
    let ana = Watched::ana("box").await;
    let file = ana.put(&ana.of.root, "a.txt").await;
    let mut seen = ana.whole(&ana.of).await;
    let to = Place::new(ana.of.root.clone(), "copy.txt");
    let copy = ana.storage.copy(&ana.cx, &file.reference(), &to, Conflict::Fail).await.unwrap();
    ana.until(&ana.of, &mut seen, "the copy is there", |mirror| mirror.get(&copy.id).is_some())
        .await;
    ana.delete(&file).await;
    ana.until(&ana.of, &mut seen, "a file is gone", |mirror| mirror.get(&file.id).is_none()).await;
    let trash = ana.storage.trash().unwrap();
    trash.restore(&ana.cx, &file.reference(), None, Conflict::Fail).await.unwrap();
    ana.until(&ana.of, &mut seen, "it came back", |mirror| mirror.get(&file.id).is_some()).await;
    let key = |entry: &Entry| entry.id.as_str().to_owned();
    assert_eq!(seen.0.hints, [(key(&copy), Hint::Copied), (key(&file), Hint::Restored)]);
}

/// In an organisation's account the feed is a member's: this one's, and nobody's without a name.
pub(crate) async fn follows_a_member(
    connector: &dyn Connector,
    storage: &dyn Storage,
    nobody: &Cx,
    member: &Cx,
) {
    let changes = connector.changes().unwrap();
    let of = changes.collections(member).await.unwrap().remove(0);
    let refused = changes.latest(nobody, &of).await;
    let cursor = changes.latest(member, &of).await.unwrap();
    let at = Place::new(of.root.clone(), "of a member.txt");
    let body = Body::from_bytes("x");
    let made = storage.create(member, &at, body, &WriteOptions::fail()).await.unwrap();
    let mut mirror = Mirror::new(changes.facts(&member.account).keyed_by, &of);
    let shows = |mirror: &Mirror| mirror.reached(&made.id).is_some();
    let feed = changes.as_ref();
    mirror.until(feed, member, &of, cursor, "the member's file is there", shows).await.unwrap();
    // Where the organisation's own account has files, they are others.
    match refused {
        Err(refused) => assert_eq!(refused.kind, Kind::Invalid, "{refused}"),
        Ok(own) => {
            let mut own_mirror = Mirror::new(changes.facts(&member.account).keyed_by, &of);
            own_mirror.drain(feed, nobody, &of, own).await.unwrap();
            assert!(own_mirror.get(&made.id).is_none());
        }
    }
}
