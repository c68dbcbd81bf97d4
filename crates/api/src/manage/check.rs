//! Trying a webhook's URL before it is saved (wire API, section 31.3).

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, Method};
use secrecy::ExposeSecret as _;
use tramontane_activity::delivery::Outcome;
use tramontane_connector::http::Request;
use tramontane_feeds::deliver::Answered;
use tramontane_vault::webhook_signature;
use url::Url;

use crate::problem::{Answer, Problem};
use crate::state::App;

const WITHIN: Duration = Duration::from_secs(15);
const MAX_ANSWER_BYTES: usize = 4_096;
const SIGNATURE: HeaderName = HeaderName::from_static("x-kloudless-signature");

/// Sends one `POST` with an empty body and the signature; the answer must be `200` with the
/// application's id.
///
/// # Errors
/// `invalid_parameters` for `url`, with what was wrong.
pub(crate) async fn check(app: &App, application: &str, url: Url) -> Answer<()> {
    let refuse = |why: String| Problem::invalid("url", why);
    check_form(app, &url)?;
    let key = app.directory().signing_key(application).await.map_err(|error| match error {
        tramontane_accounts::Error::NotFound(_) => {
            refuse("cannot be tried: the application has no active API key to sign with".into())
        }
        other => other.into(),
    })?;
    let request = Request::new("webhook_check", Method::POST, url)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(SIGNATURE, webhook_signature(key.expose_secret(), b""))
        .bytes(Bytes::new());
    let answer = app.fetch().send(request, WITHIN).await;
    let answer =
        answer.map_err(|error| refuse(format!("could not be called: {}", error.message)))?;
    if answer.status != http::StatusCode::OK {
        return Err(refuse(format!("answered {}, not 200", answer.status.as_u16())));
    }
    let body = tokio::time::timeout(WITHIN, answer.body.collect(MAX_ANSWER_BYTES)).await;
    let Ok(Ok(body)) = body else {
        return Err(refuse("did not answer with the application's id".into()));
    };
    let text = String::from_utf8_lossy(&body);
    let text = text.trim().trim_matches(['"', '\'']).trim();
    if text != application {
        return Err(refuse("did not answer with the application's id as the body".into()));
    }
    Ok(())
}

/// Whether a URL may be a webhook's at all.
///
/// # Errors
/// `invalid_parameters` for `url`.
pub(crate) fn check_form(app: &App, url: &Url) -> Answer<()> {
    match url.scheme() {
        "https" => {}
        "http" if app.limits().insecure_webhooks => {}
        _ => return Err(Problem::invalid("url", "must be an https URL")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Problem::invalid("url", "must not hold a user name or password"));
    }
    Ok(())
}

/// Whether a new endpoint took its ping: any `2xx` will do.
///
/// # Errors
/// `invalid_parameters` for `url`, with what was wrong.
pub(crate) fn check_ping(answered: &Answered) -> Answer<()> {
    if answered.outcome() == Outcome::Taken {
        return Ok(());
    }
    let why = match (answered.status, &answered.error) {
        (Some(status), _) => format!("answered the ping with {status}, not 2xx"),
        (None, error) => {
            format!("could not be called: {}", error.as_deref().unwrap_or("no answer"))
        }
    };
    Err(Problem::invalid("url", why))
}
