//! Gap: copying a file by reading and writing it again, within an account or between two.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use tramontane_connector::entry::Hashes;
use tramontane_connector::place::check_name;
use tramontane_connector::storage::{DeleteOptions, ReadOptions};
use tramontane_connector::{
    Body, Conflict, Entry, Error, HashKind, Kind, Place, Result, Storage, WriteOptions,
};
use tramontane_model::Op;

use crate::digest::{KINDS, agree, known, watched};
use crate::progress::{Progress, go_on};
use crate::transfer::Side;
use crate::upload;

/// The error of a file whose content cannot be fetched.
pub(crate) fn no_content(entry: &Entry) -> Error {
    let text = format!("\"{}\" has no content that can be downloaded.", entry.name);
    Error::new(Kind::NotAllowed, text)
}

/// Reads `source` and writes it at `at`; what arrived is checked by size and by every kind of hash
/// that both sides tell. A copy that is not right is removed again.
pub(crate) async fn stream(
    from: Side<'_>,
    source: &Entry,
    to: Side<'_>,
    at: &Place,
    conflict: Conflict,
    progress: &dyn Progress,
) -> Result<Entry> {
    go_on(progress)?;
    if !source.downloadable {
        return Err(no_content(source));
    }
    let step = from.storage.step(from.cx);
    let content = from.storage.read(&step, &source.id, &ReadOptions::default()).await?;
    let len = content.body.len().or(content.size);
    let media_type = content.body.media_type().map(str::to_owned);
    let media_type = media_type.or(content.media_type).or_else(|| source.media_type.clone());
    let body = Body::new(content.body.into_stream(), len).checked().with_media_type(media_type);
    let (body, hasher) = watched(body, &kinds(source, to), |_| Ok(()));
    let how = WriteOptions { conflict, if_match: None, modified: source.modified };
    let step = to.storage.step(to.cx);
    let (body, gauge) = Gauge::on(body);
    check_name(&at.name)?;
    // Whoever keeps both or renames has claimed the name already, so this does not wait for it.
    let claim = to.storage.claims().attempt(to.cx, at);
    let making = upload::create(to.storage, &step, at, body, &how);
    let made = gauge.follow(progress, making).await;
    drop(claim);
    let made = made?;
    let (count, sent) = {
        let hasher = hasher.lock().unwrap_or_else(PoisonError::into_inner);
        (hasher.count(), hasher.hashes())
    };
    match verify(to, &made, source, count, &sent).await {
        Ok(()) => Ok(made),
        Err(error) => {
            remove(to, &made).await;
            Err(error)
        }
    }
}

/// Set in the count when the body shall break off.
const STOP: u64 = 1 << 63;

/// Counts the bytes of a body. The progress is only borrowed while a body lives for ever, so the two
/// meet in a shared number that is read while waiting.
struct Gauge(Arc<AtomicU64>);

impl Gauge {
    fn on(body: Body) -> (Body, Self) {
        let gauge = Self(Arc::default());
        let count = Arc::clone(&gauge.0);
        let (len, media_type) = (body.len(), body.media_type().map(str::to_owned));
        let pieces = body.into_stream().map(move |piece| {
            let piece = piece?;
            if count.fetch_add(piece.len() as u64, Ordering::Relaxed) & STOP != 0 {
                return Err(cancelled());
            }
            Ok(piece)
        });
        (Body::new(pieces, len).with_media_type(media_type), gauge)
    }

    /// Waits for whoever takes the body, telling the bytes and breaking off when that is asked for.
    async fn follow<T>(
        &self,
        progress: &dyn Progress,
        making: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut making = std::pin::pin!(making);
        let mut every = tokio::time::interval(Duration::from_millis(200));
        let mut told = 0;
        let mut tell = || {
            let now = self.0.load(Ordering::Relaxed) & !STOP;
            if now > told {
                progress.bytes(now - told);
                told = now;
            }
        };
        let done = loop {
            tokio::select! {
                done = &mut making => break done,
                _ = every.tick() => {
                    tell();
                    if progress.cancelled() {
                        self.0.fetch_or(STOP, Ordering::Relaxed);
                    }
                }
            }
        };
        tell();
        match done {
            // Whatever the broken-off body looked like to the service.
            Err(_) if self.0.load(Ordering::Relaxed) & STOP != 0 => Err(cancelled()),
            done => done,
        }
    }
}

fn cancelled() -> Error {
    Error::new(Kind::Cancelled, "The work was cancelled.")
}

/// The kinds of hash worth computing: those that one of the sides tells.
fn kinds(source: &Entry, to: Side<'_>) -> Vec<HashKind> {
    let there = to.storage.abilities(&to.cx.account).semantics.hashes;
    KINDS
        .into_iter()
        .filter(|kind| there.contains(kind) || known(&source.hashes, *kind).is_some())
        .collect()
}

async fn verify(
    to: Side<'_>,
    made: &Entry,
    source: &Entry,
    count: u64,
    sent: &Hashes,
) -> Result<()> {
    if agree(sent, &source.hashes).is_err() {
        let text = format!("\"{}\" changed while it was read. Try again.", source.name);
        return Err(Error::new(Kind::Broken, text));
    }
    let size = match made.size {
        Some(size) => Some(size),
        None => to.storage.get(&to.storage.step(to.cx), &made.reference()).await?.size,
    };
    if size.is_some_and(|size| size != count) {
        let text = format!(
            "\"{}\" arrived with {} of {count} bytes.",
            made.name,
            size.unwrap_or_default()
        );
        return Err(Error::new(Kind::Broken, text));
    }
    agree(sent, &made.hashes)
}

/// Removes what was made, past the trash where that can be. Done as well as it can be: the error that
/// led here is the one to tell.
pub(crate) async fn remove(to: Side<'_>, made: &Entry) {
    let native = to.storage.abilities(&to.cx.account).native;
    let how = DeleteOptions {
        recursive: made.is_folder(),
        permanent: native.has(Op::FileDeletePermanently),
        if_match: None,
    };
    let step = to.storage.step(to.cx);
    if let Err(error) = to.storage.delete(&step, &made.reference(), &how).await
        && !error.is_not_found()
    {
        tracing::warn!(%error, id = %made.id, "a partial copy could not be removed");
    }
}

/// Runs many pieces of work, so many at once, in no order.
pub(crate) async fn together<T>(work: Vec<BoxFuture<'_, T>>, at_once: usize) -> Vec<T> {
    stream::iter(work).buffer_unordered(at_once.max(1)).collect().await
}
