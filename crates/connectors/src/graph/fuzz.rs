//! Fuzz targets: what arrives at the address of a subscription.

use std::sync::Arc;

use bytes::Bytes;
use tramontane_connector::Bases;
use tramontane_connector::push::{Inbound, Push as _, PushKeys, Received, TokenHash};
use tramontane_fuzz::fuzz;
use tramontane_model::Timestamp;

use super::Flavour;
use super::api::Api;
use super::storage::GraphStorage;

const TOKEN: &str = "a token that nobody guesses";

fuzz!(
    pushes,
    [
        r#"{"value":[{"clientState":"a token that nobody guesses","changeType":"updated"}]}"#,
        r#"{"value":[{"clientState":"x","lifecycleEvent":"missed"},{"clientState":null}]}"#,
        r#"{"value":[]}"#,
        "validationToken=Validation%3A%20x",
    ],
    |data| {
        let base = Bases::default().url("onedrive", "api", "https://graph.microsoft.com/v1.0/");
        let storage = GraphStorage { api: Arc::new(Api::new(Flavour::Personal, base.unwrap())) };
        let receive = |query: &str, body: &[u8], token: Option<&str>| {
            let inbound = Inbound {
                query: query.into(),
                headers: http::HeaderMap::new(),
                body: Bytes::copy_from_slice(body),
                now: Timestamp::from_seconds(0),
            };
            storage
                .receive(&inbound, &PushKeys { token: token.map(TokenHash::of), signing: vec![] })
        };
        let text = String::from_utf8_lossy(data);
        if let Ok(received) = receive("", data, Some(TOKEN)) {
            assert!(matches!(received, Received::Nudges(_)));
            // JSON may write letters as escapes.
            assert!(text.contains(TOKEN) || text.contains("\\u"), "{text:?}");
        }
        assert!(receive("", data, None).is_err());
        assert!(receive("", data, Some("")).is_err());
        if let Ok(received) = receive(&text, b"", Some(TOKEN)) {
            assert!(matches!(received, Received::Handshake(_)));
        }
    }
);
