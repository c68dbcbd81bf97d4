//! Chunks of a dropped file: which one this is, whether all have come, and which bytes of each make
//! the file (wire API, section 19.2).

/// The most chunks that one file may come in.
pub(crate) const MAX_CHUNKS: u64 = 100_000;

/// What the query says of the chunk's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// The body is the whole file.
    Whole,
    /// Number `chunk`, from 0, of `chunks`.
    Numbered {
        /// From 0.
        chunk: u64,
        /// How many there are.
        chunks: u64,
    },
    /// Beginning at byte `offset`.
    At {
        /// The first byte's place.
        offset: u64,
        /// Bytes of the whole file.
        total: u64,
    },
}

impl Position {
    /// Reads `chunk` and `chunks`, or `offset` and `total`.
    ///
    /// # Errors
    /// The parameter and the rule it breaks.
    pub(crate) fn read(
        chunk: Option<&str>,
        chunks: Option<&str>,
        offset: Option<&str>,
        total: Option<&str>,
    ) -> Result<Self, (&'static str, &'static str)> {
        match (chunk, chunks, offset) {
            (None, None, None) => Ok(Self::Whole),
            (Some(chunk), Some(chunks), _) => {
                let chunk = number("chunk", chunk)?;
                let chunks = number("chunks", chunks)?;
                if chunks == 0 || chunks > MAX_CHUNKS {
                    return Err(("chunks", "must be from 1 to 100000"));
                }
                if chunk >= chunks {
                    return Err(("chunk", "must be less than chunks, counting from 0"));
                }
                Ok(Self::Numbered { chunk, chunks })
            }
            (Some(_), None, _) => Err(("chunks", "must be given with chunk")),
            (None, Some(_), _) => Err(("chunk", "must be given with chunks")),
            (None, None, Some(offset)) => {
                let offset = number("offset", offset)?;
                let total = total.ok_or(("total", "must be given with offset"))?;
                let total = number("total", total)?;
                if offset > total {
                    return Err(("offset", "must not lie behind total"));
                }
                Ok(Self::At { offset, total })
            }
        }
    }

    /// The number that the chunk is kept under: a chunk that comes again replaces the one before.
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::Whole => 0,
            Self::Numbered { chunk, .. } => chunk,
            Self::At { offset, .. } => offset,
        }
    }
}

/// Reads a whole number. `undefined` and the like are no numbers; so are signs.
fn number(name: &'static str, text: &str) -> Result<u64, (&'static str, &'static str)> {
    let fine = text.bytes().all(|byte| byte.is_ascii_digit());
    let value = text.parse::<u64>().ok().filter(|value| fine && i64::try_from(*value).is_ok());
    value.ok_or((name, "must be a whole number, 0 or more"))
}

/// A chunk that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// As [`Position::number`].
    pub(crate) number: u64,
    /// The first byte's place, when the client counts in bytes.
    pub(crate) start: Option<u64>,
    /// In bytes.
    pub(crate) size: u64,
    /// Where its bytes are kept.
    pub(crate) place: String,
}

/// Some bytes of a kept chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Where they are kept.
    pub(crate) place: String,
    /// How many to leave out at the beginning.
    pub(crate) skip: u64,
    /// How many follow.
    pub(crate) len: u64,
}

/// How far an upload has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// Something is missing; so many bytes are here.
    Partly(u64),
    /// These pieces in this order are the file.
    All(Vec<Piece>),
}

/// Looks at the chunks of a file, which are in the order of their numbers. `chunks` is how many there
/// are when they are numbered; `total` is the size of the file, when it was told.
pub(crate) fn arrived(all: &[Chunk], chunks: Option<u64>, total: Option<u64>) -> Arrived {
    match chunks {
        Some(chunks) => {
            let received = all.iter().map(|chunk| chunk.size).sum();
            let gapless =
                all.iter().zip(0..).all(|(chunk, expected): (_, u64)| chunk.number == expected);
            if !gapless || all.len() as u64 != chunks {
                return Arrived::Partly(received);
            }
            let pieces = all.iter().filter(|chunk| chunk.size > 0);
            let whole =
                |chunk: &Chunk| Piece { place: chunk.place.clone(), skip: 0, len: chunk.size };
            Arrived::All(pieces.map(whole).collect())
        }
        None => covered(all, total),
    }
}

/// Chunks by byte offset, which may overlap where a client sent them again in another size: of each
/// byte the copy that begins earliest counts.
fn covered(all: &[Chunk], total: Option<u64>) -> Arrived {
    let mut pieces = Vec::new();
    let (mut reached, mut received, mut gap) = (0u64, 0u64, false);
    for chunk in all {
        let start = chunk.start.unwrap_or(0);
        let end = start.saturating_add(chunk.size);
        gap |= start > reached;
        let from = start.max(reached);
        if end > from {
            received += end - from;
            pieces.push(Piece { place: chunk.place.clone(), skip: from - start, len: end - from });
        }
        reached = reached.max(end);
    }
    if gap || all.is_empty() || total.is_some_and(|total| reached < total) {
        return Arrived::Partly(received);
    }
    Arrived::All(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(number: u64, start: Option<u64>, size: u64) -> Chunk {
        Chunk { number, start, size, place: format!("p{number}") }
    }

    fn piece(number: u64, skip: u64, len: u64) -> Piece {
        Piece { place: format!("p{number}"), skip, len }
    }

    #[test]
    fn numbered_chunks_are_complete_when_every_number_is_there() {
        let mut all = vec![chunk(0, None, 5), chunk(2, None, 1)];
        assert_eq!(arrived(&all, Some(3), None), Arrived::Partly(6));
        all.insert(1, chunk(1, None, 5));
        let pieces = vec![piece(0, 0, 5), piece(1, 0, 5), piece(2, 0, 1)];
        assert_eq!(arrived(&all, Some(3), None), Arrived::All(pieces));
    }

    #[test]
    fn chunks_by_offset_are_complete_when_every_byte_is_there() {
        let all = [chunk(0, Some(0), 5), chunk(5, Some(5), 5)];
        assert_eq!(arrived(&all, None, Some(12)), Arrived::Partly(10));
        assert_eq!(
            arrived(&all, None, Some(10)),
            Arrived::All(vec![piece(0, 0, 5), piece(5, 0, 5)])
        );
        let gap = [chunk(0, Some(0), 5), chunk(6, Some(6), 4)];
        assert_eq!(arrived(&gap, None, Some(10)), Arrived::Partly(9));
    }

    #[test]
    fn overlapping_chunks_give_each_byte_once() {
        let all = [chunk(0, Some(0), 6), chunk(2, Some(2), 2), chunk(4, Some(4), 6)];
        assert_eq!(
            arrived(&all, None, Some(10)),
            Arrived::All(vec![piece(0, 0, 6), piece(4, 2, 4)])
        );
    }

    #[test]
    fn an_empty_file_is_one_empty_chunk() {
        assert_eq!(arrived(&[chunk(0, None, 0)], Some(1), Some(0)), Arrived::All(vec![]));
        assert_eq!(arrived(&[chunk(0, Some(0), 0)], None, Some(0)), Arrived::All(vec![]));
        assert_eq!(arrived(&[], None, Some(0)), Arrived::Partly(0));
    }

    #[test]
    fn the_position_is_read_or_the_parameter_named() {
        let read = Position::read;
        assert_eq!(read(None, None, None, None), Ok(Position::Whole));
        assert_eq!(
            read(Some("1"), Some("3"), None, None),
            Ok(Position::Numbered { chunk: 1, chunks: 3 })
        );
        assert_eq!(
            read(None, None, Some("5"), Some("9")),
            Ok(Position::At { offset: 5, total: 9 })
        );
        for (bad, name) in [
            (read(Some("3"), Some("3"), None, None), "chunk"),
            (read(Some("0"), Some("0"), None, None), "chunks"),
            (read(Some("-1"), Some("3"), None, None), "chunk"),
            (read(Some("1"), None, None, None), "chunks"),
            (read(None, Some("1"), None, None), "chunk"),
            (read(None, None, Some("5"), None), "total"),
            (read(None, None, Some("9"), Some("5")), "offset"),
            (read(None, None, Some("99999999999999999999"), Some("5")), "offset"),
        ] {
            assert_eq!(bad.map_err(|(param, _)| param), Err(name));
        }
    }
}
