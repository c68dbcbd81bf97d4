//! Fuzz targets: what arrives at the address of webhooks.

use std::sync::Arc;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tramontane_connector::push::{Inbound, Push as _, PushKeys, Received};
use tramontane_connector::{Bases, Kind};
use tramontane_fuzz::fuzz;
use tramontane_model::Timestamp;

use super::api::Hosts;
use super::storage::DropboxStorage;

const KEY: &str = "app-secret";

fuzz!(
    pushes,
    [
        r#"{"list_folder":{"accounts":["dbid:A"],"teams":{"dbtid:T":["dbmid:M"]}}}"#,
        r#"{"list_folder":{"accounts":[]},"delta":{"users":[1]}}"#,
        "{}",
        "challenge=abc%20d",
        "",
    ],
    |data| {
        let storage = DropboxStorage::new(Arc::new(Hosts::of(&Bases::default()).unwrap()));
        let receive = |query: &str, signature: Option<&str>, body: &[u8]| {
            let mut headers = http::HeaderMap::new();
            if let Some(value) = signature.and_then(|text| text.parse().ok()) {
                headers.insert("x-dropbox-signature", value);
            }
            let body = Bytes::copy_from_slice(body);
            let inbound =
                Inbound { query: query.into(), headers, body, now: Timestamp::from_seconds(0) };
            storage.receive(&inbound, &PushKeys { token: None, signing: vec![KEY.into()] })
        };
        let text = String::from_utf8_lossy(data);
        // Whatever came as body and signature together was not signed by the key.
        assert!(receive("", Some(text.trim()), data).is_err());
        assert!(receive("", None, data).is_err());
        if let Ok(received) = receive(&text, None, b"") {
            assert!(matches!(received, Received::Handshake(_)));
        }
        // Behind the signature anything may stand.
        let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
        mac.update(data);
        let signature = hex::encode(mac.finalize().into_bytes());
        match receive("", Some(&signature), data) {
            Ok(received) => assert!(matches!(received, Received::Nudges(_))),
            Err(error) => assert_eq!(error.kind, Kind::Invalid),
        }
    }
);
