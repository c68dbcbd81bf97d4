//! One request of a browser for a page of its handshake.

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, Response};
use tramontane_accounts::handshake::scope::{self, Choice, Offer};
use tramontane_accounts::handshake::{Delivery, Handshake, Request, Step};
use tramontane_accounts::{Application, Opened};
use tramontane_connector::Connector;
use tramontane_model::AccountId;

use super::browser;
use super::page::Frame;
use crate::call::Call;
use crate::problem::{Answer, Problem};
use crate::public::{Place, admit};
use crate::query::Query;
use crate::state::App;

/// What a page of a handshake is made from.
pub(crate) struct Visit {
    pub(crate) app: App,
    pub(crate) call: Call,
    pub(crate) frame: Frame,
    pub(crate) application: Arc<Application>,
    pub(crate) handshake: Handshake,
    /// What the form of the page carries.
    pub(crate) proof: String,
    /// The browser's key.
    pub(crate) key: String,
}

/// A page in place of the one that was asked for.
pub(crate) type Instead = Box<Response<Body>>;

impl Visit {
    /// Finds the handshake of this browser; or gives the page that says that there is none.
    pub(crate) async fn find(
        app: &App,
        call: &Call,
        headers: &HeaderMap,
        query: &Query,
        id: &str,
    ) -> Result<Self, Instead> {
        let frame = Frame::new(app, call, headers, query);
        match Self::load(app, call, headers, id).await {
            Ok(Some((key, handshake, application))) => {
                Ok(Self::of(app, call, frame, key, handshake, application))
            }
            Ok(None) => Err(Box::new(frame.lost())),
            Err(problem) => Err(Box::new(as_page(&frame, call, &problem))),
        }
    }

    pub(crate) fn of(
        app: &App,
        call: &Call,
        frame: Frame,
        key: String,
        handshake: Handshake,
        application: Arc<Application>,
    ) -> Self {
        call.set_application(&application.id);
        let mut frame = frame.of(&application);
        frame.here = Some(format!("{}/connect/{}", frame.prefix, handshake.id));
        if let Delivery::Redirect(uri) = &handshake.request.delivery {
            frame.leads_to = Some(uri.clone());
        }
        let proof = browser::form_proof(&handshake, &key);
        Self { app: app.clone(), call: call.clone(), frame, application, handshake, proof, key }
    }

    async fn load(
        app: &App,
        call: &Call,
        headers: &HeaderMap,
        id: &str,
    ) -> Answer<Option<(String, Handshake, Arc<Application>)>> {
        admit(app, call, Place::Connect)?;
        let Some(key) = browser::key(call, headers) else { return Ok(None) };
        let Some(handshake) = app.directory().handshake(id, &key).await? else { return Ok(None) };
        if matches!(handshake.step, Step::Unopened | Step::Finished) {
            return Ok(None);
        }
        let application = app.directory().public_application(&handshake.application).await?;
        Ok(application.map(|application| (key, handshake, application)))
    }

    /// The way to a page of this handshake.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("{}/connect/{}{rest}", self.frame.prefix, self.handshake.id)
    }

    /// Where a picture of a service is.
    pub(crate) fn logo(&self, service: &str) -> String {
        format!("{}/static/services/{service}.svg", self.frame.prefix)
    }

    /// The connector of a service.
    pub(crate) fn connector(&self, service: &str) -> Answer<Arc<dyn Connector>> {
        let found = self.app.registry().get(service).cloned();
        found.ok_or_else(|| Problem::internal(format!("the service {service} is gone")))
    }

    /// A service's name for people.
    pub(crate) fn friendly(&self, service: &str) -> String {
        let found = self.app.registry().get(service);
        found.map_or_else(|| service.to_owned(), |one| one.descriptor().friendly_name.to_owned())
    }

    /// What may be connected.
    pub(crate) async fn choices(&self) -> Answer<Vec<Choice>> {
        choices(&self.app, &self.application.id, &self.handshake.request).await
    }

    /// The account that is connected again.
    pub(crate) async fn again(&self) -> Answer<Option<Arc<Opened>>> {
        again(&self.app, &self.application.id, &self.handshake.request).await
    }

    /// A problem as a page.
    pub(crate) fn problem(&self, problem: &Problem) -> Response<Body> {
        as_page(&self.frame, &self.call, problem)
    }
}

/// The account that a request connects again, when the application still has it.
pub(crate) async fn again(
    app: &App,
    application: &str,
    request: &Request,
) -> Answer<Option<Arc<Opened>>> {
    let Some(id) = request.account.and_then(AccountId::new) else { return Ok(None) };
    Ok(Some(app.directory().account_of(application, id).await?))
}

/// What an application's users may connect under a request: what the scope leaves of the services that
/// can be connected here, by name.
pub(crate) async fn choices(
    app: &App,
    application: &str,
    request: &Request,
) -> Answer<Vec<Choice>> {
    let Ok(items) = scope::parse(&request.scope) else { return Ok(Vec::new()) };
    let mut connectors: Vec<_> =
        app.registry().iter().filter(|one| has_way(one.as_ref())).collect();
    connectors.sort_by_key(|one| one.descriptor().friendly_name.to_lowercase());
    let offers: Vec<Offer> = connectors.iter().map(|one| Offer::of(one.as_ref())).collect();
    let again = again(app, application, request).await?;
    let mut found = Vec::new();
    for choice in scope::choices(&items, &offers) {
        let same = again.as_ref().is_none_or(|again| {
            again.row.service == choice.service && again.row.admin == choice.admin
        });
        if same && is_set_up(app, application, &choice).await? {
            found.push(choice);
        }
    }
    Ok(found)
}

/// Whether an end user can connect the service at all: by OAuth, or by a form without fields that are
/// the operator's.
fn has_way(connector: &dyn Connector) -> bool {
    let fields = connector.descriptor().fields;
    let asks = |field: &tramontane_connector::Field| field.required && field.default.is_none();
    connector.oauth().is_some() || !fields.iter().any(|field| field.operator_only && asks(field))
}

async fn is_set_up(app: &App, application: &str, choice: &Choice) -> Answer<bool> {
    let with_oauth = app.registry().get(choice.service).is_some_and(|one| one.oauth().is_some());
    if !with_oauth {
        return Ok(true);
    }
    Ok(app.grants().has_client(application, choice.service, choice.admin).await?)
}

/// A problem as a page: these pages are read by people.
pub(crate) fn as_page(frame: &Frame, call: &Call, problem: &Problem) -> Response<Body> {
    if problem.code == tramontane_model::Code::TooManyRequests {
        let words = frame.words;
        let status = http::StatusCode::TOO_MANY_REQUESTS;
        let (title, text) = (words.tries_title, words.tries_text);
        let mut response = frame.notice(status, super::Tone::Bad, title, text);
        response.headers_mut().extend(problem.headers());
        return response;
    }
    if problem.status().is_server_error() {
        let cause = problem.cause().unwrap_or(&problem.message);
        tracing::error!(request_id = call.request_id, cause, "a connect page failed");
        return frame.our_fault();
    }
    if problem.status() == http::StatusCode::NOT_FOUND {
        return frame.lost();
    }
    frame.bad_request(&problem.message)
}
