//! Positions of webhooks under their fence, the log of attempts in slices, secrets, replays.

use serde_json::json;
use tramontane_store::deliveries::{self, Batch, Mark, Replay};
use tramontane_store::log::SLICE_MICROS;
use tramontane_store::scratch::{self, on_each_engine};
use tramontane_store::webhook_secrets::{self, WebhookSecret};
use tramontane_store::webhooks::{self, Webhook};
use tramontane_store::{Db, shards};

fn hook(id: &str) -> Webhook {
    Webhook {
        id: id.into(),
        application: "one".into(),
        url: "https://hooks.example.com/".into(),
        active: true,
        settings: json!({}),
        created: 1,
        modified: 1,
    }
}

fn secret(id: &str, created: i64) -> WebhookSecret {
    WebhookSecret {
        id: id.into(),
        webhook: "whk_1".into(),
        sealed: vec![1],
        key_id: "k".into(),
        version: 1,
        created,
        until: None,
    }
}

async fn ready(db: &Db) -> i64 {
    scratch::seed(db, &[("one", &[1])]).await;
    shards::ensure(db, 2).await.unwrap();
    webhooks::insert(db, &hook("whk_1"), Some(&secret("a", 1)), &[7]).await.unwrap();
    shards::take(db, 0, "us", 1, i64::MAX).await.unwrap().unwrap().epoch
}

#[tokio::test]
async fn positions_begin_at_the_head_and_are_written_by_the_holder_alone() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        let epoch = ready(db).await;
        let begun = deliveries::positions(db, "whk_1").await.unwrap();
        let begun: Vec<_> =
            begun.iter().map(|row| (row.shard, row.position, &row.parked[..])).collect();
        assert_eq!(begun, [(0, 0, &[7_u8][..]), (1, 0, &[7][..])]);
        let mark = |shard, epoch, position| Mark { shard, epoch, position, parked: vec![9] };
        let marks = [mark(0, epoch, 5), mark(1, epoch + 4, 6)];
        assert_eq!(deliveries::keep(db, "whk_1", &marks, None, 2).await.unwrap(), [0]);
        let kept = deliveries::positions(db, "whk_1").await.unwrap();
        assert_eq!((kept[0].position, kept[1].position), (5, 0));
        assert!(shards::release(db, 0, epoch).await.unwrap());
        shards::take(db, 0, "them", 2, i64::MAX).await.unwrap().unwrap();
        assert!(
            deliveries::keep(db, "whk_1", &[mark(0, epoch, 8)], None, 3).await.unwrap().is_empty()
        );
        // One that is there stays; one that is missing begins.
        deliveries::join(db, "whk_1", 0, &[1], 4).await.unwrap();
        deliveries::join(db, "whk_2", 0, &[1], 4).await.unwrap();
        assert_eq!(deliveries::positions(db, "whk_1").await.unwrap()[0].position, 5);
        assert_eq!(deliveries::positions(db, "whk_2").await.unwrap().len(), 1);
        assert!(webhooks::delete(db, "one", "whk_1").await.unwrap());
        assert!(deliveries::positions(db, "whk_1").await.unwrap().is_empty());
        assert!(webhook_secrets::list(db, "whk_1", 0).await.unwrap().is_empty());
        scratch
    })
    .await;
}

#[tokio::test]
async fn attempts_are_read_newest_first_and_dropped_by_the_slice() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        ready(db).await;
        for slice in [3, 4] {
            deliveries::ensure_slice(db, slice, 1).await.unwrap();
            deliveries::ensure_slice(db, slice, 1).await.unwrap();
        }
        let batch = |at: i64, until: i64, body: &str| Batch {
            webhook: "whk_1".into(),
            at,
            number: -5,
            until,
            attempts: 10,
            body: body.into(),
        };
        let day = SLICE_MICROS;
        for (at, until, body) in [
            (3 * day, 3 * day + 9, "a"),
            (4 * day - 5, 4 * day + 5, "b"),
            (4 * day + 7, 4 * day + 8, "c"),
        ] {
            deliveries::append(db, &batch(at, until, body)).await.unwrap();
        }
        let other = Batch { webhook: "whk_2".into(), ..batch(4 * day, 4 * day, "x") };
        assert!(deliveries::keep(db, "whk_2", &[], Some(&other), 1).await.unwrap().is_empty());
        let read = async |since, until, limit| {
            let found = deliveries::batches(db, "whk_1", since, until, limit).await.unwrap();
            found.into_iter().map(|one| String::from_utf8(one.body).unwrap()).collect::<String>()
        };
        assert_eq!(read(0, i64::MAX, 100).await, "cba");
        assert_eq!(read(4 * day, 4 * day + 6, 100).await, "b");
        assert_eq!(read(0, i64::MAX, 20).await, "cb");
        assert_eq!(deliveries::slices(db).await.unwrap(), [3, 4]);
        deliveries::drop_slice(db, 3).await.unwrap();
        assert_eq!(read(0, i64::MAX, 100).await, "c");
        scratch
    })
    .await;
}

#[tokio::test]
async fn a_secret_that_was_replaced_is_good_for_a_while() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        ready(db).await;
        webhook_secrets::succeed(db, &secret("b", 2), 100).await.unwrap();
        let ids = async |now| {
            let found = webhook_secrets::list(db, "whk_1", now).await.unwrap();
            found.into_iter().map(|one| one.id).collect::<String>()
        };
        assert_eq!((ids(99).await, ids(100).await), ("ba".to_owned(), "b".to_owned()));
        webhook_secrets::succeed(db, &secret("c", 3), 200).await.unwrap();
        assert_eq!(ids(50).await, "cb");
        scratch
    })
    .await;
}

#[tokio::test]
async fn a_replay_is_worked_on_by_one_and_switching_off_is_of_what_was_seen() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        ready(db).await;
        let mut row = Replay {
            id: "rpl_1".into(),
            webhook: "whk_1".into(),
            request: json!({"since": 1}),
            state: "pending".into(),
            account: 0,
            sequence: 0,
            sent: 0,
            failed: 0,
            epoch: 0,
            leased_until: 0,
            created: 1,
            modified: 1,
        };
        deliveries::insert_replay(db, &row).await.unwrap();
        assert_eq!(
            deliveries::waiting_replays(db, 5, 9).await.unwrap(),
            std::slice::from_ref(&row)
        );
        assert_eq!(deliveries::claim_replay(db, &row, 50).await.unwrap(), Some(1));
        assert_eq!(deliveries::claim_replay(db, &row, 50).await.unwrap(), None);
        assert!(deliveries::waiting_replays(db, 5, 9).await.unwrap().is_empty());
        assert!(!deliveries::update_replay(db, &row).await.unwrap());
        (row.epoch, row.state) = (1, "done".into());
        assert!(deliveries::update_replay(db, &row).await.unwrap());
        assert_eq!(deliveries::pending_replays(db, "whk_1").await.unwrap(), 0);
        assert_eq!(deliveries::prune_replays(db, 2).await.unwrap(), 1);

        let seen = webhooks::by_id(db, "whk_1").await.unwrap().unwrap();
        assert_eq!(webhooks::active(db, "", 9).await.unwrap(), std::slice::from_ref(&seen));
        let changed = Webhook { modified: 5, ..seen.clone() };
        assert!(webhooks::update(db, &changed).await.unwrap());
        assert!(!webhooks::switch_off(db, &seen, &json!({}), 6).await.unwrap());
        assert!(
            webhooks::switch_off(db, &changed, &json!({"disabled_reason": "x"}), 6).await.unwrap()
        );
        assert!(webhooks::active(db, "", 9).await.unwrap().is_empty());
        scratch
    })
    .await;
}
