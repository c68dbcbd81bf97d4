//! Box, proven against the sandbox: the suite, and what goes wrong on the way.
#![expect(clippy::indexing_slicing, reason = "a panic fails the test that is to blame")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tramontane_connector::http::{Request, Response};
use tramontane_connector::storage::{DeleteOptions, ReadOptions, ThumbnailSize};
use tramontane_connector::{
    Body, Conflict, Connector as _, Cx, Entry, EntryRef, Error, Kind, Lent, Permit, Place, Repeat,
    Result, Storage, WriteOptions,
};
use tramontane_connectors::boxcloud::BoxCloud;
use tramontane_fill::{Filled, Policy, Spool};
use tramontane_model::{Clock, NativeId, PageRequest};
use tramontane_sandbox::{Fault, FaultRule, Running};
use tramontane_testkit::prove::Service;

use crate::feeds::follows_a_member;
use crate::sandboxed::{prove_sandboxed, sandbox};

#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_box_behaves() {
    prove_sandboxed("box", 21, |bases| Arc::new(BoxCloud::new(bases).unwrap()), false).await;
}

/// The way out, with a note of what went where under a credential.
struct Noted {
    inner: Arc<dyn Lent>,
    seen: Mutex<Vec<(String, bool)>>,
}

#[async_trait]
impl Lent for Noted {
    async fn send(&self, cx: &Cx, request: Request) -> Result<Response> {
        self.seen.lock().unwrap().push((request.url.path().to_owned(), request.signed));
        self.inner.send(cx, request).await
    }
    async fn connect(&self, cx: &Cx, host: &str, port: u16) -> Result<TcpStream> {
        self.inner.connect(cx, host, port).await
    }
    async fn permit(&self, cx: &Cx, name: &'static str) -> Result<Permit> {
        self.inner.permit(cx, name).await
    }
    fn after(
        &self,
        cx: &Cx,
        name: &'static str,
        attempt: u32,
        repeat: Repeat,
        outcome: std::result::Result<(), &Error>,
    ) -> Option<Duration> {
        self.inner.after(cx, name, attempt, repeat, outcome)
    }
    fn clock(&self) -> &dyn Clock {
        self.inner.clock()
    }
}

/// Someone's Box, with a folder of the test's own.
struct Scene {
    running: Running,
    files: Filled,
    connector: Arc<BoxCloud>,
    noted: Arc<Noted>,
    cx: Cx,
    folder: NativeId,
    _spool: tempfile::TempDir,
}

impl Scene {
    async fn of(person: &str) -> Self {
        let running = sandbox().await;
        let mut bases = tramontane_connector::Bases::default();
        bases.set("box", running.base("box").unwrap());
        let connector = Arc::new(BoxCloud::new(&bases).unwrap());
        let spool = tempfile::tempdir().unwrap();
        let grant = running.sandbox.grant("box", person).unwrap();
        let fields = [("access_token", grant.access_token.as_str())];
        let service =
            Service::connect(connector.clone(), 22, &fields, Spool::new(spool.path())).await;
        let service = service.unwrap();
        let noted = Arc::new(Noted { inner: service.lent, seen: Mutex::default() });
        let cx = Cx::interactive(service.account, noted.clone(), Duration::from_secs(60));
        let files = Filled::new(connector.storage().unwrap(), Spool::new(spool.path()));
        let at = Place::new(NativeId::new("folder:0"), "Scene");
        let folder = files.create_folder(&cx, &at).await.unwrap().id;
        Self { running, files, connector, noted, cx, folder, _spool: spool }
    }

    fn at(&self, name: &str) -> Place {
        Place::new(self.folder.clone(), name)
    }

    async fn put(&self, name: &str, content: impl Into<bytes::Bytes>) -> Result<Entry> {
        let body = Body::from_bytes(content);
        self.files.create(&self.cx, &self.at(name), body, &WriteOptions::fail()).await
    }

    async fn text(&self, file: &NativeId) -> Result<String> {
        let content = self.files.read(&self.cx, file, &ReadOptions::default()).await?;
        let bytes = content.body.collect(1 << 20).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn names(&self) -> Vec<String> {
        let page = self.files.list(&self.cx, &self.folder, &PageRequest::first(100)).await;
        page.unwrap().items.into_iter().map(|entry| entry.name).collect()
    }

    fn spoil(&self, path: &str, fault: Fault) {
        self.running.sandbox.faults().add(FaultRule::next("box", path, fault));
    }

    /// Makes the simulated Box slow or odd.
    async fn quirks(&self, quirks: Value) {
        let url = self.running.base("box").unwrap().join("_quirks").unwrap();
        let mut request = Request::new("quirks", Method::POST, url).bytes(quirks.to_string());
        request.signed = false;
        assert!(self.cx.send(request).await.unwrap().status.is_success());
    }

    async fn raw(&self, method: Method, path: &str, body: Value) -> Value {
        let url = self.running.base("box").unwrap().join(path).unwrap();
        let request = Request::new("raw", method, url).bytes(body.to_string());
        self.cx.send(request).await.unwrap().json().await.unwrap()
    }
}

fn status(status: u16, retry_after: Option<u64>) -> Fault {
    Fault::Status { status, retry_after, body: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn passing_refusals_are_waited_out() {
    let scene = Scene::of("ana").await;
    let made = scene.put("a.txt", "content").await.unwrap();
    for fault in [
        status(429, Some(1)),
        status(429, None),
        status(500, None),
        status(502, None),
        status(503, Some(1)),
        Fault::Reset,
        Fault::LoseAnswer,
    ] {
        scene.spoil("/2.0/files/", fault.clone());
        let got = scene.files.get(&scene.cx, &made.reference()).await;
        assert_eq!(got.unwrap_or_else(|error| panic!("{fault:?}: {error}")).id, made.id);
    }
    // What was surely not begun is tried again also when it may not be done twice.
    for (number, fault) in [status(429, Some(1)), status(503, None)].into_iter().enumerate() {
        scene.spoil("/2.0/folders", fault);
        let at = scene.at(&format!("folder {number}"));
        scene.files.create_folder(&scene.cx, &at).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_that_stay_are_told_as_what_they_are() {
    let scene = Scene::of("ana").await;
    let made = scene.put("a.txt", "content").await.unwrap();
    let of = made.reference();
    let get = || scene.files.get(&scene.cx, &of);
    scene.spoil("/2.0/files/", Fault::Garble);
    assert_eq!(get().await.unwrap_err().kind, Kind::Broken);
    // So much that its beginning is on its way before it breaks off.
    let large = scene.put("large", vec![b'x'; 900_000]).await.unwrap();
    scene.spoil("/dl/", Fault::Truncate { after: 700_000 });
    let cut = scene.text(&large.id).await.unwrap_err();
    assert_eq!(cut.kind, Kind::Broken, "{cut}");
    scene.spoil("/dl/", status(403, None));
    let refused = scene.text(&made.id).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Unavailable, "{refused}");
    assert_eq!(scene.text(&made.id).await.unwrap(), "content");
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_fail_leave_nothing_and_never_two() {
    let scene = Scene::of("ana").await;
    for fault in [status(500, None), Fault::Reset] {
        scene.spoil("/2.0/files/content", fault);
        let failed = scene.put("a.txt", "content").await.unwrap_err();
        assert_eq!(failed.kind, Kind::Broken, "{failed}");
        assert!(scene.names().await.is_empty());
    }
    // Done, but the answer is lost: an error, and the file once.
    scene.spoil("/2.0/files/content", Fault::LoseAnswer);
    assert_eq!(scene.put("a.txt", "content").await.unwrap_err().kind, Kind::Broken);
    assert_eq!(scene.names().await, ["a.txt"]);
    let again = scene.put("a.txt", "content").await.unwrap_err();
    assert!(matches!(again.kind, Kind::Conflict(Some(_))), "{again}");
    let body = Body::from_bytes("content");
    let (at, how) = (scene.at("a.txt"), WriteOptions::fail());
    let placed = scene.files.upload(&scene.cx, &at, body, Policy::Replace, &how);
    assert!(!placed.await.unwrap().created);
    assert_eq!(scene.names().await, ["a.txt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_content_goes_in_parts_through_faults() {
    let scene = Scene::of("ana").await;
    let content = bytes::Bytes::from(vec![7u8; (21 << 20) + 5]);
    // A part whose answer is lost is sent again; Box may not be done with the parts yet.
    scene.spoil("/upload_sessions/", Fault::LoseAnswer);
    scene.quirks(json!({"commits_later": 2})).await;
    let made = scene.put("large", content.clone()).await.unwrap();
    assert_eq!(made.size, Some(content.len() as u64));
    let again = scene.put("large", content.clone()).await.unwrap_err();
    assert!(matches!(again.kind, Kind::Conflict(Some(_))), "{again}");
    let body = Body::from_bytes(content.clone());
    let updated = scene.files.update(&scene.cx, &made.id, body, made.etag.as_ref()).await.unwrap();
    assert_eq!(updated.id, made.id);
    let body = Body::from_bytes(content.clone());
    let stale = scene.files.update(&scene.cx, &made.id, body, made.etag.as_ref()).await;
    assert_eq!(stale.unwrap_err().kind, Kind::Precondition);
    // A part that cannot be sent: nothing is there.
    let rule = FaultRule {
        times: 0,
        method: Some("PUT".into()),
        ..FaultRule::next("box", "/upload_sessions/", status(400, None))
    };
    scene.running.sandbox.faults().add(rule);
    assert!(scene.put("never", content).await.is_err());
    scene.running.sandbox.faults().clear();
    assert_eq!(scene.names().await, ["large"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_ready_yet_is_waited_for() {
    let scene = Scene::of("ana").await;
    let made = scene.put("red.png", "no real picture").await.unwrap();
    scene.quirks(json!({"downloads_later": 2, "thumbnails_later": 1})).await;
    assert_eq!(scene.text(&made.id).await.unwrap(), "no real picture");
    let storage = scene.connector.storage().unwrap();
    let picture = storage.thumbnail(&scene.cx, &made.id, ThumbnailSize(64)).await.unwrap();
    assert!(picture.collect(1 << 20).await.unwrap().starts_with(b"\x89PNG"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_stay_with_box_and_end_as_an_error_of_the_credential() {
    let scene = Scene::of("ana").await;
    let made = scene.put("a.txt", "content").await.unwrap();
    scene.text(&made.id).await.unwrap();
    let url = scene.files.download_url(&scene.cx, &made.id, Duration::from_secs(60)).await;
    assert!(url.unwrap().path().contains("/dl/"));
    let seen = scene.noted.seen.lock().unwrap().clone();
    let downloads: Vec<_> = seen.iter().filter(|(path, _)| path.contains("/dl/")).collect();
    assert!(!downloads.is_empty() && downloads.iter().all(|(_, signed)| !signed), "{seen:?}");
    scene.running.sandbox.issuer("box").unwrap().expire_access();
    let ended = scene.put("b.txt", "content").await.unwrap_err();
    assert_eq!(ended.kind, Kind::Credential, "{ended}");
    let grant = scene.running.sandbox.grant("box", "ana").unwrap();
    let mut account = (*scene.cx.account).clone();
    account.credential.set("access_token", grant.access_token);
    account.revision += 1;
    let cx = Cx { account: Arc::new(account), ..scene.cx.clone() };
    let page = scene.files.list(&cx, &scene.folder, &PageRequest::first(10)).await.unwrap();
    assert_eq!(page.items.len(), 1, "a refused upload left something");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_account_says_so_before_anything_is_sent() {
    let scene = Scene::of("ana").await;
    scene.quirks(json!({"space": 1_000})).await;
    for size in [2_000usize, 300 << 10, 21 << 20] {
        let full = scene.put("a.bin", vec![0u8; size]).await.unwrap_err();
        assert_eq!(full.kind, Kind::Full, "{full}");
    }
    assert!(scene.names().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_name_tells_what_has_it_whatever_its_case_and_kind() {
    let scene = Scene::of("ana").await;
    let file = scene.put("Report", "x").await.unwrap();
    let folder = scene.files.create_folder(&scene.cx, &scene.at("Plans")).await.unwrap();
    let by = |error: Error| match error.kind {
        Kind::Conflict(by) => by.unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(by(scene.put("REPORT", "y").await.unwrap_err()), file.reference());
    assert_eq!(by(scene.put("plans", "y").await.unwrap_err()), folder.reference());
    let made = scene.files.create_folder(&scene.cx, &scene.at("report")).await;
    assert_eq!(by(made.unwrap_err()), file.reference());
    let child = scene.files.child(&scene.cx, &scene.at("rePORT")).await.unwrap().unwrap();
    assert_eq!((child.name.as_str(), child.id), ("Report", file.id.clone()));
    for bad in ["a\\b", "tab\there", "space "] {
        assert_eq!(scene.put(bad, "x").await.unwrap_err().kind, Kind::Invalid, "{bad:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_that_fails_gives_back_what_was_there() {
    let scene = Scene::of("ana").await;
    let (one, two) = (scene.put("one", "1").await.unwrap(), scene.put("two", "2").await.unwrap());
    // The first attempt finds the name taken; the second one, with the name free, is refused.
    let rule = FaultRule {
        skip: 1,
        method: Some("PUT".into()),
        ..FaultRule::next("box", "/2.0/files/", status(403, None))
    };
    scene.running.sandbox.faults().add(rule);
    let to = scene.at("two");
    let refused = scene.files.relocate(&scene.cx, &one.reference(), &to, Conflict::Replace).await;
    assert_eq!(refused.unwrap_err().kind, Kind::Forbidden);
    assert_eq!(scene.text(&one.id).await.unwrap(), "1");
    assert_eq!(scene.text(&two.id).await.unwrap(), "2");
    let moved = scene.files.relocate(&scene.cx, &one.reference(), &to, Conflict::Replace).await;
    assert_eq!(moved.unwrap().id, one.id);
    let trash = scene.files.trash().unwrap().list(&scene.cx, &PageRequest::first(10)).await;
    let thrown: Vec<EntryRef> =
        trash.unwrap().items.into_iter().map(|entry| entry.reference()).collect();
    assert_eq!(thrown, [two.reference()], "what was replaced is in the trash");
    scene.files.trash().unwrap().empty(&scene.cx).await.unwrap();
    let all = DeleteOptions { recursive: true, permanent: true, ..DeleteOptions::default() };
    let folder = EntryRef::folder(scene.folder.clone());
    scene.files.delete(&scene.cx, &folder, &all).await.unwrap();
    let left = scene.files.trash().unwrap().list(&scene.cx, &PageRequest::first(10)).await;
    assert!(left.unwrap().items.is_empty(), "for good means past the trash");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trash_gives_back_to_any_place_or_keeps_what_it_has() {
    let scene = Scene::of("ana").await;
    let other = scene.files.create_folder(&scene.cx, &scene.at("other")).await.unwrap();
    let made = scene.put("a.txt", "first").await.unwrap();
    let of = made.reference();
    let usual = DeleteOptions::default();
    let throw = || scene.files.delete(&scene.cx, &of, &usual);
    let trash = scene.files.trash().unwrap();
    let there = Place::new(other.id.clone(), "b.txt");
    // The old folder is there, and the old name is taken in it.
    throw().await.unwrap();
    scene.put("a.txt", "second").await.unwrap();
    let back = trash.restore(&scene.cx, &of, Some(&there), Conflict::Fail).await.unwrap();
    assert_eq!((back.id.clone(), back.name.as_str()), (made.id.clone(), "b.txt"));
    assert_eq!(back.parent.unwrap().id, other.id);
    assert_eq!(scene.names().await, ["other", "a.txt"]);
    // The place is taken: it stays in the trash, or takes the place.
    throw().await.unwrap();
    let taken = trash.restore(&scene.cx, &of, Some(&scene.at("a.txt")), Conflict::Fail).await;
    assert!(taken.unwrap_err().is_conflict());
    assert_eq!(scene.names().await, ["other", "a.txt"]);
    let took = trash.restore(&scene.cx, &of, Some(&scene.at("a.txt")), Conflict::Replace).await;
    assert_eq!(took.unwrap().id, made.id);
    assert_eq!(scene.text(&made.id).await.unwrap(), "first");
    // Back to where it was, without a word about where.
    throw().await.unwrap();
    let back = trash.restore(&scene.cx, &of, None, Conflict::Fail).await.unwrap();
    assert_eq!(back.parent.unwrap().id, scene.folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_see_people_and_act_for_them() {
    let scene = Scene::of("ada").await;
    let team = scene.connector.team().unwrap();
    let page = team.users(&scene.cx, &PageRequest::first(2)).await.unwrap();
    let next = PageRequest::after(page.next.unwrap(), 2);
    let rest = team.users(&scene.cx, &next).await.unwrap();
    let people: Vec<_> = page.items.into_iter().chain(rest.items).collect();
    let emails: Vec<_> = people.iter().filter_map(|user| user.email.as_deref()).collect();
    assert_eq!(emails, ["ana@example.com", "ben@example.com", "ada@example.com"]);
    let (ana, ada) = (&people[0], &people[2]);
    assert_eq!((ana.role.as_str(), ada.role.as_str()), ("member", "admin"));
    assert_eq!(team.user(&scene.cx, &ana.id).await.unwrap().name, "Ana Alves");
    let group =
        scene.raw(Method::POST, "2.0/groups", json!({"name": "Staff", "description": "All"})).await;
    let group = NativeId::new(group["id"].as_str().unwrap());
    let join = json!({"user": {"id": ana.id.as_str()}, "group": {"id": group.as_str()}});
    scene.raw(Method::POST, "2.0/group_memberships", join).await;
    let first = PageRequest::first(10);
    assert_eq!(team.groups(&scene.cx, &first).await.unwrap().items[0].name, "Staff");
    assert_eq!(team.group(&scene.cx, &group).await.unwrap().description.as_deref(), Some("All"));
    assert_eq!(team.members(&scene.cx, &group, &first).await.unwrap().items[0].id, ana.id);
    assert_eq!(team.memberships(&scene.cx, &ana.id, &first).await.unwrap().items[0].id, group);
    let nobody = team.user(&scene.cx, &NativeId::new("../me")).await;
    assert_eq!(nobody.unwrap_err().kind, Kind::NotFound);
    // As Ana, the administrator sees her root, not their own.
    let root = NativeId::new("folder:0");
    let as_ana = Cx { as_user: Some(Arc::from(ana.id.as_str())), ..scene.cx.clone() };
    assert!(scene.files.list(&as_ana, &root, &first).await.unwrap().items.is_empty());
    let body = Body::from_bytes("for Ana");
    let at = Place::new(root.clone(), "for Ana.txt");
    let made = scene.files.create(&as_ana, &at, body, &WriteOptions::fail()).await.unwrap();
    assert_eq!(made.owner.unwrap().email.as_deref(), Some("ana@example.com"));
    let own = scene.files.list(&scene.cx, &root, &first).await.unwrap();
    assert!(own.items.iter().all(|entry| entry.name != "for Ana.txt"));
    let of_ana = scene.connector.identify(&as_ana).await.unwrap();
    assert_eq!(of_ana.display, "ana@example.com");
    follows_a_member(scene.connector.as_ref(), &scene.files, &scene.cx, &as_ana).await;
}
