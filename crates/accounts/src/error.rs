//! What can go wrong here.

use crate::caller::Refusal;

/// Why something could not be done. Texts are for people, and name no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller is not let in, or not here.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// No such thing, or it is someone else's.
    #[error("the {0} was not found")]
    NotFound(&'static str),
    /// Someone gave a value that is not taken.
    #[error("{field}: {rule}")]
    Invalid {
        /// Which member.
        field: String,
        /// The rule, and what to do.
        rule: String,
    },
    /// Another change was faster, again and again.
    #[error("the {0} is being changed by someone else; try again")]
    Contended(&'static str),
    /// The operator's range of account ids is used up.
    #[error("no free account id was found; widen the range of account ids")]
    NoFreeId,
    /// Another process made a new data key meanwhile.
    #[error("another process is rotating the keys; let it finish, then try again")]
    RotatedElsewhere,
    /// A sealed value opened, but does not hold what it should.
    #[error("the stored credential of account {0} has an unknown form")]
    BadCredential(i64),
    /// Nobody registered an OAuth client for this service.
    #[error(
        "there is no OAuth client for {service}: register one at the service, then give it to the \
         application (its service keys) or to the server (the setting oauth_clients)"
    )]
    NoClient {
        /// The service.
        service: String,
    },
    /// The client that a grant was given to is not configured any more.
    #[error(
        "the grant was given to the OAuth client {client} of {service}, which is not configured any \
         more: configure it again, or connect the account again"
    )]
    ClientGone {
        /// The service.
        service: String,
        /// The client id.
        client: String,
    },
    /// Somebody else logged in when an account was to be connected again.
    #[error("the login was that of {found}; log in as {wanted} to connect this account again")]
    OtherIdentity {
        /// Whose account it is.
        wanted: String,
        /// Who logged in.
        found: String,
    },
    /// The connector does not take the settings.
    #[error("{0}")]
    Connector(#[from] tramontane_connector::Error),
    /// The database.
    #[error("{0}")]
    Store(#[from] tramontane_store::Error),
    /// Sealing or opening.
    #[error("{0}")]
    Vault(#[from] tramontane_vault::Error),
}

/// What most calls here give.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A value that is not taken.
    pub(crate) fn invalid(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), rule: rule.into() }
    }
}
