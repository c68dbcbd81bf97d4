//! Links of the simulated services: what each can make itself, and what it leaves. The behaviour suite
//! takes either; this says which.

use std::sync::Arc;
use std::time::Duration;

use tramontane_connector::{
    Account, Bases, Body, Connector, Credential, Cx, Entry, EntryRef, Error, Kind, LinkAccess,
    LinkChange, LinkOptions, LinkRole, Links, Place, Storage, WriteOptions,
};
use tramontane_connectors::boxcloud::BoxCloud;
use tramontane_connectors::dropbox::Dropbox;
use tramontane_connectors::gdrive::Gdrive;
use tramontane_connectors::graph::Graph;
use tramontane_fill::{Filled, Spool};
use tramontane_model::{AccountId, Op, Timestamp};
use tramontane_sandbox::{Fault, FaultRule, Running};
use tramontane_testkit::prove::loopback_wire;

use crate::sandboxed::sandbox;

struct Scene {
    running: Running,
    service: &'static str,
    storage: Filled,
    cx: Cx,
    _spool: tempfile::TempDir,
}

fn connector(service: &str, bases: &Bases) -> Arc<dyn Connector> {
    match service {
        "box" => Arc::new(BoxCloud::new(bases).unwrap()),
        "dropbox" => Arc::new(Dropbox::new(bases).unwrap()),
        "gdrive" => Arc::new(Gdrive::new(bases).unwrap()),
        "onedrive" => Arc::new(Graph::onedrive(bases).unwrap()),
        _ => Arc::new(Graph::onedrivebiz(bases).unwrap()),
    }
}

impl Scene {
    async fn of(service: &'static str, settings: &[(&str, &str)]) -> Self {
        let running = sandbox().await;
        let mut bases = Bases::default();
        bases.set(service, running.base(service).unwrap());
        let connector = connector(service, &bases);
        let token = running.sandbox.grant(service, "ana").unwrap().access_token;
        let settings = settings.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        let account = Account {
            id: AccountId::new(90).unwrap(),
            service: Arc::from(service),
            admin: false,
            settings: settings.collect(),
            credential: [("access_token", token)].into_iter().collect::<Credential>(),
            revision: 1,
        };
        let lent = loopback_wire(vec![Arc::clone(&connector)]).unwrap();
        let cx = Cx::interactive(Arc::new(account), lent, Duration::from_secs(30));
        let spool = tempfile::tempdir().unwrap();
        let storage = Filled::new(connector.storage().unwrap(), Spool::new(spool.path()));
        Self { running, service, storage, cx, _spool: spool }
    }

    fn links(&self) -> &dyn Links {
        self.storage.links().unwrap()
    }

    async fn file(&self, name: &str) -> Entry {
        let at = Place::new(self.storage.root(&self.cx.account), name);
        let how = WriteOptions::fail();
        Storage::create(&self.storage, &self.cx, &at, Body::from_bytes("x"), &how).await.unwrap()
    }

    /// Whether the service makes such a link itself; it is taken away again.
    async fn makes(&self, of: &EntryRef, how: &LinkOptions) -> bool {
        match self.links().create(&self.cx, of, how).await {
            Ok(made) => {
                assert!(made.honours(how), "{made:?}");
                self.links().delete(&self.cx, of, &made.id).await.unwrap();
                true
            }
            Err(error) => {
                assert_eq!(error.kind, Kind::Declined(Op::LinkCreate), "{error}");
                false
            }
        }
    }

    fn in_days(&self, days: i64) -> Timestamp {
        Timestamp::from_seconds(self.cx.now().seconds() + days * 86_400)
    }

    fn refuse(&self, path: &str, status: u16, body: &str) {
        let fault = Fault::Status { status, body: Some(body.to_owned()), retry_after: None };
        self.running.sandbox.faults().add(FaultRule::next(self.service, path, fault));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_service_makes_the_links_that_its_documents_say() {
    // With a password, with an end, for the organisation, for writing.
    for (service, expected) in [
        ("gdrive", [false, false, false, true]),
        ("dropbox", [true, true, true, false]),
        ("box", [true, true, true, true]),
        ("onedrive", [true, true, false, true]),
        ("onedrivebiz", [false, true, true, true]),
    ] {
        let scene = Scene::of(service, &[]).await;
        let of = scene.file("shared.txt").await.reference();
        let plain = LinkOptions::default;
        let locked = LinkOptions { password: Some("Kd8-fwq2Lz".to_owned().into()), ..plain() };
        let ends = LinkOptions { expires: Some(scene.in_days(7)), ..plain() };
        let company = LinkOptions { access: LinkAccess::Organization, ..plain() };
        let edit = LinkOptions { role: LinkRole::Writer, ..plain() };
        let mut made = Vec::new();
        for how in [&locked, &ends, &company, &edit] {
            made.push(scene.makes(&of, how).await);
        }
        assert_eq!(made, expected, "{service}");
        assert!(scene.makes(&of, &plain()).await, "{service}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_was_there_is_neither_taken_over_nor_taken_away() {
    for service in ["gdrive", "dropbox", "box", "onedrive", "onedrivebiz"] {
        let scene = Scene::of(service, &[]).await;
        let of = scene.file("shared.txt").await.reference();
        // Made elsewhere: what counts is that it was not made by this call.
        let there = scene.links().create(&scene.cx, &of, &LinkOptions::default()).await.unwrap();
        assert!(!scene.makes(&of, &LinkOptions::default()).await, "{service}");
        let still = scene.links().list(&scene.cx, &of).await.unwrap();
        assert_eq!(still, [there], "{service}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_of_the_services_change_in_place() {
    for (service, locks) in [("dropbox", true), ("box", true), ("onedrivebiz", false)] {
        let scene = Scene::of(service, &[]).await;
        let (links, cx) = (scene.links(), &scene.cx);
        let of = scene.file("shared.txt").await.reference();
        let made = links.create(cx, &of, &LinkOptions::default()).await.unwrap();
        let soon = LinkChange { expires: Some(Some(scene.in_days(3))), ..LinkChange::default() };
        let now = links.change(cx, &of, &made.id, &soon).await.unwrap();
        assert_eq!((&now.url, now.expires), (&made.url, Some(scene.in_days(3))), "{service}");
        let lock = LinkChange {
            password: Some(Some("Kd8-fwq2Lz".to_owned().into())),
            ..LinkChange::default()
        };
        match links.change(cx, &of, &made.id, &lock).await {
            Ok(now) => {
                assert!(locks && now.password && now.expires.is_some(), "{service}: {now:?}")
            }
            Err(error) => assert!(!locks && error.is_declined(), "{service}: {error}"),
        }
        let open = LinkChange { password: Some(None), expires: Some(None) };
        let now = links.change(cx, &of, &made.id, &open).await.unwrap();
        assert_eq!((now.password, now.expires), (false, None), "{service}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_of_the_organisation_is_told_and_what_a_plan_lacks_is_left_to_us() {
    let locked =
        || LinkOptions { password: Some("Kd8-fwq2Lz".to_owned().into()), ..Default::default() };
    let create = "sharing/create_shared_link_with_settings";
    let no = r#"{"error_summary": "settings_error/not_authorized/..", "error": {".tag": "settings_error",
        "settings_error": {".tag": "not_authorized"}}}"#;
    let scene = Scene::of("dropbox", &[("account_type", "business")]).await;
    let of = scene.file("shared.txt").await.reference();
    scene.refuse(create, 409, no);
    let refused = scene.links().create(&scene.cx, &of, &locked()).await;
    assert_eq!(refused.map_err(|error: Error| error.kind), Err(Kind::Forbidden));
    let basic = Scene::of("dropbox", &[("account_type", "basic")]).await;
    let of = basic.file("shared.txt").await.reference();
    assert!(!basic.makes(&of, &locked()).await);
    assert!(basic.makes(&of, &LinkOptions::default()).await);

    let scene = Scene::of("onedrivebiz", &[]).await;
    let of = scene.file("shared.txt").await.reference();
    let no = r#"{"error": {"code": "accessDenied", "message": "Sharing is disabled."}}"#;
    scene.refuse("createLink", 403, no);
    let refused = scene.links().create(&scene.cx, &of, &LinkOptions::default()).await;
    assert_eq!(refused.map_err(|error: Error| error.kind), Err(Kind::Forbidden));

    let scene = Scene::of("box", &[]).await;
    let of = scene.file("shared.txt").await.reference();
    let weak = LinkOptions { password: Some("short".to_owned().into()), ..Default::default() };
    assert!(!scene.makes(&of, &weak).await, "too weak for Box, but not for us");
}
