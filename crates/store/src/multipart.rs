//! Multipart upload sessions and their parts.

use serde_json::Value;

use crate::db::Db;
use crate::error::Result;
use crate::record::{flag, json, record, select, select_text, statement, words};

words! {
    /// Where a session stands.
    pub enum SessionState {
        /// Takes parts.
        Open = "open",
        /// Is being put together.
        Completing = "completing",
        /// Made its file, which `result` holds.
        Done = "done",
        /// Was given up; what is upstream or spooled is being freed.
        Aborted = "aborted",
    }
}

record! {
    /// One session.
    pub struct Session {
        /// 1 to 2147483647, random.
        pub id: i64,
        /// Whose it is.
        pub account: i64,
        /// The folder that the file goes into.
        pub parent_id: String,
        /// The file's name.
        pub name: String,
        /// The whole size, when told.
        pub size: Option<i64>,
        /// Bytes of every part but the last.
        pub part_size: i64,
        /// Whether parts may come in any order.
        pub parallel: bool,
        /// What happens when the name is taken.
        pub conflict: String,
        /// Where it stands.
        pub state: SessionState,
        /// What the connector or the spool knows of it.
        pub native: Option<Value>,
        /// The file, when done.
        pub result: Option<Value>,
        /// Until when one worker completes it.
        pub busy_until: Option<i64>,
        /// When it was made.
        pub created: i64,
        /// When it was last changed.
        pub modified: i64,
        /// When it ends.
        pub expires: i64,
    }
}

record! {
    /// One stored part.
    pub struct Part {
        /// The session.
        pub session: i64,
        /// From 1.
        pub number: i64,
        /// In bytes.
        pub size: i64,
        /// A hash of its bytes.
        pub digest: Option<String>,
        /// What the connector or the spool knows of it (an ETag, a place).
        pub native: Option<Value>,
        /// When it was stored.
        pub created: i64,
    }
}

/// Adds a session. `Taken` when the id is in use.
pub async fn insert(db: &Db, row: &Session) -> Result<()> {
    statement(
        "INSERT INTO multipart_sessions (id, account, parent_id, name, size, part_size, parallel, \
         conflict, state, native, result, busy_until, created, modified, expires) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(row.id)
    .bind(row.account)
    .bind(row.parent_id.as_str())
    .bind(row.name.as_str())
    .bind(row.size)
    .bind(row.part_size)
    .bind(flag(row.parallel))
    .bind(row.conflict.as_str())
    .bind(row.state.as_str())
    .bind(row.native.as_ref().map(json))
    .bind(row.result.as_ref().map(json))
    .bind(row.busy_until)
    .bind(row.created)
    .bind(row.modified)
    .bind(row.expires)
    .execute(db.writer())
    .await?;
    Ok(())
}

/// An account's session that has not expired, in whatever state.
pub async fn find(db: &Db, account: i64, id: i64, now: i64) -> Result<Option<Session>> {
    let query = select("FROM multipart_sessions WHERE account = $1 AND id = $2 AND expires > $3");
    Ok(query.bind(account).bind(id).bind(now).fetch_optional(db.reader()).await?)
}

/// A session's parts, by number.
pub async fn parts(db: &Db, session: i64) -> Result<Vec<Part>> {
    let query = select("FROM multipart_parts WHERE session = $1 ORDER BY number");
    Ok(query.bind(session).fetch_all(db.reader()).await?)
}

/// Stores a part of an open session, in place of one with the same number, and moves the session's
/// end. Gives the part that was replaced; `None` when the session is not open (any more).
pub async fn put_part(db: &Db, part: &Part, expires: i64) -> Result<Option<Option<Part>>> {
    let mut tx = db.begin().await?;
    let touched = statement(
        "UPDATE multipart_sessions SET modified = $2, expires = $3 \
         WHERE id = $1 AND state = 'open'",
    )
    .bind(part.session)
    .bind(part.created)
    .bind(expires)
    .execute(&mut *tx)
    .await?;
    if touched.rows_affected() == 0 {
        return Ok(None);
    }
    let former = select::<Part>("FROM multipart_parts WHERE session = $1 AND number = $2")
        .bind(part.session)
        .bind(part.number)
        .fetch_optional(&mut *tx)
        .await?;
    statement(
        "INSERT INTO multipart_parts (session, number, size, digest, native, created) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (session, number) DO UPDATE SET \
         size = excluded.size, digest = excluded.digest, native = excluded.native, \
         created = excluded.created",
    )
    .bind(part.session)
    .bind(part.number)
    .bind(part.size)
    .bind(part.digest.as_deref())
    .bind(part.native.as_ref().map(json))
    .bind(part.created)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Some(former))
}

/// Writes what the connector knows of a session.
pub async fn set_native(db: &Db, id: i64, native: &Value, now: i64) -> Result<bool> {
    let done = statement("UPDATE multipart_sessions SET native = $2, modified = $3 WHERE id = $1")
        .bind(id)
        .bind(json(native))
        .bind(now)
        .execute(db.writer())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes the session for completing until `busy_until`: an open one, or one whose worker stopped.
/// `false` when another worker has it, or it is done or aborted.
pub async fn start_completing(db: &Db, id: i64, now: i64, busy_until: i64) -> Result<bool> {
    let done = statement(
        "UPDATE multipart_sessions SET state = 'completing', busy_until = $3, modified = $2 \
         WHERE id = $1 AND (state = 'open' OR (state = 'completing' AND busy_until < $2))",
    )
    .bind(id)
    .bind(now)
    .bind(busy_until)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends the completing held until `busy_until`: with the file, or back to open when it failed.
pub async fn finish_completing(
    db: &Db,
    id: i64,
    busy_until: i64,
    result: Option<&Value>,
    now: i64,
) -> Result<bool> {
    let state = if result.is_some() { SessionState::Done } else { SessionState::Open };
    let done = statement(
        "UPDATE multipart_sessions SET state = $3, result = $4, busy_until = NULL, modified = $5 \
         WHERE id = $1 AND state = 'completing' AND busy_until = $2",
    )
    .bind(id)
    .bind(busy_until)
    .bind(state.as_str())
    .bind(result.map(json))
    .bind(now)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Marks an account's open session as given up; `false` when it is not open.
pub async fn abort(db: &Db, account: i64, id: i64, now: i64) -> Result<bool> {
    let done = statement(
        "UPDATE multipart_sessions SET state = 'aborted', modified = $3 \
         WHERE account = $1 AND id = $2 AND state = 'open'",
    )
    .bind(account)
    .bind(id)
    .bind(now)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Up to `limit` sessions that expired or were given up, for whoever frees what they hold. Each is
/// given to one caller alone until `busy_until`, and to the next after that.
pub async fn claim_ended(db: &Db, now: i64, busy_until: i64, limit: i64) -> Result<Vec<Session>> {
    let mut tx = db.begin().await?;
    let tail = format!(
        "FROM multipart_sessions WHERE (expires <= $1 OR state = 'aborted') \
         AND (busy_until IS NULL OR busy_until < $1) ORDER BY expires LIMIT $2{}",
        db.dialect().skip_locked()
    );
    let ended: Vec<Session> = select_text(&tail).bind(now).bind(limit).fetch_all(&mut *tx).await?;
    for session in &ended {
        statement("UPDATE multipart_sessions SET busy_until = $2 WHERE id = $1")
            .bind(session.id)
            .bind(busy_until)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(ended)
}

/// Deletes a session and its parts.
pub async fn delete(db: &Db, id: i64) -> Result<bool> {
    let mut tx = db.begin().await?;
    statement("DELETE FROM multipart_parts WHERE session = $1").bind(id).execute(&mut *tx).await?;
    let done = statement("DELETE FROM multipart_sessions WHERE id = $1")
        .bind(id)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(done.rows_affected() == 1)
}
