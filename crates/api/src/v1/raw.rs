//! `POST /v1/accounts/{account}/raw`: a request passed through to the service (wire API, section 11.3).

use axum::body::Body as HttpBody;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt as _;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tramontane_connector::http::{Payload, Request as Outgoing};
use tramontane_model::{Op, Reason, Support};
use url::Url;

use crate::account::Account;
use crate::problem::{Answer, Problem};
use crate::v1::upload::incoming;

/// The longest body that is looked at to see whether it is `{}`, in bytes.
const SMALL: u64 = 1_024;

/// Headers of the service's answer that are between it and us, or would act on our own origin.
const KEPT_BACK: [&str; 14] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "set-cookie",
    "strict-transport-security",
    "alt-svc",
    "clear-site-data",
    "x-request-id",
    "tramontane-upstream",
];

/// `POST /v1/accounts/{account}/raw`.
///
/// # Errors
/// `invalid_parameters` for a URI that the account may not call; what sending gives.
pub async fn pass(account: Account, request: Request) -> Answer {
    account.require_everywhere()?;
    let (parts, body) = request.into_parts();
    let method = method(&parts.headers)?;
    let target = parts.headers.get("x-kloudless-raw-uri").and_then(|value| value.to_str().ok());
    let target = target.map(str::trim).filter(|text| !text.is_empty());
    let target = target.ok_or_else(|| Problem::invalid("X-Kloudless-Raw-URI", "is required"))?;
    let registry = account.app().registry();
    let connector = registry.get(&account.opened.account.service).cloned();
    let connector = connector.ok_or_else(|| Problem::internal("the account has no connector"))?;
    let Some(base) = connector.base_url(&account.opened.account)? else {
        let reason = Reason::lacks("The service does not speak HTTP.");
        return Err(Problem::unsupported(Op::Raw, &Support::Unsupported(reason)));
    };
    let url = aim(&base, target, parts.uri.query())?;
    if !connector.may_call(&account.opened.account, &url) {
        let rule = "must be on a host of this account's service";
        return Err(Problem::invalid("X-Kloudless-Raw-URI", rule));
    }
    account.require_credential()?;
    let mut outgoing = Outgoing::new("raw", method.clone(), url);
    if let Some(media_type) = parts.headers.get(CONTENT_TYPE) {
        outgoing.headers.insert(CONTENT_TYPE, media_type.clone());
    }
    outgoing.payload = payload(&account, &method, body).await?;
    if outgoing.payload.is_empty() {
        outgoing.headers.remove(CONTENT_TYPE);
    }
    let answer = account.cx().send(outgoing).await?;
    let mut response = Response::new(HttpBody::empty());
    *response.status_mut() = answer.status;
    let length = answer.headers.get(CONTENT_LENGTH).cloned();
    for (name, value) in &answer.headers {
        if passes(name) {
            response.headers_mut().append(name.clone(), value.clone());
        }
    }
    response
        .headers_mut()
        .insert(HeaderName::from_static("tramontane-upstream"), HeaderValue::from_static("true"));
    if let (Some(length), true) = (length, method != Method::HEAD) {
        response.headers_mut().insert(CONTENT_LENGTH, length);
    } else {
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    *response.body_mut() = HttpBody::from_stream(answer.body.into_stream());
    Ok(response)
}

fn passes(name: &HeaderName) -> bool {
    let name = name.as_str();
    !KEPT_BACK.contains(&name) && !name.starts_with("access-control-")
}

fn method(headers: &HeaderMap) -> Answer<Method> {
    let Some(value) = headers.get("x-kloudless-raw-method") else { return Ok(Method::GET) };
    let text = value.to_str().unwrap_or_default().trim().to_ascii_uppercase();
    if text.is_empty() {
        return Ok(Method::GET);
    }
    // A tunnel or an echo of the signed request is no call to an API.
    let method = Method::from_bytes(text.as_bytes()).ok();
    let method = method.filter(|method| *method != Method::CONNECT && *method != Method::TRACE);
    method.ok_or_else(|| Problem::invalid("X-Kloudless-Raw-Method", "must be an HTTP method"))
}

/// The whole URL: absolute as it is, relative to the service's API base otherwise; the request's own
/// query at the end (D10).
fn aim(base: &Url, target: &str, query: Option<&str>) -> Answer<Url> {
    let bad = |rule: &str| Problem::invalid("X-Kloudless-Raw-URI", rule);
    let text = if target.starts_with("//") {
        return Err(bad("must be absolute, or start with one slash"));
    } else if target.starts_with('/') {
        format!("{}{target}", base.as_str().trim_end_matches('/'))
    } else {
        target.to_owned()
    };
    let mut url = Url::parse(&text).map_err(|_| bad("must be a URL, or start with a slash"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("must be an http or https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("must not hold a user name or a password"));
    }
    url.set_fragment(None);
    if let Some(more) = query.filter(|query| !query.is_empty()) {
        let joined = match url.query().filter(|own| !own.is_empty()) {
            Some(own) => format!("{own}&{more}"),
            None => more.to_owned(),
        };
        url.set_query(Some(&joined));
    }
    Ok(url)
}

/// What is sent on: nothing for `GET` and `HEAD`, and no bare `{}` for `DELETE`.
async fn payload(account: &Account, method: &Method, body: HttpBody) -> Answer<Payload> {
    let nothing = Payload::Bytes(Bytes::new());
    if *method == Method::GET || *method == Method::HEAD {
        return Ok(nothing);
    }
    let body = incoming(account.app(), body, None)?;
    match body.len() {
        Some(0) => Ok(nothing),
        Some(length) if length <= SMALL => {
            let whole = body.collect(usize::try_from(length).unwrap_or(usize::MAX)).await?;
            if *method == Method::DELETE && whole.trim_ascii() == b"{}" {
                return Ok(nothing);
            }
            Ok(Payload::Bytes(whole))
        }
        Some(_) => Ok(Payload::Stream(body)),
        None => {
            // Chunked: look at the beginning, for the same rule.
            let mut pieces = body.into_stream();
            let Some(first) = pieces.next().await.transpose()? else { return Ok(nothing) };
            let second = pieces.next().await.transpose()?;
            match second {
                None if *method == Method::DELETE && first.trim_ascii() == b"{}" => Ok(nothing),
                None => Ok(Payload::Bytes(first)),
                Some(second) => {
                    let begun = futures::stream::iter([Ok(first), Ok(second)]);
                    let whole = begun.chain(pieces);
                    Ok(Payload::Stream(tramontane_connector::Body::new(whole, None)))
                }
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use tramontane_model::Code;

    use super::*;

    #[test]
    fn urls_are_relative_to_the_base_or_whole() {
        let base = Url::parse("https://dav.example.com/remote/files/ana/").unwrap();
        let to = |target: &str, query| aim(&base, target, query).map(|url| url.to_string());
        assert_eq!(to("/x?y=1", None).unwrap(), "https://dav.example.com/remote/files/ana/x?y=1");
        assert_eq!(
            to("/x?y=1", Some("z=2")).unwrap(),
            "https://dav.example.com/remote/files/ana/x?y=1&z=2"
        );
        assert_eq!(to("https://other.example/a", Some("b")).unwrap(), "https://other.example/a?b");
        for bad in ["//other.example/a", "a/b", "ftp://x/y", "https://u:p@x/y", "javascript:1"] {
            assert_eq!(to(bad, None).unwrap_err().code, Code::InvalidParameters, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_target_panics(target: String, query: String) {
            let base = Url::parse("https://dav.example.com/a/").unwrap();
            let _ = aim(&base, &target, Some(&query));
        }
    }
}
