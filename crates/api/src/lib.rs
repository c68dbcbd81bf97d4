//! The HTTP API: routes, who may call them, and what they answer. The wire specification is the contract.
//!
//! The doors:
//! - [`App`] holds what handlers need; [`App::new`] takes it in [`Parts`].
//! - [`Front`] is the whole API as a service: path rules, request ids, CORS, limits, log, metrics,
//!   problems; [`router::routes`] is every route on one screen.
//! - [`listen::serve`] runs a front on a socket, and drains it.
//!
//! The way of a request: `front` → `router` → an extractor that is the permission ([`caller`],
//! [`account`]) → a handler in `v1` → the gap filler → a connector → [`objects`] → `answer`.

pub mod account;
pub mod answer;
mod asked;
pub mod call;
pub mod caller;
pub mod capabilities;
mod connect;
pub mod cors;
mod events;
pub mod front;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod fuzz;
mod health;
pub mod housekeeping;
pub mod json;
pub mod kept;
mod ledger;
pub mod limits;
mod links;
pub mod listen;
mod manage;
mod multipart;
mod oauth;
pub mod objects;
pub mod openapi;
pub mod paging;
pub mod path;
pub mod problem;
mod public;
pub mod query;
mod quotes;
pub mod rate;
mod remembered;
pub mod render;
pub mod route;
pub mod router;
pub mod schema;
mod seek;
pub mod site;
pub mod state;
mod table;
pub mod v1;
mod writes;

pub use connect::untranslated_field;
pub use events::WebhookView;
pub use front::Front;
pub use limits::ApiLimits;
pub use problem::{Answer, Problem};
pub use site::Site;
pub use state::{App, Fetch, Parts};
pub use writes::TaskExecutor;
