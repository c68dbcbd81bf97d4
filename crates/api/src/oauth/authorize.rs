//! `GET /v1/oauth`: where a handshake begins (wire API, section 18.1).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::header::SET_COOKIE;
use http::{HeaderMap, Response};
use serde_json::Value;
use tramontane_accounts::handshake::{
    Delivery, Fault, FaultCode, Handshake, Opening, Request, Wants, redirect, scope,
};
use tramontane_accounts::{Access, Application};
use tramontane_store::sites;
use url::Url;

use crate::call::Call;
use crate::connect::deliver::{Failure, failure, untrusted};
use crate::connect::{Frame, browser, visit};
use crate::problem::{Answer, Problem};
use crate::public::config::trusts;
use crate::public::{Place, admit};
use crate::query::Query;
use crate::state::App;

/// The longest state, in characters.
const MAX_STATE_CHARS: usize = 4_096;
/// The longest wait before a message is posted, in milliseconds (D18).
const MAX_DELAY: u64 = 10_000;
const MAX_REQUEST_ID_CHARS: usize = 1_000;
/// Characters of an `S256` challenge (RFC 7636, section 4.2).
const CHALLENGE_CHARS: usize = 43;

/// `GET /v1/oauth`.
pub(crate) async fn begin(
    State(app): State<App>,
    call: Call,
    query: Query,
    headers: HeaderMap,
) -> Answer {
    let frame = Frame::new(&app, &call, &headers, &query);
    if let Err(problem) = admit(&app, &call, Place::Connect) {
        return Ok(visit::as_page(&frame, &call, &problem));
    }
    let key = browser::key(&call, &headers).unwrap_or_else(|| browser::new_key(&app));
    let outcome = match query.text("connect_link") {
        Some(link) => linked(&app, &call, &key, link).await,
        None => asked(&app, &call, &key, &query, frame).await,
    };
    let frame = Frame::new(&app, &call, &headers, &query);
    Ok(match outcome {
        Ok(Begun::Handshake(handshake)) => begun(&app, &call, frame, &key, &handshake).await,
        Ok(Begun::Lost) => frame.lost(),
        Ok(Begun::Instead(page)) => *page,
        Err(problem) => visit::as_page(&frame, &call, &problem),
    })
}

enum Begun {
    Handshake(Box<Handshake>),
    Instead(Box<Response<Body>>),
    Lost,
}

/// Sends the browser to the first page: the only service's own, or the choice.
async fn begun(
    app: &App,
    call: &Call,
    frame: Frame,
    key: &str,
    handshake: &Handshake,
) -> Response<Body> {
    call.set_application(&handshake.application);
    let choices = visit::choices(app, &handshake.application, &handshake.request).await;
    let mut to = format!("{}/connect/{}", frame.prefix, handshake.id);
    if let Ok([only]) = choices.as_deref() {
        to = format!("{to}/{}{}", only.service, if only.admin { "?admin=true" } else { "" });
    }
    let mut response = frame.redirect(&to);
    if let Some(cookie) = browser::set_cookie(call, key) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

async fn linked(app: &App, _call: &Call, key: &str, link: &str) -> Answer<Begun> {
    let opened = app.directory().open_link(link, key).await?;
    let live = opened.filter(|handshake| {
        !matches!(handshake.step, tramontane_accounts::handshake::Step::Finished)
    });
    Ok(live.map_or(Begun::Lost, |handshake| Begun::Handshake(Box::new(handshake))))
}

async fn asked(app: &App, call: &Call, key: &str, query: &Query, frame: Frame) -> Answer<Begun> {
    let instead = |page| Ok(Begun::Instead(Box::new(page)));
    let Some(id) = query.text("client_id") else {
        return instead(frame.bad_request("client_id is required: the id of your application."));
    };
    let Some(application) = app.directory().public_application(id).await? else {
        let text = "client_id names no application of this server, or one that is switched off.";
        return instead(frame.bad_request(text));
    };
    call.set_application(&application.id);
    let frame = frame.of(&application);
    let mut request = match target(app, &application, query).await? {
        Ok(request) => request,
        Err(text) => return instead(frame.bad_request(&text)),
    };
    let told = |fault: &Fault| match fault {
        Fault::Told { code, description } => Some((*code, description.clone())),
        Fault::Ours(_) => None,
    };
    if let Err(fault) = details(app, &application, query, &mut request).await {
        let Some((code, description)) = told(&fault) else { return Err(ours(fault)) };
        let failed = Failure { code, description: &description };
        return instead(failure(&frame, &request, failed));
    }
    if let Delivery::Message { origin, .. } = &request.delivery
        && !trusts(app, call, &application.id, origin).await?
    {
        // Said before the user connects anything for nothing.
        return instead(untrusted(&frame, &request, origin));
    }
    let kept = request.clone();
    let directory = app.directory();
    match directory.begin_handshake(&application.id, request, Opening::Browser(key)).await {
        Ok(handshake) => Ok(Begun::Handshake(Box::new(handshake))),
        Err(fault) => {
            let Some((code, description)) = told(&fault) else { return Err(ours(fault)) };
            instead(failure(&frame, &kept, Failure { code, description: &description }))
        }
    }
}

fn ours(fault: Fault) -> Problem {
    match fault {
        Fault::Ours(error) => error.into(),
        told @ Fault::Told { .. } => Problem::internal(told),
    }
}

/// What comes at the end and where it goes. Errors here are never redirected.
async fn target(
    app: &App,
    application: &Application,
    query: &Query,
) -> Answer<Result<Request, String>> {
    // A type that is unknown is told to the redirect URI, in its query.
    let wants = match query.text("response_type") {
        Some("token") => Wants::Token,
        _ => Wants::Code,
    };
    let registered = sites::list_redirects(app.db(), &application.id).await?;
    let given = query.text("redirect_uri");
    let delivery = match given {
        Some(redirect::OUT_OF_BAND) => Delivery::Shown,
        Some(uri) => {
            if !registered.iter().any(|row| redirect::is_registered(uri, &row.url)) {
                let text = "redirect_uri is not one that the application has registered, character for \
                            character. Register it under redirect_uris.";
                return Ok(Err(text.to_owned()));
            }
            Delivery::Redirect(uri.to_owned())
        }
        None if wants == Wants::Token => Delivery::Shown,
        None => match registered.as_slice() {
            [only] => Delivery::Redirect(only.url.clone()),
            _ => {
                let text =
                    "redirect_uri is required: the application has not exactly one registered.";
                return Ok(Err(text.to_owned()));
            }
        },
    };
    let mut request = Request::new(wants, delivery);
    request.redirect_uri = given.filter(|uri| *uri != redirect::OUT_OF_BAND).map(str::to_owned);
    if wants == Wants::Token && matches!(request.delivery, Delivery::Shown) {
        request.delivery = pop_up(query)?;
    }
    // The state comes back with every error from here on.
    let state = query.text("state").filter(|state| state.chars().count() <= MAX_STATE_CHARS);
    request.state = state.map(str::to_owned);
    Ok(Ok(request))
}

/// A pop-up's message, when there is an origin and an id for it; else a page shows the token.
fn pop_up(query: &Query) -> Answer<Delivery> {
    let (Some(origin), Some(id)) = (query.text("origin"), query.text("request_id")) else {
        return Ok(Delivery::Shown);
    };
    let Some(origin) = clean_origin(origin) else { return Ok(Delivery::Shown) };
    let delay = query.text("oob_loading_delay").and_then(|text| text.parse::<u64>().ok());
    Ok(Delivery::Message {
        origin,
        request_id: id.chars().take(MAX_REQUEST_ID_CHARS).collect(),
        delay: delay.unwrap_or(0).min(MAX_DELAY),
    })
}

/// Scheme, host and port of a page; `None` when the text is anything else.
fn clean_origin(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let origin = url.origin().ascii_serialization();
    let bare = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    bare.then_some(origin)
}

/// Everything else. Errors here go to the application.
async fn details(
    app: &App,
    application: &Arc<Application>,
    query: &Query,
    request: &mut Request,
) -> Result<(), Fault> {
    let bad = |text: &str| Fault::new(FaultCode::InvalidRequest, text);
    match query.text("response_type") {
        None | Some("code" | "token") => {}
        Some(_) => {
            let text = "response_type must be code or token.";
            return Err(Fault::new(FaultCode::UnsupportedResponseType, text));
        }
    }
    if query.text("state").is_some_and(|state| state.chars().count() > MAX_STATE_CHARS) {
        return Err(bad("state is longer than 4096 characters."));
    }
    if request.wants == Wants::Token {
        if matches!(request.delivery, Delivery::Redirect(_)) && !application.implicit_grant_enabled
        {
            let text =
                "The implicit grant is not enabled for this application. Use response_type=code.";
            return Err(Fault::new(FaultCode::UnauthorizedClient, text));
        }
        if query.text("origin").is_some_and(|origin| clean_origin(origin).is_none()) {
            return Err(bad("origin must be scheme, host and port of a page."));
        }
    }
    if let Some(scope) = query.text("scope") {
        request.scope = scope.to_owned();
    }
    let items = scope::parse(&request.scope);
    items.map_err(|error| Fault::new(FaultCode::InvalidScope, error.to_string()))?;
    request.form_data = object(query, "form_data")?;
    if request.form_data.is_empty() {
        request.form_data = object(query, "extra_data")?;
    }
    request.custom_properties = object(query, "custom_properties")?;
    for (name, value) in query.iter() {
        let key = name.strip_prefix("raw[").and_then(|rest| rest.strip_suffix(']'));
        if let Some(key) = key.filter(|key| !is_protected(key))
            && !value.is_empty()
        {
            request.raw.insert(key.to_owned(), value.to_owned());
        }
    }
    if request.raw.len() > 20 {
        return Err(bad("raw takes at most 20 parameters."));
    }
    request.challenge = challenge(query, application, request.wants)?;
    if let Some(access) = query.text("access") {
        let items = access.split([' ', ',']).filter(|item| !item.is_empty());
        let access = Access::parse(items).map_err(|error| bad(&error.to_string()))?;
        request.access = access.to_stored();
    }
    let choices = visit::choices(app, &application.id, request).await.map_err(|problem| {
        tracing::error!(cause = problem.cause(), "the choice of services could not be made");
        Fault::new(FaultCode::ServerError, "Something failed on our side.")
    })?;
    if choices.is_empty() {
        let text = "Nothing can be connected under this scope: no service of this server fits it, or its \
                    OAuth client is not configured.";
        return Err(Fault::new(FaultCode::InvalidScope, text));
    }
    Ok(())
}

/// Parameters of the login page that belong to the flow; they are left out (section 18.1).
fn is_protected(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.starts_with("code_challenge")
        || matches!(
            lower.as_str(),
            "client_id"
                | "client_secret"
                | "redirect_uri"
                | "response_type"
                | "response_mode"
                | "scope"
                | "state"
                | "nonce"
                | "request"
                | "request_uri"
        )
}

fn challenge(
    query: &Query,
    application: &Application,
    wants: Wants,
) -> Result<Option<String>, Fault> {
    let bad = |text: &str| Fault::new(FaultCode::InvalidRequest, text);
    let Some(challenge) = query.text("code_challenge") else {
        let required = application.settings.get("require_pkce").and_then(Value::as_bool);
        if query.text("code_challenge_method").is_some() {
            return Err(bad("code_challenge is required with code_challenge_method."));
        }
        if wants == Wants::Code && required == Some(true) {
            return Err(bad("This application requires PKCE: code_challenge is missing."));
        }
        return Ok(None);
    };
    if query.text("code_challenge_method") != Some("S256") {
        return Err(bad("code_challenge_method must be S256."));
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if challenge.len() != CHALLENGE_CHARS || !challenge.bytes().all(fits) {
        return Err(bad("code_challenge must be 43 characters of base64url without padding."));
    }
    Ok(Some(challenge.to_owned()))
}

/// A parameter that is a JSON object of strings.
fn object(query: &Query, name: &str) -> Result<BTreeMap<String, String>, Fault> {
    let Some(text) = query.text(name) else { return Ok(BTreeMap::new()) };
    super::links::strings(serde_json::from_str(text).ok().as_ref()).ok_or_else(|| {
        let text = format!("{name} must be a JSON object of strings.");
        Fault::new(FaultCode::InvalidRequest, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port_alone() {
        assert_eq!(clean_origin("https://a.example").as_deref(), Some("https://a.example"));
        assert_eq!(clean_origin("https://a.example:443/").as_deref(), Some("https://a.example"));
        assert_eq!(clean_origin("http://localhost:80").as_deref(), Some("http://localhost"));
        for bad in [
            "",
            "*",
            "null",
            "a.example",
            "https://a.example/x",
            "https://u@a.example",
            "https://a.example?x",
            "javascript:alert(1)",
            "file:///",
            "https://a.example#x",
        ] {
            assert_eq!(clean_origin(bad), None, "{bad}");
        }
    }
}
