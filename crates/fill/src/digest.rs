//! Hashes that are computed while content passes by.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::StreamExt;
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;
use tramontane_connector::entry::Hashes;
use tramontane_connector::{Body, Error, HashKind, Kind, Result};
use tramontane_model::content_hash::{DropboxContent, QuickXor};

/// The hash of this kind, when it is known.
pub(crate) fn known(hashes: &Hashes, kind: HashKind) -> Option<&str> {
    let value = match kind {
        HashKind::Md5 => &hashes.md5,
        HashKind::Sha1 => &hashes.sha1,
        HashKind::Sha256 => &hashes.sha256,
        HashKind::Crc32c => &hashes.crc32c,
        HashKind::QuickXor => &hashes.quickxor,
        HashKind::DropboxContent => &hashes.dropbox,
    };
    value.as_deref()
}

/// Every kind that can be computed.
pub(crate) const KINDS: [HashKind; 6] = [
    HashKind::Md5,
    HashKind::Sha1,
    HashKind::Sha256,
    HashKind::Crc32c,
    HashKind::QuickXor,
    HashKind::DropboxContent,
];

/// Computes some kinds of hash and counts the bytes.
#[derive(Default)]
pub(crate) struct Hasher {
    count: u64,
    md5: Option<Md5>,
    sha1: Option<Sha1>,
    sha256: Option<Sha256>,
    crc32c: Option<u32>,
    quickxor: Option<QuickXor>,
    dropbox: Option<DropboxContent>,
}

impl Hasher {
    pub(crate) fn new(kinds: &[HashKind]) -> Self {
        let mut hasher = Self::default();
        for kind in kinds {
            match kind {
                HashKind::Md5 => hasher.md5 = Some(Md5::new()),
                HashKind::Sha1 => hasher.sha1 = Some(Sha1::new()),
                HashKind::Sha256 => hasher.sha256 = Some(Sha256::new()),
                HashKind::Crc32c => hasher.crc32c = Some(0),
                HashKind::QuickXor => hasher.quickxor = Some(QuickXor::default()),
                HashKind::DropboxContent => hasher.dropbox = Some(DropboxContent::default()),
            }
        }
        hasher
    }

    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.count += bytes.len() as u64;
        if let Some(hasher) = &mut self.md5 {
            hasher.update(bytes);
        }
        if let Some(hasher) = &mut self.sha1 {
            hasher.update(bytes);
        }
        if let Some(hasher) = &mut self.sha256 {
            hasher.update(bytes);
        }
        if let Some(sum) = &mut self.crc32c {
            *sum = crc32c::crc32c_append(*sum, bytes);
        }
        if let Some(hasher) = &mut self.quickxor {
            hasher.update(bytes);
        }
        if let Some(hasher) = &mut self.dropbox {
            hasher.update(bytes);
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn hashes(&self) -> Hashes {
        Hashes {
            md5: self.md5.clone().map(|hasher| hex::encode(hasher.finalize())),
            sha1: self.sha1.clone().map(|hasher| hex::encode(hasher.finalize())),
            sha256: self.sha256.clone().map(|hasher| hex::encode(hasher.finalize())),
            crc32c: self.crc32c.map(|sum| format!("{sum:08x}")),
            quickxor: self.quickxor.clone().map(|hasher| hex::encode(hasher.finalize())),
            dropbox: self.dropbox.clone().map(|hasher| hex::encode(hasher.finalize())),
        }
    }
}

/// The same body, hashed as it passes.
pub(crate) fn watched(
    body: Body,
    kinds: &[HashKind],
    mut each: impl FnMut(&Bytes) -> Result<()> + Send + 'static,
) -> (Body, Arc<Mutex<Hasher>>) {
    let hasher = Arc::new(Mutex::new(Hasher::new(kinds)));
    let (len, media_type) = (body.len(), body.media_type().map(str::to_owned));
    let inside = Arc::clone(&hasher);
    let stream = body.into_stream().map(move |piece| {
        let piece = piece?;
        each(&piece)?;
        inside.lock().unwrap_or_else(PoisonError::into_inner).take(&piece);
        Ok(piece)
    });
    (Body::new(stream, len).with_media_type(media_type), hasher)
}

/// Fails when two sets of hashes contradict each other.
pub(crate) fn agree(sent: &Hashes, there: &Hashes) -> Result<()> {
    for kind in KINDS {
        if let (Some(sent), Some(there)) = (known(sent, kind), known(there, kind))
            && !sent.eq_ignore_ascii_case(there)
        {
            let text = format!("The content that arrived is not what was sent ({kind:?} differs).");
            return Err(Error::new(Kind::Broken, text));
        }
    }
    Ok(())
}
