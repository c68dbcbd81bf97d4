//! An application's own OAuth clients at services.

use serde_json::Value;

use crate::db::Db;
use crate::error::Result;
use crate::record::{flag, json, record, select, statement};

record! {
    /// One OAuth client.
    pub struct ServiceKey {
        /// Random id.
        pub id: String,
        /// Whose it is.
        pub application: String,
        /// The service it is registered at.
        pub service: String,
        /// Whether it asks for organisation-wide access.
        pub admin: bool,
        /// The client id at the service.
        pub client_id: String,
        /// The client secret, sealed; `None` for public clients.
        pub sealed: Option<Vec<u8>>,
        /// The data key that seals it.
        pub key_id: Option<String>,
        /// Counts the sealings, for compare-and-swap.
        pub version: i64,
        /// Scopes to ask for, a JSON list; `None` is the connector's default.
        pub scopes: Option<Value>,
        /// When it was made.
        pub created: i64,
        /// When it was last changed.
        pub modified: i64,
    }
}

/// Adds a service key. `Taken` when the application has one for this service and access.
pub async fn insert(db: &Db, row: &ServiceKey) -> Result<()> {
    statement(
        "INSERT INTO service_keys (id, application, service, admin, client_id, sealed, key_id, \
         version, scopes, created, modified) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(row.id.as_str())
    .bind(row.application.as_str())
    .bind(row.service.as_str())
    .bind(flag(row.admin))
    .bind(row.client_id.as_str())
    .bind(row.sealed.clone())
    .bind(row.key_id.as_deref())
    .bind(row.version)
    .bind(row.scopes.as_ref().map(json))
    .bind(row.created)
    .bind(row.modified)
    .execute(db.writer())
    .await?;
    Ok(())
}

/// An application's service keys, oldest first.
pub async fn list(db: &Db, application: &str) -> Result<Vec<ServiceKey>> {
    let query = select("FROM service_keys WHERE application = $1 ORDER BY created, id");
    Ok(query.bind(application).fetch_all(db.reader()).await?)
}

/// One service key of an application.
pub async fn find(db: &Db, application: &str, id: &str) -> Result<Option<ServiceKey>> {
    let query = select("FROM service_keys WHERE application = $1 AND id = $2");
    Ok(query.bind(application).bind(id).fetch_optional(db.reader()).await?)
}

/// Writes every changeable column, when `row.version` is still the stored one; counts it up.
pub async fn update(db: &Db, row: &ServiceKey) -> Result<bool> {
    let done = statement(
        "UPDATE service_keys SET client_id = $3, sealed = $4, key_id = $5, scopes = $6, \
         modified = $7, version = version + 1 \
         WHERE application = $1 AND id = $2 AND version = $8",
    )
    .bind(row.application.as_str())
    .bind(row.id.as_str())
    .bind(row.client_id.as_str())
    .bind(row.sealed.clone())
    .bind(row.key_id.as_deref())
    .bind(row.scopes.as_ref().map(json))
    .bind(row.modified)
    .bind(row.version)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes a service key.
pub async fn delete(db: &Db, application: &str, id: &str) -> Result<bool> {
    let done = statement("DELETE FROM service_keys WHERE application = $1 AND id = $2")
        .bind(application)
        .bind(id)
        .execute(db.writer())
        .await?;
    Ok(done.rows_affected() == 1)
}
