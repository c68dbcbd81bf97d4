//! Accounts, credentials, tokens and links.

use serde_json::json;
use tramontane_model::Timestamp;
use tramontane_store::accounts::{Account, CredentialState, Filter};
use tramontane_store::credentials::Credential;
use tramontane_store::links::{Link, LinkAccess, LinkRole};
use tramontane_store::scratch::on_each_engine;
use tramontane_store::sweep::{Retention, sweep};
use tramontane_store::task_items::{self, TaskItem};
use tramontane_store::tokens::Token;
use tramontane_store::{Slice, accounts, credentials, links, spent, tasks, tokens};

use crate::{rows, uploads};

fn token(account: i64, id: &str) -> Token {
    Token {
        id: id.into(),
        account,
        hash: format!("hash of {id}"),
        access: Some("storage:read".into()),
        scope: String::new(),
        label: "page".into(),
        created: 50,
        expires: Some(500),
        revoked: None,
        family: None,
    }
}

fn link(account: i64, id: &str, created: i64) -> Link {
    Link {
        id: id.into(),
        account,
        resource_id: "file_x".into(),
        resource_name: "q1.pdf".into(),
        direct: false,
        active: true,
        password_hash: None,
        expiration: None,
        max_downloads: None,
        downloads: 0,
        created,
        modified: created,
        as_user: None,
        access: LinkAccess::Anyone,
        role: LinkRole::Reader,
        native_id: None,
        native_url: None,
    }
}

#[tokio::test]
async fn an_account_is_found_through_its_owner_and_by_its_identity() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        let row = rows::account(1, "app-a");
        assert_eq!(accounts::find(db, 1).await.unwrap(), Some(row.clone()));
        assert_eq!(accounts::find_of(db, "app-a", 1).await.unwrap(), Some(row.clone()));
        assert_eq!(accounts::find_of(db, "app-b", 1).await.unwrap(), None);
        let identity = |app, admin| accounts::find_identity(db, app, "webdav", admin, "user1");
        assert_eq!(identity("app-a", false).await.unwrap(), Some(row));
        assert_eq!(identity("app-a", true).await.unwrap(), None);
        assert_eq!(identity("app-b", false).await.unwrap(), None);
        assert_eq!(credentials::find(db, 1).await.unwrap(), Some(rows::credential(1)));

        let twin = Account { identity: "user1".into(), ..rows::account(9, "app-a") };
        let refused = accounts::insert(db, &twin, &rows::credential(9)).await;
        assert!(refused.unwrap_err().is_taken());
        let same_id = Account { identity: "new".into(), ..rows::account(1, "app-a") };
        let refused = accounts::insert(db, &same_id, &rows::credential(1)).await;
        assert!(refused.unwrap_err().is_taken());
        let admin = Account { admin: true, ..twin };
        accounts::insert(db, &admin, &rows::credential(9)).await.unwrap();
        scratch
    })
    .await;
}

#[tokio::test]
async fn lists_are_filtered_counted_and_cut() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        let special = Account {
            active: false,
            admin: true,
            service: "s3".into(),
            display: "bucket".into(),
            custom_properties: json!({"customer": "c-17", "odd \"key\" $.é": "x"}),
            ..rows::account(7, "app-a")
        };
        accounts::insert(db, &special, &rows::credential(7)).await.unwrap();
        let ids = |filter: Filter| async move {
            let found = accounts::list(db, "app-a", &filter, Slice::ALL).await.unwrap();
            let ids: Vec<i64> = found.iter().map(|row| row.id).collect();
            assert_eq!(accounts::count(db, "app-a", &filter).await.unwrap(), ids.len() as i64);
            ids
        };
        assert_eq!(ids(Filter::default()).await, [1, 2, 7]);
        assert_eq!(ids(Filter { active: Some(true), ..Filter::default() }).await, [1, 2]);
        assert_eq!(ids(Filter { admin: Some(true), ..Filter::default() }).await, [7]);
        assert_eq!(ids(Filter { service: Some("s3".into()), ..Filter::default() }).await, [7]);
        assert_eq!(ids(Filter { display: Some("bucket".into()), ..Filter::default() }).await, [7]);
        for (wanted, found) in [
            (json!({"customer": "c-17"}), vec![7]),
            (json!({"customer": "c-17", "odd \"key\" $.é": "x"}), vec![7]),
            (json!({"customer": "c-1"}), vec![]),
            (json!({"customer": "c-17", "other": "x"}), vec![]),
            (json!({}), vec![1, 2, 7]),
        ] {
            let filter = Filter { custom_properties: Some(wanted), ..Filter::default() };
            assert_eq!(ids(filter).await, found);
        }
        let cut = Slice { offset: 1, limit: 1 };
        let page = accounts::list(db, "app-a", &Filter::default(), cut).await.unwrap();
        assert_eq!(page.iter().map(|row| row.id).collect::<Vec<_>>(), [2]);
        scratch
    })
    .await;
}

#[tokio::test]
async fn of_two_changes_at_once_one_wins_and_the_other_knows() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        let read = accounts::find(db, 1).await.unwrap().unwrap();
        let mine = Account { display: "mine".into(), ..read.clone() };
        let theirs = Account { display: "theirs".into(), ..read.clone() };
        let (a, b) =
            tokio::join!(accounts::update(db, &mine, None), accounts::update(db, &theirs, None));
        assert!(a.unwrap() ^ b.unwrap());
        let now = accounts::find(db, 1).await.unwrap().unwrap();
        assert_eq!(now.revision, read.revision + 1);

        let fresh = Credential { sealed: vec![9; 50], modified: 77, ..rows::credential(1) };
        assert!(!accounts::update_with_credential(db, &read, &fresh, None).await.unwrap());
        assert_eq!(credentials::find(db, 1).await.unwrap(), Some(rows::credential(1)));
        let old = Credential { version: 8, ..fresh.clone() };
        assert!(!accounts::update_with_credential(db, &now, &old, None).await.unwrap());
        assert_eq!(accounts::find(db, 1).await.unwrap().unwrap().revision, now.revision);
        assert!(accounts::update_with_credential(db, &now, &fresh, None).await.unwrap());
        let stored = credentials::find(db, 1).await.unwrap().unwrap();
        assert_eq!(stored, Credential { version: 2, ..fresh });
        scratch
    })
    .await;
}

#[tokio::test]
async fn a_late_verdict_on_an_old_credential_changes_nothing() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        let row = accounts::find(db, 1).await.unwrap().unwrap();
        let set = |revision, state, reason, now| {
            accounts::set_credential_state(db, 1, revision, state, reason, now, None)
        };
        let dead = CredentialState::Dead;
        assert!(set(row.revision, dead, Some("revoked"), 60).await.unwrap());
        assert!(!set(row.revision, dead, Some("revoked"), 70).await.unwrap());
        let marked = accounts::find(db, 1).await.unwrap().unwrap();
        assert_eq!((marked.credential_state, marked.credential_since), (dead, 60));
        assert_eq!(marked.credential_reason.as_deref(), Some("revoked"));
        let healed = Account {
            credential_state: CredentialState::Ok,
            credential_reason: None,
            credential_since: 80,
            ..marked
        };
        assert!(accounts::update(db, &healed, None).await.unwrap());
        assert!(!set(row.revision, dead, Some("revoked"), 90).await.unwrap());
        scratch
    })
    .await;
}

#[tokio::test]
async fn tokens_are_minted_for_the_owners_accounts_and_end_when_revoked() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        assert!(!tokens::insert(db, "app-b", &token(1, "t1")).await.unwrap());
        assert!(tokens::insert(db, "app-a", &token(1, "t1")).await.unwrap());
        assert!(tokens::insert(db, "app-a", &token(1, "t2")).await.unwrap());
        assert_eq!(tokens::find_by_hash(db, "hash of t1").await.unwrap(), Some(token(1, "t1")));
        assert_eq!(tokens::list(db, 1, Slice::first(1)).await.unwrap(), [token(1, "t1")]);
        assert_eq!(tokens::count(db, 1).await.unwrap(), 2);
        assert_eq!(tokens::revoke(db, 2, "t1", 60).await.unwrap(), None);
        let hash = tokens::revoke(db, 1, "t1", 60).await.unwrap().map(|(hash, _)| hash);
        assert_eq!(hash.as_deref(), Some("hash of t1"));
        assert_eq!(tokens::find_by_hash(db, "hash of t1").await.unwrap(), None);
        assert_eq!(tokens::count(db, 1).await.unwrap(), 1);
        assert_eq!(tokens::prune(db, 60).await.unwrap(), 0);
        assert_eq!(tokens::prune(db, 501).await.unwrap(), 2);
        scratch
    })
    .await;
}

#[tokio::test]
async fn a_link_of_a_service_stands_for_one_row_alone() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        let native = |account, id: &str| Link {
            access: LinkAccess::Organization,
            role: LinkRole::Writer,
            as_user: Some("ben".into()),
            native_id: Some("anyoneWithLink".into()),
            native_url: Some("https://drive.example/1".into()),
            ..link(account, id, 1)
        };
        links::insert(db, &native(1, "l1")).await.unwrap();
        assert_eq!(links::find(db, "l1").await.unwrap(), Some(native(1, "l1")));
        let twice = links::insert(db, &native(1, "l2")).await;
        assert!(twice.is_err_and(|error| error.is_taken()));
        links::insert(db, &Link { resource_id: "file_y".into(), ..native(1, "l3") }).await.unwrap();
        links::insert(db, &native(2, "l4")).await.unwrap();
        links::insert(db, &link(1, "l5", 1)).await.unwrap();
        links::insert(db, &link(1, "l6", 1)).await.unwrap();
        let taken = links::update(db, &native(1, "l5")).await;
        assert!(taken.is_err_and(|error| error.is_taken()));
        let off = Link { native_id: None, ..native(1, "l1") };
        assert!(links::update(db, &off).await.unwrap());
        assert!(links::update(db, &native(1, "l5")).await.unwrap(), "free again");
        scratch
    })
    .await;
}

#[tokio::test]
async fn links_are_listed_over_several_accounts_and_count_limited_downloads() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        links::insert(db, &link(1, "l1", 1)).await.unwrap();
        links::insert(db, &link(2, "l2", 2)).await.unwrap();
        links::insert(db, &link(3, "l3", 3)).await.unwrap();
        let mut limited = Link { max_downloads: Some(2), active: false, ..link(1, "l1", 1) };
        limited.password_hash = Some("$argon2id$".into());
        limited.expiration = Some(-5);
        assert!(links::update(db, &limited).await.unwrap());
        assert!(!links::update(db, &Link { account: 2, ..limited.clone() }).await.unwrap());
        assert_eq!(links::find(db, "l1").await.unwrap(), Some(limited.clone()));
        assert_eq!(links::find_of(db, 2, "l1").await.unwrap(), None);
        let found = links::list(db, &[1, 2], None, Slice::ALL).await.unwrap();
        assert_eq!(found.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["l2", "l1"]);
        assert_eq!(links::count(db, &[1, 2], Some(true)).await.unwrap(), 1);
        assert_eq!(links::count(db, &[], None).await.unwrap(), 0);
        let takes = futures::future::join_all((0..5).map(|_| links::take_download(db, &limited)));
        let taken = takes.await.into_iter().filter(|take| *take.as_ref().unwrap()).count();
        assert_eq!(taken, 2);
        let free = links::find(db, "l2").await.unwrap().unwrap();
        assert!(links::take_download(db, &free).await.unwrap());
        assert_eq!(links::find(db, "l2").await.unwrap().unwrap().downloads, 0);
        assert!(!links::delete(db, 2, "l1").await.unwrap());
        assert!(links::delete(db, 1, "l1").await.unwrap());
        scratch
    })
    .await;
}

#[tokio::test]
async fn deleting_an_account_ends_everything_of_it_and_frees_its_identity() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        tokens::insert(db, "app-a", &token(1, "t1")).await.unwrap();
        links::insert(db, &link(1, "l1", 1)).await.unwrap();
        tasks::insert(db, &rows::task(1, "tsk_1")).await.unwrap();
        let claimed = tasks::claim(db, "w", 100, 200).await.unwrap().unwrap();
        let item = TaskItem {
            task: "tsk_1".into(),
            item: "/a".into(),
            number: 1,
            status: "done".into(),
            detail: json!({}),
            modified: 1,
        };
        assert!(task_items::put(db, "tsk_1", claimed.epoch, &[item]).await.unwrap());
        uploads::fill(db, 1).await;

        assert_eq!(accounts::delete(db, "app-b", 1, 90).await.unwrap(), None);
        let remains = accounts::delete(db, "app-a", 1, 90).await.unwrap().unwrap();
        assert_eq!(remains.token_hashes, ["hash of t1"]);
        assert_eq!(remains.sessions.len(), 1);
        assert_eq!(remains.drops.len(), 1);
        assert_eq!(accounts::delete(db, "app-a", 1, 91).await.unwrap(), None);
        assert_eq!(accounts::find(db, 1).await.unwrap(), None);
        assert_eq!(credentials::find(db, 1).await.unwrap(), None);
        assert_eq!(tokens::find_by_hash(db, "hash of t1").await.unwrap(), None);
        assert_eq!(links::find(db, "l1").await.unwrap(), None);
        assert_eq!(tasks::find(db, 1, "tsk_1").await.unwrap(), None);
        assert_eq!(
            tasks::renew(db, "tsk_1", claimed.epoch, 300).await.unwrap(),
            tasks::Lease::Lost
        );
        // The identity may be connected again, under a new id; the old id is never given again.
        let again = Account { identity: "user1".into(), ..rows::account(50, "app-a") };
        accounts::insert(db, &again, &rows::credential(50)).await.unwrap();
        let reused = accounts::insert(db, &rows::account(1, "app-b"), &rows::credential(1)).await;
        assert!(reused.unwrap_err().is_taken());
        scratch
    })
    .await;
}

#[tokio::test]
async fn a_token_is_spent_once_however_many_try() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        let tries = futures::future::join_all((0..8).map(|_| spent::spend(db, "h", 100))).await;
        assert_eq!(tries.into_iter().filter(|one| *one.as_ref().unwrap()).count(), 1);
        assert!(spent::refund(db, "h").await.unwrap());
        assert!(spent::spend(db, "h", 100).await.unwrap());
        assert_eq!(spent::prune(db, 99).await.unwrap(), 0);
        assert_eq!(spent::prune(db, 100).await.unwrap(), 1);
        scratch
    })
    .await;
}

#[tokio::test]
async fn a_sweep_removes_what_is_past_its_time_and_nothing_else() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        let now = Timestamp::from_seconds(200 * 86_400);
        let seconds_ago = |seconds: i64| now.plus_seconds(-seconds).micros();
        for (id, ended) in [("old", 91 * 86_400), ("late", 89 * 86_400)] {
            let row = Token { expires: Some(seconds_ago(ended)), ..token(1, id) };
            tokens::insert(db, "app-a", &row).await.unwrap();
        }
        tokens::insert(db, "app-a", &Token { expires: None, ..token(1, "ever") }).await.unwrap();
        spent::spend(db, "used", seconds_ago(0)).await.unwrap();
        spent::spend(db, "in use", seconds_ago(-1)).await.unwrap();
        let gone = sweep(db, now, &Retention::default()).await.unwrap();
        assert_eq!(gone, 2);
        assert_eq!(tokens::count(db, 1).await.unwrap(), 2);
        assert!(!spent::spend(db, "in use", 0).await.unwrap());
        assert_eq!(sweep(db, now, &Retention::default()).await.unwrap(), 0);
        scratch
    })
    .await;
}
