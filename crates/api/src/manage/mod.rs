//! Management (wire API, section 20): developers look after their applications. Two prefixes, one API:
//! `/v1/meta/applications` and the older `/v1/applications`.

mod applications;
pub(crate) mod bodies;
mod check;
mod deliveries;
mod developers;
mod keys;
mod locations;
mod routes;
mod service_keys;
mod sites;
pub(crate) mod trusted;
mod usage;
mod views;
mod webhooks;

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::Serialize;
use serde_json::Value;
use tramontane_accounts::Application;

pub(crate) use keys::access;
pub(crate) use routes::routes;

use crate::answer;
use crate::call::Call;
use crate::caller::Developer;
use crate::paging::NumberPage;
use crate::problem::{Answer, Problem};
use crate::query::Query;
use crate::state::App;

/// A developer who calls.
pub(crate) struct Manager {
    /// Who.
    pub(crate) developer: i64,
    /// The URL that absolute URLs of the answer begin with.
    pub(crate) base: String,
    /// What the URL asks.
    pub(crate) query: Query,
    route: &'static str,
}

impl Manager {
    /// The developer's application.
    pub(crate) async fn application(&self, app: &App, id: &str) -> Answer<Application> {
        Ok(app.directory().application(self.developer, id).await?)
    }

    /// The URL of an application.
    pub(crate) fn of(&self, application: &str) -> String {
        format!("{}/v1/meta/applications/{application}", self.base)
    }

    /// The page that is asked for of a list; `what` says which list.
    pub(crate) async fn page(&self, app: &App, what: &str) -> Answer<NumberPage> {
        NumberPage::read(app, &self.query, format!("{} {what}", self.developer)).await
    }

    /// The answer of a list that is in memory.
    pub(crate) async fn all<T: Serialize>(
        &self,
        app: &App,
        objects: impl IntoIterator<Item = T>,
    ) -> Answer {
        let page = self.page(app, self.route).await?;
        let objects = values(objects)?;
        let total = objects.len() as u64;
        answer::ok(&page.answer("meta", total, page.of(objects))?)
    }
}

fn values<T: Serialize>(objects: impl IntoIterator<Item = T>) -> Answer<Vec<Value>> {
    let values = objects.into_iter().map(|one| serde_json::to_value(one));
    values.collect::<Result<_, _>>().map_err(Problem::internal)
}

impl FromRequestParts<App> for Manager {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let Developer(caller) = Developer::from_request_parts(parts, app).await?;
        let call = Call::from_request_parts(parts, app).await?;
        Ok(Self {
            developer: caller.developer,
            base: call.base.clone(),
            query: Query::of(&parts.uri),
            route: call.route(),
        })
    }
}
