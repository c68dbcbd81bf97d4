//! Content on its way: a stream of pieces, never the whole in memory.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};

use crate::error::{Error, Kind, Result};

/// A stream of bytes with what is known about it. Reading it consumes it.
pub struct Body {
    // Never locked: it makes a body shareable by reference, as requests that hold one must be.
    stream: Mutex<BoxStream<'static, Result<Bytes>>>,
    len: Option<u64>,
    media_type: Option<String>,
}

impl Body {
    /// A body of these pieces. `len` is its exact length in bytes, when known.
    pub fn new(
        stream: impl Stream<Item = Result<Bytes>> + Send + 'static,
        len: Option<u64>,
    ) -> Self {
        Self { stream: Mutex::new(stream.boxed()), len, media_type: None }
    }

    /// A body with no bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::from_bytes(Bytes::new())
    }

    /// A body of bytes that are in memory already.
    #[must_use]
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let len = bytes.len() as u64;
        let pieces = (!bytes.is_empty()).then_some(Ok(bytes));
        Self::new(stream::iter(pieces), Some(len))
    }

    /// The same body, said to be of this media type.
    #[must_use]
    pub fn with_media_type(mut self, media_type: Option<String>) -> Self {
        self.media_type = media_type;
        self
    }

    /// The same body, its length forgotten.
    #[must_use]
    pub fn without_len(mut self) -> Self {
        self.len = None;
        self
    }

    /// The exact length in bytes, when known.
    #[must_use]
    pub fn len(&self) -> Option<u64> {
        self.len
    }

    /// Whether the body is known to have no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == Some(0)
    }

    /// The media type, when known.
    #[must_use]
    pub fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }

    /// The pieces.
    #[must_use]
    pub fn into_stream(self) -> BoxStream<'static, Result<Bytes>> {
        self.stream.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pieces, cut off with an error when they are more or fewer than the length says, so that a
    /// body that broke off never passes for a whole one.
    #[must_use]
    pub fn checked(self) -> Self {
        let Some(len) = self.len else { return self };
        let media_type = self.media_type.clone();
        let stream = stream::unfold(Some((self.into_stream(), 0u64)), move |state| async move {
            let (mut stream, seen) = state?;
            match stream.next().await {
                Some(Ok(bytes)) => {
                    let seen = seen + bytes.len() as u64;
                    if seen > len {
                        let text = format!("The content is longer than the {len} bytes announced.");
                        return Some((Err(Error::new(Kind::Body, text)), None));
                    }
                    Some((Ok(bytes), Some((stream, seen))))
                }
                Some(Err(error)) => Some((Err(error), None)),
                None if seen < len => {
                    let text = format!("The content broke off after {seen} of {len} bytes.");
                    Some((Err(Error::new(Kind::Body, text)), None))
                }
                None => None,
            }
        });
        Self::new(stream, Some(len)).with_media_type(media_type)
    }

    /// Everything, in memory, when it is at most `limit` bytes.
    ///
    /// # Errors
    /// `TooLarge` beyond the limit; whatever breaks the stream.
    pub async fn collect(self, limit: usize) -> Result<Bytes> {
        let mut whole = BytesMut::new();
        let mut stream = self.into_stream();
        while let Some(piece) = stream.next().await {
            let piece = piece?;
            if whole.len() + piece.len() > limit {
                let text = format!("The content is larger than {limit} bytes.");
                return Err(Error::new(Kind::TooLarge, text));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("len", &self.len)
            .field("media_type", &self.media_type)
            .finish()
    }
}
