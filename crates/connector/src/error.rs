//! The one error of every connector: a closed kind, whether trying again helps, the service's own
//! words, and the cause.

use std::time::Duration;

use tramontane_model::Op;

use crate::entry::EntryRef;

/// What a connector's call gives.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong. Each kind becomes one API problem (see the `api` crate's table).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The object is not there, or is of the other kind (a file where a folder was named).
    NotFound,
    /// The folder to write into is not there or is no folder.
    ParentNotFound,
    /// A folder was to be put into itself or below itself.
    IntoItself,
    /// The name is taken; by this, when the service tells.
    Conflict(Option<EntryRef>),
    /// The caller gave something that the service or the contract does not take.
    Invalid,
    /// A folder still has something in it.
    NotEmpty,
    /// An etag or another precondition no longer holds.
    Precondition,
    /// The range lies outside the content, which is so many bytes long.
    Range(Option<u64>),
    /// The service lets this account not do this.
    Forbidden,
    /// Known without asking the service: nobody may do this to this object.
    NotAllowed,
    /// The service refuses the stored credential.
    Credential,
    /// The service asks to slow down.
    RateLimited,
    /// The account's quota is full.
    Full,
    /// The content is larger than the service takes.
    TooLarge,
    /// A cursor that the service has forgotten: start again.
    CursorExpired,
    /// This connector leaves this call to the gap filler.
    Declined(Op),
    /// Neither the service nor the gap filler can do it.
    Unsupported(Op),
    /// The service cannot be reached or says that it is down.
    Unavailable,
    /// The service did not answer in time.
    Timeout,
    /// The service answered nonsense, or broke off.
    Broken,
    /// The address may not be called (the address guard).
    Guarded,
    /// The caller's own body broke off or was malformed.
    Body,
    /// Whoever asked for the work took it back.
    Cancelled,
    /// A fault of ours.
    Internal,
}

/// Whether the same call may do better later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It will fail again.
    Never,
    /// It may do better soon.
    Soon,
    /// The service named the wait.
    After(Duration),
}

/// What the service itself said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// Its HTTP status, when it speaks HTTP.
    pub status: Option<u16>,
    /// Its own error code.
    pub code: Option<String>,
    /// Its own words, cut to a sane length. Never holds a credential.
    pub message: Option<String>,
}

/// A connector's error.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What went wrong.
    pub kind: Kind,
    /// Whether trying again helps.
    pub retry: Retry,
    /// What a person should read. Names no secret.
    pub message: String,
    /// What the service said, when it said anything.
    pub fault: Option<Box<Fault>>,
    /// What lies beneath.
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The longest text of a service that is passed on, in bytes.
const MAX_FAULT_TEXT: usize = 1_000;

impl Error {
    /// An error of this kind, with words for a person.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let retry = match kind {
            Kind::RateLimited | Kind::Unavailable | Kind::Timeout | Kind::Broken => Retry::Soon,
            _ => Retry::Never,
        };
        Self { kind, retry, message: message.into(), fault: None, source: None }
    }

    /// The object is not there.
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    /// The name is taken by this object.
    #[must_use]
    pub fn conflict(name: &str, by: Option<EntryRef>) -> Self {
        let message = format!("The name \"{name}\" is already taken in this folder.");
        Self::new(Kind::Conflict(by), message)
    }

    /// The caller gave something that is not taken; the message names it and the rule.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// This connector leaves the call to the gap filler.
    #[must_use]
    pub fn declined(op: Op) -> Self {
        Self::new(Kind::Declined(op), format!("The service cannot do {op} itself."))
    }

    /// Nobody can do it.
    #[must_use]
    pub fn unsupported(op: Op, message: impl Into<String>) -> Self {
        Self::new(Kind::Unsupported(op), message)
    }

    /// A fault of ours.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// What an HTTP status means when the service's own words say nothing better.
    #[must_use]
    pub fn from_status(status: u16) -> Self {
        let (kind, message) = match status {
            400 | 422 => (Kind::Invalid, "The service rejected the request."),
            401 => (Kind::Credential, "The service refuses the account's credential."),
            403 => (Kind::Forbidden, "The service does not allow this."),
            404 | 410 => (Kind::NotFound, "The object is not there."),
            408 | 504 => (Kind::Timeout, "The service did not answer in time."),
            409 => (Kind::Conflict(None), "The service reports a conflict."),
            412 => (Kind::Precondition, "The object has changed in the meantime."),
            413 => (Kind::TooLarge, "The content is larger than the service takes."),
            416 => (Kind::Range(None), "The range lies outside the content."),
            423 => (Kind::Forbidden, "The object is locked at the service."),
            429 => (Kind::RateLimited, "The service asks to slow down."),
            503 => (Kind::Unavailable, "The service is not available."),
            507 => (Kind::Full, "The account's storage is full."),
            _ => (Kind::Broken, "The service failed."),
        };
        let mut error = Self::new(kind, message);
        error.fault = Some(Box::new(Fault { status: Some(status), ..Fault::default() }));
        error
    }

    /// Adds what the service said.
    #[must_use]
    pub fn said(mut self, code: Option<&str>, message: Option<&str>) -> Self {
        let fault = self.fault.get_or_insert_default();
        fault.code = code.map(cut);
        fault.message = message.map(cut);
        self
    }

    /// Sets whether trying again helps.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether the connector left this call to the gap filler.
    #[must_use]
    pub fn is_declined(&self) -> bool {
        matches!(self.kind, Kind::Declined(_))
    }

    /// Whether the object was not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self.kind, Kind::NotFound)
    }

    /// Whether the name was taken.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self.kind, Kind::Conflict(_))
    }
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(MAX_FAULT_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().trim().to_owned()
}
