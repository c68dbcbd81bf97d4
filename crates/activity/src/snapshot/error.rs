//! What can go wrong with a snapshot.

use super::block::BlockId;

/// An error of the snapshot.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The answer needs blocks that are not at hand. Load them, hand them over with `supply`, and ask again.
    #[error("{} blocks are not at hand", .0.len())]
    Missing(Vec<BlockId>),
    /// Stored bytes are not what was written: damaged, cut off, or of a version that this build does not read.
    #[error("stored bytes cannot be read: {0}")]
    Damaged(&'static str),
    /// A block was handed over, or came from storage, that is not the one that its id names.
    #[error("block {0} has other bytes than its id says")]
    WrongBlock(BlockId),
    /// A key, an extra or a whole is longer than its bound.
    #[error("{what} has more than {most} bytes or entries")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The bound.
        most: usize,
    },
    /// Records came out of order, or a key came twice.
    #[error("records must come in ascending order, each key once")]
    Unsorted,
    /// Two sides that are to be put together have different key orders.
    #[error("the two sides have different key orders")]
    MixedOrders,
    /// A generation does not hold what the state holds: it was made of other changes.
    #[error("the generation does not hold what the state holds")]
    Stale,
    /// The storage that was lent failed.
    #[error("the lent storage failed")]
    Io(#[from] std::io::Error),
}
