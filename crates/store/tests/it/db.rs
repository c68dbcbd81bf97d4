//! Connecting, migrating, refusing.

use std::time::Duration;

use tramontane_store::scratch::on_each_engine;
use tramontane_store::{Db, Error, Limits, Slice, developers};

use crate::rows;

#[tokio::test]
async fn migrations_run_once_however_often_and_from_wherever_they_are_called() {
    on_each_engine(|scratch| async {
        let other = scratch.second().await;
        let (a, b, c) = tokio::join!(scratch.db.migrate(), other.migrate(), other.migrate());
        a.unwrap();
        b.unwrap();
        c.unwrap();
        let newest = Db::known_migrations().last();
        assert_eq!(scratch.db.applied_migration().await.unwrap(), newest);
        scratch.db.ping().await.unwrap();
        other.close().await;
        scratch
    })
    .await;
}

#[tokio::test]
async fn two_processes_migrate_one_new_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let url = Db::sqlite_url(&folder.path().join("odd name #1 %41?.db"));
    let (one, other) = (Db::connect(&url).await.unwrap(), Db::connect(&url).await.unwrap());
    assert_eq!(one.applied_migration().await.unwrap(), None);
    let (a, b) = tokio::join!(one.migrate(), other.migrate());
    a.unwrap();
    b.unwrap();
    assert!(folder.path().join("odd name #1 %41?.db").exists());
}

#[tokio::test]
async fn names_what_is_wrong_with_a_database_that_does_not_open() {
    assert!(matches!(Db::connect("mysql://x").await, Err(Error::BadUrl)));
    assert!(matches!(Db::connect("").await, Err(Error::BadUrl)));
    let nowhere = Db::connect("sqlite:/no/such/folder/x.db").await;
    assert!(matches!(nowhere, Err(Error::Unreachable(_))));
    let hasty = Limits { acquire_timeout: Duration::from_millis(200), ..Limits::default() };
    let silent = Db::connect_with("postgres://postgres:secret@127.0.0.1:1/test", hasty).await;
    let error = silent.err().unwrap();
    assert!(matches!(error, Error::Unreachable(_)));
    assert!(!format!("{error:?} {error}").contains("secret"));
}

#[tokio::test]
async fn writes_of_another_process_are_seen_and_never_lost() {
    on_each_engine(|scratch| async {
        let other = scratch.second().await;
        let mut both = Vec::new();
        for number in 0..40 {
            let db = if number % 2 == 0 { scratch.db.clone() } else { other.clone() };
            both.push(tokio::spawn(async move {
                developers::insert(&db, &rows::developer(number + 1)).await
            }));
        }
        for one in both {
            one.await.unwrap().unwrap();
        }
        let seen = developers::list(&other, Slice::ALL).await.unwrap();
        assert_eq!(seen.len(), 40);
        other.close().await;
        scratch
    })
    .await;
}

#[tokio::test]
async fn unique_values_and_references_are_told_apart() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        developers::insert(db, &rows::developer(1)).await.unwrap();
        let again = developers::insert(db, &rows::developer(1)).await.unwrap_err();
        assert!(again.is_taken());
        let app = rows::application(99, "orphan");
        let orphan = tramontane_store::applications::insert(db, &app).await.unwrap_err();
        assert!(orphan.is_gone());
        scratch
    })
    .await;
}

#[tokio::test]
async fn read_only_connections_read_and_refuse_every_write() {
    // What the tests that prove "reading writes nothing" rest on.
    on_each_engine(|scratch| async {
        developers::insert(&scratch.db, &rows::developer(1)).await.unwrap();
        let reader = scratch.read_only().await;
        assert!(developers::find(&reader, 1).await.unwrap().is_some());
        assert!(developers::insert(&reader, &rows::developer(2)).await.is_err());
        reader.close().await;
        assert!(developers::find(&scratch.db, 2).await.unwrap().is_none());
        scratch
    })
    .await;
}
