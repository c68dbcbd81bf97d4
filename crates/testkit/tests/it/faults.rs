//! Faults between us and real servers: every one is told as the service's, nothing half-made shows, and
//! nothing waits for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tramontane_connector::storage::{DeleteOptions, ReadOptions};
use tramontane_connector::{
    Body, Connector, Cx, Entry, EntryRef, Error, Kind, Place, Storage as _, WriteOptions,
};
use tramontane_fill::{Filled, Policy, Quiet, Side, Spool, transfer};
use tramontane_model::{NativeId, PageRequest};
use tramontane_testkit::faulty::{Fault, Faulty};
use tramontane_testkit::prove::{Service, loopback_wire_with};
use tramontane_wire::WireConfig;
use url::Url;

use crate::services::given;

/// Half of an answer must be less than the whole, also after the first piece that a server sends.
const SIZE: usize = 300_000;
/// More than one part of an upload in parts.
const LARGE: usize = 20 << 20;
const MOST: usize = 64 << 20;

/// Answers that are none of the protocol, or break off in the middle of it.
const NONSENSE: &[&[u8]] = &[
    b"",
    b"<html><body><h1>Sign in to the network</h1></body></html>",
    b"{\"error\": \"not xml\"}",
    b"\x00\xff\xfe\x01 not text \x80",
    b"<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\"><D:response><D:href>/a</D:hr",
    b"<?xml version=\"1.0\"?><ListBucketResult><Contents><Key>a</Key><Size>1",
    b"<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b \"cccc\"><!ENTITY d \"&b;&b;&b;&b;\">]><a>&d;&d;</a>",
];

/// A server behind the proxy, and what its requests look like.
struct Bench {
    proxy: Faulty,
    make: fn() -> Arc<dyn Connector>,
    fields: Vec<(String, String)>,
    /// The server itself, past the proxy.
    clean: Service,
    /// The folder of this test.
    folder: NativeId,
    listing: fn(&str) -> bool,
    reading: fn(&str) -> bool,
    writing: fn(&str) -> bool,
}

static NUMBER: AtomicI64 = AtomicI64::new(500);

fn spool() -> Spool {
    Spool::new(tempfile::tempdir().unwrap().keep())
}

/// An account that waits half a second for a byte. Each has its own pace: one refusal holds back the
/// account that it was told.
async fn connect(make: fn() -> Arc<dyn Connector>, fields: &[(String, String)]) -> Service {
    let connector = make();
    let config = WireConfig { idle: Duration::from_millis(500), ..WireConfig::default() };
    let lent = loopback_wire_with(vec![Arc::clone(&connector)], config).unwrap();
    let fields: Vec<_> =
        fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    Service::connect_over(lent, connector, number, &fields, spool()).await.unwrap()
}

fn filled(service: &Service) -> Filled {
    Filled::new(service.connector.require_storage().unwrap(), service.spool.clone())
}

fn cx(service: &Service) -> Cx {
    Cx::interactive(
        Arc::clone(&service.account),
        Arc::clone(&service.lent),
        Duration::from_secs(20),
    )
}

fn at_proxy(url: &Url, proxy: &Faulty) -> String {
    let mut url = url.clone();
    url.set_port(Some(proxy.address().port())).unwrap();
    url.set_ip_host(proxy.address().ip()).unwrap();
    url.to_string()
}

impl Bench {
    async fn webdav() -> Option<Self> {
        let mut url = Url::parse(&given("TRAMONTANE_TEST_WEBDAV")?).unwrap();
        let (user, password) = (url.username().to_owned(), url.password().unwrap().to_owned());
        url.set_username("").unwrap();
        url.set_password(None).unwrap();
        let make =
            || Arc::new(tramontane_connectors::webdav::WebDav::default()) as Arc<dyn Connector>;
        let fields = |url: &str| {
            [("url", url), ("username", &user), ("password", &password)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec()
        };
        let proxy = Faulty::before(upstream(&url)).await.unwrap();
        let clean = connect(make, &fields(url.as_str())).await;
        let at = fields(&at_proxy(&url, &proxy));
        Some(Self::on(proxy, make, at, clean, None).await.seeing(
            |head| head.starts_with("PROPFIND ") && head.contains("depth: 1"),
            |head| head.starts_with("GET "),
            |head| head.starts_with("PUT "),
        ))
    }

    async fn s3() -> Option<Self> {
        let mut url = Url::parse(&given("TRAMONTANE_TEST_S3")?).unwrap();
        let (key, secret) = (url.username().to_owned(), url.password().unwrap().to_owned());
        url.set_username("").unwrap();
        url.set_password(None).unwrap();
        let make = || Arc::new(tramontane_connectors::s3::S3::compatible()) as Arc<dyn Connector>;
        let fields = |url: &str| {
            [("endpoint", url), ("token", &key), ("token_secret", &secret)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec()
        };
        let proxy = Faulty::before(upstream(&url)).await.unwrap();
        let clean = connect(make, &fields(url.as_str())).await;
        let bucket = url.join("suite-faults").unwrap();
        let put =
            tramontane_connector::http::Request::new("make_bucket", http::Method::PUT, bucket);
        let made = cx(&clean).send(put).await.unwrap();
        assert!(made.status.is_success() || made.status.as_u16() == 409, "{made:?}");
        let at = fields(&at_proxy(&url, &proxy));
        Some(Self::on(proxy, make, at, clean, Some("suite-faults")).await.seeing(
            |head| head.starts_with("GET ") && head.contains("list-type=2"),
            |head| {
                head.starts_with("GET ")
                    && !head.lines().next().is_some_and(|line| line.contains('?'))
            },
            |head| head.starts_with("PUT "),
        ))
    }

    async fn on(
        proxy: Faulty,
        make: fn() -> Arc<dyn Connector>,
        fields: Vec<(String, String)>,
        clean: Service,
        below: Option<&str>,
    ) -> Self {
        let (storage, cx) = (filled(&clean), cx(&clean));
        let mut top = storage.root(&clean.account);
        if let Some(name) = below {
            let page = storage.list(&cx, &top, &PageRequest::first(1000)).await.unwrap();
            top = page.items.into_iter().find(|entry| entry.name == name).unwrap().id;
        }
        let mut random = [0u8; 6];
        getrandom::fill(&mut random).unwrap();
        let place = Place::new(top, format!("faults-{}", hex::encode(random)));
        let folder = storage.create_folder(&cx, &place).await.unwrap().id;
        let none: fn(&str) -> bool = |_| false;
        Self { proxy, make, fields, clean, folder, listing: none, reading: none, writing: none }
    }

    fn seeing(
        self,
        listing: fn(&str) -> bool,
        reading: fn(&str) -> bool,
        writing: fn(&str) -> bool,
    ) -> Self {
        Self { listing, reading, writing, ..self }
    }

    /// A new account behind the proxy.
    async fn behind(&self) -> (Filled, Cx) {
        let service = connect(self.make, &self.fields).await;
        (filled(&service), cx(&service))
    }

    /// What really is in the folder.
    async fn really(&self) -> Vec<Entry> {
        let (storage, cx) = (filled(&self.clean), cx(&self.clean));
        storage.list(&cx, &self.folder, &PageRequest::first(1000)).await.unwrap().items
    }

    async fn content(&self, file: &NativeId) -> Vec<u8> {
        let (storage, cx) = (filled(&self.clean), cx(&self.clean));
        let read = storage.read(&cx, file, &ReadOptions::default()).await.unwrap();
        read.body.collect(MOST).await.unwrap().to_vec()
    }

    async fn put(&self, name: &str, content: Vec<u8>) -> Entry {
        let (storage, cx) = (filled(&self.clean), cx(&self.clean));
        let at = Place::new(self.folder.clone(), name);
        storage.create(&cx, &at, Body::from_bytes(content), &WriteOptions::fail()).await.unwrap()
    }

    async fn remove(&self, entry: &Entry) {
        let (storage, cx) = (filled(&self.clean), cx(&self.clean));
        storage.delete(&cx, &entry.reference(), &DeleteOptions::default()).await.unwrap();
    }

    async fn close(self) {
        let (storage, cx) = (filled(&self.clean), cx(&self.clean));
        let all = DeleteOptions { recursive: true, ..DeleteOptions::default() };
        storage.delete(&cx, &EntryRef::folder(self.folder), &all).await.unwrap();
    }

    async fn list(&self, storage: &Filled, cx: &Cx) -> Result<usize, Error> {
        let page = storage.list(cx, &self.folder, &PageRequest::first(1000)).await?;
        Ok(page.items.len())
    }

    async fn read(&self, storage: &Filled, cx: &Cx, file: &NativeId) -> Result<usize, Error> {
        let read = storage.read(cx, file, &ReadOptions::default()).await?;
        Ok(read.body.checked().collect(MOST).await?.len())
    }
}

fn upstream(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap(), url.port_or_known_default().unwrap())
}

fn noise(size: usize) -> Vec<u8> {
    let words = (0..size as u64 / 8 + 1)
        .flat_map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    words.take(size).collect()
}

/// The error must be the service's, of one of these kinds.
#[track_caller]
fn told<T: std::fmt::Debug>(what: &str, fault: &Fault, done: Result<T, Error>, kinds: &[Kind]) {
    match done {
        Ok(done) => panic!("{what} with {fault:?} gave {done:?}"),
        Err(error) => assert!(kinds.contains(&error.kind), "{what} with {fault:?}: {error:?}"),
    }
}

/// What may be told of a fault that lasts. All of them are the service's (`service_*`, 502, 504).
fn kinds(fault: &Fault) -> &'static [Kind] {
    match fault {
        Fault::Refuse(429, _) => &[Kind::RateLimited],
        Fault::Refuse(503, _) => &[Kind::Unavailable],
        Fault::StallAnswer => &[Kind::Timeout],
        _ => &[Kind::Broken],
    }
}

const LASTING: &[Fault] = &[
    Fault::Refuse(429, Some("3600")),
    Fault::Refuse(503, Some("3600")),
    Fault::ResetAnswer,
    Fault::CutAnswer,
    Fault::StallAnswer,
];

async fn faults_are_told(bench: &Bench) {
    for number in 0..40 {
        bench.put(&format!("file number {number}"), vec![b'x'; 10]).await;
    }
    let file = bench.put("large", noise(SIZE)).await;
    let nonsense = NONSENSE.iter().map(|body| Fault::Replace(body));
    for fault in LASTING.iter().cloned().chain(nonsense) {
        let (storage, cx) = bench.behind().await;
        bench.proxy.spoil(usize::MAX, fault.clone(), bench.listing);
        told("listing", &fault, bench.list(&storage, &cx).await, kinds(&fault));
        assert!(bench.proxy.heal() > 0, "{fault:?} was never met");
    }
    for fault in LASTING {
        let (storage, cx) = bench.behind().await;
        bench.proxy.spoil(usize::MAX, fault.clone(), bench.reading);
        told("reading", fault, bench.read(&storage, &cx, &file.id).await, kinds(fault));
        assert!(bench.proxy.heal() > 0, "{fault:?} was never met");
        // The other side of a copy sees nothing of it.
        let (storage, cx) = bench.behind().await;
        bench.proxy.spoil(usize::MAX, fault.clone(), bench.reading);
        let (target, target_cx) = (filled(&bench.clean), self::cx(&bench.clean));
        let (from, to) =
            (Side { storage: &storage, cx: &cx }, Side { storage: &target, cx: &target_cx });
        let at = Place::new(bench.folder.clone(), "copy");
        let done = transfer(from, &file.reference(), to, &at, Policy::Fail, &Quiet).await;
        told("copying", fault, done.map(|placed| placed.entry.name), kinds(fault));
        assert!(bench.proxy.heal() > 0, "{fault:?} was never met");
    }
    assert_eq!(bench.really().await.len(), 41, "a copy that broke off left something");
}

async fn what_passes_is_waited_for(bench: &Bench) {
    let file = bench.put("waited for", noise(SIZE)).await;
    let there = bench.really().await.len();
    for fault in [Fault::Refuse(429, Some("0")), Fault::Refuse(503, Some("0"))] {
        let (storage, cx) = bench.behind().await;
        bench.proxy.spoil(1, fault.clone(), bench.listing);
        assert_eq!(bench.list(&storage, &cx).await.unwrap(), there, "{fault:?}");
        assert_eq!(bench.proxy.heal(), 1);
        bench.proxy.spoil(1, fault.clone(), bench.reading);
        assert_eq!(bench.read(&storage, &cx, &file.id).await.unwrap(), SIZE, "{fault:?}");
        assert_eq!(bench.proxy.heal(), 1);
    }
}

async fn uploads_are_whole_or_absent(bench: &Bench) {
    let before = bench.really().await.len();
    let faults = [
        Fault::Refuse(429, Some("3600")),
        Fault::Refuse(503, Some("3600")),
        Fault::Refuse(500, None),
        Fault::ResetUpload,
        Fault::LoseAnswer,
    ];
    for (size, known) in [(SIZE, true), (SIZE, false), (LARGE, false)] {
        for fault in &faults {
            let content = noise(size);
            let (storage, cx) = bench.behind().await;
            // A refusal of one part of many must end the whole.
            bench.proxy.spoil(usize::MAX, fault.clone(), bench.writing);
            let pieces: Vec<_> = content
                .chunks(64 << 10)
                .map(|piece| Ok(bytes::Bytes::copy_from_slice(piece)))
                .collect();
            let body = Body::new(futures::stream::iter(pieces), known.then_some(size as u64));
            let at = Place::new(bench.folder.clone(), "uploaded");
            let done = storage.create(&cx, &at, body, &WriteOptions::fail()).await;
            assert!(bench.proxy.heal() > 0, "{fault:?} was never met");
            told("uploading", fault, done.map(|entry| entry.name), kinds(fault));
            let mut there = bench.really().await;
            there.retain(|entry| entry.name == "uploaded");
            if let (Some(entry), Fault::LoseAnswer) = (there.first(), fault) {
                assert!(bench.content(&entry.id).await == content, "half of an upload is visible");
                bench.remove(entry).await;
                there.clear();
            }
            assert!(there.is_empty(), "{fault:?} left {there:?}");
            assert_eq!(bench.really().await.len(), before, "{fault:?} left something else");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_a_webdav_server_are_told() {
    let Some(bench) = Bench::webdav().await else { return };
    faults_are_told(&bench).await;
    what_passes_is_waited_for(&bench).await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_to_a_faulty_webdav_server_are_whole_or_absent() {
    let Some(bench) = Bench::webdav().await else { return };
    uploads_are_whole_or_absent(&bench).await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_an_s3_server_are_told() {
    let Some(bench) = Bench::s3().await else { return };
    faults_are_told(&bench).await;
    what_passes_is_waited_for(&bench).await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_to_a_faulty_s3_server_are_whole_or_absent() {
    let Some(bench) = Bench::s3().await else { return };
    uploads_are_whole_or_absent(&bench).await;
    bench.close().await;
}
