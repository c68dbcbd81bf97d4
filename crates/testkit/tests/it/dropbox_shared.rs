//! What people of a team share at Dropbox: folders, as two accounts have them, and the space above their homes.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, header};
use serde_json::{Value, json};
use tramontane_connector::http::Request;
use tramontane_connector::storage::{DeleteOptions, GranteeKind, PermissionChange, ReadOptions};
use tramontane_connector::{
    Account, Bases, Body, Conflict, Connector, Credential, Cx, Entry, EntryRef, Error, Kind, Place,
    Storage, WriteOptions,
};
use tramontane_connectors::dropbox::Dropbox;
use tramontane_fill::Spool;
use tramontane_model::{AccountId, NativeId, Op, Ops, PageRequest};
use tramontane_sandbox::Running;
use tramontane_testkit::prove::{Service, loopback_wire};

use crate::sandboxed::sandbox;

/// One person's account.
struct Person {
    storage: Arc<dyn Storage>,
    cx: Cx,
    api: url::Url,
}

impl Person {
    fn of(running: &Running, name: &str, number: i64) -> Self {
        let base = running.base("dropbox").unwrap();
        let mut bases = Bases::default();
        bases.set("dropbox", base.clone());
        let connector: Arc<dyn Connector> = Arc::new(Dropbox::new(&bases).unwrap());
        let token = running.sandbox.grant("dropbox", name).unwrap().access_token;
        let account = Account {
            id: AccountId::new(number).unwrap(),
            service: Arc::from("dropbox"),
            admin: false,
            settings: Default::default(),
            credential: [("access_token", token)].into_iter().collect::<Credential>(),
            revision: 1,
        };
        let lent = loopback_wire(vec![Arc::clone(&connector)]).unwrap();
        let cx = Cx::interactive(Arc::new(account), lent, Duration::from_secs(30));
        Self { storage: connector.storage().unwrap(), cx, api: base }
    }

    /// A function that the contract has nothing for.
    async fn call(&self, function: &str, argument: &Value) -> Value {
        let url = self.api.join(&format!("2/{function}")).unwrap();
        let request = Request::new("function", Method::POST, url)
            .header(header::CONTENT_TYPE, "application/json")
            .bytes(argument.to_string());
        self.cx.send(request).await.unwrap().json().await.unwrap()
    }

    fn root(&self) -> NativeId {
        self.storage.root(&self.cx.account)
    }

    async fn children(&self, folder: &NativeId) -> Vec<Entry> {
        self.storage.list(&self.cx, folder, &PageRequest::first(100)).await.unwrap().items
    }

    async fn names(&self, folder: &NativeId) -> Vec<String> {
        let mut names: Vec<_> =
            self.children(folder).await.into_iter().map(|entry| entry.name).collect();
        names.sort();
        names
    }

    async fn write(&self, folder: &NativeId, name: &str, text: &str) -> Result<Entry, Error> {
        let at = Place::new(folder.clone(), name);
        let body = Body::from_bytes(text.to_owned());
        self.storage.create(&self.cx, &at, body, &WriteOptions::fail()).await
    }

    async fn text(&self, file: &NativeId) -> String {
        let read = self.storage.read(&self.cx, file, &ReadOptions::default()).await.unwrap();
        String::from_utf8(read.body.collect(1000).await.unwrap().to_vec()).unwrap()
    }

    async fn delete(&self, what: &EntryRef) -> Result<(), Error> {
        self.storage.delete(&self.cx, what, &DeleteOptions::default()).await
    }

    /// Gives Ben this role on a folder.
    async fn let_ben(&self, folder: &EntryRef, role: Option<&str>) {
        let change = PermissionChange {
            grantee: GranteeKind::User,
            id: None,
            email: Some("ben@example.com".into()),
            role: role.map(str::to_owned),
        };
        let permissions = self.storage.permissions().unwrap();
        permissions.change(&self.cx, folder, &[change], false, false).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_folder_is_the_same_for_both_and_each_may_what_their_role_says() {
    let running = sandbox().await;
    let (ana, ben) = (Person::of(&running, "ana", 81), Person::of(&running, "ben", 82));
    let at = Place::new(ana.root(), "Plans");
    let plans = ana.storage.create_folder(&ana.cx, &at).await.unwrap();
    let first = ana.write(&plans.id, "a.txt", "of ana").await.unwrap();
    ana.let_ben(&plans.reference(), Some("reader")).await;
    // Whoever is given a folder takes it into their files themselves.
    assert!(ben.children(&ben.root()).await.is_empty());
    let open = ben.call("sharing/list_mountable_folders", &json!({})).await;
    let id = open.pointer("/entries/0/shared_folder_id").unwrap();
    ben.call("sharing/mount_folder", &json!({"shared_folder_id": id})).await;

    let theirs = ben.children(&ben.root()).await.pop().unwrap();
    assert_eq!((theirs.name.as_str(), theirs.is_folder()), ("Plans", true));
    let seen = ben.children(&theirs.id).await.pop().unwrap();
    assert_eq!((&seen.id, &seen.etag), (&first.id, &first.etag), "one object, one id");
    assert_eq!(ben.text(&seen.id).await, "of ana");
    let refused = [
        ben.write(&theirs.id, "b.txt", "x").await.map(|_| ()),
        ben.delete(&seen.reference()).await,
        ben.storage
            .relocate(
                &ben.cx,
                &seen.reference(),
                &Place::new(ben.root(), "mine.txt"),
                Conflict::Fail,
            )
            .await
            .map(|_| ()),
    ];
    for outcome in refused {
        assert_eq!(outcome.unwrap_err().kind, Kind::Forbidden);
    }
    ana.let_ben(&plans.reference(), Some("writer")).await;
    let second = ben.write(&theirs.id, "b.txt", "of ben").await.unwrap();
    assert_eq!(ana.names(&plans.id).await, ["a.txt", "b.txt"]);
    assert_eq!(ana.text(&second.id).await, "of ben");
    let to = Place::new(plans.id.clone(), "renamed.txt");
    ana.storage.relocate(&ana.cx, &first.reference(), &to, Conflict::Fail).await.unwrap();
    assert_eq!(ben.names(&theirs.id).await, ["b.txt", "renamed.txt"]);
    ben.delete(&second.reference()).await.unwrap();
    assert_eq!(ana.names(&plans.id).await, ["renamed.txt"]);
    // Both are told who is in it; what is below says where that comes from.
    let members = ben.storage.permissions().unwrap().list(&ben.cx, &theirs.reference()).await;
    let members: Vec<_> = members.unwrap().into_iter().filter_map(|one| one.email).collect();
    assert_eq!(members, ["ana@example.com", "ben@example.com"]);
    ana.let_ben(&plans.reference(), None).await;
    assert!(ben.children(&ben.root()).await.is_empty());
    assert_eq!(ana.names(&plans.id).await, ["renamed.txt"]);
}

/// A home in a team's space, and a folder of the team beside it: paths begin above both, since connecting has
/// learnt where ("Team Files Guide").
#[tokio::test(flavor = "multi_thread")]
async fn a_home_and_a_team_folder_in_a_teams_space_behave() {
    let running = sandbox().await;
    let ana = Person::of(&running, "ana", 83);
    let on = ana.api.join("_sandbox/team_space").unwrap();
    let request = Request::new("space", Method::POST, on)
        .header(header::CONTENT_TYPE, "application/json")
        .bytes(r#"{"on": true}"#);
    assert!(ana.cx.send(request).await.unwrap().status.is_success());

    let mut bases = Bases::default();
    bases.set("dropbox", ana.api.clone());
    let token = running.sandbox.grant("dropbox", "ana").unwrap().access_token;
    let spool = tempfile::tempdir().unwrap();
    let connect = async || {
        let connector: Arc<dyn Connector> = Arc::new(Dropbox::new(&bases).unwrap());
        let fields = [("access_token", token.as_str())];
        Service::connect(connector, 84, &fields, Spool::new(spool.path())).await.unwrap()
    };
    let service = connect().await;
    let storage = service.connector.storage().unwrap();
    let cx = Cx::interactive(
        Arc::clone(&service.account),
        Arc::clone(&service.lent),
        Duration::from_secs(30),
    );
    let root = storage.root(&service.account);
    storage.create_folder(&cx, &Place::new(root.clone(), "Company")).await.unwrap();
    let top = storage.list(&cx, &root, &PageRequest::first(10)).await.unwrap().items;
    let mut names: Vec<_> = top.iter().map(|entry| entry.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["Ana Alves", "Company"]);
    // The account as it was connected before begins at home, and sees the same there.
    let home = top.iter().find(|entry| entry.name == "Ana Alves").unwrap();
    ana.write(&ana.root(), "mine.txt", "of ana").await.unwrap();
    let mine = storage.list(&cx, &home.id, &PageRequest::first(10)).await.unwrap().items;
    assert_eq!(mine.first().map(|entry| entry.name.as_str()), Some("mine.txt"));
    for folder in top {
        let service = connect().await.below(folder.id.as_str());
        // The simulated space lists its whole tree without the homes, and the trash is found in that. With
        // something masked changes are not followed, which is for whole accounts.
        let trash = Ops::of(&[Op::TrashList, Op::TrashRestore]);
        let (report, wrong) = service.suite(trash, false).await.unwrap();
        let failed = report.failures();
        assert!(failed.is_empty() && wrong.is_empty(), "{}: {failed:#?} {wrong:#?}", folder.name);
        assert!(report.passed() > 50, "{}: {}", folder.name, report.passed());
    }
}
