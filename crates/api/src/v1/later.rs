//! Categories that come later: `501` with the reason, never `404`.

use axum::extract::Request;

use crate::account::Account;
use crate::caller::Known;
use crate::problem::{Answer, Problem};
use tramontane_model::Code;

/// Anything below an account that belongs to another category.
///
/// # Errors
/// Always `not_implemented`.
pub async fn of_account(account: Account, request: Request) -> Answer {
    let path = request.uri().path().to_owned();
    let noun = path.split('/').nth(4).unwrap_or_default();
    let (what, operation) = match noun {
        "cal" => ("calendars", "calendar.calendars.write"),
        "chat" | "messaging" => ("chat", "messaging.messages.list"),
        "crm" => ("CRM", "crm.objects.write"),
        "email" => ("email", "email.messages.list"),
        "team" => ("teams", "team.users.list"),
        "itsm" => ("IT service management", "core.raw"),
        "helpdesk" => ("a help desk", "core.raw"),
        "accounting" => ("accounting", "core.raw"),
        "objects" | "mappings" => ("mapped objects", "core.raw"),
        "sharing" => ("sharing beside links and permissions", "core.raw"),
        "meetings" => ("the meeting scheduler", "calendar.availability.read"),
        _ => ("activity", "events.changes.read"),
    };
    let service = account.app().registry().get(&account.opened.account.service);
    let name = service.map_or("", |service| service.descriptor().friendly_name);
    let text = format!("{name} has no {what} here: no connector for it does this yet.");
    Err(Problem::new(Code::NotImplemented, text.trim_start())
        .with_reason(operation, "connector_incomplete"))
}

/// The meeting scheduler, and feeds of a whole application.
///
/// # Errors
/// Always `not_implemented`.
pub async fn of_application(_: Known, request: Request) -> Answer {
    let text = format!("{} is not served yet.", request.uri().path());
    let reason = Problem::new(Code::NotImplemented, text);
    Err(reason.with_reason("events.changes.read", "connector_incomplete"))
}

/// Pages that come later: they need no credential to be told.
///
/// # Errors
/// Always `not_implemented`.
pub async fn of_public(request: Request) -> Answer {
    let text = format!("{} is not served yet.", request.uri().path());
    Err(Problem::new(Code::NotImplemented, text))
}
