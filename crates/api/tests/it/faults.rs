//! Every error of a service becomes the code that the table says (wire API, section 8), and nothing
//! that a caller sends is ever a fault of ours.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use tramontane_api::ApiLimits;
use tramontane_connector::budget::ServiceBudget;
use tramontane_connector::descriptor::{Descriptor, Field};
use tramontane_connector::storage::{Content, ReadOptions};
use tramontane_connector::{
    Abilities, Account, Body, Case, Category, Connector, Cx, Entry, EntryRef, Error, Identity,
    Kind, Limits, NameRules, Result, Retry, Semantics, Storage,
};
use tramontane_model::{Code, NativeId, Op, Ops, Page, PageRequest, ResourceId};

use crate::house::House;

/// A service whose objects are named after the error that they give.
struct Faulty;

static DESCRIPTOR: Descriptor = Descriptor {
    name: "faulty",
    friendly_name: "Faulty",
    category: Category::FileStore,
    apis: &["storage"],
    fields: &[Field::text("x", "X", "Nothing.").optional()],
    documentation: "https://example.com",
};

fn kinds() -> Vec<(&'static str, Kind, Code)> {
    vec![
        ("not_found", Kind::NotFound, Code::NotFound),
        ("parent", Kind::ParentNotFound, Code::InvalidParentFolder),
        ("itself", Kind::IntoItself, Code::InvalidParentFolder),
        ("conflict", Kind::Conflict(None), Code::NamingConflict),
        ("invalid", Kind::Invalid, Code::InvalidParameters),
        ("cursor", Kind::CursorExpired, Code::InvalidParameters),
        ("not_empty", Kind::NotEmpty, Code::FolderNotEmpty),
        ("precondition", Kind::Precondition, Code::PreconditionFailed),
        ("range", Kind::Range(Some(5)), Code::RangeNotSatisfiable),
        ("forbidden", Kind::Forbidden, Code::ServiceForbidden),
        ("not_allowed", Kind::NotAllowed, Code::PermissionDenied),
        ("credential", Kind::Credential, Code::ServiceUnauthorized),
        ("rate", Kind::RateLimited, Code::TooManyServiceRequests),
        ("full", Kind::Full, Code::InsufficientStorage),
        ("large", Kind::TooLarge, Code::RequestTooLarge),
        ("declined", Kind::Declined(Op::FileRead), Code::NotImplemented),
        ("unsupported", Kind::Unsupported(Op::FileRead), Code::NotImplemented),
        ("unavailable", Kind::Unavailable, Code::ServiceNotAvailable),
        ("timeout", Kind::Timeout, Code::GatewayTimeout),
        ("broken", Kind::Broken, Code::BadGateway),
        ("guarded", Kind::Guarded, Code::RequestFailed),
        ("cancelled", Kind::Cancelled, Code::RequestFailed),
        ("body", Kind::Body, Code::BadRequest),
        ("internal", Kind::Internal, Code::InternalError),
    ]
}

impl Faulty {
    fn fault(id: &NativeId) -> Result<()> {
        if id.as_str() == "panic" {
            panic!("a connector that breaks its promise");
        }
        match kinds().into_iter().find(|(name, ..)| *name == id.as_str()) {
            Some((name, kind, _)) => {
                let error = Error::new(kind, format!("It is {name}."));
                let error = error.said(Some("E42"), Some("the service's own words"));
                Err(if name == "rate" {
                    error.retry(Retry::After(Duration::from_millis(1_200)))
                } else {
                    error
                })
            }
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Connector for Faulty {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    async fn identify(&self, _: &Cx) -> Result<Identity> {
        Ok(Identity { id: "x".into(), display: "x".into() })
    }

    fn storage(&self) -> Option<Arc<dyn Storage>> {
        Some(Arc::new(Faulty))
    }
}

#[async_trait]
impl Storage for Faulty {
    fn abilities(&self, _: &Account) -> Abilities {
        Abilities {
            native: Ops::of(&[Op::FileRead, Op::FolderRead, Op::FolderList, Op::FileDownload]),
            reasons: Vec::new(),
            semantics: Semantics {
                case: Case::Sensitive,
                duplicate_names: false,
                names: NameRules { max_bytes: 255, forbidden: &[], trailing_dot_or_space: true },
                time_precision_micros: 1,
                stable_ids: true,
                hashes: &[],
                empty_folders: true,
            },
            limits: Limits {
                max_file_bytes: None,
                account_concurrency: 8,
                service_concurrency: 8,
                account_rate: None,
                max_page: 10,
            },
        }
    }

    fn root(&self, _: &Account) -> NativeId {
        NativeId::new("root")
    }

    async fn get(&self, cx: &Cx, of: &EntryRef) -> Result<Entry> {
        if of.id.as_str() == "budget" || of.id.as_str() == "rate" {
            cx.told.note(ServiceBudget { limit: 1000, remaining: 12, reset: 40 });
        }
        Self::fault(&of.id)?;
        Ok(Entry::file(of.id.clone(), "a.txt", None))
    }

    /// Pages of nothing, then one entry.
    async fn list(&self, _: &Cx, folder: &NativeId, page: &PageRequest) -> Result<Page<Entry>> {
        Self::fault(folder)?;
        let at: u32 = page.cursor.as_deref().unwrap_or("0").parse().unwrap();
        let next = (at < 4).then(|| (at + 1).to_string());
        let entry = Entry::file(NativeId::new(at.to_string()), at.to_string(), None);
        Ok(Page { items: if at % 2 == 1 { vec![entry] } else { Vec::new() }, next })
    }

    async fn read(&self, _: &Cx, file: &NativeId, _: &ReadOptions) -> Result<Content> {
        Self::fault(file)?;
        let broken = || Err(Error::new(Kind::Broken, "It broke off."));
        let body = match file.as_str() {
            "first" => Body::new(futures::stream::iter([broken()]), Some(10)),
            "later" => {
                let pieces = [Ok(bytes::Bytes::from_static(b"half")), broken()];
                Body::new(futures::stream::iter(pieces), Some(10))
            }
            "short" => {
                Body::new(futures::stream::iter([Ok(bytes::Bytes::from_static(b"half"))]), Some(10))
            }
            _ => Body::from_bytes("0123456789"),
        };
        Ok(Content {
            body,
            offset: 0,
            size: Some(10),
            etag: None,
            modified: None,
            media_type: None,
        })
    }
}

async fn house() -> (House, String) {
    let house = House::built(ApiLimits::default(), vec![Arc::new(Faulty)], None).await;
    let account = house.account_of("faulty", "one").await;
    (house, format!("/v1/accounts/{account}/storage"))
}

fn file(raw: &str) -> String {
    ResourceId::new(tramontane_model::Kind::File, NativeId::new(raw)).to_string()
}

#[tokio::test]
async fn a_services_own_budget_is_passed_on() {
    let (house, base) = house().await;
    for (name, status) in [("budget", 200), ("rate", 429)] {
        let reply = house.get(&format!("{base}/files/{}", file(name))).key().send().await;
        assert_eq!(reply.status, status);
        let told = reply.header("tramontane-service-ratelimit");
        assert_eq!(told, "limit=1000, remaining=12, reset=40", "{name}");
    }
    let reply = house.get(&format!("{base}/files/{}", file("other"))).key().send().await;
    assert_eq!(reply.header("tramontane-service-ratelimit"), "");
}

#[tokio::test]
async fn every_kind_becomes_its_code() {
    let (house, base) = house().await;
    for (name, kind, code) in kinds() {
        let reply = house.get(&format!("{base}/files/{}", file(name))).key().send().await;
        assert_eq!(reply.problem(), (code.status(), code.as_str().to_owned()), "{kind:?}");
        let body = reply.json();
        assert_eq!(body["status_code"], code.status());
        assert_eq!(body["id"], reply.header("x-request-id"));
        assert_eq!(reply.header("content-type"), "application/json");
        if name != "internal" {
            assert_eq!(body["service_error"]["code"], "E42", "{name}");
            assert!(
                body["message"].as_str().unwrap().contains("the service's own words"),
                "{name}"
            );
        }
        if code.status() == 501 {
            assert_eq!(body["capability"]["support"], "unsupported");
        }
        assert!(body.get("conflicting_resource_id").is_none());
        if name == "rate" {
            assert_eq!(reply.header("retry-after"), "2");
            assert_eq!(body["retryable"], true);
        }
    }
}

#[tokio::test]
async fn a_panic_is_our_fault_and_is_told() {
    let (house, base) = house().await;
    let reply = house.get(&format!("{base}/files/{}", file("panic"))).key().send().await;
    assert_eq!(reply.problem(), (500, "internal_error".into()));
    assert!(!reply.text().contains("promise"));
    assert_eq!(house.get("/v1/accounts").key().send().await.status, 200);
}

#[tokio::test]
async fn failures_before_the_first_byte_are_told_and_later_ones_cut() {
    let (house, base) = house().await;
    let reply = house.get(&format!("{base}/files/{}/contents", file("first"))).key().send().await;
    assert_eq!(reply.problem(), (502, "bad_gateway".into()));
    for name in ["later", "short"] {
        let ask = house.get(&format!("{base}/files/{}/contents", file(name))).key();
        let (status, whole) = ask.stream().await;
        assert_eq!(status, 200);
        assert!(whole.is_err(), "{name} must not pass for a whole body");
    }
}

#[tokio::test]
async fn a_range_that_the_service_ignores_is_served_all_the_same() {
    let (house, base) = house().await;
    let path = format!("{base}/files/{}/contents", file("good"));
    let part = house.get(&path).key().header("range", "bytes=2-4").send().await;
    assert_eq!((part.status.as_u16(), part.text()), (206, "234".into()));
    let start = house.get(&path).key().header("range", "bytes=0-4").send().await;
    assert!(matches!((start.status.as_u16(), start.bytes.len()), (206, 5) | (200, 10)));
}

#[tokio::test]
async fn empty_pages_of_a_service_are_read_over() {
    let (house, base) = house().await;
    let first = house.get(&format!("{base}/folders/root/contents")).key().send().await.json();
    assert_eq!(
        (&first["count"], &first["objects"][0]["name"]),
        (&"1".parse::<i64>().unwrap().into(), &"1".into())
    );
    let next = first["next_page"].as_str().unwrap();
    let second =
        house.get(&format!("{base}/folders/root/contents?page={next}")).key().send().await.json();
    assert_eq!(second["objects"][0]["name"], "3");
    let next = second["next_page"].as_str().unwrap();
    let last =
        house.get(&format!("{base}/folders/root/contents?page={next}")).key().send().await.json();
    assert_eq!((&last["count"], &last["next_page"]), (&0.into(), &serde_json::Value::Null));
}

#[tokio::test]
async fn what_cannot_be_done_is_501_before_the_service_is_asked() {
    let (house, base) = house().await;
    let path = format!("{base}/files/{}", file("panic"));
    for (method, path) in [
        (Method::DELETE, path.clone()),
        (Method::PUT, path.clone()),
        (Method::GET, format!("{path}/versions")),
        (Method::GET, format!("{path}/permissions")),
        (Method::GET, format!("{path}/properties")),
        (Method::GET, format!("{base}/trash")),
    ] {
        let reply = house.ask(method.clone(), &path).key().send().await;
        assert_eq!(reply.problem(), (501, "not_implemented".into()), "{method} {path}");
        assert_eq!(reply.json()["capability"]["result"], false, "{method} {path}");
        assert!(reply.json()["capability"]["reason"]["code"].is_string());
    }
}

fn block<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(work)
}

/// No text at these places may bring a 5xx about.
#[test]
fn no_id_cursor_header_or_path_is_a_fault_of_ours() {
    let texts = proptest::collection::vec(
        prop_oneof![
            ".{0,40}",
            "[ -~]{0,80}",
            "(file|folder|f|F|root|me|pt_|tmb_)[_A-Za-z0-9=%-]{0,60}",
            "[0-9,.-]{0,25}",
            "[%\\[\\]{}\"|\\\\/ ]{0,20}",
        ],
        6,
    );
    let config =
        ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() };
    block(async {
        let house = House::new().await;
        let account = house.account("one").await;
        let known = house.file(account, "a.txt", b"abc").await;
        let mut runner = proptest::test_runner::TestRunner::new(config);
        for _ in 0..8 {
            let tree = texts.new_tree(&mut runner).unwrap();
            let texts = tree.current();
            let escaped: Vec<String> = texts
                .iter()
                .map(|text| {
                    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                        .to_string()
                })
                .collect();
            let [a, b, c, d, e, f] = escaped.as_slice() else { unreachable!() };
            let base = format!("/v1/accounts/{account}/storage");
            for path in [
                format!("/v1/accounts/{a}/storage/folders/{b}/contents?page={c}"),
                format!("{base}/folders/{a}?fields={b}&expand={c}"),
                format!("{base}/files/{a}/contents"),
                format!("{base}/files/{known}/versions/{a}"),
                format!(
                    "{base}/folders/root/contents?page={a}&page_size={b}&types={c}&max_depth={d}"
                ),
                format!("{base}/folders/root/contents?paging=cursor&cursor={a}"),
                format!("{base}/search?q={a}&parents={b}&page={c}"),
                format!("{base}/recent?after={a}&page={b}"),
                format!("{base}/files/{known}/thumbnail?size={a}"),
                format!("{base}/{a}/{b}/{c}"),
                format!("/{a}/{b}/{c}/{d}"),
                format!("/v1/public/services/{a}?app_id={b}"),
                format!(
                    "/v1/accounts?custom_properties[{a}]={b}&service={c}&account={d}&active={e}{f}"
                ),
            ] {
                let Ok(uri) = path.parse::<http::Uri>() else { continue };
                let reply = house.get(&uri.to_string()).key().send().await;
                assert!(
                    reply.status.as_u16() < 500 || reply.status == 501,
                    "{path}: {}",
                    reply.text()
                );
            }
            for name in [
                "authorization",
                "range",
                "if-match",
                "if-none-match",
                "if-range",
                "x-kloudless-raw-headers",
                "x-kloudless-raw-data",
                "x-kloudless-as-user",
                "x-request-id",
                "traceparent",
                "tramontane-deadline",
                "idempotency-key",
                "forwarded",
                "x-forwarded-host",
                "host",
            ] {
                for text in &texts {
                    if http::HeaderValue::from_bytes(text.as_bytes()).is_err() {
                        continue;
                    }
                    let path = format!("{base}/files/{known}/contents");
                    let ask = if name == "authorization" {
                        house.get(&path)
                    } else {
                        house.get(&path).key()
                    };
                    let reply = ask.header_bytes(name, text.as_bytes()).send().await;
                    assert!(reply.status.as_u16() < 500, "{name}: {text:?}: {}", reply.text());
                }
            }
            for text in &texts {
                let upload = house.post(&format!("{base}/files")).key();
                if http::HeaderValue::from_bytes(text.as_bytes()).is_ok() {
                    let upload = upload.header_bytes("x-kloudless-metadata", text.as_bytes());
                    assert!(upload.body("x").send().await.status.as_u16() < 500);
                }
                for (method, path) in [
                    (Method::POST, format!("{base}/folders")),
                    (Method::POST, format!("{base}/files")),
                    (Method::PATCH, format!("{base}/files/{known}")),
                    (Method::PUT, format!("{base}/files/{known}/permissions")),
                    (Method::PATCH, format!("{base}/files/{known}/properties")),
                    (Method::POST, format!("/v1/accounts/{account}/encode_raw_id")),
                    (Method::PATCH, format!("/v1/accounts/{account}")),
                ] {
                    let value = serde_json::Value::String(text.clone());
                    for body in [
                        text.clone(),
                        serde_json::json!({"name": value, "parent_id": value, "raw_id": value,
                            "type": value, "url": value, "account": value})
                        .to_string(),
                        serde_json::json!([{"key": value, "value": value, "role": value,
                            "email": value, "id": value}])
                        .to_string(),
                    ] {
                        if path.ends_with(&known) && body.contains("parent_id") {
                            continue;
                        }
                        let reply =
                            house.ask(method.clone(), &path).key().body(body.clone()).send().await;
                        let status = reply.status.as_u16();
                        assert!(status < 500 || status == 501, "{path} {body}: {}", reply.text());
                    }
                }
            }
        }
    });
}
