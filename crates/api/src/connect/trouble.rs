//! What went wrong, as a person reads it: in the page's language, with the service's own words beneath.

use tramontane_accounts::Error;
use tramontane_accounts::handshake::{Trouble, TroubleKind};
use tramontane_connector::{Descriptor, Field, Kind};

use super::page::Frame;

/// What is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// What happened and what to do, in the page's language.
    pub(crate) text: String,
    /// The service's own words, in English; may be empty.
    pub(crate) detail: String,
    /// The field to look at.
    pub(crate) field: Option<&'static str>,
}

/// What a failed try of a form says.
pub(crate) fn of_error(frame: &Frame, about: &Descriptor, error: &Error) -> Shown {
    let words = frame.words;
    let service = [("service", about.friendly_name)];
    let shown = |text: &str, detail: String, field| Shown {
        text: frame.say(text, &service),
        detail,
        field,
    };
    match error {
        Error::Connector(fault) => {
            let message = with_words(fault);
            let field = named_field(about, &fault.message);
            let field = match fault.kind {
                Kind::Credential => secret_field(about, field),
                _ => field,
            };
            let text = match &fault.kind {
                Kind::Credential => words.credential,
                Kind::Unavailable => words.unreachable,
                Kind::Guarded if fault.message.contains("certificate") => words.certificate,
                Kind::Guarded => words.guarded,
                Kind::Forbidden | Kind::NotAllowed => words.forbidden,
                Kind::Invalid if field.is_some() && is_address(about, field) => words.elsewhere,
                Kind::Invalid => words.check_form,
                Kind::Timeout => words.timeout,
                Kind::RateLimited => words.busy,
                Kind::NotFound | Kind::Broken => words.elsewhere,
                Kind::Internal => {
                    tracing::error!(error = %fault, "a credential could not be tried");
                    return shown(words.our_fault, String::new(), None);
                }
                _ => words.service_failed,
            };
            shown(text, message, field)
        }
        Error::Invalid { field, rule } => {
            let known = about.field(field).map(|field| field.name);
            shown(words.check_form, format!("{field} {rule}."), known)
        }
        Error::OtherIdentity { wanted, found } => Shown {
            text: frame.say(words.other_identity, &[("wanted", wanted), ("found", found)]),
            detail: String::new(),
            field: None,
        },
        error => {
            tracing::error!(%error, "an account could not be connected");
            shown(words.our_fault, String::new(), None)
        }
    }
}

/// What a failed way to a service says.
pub(crate) fn of_trouble(frame: &Frame, friendly: &str, trouble: &Trouble) -> Shown {
    let words = frame.words;
    let text = match &trouble.kind {
        TroubleKind::Denied => words.denied,
        TroubleKind::Service => words.service_failed,
        TroubleKind::NotSetUp => words.not_set_up,
        TroubleKind::Ours => words.our_fault,
        TroubleKind::OtherIdentity { wanted, found } => {
            let values = [("wanted", wanted.as_str()), ("found", found.as_str())];
            let text = frame.say(words.other_identity, &values);
            return Shown { text, detail: String::new(), field: None };
        }
    };
    let text = frame.say(text, &[("service", friendly)]);
    Shown { text, detail: trouble.detail.clone(), field: None }
}

/// What an error of a way to a service was.
pub(crate) fn kind_of(error: &Error) -> (TroubleKind, String) {
    match error {
        Error::Connector(fault) if fault.kind == Kind::Internal => {
            tracing::error!(error = %fault, "an account could not be connected");
            (TroubleKind::Ours, String::new())
        }
        Error::Connector(fault) => (TroubleKind::Service, with_words(fault)),
        Error::OtherIdentity { wanted, found } => {
            let kind = TroubleKind::OtherIdentity { wanted: wanted.clone(), found: found.clone() };
            (kind, String::new())
        }
        Error::NoClient { .. } | Error::ClientGone { .. } => {
            (TroubleKind::NotSetUp, error.to_string())
        }
        Error::Invalid { field, rule } => (TroubleKind::Service, format!("{field} {rule}.")),
        error => {
            tracing::error!(%error, "an account could not be connected");
            (TroubleKind::Ours, String::new())
        }
    }
}

fn with_words(fault: &tramontane_connector::Error) -> String {
    let said = fault.fault.as_ref().and_then(|fault| fault.message.as_deref());
    match said.filter(|said| !said.is_empty() && !fault.message.contains(said)) {
        Some(said) => format!("{} The service says: {said}", fault.message),
        None => fault.message.clone(),
    }
}

/// The field that a connector's message begins with, as the contract has it.
fn named_field(about: &Descriptor, message: &str) -> Option<&'static str> {
    let first = message.split(|one: char| !(one.is_ascii_alphanumeric() || one == '_')).next()?;
    about.fields.iter().find(|field| field.name == first).map(|field| field.name)
}

/// What is looked at first when a sign-in is refused: the secret that is named, else the first one.
fn secret_field(about: &Descriptor, named: Option<&'static str>) -> Option<&'static str> {
    let named = named.filter(|name| about.field(name).is_some_and(Field::is_secret));
    let first = || about.fields.iter().find(|field| field.is_secret()).map(|field| field.name);
    named.or_else(first)
}

fn is_address(about: &Descriptor, field: Option<&str>) -> bool {
    let field = field.and_then(|name| about.field(name));
    field.is_some_and(|field| {
        field.kind == tramontane_connector::FieldKind::Url || field.name == "host"
    })
}
