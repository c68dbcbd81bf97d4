//! Who calls: extractors that are the permission. A handler that takes one cannot run without it.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;
use secrecy::SecretString;
use tramontane_accounts::{
    Application, Caller, DeveloperCaller, Error, KeyCaller, Presented, Realm, Refusal,
};
use tramontane_model::Code;

use crate::call::Call;
use crate::listen::Hangup;
use crate::problem::{Answer, Problem};
use crate::state::App;

/// Who calls on the paths of accounts: an API key, or one or several account tokens.
#[derive(Clone, Debug)]
pub struct Known(pub Caller);

/// An application's server, with its API key.
#[derive(Clone, Debug)]
pub struct ApiKey(pub KeyCaller);

/// A developer, with a meta token.
#[derive(Clone, Debug)]
pub struct Developer(pub DeveloperCaller);

/// What a request shows that outlives it: the credential, to be asked again, and the connection's end.
pub(crate) struct Presenting {
    /// The `Authorization` header.
    pub(crate) credential: SecretString,
    /// Ends the connection, where that can be done.
    pub(crate) hangup: Option<Hangup>,
}

impl<S: Send + Sync> FromRequestParts<S> for Presenting {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self {
            credential: SecretString::from(header(parts).unwrap_or_default()),
            hangup: parts.extensions.get::<Hangup>().cloned(),
        })
    }
}

impl Known {
    /// The application that the call counts for.
    ///
    /// # Errors
    /// `forbidden` for callers without one.
    pub fn application(&self) -> Answer<&Arc<Application>> {
        self.0.application().ok_or_else(|| Refusal::WrongKind.into())
    }
}

impl FromRequestParts<App> for Known {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        Ok(Self(who(parts, app, Realm::Accounts).await?))
    }
}

impl FromRequestParts<App> for ApiKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        match who(parts, app, Realm::Accounts).await? {
            Caller::Key(key) => Ok(Self(key)),
            _ => Err(Problem::forbidden(
                "This needs the application's API key; an account's token is not enough.",
            )),
        }
    }
}

impl FromRequestParts<App> for Developer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        match who(parts, app, Realm::Management).await? {
            Caller::Developer(developer) => Ok(Self(developer)),
            _ => Err(Refusal::WrongKind.into()),
        }
    }
}

/// Finds out who calls, counts the call against the application's limit, and notes it for the log.
pub(crate) async fn who(parts: &Parts, app: &App, realm: Realm) -> Answer<Caller> {
    let call = parts.extensions.get::<Call>();
    let caller = match parts.extensions.get::<Caller>() {
        // Part of another request, or of a task: who asked is known.
        Some(caller) => caller.clone(),
        None => app.directory().authenticate(header(parts), realm).await?,
    };
    if let (Some(call), Some(application)) = (call, caller.application()) {
        call.set_application(&application.id);
        if !call.inner {
            let budget = app.rates().application(&application.id);
            call.spend(budget);
            if let Some(budget) = budget.filter(|budget| budget.spent) {
                return Err(over(budget.reset, "application"));
            }
        }
    }
    Ok(caller)
}

/// The value of the `Authorization` header.
pub(crate) fn header(parts: &Parts) -> Option<&str> {
    // A header of bytes that are no text is a credential that nobody knows.
    parts.headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or("?"))
}

/// What an application or an account may send in its window is spent.
pub(crate) fn over(reset: u64, whose: &str) -> Problem {
    let text = format!("The limit of requests for this {whose} is reached.");
    let wait = std::time::Duration::from_secs(reset);
    Problem::new(Code::TooManyRequests, text).retry_after(wait)
}

/// Whether a request shows an API key: some paths take it beside a meta token.
#[must_use]
pub fn shows_api_key(parts: &Parts) -> bool {
    matches!(Presented::parse(header(parts)), Ok(Presented::ApiKey(_)))
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::TokenExpired => Code::InvalidToken,
            _ => Code::Forbidden,
        };
        Self::new(code, sentence(&refusal.to_string()))
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => refusal.into(),
            Error::NotFound(what) => Self::not_found(what),
            Error::Invalid { field, rule } => {
                Self::new(Code::InvalidParameters, format!("{field} {rule}.")).param(field)
            }
            Error::Connector(error) => error.into(),
            Error::NoClient { .. } => {
                Self::new(Code::InvalidParameters, sentence(&error.to_string())).param("service")
            }
            Error::OtherIdentity { .. } => {
                Self::new(Code::InvalidParameters, sentence(&error.to_string())).param("account")
            }
            Error::ClientGone { .. } => {
                Self::new(Code::RequestFailed, sentence(&error.to_string()))
            }
            error => Self::internal(format!("accounts: {error}")),
        }
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}
