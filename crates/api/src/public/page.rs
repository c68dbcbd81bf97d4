//! The small HTML pages that a link shows: a file to download, a password to give, a word on why not.
//! No script, nothing from elsewhere, and a policy that holds the browser to it.

use std::sync::LazyLock;

use askama::Template;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("../../templates/page.css");

/// Allows the one style that the page has, by its hash, and forms to ourselves; nothing else.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

enum Icon {
    File,
    Lock,
    Alert,
}

#[derive(Template)]
#[template(path = "page.html")]
struct Html<'a> {
    style: &'static str,
    product: &'static str,
    icon: Icon,
    title: &'a str,
    heading: &'a str,
    text: &'a str,
    download: Option<&'a str>,
    has_form: bool,
    error: Option<&'a str>,
}

impl Default for Html<'_> {
    fn default() -> Self {
        Self {
            style: STYLE,
            product: "Tramontane",
            icon: Icon::Alert,
            title: "",
            heading: "",
            text: "",
            download: None,
            has_form: false,
            error: None,
        }
    }
}

/// A file to download: its name, its size, and the button.
pub(crate) fn file(name: &str, size: Option<u64>, href: &str) -> Response<Body> {
    let text = size.map_or_else(|| "Ready to download".to_owned(), human_size);
    let page = Html {
        icon: Icon::File,
        title: name,
        heading: name,
        text: &text,
        download: Some(href),
        ..Html::default()
    };
    answer(StatusCode::OK, &page)
}

/// A form for the password; with words when the last one was wrong.
pub(crate) fn password(error: Option<&str>) -> Response<Body> {
    let page = Html {
        icon: Icon::Lock,
        title: "This file is protected",
        heading: "This file is protected",
        text: "Enter the password that you were given with the link.",
        has_form: true,
        error,
        ..Html::default()
    };
    answer(StatusCode::OK, &page)
}

/// Why there is nothing to see.
pub(crate) fn notice(status: StatusCode, heading: &str, text: &str) -> Response<Body> {
    answer(status, &Html { title: heading, heading, text, ..Html::default() })
}

fn answer(status: StatusCode, page: &Html<'_>) -> Response<Body> {
    let (status, text) = match page.render() {
        Ok(text) => (status, text),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "The page could not be made.".to_owned()),
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(CONTENT_TYPE, "text/html; charset=utf-8");
    set(CACHE_CONTROL, "no-store");
    set(REFERRER_POLICY, "no-referrer");
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
    response
}

/// A size as people read it: `48.2 kB`.
fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1_000 {
        return if bytes == 1 { "1 byte".into() } else { format!("{bytes} bytes") };
    }
    let (mut tenths, mut unit) = (u128::from(bytes) * 10 / 1_000, 0);
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1_000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS.get(unit).unwrap_or(&"kB"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    async fn text(response: Response<Body>) -> String {
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn names_from_a_service_cannot_become_markup() {
        let evil = "<img src=x onerror=alert(1)>\"'.pdf";
        let page = text(file(evil, Some(1), "/l/x/contents")).await;
        assert!(!page.contains("<img"), "{page}");
        assert!(page.contains("&#60;img") || page.contains("&lt;img"), "{page}");
    }

    #[tokio::test]
    async fn the_policy_names_the_style_that_the_page_has() {
        let response = password(Some("Wrong."));
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        let page = text(response).await;
        let style = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        let hash = STANDARD.encode(Sha256::digest(style.as_bytes()));
        assert!(policy.contains(&format!("'sha256-{hash}'")), "{policy}");
        assert!(!policy.contains("script-src") && !policy.contains("unsafe"));
        assert!(page.contains("id=\"id_password\"") && page.contains("name=\"form-submit\""));
        assert!(page.contains("role=\"alert\""));
    }

    #[test]
    fn sizes_are_readable() {
        assert_eq!(human_size(0), "0 bytes");
        assert_eq!(human_size(1), "1 byte");
        assert_eq!(human_size(48_213), "48.2 kB");
        assert_eq!(human_size(5_000_000_000), "5.0 GB");
        assert_eq!(human_size(u64::MAX), "18.4 EB");
    }
}
