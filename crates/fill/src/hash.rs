//! Gap: a content hash, computed while the content is read.

use futures::StreamExt;
use tramontane_connector::storage::ReadOptions;
use tramontane_connector::{Cx, EntryKind, EntryRef, Error, HashKind, Result, Storage};
use tramontane_model::{NativeId, Op};

use crate::digest::{Hasher, known};
use crate::filled::Filled;

/// Takes the hash that comes with the metadata, else reads the content and computes.
pub(crate) async fn hash(
    storage: &Filled,
    cx: &Cx,
    file: &NativeId,
    kind: HashKind,
) -> Result<String> {
    let of = EntryRef { kind: EntryKind::File, id: file.clone() };
    let entry = storage.get(cx, &of).await?;
    if let Some(told) = known(&entry.hashes, kind) {
        return Ok(told.to_owned());
    }
    let content = storage.read(cx, file, &ReadOptions::default()).await?;
    let mut pieces = content.body.checked().into_stream();
    let mut hasher = Hasher::new(&[kind]);
    while let Some(piece) = pieces.next().await {
        hasher.take(&piece?);
    }
    let hashes = hasher.hashes();
    known(&hashes, kind).map(str::to_owned).ok_or_else(|| Error::declined(Op::FileHash))
}
