//! Fuzz targets: sealed values and page tokens, stored hashes of passwords, and master keys.

use std::sync::OnceLock;

use tramontane_fuzz::fuzz;
use tramontane_model::Timestamp;

use crate::master::MasterKey;
use crate::password::verify_password;
use crate::random::SystemEntropy;
use crate::ring::{KeyId, KeyRing, SharedRing, WrappedKey};
use crate::sealer::Sealer;

fn ring() -> &'static SharedRing {
    static RING: OnceLock<SharedRing> = OnceLock::new();
    RING.get_or_init(|| {
        let master = MasterKey::generate(&SystemEntropy);
        let key = WrappedKey::generate(&master, &SystemEntropy).unwrap();
        let keys = std::slice::from_ref(&key);
        SharedRing::new(KeyRing::open_keys(keys, &key.id, &[master]).unwrap())
    })
}

// A key that nobody else has: whatever opens was forged.
fuzz!(
    page_tokens,
    ["pt_", "pt_AWnu3boiWGObnykp9PZpL74tFDY-wMJl95UCVZCX8AeqkPfK92", "evc_AA", "pt_===="],
    |data| {
        let text = String::from_utf8_lossy(data);
        let sealer = Sealer::new(ring().clone(), "pt_");
        let opened = sealer.open::<String>("context", Timestamp::from_seconds(0), &text);
        assert!(opened.is_err(), "{text:?} was opened");
    }
);

fuzz!(sealed_values, [&[1u8; 64][..], &[0, 1, 2], &[1; 33]], |data| {
    assert!(ring().get().open(data, "context").is_err());
    let _ = KeyRing::key_of(data);
    let text = String::from_utf8_lossy(data);
    if let Some(id) = KeyId::parse(&text) {
        assert_eq!(KeyId::parse(&id.to_string()), Some(id));
    }
});

fuzz!(master_keys, ["c2VjcmV0", "0123456789abcdef", "base64:AAAA", ""], |data| {
    if let Ok(key) = MasterKey::parse(&String::from_utf8_lossy(data)) {
        use secrecy::ExposeSecret as _;
        let again = MasterKey::parse(key.to_text().expose_secret()).unwrap();
        assert_eq!(again.fingerprint(), key.fingerprint());
    }
});

fuzz!(
    stored_passwords,
    ["$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g", "$argon2i$", "x"],
    |data| {
        // A stored hash asks for as much work as it likes; one that asks for much is not tried here.
        let text = String::from_utf8_lossy(data);
        if !text.contains("m=") || text.contains("$v=19$m=8,t=1,p=1$") {
            assert!(!verify_password("guess", &text).unwrap_or(false));
        }
    }
);
