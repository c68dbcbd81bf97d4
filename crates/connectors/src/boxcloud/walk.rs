//! Everything below folders, a few calls at a time: Box lists one folder alone, so that what is still to be
//! listed is carried along as text.

use serde::{Deserialize, Serialize};
use tramontane_connector::error::Kind;
use tramontane_connector::{Entry, Error, Result};
use tramontane_model::PageRequest;

use super::client::Client;
use super::id::{Id, What, is_number};

/// The longest page of a folder (<https://developer.box.com/reference/get-folders-id-items/>).
const PAGE: usize = 1_000;
/// One step makes at most so many calls.
const CALLS: usize = 10;
/// The most folders that may wait. Of each level at most one page waits, so that this is hundreds of levels.
const MAX_WAITING: usize = 200_000;

/// Folders whose contents are still to be listed, the next one last: each with the marker of its next page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Walk(Vec<(String, Option<String>)>);

impl Walk {
    /// Everything below a folder.
    pub(super) fn below(folder: &Id) -> Self {
        Self(vec![(folder.number.clone(), None)])
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a folder to what is to be listed.
    pub(super) fn add(&mut self, folder: &Id) {
        if !self.0.iter().any(|(waiting, _)| *waiting == folder.number) {
            self.0.push((folder.number.clone(), None));
        }
    }

    /// Whether it holds nothing but numbers of folders: it came back from outside.
    pub(super) fn is_sound(&self) -> bool {
        self.0.len() <= MAX_WAITING && self.0.iter().all(|(folder, _)| is_number(folder))
    }

    pub(super) fn read(text: &str) -> Result<Self> {
        let read = serde_json::from_str::<Self>(text).ok();
        read.filter(Self::is_sound).ok_or_else(|| {
            let text = "The cursor cannot be read (any more): start again from the first page.";
            Error::new(Kind::CursorExpired, text)
        })
    }

    pub(super) fn write(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|cause| Error::internal("The cursor cannot be written.").because(cause))
    }

    /// Lists some more. What was deleted or closed since it was seen is passed over.
    pub(super) async fn step(&mut self, client: &Client<'_>) -> Result<Vec<Entry>> {
        let mut found = Vec::new();
        for _ in 0..CALLS {
            if found.len() >= PAGE {
                break;
            }
            let Some((number, marker)) = self.0.pop() else { break };
            let folder = Id { what: What::Folder, number };
            let page = match &marker {
                Some(marker) => PageRequest::after(marker.clone(), PAGE),
                None => PageRequest::first(PAGE),
            };
            let page = match client.children(&folder, &page).await {
                Ok(page) => page,
                Err(error) if matches!(error.kind, Kind::NotFound | Kind::Forbidden) => continue,
                Err(error) if error.kind == Kind::CursorExpired && marker.is_some() => {
                    // From its beginning: what comes twice does no harm.
                    self.0.push((folder.number, None));
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Some(next) = page.next {
                if Some(&next) == marker.as_ref() {
                    return Err(Error::new(Kind::Broken, "Box's listing does not come to an end."));
                }
                self.0.push((folder.number, Some(next)));
            }
            for entry in &page.items {
                if let Some(id) = Id::parse(&entry.id).filter(|id| id.what == What::Folder) {
                    self.0.push((id.number, None));
                }
            }
            if self.0.len() > MAX_WAITING {
                let text = "The folders of this account are nested too deeply to be followed.";
                return Err(Error::new(Kind::TooLarge, text));
            }
            found.extend(page.items);
        }
        Ok(found)
    }
}
