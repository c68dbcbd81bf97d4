//! The lease to refresh a grant, and what may be written with and without it.

use tramontane_store::accounts::{self, CredentialState};
use tramontane_store::credentials;
use tramontane_store::grants::{self, Failed, Lease, Renewal};
use tramontane_store::scratch::on_each_engine;

use crate::rows;

#[tokio::test]
async fn one_holds_the_lease_until_it_is_given_back_or_runs_out() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        let second = scratch.second().await;
        let tries = [
            grants::acquire(db, 1, "a", 100, 200),
            grants::acquire(&second, 1, "b", 100, 200),
            grants::acquire(db, 1, "c", 100, 200),
        ];
        let taken: Vec<_> = futures::future::join_all(tries)
            .await
            .into_iter()
            .filter_map(|one| one.unwrap())
            .collect();
        assert_eq!(taken.len(), 1);
        let first = Lease { account: 1, epoch: taken[0].epoch };
        assert!(grants::intend(db, first, "hash", 150, 300).await.unwrap());
        assert!(grants::acquire(db, 1, "d", 299, 400).await.unwrap().is_none());
        let next = grants::acquire(db, 1, "d", 300, 400).await.unwrap().unwrap();
        assert_eq!((next.intent, next.token_hash.as_deref()), (Some(150), Some("hash")));
        assert_eq!(next.epoch, first.epoch + 1);
        // The first one lost it: it may neither go on nor say how it went.
        let failed = Failed { intent: None, attempts: 7, not_before: 900 };
        assert!(!grants::intend(db, first, "hash", 301, 500).await.unwrap());
        assert!(!grants::fail(db, first, failed, true).await.unwrap());
        assert!(!grants::kill(db, first, 1, "revoked", 301).await.unwrap());
        grants::release(db, first).await.unwrap();
        assert!(grants::acquire(db, 1, "e", 302, 400).await.unwrap().is_none());
        let second_lease = Lease { account: 1, epoch: next.epoch };
        assert!(grants::fail(db, second_lease, failed, true).await.unwrap());
        let third = grants::acquire(db, 1, "e", 302, 400).await.unwrap().unwrap();
        assert_eq!((third.attempts, third.not_before, third.intent), (7, 900, None));
        assert!(grants::acquire(db, 99, "e", 302, 400).await.unwrap().is_none(), "no such account");
        second.close().await;
        scratch
    })
    .await;
}

#[tokio::test]
async fn renewed_tokens_are_written_when_the_credential_is_the_one_that_was_read() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        let taken = grants::acquire(db, 1, "a", 100, 200).await.unwrap().unwrap();
        let lease = Lease { account: 1, epoch: taken.epoch };
        assert!(grants::kill(db, lease, 1, "revoked", 120).await.unwrap());
        let dead = accounts::find(db, 1).await.unwrap().unwrap();
        assert_eq!(dead.credential_state, CredentialState::Dead);
        assert_eq!(dead.credential_reason.as_deref(), Some("revoked"));
        let failing = CredentialState::Failing;
        let said =
            accounts::set_credential_state(db, 1, 1, failing, Some("unknown"), 130, None).await;
        assert!(!said.unwrap(), "what is dead is not called failing");
        let credential = credentials::find(db, 1).await.unwrap().unwrap();
        let renewal = Renewal {
            lease,
            credential: &credential,
            token_expiry: Some(500),
            refresh_token_expiry: None,
            due: Some(400),
            now: 150,
        };
        // Late, but the tokens are good: they are kept, and the account lives.
        assert!(grants::renew(db, &renewal).await.unwrap());
        let row = accounts::find(db, 1).await.unwrap().unwrap();
        assert_eq!((row.credential_state, row.token_expiry), (CredentialState::Ok, Some(500)));
        assert_eq!((row.credential_since, row.revision), (150, 2));
        let stored = credentials::find(db, 1).await.unwrap().unwrap();
        assert_eq!((stored.version, stored.renewals), (2, 1));
        assert!(!grants::renew(db, &renewal).await.unwrap(), "the credential is another one now");
        assert_eq!(accounts::find(db, 1).await.unwrap().unwrap(), row, "nothing was written");
        let due = grants::due(db, 400, 10).await.unwrap();
        assert_eq!(due.iter().map(|grant| grant.account).collect::<Vec<_>>(), [1]);
        assert!(grants::put_off(db, 1, 400, Some(900), 401).await.unwrap());
        assert!(!grants::put_off(db, 1, 400, Some(999), 401).await.unwrap());
        assert!(grants::due(db, 899, 10).await.unwrap().is_empty());
        accounts::delete(db, "app-a", 1, 160).await.unwrap().unwrap();
        assert!(grants::find(db, 1).await.unwrap().is_none());
        scratch
    })
    .await;
}
