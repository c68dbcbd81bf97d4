//! Going through folders: pages with a guard, whole folders, and the steps' deadlines.

use tramontane_connector::{Cx, Entry, Error, Kind, Result, Storage};
use tramontane_model::{NativeId, PageRequest};

use crate::filled::Filled;

/// How many entries are asked for at once.
pub(crate) const PAGE: usize = 1_000;

/// Goes through the pages of a folder's listing.
pub(crate) struct Pages<'a> {
    storage: &'a Filled,
    cx: &'a Cx,
    folder: &'a NativeId,
    next: Option<PageRequest>,
    fresh_deadlines: bool,
}

impl<'a> Pages<'a> {
    pub(crate) fn of(storage: &'a Filled, cx: &'a Cx, folder: &'a NativeId) -> Self {
        let limit = storage.abilities(&cx.account).limits.max_page.clamp(1, PAGE);
        let next = Some(PageRequest::first(limit));
        Self { storage, cx, folder, next, fresh_deadlines: false }
    }

    /// Gives each page a deadline of its own: for work of many steps.
    pub(crate) fn each_in_its_time(mut self) -> Self {
        self.fresh_deadlines = true;
        self
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Entry>>> {
        let Some(request) = self.next.take() else { return Ok(None) };
        let page = if self.fresh_deadlines {
            self.storage.list(&self.storage.step(self.cx), self.folder, &request).await?
        } else {
            self.storage.list(self.cx, self.folder, &request).await?
        };
        if page.next.is_some() && page.next == request.cursor {
            let text = "The service's listing does not come to an end.";
            return Err(Error::new(Kind::Broken, text));
        }
        self.next = page.next.map(|cursor| PageRequest::after(cursor, request.limit));
        Ok(Some(page.items))
    }
}

/// The error of a walk that met more than it may look at.
pub(crate) fn too_many(storage: &Filled, op: tramontane_model::Op) -> Error {
    let text = format!(
        "There are more than {} files and folders here, and the service cannot do this itself.",
        storage.ceilings().walk_items
    );
    Error::unsupported(op, text)
}

/// The error of a walk that went too deep.
pub(crate) fn too_deep(storage: &Filled) -> Error {
    let text = format!("Folders are nested more than {} deep.", storage.ceilings().depth);
    Error::new(Kind::NotAllowed, text)
}
