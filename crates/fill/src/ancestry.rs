//! Whether a folder would be put into itself.

use tramontane_connector::{Cx, EntryKind, EntryRef, Error, Kind, Result, Storage};
use tramontane_model::NativeId;

use crate::child::parent;
use crate::filled::Filled;
use crate::walk::too_deep;

/// Fails when `folder` is `into` or lies above it.
pub(crate) async fn not_into_itself(
    storage: &Filled,
    cx: &Cx,
    folder: &NativeId,
    into: &NativeId,
) -> Result<()> {
    let root = storage.root(&cx.account);
    let mut above = into.clone();
    for _ in 0..storage.ceilings().depth {
        if above == *folder {
            let text = "A folder cannot be put into itself or below itself.";
            return Err(Error::new(Kind::IntoItself, text));
        }
        if above == root {
            return Ok(());
        }
        let of = EntryRef { kind: EntryKind::Folder, id: above };
        let entry = storage.get(cx, &of).await.map_err(parent)?;
        match entry.parent {
            Some(parent) => above = parent.id,
            None => return Ok(()),
        }
    }
    Err(too_deep(storage))
}
