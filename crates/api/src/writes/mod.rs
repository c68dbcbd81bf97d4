//! What stands around every write: idempotency keys (wire API, section 43) and work that goes on as a
//! task (sections 14 and 54).
//!
//! A write comes in here after its route is known and before its handler. With an idempotency key,
//! [`idempotent`] runs it once and replays its answer; with `X-Kloudless-Async`, [`submit`] keeps it as
//! a task, and [`executor`] sends it through the same routes later. [`intent`] reads from a request
//! what it would make and where, so that work that broke off can be looked for before it is done again.

mod executor;
mod idempotent;
mod intent;
mod kinds;
mod submit;
mod watch;

use axum::extract::{FromRequestParts as _, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::Method;
use tramontane_accounts::Realm;

use crate::account::{Accounts, AnyAccount};
use crate::call::Call;
use crate::caller::{Known, who};
use crate::front::Front;
use crate::problem::Problem;

pub use executor::TaskExecutor;
pub(crate) use kinds::kind_of;
pub(crate) use submit::Working;

/// Passes a request on to its handler, or answers in its place.
pub(crate) async fn around(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let extensions = request.extensions();
    let (Some(call), Some(front)) = (extensions.get::<Call>(), extensions.get::<Front>()) else {
        return next.run(request).await;
    };
    if reads {
        return next.run(request).await;
    }
    let (call, front) = (call.clone(), front.clone());
    let is_storage = kind_of(call.route(), request.method()).is_some();
    let response =
        if call.inner { next.run(request).await } else { run(&front, &call, request, next).await };
    // What failed on its way may have been done all the same.
    let may_be_done = response.status().is_success() || response.status().is_server_error();
    if let (true, Some(opened)) = (is_storage && may_be_done && call.asked_service(), call.opened())
    {
        for opened in [Some(opened), call.target()].into_iter().flatten() {
            front.app().written(opened.account.id, &opened.account.service);
        }
    }
    response
}

async fn run(front: &Front, call: &Call, request: Request, next: Next) -> Response {
    let answered = match idempotent::key(request.headers()) {
        Ok(None) => submit::or_run(front, call, request, next).await,
        Ok(Some(key)) => idempotent::run(front, call, request, next, key).await,
        Err(problem) => Err(after_the_caller(front, call, request, problem).await),
    };
    answered.unwrap_or_else(|problem| problem.into_response())
}

/// What a write is refused for: this, unless its credential or its account is refused, which comes
/// first (wire API, section 4.4).
pub(crate) async fn after_the_caller(
    front: &Front,
    call: &Call,
    request: Request,
    problem: Problem,
) -> Problem {
    let (mut parts, _) = request.into_parts();
    let (app, route) = (front.app(), call.route());
    let checked = if route == "/v1/accounts/{account}" {
        AnyAccount::from_request_parts(&mut parts, app).await.map(drop)
    } else if route.starts_with("/v1/accounts/{account}/") {
        Accounts::from_request_parts(&mut parts, app).await.map(drop)
    } else if route.starts_with("/v1/accounts") {
        Known::from_request_parts(&mut parts, app).await.map(drop)
    } else if is_management(route) {
        who(&parts, app, Realm::Management).await.map(drop)
    } else {
        Ok(())
    };
    checked.err().unwrap_or(problem)
}

/// Whether a route takes a developer's credential.
pub(crate) fn is_management(route: &str) -> bool {
    ["/v1/meta", "/v1/applications"].iter().any(|prefix| route.starts_with(prefix))
}
