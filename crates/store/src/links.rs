//! Links: those of ours, `/l/{id}`, and what is known of those of services.

use crate::db::Db;
use crate::error::Result;
use crate::record::{Slice, flag, record, select, select_text, statement, statement_text, words};

words! {
    /// Whom a link lets in.
    pub enum LinkAccess {
        /// Whoever has it.
        Anyone = "anyone",
        /// Whoever has it and is of the account's organisation.
        Organization = "organization",
    }
}

words! {
    /// What a link lets them do.
    pub enum LinkRole {
        /// Look and download.
        Reader = "reader",
        /// Change the content as well.
        Writer = "writer",
    }
}

record! {
    /// One link. Its id is a capability: 128 random bits or more.
    pub struct Link {
        /// The id, which is also in the URL.
        pub id: String,
        /// The account that the file is in.
        pub account: i64,
        /// The file's (or folder's) id.
        pub resource_id: String,
        /// Its name when the link was made.
        pub resource_name: String,
        /// Whether the URL is the content itself.
        pub direct: bool,
        /// Whether it is switched on.
        pub active: bool,
        /// Argon2id of the password.
        pub password_hash: Option<String>,
        /// When it ends.
        pub expiration: Option<i64>,
        /// How many downloads it is good for.
        pub max_downloads: Option<i64>,
        /// How many there were.
        pub downloads: i64,
        /// When it was made.
        pub created: i64,
        /// When it was last changed.
        pub modified: i64,
        /// The member of the organisation that it was made as, by the service's id.
        pub as_user: Option<String>,
        /// Whom it lets in.
        pub access: LinkAccess,
        /// What it lets them do.
        pub role: LinkRole,
        /// What the service knows its own link by; not there for links of ours, and while it is off.
        pub native_id: Option<String>,
        /// The address of the service's own link; not there for links of ours.
        pub native_url: Option<String>,
    }
}

/// Adds a link. [`crate::Error::Taken`] when a link of this service stands for another row already.
pub async fn insert(db: &Db, row: &Link) -> Result<()> {
    statement(
        "INSERT INTO links (id, account, resource_id, resource_name, direct, active, \
         password_hash, expiration, max_downloads, downloads, created, modified, \
         as_user, access, role, native_id, native_url) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
    )
    .bind(row.id.as_str())
    .bind(row.account)
    .bind(row.resource_id.as_str())
    .bind(row.resource_name.as_str())
    .bind(flag(row.direct))
    .bind(flag(row.active))
    .bind(row.password_hash.as_deref())
    .bind(row.expiration)
    .bind(row.max_downloads)
    .bind(row.downloads)
    .bind(row.created)
    .bind(row.modified)
    .bind(row.as_user.as_deref())
    .bind(row.access.as_str())
    .bind(row.role.as_str())
    .bind(row.native_id.as_deref())
    .bind(row.native_url.as_deref())
    .execute(db.writer())
    .await?;
    Ok(())
}

/// The link with this id, for the public page: the id is the permission.
pub async fn find(db: &Db, id: &str) -> Result<Option<Link>> {
    let query = select("FROM links WHERE id = $1").bind(id);
    Ok(query.fetch_optional(db.reader()).await?)
}

/// An account's link.
pub async fn find_of(db: &Db, account: i64, id: &str) -> Result<Option<Link>> {
    let query = select("FROM links WHERE account = $1 AND id = $2");
    Ok(query.bind(account).bind(id).fetch_optional(db.reader()).await?)
}

fn wanted(db: &Db) -> String {
    let accounts = db.dialect().integers("$1");
    format!("FROM links WHERE account IN {accounts} AND ($2 IS NULL OR active = $2)")
}

fn list_of(accounts: &[i64]) -> String {
    serde_json::json!(accounts).to_string()
}

/// The links of some accounts, newest first.
pub async fn list(
    db: &Db,
    accounts: &[i64],
    active: Option<bool>,
    slice: Slice,
) -> Result<Vec<Link>> {
    let tail = format!("{} ORDER BY created DESC, id LIMIT $3 OFFSET $4", wanted(db));
    let query = select_text(&tail).bind(list_of(accounts)).bind(active.map(flag));
    Ok(query.bind(slice.limit).bind(slice.offset).fetch_all(db.reader()).await?)
}

/// How many rows [`list`] would give in all.
pub async fn count(db: &Db, accounts: &[i64], active: Option<bool>) -> Result<i64> {
    let row = statement_text(format!("SELECT COUNT(*) {}", wanted(db)))
        .bind(list_of(accounts))
        .bind(active.map(flag))
        .fetch_one(db.reader())
        .await?;
    Ok(sqlx::Row::try_get(&row, 0)?)
}

/// Writes every changeable column of an account's link. [`crate::Error::Taken`] as [`insert`].
pub async fn update(db: &Db, row: &Link) -> Result<bool> {
    let done = statement(
        "UPDATE links SET direct = $3, active = $4, password_hash = $5, expiration = $6, \
         max_downloads = $7, modified = $8, access = $9, role = $10, native_id = $11, \
         native_url = $12 WHERE account = $1 AND id = $2",
    )
    .bind(row.account)
    .bind(row.id.as_str())
    .bind(flag(row.direct))
    .bind(flag(row.active))
    .bind(row.password_hash.as_deref())
    .bind(row.expiration)
    .bind(row.max_downloads)
    .bind(row.modified)
    .bind(row.access.as_str())
    .bind(row.role.as_str())
    .bind(row.native_id.as_deref())
    .bind(row.native_url.as_deref())
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Counts a download of a link that limits them; `false` when none is left. Links without a limit
/// write nothing, because reading must not.
pub async fn take_download(db: &Db, link: &Link) -> Result<bool> {
    if link.max_downloads.is_none() {
        return Ok(true);
    }
    let done = statement(
        "UPDATE links SET downloads = downloads + 1 \
         WHERE id = $1 AND (max_downloads IS NULL OR downloads < max_downloads)",
    )
    .bind(link.id.as_str())
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes an account's link.
pub async fn delete(db: &Db, account: i64, id: &str) -> Result<bool> {
    let done = statement("DELETE FROM links WHERE account = $1 AND id = $2")
        .bind(account)
        .bind(id)
        .execute(db.writer())
        .await?;
    Ok(done.rows_affected() == 1)
}
