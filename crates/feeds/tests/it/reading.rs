//! Readers get every event once and in order, wherever it lies.

use tramontane_feeds::seal::seal;
use tramontane_feeds::{Error, Numbered};
use tramontane_store::log;

use crate::house::on_each_engine;

fn names(events: &[Numbered]) -> Vec<&str> {
    events.iter().map(|event| event.event.object.name.as_str()).collect()
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repeat() {
    on_each_engine(|house| async {
        house.append(1, 1, 0, &["a", "b", "c"]).await;
        house.append(2, 1, 1, &["x"]).await;
        house.append(1, 1, 2, &["d"]).await;
        house.append(1, 2, 0, &["e", "f"]).await;
        let (mut cursor, mut seen) = (0, Vec::new());
        loop {
            let page = house.log.page(1, cursor, 2).await.unwrap();
            assert_eq!(page.remaining(), 6 - page.cursor);
            assert!(!page.truncated);
            if page.events.is_empty() {
                assert_eq!(page.cursor, cursor);
                break;
            }
            cursor = page.cursor;
            seen.extend(page.events);
        }
        assert_eq!(names(&seen), ["a", "b", "c", "d", "e", "f"]);
        assert!(seen.iter().zip(1..).all(|(event, number)| event.sequence == number));
        let whole = house.log.page(1, 0, 1_000).await.unwrap();
        assert_eq!(whole.events, seen);
        let shard = house.log.shard(0, 1, 100).await.unwrap();
        assert_eq!(names(&shard), ["a", "b", "c", "x", "d", "e", "f"]);
        assert!(shard.iter().zip(1..).all(|(event, position)| event.position == position));
        assert_eq!(names(&house.log.shard(0, 3, 100).await.unwrap()), ["c", "x", "d", "e", "f"]);
        assert_eq!(house.log.event(1, 4).await.unwrap().unwrap().event.object.name, "d");
        assert!(house.log.event(1, 7).await.unwrap().is_none());
        house
    })
    .await;
}

#[tokio::test]
async fn cursors_beyond_the_newest_event_are_refused() {
    on_each_engine(|house| async {
        house.append(1, 1, 0, &["a"]).await;
        for wrong in [-1, 2] {
            let error = house.log.page(1, wrong, 10).await.unwrap_err();
            assert!(matches!(error, Error::Invalid { field: "cursor", .. }));
        }
        assert!(matches!(house.log.page(9, 0, 10).await, Err(Error::Off)));
        assert!(house.log.page(1, 1, 10).await.unwrap().events.is_empty());
        house
    })
    .await;
}

#[tokio::test]
async fn what_is_past_retention_is_told() {
    on_each_engine(|house| async {
        house.append(1, 1, 0, &["a", "b"]).await;
        house.append(1, 2, 0, &["c"]).await;
        house.append(2, 1, 0, &["x"]).await;
        log::drop_slice(&house.db, 1).await.unwrap();
        let page = house.log.page(1, 0, 10).await.unwrap();
        assert!(page.truncated);
        assert_eq!((names(&page.events), page.cursor), (vec!["c"], 3));
        assert!(!house.log.page(1, 2, 10).await.unwrap().truncated);
        let empty = house.log.page(2, 0, 10).await.unwrap();
        assert!(empty.truncated && empty.events.is_empty());
        assert_eq!((empty.cursor, empty.remaining()), (1, 0));
        assert!(!house.log.page(2, 1, 10).await.unwrap().truncated);
        house
    })
    .await;
}

#[tokio::test]
async fn sealed_events_are_read_as_before() {
    on_each_engine(|house| async {
        for round in 0..300 {
            let name = format!("a{round}");
            house.append(1, 1, round, &[&name, "x"]).await;
            house.append(2, 1, round, &["y"]).await;
        }
        house.append(1, 2, 0, &["new"]).await;
        let read = async || {
            let mut all = Vec::new();
            for feed in [1, 2] {
                let mut cursor = 0;
                loop {
                    let page = house.log.page(feed, cursor, 7).await.unwrap();
                    if page.events.is_empty() {
                        break;
                    }
                    cursor = page.cursor;
                    all.extend(page.events);
                }
            }
            let mut from = 1;
            loop {
                let events = house.log.shard(0, from, 10).await.unwrap();
                let Some(last) = events.last() else { break };
                from = last.position + 1;
                all.extend(events);
            }
            all
        };
        let before = read().await;
        assert_eq!(before.len(), 2 * (300 * 3 + 1));
        let now = 2 * log::SLICE_MICROS + 1;
        let sealed = seal(&house.db, 0, house.epoch, now).await.unwrap();
        assert_eq!(sealed, 900);
        assert!(log::to_seal(&house.db, 0, 1, i64::MAX, 10).await.unwrap().is_empty());
        assert_eq!(read().await, before);
        assert_eq!(seal(&house.db, 0, house.epoch - 1, i64::MAX).await.unwrap(), 0);
        house
    })
    .await;
}

#[tokio::test]
async fn a_moment_names_the_place_before_it() {
    on_each_engine(|house| async {
        house.append(1, 1, 10, &["a", "b"]).await;
        house.append(1, 1, 20, &["c"]).await;
        house.append(1, 2, 5, &["d"]).await;
        let moment = |slice: i64, at: i64| slice * log::SLICE_MICROS + at;
        assert_eq!(house.log.before(1, 0).await.unwrap(), 0);
        assert_eq!(house.log.before(1, moment(1, 10)).await.unwrap(), 0);
        assert_eq!(house.log.before(1, moment(1, 11)).await.unwrap(), 2);
        assert_eq!(house.log.before(1, moment(2, 5)).await.unwrap(), 3);
        assert_eq!(house.log.before(1, moment(3, 0)).await.unwrap(), 4);
        house
    })
    .await;
}
