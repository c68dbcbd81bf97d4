//! The table of routes: each entry carries its handler and what the OpenAPI document says of it, so
//! that neither can be forgotten.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::routing::{MethodRouter, on};
use http::{HeaderMap, Method, StatusCode};
use tower::{Layer, Service};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::call::Call;
use crate::cors;
use crate::problem::Problem;
use crate::state::App;

/// Schemas by name, as the document's components.
pub type Schemas = BTreeMap<String, RefOr<Schema>>;

/// All routes.
#[derive(Default)]
pub struct Routes {
    router: Router<App>,
    /// What the document says, in the order of the table.
    pub docs: Vec<(&'static str, Doc)>,
    /// The schemas that the entries name.
    pub schemas: Schemas,
}

/// One method of one path.
pub struct Endpoint {
    handler: MethodRouter<App>,
    doc: Doc,
    schemas: Schemas,
}

/// What the document says of one operation.
#[derive(Clone)]
pub struct Doc {
    /// The method.
    pub method: Method,
    /// The operation's id: unique, in camel case.
    pub id: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Names of query and header parameters; the table is in `openapi.rs`.
    pub params: Vec<&'static str>,
    /// What it takes, by media type; a schema's name for JSON, `None` for bytes.
    pub body: Vec<(&'static str, Option<RefOr<Schema>>)>,
    /// What it answers.
    pub answers: Vec<Gives>,
    /// Whether it needs no credential.
    pub public: bool,
}

/// One good answer.
#[derive(Clone)]
pub struct Gives {
    /// The status.
    pub status: u16,
    /// What comes back.
    pub content: Content,
}

/// What an answer carries.
#[derive(Clone)]
pub enum Content {
    /// Nothing.
    Nothing,
    /// JSON of this schema.
    Json(RefOr<Schema>),
    /// A page of objects of this schema.
    List(RefOr<Schema>),
    /// Bytes of these media types.
    Bytes(&'static [&'static str]),
}

/// `GET` (and `HEAD`).
pub fn get<H: Handler<T, App>, T: 'static>(id: &'static str, handler: H) -> Endpoint {
    Endpoint::new(Method::GET, id, handler)
}

/// `POST`.
pub fn post<H: Handler<T, App>, T: 'static>(id: &'static str, handler: H) -> Endpoint {
    Endpoint::new(Method::POST, id, handler)
}

/// `PUT`.
pub fn put<H: Handler<T, App>, T: 'static>(id: &'static str, handler: H) -> Endpoint {
    Endpoint::new(Method::PUT, id, handler)
}

/// `PATCH`.
pub fn patch<H: Handler<T, App>, T: 'static>(id: &'static str, handler: H) -> Endpoint {
    Endpoint::new(Method::PATCH, id, handler)
}

/// `DELETE`.
pub fn delete<H: Handler<T, App>, T: 'static>(id: &'static str, handler: H) -> Endpoint {
    Endpoint::new(Method::DELETE, id, handler)
}

impl Endpoint {
    fn new<H: Handler<T, App>, T: 'static>(method: Method, id: &'static str, handler: H) -> Self {
        let filter = axum::routing::MethodFilter::try_from(method.clone());
        let filter = filter.unwrap_or(axum::routing::MethodFilter::GET);
        Self {
            handler: on(filter, handler),
            doc: Doc {
                method,
                id,
                summary: "",
                params: Vec::new(),
                body: Vec::new(),
                answers: Vec::new(),
                public: false,
            },
            schemas: Schemas::new(),
        }
    }

    /// One line that says what it does.
    #[must_use]
    pub fn says(mut self, summary: &'static str) -> Self {
        self.doc.summary = summary;
        self
    }

    /// Names query and header parameters of the catalogue.
    #[must_use]
    pub fn takes(mut self, params: &[&'static str]) -> Self {
        self.doc.params.extend(params);
        self
    }

    /// Takes a JSON body of this schema.
    #[must_use]
    pub fn json<T: ToSchema>(mut self) -> Self {
        let schema = self.name::<T>();
        self.doc.body.push(("application/json", Some(schema)));
        self
    }

    /// Takes raw bytes.
    #[must_use]
    pub fn bytes(mut self, media_type: &'static str) -> Self {
        self.doc.body.push((media_type, None));
        self
    }

    /// Answers JSON of this schema.
    #[must_use]
    pub fn gives<T: ToSchema>(mut self, status: StatusCode) -> Self {
        let schema = self.name::<T>();
        self.answers(status, Content::Json(schema))
    }

    /// Answers a page of objects of this schema.
    #[must_use]
    pub fn lists<T: ToSchema>(mut self) -> Self {
        let schema = self.name::<T>();
        self.answers(StatusCode::OK, Content::List(schema))
    }

    /// Answers with no body.
    #[must_use]
    pub fn empties(self) -> Self {
        self.answers(StatusCode::NO_CONTENT, Content::Nothing)
    }

    /// Answers with this.
    #[must_use]
    pub fn answers(mut self, status: StatusCode, content: Content) -> Self {
        self.doc.answers.push(Gives { status: status.as_u16(), content });
        self
    }

    /// Needs no credential.
    #[must_use]
    pub fn public(mut self) -> Self {
        self.doc.public = true;
        self
    }

    fn name<T: ToSchema>(&mut self) -> RefOr<Schema> {
        let name = T::name().into_owned();
        let mut found = vec![(name.clone(), <T as PartialSchema>::schema())];
        T::schemas(&mut found);
        self.schemas.extend(found);
        RefOr::Ref(utoipa::openapi::Ref::from_schema_name(name))
    }
}

impl Routes {
    /// Adds a path with its methods. Parameters stand in braces.
    #[must_use]
    pub fn at(mut self, path: &'static str, endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        let mut methods = Vec::new();
        let mut together = MethodRouter::new();
        for endpoint in endpoints {
            methods.push(endpoint.doc.method.to_string());
            if endpoint.doc.method == Method::GET {
                methods.push("HEAD".to_owned());
            }
            together = together.merge(endpoint.handler);
            self.docs.push((path, endpoint.doc));
            self.schemas.extend(endpoint.schemas);
        }
        methods.push("OPTIONS".to_owned());
        // One string for each path, for as long as the process runs.
        let methods: &'static str = Box::leak(methods.join(",").into_boxed_str());
        let preflight =
            move |headers: HeaderMap| std::future::ready(cors::preflight(methods, &headers));
        together = together.options(preflight);
        let wrong_method = move |method: Method| {
            let text = format!("This path does not take {method}; see the Allow header.");
            let problem = Problem::new(tramontane_model::Code::MethodNotAllowed, text);
            std::future::ready(problem.allow(methods))
        };
        // A method that is not taken is told before anything that the request carries is looked at.
        let around = axum::middleware::from_fn(crate::writes::around);
        let together = together.layer(around).fallback(wrong_method).layer(Mark(path));
        self.router = self.router.route(path, together);
        self
    }

    /// Adds another path for what the document shows elsewhere: an old prefix, another spelling.
    #[must_use]
    pub fn also(
        mut self,
        path: &'static str,
        endpoints: impl IntoIterator<Item = Endpoint>,
    ) -> Self {
        let shown = self.docs.len();
        self = self.at(path, endpoints);
        self.docs.truncate(shown);
        self
    }

    /// Adds a path that the document does not describe: what it answers is another server's.
    #[must_use]
    pub fn unlisted(
        self,
        path: &'static str,
        endpoints: impl IntoIterator<Item = Endpoint>,
    ) -> Self {
        let described = self.docs.len();
        let mut all = self.at(path, endpoints);
        all.docs.truncate(described);
        all
    }

    /// Adds everything about a noun of an account, with every method.
    #[must_use]
    pub fn any<H, T>(self, noun: &str, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let path = format!("/v1/accounts/{{account}}/{noun}");
        let below = format!("{path}/{{*rest}}");
        self.any_at(Box::leak(path.into_boxed_str()), handler.clone())
            .any_at(Box::leak(below.into_boxed_str()), handler)
    }

    /// Adds a path with every method.
    #[must_use]
    pub fn any_at<H, T>(mut self, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        const ALL: &str = "GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS";
        let preflight =
            move |headers: HeaderMap| std::future::ready(cors::preflight(ALL, &headers));
        let methods = axum::routing::any(handler).options(preflight);
        self.router = self.router.route(path, methods.layer(Mark(path)));
        self
    }

    /// Adds another table.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.docs.extend(other.docs);
        self.schemas.extend(other.schemas);
        self
    }

    /// The router of all routes.
    pub fn into_router(self, app: App) -> Router {
        self.router.with_state(app)
    }
}

/// Tells a request which route it took.
#[derive(Clone, Copy)]
struct Mark(&'static str);

impl<S> Layer<S> for Mark {
    type Service = Marked<S>;

    fn layer(&self, inner: S) -> Marked<S> {
        Marked { inner, route: self.0 }
    }
}

#[derive(Clone)]
struct Marked<S> {
    inner: S,
    route: &'static str,
}

impl<S: Service<Request, Error = Infallible>> Service<Request> for Marked<S> {
    type Response = S::Response;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> S::Future {
        if let Some(call) = request.extensions().get::<Call>() {
            call.set_route(self.route);
        }
        self.inner.call(request)
    }
}
