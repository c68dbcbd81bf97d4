//! Earlier contents of files, as Nextcloud keeps them, by the number of the file.

use async_trait::async_trait;
use tramontane_connector::http::Request;
use tramontane_connector::storage::{Content, ReadOptions, Version, Versions};
use tramontane_connector::{Cx, Entry, Error, Hashes, Result};
use tramontane_model::{NativeId, Op, Page, PageRequest};
use url::Url;

use crate::webdav::dav::{Dav, Depth};
use crate::webdav::path::{Anchor, Whose};
use crate::webdav::profile::Cloud;
use crate::webdav::props::{self, Facts};
use crate::webdav::read;
use crate::webdav::storage::{DavStorage, cloud_of, file};

/// The id of the content that a file has now, where Nextcloud does not list it among the versions.
const CURRENT: &str = "current";

#[async_trait]
impl Versions for DavStorage {
    async fn list(&self, cx: &Cx, of: &NativeId, page: &PageRequest) -> Result<Page<Version>> {
        let dav = Dav::of(cx)?;
        let parts = cloud_of(&dav.profile, Op::VersionsList)?;
        let entry = file(&dav, of).await?;
        let all = all(&dav, parts, &entry).await?;
        let from = match &page.cursor {
            Some(last) => all.iter().position(|one| &one.id == last).map_or(all.len(), |at| at + 1),
            None => 0,
        };
        let more = all.len().saturating_sub(from) > page.limit;
        let items: Vec<Version> = all.into_iter().skip(from).take(page.limit).collect();
        let next = if more { items.last().map(|one| one.id.clone()) } else { None };
        Ok(Page { items, next })
    }

    async fn read(
        &self,
        cx: &Cx,
        of: &NativeId,
        version: &str,
        how: &ReadOptions,
    ) -> Result<Content> {
        let dav = Dav::of(cx)?;
        let parts = cloud_of(&dav.profile, Op::VersionsList)?;
        let entry = file(&dav, of).await?;
        let Some(url) = url(&dav, parts, &entry, version).await? else {
            return read::read(&dav, of, how).await;
        };
        let answer = cx.send(Request { follow: false, ..read::get(url, how) }).await?;
        read::content(answer, how.range).await
    }

    async fn restore(&self, cx: &Cx, of: &NativeId, version: &str) -> Result<Entry> {
        let dav = Dav::of(cx)?;
        let parts = cloud_of(&dav.profile, Op::VersionsList)?;
        let entry = file(&dav, of).await?;
        if let Some(from) = url(&dav, parts, &entry, version).await? {
            let to = parts.at(&["versions", &parts.user, "restore", "target"], false)?;
            dav.transfer("restore_version", "MOVE", from, &to, true, &[]).await?;
        }
        if let Some((parent, _)) = crate::webdav::path::split(of) {
            self.forget(cx, &parent);
        }
        file(&dav, of).await
    }

    async fn delete(&self, cx: &Cx, of: &NativeId, version: &str) -> Result<()> {
        let dav = Dav::of(cx)?;
        let parts = cloud_of(&dav.profile, Op::VersionsList)?;
        let entry = file(&dav, of).await?;
        match url(&dav, parts, &entry, version).await? {
            Some(url) => dav.delete(url, None).await.map(|_| ()),
            None => Err(Error::new(
                tramontane_connector::Kind::NotAllowed,
                "The content that the file has now cannot be deleted as a version.",
            )),
        }
    }
}

/// Newest first. Nextcloud names a version by the second in which it was written; newer ones list the
/// present content among them, older ones do not.
async fn all(dav: &Dav<'_>, parts: &Cloud, entry: &Entry) -> Result<Vec<Version>> {
    let fileid = super::fileid(entry)?;
    let url = parts.at(&["versions", &parts.user, "versions", &fileid], true)?;
    let mut anchor = Anchor::of(&url);
    let mut found = Vec::new();
    let request =
        Dav::propfind("propfind_versions", url, Depth::One, props::propfind(&[props::PLAIN]));
    let listed = dav.find(request, |item| {
        let facts = Facts::of(&item, false);
        if let Whose::Child(id) = anchor.place(&item.href, facts.folder) {
            let current = facts.modified.is_some()
                && facts.modified == entry.modified
                && facts.size == entry.size;
            let (size, modified) = (facts.size, facts.modified);
            let hashes = Hashes::default();
            found.push(Version { id, size, modified, last_modifier: None, current, hashes });
        }
        Ok(())
    });
    match listed.await {
        // A file that was never changed has no collection of versions.
        Err(error) if error.is_not_found() => {}
        other => other?,
    }
    found.sort_by(|one, other| other.modified.cmp(&one.modified).then(other.id.cmp(&one.id)));
    let mut seen = false;
    for version in &mut found {
        version.current = version.current && !seen;
        seen = seen || version.current;
    }
    if !seen {
        let now = Version {
            id: CURRENT.into(),
            size: entry.size,
            modified: entry.modified,
            last_modifier: None,
            current: true,
            hashes: entry.hashes.clone(),
        };
        found.insert(0, now);
    }
    Ok(found)
}

/// Where a version is; `None` for the content that the file has now.
async fn url(dav: &Dav<'_>, parts: &Cloud, entry: &Entry, version: &str) -> Result<Option<Url>> {
    let known = all(dav, parts, entry).await?;
    let found = known.into_iter().find(|one| one.id == version);
    let found = found.ok_or_else(|| Error::not_found("There is no such version."))?;
    if found.current {
        return Ok(None);
    }
    let fileid = super::fileid(entry)?;
    parts.at(&["versions", &parts.user, "versions", &fileid, version], false).map(Some)
}
