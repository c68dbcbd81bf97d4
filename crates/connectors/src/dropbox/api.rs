//! Calls of API functions: arguments in bodies or in an ASCII header, the member acted for, the root of paths.
//!
//! "HTTP documentation", section "Request and response formats":
//! <https://www.dropbox.com/developers/documentation/http/documentation>

use http::{HeaderName, HeaderValue, Method, header};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tramontane_connector::http::{Payload, Request, Response};
use tramontane_connector::{Bases, Body, Cx, Error, Repeat, Result};
use url::Url;

use super::fault::fault;

/// The setting with the namespace that paths begin in, where it is not the user's home.
pub(super) const ROOT_NAMESPACE: &str = "root_namespace";

const ARGUMENT: HeaderName = HeaderName::from_static("dropbox-api-arg");
const SELECT_USER: HeaderName = HeaderName::from_static("dropbox-api-select-user");
const PATH_ROOT: HeaderName = HeaderName::from_static("dropbox-api-path-root");

/// Where Dropbox is.
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    /// Functions with JSON in and out.
    pub(super) api: Url,
    /// Functions with content in or out.
    pub(super) content: Url,
    /// Long polls.
    pub(super) notify: Url,
    /// The pages that people see.
    pub(super) login: Url,
}

impl Hosts {
    pub(super) fn of(bases: &Bases) -> Result<Self> {
        let url = |part, own| bases.url("dropbox", part, own);
        Ok(Self {
            api: url("api", "https://api.dropboxapi.com/")?,
            content: url("content", "https://content.dropboxapi.com/")?,
            notify: url("notify", "https://notify.dropboxapi.com/")?,
            login: url("login", "https://www.dropbox.com/")?,
        })
    }

    /// The address of something below one of the bases.
    pub(super) fn join(base: &Url, path: &str) -> Result<Url> {
        base.join(path).map_err(|cause| {
            Error::internal(format!("The address of {path} cannot be made.")).because(cause)
        })
    }
}

/// Adds a member to a JSON object.
pub(super) fn put(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value.into());
    }
}

/// JSON that a header can hold: everything beyond ASCII escaped, as Dropbox asks for.
pub(super) fn ascii_json(value: &Value) -> String {
    let mut text = String::new();
    for one in value.to_string().chars() {
        if one.is_ascii() && one != '\u{7f}' {
            text.push(one);
        } else {
            let mut units = [0u16; 2];
            for unit in one.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text
}

/// One account's way to the API.
#[derive(Clone, Copy)]
pub(super) struct Api<'a> {
    pub(super) cx: &'a Cx,
    pub(super) hosts: &'a Hosts,
}

impl<'a> Api<'a> {
    pub(super) fn new(cx: &'a Cx, hosts: &'a Hosts) -> Self {
        Self { cx, hosts }
    }

    fn request(&self, function: &'static str, base: &Url) -> Result<Request> {
        let url = Hosts::join(base, &format!("2/{function}"))?;
        let mut request = Request::new(function, Method::POST, url);
        request.follow = false;
        // Functions of teams act for the whole team and begin nowhere.
        if function.starts_with("team/") || function.starts_with("auth/") {
            return Ok(request);
        }
        if let Some(member) = self.cx.as_user.as_deref() {
            request = request.header(SELECT_USER, member);
        }
        if !function.starts_with("users/")
            && let Some(namespace) = self.cx.account.setting(ROOT_NAMESPACE)
        {
            let root = json!({".tag": "root", "root": namespace});
            request = request.header(PATH_ROOT, ascii_json(&root));
        }
        Ok(request)
    }

    /// Calls a function with JSON in and out. `repeat`: whether doing it twice is the same as once.
    ///
    /// A 409 that says "too many write operations" was not done: it is tried again, as the service
    /// asks ("Performance guide", lock contention).
    pub(super) async fn rpc<T: DeserializeOwned>(
        &self,
        function: &'static str,
        argument: &Value,
        repeat: Repeat,
    ) -> Result<T> {
        let bytes = argument.to_string();
        self.again(function, || async {
            let request = self.request(function, &self.hosts.api)?.repeat(repeat);
            let request =
                request.header(header::CONTENT_TYPE, "application/json").bytes(bytes.clone());
            let answer = self.cx.send(request).await?;
            if !answer.status.is_success() {
                return Err(fault(function, answer).await);
            }
            answer.json().await
        })
        .await
    }

    /// A function that only reads.
    pub(super) async fn look<T: DeserializeOwned>(
        &self,
        function: &'static str,
        argument: &Value,
    ) -> Result<T> {
        self.rpc(function, argument, Repeat::Yes).await
    }

    /// A function that changes something.
    pub(super) async fn change<T: DeserializeOwned>(
        &self,
        function: &'static str,
        argument: &Value,
    ) -> Result<T> {
        self.rpc(function, argument, Repeat::No).await
    }

    /// Makes a call again while the service says that too much is written at once.
    async fn again<T, F>(&self, function: &'static str, mut call: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let error = match call().await {
                Err(error) if is_contention(&error) => error,
                done => return done,
            };
            match self.cx.lent.after(self.cx, function, attempt, Repeat::Yes, Err(&error)) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            }
        }
    }

    /// Sends content that is in memory.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        function: &'static str,
        argument: &Value,
        bytes: bytes::Bytes,
        repeat: Repeat,
    ) -> Result<T> {
        self.again(function, || async {
            let request = self.content_request(function, argument)?.repeat(repeat);
            self.sent(function, request.bytes(bytes.clone())).await
        })
        .await
    }

    /// Sends content that is on its way, once.
    pub(super) async fn stream<T: DeserializeOwned>(
        &self,
        function: &'static str,
        argument: &Value,
        body: Body,
    ) -> Result<T> {
        let request = self.content_request(function, argument)?;
        self.sent(function, request.stream(body)).await
    }

    fn content_request(&self, function: &'static str, argument: &Value) -> Result<Request> {
        let request = self.request(function, &self.hosts.content)?;
        let request = argued(request, argument)?;
        Ok(request.header(header::CONTENT_TYPE, "application/octet-stream"))
    }

    async fn sent<T: DeserializeOwned>(
        &self,
        function: &'static str,
        request: Request,
    ) -> Result<T> {
        let answer = self.cx.send(request).await?;
        if !answer.status.is_success() {
            return Err(fault(function, answer).await);
        }
        answer.json().await
    }

    /// Asks for content. The result's JSON comes beside it.
    pub(super) async fn fetch(
        &self,
        function: &'static str,
        argument: &Value,
        range: Option<&str>,
    ) -> Result<(Response, Value)> {
        let mut request =
            argued(self.request(function, &self.hosts.content)?, argument)?.repeat(Repeat::Yes);
        if let Some(range) = range {
            request = request.header(header::RANGE, range);
        }
        debug_assert!(matches!(&request.payload, Payload::Bytes(bytes) if bytes.is_empty()));
        let answer = self.cx.send(request).await?;
        if !answer.status.is_success() {
            return Err(fault(function, answer).await);
        }
        let result = answer.header(&HeaderName::from_static("dropbox-api-result"));
        let result = result.and_then(|text| serde_json::from_str(text).ok());
        Ok((answer, result.unwrap_or(Value::Null)))
    }
}

fn argued(mut request: Request, argument: &Value) -> Result<Request> {
    let value = HeaderValue::from_str(&ascii_json(argument))
        .map_err(|_| Error::invalid("This name cannot be sent to Dropbox."))?;
    request.headers.insert(ARGUMENT, value);
    Ok(request)
}

/// Whether the service says that too much is written at once, in the answer to one call.
fn is_contention(error: &Error) -> bool {
    let fault = error.fault.as_deref();
    fault.is_some_and(|fault| {
        fault.status == Some(409)
            && fault.code.as_deref().is_some_and(|code| code.contains("too_many_write_operations"))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn arguments_fit_into_headers_and_come_back(name in any::<String>()) {
            let argument = json!({"path": format!("id:x/{name}")});
            let text = ascii_json(&argument);
            prop_assert!(text.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            prop_assert!(HeaderValue::from_str(&text).is_ok());
            let back: Value = serde_json::from_str(&text).unwrap_or_default();
            prop_assert_eq!(back, argument);
        }
    }
}
