//! Google Drive: the behaviour suite against the sandbox, and, for what it has, against `emulate`, a
//! stand-in for Google that we did not write.

use std::collections::BTreeMap;
use std::sync::Arc;

use tramontane_connector::Bases;
use tramontane_connectors::gdrive::Gdrive;
use tramontane_fill::Spool;
use tramontane_model::{Op, Ops};
use tramontane_testkit::prove::Service;

use crate::sandboxed::prove_sandboxed;
use crate::services::given;

#[tokio::test(flavor = "multi_thread")]
async fn a_google_drive_behaves() {
    prove_sandboxed("gdrive", 40, |bases| Arc::new(Gdrive::new(bases).unwrap()), false).await;
}

/// What `emulate` 0.12.2 does of Drive: list, get, create, patch of names and folders, uploads in one
/// request, downloads of the whole. Everything else is masked, so that the gap filler does it or it is not
/// asked for.
const EMULATED: &[Op] = &[
    Op::FileCreate,
    Op::FileCreateUnsized,
    Op::FileRead,
    Op::FileRename,
    Op::FileMove,
    Op::FileDownload,
    Op::FolderCreate,
    Op::FolderRename,
    Op::FolderMove,
    Op::FolderList,
    Op::FolderRead,
    Op::Raw,
];

/// What cannot hold there, and why.
const NOT_THERE: &[(&str, &str)] = &[];

#[tokio::test(flavor = "multi_thread")]
async fn the_part_of_drive_that_emulate_has_behaves() {
    let Some(url) = given("TRAMONTANE_TEST_EMULATE") else { return };
    let mut bases = Bases::default();
    bases.set("gdrive", url::Url::parse(&url).unwrap());
    let connector = Arc::new(Gdrive::new(&bases).unwrap());
    let spool = tempfile::tempdir().unwrap();
    let fields = [("access_token", "tok_google")];
    let service = Service::connect(connector, 46, &fields, Spool::new(spool.path())).await.unwrap();
    let here = Ops::of(EMULATED);
    let masked =
        Op::ALL.iter().filter(|op| !here.has(**op)).fold(Ops::NONE, |all, op| all.with(*op));
    let (report, _) = service.suite(masked, false).await.unwrap();
    let expected: BTreeMap<&str, &str> = NOT_THERE.iter().copied().collect();
    let mut wrong = Vec::new();
    for outcome in &report.0 {
        match (outcome.passed, expected.get(outcome.name)) {
            (Some(false), None) => {
                wrong.push(format!("{}: {:?}", outcome.name, outcome.failure));
            }
            (Some(true), Some(why)) => {
                wrong.push(format!("{} passed, although {why}", outcome.name))
            }
            (Some(false), Some(why)) => eprintln!("{} cannot hold: {why}", outcome.name),
            _ => {}
        }
    }
    eprintln!("{} checks passed against emulate", report.passed());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
