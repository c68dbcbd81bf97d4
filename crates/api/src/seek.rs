//! Finding what a broken-off request may have made: by name, size and time.

use tramontane_connector::place::free_name;
use tramontane_connector::{Cx, Entry, Place, Storage as _};
use tramontane_fill::Filled;
use tramontane_model::Timestamp;

use crate::problem::Answer;

/// Clocks of services may be so far behind ours.
const SKEW_SECONDS: i64 = 60;
/// So many names that "keep both" could have chosen are looked at.
const MAX_NAMES: u32 = 20;

/// What was found.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing that the request could have made.
    Nothing,
    /// What it made.
    This(Box<Entry>),
    /// Something of the right name and size, but whether the request made it cannot be told.
    Unclear,
}

/// Looks for what a request made at this place since then, under the name asked for or one of those
/// that it would have got beside it. `size` is that of the content, when it is known.
pub(crate) async fn made_since(
    storage: &Filled,
    cx: &Cx,
    at: &Place,
    size: Option<u64>,
    since: Timestamp,
) -> Answer<Found> {
    let since = since.plus_seconds(-SKEW_SECONDS);
    let mut unclear = false;
    for n in 0..=MAX_NAMES {
        let name = match n {
            0 => at.name.clone(),
            n => free_name(&at.name, n, false),
        };
        let place = Place::new(at.parent.clone(), name);
        let Some(entry) = storage.child(cx, &place).await? else { break };
        if entry.is_folder() || (size.is_some() && entry.size != size) {
            continue;
        }
        match entry.created.or(entry.modified) {
            Some(made) if made >= since => return Ok(Found::This(Box::new(entry))),
            Some(_) => {}
            None => unclear = true,
        }
    }
    Ok(if unclear { Found::Unclear } else { Found::Nothing })
}
