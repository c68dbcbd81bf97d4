//! The side channel: batches, drops, flushes, usage.

use std::time::Duration;

use tramontane_store::scratch::on_each_engine;
use tramontane_store::{Entry, Journal, Pace, request_log, usage};

use crate::rows;

/// 2026-03-02T09:15:00Z.
const DAY: i64 = 1_772_442_900_000_000;

fn entry(number: i64) -> Entry {
    Entry {
        id: format!("r{number}"),
        at: DAY + number,
        application: Some(if number % 2 == 0 { "app-a" } else { "app-b" }.into()),
        account: Some(1 + number % 3),
        method: "GET".into(),
        route: "/v1/accounts/{id}".into(),
        status: 200,
        duration_us: 300,
        bytes_in: 1,
        bytes_out: 10,
        client: Some("127.0.0.1\0".into()),
        ..Entry::default()
    }
}

fn slow(capacity: usize, batch: usize) -> Pace {
    Pace { capacity, batch, every: Duration::from_secs(3_600), log_requests: true }
}

#[tokio::test]
async fn requests_are_logged_and_summed_by_day_and_application() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        let (journal, writer) = Journal::start(db.clone(), slow(2_000, 300));
        for number in 0..1_000 {
            journal.record(entry(number));
        }
        journal.record(Entry { id: "anonymous".into(), at: DAY, ..Entry::default() });
        journal.flush().await;
        assert_eq!(journal.dropped(), 0);
        let newest = request_log::list(db, "app-a", DAY + 900, 3).await.unwrap();
        let ids: Vec<_> = newest.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids, ["r898", "r896", "r894"]);
        assert_eq!(newest[0].client.as_deref(), Some("127.0.0.1"));

        journal.record(Entry { at: DAY + 86_400_000_000, ..entry(2_000) });
        drop(journal);
        writer.await.unwrap();
        let report = usage::report(db, 1, None, "2026-03-01", "2026-03-31").await.unwrap();
        assert_eq!(report.len(), 2);
        assert_eq!((report[0].day.as_str(), report[0].requests), ("2026-03-02", 500));
        assert_eq!((report[0].bytes_in, report[0].bytes_out), (500, 5_000));
        assert_eq!(report[0].active_accounts, 3);
        assert_eq!((report[1].day.as_str(), report[1].requests), ("2026-03-03", 1));
        let other = usage::report(db, 1, Some("app-b"), "2026-03-01", "2026-03-31").await.unwrap();
        assert_eq!(other, [], "another developer's");
        assert_eq!(usage::prune_accounts(db, "2026-03-03").await.unwrap(), 6);

        assert_eq!(request_log::prune(db, DAY + 100, 60).await.unwrap(), 60);
        assert_eq!(request_log::prune(db, DAY + 100, 60).await.unwrap(), 41);
        scratch
    })
    .await;
}

#[tokio::test]
async fn a_full_journal_drops_and_counts_instead_of_waiting() {
    let scratch = tramontane_store::scratch::Scratch::sqlite().await;
    let (journal, writer) = Journal::start(scratch.db.clone(), slow(10, 1_000));
    // Nothing is awaited, so the writer does not run and the channel fills.
    for number in 0..25 {
        journal.record(entry(number));
    }
    assert_eq!(journal.dropped(), 15);
    journal.flush().await;
    drop(journal);
    writer.await.unwrap();
    assert_eq!(request_log::list(&scratch.db, "app-a", i64::MAX, 100).await.unwrap().len(), 5);
    scratch.remove().await;
}

#[tokio::test]
async fn entries_that_the_database_refuses_are_counted_when_too_many_wait() {
    let scratch = tramontane_store::scratch::Scratch::sqlite().await;
    let (journal, writer) = Journal::start(scratch.db.clone(), slow(4, 2));
    scratch.db.close().await;
    for number in 0..4 {
        journal.record(entry(number));
        journal.flush().await;
    }
    assert_eq!(journal.dropped(), 4);
    drop(journal);
    writer.await.unwrap();
    scratch.remove().await;
}
