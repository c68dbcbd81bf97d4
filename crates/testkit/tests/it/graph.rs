//! OneDrive, OneDrive for Business and SharePoint, against the simulated Microsoft Graph.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use tramontane_connector::storage::{DeleteOptions, ReadOptions, SearchQuery};
use tramontane_connector::{
    Account, Bases, Body, Connector, Credential, Cx, Entry, Error, Kind, Place, Retry, Settings,
    Storage, WriteOptions,
};
use tramontane_connectors::graph::Graph;
use tramontane_fill::Spool;
use tramontane_model::{AccountId, NativeId, Op, PageRequest};
use tramontane_sandbox::{Fault, FaultRule, Running};
use tramontane_testkit::prove::{Service, loopback_wire};

use crate::feeds::follows_a_member;
use crate::sandboxed::{prove_sandboxed, sandbox};

fn made(service: &str, bases: &Bases) -> Arc<dyn Connector> {
    Arc::new(match service {
        "onedrive" => Graph::onedrive(bases).unwrap(),
        "onedrivebiz" => Graph::onedrivebiz(bases).unwrap(),
        _ => Graph::sharepoint(bases).unwrap(),
    })
}

fn connector(running: &Running, service: &str) -> Arc<dyn Connector> {
    let mut bases = Bases::default();
    bases.set(service, running.base(service).unwrap());
    made(service, &bases)
}

#[tokio::test(flavor = "multi_thread")]
async fn onedrive_for_business_behaves() {
    prove_sandboxed("onedrivebiz", 62, |bases| made("onedrivebiz", bases), false).await;
}

/// Whether the code of Graph is not the business drive's when this operation is native or masked: personal
/// drives move, upload and delete by other requests, and SharePoint's tree has floors above its drives.
/// What the other gaps are filled with is proven with the business drive, on the same requests. Masking all 23
/// in turn takes 141 s here and 105 s at SharePoint on a busy machine of two cores, these 36 s and 25 s;
/// `TRAMONTANE_TEST_EVERY_MASK` masks them all.
fn differs(op: Op) -> bool {
    const DIFFERENT: &[Op] = &[
        Op::FileUpdate,
        Op::FileMove,
        Op::FolderMove,
        Op::FolderDelete,
        Op::MultipartCreate,
        Op::SearchName,
        Op::QuotaRead,
        Op::LinkCreate,
    ];
    DIFFERENT.contains(&op) || std::env::var("TRAMONTANE_TEST_EVERY_MASK").is_ok()
}

async fn prove_another(service: &str, number: i64, below: Option<&NativeId>, running: &Running) {
    let grant = running.sandbox.grant(service, "ana").unwrap();
    let fields = [("access_token", grant.access_token.as_str())];
    let spool = tempfile::tempdir().unwrap();
    let connector = connector(running, service);
    let proven =
        Service::connect(connector, number, &fields, Spool::new(spool.path())).await.unwrap();
    let proven = match below {
        Some(folder) => proven.below(folder.as_str()),
        None => proven,
    };
    let begun = std::time::Instant::now();
    let proof = proven.prove_what_differs(&differs).await.unwrap();
    let (passed, masks, took) = (proof.passed, proof.masks, begun.elapsed());
    eprintln!("{passed} checks passed, {masks} operations masked in turn, {took:?}");
    proof.check().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn onedrive_behaves() {
    prove_another("onedrive", 61, None, &sandbox().await).await;
}

/// An account of a person, with a way to it.
struct Scene {
    running: Running,
    service: &'static str,
    storage: Arc<dyn Storage>,
    connector: Arc<dyn Connector>,
    cx: Cx,
}

impl Scene {
    async fn of(service: &'static str, person: &str) -> Self {
        let running = sandbox().await;
        let token = running.sandbox.grant(service, person).unwrap().access_token;
        Self::with(running, service, token, false, &[])
    }

    fn with(
        running: Running,
        service: &'static str,
        token: String,
        admin: bool,
        settings: &[(&str, &str)],
    ) -> Self {
        let connector = connector(&running, service);
        let lent = loopback_wire(vec![Arc::clone(&connector)]).unwrap();
        let account = Account {
            id: AccountId::new(70).unwrap(),
            service: Arc::from(service),
            admin,
            settings: settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<Settings>(),
            credential: [("access_token", token)].into_iter().collect::<Credential>(),
            revision: 1,
        };
        let cx = Cx::interactive(Arc::new(account), lent, Duration::from_secs(30));
        let storage = connector.storage().unwrap();
        Self { running, service, storage, connector, cx }
    }

    fn root(&self) -> NativeId {
        self.storage.root(&self.cx.account)
    }

    fn at(&self, name: &str) -> Place {
        Place::new(self.root(), name)
    }

    fn fault(&self, path: &str, fault: Fault) {
        self.running.sandbox.faults().add(FaultRule::next(self.service, path, fault));
    }

    async fn create(&self, name: &str, body: Body) -> Result<Entry, Error> {
        self.storage.create(&self.cx, &self.at(name), body, &WriteOptions::fail()).await
    }

    async fn children(&self, folder: &NativeId) -> Vec<Entry> {
        self.storage.list(&self.cx, folder, &PageRequest::first(100)).await.unwrap().items
    }

    async fn names(&self) -> Vec<String> {
        self.children(&self.root()).await.into_iter().map(|entry| entry.name).collect()
    }

    async fn text(&self, file: &NativeId) -> Result<Bytes, Error> {
        let content = self.storage.read(&self.cx, file, &ReadOptions::default()).await?;
        content.body.collect(64 << 20).await
    }
}

fn large() -> Bytes {
    let bytes: Vec<u8> = (0..12_000_000u32).map(|n| (n % 251) as u8).collect();
    Bytes::from(bytes)
}

fn in_pieces(mut bytes: Bytes) -> Body {
    let len = bytes.len() as u64;
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        parts.push(Ok(bytes.split_to(bytes.len().min(100_000))));
    }
    Body::new(stream::iter(parts), Some(len))
}

#[tokio::test(flavor = "multi_thread")]
async fn sharepoint_shows_sites_libraries_and_files() {
    let scene = Scene::of("sharepoint", "ana").await;
    let sites = scene.children(&scene.root()).await;
    let names = |entries: &[Entry]| entries.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&sites), ["Example", "Marketing"]);
    let marketing = sites.get(1).unwrap();
    let libraries = scene.children(&marketing.id).await;
    assert_eq!(names(&libraries), ["Documents", "Archive"]);
    let archive = libraries.get(1).unwrap();
    let again = scene.storage.get(&scene.cx, &archive.reference()).await.unwrap();
    assert_eq!((again.name.as_str(), &again.id), ("Archive", &archive.id));
    assert_eq!(again.parent.unwrap().id, marketing.id);
    let above = scene.storage.get(&scene.cx, &marketing.reference()).await.unwrap();
    assert_eq!(above.parent.unwrap().id, scene.root());
    for folder in [scene.root(), marketing.id.clone()] {
        let refused = scene.storage.create_folder(&scene.cx, &Place::new(folder, "x")).await;
        assert_eq!(refused.unwrap_err().kind, Kind::NotAllowed);
    }
    // Names that only libraries keep for themselves are the service's to refuse.
    let forms = Place::new(archive.id.clone(), "Forms");
    let forms = scene.storage.create_folder(&scene.cx, &forms).await;
    assert_eq!(forms.unwrap_err().kind, Kind::Invalid);
    let at = Place::new(archive.id.clone(), "zebra.txt");
    let body = Body::from_bytes("x");
    scene.storage.create(&scene.cx, &at, body, &WriteOptions::fail()).await.unwrap();
    let everywhere = SearchQuery { text: "zebra".into(), below: vec![] };
    let page = PageRequest::first(10);
    let found = scene.storage.search(&scene.cx, &everywhere, &page).await.unwrap().items;
    assert_eq!(names(&found), ["zebra.txt"]);
    assert_eq!(found.first().unwrap().parent.as_ref().unwrap().id, archive.id);
    // One site only.
    let token = scene.running.sandbox.grant("sharepoint", "ana").unwrap().access_token;
    let domain = [("domain", "example.sharepoint.com/sites/marketing")];
    let one = Scene::with(scene.running, "sharepoint", token, false, &domain);
    one.connector.identify(&one.cx).await.unwrap();
    assert_eq!(one.names().await, ["Documents", "Archive"]);
    let library = one.storage.get(&one.cx, &archive.reference()).await.unwrap();
    assert_eq!(library.parent.unwrap().id, one.root());
    prove_another("sharepoint", 63, Some(&archive.id), &one.running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notebooks_and_shared_folders_are_told_apart() {
    for service in ["onedrive", "onedrivebiz"] {
        let scene = Scene::of(service, "ben").await;
        let children = scene.children(&scene.root()).await;
        let named = |name: &str| children.iter().find(|one| one.name == name).unwrap().clone();
        let notebook = named("Notebook");
        assert!(!notebook.is_folder() && !notebook.downloadable);
        assert_eq!(scene.text(&notebook.id).await.unwrap_err().kind, Kind::NotAllowed);
        let shared = named("Team plans");
        assert!(shared.is_folder());
        let inside = scene.children(&shared.id).await;
        let plan = inside.first().unwrap();
        assert_eq!(scene.text(&plan.id).await.unwrap(), "the plan");
        // The folder of the plan is Ada's; for Ben it lies at his root.
        let above = plan.parent.clone().unwrap();
        let above = tramontane_connector::EntryRef::folder(above.id);
        let theirs = scene.storage.get(&scene.cx, &above).await;
        assert_eq!(theirs.unwrap().parent.unwrap().id, scene.root());
        let at = Place::new(shared.id.clone(), "from ben.txt");
        let body = Body::from_bytes("hello");
        scene.storage.create(&scene.cx, &at, body, &WriteOptions::fail()).await.unwrap();
        // Deleting the shortcut leaves what it stands for.
        let how = DeleteOptions { recursive: true, ..DeleteOptions::default() };
        scene.storage.delete(&scene.cx, &shared.reference(), &how).await.unwrap();
        assert_eq!(scene.names().await, ["Notebook"]);
        assert_eq!(scene.text(&plan.id).await.unwrap(), "the plan");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_has_people_and_their_drives() {
    let running = sandbox().await;
    let scope = "https://graph.microsoft.com/.default";
    let token = running.sandbox.grant_with("onedrivebiz", "ada", scope).unwrap().access_token;
    let scene = Scene::with(running, "onedrivebiz", token, true, &[]);
    assert_eq!(scene.connector.identify(&scene.cx).await.unwrap().display, "Example");
    let team = scene.connector.team().unwrap();
    let page = PageRequest::first(2);
    let first = team.users(&scene.cx, &page).await.unwrap();
    let next = PageRequest::after(first.next.clone().unwrap(), 2);
    let second = team.users(&scene.cx, &next).await.unwrap();
    let all: Vec<_> =
        first.items.iter().chain(&second.items).map(|one| one.name.as_str()).collect();
    assert_eq!(all, ["Ana Alves", "Ben Bauer", "Ada Admin"]);
    assert_eq!(second.next, None);
    let ana = team.user(&scene.cx, &first.items.first().unwrap().id).await.unwrap();
    assert_eq!((ana.email.as_deref(), ana.role.as_str()), (Some("ana@example.com"), "member"));
    let groups = team.memberships(&scene.cx, &ana.id, &PageRequest::first(10)).await.unwrap().items;
    assert_eq!(
        groups.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(),
        ["Everyone", "Sales"]
    );
    let sales = team.group(&scene.cx, &groups.get(1).unwrap().id).await.unwrap();
    let members = team.members(&scene.cx, &sales.id, &PageRequest::first(10)).await.unwrap().items;
    assert_eq!(members.first().unwrap().id, ana.id);
    for odd in ["nobody", "../me", "a b", ""] {
        assert!(
            team.user(&scene.cx, &NativeId::new(odd)).await.unwrap_err().is_not_found(),
            "{odd}"
        );
    }
    let stale = PageRequest::after("https://evil.example/v1.0/users".into(), 2);
    assert_eq!(team.users(&scene.cx, &stale).await.unwrap_err().kind, Kind::CursorExpired);
    // Files are someone's: without a name nobody's are meant.
    let refused = scene.create("a.txt", Body::from_bytes("x")).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Invalid);
    let as_ana =
        Scene { cx: Cx { as_user: Some(ana.id.as_str().into()), ..scene.cx.clone() }, ..scene };
    as_ana.create("a.txt", Body::from_bytes("x")).await.unwrap();
    assert_eq!(as_ana.names().await, ["a.txt"]);
    let nobody = Cx { as_user: None, ..as_ana.cx.clone() };
    let (connector, storage) = (as_ana.connector.as_ref(), as_ana.storage.as_ref());
    follows_a_member(connector, storage, &nobody, &as_ana.cx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_told_in_our_words() {
    let scene = Scene::of("onedrivebiz", "ana").await;
    let file = scene.create("a.txt", Body::from_bytes("x")).await.unwrap();
    let status = |status, retry_after, body: &str| Fault::Status {
        status,
        retry_after,
        body: Some(body.to_owned()),
    };
    let error = |code: &str| format!("{{\"error\":{{\"code\":\"{code}\",\"message\":\"m\"}}}}");
    let get = || async { scene.storage.get(&scene.cx, &file.reference()).await };
    for (number, code, kind) in [
        (401, "InvalidAuthenticationToken", Kind::Credential),
        (403, "accessDenied", Kind::Forbidden),
        (423, "resourceLocked", Kind::Forbidden),
        (507, "quotaLimitReached", Kind::Full),
        (410, "resyncRequired", Kind::CursorExpired),
    ] {
        scene.fault("/items/", status(number, None, &error(code)));
        assert_eq!(get().await.unwrap_err().kind, kind, "{number} {code}");
    }
    // A wait that is longer than the caller has is told.
    scene.fault("/items/", status(429, Some(600), &error("activityLimitReached")));
    let limited = get().await.unwrap_err();
    assert_eq!(
        (limited.kind, limited.retry),
        (Kind::RateLimited, Retry::After(Duration::from_secs(600)))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn passing_failures_are_passed_over() {
    let scene = Scene::of("onedrivebiz", "ana").await;
    let file = scene.create("a.txt", Body::from_bytes("x")).await.unwrap();
    for fault in [
        Fault::Status { status: 503, retry_after: Some(0), body: None },
        Fault::Status { status: 429, retry_after: None, body: None },
        Fault::Status { status: 502, retry_after: None, body: None },
        Fault::Reset,
    ] {
        scene.fault("/items/", fault.clone());
        assert!(scene.storage.get(&scene.cx, &file.reference()).await.is_ok(), "{fault:?}");
    }
    scene.fault("/items/", Fault::Garble);
    let garbled = scene.storage.get(&scene.cx, &file.reference()).await.unwrap_err();
    assert_eq!(garbled.kind, Kind::Broken);
    let body = in_pieces(Bytes::from(vec![7; 1_000_000]));
    let whole = scene.create("whole.bin", body).await.unwrap();
    // Every time: a connection that breaks before the head is through is only tried again.
    let cut = FaultRule::next("onedrivebiz", "/dl/", Fault::Truncate { after: 300_000 });
    scene.running.sandbox.faults().add(FaultRule { times: 0, ..cut });
    let short = scene.cx.within(Duration::from_secs(2));
    let content = scene.storage.read(&short, &whole.id, &ReadOptions::default()).await;
    let read = match content {
        Ok(content) => content.body.collect(64 << 20).await,
        Err(error) => Err(error),
    };
    assert!(read.is_err(), "a part of a file passed for the whole");
    scene.running.sandbox.faults().clear();
    scene.running.sandbox.issuer("onedrivebiz").unwrap().expire_access();
    let expired = scene.storage.get(&scene.cx, &file.reference()).await.unwrap_err();
    assert_eq!(expired.kind, Kind::Credential);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_makes_no_second_file() {
    for service in ["onedrive", "onedrivebiz"] {
        let scene = Scene::of(service, "ana").await;
        scene.fault("/content", Fault::LoseAnswer);
        let small = scene.create("small.txt", Body::from_bytes("small")).await.unwrap();
        assert_eq!(scene.text(&small.id).await.unwrap(), "small");
        // A name that is taken is still refused, whatever happens on the way.
        scene.fault("/content", Fault::LoseAnswer);
        let again = scene.create("small.txt", Body::from_bytes("other")).await.unwrap_err();
        assert!(matches!(again.kind, Kind::Conflict(_) | Kind::Unavailable | Kind::Broken));
        // The first fragment's answer is lost, then the last one's, which ends the session.
        for skip in [0, 2] {
            let name = format!("large {skip}.bin");
            let rule = FaultRule { skip, ..FaultRule::next(service, "/up/", Fault::LoseAnswer) };
            scene.running.sandbox.faults().add(rule);
            let made = scene.create(&name, in_pieces(large())).await.unwrap();
            assert_eq!(scene.text(&made.id).await.unwrap(), large(), "{service} {skip}");
            scene.running.sandbox.faults().clear();
        }
        assert_eq!(scene.names().await, ["large 0.bin", "large 2.bin", "small.txt"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_cannot_go_on_leaves_nothing() {
    let scene = Scene::of("onedrivebiz", "ana").await;
    let rule = FaultRule {
        skip: 1,
        times: 0,
        ..FaultRule::next(
            "onedrivebiz",
            "/up/",
            Fault::Status { status: 500, retry_after: None, body: None },
        )
    };
    scene.running.sandbox.faults().add(rule);
    let cx = scene.cx.within(Duration::from_secs(3));
    let (at, how) = (scene.at("x.bin"), WriteOptions::fail());
    let made = scene.storage.create(&cx, &at, in_pieces(large()), &how).await;
    let failed = made.unwrap_err();
    assert!(matches!(failed.kind, Kind::Broken | Kind::Unavailable | Kind::Timeout), "{failed:?}");
    scene.running.sandbox.faults().clear();
    assert!(scene.names().await.is_empty());
}
