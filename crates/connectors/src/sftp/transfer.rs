//! Content over SFTP: several requests under way at once, in bounded memory, handles always closed.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, FuturesUnordered};
use futures::{StreamExt, TryStreamExt};
use russh_sftp::client::RawSftpSession;
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::protocol::{FileAttributes, OpenFlags, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use tramontane_connector::error::Kind;
use tramontane_connector::{Body, Error, Result};

use super::fault::fault;
use super::link::Link;

/// Requests of one transfer under way at once.
const DEPTH: usize = 16;

/// An open file at the server; closed when it is dropped.
pub(super) struct OpenFile {
    link: Arc<Link>,
    sftp: Arc<RawSftpSession>,
    handle: String,
    _place: OwnedSemaphorePermit,
}

impl OpenFile {
    pub(super) async fn open(
        link: &Arc<Link>,
        path: &str,
        flags: OpenFlags,
    ) -> std::result::Result<Self, SftpError> {
        let place = Arc::clone(link.handles()).acquire_owned().await;
        let place = place.map_err(|_| SftpError::UnexpectedBehavior("closed".into()))?;
        let sftp = Arc::clone(link.sftp());
        let opened = sftp.open(path, flags, FileAttributes::empty()).await?;
        Ok(Self { link: Arc::clone(link), sftp, handle: opened.handle, _place: place })
    }

    pub(super) async fn attributes(&self) -> Result<FileAttributes> {
        Ok(self.sftp.fstat(self.handle.clone()).await.map_err(fault)?.attrs)
    }

    /// Reads one piece, however many answers the server makes of it.
    async fn piece(&self, offset: u64, len: u32) -> Result<Bytes> {
        let mut whole = BytesMut::new();
        while whole.len() < len as usize {
            let got = whole.len();
            let left = len - u32::try_from(got).unwrap_or(len);
            match self.sftp.read(self.handle.clone(), offset + got as u64, left).await {
                Ok(data) if data.data.is_empty() => break,
                Ok(data) if got == 0 && data.data.len() == len as usize => {
                    return Ok(Bytes::from(data.data));
                }
                Ok(data) => whole.extend_from_slice(&data.data),
                Err(SftpError::Status(status)) if status.status_code == StatusCode::Eof => break,
                Err(error) => return Err(fault(error)),
            }
        }
        Ok(whole.freeze())
    }

    /// The content from `offset` on, `len` bytes of it.
    pub(super) fn into_body(self, offset: u64, len: u64) -> Body {
        let step = u64::from(self.link.read_len());
        let file = Arc::new(self);
        let pieces = stream::iter((0..len.div_ceil(step)).map(move |n| {
            let file = Arc::clone(&file);
            async move {
                let size = u32::try_from((len - n * step).min(step)).unwrap_or(u32::MAX);
                file.piece(offset + n * step, size).await
            }
        }));
        let pieces =
            pieces.buffered(DEPTH).try_filter(|bytes| std::future::ready(!bytes.is_empty()));
        // A file that was cut while it was read must not pass for a whole one.
        Body::new(pieces, Some(len)).checked()
    }

    /// Writes a whole body from the start on.
    pub(super) async fn write(&self, body: Body) -> Result<u64> {
        let step = self.link.write_len() as usize;
        let mut pieces = body.checked().into_stream();
        let mut waiting = BytesMut::with_capacity(step);
        let mut offset = 0u64;
        let mut under_way = FuturesUnordered::new();
        let mut ended = false;
        loop {
            while !ended && waiting.len() < step {
                match pieces.next().await {
                    Some(piece) => waiting.extend_from_slice(&piece?),
                    None => ended = true,
                }
            }
            if waiting.is_empty() {
                break;
            }
            let piece = waiting.split_to(waiting.len().min(step)).to_vec();
            let at = offset;
            offset += piece.len() as u64;
            under_way.push(self.sftp.write(self.handle.clone(), at, piece));
            if under_way.len() >= DEPTH
                && let Some(done) = under_way.next().await
            {
                done.map_err(write_fault)?;
            }
        }
        while let Some(done) = under_way.next().await {
            done.map_err(write_fault)?;
        }
        Ok(offset)
    }

    /// Closes the file and tells whether the server kept all of it.
    pub(super) async fn close(mut self) -> Result<()> {
        let handle = std::mem::take(&mut self.handle);
        self.sftp.close(handle).await.map_err(fault)?;
        Ok(())
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if !self.handle.is_empty()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (sftp, handle) = (Arc::clone(&self.sftp), std::mem::take(&mut self.handle));
            runtime.spawn(async move {
                // The server closes what is left when the connection ends.
                let _ = sftp.close(handle).await;
            });
        }
    }
}

/// A write that fails without a reason has most often met a full disk.
fn write_fault(error: SftpError) -> Error {
    let mut shown = fault(error);
    if shown.kind == Kind::Broken && shown.fault.is_some() {
        shown.message = "The server did not take the content: its disk may be full.".into();
    }
    shown
}

/// A file that is removed unless it is put in its place.
pub(super) struct Hidden {
    sftp: Arc<RawSftpSession>,
    path: String,
    placed: bool,
}

impl Hidden {
    pub(super) fn new(link: &Link, path: String) -> Self {
        Self { sftp: Arc::clone(link.sftp()), path, placed: false }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn placed(mut self) {
        self.placed = true;
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if !self.placed
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (sftp, path) = (Arc::clone(&self.sftp), std::mem::take(&mut self.path));
            runtime.spawn(async move {
                // What cannot be removed stays hidden.
                let _ = sftp.remove(path).await;
            });
        }
    }
}
