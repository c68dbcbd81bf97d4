//! Ids: accounts as integers, upstream objects as a kind and the service's own id, reversible.
//!
//! Source: the wire API, section 5. An id is a pure function of (kind, raw id): no table, the same in
//! every account, and no secret; access is checked by account.

use std::fmt;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};

/// The longest id that is read, in bytes; longer ones are malformed.
pub const MAX_ID_BYTES: usize = 8_192;

const URL_SAFE: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);
const STANDARD: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// One connected account: 1 to 2147483647, because existing typed clients hold it in 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountId(i64);

impl AccountId {
    /// The account with this number; `None` outside 1 to 2147483647.
    #[must_use]
    pub fn new(number: i64) -> Option<Self> {
        (1..=i64::from(i32::MAX)).contains(&number).then_some(Self(number))
    }

    /// Reads the decimal form. Signs, spaces and leading zeros are refused.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with('0') || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Self::new(text.parse().ok()?)
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> i64 {
        self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The service's own id of an object: a path, an opaque key, or several values joined with `!`.
/// Only the connector that made it understands it; it comes back from callers, so a connector treats
/// it as if an attacker had typed it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NativeId(String);

impl NativeId {
    /// Takes the service's id as it is.
    #[must_use]
    pub fn new(raw: impl Into<String>) -> Self {
        Self(raw.into())
    }

    /// The service's id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Joins several values into one id. `!` and `%` inside a value are percent-encoded.
    #[must_use]
    pub fn join(parts: &[&str]) -> Self {
        let escaped = parts.iter().map(|part| part.replace('%', "%25").replace('!', "%21"));
        Self(escaped.collect::<Vec<_>>().join("!"))
    }

    /// The values that [`NativeId::join`] was given.
    #[must_use]
    pub fn split(&self) -> Vec<String> {
        let parts = self.0.split('!');
        parts.map(|part| part.replace("%21", "!").replace("%25", "%")).collect()
    }
}

impl fmt::Display for NativeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an upstream id names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A file.
    File,
    /// A folder, a bucket, a drive, a share.
    Folder,
    /// A calendar.
    Calendar,
    /// A calendar event.
    Event,
    /// A conversation in a chat service.
    Conversation,
    /// A chat or email message.
    Message,
    /// A person at the service.
    User,
    /// A group of people at the service.
    Group,
    /// A label.
    Label,
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::File,
        Self::Folder,
        Self::Calendar,
        Self::Event,
        Self::Conversation,
        Self::Message,
        Self::User,
        Self::Group,
        Self::Label,
    ];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Folder => "folder",
            Self::Calendar => "calendar",
            Self::Event => "event",
            Self::Conversation => "conversation",
            Self::Message => "message",
            Self::User => "user",
            Self::Group => "group",
            Self::Label => "label",
        }
    }

    /// The kind with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Our id of an upstream object: `{kind}_{base64url of the raw id}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId {
    /// What it names. `None` for the older `f...` form, which did not tell.
    pub kind: Option<Kind>,
    /// The service's id.
    pub native: NativeId,
}

impl ResourceId {
    /// The id of this object.
    #[must_use]
    pub fn new(kind: Kind, native: NativeId) -> Self {
        Self { kind: Some(kind), native }
    }

    /// Reads the present form (with or without padding) and the older `f` + base64 form.
    /// `None` when it is malformed. Aliases such as `root` are not ids; look for them first.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_ID_BYTES {
            return None;
        }
        if let Some((word, payload)) = text.split_once('_')
            && let Some(kind) = Kind::parse(word)
        {
            return Some(Self { kind: Some(kind), native: decode(payload)? });
        }
        let payload = text.strip_prefix('f')?;
        Some(Self { kind: None, native: decode(payload)? })
    }
}

fn decode(payload: &str) -> Option<NativeId> {
    if payload.is_empty() {
        return None;
    }
    let bytes = URL_SAFE.decode(payload).or_else(|_| STANDARD.decode(payload)).ok()?;
    let raw = String::from_utf8(bytes).ok()?;
    (!raw.is_empty() && !raw.contains('\0')).then_some(NativeId(raw))
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = URL_SAFE.encode(self.native.as_str());
        match self.kind {
            Some(kind) => write!(f, "{kind}_{payload}"),
            None => write!(f, "f{payload}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_equal_the_published_vectors() {
        for (kind, raw, id) in [
            (Kind::Folder, "/Reports", "folder_L1JlcG9ydHM"),
            (Kind::File, "/Reports/q1.pdf", "file_L1JlcG9ydHMvcTEucGRm"),
            (Kind::File, "id:4ZbT7q9AAAC", "file_aWQ6NFpiVDdxOUFBQUM"),
            (Kind::File, "doc 1/é.txt", "file_ZG9jIDEvw6kudHh0"),
            (Kind::Calendar, "ana@example.com", "calendar_YW5hQGV4YW1wbGUuY29t"),
        ] {
            let made = ResourceId::new(kind, NativeId::new(raw));
            assert_eq!(made.to_string(), id);
            assert_eq!(ResourceId::parse(id), Some(made));
        }
    }

    #[test]
    fn reads_padding_and_the_older_form() {
        let plain = ResourceId::parse("folder_L1JlcG9ydHM");
        assert_eq!(ResourceId::parse("folder_L1JlcG9ydHM="), plain);
        let older = ResourceId::parse("fL1JlcG9ydHM=");
        assert_eq!(older.map(|id| id.native), plain.map(|id| id.native));
    }

    #[test]
    fn refuses_what_is_no_id() {
        for bad in ["", "file_", "file_!!", "file", "x_L1Jl", "F123", "file_AA", "root"] {
            assert_eq!(ResourceId::parse(bad), None, "{bad}");
        }
        assert_eq!(ResourceId::parse(&format!("file_{}", "A".repeat(MAX_ID_BYTES))), None);
    }

    #[test]
    fn account_ids_stay_in_31_bits() {
        assert_eq!(AccountId::parse("412345678").map(AccountId::number), Some(412_345_678));
        for bad in ["0", "-1", "2147483648", "1.0", " 1", "01", "+1", ""] {
            assert_eq!(AccountId::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_raw_id_comes_back(raw in "[^\0]{1,200}") {
            let id = ResourceId::new(Kind::File, NativeId::new(raw));
            prop_assert_eq!(ResourceId::parse(&id.to_string()), Some(id));
        }

        #[test]
        fn joined_values_come_back(parts in proptest::collection::vec(".{0,20}", 1..5)) {
            let given: Vec<&str> = parts.iter().map(String::as_str).collect();
            prop_assert_eq!(NativeId::join(&given).split(), parts);
        }

        #[test]
        fn reading_never_panics(text in ".{0,300}") {
            let _ = ResourceId::parse(&text);
            let _ = AccountId::parse(&text);
        }
    }
}
