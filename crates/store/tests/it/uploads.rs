//! Multipart sessions and drop uploads.

use serde_json::json;
use tramontane_store::Db;
use tramontane_store::drops::{self, DropChunk, DropState, DropUpload};
use tramontane_store::multipart::{self, Part, Session, SessionState};
use tramontane_store::scratch::on_each_engine;

use crate::rows;

fn session(account: i64, id: i64) -> Session {
    Session {
        id,
        account,
        parent_id: "root".into(),
        name: "video.mp4".into(),
        size: Some(15),
        part_size: 5,
        parallel: true,
        conflict: "rename".into(),
        state: SessionState::Open,
        native: None,
        result: None,
        busy_until: None,
        created: 10,
        modified: 10,
        expires: 1_000,
    }
}

fn part(session: i64, number: i64, digest: &str) -> Part {
    Part {
        session,
        number,
        size: 5,
        digest: Some(digest.into()),
        native: Some(json!({"etag": digest})),
        created: 20,
    }
}

fn upload(account: i64, id: &str) -> DropUpload {
    DropUpload {
        id: id.into(),
        application: "app-a".into(),
        location: "l1".into(),
        account,
        folder_id: "root".into(),
        name: None,
        total: None,
        chunks: None,
        options: json!({}),
        state: DropState::Open,
        result: None,
        busy_until: None,
        created: 10,
        modified: 10,
        expires: 1_000,
    }
}

fn chunk(upload: &str, number: i64, place: &str) -> DropChunk {
    DropChunk {
        upload: upload.into(),
        number,
        start: None,
        size: 5,
        place: place.into(),
        created: 20,
    }
}

/// A session with a part and an upload with a chunk, of one account of `app-a`.
pub(crate) async fn fill(db: &Db, account: i64) {
    multipart::insert(db, &session(account, 900)).await.unwrap();
    multipart::put_part(db, &part(900, 1, "a"), 1_000).await.unwrap().unwrap();
    drops::open(db, &upload(account, "d900")).await.unwrap().unwrap();
    drops::put_chunk(db, &chunk("d900", 0, "p")).await.unwrap().unwrap();
}

#[tokio::test]
async fn parts_replace_each_other_and_keep_the_session_alive() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        multipart::insert(db, &session(1, 7)).await.unwrap();
        assert!(multipart::insert(db, &session(2, 7)).await.unwrap_err().is_taken());
        assert_eq!(multipart::find(db, 1, 7, 999).await.unwrap(), Some(session(1, 7)));
        assert_eq!(multipart::find(db, 2, 7, 999).await.unwrap(), None);
        assert_eq!(multipart::find(db, 1, 7, 1_000).await.unwrap(), None);
        let put = |one: Part| async move { multipart::put_part(db, &one, 2_000).await.unwrap() };
        assert_eq!(put(part(7, 2, "b")).await, Some(None));
        assert_eq!(put(part(7, 1, "a")).await, Some(None));
        assert_eq!(put(part(7, 2, "c")).await, Some(Some(part(7, 2, "b"))));
        assert_eq!(put(part(8, 1, "a")).await, None);
        assert_eq!(multipart::parts(db, 7).await.unwrap(), [part(7, 1, "a"), part(7, 2, "c")]);
        assert!(multipart::set_native(db, 7, &json!({"upload": "u"}), 30).await.unwrap());
        let row = multipart::find(db, 1, 7, 1_500).await.unwrap().unwrap();
        assert_eq!((row.native, row.expires), (Some(json!({"upload": "u"})), 2_000));
        scratch
    })
    .await;
}

#[tokio::test]
async fn one_worker_completes_a_session_and_its_answer_stays() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        multipart::insert(db, &session(1, 7)).await.unwrap();
        let starts = futures::future::join_all(
            (0..4).map(|worker| multipart::start_completing(db, 7, 100, 200 + worker)),
        )
        .await;
        let won: Vec<i64> = (200..)
            .zip(starts)
            .filter(|(_, won)| *won.as_ref().unwrap())
            .map(|(until, _)| until)
            .collect();
        assert_eq!(won.len(), 1);
        assert_eq!(multipart::put_part(db, &part(7, 1, "a"), 2_000).await.unwrap(), None);
        assert!(!multipart::abort(db, 1, 7, 110).await.unwrap());
        // The worker stops; after its time another takes over, and the first can write nothing.
        assert!(multipart::start_completing(db, 7, 300, 400).await.unwrap());
        let file = json!({"id": "file_x"});
        let late = multipart::finish_completing(db, 7, won[0], Some(&file), 310).await.unwrap();
        assert!(!late);
        assert!(multipart::finish_completing(db, 7, 400, None, 320).await.unwrap());
        assert!(multipart::start_completing(db, 7, 330, 430).await.unwrap());
        assert!(multipart::finish_completing(db, 7, 430, Some(&file), 340).await.unwrap());
        let row = multipart::find(db, 1, 7, 350).await.unwrap().unwrap();
        assert_eq!((row.state, row.result), (SessionState::Done, Some(file)));
        assert!(!multipart::start_completing(db, 7, 500, 600).await.unwrap());
        scratch
    })
    .await;
}

#[tokio::test]
async fn ended_sessions_are_given_to_one_cleaner_at_a_time() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        multipart::insert(db, &session(1, 7)).await.unwrap();
        multipart::insert(db, &Session { expires: 5, ..session(1, 8) }).await.unwrap();
        multipart::insert(db, &session(1, 9)).await.unwrap();
        multipart::put_part(db, &part(9, 1, "a"), 1_000).await.unwrap();
        assert!(!multipart::abort(db, 2, 9, 10).await.unwrap());
        assert!(multipart::abort(db, 1, 9, 10).await.unwrap());
        let ended = multipart::claim_ended(db, 10, 100, 10).await.unwrap();
        assert_eq!(ended.iter().map(|row| row.id).collect::<Vec<_>>(), [8, 9]);
        assert_eq!(multipart::claim_ended(db, 20, 100, 10).await.unwrap(), []);
        assert_eq!(multipart::claim_ended(db, 101, 200, 10).await.unwrap().len(), 2);
        assert!(multipart::delete(db, 9).await.unwrap());
        assert!(!multipart::delete(db, 9).await.unwrap());
        assert_eq!(multipart::parts(db, 9).await.unwrap(), []);
        scratch
    })
    .await;
}

#[tokio::test]
async fn drop_uploads_learn_what_chunks_tell_in_any_order() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        let first = DropUpload { chunks: Some(2), ..upload(1, "d") };
        drops::open(db, &first).await.unwrap().unwrap();
        let second = DropUpload {
            name: Some("a.txt".into()),
            chunks: Some(9),
            options: json!({"link": true}),
            modified: 30,
            expires: 1_030,
            ..upload(1, "d")
        };
        let row = drops::open(db, &second).await.unwrap().unwrap();
        assert_eq!((row.name.as_deref(), row.chunks, row.created), (Some("a.txt"), Some(2), 10));
        assert_eq!((row.options, row.expires), (json!({"link": true}), 1_030));
        let elsewhere = DropUpload { location: "l2".into(), ..second.clone() };
        assert_eq!(drops::open(db, &elsewhere).await.unwrap(), None);
        let expired = DropUpload { modified: 2_000, ..second };
        assert_eq!(drops::open(db, &expired).await.unwrap(), None);

        assert_eq!(drops::put_chunk(db, &chunk("d", 1, "p1")).await.unwrap(), Some(None));
        assert_eq!(drops::put_chunk(db, &chunk("d", 0, "p0")).await.unwrap(), Some(None));
        let replaced = drops::put_chunk(db, &chunk("d", 1, "p2")).await.unwrap();
        assert_eq!(replaced, Some(Some("p1".into())));
        let places: Vec<_> = drops::chunks(db, "d").await.unwrap();
        assert_eq!(places.iter().map(|one| &one.place[..]).collect::<Vec<_>>(), ["p0", "p2"]);

        assert!(drops::start_completing(db, "d", 40, 50).await.unwrap());
        assert!(!drops::start_completing(db, "d", 41, 60).await.unwrap());
        assert_eq!(drops::put_chunk(db, &chunk("d", 2, "p3")).await.unwrap(), None);
        let answer = json!({"id": "file_x"});
        assert!(drops::finish_completing(db, "d", 50, Some(&answer), 45).await.unwrap());
        let row = drops::find(db, "app-a", "d").await.unwrap().unwrap();
        assert_eq!((row.state, row.result), (DropState::Done, Some(answer)));
        assert_eq!(drops::find(db, "app-b", "d").await.unwrap(), None);

        assert_eq!(drops::list_expired(db, 1_029, 10).await.unwrap().len(), 0);
        assert_eq!(drops::list_expired(db, 1_030, 10).await.unwrap().len(), 1);
        assert_eq!(drops::delete(db, "app-b", "d").await.unwrap(), Vec::<String>::new());
        let mut freed = drops::delete(db, "app-a", "d").await.unwrap();
        freed.sort();
        assert_eq!(freed, ["p0", "p2"]);
        assert_eq!(drops::delete(db, "app-a", "d").await.unwrap(), Vec::<String>::new());
        scratch
    })
    .await;
}
