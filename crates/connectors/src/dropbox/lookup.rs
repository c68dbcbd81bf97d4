//! What is where: metadata by id and path, and the folder that something is in.

use serde_json::{Value, json};
use tramontane_connector::entry::Parent;
use tramontane_connector::error::Kind;
use tramontane_connector::{Entry, EntryKind, EntryRef, Error, Result};
use tramontane_model::NativeId;

use super::api::Api;
use super::entry::{Metadata, ROOT, ROOT_NAME, address, folder_of};

/// A folder to write into.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) id: NativeId,
    pub(super) name: String,
    /// As people wrote it; `""` for the root.
    pub(super) path: String,
    /// For comparing.
    pub(super) key: String,
}

impl Folder {
    fn root() -> Self {
        let (path, key) = (String::new(), String::new());
        Self { id: NativeId::new(ROOT), name: ROOT_NAME.into(), path, key }
    }

    pub(super) fn parent(&self) -> Parent {
        Parent { id: self.id.clone(), name: Some(self.name.clone()) }
    }
}

/// What is at an address, or nothing.
pub(super) async fn at(api: &Api<'_>, path: &str) -> Result<Option<Metadata>> {
    match api.look("files/get_metadata", &json!({"path": path})).await {
        Ok(value) => Metadata::read(value, api.cx.raw).map(Some),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// What an id stands for, which must be of this kind and not the root.
pub(super) async fn metadata(api: &Api<'_>, of: &EntryRef) -> Result<Metadata> {
    let path = super::storage::not_root(address(&of.id)?)?;
    let value: Value = api.look("files/get_metadata", &json!({"path": path})).await?;
    let found = Metadata::read(value, api.cx.raw)?;
    if found.kind() == of.kind {
        Ok(found)
    } else {
        Err(Error::not_found("The object is not there."))
    }
}

/// A folder that something is to be put into.
pub(super) async fn folder(api: &Api<'_>, id: &NativeId) -> Result<Folder> {
    let gone = || Error::new(Kind::ParentNotFound, "The folder to write into is not there.");
    if address(id).map_err(|_| gone())?.is_empty() {
        return Ok(Folder::root());
    }
    let of = EntryRef { kind: EntryKind::Folder, id: id.clone() };
    let found = metadata(api, &of).await.map_err(|error| match error.kind {
        Kind::NotFound => gone(),
        _ => error,
    })?;
    Ok(Folder {
        id: id.clone(),
        name: found.name.clone(),
        path: found.path().to_owned(),
        key: found.key().to_owned(),
    })
}

/// The folder that something is in, which metadata names by its path alone.
pub(super) async fn parent(api: &Api<'_>, of: &Metadata) -> Result<Option<Parent>> {
    let key = of.key();
    if key.is_empty() {
        return Ok(None);
    }
    let above = folder_of(key);
    if above.is_empty() {
        return Ok(Some(Folder::root().parent()));
    }
    match at(api, above).await? {
        Some(found) => Ok(Some(Parent { id: found.native()?, name: Some(found.name) })),
        // Moved between the two calls.
        None => Ok(None),
    }
}

/// The entry with its folder.
pub(super) async fn entry(api: &Api<'_>, found: Metadata) -> Result<Entry> {
    let parent = parent(api, &found).await?;
    found.entry(parent)
}

/// The conflict that carries what is there.
pub(super) async fn conflict(api: &Api<'_>, address: &str, name: &str) -> Error {
    let there = at(api, address).await.ok().flatten();
    let by = there.and_then(|there| {
        let id = there.native().ok()?;
        Some(EntryRef { kind: there.kind(), id })
    });
    Error::conflict(name, by)
}
