//! What the feed remembers of an account, in the place of walks through it: names, recent files, sizes of folders.
//!
//! What is remembered says which objects there are; what is shown of them is asked of the service, a few at once.
//! Whatever is not remembered, or not sure, is left to the walks of the `fill` crate.

mod recent;
mod search;
mod size;

use std::pin::pin;

use futures::StreamExt as _;
use futures::stream;
use http::StatusCode;
use tokio::time::Instant;
use tramontane_connector::{Cx, Entry, EntryRef, Kind, Storage as _};
use tramontane_fill::Filled;
use tramontane_model::{Op, Support};

use crate::account::Account;
use crate::problem::Answer;
use crate::route::{Routes, get};

pub(crate) use recent::recent;
pub(crate) use search::search;

/// So many objects are asked for at once.
const TOGETHER: usize = 8;

/// The routes.
pub(crate) fn routes() -> Routes {
    Routes::default().at(
        "/v1/accounts/{account}/storage/folders/{folder}/size",
        [get("getFolderSize", size::retrieve)
            .says("How much lies in a folder and below it.")
            .gives::<size::FolderSize>(StatusCode::OK)],
    )
}

/// Whether an operation is emulated for this account, and the account is read as itself: only then is what is
/// remembered of it what it shows.
fn fills(account: &Account, op: Op) -> Answer<bool> {
    Ok(account.as_user().is_none() && matches!(account.support(op)?, Support::Emulated(_)))
}

/// The present metadata of objects, in their order, those that are gone or hidden left out, until it is `enough`;
/// with how many were looked at.
///
/// # Errors
/// The service's.
pub(crate) async fn present(
    storage: &Filled,
    cx: &Cx,
    of: Vec<EntryRef>,
    enough: Instant,
) -> Answer<(Vec<Entry>, usize)> {
    let asked = of.into_iter().map(|of| async move { storage.get(cx, &of).await });
    let mut answers = pin!(stream::iter(asked).buffered(TOGETHER));
    let (mut entries, mut looked_at) = (Vec::new(), 0);
    while let Some(answer) = answers.next().await {
        looked_at += 1;
        match answer {
            Ok(entry) => entries.extend(Some(entry).filter(|entry| entry.trashed.is_none())),
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::Forbidden) => {}
            Err(error) => return Err(error.into()),
        }
        if Instant::now() >= enough {
            break;
        }
    }
    Ok((entries, looked_at))
}
