//! The way to a service's login page and back (wire API, section 18.2).

use axum::body::Body;
use http::Response;
use tramontane_accounts::handshake::scope::Choice;
use tramontane_accounts::handshake::{Leaving, Step, Trouble, TroubleKind};
use tramontane_accounts::upstream::{Authorization, CodeExchange, NewGrant, begin};
use tramontane_accounts::{Error, Imported};
use tramontane_connector::Settings;

use super::deliver;
use super::trouble::kind_of;
use super::visit::Visit;

/// Sends the browser to the service.
pub(crate) async fn for_service(visit: Visit, choice: &Choice) -> Response<Body> {
    match begun(&visit, choice).await {
        Ok(Some(url)) => visit.frame.redirect(&url),
        Ok(None) => visit.frame.lost(),
        Err(error) => {
            let (kind, detail) = kind_of(&error);
            back_to_choice(visit, choice.service, kind, detail).await
        }
    }
}

async fn begun(visit: &Visit, choice: &Choice) -> Result<Option<String>, Error> {
    let (app, directory) = (&visit.app, visit.app.directory());
    let connector = connector(visit, choice.service)?;
    let client = app.grants().client(&visit.application.id, choice.service, choice.admin).await?;
    let again = match visit.handshake.request.account.and_then(tramontane_model::AccountId::new) {
        Some(id) => Some(directory.account_of(&visit.application.id, id).await?),
        None => None,
    };
    let state = directory.service_state(&visit.handshake);
    let literal: Vec<String> = choice.literal.iter().map(|(_, scopes)| scopes.clone()).collect();
    let asked = Authorization {
        connector: connector.as_ref(),
        client: &client,
        redirect_uri: &callback_url(visit),
        state: &state,
        admin: choice.admin,
        apis: &choice.apis,
        literal: &literal,
        extras: &visit.handshake.request.raw,
        again: again.as_deref(),
    };
    let begun = begin(&asked, app.entropy())?;
    let leaving = Leaving {
        service: choice.service,
        admin: choice.admin,
        state: &state,
        verifier: begun.verifier.as_ref(),
        scopes: begun.scopes,
    };
    let left = directory.leave_for(visit.handshake.clone(), leaving).await?;
    Ok(left.map(|_| begun.url.into()))
}

fn callback_url(visit: &Visit) -> String {
    format!("{}/v1/oauth/callback", visit.call.base)
}

fn connector(
    visit: &Visit,
    service: &str,
) -> Result<std::sync::Arc<dyn tramontane_connector::Connector>, Error> {
    visit.app.registry().get(service).cloned().ok_or(Error::NotFound("service"))
}

/// What a service sent back with the browser.
#[derive(Clone, Debug)]
pub(crate) enum Returned {
    /// A code.
    Code(String),
    /// Its error, and its words.
    Error(String, String),
}

/// Uses what the service sent back. The handshake is one that waits for it.
pub(crate) async fn back(visit: Visit, returned: Returned) -> Response<Body> {
    let directory = visit.app.directory().clone();
    let Step::AtService { service, admin, scopes, .. } = visit.handshake.step.clone() else {
        return visit.frame.lost();
    };
    let verifier = match directory.kept_verifier(&visit.handshake).await {
        Ok(verifier) => verifier,
        Err(error) => {
            return back_to_choice(visit, &service, kind_of(&error).0, String::new()).await;
        }
    };
    // Taking the step first means that the same answer is never used twice.
    let Ok(step) = visit.handshake.step.clone().come_back() else { return visit.frame.lost() };
    let mut visit = visit;
    match directory.advance(visit.handshake.clone(), step, None).await {
        Ok(Some(handshake)) => visit.handshake = handshake,
        Ok(None) => return visit.frame.lost(),
        Err(error) => {
            let problem = crate::problem::Problem::from(error);
            return visit.problem(&problem);
        }
    }
    let code = match returned {
        Returned::Code(code) => code,
        Returned::Error(code, words) => {
            let denied = matches!(
                code.as_str(),
                "access_denied" | "consent_required" | "user_cancelled_login"
            );
            let kind = if denied { TroubleKind::Denied } else { TroubleKind::Service };
            let detail = if words.is_empty() { code } else { format!("{code}: {words}") };
            return back_to_choice(visit, &service, kind, detail).await;
        }
    };
    match connect(&visit, &service, admin, &scopes, &code, verifier.as_ref()).await {
        Ok(imported) => deliver::connected(visit, &imported).await,
        Err(error) => {
            let (kind, detail) = kind_of(&error);
            back_to_choice(visit, &service, kind, detail).await
        }
    }
}

async fn connect(
    visit: &Visit,
    service: &str,
    admin: bool,
    scopes: &[String],
    code: &str,
    verifier: Option<&secrecy::SecretString>,
) -> Result<Imported, Error> {
    let app = &visit.app;
    let connector = connector(visit, service)?;
    let client = app.grants().client(&visit.application.id, service, admin).await?;
    let exchange = CodeExchange {
        connector: connector.as_ref(),
        client: &client,
        code,
        verifier,
        redirect_uri: &callback_url(visit),
        asked: scopes,
    };
    let obtained = app.grants().exchange(exchange).await?;
    let request = &visit.handshake.request;
    let choices = visit.choices().await.map_err(|_| Error::NotFound("service"))?;
    let choice = choices.iter().find(|one| one.service == service && one.admin == admin);
    let again = match request.account.and_then(tramontane_model::AccountId::new) {
        Some(id) => Some(app.directory().account_of(&visit.application.id, id).await?),
        None => None,
    };
    let new = NewGrant {
        application: &visit.application.id,
        connector: connector.as_ref(),
        obtained,
        admin,
        settings: Settings::new(),
        scope: choice.map(Choice::effective).unwrap_or_default(),
        display: None,
        custom_properties: noted(request),
        again: again.as_deref(),
    };
    app.grants().connect(new, app.lent().clone()).await
}

/// What the application notes on the account.
pub(crate) fn noted(
    request: &tramontane_accounts::handshake::Request,
) -> std::collections::BTreeMap<String, Option<String>> {
    let pairs = request.custom_properties.iter();
    pairs.map(|(name, value)| (name.clone(), Some(value.clone()))).collect()
}

/// Shows the choice again, with what went wrong.
async fn back_to_choice(
    visit: Visit,
    service: &str,
    kind: TroubleKind,
    detail: String,
) -> Response<Body> {
    tracing::info!(
        request_id = visit.call.request_id,
        service,
        ?kind,
        detail,
        "a service was not connected"
    );
    let detail = detail.chars().take(1_000).collect();
    let trouble = Trouble { service: service.to_owned(), kind, detail };
    let Ok(step) = visit.handshake.step.clone().choose_again(Some(trouble)) else {
        return visit.frame.lost();
    };
    match visit.app.directory().advance(visit.handshake.clone(), step, None).await {
        Ok(Some(_)) => visit.frame.redirect(&visit.path("")),
        Ok(None) => visit.frame.lost(),
        Err(error) => visit.problem(&crate::problem::Problem::from(error)),
    }
}
