//! Tokens revoked (RFC 7009) and looked at (RFC 7662), by the client that they were given to.

use tramontane_model::AccountId;
use tramontane_store::{authorizations, tokens};
use tramontane_vault::hash;

use super::{Client, Fault};
use crate::directory::Directory;

/// What a token is, told to its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introspection {
    /// `Bearer` for account tokens; `None` for refresh tokens.
    pub token_type: Option<&'static str>,
    /// What it opens.
    pub account: i64,
    /// What was asked for.
    pub scope: String,
    /// The access list; `None` is everything.
    pub access: Option<String>,
    /// When it was made, in microseconds.
    pub created: i64,
    /// When it ends, in microseconds.
    pub expires: Option<i64>,
}

impl Directory {
    /// Ends a token, and with it all that one authorization gave. Tokens that are unknown, or another
    /// client's, are left alone, without a word (RFC 7009, section 2.2).
    ///
    /// # Errors
    /// Those of the database.
    pub async fn revoke_for(&self, client: &Client, value: &str) -> Result<(), Fault> {
        let hash = hash(value);
        if let Some(row) = authorizations::find_refresh(&self.0.db, &hash).await? {
            if row.application == client.application.id {
                self.end_family(&row.family).await?;
            }
            return Ok(());
        }
        let Some(row) = tokens::find_by_hash(&self.0.db, &hash).await? else { return Ok(()) };
        let Some(account) = AccountId::new(row.account) else { return Ok(()) };
        let opened = self.open(account).await?;
        if opened.is_some_and(|opened| opened.row.application == client.application.id) {
            match self.revoke_token(account, &row.id).await {
                // Someone else was faster.
                Ok(()) | Err(crate::Error::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// What a token is; `None` when it is not good, or another client's.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn introspect(
        &self,
        client: &Client,
        value: &str,
    ) -> Result<Option<Introspection>, Fault> {
        let (hash, now) = (hash(value), self.now());
        if let Some(row) = authorizations::find_refresh(&self.0.db, &hash).await? {
            let good = row.application == client.application.id
                && row.spent.is_none()
                && row.expires > now;
            return Ok(good.then_some(Introspection {
                token_type: None,
                account: row.account,
                scope: row.scope,
                access: row.access,
                created: row.created,
                expires: Some(row.expires),
            }));
        }
        let Some(row) = tokens::find_by_hash(&self.0.db, &hash).await? else { return Ok(None) };
        let Some(account) = AccountId::new(row.account) else { return Ok(None) };
        let opened = self.open(account).await?;
        let own = opened.is_some_and(|opened| {
            opened.row.application == client.application.id && opened.row.active
        });
        let good = own && row.expires.is_none_or(|expires| expires > now);
        Ok(good.then_some(Introspection {
            token_type: Some("Bearer"),
            account: row.account,
            scope: row.scope,
            access: row.access,
            created: row.created,
            expires: row.expires,
        }))
    }
}
