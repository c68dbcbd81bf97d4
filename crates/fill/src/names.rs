//! The smallest free name beside one that is taken.

use std::collections::HashSet;

use tramontane_connector::place::{check_name, free_name};
use tramontane_connector::{Case, Cx, Error, Kind, Place, Result, Storage};
use tramontane_model::NativeId;

use crate::child::{folded, parent};
use crate::claims::Claim;
use crate::filled::Filled;
use crate::walk::Pages;

/// So many names are looked up one by one before the whole folder is listed.
const PROBES: u32 = 6;
/// The largest number that is tried.
const LAST: u32 = 100_000;

/// Looks for a free name: the one asked for, then with (1), (2), ...
pub(crate) struct FreeNames<'a> {
    storage: &'a Filled,
    cx: &'a Cx,
    at: &'a Place,
    folder: bool,
    /// What has the name may be this one itself.
    except: Option<&'a NativeId>,
    case: Case,
    max_bytes: usize,
    next: u32,
    listed: Option<HashSet<String>>,
}

impl<'a> FreeNames<'a> {
    pub(crate) fn new(
        storage: &'a Filled,
        cx: &'a Cx,
        at: &'a Place,
        folder: bool,
        except: Option<&'a NativeId>,
    ) -> Result<Self> {
        check_name(&at.name)?;
        let semantics = storage.abilities(&cx.account).semantics;
        let (case, max_bytes) = (semantics.case, semantics.names.max_bytes);
        Ok(Self { storage, cx, at, folder, except, case, max_bytes, next: 0, listed: None })
    }

    /// The next free name, claimed. A claim that others hold counts as taken.
    pub(crate) async fn next(&mut self) -> Result<(Place, Claim)> {
        while self.next < LAST {
            let number = self.next;
            self.next += 1;
            let name = match number {
                0 => self.at.name.clone(),
                number => fitting(&self.at.name, number, self.folder, self.max_bytes),
            };
            let place = Place::new(self.at.parent.clone(), name);
            let Some(claim) = self.storage.claims().attempt(self.cx, &place) else { continue };
            if !self.taken(&place, number).await? {
                return Ok((place, claim));
            }
        }
        Err(Error::new(Kind::Conflict(None), "There is no free name left in this folder."))
    }

    async fn taken(&mut self, place: &Place, number: u32) -> Result<bool> {
        if self.listed.is_none() && number < PROBES {
            match self.storage.native().child(self.cx, place).await {
                Ok(found) => return Ok(found.is_some_and(|found| Some(&found.id) != self.except)),
                Err(error) if error.is_declined() => {}
                Err(error) => return Err(parent(error)),
            }
        }
        let listed = match &mut self.listed {
            Some(listed) => listed,
            none => none.insert(
                names(self.storage, self.cx, &self.at.parent, self.case, self.except).await?,
            ),
        };
        Ok(listed.contains(&folded(&place.name, self.case)))
    }
}

async fn names(
    storage: &Filled,
    cx: &Cx,
    folder: &NativeId,
    case: Case,
    except: Option<&NativeId>,
) -> Result<HashSet<String>> {
    let mut all = HashSet::new();
    let mut pages = Pages::of(storage, cx, folder);
    while let Some(entries) = pages.next().await.map_err(parent)? {
        let others = entries.iter().filter(|entry| Some(&entry.id) != except);
        all.extend(others.map(|entry| folded(&entry.name, case)));
    }
    Ok(all)
}

/// The n-th name, its stem cut where the whole would be longer than the service takes.
fn fitting(name: &str, number: u32, folder: bool, max_bytes: usize) -> String {
    let full = free_name(name, number, folder);
    if full.len() <= max_bytes || max_bytes == 0 {
        return full;
    }
    let extension = match name.rfind('.') {
        Some(dot) if !folder && dot > 0 => name.get(dot..).unwrap_or_default(),
        _ => "",
    };
    let stem = name.strip_suffix(extension).unwrap_or(name);
    let over = full.len() - max_bytes;
    let mut end = stem.len().saturating_sub(over);
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    match stem.get(..end).filter(|stem| !stem.is_empty()) {
        Some(stem) => free_name(&format!("{stem}{extension}"), number, folder),
        None => full,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_at_a_letter_to_make_room_for_the_number() {
        let name = format!("{}.txt", "ä".repeat(125));
        assert_eq!(name.len(), 254);
        let free = fitting(&name, 12, false, 255);
        assert!(free.len() <= 255 && free.ends_with("ä (12).txt"), "{free}");
        assert_eq!(fitting("a.txt", 1, false, 255), "a (1).txt");
    }
}
