//! When processes die, hang and come back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use tramontane_tasks::{Error, Executor, Item, ItemStatus, Kind, State, Tasks, Work};

use crate::house::{House, Script, account, ok, on_each_engine, submit};

/// Begins a task in a process and kills the process: gives what the dead one still holds.
async fn dies_over(house: &House, node: &str, kind: Kind) -> (String, Arc<Work>) {
    let tasks = house.tasks(node);
    let id = submit(&tasks, 1, kind).await;
    let held: Arc<Mutex<Option<Arc<Work>>>> = Arc::default();
    let keep = Arc::clone(&held);
    let script = Arc::new(Script::default().then(move |work| {
        *keep.lock().unwrap() = Some(Arc::clone(&work));
        async move {
            work.note(&json!({"name": "a (1).txt"})).await.unwrap();
            work.report(Item {
                number: 0,
                key: "/first".into(),
                name: "first".into(),
                status: ItemStatus::Done,
                id: None,
                error: None,
            });
            work.flush_items().await.unwrap();
            std::future::pending().await
        }
    }));
    let executor: Arc<dyn Executor> = script.clone();
    let server = tokio::spawn(async move {
        tasks.serve(executor, CancellationToken::new(), Duration::ZERO).await;
    });
    loop {
        let work = held.lock().unwrap().clone();
        if let Some(work) = work
            && work.item_outcome("/first").await.unwrap().is_some()
        {
            server.abort();
            assert!(server.await.is_err());
            return (id, work);
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn another_process_goes_on_when_the_lease_has_run_out_and_not_before() {
    on_each_engine(|house| async move {
        let (id, _) = dies_over(&house, "a", Kind::Copy).await;
        let other = house.tasks("b");
        let script = Arc::new(Script::default().then(|work| async move {
            let note: serde_json::Value = work.noted().await.unwrap();
            let first = work.item_outcome("/first").await.unwrap().unwrap();
            ok(json!({"note": note, "first": first.status.as_str()}))
        }));
        let executor: Arc<dyn Executor> = script.clone();
        assert_eq!(other.run_due(&executor).await, 0, "the lease still holds");
        house.clock.turn_seconds(31);
        assert_eq!(other.run_due(&executor).await, 1);
        assert_eq!(script.runs(), [(id.clone(), true)]);
        let task = other.get(account(1), &id).await.unwrap().unwrap();
        let expected = ok(json!({"note": {"name": "a (1).txt"}, "first": "done"}));
        assert_eq!(task.outcome, Some(expected));
        house
    })
    .await;
}

#[tokio::test]
async fn a_process_that_comes_back_takes_its_own_tasks_up_at_once() {
    on_each_engine(|house| async move {
        let (id, _) = dies_over(&house, "a", Kind::Delete).await;
        let again = house.tasks("a");
        let script = Arc::new(Script::default());
        let executor: Arc<dyn Executor> = script.clone();
        let stop = CancellationToken::new();
        let (serving, until) = (again.clone(), stop.clone());
        let server = tokio::spawn(async move {
            serving.serve(executor, until, Duration::from_secs(5)).await;
        });
        script.begun.notified().await;
        stop.cancel();
        server.await.unwrap();
        assert_eq!(script.runs(), [(id.clone(), true)]);
        let task = again.get(account(1), &id).await.unwrap().unwrap();
        assert_eq!(task.state, State::Succeeded);
        house
    })
    .await;
}

#[tokio::test]
async fn a_zombie_can_write_nothing() {
    on_each_engine(|house| async move {
        let (id, zombie) = dies_over(&house, "a", Kind::Copy).await;
        house.clock.turn_seconds(31);
        let other = house.tasks("b");
        let script: Arc<dyn Executor> = Arc::new(Script::default().then(move |_| {
            let zombie = Arc::clone(&zombie);
            async move {
                // The lease is with us now, while the zombie believes that it still has it.
                let note = zombie.note(&json!({"name": "zombie"})).await;
                assert!(matches!(note, Err(Error::Lost)), "{note:?}");
                assert!(zombie.stopped());
                let outcome = Item {
                    number: 0,
                    key: "/zombie".into(),
                    name: "zombie".into(),
                    status: ItemStatus::Done,
                    id: None,
                    error: None,
                };
                zombie.report(outcome);
                let items = zombie.flush_items().await;
                assert!(matches!(items, Err(Error::Lost)), "{items:?}");
                ok(json!({"by": "b"}))
            }
        }));
        assert_eq!(other.run_due(&script).await, 1);
        let task = other.get(account(1), &id).await.unwrap().unwrap();
        assert_eq!(task.outcome, Some(ok(json!({"by": "b"}))));
        let all = tramontane_store::Slice::first(10);
        let (total, items) = other.items(account(1), &id, None, all).await.unwrap();
        assert_eq!((total, items[0].key.as_str()), (1, "/first"));
        house
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_told_apart_is_failed_with_a_clear_message() {
    on_each_engine(|house| async move {
        let (id, _) = dies_over(&house, "a", Kind::Restore).await;
        house.clock.turn_seconds(31);
        let other = house.tasks("b");
        let script = Arc::new(Script::default());
        let executor: Arc<dyn Executor> = script.clone();
        other.run_due(&executor).await;
        assert!(script.runs().is_empty(), "it was not done again");
        let task = other.get(account(1), &id).await.unwrap().unwrap();
        assert_eq!(task.state, State::Failed);
        let message = task.outcome.unwrap().body.unwrap()["message"].as_str().unwrap().to_owned();
        assert!(message.contains("server stopped"), "{message}");
        house
    })
    .await;
}

#[tokio::test]
async fn a_task_that_kills_its_process_each_time_is_given_up() {
    on_each_engine(|house| async move {
        let (id, _) = dies_over(&house, "a", Kind::Copy).await;
        for _ in 0..4 {
            house.clock.turn_seconds(31);
            let tasks = house.tasks("a");
            let script = Arc::new(Script::default().then(|_| std::future::pending()));
            let executor: Arc<dyn Executor> = script.clone();
            let server = tokio::spawn(async move {
                tasks.serve(executor, CancellationToken::new(), Duration::ZERO).await;
            });
            script.begun.notified().await;
            server.abort();
            assert!(server.await.is_err());
        }
        house.clock.turn_seconds(31);
        let tasks = house.tasks("a");
        let script: Arc<dyn Executor> = Arc::new(Script::default());
        tasks.run_due(&script).await;
        let task = tasks.get(account(1), &id).await.unwrap().unwrap();
        assert_eq!(task.state, State::Failed);
        house
    })
    .await;
}

#[tokio::test]
async fn a_drain_gives_back_what_does_not_end_in_time() {
    on_each_engine(|house| async move {
        let tasks = house.tasks("a");
        let id = submit(&tasks, 1, Kind::Restore).await;
        let script = Arc::new(Script::default().then(|_| std::future::pending()));
        let executor: Arc<dyn Executor> = script.clone();
        let stop = CancellationToken::new();
        let (serving, until) = (tasks.clone(), stop.clone());
        let server =
            tokio::spawn(
                async move { serving.serve(executor, until, Duration::from_millis(1)).await },
            );
        script.begun.notified().await;
        stop.cancel();
        server.await.unwrap();
        let task = tasks.get(account(1), &id).await.unwrap().unwrap();
        assert_eq!(task.state, State::Pending);
        assert!(script.ended.lock().unwrap().is_empty(), "it has not ended");
        // It had begun, so it counts as resumed: here, as not to be told whether it was done.
        let other = house.tasks("b");
        let executor: Arc<dyn Executor> = Arc::new(Script::default());
        assert_eq!(other.run_due(&executor).await, 1);
        let task = other.get(account(1), &id).await.unwrap().unwrap();
        assert_eq!(task.state, State::Failed);
        house
    })
    .await;
}

async fn bytes_done(tasks: &Tasks, id: &str) -> u64 {
    tasks.get(account(1), id).await.unwrap().unwrap().counts.bytes_done
}

#[tokio::test]
async fn a_lease_is_renewed_while_the_work_goes_on() {
    on_each_engine(|house| async move {
        let tasks = house.tasks("a");
        let id = submit(&tasks, 1, Kind::Copy).await;
        let script = Arc::new(Script::default().then(|work| async move {
            loop {
                work.progress().add_bytes(1);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }));
        let executor: Arc<dyn Executor> = script.clone();
        let serving = tasks.clone();
        let server = tokio::spawn(async move {
            serving.serve(executor, CancellationToken::new(), Duration::ZERO).await;
        });
        script.begun.notified().await;
        // Time goes on. The first change seen after it may be of a renewal that was under way before;
        // the second is of one that began after it, and has moved the lease on as well.
        for _ in 0..3 {
            house.clock.turn_seconds(20);
            let mut seen = bytes_done(&tasks, &id).await;
            for _ in 0..2 {
                let before = seen;
                while seen == before {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    seen = bytes_done(&tasks, &id).await;
                }
            }
        }
        let other = house.tasks("b");
        let thief: Arc<dyn Executor> = Arc::new(Script::default());
        assert_eq!(other.run_due(&thief).await, 0);
        server.abort();
        house
    })
    .await;
}
