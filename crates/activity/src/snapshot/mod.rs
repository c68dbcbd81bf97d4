//! What an account looked like when it was last looked at: a few bytes an item, compared and searched in place.
//!
//! A service that cannot tell what changed is listed and compared with the last listing; one that can tells ids,
//! and we must know what they were. Both need the state of every item of an account, up to tens of millions. As
//! rows of a database that would be some 200 bytes an item and as many writes per scan. Here it is a handful of
//! immutable, compressed **blocks** of about 1,300 records each, in key order, under a **manifest** that names them:
//! a *generation*.
//!
//! # The parts
//!
//! | part | is |
//! | --- | --- |
//! | [`Record`], [`KeyOrder`] | an item: key, flags, fingerprint, extra; and how keys are ordered |
//! | [`Block`], [`Header`] | the stored form of some records |
//! | [`Manifest`] | the blocks of a generation, with count and sum of each |
//! | [`Builder`], [`Reader`] | ascending records to blocks, and back |
//! | [`Diff`] | a generation against a new listing: differences and the next generation in one pass |
//! | [`RunSorter`], [`MergedRuns`] | a listing in any order made ascending |
//! | [`Overlay`], [`Merge`] | single changes on top of a generation, and their merging into the next |
//! | [`State`] | lookups through both, with the blocks that were used lately in memory |
//! | [`Matcher`] | which removals and additions of a scan are moves |
//! | [`Digest`] | count and sum of any key range, to compare mirrors by |
//!
//! # Three kinds of state
//!
//! * **Scans** (S3, WebDAV, SFTP, local) have the path as key and mostly no extra. S3 lists in [`KeyOrder::Bytes`];
//!   a walk through folders gives [`KeyOrder::Components`].
//! * **Dropbox** has the lower-case path as key and the id as extra.
//! * **Drive, Graph and Box** have the id as key, and parent id and name as extra; a move is then a change of the
//!   extra.
//!
//! # Who does the IO
//!
//! Nothing here reads or writes storage, waits, or looks at a clock. What needs a block says which, and is handed
//! it: [`Diff::push`], [`Merge::wants`], [`Error::Missing`]. Runs of a sort go through lent [`std::io::Write`] and
//! [`std::io::Read`].
//!
//! # What a commit holds
//!
//! New blocks can be stored at any time before; no one sees them. Then, in one transaction: the events, the
//! service's cursor, and the new manifest (or the piece of overlay, [`State::unsaved`]). Blocks that the committed
//! manifest does not name can be deleted afterwards.
//!
//! # Whole blocks, no restarts
//!
//! Keys are front-coded through a block, without the whole keys in between at which some formats let a search begin:
//! a packed column is unpacked whole anyway, and once its keys lie side by side in memory, a search halves.
//!
//! ```
//! use std::collections::BTreeMap;
//! use tramontane_activity::snapshot::*;
//!
//! # struct Kept(BTreeMap<BlockId, Vec<u8>>, Vec<String>);
//! # impl Sink for Kept {
//! #     fn added(&mut self, new: RecordRef<'_>) -> Result<(), Error> {
//! #         self.1.push(format!("+{}", new.key.escape_ascii()));
//! #         Ok(())
//! #     }
//! #     fn changed(&mut self, _: RecordRef<'_>, new: RecordRef<'_>) -> Result<(), Error> {
//! #         self.1.push(format!("~{}", new.key.escape_ascii()));
//! #         Ok(())
//! #     }
//! #     fn removed(&mut self, old: RecordRef<'_>) -> Result<Absent, Error> {
//! #         self.1.push(format!("-{}", old.key.escape_ascii()));
//! #         Ok(Absent::Gone)
//! #     }
//! #     fn block(&mut self, block: NewBlock) -> Result<(), Error> {
//! #         self.0.insert(block.id, block.bytes);
//! #         Ok(())
//! #     }
//! # }
//! let file = |key: &str, fingerprint| Record { key: key.into(), fingerprint, ..Record::default() };
//! let first = [file("notes/a.txt", 1), file("notes/b.txt", 2)];
//! let second = [file("notes/a.txt", 1), file("notes/b.txt", 3), file("notes/c.txt", 4)];
//!
//! // `Kept` is a `Sink`: it keeps blocks in a map and writes the differences down.
//! let mut kept = Kept(BTreeMap::new(), Vec::new());
//! let none = Manifest::empty(KeyOrder::Components);
//! let (old, _) = diff(&none, &BTreeMap::new(), first.iter(), &mut kept)?;
//! kept.1.clear();
//! let blocks = kept.0.clone();
//! let (new, totals) = diff(&old, &blocks, second.iter(), &mut kept)?;
//! assert_eq!(kept.1, ["~notes/b.txt", "+notes/c.txt"]);
//! assert_eq!((new.count(), totals.same), (3, 1));
//! # Ok::<(), Error>(())
//! ```

mod block;
mod builder;
mod cache;
mod columns;
mod diff;
mod digest;
mod error;
mod manifest;
mod matcher;
mod merge;
mod overlay;
mod reader;
mod record;
mod runs;
mod state;

#[cfg(test)]
mod fuzz;

pub use block::{BLOCK_BYTES, BLOCK_RECORDS, Block, BlockId, Header};
pub use builder::{Builder, FEWEST_RECORDS, NewBlock};
pub(crate) use columns::{Input, put_number};
pub use diff::{Absent, Diff, Sink, Totals, diff};
pub use digest::{Digest, record_hash};
pub use error::Error;
pub use manifest::{BlockRef, MANIFEST_BLOCKS, Manifest};
pub use matcher::{Limits, Matched, Matcher, Outcome, Tally};
pub use merge::Merge;
pub use overlay::{OVERLAY_BYTES, OVERLAY_ENTRIES, Overlay};
pub use reader::{Blocks, Listing, Reader};
pub use record::{EXTRA_BYTES, KEY_BYTES, KeyOrder, Record, RecordRef, flag};
pub use runs::{MERGED_RUNS, MergedRuns, RunSorter};
pub use state::{Child, Children, Page, State};
