//! Passwords of links: few tries, checked off the threads that answer, remembered for a while in a
//! cookie that is good for one link (wire API, section 19.3).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue};
use tramontane_store::links::Link;

use super::limit::counted;
use super::too_many;
use crate::call::Call;
use crate::problem::{Answer, Problem};
use crate::state::App;

const COOKIE_SECONDS: i64 = 15 * 60;
const COOKIE_KIND: &str = "lc_";

/// Whether this is the link's password. Every wrong one counts for the link and the address.
///
/// # Errors
/// `too_many_requests` after ten wrong ones in ten minutes.
pub(crate) async fn is_right(app: &App, call: &Call, link: &Link, given: &str) -> Answer<bool> {
    let Some(hash) = link.password_hash.clone() else { return Ok(true) };
    let public = app.public();
    // Counted before the check, so that tries at the same time count as well, and given back after.
    let key = (link.id.clone(), counted(call.client));
    public.wrong.take(key.clone(), app.now()).map_err(too_many)?;
    let permit = public.hashing.clone().acquire_owned().await.map_err(Problem::internal)?;
    let given = given.to_owned();
    let check = tokio::task::spawn_blocking(move || {
        let right = tramontane_vault::verify_password(&given, &hash);
        drop(permit);
        right
    });
    let right = check.await.map_err(Problem::internal)??;
    if right {
        public.wrong.give_back(&key, app.now());
    }
    Ok(right)
}

/// The password that a request for a direct link shows: in the query, or as HTTP Basic of any user.
pub(crate) fn shown(query: Option<&str>, headers: &HeaderMap) -> Option<String> {
    if let Some(password) = query {
        return Some(password.to_owned());
    }
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = text.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = STANDARD.decode(rest.trim()).ok()?;
    let pair = crate::query::latin(bytes);
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

/// What a cookie is sealed to: changing the password ends it.
fn context(link: &Link) -> String {
    format!("link {} {}", link.id, link.password_hash.as_deref().unwrap_or_default())
}

fn name(link: &Link) -> String {
    format!("tl_{}", link.id)
}

/// Whether the request has the link's cookie.
pub(crate) async fn is_remembered(app: &App, link: &Link, headers: &HeaderMap) -> bool {
    let name = name(link);
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    for pair in cookies.flat_map(|value| value.split(';')) {
        let Some((own, token)) = pair.trim().split_once('=') else { continue };
        if own != name {
            continue;
        }
        let sealer = app.keys().sealer(COOKIE_KIND);
        let opened = app.keys().open_token::<bool>(&sealer, &context(link), token).await;
        if opened.is_ok() {
            return true;
        }
    }
    false
}

/// A cookie that stands for the password, for this link only.
///
/// # Errors
/// When it cannot be sealed.
pub(crate) fn cookie(app: &App, call: &Call, link: &Link) -> Answer<HeaderValue> {
    let expires = app.now().plus_seconds(COOKIE_SECONDS);
    let token = app.keys().sealer(COOKIE_KIND).seal(&context(link), expires, &true)?;
    let (scheme, prefix) = match url::Url::parse(&call.base) {
        Ok(url) => (url.scheme().to_owned(), url.path().trim_end_matches('/').to_owned()),
        Err(_) => ("http".to_owned(), String::new()),
    };
    let secure = if scheme == "https" { "; Secure" } else { "" };
    let text = format!(
        "{}={token}; Path={prefix}/l/{}; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Lax{secure}",
        name(link),
        link.id
    );
    HeaderValue::try_from(text).map_err(Problem::internal)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_read_from_the_query_and_from_basic() {
        let mut headers = HeaderMap::new();
        assert_eq!(shown(None, &headers), None);
        headers.insert(AUTHORIZATION, "basic YW5hOm9wZW46IHNlc2FtZQ==".parse().unwrap());
        assert_eq!(shown(None, &headers).as_deref(), Some("open: sesame"));
        assert_eq!(shown(Some("x"), &headers).as_deref(), Some("x"));
        headers.insert(AUTHORIZATION, "Bearer abc".parse().unwrap());
        assert_eq!(shown(None, &headers), None);
    }
}
