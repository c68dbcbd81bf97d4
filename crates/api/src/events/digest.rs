//! Counts and hashes of what is in an account at a place of its feed, with which a customer compares a mirror.

use serde::Serialize;
use tramontane_connector::Storage as _;
use tramontane_feeds::Error;
use tramontane_feeds::state::{DigestPart, Prefix};
use utoipa::ToSchema;

use crate::account::Account;
use crate::answer::ok;
use crate::problem::{Answer, Problem};
use crate::query::Query;

use super::allowed;

/// The most ranges of one request.
const MAX_RANGES: usize = 16;

/// Digests of what is in the account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Digest)]
pub(crate) struct Digest {
    /// Always `digest`.
    r#type: &'static str,
    /// Always `events`.
    api: &'static str,
    /// The account.
    account: i64,
    /// Whether everything was listed once. Before that there is nothing to compare with, and no ranges.
    complete: bool,
    /// The place in the feed at which the digests hold: after this event.
    cursor: String,
    /// The folders that everything counted lies below. They themselves are not counted.
    roots: Vec<String>,
    /// One for each range that was asked for.
    ranges: Vec<Range>,
}

/// What a range of keys comes to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DigestRange)]
pub(crate) struct Range {
    /// What the keys in it begin with, in hexadecimal digits; empty for everything.
    range: String,
    /// Files and folders.
    count: u64,
    /// The sum of their hashes modulo 2^128, as 32 hexadecimal digits.
    hash: String,
    /// Where there are more than 1,000: the same by two more digits. Those without objects are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    ranges: Option<Vec<Part>>,
    /// Where there are at most 1,000: each of them, by id.
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<Vec<Hashed>>,
}

/// A part of a range.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DigestPart)]
pub(crate) struct Part {
    /// What the keys in it begin with.
    range: String,
    /// Files and folders.
    count: u64,
    /// The sum of their hashes.
    hash: String,
}

/// One object.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DigestObject)]
pub(crate) struct Hashed {
    /// Its id.
    id: String,
    /// Its hash.
    hash: String,
}

/// `GET .../events/digest`.
///
/// # Errors
/// `forbidden` when events are off; `invalid_parameters`; `not_implemented` for accounts of more than some five
/// million objects.
pub(crate) async fn retrieve(account: Account, query: Query) -> Answer {
    allowed(&account)?;
    let mut prefixes = Vec::new();
    for text in query.list("ranges") {
        let rule = "must be up to 16 prefixes of up to 16 hexadecimal digits in lower case";
        let bad = || Problem::invalid("ranges", rule);
        prefixes.push(text.parse::<Prefix>().map_err(|()| bad())?);
        if prefixes.len() > MAX_RANGES {
            return Err(bad());
        }
    }
    if prefixes.is_empty() {
        prefixes.push(Prefix::default());
    }
    let (app, id) = (account.app(), account.id().number());
    let extent = app.log().extent(id).await?.ok_or(Error::Off)?;
    let root = account.storage()?.root(&account.opened.account);
    let found = app.states().digest(id, &root, &prefixes).await?;
    let complete = found.is_some();
    let found = found.unwrap_or_default();
    let cursor = if complete { found.head } else { extent.head };
    ok(&Digest {
        r#type: "digest",
        api: "events",
        account: id,
        complete,
        cursor: cursor.to_string(),
        roots: found.roots,
        ranges: found.parts.into_iter().map(Range::of).collect(),
    })
}

impl Range {
    fn of(part: DigestPart) -> Self {
        let parts = part.parts.into_iter().map(|(prefix, sum)| Part {
            range: prefix.to_string(),
            count: sum.count,
            hash: digits(sum.hash),
        });
        let objects = part.objects.map(|objects| {
            let shown = |(id, hash)| Hashed { id, hash: digits(hash) };
            objects.into_iter().map(shown).collect::<Vec<_>>()
        });
        Self {
            range: part.prefix.to_string(),
            count: part.sum.count,
            hash: digits(part.sum.hash),
            ranges: objects.is_none().then(|| parts.collect()),
            objects,
        }
    }
}

fn digits(hash: u128) -> String {
    format!("{hash:032x}")
}
