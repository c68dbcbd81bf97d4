//! Idempotency keys: the first request with a key runs, the others get its answer.

use serde_json::Value;

use crate::db::Db;
use crate::error::Result;
use crate::record::{json, record, select_text, statement, words};

words! {
    /// Where the request that a key names stands.
    pub enum KeyState {
        /// It runs, or its server stopped while it ran.
        Running = "running",
        /// Its answer is stored.
        Done = "done",
    }
}

record! {
    /// One key.
    pub struct Key {
        /// Who (credential owner, account, acting user) and which key, hashed by the caller.
        pub scope: String,
        /// The request: method, path, query, body.
        pub fingerprint: String,
        /// Where it stands.
        pub state: KeyState,
        /// Counts the runs: the fence.
        pub epoch: i64,
        /// When the run is taken to have died.
        pub leased_until: i64,
        /// What the run noted before it called the service, for whoever must find out how it ended.
        pub note: Option<Value>,
        /// The stored answer's status.
        pub status: Option<i64>,
        /// Its headers, a JSON object.
        pub headers: Option<Value>,
        /// Its body.
        pub body: Option<Vec<u8>>,
        /// When the key was first used.
        pub created: i64,
        /// When it is forgotten.
        pub expires: i64,
    }
}

/// What to do with a request that carries a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Begin {
    /// First use: run it; `finish` or `release` under this epoch.
    Fresh {
        /// The fence.
        epoch: i64,
    },
    /// An earlier run died on the way: find out how it ended, then run it or answer. `finish` or
    /// `release` under the row's epoch.
    Resume(Box<Key>),
    /// It runs elsewhere.
    Running,
    /// It ran: give the stored answer.
    Done(Box<Key>),
    /// The key was used for another request.
    Mismatch,
}

/// Begins a request that carries a key.
pub async fn begin(
    db: &Db,
    scope: &str,
    fingerprint: &str,
    now: i64,
    leased_until: i64,
    expires: i64,
) -> Result<Begin> {
    let mut tx = db.begin().await?;
    // An expired key counts as never used.
    statement("DELETE FROM idempotency WHERE scope = $1 AND expires <= $2")
        .bind(scope)
        .bind(now)
        .execute(&mut *tx)
        .await?;
    let inserted = statement(
        "INSERT INTO idempotency \
         (scope, fingerprint, state, epoch, leased_until, created, expires) \
         VALUES ($1, $2, 'running', 1, $3, $4, $5) ON CONFLICT (scope) DO NOTHING",
    )
    .bind(scope)
    .bind(fingerprint)
    .bind(leased_until)
    .bind(now)
    .bind(expires)
    .execute(&mut *tx)
    .await?;
    if inserted.rows_affected() == 1 {
        tx.commit().await?;
        return Ok(Begin::Fresh { epoch: 1 });
    }
    let tail = format!("FROM idempotency WHERE scope = $1{}", db.dialect().for_update());
    let found: Option<Key> = select_text(&tail).bind(scope).fetch_optional(&mut *tx).await?;
    let Some(mut row) = found else {
        // Released between the two statements: the caller may try again at once.
        return Ok(Begin::Running);
    };
    if row.fingerprint != fingerprint {
        return Ok(Begin::Mismatch);
    }
    if row.state == KeyState::Done {
        return Ok(Begin::Done(Box::new(row)));
    }
    if row.leased_until >= now {
        return Ok(Begin::Running);
    }
    row.epoch += 1;
    row.leased_until = leased_until;
    statement("UPDATE idempotency SET epoch = $2, leased_until = $3 WHERE scope = $1")
        .bind(scope)
        .bind(row.epoch)
        .bind(leased_until)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Begin::Resume(Box::new(row)))
}

/// Extends the run's lease, and notes what it is about to do.
pub async fn renew(
    db: &Db,
    scope: &str,
    epoch: i64,
    leased_until: i64,
    note: Option<&Value>,
) -> Result<bool> {
    let done = statement(
        "UPDATE idempotency SET leased_until = $3, note = COALESCE($4, note) \
         WHERE scope = $1 AND epoch = $2 AND state = 'running'",
    )
    .bind(scope)
    .bind(epoch)
    .bind(leased_until)
    .bind(note.map(json))
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Stores the answer of a run.
pub async fn finish(
    db: &Db,
    scope: &str,
    epoch: i64,
    status: u16,
    headers: &Value,
    body: &[u8],
) -> Result<bool> {
    let done = statement(
        "UPDATE idempotency SET state = 'done', status = $3, headers = $4, body = $5, note = NULL \
         WHERE scope = $1 AND epoch = $2 AND state = 'running'",
    )
    .bind(scope)
    .bind(epoch)
    .bind(i64::from(status))
    .bind(json(headers))
    .bind(body.to_vec())
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets a run that gave nothing to store, so that the key may be used again.
pub async fn release(db: &Db, scope: &str, epoch: i64) -> Result<bool> {
    let done =
        statement("DELETE FROM idempotency WHERE scope = $1 AND epoch = $2 AND state = 'running'")
            .bind(scope)
            .bind(epoch)
            .execute(db.writer())
            .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes keys that expired; gives how many.
pub async fn prune(db: &Db, now: i64) -> Result<u64> {
    let done = statement("DELETE FROM idempotency WHERE expires <= $1")
        .bind(now)
        .execute(db.writer())
        .await?;
    Ok(done.rows_affected())
}
