//! A body that is lent out: what was not read of it can be taken back, when the service refused before
//! it read anything or when it is small enough to be kept.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tramontane_connector::{Body, Result};

/// Bodies of at most so many bytes are kept, so that they can be sent again.
const KEPT: u64 = 256 << 10;

pub(crate) struct Shared {
    stream: BoxStream<'static, Result<Bytes>>,
    begun: bool,
}

/// The right to take a body back.
pub(crate) enum Lender {
    Kept(Bytes, Option<String>),
    Lent(Arc<Mutex<Shared>>, Option<u64>, Option<String>),
}

impl Lender {
    /// Takes a body that shall be lent.
    pub(crate) async fn of(body: Body) -> Result<Self> {
        let (len, media_type) = (body.len(), body.media_type().map(str::to_owned));
        if let Some(len) = len.filter(|len| *len <= KEPT) {
            let most = usize::try_from(len).unwrap_or(usize::MAX);
            return Ok(Self::Kept(body.checked().collect(most).await?, media_type));
        }
        let shared = Shared { stream: body.into_stream(), begun: false };
        Ok(Self::Lent(Arc::new(Mutex::new(shared)), len, media_type))
    }

    /// The body; none when it was begun to be read and is gone.
    pub(crate) fn lend(&self) -> Option<Body> {
        match self {
            Self::Kept(bytes, media_type) => {
                Some(Body::from_bytes(bytes.clone()).with_media_type(media_type.clone()))
            }
            Self::Lent(shared, len, media_type) => {
                if shared.lock().unwrap_or_else(PoisonError::into_inner).begun {
                    return None;
                }
                let shared = Arc::clone(shared);
                let stream = stream::poll_fn(move |cx| {
                    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    let next = shared.stream.poll_next_unpin(cx);
                    shared.begun |= next.is_ready();
                    next
                });
                Some(Body::new(stream, *len).with_media_type(media_type.clone()))
            }
        }
    }
}
