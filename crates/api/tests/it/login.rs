//! A browser for the tests: it keeps cookies, follows the pages of a handshake, and fills their forms.

use std::cell::RefCell;
use std::collections::BTreeMap;

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::house::{BASE, House, Reply};

/// Where the application of the tests gets its answers.
pub(crate) const CALLBACK: &str = "https://app.example.com/cb";

/// One browser.
pub(crate) struct Browser<'a> {
    pub(crate) house: &'a House,
    pub(crate) cookies: RefCell<BTreeMap<String, String>>,
    pub(crate) language: &'static str,
}

/// Writes a form, or a query.
pub(crate) fn pairs(pairs: &[(&str, &str)]) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs = pairs.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

impl<'a> Browser<'a> {
    pub(crate) fn new(house: &'a House) -> Self {
        Self { house, cookies: RefCell::default(), language: "en" }
    }

    async fn ask(&self, method: Method, path: &str, form: Option<String>) -> Reply {
        let path = path.strip_prefix(BASE).unwrap_or(path);
        let mut ask = self.house.ask(method, path).header("accept-language", self.language);
        let cookies: Vec<String> =
            self.cookies.borrow().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            ask = ask.header("cookie", cookies.join("; "));
        }
        if let Some(form) = form {
            ask = ask.header("content-type", "application/x-www-form-urlencoded").body(form);
        }
        let reply = ask.send().await;
        for cookie in reply.headers.get_all("set-cookie") {
            let text = cookie.to_str().unwrap();
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned());
        }
        reply
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Reply {
        self.ask(Method::POST, path, Some(pairs(form))).await
    }

    /// `GET /v1/oauth` with these parameters.
    pub(crate) async fn authorize(&self, more: &[(&str, &str)]) -> Reply {
        let mut query = vec![("client_id", self.house.app_id.as_str())];
        query.extend_from_slice(more);
        self.get(&format!("/v1/oauth?{}", pairs(&query))).await
    }

    /// Begins a handshake; gives where the browser is sent.
    pub(crate) async fn begin(&self, more: &[(&str, &str)]) -> String {
        let reply = self.authorize(more).await;
        assert_eq!(reply.status, 302, "{}", reply.text());
        reply.header("location").to_owned()
    }

    /// Submits the form of a page.
    pub(crate) async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let page = self.get(path).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let proof = proof(&page.text());
        let mut form = vec![("proof", proof.as_str())];
        form.extend_from_slice(fields);
        self.post(path, &form).await
    }

    /// Goes through a handshake with the service in memory; gives where it ends.
    pub(crate) async fn connect(&self, drive: &str, more: &[(&str, &str)]) -> Reply {
        let form = self.begin(more).await;
        self.submit(&form, &[("drive", drive)]).await
    }
}

/// The proof that a page's forms carry.
pub(crate) fn proof(page: &str) -> String {
    let after = page.split("name=\"proof\" value=\"").nth(1).unwrap();
    after.split('"').next().unwrap().to_owned()
}

/// A value of an attribute, unescaped.
pub(crate) fn attribute(page: &str, name: &str) -> String {
    let after = page.split(&format!("{name}=\"")).nth(1);
    let value = after.unwrap_or_else(|| panic!("no {name} in {page}")).split('"').next().unwrap();
    let value = value.replace("&#34;", "\"").replace("&quot;", "\"").replace("&#39;", "'");
    value.replace("&#60;", "<").replace("&#62;", ">").replace("&#38;", "&").replace("&amp;", "&")
}

/// The message that a page posts to the page that opened it.
pub(crate) fn message(page: &str) -> Value {
    let text = attribute(page, "data-message");
    serde_json::from_str(text.strip_prefix("kloudless:").unwrap()).unwrap()
}

/// A parameter of a URL's query or fragment, decoded.
pub(crate) fn parameter(url: &str, name: &str) -> Option<String> {
    let url = url::Url::parse(url).unwrap();
    let text = url.fragment().or(url.query()).unwrap_or_default().to_owned();
    let found = url::form_urlencoded::parse(text.as_bytes()).find(|(own, _)| own == name);
    found.map(|(_, value)| value.into_owned())
}

impl House {
    /// Registers a redirect URI.
    pub(crate) async fn redirect(&self, url: &str) {
        let path = format!("/v1/meta/applications/{}/redirect_uris", self.app_id);
        let reply = self.post(&path).meta().json(json!({"url": url})).send().await;
        assert_eq!(reply.status, 201, "{}", reply.text());
    }

    /// Trusts a domain.
    pub(crate) async fn trust(&self, domain: &str) {
        let path = format!("/v1/meta/applications/{}/trusted_domains", self.app_id);
        let reply = self.post(&path).meta().json(json!({"domain": domain})).send().await;
        assert_eq!(reply.status, 201, "{}", reply.text());
    }

    /// Changes the application.
    pub(crate) async fn set(&self, change: Value) {
        let path = format!("/v1/meta/applications/{}", self.app_id);
        let reply = self.patch(&path).meta().json(change).send().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// Asks the token endpoint with a form.
    pub(crate) async fn token_request(&self, form: &[(&str, &str)]) -> Reply {
        let ask = self.post("/v1/oauth/token");
        let ask = ask.header("content-type", "application/x-www-form-urlencoded");
        ask.body(pairs(form)).send().await
    }

    /// Redeems a code as the application's server does.
    pub(crate) async fn redeem(&self, code: &str, more: &[(&str, &str)]) -> Reply {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("client_id", &self.app_id),
            ("client_secret", &self.api_key),
        ];
        form.extend_from_slice(more);
        self.token_request(&form).await
    }
}
