//! Tasks under leases, their items, and idempotency keys.

use std::collections::HashSet;

use serde_json::json;
use tramontane_store::idempotency::{self, Begin};
use tramontane_store::scratch::on_each_engine;
use tramontane_store::task_items::{self, TaskItem};
use tramontane_store::tasks::{self, Lease, TaskState};
use tramontane_store::{Db, Slice};

use crate::rows;

async fn three_tasks(db: &Db) {
    rows::populate(db).await;
    for (number, account) in [(1, 1), (2, 1), (3, 3)] {
        let mut row = rows::task(account, &format!("tsk_{number}"));
        row.run_after = 100 + number;
        row.created = 100 + number;
        tasks::insert(db, &row).await.unwrap();
    }
}

#[tokio::test]
async fn concurrent_workers_never_get_the_same_task() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        for number in 0..20 {
            tasks::insert(db, &rows::task(1, &format!("tsk_{number}"))).await.unwrap();
        }
        let other = scratch.second().await;
        let claims = (0..30).map(|worker| {
            let db = if worker % 2 == 0 { db.clone() } else { other.clone() };
            async move { tasks::claim(&db, &format!("w{worker}"), 150, 250).await.unwrap() }
        });
        let mut got: Vec<_> =
            futures::future::join_all(claims).await.into_iter().flatten().collect();
        // A claimer that looked while another held its row may come away empty; the row is not lost.
        while let Some(task) = tasks::claim(db, "last", 150, 250).await.unwrap() {
            got.push(task);
        }
        let distinct: HashSet<_> = got.iter().map(|task| task.id.clone()).collect();
        assert_eq!((got.len(), distinct.len()), (20, 20));
        assert!(got.iter().all(|task| task.epoch == 1 && task.state == TaskState::Started));
        other.close().await;
        scratch
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_can_write_nothing() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        three_tasks(db).await;
        assert_eq!(tasks::claim(db, "early", 100, 200).await.unwrap(), None);
        let slow = tasks::claim(db, "slow", 101, 200).await.unwrap().unwrap();
        assert_eq!((slow.id.as_str(), slow.lease_owner.as_deref()), ("tsk_1", Some("slow")));
        assert_eq!(tasks::renew(db, "tsk_1", slow.epoch, 220).await.unwrap(), Lease::Held);
        // The lease runs out; another worker takes over.
        let fast = tasks::claim(db, "fast", 221, 300).await.unwrap().unwrap();
        assert_eq!(fast.id, "tsk_1", "it has been due longest");
        assert_eq!((fast.epoch, fast.attempts), (2, 2));
        let stale = slow.epoch;
        assert_eq!(tasks::renew(db, "tsk_1", stale, 400).await.unwrap(), Lease::Lost);
        assert!(!tasks::set_progress(db, "tsk_1", stale, &json!({"x": 1}), 230).await.unwrap());
        assert!(!tasks::release(db, "tsk_1", stale, 0, true, 230).await.unwrap());
        let done = TaskState::Done;
        assert!(!tasks::finish(db, "tsk_1", stale, done, None, 230).await.unwrap());
        assert!(!task_items::put(db, "tsk_1", stale, &[]).await.unwrap());
        assert!(tasks::set_progress(db, "tsk_1", 2, &json!({"done": 3}), 240).await.unwrap());
        let result = json!({"status": 201, "body": {"id": "file_x"}});
        assert!(tasks::finish(db, "tsk_1", 2, done, Some(&result), 250).await.unwrap());
        assert!(!tasks::finish(db, "tsk_1", 2, TaskState::Failed, None, 260).await.unwrap());
        let row = tasks::find(db, 1, "tsk_1").await.unwrap().unwrap();
        assert_eq!((row.state, row.result, row.finished), (done, Some(result), Some(250)));
        assert_eq!(row.progress, json!({"done": 3}));
        assert_eq!(tasks::find(db, 2, "tsk_1").await.unwrap(), None);
        scratch
    })
    .await;
}

#[tokio::test]
async fn cancelling_ends_waiting_tasks_at_once_and_running_ones_through_their_worker() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        three_tasks(db).await;
        let claimed = tasks::claim(db, "w", 101, 200).await.unwrap().unwrap();
        assert!(!tasks::cancel(db, 3, "tsk_1", 110).await.unwrap(), "not this account's");
        assert!(tasks::cancel(db, 1, "tsk_1", 110).await.unwrap());
        assert!(tasks::cancel(db, 1, "tsk_2", 110).await.unwrap());
        assert!(!tasks::cancel(db, 1, "tsk_2", 111).await.unwrap(), "it has ended");
        let waiting = tasks::find(db, 1, "tsk_2").await.unwrap().unwrap();
        assert_eq!((waiting.state, waiting.finished), (TaskState::Cancelled, Some(110)));
        let lease = tasks::renew(db, "tsk_1", claimed.epoch, 300).await.unwrap();
        assert_eq!(lease, Lease::Cancelling);
        let ended = TaskState::Cancelled;
        assert!(tasks::finish(db, "tsk_1", claimed.epoch, ended, None, 120).await.unwrap());
        assert_eq!(tasks::next_due(db).await.unwrap(), Some(103));
        scratch
    })
    .await;
}

#[tokio::test]
async fn lists_hide_what_ended_long_ago_and_pruning_removes_it() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        three_tasks(db).await;
        let claimed = tasks::claim(db, "w", 101, 200).await.unwrap().unwrap();
        let item = |path: &str, number, status: &str| TaskItem {
            task: "tsk_1".into(),
            item: path.into(),
            number,
            status: status.into(),
            detail: json!({"path": path}),
            modified: 1,
        };
        let first = [item("/a", 1, "done"), item("/b", 2, "failed")];
        assert!(task_items::put(db, "tsk_1", claimed.epoch, &first).await.unwrap());
        let again = [item("/b", 2, "done"), item("/c", 3, "failed")];
        assert!(task_items::put(db, "tsk_1", claimed.epoch, &again).await.unwrap());
        let failed = task_items::list(db, 1, "tsk_1", Some("failed"), Slice::ALL).await.unwrap();
        assert_eq!(failed, [item("/c", 3, "failed")]);
        assert_eq!(task_items::count(db, 1, "tsk_1", None).await.unwrap(), 3);
        assert_eq!(task_items::count(db, 2, "tsk_1", None).await.unwrap(), 0);
        let known = task_items::find(db, "tsk_1", "/b").await.unwrap();
        assert_eq!(known.map(|row| row.status).as_deref(), Some("done"));

        tasks::finish(db, "tsk_1", claimed.epoch, TaskState::Failed, None, 500).await.unwrap();
        assert_eq!(tasks::list(db, 1, None, 499, Slice::ALL).await.unwrap().len(), 2);
        assert_eq!(tasks::list(db, 1, None, 500, Slice::ALL).await.unwrap().len(), 1);
        assert_eq!(tasks::count(db, 1, Some(TaskState::Failed), 499).await.unwrap(), 1);
        assert_eq!(tasks::prune(db, 500, 10).await.unwrap(), 0);
        assert_eq!(tasks::prune(db, 501, 10).await.unwrap(), 1);
        assert_eq!(tasks::find(db, 1, "tsk_1").await.unwrap(), None);
        scratch
    })
    .await;
}

#[tokio::test]
async fn a_task_given_back_in_order_spends_no_attempt() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        three_tasks(db).await;
        let claimed = tasks::claim(db, "w", 101, 200).await.unwrap().unwrap();
        assert!(tasks::release(db, &claimed.id, claimed.epoch, 100, true, 110).await.unwrap());
        let again = tasks::claim(db, "w", 111, 200).await.unwrap().unwrap();
        assert_eq!((again.id, again.epoch, again.attempts), (claimed.id, 2, 1));
        scratch
    })
    .await;
}

#[tokio::test]
async fn one_of_many_requests_with_a_key_runs_and_the_others_get_its_answer() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        let begin = |now| idempotency::begin(db, "k", "POST /x", now, now + 10, 1_000);
        let tries = futures::future::join_all((0..6).map(|_| begin(1))).await;
        let fresh = tries
            .iter()
            .filter(|one| matches!(one.as_ref().unwrap(), Begin::Fresh { epoch: 1 }))
            .count();
        let running =
            tries.iter().filter(|one| matches!(one.as_ref().unwrap(), Begin::Running)).count();
        assert_eq!((fresh, running), (1, 5));
        let other = idempotency::begin(db, "k", "POST /y", 2, 12, 1_000).await.unwrap();
        assert_eq!(other, Begin::Mismatch);
        assert!(idempotency::renew(db, "k", 1, 20, Some(&json!({"name": "a"}))).await.unwrap());
        // Its server died: the next request must find out what happened.
        let Begin::Resume(row) = begin(21).await.unwrap() else { panic!("resume") };
        assert_eq!((row.epoch, row.note), (2, Some(json!({"name": "a"}))));
        assert!(!idempotency::finish(db, "k", 1, 201, &json!({}), b"late").await.unwrap());
        let headers = json!({"content-type": "application/json"});
        assert!(idempotency::finish(db, "k", 2, 201, &headers, b"\x00{}").await.unwrap());
        let Begin::Done(row) = begin(40).await.unwrap() else { panic!("done") };
        assert_eq!((row.status, row.headers), (Some(201), Some(headers)));
        assert_eq!(row.body.as_deref(), Some(&b"\x00{}"[..]));
        // After its life the key is as new.
        let late = idempotency::begin(db, "k", "POST /y", 1_000, 1_010, 2_000).await.unwrap();
        assert_eq!(late, Begin::Fresh { epoch: 1 });
        assert!(idempotency::release(db, "k", 1).await.unwrap());
        let again = idempotency::begin(db, "k", "POST /z", 1_001, 1_010, 2_000).await.unwrap();
        assert_eq!(again, Begin::Fresh { epoch: 1 });
        assert_eq!(idempotency::prune(db, 2_000).await.unwrap(), 1);
        scratch
    })
    .await;
}
