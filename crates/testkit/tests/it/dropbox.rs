//! Dropbox, proven against the simulated service: the behaviour suite, and what only Dropbox has.

use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use http::Method;
use tramontane_connector::http::Request;
use tramontane_connector::storage::{
    GranteeKind, PermissionChange, ReadOptions, SearchQuery, UploadedPart,
};
use tramontane_connector::{
    Account, Body, Cx, Entry, EntryRef, Kind, Place, Storage, WriteOptions,
};
use tramontane_connectors::dropbox::Dropbox;
use tramontane_fill::{Filled, Policy, Spool};
use tramontane_model::{NativeId, PageRequest};
use tramontane_sandbox::{Fault, FaultRule, Running};
use tramontane_testkit::prove::Service;

use crate::feeds::follows_a_member;
use crate::sandboxed::{prove_sandboxed, sandbox};

/// What an administrator grants for the whole team.
const TEAM: &str = "team_info.read team_data.member members.read groups.read account_info.read \
                    files.metadata.read files.metadata.write files.content.read files.content.write";

#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_dropbox_behaves() {
    prove_sandboxed("dropbox", 31, |bases| Arc::new(Dropbox::new(bases).unwrap()), false).await;
}

/// Someone's account at a sandbox of its own.
pub(crate) struct Home {
    pub(crate) running: Running,
    pub(crate) service: Service,
    pub(crate) storage: Filled,
}

impl Home {
    pub(crate) async fn of(person: &str, scope: &str, admin: bool) -> Self {
        let running = sandbox().await;
        let mut bases = tramontane_connector::Bases::default();
        bases.set("dropbox", running.base("dropbox").unwrap());
        let connector: Arc<dyn tramontane_connector::Connector> =
            Arc::new(Dropbox::new(&bases).unwrap());
        let grant = running.sandbox.grant_with("dropbox", person, scope).unwrap();
        let spool = Spool::new(tempfile::tempdir().unwrap().keep());
        let user = running.sandbox.grant("dropbox", person).unwrap();
        // Organisation-wide access is a mark of the account, not a field of the form.
        let first = if admin { &user.access_token } else { &grant.access_token };
        let fields = [("access_token", first.as_str())];
        let connected = Service::connect(Arc::clone(&connector), 41, &fields, spool);
        let mut service = connected.await.unwrap();
        if admin {
            let mut account = Account { admin, revision: 3, ..service.account.as_ref().clone() };
            account.credential.set("access_token", grant.access_token);
            service.account = Arc::new(account);
        }
        let spool = service.spool.clone();
        let storage = Filled::new(connector.require_storage().unwrap(), spool);
        Self { running, service, storage }
    }

    pub(crate) async fn ana() -> Self {
        Self::of("ana", "", false).await
    }

    pub(crate) fn cx(&self) -> Cx {
        let (account, lent) = (Arc::clone(&self.service.account), Arc::clone(&self.service.lent));
        Cx::interactive(account, lent, Duration::from_secs(20))
    }

    pub(crate) fn root(&self) -> NativeId {
        self.storage.root(&self.service.account)
    }

    pub(crate) fn spoil(&self, path: &str, fault: Fault) {
        self.running.sandbox.faults().add(FaultRule::next("dropbox", path, fault));
    }

    pub(crate) async fn folder(&self, parent: &NativeId, name: &str) -> Entry {
        let at = Place::new(parent.clone(), name);
        self.storage.create_folder(&self.cx(), &at).await.unwrap()
    }

    pub(crate) async fn put(&self, parent: &NativeId, name: &str, content: &str) -> Entry {
        let at = Place::new(parent.clone(), name);
        let body = Body::from_bytes(content.to_owned());
        self.storage.create(&self.cx(), &at, body, &WriteOptions::fail()).await.unwrap()
    }

    pub(crate) async fn text(&self, file: &NativeId) -> String {
        let read = self.storage.read(&self.cx(), file, &ReadOptions::default()).await.unwrap();
        String::from_utf8(read.body.collect(1 << 20).await.unwrap().to_vec()).unwrap()
    }

    pub(crate) async fn names(&self, folder: &NativeId) -> Vec<String> {
        let page = self.storage.list(&self.cx(), folder, &PageRequest::first(1_000)).await.unwrap();
        let mut names: Vec<String> = page.items.into_iter().map(|entry| entry.name).collect();
        names.sort();
        names
    }
}

/// So many bytes that do not repeat soon, as a stream.
fn noise(len: usize) -> (Vec<u8>, Body) {
    let bytes: Vec<u8> = (0..len).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let pieces: Vec<_> = bytes.chunks(1 << 20).map(|piece| Ok(piece.to_vec().into())).collect();
    (bytes, Body::new(stream::iter(pieces), None))
}

#[tokio::test(flavor = "multi_thread")]
async fn long_content_of_unknown_length_goes_in_parts_also_when_answers_are_lost() {
    let home = Home::ana().await;
    for (name, fault) in [("whole", None), ("lost", Some(Fault::LoseAnswer))] {
        if let Some(fault) = fault {
            home.spoil("append_v2", fault);
        }
        let (sent, body) = noise((21 << 20) + 5);
        let at = Place::new(home.root(), name);
        let made = home.storage.create(&home.cx(), &at, body, &WriteOptions::fail()).await.unwrap();
        assert_eq!(made.size, Some(sent.len() as u64));
        let read = home.storage.read(&home.cx(), &made.id, &ReadOptions::default()).await.unwrap();
        assert!(read.body.collect(32 << 20).await.unwrap() == sent, "{name}: content differs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_whose_answer_was_lost_is_stored_once_and_parts_keep_their_order() {
    let home = Home::ana().await;
    let storage = home.storage.native();
    let sessions = storage.sessions().unwrap();
    let at = Place::new(home.root(), "parts");
    let how = WriteOptions::fail();
    let session = sessions.start(&home.cx(), &at, None, &how).await.unwrap();
    let size = usize::try_from(session.part_size).unwrap();
    let part = |n: u8, len: usize| Body::from_bytes(vec![n; len]);
    let mut done: Vec<UploadedPart> = Vec::new();
    home.spoil("append_v2", Fault::LoseAnswer);
    done.push(sessions.put(&home.cx(), &session, 1, part(1, size)).await.unwrap());
    // Sent again, as after a restart.
    sessions.put(&home.cx(), &session, 1, part(1, size)).await.unwrap();
    let early = sessions.put(&home.cx(), &session, 3, part(3, 5)).await.unwrap_err();
    assert_eq!(early.kind, Kind::Invalid);
    assert!(early.message.contains("part 2"), "{early}");
    done.push(sessions.put(&home.cx(), &session, 2, part(2, 5)).await.unwrap());
    let made = sessions.finish(&home.cx(), &session, &done).await.unwrap();
    assert_eq!(made.size, Some(size as u64 + 5));
    let again = sessions.finish(&home.cx(), &session, &done).await.unwrap_err();
    assert_eq!(again.kind, Kind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_in_the_way_comes_back_when_a_move_fails() {
    let home = Home::ana().await;
    let source = home.put(&home.root(), "new", "new").await;
    let target = home.put(&home.root(), "old", "old").await;
    home.spoil("move_v2", Fault::Status { status: 500, retry_after: None, body: None });
    let to = Place::new(home.root(), "old");
    let what = source.reference();
    let failed = home.storage.place(&home.cx(), &what, &to, Policy::Replace).await;
    assert!(failed.is_err());
    assert_eq!(home.names(&home.root()).await, ["new", "old"]);
    assert_eq!(home.text(&target.id).await, "old");
    let placed = home.storage.place(&home.cx(), &what, &to, Policy::Replace).await.unwrap();
    assert_eq!((placed.entry.id, placed.created), (source.id.clone(), false));
    assert_eq!(home.text(&source.id).await, "new");
    assert_eq!(home.names(&home.root()).await, ["old"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_for_one_call_becomes_a_job() {
    let home = Home::ana().await;
    let too_much = || Fault::Status {
        status: 409,
        retry_after: None,
        body: Some(
            r#"{"error_summary":"too_many_files/..","error":{".tag":"too_many_files"}}"#.into(),
        ),
    };
    let top = home.folder(&home.root(), "top").await;
    home.put(&top.id, "a", "a").await;
    let native = home.storage.native();
    let to = |name: &str| Place::new(home.root(), name);
    let fail = tramontane_connector::Conflict::Fail;
    home.spoil("move_v2", too_much());
    let moved = native.relocate(&home.cx(), &top.reference(), &to("moved"), fail).await.unwrap();
    assert_eq!((moved.id.clone(), moved.name.as_str()), (top.id.clone(), "moved"));
    home.spoil("copy_v2", too_much());
    let copied = native.copy(&home.cx(), &moved.reference(), &to("copy"), fail).await.unwrap();
    assert_eq!(home.names(&copied.id).await, ["a"]);
    home.spoil("move_v2", too_much());
    let taken = native.relocate(&home.cx(), &moved.reference(), &to("copy"), fail).await;
    assert_eq!(taken.unwrap_err().kind, Kind::Conflict(Some(copied.reference())));
    home.spoil("delete_v2", too_much());
    let how =
        tramontane_connector::storage::DeleteOptions { recursive: true, ..Default::default() };
    native.delete(&home.cx(), &copied.reference(), &how).await.unwrap();
    assert_eq!(home.names(&home.root()).await, ["moved"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_folder_is_one_thing_in_the_trash_and_comes_back_whole() {
    let home = Home::ana().await;
    let top = home.folder(&home.root(), "Top").await;
    let sub = home.folder(&top.id, "Sub").await;
    let deep = home.put(&sub.id, "deep.txt", "deep").await;
    home.folder(&top.id, "Empty").await;
    let how =
        tramontane_connector::storage::DeleteOptions { recursive: true, ..Default::default() };
    home.storage.delete(&home.cx(), &top.reference(), &how).await.unwrap();
    let trash = home.storage.trash().unwrap();
    let page = trash.list(&home.cx(), &PageRequest::first(10)).await.unwrap();
    let told: Vec<_> =
        page.items.iter().map(|entry| (entry.name.as_str(), entry.is_folder())).collect();
    assert_eq!(told, [("Top", true)]);
    let fail = tramontane_connector::Conflict::Fail;
    let thrown = page.items.first().unwrap().reference();
    let back = trash.restore(&home.cx(), &thrown, None, fail).await.unwrap();
    assert_eq!(home.names(&back.id).await, ["Empty", "Sub"]);
    assert_eq!(home.text(&deep.id).await, "deep");
    // A file by the id that it had; then for good.
    home.storage.delete(&home.cx(), &deep.reference(), &how).await.unwrap();
    let back = trash.restore(&home.cx(), &deep.reference(), None, fail).await.unwrap();
    assert_eq!(back.id, deep.id);
    let there = trash.purge(&home.cx(), &deep.reference()).await.unwrap_err();
    assert_eq!(there.kind, Kind::NotFound, "what is not in the trash must stay");
    assert_eq!(home.text(&deep.id).await, "deep");
    home.storage.delete(&home.cx(), &deep.reference(), &how).await.unwrap();
    trash.empty(&home.cx()).await.unwrap();
    let page = trash.list(&home.cx(), &PageRequest::first(10)).await.unwrap();
    assert!(page.items.is_empty(), "{:?}", page.items);
    assert!(trash.restore(&home.cx(), &deep.reference(), None, fail).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_of_other_files_are_not_found() {
    let home = Home::ana().await;
    let one = home.put(&home.root(), "one", "1").await;
    let other = home.put(&home.root(), "other", "2").await;
    let versions = home.storage.versions().unwrap();
    let foreign = other.version.unwrap();
    let how = ReadOptions::default();
    let read = versions.read(&home.cx(), &one.id, &foreign, &how).await;
    assert_eq!(read.unwrap_err().kind, Kind::NotFound);
    let restored = versions.restore(&home.cx(), &one.id, &foreign).await;
    assert_eq!(restored.unwrap_err().kind, Kind::NotFound);
    assert_eq!(home.text(&one.id).await, "1");
    for hostile in ["", "../x", "0123456789/..", "ns:1", "A123456789"] {
        let read = versions.read(&home.cx(), &one.id, hostile, &how).await;
        assert_eq!(read.unwrap_err().kind, Kind::NotFound, "{hostile:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_paper_are_exported_and_not_downloaded() {
    let home = Home::ana().await;
    let url = home.running.base("dropbox").unwrap().join("2/files/paper/create").unwrap();
    let mut request = Request::new("paper", Method::POST, url).bytes("<p>hi</p>");
    let argument = r#"{"path": "/note.paper", "import_format": {".tag": "html"}}"#;
    request.headers.insert("dropbox-api-arg", argument.parse().unwrap());
    request.headers.insert("content-type", "application/octet-stream".parse().unwrap());
    assert!(home.cx().send(request).await.unwrap().status.is_success());
    let at = Place::new(home.root(), "note.paper");
    let found = home.storage.child(&home.cx(), &at).await.unwrap().unwrap();
    assert!(!found.downloadable);
    let plain = home.storage.read(&home.cx(), &found.id, &ReadOptions::default()).await;
    assert_eq!(plain.unwrap_err().kind, Kind::NotAllowed);
    let how = ReadOptions { range: None, export: Some("text/markdown".into()) };
    let exported = home.storage.read(&home.cx(), &found.id, &how).await.unwrap();
    assert_eq!(exported.media_type.as_deref(), Some("text/markdown"));
    assert_eq!(exported.body.collect(100).await.unwrap(), "<p>hi</p>");
}

fn change(email: &str, role: Option<&str>) -> PermissionChange {
    PermissionChange {
        grantee: GranteeKind::User,
        id: None,
        email: Some(email.into()),
        role: role.map(str::to_owned),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_shared_by_its_first_member_and_keeps_its_owner() {
    let home = Home::ana().await;
    let top = home.folder(&home.root(), "top").await;
    let permissions = home.storage.permissions().unwrap();
    let told = |all: Vec<tramontane_connector::storage::Permission>| {
        let told = all.into_iter().map(|one| (one.email.unwrap_or_default(), one.role));
        let mut told: Vec<(String, String)> = told.collect();
        told.sort();
        told
    };
    let pair = |email: &str, role: &str| (email.to_owned(), role.to_owned());
    let of = top.reference();
    let alone = permissions.list(&home.cx(), &of).await.unwrap();
    assert_eq!(told(alone), [pair("ana@example.com", "owner")]);
    let changes =
        [change("ben@example.com", Some("writer")), change("x@example.org", Some("reader"))];
    let after = permissions.change(&home.cx(), &of, &changes, false, false).await.unwrap();
    let all = [
        pair("ana@example.com", "owner"),
        pair("ben@example.com", "writer"),
        pair("x@example.org", "reader"),
    ];
    assert_eq!(told(after), all);
    let only = [change("ben@example.com", Some("previewer"))];
    let after = permissions.change(&home.cx(), &of, &only, true, false).await.unwrap();
    assert_eq!(
        told(after),
        [pair("ana@example.com", "owner"), pair("ben@example.com", "previewer")]
    );
    let after = permissions.change(&home.cx(), &of, &[], true, false).await.unwrap();
    assert_eq!(told(after), [pair("ana@example.com", "owner")]);
    for (wanted, is_right) in [
        (change("nobody", Some("reader")), (|kind| *kind == Kind::Invalid) as fn(&Kind) -> bool),
        (change("ben@example.com", Some("king")), |kind| *kind == Kind::Invalid),
        (change("ben@example.com", Some("owner")), |kind| matches!(kind, Kind::Unsupported(_))),
    ] {
        let refused = permissions.change(&home.cx(), &of, &[wanted], false, false).await;
        let error = refused.unwrap_err();
        assert!(is_right(&error.kind), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_lists_the_team_and_acts_as_its_members() {
    let home = Home::of("ada", TEAM, true).await;
    let connector = &home.service.connector;
    let identity = connector.identify(&home.cx()).await.unwrap();
    assert_eq!(identity.display, "ada@example.com");
    let facts = connector.settle(&home.cx()).await.unwrap();
    assert_eq!(facts.get("account_type").map(String::as_str), Some("business"));
    let team = connector.team().unwrap();
    let mut people = Vec::new();
    let mut request = PageRequest::first(2);
    loop {
        let page = team.users(&home.cx(), &request).await.unwrap();
        people.extend(page.items);
        match page.next {
            Some(next) => request = PageRequest::after(next, 2),
            None => break,
        }
    }
    let told: Vec<_> = people.iter().map(|one| (one.name.as_str(), one.role.as_str())).collect();
    assert_eq!(told, [("Ana Alves", "member"), ("Ben Bauer", "member"), ("Ada Admin", "admin")]);
    let ben = people.get(1).unwrap();
    assert_eq!(team.user(&home.cx(), &ben.id).await.unwrap(), *ben);
    let nobody = NativeId::new("dbmid:nobody");
    assert_eq!(team.user(&home.cx(), &nobody).await.unwrap_err().kind, Kind::NotFound);
    let all = PageRequest::first(10);
    let groups = team.groups(&home.cx(), &all).await.unwrap().items;
    assert_eq!(team.memberships(&home.cx(), &ben.id, &all).await.unwrap().items, groups);
    let sales = groups.last().unwrap();
    assert_eq!(team.group(&home.cx(), &sales.id).await.unwrap(), *sales);
    assert_eq!(team.members(&home.cx(), &sales.id, &all).await.unwrap().items.len(), 2);
    let none = NativeId::new("g:none");
    assert_eq!(team.group(&home.cx(), &none).await.unwrap_err().kind, Kind::NotFound);
    assert_eq!(team.members(&home.cx(), &none, &all).await.unwrap_err().kind, Kind::NotFound);
    let lost = team.users(&home.cx(), &PageRequest::after("x".into(), 2)).await;
    assert_eq!(lost.unwrap_err().kind, Kind::CursorExpired);

    let as_member = |id: &NativeId| Cx { as_user: Some(id.as_str().into()), ..home.cx() };
    let body = Body::from_bytes("ben's");
    let at = Place::new(home.root(), "b.txt");
    let how = WriteOptions::fail();
    let made = home.storage.create(&as_member(&ben.id), &at, body, &how).await.unwrap();
    let of = EntryRef::file(made.id);
    let ana = people.first().unwrap();
    let other = home.storage.get(&as_member(&ana.id), &of).await;
    assert_eq!(other.unwrap_err().kind, Kind::NotFound);
    assert!(home.storage.get(&as_member(&nobody), &of).await.is_err());
    let alone = home.storage.get(&home.cx(), &of).await.unwrap_err();
    assert_eq!(alone.kind, Kind::Invalid);
    let (nobody, member) = (home.cx(), as_member(&ben.id));
    follows_a_member(connector.as_ref(), &home.storage, &nobody, &member).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_folders_are_searched_one_after_the_other() {
    let home = Home::ana().await;
    let (one, two) = (home.folder(&home.root(), "1").await, home.folder(&home.root(), "2").await);
    for folder in [&one.id, &two.id, &home.root()] {
        home.put(folder, "report.txt", "x").await;
    }
    let query = SearchQuery { text: "report".into(), below: vec![one.id.clone(), two.id.clone()] };
    let mut found = Vec::new();
    let mut request = PageRequest::first(1);
    loop {
        let page = home.storage.search(&home.cx(), &query, &request).await.unwrap();
        found.extend(page.items.into_iter().filter_map(|entry| Some(entry.parent?.id)));
        match page.next {
            Some(next) => request = PageRequest::after(next, 1),
            None => break,
        }
    }
    assert_eq!(found, [one.id, two.id]);
}
