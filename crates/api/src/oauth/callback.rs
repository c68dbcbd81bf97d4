//! `GET /v1/oauth/callback`: where services send users back to.
//!
//! An answer is used when its state is one that waits, in the browser that was sent away, once. Which
//! service it is from is what we noted when we sent the user there, never what the answer says.

use axum::extract::State;
use http::{HeaderMap, Uri};
use tramontane_accounts::handshake::Step;

use crate::call::Call;
use crate::connect::leave::{Returned, back};
use crate::connect::{Frame, Visit, browser, visit};
use crate::problem::{Answer, Problem};
use crate::public::{Place, admit};
use crate::query::Query;
use crate::state::App;

/// The longest code or error that is read, in bytes.
const MAX_VALUE_BYTES: usize = 8_192;

/// `GET /v1/oauth/callback`.
pub(crate) async fn receive(
    State(app): State<App>,
    call: Call,
    uri: Uri,
    query: Query,
    headers: HeaderMap,
) -> Answer {
    let frame = Frame::new(&app, &call, &headers, &query);
    if let Err(problem) = admit(&app, &call, Place::Connect) {
        return Ok(visit::as_page(&frame, &call, &problem));
    }
    let returned = match read(&uri) {
        Ok(returned) => returned,
        Err(text) => return Ok(frame.bad_request(text)),
    };
    let found = match waiting(&app, &call, &headers, &returned.state).await {
        Ok(found) => found,
        Err(problem) => return Ok(visit::as_page(&frame, &call, &problem)),
    };
    let Some((key, handshake, application)) = found else { return Ok(frame.lost()) };
    let Step::AtService { service, .. } = &handshake.step else { return Ok(frame.lost()) };
    if let Some(issuer) = &returned.issuer
        && !is_of(&app, service, issuer)
    {
        // Another service's answer under this one's state (RFC 9207, section 2.4).
        tracing::warn!(
            request_id = call.request_id,
            service,
            issuer,
            "an answer of another issuer"
        );
        return Ok(frame.lost());
    }
    let visit = Visit::of(&app, &call, frame, key, handshake, application);
    Ok(back(visit, returned.outcome).await)
}

type Waiting = (
    String,
    tramontane_accounts::handshake::Handshake,
    std::sync::Arc<tramontane_accounts::Application>,
);

async fn waiting(
    app: &App,
    call: &Call,
    headers: &HeaderMap,
    state: &str,
) -> Answer<Option<Waiting>> {
    let Some(key) = browser::key(call, headers) else { return Ok(None) };
    let Some(handshake) = app.directory().returning(state, &key).await? else { return Ok(None) };
    let application = app.directory().public_application(&handshake.application).await?;
    Ok::<_, Problem>(application.map(|application| (key, handshake, application)))
}

struct Answered {
    state: String,
    issuer: Option<String>,
    outcome: Returned,
}

/// Reads what the service sent. What comes twice is refused (RFC 6749, section 3.1).
fn read(uri: &Uri) -> Result<Answered, &'static str> {
    let query = Query::of(uri);
    let one = |name: &str| {
        let mut values = query.iter().filter(|(own, _)| *own == name).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err("The service's answer names a parameter twice."),
            (Some(value), None) if value.len() > MAX_VALUE_BYTES => {
                Err("The service's answer is too long.")
            }
            (value, None) => Ok(value.filter(|value| !value.is_empty()).map(str::to_owned)),
        }
    };
    let state = one("state")?.ok_or("The service's answer has no state.")?;
    let words = one("error_description")?.unwrap_or_default();
    let outcome = match (one("error")?, one("code")?) {
        (Some(error), _) => Returned::Error(printable(&error, 100), printable(&words, 500)),
        (None, Some(code)) => Returned::Code(code),
        (None, None) => return Err("The service's answer has neither a code nor an error."),
    };
    Ok(Answered { state, issuer: one("iss")?, outcome })
}

fn printable(text: &str, most: usize) -> String {
    text.chars().filter(|one| !one.is_control()).take(most).collect()
}

/// Whether an issuer is on a host of the service's own login.
fn is_of(app: &App, service: &str, issuer: &str) -> bool {
    let oauth = app.registry().get(service).and_then(|one| one.oauth().cloned());
    let Some(oauth) = oauth else { return false };
    let Ok(issuer) = url::Url::parse(issuer) else { return false };
    [&oauth.authorize, &oauth.token].iter().any(|own| own.origin() == issuer.origin())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn outcome(query: &str) -> Result<String, &'static str> {
        let uri: Uri = format!("/v1/oauth/callback?{query}").parse().unwrap();
        read(&uri).map(|answered| format!("{} {:?}", answered.state, answered.outcome))
    }

    #[test]
    fn an_answer_has_a_state_and_one_outcome() {
        assert_eq!(outcome("state=s&code=c").unwrap(), "s Code(\"c\")");
        let error = outcome("state=s&error=access_denied&error_description=no%0A&code=c");
        assert_eq!(error.unwrap(), "s Error(\"access_denied\", \"no\")");
        for bad in ["", "state=s", "code=c", "state=s&code=c&code=d", "state=s&state=t&code=c"] {
            assert!(outcome(bad).is_err(), "{bad}");
        }
        assert!(outcome(&format!("state=s&code={}", "c".repeat(9_000))).is_err());
    }
}
