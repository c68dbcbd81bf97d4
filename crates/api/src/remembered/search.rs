//! Search by what is remembered, for services that cannot search themselves.

use tokio::time::Instant;
use tramontane_connector::storage::SearchQuery;
use tramontane_connector::{Entry, Storage as _};
use tramontane_feeds::state::Search;
use tramontane_model::{Code, Op};

use super::{fills, present};
use crate::account::Account;
use crate::problem::{Answer, Problem};

/// Hits whose metadata is asked for in one page.
const MAX_HITS: usize = 200;
/// Marks cursors of this search among those of walks, which are JSON objects.
const MARK: &str = "~";

/// A page of a search and where it goes on; `None` when what is remembered does not do, and a walk must.
///
/// # Errors
/// `invalid_parameters` when a search that was begun cannot go on; the service's; `gateway_timeout`.
pub(crate) async fn search(
    account: &Account,
    query: &SearchQuery,
    cursor: Option<&str>,
    limit: usize,
) -> Answer<Option<(Vec<Entry>, Option<String>)>> {
    let storage = account.storage_for(Op::SearchName)?;
    let ids_are_paths = !storage.abilities(&account.opened.account).semantics.stable_ids;
    // What a credential is limited to may have changed since: only where ids are paths do they tell it.
    if !fills(account, Op::SearchName)? || (account.places().is_some() && !ids_are_paths) {
        return Ok(None);
    }
    let lost = || Problem::invalid("page", "is of a search that cannot go on; start again");
    let mut at = match cursor.map(|cursor| cursor.strip_prefix(MARK)) {
        None => None,
        Some(None) => return Ok(None),
        Some(Some(cursor)) => Some(serde_json::from_str(cursor).map_err(|_| lost())?),
    };
    let cx = account.cx();
    let words = query.text.to_lowercase();
    loop {
        let until = Instant::now() + cx.time_left() / 3;
        let begun = at.is_some();
        let limit = limit.clamp(1, MAX_HITS);
        let asked =
            Search { text: query.text.clone(), below: query.below.clone(), at, limit, until };
        let found = account.app().states().search(account.id().number(), &asked).await?;
        let Some(found) = found else {
            return if begun { Err(lost()) } else { Ok(None) };
        };
        let of = found.hits.iter().map(|hit| hit.of.clone()).collect();
        let enough = Instant::now() + cx.time_left() / 2;
        let (mut entries, looked_at) = present(storage, &cx, of, enough).await?;
        entries.retain(|entry| entry.name.to_lowercase().contains(&words));
        let next = match found.hits.get(looked_at.saturating_sub(1)) {
            // There was no time for all of them.
            Some(last) if looked_at < found.hits.len() => Some(last.after.clone()),
            _ => found.next,
        };
        match next {
            Some(next) if entries.is_empty() => at = Some(next),
            Some(next) => {
                let cursor = serde_json::to_string(&next).map_err(Problem::internal)?;
                return Ok(Some((entries, Some(format!("{MARK}{cursor}")))));
            }
            None => return Ok(Some((entries, None))),
        }
        if cx.time_left().is_zero() {
            let text = "Nothing was found in the time that there was.";
            return Err(Problem::new(Code::GatewayTimeout, text));
        }
    }
}
