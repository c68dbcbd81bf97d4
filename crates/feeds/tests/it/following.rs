//! Accounts get their default subscription once, and only those that want one.

use std::sync::Arc;

use tramontane_feeds::{Following, Watched, shard};
use tramontane_model::NativeId;
use tramontane_model::time::ManualClock;
use tramontane_model::{Clock, Timestamp};
use tramontane_store::feeds::{self, FeedState};
use tramontane_store::scratch::{self, Scratch};
use tramontane_store::{accounts, applications};
use tramontane_vault::SystemEntropy;

/// Two applications with accounts from before there were subscriptions; the second has no events.
async fn old(scratch: &Scratch) -> Following {
    scratch::seed(&scratch.db, &[("with", &[1, 2, 70]), ("without", &[3])]).await;
    let mut row = applications::find(&scratch.db, "without").await.unwrap().unwrap();
    row.events_enabled = false;
    assert!(applications::update(&scratch.db, &row).await.unwrap());
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Timestamp::from_seconds(1)));
    Following::new(scratch.db.clone(), clock, Arc::new(SystemEntropy))
}

#[tokio::test]
async fn accounts_from_before_get_theirs_once() {
    scratch::on_each_engine(|scratch| async {
        let following = old(&scratch).await;
        accounts::delete(&scratch.db, "with", 2, 5).await.unwrap().unwrap();
        assert_eq!(following.sweep().await.unwrap(), 3);
        assert_eq!(following.sweep().await.unwrap(), 0);
        for account in [1, 70] {
            let rows = feeds::subscriptions(&scratch.db, account).await.unwrap();
            assert!(rows.len() == 1 && rows[0].is_default && rows[0].feed == account);
            let feed = feeds::find(&scratch.db, account).await.unwrap().unwrap();
            assert_eq!((feed.state, feed.shard), (FeedState::Following, shard::of(account)));
        }
        for account in [2, 3] {
            assert!(feeds::subscriptions(&scratch.db, account).await.unwrap().is_empty());
            assert!(feeds::find(&scratch.db, account).await.unwrap().is_none());
        }
        let (row, made) = following.follow(3, &Watched::default()).await.unwrap();
        assert!(made && row.is_default, "it is there when someone asks for it");
        assert!(feeds::find(&scratch.db, 3).await.unwrap().is_some());
        scratch
    })
    .await;
}

#[tokio::test]
async fn two_processes_that_sweep_at_once_make_one_each() {
    scratch::on_each_engine(|scratch| async {
        let following = old(&scratch).await;
        let (one, two) = tokio::join!(following.sweep(), following.sweep());
        assert!(one.is_ok() && two.is_ok());
        assert_eq!(feeds::subscriptions(&scratch.db, 1).await.unwrap().len(), 1);
        scratch
    })
    .await;
}

#[tokio::test]
async fn what_is_deleted_on_purpose_stays_deleted() {
    scratch::on_each_engine(|scratch| async {
        let following = old(&scratch).await;
        let watched = Watched { folders: vec![NativeId::new("/a")], raw: false };
        let (row, made) = following.follow(1, &watched).await.unwrap();
        assert!(made && Watched::of(&row) == watched);
        let (same, made) = following.follow(1, &Watched::default()).await.unwrap();
        assert!(!made && same == row, "a living one stays as it is");
        assert!(following.end(1, &row.id).await.unwrap());
        assert!(!following.end(1, &row.id).await.unwrap());
        let stopped = feeds::find(&scratch.db, 1).await.unwrap().unwrap();
        assert_eq!(stopped.reason.as_deref(), Some(feeds::UNSUBSCRIBED));
        following.sweep().await.unwrap();
        assert!(feeds::subscriptions(&scratch.db, 1).await.unwrap().is_empty());
        let (back, made) = following.follow(1, &Watched::default()).await.unwrap();
        assert!(made && back.id == row.id && Watched::of(&back) == Watched::default());
        scratch
    })
    .await;
}

#[tokio::test]
async fn a_feed_that_stopped_for_another_reason_is_not_resumed_by_a_change() {
    scratch::on_each_engine(|scratch| async {
        let following = old(&scratch).await;
        let (row, _) = following.follow(1, &Watched::default()).await.unwrap();
        let state = FeedState::Stopped;
        feeds::set_state(&scratch.db, 1, state, Some("the credential is dead"), 2).await.unwrap();
        let off = following.change(row, false, &Watched::default()).await.unwrap().unwrap();
        following.change(off, true, &Watched::default()).await.unwrap().unwrap();
        let feed = feeds::find(&scratch.db, 1).await.unwrap().unwrap();
        assert_eq!((feed.state, feed.reason.as_deref()), (state, Some("the credential is dead")));
        scratch
    })
    .await;
}

#[test]
fn a_subscription_gets_what_happens_in_its_folders_and_to_them() {
    let watched = Watched { folders: vec![NativeId::new("f")], raw: true };
    let mut event = crate::house::event("a");
    assert!(!watched.has(&event));
    event.above = vec!["g".into(), "f".into(), "root".into()];
    assert!(watched.has(&event));
    event.above = vec!["g".into()];
    assert!(!watched.has(&event));
    event.object.id = "f".into();
    assert!(watched.has(&event));
    assert!(Watched::default().has(&crate::house::event("a")));
}
