//! The browser that a handshake is bound to: a random key in a cookie that only the connect pages set
//! and read, and the proof in every form that the page itself sent it.

use http::header::{COOKIE, ORIGIN};
use http::{HeaderMap, HeaderValue};
use tramontane_accounts::handshake::{Handshake, SESSION_LIFE};
use tramontane_vault::{hash, random_id, same};

use crate::call::Call;
use crate::state::App;

/// Bytes of a key, and the characters that they make.
const KEY_BYTES: usize = 32;
const KEY_CHARS: usize = 43;

/// The name of the cookie. The prefix makes browsers refuse it from other hosts, also from
/// subdomains, and without TLS (RFC 6265bis, section 4.1.3.2).
fn cookie_name(call: &Call) -> &'static str {
    if is_secure(call) { "__Host-tramontane_connect" } else { "tramontane_connect" }
}

fn is_secure(call: &Call) -> bool {
    call.base.starts_with("https://")
}

/// The value of a cookie.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';'));
    pairs
        .find_map(|pair| pair.trim().split_once('=').filter(|(own, _)| *own == name))
        .map(|(_, value)| value)
}

/// The browser's key, when it has one.
pub(crate) fn key(call: &Call, headers: &HeaderMap) -> Option<String> {
    let value = cookie(headers, cookie_name(call))?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (value.len() == KEY_CHARS && value.bytes().all(fits)).then(|| value.to_owned())
}

/// A new key.
pub(crate) fn new_key(app: &App) -> String {
    random_id(app.entropy(), KEY_BYTES)
}

/// The cookie that holds a key. `Lax`: it comes along when the service sends the user back, and with
/// no request that a page of somebody else makes.
pub(crate) fn set_cookie(call: &Call, key: &str) -> Option<HeaderValue> {
    let secure = if is_secure(call) { "; Secure" } else { "" };
    let text = format!(
        "{}={key}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}",
        cookie_name(call),
        2 * SESSION_LIFE
    );
    HeaderValue::try_from(text).ok()
}

/// What a form carries to prove that a page of this handshake, in this browser, sent it.
pub(crate) fn form_proof(handshake: &Handshake, key: &str) -> String {
    hash(&format!("connect form {} {key}", handshake.id))
}

/// Whether a form was sent by our own page: by its proof, and by what the browser says of its origin.
pub(crate) fn is_own_form(
    call: &Call,
    headers: &HeaderMap,
    handshake: &Handshake,
    key: &str,
    proof: Option<&str>,
) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let site = text("sec-fetch-site").is_none_or(|site| site == "same-origin");
    let own = url::Url::parse(&call.base).map(|url| url.origin().ascii_serialization());
    let own = own.unwrap_or_default();
    // A page without a referrer sends "null" where there is no better (Fetch, section 3.2).
    let origin = text(ORIGIN.as_str()).is_none_or(|origin| origin == own || origin == "null");
    site && origin && proof.is_some_and(|proof| same(proof, &form_proof(handshake, key)))
}
