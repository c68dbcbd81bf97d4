//! How far an emulation goes before it says no: the ceilings on walks, depth, spooled bytes and time.

use std::time::Duration;

/// The ceilings of everything that is filled in. An emulation that would pass one answers with an
/// error that names it; it never gives a part for the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceilings {
    /// The most entries that one unpaged walk looks at (recent files). 100,000.
    pub walk_items: u64,
    /// The most entries that one page of a search looks at before it answers what it has found so
    /// far, with a cursor to go on. 5,000.
    pub search_step: usize,
    /// The deepest folder that a walk enters, counted from where it begins. 200.
    pub depth: u32,
    /// The most bytes of one upload that are spooled to disk. 5 TiB; the disk is usually smaller.
    pub spool_bytes: u64,
    /// The most calls at once that one walk makes. 4.
    pub concurrency: usize,
    /// The largest file that a thumbnail is made of, in bytes. 32 MiB.
    pub thumbnail_bytes: u64,
    /// The most pixels of a picture that a thumbnail is made of. 50 million.
    pub thumbnail_pixels: u64,
    /// How long one step of work of many steps may take to begin its answer. 2 minutes.
    pub step: Duration,
    /// How long the transfer of one file's content may take. 24 hours.
    pub transfer: Duration,
}

impl Default for Ceilings {
    fn default() -> Self {
        Self {
            walk_items: 100_000,
            search_step: 5_000,
            depth: 200,
            spool_bytes: 5 << 40,
            concurrency: 4,
            thumbnail_bytes: 32 << 20,
            thumbnail_pixels: 50_000_000,
            step: Duration::from_mins(2),
            transfer: Duration::from_hours(24),
        }
    }
}
