//! Trying a webhook's URL before it is saved (wire API, section 31.3).

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, Method};
use secrecy::ExposeSecret as _;
use tramontane_connector::http::Request;
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
    match url.scheme() {
        "https" => {}
        "http" if app.limits().insecure_webhooks => {}
        _ => return Err(refuse("must be an https URL".into())),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("must not hold a user name or password".into()));
    }
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
