//! Recent files by the newest events, for services that have no list of them.

use tramontane_connector::Entry;
use tramontane_model::{Op, Timestamp};

use super::fills;
use crate::account::Account;
use crate::problem::Answer;

/// The files that changed last, at most `most` of those that count, by what was noticed; `None` when a walk must
/// find them. Their metadata is what it was when they were noticed last.
///
/// What was noticed tells all that changed since some moment. That is the answer when the question goes back no
/// further, or when so many files changed since that no others can be among the newest. Else a walk tells more, unless
/// there is too much to walk through.
///
/// # Errors
/// Those of the database.
pub(crate) async fn recent(
    account: &Account,
    after: Option<Timestamp>,
    most: usize,
) -> Answer<Option<Vec<Entry>>> {
    if !fills(account, Op::RecentList)? || !account.application()?.events_enabled {
        return Ok(None);
    }
    let app = account.app();
    // Files that were moved or renamed are among them, so some more are looked for.
    let found = app.states().recent(app.log(), account.id().number(), most * 2).await?;
    let Some(found) = found else { return Ok(None) };
    let since = Timestamp::from_micros(found.since);
    let newer = |entry: &&Entry| entry.modified.is_some_and(|modified| modified > since);
    let settled = after.is_some_and(|after| after >= since)
        || found.files.iter().filter(newer).count() >= most;
    let walkable = found.items <= account.storage()?.ceilings().walk_items;
    Ok((settled || !walkable).then_some(found.files))
}
