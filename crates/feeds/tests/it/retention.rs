//! Retention: what stays of a feed when its days leave the log, and what of an application leaves earlier.

use serde_json::json;
use tramontane_feeds::retention::{NEWEST, Tidied, tidy};
use tramontane_feeds::seal::seal;
use tramontane_store::log::{self, SLICE_MICROS};
use tramontane_store::{applications, feeds, retention};

use crate::house::{House, on_each_engine};

/// All that is kept of a feed after a number, read page by page, and whether something was lost.
async fn all(house: &House, feed: i64, mut after: i64) -> (Vec<(i64, String)>, bool) {
    let (mut found, mut lost) = (Vec::new(), false);
    loop {
        let page = house.log.page(feed, after, 1_000).await.unwrap();
        lost |= page.truncated;
        if page.events.is_empty() {
            return (found, lost);
        }
        after = page.cursor;
        found.extend(page.events.into_iter().map(|one| (one.sequence, one.event.object.name)));
    }
}

async fn append(house: &House, feed: i64, slice: i64, numbers: std::ops::RangeInclusive<i64>) {
    let names: Vec<String> = numbers.map(|number| number.to_string()).collect();
    for some in names.chunks(1_500) {
        let some: Vec<&str> = some.iter().map(String::as_str).collect();
        house.append(feed, slice, 5, &some).await;
    }
}

fn expected(numbers: std::ops::RangeInclusive<i64>) -> Vec<(i64, String)> {
    numbers.map(|number| (number, number.to_string())).collect()
}

#[tokio::test]
async fn the_newest_events_of_each_feed_stay_when_their_days_are_dropped() {
    on_each_engine(|house| async move {
        let (db, epoch) = (&house.db, house.epoch);
        append(&house, 1, 1, 1..=6_000).await;
        append(&house, 2, 1, 1..=3).await;
        append(&house, 1, 2, 6_001..=12_000).await;
        // Some of it is sealed, some is not.
        seal(db, 0, epoch, 2 * SLICE_MICROS).await.unwrap();
        append(&house, 2, 2, 4..=5).await;
        let mut tidied = Tidied::default();

        tidy(db, 1, 8 * SLICE_MICROS, &mut tidied).await.unwrap();
        assert_eq!(log::slices(db).await.unwrap(), [1, 2], "at least seven days stay");
        tidy(db, 7, 9 * SLICE_MICROS, &mut tidied).await.unwrap();
        assert_eq!(log::slices(db).await.unwrap(), [2]);
        let first = 12_000 - NEWEST + 1;
        assert_eq!(all(&house, 1, 0).await, (expected(first..=12_000), true));
        assert_eq!(all(&house, 1, first - 1).await, (expected(first..=12_000), false));
        assert_eq!(all(&house, 1, 5_998).await, (expected(5_999..=12_000), false));
        assert_eq!(all(&house, 2, 0).await, (expected(1..=5), false));
        let one = house.log.event(2, 2).await.unwrap().unwrap();
        assert_eq!((one.event.object.name.as_str(), one.at), ("2", SLICE_MICROS + 5));

        // Nothing but what is kept is left; then there is more.
        tidy(db, 7, 10 * SLICE_MICROS, &mut tidied).await.unwrap();
        assert!(log::slices(db).await.unwrap().is_empty());
        assert_eq!(all(&house, 1, 0).await, (expected(first..=12_000), true));
        assert_eq!(all(&house, 2, 3).await, (expected(4..=5), false));
        let extent = house.log.extent(1).await.unwrap().unwrap();
        assert_eq!((extent.first, extent.head), (first, 12_000));
        log::ensure_slice(db, 10, 1).await.unwrap();
        append(&house, 1, 10, 12_001..=15_500).await;
        append(&house, 2, 10, 6..=6).await;
        assert_eq!(all(&house, 1, 11_990).await, (expected(11_991..=15_500), false));
        assert_eq!(all(&house, 2, 0).await, (expected(1..=6), false));
        tidy(db, 7, 18 * SLICE_MICROS, &mut tidied).await.unwrap();
        let (kept, _) = all(&house, 1, 0).await;
        // Blocks go whole: a few more may be there.
        let most = 1_024 + NEWEST as usize;
        assert!(kept.len() >= NEWEST as usize && kept.len() < most, "{}", kept.len());
        assert_eq!(kept.last().unwrap().0, 15_500);
        assert_eq!(kept, expected(kept[0].0..=15_500));
        assert_eq!(all(&house, 2, 0).await, (expected(1..=6), false));

        assert!(feeds::unsubscribe(db, 2, "sub_2", 9).await.unwrap());
        assert_eq!(retention::forget_orphans(db).await.unwrap(), 1);
        assert!(retention::newest(db, 2).await.unwrap().is_none());
        assert!(retention::newest(db, 1).await.unwrap().is_some());
        house
    })
    .await;
}

#[tokio::test]
async fn a_feed_that_was_carried_before_a_crash_is_not_carried_twice() {
    on_each_engine(|house| async move {
        let db = &house.db;
        append(&house, 1, 1, 1..=3).await;
        append(&house, 2, 1, 1..=2).await;
        append(&house, 1, 2, 4..=4).await;
        let kept =
            retention::Kept { feed: 1, sequence: 1, events: 3, at: 1, body: vec![1, 0, 1, 0] };
        let carried =
            retention::Carried { feed: 1, slice: 1, floor: 0, replaces: None, blocks: vec![kept] };
        // One node carries the feed and is killed before it drops the slice; the other goes on.
        assert!(retention::carry(db, &carried).await.unwrap());
        assert!(!retention::carry(db, &carried).await.unwrap());
        tidy(db, 7, 9 * SLICE_MICROS, &mut Tidied::default()).await.unwrap();
        assert_eq!(log::slices(db).await.unwrap(), [2]);
        assert_eq!(retention::newest(db, 1).await.unwrap().unwrap().sequence, 1);
        assert_eq!(all(&house, 2, 0).await, (expected(1..=2), false));
        house
    })
    .await;
}

#[tokio::test]
async fn an_application_keeps_fewer_days_than_the_others() {
    on_each_engine(|house| async move {
        let (db, epoch) = (&house.db, house.epoch);
        append(&house, 1, 1, 1..=3).await;
        append(&house, 3, 1, 1..=4).await;
        append(&house, 1, 2, 4..=10_500).await;
        append(&house, 3, 2, 5..=6).await;
        append(&house, 1, 2, 10_501..=10_502).await;
        let now = 11 * SLICE_MICROS;
        seal(db, 0, epoch, now).await.unwrap();
        let mut one = applications::find(db, "one").await.unwrap().unwrap();
        one.settings = json!({"event_days": 7, "token_lifetime": 60});
        assert!(applications::update(db, &one).await.unwrap());
        tidy(db, 30, now, &mut Tidied::default()).await.unwrap();
        assert_eq!(log::slices(db).await.unwrap(), [1, 2]);
        assert_eq!(all(&house, 1, 0).await, (expected(503..=10_502), true));
        assert_eq!(all(&house, 3, 0).await, (expected(1..=6), false));
        // Its events are gone from the days themselves; whoever reads a shard passes over them.
        let shard = house.log.shard(0, 1, 1_000).await.unwrap();
        assert!(shard.iter().all(|one| one.feed == 3));
        let mut found = Vec::new();
        let mut from = 1;
        loop {
            let page = house.log.shard(0, from, 2).await.unwrap();
            let Some(last) = page.last() else { break };
            from = last.position + 1;
            found.extend(page.into_iter().map(|one| (one.feed, one.sequence)));
        }
        assert_eq!(found, (1..=6).map(|number| (3, number)).collect::<Vec<_>>());
        house
    })
    .await;
}
