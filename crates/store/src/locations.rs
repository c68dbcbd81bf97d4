//! Upload locations: folders that browsers without a token may drop files into.

use crate::db::{Db, Tx};
use crate::error::Result;
use crate::record::{flag, record, select, statement};

record! {
    /// One folder.
    pub struct Location {
        /// Random id.
        pub id: String,
        /// Whose it is.
        pub application: String,
        /// The account that the folder is in.
        pub account: i64,
        /// The folder.
        pub folder_id: String,
        /// Whether a folder below it may be named instead.
        pub allow_subfolders: bool,
        /// Whether it is used when none is named; exactly one per application is, if there are any.
        pub is_default: bool,
        /// The largest file taken, in bytes.
        pub max_file_size: Option<i64>,
        /// Whether the page's origin must be a trusted domain.
        pub require_trusted_origin: bool,
        /// When it was made.
        pub created: i64,
        /// When it was last changed.
        pub modified: i64,
    }
}

/// Adds a location. The first of an application becomes the default; one that asks to be the default
/// takes it over. Gives the row as stored; `None` when the account is not the application's.
pub async fn insert(db: &Db, row: &Location) -> Result<Option<Location>> {
    let mut tx = db.begin().await?;
    let owned: Option<(i64,)> = sqlx::query_as(
        "SELECT id FROM accounts WHERE application = $1 AND id = $2 AND deleted IS NULL",
    )
    .bind(row.application.as_str())
    .bind(row.account)
    .fetch_optional(&mut *tx)
    .await?;
    if owned.is_none() {
        return Ok(None);
    }
    let has_default = default_in(&mut tx, &row.application).await?.is_some();
    let row = Location { is_default: row.is_default || !has_default, ..row.clone() };
    if row.is_default {
        clear_default(&mut tx, &row.application, row.modified).await?;
    }
    statement(
        "INSERT INTO upload_locations (id, application, account, folder_id, allow_subfolders, \
         is_default, max_file_size, require_trusted_origin, created, modified) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(row.id.as_str())
    .bind(row.application.as_str())
    .bind(row.account)
    .bind(row.folder_id.as_str())
    .bind(flag(row.allow_subfolders))
    .bind(flag(row.is_default))
    .bind(row.max_file_size)
    .bind(flag(row.require_trusted_origin))
    .bind(row.created)
    .bind(row.modified)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Some(row))
}

async fn default_in(tx: &mut Tx, application: &str) -> Result<Option<Location>> {
    let query = select("FROM upload_locations WHERE application = $1 AND is_default = 1");
    Ok(query.bind(application).fetch_optional(&mut **tx).await?)
}

async fn clear_default(tx: &mut Tx, application: &str, now: i64) -> Result<()> {
    statement(
        "UPDATE upload_locations SET is_default = 0, modified = $2 \
         WHERE application = $1 AND is_default = 1",
    )
    .bind(application)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// An application's locations, oldest first.
pub async fn list(db: &Db, application: &str) -> Result<Vec<Location>> {
    let query = select("FROM upload_locations WHERE application = $1 ORDER BY created, id");
    Ok(query.bind(application).fetch_all(db.reader()).await?)
}

/// One location of an application.
pub async fn find(db: &Db, application: &str, id: &str) -> Result<Option<Location>> {
    let query = select("FROM upload_locations WHERE application = $1 AND id = $2");
    Ok(query.bind(application).bind(id).fetch_optional(db.reader()).await?)
}

/// Writes every changeable column. Setting `is_default` moves the default here; clearing it on the
/// default has no effect, because one location is always the default.
pub async fn update(db: &Db, row: &Location) -> Result<bool> {
    let mut tx = db.begin().await?;
    if row.is_default {
        clear_default(&mut tx, &row.application, row.modified).await?;
    }
    let done = statement(
        "UPDATE upload_locations SET account = $3, folder_id = $4, allow_subfolders = $5, \
         is_default = CASE WHEN is_default = 1 THEN 1 ELSE $6 END, max_file_size = $7, \
         require_trusted_origin = $8, modified = $9 \
         WHERE application = $1 AND id = $2 AND EXISTS (SELECT 1 FROM accounts \
         WHERE accounts.id = $3 AND accounts.application = $1 AND accounts.deleted IS NULL)",
    )
    .bind(row.application.as_str())
    .bind(row.id.as_str())
    .bind(row.account)
    .bind(row.folder_id.as_str())
    .bind(flag(row.allow_subfolders))
    .bind(flag(row.is_default))
    .bind(row.max_file_size)
    .bind(flag(row.require_trusted_origin))
    .bind(row.modified)
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    tx.commit().await?;
    Ok(true)
}

/// Deletes a location. When it was the default, the oldest that is left becomes it.
pub async fn delete(db: &Db, application: &str, id: &str, now: i64) -> Result<bool> {
    let mut tx = db.begin().await?;
    let done = statement("DELETE FROM upload_locations WHERE application = $1 AND id = $2")
        .bind(application)
        .bind(id)
        .execute(&mut *tx)
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    heal_default(&mut tx, application, now).await?;
    tx.commit().await?;
    Ok(true)
}

/// Makes the oldest location the default when there is none.
pub(crate) async fn heal_default(tx: &mut Tx, application: &str, now: i64) -> Result<()> {
    statement(
        "UPDATE upload_locations SET is_default = 1, modified = $2 WHERE id = \
         (SELECT id FROM upload_locations WHERE application = $1 ORDER BY created, id LIMIT 1) \
         AND NOT EXISTS \
         (SELECT 1 FROM upload_locations WHERE application = $1 AND is_default = 1)",
    )
    .bind(application)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
