//! Texts of JSON that look alike, taken apart into columns: how sealed blocks hold their events.
//!
//! A text is its shape (everything but the values of strings and numbers) and its leaves (these values, as they are
//! written). Shapes are numbered; leaves go into a column for each path. A leaf is written as what it has in common
//! with the leaves before it in its text, or in its column. What comes back is the same text, byte by byte.
//!
//! Form: streams, each with its length, its packed length (0: not packed) and its bytes. First the shapes, which
//! shape each text has, and the paths' number; then for each column its operations, references, numbers and texts.

use std::collections::BTreeMap;

use tramontane_model::Timestamp;

use crate::segment::{Error, MAX_PLAIN, put, take};

/// What stands in a shape for the value of a string, and for a number. Compact JSON has no such bytes.
const STRING: u8 = 1;
const NUMBER: u8 = 2;
const MAX_DEPTH: usize = 32;
const MAX_SHAPES: usize = 4_096;
const MAX_COLUMNS: usize = 1_024;
const MAX_LEAVES: usize = 250;
/// Values of a column that are remembered.
const RECENT: usize = 64;
const MAX_RECENT: usize = 512;
/// Numbers from here on are taken for moments, in microseconds.
const MOMENTS: i64 = 100_000_000_000_000;
/// Shorter stretches are not looked for in other leaves.
const WORTH: usize = 4;
const PIECE: usize = 16;
/// Shorter streams are not packed.
const WORTH_PACKING: usize = 64;
const LEVEL: i32 = 9;

/// How a leaf is written.
mod op {
    /// As it is.
    pub(super) const LITERAL: u8 = 0;
    /// As another leaf of the text.
    pub(super) const SAME: u8 = 1;
    /// What is behind the last slash of another leaf.
    pub(super) const BASE: u8 = 2;
    /// What is before the last slash of another leaf.
    pub(super) const FOLDER: u8 = 3;
    /// A folder, a slash, another leaf.
    pub(super) const UNDER: u8 = 4;
    /// A folder, a slash, a text.
    pub(super) const PATH: u8 = 5;
    /// A whole number, by its distance from the one before in the column.
    pub(super) const WHOLE: u8 = 6;
    /// A whole number, by its distance from the moment before in the text.
    pub(super) const NEAR: u8 = 7;
    /// A time, likewise.
    pub(super) const TIME: u8 = 8;
    pub(super) const TIME_NEAR: u8 = 9;
    /// A text, the beginning of another leaf, a text.
    pub(super) const PIECE: u8 = 10;
    /// From here on: a value that the column had lately.
    pub(super) const RECENT: u8 = 64;
}

/// Takes texts apart. `None` when one of them is no compact JSON, or they have too little in common.
pub(crate) fn split(texts: &[&[u8]]) -> Option<Vec<u8>> {
    let mut shapes: BTreeMap<Vec<u8>, (usize, Vec<usize>)> = BTreeMap::new();
    let mut paths: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    let (mut order, mut kinds) = (Vec::new(), Vec::new());
    let mut columns: Vec<Column> = Vec::new();
    for text in texts {
        let mut parts = Parts { rest: text, ..Parts::default() };
        parts.value(0)?;
        if !parts.rest.is_empty() || parts.leaves.len() > MAX_LEAVES {
            return None;
        }
        let number = shapes.len();
        let (kind, of) = shapes.entry(parts.shape).or_insert_with_key(|shape| {
            let of = parts.paths.into_iter().map(|path| {
                let next = paths.len();
                *paths.entry(path).or_insert(next)
            });
            order.push(shape.clone());
            (number, of.collect())
        });
        if number >= MAX_SHAPES || paths.len() > MAX_COLUMNS {
            return None;
        }
        put(&mut kinds, *kind as u64);
        columns.resize_with(paths.len(), Column::default);
        let mut before = Before::default();
        for (leaf, column) in parts.leaves.into_iter().zip(of.iter()) {
            columns.get_mut(*column)?.write(leaf, &mut before);
        }
    }
    let mut dictionary = Vec::new();
    for shape in order {
        put(&mut dictionary, shape.len() as u64);
        let (_, of) = shapes.get(&shape)?;
        dictionary.extend_from_slice(&shape);
        for column in of {
            put(&mut dictionary, *column as u64);
        }
    }
    let mut out = Vec::new();
    put(&mut out, columns.len() as u64);
    pack(&mut out, &dictionary)?;
    pack(&mut out, &kinds)?;
    for Column { ops, refs, numbers, texts, .. } in &columns {
        for stream in [ops, refs, numbers, texts] {
            pack(&mut out, stream)?;
        }
    }
    Some(out)
}

/// Puts as many texts together again.
pub(crate) fn join(bytes: &mut &[u8], count: usize) -> Result<Vec<Box<[u8]>>, Error> {
    let width = usize::try_from(take(bytes)?).map_err(|_| Error::Damaged)?;
    if width > MAX_COLUMNS {
        return Err(Error::Damaged);
    }
    let mut room = MAX_PLAIN;
    let dictionary = unpack(bytes, &mut room)?;
    let kinds = unpack(bytes, &mut room)?;
    let mut streams = Vec::new();
    for _ in 0..width * 4 {
        streams.push(unpack(bytes, &mut room)?);
    }
    let mut readers: Vec<Reader<'_>> = streams
        .chunks_exact(4)
        .map(|of| {
            let at = |index: usize| of.get(index).map_or(&[][..], Vec::as_slice);
            let (ops, refs, numbers, texts) = (at(0), at(1), at(2), at(3));
            Reader { ops, refs, numbers, texts, state: State::default() }
        })
        .collect();
    let shapes = shapes_of(&dictionary, width)?;
    let mut kinds = kinds.as_slice();
    let mut left = MAX_PLAIN;
    let mut texts = Vec::new();
    for _ in 0..count {
        let kind = usize::try_from(take(&mut kinds)?).map_err(|_| Error::Damaged)?;
        let (shape, columns) = shapes.get(kind).ok_or(Error::Damaged)?;
        let mut before = Before::default();
        let (mut text, mut of) = (Vec::new(), columns.iter());
        for byte in *shape {
            if !matches!(*byte, STRING | NUMBER) {
                text.push(*byte);
                continue;
            }
            let column = of.next().ok_or(Error::Damaged)?;
            let reader = readers.get_mut(*column).ok_or(Error::Damaged)?;
            let leaf = reader.read(*byte == STRING, &mut before)?;
            left = left.checked_sub(leaf.len()).ok_or(Error::Damaged)?;
            text.extend_from_slice(&leaf);
            before.leaves.push(leaf);
        }
        left = left.checked_sub(shape.len()).ok_or(Error::Damaged)?;
        texts.push(text.into());
    }
    Ok(texts)
}

type Shape<'a> = (&'a [u8], Vec<usize>);

fn shapes_of(mut dictionary: &[u8], width: usize) -> Result<Vec<Shape<'_>>, Error> {
    let mut shapes = Vec::new();
    while !dictionary.is_empty() {
        let length = usize::try_from(take(&mut dictionary)?).map_err(|_| Error::Damaged)?;
        let (shape, rest) = dictionary.split_at_checked(length).ok_or(Error::Damaged)?;
        dictionary = rest;
        let leaves = shape.iter().filter(|byte| matches!(**byte, STRING | NUMBER)).count();
        let mut columns = Vec::new();
        for _ in 0..leaves {
            let column = usize::try_from(take(&mut dictionary)?).map_err(|_| Error::Damaged)?;
            columns.push(column);
        }
        if leaves > MAX_LEAVES || columns.iter().any(|column| *column >= width) {
            return Err(Error::Damaged);
        }
        shapes.push((shape, columns));
    }
    Ok(shapes)
}

fn pack(out: &mut Vec<u8>, plain: &[u8]) -> Option<()> {
    put(out, plain.len() as u64);
    let packed = if plain.len() < WORTH_PACKING {
        None
    } else {
        zstd::bulk::compress(plain, LEVEL).ok().filter(|packed| packed.len() < plain.len())
    };
    put(out, packed.as_ref().map_or(0, Vec::len) as u64);
    out.extend_from_slice(packed.as_deref().unwrap_or(plain));
    Some(())
}

fn unpack(bytes: &mut &[u8], room: &mut usize) -> Result<Vec<u8>, Error> {
    let mut number = || usize::try_from(take(bytes)?).map_err(|_| Error::Damaged);
    let (length, packed) = (number()?, number()?);
    *room = room.checked_sub(length).ok_or(Error::Damaged)?;
    let stored = if packed == 0 { length } else { packed };
    let (stream, rest) = bytes.split_at_checked(stored).ok_or(Error::Damaged)?;
    *bytes = rest;
    if packed == 0 {
        return Ok(stream.to_vec());
    }
    let plain = zstd::bulk::decompress(stream, length).map_err(|_| Error::Damaged)?;
    if plain.len() == length { Ok(plain) } else { Err(Error::Damaged) }
}

/// A text while it is taken apart.
#[derive(Default)]
struct Parts<'a> {
    rest: &'a [u8],
    shape: Vec<u8>,
    path: Vec<u8>,
    paths: Vec<Vec<u8>>,
    leaves: Vec<Leaf<'a>>,
}

/// A value as it is written, and whether it is a string's.
#[derive(Clone, Copy)]
struct Leaf<'a> {
    text: &'a [u8],
    string: bool,
}

impl<'a> Parts<'a> {
    fn value(&mut self, depth: usize) -> Option<()> {
        match *self.rest.first()? {
            _ if depth > MAX_DEPTH => None,
            b'{' => self.list(b'}', depth, true),
            b'[' => self.list(b']', depth, false),
            b'"' => {
                let text = self.string()?;
                self.leaf(text, true)
            }
            b'-' | b'0'..=b'9' => {
                let number =
                    |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                let end = self.rest.iter().position(|byte| !number(byte));
                let (text, rest) = self.rest.split_at_checked(end.unwrap_or(self.rest.len()))?;
                self.rest = rest;
                self.leaf(text, false)
            }
            _ => {
                let word = [&b"true"[..], b"false", b"null"];
                let word = word.into_iter().find(|word| self.rest.starts_with(word))?;
                self.shape.extend_from_slice(word);
                self.rest = self.rest.get(word.len()..)?;
                Some(())
            }
        }
    }

    fn list(&mut self, end: u8, depth: usize, named: bool) -> Option<()> {
        self.token()?;
        if *self.rest.first()? == end {
            return self.token();
        }
        loop {
            let length = self.path.len();
            self.path.push(b'/');
            if named {
                let name = self.string()?;
                self.path.extend_from_slice(name);
                self.shape.push(b'"');
                self.shape.extend_from_slice(name);
                self.shape.push(b'"');
                if *self.rest.first()? != b':' {
                    return None;
                }
                self.token()?;
            }
            self.value(depth + 1)?;
            self.path.truncate(length);
            let next = *self.rest.first()?;
            if next != end && next != b',' {
                return None;
            }
            self.token()?;
            if next == end {
                return Some(());
            }
        }
    }

    /// One byte of structure.
    fn token(&mut self) -> Option<()> {
        let (first, rest) = self.rest.split_first()?;
        self.shape.push(*first);
        self.rest = rest;
        Some(())
    }

    /// What stands between quotes, as it is written.
    fn string(&mut self) -> Option<&'a [u8]> {
        let inside = self.rest.strip_prefix(b"\"")?;
        let mut escaped = false;
        let end = inside.iter().position(|byte| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        })?;
        let (text, rest) = inside.split_at_checked(end)?;
        self.rest = rest.get(1..)?;
        text.iter().all(|byte| *byte >= b' ').then_some(text)
    }

    fn leaf(&mut self, text: &'a [u8], string: bool) -> Option<()> {
        if string {
            self.shape.extend_from_slice(&[b'"', STRING, b'"']);
        } else {
            self.shape.push(NUMBER);
        }
        self.paths.push(self.path.clone());
        self.leaves.push(Leaf { text, string });
        Some(())
    }
}

/// What came before a leaf in its text.
#[derive(Default)]
struct Before {
    leaves: Vec<Vec<u8>>,
    /// The last moment, in microseconds.
    moment: i64,
}

/// What came before a leaf in its column: the same for whoever writes and whoever reads.
#[derive(Default)]
struct State {
    whole: i64,
    recent: Vec<Vec<u8>>,
    folders: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Column {
    ops: Vec<u8>,
    refs: Vec<u8>,
    numbers: Vec<u8>,
    texts: Vec<u8>,
    state: State,
}

impl Column {
    fn write(&mut self, leaf: Leaf<'_>, before: &mut Before) {
        if leaf.string {
            self.write_string(leaf.text, before);
        } else if let Some(whole) = whole(leaf.text) {
            let (far, near) = (distance(whole, self.state.whole), distance(whole, before.moment));
            let op = if near < far { op::NEAR } else { op::WHOLE };
            self.ops.push(op);
            put(&mut self.numbers, near.min(far));
            self.state.whole = whole;
            before.noted(whole);
        } else {
            self.ops.push(op::LITERAL);
            self.text(leaf.text);
        }
        before.leaves.push(leaf.text.to_vec());
    }

    fn write_string(&mut self, text: &[u8], before: &mut Before) {
        let other = |fits: &dyn Fn(&[u8]) -> bool| {
            before.leaves.iter().position(|leaf| fits(leaf)).and_then(|k| u8::try_from(k).ok())
        };
        let long = text.len() >= WORTH;
        if let Some(k) = other(&|leaf| long && leaf == text) {
            self.ops.push(op::SAME);
            self.refs.push(k);
            return;
        }
        let folder = text.iter().rposition(|byte| *byte == b'/');
        if let Some(index) = self.state.recent.iter().position(|known| known == text) {
            self.ops.push(op::RECENT + index as u8);
        } else if let Some(k) =
            other(&|leaf| long && parted(leaf).is_some_and(|(_, base)| base == text))
        {
            self.ops.push(op::BASE);
            self.refs.push(k);
        } else if let Some(k) =
            other(&|leaf| long && parted(leaf).is_some_and(|(of, _)| of == text))
        {
            self.ops.push(op::FOLDER);
            self.refs.push(k);
        } else if let (Some((of, base)), Some(_)) = (parted(text), folder) {
            match other(&|leaf| leaf == base) {
                Some(k) => {
                    self.ops.push(op::UNDER);
                    self.refs.push(k);
                    self.folder(of);
                }
                None => {
                    self.ops.push(op::PATH);
                    self.folder(of);
                    self.text(base);
                }
            }
        } else if let Some((micros, digits)) = moment(text) {
            let unit = unit(digits);
            let value = micros.div_euclid(unit);
            let far = distance(value, self.state.whole.div_euclid(unit));
            let near = distance(value, before.moment.div_euclid(unit));
            self.ops.push(if near < far { op::TIME_NEAR } else { op::TIME });
            self.refs.push(digits);
            put(&mut self.numbers, near.min(far));
            self.state.whole = micros;
            before.noted(micros);
        } else if let Some((k, at, length)) = piece(text, &before.leaves) {
            self.ops.push(op::PIECE);
            self.refs.push(k);
            put(&mut self.numbers, at as u64);
            put(&mut self.numbers, length as u64);
            let (head, tail) = (text.get(..at), text.get(at + length..));
            put(&mut self.numbers, tail.map_or(0, <[u8]>::len) as u64);
            self.texts.extend_from_slice(head.unwrap_or_default());
            self.texts.extend_from_slice(tail.unwrap_or_default());
        } else {
            self.ops.push(op::LITERAL);
            self.text(text);
        }
        remember(&mut self.state.recent, text);
    }

    fn text(&mut self, text: &[u8]) {
        put(&mut self.numbers, text.len() as u64);
        self.texts.extend_from_slice(text);
    }

    fn folder(&mut self, folder: &[u8]) {
        match self.state.folders.iter().position(|known| known == folder) {
            Some(index) => self.ops.push(op::RECENT + index as u8),
            None => {
                self.ops.push(op::LITERAL);
                self.text(folder);
            }
        }
        remember(&mut self.state.folders, folder);
    }
}

/// A column while it is read.
struct Reader<'a> {
    ops: &'a [u8],
    refs: &'a [u8],
    numbers: &'a [u8],
    texts: &'a [u8],
    state: State,
}

impl Reader<'_> {
    fn read(&mut self, string: bool, before: &mut Before) -> Result<Vec<u8>, Error> {
        let kind = byte(&mut self.ops)?;
        let text = match kind {
            op::LITERAL => self.text()?,
            op::SAME => return Ok(self.other(before)?.to_vec()),
            op::BASE => parted(self.other(before)?).ok_or(Error::Damaged)?.1.to_vec(),
            op::FOLDER => parted(self.other(before)?).ok_or(Error::Damaged)?.0.to_vec(),
            op::UNDER => {
                let base = self.other(before)?.to_vec();
                let folder = self.folder()?;
                [&folder[..], b"/", &base].concat()
            }
            op::PATH => {
                let folder = self.folder()?;
                [&folder[..], b"/", &self.text()?].concat()
            }
            op::WHOLE | op::NEAR => {
                let from = if kind == op::NEAR { before.moment } else { self.state.whole };
                let whole = from.wrapping_add(unzigzag(take(&mut self.numbers)?));
                self.state.whole = whole;
                before.noted(whole);
                return Ok(whole.to_string().into_bytes());
            }
            op::TIME | op::TIME_NEAR => {
                let digits = byte(&mut self.refs)?;
                let from = if kind == op::TIME_NEAR { before.moment } else { self.state.whole };
                let unit = unit(digits);
                let value = from.div_euclid(unit).wrapping_add(unzigzag(take(&mut self.numbers)?));
                let micros = value.checked_mul(unit).ok_or(Error::Damaged)?;
                self.state.whole = micros;
                before.noted(micros);
                written(micros, digits).ok_or(Error::Damaged)?.into_bytes()
            }
            op::PIECE => {
                let other = self.other(before)?.to_vec();
                let (at, length, tail) = (self.number()?, self.number()?, self.number()?);
                let head = self.bytes(at)?;
                let tail = self.bytes(tail)?;
                [head, other.get(..length).ok_or(Error::Damaged)?, tail].concat()
            }
            _ => {
                let index = kind.checked_sub(op::RECENT).ok_or(Error::Damaged)?;
                self.state.recent.get(usize::from(index)).ok_or(Error::Damaged)?.clone()
            }
        };
        if string {
            remember(&mut self.state.recent, &text);
        }
        Ok(text)
    }

    fn other<'b>(&mut self, before: &'b Before) -> Result<&'b [u8], Error> {
        let k = byte(&mut self.refs)?;
        Ok(before.leaves.get(usize::from(k)).ok_or(Error::Damaged)?)
    }

    fn number(&mut self) -> Result<usize, Error> {
        usize::try_from(take(&mut self.numbers)?).map_err(|_| Error::Damaged)
    }

    fn text(&mut self) -> Result<Vec<u8>, Error> {
        let length = self.number()?;
        Ok(self.bytes(length)?.to_vec())
    }

    fn folder(&mut self) -> Result<Vec<u8>, Error> {
        let folder = match byte(&mut self.ops)? {
            op::LITERAL => self.text()?,
            other => {
                let index = other.checked_sub(op::RECENT).ok_or(Error::Damaged)?;
                self.state.folders.get(usize::from(index)).ok_or(Error::Damaged)?.clone()
            }
        };
        remember(&mut self.state.folders, &folder);
        Ok(folder)
    }
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (text, rest) = self.texts.split_at_checked(length).ok_or(Error::Damaged)?;
        self.texts = rest;
        Ok(text)
    }
}

impl Before {
    fn noted(&mut self, whole: i64) {
        if whole >= MOMENTS {
            self.moment = whole;
        }
    }
}

/// Moves a value to the front.
fn remember(recent: &mut Vec<Vec<u8>>, text: &[u8]) {
    if let Some(index) = recent.iter().position(|known| known == text) {
        let known = recent.remove(index);
        recent.insert(0, known);
    } else if text.len() <= MAX_RECENT {
        recent.truncate(RECENT - 1);
        recent.insert(0, text.to_vec());
    }
}

fn byte(stream: &mut &[u8]) -> Result<u8, Error> {
    let (first, rest) = stream.split_first().ok_or(Error::Damaged)?;
    *stream = rest;
    Ok(*first)
}

/// What is before and behind the last slash.
fn parted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().rposition(|byte| *byte == b'/')?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The beginning of an earlier leaf within a text: which leaf, where, and how much of it.
fn piece(text: &[u8], leaves: &[Vec<u8>]) -> Option<(u8, usize, usize)> {
    for (k, leaf) in leaves.iter().enumerate() {
        let Some(beginning) = leaf.get(..PIECE) else { continue };
        if let Some(at) = text.windows(PIECE).position(|window| window == beginning) {
            let common = text.get(at..)?.iter().zip(leaf).take_while(|(one, other)| one == other);
            return Some((u8::try_from(k).ok()?, at, common.count()));
        }
    }
    None
}

/// A whole number that is written as it would be.
fn whole(text: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == text).then_some(number)
}

/// A time that is written as it would be: its microseconds and the digits of its fraction.
fn moment(text: &[u8]) -> Option<(i64, u8)> {
    if !(20..=27).contains(&text.len()) || text.get(10) != Some(&b'T') {
        return None;
    }
    let micros = Timestamp::parse(std::str::from_utf8(text).ok()?)?.micros();
    let digits = u8::try_from(text.len().saturating_sub(21)).ok()?;
    (written(micros, digits)?.as_bytes() == text).then_some((micros, digits))
}

fn written(micros: i64, digits: u8) -> Option<String> {
    let mut text = Timestamp::from_seconds(micros.div_euclid(1_000_000)).to_string();
    if digits > 0 {
        let fraction = format!("{:06}", micros.rem_euclid(1_000_000));
        text.pop();
        text.push('.');
        text.push_str(fraction.get(..usize::from(digits))?);
        text.push('Z');
    }
    Some(text)
}

/// Microseconds of one step of the last digit.
fn unit(digits: u8) -> i64 {
    10_i64.pow(6 - u32::from(digits.min(6)))
}

pub(crate) fn distance(to: i64, from: i64) -> u64 {
    let far = to.wrapping_sub(from);
    ((far << 1) ^ (far >> 63)) as u64
}

pub(crate) fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn back(texts: &[&str]) -> Option<Vec<String>> {
        let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
        let split = split(&texts)?;
        let mut rest = split.as_slice();
        let joined = join(&mut rest, texts.len()).unwrap();
        assert!(rest.is_empty());
        Some(joined.into_iter().map(|text| String::from_utf8(text.into()).unwrap()).collect())
    }

    #[test]
    fn texts_come_back_byte_by_byte() {
        let texts = [
            r#"{"id":"/a/b/report.pdf","name":"report.pdf","parent":"/a/b","at":1772442900123456}"#,
            r#"{"id":"/a/b/x","name":"x","parent":"/a/b","at":1772442900123457,"n":[1,-2,3.50,1e9,-0]}"#,
            r#"{"name":"n n","path":"/q/n n","at":1772442900000000,"m":"2026-03-02T09:15:00Z"}"#,
            r#"{"name":"n\"\\","path":"/q/é","at":0,"m":"2026-03-02T09:15:00.123Z","k":null}"#,
            r#"{"e":"{0F8FAD5B-D9CB-469F-A165-70867728950E},3","v":"\"c:{0F8FAD5B-D9CB-469F-A165-70867728950E},2\""}"#,
            r#"{"m":"2026-03-02T09:15:00.120000Z","t":"2026-13-02T09:15:00Z","f":false,"":""}"#,
            "[]",
            "{}",
            "\"\"",
            "007",
        ];
        assert_eq!(back(&texts).unwrap(), texts);
        assert_eq!(back(&[]).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_compact_json_is_left_alone() {
        for text in ["", "{", "{\"a\" :1}", "{\"a\":\"\u{1}\"}", "[1,]", "x", "{}{}", "\"a"] {
            assert!(back(&[text]).is_none(), "{text}");
        }
        assert!(back(&[&"[".repeat(100)]).is_none());
    }

    proptest! {
        #[test]
        fn any_values_come_back(
            values in proptest::collection::vec(("[a-c/]{0,6}", "[a-c/.]{0,40}", any::<i64>(), any::<f64>()), 0..40)
        ) {
            let texts: Vec<String> = values
                .iter()
                .map(|(one, two, whole, broken)| {
                    serde_json::json!({"one": one, "two": [two, one], "whole": whole, "f": broken}).to_string()
                })
                .collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            prop_assert_eq!(back(&texts).unwrap(), texts);
        }

        #[test]
        fn damage_is_told_and_harms_nothing(at in 0_usize..400, bit in 0_u8..8) {
            let texts: Vec<String> = (0..30)
                .map(|number| format!("{{\"id\":\"/a/{number}\",\"name\":\"{number}\",\"at\":{}}}", number * 7))
                .collect();
            let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
            let mut bytes = split(&texts).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let _ = join(&mut bytes.as_slice(), 30);
        }
    }
}
