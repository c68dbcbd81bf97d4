//! Snapshots held against a plain map of the same records.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod diffs;
mod listing;
mod lookups;
mod moves;
mod overlays;
mod sharing;
mod sorting;
