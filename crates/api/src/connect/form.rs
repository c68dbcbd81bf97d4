//! The form of a service without OAuth: made from the fields that its connector declares, checked, and
//! the credential tried before anything is kept.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, Request, State};
use http::{HeaderMap, StatusCode};
use tramontane_accounts::connect::try_credential;
use tramontane_accounts::form::{By, fill};
use tramontane_accounts::handshake::scope::Choice;
use tramontane_accounts::{AccountChange, Error, Imported, NewAccount};
use tramontane_connector::{Connector, Credential, Field, FieldKind, Settings};

use super::leave::noted;
use super::page::Frame;
use super::trouble::{Shown, of_error};
use super::visit::Visit;
use super::words::{Lang, of_field};
use super::{browser, deliver};
use crate::call::Call;
use crate::json::collect;
use crate::problem::Answer;
use crate::public::{Place, admit};
use crate::query::{Query, latin};
use crate::state::App;

/// The longest form, in bytes: it may hold a private key.
const MAX_FORM_BYTES: usize = 256 << 10;
/// The longest value, in bytes; what `accounts` takes.
const MAX_VALUE_BYTES: usize = 65_536;

#[derive(Template)]
#[template(path = "connect/form.html")]
struct Form<'a> {
    frame: &'a Frame,
    title: String,
    text: String,
    logo: String,
    trouble: Option<Shown>,
    action: String,
    proof: &'a str,
    fields: Vec<Shows>,
    private: String,
    back: Option<String>,
    cancel: String,
}

/// One field as the page shows it.
struct Shows {
    name: &'static str,
    label: &'static str,
    help: &'static str,
    english: bool,
    kind: &'static str,
    mode: Option<&'static str>,
    autocomplete: &'static str,
    required: bool,
    value: String,
    error: Option<&'static str>,
    focus: bool,
}

/// The fields that an end user fills.
fn asked(connector: &dyn Connector) -> impl Iterator<Item = &'static Field> {
    connector.descriptor().fields.iter().filter(|field| !field.operator_only)
}

/// `GET /connect/{session}/{service}` of a service with a form.
pub(crate) async fn show(visit: Visit, choice: &Choice) -> Answer {
    let connector = visit.connector(choice.service)?;
    let mut values = BTreeMap::new();
    let again = match visit.again().await {
        Ok(again) => again,
        Err(problem) => return Ok(visit.problem(&problem)),
    };
    for field in asked(connector.as_ref()).filter(|field| !field.is_secret()) {
        let names = std::iter::once(&field.name).chain(field.aliases);
        let given = names.filter_map(|name| visit.handshake.request.form_data.get(*name)).next();
        let kept = again.as_ref().and_then(|again| again.account.setting(field.name));
        let value = kept.or(given.map(String::as_str)).or(field.default).unwrap_or_default();
        values.insert(field.name, value.to_owned());
    }
    page(&visit, choice, connector.as_ref(), &values, &BTreeMap::new(), None).await
}

async fn page(
    visit: &Visit,
    choice: &Choice,
    connector: &dyn Connector,
    values: &BTreeMap<&'static str, String>,
    errors: &BTreeMap<&'static str, &'static str>,
    trouble: Option<Shown>,
) -> Answer {
    let frame = &visit.frame;
    let service = connector.descriptor().friendly_name;
    let again = visit.again().await?;
    let (title, text) = match &again {
        Some(again) => (
            frame.say(frame.words.again_title, &[("service", service)]),
            frame.say(
                frame.words.again_text,
                &[("account", &again.row.display), ("service", service)],
            ),
        ),
        None => (
            frame.say(frame.words.form_title, &[("service", service)]),
            frame.say(frame.words.form_text, &[("service", service)]),
        ),
    };
    let wrong = trouble.as_ref().and_then(|trouble| trouble.field);
    let mut fields: Vec<Shows> =
        asked(connector).map(|field| shown(frame.lang, field, values, errors)).collect();
    if let Some(name) = wrong
        && let Some(field) = fields.iter_mut().find(|field| field.name == name)
    {
        field.error = field.error.or(Some(frame.words.look_here));
    }
    // The first thing to do has the focus: what is wrong, else what is empty.
    let first = fields.iter().position(|field| field.error.is_some());
    let first = first.or_else(|| fields.iter().position(|field| field.value.is_empty()));
    if let Some(field) = first.and_then(|first| fields.get_mut(first)) {
        field.focus = true;
    }
    let has_more = visit.choices().await?.len() > 1;
    let status = if errors.is_empty() && trouble.is_none() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let form = Form {
        frame,
        title,
        text,
        logo: visit.logo(choice.service),
        trouble,
        action: visit.path(&format!("/{}", choice.service)),
        proof: &visit.proof,
        fields,
        private: frame.say(frame.words.private, &[]),
        back: has_more.then(|| visit.path("")),
        cancel: visit.path("/cancel"),
    };
    Ok(frame.answer(status, &form))
}

fn shown(
    lang: Lang,
    field: &'static Field,
    values: &BTreeMap<&'static str, String>,
    errors: &BTreeMap<&'static str, &'static str>,
) -> Shows {
    let (kind, mode) = match field.kind {
        FieldKind::Text => ("text", None),
        FieldKind::Url => ("text", Some("url")),
        FieldKind::Number => ("text", Some("numeric")),
        FieldKind::Boolean => ("checkbox", None),
        FieldKind::Secret => ("password", None),
        FieldKind::SecretText => ("textarea", None),
    };
    let autocomplete = match field.name {
        "username" => "username",
        "password" => "current-password",
        "url" | "endpoint" => "url",
        _ => "off",
    };
    let help = of_field(lang, field.help);
    Shows {
        name: field.name,
        label: of_field(lang, field.label),
        help,
        english: lang != Lang::En && help == field.help,
        kind,
        mode,
        autocomplete,
        required: field.required && field.default.is_none(),
        value: values.get(field.name).cloned().unwrap_or_default(),
        error: errors.get(field.name).copied(),
        focus: false,
    }
}

/// `POST /connect/{session}/{service}`.
pub(crate) async fn submit(
    State(app): State<App>,
    call: Call,
    Path((id, service)): Path<(String, String)>,
    query: Query,
    headers: HeaderMap,
    request: Request,
) -> Answer {
    let visit = match Visit::find(&app, &call, &headers, &query, &id).await {
        Ok(visit) => visit,
        Err(instead) => return Ok(*instead),
    };
    match submitted(&visit, &service, &headers, request).await {
        Ok(Outcome::Page(response)) => Ok(response),
        Ok(Outcome::Connected(imported)) => Ok(deliver::connected(visit, &imported).await),
        Err(problem) => Ok(visit.problem(&problem)),
    }
}

enum Outcome {
    Page(axum::response::Response),
    Connected(Imported),
}

async fn submitted(
    visit: &Visit,
    service: &str,
    headers: &HeaderMap,
    request: Request,
) -> Answer<Outcome> {
    let sent = Query::parse(&latin(collect(request.into_body(), MAX_FORM_BYTES).await?));
    let proof = sent.text("proof");
    if !browser::is_own_form(&visit.call, headers, &visit.handshake, &visit.key, proof) {
        return Ok(Outcome::Page(visit.frame.lost()));
    }
    let choices = visit.choices().await?;
    let choice = choices.iter().find(|one| one.service == service && !one.admin);
    let connector = visit.connector(service)?;
    let Some(choice) = choice.filter(|_| connector.oauth().is_none()) else {
        return Ok(Outcome::Page(visit.frame.redirect(&visit.path(""))));
    };
    let values = values(connector.as_ref(), &sent);
    let errors = checked(&visit.frame, connector.as_ref(), &values);
    // Secrets are not sent back to the page.
    let plain: BTreeMap<&'static str, String> = asked(connector.as_ref())
        .filter(|field| !field.is_secret())
        .filter_map(|field| Some((field.name, values.get(field.name)?.clone())))
        .collect();
    if !errors.is_empty() {
        let response = page(visit, choice, connector.as_ref(), &plain, &errors, None).await?;
        return Ok(Outcome::Page(response));
    }
    admit(&visit.app, &visit.call, Place::Tries)?;
    match tried(visit, choice, connector.as_ref(), &values).await {
        Ok(imported) => Ok(Outcome::Connected(imported)),
        Err(error) => {
            let trouble = of_error(&visit.frame, connector.descriptor(), &error);
            let none = BTreeMap::new();
            let page = page(visit, choice, connector.as_ref(), &plain, &none, Some(trouble));
            Ok(Outcome::Page(page.await?))
        }
    }
}

/// What was entered, by field. An address without a scheme is what people have at hand.
fn values(connector: &dyn Connector, sent: &Query) -> BTreeMap<&'static str, String> {
    let mut values = BTreeMap::new();
    for field in asked(connector) {
        let Some(text) = sent.text(field.name) else { continue };
        let text = match field.kind {
            FieldKind::Secret => text.to_owned(),
            FieldKind::SecretText => text.replace("\r\n", "\n"),
            FieldKind::Url if !text.contains("://") => format!("https://{}", text.trim()),
            _ => text.trim().to_owned(),
        };
        if !text.is_empty() {
            values.insert(field.name, text);
        }
    }
    values
}

/// What is wrong with what was entered, as far as that can be said without asking the service.
fn checked(
    frame: &Frame,
    connector: &dyn Connector,
    values: &BTreeMap<&'static str, String>,
) -> BTreeMap<&'static str, &'static str> {
    let words = frame.words;
    let mut errors = BTreeMap::new();
    for field in asked(connector) {
        let Some(value) = values.get(field.name) else {
            if field.required && field.default.is_none() {
                errors.insert(field.name, words.required);
            }
            continue;
        };
        let is_url = || {
            url::Url::parse(value)
                .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        };
        let wrong = match field.kind {
            _ if value.len() > MAX_VALUE_BYTES => Some(words.too_long),
            _ if value.contains('\0') => Some(words.look_here),
            FieldKind::Text | FieldKind::Secret if value.contains(['\r', '\n']) => {
                Some(words.bad_line)
            }
            FieldKind::Url if !is_url() => Some(words.bad_url),
            FieldKind::Number if value.parse::<i64>().is_err() => Some(words.bad_number),
            _ => None,
        };
        errors.extend(wrong.map(|wrong| (field.name, wrong)));
    }
    errors
}

/// Tries the credential, and keeps the account when it is good.
async fn tried(
    visit: &Visit,
    choice: &Choice,
    connector: &dyn Connector,
    values: &BTreeMap<&'static str, String>,
) -> Result<Imported, Error> {
    let (app, request) = (&visit.app, &visit.handshake.request);
    let given = values.iter().map(|(name, value)| ((*name).to_owned(), Some(value.clone())));
    let (settings, credential) = fill(connector, &given.collect(), By::Application, true)?;
    let lent = app.lent().clone();
    let tried = try_credential(connector, settings, credential.clone(), false, lent).await?;
    let (identity, settings) = tried;
    let application = &visit.application.id;
    let id = request.account.and_then(tramontane_model::AccountId::new);
    if let Some(id) = id {
        let again = app.directory().account_of(application, id).await?;
        // An imported account may be known by its display alone.
        let same = again.row.identity == identity.id
            || (again.row.identity == again.row.display && again.row.display == identity.display);
        if again.row.service != choice.service || !same {
            return Err(Error::OtherIdentity {
                wanted: again.row.display.clone(),
                found: identity.display,
            });
        }
        return kept(visit, choice, id, settings, credential).await;
    }
    let new = NewAccount {
        service: choice.service.to_owned(),
        admin: false,
        identity: Some(identity.id),
        display: identity.display,
        settings,
        credential,
        custom_properties: noted(request),
        scope: choice.effective(),
        token_expiry: None,
        refresh_token_expiry: None,
    };
    app.directory().import(application, new).await
}

/// Gives an account that is connected again its new credential.
async fn kept(
    visit: &Visit,
    choice: &Choice,
    id: tramontane_model::AccountId,
    settings: Settings,
    credential: Credential,
) -> Result<Imported, Error> {
    let change = AccountChange {
        settings: Some(settings),
        credential: Some(credential),
        custom_properties: noted(&visit.handshake.request),
        scope: Some(choice.effective()),
        ..AccountChange::default()
    };
    let directory = visit.app.directory();
    let opened = directory.update_account(&visit.application.id, id, &change).await?;
    Ok(Imported { opened, created: false })
}
