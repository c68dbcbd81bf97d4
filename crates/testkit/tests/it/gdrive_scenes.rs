//! Google Drive against the sandbox: what only Drive has.
#![expect(clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use http::{Method, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tramontane_connector::http::Request;
use tramontane_connector::storage::{
    DeleteOptions, GranteeKind, PermissionChange, ReadOptions, SearchQuery,
};
use tramontane_connector::{
    Account, Bases, Body, Conflict, Connector, Cx, Entry, EntryRef, Error, Kind, Place, Storage,
    Tokens, WriteOptions,
};
use tramontane_connectors::gdrive::Gdrive;
use tramontane_fill::{Filled, Policy, Spool};
use tramontane_model::{NativeId, PageRequest};
use tramontane_sandbox::{Fault, FaultRule, Running};
use tramontane_testkit::prove::{Service, loopback_wire};
use url::Url;

use crate::sandboxed::sandbox;

/// Someone's Google Drive.
pub(crate) struct Home {
    pub(crate) running: Arc<Running>,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) storage: Filled,
    pub(crate) cx: Cx,
}

fn connector(running: &Running) -> Arc<dyn Connector> {
    let mut bases = Bases::default();
    bases.set("gdrive", running.base("gdrive").unwrap());
    Arc::new(Gdrive::new(&bases).unwrap())
}

impl Home {
    pub(crate) async fn of(running: &Arc<Running>, person: &str, number: i64) -> Self {
        let connector = connector(running);
        let grant = running.sandbox.grant("gdrive", person).unwrap();
        let fields = [("access_token", grant.access_token.as_str())];
        let spool = Spool::new(tempfile::tempdir().unwrap().keep());
        let service =
            Service::connect(Arc::clone(&connector), number, &fields, spool.clone()).await.unwrap();
        let storage = Filled::new(connector.require_storage().unwrap(), spool);
        let cx = Cx::interactive(service.account, service.lent, Duration::from_secs(60));
        Self { running: Arc::clone(running), connector, storage, cx }
    }

    pub(crate) async fn alone() -> Self {
        Self::of(&Arc::new(sandbox().await), "ana", 41).await
    }

    pub(crate) fn root(&self) -> NativeId {
        self.storage.root(&self.cx.account)
    }

    /// Asks Drive itself, for what the connector never asks.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let url = self.running.base("gdrive").unwrap().join(path).unwrap();
        let request = Request::new("test", method, url)
            .header(header::CONTENT_TYPE, "application/json")
            .bytes(body.to_string());
        let answer = self.cx.send(request).await.unwrap();
        assert!(answer.status.is_success(), "{path}: {}", answer.status);
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null)
    }

    pub(crate) async fn put(&self, parent: &NativeId, name: &str, text: &str) -> Entry {
        let body = Body::from_bytes(text.to_owned());
        let at = Place::new(parent.clone(), name);
        self.storage.create(&self.cx, &at, body, &WriteOptions::fail()).await.unwrap()
    }

    pub(crate) async fn text(&self, file: &NativeId) -> Result<String, Error> {
        let read = self.storage.read(&self.cx, file, &ReadOptions::default()).await?;
        let bytes = read.body.collect(64 << 20).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn list(&self, folder: &NativeId, page: usize) -> Vec<Entry> {
        let mut all = Vec::new();
        let mut request = PageRequest::first(page);
        loop {
            let got = self.storage.list(&self.cx, folder, &request).await.unwrap();
            assert!(got.items.len() <= page);
            all.extend(got.items);
            match got.next {
                Some(next) => request = PageRequest::after(next, page),
                None => return all,
            }
        }
    }

    pub(crate) async fn names(&self, folder: &NativeId) -> Vec<String> {
        self.list(folder, 1_000).await.into_iter().map(|entry| entry.name).collect()
    }

    pub(crate) fn spoil(&self, path: &str, fault: Fault) {
        self.running.sandbox.faults().add(FaultRule::next("gdrive", path, fault));
    }
}

/// A shared drive that Ana organises and Ben writes in.
async fn team_drive(ana: &Home) -> NativeId {
    let made =
        ana.ask(Method::POST, "drive/v3/drives?requestId=one", json!({"name": "The team"})).await;
    let id = made["id"].as_str().unwrap().to_owned();
    let path = format!("drive/v3/files/{id}/permissions?supportsAllDrives=true");
    let ben = json!({"type": "user", "role": "writer", "emailAddress": "ben@example.com"});
    ana.ask(Method::POST, &path, ben).await;
    NativeId::new(id)
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_drives_stand_beside_my_drive() {
    let running = Arc::new(sandbox().await);
    let ana = Home::of(&running, "ana", 41).await;
    let ben = Home::of(&running, "ben", 42).await;
    let drive = team_drive(&ana).await;
    ana.put(&ana.root(), "own", "x").await;
    for page in [1, 2, 10] {
        let all: Vec<String> =
            ana.list(&ana.root(), page).await.into_iter().map(|entry| entry.name).collect();
        assert_eq!(all, ["own", "Shared drives", "Shared with me"], "pages of {page}");
    }
    let at = Place::new(ana.root(), "Shared drives");
    let beside = ana.storage.child(&ana.cx, &at).await.unwrap().unwrap();
    assert!(!beside.can_create_folders && !beside.can_upload_files);
    let found = ana.list(&beside.id, 10).await;
    assert_eq!((found[0].name.as_str(), &found[0].id), ("The team", &drive));
    assert_eq!(found[0].parent.as_ref().unwrap().id, beside.id);
    // Drive itself calls it "Drive".
    let top = ana.storage.get(&ana.cx, &EntryRef::folder(drive.clone())).await.unwrap();
    assert_eq!((top.name.as_str(), &top.parent.unwrap().id), ("The team", &beside.id));

    let file = ben.put(&drive, "report.txt", "of the team").await;
    assert_eq!(ana.names(&drive).await, ["report.txt"]);
    assert_eq!(ana.text(&file.id).await.unwrap(), "of the team");
    let namesake = Place::new(drive.clone(), "report.txt");
    assert_eq!(ana.storage.child(&ana.cx, &namesake).await.unwrap().unwrap().id, file.id);
    // A writer may neither throw away nor delete for good there.
    let how = DeleteOptions::default();
    let refused = ben.storage.delete(&ben.cx, &file.reference(), &how).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Forbidden);
    // The top of a drive, and the folders of ours, stay.
    for id in [&drive, &beside.id, &NativeId::new("~shared-with-me")] {
        let what = EntryRef::folder(id.clone());
        let all = DeleteOptions { recursive: true, ..DeleteOptions::default() };
        let refused = ana.storage.delete(&ana.cx, &what, &all).await.unwrap_err();
        assert_eq!(refused.kind, Kind::NotAllowed, "{id}");
        let to = Place::new(ana.root(), "elsewhere");
        let refused = ana.storage.relocate(&ana.cx, &what, &to, Conflict::Fail).await.unwrap_err();
        assert_eq!(refused.kind, Kind::NotAllowed, "{id}");
    }
    let refused = ana.storage.create_folder(&ana.cx, &Place::new(beside.id, "new")).await;
    assert_eq!(refused.unwrap_err().kind, Kind::NotAllowed);

    // Into the drive and out again: a folder goes by copying, since Drive moves none there.
    let folder =
        ana.storage.create_folder(&ana.cx, &Place::new(ana.root(), "plans")).await.unwrap();
    ana.put(&folder.id, "a.txt", "a").await;
    let to = Place::new(drive.clone(), "plans");
    let moved =
        ana.storage.relocate(&ana.cx, &folder.reference(), &to, Conflict::Fail).await.unwrap();
    assert_eq!(ben.names(&moved.id).await, ["a.txt"]);
    assert!(!ana.names(&ana.root()).await.contains(&"plans".to_owned()));

    // What is thrown away in a drive is in its trash, which is listed with one's own.
    ana.storage.delete(&ana.cx, &file.reference(), &how).await.unwrap();
    let own = ana.put(&ana.root(), "thrown", "x").await;
    ana.storage.delete(&ana.cx, &own.reference(), &how).await.unwrap();
    let trash = ana.storage.trash().unwrap();
    let mut thrown = Vec::new();
    let mut request = PageRequest::first(1);
    loop {
        let page = trash.list(&ana.cx, &request).await.unwrap();
        thrown.extend(page.items.into_iter().map(|entry| entry.name));
        match page.next {
            Some(next) => request = PageRequest::after(next, 1),
            None => break,
        }
    }
    assert_eq!(thrown, ["thrown", "report.txt"], "one's own trash, then those of the drives");
    trash.restore(&ana.cx, &file.reference(), None, Conflict::Fail).await.unwrap();
    assert!(ana.names(&drive).await.contains(&"report.txt".to_owned()));
    trash.purge(&ana.cx, &own.reference()).await.unwrap();
    trash.empty(&ana.cx).await.unwrap();
    assert!(trash.list(&ana.cx, &PageRequest::first(10)).await.unwrap().items.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_shared_has_a_folder() {
    let running = Arc::new(sandbox().await);
    let ana = Home::of(&running, "ana", 41).await;
    let ben = Home::of(&running, "ben", 42).await;
    let folder = ben.storage.create_folder(&ben.cx, &Place::new(ben.root(), "ours")).await.unwrap();
    let file = ben.put(&folder.id, "inside.txt", "hello").await;
    let nothing = ana.storage.get(&ana.cx, &file.reference()).await.unwrap_err();
    assert_eq!(nothing.kind, Kind::NotFound);
    let permissions = ben.storage.permissions().unwrap();
    let change = |role: Option<&str>| PermissionChange {
        grantee: GranteeKind::User,
        id: None,
        email: Some("ana@example.com".into()),
        role: role.map(str::to_owned),
    };
    let of = folder.reference();
    permissions.change(&ben.cx, &of, &[change(Some("reader"))], false, false).await.unwrap();
    let shared = NativeId::new("~shared-with-me");
    let found = ana.list(&shared, 10).await;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].name.as_str(), &found[0].parent.as_ref().unwrap().id), ("ours", &shared));
    assert!(!found[0].can_upload_files);
    assert_eq!(ana.names(&folder.id).await, ["inside.txt"]);
    assert_eq!(ana.text(&file.id).await.unwrap(), "hello");
    let refused = ana.storage.update(&ana.cx, &file.id, Body::from_bytes("x"), None).await;
    assert_eq!(refused.unwrap_err().kind, Kind::Forbidden);
    // What comes from above is told, and changed there only.
    let listed = permissions.list(&ben.cx, &file.reference()).await.unwrap();
    let inherited = listed.iter().find(|one| one.email.as_deref() == Some("ana@example.com"));
    assert!(inherited.unwrap().inherited && listed.iter().any(|one| one.role == "owner"));
    let refused =
        permissions.change(&ben.cx, &file.reference(), &[change(None)], false, false).await;
    assert_eq!(refused.unwrap_err().kind, Kind::Invalid);
    for (role, kind) in [("previewer", Kind::Invalid), ("king", Kind::Invalid)] {
        let refused = permissions.change(&ben.cx, &of, &[change(Some(role))], false, false).await;
        assert_eq!(refused.unwrap_err().kind, kind, "{role}");
    }
    let owner = permissions.change(&ben.cx, &of, &[change(Some("owner"))], false, false).await;
    assert!(matches!(owner.unwrap_err().kind, Kind::Unsupported(_)));
    // Replacing the whole set keeps the owner.
    let group = PermissionChange {
        grantee: GranteeKind::Group,
        id: None,
        email: Some("staff@example.com".into()),
        role: Some("commenter".into()),
    };
    let anyone = PermissionChange {
        grantee: GranteeKind::Anyone,
        id: None,
        email: None,
        role: Some("reader".into()),
    };
    let after = permissions.change(&ben.cx, &of, &[group, anyone], true, false).await.unwrap();
    let mut roles: Vec<_> = after.iter().map(|one| (one.grantee, one.role.as_str())).collect();
    roles.sort_by_key(|(_, role)| role.to_string());
    assert_eq!(
        roles,
        [
            (GranteeKind::Group, "commenter"),
            (GranteeKind::User, "owner"),
            (GranteeKind::Anyone, "reader")
        ]
    );
    assert!(permissions.change(&ben.cx, &of, &[], true, false).await.unwrap().len() == 1);
    let gone = ana.storage.get(&ana.cx, &file.reference()).await.unwrap_err();
    assert_eq!(gone.kind, Kind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_exported_and_shortcuts_followed() {
    let ana = Home::alone().await;
    let body = json!({"name": "Plan", "mimeType": "application/vnd.google-apps.document"});
    let made = ana.ask(Method::POST, "drive/v3/files", body).await;
    let id = NativeId::new(made["id"].as_str().unwrap());
    let entry = ana.storage.get(&ana.cx, &EntryRef::file(id.clone())).await.unwrap();
    assert_eq!((entry.size, entry.downloadable), (None, true));
    let how = |export: Option<&str>| ReadOptions { range: None, export: export.map(str::to_owned) };
    let word = ana.storage.read(&ana.cx, &id, &how(None)).await.unwrap();
    assert!(word.media_type.unwrap().ends_with("wordprocessingml.document"));
    assert!(word.body.collect(1 << 20).await.unwrap().starts_with(b"PK"));
    let pdf = ana.storage.read(&ana.cx, &id, &how(Some("pdf"))).await.unwrap();
    assert!(pdf.body.collect(1 << 20).await.unwrap().starts_with(b"%PDF"));
    let odd = ana.storage.read(&ana.cx, &id, &how(Some("exe"))).await.unwrap_err();
    assert_eq!(odd.kind, Kind::Invalid);
    let refused = ana.storage.update(&ana.cx, &id, Body::from_bytes("x"), None).await;
    assert_eq!(refused.unwrap_err().kind, Kind::NotAllowed);
    let copy = Place::new(ana.root(), "Plan 2");
    let copy = ana.storage.copy(&ana.cx, &entry.reference(), &copy, Conflict::Fail).await.unwrap();
    assert_eq!(copy.media_type, entry.media_type);

    let file = ana.put(&ana.root(), "target.txt", "at the end").await;
    let folder = ana.storage.create_folder(&ana.cx, &Place::new(ana.root(), "dir")).await.unwrap();
    ana.put(&folder.id, "precious", "stays").await;
    for (name, target) in [("to the file", &file.id), ("to the folder", &folder.id)] {
        let body = json!({"name": name, "mimeType": "application/vnd.google-apps.shortcut",
            "shortcutDetails": {"targetId": target.as_str()}});
        ana.ask(Method::POST, "drive/v3/files", body).await;
    }
    let all: BTreeMap<String, Entry> = ana
        .list(&ana.root(), 100)
        .await
        .into_iter()
        .map(|entry| (entry.name.clone(), entry))
        .collect();
    let (to_file, to_folder) = (&all["to the file"], &all["to the folder"]);
    assert!(!to_file.is_folder() && to_file.downloadable);
    assert!(!to_folder.is_folder() && !to_folder.downloadable);
    assert_eq!(ana.text(&to_file.id).await.unwrap(), "at the end");
    // A shortcut is no way into a folder: deleting it deletes nothing else.
    assert!(ana.text(&to_folder.id).await.is_err());
    let how = DeleteOptions { recursive: true, ..DeleteOptions::default() };
    ana.storage.delete(&ana.cx, &to_folder.reference(), &how).await.unwrap();
    assert_eq!(ana.names(&folder.id).await, ["precious"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_files_may_have_one_name() {
    let ana = Home::alone().await;
    for _ in 0..2 {
        ana.ask(Method::POST, "drive/v3/files", json!({"name": "same"})).await;
    }
    let body = json!({"name": "same", "mimeType": "application/vnd.google-apps.folder"});
    ana.ask(Method::POST, "drive/v3/files", body).await;
    assert_eq!(ana.names(&ana.root()).await.iter().filter(|name| *name == "same").count(), 3);
    let at = Place::new(ana.root(), "same");
    let child = ana.storage.child(&ana.cx, &at).await.unwrap().unwrap();
    assert!(!child.is_folder(), "a file goes before a folder");
    let taken = ana.storage.create_folder(&ana.cx, &at).await.unwrap_err();
    assert!(taken.is_conflict());
    let how = WriteOptions::fail();
    let body = Body::from_bytes("new");
    let placed = ana.storage.upload(&ana.cx, &at, body, Policy::Replace, &how).await.unwrap();
    assert_eq!((placed.created, &placed.entry.id), (false, &child.id));
    // Case is told apart here, although Drive's own search does not.
    ana.put(&ana.root(), "SAME", "x").await;
    let upper = ana.storage.child(&ana.cx, &Place::new(ana.root(), "Same")).await.unwrap();
    assert!(upper.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn search_looks_into_content_and_below_folders() {
    let ana = Home::alone().await;
    let top = ana.storage.create_folder(&ana.cx, &Place::new(ana.root(), "top")).await.unwrap();
    let sub = ana.storage.create_folder(&ana.cx, &Place::new(top.id.clone(), "sub")).await.unwrap();
    ana.put(&sub.id, "deep.txt", "the quick brown fox").await;
    ana.put(&ana.root(), "fox's \\ den.txt", "x").await;
    let find = async |text: &str, below: Vec<NativeId>| {
        let query = SearchQuery { text: text.into(), below };
        let page = ana.storage.search(&ana.cx, &query, &PageRequest::first(100)).await.unwrap();
        let mut names: Vec<String> = page.items.into_iter().map(|entry| entry.name).collect();
        names.sort();
        names
    };
    assert_eq!(find("fox", vec![]).await, ["deep.txt", "fox's \\ den.txt"]);
    assert_eq!(find("fox", vec![top.id.clone()]).await, ["deep.txt"]);
    assert_eq!(find("fox", vec![ana.root()]).await.len(), 2);
    assert_eq!(find("fox's \\ den", vec![]).await, ["fox's \\ den.txt"]);
    assert!(find("' or name contains 'fox", vec![top.id]).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_url_takes_content_without_a_credential() {
    let ana = Home::alone().await;
    let at = Place::new(ana.root(), "by url.txt");
    let lasting = Duration::from_secs(3_600);
    let url = ana.storage.upload_url(&ana.cx, &at, lasting).await.unwrap();
    let mut request = Request::new("test", Method::PUT, url).bytes("straight to Google");
    request.signed = false;
    let answer = ana.cx.send(request).await.unwrap();
    assert!(answer.status.is_success(), "{}", answer.status);
    let made = ana.storage.child(&ana.cx, &at).await.unwrap().unwrap();
    assert_eq!(ana.text(&made.id).await.unwrap(), "straight to Google");
}

/// Tokens of everyone, by address; the administrator's own without one.
struct Delegated(BTreeMap<String, String>);

#[async_trait]
impl Tokens for Delegated {
    async fn access_token(
        &self,
        _account: &Account,
        subject: Option<&str>,
        refused: Option<&SecretString>,
    ) -> Result<SecretString, Error> {
        let token = self.0.get(subject.unwrap_or("ada@example.com"));
        let token = token.filter(|token| refused.is_none_or(|old| old.expose_secret() != *token));
        let token = token.ok_or_else(|| Error::new(Kind::Credential, "Nobody of that name."))?;
        Ok(SecretString::from(token.clone()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_acts_for_members() {
    let running = sandbox().await;
    let connector = connector(&running);
    let wire = loopback_wire(vec![Arc::clone(&connector)]).unwrap();
    let tokens = ["ana", "ben", "ada"].map(|person| {
        let grant = running.sandbox.grant("gdrive", person).unwrap();
        (format!("{person}@example.com"), grant.access_token)
    });
    wire.set_tokens(Arc::new(Delegated(tokens.into_iter().collect())));
    let mut account = tramontane_testkit::lent::account(44, "gdrive", BTreeMap::new());
    account.admin = true;
    let cx = Cx::interactive(Arc::new(account), wire, Duration::from_secs(60));
    let team = connector.team().unwrap();
    let first = team.users(&cx, &PageRequest::first(2)).await.unwrap();
    let next = PageRequest::after(first.next.clone().unwrap(), 2);
    let users = [first.items, team.users(&cx, &next).await.unwrap().items].concat();
    let admin: Vec<_> = users.iter().filter(|user| user.role == "admin").collect();
    assert_eq!((users.len(), admin.len(), admin[0].name.as_str()), (3, 1, "Ada Admin"));
    let ben = team.user(&cx, &NativeId::new("ben@example.com")).await.unwrap();
    assert_eq!((ben.name.as_str(), ben.emails.len()), ("Ben Bauer", 1));
    let groups = team.groups(&cx, &PageRequest::first(10)).await.unwrap().items;
    let of_ben = team.memberships(&cx, &ben.id, &PageRequest::first(10)).await.unwrap().items;
    assert_eq!((groups.len(), of_ben.len()), (2, 2));
    assert_eq!(team.group(&cx, &groups[0].id).await.unwrap(), groups[0]);
    let members = team.members(&cx, &groups[1].id, &PageRequest::first(10)).await.unwrap().items;
    assert_eq!(members.len(), 2);
    for nobody in ["eve@example.com", "", "../users", "a b"] {
        let error = team.user(&cx, &NativeId::new(nobody)).await.unwrap_err();
        assert_eq!(error.kind, Kind::NotFound, "{nobody}");
    }
    let stale = PageRequest::after("nonsense".into(), 2);
    assert_eq!(team.users(&cx, &stale).await.unwrap_err().kind, Kind::CursorExpired);

    // Each member has a My Drive of their own.
    let storage = connector.require_storage().unwrap();
    for person in ["ana", "ben"] {
        let subject = format!("{person}@example.com");
        let cx = Cx { as_user: Some(subject.into()), ..cx.clone() };
        let root = storage.root(&cx.account);
        let at = Place::new(root.clone(), person);
        let body = Body::from_bytes(person);
        let made = storage.create(&cx, &at, body, &WriteOptions::fail()).await.unwrap();
        assert_eq!(made.parent.unwrap().id, root);
        assert_eq!(made.owner.unwrap().email.unwrap(), format!("{person}@example.com"));
        let listed = storage.list(&cx, &root, &PageRequest::first(1)).await.unwrap();
        assert_eq!(listed.items[0].name, person);
    }
}

#[test]
fn credentials_go_to_google_only() {
    let connector = Gdrive::new(&Bases::default()).unwrap();
    let account = tramontane_testkit::lent::account(45, "gdrive", BTreeMap::new());
    let may = |url: &str| connector.may_call(&account, &Url::parse(url).unwrap());
    for good in [
        "https://www.googleapis.com/drive/v3/files",
        "https://www.googleapis.com/upload/drive/v3/files?upload_id=x",
        "https://admin.googleapis.com/admin/directory/v1/users",
        "https://lh3.googleusercontent.com/drive-storage/x=s220",
    ] {
        assert!(may(good), "{good}");
    }
    for bad in [
        "http://www.googleapis.com/drive/v3/files",
        "https://www.googleapis.com.evil.example/",
        "https://oauth2.googleapis.com/token",
        "https://docs.google.com/",
        "https://evil.example/?https://www.googleapis.com/",
    ] {
        assert!(!may(bad), "{bad}");
    }
    let oauth = connector.oauth().unwrap();
    assert_eq!(oauth.authorize.as_str(), "https://accounts.google.com/o/oauth2/v2/auth");
    assert_eq!(oauth.token.as_str(), "https://oauth2.googleapis.com/token");
    assert!(
        oauth.scopes_for(&["storage"], false).contains(&"https://www.googleapis.com/auth/drive")
    );
    assert!(!oauth.scopes_for(&["storage"], true).iter().any(|scope| scope.contains("directory")));
}
