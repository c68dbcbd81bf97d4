//! The request log: what came in lately, for operators and for the portal.

use crate::db::{Db, Tx};
use crate::error::Result;
use crate::journal::Entry;
use crate::record::{record, select, statement, statement_text};

record! {
    /// One request.
    pub struct LoggedRequest {
        /// The request id.
        pub id: String,
        /// When it came.
        pub at: i64,
        /// The application it was for.
        pub application: Option<String>,
        /// The account it was for.
        pub account: Option<i64>,
        /// The HTTP method.
        pub method: String,
        /// The route's pattern; never the path, which may hold names and secrets.
        pub route: String,
        /// The HTTP status.
        pub status: i64,
        /// The `error_code` of a bad answer.
        pub error_code: Option<String>,
        /// The service that was asked.
        pub service: Option<String>,
        /// How long it took.
        pub duration_us: i64,
        /// Bytes of the request's body.
        pub bytes_in: i64,
        /// Bytes of the answer's body.
        pub bytes_out: i64,
        /// Where it came from.
        pub client: Option<String>,
    }
}

const COLUMNS: usize = 13;
/// Rows of one statement. Few: SQLite looks every parameter's name up in the list of all names, so that
/// a statement costs the square of its parameters; with 200 rows that was a fifth of a busy server.
const ROWS: usize = 16;

pub(crate) async fn insert_in(tx: &mut Tx, entries: &[Entry]) -> Result<()> {
    for rows in entries.chunks(ROWS) {
        let mut query = statement_text(insert_text(rows.len()));
        for row in rows {
            query = query
                .bind(row.id.as_str())
                .bind(row.at)
                .bind(row.application.as_deref())
                .bind(row.account)
                .bind(row.method.as_str())
                .bind(row.route.as_str())
                .bind(i64::from(row.status))
                .bind(row.error_code.as_deref())
                .bind(row.service.as_deref())
                .bind(row.duration_us)
                .bind(row.bytes_in)
                .bind(row.bytes_out)
                .bind(row.client.as_deref());
        }
        // Batches differ in length; keeping a prepared statement for each would push out the others.
        let persistent = rows.len() == ROWS;
        query.persistent(persistent).execute(&mut **tx).await?;
    }
    Ok(())
}

fn insert_text(rows: usize) -> String {
    let mut text = String::from(
        "INSERT INTO request_log (id, at, application, account, method, route, status, \
         error_code, service, duration_us, bytes_in, bytes_out, client) VALUES ",
    );
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 1..=COLUMNS {
            let comma = if column == 1 { "" } else { ", " };
            text.push_str(&format!("{comma}${}", row * COLUMNS + column));
        }
        text.push(')');
    }
    // A batch that is written again after a lost answer must not fail on its own rows.
    text.push_str(" ON CONFLICT (id) DO NOTHING");
    text
}

/// An application's requests before a moment, newest first.
pub async fn list(
    db: &Db,
    application: &str,
    before: i64,
    limit: i64,
) -> Result<Vec<LoggedRequest>> {
    let query =
        select("FROM request_log WHERE application = $1 AND at < $2 ORDER BY at DESC, id LIMIT $3");
    Ok(query.bind(application).bind(before).bind(limit).fetch_all(db.reader()).await?)
}

/// Deletes up to `limit` requests that came before a moment; gives how many.
pub async fn prune(db: &Db, before: i64, limit: i64) -> Result<u64> {
    let done = statement(
        "DELETE FROM request_log WHERE id IN \
         (SELECT id FROM request_log WHERE at < $1 ORDER BY at LIMIT $2)",
    )
    .bind(before)
    .bind(limit)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected())
}
