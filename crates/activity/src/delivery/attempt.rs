//! The log of attempts: what was sent when, and what came back. Kept in compressed batches.
//!
//! Form of a batch: a version, the length of the plain form (LEB128), then a JSON list, compressed.

use serde::{Deserialize, Serialize};

use crate::delivery::{Landing, MessageKey};
use crate::segment::{Error, put, take};

const VERSION: u8 = 1;
const LEVEL: i32 = 1;
const MAX_PLAIN: u64 = 16 << 20;
/// The most that is kept of an answer's body, in bytes.
pub const MAX_EXCERPT: usize = 200;

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Never tried.
    Pending,
    /// Tried, and tried again later.
    Retrying,
    /// Taken.
    Delivered,
    /// Given up.
    Failed,
}

impl Status {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Retrying => "retrying",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Pending, Self::Retrying, Self::Delivered, Self::Failed]
            .into_iter()
            .find(|status| status.as_str() == word)
    }

    /// How a delivery stands after this landing.
    #[must_use]
    pub fn after(landing: Landing) -> Self {
        match landing {
            Landing::Delivered => Self::Delivered,
            Landing::Retrying(_) => Self::Retrying,
            Landing::Failed | Landing::Unknown => Self::Failed,
        }
    }
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The feed.
    #[serde(rename = "f")]
    pub feed: i64,
    /// The first event of the message.
    #[serde(rename = "s")]
    pub first: i64,
    /// The last.
    #[serde(rename = "l")]
    pub last: i64,
    /// The account.
    #[serde(rename = "a")]
    pub account: i64,
    /// The type of the message.
    #[serde(rename = "t")]
    pub event_type: String,
    /// When it was sent, in microseconds.
    #[serde(rename = "w")]
    pub at: i64,
    /// How long it took, in milliseconds.
    #[serde(rename = "d")]
    pub duration_ms: i64,
    /// The answer's status, if there was an answer.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// Why there was none.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The start of the answer's body.
    #[serde(rename = "x", default, skip_serializing_if = "String::is_empty")]
    pub excerpt: String,
    /// How the delivery stands after it.
    #[serde(rename = "r")]
    pub status: Status,
    /// When it is tried again.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

impl Attempt {
    /// What was sent.
    #[must_use]
    pub fn key(&self) -> MessageKey {
        MessageKey { feed: self.feed, first: self.first, last: self.last }
    }
}

/// Writes a batch.
///
/// # Errors
/// When an attempt cannot be written.
pub fn encode(attempts: &[Attempt]) -> Result<Vec<u8>, Error> {
    let plain = serde_json::to_vec(attempts).map_err(|_| Error::Damaged)?;
    let mut out = vec![VERSION];
    put(&mut out, plain.len() as u64);
    out.extend(zstd::bulk::compress(&plain, LEVEL).map_err(|_| Error::Damaged)?);
    Ok(out)
}

/// Reads a batch.
///
/// # Errors
/// [`Error`].
pub fn decode(bytes: &[u8]) -> Result<Vec<Attempt>, Error> {
    let (version, mut rest) = bytes.split_first().ok_or(Error::Damaged)?;
    if *version != VERSION {
        return Err(Error::Version);
    }
    let length = take(&mut rest)?;
    if length > MAX_PLAIN {
        return Err(Error::Damaged);
    }
    let length = usize::try_from(length).map_err(|_| Error::Damaged)?;
    let plain = zstd::bulk::decompress(rest, length).map_err(|_| Error::Damaged)?;
    serde_json::from_slice(&plain).map_err(|_| Error::Damaged)
}

/// The start of an answer's body, as text.
#[must_use]
pub fn excerpt(body: &[u8]) -> String {
    let cut = body.get(..MAX_EXCERPT).unwrap_or(body);
    String::from_utf8_lossy(cut).replace('\0', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(number: i64) -> Attempt {
        Attempt {
            feed: 412_345_678,
            first: number,
            last: number,
            account: 412_345_678,
            event_type: "storage.file.added".into(),
            at: 1_700_000_000_000_000 + number * 250,
            duration_ms: 12,
            status_code: Some(200),
            error: None,
            excerpt: String::new(),
            status: Status::Delivered,
            next: None,
        }
    }

    #[test]
    fn batches_come_back_and_are_small() {
        let attempts: Vec<_> = (0..1_000).map(attempt).collect();
        let bytes = encode(&attempts).unwrap();
        assert_eq!(decode(&bytes).unwrap(), attempts);
        assert!(bytes.len() < 1_000 * 30, "{}", bytes.len());
        for length in 0..bytes.len().min(300) {
            assert!(decode(&bytes[..length]).is_err());
        }
    }

    #[test]
    fn answers_are_cut() {
        assert_eq!(excerpt("é".repeat(300).as_bytes()).chars().count(), 100);
        assert_eq!(excerpt(b"\xff\0busy"), "\u{fffd}busy");
    }
}
