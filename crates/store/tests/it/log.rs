//! The activity log: fenced appends, reading by feed and by position, sealing, slices.

use tramontane_store::accounts::{self, CredentialState};
use tramontane_store::announcements;
use tramontane_store::feeds::{self, Collection, Feed, Subscription};
use tramontane_store::log::{self, Append, CollectionWrite, Commit, Committed, Piece, Place};
use tramontane_store::scratch::on_each_engine;
use tramontane_store::{Db, shards};

use crate::rows;

async fn follow(db: &Db, account: i64) {
    let feed = Feed { shard: 0, ..Feed::new(account, 1) };
    let subscription = Subscription::first(format!("sub_{account}"), account, 1);
    assert!(feeds::subscribe(db, &feed, &subscription).await.unwrap());
}

fn append(feed: i64, head: i64, events: i64) -> Append {
    let body = format!("{feed}:{}+{events}", head + 1).into_bytes();
    Append { feed, head, events, body, opens: true }
}

fn commit(epoch: i64, slice: i64, appends: Vec<Append>) -> Commit {
    Commit { shard: 0, epoch, slice, now: slice * log::SLICE_MICROS, appends, ..Commit::default() }
}

fn texts(pieces: &[Piece]) -> Vec<String> {
    pieces.iter().map(|piece| String::from_utf8(piece.body.clone()).unwrap()).collect()
}

async fn ready(db: &Db) -> i64 {
    rows::populate(db).await;
    shards::ensure(db, 2).await.unwrap();
    for slice in [1, 2] {
        log::ensure_slice(db, slice, 1).await.unwrap();
        log::ensure_slice(db, slice, 1).await.unwrap();
    }
    follow(db, 1).await;
    follow(db, 3).await;
    shards::take(db, 0, "a", 100, 200).await.unwrap().unwrap().epoch
}

#[tokio::test]
async fn events_are_dense_by_feed_and_by_position() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        let epoch = ready(db).await;
        let both = vec![append(1, 0, 2), append(3, 0, 3)];
        assert_eq!(log::commit(db, &commit(epoch, 1, both)).await.unwrap(), Committed::At(1));
        let more = vec![append(1, 2, 1)];
        assert_eq!(log::commit(db, &commit(epoch, 2, more)).await.unwrap(), Committed::At(6));
        let extent = log::extent(db, 1).await.unwrap().unwrap();
        assert_eq!((extent.first, extent.head), (1, 3));
        let all = log::read_feed(db, 1, 0, 100).await.unwrap();
        assert_eq!(texts(&all), ["1:1+2", "1:3+1"]);
        assert_eq!(texts(&log::read_feed(db, 1, 1, 100).await.unwrap()), ["1:1+2", "1:3+1"]);
        assert_eq!(texts(&log::read_feed(db, 1, 2, 100).await.unwrap()), ["1:3+1"]);
        assert_eq!(texts(&log::read_feed(db, 1, 0, 1).await.unwrap()), ["1:1+2"]);
        assert!(log::read_feed(db, 1, 3, 100).await.unwrap().is_empty());
        let shard = log::read_shard(db, 0, 1, 100).await.unwrap();
        assert_eq!(texts(&shard), ["1:1+2", "3:1+3", "1:3+1"]);
        assert_eq!(texts(&log::read_shard(db, 0, 4, 1).await.unwrap()), ["3:1+3"]);
        assert_eq!(texts(&log::read_shard(db, 0, 6, 9).await.unwrap()), ["1:3+1"]);
        scratch
    })
    .await;
}

#[tokio::test]
async fn a_writer_that_lost_its_shard_writes_nothing() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        let old = ready(db).await;
        assert!(shards::take(db, 0, "b", 150, 300).await.unwrap().is_none());
        assert_eq!(shards::renew(db, "a", &[(0, old)], 250).await.unwrap(), [0]);
        let new = shards::take(db, 0, "b", 251, 400).await.unwrap().unwrap();
        assert_eq!(new.epoch, old + 1);
        assert!(shards::renew(db, "a", &[(0, old)], 500).await.unwrap().is_empty());
        let late = commit(old, 1, vec![append(1, 0, 1)]);
        assert_eq!(log::commit(db, &late).await.unwrap(), Committed::Fenced);
        let block = Piece { shard: 0, position: 1, events: 1, at: 0, body: vec![] };
        assert!(!log::seal(db, old, 1, &block, &[]).await.unwrap());
        assert!(!shards::release(db, 0, old).await.unwrap());
        assert!(log::read_feed(db, 1, 0, 9).await.unwrap().is_empty());
        assert_eq!(log::extent(db, 1).await.unwrap().unwrap().head, 0);
        scratch
    })
    .await;
}

#[tokio::test]
async fn an_announcement_is_taken_once_with_the_commit_that_tells_it() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        let epoch = ready(db).await;
        assert!(announcements::waiting(db, 0, 9).await.unwrap().is_empty());
        let row = accounts::find(db, 1).await.unwrap().unwrap();
        assert!(accounts::update(db, &row, Some("account.updated")).await.unwrap());
        assert!(!accounts::update(db, &row, Some("account.updated")).await.unwrap(), "it is old");
        let dead = CredentialState::Dead;
        let said = Some("account.needs_reconnect");
        let set =
            |now| accounts::set_credential_state(db, 1, row.revision + 1, dead, None, now, said);
        assert!(set(700).await.unwrap());
        assert!(!set(701).await.unwrap(), "it was dead before");
        let waiting = announcements::waiting(db, 0, 9).await.unwrap();
        let kinds: Vec<&str> = waiting.iter().map(|one| one.kind.as_str()).collect();
        assert_eq!(kinds, ["account.updated", "account.needs_reconnect"]);
        assert!(announcements::waiting(db, 1, 9).await.unwrap().is_empty());
        let telling = Commit { taken: waiting.clone(), ..commit(epoch, 1, vec![append(1, 0, 2)]) };
        let fenced = Commit { epoch: epoch - 1, ..telling.clone() };
        assert_eq!(log::commit(db, &fenced).await.unwrap(), Committed::Fenced);
        assert_eq!(announcements::waiting(db, 0, 9).await.unwrap(), waiting);
        assert_eq!(log::commit(db, &telling).await.unwrap(), Committed::At(1));
        assert!(announcements::waiting(db, 0, 9).await.unwrap().is_empty());
        let again = Commit { appends: vec![append(1, 2, 2)], ..telling };
        assert_eq!(log::commit(db, &again).await.unwrap(), Committed::Stale);
        assert_eq!(log::extent(db, 1).await.unwrap().unwrap().head, 2);
        accounts::delete(db, &row.application, 1, 900).await.unwrap().unwrap();
        let waiting = announcements::waiting(db, 0, 9).await.unwrap();
        assert_eq!(
            (waiting[0].kind.as_str(), waiting[0].name.as_str()),
            ("account.deleted", row.display.as_str())
        );
        scratch
    })
    .await;
}

#[tokio::test]
async fn a_stale_head_or_generation_takes_the_whole_commit_back() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        let epoch = ready(db).await;
        let wrong = commit(epoch, 1, vec![append(3, 0, 1), append(1, 7, 1)]);
        assert_eq!(log::commit(db, &wrong).await.unwrap(), Committed::Stale);
        let collection = |expected| CollectionWrite {
            row: Collection {
                account: 1,
                id: String::new(),
                root: "root".into(),
                name: Some("Files".into()),
                generation: 1,
                cursor: Some("c1".into()),
                manifest: vec![1],
                progress: vec![],
                modified: 5,
            },
            expected,
            change: Some((1, vec![9])),
            forget_changes: false,
            put: vec![("b1".into(), vec![4, 2])],
            drop: vec![],
        };
        let mut first = commit(epoch, 1, vec![append(1, 0, 1)]);
        first.collections.push(collection(None));
        assert_eq!(log::commit(db, &first).await.unwrap(), Committed::At(1));
        let mut again = commit(epoch, 1, vec![append(1, 1, 1)]);
        again.collections.push(collection(None));
        assert_eq!(log::commit(db, &again).await.unwrap(), Committed::Stale);
        let mut stale = commit(epoch, 1, vec![append(1, 1, 1)]);
        stale.collections.push(collection(Some(7)));
        assert_eq!(log::commit(db, &stale).await.unwrap(), Committed::Stale);
        assert_eq!(texts(&log::read_feed(db, 1, 0, 9).await.unwrap()), ["1:1+1"]);
        assert_eq!(feeds::block(db, 1, "", "b1").await.unwrap(), Some(vec![4, 2]));
        assert_eq!(feeds::changes(db, 1, "").await.unwrap(), [(1, vec![9])]);
        let mut gone = commit(epoch, 1, vec![]);
        gone.gone.push((1, String::new()));
        log::commit(db, &gone).await.unwrap();
        assert!(feeds::collections(db, 1).await.unwrap().is_empty());
        assert_eq!(feeds::block(db, 1, "", "b1").await.unwrap(), None);
        scratch
    })
    .await;
}

#[tokio::test]
async fn sealed_rows_are_read_as_before_and_dropped_with_their_slice() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        let epoch = ready(db).await;
        for head in 0..6 {
            let slice = if head < 4 { 1 } else { 2 };
            let appends = vec![append(1, head, 1), append(3, head, 1)];
            log::commit(db, &commit(epoch, slice, appends)).await.unwrap();
        }
        let rows = log::to_seal(db, 0, 1, i64::MAX, 6).await.unwrap();
        assert_eq!(rows.len(), 6);
        let block = Piece { shard: 0, position: 1, events: 6, at: 1, body: b"block".to_vec() };
        let places = [1, 3].map(|feed| Place { feed, sequence: 1, events: 3 });
        assert!(log::seal(db, epoch, 1, &block, &places).await.unwrap());
        let read = texts(&log::read_feed(db, 3, 0, 100).await.unwrap());
        assert_eq!(read, ["block", "3:4+1", "3:5+1", "3:6+1"]);
        assert_eq!(texts(&log::read_feed(db, 3, 3, 1).await.unwrap()), ["3:4+1"]);
        assert_eq!(texts(&log::read_feed(db, 3, 1, 2).await.unwrap()), ["block"]);
        let shard = texts(&log::read_shard(db, 0, 2, 8).await.unwrap());
        assert_eq!(shard, ["block", "1:4+1", "3:4+1", "1:5+1"]);
        log::drop_slice(db, 1).await.unwrap();
        assert_eq!(log::slices(db).await.unwrap(), [2]);
        assert_eq!(log::extent(db, 3).await.unwrap().unwrap().first, 5);
        assert_eq!(texts(&log::read_feed(db, 3, 0, 9).await.unwrap()), ["3:5+1", "3:6+1"]);
        assert_eq!(log::read_shard(db, 0, 1, 9).await.unwrap().len(), 4);
        scratch
    })
    .await;
}

#[tokio::test]
async fn a_subscription_made_again_goes_on_with_its_sequence() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        let epoch = ready(db).await;
        log::commit(db, &commit(epoch, 1, vec![append(1, 0, 2)])).await.unwrap();
        assert!(feeds::unsubscribe(db, 1, "sub_1", 9).await.unwrap());
        let late = commit(epoch, 1, vec![append(1, 2, 1)]);
        assert_eq!(log::commit(db, &late).await.unwrap(), Committed::Stale);
        assert!(feeds::subscriptions(db, 1).await.unwrap().is_empty());
        follow(db, 1).await;
        assert_eq!(feeds::subscriptions(db, 1).await.unwrap()[0].head, 2);
        scratch
    })
    .await;
}
