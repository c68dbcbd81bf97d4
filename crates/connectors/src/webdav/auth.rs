//! Puts Basic, Digest (RFC 7616) or Bearer credentials on requests, as the server asks for.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use digest_auth::{Algorithm, AlgorithmType, AuthContext, Charset, Qop, WwwAuthenticateHeader};
use http::{HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};
use tramontane_connector::http::{Payload, Request, Response};
use tramontane_connector::{Account, Error, Kind, Result, Sign};
use tramontane_model::Timestamp;

/// The largest number of challenges that are read of one answer.
const MAX_CHALLENGES: usize = 16;

/// How an account's requests are signed just now.
enum Scheme {
    /// The server has not asked yet: the request goes out bare.
    Unknown,
    /// The account has no user: nothing is ever put on.
    Anonymous,
    Basic,
    Digest(Box<WwwAuthenticateHeader>),
    Bearer,
}

/// The credential of one account with what its server asked for.
pub(super) struct Auth {
    user: String,
    secret: SecretString,
    scheme: Mutex<Scheme>,
}

impl Auth {
    pub(super) fn of(account: &Account) -> Arc<Self> {
        let user = account.setting("username").unwrap_or_default().to_owned();
        let token = account.credential.get("token");
        let scheme = match (token, user.is_empty(), account.setting("auth")) {
            (Some(_), _, _) => Scheme::Bearer,
            (None, true, _) => Scheme::Anonymous,
            (None, false, Some("basic")) => Scheme::Basic,
            (None, false, _) => Scheme::Unknown,
        };
        let secret = token.or_else(|| account.credential.get("password")).unwrap_or_default();
        Arc::new(Self { user, secret: secret.to_owned().into(), scheme: Mutex::new(scheme) })
    }

    fn with<T>(&self, look: impl FnOnce(&mut Scheme) -> T) -> T {
        look(&mut self.scheme.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a stream may be sent at once. Not before the server has asked, and not with Digest,
    /// whose nonce may be too old: a stream that is refused cannot be sent again.
    pub(super) fn is_settled(&self) -> bool {
        self.with(|scheme| !matches!(scheme, Scheme::Unknown | Scheme::Digest(_)))
    }

    /// The scheme for the account's settings; `None` while the server has not asked for one.
    pub(super) fn scheme_name(&self) -> Option<&'static str> {
        self.with(|scheme| match scheme {
            Scheme::Unknown => None,
            Scheme::Anonymous => Some("none"),
            Scheme::Basic => Some("basic"),
            Scheme::Digest(_) => Some("digest"),
            Scheme::Bearer => Some("bearer"),
        })
    }

    /// Sends the credential without being asked from now on, when the server never asked.
    pub(super) fn insist(&self) {
        self.with(|scheme| {
            if matches!(scheme, Scheme::Unknown) {
                *scheme = Scheme::Basic;
            }
        });
    }

    fn learn(&self, challenges: &[Challenge], encrypted: bool) -> bool {
        let basic = challenges.iter().any(|one| one.is("basic"));
        let digest = best_digest(challenges);
        self.with(|scheme| match scheme {
            Scheme::Anonymous | Scheme::Bearer => false,
            // Over TLS the password is safe and Basic needs no nonce that could be too old.
            Scheme::Unknown => match (digest, basic) {
                (_, true) if encrypted => set(scheme, Scheme::Basic),
                (Some(digest), _) => set(scheme, Scheme::Digest(digest)),
                (None, true) => set(scheme, Scheme::Basic),
                (None, false) => false,
            },
            Scheme::Basic => match digest {
                Some(digest) if !basic => set(scheme, Scheme::Digest(digest)),
                _ => false,
            },
            Scheme::Digest(known) => {
                let Some(new) = digest else {
                    return basic && set(scheme, Scheme::Basic);
                };
                // A nonce that has served before has grown old; one that was refused at its first use
                // was refused for the password.
                let again = new.stale || known.nc > 1;
                set(scheme, Scheme::Digest(new)) && again
            }
        })
    }
}

fn set(scheme: &mut Scheme, new: Scheme) -> bool {
    *scheme = new;
    true
}

#[async_trait]
impl Sign for Auth {
    async fn sign(&self, request: &mut Request, _now: Timestamp) -> Result<()> {
        let text = self.with(|scheme| match scheme {
            Scheme::Unknown | Scheme::Anonymous => Ok(None),
            Scheme::Basic => {
                let pair = format!("{}:{}", self.user, self.secret.expose_secret());
                Ok(Some(format!("Basic {}", BASE64_STANDARD.encode(pair))))
            }
            Scheme::Bearer => Ok(Some(format!("Bearer {}", self.secret.expose_secret()))),
            Scheme::Digest(challenge) => {
                respond(challenge, &self.user, self.secret.expose_secret(), request).map(Some)
            }
        })?;
        let Some(text) = text else { return Ok(()) };
        let mut value = HeaderValue::from_bytes(text.as_bytes()).map_err(|_| {
            Error::new(
                Kind::Credential,
                "The password or token holds a character that no header can carry.",
            )
        })?;
        value.set_sensitive(true);
        request.headers.insert(header::AUTHORIZATION, value);
        Ok(())
    }

    async fn challenged(&self, response: &Response) -> bool {
        if response.status != http::StatusCode::UNAUTHORIZED {
            return false;
        }
        self.learn(&challenges(response), response.url.scheme() == "https")
    }
}

fn respond(
    challenge: &mut WwwAuthenticateHeader,
    user: &str,
    password: &str,
    request: &Request,
) -> Result<String> {
    let uri = match request.url.query() {
        Some(query) => format!("{}?{query}", request.url.path()),
        None => request.url.path().to_owned(),
    };
    let body = match &request.payload {
        Payload::Bytes(bytes) => Some(bytes.to_vec()),
        Payload::Stream(_) => None,
    };
    let only_int = challenge.qop.as_ref().is_some_and(|qop| !qop.contains(&Qop::AUTH));
    let body = if only_int { body } else { None };
    let method = digest_auth::HttpMethod::from(request.method.as_str());
    let context = AuthContext::new_with_method(user, password, uri, body, method);
    let answer = challenge.respond(&context).map_err(|cause| {
        Error::new(Kind::Credential, "The server's Digest challenge cannot be answered.")
            .because(cause)
    })?;
    Ok(answer.to_header_string())
}

/// One challenge of `WWW-Authenticate`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Challenge {
    scheme: String,
    params: Vec<(String, String)>,
}

impl Challenge {
    fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    fn param(&self, name: &str) -> Option<&str> {
        let found = self.params.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// As the Digest library has it. Read here and not there, because it cannot read what is not ASCII.
    pub(super) fn digest(&self) -> Option<Box<WwwAuthenticateHeader>> {
        if !self.is("digest") {
            return None;
        }
        let algorithm = match self.param("algorithm") {
            Some(name) => name.to_ascii_uppercase().replace("-SESS", "-sess").parse().ok()?,
            None => Algorithm::default(),
        };
        let qop = match self.param("qop") {
            Some(list) => {
                let known: Vec<Qop> =
                    list.split(',').filter_map(|one| one.trim().parse().ok()).collect();
                if known.is_empty() {
                    return None;
                }
                let plain = known.contains(&Qop::AUTH);
                Some(if plain { vec![Qop::AUTH] } else { known })
            }
            None => None,
        };
        let utf8 = self.param("charset").is_some_and(|set| set.eq_ignore_ascii_case("utf-8"));
        let yes = |name| self.param(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        Some(Box::new(WwwAuthenticateHeader {
            domain: None,
            realm: self.param("realm")?.to_owned(),
            nonce: self.param("nonce")?.to_owned(),
            opaque: self.param("opaque").map(str::to_owned),
            stale: yes("stale"),
            algorithm,
            qop,
            userhash: yes("userhash"),
            charset: if utf8 { Charset::UTF8 } else { Charset::ASCII },
            nc: 0,
        }))
    }
}

fn best_digest(challenges: &[Challenge]) -> Option<Box<WwwAuthenticateHeader>> {
    challenges.iter().filter_map(Challenge::digest).max_by_key(|one| match one.algorithm.algo {
        AlgorithmType::MD5 => 0,
        AlgorithmType::SHA2_256 => 1,
        AlgorithmType::SHA2_512_256 => 2,
    })
}

/// Every challenge of an answer, whether in one header or in several.
pub(super) fn challenges(response: &Response) -> Vec<Challenge> {
    let headers = response.headers.get_all(header::WWW_AUTHENTICATE).iter();
    let mut all = Vec::new();
    for value in headers {
        read_challenges(&String::from_utf8_lossy(value.as_bytes()), &mut all);
    }
    all
}

/// The names of the schemes that an answer offers, for messages.
pub(super) fn offered(response: &Response) -> String {
    let names: Vec<String> = challenges(response).into_iter().map(|one| one.scheme).collect();
    names.join(", ")
}

/// RFC 9110 section 11.6.1: a list of schemes with lists of parameters, both parted by commas.
fn read_challenges(text: &str, into: &mut Vec<Challenge>) {
    for item in list_items(text) {
        let (head, value) = match item.split_once('=') {
            Some((head, value)) => (head.trim(), Some(value.trim())),
            None => (item.trim(), None),
        };
        let (scheme, name) = match head.split_once(char::is_whitespace) {
            Some((scheme, name)) => (Some(scheme), name.trim()),
            None if value.is_none() => (Some(head), ""),
            None => (None, head),
        };
        if let Some(scheme) = scheme.filter(|scheme| !scheme.is_empty()) {
            if into.len() >= MAX_CHALLENGES {
                return;
            }
            into.push(Challenge { scheme: scheme.to_owned(), params: Vec::new() });
        }
        if let (Some(value), Some(challenge)) = (value, into.last_mut()) {
            challenge.params.push((name.to_owned(), unquote(value)));
        }
    }
}

fn list_items(text: &str) -> Vec<&str> {
    let (mut items, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                items.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    items.extend(text.get(start..));
    items
}

fn unquote(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"') else { return value.to_owned() };
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    let (mut text, mut escaped) = (String::new(), false);
    for character in inner.chars() {
        if character == '\\' && !escaped {
            escaped = true;
        } else {
            escaped = false;
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<Challenge> {
        let mut all = Vec::new();
        read_challenges(text, &mut all);
        all
    }

    fn auth() -> Auth {
        Auth {
            user: "Mufasa".into(),
            secret: "Circle of Life".to_owned().into(),
            scheme: Mutex::new(Scheme::Unknown),
        }
    }

    async fn signed(auth: &Auth, url: &str) -> Option<String> {
        let mut request = Request::new("get", http::Method::GET, url.parse().unwrap());
        auth.sign(&mut request, Timestamp::from_seconds(0)).await.unwrap();
        let value = request.headers.get(header::AUTHORIZATION)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    const DIGEST: &str =
        "Digest realm=\"a, \\\"b\\\" é\", qop=\"auth, auth-int\", algorithm=SHA-256, nonce=\"n1\"";

    #[test]
    fn reads_several_challenges_from_one_header() {
        let all = read(&format!("Basic realm=\"x\", {DIGEST}, Negotiate"));
        let schemes: Vec<&str> = all.iter().map(|one| one.scheme.as_str()).collect();
        assert_eq!(schemes, ["Basic", "Digest", "Negotiate"]);
        assert_eq!(all.get(1).and_then(|one| one.param("REALM")), Some("a, \"b\" é"));
    }

    #[test]
    fn chooses_the_strongest_digest_that_it_knows() {
        let text = "Digest realm=r, nonce=a, algorithm=MD5, Digest realm=r, nonce=b, algorithm=SHA-256, \
                    Digest realm=r, nonce=c, algorithm=ROT13";
        assert_eq!(best_digest(&read(text)).map(|one| one.nonce), Some("b".into()));
    }

    #[tokio::test]
    async fn answers_as_rfc_7616_shows() {
        let auth = auth();
        assert_eq!(signed(&auth, "http://h/x").await, None);
        assert!(auth.learn(&read(DIGEST), false));
        let first = signed(&auth, "http://h/x?y").await.unwrap();
        assert!(first.starts_with("Digest username=\"Mufasa\""), "{first}");
        assert!(first.contains("uri=\"/x?y\"") && first.contains("nc=00000001"), "{first}");
        assert!(signed(&auth, "http://h/x").await.unwrap().contains("nc=00000002"));
    }

    #[tokio::test]
    async fn prefers_basic_where_tls_protects_it_and_digest_where_not() {
        let offers = read(&format!("{DIGEST}, Basic realm=x"));
        let (plain, secure) = (auth(), auth());
        assert!(plain.learn(&offers, false) && secure.learn(&offers, true));
        assert_eq!(plain.scheme_name(), Some("digest"));
        assert_eq!(
            signed(&secure, "https://h/").await.as_deref(),
            Some("Basic TXVmYXNhOkNpcmNsZSBvZiBMaWZl")
        );
        assert!(secure.is_settled() && !plain.is_settled());
    }

    #[tokio::test]
    async fn a_wrong_password_is_not_tried_for_ever_but_an_old_nonce_is_replaced() {
        let auth = auth();
        assert!(auth.learn(&read(DIGEST), false));
        signed(&auth, "http://h/").await;
        assert!(!auth.learn(&read(&DIGEST.replace("n1", "n2")), false), "first use refused");
        for _ in 0..3 {
            signed(&auth, "http://h/").await;
        }
        assert!(auth.learn(&read(&DIGEST.replace("n1", "n3")), false), "has served before");
        assert!(auth.learn(&read(&format!("{DIGEST}, stale=true")), false));
    }

    #[test]
    fn a_refused_basic_password_is_final() {
        let auth = auth();
        assert!(auth.learn(&read("Basic realm=x"), false));
        assert!(!auth.learn(&read("Basic realm=x"), false));
    }

    proptest! {
        #[test]
        fn challenges_never_panic(text in ".{0,200}") {
            let auth = auth();
            auth.learn(&read(&format!("Digest nonce=a, {text}")), false);
            auth.learn(&read(&text), true);
        }
    }
}
