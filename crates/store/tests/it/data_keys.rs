//! Data keys: one active, succession, resealing.

use tramontane_store::data_keys::{self, DataKey, SealedRow, SealedTable};
use tramontane_store::scratch::on_each_engine;
use tramontane_store::{accounts, credentials, keys};

use crate::rows::{self, KEY};

const NEXT: &str = "8899aabbccddeeff";

#[tokio::test]
async fn of_many_first_keys_one_is_kept() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        let tries: Vec<DataKey> =
            (0..6).map(|number| rows::data_key(&format!("{number:016x}"))).collect();
        let done =
            futures::future::join_all(tries.iter().map(|row| data_keys::insert_first(db, row)))
                .await;
        assert_eq!(done.into_iter().filter(|one| *one.as_ref().unwrap()).count(), 1);
        assert_eq!(data_keys::list(db).await.unwrap().len(), 1);
        scratch
    })
    .await;
}

#[tokio::test]
async fn a_successor_takes_over_and_values_are_sealed_again_row_by_row() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        for id in 4..12 {
            accounts::insert(db, &rows::account(id, "app-a"), &rows::credential(id)).await.unwrap();
        }
        let next = rows::data_key(NEXT);
        assert!(!data_keys::succeed(db, &next, "ffffffffffffffff", 5).await.unwrap());
        assert!(data_keys::succeed(db, &next, KEY, 5).await.unwrap());
        assert!(!data_keys::succeed(db, &rows::data_key("01"), KEY, 6).await.unwrap());
        let all = data_keys::list(db).await.unwrap();
        let active: Vec<_> = all.iter().filter(|key| key.active).map(|key| &key.id).collect();
        assert_eq!(active, [NEXT]);

        assert_eq!(data_keys::uses(db, KEY).await.unwrap(), 11 + 2);
        assert_eq!(data_keys::prune(db, 1_000).await.unwrap(), 0, "still in use");
        for table in SealedTable::ALL {
            let mut after = String::new();
            loop {
                let batch = data_keys::stale(db, table, &after, 3).await.unwrap();
                let Some(last) = batch.last() else { break };
                after = last.key.clone();
                for row in &batch {
                    let fresh = SealedRow { sealed: vec![42], ..row.clone() };
                    assert!(data_keys::reseal(db, table, &fresh, NEXT).await.unwrap());
                    assert!(!data_keys::reseal(db, table, &fresh, NEXT).await.unwrap());
                }
            }
            assert_eq!(data_keys::stale(db, table, "", 3).await.unwrap(), []);
        }
        assert_eq!(data_keys::uses(db, KEY).await.unwrap(), 0);
        let credential = credentials::find(db, 7).await.unwrap().unwrap();
        assert_eq!((credential.sealed, credential.version), (vec![42], 2));
        assert_eq!(keys::list(db, "app-b").await.unwrap()[0].key_id, NEXT);
        // Resealing is no change of the credential: pooled connections stay good.
        assert_eq!(accounts::find(db, 7).await.unwrap().unwrap().revision, 1);
        assert_eq!(data_keys::prune(db, 5).await.unwrap(), 0, "retired at 5, not before");
        assert_eq!(data_keys::prune(db, 6).await.unwrap(), 1);
        scratch
    })
    .await;
}

#[tokio::test]
async fn a_rewrap_names_the_master_key_it_saw() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        data_keys::insert_first(db, &rows::data_key(KEY)).await.unwrap();
        assert!(!data_keys::rewrap(db, KEY, "m9", &[9], "m2").await.unwrap());
        assert!(data_keys::rewrap(db, KEY, "m1", &[9], "m2").await.unwrap());
        let stored = data_keys::list(db).await.unwrap();
        assert_eq!((stored[0].wrapped.as_slice(), stored[0].master.as_str()), (&[9][..], "m2"));
        scratch
    })
    .await;
}
