//! The style and the scripts of the pages, in the binary; and the page that existing clients load in a
//! hidden frame (wire API, section 18.6).

use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::Path;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response};
use sha2::{Digest as _, Sha256};

use crate::problem::{Answer, Problem};

const STYLE: &str = include_str!("../../templates/connect/connect.css");
const SCRIPT: &str = include_str!("../../templates/connect/connect.js");
const RELAY_STYLE: &str = include_str!("../../templates/connect/iexd.css");
const RELAY_SCRIPT: &str = include_str!("../../templates/connect/iexd.js");

static VERSION: LazyLock<String> = LazyLock::new(|| {
    let both = tramontane_vault::hash(&format!("{STYLE}{SCRIPT}"));
    both.chars().take(12).collect()
});

/// Changes whenever the style or the script does.
pub(crate) fn version() -> &'static str {
    &VERSION
}

/// `GET /static/connect/{file}`.
pub(crate) async fn serve(Path(file): Path<String>) -> Answer {
    let (text, kind) = match file.as_str() {
        "connect.css" => (STYLE, "text/css; charset=utf-8"),
        "connect.js" => (SCRIPT, "text/javascript; charset=utf-8"),
        _ => return Err(Problem::not_found("file")),
    };
    Ok(plain(text, kind, "public, max-age=31536000, immutable"))
}

fn plain(text: &'static str, kind: &'static str, cache: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

static RELAY: LazyLock<(&'static str, HeaderValue)> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Continue</title>\n<style>{RELAY_STYLE}</style>\n</head>\n<body>\n\
         <button id=\"continue\" type=\"button\" hidden>Continue</button>\n\
         <script>{RELAY_SCRIPT}</script>\n</body>\n</html>\n"
    );
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; base-uri 'none'; \
         form-action 'none'; frame-ancestors *",
        hash(RELAY_SCRIPT),
        hash(RELAY_STYLE)
    );
    let policy = HeaderValue::try_from(policy);
    // One text for as long as the process runs.
    (Box::leak(page.into_boxed_str()), policy.unwrap_or(HeaderValue::from_static("sandbox")))
});

/// `GET /static/iexd.html`: the same for everyone, framed by anyone.
pub(crate) async fn relay() -> Response<Body> {
    let mut response = plain(RELAY.0, "text/html; charset=utf-8", "public, max-age=3600");
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, RELAY.1.clone());
    response
}
