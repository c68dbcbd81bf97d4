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

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::Method;

use crate::call::Call;
use crate::front::Front;

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
    if reads || call.inner {
        return next.run(request).await;
    }
    let (call, front) = (call.clone(), front.clone());
    let answered = match idempotent::key(request.headers()) {
        Ok(None) => submit::or_run(&front, &call, request, next).await,
        Ok(Some(key)) => idempotent::run(&front, &call, request, next, key).await,
        Err(problem) => Err(problem),
    };
    answered.unwrap_or_else(|problem| problem.into_response())
}
