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
    /// What lies in the log cannot be read.
    #[error("the activity log is damaged: {0}")]
    Segment(#[from] tramontane_activity::segment::Error),
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
