//! The order of events: one in which they can be replayed.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Action, Event};
use crate::feed::compare::Rules;
use crate::feed::item::ItemKind;

/// Events that belong together, and what they need of the others.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    /// When the service told it.
    pub(super) order: usize,
    pub(super) events: Vec<Event>,
    /// The key that is there from now on.
    pub(super) makes: Option<String>,
    /// The folders that must be where they are first, from the nearest up.
    pub(super) inside: Vec<String>,
    /// The key that is free from now on.
    pub(super) vacates: Option<String>,
    /// Where it would be found once its old folder has moved, if that moves.
    pub(super) carried: Option<String>,
    /// The folders that it was taken out of.
    pub(super) leaves: Vec<String>,
    /// The folder or file that goes with everything in it.
    pub(super) deletes: Option<String>,
}

/// Brings operations into order: a folder before what is put into it, what is moved out of a folder before
/// the folder is deleted, a path left before it is taken; otherwise as the service told them, deletions
/// last.
///
/// Where paths are ids, moves may wait for each other in a circle (a file that moved into a folder that took
/// its name): then the keys that they leave are the error.
pub(super) fn ordered(
    mut operations: Vec<Operation>,
    rules: &Rules,
) -> Result<Vec<Event>, BTreeSet<String>> {
    operations.sort_by_key(|one| (one.deletes.is_some(), one.order));
    let index = |key: fn(&Operation) -> Option<&String>| -> BTreeMap<String, usize> {
        let keyed = operations.iter().enumerate();
        keyed.filter_map(|(number, one)| Some((key(one)?.clone(), number))).collect()
    };
    let makes = index(|one| one.makes.as_ref());
    let vacates = index(|one| one.vacates.as_ref());
    let carried = index(|one| one.carried.as_ref());
    let deletes = index(|one| one.deletes.as_ref());
    // What each waits for, and who waits for it.
    let mut waits = vec![BTreeSet::new(); operations.len()];
    let mut waited = vec![Vec::new(); operations.len()];
    let mut first = |before: usize, after: usize| {
        if before != after
            && let (Some(waits), Some(waited)) = (waits.get_mut(after), waited.get_mut(before))
            && waits.insert(before)
        {
            waited.push(after);
        }
    };
    for (number, one) in operations.iter().enumerate() {
        for made in one.inside.iter().filter_map(|key| makes.get(key)) {
            first(*made, number);
        }
        for index in [&vacates, &carried] {
            if rules.path_ids
                && let Some(left) = one.makes.as_ref().and_then(|key| index.get(key))
            {
                first(*left, number);
            }
        }
        for folder in &one.leaves {
            if let Some(deleted) = deletes.get(folder) {
                first(number, *deleted);
            }
        }
    }
    let mut ready: BTreeSet<usize> = (0..operations.len())
        .filter(|&one| waits.get(one).is_some_and(BTreeSet::is_empty))
        .collect();
    let mut left: BTreeSet<usize> = (0..operations.len()).collect();
    let mut events = Vec::new();
    let mut operations: Vec<Option<Operation>> = operations.into_iter().map(Some).collect();
    // Any other circle comes of what contradicts itself: the one told first goes first.
    while let Some(number) = ready.pop_first().or_else(|| left.first().copied()) {
        if rules.path_ids && waits.get(number).is_some_and(|waits| !waits.is_empty()) {
            let circle = left.iter().filter_map(|one| operations.get(*one)?.as_ref());
            let moves = circle.filter(|one| one.makes.is_some());
            let keys: BTreeSet<String> = moves.filter_map(|one| one.vacates.clone()).collect();
            if !keys.is_empty() {
                return Err(keys);
            }
        }
        if !left.remove(&number) {
            continue;
        }
        if let Some(one) = operations.get_mut(number).and_then(Option::take) {
            events.extend(one.events);
        }
        for &after in waited.get(number).into_iter().flatten() {
            if let Some(waits) = waits.get_mut(after) {
                waits.remove(&number);
                if waits.is_empty() {
                    ready.insert(after);
                }
            }
        }
    }
    if rules.path_ids {
        follow_moves(&mut events);
    }
    Ok(events)
}

/// Where ids are paths, what is in a folder has other ids once the folder has moved: whatever comes after
/// names it as it is called by then.
fn follow_moves(events: &mut [Event]) {
    let mut moves: Vec<(String, String)> = Vec::new();
    for event in events {
        let rebase = |id: &mut String| {
            for (from, to) in &moves {
                if let Some(rest) = id.strip_prefix(from.as_str())
                    && (rest.is_empty() || rest.starts_with('/') || from.ends_with('/'))
                {
                    *id = format!("{to}{rest}");
                }
            }
        };
        if let Some(before) = &mut event.before {
            for id in [&mut before.id, &mut before.parent, &mut before.path].into_iter().flatten() {
                rebase(id);
            }
        }
        if event.action == Action::Delete {
            rebase(&mut event.object.id);
            for id in [&mut event.object.parent, &mut event.object.path].into_iter().flatten() {
                rebase(id);
            }
        }
        if let Some(was) = event.before.as_ref().and_then(|before| before.id.clone())
            && event.object.kind == ItemKind::Folder.as_str()
        {
            moves.push((was, event.object.id.clone()));
        }
    }
}
