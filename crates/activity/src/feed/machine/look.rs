//! What a look at folders has gathered so far: what is open, what was missing, and what is to be asked before it
//! is believed. None of it is kept: a sweep that a crash cut short begins again.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::hash;
use crate::feed::item::{Item, ItemKind};
use crate::feed::kept::{Held, Shown};
use crate::feed::observation::{Observation, Seen};

/// How much of what a look finds waits, so that its memory has a bound whatever it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// New items that wait for the end, where moves are told; beyond, what is there is told.
    pub new: usize,
    /// Missing items that wait for it.
    pub gone: usize,
    /// New items that are told in one step.
    pub told: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { new: 20_000, gone: 20_000, told: 2_000 }
    }
}

/// A folder whose listing is under way.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Open {
    pub(super) folder: String,
    /// The hashes of the keys that were shown in it.
    pub(super) shown: Shown,
    /// Where its known items are read on, once it was listed whole.
    pub(super) from: Option<Vec<u8>>,
}

impl Open {
    pub(super) fn of(folder: &str) -> Self {
        Self { folder: folder.to_owned(), ..Self::default() }
    }
}

/// What a machine that looks at folders does next.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Step {
    /// Ask for the next page.
    #[default]
    Listing,
    /// Read on what is known of folders that were listed whole.
    Closing,
    /// Find where what is new may have come from.
    Tracing(Trace),
    /// Look at these one by one.
    Verifying {
        /// The keys.
        keys: Vec<String>,
        /// These stand for many more: one that is there spoils the sweep.
        sample: bool,
    },
    /// Look whether the end is reached.
    Ending,
    /// Tell more of what is new.
    Telling,
}

/// A search through everything that is known for what is new.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Trace {
    pub(super) from: Option<Vec<u8>>,
    wanted: Arc<Wanted>,
    /// Folders where it may have been.
    pub(super) suspects: BTreeSet<String>,
}

#[derive(Debug, Default, PartialEq)]
struct Wanted {
    /// Fingerprints of new files, with hashes of their names and folders, and whether they are strong; sorted.
    files: Vec<(u64, u64, u64, bool)>,
    /// What is known to be gone.
    gone: BTreeSet<String>,
}

impl Trace {
    pub(super) fn of(held: &Held) -> Self {
        let mut wanted = Wanted::default();
        for one in held.iter() {
            match &one.seen {
                Seen::There(there) if there.kind == ItemKind::File => {
                    let parent = hash(there.parent.as_deref().unwrap_or_default());
                    let file = (there.fingerprint, hash(&there.name), parent, there.strong);
                    wanted.files.push(file);
                }
                Seen::There(_) | Seen::Whole => {}
                Seen::Gone { .. } => {
                    wanted.gone.insert(one.key.clone());
                }
            }
        }
        wanted.files.sort_unstable();
        Self { wanted: Arc::new(wanted), ..Self::default() }
    }

    /// Whether nothing is searched for.
    pub(super) fn is_idle(&self) -> bool {
        self.wanted.files.is_empty()
    }

    /// Takes the folder of an item that may be one of the new files, unless it is known to be gone.
    pub(super) fn take(&mut self, key: &str, item: &Item) {
        let Some(parent) = &item.parent else { return };
        if item.kind != ItemKind::File || self.suspects.contains(parent) {
            return;
        }
        let files = &self.wanted.files;
        let first = files.partition_point(|file| file.0 < item.fingerprint);
        let same = files.iter().skip(first).take_while(|file| file.0 == item.fingerprint);
        let (name, folder) = (hash(&item.name), hash(parent));
        let mut fits =
            same.take(64).filter(|(_, of, at, strong)| *of == name || *at == folder || *strong);
        if fits.next().is_some() && !self.is_gone(key) {
            self.suspects.insert(parent.clone());
        }
    }

    fn is_gone(&self, key: &str) -> bool {
        let mut at = Some(key);
        while let Some(key) = at {
            if self.wanted.gone.contains(key) {
                return true;
            }
            at = key.rsplit_once('/').map(|(above, _)| above);
        }
        false
    }
}

/// A look at folders.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Look {
    pub(super) step: Step,
    /// Folders whose listing is under way, from the outermost in.
    pub(super) open: Vec<Open>,
    /// Where the listing of the folder that is next goes on.
    pub(super) at: Option<String>,
    /// The last key of a listing of everything.
    pub(super) last: Option<String>,
    /// Folders that were listed whole and whose known items are not all compared yet.
    pub(super) closing: Vec<Open>,
    /// Folders to look at once more, the next one last.
    pub(super) again: Vec<String>,
    /// The one of them whose listing is under way, and where it goes on.
    pub(super) aside: Option<Open>,
    pub(super) aside_at: Option<String>,
    /// Those that were looked at once more.
    pub(super) revisited: BTreeSet<String>,
    /// Those that are looked at because something in them was, each once.
    pub(super) risen: BTreeSet<String>,
    /// What is new was traced.
    pub(super) traced: bool,
    /// What is gone is told when two looks agree, or when it is known where it went.
    pub(super) thorough: bool,
    /// This is the second of two looks.
    pub(super) second: bool,
    /// Folders that were found to be gone when what they held was.
    pub(super) emptied: BTreeSet<String>,
    /// What was gone in an earlier look: the hashes of the keys.
    pub(super) doubted: Shown,
    /// What is gone in this look and was not before.
    pub(super) doubts: Shown,
    /// What is about to be told.
    pub(super) telling: Held,
    /// What is told after that, some at a time: new files that nothing else has to do with.
    pub(super) later: Held,
    /// How many of those that wait are new, and how many are gone.
    pub(super) new: usize,
    pub(super) gone: usize,
}

impl Look {
    /// A look after this one.
    pub(super) fn next(&mut self, thorough: bool, second: bool) -> Self {
        let doubted = std::mem::take(&mut self.doubted);
        Self { thorough, second, doubted, ..Self::default() }
    }

    /// Counts what waits.
    pub(super) fn count(&mut self, waiting: &[Observation]) {
        let gone = waiting.iter().filter(|one| matches!(one.seen, Seen::Gone { .. })).count();
        self.gone += gone;
        self.new += waiting.len() - gone;
    }
}
