//! Sorts a listing that comes in any order: sorted runs, written away, then merged.

use std::io::{Read, Write};
use std::mem::size_of;

use super::block::{BLOCK_BYTES, Block, Decoder, Encoder};
use super::error::Error;
use super::reader::Listing;
use super::record::{KeyOrder, RecordRef};

/// The most runs that are merged at a time; each has a block in memory.
pub const MERGED_RUNS: usize = 256;
/// Records of a chunk of a run.
const CHUNK: usize = 1024;
/// The longest stored chunk: a whole block, and what its header takes.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// A record in the sorter's memory.
#[derive(Clone, Copy)]
struct Held {
    start: u32,
    key: u32,
    extra: u32,
    flags: u8,
    fingerprint: u64,
}

/// Collects records until its memory is full, and writes them away sorted. Of records with the same key the last
/// one that came stays.
pub struct RunSorter {
    order: KeyOrder,
    most: usize,
    text: Vec<u8>,
    held: Vec<Held>,
    chunk: Block,
    encoder: Encoder,
}

impl RunSorter {
    /// A sorter that keeps at most about so many bytes (at least 1 MiB, at most 1 GiB) in memory.
    ///
    /// # Errors
    ///
    /// When there is no memory for the compressor.
    pub fn new(order: KeyOrder, most_bytes: usize) -> Result<Self, Error> {
        Ok(Self {
            order,
            most: most_bytes.clamp(1 << 20, 1 << 30),
            text: Vec::new(),
            held: Vec::new(),
            chunk: Block::new(order),
            encoder: Encoder::new()?,
        })
    }

    /// Takes a record. True: the memory is full, write a run before the next one.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`].
    #[expect(clippy::cast_possible_truncation, reason = "the text has at most 1 GiB")]
    pub fn push(&mut self, record: RecordRef<'_>) -> Result<bool, Error> {
        record.check()?;
        if self.is_full() {
            return Err(Error::TooLarge { what: "an unwritten run", most: self.most });
        }
        self.held.push(Held {
            start: self.text.len() as u32,
            key: record.key.len() as u32,
            extra: record.extra.len() as u32,
            flags: record.flags,
            fingerprint: record.fingerprint,
        });
        self.text.extend_from_slice(record.key);
        self.text.extend_from_slice(record.extra);
        Ok(self.is_full())
    }

    /// Whether no record waits to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    fn is_full(&self) -> bool {
        self.text.len() + self.held.len() * size_of::<Held>() >= self.most
    }

    /// Writes the records of memory as one run and forgets them.
    ///
    /// # Errors
    ///
    /// When writing fails.
    pub fn write(&mut self, mut into: impl Write) -> Result<(), Error> {
        let (order, text) = (self.order, &self.text);
        // Stable: of equal keys the last one that came is the last.
        self.held.sort_by(|one, other| order.compare(key(text, one), key(text, other)));
        for pair in 0..self.held.len() {
            let Some(held) = self.held.get(pair) else { break };
            let name = key(text, held);
            if self.held.get(pair + 1).is_some_and(|next| key(text, next) == name) {
                continue;
            }
            let from = held.start as usize + held.key as usize;
            let extra = text.get(from..from + held.extra as usize).unwrap_or_default();
            let (flags, fingerprint) = (held.flags, held.fingerprint);
            self.chunk.push(RecordRef { key: name, flags, fingerprint, extra });
            if self.chunk.len() >= CHUNK || self.chunk.size() >= BLOCK_BYTES {
                write_chunk(&mut self.encoder, &mut self.chunk, &mut into)?;
            }
        }
        if !self.chunk.is_empty() {
            write_chunk(&mut self.encoder, &mut self.chunk, &mut into)?;
        }
        into.write_all(&0_u32.to_le_bytes())?;
        into.flush()?;
        self.held.clear();
        self.text.clear();
        Ok(())
    }
}

fn key<'a>(text: &'a [u8], held: &Held) -> &'a [u8] {
    let start = held.start as usize;
    text.get(start..start + held.key as usize).unwrap_or_default()
}

fn write_chunk(
    encoder: &mut Encoder,
    chunk: &mut Block,
    into: &mut impl Write,
) -> Result<(), Error> {
    let stored = encoder.encode(chunk)?;
    chunk.clear();
    let length = u32::try_from(stored.len()).ok().filter(|length| *length as usize <= CHUNK_BYTES);
    let length = length.ok_or(Error::TooLarge { what: "a chunk of a run", most: CHUNK_BYTES })?;
    into.write_all(&length.to_le_bytes())?;
    into.write_all(&stored)?;
    Ok(())
}

/// A run that is read back.
struct Run<R> {
    source: R,
    stored: Vec<u8>,
    block: Block,
    next: usize,
    ended: bool,
}

impl<R: Read> Run<R> {
    fn current(&self) -> Option<RecordRef<'_>> {
        self.block.get(self.next)
    }

    /// Goes to the next record; `current` has none after the last.
    fn step(&mut self, decoder: &mut Decoder, order: KeyOrder) -> Result<(), Error> {
        self.next += 1;
        if self.next < self.block.len() || self.ended {
            return Ok(());
        }
        let before = self.block.last_key().map(<[u8]>::to_vec);
        self.block.clear();
        self.next = 0;
        let mut length = [0; 4];
        self.source.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        if length == 0 {
            self.ended = true;
            return Ok(());
        }
        if length > CHUNK_BYTES {
            return Err(Error::Damaged("a chunk of a run is past its bound"));
        }
        self.stored.resize(length, 0);
        self.source.read_exact(&mut self.stored)?;
        decoder.decode(&self.stored, &mut self.block)?;
        if self.block.order() != order {
            return Err(Error::MixedOrders);
        }
        let first = self.block.get(0).map(|record| record.key).unwrap_or_default();
        if before.is_some_and(|before| order.compare(&before, first).is_ge()) {
            return Err(Error::Damaged("a run does not ascend"));
        }
        Ok(())
    }
}

/// The records of several runs as one ascending listing. Of records with the same key that of the latest run stays.
pub struct MergedRuns<R> {
    order: KeyOrder,
    runs: Vec<Run<R>>,
    /// Places of runs that have a record, as a heap: the smallest key first, of equal ones the latest run.
    heap: Vec<usize>,
    decoder: Decoder,
    started: bool,
    given: Vec<u8>,
}

impl<R: Read> MergedRuns<R> {
    /// Merges these runs, which must be in the order in which they were written.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] with more than [`MERGED_RUNS`]; when a run cannot be read.
    pub fn new(order: KeyOrder, sources: Vec<R>) -> Result<Self, Error> {
        if sources.len() > MERGED_RUNS {
            return Err(Error::TooLarge { what: "the runs of a merge", most: MERGED_RUNS });
        }
        let mut decoder = Decoder::new()?;
        let mut runs = Vec::with_capacity(sources.len());
        for source in sources {
            let block = Block::new(order);
            let mut run = Run { source, stored: Vec::new(), block, next: 0, ended: false };
            run.step(&mut decoder, order)?;
            runs.push(run);
        }
        let heap = (0..runs.len())
            .filter(|place| runs.get(*place).is_some_and(|run| run.current().is_some()))
            .collect();
        let mut merged = Self { order, runs, heap, decoder, started: false, given: Vec::new() };
        for place in (0..merged.heap.len() / 2).rev() {
            merged.sink(place);
        }
        Ok(merged)
    }

    /// Whether the run at one place of the heap comes before that at another.
    fn before(&self, one: usize, other: usize) -> bool {
        let run = |place: usize| {
            let run = *self.heap.get(place)?;
            Some((self.runs.get(run)?.current()?.key, run))
        };
        match (run(one), run(other)) {
            (Some((one, early)), Some((other, late))) => {
                self.order.compare(one, other).then(late.cmp(&early)).is_lt()
            }
            (one, _) => one.is_some(),
        }
    }

    /// Brings the heap in order below a place.
    fn sink(&mut self, mut place: usize) {
        loop {
            let mut least = place;
            for child in [2 * place + 1, 2 * place + 2] {
                if child < self.heap.len() && self.before(child, least) {
                    least = child;
                }
            }
            if least == place {
                return;
            }
            self.heap.swap(place, least);
            place = least;
        }
    }

    /// Goes on in the run that is first.
    fn step(&mut self) -> Result<(), Error> {
        let Some(run) = self.heap.first().and_then(|place| self.runs.get_mut(*place)) else {
            return Ok(());
        };
        run.step(&mut self.decoder, self.order)?;
        if run.current().is_none() {
            self.heap.swap_remove(0);
        }
        self.sink(0);
        Ok(())
    }

    fn first(&self) -> Option<RecordRef<'_>> {
        self.runs.get(*self.heap.first()?)?.current()
    }
}

impl<R: Read> Listing for MergedRuns<R> {
    fn next(&mut self) -> Result<Option<RecordRef<'_>>, Error> {
        if self.started {
            self.given.clear();
            if let Some(key) =
                self.heap.first().and_then(|run| self.runs.get(*run)?.current()).map(|r| r.key)
            {
                self.given.extend_from_slice(key);
            }
            self.step()?;
            while self.first().is_some_and(|record| record.key == self.given) {
                self.step()?;
            }
        }
        self.started = true;
        Ok(self.first())
    }
}
