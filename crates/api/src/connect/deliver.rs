//! The end of a handshake: the result on its way to the application (wire API, sections 18.4 and 18.5).

use axum::body::Body;
use http::{Response, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::json;
use tramontane_accounts::Imported;
use tramontane_accounts::handshake::{Delivery, FaultCode, Given, Request, Wants};

use super::page::{Ending, Frame, Notice, Tone};
use super::visit::Visit;
use crate::problem::{Answer, Problem};
use crate::public::config::trusts;

/// Why nothing comes of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure<'a> {
    /// The code.
    pub(crate) code: FaultCode,
    /// For the developer.
    pub(crate) description: &'a str,
}

/// An account is connected: ends the handshake and hands over what was asked for.
pub(crate) async fn connected(mut visit: Visit, imported: &Imported) -> Response<Body> {
    let directory = visit.app.directory().clone();
    let Ok(step) = visit.handshake.step.clone().finish() else { return visit.frame.lost() };
    match directory.advance(visit.handshake.clone(), step, None).await {
        Ok(Some(_)) => {}
        Ok(None) => return visit.frame.lost(),
        Err(error) => return visit.problem(&Problem::from(error)),
    }
    // The last page is shown once: there is no other language of it to go to.
    visit.frame.here = None;
    match hand_over(&visit, imported).await {
        Ok(response) => response,
        Err(problem) => visit.problem(&problem),
    }
}

async fn hand_over(visit: &Visit, imported: &Imported) -> Answer {
    let (directory, request) = (visit.app.directory(), &visit.handshake.request);
    let (application, account) = (&visit.application, imported.opened.id());
    if let Delivery::Message { origin, .. } = &request.delivery
        && !trusts(&visit.app, &visit.call, &application.id, origin).await?
    {
        return Ok(untrusted(&visit.frame, request, origin));
    }
    match request.wants {
        Wants::Code => {
            let code = directory.issue_code(&application.id, account, request).await?;
            let code = code.expose_secret();
            Ok(match &request.delivery {
                Delivery::Redirect(uri) => {
                    let mut pairs = vec![("code", code)];
                    pairs.extend(request.state.as_deref().map(|state| ("state", state)));
                    visit.frame.redirect(&redirected(uri, '?', &pairs))
                }
                _ => to_copy(&visit.frame, visit.frame.words.copy_code_title, code),
            })
        }
        Wants::Token => {
            let given = directory.issue_token(application, account, request).await?;
            Ok(with_token(visit, imported, &given))
        }
        Wants::Nothing => Ok(match &request.delivery {
            Delivery::Redirect(uri) => {
                let account = account.to_string();
                let mut pairs = vec![("account", account.as_str())];
                pairs.extend(request.state.as_deref().map(|state| ("state", state)));
                visit.frame.redirect(&redirected(uri, '?', &pairs))
            }
            _ => {
                let text = done(visit, imported);
                let words = visit.frame.words;
                let text = format!("{text} {}", words.close);
                visit.frame.notice(StatusCode::OK, Tone::Good, words.done_title, &text)
            }
        }),
    }
}

fn done(visit: &Visit, imported: &Imported) -> String {
    let words = visit.frame.words;
    let again = visit.handshake.request.account.is_some();
    let text = if again { words.done_again } else { words.done_text };
    visit.frame.say(text, &[("account", &imported.opened.row.display)])
}

fn with_token(visit: &Visit, imported: &Imported, given: &Given) -> Response<Body> {
    let request = &visit.handshake.request;
    let token = given.token.expose_secret();
    match &request.delivery {
        Delivery::Redirect(uri) => {
            let life = given.expires_in.map(|seconds| seconds.to_string());
            let mut pairs = vec![("access_token", token), ("token_type", "Bearer")];
            pairs.extend(life.as_deref().map(|life| ("expires_in", life)));
            pairs.push(("scope", &request.scope));
            pairs.extend(request.state.as_deref().map(|state| ("state", state)));
            visit.frame.redirect(&redirected(uri, '#', &pairs))
        }
        Delivery::Message { .. } => {
            let mut data = json!({
                "access_token": token, "token_type": "Bearer", "scope": request.scope,
            });
            if let (Some(data), Some(life)) = (data.as_object_mut(), given.expires_in) {
                data.insert("expires_in".into(), life.into());
            }
            let text = done(visit, imported);
            let words = visit.frame.words;
            message(&visit.frame, request, data, Tone::Good, words.done_title, &text, None)
        }
        Delivery::Shown => to_copy(&visit.frame, visit.frame.words.copy_token_title, token),
    }
}

/// A page that shows a value for copying.
fn to_copy(frame: &Frame, title: &str, value: &str) -> Response<Body> {
    let text = frame.say(frame.words.copy_text, &[]);
    let page = Notice {
        frame,
        tone: Tone::Good,
        title,
        text: &text,
        detail: None,
        ending: None,
        copy: Some(value),
    };
    frame.answer(StatusCode::OK, &page)
}

/// The page that ends a pop-up: it posts its message once.
fn message(
    frame: &Frame,
    request: &Request,
    mut data: serde_json::Value,
    tone: Tone,
    title: &str,
    text: &str,
    detail: Option<&str>,
) -> Response<Body> {
    let Delivery::Message { origin, request_id, delay } = &request.delivery else {
        return frame.notice_with(StatusCode::OK, tone, title, text, detail);
    };
    if let (Some(data), Some(state)) = (data.as_object_mut(), &request.state) {
        data.insert("state".into(), state.as_str().into());
    }
    let letter = json!({"type": "authentication", "id": request_id, "data": data});
    let letter = format!("kloudless:{letter}");
    let ending = Ending { message: &letter, origin, delay: *delay };
    let page = Notice { frame, tone, title, text, detail, ending: Some(ending), copy: None };
    frame.answer(StatusCode::OK, &page)
}

/// The page that opened the pop-up is not trusted: nothing is made for it, and the pop-up says so.
pub(crate) fn untrusted(frame: &Frame, request: &Request, origin: &str) -> Response<Body> {
    let words = frame.words;
    let text = frame.say(words.untrusted_text, &[("origin", origin)]);
    let description = format!(
        "{origin} is not among the application's trusted domains; add it there to hand out tokens."
    );
    let data = json!({
        "error": FaultCode::UntrustedOrigin.as_str(), "error_description": description,
    });
    let detail = Some(description.as_str());
    message(frame, request, data, Tone::Bad, words.untrusted_title, &text, detail)
}

/// Nothing comes of it: tells the application (wire API, section 18.4).
pub(crate) fn failure(frame: &Frame, request: &Request, failure: Failure<'_>) -> Response<Body> {
    let words = frame.words;
    if let Delivery::Redirect(uri) = &request.delivery {
        let mark = if request.wants == Wants::Token { '#' } else { '?' };
        let mut pairs =
            vec![("error", failure.code.as_str()), ("error_description", failure.description)];
        pairs.extend(request.state.as_deref().map(|state| ("state", state)));
        return frame.redirect(&redirected(uri, mark, &pairs));
    }
    let data = json!({"error": failure.code.as_str(), "error_description": failure.description});
    if failure.code == FaultCode::AccessDenied {
        let (title, text) = (words.cancelled_title, words.cancelled_text);
        return message(frame, request, data, Tone::Plain, title, text, None);
    }
    let detail = format!("{}: {}", failure.code.as_str(), failure.description);
    let (title, text) = (words.failed_title, words.bad_request_text);
    message(frame, request, data, Tone::Bad, title, text, Some(&detail))
}

/// A redirect URI with parameters added to its query or as its fragment. An existing query is kept; a
/// parameter without a value is left out.
fn redirected(uri: &str, mark: char, pairs: &[(&str, &str)]) -> String {
    // The header takes ASCII alone. A URI that is none was registered as it is written.
    let uri = match uri.is_ascii() {
        true => uri.to_owned(),
        false => url::Url::parse(uri).map_or_else(|_| uri.to_owned(), String::from),
    };
    let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
    let text: Vec<String> =
        pairs.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let text = text.join("&");
    match mark {
        '?' if uri.ends_with(['?', '&']) => format!("{uri}{text}"),
        '?' if uri.contains('?') => format!("{uri}&{text}"),
        mark => format!("{uri}{mark}{text}"),
    }
}

/// Percent-encodes what would end a parameter; what may stand in a query stays, because existing
/// clients do not decode.
fn encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$'()*,/:;?@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_added_and_what_is_there_is_kept() {
        let pairs = [("code", "tmc_a-b"), ("state", ""), ("x", "a&b=c d#é")];
        let end = "code=tmc_a-b&x=a%26b%3Dc%20d%23%C3%A9";
        for (uri, mark, expected) in [
            ("https://a.example/cb", '?', format!("https://a.example/cb?{end}")),
            ("https://a.example/cb?y=1", '?', format!("https://a.example/cb?y=1&{end}")),
            ("https://a.example/cb?", '?', format!("https://a.example/cb?{end}")),
            ("https://a.example/cb?y=1", '#', format!("https://a.example/cb?y=1#{end}")),
            ("com.example.notes://cb", '?', format!("com.example.notes://cb?{end}")),
        ] {
            assert_eq!(redirected(uri, mark, &pairs), expected);
        }
    }

    #[test]
    fn a_state_of_plain_characters_comes_back_as_it_is() {
        assert_eq!(encoded("ab.c:d/e?f@g!h~_-"), "ab.c:d/e?f@g!h~_-");
        assert_eq!(encoded("\r\n"), "%0D%0A");
    }
}
