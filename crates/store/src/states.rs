//! What is known of accounts, for readers: everything about one account as one commit left it.
//!
//! Readers lock nothing and write nothing. Blocks are read after the transaction that told of them, so one may
//! have been replaced meanwhile: then the reader begins again.

use crate::db::Db;
use crate::error::Result;
use crate::feeds::{Collection, Feed, Subscription};
use crate::record::select;

/// The most blocks of one statement.
pub const MAX_BLOCKS: usize = 64;

/// An account's feed, the place of its newest event, and what was known then.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Whether it is followed.
    pub feed: Feed,
    /// Its default subscription, living, with its head; `None` when there is none.
    pub subscription: Option<Subscription>,
    /// What is known: collections with the changes over their blocks, in order.
    pub collections: Vec<(Collection, Vec<Vec<u8>>)>,
}

/// How an account stands, read from one snapshot of the database; `None` when it is not followed.
pub async fn standing(db: &Db, account: i64) -> Result<Option<Standing>> {
    let mut tx = db.begin_reading().await?;
    let feed: Option<Feed> =
        select("FROM feeds WHERE account = $1").bind(account).fetch_optional(&mut *tx).await?;
    let Some(feed) = feed else { return Ok(None) };
    let subscription = select::<Subscription>(
        "FROM subscriptions WHERE account = $1 AND is_default = 1 AND deleted IS NULL",
    );
    let subscription = subscription.bind(account).fetch_optional(&mut *tx).await?;
    let rows: Vec<Collection> = select("FROM collections WHERE account = $1 ORDER BY id")
        .bind(account)
        .fetch_all(&mut *tx)
        .await?;
    let changes: Vec<(String, Vec<u8>)> = sqlx::query_as(
        "SELECT collection, data FROM state_changes WHERE account = $1 \
         ORDER BY collection, number",
    )
    .bind(account)
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    let mut collections: Vec<_> = rows.into_iter().map(|row| (row, Vec::new())).collect();
    for (id, data) in changes {
        if let Some((_, over)) = collections.iter_mut().find(|(row, _)| row.id == id) {
            over.push(data);
        }
    }
    Ok(Some(Standing { feed, subscription, collections }))
}

/// Some blocks of a collection, at most [`MAX_BLOCKS`], by id. Those that are gone are missing.
pub async fn blocks(
    db: &Db,
    account: i64,
    collection: &str,
    ids: &[String],
) -> Result<Vec<(String, Vec<u8>)>> {
    let ids = ids.get(..MAX_BLOCKS).unwrap_or(ids);
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<String> = (3..ids.len() + 3).map(|number| format!("${number}")).collect();
    let text = format!(
        "SELECT id, data FROM state_blocks WHERE account = $1 AND collection = $2 AND id IN ({})",
        places.join(", ")
    );
    let mut query = sqlx::query_as(sqlx::AssertSqlSafe(text)).bind(account).bind(collection);
    for id in ids {
        query = query.bind(id.as_str());
    }
    Ok(query.fetch_all(db.reader()).await?)
}
