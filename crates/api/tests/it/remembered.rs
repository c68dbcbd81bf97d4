//! What the feed remembers in the place of walks: search, recent files, sizes of folders; and digests.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use tramontane_activity::feed::remembered::order;
use tramontane_activity::feed::{
    Item, ItemKind, Known as _, Machine, Remembered, Rules, Table, Told,
};
use tramontane_activity::snapshot::{Manifest, Overlay};
use tramontane_activity::{Action, Event};
use tramontane_api::ApiLimits;
use tramontane_connector::entry::Parent;
use tramontane_connector::{Connector, Cx, Descriptor, Entry, Identity, Result, Storage};
use tramontane_feeds::shard;
use tramontane_model::{AccountId, NativeId, Op, Ops, ResourceId, Timestamp};
use tramontane_store::feeds::Collection;
use tramontane_store::log::{self, CollectionWrite, Commit, Committed};
use tramontane_store::{feeds, shards};
use tramontane_testkit::Memory;
use tramontane_testkit::masked::Masked;

use crate::activity::{Writer, event};
use crate::house::{House, Reply};

/// A service that can list, and that is all.
struct Plain(Memory);

#[async_trait]
impl Connector for Plain {
    fn descriptor(&self) -> &'static Descriptor {
        static DESCRIPTOR: std::sync::OnceLock<Descriptor> = std::sync::OnceLock::new();
        DESCRIPTOR.get_or_init(|| Descriptor { name: "plain", ..*Memory::new().descriptor() })
    }

    async fn identify(&self, cx: &Cx) -> Result<Identity> {
        self.0.identify(cx).await
    }

    fn storage(&self) -> Option<Arc<dyn Storage>> {
        let without = Ops::NONE.with(Op::SearchName).with(Op::RecentList);
        Some(Arc::new(Masked::without(self.0.storage()?, without)))
    }
}

async fn house() -> House {
    let plain: Arc<dyn Connector> = Arc::new(Plain(Memory::new()));
    House::built(ApiLimits::default(), vec![plain], None).await
}

fn file(id: &str, name: &str, size: u64) -> Item {
    Item {
        kind: ItemKind::File,
        id: native(id),
        parent: Some(root()),
        name: name.into(),
        fingerprint: 1,
        strong: false,
        size: Some(size),
        sharing: 0,
        gone: false,
    }
}

/// The service's id of the root.
fn root() -> String {
    let account = tramontane_testkit::account(1, "memory", Default::default());
    Memory::new().storage().unwrap().root(&account).as_str().to_owned()
}

fn native(id: &str) -> String {
    ResourceId::parse(id).unwrap().native.as_str().to_owned()
}

/// Writes what is remembered of an account, as if everything had been listed once.
async fn remember(house: &House, account: AccountId, items: &[Item]) {
    let rules = Rules {
        sweeps: true,
        settle: 0,
        path_ids: false,
        names_by_path: false,
        silent_below: false,
        splits_moves: false,
        trees: false,
        root: root(),
        root_id: root(),
    };
    let listed = Machine::new(rules).plan(
        Told::Folder { entries: Vec::new(), next: None },
        &mut Table::default(),
        1,
    );
    let machine = listed.unwrap().next;
    assert!(machine.has_listed());
    let order = order(false);
    let mut known = Remembered::new(false, Manifest::empty(order), Overlay::new(order), 0).unwrap();
    for item in items {
        known.put(&item.id, Some(item)).unwrap();
        assert!(known.get(&item.id).unwrap().is_some());
    }
    let collection = CollectionWrite {
        row: Collection {
            account: account.number(),
            id: String::new(),
            root: root(),
            name: None,
            generation: 1,
            cursor: None,
            manifest: Vec::new(),
            progress: serde_json::to_vec(&machine.stored()).unwrap(),
            modified: 1,
        },
        expected: None,
        change: Some((0, known.state().unsaved().encode().unwrap())),
        forget_changes: false,
        put: Vec::new(),
        drop: Vec::new(),
    };
    let db = &house.scratch.db;
    let shard = shard::of(account.number());
    // Unless a writer of the test's has it: then this is its first epoch.
    let taken = shards::take(db, shard, "test", 1, i64::MAX).await.unwrap();
    let epoch = taken.map_or(1, |taken| taken.epoch);
    let slice = log::slice_of(house.app().now().micros());
    log::ensure_slice(db, slice, 1).await.unwrap();
    let commit = Commit { shard, epoch, slice, collections: vec![collection], ..Commit::default() };
    assert!(matches!(log::commit(db, &commit).await.unwrap(), Committed::At(_)));
}

async fn get(house: &House, account: AccountId, path: &str) -> Reply {
    let before = house.scratch.db.writes() - house.app().journal().batches();
    let reply = house.get(&format!("/v1/accounts/{account}{path}")).key().send().await;
    house.app().journal().flush().await;
    let after = house.scratch.db.writes() - house.app().journal().batches();
    assert_eq!(before, after, "{path} wrote");
    reply
}

fn names(list: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = list["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| object["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_search_looks_at_what_is_remembered_and_shows_what_is_there() {
    let house = house().await;
    shards::ensure(&house.scratch.db, shard::SHARDS).await.unwrap();
    let account = house.account_of("plain", "one").await;
    let mut ids = Vec::new();
    for name in ["Alpha 1.txt", "Alpha 2.txt", "beta.txt", "ALPHA 3.txt"] {
        ids.push(house.file(account, name, b"content").await);
    }
    let walked = get(&house, account, "/storage/search?q=alpha").await.json();
    assert_eq!(names(&walked), ["ALPHA 3.txt", "Alpha 1.txt", "Alpha 2.txt"]);
    let ghost = Item { id: "ghost".into(), ..file(&ids[0], "alpha ghost", 1) };
    let items = [
        file(&ids[0], "Alpha 1.txt", 7),
        file(&ids[1], "Alpha 2.txt", 7),
        // As it was before somebody renamed it.
        file(&ids[2], "alpha before.txt", 7),
        ghost,
    ];
    remember(&house, account, &items).await;
    let found = get(&house, account, "/storage/search?q=ALPHA").await.json();
    assert_eq!(names(&found), ["Alpha 1.txt", "Alpha 2.txt"]);
    assert_eq!(found["objects"][0]["size"], 7);
    assert_eq!(names(&get(&house, account, "/storage/search?q=nothing").await.json()), [""; 0]);
    // Page by page, never an empty one while more follows.
    let (mut page, mut all) = (String::new(), Vec::new());
    loop {
        let path = format!("/storage/search?q=alpha&page_size=1&page={page}");
        let found = get(&house, account, &path).await.json();
        all.extend(names(&found).iter().map(|name| (*name).to_owned()));
        let Some(next) = found["next_page"].as_str() else { break };
        assert_eq!(found["count"], 1);
        page = next.to_owned();
    }
    all.sort();
    assert_eq!(all, ["Alpha 1.txt", "Alpha 2.txt"]);
    // Below a folder that is not known, the folders are listed as before.
    let below = get(&house, account, "/storage/search?q=alpha&parents=root").await.json();
    assert_eq!(names(&below), ["ALPHA 3.txt", "Alpha 1.txt", "Alpha 2.txt"]);
    // And when nobody follows any more.
    let row = feeds::subscriptions(&house.scratch.db, account.number()).await.unwrap().remove(0);
    feeds::unsubscribe(&house.scratch.db, account.number(), &row.id, 2).await.unwrap();
    let walked = get(&house, account, "/storage/search?q=alpha").await.json();
    assert_eq!(names(&walked).len(), 3);
}

#[tokio::test]
async fn sizes_of_folders_are_remembered_or_summed_up() {
    let house = house().await;
    shards::ensure(&house.scratch.db, shard::SHARDS).await.unwrap();
    let account = house.account_of("plain", "one").await;
    let id = house.file(account, "a.txt", b"content").await;
    let size = get(&house, account, "/storage/folders/root/size").await.json();
    assert_eq!(
        (&size["size"], &size["files"], &size["folders"], &size["complete"], &size["remembered"]),
        (&json!(7), &json!(1), &json!(0), &json!(true), &json!(false))
    );
    let unsized_file = Item { size: None, id: "other".into(), ..file(&id, "b.txt", 0) };
    remember(&house, account, &[file(&id, "a.txt", 1 << 40), unsized_file]).await;
    let size = get(&house, account, "/storage/folders/root/size").await.json();
    assert_eq!(
        (&size["size"], &size["files"], &size["unsized_files"], &size["remembered"]),
        (&json!(1_u64 << 40), &json!(2), &json!(1), &json!(true))
    );
    let none = get(&house, account, "/storage/folders/folder_bm9wZQ/size").await;
    assert_eq!(none.problem(), (404, "not_found".into()));
}

#[tokio::test]
async fn a_digest_is_of_one_place_in_the_feed() {
    let house = house().await;
    let account = house.account_of("plain", "one").await;
    Writer::new(&house).await.files(account, &["a"]).await;
    let before = get(&house, account, "/events/digest").await.json();
    assert_eq!((&before["complete"], &before["cursor"]), (&json!(false), &json!("1")));
    assert_eq!(before["ranges"], json!([]));
    let id = house.file(account, "a.txt", b"content").await;
    remember(&house, account, &[file(&id, "a.txt", 7)]).await;
    let digest = get(&house, account, "/events/digest").await.json();
    assert_eq!(digest["complete"], true);
    assert_eq!(digest["roots"], json!(["root"]));
    let range = &digest["ranges"][0];
    assert_eq!((&range["range"], &range["count"]), (&json!(""), &json!(1)));
    assert_eq!(range["objects"], json!([{"id": id, "hash": range["hash"]}]));
    let two = get(&house, account, "/events/digest?ranges=0,1,2,3,4,5,6,7,8,9,a,b,c,d,e,f").await;
    let two = two.json();
    let counts: u64 =
        two["ranges"].as_array().unwrap().iter().map(|one| one["count"].as_u64().unwrap()).sum();
    assert_eq!((two["ranges"].as_array().unwrap().len(), counts), (16, 1));
    for bad in ["g", "3F", "0x1", "01234567890abcdef", "0,1,2,3,4,5,6,7,8,9,a,b,c,d,e,f,00"] {
        let reply = get(&house, account, &format!("/events/digest?ranges={bad}")).await;
        assert_eq!(reply.problem(), (400, "invalid_parameters".into()), "{bad}");
    }
    let row = feeds::subscriptions(&house.scratch.db, account.number()).await.unwrap().remove(0);
    feeds::unsubscribe(&house.scratch.db, account.number(), &row.id, 2).await.unwrap();
    let off = get(&house, account, "/events/digest").await;
    assert_eq!(off.problem(), (403, "forbidden".into()));
}

#[tokio::test]
async fn recent_files_come_from_the_feed_when_it_tells_all_that_was_asked() {
    let house = house().await;
    let account = house.account_of("plain", "one").await;
    let old = house.file(account, "old.txt", b"content").await;
    let (one, two) = (
        house.file(account, "one.txt", b"content").await,
        house.file(account, "two.txt", b"content").await,
    );
    let happened = |action, id: &str, name: &str, at: Timestamp| {
        let parent = Parent { id: NativeId::new(root()), name: None };
        let entry = Entry {
            modified: Some(at),
            ..Entry::file(NativeId::new(native(id)), name, Some(parent))
        };
        let entry = serde_json::to_value(entry).unwrap();
        let base = event(action, name);
        let object = tramontane_activity::Object { id: native(id), ..base.object.clone() };
        Event { object, entry: entry.into(), ..base }
    };
    let now = house.app().now();
    let later = Timestamp::from_micros(now.micros() + 1_000_000);
    let writer = Writer::new(&house).await;
    writer
        .happen(
            account,
            &[
                happened(Action::Add, &one, "one before.txt", later),
                happened(Action::Add, "file_Z2hvc3Q", "ghost.txt", later),
                happened(Action::Update, &one, "one.txt", later),
            ],
        )
        .await;
    remember(&house, account, &[file(&old, "old.txt", 7)]).await;
    // What was asked goes back further than the feed: everything is looked at.
    let all = get(&house, account, "/storage/recent").await.json();
    assert_eq!(names(&all), ["old.txt", "one.txt", "two.txt"]);
    // The feed tells all that happened since its first event; what it does not tell of is left out, and what is
    // gone by now.
    let path = format!("/storage/recent?after={now}");
    let some = get(&house, account, &path).await.json();
    assert_eq!(names(&some), ["one.txt"]);
    assert_eq!(some["objects"][0]["id"], one.as_str());
    assert_ne!(one, two);
}
