//! Share links: the address of Drive's own page, once everyone who has it may see the file ("Share files,
//! folders and drives").
//!
//! Drive keeps such an opening as a permission of the type `anyone`, at most one a file, which can have
//! neither a password nor (unlike those of people) a time at which it ends.

use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde_json::json;
use tramontane_connector::http::Request;
use tramontane_connector::storage::GranteeKind;
use tramontane_connector::{
    Cx, EntryRef, Error, LinkAccess, LinkChange, LinkOptions, LinkRole, Links, Repeat, Result,
    ShareLink,
};
use tramontane_model::Op;
use url::Url;

use super::api::{Client, with_json};
use super::fault::says;
use super::ids::is_id;
use super::odd;
use super::permissions::{Granted, all, object};
use super::storage::DriveStorage;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    web_view_link: Option<String>,
}

#[derive(Deserialize)]
struct Made {
    id: String,
}

fn declined() -> Error {
    Error::declined(Op::LinkCreate)
}

/// What an account whose token is for less than sharing cannot do is left to us.
fn scoped(error: Error) -> Error {
    let short = ["ACCESS_TOKEN_SCOPE_INSUFFICIENT", "insufficientScopes", "appNotAuthorizedToFile"];
    if short.iter().any(|reason| says(&error, reason)) { declined() } else { error }
}

async fn page(client: &Client<'_>, id: &str) -> Result<Url> {
    let query = [("supportsAllDrives", "true"), ("fields", "webViewLink")];
    let url = client.url(&["files", id], &query)?;
    let page: Page = client.json(Request::new("files_get", Method::GET, url)).await?;
    let link = page.web_view_link.and_then(|link| Url::parse(&link).ok());
    link.ok_or_else(|| odd("webViewLink"))
}

fn is_open(granted: &Granted) -> bool {
    granted.grantee() == GranteeKind::Anyone
}

fn link(id: String, role: &str, url: Url) -> ShareLink {
    let role = if role == "writer" { LinkRole::Writer } else { LinkRole::Reader };
    ShareLink { id, url, access: LinkAccess::Anyone, role, password: false, expires: None }
}

#[async_trait]
impl Links for DriveStorage {
    async fn create(&self, cx: &Cx, of: &EntryRef, how: &LinkOptions) -> Result<ShareLink> {
        // Drive opens files to a domain that must be named, and accounts do not tell theirs.
        if how.password.is_some() || how.expires.is_some() || how.access != LinkAccess::Anyone {
            return Err(declined());
        }
        let client = self.client(cx);
        let id = object(&client, of).await?;
        if all(&client, id).await?.iter().any(is_open) {
            return Err(declined());
        }
        let page = page(&client, id).await?;
        let role = if how.role == LinkRole::Writer { "writer" } else { "reader" };
        let body = json!({"type": "anyone", "role": role, "allowFileDiscovery": false});
        let query = [("supportsAllDrives", "true"), ("fields", "id")];
        let url = client.url(&["files", id, "permissions"], &query)?;
        let request = with_json("permissions_create", Method::POST, url, &body).repeat(Repeat::Yes);
        let made: Made = client.json(request).await.map_err(scoped)?;
        Ok(link(made.id, role, page))
    }

    async fn list(&self, cx: &Cx, of: &EntryRef) -> Result<Vec<ShareLink>> {
        let client = self.client(cx);
        let id = object(&client, of).await?;
        let open =
            all(&client, id).await?.into_iter().find(|one| is_open(one) && !one.is_inherited());
        match open {
            Some(open) => Ok(vec![link(open.id, &open.role, page(&client, id).await?)]),
            None => Ok(Vec::new()),
        }
    }

    async fn get(&self, cx: &Cx, of: &EntryRef, id: &str) -> Result<ShareLink> {
        let there = Links::list(self, cx, of).await?.into_iter().find(|link| link.id == id);
        there.ok_or_else(|| Error::not_found("The link is not there."))
    }

    async fn change(
        &self,
        cx: &Cx,
        of: &EntryRef,
        id: &str,
        change: &LinkChange,
    ) -> Result<ShareLink> {
        if change.password().flatten().is_some() || change.expires.flatten().is_some() {
            return Err(declined());
        }
        Links::get(self, cx, of, id).await
    }

    async fn delete(&self, cx: &Cx, of: &EntryRef, id: &str) -> Result<()> {
        let client = self.client(cx);
        let file = object(&client, of).await?;
        if !is_id(id) {
            return Err(Error::not_found("The link is not there."));
        }
        let url =
            client.url(&["files", file, "permissions", id], &[("supportsAllDrives", "true")])?;
        let request = Request::new("permissions_delete", Method::DELETE, url);
        client.send(request).await.map(|_| ())
    }
}
