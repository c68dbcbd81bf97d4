//! Files and folders made, content replaced.

use http::Method;
use serde_json::{Value, json};
use tramontane_connector::{
    Body, Conflict, ETag, Entry, EntryKind, EntryRef, Error, Kind, Place, Repeat, Result,
    WriteOptions,
};
use tramontane_model::NativeId;

use super::api::{Client, with_json};
use super::fault::of_parent;
use super::ids::{ROOT, Target, missing};
use super::item::{FOLDER, Item};
use super::list::namesake;
use super::upload::{self, Content};

/// Drive's id of the folder that something is to be put into. Drive itself would also take a folder that
/// is in the trash, so it is looked at first.
pub(super) async fn folder_of(client: &Client<'_>, parent: &NativeId) -> Result<String> {
    let nowhere = || Error::new(Kind::ParentNotFound, "The folder to write into is not there.");
    match Target::of(parent).ok_or_else(nowhere)? {
        Target::Root => Ok(ROOT.to_owned()),
        Target::Drives => Err(Error::new(
            Kind::NotAllowed,
            "Shared drives are made at Google. Write into one of them.",
        )),
        Target::Shared => Err(Error::new(
            Kind::NotAllowed,
            "Nothing can be put into \"Shared with me\": it shows what others shared.",
        )),
        Target::Item(id) => {
            client.get(id, EntryKind::Folder).await.map_err(of_parent)?;
            Ok(id.to_owned())
        }
    }
}

/// The metadata of something new.
pub(super) async fn metadata(
    client: &Client<'_>,
    name: &str,
    folder: &str,
    mime: &str,
) -> Result<Value> {
    let mut meta = json!({"name": name, "parents": [folder], "mimeType": mime});
    if let (Some(id), Some(members)) = (client.fresh_id().await?, meta.as_object_mut()) {
        members.insert("id".into(), id.into());
    }
    Ok(meta)
}

/// Fails when an etag no longer is the file's.
pub(super) fn matches(item: Option<&Item>, wanted: Option<&ETag>) -> Result<()> {
    let Some(wanted) = wanted else { return Ok(()) };
    let there = item.and_then(Item::etag).is_some_and(|etag| etag.value == wanted.value);
    if there {
        Ok(())
    } else {
        let text = "The file has changed in the meantime, or is not there.";
        Err(Error::new(Kind::Precondition, text))
    }
}

/// A name taken by this item.
pub(super) fn taken(name: &str, by: &Item) -> Error {
    let id = NativeId::new(by.id.clone());
    Error::conflict(name, Some(EntryRef { kind: by.kind(), id }))
}

/// Makes a file, or replaces the content of the one that has the name.
pub(super) async fn create(
    client: &Client<'_>,
    at: &Place,
    body: Body,
    how: &WriteOptions,
) -> Result<Entry> {
    let folder = folder_of(client, &at.parent).await?;
    if how.conflict == Conflict::Replace {
        let there = namesake(client, &folder, &at.name).await.map_err(of_parent)?;
        matches(there.as_ref(), how.if_match.as_ref())?;
        if let Some(there) = there {
            if there.is_folder() {
                return Err(taken(&at.name, &there));
            }
            return replace(client, &there, body).await;
        }
    }
    let content = Content::of(body, &at.name).await?;
    let mut meta = metadata(client, &at.name, &folder, content.media_type()).await?;
    if let (Some(modified), Some(members)) = (how.modified, meta.as_object_mut()) {
        members.insert("modifiedTime".into(), modified.to_string().into());
    }
    let item = upload::make(client, &meta, content).await.map_err(of_parent)?;
    client.entry(item).await
}

/// Replaces a file's content.
pub(super) async fn update(
    client: &Client<'_>,
    file: &NativeId,
    body: Body,
    if_match: Option<&ETag>,
) -> Result<Entry> {
    let Some(Target::Item(id)) = Target::of(file) else { return Err(missing(EntryKind::File)) };
    let there = client.get(id, EntryKind::File).await?;
    matches(Some(&there), if_match)?;
    replace(client, &there, body).await
}

async fn replace(client: &Client<'_>, there: &Item, body: Body) -> Result<Entry> {
    if !there.is_blob() {
        let text = "A document of Google's, or a shortcut, cannot be replaced by content.";
        return Err(Error::new(Kind::NotAllowed, text));
    }
    let content = Content::of(body, &there.name).await?;
    let item = upload::replace(client, &there.id, content).await?;
    client.entry(item).await
}

/// Makes a folder. Drive would make a second one of the same name.
pub(super) async fn create_folder(client: &Client<'_>, at: &Place) -> Result<Entry> {
    let folder = folder_of(client, &at.parent).await?;
    if let Some(there) = namesake(client, &folder, &at.name).await.map_err(of_parent)? {
        return Err(taken(&at.name, &there));
    }
    let meta = metadata(client, &at.name, &folder, FOLDER).await?;
    let query = [("supportsAllDrives", "true"), ("fields", client.fields())];
    let url = client.url(&["files"], &query)?;
    let repeat = if meta.get("id").is_some() { Repeat::Yes } else { Repeat::No };
    let request = with_json("files_create", Method::POST, url, &meta).repeat(repeat);
    let done = client.item(request).await;
    let item = upload::made(client, done, &meta).await.map_err(of_parent)?;
    client.entry(item).await
}
