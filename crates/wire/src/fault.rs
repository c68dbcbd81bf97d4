//! Failures of the HTTP library, in our words.

use std::error::Error as _;

use tramontane_connector::Error;
use tramontane_connector::error::Kind;
use url::Url;

/// What a failed exchange with this host means.
pub(crate) fn fault(error: reqwest::Error, url: &Url) -> Error {
    let host = url.host_str().unwrap_or("the service").to_owned();
    // Queries may hold signatures; the library's own text would print them.
    let error = error.without_url();
    let mut cause = error.source();
    let mut words = String::new();
    while let Some(one) = cause {
        if let Some(ours) = one.downcast_ref::<Error>() {
            let mut same = Error::new(ours.kind.clone(), ours.message.clone());
            same.retry = ours.retry;
            return same;
        }
        words = one.to_string();
        cause = one.source();
    }
    let lower = words.to_ascii_lowercase();
    let (kind, message) = if lower.contains("certificate") {
        let text = format!(
            "The certificate of {host} is not trusted ({words}). If an organisation's own authority signed it, \
             an operator can add that with --extra-ca-file."
        );
        (Kind::Guarded, text)
    } else if error.is_timeout() {
        (Kind::Timeout, format!("{host} did not answer in time."))
    } else if error.is_connect() {
        (Kind::Unavailable, format!("{host} cannot be reached: {words}."))
    } else {
        (Kind::Broken, format!("The connection to {host} broke off: {words}."))
    };
    Error::new(kind, message).because(error)
}
