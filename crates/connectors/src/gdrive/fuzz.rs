//! Fuzz targets: what arrives at the address of a channel.

use std::sync::Arc;

use bytes::Bytes;
use tramontane_connector::Bases;
use tramontane_connector::push::{Inbound, Nudge, Push as _, PushKeys, Received, TokenHash};
use tramontane_fuzz::fuzz;
use tramontane_model::Timestamp;

use super::api::Api;
use super::storage::DriveStorage;

const TOKEN: &str = "a token that nobody guesses";

fuzz!(pushes, ["a token that nobody guesses\nchange", "a token\nsync", "\nchange", "x"], |data| {
    let storage = DriveStorage::new(Arc::new(Api::new(&Bases::default()).unwrap()));
    let (shown, state) = match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (data.get(..at).unwrap(), data.get(at + 1..).unwrap()),
        None => (data, b"change".as_slice()),
    };
    let mut headers = http::HeaderMap::new();
    for (name, value) in [("x-goog-channel-token", shown), ("x-goog-resource-state", state)] {
        if let Ok(value) = http::HeaderValue::from_bytes(value) {
            headers.insert(name, value);
        }
    }
    let body = Bytes::copy_from_slice(data);
    let inbound = Inbound { query: String::new(), headers, body, now: Timestamp::from_seconds(0) };
    let keys = |token: Option<&str>| PushKeys { token: token.map(TokenHash::of), signing: vec![] };
    match storage.receive(&inbound, &keys(Some(TOKEN))) {
        Ok(Received::Nudges(nudges)) => {
            assert_eq!(shown, TOKEN.as_bytes());
            assert!(nudges.is_empty() || nudges == [Nudge::Channel]);
        }
        Ok(other) => assert_eq!(other, Received::Nudges(vec![]), "no handshake is known"),
        Err(_) => {}
    }
    assert!(storage.receive(&inbound, &keys(None)).is_err());
    assert!(storage.receive(&inbound, &keys(Some(""))).is_err());
});
