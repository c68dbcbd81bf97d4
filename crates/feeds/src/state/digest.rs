//! Digests of what is remembered of an account, made of what the API shows, so that a customer can compute them of
//! a mirror: `docs/activity.md` says exactly how.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use tramontane_activity::feed::remembered::From;
use tramontane_activity::feed::{Item, ItemKind};
use tramontane_model::NativeId;

use super::{Opened, Part as Collection, States, TRIES, reference};
use crate::error::{Error, Result};

/// The most hexadecimal digits of a prefix.
const MAX_DIGITS: usize = 16;
/// A part of at most so many objects is told object by object.
const FEW: usize = 1_000;
/// Parts are split into so many: by two more digits.
const SPLIT: usize = 256;

/// Names the objects whose key, the SHA-256 of their id, begins with these hexadecimal digits. The empty one names
/// all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefix {
    bits: u64,
    digits: usize,
}

impl FromStr for Prefix {
    type Err = ();

    /// Reads up to 16 hexadecimal digits in lower case.
    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let fine = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !fine || text.len() > MAX_DIGITS {
            return Err(());
        }
        let bits =
            if text.is_empty() { 0 } else { u64::from_str_radix(text, 16).map_err(|_| ())? };
        Ok(Self { bits, digits: text.len() })
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.digits {
            0 => Ok(()),
            digits => write!(f, "{:0digits$x}", self.bits),
        }
    }
}

impl Prefix {
    fn has(self, key: u64) -> bool {
        self.digits == 0 || key >> (64 - 4 * self.digits) == self.bits
    }

    /// Which of its parts a key is in, and the part; none below the longest prefix.
    fn part(self, key: u64) -> Option<(usize, Self)> {
        let digits = self.digits + 2;
        let bits = key >> 64_usize.checked_sub(4 * digits)?;
        let index = usize::try_from(bits & 0xff).ok()?;
        Some((index, Self { bits, digits }))
    }
}

/// How many objects, and the sum of their hashes modulo 2^128: the same in whatever order they come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Objects.
    pub count: u64,
    /// The sum.
    pub hash: u128,
}

impl Sum {
    fn add(&mut self, hash: u128) {
        self.count += 1;
        self.hash = self.hash.wrapping_add(hash);
    }
}

/// What one prefix comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The prefix.
    pub prefix: Prefix,
    /// All of it.
    pub sum: Sum,
    /// By two more digits, those in which something is; empty where the objects are told.
    pub parts: Vec<(Prefix, Sum)>,
    /// Ids and hashes, by id, where there are few.
    pub objects: Option<Vec<(String, u128)>>,
}

/// Digests at one place of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// The number of the newest event that they hold.
    pub head: i64,
    /// The folders that everything lies below, by the API's ids. They themselves are not in it.
    pub roots: Vec<String>,
    /// One for each prefix that was asked for.
    pub parts: Vec<Part>,
}

impl States {
    /// The digests of an account at the present end of its log. `root` is the account's root. `None` when not
    /// everything in it was listed yet.
    ///
    /// # Errors
    /// [`Error::Off`] when the account's default feed is off; [`Error::Invalid`] when it tells of some folders
    /// only; [`Error::TooMuch`]; those of the database; [`Error::Replaced`].
    pub async fn digest(
        &self,
        account: i64,
        root: &NativeId,
        prefixes: &[Prefix],
    ) -> Result<Option<Digest>> {
        let Ok(_seat) = self.room.acquire().await else { return Ok(None) };
        for _ in 0..TRIES {
            let Some(mut opened) = self.open(account).await? else { return Ok(None) };
            match opened.digest(root, prefixes).await {
                Err(Error::Replaced) => {}
                done => return done.map(Some),
            }
        }
        Err(Error::Replaced)
    }
}

/// A part while objects come in.
struct Gathering {
    part: Part,
    split: Vec<(Prefix, Sum)>,
}

impl Gathering {
    fn of(prefix: Prefix) -> Self {
        let part = Part { prefix, objects: Some(Vec::new()), ..Part::default() };
        Self { part, split: vec![(Prefix::default(), Sum::default()); SPLIT] }
    }

    fn take(&mut self, key: u64, id: &str, hash: u128) {
        self.part.sum.add(hash);
        if let Some((index, prefix)) = self.part.prefix.part(key)
            && let Some((own, sum)) = self.split.get_mut(index)
        {
            *own = prefix;
            sum.add(hash);
        }
        match &mut self.part.objects {
            Some(objects) if objects.len() < FEW => objects.push((id.to_owned(), hash)),
            objects => *objects = None,
        }
    }

    fn done(mut self) -> Part {
        match &mut self.part.objects {
            Some(objects) => objects.sort(),
            None => self.part.parts = self.split,
        }
        self.part.parts.retain(|(_, sum)| sum.count > 0);
        self.part
    }
}

impl Opened {
    async fn digest(&mut self, root: &NativeId, prefixes: &[Prefix]) -> Result<Digest> {
        let head = self.head.ok_or(Error::Off)?;
        if !self.watches_all {
            let rule = "cannot be given: the default subscription watches some folders only";
            return Err(Error::Invalid { field: "digest", rule: rule.to_owned() });
        }
        let mut roots = Vec::with_capacity(self.parts.len());
        let mut gathering: Vec<Gathering> = prefixes.iter().copied().map(Gathering::of).collect();
        let mut line = Vec::new();
        for part in 0..self.parts.len() {
            let Some(mut walk) = self.walk(part)? else { break };
            roots.push(folder_id(&walk.part.rules.root_id, root));
            let mut from = From::default();
            let mut above = Above::default();
            loop {
                let page = walk.page(&from).await?;
                for (key, item) in &page.items {
                    let id = reference(item).resource().to_string();
                    let place = place(&id);
                    if !gathering.iter().any(|one| one.part.prefix.has(place)) {
                        continue;
                    }
                    line.clear();
                    write_line(&mut line, &id, above.of(walk.part, key, item, root), item);
                    let hash = hash(&line);
                    let within = gathering.iter_mut().filter(|one| one.part.prefix.has(place));
                    within.for_each(|one| one.take(place, &id, hash));
                }
                let Some(next) = page.next else { break };
                from = next;
            }
        }
        roots.sort();
        let parts = gathering.into_iter().map(Gathering::done).collect();
        Ok(Digest { head, roots, parts })
    }
}

fn folder_id(id: &str, root: &NativeId) -> String {
    if id == root.as_str() {
        return "root".to_owned();
    }
    tramontane_connector::EntryRef::folder(NativeId::new(id)).resource().to_string()
}

/// The folder of the item before: often that of the next one, too.
#[derive(Default)]
struct Above {
    native: Option<String>,
    shown: String,
}

impl Above {
    /// The API's id of the folder that an item is in; empty when there is none that is known.
    fn of(&mut self, part: &Collection, key: &str, item: &Item, root: &NativeId) -> &str {
        let native = part.folder_of(key, item);
        if native != self.native {
            self.shown = native.as_deref().map(|id| folder_id(id, root)).unwrap_or_default();
            self.native = native;
        }
        &self.shown
    }
}

/// The first 64 bits of an object's key.
fn place(id: &str) -> u64 {
    let digest = Sha256::digest(id.as_bytes());
    digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// What is hashed of an object: id, id of its folder, size and name, with zero bytes between.
fn write_line(line: &mut Vec<u8>, id: &str, parent: &str, item: &Item) {
    let size = item.size.filter(|_| item.kind == ItemKind::File);
    let size = size.map(|size| size.to_string()).unwrap_or_default();
    for text in [id, parent, size.as_str()] {
        line.extend_from_slice(text.as_bytes());
        line.push(0);
    }
    line.extend_from_slice(item.name.as_bytes());
}

/// The first 128 bits of the SHA-256, as a number.
fn hash(line: &[u8]) -> u128 {
    let digest = Sha256::digest(line);
    digest.first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn prefixes_read_back_and_split_by_two_digits() {
        for text in ["", "0", "3f", "00a", "0123456789abcdef"] {
            assert_eq!(text.parse::<Prefix>().unwrap().to_string(), text);
        }
        for bad in ["g", "3F", "0x", " 1", "+1", "0123456789abcdef0"] {
            assert_eq!(bad.parse::<Prefix>(), Err(()), "{bad}");
        }
        let key = 0x3fa0_0000_0000_0001;
        let whole = Prefix::default();
        assert_eq!(
            whole.part(key).map(|(index, part)| (index, part.to_string())),
            Some((0x3f, "3f".into()))
        );
        let part: Prefix = "3f".parse().unwrap();
        assert!(part.has(key) && !part.has(!key));
        assert_eq!(
            part.part(key).map(|(index, part)| (index, part.to_string())),
            Some((0xa0, "3fa0".into()))
        );
        let longest: Prefix = "3fa0000000000001".parse().unwrap();
        assert!(longest.has(key) && longest.part(key).is_none());
        let odd: Prefix = "3fa000000000000".parse().unwrap();
        assert!(odd.has(key) && odd.part(key).is_none());
    }

    #[test]
    fn few_objects_are_told_and_many_are_split() {
        let mut few = Gathering::of(Prefix::default());
        let mut many = Gathering::of(Prefix::default());
        for number in 0..=FEW {
            let id = format!("file_{number}");
            if number < FEW {
                few.take(place(&id), &id, number as u128);
            }
            many.take(place(&id), &id, number as u128);
        }
        let (few, many) = (few.done(), many.done());
        assert_eq!(few.objects.unwrap().len(), FEW);
        assert!(few.parts.is_empty() && many.objects.is_none());
        let split = many.parts.iter().map(|(_, sum)| sum.count).sum::<u64>();
        assert_eq!((many.sum.count, split), (1_001, 1_001));
        assert_eq!(many.parts.iter().map(|(_, sum)| sum.hash).sum::<u128>(), many.sum.hash);
    }
}
