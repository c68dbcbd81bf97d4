//! From submit to pruned, while nothing goes wrong.

use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use tramontane_store::Slice;
use tramontane_tasks::{Error, Executor, Item, ItemStatus, Kind, Outcome, State};

use crate::house::{Script, account, ok, on_each_engine, submit};

fn item(key: &str, status: ItemStatus) -> Item {
    Item { number: 0, key: key.into(), name: key.into(), status, id: None, error: None }
}

#[tokio::test]
async fn a_task_waits_runs_and_keeps_its_result() {
    on_each_engine(|house| async move {
        let tasks = house.tasks("a");
        let id = submit(&tasks, 1, Kind::Copy).await;
        let task = tasks.get(account(1), &id).await.unwrap().unwrap();
        assert_eq!((task.state, task.operation.as_str()), (State::Pending, "copy"));
        assert!(task.outcome.is_none());

        let script: Arc<dyn Executor> = Arc::new(Script::default().then(|work| async move {
            work.progress().set_items_total(2);
            work.report(item("/a", ItemStatus::Done));
            work.report(item("/b", ItemStatus::Failed));
            ok(json!({"id": "file_eA"}))
        }));
        assert_eq!(tasks.run_due(&script).await, 1);

        let task = tasks.get(account(1), &id).await.unwrap().unwrap();
        assert_eq!(task.state, State::Succeeded);
        assert_eq!(task.outcome, Some(ok(json!({"id": "file_eA"}))));
        assert_eq!((task.counts.items_done, task.counts.items_total), (2, Some(2)));
        let failed = Some(ItemStatus::Failed);
        let (total, items) = tasks.items(account(1), &id, failed, Slice::first(10)).await.unwrap();
        assert_eq!((total, items[0].key.as_str(), items[0].number), (1, "/b", 1));
        house
    })
    .await;
}

#[tokio::test]
async fn nobody_sees_the_tasks_of_another_account() {
    on_each_engine(|house| async move {
        let tasks = house.tasks("a");
        let id = submit(&tasks, 1, Kind::Copy).await;
        assert!(tasks.get(account(2), &id).await.unwrap().is_none());
        let gone = Outcome { status: 400, body: None };
        assert!(!tasks.cancel(account(2), &id, &gone).await.unwrap());
        let (total, _) = tasks.list(account(2), None, Slice::first(10)).await.unwrap();
        assert_eq!(total, 0);
        house
    })
    .await;
}

#[tokio::test]
async fn an_outcome_without_a_body_stays_without() {
    on_each_engine(|house| async move {
        let tasks = house.tasks("a");
        let id = submit(&tasks, 1, Kind::Delete).await;
        let script: Arc<dyn Executor> =
            Arc::new(Script::default().then(|_| async { Outcome { status: 204, body: None } }));
        tasks.run_due(&script).await;
        let task = tasks.get(account(1), &id).await.unwrap().unwrap();
        assert_eq!(task.outcome, Some(Outcome { status: 204, body: None }));
        house
    })
    .await;
}

#[tokio::test]
async fn a_result_is_kept_a_day_and_then_pruned() {
    on_each_engine(|house| async move {
        let tasks = house.tasks("a");
        let id = submit(&tasks, 1, Kind::Copy).await;
        let script: Arc<dyn Executor> = Arc::new(Script::default());
        tasks.run_due(&script).await;
        house.clock.turn_seconds(24 * 3600 - 1);
        assert!(tasks.get(account(1), &id).await.unwrap().is_some());
        house.clock.turn_seconds(2);
        assert!(tasks.get(account(1), &id).await.unwrap().is_none());
        let waiting = submit(&tasks, 1, Kind::Copy).await;
        assert_eq!(tasks.prune().await.unwrap(), 1);
        assert!(tasks.get(account(1), &waiting).await.unwrap().is_some());
        house
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_task_that_waits_never_runs() {
    on_each_engine(|house| async move {
        let tasks = house.tasks("a");
        let id = submit(&tasks, 1, Kind::Copy).await;
        let gone = Outcome { status: 400, body: Some(json!({"error_code": "request_failed"})) };
        assert!(tasks.cancel(account(1), &id, &gone).await.unwrap());
        let script = Arc::new(Script::default());
        let executor: Arc<dyn Executor> = script.clone();
        assert_eq!(tasks.run_due(&executor).await, 0);
        let task = tasks.get(account(1), &id).await.unwrap().unwrap();
        assert_eq!((task.state, task.outcome), (State::Cancelled, Some(gone)));
        house
    })
    .await;
}

#[tokio::test]
async fn cancelling_what_has_ended_changes_nothing() {
    on_each_engine(|house| async move {
        let tasks = house.tasks("a");
        let id = submit(&tasks, 1, Kind::Copy).await;
        let script: Arc<dyn Executor> = Arc::new(Script::default());
        tasks.run_due(&script).await;
        let gone = Outcome { status: 400, body: None };
        assert!(tasks.cancel(account(1), &id, &gone).await.unwrap());
        let task = tasks.get(account(1), &id).await.unwrap().unwrap();
        assert_eq!(task.state, State::Succeeded);
        house
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_task_that_runs_is_stopped_at_once() {
    on_each_engine(|house| async move {
        let tasks = house.tasks("a");
        let (dropped, was_dropped) = tokio::sync::oneshot::channel::<()>();
        let dropped = std::sync::Mutex::new(Some(dropped));
        let script = Arc::new(Script::default().then(move |_| {
            let held = dropped.lock().unwrap().take();
            async move {
                std::future::pending::<()>().await;
                drop(held);
                ok(json!({}))
            }
        }));
        let executor: Arc<dyn Executor> = script.clone();
        let stop = CancellationToken::new();
        let (serving, until) = (tasks.clone(), stop.clone());
        let server = tokio::spawn(async move {
            serving.serve(executor, until, std::time::Duration::from_secs(5)).await;
        });
        let id = submit(&tasks, 1, Kind::Copy).await;
        script.begun.notified().await;
        let gone = Outcome { status: 400, body: Some(json!({"m": 1})) };
        assert!(tasks.cancel(account(1), &id, &gone).await.unwrap());
        assert!(was_dropped.await.is_err(), "the work was dropped, not finished");
        stop.cancel();
        server.await.unwrap();
        let task = tasks.get(account(1), &id).await.unwrap().unwrap();
        assert_eq!((task.state, task.outcome), (State::Cancelled, Some(gone)));
        assert_eq!(*script.ended.lock().unwrap(), [id]);
        house
    })
    .await;
}

#[tokio::test]
async fn work_that_panics_ends_its_task_and_nothing_else() {
    on_each_engine(|house| async move {
        let tasks = house.tasks("a");
        let bad = submit(&tasks, 1, Kind::Copy).await;
        let script: Arc<dyn Executor> =
            Arc::new(Script::default().then(|_| async { panic!("a fault of ours") }));
        assert_eq!(tasks.run_due(&script).await, 1);
        let task = tasks.get(account(1), &bad).await.unwrap().unwrap();
        assert_eq!(task.state, State::Failed);
        let good = submit(&tasks, 1, Kind::Copy).await;
        tasks.run_due(&script).await;
        let task = tasks.get(account(1), &good).await.unwrap().unwrap();
        assert_eq!(task.state, State::Succeeded);
        house
    })
    .await;
}

#[tokio::test]
async fn applications_take_turns() {
    on_each_engine(|house| async move {
        let tasks = house.tasks("a");
        let mut ids = Vec::new();
        for of in [1, 1, 1, 2] {
            ids.push((of, submit(&tasks, of, Kind::Copy).await));
            house.clock.turn_seconds(1);
        }
        let script = Arc::new(Script::default());
        let executor: Arc<dyn Executor> = script.clone();
        tasks.run_due(&executor).await;
        let order: Vec<i64> = script
            .runs()
            .iter()
            .map(|(id, _)| ids.iter().find(|(_, other)| other == id).unwrap().0)
            .collect();
        assert_eq!(order, [1, 2, 1, 1]);
        house
    })
    .await;
}

#[tokio::test]
async fn takes_no_tasks_once_it_drains() {
    on_each_engine(|house| async move {
        let tasks = house.tasks("a");
        let script: Arc<dyn Executor> = Arc::new(Script::default());
        let stop = CancellationToken::new();
        stop.cancel();
        tasks.serve(script, stop, std::time::Duration::from_secs(1)).await;
        let submitted =
            tasks.submit(tasks.mint_id(), account(1), &crate::house::operation(Kind::Copy)).await;
        assert!(matches!(submitted, Err(Error::Draining)));
        house
    })
    .await;
}
