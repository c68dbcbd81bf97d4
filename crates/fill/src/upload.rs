//! Gaps of writing: unknown lengths, preconditions, and replacing content where there is no update.

use tramontane_connector::{
    Body, Conflict, Cx, ETag, Entry, EntryKind, EntryRef, Error, Kind, Place, Result, Storage,
    WriteOptions,
};
use tramontane_model::{NativeId, Op};

use crate::filled::Filled;
use crate::lend::Lender;

/// The etag that any file has.
const ANY: &str = "*";

/// The body as the service takes it: spooled when it needs to know the length.
pub(crate) async fn sized(storage: &Filled, cx: &Cx, body: Body) -> Result<Body> {
    let abilities = storage.abilities(&cx.account);
    let limit = abilities.limits.max_file_bytes;
    if let (Some(limit), Some(len)) = (limit, body.len())
        && len > limit
    {
        let text = format!("The service takes files of at most {limit} bytes; this has {len}.");
        return Err(Error::new(Kind::TooLarge, text));
    }
    if body.len().is_some() || abilities.native.has(Op::FileCreateUnsized) {
        return Ok(body.checked());
    }
    let most = storage.ceilings().spool_bytes.min(limit.unwrap_or(u64::MAX));
    storage.spool().keep(body, most).await
}

fn changed() -> Error {
    Error::new(Kind::Precondition, "The file has changed in the meantime, or is not there.")
}

/// Checks an etag against what is there, weakly: services' weak etags would never match otherwise.
pub(crate) fn matches(there: Option<&Entry>, wanted: &ETag) -> Result<()> {
    let there = there.filter(|there| !there.is_folder()).ok_or_else(changed)?;
    let same = there.etag.as_ref().is_some_and(|etag| etag.value == wanted.value);
    if wanted.value == ANY || same { Ok(()) } else { Err(changed()) }
}

/// What is left of a precondition for the service itself to check, after what it cannot was checked
/// here.
pub(crate) async fn precondition(
    storage: &Filled,
    cx: &Cx,
    wanted: Option<&ETag>,
    there: impl Future<Output = Result<Option<Entry>>>,
) -> Result<Option<ETag>> {
    let Some(wanted) = wanted else { return Ok(None) };
    let native = storage.abilities(&cx.account).native.has(Op::FileConditional);
    if native && wanted.value != ANY && !wanted.weak {
        return Ok(Some(wanted.clone()));
    }
    matches(there.await?.as_ref(), wanted)?;
    Ok(None)
}

/// Makes a file. The caller holds the claim on the name where the service has no conditional writes.
pub(crate) async fn create(
    storage: &Filled,
    cx: &Cx,
    at: &Place,
    body: Body,
    how: &WriteOptions,
) -> Result<Entry> {
    let abilities = storage.abilities(&cx.account);
    let conditional = abilities.native.has(Op::FileConditional);
    if how.conflict == Conflict::Fail
        && !conditional
        && let Some(there) = storage.child(cx, at).await?
    {
        return Err(Error::conflict(&at.name, Some(there.reference())));
    }
    let wanted = how.if_match.as_ref();
    let if_match = precondition(storage, cx, wanted, storage.child(cx, at)).await?;
    let body = sized(storage, cx, body).await?;
    let how = WriteOptions { if_match, ..how.clone() };
    let made = storage.native().create(cx, at, body, &how).await;
    made.map_err(|error| storage.refused(cx, error))
}

/// Replaces a file's content; without a native update, by creating it again under its name.
pub(crate) async fn update(
    storage: &Filled,
    cx: &Cx,
    file: &NativeId,
    body: Body,
    if_match: Option<&ETag>,
) -> Result<Entry> {
    let of = EntryRef { kind: EntryKind::File, id: file.clone() };
    let mut body = body;
    if storage.abilities(&cx.account).native.has(Op::FileUpdate) {
        let there = async { storage.get(cx, &of).await.map(Some) };
        let rest = precondition(storage, cx, if_match, there).await?;
        let lender = Lender::of(sized(storage, cx, body).await?).await?;
        let lent = lender.lend().ok_or_else(|| Error::internal("A fresh body is gone."))?;
        match storage.native().update(cx, file, lent, rest.as_ref()).await {
            Err(error) if error.is_declined() => {
                body = lender.lend().ok_or_else(|| storage.refused(cx, error))?;
            }
            done => return done,
        }
    }
    let entry = storage.get(cx, &of).await?;
    let Some(parent) = &entry.parent else {
        return Err(Error::new(Kind::NotAllowed, "This file has no folder to be written to."));
    };
    let at = Place::new(parent.id.clone(), entry.name.clone());
    if let Some(wanted) = if_match {
        matches(Some(&entry), wanted)?;
    }
    let if_match = if_match.and(entry.etag.clone());
    let how = WriteOptions { if_match, ..WriteOptions::replace() };
    create(storage, cx, &at, body, &how).await
}
