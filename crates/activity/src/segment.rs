//! Segments: how events lie in the log. A group is what one commit brought to one feed; a row of the log
//! is a segment of one group, a sealed block one of many.
//!
//! Form: a version, a method (0 as it is, 1 zstd), the length of the plain form, then the plain form: the
//! number of groups; per group feed, sequence, position, time and number of events; the length of
//! each event; the events as JSON. Numbers are unsigned LEB128.
//!
//! Sealed blocks have the method 2: the numbers of the groups, compressed, then the events in columns.

use std::borrow::Borrow;
use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

use crate::columns::{self, distance, unzigzag};
use crate::event::Event;

const VERSION: u8 = 1;
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
const COLUMNS: u8 = 2;
/// Shorter ones are kept as they are: compressing would not pay.
const WORTH_COMPRESSING: usize = 1_024;
/// Rows are sealed soon, and made and read often before.
const LEVEL: i32 = 1;
const SEALED_LEVEL: i32 = 9;
/// The longest plain form that is read, in bytes.
pub const MAX_PLAIN: usize = 64 << 20;
/// The most events of one segment.
pub const MAX_EVENTS: usize = 1 << 20;

/// Why a segment cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Written by a newer version.
    #[error("the segment has a form that this version does not know")]
    Version,
    /// It breaks off, or its numbers do not fit.
    #[error("the segment is damaged")]
    Damaged,
}

/// What one commit brought to one feed.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The feed.
    pub feed: i64,
    /// The sequence number of the first event.
    pub sequence: i64,
    /// The position of the first event in the shard.
    pub position: i64,
    /// When it was committed, in microseconds.
    pub at: i64,
    /// The events, each as its JSON.
    pub events: Vec<Box<[u8]>>,
}

impl Group {
    /// A group of events for a row that is not written yet: its position and time are told by the row.
    ///
    /// # Errors
    /// When an event cannot be written as JSON.
    pub fn of<E: Borrow<Event>>(
        feed: i64,
        sequence: i64,
        events: &[E],
    ) -> Result<Self, serde_json::Error> {
        let events = events.iter().map(|event| serde_json::to_vec(event.borrow()).map(Into::into));
        Ok(Self { feed, sequence, position: 0, at: 0, events: events.collect::<Result<_, _>>()? })
    }

    /// The event with this number within the group.
    ///
    /// # Errors
    /// `Damaged` when there is none, or when it is not an event.
    pub fn event(&self, index: usize) -> Result<Event, Error> {
        let json = self.events.get(index).ok_or(Error::Damaged)?;
        serde_json::from_slice(json).map_err(|_| Error::Damaged)
    }
}

/// Writes a segment that is read seldom and kept for long: it takes more time, and less space, than [`encode`].
#[must_use]
pub fn seal(groups: &[Group]) -> Vec<u8> {
    let events: Vec<&[u8]> =
        groups.iter().flat_map(|group| &group.events).map(|event| &**event).collect();
    let Some(columns) = columns::split(&events) else { return pack(groups, SEALED_LEVEL) };
    let mut out = vec![VERSION, COLUMNS];
    let heads = heads_of(groups);
    let packed = squeeze(&heads, SEALED_LEVEL).unwrap_or_default();
    put(&mut out, heads.len() as u64);
    put(&mut out, packed.len() as u64);
    out.extend_from_slice(&packed);
    out.extend_from_slice(&columns);
    out
}

/// What groups are but for their events, each number by its distance from what the group before lets expect.
fn heads_of(groups: &[Group]) -> Vec<u8> {
    let (mut streams, mut expected) = ([const { Vec::new() }; 5], [0_i64; 5]);
    for group in groups {
        let count = i64::try_from(group.events.len()).unwrap_or(i64::MAX);
        let numbers = [group.feed, group.sequence, group.position, group.at, count];
        for ((stream, number), from) in streams.iter_mut().zip(numbers).zip(expected) {
            put(stream, distance(number, from));
        }
        expected = following(numbers);
    }
    let mut heads = Vec::new();
    put(&mut heads, groups.len() as u64);
    heads.extend(streams.concat());
    heads
}

/// The numbers that the next group is likely to have.
fn following([feed, sequence, position, at, count]: [i64; 5]) -> [i64; 5] {
    [feed, sequence.wrapping_add(count), position.wrapping_add(count), at, 1]
}

fn unsealed(mut rest: &[u8]) -> Result<Vec<Group>, Error> {
    let (length, packed) = (take_length(&mut rest, MAX_PLAIN)?, take_length(&mut rest, MAX_PLAIN)?);
    let (packed, columns) = rest.split_at_checked(packed).ok_or(Error::Damaged)?;
    let heads = inflate(packed, length).ok_or(Error::Damaged)?;
    let mut heads = heads.as_slice();
    let count = take_length(&mut heads, MAX_EVENTS)?;
    let mut far = Vec::new();
    for _ in 0..count.saturating_mul(5) {
        far.push(unzigzag(take(&mut heads)?));
    }
    let (mut groups, mut total, mut expected) = (Vec::new(), 0_usize, [0_i64; 5]);
    for group in 0..count {
        let mut numbers = expected;
        for (index, number) in numbers.iter_mut().enumerate() {
            let far = far.get(index * count + group).ok_or(Error::Damaged)?;
            *number = number.wrapping_add(*far);
        }
        let events = usize::try_from(numbers[4]).map_err(|_| Error::Damaged)?;
        total = total.saturating_add(events);
        if total > MAX_EVENTS || numbers.iter().any(|number| *number < 0) {
            return Err(Error::Damaged);
        }
        groups.push((numbers, events));
        expected = following(numbers);
    }
    let mut columns = columns;
    let mut events = columns::join(&mut columns, total)?.into_iter();
    if !columns.is_empty() || !heads.is_empty() {
        return Err(Error::Damaged);
    }
    let group = |([feed, sequence, position, at, _], count): ([i64; 5], usize)| Group {
        feed,
        sequence,
        position,
        at,
        events: events.by_ref().take(count).collect(),
    };
    Ok(groups.into_iter().map(group).collect())
}

/// Writes a segment.
#[must_use]
pub fn encode(groups: &[Group]) -> Vec<u8> {
    pack(groups, LEVEL)
}

thread_local! {
    /// Making them costs more than a row does.
    static PACKING: RefCell<Option<Compressor<'static>>> = RefCell::new(Compressor::new(LEVEL).ok());
    static UNPACKING: RefCell<Option<Decompressor<'static>>> = RefCell::new(Decompressor::new().ok());
}

fn squeeze(plain: &[u8], level: i32) -> Option<Vec<u8>> {
    if level != LEVEL {
        return zstd::bulk::compress(plain, level).ok();
    }
    PACKING.with_borrow_mut(|packing| packing.as_mut()?.compress(plain).ok())
}

fn inflate(packed: &[u8], length: usize) -> Option<Vec<u8>> {
    UNPACKING.with_borrow_mut(|unpacking| unpacking.as_mut()?.decompress(packed, length).ok())
}

fn pack(groups: &[Group], level: i32) -> Vec<u8> {
    let mut plain = Vec::new();
    put(&mut plain, groups.len() as u64);
    for group in groups {
        for number in [group.feed, group.sequence, group.position, group.at] {
            put(&mut plain, number.max(0).unsigned_abs());
        }
        put(&mut plain, group.events.len() as u64);
    }
    for event in groups.iter().flat_map(|group| &group.events) {
        put(&mut plain, event.len() as u64);
    }
    for event in groups.iter().flat_map(|group| &group.events) {
        plain.extend_from_slice(event);
    }
    let packed = if plain.len() < WORTH_COMPRESSING {
        None
    } else {
        squeeze(&plain, level).filter(|packed| packed.len() < plain.len())
    };
    let mut out = vec![VERSION, if packed.is_some() { ZSTD } else { PLAIN }];
    put(&mut out, plain.len() as u64);
    out.extend_from_slice(packed.as_deref().unwrap_or(&plain));
    out
}

/// Reads a segment.
///
/// # Errors
/// [`Error`].
pub fn decode(bytes: &[u8]) -> Result<Vec<Group>, Error> {
    let (&version, rest) = bytes.split_first().ok_or(Error::Damaged)?;
    let (&method, mut rest) = rest.split_first().ok_or(Error::Damaged)?;
    if version != VERSION {
        return Err(Error::Version);
    }
    if method == COLUMNS {
        return unsealed(rest);
    }
    let length = take_length(&mut rest, MAX_PLAIN)?;
    let unpacked;
    let mut plain = match method {
        PLAIN => rest,
        ZSTD => {
            unpacked = inflate(rest, length).ok_or(Error::Damaged)?;
            &unpacked
        }
        _ => return Err(Error::Version),
    };
    if plain.len() != length {
        return Err(Error::Damaged);
    }
    let count = take_length(&mut plain, MAX_EVENTS)?;
    let mut heads = Vec::new();
    let mut total = 0_usize;
    for _ in 0..count {
        let mut numbers = [0_i64; 4];
        for number in &mut numbers {
            *number = i64::try_from(take(&mut plain)?).map_err(|_| Error::Damaged)?;
        }
        let events = take_length(&mut plain, MAX_EVENTS)?;
        total = total.saturating_add(events);
        if total > MAX_EVENTS {
            return Err(Error::Damaged);
        }
        heads.push((numbers, events));
    }
    let mut lengths = Vec::new();
    for _ in 0..total {
        lengths.push(take_length(&mut plain, MAX_PLAIN)?);
    }
    let mut lengths = lengths.into_iter();
    let mut groups = Vec::new();
    for ([feed, sequence, position, at], count) in heads {
        let mut events = Vec::new();
        for length in lengths.by_ref().take(count) {
            let (event, rest) = plain.split_at_checked(length).ok_or(Error::Damaged)?;
            events.push(event.into());
            plain = rest;
        }
        groups.push(Group { feed, sequence, position, at, events });
    }
    if plain.is_empty() { Ok(groups) } else { Err(Error::Damaged) }
}

pub(crate) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number as u8) | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(crate) fn take(bytes: &mut &[u8]) -> Result<u64, Error> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(Error::Damaged)?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift).ok_or(Error::Damaged)?;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(Error::Damaged)
}

fn take_length(bytes: &mut &[u8], most: usize) -> Result<usize, Error> {
    let number = usize::try_from(take(bytes)?).map_err(|_| Error::Damaged)?;
    if number <= most { Ok(number) } else { Err(Error::Damaged) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Action, Category, Object};
    use serde_json::{Value, json};

    fn event(number: usize) -> Event {
        Event {
            action: Action::Add,
            category: Category::Storage,
            subtype: None,
            object: Object {
                kind: "file".into(),
                id: format!("/reports/{number}.pdf"),
                name: format!("{number}.pdf"),
                parent: Some("/reports".into()),
                path: None,
            },
            before: None,
            happened: Some(1_700_000_000_000_000),
            detected: 1_700_000_000_500_000,
            actor: None,
            entry: json!({"size": number}).into(),
            recovered: false,
            above: Vec::new(),
        }
    }

    #[test]
    fn segments_come_back_as_they_were() {
        for groups in [0_usize, 1, 3] {
            for events in [1_usize, 2, 100] {
                let groups: Vec<_> = (0..groups)
                    .map(|feed| {
                        let events: Vec<_> = (0..events).map(event).collect();
                        let group = Group::of(feed as i64 + 1, 7, &events).unwrap();
                        Group { position: 9, at: 11, ..group }
                    })
                    .collect();
                assert_eq!(decode(&encode(&groups)).unwrap(), groups);
                assert_eq!(decode(&seal(&groups)).unwrap(), groups);
            }
        }
        let one = Group::of(1, 1, &[event(4)]).unwrap();
        assert_eq!(decode(&encode(&[one])).unwrap()[0].event(0).unwrap(), event(4));
    }

    #[test]
    fn a_thousand_events_compress_to_a_fraction() {
        let events: Vec<_> = (0..1_000).map(event).collect();
        let plain: usize =
            events.iter().map(|event| serde_json::to_vec(event).unwrap().len()).sum();
        let packed = encode(&[Group::of(1, 1, &events).unwrap()]).len();
        assert!(packed * 10 < plain, "{packed} of {plain}");
    }

    #[test]
    fn damage_is_told() {
        let whole = encode(&[Group::of(1, 1, &[event(1), event(2)]).unwrap()]);
        for length in 0..whole.len() {
            assert!(decode(&whole[..length]).is_err(), "{length}");
        }
        let sealed = seal(&[Group::of(1, 1, &[event(1), event(2)]).unwrap()]);
        for length in 0..sealed.len() {
            assert!(decode(&sealed[..length]).is_err(), "{length}");
        }
        let mut newer = whole.clone();
        newer[0] = 9;
        assert_eq!(decode(&newer), Err(Error::Version));
        assert_eq!(decode(&[1, 0, 3, 1, 1, 1]), Err(Error::Damaged));
        assert_eq!(event(1).entry.read::<Value>().unwrap(), json!({"size": 1}));
        assert_eq!(Value::Null, Value::default());
    }
}
