//! What a shard's writer commits: events, cursors and state of many accounts in one transaction, with a
//! statement for all rows of a kind instead of one for each.

use crate::announcements;
use crate::db::{Db, Tx};
use crate::error::Result;
use crate::log::{Append, CollectionWrite, Commit, Committed, FeedWrite};
use crate::record::{statement, statement_text};
use crate::rows::{Bounds, pieces, pieces_by, values};

/// What a row takes beside its longest values, as far as it is counted.
const ROW: usize = 128;

/// An append with the position of its first event, and where it is written to.
struct Placed<'a> {
    append: &'a Append,
    position: i64,
    shard: i64,
    slice: i64,
    now: i64,
}

/// Writes one commit. All of it or nothing.
pub async fn commit(db: &Db, commit: &Commit) -> Result<Committed> {
    let done = commit_all(db, std::slice::from_ref(commit)).await?;
    Ok(done.into_iter().next().unwrap_or(Committed::Stale))
}

/// Writes the commits of several shards, one of each at most, in one transaction, so that they share one wait for
/// the disk. When one of them cannot be written, none is: then an answer says `Fenced`, or all of them say
/// `Stale`, which does not tell whose fault it is. Write them one by one to find out.
pub async fn commit_all(db: &Db, commits: &[Commit]) -> Result<Vec<Committed>> {
    let mut tx = db.begin().await?;
    let mut done = advance_shards(db, &mut tx, commits).await?;
    if done.iter().any(|one| !matches!(one, Committed::At(_))) {
        return Ok(done);
    }
    if !write(&mut tx, commits, &done, db.bounds()).await? {
        done.fill(Committed::Stale);
        return Ok(done);
    }
    tx.commit().await?;
    Ok(done)
}

/// Checks the epochs and gives out positions. The rows are locked in the order of their ids, as everyone does who
/// takes several.
async fn advance_shards(db: &Db, tx: &mut Tx, commits: &[Commit]) -> Result<Vec<Committed>> {
    let ids: Vec<i64> = commits.iter().map(|commit| commit.shard).collect();
    let text = format!(
        "SELECT id, epoch, head FROM shards WHERE id IN {} ORDER BY id{}",
        db.dialect().integers("$1"),
        db.dialect().for_update()
    );
    let rows: Vec<(i64, i64, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(text))
        .bind(serde_json::to_string(&ids).unwrap_or_default())
        .fetch_all(&mut **tx)
        .await?;
    let done: Vec<Committed> = commits
        .iter()
        .map(|commit| {
            let held =
                rows.iter().find(|(id, epoch, _)| (*id, *epoch) == (commit.shard, commit.epoch));
            held.map_or(Committed::Fenced, |(_, _, head)| Committed::At(head + 1))
        })
        .collect();
    if done.contains(&Committed::Fenced) {
        return Ok(done);
    }
    for piece in pieces(commits, db.bounds()) {
        let mut query = statement_text(format!(
            "WITH moved (shard, events, day) AS (VALUES {}) UPDATE shards \
             SET head = head + moved.events, slice = moved.day FROM moved WHERE id = moved.shard",
            values(1, piece.len(), 3)
        ));
        for commit in piece {
            query = query.bind(commit.shard).bind(commit.events()).bind(commit.slice);
        }
        query.execute(&mut **tx).await?;
    }
    Ok(done)
}

/// Writes what the shards bring. `false` when a feed or collection is not what it was taken for.
async fn write(
    tx: &mut Tx,
    commits: &[Commit],
    firsts: &[Committed],
    bounds: Bounds,
) -> Result<bool> {
    let mut placed = Vec::new();
    let mut opened: Vec<(i64, i64, i64)> = Vec::new();
    for (commit, first) in commits.iter().zip(firsts) {
        let Committed::At(first) = *first else { return Ok(false) };
        let mut position = first;
        for append in &commit.appends {
            let Commit { shard, slice, now, .. } = *commit;
            placed.push(Placed { append, position, shard, slice, now });
            position += append.events;
        }
        if commit.appends.iter().any(|append| append.opens) {
            opened.push((commit.shard, commit.slice, first));
        }
    }
    if !move_heads(tx, &placed, bounds).await? {
        return Ok(false);
    }
    insert_rows(tx, &placed, bounds).await?;
    note_opened(tx, &placed, &opened, bounds).await?;
    let collections: Vec<&CollectionWrite> =
        commits.iter().flat_map(|commit| &commit.collections).collect();
    if !write_collections(tx, &collections, bounds).await? {
        return Ok(false);
    }
    for (account, id) in commits.iter().flat_map(|commit| &commit.gone) {
        forget_collection(tx, *account, id).await?;
    }
    for said in commits.iter().flat_map(|commit| &commit.taken) {
        if !announcements::take_in(tx, said).await? {
            return Ok(false);
        }
    }
    let feeds: Vec<&FeedWrite> = commits.iter().flat_map(|commit| &commit.feeds).collect();
    write_feeds(tx, &feeds, bounds).await?;
    Ok(true)
}

async fn move_heads(tx: &mut Tx, placed: &[Placed<'_>], bounds: Bounds) -> Result<bool> {
    for piece in pieces(placed, bounds) {
        let mut query = statement_text(format!(
            "WITH grown (of_feed, old, events) AS (VALUES {}) UPDATE subscriptions \
             SET head = head + grown.events FROM grown \
             WHERE feed = grown.of_feed AND head = grown.old AND deleted IS NULL",
            values(1, piece.len(), 3)
        ));
        for Placed { append, .. } in piece {
            query = query.bind(append.feed).bind(append.head).bind(append.events);
        }
        if query.execute(&mut **tx).await?.rows_affected() != piece.len() as u64 {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn insert_rows(tx: &mut Tx, placed: &[Placed<'_>], bounds: Bounds) -> Result<()> {
    for of_slice in placed.chunk_by(|one, other| one.slice == other.slice) {
        let slice = of_slice.first().map_or(0, |one| one.slice);
        for piece in pieces_by(of_slice, bounds, |one| ROW + one.append.body.len()) {
            let mut query = statement_text(format!(
                "INSERT INTO log_rows_{slice} (shard, position, events, feed, sequence, at, body) \
                 VALUES {}",
                values(1, piece.len(), 7)
            ));
            for Placed { append, position, shard, now, .. } in piece {
                query = query
                    .bind(*shard)
                    .bind(*position)
                    .bind(append.events)
                    .bind(append.feed)
                    .bind(append.head + 1)
                    .bind(*now)
                    .bind(append.body.as_slice());
            }
            query.execute(&mut **tx).await?;
        }
    }
    Ok(())
}

/// Notes where feeds and shards begin in a slice.
async fn note_opened(
    tx: &mut Tx,
    placed: &[Placed<'_>],
    shards: &[(i64, i64, i64)],
    bounds: Bounds,
) -> Result<()> {
    let feeds: Vec<(i64, i64, i64)> = placed
        .iter()
        .filter(|one| one.append.opens)
        .map(|one| (one.append.feed, one.slice, one.append.head + 1))
        .collect();
    for (table, first, rows) in [
        ("log_feeds (feed", "sequence", feeds.as_slice()),
        ("log_shards (shard", "position", shards),
    ] {
        for piece in pieces(rows, bounds) {
            let mut query = statement_text(format!(
                "INSERT INTO {table}, slice, {first}) VALUES {} ON CONFLICT DO NOTHING",
                values(1, piece.len(), 3)
            ));
            for (id, slice, start) in piece {
                query = query.bind(*id).bind(*slice).bind(*start);
            }
            query.execute(&mut **tx).await?;
        }
    }
    Ok(())
}

async fn write_collections(
    tx: &mut Tx,
    writes: &[&CollectionWrite],
    bounds: Bounds,
) -> Result<bool> {
    let (new, known): (Vec<&CollectionWrite>, Vec<&CollectionWrite>) =
        writes.iter().partition(|write| write.expected.is_none());
    let bytes = |write: &&CollectionWrite| {
        let row = &write.row;
        let cursor = row.cursor.as_ref().map_or(0, String::len);
        ROW + cursor + row.manifest.len() + row.progress.len()
    };
    for piece in pieces_by(&new, bounds, bytes) {
        let mut query = statement_text(format!(
            "INSERT INTO collections (account, id, root, generation, cursor, manifest, progress, \
             modified, name) VALUES {} ON CONFLICT (account, id) DO NOTHING",
            values(1, piece.len(), 9)
        ));
        for CollectionWrite { row, .. } in piece {
            query = query
                .bind(row.account)
                .bind(row.id.as_str())
                .bind(row.root.as_str())
                .bind(row.generation)
                .bind(row.cursor.as_deref())
                .bind(row.manifest.as_slice())
                .bind(row.progress.as_slice())
                .bind(row.modified)
                .bind(row.name.as_deref());
        }
        if query.execute(&mut **tx).await?.rows_affected() != piece.len() as u64 {
            return Ok(false);
        }
    }
    for piece in pieces_by(&known, bounds, bytes) {
        let mut query = statement_text(format!(
            "WITH fresh (of_account, of_id, expected, generation, cursor, manifest, progress, \
             modified, root) AS (VALUES {}) UPDATE collections SET \
             generation = fresh.generation, cursor = fresh.cursor, manifest = fresh.manifest, \
             progress = fresh.progress, modified = fresh.modified, root = fresh.root FROM fresh \
             WHERE account = fresh.of_account AND id = fresh.of_id \
             AND collections.generation = fresh.expected",
            values(1, piece.len(), 9)
        ));
        for CollectionWrite { row, expected, .. } in piece {
            query = query
                .bind(row.account)
                .bind(row.id.as_str())
                .bind(expected.unwrap_or(0))
                .bind(row.generation)
                .bind(row.cursor.as_deref())
                .bind(row.manifest.as_slice())
                .bind(row.progress.as_slice())
                .bind(row.modified)
                .bind(row.root.as_str());
        }
        if query.execute(&mut **tx).await?.rows_affected() != piece.len() as u64 {
            return Ok(false);
        }
    }
    for write in writes.iter().filter(|write| write.forget_changes) {
        statement("DELETE FROM state_changes WHERE account = $1 AND collection = $2")
            .bind(write.row.account)
            .bind(write.row.id.as_str())
            .execute(&mut **tx)
            .await?;
    }
    insert_changes(tx, writes, bounds).await?;
    write_blocks(tx, writes).await?;
    Ok(true)
}

async fn insert_changes(tx: &mut Tx, writes: &[&CollectionWrite], bounds: Bounds) -> Result<()> {
    let changes: Vec<_> = writes
        .iter()
        .filter_map(|write| write.change.as_ref().map(|change| (&write.row, change)))
        .collect();
    for piece in pieces_by(&changes, bounds, |(_, (_, data))| ROW + data.len()) {
        let mut query = statement_text(format!(
            "INSERT INTO state_changes (account, collection, number, data) VALUES {}",
            values(1, piece.len(), 4)
        ));
        for (row, (number, data)) in piece {
            query =
                query.bind(row.account).bind(row.id.as_str()).bind(*number).bind(data.as_slice());
        }
        query.execute(&mut **tx).await?;
    }
    Ok(())
}

async fn write_blocks(tx: &mut Tx, writes: &[&CollectionWrite]) -> Result<()> {
    for write in writes {
        let row = &write.row;
        for id in &write.drop {
            statement(
                "DELETE FROM state_blocks WHERE account = $1 AND collection = $2 AND id = $3",
            )
            .bind(row.account)
            .bind(row.id.as_str())
            .bind(id.as_str())
            .execute(&mut **tx)
            .await?;
        }
        for (id, data) in &write.put {
            statement(
                "INSERT INTO state_blocks (account, collection, id, data) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (account, collection, id) DO NOTHING",
            )
            .bind(row.account)
            .bind(row.id.as_str())
            .bind(id.as_str())
            .bind(data.as_slice())
            .execute(&mut **tx)
            .await?;
        }
    }
    Ok(())
}

async fn forget_collection(tx: &mut Tx, account: i64, id: &str) -> Result<()> {
    for text in [
        "DELETE FROM collections WHERE account = $1 AND id = $2",
        "DELETE FROM state_blocks WHERE account = $1 AND collection = $2",
        "DELETE FROM state_changes WHERE account = $1 AND collection = $2",
    ] {
        statement(text).bind(account).bind(id).execute(&mut **tx).await?;
    }
    Ok(())
}

async fn write_feeds(tx: &mut Tx, feeds: &[&FeedWrite], bounds: Bounds) -> Result<()> {
    for piece in pieces(feeds, bounds) {
        let mut query = statement_text(format!(
            "WITH polled (of_account, learnt, at) AS (VALUES {}) UPDATE feeds \
             SET schedule = COALESCE(polled.learnt, schedule), synced = polled.at FROM polled \
             WHERE account = polled.of_account",
            values(1, piece.len(), 3)
        ));
        for feed in piece {
            query = query.bind(feed.account).bind(feed.schedule.as_deref()).bind(feed.synced);
        }
        query.execute(&mut **tx).await?;
    }
    Ok(())
}
