//! Google Drive: the behaviour suite against the sandbox, and, for what it has, against `emulate`, a
//! stand-in for Google that we did not write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use secrecy::SecretString;
use tramontane_connector::{Account, Bases, Connector, Error, Tokens};
use tramontane_connectors::gdrive::Gdrive;
use tramontane_fill::Spool;
use tramontane_model::{Op, Ops};
use tramontane_testkit::prove::{Service, loopback_wire};

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

/// `emulate` grants 5,000 requests an hour to each of its ten tokens (see `scripts/upstreams`).
#[derive(Default)]
struct Fresh(AtomicUsize);

#[async_trait]
impl Tokens for Fresh {
    async fn access_token(
        &self,
        _account: &Account,
        _subject: Option<&str>,
        _refused: Option<&SecretString>,
    ) -> Result<SecretString, Error> {
        let number = self.0.fetch_add(1, Ordering::Relaxed) % 9;
        Ok(SecretString::from(format!("tok_google_{number}")))
    }
}

const NO_UPDATE: &str = "emulate takes no content for a file that is there";
const NO_TRASH: &str = "emulate's files.update does not take `trashed`, so nothing goes away";
const NO_SESSIONS: &str = "emulate has no resumable uploads, which anything above 1 MiB takes";
const LATIN: &str = "emulate reads the metadata of a multipart upload as Latin-1";

/// What cannot hold there, and why.
const NOT_THERE: &[(&str, &str)] = &[
    ("replacing_replaces_the_content", NO_UPDATE),
    ("updating_keeps_name_and_folder", NO_UPDATE),
    ("a_folder_that_is_not_there_takes_nothing", NO_TRASH),
    ("renaming_onto_a_taken_name", NO_TRASH),
    ("moving_to_a_folder_that_is_not_there", NO_TRASH),
    ("a_folder_in_a_folder_that_is_not_there", NO_TRASH),
    ("folders_merge_when_replacing", NO_TRASH),
    ("a_tree_lists_folders_before_their_contents", NO_TRASH),
    ("awkward_folders_can_be_walked", "emulate trims names"),
    ("two_normal_forms_are_kept_apart_or_refused", LATIN),
    ("the_longest_name_is_taken", LATIN),
    ("parts_become_a_file", NO_SESSIONS),
    ("parts_in_any_order_and_again", NO_SESSIONS),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_part_of_drive_that_emulate_has_behaves() {
    let Some(url) = given("TRAMONTANE_TEST_EMULATE") else { return };
    let mut bases = Bases::default();
    bases.set("gdrive", url::Url::parse(&url).unwrap());
    let connector: Arc<dyn Connector> = Arc::new(Gdrive::new(&bases).unwrap());
    let spool = tempfile::tempdir().unwrap();
    let fields = [("access_token", "tok_google_0")];
    let spooled = Spool::new(spool.path());
    let mut service = Service::connect(Arc::clone(&connector), 46, &fields, spooled).await.unwrap();
    let wire = loopback_wire(vec![connector]).unwrap();
    wire.set_tokens(Arc::new(Fresh::default()));
    service.lent = wire;
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
