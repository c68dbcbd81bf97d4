//! S3 against a server that checks keys (SeaweedFS) and one that accepts any (moto): the suite, and what
//! only S3 has.
#![expect(clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use http::Method;
use tramontane_connector::http::Request;
use tramontane_connector::storage::{Content, DeleteOptions, ReadOptions};
use tramontane_connector::{
    Body, Connector, Cx, Entry, EntryRef, Error, Kind, Place, WriteOptions,
};
use tramontane_connectors::s3::S3;
use tramontane_fill::Spool;
use tramontane_model::{NativeId, Op, Ops, PageRequest};
use tramontane_testkit::prove::Service;
use url::Url;

use crate::services::given;

/// A server of the environment, with its endpoint and keys.
struct Server {
    endpoint: String,
    access: String,
    secret: String,
}

impl Server {
    fn of(variable: &str) -> Option<Self> {
        let mut url = Url::parse(&given(variable)?).unwrap();
        let access = url.username().to_owned();
        let secret = url.password().unwrap_or_default().to_owned();
        url.set_username("").unwrap();
        url.set_password(None).unwrap();
        Some(Self { endpoint: url.to_string(), access, secret })
    }

    fn fields<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut fields = vec![
            ("endpoint", self.endpoint.as_str()),
            ("token", self.access.as_str()),
            ("token_secret", self.secret.as_str()),
        ];
        fields.extend_from_slice(more);
        fields
    }

    async fn connect(&self, number: i64, more: &[(&str, &str)]) -> Service {
        let spool = tempfile::tempdir().unwrap().keep();
        let connector = Arc::new(S3::compatible());
        Service::connect(connector, number, &self.fields(more), Spool::new(spool)).await.unwrap()
    }

    /// Makes a bucket, with a request that the connector itself never sends.
    async fn bucket(&self, name: &str, versioned: bool) -> Service {
        let service = self.connect(90, &[]).await;
        let cx = context(&service);
        let url = Url::parse(&self.endpoint).unwrap().join(name).unwrap();
        let put = |url| Request::new("make_bucket", Method::PUT, url);
        let made = cx.send(put(url.clone())).await.unwrap();
        assert!(made.status.is_success() || made.status.as_u16() == 409, "{made:?}");
        if versioned {
            let mut url = url;
            url.set_query(Some("versioning"));
            let text = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                        <Status>Enabled</Status></VersioningConfiguration>";
            let done = cx.send(put(url).bytes(text)).await.unwrap();
            assert!(done.status.is_success(), "{done:?}");
        }
        service
    }
}

fn context(service: &Service) -> Cx {
    let account = Arc::clone(&service.account);
    Cx::interactive(account, service.lent.clone(), Duration::from_secs(120))
}

#[tokio::test(flavor = "multi_thread")]
async fn seaweedfs_behaves() {
    let Some(server) = Server::of("TRAMONTANE_TEST_S3") else { return };
    server.bucket("suite-plain", false).await;
    let service = server.connect(10, &[("bucket", "suite-plain")]).await;
    let proof = service.prove(true).await.unwrap();
    eprintln!("{} checks passed, {} operations masked in turn", proof.passed, proof.masks);
    if let Err(failures) = proof.check() {
        panic!("{failures}");
    }
}

/// As it is and with all but the ground masked: each operation in turn takes this server too long, and
/// so do ten thousand files.
#[tokio::test(flavor = "multi_thread")]
async fn moto_behaves() {
    let Some(server) = Server::of("TRAMONTANE_TEST_S3_MOTO") else { return };
    // It looks at every key of a bucket for every listing: a new one for each run.
    let bucket = format!("suite-{}", random());
    server.bucket(&bucket, false).await;
    let service = server.connect(11, &[("bucket", &bucket)]).await;
    let ground = [
        Op::FolderCreate,
        Op::FolderList,
        Op::FolderRead,
        Op::FileDownload,
        Op::FileCreate,
        Op::Raw,
    ];
    let storage = service.connector.storage().unwrap();
    let native = storage.abilities(&service.account).native;
    let most = native.iter().filter(|op| !ground.contains(op)).fold(Ops::NONE, Ops::with);
    for masked in [Ops::NONE, most] {
        let (report, wrong) = service.suite(masked, false).await.unwrap();
        let failures = [report.failures(), wrong].concat();
        assert!(failures.is_empty(), "without {masked:?}:\n{}", failures.join("\n"));
    }
}

/// Not on moto, which lists folders as long as versions of something in them are left.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_a_bucket_with_versions_behaves() {
    let Some(server) = Server::of("TRAMONTANE_TEST_S3") else { return };
    server.bucket("suite-versioned", true).await;
    let fields = [("bucket", "suite-versioned"), ("prefix", "team/a")];
    let service = server.connect(12, &fields).await;
    assert_eq!(service.account.setting("versioning"), Some("on"));
    let (report, wrong) = service.suite(Ops::NONE, false).await.unwrap();
    let failures = [report.failures(), wrong].concat();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_are_told_apart_from_closed_doors() {
    let Some(server) = Server::of("TRAMONTANE_TEST_S3") else { return };
    let wrong = Server { secret: "wrong".into(), ..server };
    let connector: Arc<dyn Connector> = Arc::new(S3::compatible());
    let spool = Spool::new(tempfile::tempdir().unwrap().path());
    let refused = Service::connect(connector, 14, &wrong.fields(&[]), spool).await;
    let error = refused.err().unwrap();
    let error = error.downcast_ref::<tramontane_connector::Error>().unwrap();
    assert_eq!(error.kind, Kind::Credential, "{error}");
    assert!(error.message.contains("secret_key"), "{error}");
}

/// Both servers, each with an account of one bucket.
async fn both(bucket: &str, versioned: bool, number: i64) -> Vec<Service> {
    let mut services = Vec::new();
    for variable in ["TRAMONTANE_TEST_S3", "TRAMONTANE_TEST_S3_MOTO"] {
        let Some(server) = Server::of(variable) else { continue };
        server.bucket(bucket, versioned).await;
        services.push(server.connect(number, &[("bucket", bucket)]).await);
    }
    services
}

async fn text(content: Content) -> String {
    String::from_utf8(content.body.collect(1 << 20).await.unwrap().to_vec()).unwrap()
}

/// A name that no other run uses.
fn random() -> String {
    let mut bytes = [0u8; 6];
    getrandom::fill(&mut bytes).unwrap();
    hex::encode(bytes)
}

/// A folder that no other run uses.
async fn fresh(service: &Service, cx: &Cx) -> Entry {
    let storage = service.connector.storage().unwrap();
    let at = Place::new(storage.root(&service.account), random());
    storage.create_folder(cx, &at).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_read_restored_and_deleted() {
    for service in both("its-versioned", true, 21).await {
        let (cx, storage) = (context(&service), service.connector.storage().unwrap());
        let versions = storage.versions().unwrap();
        let folder = fresh(&service, &cx).await;
        let at = Place::new(folder.id.clone(), "f.txt");
        let made = storage.create(&cx, &at, Body::from_bytes("one"), &WriteOptions::fail()).await;
        let file = made.unwrap().id;
        let beside = Place::new(folder.id.clone(), "f.txt.more");
        storage.create(&cx, &beside, Body::from_bytes("x"), &WriteOptions::fail()).await.unwrap();
        storage.update(&cx, &file, Body::from_bytes("two"), None).await.unwrap();
        let list = async || {
            let page = versions.list(&cx, &file, &PageRequest::first(10)).await?;
            Ok::<_, Error>(page.items)
        };
        let all = list().await.unwrap();
        assert_eq!(all.len(), 2, "{all:?}");
        assert!(all[0].current && !all[1].current);
        let old = all[1].id.clone();
        let how = ReadOptions::default();
        assert_eq!(text(versions.read(&cx, &file, &old, &how).await.unwrap()).await, "one");
        versions.restore(&cx, &file, &old).await.unwrap();
        assert_eq!(text(storage.read(&cx, &file, &how).await.unwrap()).await, "one");
        assert_eq!(list().await.unwrap().len(), 3);
        versions.delete(&cx, &file, &old).await.unwrap();
        assert_eq!(list().await.unwrap().len(), 2);
        for version in [old.as_str(), "nonsense", "../x"] {
            let gone = versions.read(&cx, &file, version, &how).await;
            assert_eq!(gone.unwrap_err().kind, Kind::NotFound, "{version}");
        }
        // Deleted, a file is gone but its versions are not; deleted for good, they are.
        let what = EntryRef::file(file.clone());
        storage.delete(&cx, &what, &DeleteOptions::default()).await.unwrap();
        assert!(storage.get(&cx, &what).await.unwrap_err().is_not_found());
        let left = list().await.unwrap();
        assert_eq!(left.len(), 2);
        versions.restore(&cx, &file, &left[0].id).await.unwrap();
        let for_good = DeleteOptions { permanent: true, ..DeleteOptions::default() };
        storage.delete(&cx, &what, &for_good).await.unwrap();
        assert!(list().await.unwrap_err().is_not_found());
        let other = storage.child(&cx, &beside).await.unwrap();
        assert!(other.is_some(), "a file whose name only begins alike went too");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_urls_give_and_take_content() {
    for service in both("its-plain", false, 22).await {
        let (cx, storage) = (context(&service), service.connector.storage().unwrap());
        let folder = fresh(&service, &cx).await;
        let at = Place::new(folder.id.clone(), "a b+c%é.txt");
        let lasting = Duration::from_secs(60);
        let to = storage.upload_url(&cx, &at, lasting).await.unwrap();
        let unsigned = |method, url| {
            let mut request = Request::new("url", method, url);
            request.signed = false;
            request
        };
        let put = unsigned(Method::PUT, to).bytes("by url");
        assert!(cx.send(put).await.unwrap().status.is_success());
        let made = storage.child(&cx, &at).await.unwrap().unwrap();
        let from = storage.download_url(&cx, &made.id, lasting).await.unwrap();
        let got = cx.send(unsigned(Method::GET, from.clone())).await.unwrap();
        assert_eq!(got.bytes().await.unwrap(), "by url");
        let mut forged = from;
        forged.set_path("/its-plain/other");
        let refused = cx.send(unsigned(Method::GET, forged)).await.unwrap();
        assert!(refused.status.is_client_error());
        let nowhere = NativeId::new("/its-plain/nowhere");
        assert!(storage.download_url(&cx, &nowhere, lasting).await.unwrap_err().is_not_found());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_are_folders_that_take_and_give_but_stay() {
    for variable in ["TRAMONTANE_TEST_S3", "TRAMONTANE_TEST_S3_MOTO"] {
        let Some(server) = Server::of(variable) else { continue };
        server.bucket("its-plain", false).await;
        server.bucket("its-plain-2", false).await;
        let service = server.connect(23, &[]).await;
        let (cx, storage) = (context(&service), service.connector.storage().unwrap());
        let root = storage.root(&service.account);
        let mut names = Vec::new();
        let mut page = PageRequest::first(1);
        loop {
            let got = storage.list(&cx, &root, &page).await.unwrap();
            names.extend(got.items.into_iter().map(|bucket| bucket.name));
            match got.next {
                Some(next) => page = PageRequest::after(next, 1),
                None => break,
            }
        }
        assert!(names.is_sorted() && names.contains(&"its-plain".to_owned()), "{names:?}");
        let entry = storage.get(&cx, &EntryRef::folder(root.clone())).await.unwrap();
        assert!(!entry.can_create_folders && !entry.can_upload_files);
        let at = Place::new(root.clone(), "a-new-bucket");
        let made = storage.create_folder(&cx, &at).await;
        assert_eq!(made.unwrap_err().kind, Kind::NotAllowed);
        let bucket = EntryRef::folder(NativeId::new("/its-plain"));
        let everything = DeleteOptions { recursive: true, ..DeleteOptions::default() };
        let gone = storage.delete(&cx, &bucket, &everything).await;
        assert_eq!(gone.unwrap_err().kind, Kind::NotAllowed);
        let nowhere = EntryRef::folder(NativeId::new("/no-such-bucket-here"));
        assert!(storage.get(&cx, &nowhere).await.unwrap_err().is_not_found());
        // Everything, bucket after bucket.
        let folder = storage.child(&cx, &Place::new(root.clone(), "its-plain-2")).await;
        let at = Place::new(folder.unwrap().unwrap().id, "leaf.txt");
        let _ = storage.create(&cx, &at, Body::from_bytes("x"), &WriteOptions::replace()).await;
        let (mut seen, mut page) = (Vec::new(), PageRequest::first(3));
        for _ in 0..10_000 {
            let got = match storage.list_tree(&cx, &root, &page).await {
                // SeaweedFS with a bucket that keeps versions.
                Err(error) if error.is_declined() => break,
                got => got.unwrap(),
            };
            assert!(got.items.len() <= 3);
            seen.extend(got.items.into_iter().map(|item| (item.entry.id, item.depth)));
            match got.next {
                Some(next) => page = PageRequest::after(next, 3),
                None => {
                    assert!(seen.contains(&(NativeId::new("/its-plain-2"), 1)));
                    assert!(seen.contains(&(NativeId::new("/its-plain-2/leaf.txt"), 2)));
                    break;
                }
            }
        }
    }
}

/// moto keeps keys as they are; SeaweedFS makes paths of them.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_no_paths_can_be_reached() {
    let Some(server) = Server::of("TRAMONTANE_TEST_S3_MOTO") else { return };
    server.bucket("its-odd", false).await;
    let service = server.connect(24, &[("bucket", "its-odd")]).await;
    let (cx, storage) = (context(&service), service.connector.storage().unwrap());
    let base = Url::parse(&server.endpoint).unwrap();
    for key in ["a", "a/b", "//lead", "q//r", "p/", "p/x", "n%01l"] {
        let url = Url::parse(&format!("{base}its-odd/{key}")).unwrap();
        let put = Request::new("put", Method::PUT, url).bytes("x");
        assert!(cx.send(put).await.unwrap().status.is_success());
    }
    let mut open = vec![storage.root(&service.account)];
    let mut files = Vec::new();
    while let Some(folder) = open.pop() {
        let page = storage.list(&cx, &folder, &PageRequest::first(100)).await.unwrap();
        for entry in page.items {
            assert_eq!(entry.parent.as_ref().unwrap().id, folder);
            if entry.is_folder() {
                open.push(entry.id);
            } else {
                let content = storage.read(&cx, &entry.id, &ReadOptions::default()).await.unwrap();
                assert_eq!(text(content).await, "x");
                files.push(entry.id.to_string());
            }
        }
    }
    files.sort();
    let wanted = [
        "/its-odd///lead",
        "/its-odd/a",
        "/its-odd/a/b",
        "/its-odd/n\u{1}l",
        "/its-odd/p/x",
        "/its-odd/q//r",
    ];
    assert_eq!(files, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_nobody_waits_for_leaves_no_parts() {
    for service in both("its-parts", false, 25).await {
        let (cx, storage) = (context(&service), service.connector.storage().unwrap());
        let folder = fresh(&service, &cx).await;
        let at = Place::new(folder.id.clone(), "half");
        let pieces = (0..20).map(|_| Ok(bytes::Bytes::from(vec![1; 1 << 20])));
        let body = stream::iter(pieces.collect::<Vec<_>>()).chain(stream::pending());
        let how = WriteOptions::fail();
        let upload = storage.create(&cx, &at, Body::new(body, None), &how);
        assert!(tokio::time::timeout(Duration::from_secs(3), upload).await.is_err());
        let base = service.connector.base_url(&service.account).unwrap().unwrap();
        let mut left = String::new();
        for _ in 0..50 {
            let url = base.join("its-parts?uploads").unwrap();
            let listed = cx.send(Request::new("uploads", Method::GET, url)).await.unwrap();
            left = String::from_utf8(listed.bytes().await.unwrap().to_vec()).unwrap();
            if !left.contains("<UploadId>") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(!left.contains("<UploadId>"), "{left}");
        assert!(storage.child(&cx, &at).await.unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_parts_of_unknown_number_come_back_whole() {
    for service in both("its-plain", false, 26).await {
        let (cx, storage) = (context(&service), service.connector.storage().unwrap());
        let folder = fresh(&service, &cx).await;
        let at = Place::new(folder.id.clone(), "large");
        let piece = |n: u8| bytes::Bytes::from(vec![n; 777_777]);
        let pieces = (0..60).map(|n| Ok(piece(n)));
        let body = Body::new(stream::iter(pieces.collect::<Vec<_>>()), None);
        let made = storage.create(&cx, &at, body, &WriteOptions::fail()).await.unwrap();
        assert_eq!(made.size, Some(60 * 777_777));
        assert_eq!(made.hashes.md5, None, "the etag of parts is no MD5");
        let content = storage.read(&cx, &made.id, &ReadOptions::default()).await.unwrap();
        let got = content.body.collect(64 << 20).await.unwrap();
        let whole: Vec<u8> = (0..60).flat_map(|n| piece(n).to_vec()).collect();
        assert!(got == whole, "content differs");
    }
}

/// Whatever is said to lie ahead, right or wrong, the same comes of it.
#[tokio::test(flavor = "multi_thread")]
async fn stretches_that_are_listed_at_once_join() {
    for variable in ["TRAMONTANE_TEST_S3", "TRAMONTANE_TEST_S3_MOTO"] {
        if let Some(server) = Server::of(variable) {
            stretches_join(&server).await;
        }
    }
}

async fn stretches_join(server: &Server) {
    let bucket = format!("stretches-{}", random());
    server.bucket(&bucket, false).await;
    let service = server.connect(15, &[("bucket", &bucket)]).await;
    let (cx, storage) = (context(&service), service.connector.storage().unwrap());
    for number in 0..30 {
        let name = format!("n{:02}", number % 10);
        let mut at = storage.root(&service.account);
        for folder in ["a", "a-b", "c"].iter().take(number / 10) {
            at = match storage.create_folder(&cx, &Place::new(at.clone(), *folder)).await {
                Ok(made) => made.id,
                Err(_) => NativeId::new(format!("{}/{folder}", at.as_str())),
            };
        }
        let at = Place::new(at, name.as_str());
        storage.create(&cx, &at, Body::from_bytes("x"), &WriteOptions::fail()).await.unwrap();
    }
    let root = storage.root(&service.account);
    let all = async |limit: usize, ahead: &[NativeId]| {
        let (mut ids, mut cursor, mut pages) = (Vec::new(), None, 0);
        loop {
            let request = PageRequest { cursor, limit };
            let page = storage.list_tree_ahead(&cx, &root, &request, ahead).await.unwrap();
            ids.extend(page.items.into_iter().map(|one| one.entry.id.as_str().to_owned()));
            pages += 1;
            cursor = page.next;
            if cursor.is_none() {
                return (ids, pages);
            }
        }
    };
    let (expected, _) = all(1_000, &[]).await;
    assert_eq!(expected.len(), 32);
    let mark = |number: usize| NativeId::new(expected[number].as_str());
    let (shown, many) = all(5, &[]).await;
    assert_eq!(shown, expected);
    for ahead in [
        vec![mark(8), mark(16), mark(24)],
        vec![mark(30), mark(3), mark(9)],
        vec![NativeId::new(format!("/{bucket}/a-a")), mark(12), NativeId::new("/other/n")],
    ] {
        let (shown, few) = all(5, &ahead).await;
        assert_eq!(shown, expected, "{ahead:?}");
        assert!(few <= many, "{few} of {many}");
    }
}
