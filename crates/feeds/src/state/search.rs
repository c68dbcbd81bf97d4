//! Names that hold some words, among all that is remembered of an account.

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tramontane_activity::feed::ItemKind;
use tramontane_activity::feed::remembered::From;
use tramontane_connector::EntryRef;
use tramontane_model::NativeId;

use super::{Opened, States, TRIES, reference};
use crate::error::{Error, Result};

/// What is searched for.
#[derive(Clone, Debug)]
pub struct Search {
    /// Names must contain this, whatever the case.
    pub text: String,
    /// Only below these folders; everywhere when empty. At most some hundreds.
    pub below: Vec<NativeId>,
    /// Where to go on.
    pub at: Option<At>,
    /// Hits at most.
    pub limit: usize,
    /// A page ends, however few its hits, when this has passed.
    pub until: Instant,
}

/// Where a search goes on. It holds whatever is written to the account meanwhile: what is passed already is not
/// looked at again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct At {
    /// Which of the folders to look below, or which collection.
    #[serde(rename = "p")]
    place: usize,
    /// The key to go on with.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl At {
    fn of(place: usize, key: Vec<u8>) -> Result<Self> {
        let key = String::from_utf8(key)
            .map_err(|_| tramontane_activity::snapshot::Error::Damaged("an item's key"))?;
        Ok(Self { place, key: Some(key) })
    }
}

/// One hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Which object.
    pub of: EntryRef,
    /// Its name.
    pub name: String,
    /// Where to go on after it.
    pub after: At,
}

/// A page of hits, in no particular order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The hits; there may be none although more follow.
    pub hits: Vec<Hit>,
    /// Where to go on, or none at the end.
    pub next: Option<At>,
}

impl States {
    /// Searches what is remembered of an account. `None` when that does not do: the account is not followed, not
    /// everything was listed once, or a folder to look below is not known.
    ///
    /// # Errors
    /// Those of the database; [`Error::Replaced`].
    pub async fn search(&self, account: i64, search: &Search) -> Result<Option<Found>> {
        let Ok(_seat) = self.room.acquire().await else { return Ok(None) };
        for _ in 0..TRIES {
            let Some(mut opened) = self.open_followed(account).await? else { return Ok(None) };
            match opened.search(search).await {
                Err(Error::Replaced) => {}
                done => return done,
            }
        }
        Err(Error::Replaced)
    }
}

impl Opened {
    async fn search(&mut self, search: &Search) -> Result<Option<Found>> {
        let Some(places) = self.places(&search.below).await? else { return Ok(None) };
        let words = search.text.to_lowercase();
        let mut at = search.at.clone().unwrap_or_default();
        let mut found = Found::default();
        while let Some((part, below)) = places.get(at.place) {
            let Some(mut walk) = self.walk(*part)? else { break };
            let key = at.key.take().map(String::into_bytes);
            let mut from = From { below: below.clone(), at: key };
            loop {
                let page = match walk.page(&from).await {
                    Ok(page) => page,
                    // Enough for one answer: the next one goes on here.
                    Err(Error::TooMuch) => {
                        found.next = Some(At::of(at.place, from.at.unwrap_or_default())?);
                        return Ok(Some(found));
                    }
                    Err(error) => return Err(error),
                };
                for (key, item) in page.items {
                    if !contains(&item.name, &words) {
                        continue;
                    }
                    let after = At::of(at.place, walk.known.after(&key))?;
                    found.hits.push(Hit { of: reference(&item), name: item.name, after });
                    if let Some(last) =
                        found.hits.last().filter(|_| found.hits.len() >= search.limit)
                    {
                        found.next = Some(last.after.clone());
                        return Ok(Some(found));
                    }
                }
                let Some(next) = page.next else { break };
                from = next;
                if Instant::now() >= search.until {
                    found.next = Some(At::of(at.place, from.at.unwrap_or_default())?);
                    return Ok(Some(found));
                }
            }
            at = At { place: at.place + 1, key: None };
        }
        Ok(Some(found))
    }

    /// The collections to look through, and the folder to look below in each; `None` when that is not known.
    async fn places(&mut self, below: &[NativeId]) -> Result<Option<Vec<(usize, Option<String>)>>> {
        if below.is_empty() {
            return Ok(Some((0..self.parts.len()).map(|part| (part, None)).collect()));
        }
        let mut places = Vec::with_capacity(below.len());
        for folder in below {
            let keys = self.parts.iter().map(|part| part.key_of(folder.as_str()));
            let key = keys.enumerate().find_map(|(part, key)| Some((part, key?)));
            let Some((part, key)) = key else { return Ok(None) };
            if let Some(key) = &key {
                let Some(mut walk) = self.walk(part)? else { return Ok(None) };
                let item = walk.get(key).await?;
                let right = |item: &tramontane_activity::feed::Item| {
                    item.kind == ItemKind::Folder && item.id == folder.as_str()
                };
                if !item.as_ref().is_some_and(right) {
                    return Ok(None);
                }
            }
            places.push((part, key));
        }
        Ok(Some(places))
    }
}

fn contains(name: &str, words: &str) -> bool {
    name.to_lowercase().contains(words)
}
