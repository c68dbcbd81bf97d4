//! Accounts: one end user's connected identity at a service.

use serde_json::Value;

use crate::announcements::{self, Announcement};
use crate::credentials::Credential;
use crate::db::{Db, Tx};
use crate::error::Result;
use crate::locations;
use crate::record::{
    Slice, flag, json, record, select, select_text, statement, statement_text, words,
};

words! {
    /// Whether an account's credential works at its service.
    pub enum CredentialState {
        /// It worked when it was last used, or was not used yet.
        Ok = "ok",
        /// It failed lately and may work again.
        Failing = "failing",
        /// The service refused it for good.
        Dead = "dead",
    }
}

record! {
    /// One account. The credential is in a table of its own.
    pub struct Account {
        /// 1 to 2147483647, never given twice.
        pub id: i64,
        /// Whose it is.
        pub application: String,
        /// The connector's name.
        pub service: String,
        /// Whether it was connected with organisation-wide access.
        pub admin: bool,
        /// Who it is at the service; unique per application, service and access.
        pub identity: String,
        /// What people read (the wire's `account`).
        pub display: String,
        /// Whether the application lets it be used.
        pub active: bool,
        /// Settings that are no secrets, a JSON object of strings.
        pub settings: Value,
        /// What the application noted, a JSON object of strings.
        pub custom_properties: Value,
        /// Granted scopes, space-separated.
        pub scope: String,
        /// Whether the credential works.
        pub credential_state: CredentialState,
        /// Why it does not (a code).
        pub credential_reason: Option<String>,
        /// Since when it is in that state.
        pub credential_since: i64,
        /// When the service's token ends.
        pub token_expiry: Option<i64>,
        /// When the service's refresh token ends.
        pub refresh_token_expiry: Option<i64>,
        /// Counts the changes of settings and credential.
        pub revision: i64,
        /// When it was connected.
        pub created: i64,
        /// When it was last changed.
        pub modified: i64,
    }
}

/// Which accounts a list shall hold; `None` asks nothing.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Usable or not.
    pub active: Option<bool>,
    /// Organisation-wide or not.
    pub admin: Option<bool>,
    /// At this service.
    pub service: Option<String>,
    /// With this `account` (display).
    pub display: Option<String>,
    /// Holding all of these custom properties (a JSON object of strings).
    pub custom_properties: Option<Value>,
}

/// What a deleted account leaves outside the database, for whoever cleans up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remains {
    /// The account.
    pub account: i64,
    /// Hashes of the tokens that were good for it.
    pub token_hashes: Vec<String>,
    /// Multipart sessions, with what the connector knows of them (upstream sessions, spooled parts).
    pub sessions: Vec<(i64, Option<String>)>,
    /// Drop uploads, which have spooled chunks.
    pub drops: Vec<String>,
}

/// Adds an account and its credential. `Taken` when the id is in use, or when the identity is
/// connected already: look for it with [`find_identity`] and try again.
pub async fn insert(db: &Db, row: &Account, credential: &Credential) -> Result<()> {
    let mut tx = db.begin().await?;
    insert_in(&mut tx, row, credential).await?;
    Ok(tx.commit().await?)
}

pub(crate) async fn insert_in(tx: &mut Tx, row: &Account, credential: &Credential) -> Result<()> {
    statement(
        "INSERT INTO accounts (id, application, service, admin, identity, display, active, \
         settings, custom_properties, scope, credential_state, credential_reason, \
         credential_since, token_expiry, refresh_token_expiry, revision, created, modified) \
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18",
    )
    .bind(row.id)
    .bind(row.application.as_str())
    .bind(row.service.as_str())
    .bind(flag(row.admin))
    .bind(row.identity.as_str())
    .bind(row.display.as_str())
    .bind(flag(row.active))
    .bind(json(&row.settings))
    .bind(json(&row.custom_properties))
    .bind(row.scope.as_str())
    .bind(row.credential_state.as_str())
    .bind(row.credential_reason.as_deref())
    .bind(row.credential_since)
    .bind(row.token_expiry)
    .bind(row.refresh_token_expiry)
    .bind(row.revision)
    .bind(row.created)
    .bind(row.modified)
    .execute(&mut **tx)
    .await?;
    crate::credentials::insert_in(tx, credential).await
}

/// The account with this id, whoever owns it: for callers that a token names it to.
pub async fn find(db: &Db, id: i64) -> Result<Option<Account>> {
    let query = select("FROM accounts WHERE id = $1 AND deleted IS NULL").bind(id);
    Ok(query.fetch_optional(db.reader()).await?)
}

/// The first account of an application whose id is at least `from`, with its service.
pub async fn next_of(db: &Db, application: &str, from: i64) -> Result<Option<(i64, String)>> {
    let row = sqlx::query_as(
        "SELECT id, service FROM accounts WHERE application = $1 AND id >= $2 \
         AND deleted IS NULL ORDER BY id LIMIT 1",
    )
    .bind(application)
    .bind(from)
    .fetch_optional(db.reader())
    .await?;
    Ok(row)
}

/// The application and the service of an account, also of one that was deleted.
pub async fn owner(db: &Db, id: i64) -> Result<Option<(String, String)>> {
    let row = sqlx::query_as("SELECT application, service FROM accounts WHERE id = $1")
        .bind(id)
        .fetch_optional(db.reader())
        .await?;
    Ok(row)
}

/// An application's account.
pub async fn find_of(db: &Db, application: &str, id: i64) -> Result<Option<Account>> {
    let query = select("FROM accounts WHERE application = $1 AND id = $2 AND deleted IS NULL");
    Ok(query.bind(application).bind(id).fetch_optional(db.reader()).await?)
}

/// The account that stands for this identity.
pub async fn find_identity(
    db: &Db,
    application: &str,
    service: &str,
    admin: bool,
    identity: &str,
) -> Result<Option<Account>> {
    let query = select(
        "FROM accounts WHERE application = $1 AND service = $2 AND admin = $3 AND identity = $4 \
         AND deleted IS NULL",
    );
    let query = query.bind(application).bind(service).bind(flag(admin)).bind(identity);
    Ok(query.fetch_optional(db.writer()).await?)
}

const WANTED: &str = "FROM accounts WHERE application = $1 AND deleted IS NULL \
    AND ($2 IS NULL OR active = $2) AND ($3 IS NULL OR admin = $3) \
    AND ($4 IS NULL OR service = $4) AND ($5 IS NULL OR display = $5)";

fn wanted(db: &Db) -> String {
    let holds = db.dialect().holds("custom_properties", "$6");
    format!("{WANTED} AND ($6 IS NULL OR {holds})")
}

/// An application's accounts, by id.
pub async fn list(
    db: &Db,
    application: &str,
    filter: &Filter,
    slice: Slice,
) -> Result<Vec<Account>> {
    let tail = format!("{} ORDER BY id LIMIT $7 OFFSET $8", wanted(db));
    let query = select_text(&tail)
        .bind(application)
        .bind(filter.active.map(flag))
        .bind(filter.admin.map(flag))
        .bind(filter.service.as_deref())
        .bind(filter.display.as_deref())
        .bind(filter.custom_properties.as_ref().map(json))
        .bind(slice.limit)
        .bind(slice.offset);
    Ok(query.fetch_all(db.reader()).await?)
}

/// How many rows [`list`] would give in all.
pub async fn count(db: &Db, application: &str, filter: &Filter) -> Result<i64> {
    let row = statement_text(format!("SELECT COUNT(*) {}", wanted(db)))
        .bind(application)
        .bind(filter.active.map(flag))
        .bind(filter.admin.map(flag))
        .bind(filter.service.as_deref())
        .bind(filter.display.as_deref())
        .bind(filter.custom_properties.as_ref().map(json))
        .fetch_one(db.reader())
        .await?;
    Ok(sqlx::Row::try_get(&row, 0)?)
}

/// Writes every changeable column, when `row.revision` is still the stored one, and counts it up.
/// `Taken` when the new identity is connected already.
/// `said`: what it is announced as.
pub async fn update(db: &Db, row: &Account, said: Option<&str>) -> Result<bool> {
    let mut tx = db.begin().await?;
    let done = update_in(&mut tx, row, said).await?;
    tx.commit().await?;
    Ok(done)
}

async fn update_in(tx: &mut Tx, row: &Account, said: Option<&str>) -> Result<bool> {
    let done = statement(
        "UPDATE accounts SET identity = $3, display = $4, active = $5, settings = $6, \
         custom_properties = $7, scope = $8, credential_state = $9, credential_reason = $10, \
         credential_since = $11, token_expiry = $12, refresh_token_expiry = $13, modified = $14, \
         revision = revision + 1 \
         WHERE application = $1 AND id = $2 AND revision = $15 AND deleted IS NULL",
    )
    .bind(row.application.as_str())
    .bind(row.id)
    .bind(row.identity.as_str())
    .bind(row.display.as_str())
    .bind(flag(row.active))
    .bind(json(&row.settings))
    .bind(json(&row.custom_properties))
    .bind(row.scope.as_str())
    .bind(row.credential_state.as_str())
    .bind(row.credential_reason.as_deref())
    .bind(row.credential_since)
    .bind(row.token_expiry)
    .bind(row.refresh_token_expiry)
    .bind(row.modified)
    .bind(row.revision)
    .execute(&mut **tx)
    .await?;
    let done = done.rows_affected() == 1;
    if let Some(kind) = said.filter(|_| done) {
        let said = Announcement::of_account(row.id, kind, &row.display, row.modified);
        announcements::announce_in(tx, &said).await?;
    }
    Ok(done)
}

/// Writes the account and its credential in one step; `false`, and nothing written, when the
/// account's revision or the credential's version (`credential.version` is the one that was read) is
/// not the stored one any more. `said`: what it is announced as.
pub async fn update_with_credential(
    db: &Db,
    row: &Account,
    credential: &Credential,
    said: Option<&str>,
) -> Result<bool> {
    let mut tx = db.begin().await?;
    let both = update_in(&mut tx, row, said).await?
        && crate::credentials::replace_in(&mut tx, credential).await?;
    if both {
        tx.commit().await?;
    }
    Ok(both)
}

/// Notes that the credential works, fails or is dead, unless settings or credential were changed
/// since `revision`. `since` moves only when the state does. Counts no revision: connections made with
/// the same credential stay good. A dead credential is not called failing again.
/// `said`: what it is announced as.
pub async fn set_credential_state(
    db: &Db,
    id: i64,
    revision: i64,
    state: CredentialState,
    reason: Option<&str>,
    now: i64,
    said: Option<&str>,
) -> Result<bool> {
    let mut tx = db.begin().await?;
    let done = statement(
        "UPDATE accounts SET credential_state = $3, credential_reason = $4, \
         credential_since = $5, modified = $5 WHERE id = $1 AND revision = $2 AND deleted IS NULL \
         AND (credential_state <> $3 OR COALESCE(credential_reason, '') <> COALESCE($4, '')) \
         AND NOT (credential_state = 'dead' AND $3 = 'failing')",
    )
    .bind(id)
    .bind(revision)
    .bind(state.as_str())
    .bind(reason)
    .bind(now)
    .execute(&mut *tx)
    .await?;
    let done = done.rows_affected() == 1;
    if let Some(kind) = said.filter(|_| done) {
        announce_in(&mut tx, id, kind, now).await?;
    }
    tx.commit().await?;
    Ok(done)
}

/// Announces something of an account under the name that people know it by.
pub(crate) async fn announce_in(tx: &mut Tx, id: i64, kind: &str, now: i64) -> Result<()> {
    let named: Option<(String,)> = sqlx::query_as("SELECT display FROM accounts WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut **tx)
        .await?;
    let name = named.map(|(name,)| name).unwrap_or_default();
    let said = Announcement::of_account(id, kind, &name, now);
    announcements::announce_in(tx, &said).await
}

/// Ends an application's account with its credential, tokens, links, sessions, tasks, locations and
/// uploads, in one step. `None` when the application has no such account.
pub async fn delete(db: &Db, application: &str, id: i64, now: i64) -> Result<Option<Remains>> {
    let mut tx = db.begin().await?;
    let remains = delete_in(&mut tx, application, id, now).await?;
    tx.commit().await?;
    Ok(remains)
}

pub(crate) async fn delete_in(
    tx: &mut Tx,
    application: &str,
    id: i64,
    now: i64,
) -> Result<Option<Remains>> {
    let named: Option<(String,)> = sqlx::query_as(
        "SELECT display FROM accounts WHERE application = $1 AND id = $2 AND deleted IS NULL",
    )
    .bind(application)
    .bind(id)
    .fetch_optional(&mut **tx)
    .await?;
    let hidden = statement(
        "UPDATE accounts SET deleted = $3, modified = $3, active = 0, settings = '{}', \
         custom_properties = '{}', display = '' \
         WHERE application = $1 AND id = $2 AND deleted IS NULL",
    )
    .bind(application)
    .bind(id)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    if hidden.rows_affected() == 0 {
        return Ok(None);
    }
    let name = named.map(|(name,)| name).unwrap_or_default();
    let said = Announcement::of_account(id, "account.deleted", &name, now);
    announcements::announce_in(tx, &said).await?;
    let tokens: Vec<(String,)> =
        sqlx::query_as("DELETE FROM account_tokens WHERE account = $1 RETURNING hash")
            .bind(id)
            .fetch_all(&mut **tx)
            .await?;
    // Children first: parts, chunks and items point to the rows that follow them.
    for text in [
        "DELETE FROM grants WHERE account = $1",
        "DELETE FROM credentials WHERE account = $1",
        "DELETE FROM authorization_codes WHERE account = $1",
        "DELETE FROM refresh_tokens WHERE account = $1",
        "DELETE FROM links WHERE account = $1",
        "DELETE FROM upload_locations WHERE account = $1",
        "DELETE FROM multipart_parts WHERE session IN \
         (SELECT id FROM multipart_sessions WHERE account = $1)",
        "DELETE FROM drop_chunks WHERE upload IN \
         (SELECT id FROM drop_uploads WHERE account = $1)",
        "DELETE FROM task_items WHERE task IN (SELECT id FROM tasks WHERE account = $1)",
        "DELETE FROM tasks WHERE account = $1",
        "DELETE FROM log_kept WHERE feed IN (SELECT feed FROM subscriptions WHERE account = $1)",
    ] {
        statement(text).bind(id).execute(&mut **tx).await?;
    }
    locations::heal_default(tx, application, now).await?;
    let sessions: Vec<(i64, Option<String>)> =
        sqlx::query_as("DELETE FROM multipart_sessions WHERE account = $1 RETURNING id, native")
            .bind(id)
            .fetch_all(&mut **tx)
            .await?;
    let drops: Vec<(String,)> =
        sqlx::query_as("DELETE FROM drop_uploads WHERE account = $1 RETURNING id")
            .bind(id)
            .fetch_all(&mut **tx)
            .await?;
    Ok(Some(Remains {
        account: id,
        token_hashes: tokens.into_iter().map(|(hash,)| hash).collect(),
        sessions,
        drops: drops.into_iter().map(|(drop,)| drop).collect(),
    }))
}
