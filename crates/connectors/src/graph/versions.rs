//! Earlier contents. Sources: "List versions of a driveItem", "Download contents of a driveItemVersion"
//! ("You can't get the content of the current version" this way), "driveItemVersion: restoreVersion".

use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use tramontane_connector::storage::{Content, ReadOptions, Version, Versions};
use tramontane_connector::{Cx, Entry, EntryKind, EntryRef, Error, Hashes, Result, Storage as _};
use tramontane_model::{NativeId, Op, Page, PageRequest, Timestamp};

use super::api::{Client, collection};
use super::id::Id;
use super::item::{By, Item, missing};
use super::names::escaped;
use super::read;
use super::storage::GraphStorage;

/// The most versions of a file that are listed.
const MAX_VERSIONS: usize = 50_000;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Told {
    id: String,
    size: Option<u64>,
    last_modified_date_time: Option<String>,
    last_modified_by: Option<By>,
}

fn file(id: &NativeId) -> Result<Id> {
    match Id::parse(id)?.followed() {
        id @ Id::Item(..) => Ok(id),
        _ => Err(missing(EntryKind::File)),
    }
}

/// Version ids are numbers like `3.0`.
fn check(version: &str) -> Result<String> {
    let fine = !version.is_empty()
        && version.len() <= 100
        && version.bytes().any(|byte| byte != b'.')
        && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    if fine { Ok(escaped(version)) } else { Err(Error::not_found("There is no such version.")) }
}

async fn all(client: Client<'_>, id: &Id) -> Result<Vec<Told>> {
    let mut request =
        client.request("versions", Method::GET, &format!("{}/versions", client.path(id)?))?;
    let mut told = Vec::new();
    loop {
        let (page, next) = collection(client.json(request).await?)?;
        told.extend(page.iter().filter_map(|value: &Value| Told::deserialize(value).ok()));
        match next {
            Some(next) if told.len() < MAX_VERSIONS => request = client.next("versions", &next)?,
            _ => return Ok(told),
        }
    }
}

#[async_trait]
impl Versions for GraphStorage {
    async fn list(&self, cx: &Cx, file_id: &NativeId, page: &PageRequest) -> Result<Page<Version>> {
        let (client, id) = (self.api.at(cx), file(file_id)?);
        let item = Item::read(&client.item(&id).await?)?;
        if item.kind() != EntryKind::File {
            return Err(missing(EntryKind::File));
        }
        let skip: usize = match &page.cursor {
            None => 0,
            Some(cursor) => cursor.parse().map_err(|_| {
                let text = "This cursor cannot be read. Start again.";
                Error::new(tramontane_connector::Kind::CursorExpired, text)
            })?,
        };
        let told = all(client, &id).await?;
        let next = (told.len() > skip + page.limit).then(|| (skip + page.limit).to_string());
        let versions = told.into_iter().enumerate().skip(skip).take(page.limit).map(|(n, one)| {
            let current = n == 0;
            Version {
                id: one.id,
                size: one.size,
                modified: one.last_modified_date_time.as_deref().and_then(Timestamp::parse),
                last_modifier: one.last_modified_by.and_then(By::person),
                current,
                hashes: if current { item.hashes() } else { Hashes::default() },
            }
        });
        Ok(Page { items: versions.collect(), next })
    }

    async fn read(
        &self,
        cx: &Cx,
        file_id: &NativeId,
        version: &str,
        how: &ReadOptions,
    ) -> Result<Content> {
        let (client, id, wanted) = (self.api.at(cx), file(file_id)?, check(version)?);
        if how.export.is_some() {
            return Err(Error::invalid("export cannot be asked for of an earlier version."));
        }
        let told = all(client, &id).await?;
        let Some(at) = told.iter().position(|one| one.id == version) else {
            return Err(Error::not_found("There is no such version."));
        };
        if at == 0 {
            return read::read(client, &id, how).await;
        }
        let path = format!("{}/versions/{wanted}/content", client.path(&id)?);
        let url = read::redirected(client, &path).await?;
        let request = read::ranged(Client::bare("download", Method::GET, url), how.range);
        let size = told.get(at).and_then(|one| one.size);
        read::content(cx.send(request).await?, how.range, size).await
    }

    async fn restore(&self, cx: &Cx, file_id: &NativeId, version: &str) -> Result<Entry> {
        let (client, id, wanted) = (self.api.at(cx), file(file_id)?, check(version)?);
        let path = format!("{}/versions/{wanted}/restoreVersion", client.path(&id)?);
        client.send(client.request("restore_version", Method::POST, &path)?).await?;
        self.get(cx, &EntryRef::file(file_id.clone())).await
    }

    async fn delete(&self, _cx: &Cx, _file: &NativeId, _version: &str) -> Result<()> {
        let text = "Microsoft Graph cannot delete a single version of a file.";
        Err(Error::unsupported(Op::VersionsList, text))
    }
}
