//! What happened to accounts besides what their services tell. An announcement is written in the transaction that
//! makes it so, and goes in the commit that puts its event into the log: so that each is told once.

use serde_json::Value;

use crate::db::{Db, Tx};
use crate::error::Result;
use crate::record::{json, record, select, statement};

record! {
    /// Something that the account's feed shall tell.
    pub struct Announcement {
        /// The account.
        pub account: i64,
        /// When it happened.
        pub at: i64,
        /// What: `account.connected`, `task.completed` and so on (wire API, section 50.3).
        pub kind: String,
        /// The id of what it is about.
        pub subject: String,
        /// What people know that by.
        pub name: String,
        /// What else is known of it.
        pub details: Value,
    }
}

impl Announcement {
    /// Something that happened to the account itself.
    #[must_use]
    pub fn of_account(account: i64, kind: &str, name: &str, at: i64) -> Self {
        Self {
            account,
            at,
            kind: kind.to_owned(),
            subject: account.to_string(),
            name: name.to_owned(),
            details: Value::Null,
        }
    }
}

pub(crate) async fn announce_in(tx: &mut Tx, said: &Announcement) -> Result<()> {
    // The same twice in one microsecond is one thing.
    statement(
        "INSERT INTO announcements (account, at, kind, subject, name, details) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account, at, kind, subject) DO NOTHING",
    )
    .bind(said.account)
    .bind(said.at)
    .bind(said.kind.as_str())
    .bind(said.subject.as_str())
    .bind(said.name.as_str())
    .bind(json(&said.details))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Up to `limit` that wait, of accounts after `after`, by account and then the oldest first.
pub async fn waiting(db: &Db, after: i64, limit: i64) -> Result<Vec<Announcement>> {
    let query = select(
        "FROM announcements WHERE account > $1 ORDER BY account, at, kind, subject LIMIT $2",
    );
    Ok(query.bind(after).bind(limit).fetch_all(db.reader()).await?)
}

/// Takes one; `false` when it was taken before.
pub(crate) async fn take_in(tx: &mut Tx, said: &Announcement) -> Result<bool> {
    let done = statement(
        "DELETE FROM announcements WHERE account = $1 AND at = $2 AND kind = $3 AND subject = $4",
    )
    .bind(said.account)
    .bind(said.at)
    .bind(said.kind.as_str())
    .bind(said.subject.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
