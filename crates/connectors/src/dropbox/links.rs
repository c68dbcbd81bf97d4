//! Shared links. A file or folder has one at most of each kind, known by its address alone.
//!
//! <https://www.dropbox.com/developers/documentation/http/documentation#sharing-create_shared_link_with_settings>

use async_trait::async_trait;
use serde_json::{Value, json};
use tramontane_connector::error::Kind;
use tramontane_connector::{
    Cx, EntryRef, Error, LinkAccess, LinkChange, LinkOptions, LinkRole, Links, Result, ShareLink,
};
use tramontane_model::{Op, Timestamp};
use url::Url;

use super::abilities::ACCOUNT_TYPE;
use super::api::{Api, put};
use super::entry::address;
use super::lookup;
use super::storage::DropboxStorage;

/// The most pages of links that are read.
const MAX_PAGES: usize = 100;

fn declined() -> Error {
    Error::declined(Op::LinkCreate)
}

fn gone() -> Error {
    Error::not_found("The link is not there.")
}

/// `DropboxTimestamp`: whole seconds.
fn time(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{}Z", text.get(..19).unwrap_or_default())
}

fn said(error: &Error, tag: &str) -> bool {
    let code = error.fault.as_deref().and_then(|fault| fault.code.as_deref());
    code.is_some_and(|code| code.split('/').any(|one| one == tag))
}

/// What a refusal of a link means: what is not offered is left to us, what is not allowed is told.
fn refused(error: Error) -> Error {
    let not_offered = ["shared_link_already_exists", "invalid_settings", "missing_scope"];
    if not_offered.iter().any(|tag| said(&error, tag)) {
        return declined();
    }
    if said(&error, "shared_link_not_found") {
        return gone();
    }
    error
}

/// `SharedLinkMetadata`.
fn read(told: &Value) -> Option<ShareLink> {
    let tag = |path: &str| told.pointer(path)?.get(".tag")?.as_str();
    let permissions = told.get("link_permissions")?;
    let resolved = tag("/link_permissions/resolved_visibility");
    let audience = tag("/link_permissions/effective_audience");
    let access = match (audience, resolved) {
        (Some("public"), _) | (None, Some("public" | "password")) => LinkAccess::Anyone,
        (Some("team"), _) | (None, Some("team_only" | "team_and_password")) => {
            LinkAccess::Organization
        }
        _ => return None,
    };
    let locked = permissions.get("require_password").and_then(Value::as_bool);
    let locked = locked.unwrap_or(matches!(resolved, Some("password" | "team_and_password")));
    let role = match tag("/link_permissions/link_access_level") {
        Some("editor") => LinkRole::Writer,
        _ => LinkRole::Reader,
    };
    let url = told.get("url").and_then(Value::as_str)?;
    Some(ShareLink {
        id: url.to_owned(),
        url: Url::parse(url).ok()?,
        access,
        role,
        password: locked,
        expires: told.get("expires").and_then(Value::as_str).and_then(Timestamp::parse),
    })
}

fn link(told: &Value) -> Result<ShareLink> {
    read(told).ok_or_else(|| {
        Error::new(Kind::Broken, "Dropbox tells of a link in a form that is not known.")
    })
}

/// Whether two addresses are of one link: the path and its key tell, not how it is shown.
fn same(one: &str, other: &str) -> bool {
    let parts = |text: &str| {
        let url = Url::parse(text).ok()?;
        let key = url.query_pairs().find(|(name, _)| name == "rlkey");
        Some((url.path().to_owned(), key.map(|(_, value)| value.into_owned())))
    };
    let one = parts(one);
    one.is_some() && one == parts(other)
}

async fn all(api: &Api<'_>, of: &EntryRef) -> Result<Vec<ShareLink>> {
    lookup::metadata(api, of).await?;
    let path = address(&of.id)?;
    let mut argument = json!({"path": path, "direct_only": true});
    let mut found = Vec::new();
    for _ in 0..MAX_PAGES {
        let page: Value = api.look("sharing/list_shared_links", &argument).await?;
        let links = page.get("links").and_then(Value::as_array);
        found.extend(links.into_iter().flatten().filter_map(read));
        let more = page.get("has_more").and_then(Value::as_bool).unwrap_or(false);
        let Some(cursor) = page.get("cursor").and_then(Value::as_str).filter(|_| more) else {
            return Ok(found);
        };
        put(&mut argument, "cursor", cursor);
    }
    Err(Error::new(Kind::Broken, "Dropbox's list of links does not end."))
}

async fn one(api: &Api<'_>, of: &EntryRef, id: &str) -> Result<ShareLink> {
    all(api, of).await?.into_iter().find(|link| same(&link.id, id)).ok_or_else(gone)
}

/// Passwords and ends of links are not for accounts of the plan without a price.
fn is_plain(cx: &Cx) -> bool {
    cx.account.setting(ACCOUNT_TYPE) == Some("basic")
}

#[async_trait]
impl Links for DropboxStorage {
    async fn create(&self, cx: &Cx, of: &EntryRef, how: &LinkOptions) -> Result<ShareLink> {
        let optional = how.password.is_some() || how.expires.is_some();
        if how.role == LinkRole::Writer || (optional && is_plain(cx)) {
            return Err(declined());
        }
        let api = self.api(cx);
        lookup::metadata(&api, of).await?;
        let audience = if how.access == LinkAccess::Anyone { "public" } else { "team" };
        let mut settings = json!({"audience": {".tag": audience}, "access": {".tag": "viewer"},
            "allow_download": true});
        if let Some(password) = how.password() {
            put(&mut settings, "require_password", true);
            put(&mut settings, "link_password", password);
        }
        if let Some(expires) = how.expires {
            put(&mut settings, "expires", time(expires));
        }
        let argument = json!({"path": address(&of.id)?, "settings": settings});
        let function = "sharing/create_shared_link_with_settings";
        link(&api.change::<Value>(function, &argument).await.map_err(refused)?)
    }

    async fn list(&self, cx: &Cx, of: &EntryRef) -> Result<Vec<ShareLink>> {
        all(&self.api(cx), of).await
    }

    async fn get(&self, cx: &Cx, of: &EntryRef, id: &str) -> Result<ShareLink> {
        one(&self.api(cx), of, id).await
    }

    async fn change(
        &self,
        cx: &Cx,
        of: &EntryRef,
        id: &str,
        change: &LinkChange,
    ) -> Result<ShareLink> {
        let optional = change.password().flatten().is_some() || change.expires.flatten().is_some();
        if optional && is_plain(cx) {
            return Err(declined());
        }
        let api = self.api(cx);
        let there = one(&api, of, id).await?;
        let mut settings = json!({});
        match change.password() {
            Some(Some(password)) => {
                put(&mut settings, "require_password", true);
                put(&mut settings, "link_password", password);
            }
            Some(None) => put(&mut settings, "require_password", false),
            None => {}
        }
        if let Some(Some(expires)) = change.expires {
            put(&mut settings, "expires", time(expires));
        }
        let forever = change.expires == Some(None);
        let argument = json!({"url": there.id, "settings": settings, "remove_expiration": forever});
        let function = "sharing/modify_shared_link_settings";
        link(&api.change::<Value>(function, &argument).await.map_err(refused)?)
    }

    async fn delete(&self, cx: &Cx, of: &EntryRef, id: &str) -> Result<()> {
        let api = self.api(cx);
        let there = one(&api, of, id).await?;
        let argument = json!({"url": there.id});
        api.change::<Value>("sharing/revoke_shared_link", &argument).await.map_err(refused)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_known_again_however_it_is_written() {
        let own = "https://www.dropbox.com/scl/fi/abc/q1.pdf?rlkey=k1&dl=0";
        assert!(same(own, "https://www.dropbox.com/scl/fi/abc/q1.pdf?rlkey=k1&st=9&dl=1"));
        assert!(!same(own, "https://www.dropbox.com/scl/fi/abc/q1.pdf?rlkey=k2&dl=0"));
        assert!(!same(own, "https://www.dropbox.com/scl/fi/abd/q1.pdf?rlkey=k1&dl=0"));
        assert!(!same("x", "x"));
    }

    #[test]
    fn refusals_of_rules_are_told_and_lacks_are_left_to_us() {
        let error =
            |code: &str| refused(Error::new(Kind::Forbidden, "no").said(Some(code), None)).kind;
        assert_eq!(error("shared_link_already_exists/metadata/file"), declined().kind);
        assert_eq!(error("settings_error/invalid_settings"), declined().kind);
        assert_eq!(error("missing_scope"), declined().kind);
        assert_eq!(error("settings_error/not_authorized"), Kind::Forbidden);
        assert_eq!(error("shared_link_not_found"), Kind::NotFound);
    }
}
