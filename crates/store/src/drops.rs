//! Uploads through the drop endpoint, and the chunks that have arrived.

use serde_json::Value;

use crate::db::Db;
use crate::error::Result;
use crate::record::{json, record, select, select_text, statement, words};

words! {
    /// Where an upload stands.
    pub enum DropState {
        /// Takes chunks.
        Open = "open",
        /// Is being put together.
        Completing = "completing",
        /// Made its file, which `result` holds.
        Done = "done",
    }
}

record! {
    /// One upload.
    pub struct DropUpload {
        /// Application, picker and the client's file id, hashed by the caller.
        pub id: String,
        /// Whose page it comes from.
        pub application: String,
        /// The upload location.
        pub location: String,
        /// The account that the file goes to.
        pub account: i64,
        /// The folder that the file goes into.
        pub folder_id: String,
        /// The file's name, once told.
        pub name: Option<String>,
        /// The whole size, once told.
        pub total: Option<i64>,
        /// How many chunks there are, once told.
        pub chunks: Option<i64>,
        /// `link`, `link_options` and the like, a JSON object.
        pub options: Value,
        /// Where it stands.
        pub state: DropState,
        /// The answer, when done.
        pub result: Option<Value>,
        /// Until when one worker completes it.
        pub busy_until: Option<i64>,
        /// When the first chunk came.
        pub created: i64,
        /// When the last one came.
        pub modified: i64,
        /// When it is dropped.
        pub expires: i64,
    }
}

record! {
    /// One chunk that has arrived.
    pub struct DropChunk {
        /// The upload.
        pub upload: String,
        /// From 0.
        pub number: i64,
        /// Where it begins in the file, when the client counts in bytes.
        pub start: Option<i64>,
        /// In bytes.
        pub size: i64,
        /// Where it is spooled.
        pub place: String,
        /// When it came.
        pub created: i64,
    }
}

/// Makes the upload, or fills in what its row does not know yet (name, total, chunks); gives the row.
/// An id that is in use for another location, or expired, is `None`: drop it first.
pub async fn open(db: &Db, row: &DropUpload) -> Result<Option<DropUpload>> {
    let mut tx = db.begin().await?;
    statement(
        "INSERT INTO drop_uploads (id, application, location, account, folder_id, name, total, \
         chunks, options, state, result, busy_until, created, modified, expires) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'open', NULL, NULL, $10, $11, $12) \
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(row.id.as_str())
    .bind(row.application.as_str())
    .bind(row.location.as_str())
    .bind(row.account)
    .bind(row.folder_id.as_str())
    .bind(row.name.as_deref())
    .bind(row.total)
    .bind(row.chunks)
    .bind(json(&row.options))
    .bind(row.created)
    .bind(row.modified)
    .bind(row.expires)
    .execute(&mut *tx)
    .await?;
    let filled = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "UPDATE drop_uploads SET name = COALESCE(name, $4), total = COALESCE(total, $5), \
         chunks = COALESCE(chunks, $6), modified = $7, expires = $8, \
         options = CASE WHEN options = '{{}}' THEN $9 ELSE options END \
         WHERE id = $1 AND application = $2 AND location = $3 AND expires > $7 RETURNING {}",
        <DropUpload as crate::record::Record>::COLUMNS
    )))
    .bind(row.id.as_str())
    .bind(row.application.as_str())
    .bind(row.location.as_str())
    .bind(row.name.as_deref())
    .bind(row.total)
    .bind(row.chunks)
    .bind(row.modified)
    .bind(row.expires)
    .bind(json(&row.options))
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(filled)
}

/// An application's upload.
pub async fn find(db: &Db, application: &str, id: &str) -> Result<Option<DropUpload>> {
    let query = select("FROM drop_uploads WHERE application = $1 AND id = $2");
    Ok(query.bind(application).bind(id).fetch_optional(db.reader()).await?)
}

/// Stores a chunk, in place of one with the same number; gives the place of the one it replaced.
/// `None` when the upload is not open (any more).
pub async fn put_chunk(db: &Db, row: &DropChunk) -> Result<Option<Option<String>>> {
    let mut tx = db.begin().await?;
    let tail =
        format!("FROM drop_uploads WHERE id = $1 AND state = 'open'{}", db.dialect().for_update());
    let upload: Option<DropUpload> =
        select_text(&tail).bind(row.upload.as_str()).fetch_optional(&mut *tx).await?;
    if upload.is_none() {
        return Ok(None);
    }
    let former = select::<DropChunk>("FROM drop_chunks WHERE upload = $1 AND number = $2")
        .bind(row.upload.as_str())
        .bind(row.number)
        .fetch_optional(&mut *tx)
        .await?;
    statement(
        "INSERT INTO drop_chunks (upload, number, start, size, place, created) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (upload, number) DO UPDATE SET \
         start = excluded.start, size = excluded.size, place = excluded.place, \
         created = excluded.created",
    )
    .bind(row.upload.as_str())
    .bind(row.number)
    .bind(row.start)
    .bind(row.size)
    .bind(row.place.as_str())
    .bind(row.created)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Some(former.map(|chunk| chunk.place)))
}

/// The chunks that have arrived, by number.
pub async fn chunks(db: &Db, upload: &str) -> Result<Vec<DropChunk>> {
    let query = select("FROM drop_chunks WHERE upload = $1 ORDER BY number");
    Ok(query.bind(upload).fetch_all(db.reader()).await?)
}

/// Takes the upload for completing until `busy_until`; `false` when another worker has it or did it.
pub async fn start_completing(db: &Db, id: &str, now: i64, busy_until: i64) -> Result<bool> {
    let done = statement(
        "UPDATE drop_uploads SET state = 'completing', busy_until = $3 \
         WHERE id = $1 AND (state = 'open' OR (state = 'completing' AND busy_until < $2))",
    )
    .bind(id)
    .bind(now)
    .bind(busy_until)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends the completing held until `busy_until`: with the answer, or back to open when it failed.
pub async fn finish_completing(
    db: &Db,
    id: &str,
    busy_until: i64,
    result: Option<&Value>,
    now: i64,
) -> Result<bool> {
    let state = if result.is_some() { DropState::Done } else { DropState::Open };
    let done = statement(
        "UPDATE drop_uploads SET state = $3, result = $4, busy_until = NULL, modified = $5 \
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

/// Deletes an application's upload and its chunks; gives the places to free.
pub async fn delete(db: &Db, application: &str, id: &str) -> Result<Vec<String>> {
    let mut tx = db.begin().await?;
    let places: Vec<(String,)> = sqlx::query_as(
        "DELETE FROM drop_chunks WHERE upload IN \
         (SELECT id FROM drop_uploads WHERE application = $1 AND id = $2) RETURNING place",
    )
    .bind(application)
    .bind(id)
    .fetch_all(&mut *tx)
    .await?;
    statement("DELETE FROM drop_uploads WHERE application = $1 AND id = $2")
        .bind(application)
        .bind(id)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(places.into_iter().map(|(place,)| place).collect())
}

/// Up to `limit` uploads that have expired and that nobody completes, oldest first: delete each.
pub async fn list_expired(db: &Db, now: i64, limit: i64) -> Result<Vec<DropUpload>> {
    let query = select(
        "FROM drop_uploads WHERE expires <= $1 AND (busy_until IS NULL OR busy_until < $1) \
         ORDER BY expires LIMIT $2",
    );
    Ok(query.bind(now).bind(limit).fetch_all(db.reader()).await?)
}
