//! Where an application's pages live: redirect URIs and trusted domains.

use crate::db::Db;
use crate::error::Result;
use crate::record::{record, select, statement};

record! {
    /// An address that the connect handshake may return to.
    pub struct RedirectUri {
        /// Random id.
        pub id: String,
        /// Whose it is.
        pub application: String,
        /// The address.
        pub url: String,
        /// When it was made.
        pub created: i64,
        /// When it was last changed.
        pub modified: i64,
    }
}

record! {
    /// An origin that the application's pages are served from.
    pub struct TrustedDomain {
        /// Random id.
        pub id: String,
        /// Whose it is.
        pub application: String,
        /// `host`, `host:port`, or either with a scheme.
        pub domain: String,
        /// When it was made.
        pub created: i64,
        /// When it was last changed.
        pub modified: i64,
    }
}

/// Adds a redirect URI.
pub async fn insert_redirect(db: &Db, row: &RedirectUri) -> Result<()> {
    statement(
        "INSERT INTO redirect_uris (id, application, url, created, modified) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(row.id.as_str())
    .bind(row.application.as_str())
    .bind(row.url.as_str())
    .bind(row.created)
    .bind(row.modified)
    .execute(db.writer())
    .await?;
    Ok(())
}

/// An application's redirect URIs, oldest first.
pub async fn list_redirects(db: &Db, application: &str) -> Result<Vec<RedirectUri>> {
    let query = select("FROM redirect_uris WHERE application = $1 ORDER BY created, id");
    Ok(query.bind(application).fetch_all(db.reader()).await?)
}

/// One redirect URI of an application.
pub async fn find_redirect(db: &Db, application: &str, id: &str) -> Result<Option<RedirectUri>> {
    let query = select("FROM redirect_uris WHERE application = $1 AND id = $2");
    Ok(query.bind(application).bind(id).fetch_optional(db.reader()).await?)
}

/// Deletes a redirect URI.
pub async fn delete_redirect(db: &Db, application: &str, id: &str) -> Result<bool> {
    let done = statement("DELETE FROM redirect_uris WHERE application = $1 AND id = $2")
        .bind(application)
        .bind(id)
        .execute(db.writer())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Adds a trusted domain.
pub async fn insert_domain(db: &Db, row: &TrustedDomain) -> Result<()> {
    statement(
        "INSERT INTO trusted_domains (id, application, domain, created, modified) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(row.id.as_str())
    .bind(row.application.as_str())
    .bind(row.domain.as_str())
    .bind(row.created)
    .bind(row.modified)
    .execute(db.writer())
    .await?;
    Ok(())
}

/// An application's trusted domains, oldest first.
pub async fn list_domains(db: &Db, application: &str) -> Result<Vec<TrustedDomain>> {
    let query = select("FROM trusted_domains WHERE application = $1 ORDER BY created, id");
    Ok(query.bind(application).fetch_all(db.reader()).await?)
}

/// One trusted domain of an application.
pub async fn find_domain(db: &Db, application: &str, id: &str) -> Result<Option<TrustedDomain>> {
    let query = select("FROM trusted_domains WHERE application = $1 AND id = $2");
    Ok(query.bind(application).bind(id).fetch_optional(db.reader()).await?)
}

/// Deletes a trusted domain.
pub async fn delete_domain(db: &Db, application: &str, id: &str) -> Result<bool> {
    let done = statement("DELETE FROM trusted_domains WHERE application = $1 AND id = $2")
        .bind(application)
        .bind(id)
        .execute(db.writer())
        .await?;
    Ok(done.rows_affected() == 1)
}
