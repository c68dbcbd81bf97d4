//! What is known of accounts, read as one commit left it.

use tramontane_store::feeds::{self, Collection, Feed, FeedState, Subscription};
use tramontane_store::log::{self, Append, CollectionWrite, Commit, Committed};
use tramontane_store::scratch::on_each_engine;
use tramontane_store::{shards, states};

use crate::rows;

#[tokio::test]
async fn a_standing_is_of_one_commit_and_reads_only() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        shards::ensure(db, 1).await.unwrap();
        log::ensure_slice(db, 1, 1).await.unwrap();
        let epoch = shards::take(db, 0, "a", 1, 200).await.unwrap().unwrap().epoch;
        assert_eq!(states::standing(db, 1).await.unwrap(), None);
        let feed = Feed { shard: 0, ..Feed::new(1, 1) };
        let first = Subscription::first("sub_1".into(), 1, 1);
        assert!(feeds::subscribe(db, &feed, &first).await.unwrap());
        for generation in 1..=3 {
            let write = |id: &str| CollectionWrite {
                row: Collection {
                    account: 1,
                    id: id.into(),
                    root: "r".into(),
                    name: None,
                    generation,
                    cursor: None,
                    manifest: vec![1],
                    progress: vec![2],
                    modified: generation,
                },
                expected: (generation > 1).then(|| generation - 1),
                change: Some((generation, vec![3])),
                forget_changes: false,
                put: vec![(format!("b{generation}"), vec![4])],
                drop: vec![],
            };
            let head = generation - 1;
            let commit = Commit {
                shard: 0,
                epoch,
                slice: 1,
                now: 7,
                appends: vec![Append { feed: 1, head, events: 1, body: vec![1], opens: true }],
                collections: vec![write(""), write("drive")],
                ..Commit::default()
            };
            assert!(matches!(log::commit(db, &commit).await.unwrap(), Committed::At(_)));
        }
        // As a process that may not write.
        let reader = scratch.read_only().await;
        let standing = states::standing(&reader, 1).await.unwrap().unwrap();
        assert_eq!(standing.feed.state, FeedState::Following);
        assert_eq!(standing.subscription.as_ref().map(|one| one.head), Some(3));
        let ids: Vec<_> = standing.collections.iter().map(|(row, _)| row.id.as_str()).collect();
        assert_eq!(ids, ["", "drive"]);
        for (row, changes) in &standing.collections {
            assert_eq!((row.generation, changes.len()), (3, 3));
        }
        let ids: Vec<String> = ["b1", "b9", "b3"].map(String::from).into();
        let mut blocks = states::blocks(&reader, 1, "drive", &ids).await.unwrap();
        blocks.sort();
        assert_eq!(blocks, [("b1".to_owned(), vec![4]), ("b3".to_owned(), vec![4])]);
        assert!(states::blocks(&reader, 1, "drive", &[]).await.unwrap().is_empty());
        assert!(states::blocks(&reader, 2, "drive", &ids).await.unwrap().is_empty());
        reader.close().await;
        assert!(feeds::unsubscribe(db, 1, "sub_1", 9).await.unwrap());
        let standing = states::standing(db, 1).await.unwrap().unwrap();
        assert_eq!((standing.feed.state, standing.subscription), (FeedState::Stopped, None));
        scratch
    })
    .await;
}
