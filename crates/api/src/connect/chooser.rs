//! The list of services, and giving up.

use askama::Template;
use axum::extract::{Path, Request, State};
use http::{HeaderMap, StatusCode};
use tramontane_accounts::handshake::scope::Choice;
use tramontane_accounts::handshake::{FaultCode, Step};

use super::deliver;
use super::page::{Frame, Tone};
use super::trouble::{Shown, of_trouble};
use super::visit::Visit;
use super::{browser, form, leave};
use crate::call::Call;
use crate::json::collect;
use crate::problem::Answer;
use crate::query::{Query, latin};
use crate::state::App;

/// The longest small form, in bytes.
const MAX_FORM_BYTES: usize = 16 << 10;

#[derive(Template)]
#[template(path = "connect/choose.html")]
struct Choose<'a> {
    frame: &'a Frame,
    title: &'a str,
    text: &'a str,
    trouble: Option<Shown>,
    tiles: Vec<Tile>,
    cancel: String,
    proof: &'a str,
}

struct Tile {
    href: String,
    logo: String,
    name: String,
    admin: bool,
    search: String,
}

/// `GET /connect/{session}`.
pub(crate) async fn show(
    State(app): State<App>,
    call: Call,
    Path(id): Path<String>,
    query: Query,
    headers: HeaderMap,
) -> Answer {
    let visit = match Visit::find(&app, &call, &headers, &query, &id).await {
        Ok(visit) => visit,
        Err(instead) => return Ok(*instead),
    };
    let choices = match visit.choices().await {
        Ok(choices) => choices,
        Err(problem) => return Ok(visit.problem(&problem)),
    };
    let words = visit.frame.words;
    if choices.is_empty() {
        let text = visit.frame.say(words.no_choice_text, &[]);
        let title = words.no_choice_title;
        return Ok(visit.frame.notice(StatusCode::OK, Tone::Plain, title, &text));
    }
    let again = match visit.again().await {
        Ok(again) => again,
        Err(problem) => return Ok(visit.problem(&problem)),
    };
    let trouble = match &visit.handshake.step {
        Step::Choosing { trouble: Some(trouble) } => {
            Some(of_trouble(&visit.frame, &visit.friendly(&trouble.service), trouble))
        }
        _ => None,
    };
    let (title, text) = match &again {
        Some(again) => {
            let service = visit.friendly(&again.row.service);
            let values = [("account", again.row.display.as_str()), ("service", service.as_str())];
            (words.choose_again_title, visit.frame.say(words.again_text, &values))
        }
        None => (words.choose_title, visit.frame.say(words.choose_text, &[])),
    };
    let page = Choose {
        frame: &visit.frame,
        title,
        text: &text,
        trouble,
        tiles: choices.iter().map(|choice| tile(&visit, choice)).collect(),
        cancel: visit.path("/cancel"),
        proof: &visit.proof,
    };
    Ok(visit.frame.answer(StatusCode::OK, &page))
}

fn tile(visit: &Visit, choice: &Choice) -> Tile {
    let name = visit.friendly(choice.service);
    let admin = if choice.admin { "?admin=true" } else { "" };
    Tile {
        href: visit.path(&format!("/{}{admin}", choice.service)),
        logo: visit.logo(choice.service),
        admin: choice.admin,
        search: format!("{name} {}", choice.service),
        name,
    }
}

/// `GET /connect/{session}/{service}`: its form, or its login page.
pub(crate) async fn choose(
    State(app): State<App>,
    call: Call,
    Path((id, service)): Path<(String, String)>,
    query: Query,
    headers: HeaderMap,
) -> Answer {
    let visit = match Visit::find(&app, &call, &headers, &query, &id).await {
        Ok(visit) => visit,
        Err(instead) => return Ok(*instead),
    };
    let admin = matches!(query.flag("admin"), Ok(Some(true)));
    let found = match visit.choices().await {
        Ok(choices) => choices.into_iter().find(|one| one.service == service && one.admin == admin),
        Err(problem) => return Ok(visit.problem(&problem)),
    };
    let Some(choice) = found else { return Ok(visit.frame.redirect(&visit.path(""))) };
    let with_oauth = app.registry().get(&service).is_some_and(|one| one.oauth().is_some());
    if with_oauth {
        return Ok(leave::for_service(visit, &choice).await);
    }
    form::show(visit, &choice).await
}

/// `POST /connect/{session}/cancel`.
pub(crate) async fn cancel(
    State(app): State<App>,
    call: Call,
    Path(id): Path<String>,
    query: Query,
    headers: HeaderMap,
    request: Request,
) -> Answer {
    let mut visit = match Visit::find(&app, &call, &headers, &query, &id).await {
        Ok(visit) => visit,
        Err(instead) => return Ok(*instead),
    };
    let sent = collect(request.into_body(), MAX_FORM_BYTES).await;
    let sent = sent.map(|bytes| Query::parse(&latin(bytes))).unwrap_or_default();
    if !browser::is_own_form(&call, &headers, &visit.handshake, &visit.key, sent.text("proof")) {
        return Ok(visit.frame.lost());
    }
    let (request, step) = (visit.handshake.request.clone(), visit.handshake.step.clone());
    let Ok(step) = step.finish() else { return Ok(visit.frame.lost()) };
    if app.directory().advance(visit.handshake.clone(), step, None).await?.is_none() {
        return Ok(visit.frame.lost());
    }
    visit.frame.here = None;
    let text = "The user did not connect an account.";
    let failure = deliver::Failure { code: FaultCode::AccessDenied, description: text };
    Ok(deliver::failure(&visit.frame, &request, failure))
}
