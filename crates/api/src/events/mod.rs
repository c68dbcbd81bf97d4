//! Activity: events by cursor, subscriptions, and streams (wire API, sections 29, 30, 46, 53).
//!
//! Everything here reads the log of the `feeds` crate; what happens at the services gets there beside the
//! requests. `read` answers pages and waits for them, `view` is an event as it is shown, `cursor` what a
//! position looks like, `stream` and `whole` the streams of one account and of all of an application,
//! `outlet` what they write to, `ticket` the tokens that browsers open one with, `webhook` an event as webhooks
//! bring it, `health` how a feed is, `explain` why something was not told.

mod cursor;
mod digest;
mod explain;
mod filter;
mod health;
mod outlet;
mod read;
mod routes;
mod stream;
mod subscriptions;
mod ticket;
mod view;
mod webhook;
mod whole;

pub(crate) use outlet::Streams;
pub(crate) use routes::routes;
pub use webhook::WebhookView;

use tramontane_feeds::Error;
use tramontane_model::Code;

use crate::account::Account;
use crate::problem::{Answer, Problem};

/// Checks that the account's events may be read: the application has events, and the credential is not limited
/// to some folders.
///
/// # Errors
/// `forbidden`, `permission_denied`.
pub(crate) fn allowed(account: &Account) -> Answer<()> {
    account.require_everywhere()?;
    if account.application()?.events_enabled {
        return Ok(());
    }
    Err(Problem::forbidden("Events are off for this application: switch events_enabled on."))
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Off => Self::forbidden(
                "Events are off for this account. An empty POST to its subscriptions switches them on.",
            ),
            Error::Invalid { field, rule } => Self::invalid(field, rule),
            Error::TooMuch => Self::new(
                Code::NotImplemented,
                "More is known of the account than is looked through for one answer.",
            ),
            Error::Accounts(error) => error.into(),
            Error::Store(error) => error.into(),
            error => Self::internal(format!("feeds: {error}")),
        }
    }
}
