//! Sealing: rows of the log that are not new any more become compressed blocks.

use std::collections::BTreeMap;

use tramontane_activity::segment::{self, Group};
use tramontane_store::Db;
use tramontane_store::log::{self, Piece, Place};

use crate::error::Result;

/// The most events of one block.
const BLOCK: i64 = 4_096;
/// Fewer are not sealed while their day goes on.
const WORTH: i64 = 512;
/// Rows are left alone for so long, in microseconds: most readers want them.
const RECENT: i64 = 600_000_000;

/// Seals what can be sealed of one shard; gives the number of events.
///
/// # Errors
/// Those of the database; damage.
pub async fn seal(db: &Db, shard: i64, epoch: i64, now: i64) -> Result<i64> {
    let mut sealed = 0;
    let today = log::slice_of(now);
    for slice in log::slices(db).await? {
        loop {
            let rows = log::to_seal(db, shard, slice, now - RECENT, BLOCK).await?;
            let events: i64 = rows.iter().map(|row| row.events).sum();
            if events == 0 || (events < WORTH && slice >= today) {
                break;
            }
            let (block, places) = block(shard, &rows)?;
            if !log::seal(db, epoch, slice, &block, &places).await? {
                return Ok(sealed);
            }
            sealed += events;
        }
    }
    Ok(sealed)
}

/// One block of rows that follow each other.
fn block(shard: i64, rows: &[Piece]) -> Result<(Piece, Vec<Place>)> {
    let mut groups: Vec<Group> = Vec::new();
    for row in rows {
        for group in segment::decode(&row.body)? {
            groups.push(Group { position: row.position, at: row.at, ..group });
        }
    }
    groups.sort_by_key(|group| (group.feed, group.sequence));
    let mut places: BTreeMap<i64, Place> = BTreeMap::new();
    for group in &groups {
        let events = i64::try_from(group.events.len()).unwrap_or(i64::MAX);
        let first = Place { feed: group.feed, sequence: group.sequence, events: 0 };
        places.entry(group.feed).or_insert(first).events += events;
    }
    let piece = Piece {
        shard,
        position: rows.first().map_or(0, |row| row.position),
        events: rows.iter().map(|row| row.events).sum(),
        at: rows.iter().map(|row| row.at).max().unwrap_or(0),
        body: segment::seal(&groups),
    };
    Ok((piece, places.into_values().collect()))
}
