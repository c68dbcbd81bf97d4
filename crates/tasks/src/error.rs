//! What can go wrong with a task's bookkeeping. What goes wrong with its work is its outcome.

/// What this crate's calls give.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a task could not be kept, found or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error("the task table cannot be reached")]
    Store(#[from] tramontane_store::Error),
    /// Another process has taken the task over: this one may write nothing more.
    #[error("the task's lease is lost to another process")]
    Lost,
    /// A stored part cannot be read or written as JSON.
    #[error("the stored {0} of the task cannot be read")]
    Unreadable(&'static str),
    /// The server is going down and takes no more tasks.
    #[error("the server is shutting down")]
    Draining,
}
