//! Pages of the connect flow: one frame with the application's name, logo and colours, the language
//! switch, and a policy that lets the browser run and load what this page names and nothing else.

use askama::Template;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION,
    REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use url::Url;

use super::browser;
use super::theme::Look;
use super::words::{Lang, Words, fill};
use crate::call::Call;
use crate::query::Query;
use crate::state::App;

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
/// The cookie that remembers the language.
const LANGUAGE: &str = "tramontane_language";

/// What every page shows around its own part.
pub(crate) struct Frame {
    /// The language.
    pub(crate) lang: Lang,
    /// What it says in it.
    pub(crate) words: &'static Words,
    /// The application's.
    pub(crate) look: Look,
    /// The path prefix of this server.
    pub(crate) prefix: String,
    /// For the one style and the one script that the page may have.
    pub(crate) nonce: String,
    /// Where the language switch leads; `None` where the page cannot be asked for again.
    pub(crate) here: Option<String>,
    /// Where forms may lead in the end, beside this server: the application's redirect URI.
    pub(crate) leads_to: Option<String>,
    /// A language that was chosen with this request.
    chosen: Option<Lang>,
}

impl Frame {
    /// The frame of a page, in the language that this browser wants.
    pub(crate) fn new(app: &App, call: &Call, headers: &HeaderMap, query: &Query) -> Self {
        let chosen = query.text("lang").and_then(Lang::of_tag);
        let kept = || browser::cookie(headers, LANGUAGE).and_then(Lang::of_tag);
        let accepted = || Lang::accepted(headers.get(ACCEPT_LANGUAGE)?.to_str().ok()?);
        let lang = chosen.or_else(kept).or_else(accepted).unwrap_or_default();
        let prefix = Url::parse(&call.base).map(|url| url.path().trim_end_matches('/').to_owned());
        let mut nonce = [0; 18];
        app.entropy().fill(&mut nonce);
        Self {
            lang,
            words: lang.words(),
            look: Look::default(),
            prefix: prefix.unwrap_or_default(),
            nonce: STANDARD.encode(nonce),
            here: None,
            leads_to: None,
            chosen,
        }
    }

    /// With an application's look.
    pub(crate) fn of(mut self, application: &tramontane_accounts::Application) -> Self {
        self.look = Look::of(application);
        self
    }

    /// A text with the application's name and other values put in.
    pub(crate) fn say(&self, text: &str, values: &[(&str, &str)]) -> String {
        let mut all = vec![("app", self.app_name())];
        all.extend_from_slice(values);
        fill(text, &all)
    }

    /// The application's name; never empty, so that sentences stay whole.
    pub(crate) fn app_name(&self) -> &str {
        if self.look.name.is_empty() { "Tramontane" } else { &self.look.name }
    }

    /// Every language, and whether it is this page's.
    pub(crate) fn languages(&self) -> Vec<(Lang, bool)> {
        Lang::ALL.into_iter().map(|lang| (lang, lang == self.lang)).collect()
    }

    /// The version of scripts and styles, for their URLs.
    pub(crate) fn version(&self) -> &'static str {
        super::assets::version()
    }

    fn policy(&self) -> String {
        let nonce = &self.nonce;
        let logo = self.look.logo_origin.as_deref().map(|origin| format!(" {origin}"));
        let target = self.leads_to.as_deref().and_then(form_target);
        let target = target.map(|target| format!(" {target}"));
        format!(
            "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
             img-src 'self'{}; form-action 'self'{}; base-uri 'none'; frame-ancestors 'none'",
            logo.unwrap_or_default(),
            target.unwrap_or_default(),
        )
    }

    /// The page as an answer.
    pub(crate) fn answer(&self, status: StatusCode, page: &impl Template) -> Response<Body> {
        let (status, text) = match page.render() {
            Ok(text) => (status, text),
            Err(error) => {
                tracing::error!(%error, "a connect page could not be made");
                (StatusCode::INTERNAL_SERVER_ERROR, self.words.our_fault.to_owned())
            }
        };
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        self.dress(&mut response);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        if let Ok(policy) = HeaderValue::try_from(self.policy()) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        if let Ok(lang) = HeaderValue::try_from(self.lang.tag()) {
            headers.insert(http::header::CONTENT_LANGUAGE, lang);
        }
        if let Some(lang) = self.chosen {
            let secure = "; SameSite=Lax; HttpOnly";
            let text = format!(
                "{LANGUAGE}={}; Path={}/; Max-Age=31536000{secure}",
                lang.tag(),
                self.prefix
            );
            if let Ok(cookie) = HeaderValue::try_from(text) {
                headers.append(SET_COOKIE, cookie);
            }
        }
        response
    }

    /// Sends the browser elsewhere. What the target learns of this page: nothing.
    pub(crate) fn redirect(&self, to: &str) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::FOUND;
        self.dress(&mut response);
        if let Ok(to) = HeaderValue::try_from(to) {
            response.headers_mut().insert(LOCATION, to);
        }
        response
    }

    fn dress(&self, response: &mut Response<Body>) {
        let headers = response.headers_mut();
        let mut set = |name: HeaderName, value: &'static str| {
            headers.insert(name, HeaderValue::from_static(value));
        };
        set(CACHE_CONTROL, "no-store");
        set(REFERRER_POLICY, "no-referrer");
        set(X_CONTENT_TYPE_OPTIONS, "nosniff");
        set(X_FRAME_OPTIONS, "DENY");
        set(CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
        // The page that opened the pop-up must stay reachable.
        set(OPENER_POLICY, "unsafe-none");
    }
}

/// A redirect URI as a source of a policy: its origin, or its scheme where it has none. Browsers ask
/// the policy of a form also where its answer redirects to.
fn form_target(uri: &str) -> Option<String> {
    let url = Url::parse(uri).ok()?;
    match url.scheme() {
        "http" | "https" => Some(url.origin().ascii_serialization()),
        scheme => Some(format!("{scheme}:")),
    }
}

/// What a notice is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// It went well.
    Good,
    /// It is what it is.
    Plain,
    /// It did not go well.
    Bad,
}

/// A page that says one thing.
#[derive(Template)]
#[template(path = "connect/notice.html")]
pub(crate) struct Notice<'a> {
    pub(crate) frame: &'a Frame,
    pub(crate) tone: Tone,
    pub(crate) title: &'a str,
    pub(crate) text: &'a str,
    /// For the developer, in English.
    pub(crate) detail: Option<&'a str>,
    /// What the script of the last page needs.
    pub(crate) ending: Option<Ending<'a>>,
    /// A value to copy.
    pub(crate) copy: Option<&'a str>,
}

/// What the last page of a pop-up posts to the page that opened it.
#[derive(Clone, Copy)]
pub(crate) struct Ending<'a> {
    /// The message.
    pub(crate) message: &'a str,
    /// To whom.
    pub(crate) origin: &'a str,
    /// Milliseconds before.
    pub(crate) delay: u64,
}

impl Frame {
    /// A page that says one thing.
    pub(crate) fn notice(
        &self,
        status: StatusCode,
        tone: Tone,
        title: &str,
        text: &str,
    ) -> Response<Body> {
        self.notice_with(status, tone, title, text, None)
    }

    /// As [`Frame::notice`], with words for the developer.
    pub(crate) fn notice_with(
        &self,
        status: StatusCode,
        tone: Tone,
        title: &str,
        text: &str,
        detail: Option<&str>,
    ) -> Response<Body> {
        let page = Notice { frame: self, tone, title, text, detail, ending: None, copy: None };
        self.answer(status, &page)
    }

    /// The handshake is over, or was never this browser's.
    pub(crate) fn lost(&self) -> Response<Body> {
        let words = self.words;
        self.notice(StatusCode::GONE, Tone::Plain, words.lost_title, words.lost_text)
    }

    /// What the developer did wrong, where nobody can be told but the person who looks.
    pub(crate) fn bad_request(&self, detail: &str) -> Response<Body> {
        let words = self.words;
        let (title, text) = (words.bad_request_title, words.bad_request_text);
        self.notice_with(StatusCode::BAD_REQUEST, Tone::Bad, title, text, Some(detail))
    }

    /// Our fault.
    pub(crate) fn our_fault(&self) -> Response<Body> {
        let words = self.words;
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        self.notice(status, Tone::Bad, words.failed_title, words.our_fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_names_origins_and_schemes_of_redirect_uris() {
        let target = |uri: &str| form_target(uri);
        assert_eq!(target("https://a.example/cb?x").as_deref(), Some("https://a.example"));
        assert_eq!(target("http://localhost:9/cb").as_deref(), Some("http://localhost:9"));
        assert_eq!(target("com.example.notes://cb").as_deref(), Some("com.example.notes:"));
        assert_eq!(target("no uri"), None);
    }
}
