//! The ids of messages and deliveries: they say which events they carry, so nothing has to keep them.

use xxhash_rust::xxh3::xxh3_64;

use crate::segment::{put, take};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Bytes of the endpoint's mark.
const MARK: usize = 6;
/// The longest id that is read.
const MAX_TEXT: usize = 64;

/// What a message to an endpoint carries: events of one feed, from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageKey {
    /// The feed.
    pub feed: i64,
    /// The sequence number of its first event.
    pub first: i64,
    /// The sequence number of its last event.
    pub last: i64,
}

impl MessageKey {
    /// `msg_...`: the id of the message, the same on every attempt (the header `webhook-id`).
    #[must_use]
    pub fn message_id(&self, endpoint: &str) -> String {
        self.text("msg_", endpoint)
    }

    /// `dlv_...`: the id of its delivery to this endpoint.
    #[must_use]
    pub fn delivery_id(&self, endpoint: &str) -> String {
        self.text("dlv_", endpoint)
    }

    /// Reads the id of a delivery to this endpoint; `None` when it is none.
    #[must_use]
    pub fn of_delivery(id: &str, endpoint: &str) -> Option<Self> {
        let bytes = decode(id.strip_prefix("dlv_")?)?;
        let (own, mut rest) = bytes.split_at_checked(MARK)?;
        if own != mark(endpoint) {
            return None;
        }
        let mut number = || i64::try_from(take(&mut rest).ok()?).ok();
        let (feed, first, more) = (number()?, number()?, number()?);
        let key = Self { feed, first, last: first.checked_add(more)? };
        // One spelling of each id.
        (rest.is_empty() && key.delivery_id(endpoint) == id).then_some(key)
    }

    fn text(&self, prefix: &str, endpoint: &str) -> String {
        let mut bytes = mark(endpoint).to_vec();
        for number in [self.feed, self.first, self.last.saturating_sub(self.first)] {
            put(&mut bytes, number.max(0).unsigned_abs());
        }
        let mut text = String::from(prefix);
        encode(&bytes, &mut text);
        text
    }
}

fn mark(endpoint: &str) -> [u8; MARK] {
    let [a, b, c, d, e, f, ..] = xxh3_64(endpoint.as_bytes()).to_be_bytes();
    [a, b, c, d, e, f]
}

fn encode(bytes: &[u8], text: &mut String) {
    for group in bytes.chunks(3) {
        let mut bits = 0_u32;
        for index in 0..3 {
            bits = bits << 8 | u32::from(group.get(index).copied().unwrap_or(0));
        }
        for index in 0..=group.len() {
            let six = bits >> (18 - 6 * index) & 63;
            text.extend(ALPHABET.get(six as usize).map(|byte| char::from(*byte)));
        }
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let mut bytes = Vec::new();
    for group in text.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for byte in group {
            let six = ALPHABET.iter().position(|one| one == byte)?;
            bits = bits << 6 | six as u32;
        }
        bits <<= 6 * (4 - group.len());
        let three = bits.to_be_bytes();
        bytes.extend_from_slice(three.get(1..group.len())?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_for_their_endpoint_only() {
        for (feed, first, last) in
            [(1, 1, 1), (412_345_678, 331, 331), (1 << 40, 9_999_999, 10_000_098)]
        {
            let key = MessageKey { feed, first, last };
            let id = key.delivery_id("whk_2nD8");
            assert_eq!(MessageKey::of_delivery(&id, "whk_2nD8"), Some(key), "{id}");
            assert_eq!(MessageKey::of_delivery(&id, "whk_2nD9"), None);
            assert_eq!(id.replacen("dlv", "msg", 1), key.message_id("whk_2nD8"));
        }
    }

    #[test]
    fn foreign_texts_are_no_ids() {
        for bad in ["", "dlv_", "dlv_A", "dlv_é", "msg_AAAA", "dlv_AAAAAAAAAAAAAAAA"] {
            assert_eq!(MessageKey::of_delivery(bad, "whk_1"), None, "{bad}");
        }
        let id = MessageKey { feed: 1, first: 1, last: 1 }.delivery_id("whk_1");
        assert_eq!(MessageKey::of_delivery(&format!("{id}A"), "whk_1"), None);
    }
}
