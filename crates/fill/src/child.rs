//! Gap: the child with a name, by listing the folder.

use tramontane_connector::{Case, Cx, Entry, Error, Kind, Place, Result, Storage};

use crate::filled::Filled;
use crate::walk::Pages;

/// A name as the service compares it.
pub(crate) fn folded(name: &str, case: Case) -> String {
    match case {
        Case::Sensitive => name.to_owned(),
        Case::Preserving => name.to_lowercase(),
    }
}

/// Lists the folder until the name comes.
pub(crate) async fn child(storage: &Filled, cx: &Cx, at: &Place) -> Result<Option<Entry>> {
    let case = storage.abilities(&cx.account).semantics.case;
    let wanted = folded(&at.name, case);
    let mut pages = Pages::of(storage, cx, &at.parent);
    while let Some(entries) = pages.next().await.map_err(parent)? {
        if let Some(found) = entries.into_iter().find(|entry| folded(&entry.name, case) == wanted) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The same error, said of the folder that something is to be put into.
pub(crate) fn parent(error: Error) -> Error {
    match error.kind {
        Kind::NotFound => {
            Error::new(Kind::ParentNotFound, "The folder to write into is not there.")
        }
        _ => error,
    }
}
