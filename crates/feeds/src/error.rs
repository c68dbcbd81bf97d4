//! The error of this crate.

/// What its functions give.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error(transparent)]
    Store(#[from] tramontane_store::Error),
    /// The accounts.
    #[error(transparent)]
    Accounts(#[from] tramontane_accounts::Error),
    /// The service.
    #[error(transparent)]
    Service(#[from] tramontane_connector::Error),
    /// What lies in the log cannot be read.
    #[error("the activity log is damaged: {0}")]
    Segment(#[from] tramontane_activity::segment::Error),
    /// What is known of a collection cannot be read.
    #[error("what is known of a collection cannot be read: {0}")]
    Snapshot(#[from] tramontane_activity::snapshot::Error),
    /// An event cannot be written.
    #[error("an event cannot be written: {0}")]
    Event(#[from] serde_json::Error),
    /// What was being read was replaced again and again meanwhile.
    #[error("what is known of the account changed again and again while it was read")]
    Replaced,
    /// There is more of it than is read for one answer.
    #[error("more is known of the account than is read for one answer")]
    TooMuch,
    /// Another process owns the account's shard by now, or the account is gone.
    #[error("the account's shard is owned by another process, or the account is gone")]
    Lost,
    /// A member of the request that breaks a rule.
    #[error("{field} {rule}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// The rule.
        rule: String,
    },
    /// The account's events are off.
    #[error("events are off for this account")]
    Off,
}
