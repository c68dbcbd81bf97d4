//! SharePoint's upper floors: sites, and their libraries as folders. Source: "Search for sites", "List
//! drives", "site resource type".

use serde_json::Value;
use tramontane_connector::entry::Parent;
use tramontane_connector::{Entry, Error, Kind, Result};
use tramontane_model::{Page, PageRequest, Timestamp};

use super::api::{Client, collection, nonsense, text};
use super::id::Id;
use super::names::escaped;

/// The setting that names the site.
pub(super) const DOMAIN: &str = "domain";

/// The path of Graph that a setting stands for: `HOST/sites/NAME` is one site; a bare host is none.
fn path_of(domain: &str) -> Option<String> {
    let bare = domain.trim().trim_start_matches("https://").trim_end_matches('/');
    let (host, path) = bare.split_once('/')?;
    let path: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(escaped).collect();
    (!path.is_empty()).then(|| format!("sites/{}:/{}:", escaped(host), path.join("/")))
}

impl Client<'_> {
    /// The path of the one site that the account is for; none when it is for all of them.
    pub(super) fn own_site(&self) -> Option<String> {
        self.cx.account.setting(DOMAIN).and_then(path_of)
    }

    pub(super) async fn is_own_site(&self, site: &str) -> Result<bool> {
        let Some(path) = self.own_site() else { return Ok(false) };
        let own = self.get("site", path.trim_end_matches(':')).await?;
        Ok(text(&own, "id") == Some(site))
    }

    /// The sites, or the libraries of the one site.
    pub(super) async fn list_top(&self, page: &PageRequest) -> Result<Page<Entry>> {
        if let Some(path) = self.own_site() {
            return self.libraries(&format!("{path}/drives"), &Id::Root, page).await;
        }
        let request = match &page.cursor {
            Some(cursor) => self.next("sites", cursor)?,
            None if self.cx.account.admin => self.request(
                "sites",
                http::Method::GET,
                &format!("sites/getAllSites?$top={}", page.limit),
            )?,
            None => self.request(
                "sites",
                http::Method::GET,
                &format!("sites?search=*&$top={}", page.limit),
            )?,
        };
        let (sites, next) = collection(self.json(request).await?)?;
        let items = sites.into_iter().map(|site| self.site_entry(site)).collect::<Result<_>>()?;
        Ok(Page { items, next })
    }

    /// The libraries of a site.
    pub(super) async fn list_site(&self, site: &str, page: &PageRequest) -> Result<Page<Entry>> {
        let path = format!("sites/{}/drives", escaped(site));
        self.libraries(&path, &Id::Site(site.to_owned()), page).await
    }

    async fn libraries(&self, path: &str, parent: &Id, page: &PageRequest) -> Result<Page<Entry>> {
        let request = match &page.cursor {
            Some(cursor) => self.next("drives", cursor)?,
            None => {
                self.request("drives", http::Method::GET, &format!("{path}?$top={}", page.limit))?
            }
        };
        let (drives, next) = collection(self.json(request).await?)?;
        let entries = drives.into_iter().map(|drive| {
            let id = Id::DriveRoot(text(&drive, "id").ok_or_else(nonsense)?.to_owned());
            let name = text(&drive, "name").unwrap_or("Documents").to_owned();
            let above = Parent { id: parent.native(), name: None };
            let mut entry = Entry::folder(id.native(), name, Some(above));
            entry.created = text(&drive, "createdDateTime").and_then(Timestamp::parse);
            entry.modified = text(&drive, "lastModifiedDateTime").and_then(Timestamp::parse);
            entry.raw = self.cx.raw.then_some(drive);
            Ok(entry)
        });
        Ok(Page { items: entries.collect::<Result<_>>()?, next })
    }

    /// The top of all sites.
    pub(super) fn top(&self) -> Entry {
        let name = self.api.flavour.root_name();
        let mut entry = Entry::folder(Id::Root.native(), name, None);
        (entry.can_create_folders, entry.can_upload_files) = (false, false);
        entry
    }

    pub(super) async fn site(&self, site: &str) -> Result<Entry> {
        self.site_entry(self.get("site", &format!("sites/{}", escaped(site))).await?)
    }

    fn site_entry(&self, site: Value) -> Result<Entry> {
        let id = Id::Site(text(&site, "id").ok_or_else(nonsense)?.to_owned());
        let name = text(&site, "displayName").or_else(|| text(&site, "name")).unwrap_or("Site");
        let above = Parent { id: Id::Root.native(), name: None };
        let mut entry = Entry::folder(id.native(), name.replace('/', "-"), Some(above));
        entry.created = text(&site, "createdDateTime").and_then(Timestamp::parse);
        entry.modified = text(&site, "lastModifiedDateTime").and_then(Timestamp::parse);
        (entry.can_create_folders, entry.can_upload_files) = (false, false);
        entry.raw = self.cx.raw.then_some(site);
        Ok(entry)
    }
}

/// What cannot be done above libraries.
pub(super) fn only_below(what: &str) -> Error {
    Error::new(Kind::NotAllowed, format!("{what} can only be done inside of a site's library."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_with_a_path_is_one_site() {
        let site = Some("sites/x.sharepoint.com:/sites/a%20b:".to_owned());
        assert_eq!(path_of("https://x.sharepoint.com/sites/a b/"), site);
        assert_eq!(path_of("x.sharepoint.com"), None);
        assert_eq!(path_of("https://x.sharepoint.com/"), None);
    }
}
