//! A failure that several callers are told.

use std::time::Duration;

use tramontane_connector::error::{Error, Fault as Said, Kind, Retry};

/// What a connector's error says, without its cause: it can be given to everyone who waited.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    kind: Kind,
    retry: Retry,
    message: String,
    said: Option<Box<Said>>,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self { kind: error.kind, retry: error.retry, message: error.message, said: error.fault }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let mut error = Self::new(fault.kind, fault.message).retry(fault.retry);
        error.fault = fault.said;
        error
    }
}

impl From<crate::Error> for Fault {
    fn from(error: crate::Error) -> Self {
        match error {
            crate::Error::Connector(error) => error.into(),
            // What the operator or the application has to put right; the service may be fine.
            crate::Error::NoClient { .. } | crate::Error::ClientGone { .. } => {
                Self::new(Kind::Broken, error.to_string())
            }
            other => {
                // The texts of the database and the vault are for the log.
                tracing::error!(error = %other, "tokens could not be looked up");
                Self::new(Kind::Internal, "The account's tokens could not be looked up.")
            }
        }
    }
}

impl Fault {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error::new(kind, message).into()
    }

    /// The account must be connected again.
    pub(super) fn dead(name: &str, reason: Option<&str>) -> Self {
        let why = match reason {
            Some("expired") => "its grant has expired",
            Some("password_changed") => "the user's password was changed",
            Some("admin_policy") => "the organisation's rules ended it",
            Some("refresh_interrupted") => {
                "a refresh broke off and the service does not take the old token again"
            }
            _ => "the service ended its grant",
        };
        let text = format!("This account of {name} must be connected again: {why}.");
        Self::new(Kind::Credential, text)
    }

    /// The same, to be tried again after so long.
    pub(super) fn after(mut self, wait: Duration) -> Self {
        if self.retry != Retry::Never {
            self.retry = Retry::After(wait);
        }
        self
    }
}
