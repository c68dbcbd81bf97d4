//! Connecting: whose the credential is, in words that help when it fails, and what the server can do.

use http::Method;
use http::header::{self, HeaderName};
use serde::Deserialize;
use tramontane_connector::http::Request;
use tramontane_connector::{Cx, Error, Identity, Kind, Result, Settings};
use url::Url;

use super::auth::{Auth, offered};
use super::dav::{Dav, Depth};
use super::path;
use super::profile::{Dialect, cloud, user_in};
use super::props;
use super::xml::{self, Item, Ns};

const PROPS: &str = "<d:resourcetype/><d:current-user-principal/><d:quota-used-bytes/>\
                     <d:quota-available-bytes/><oc:fileid/><oc:id/><oc:permissions/>";

/// Reads the base collection with the account's credential.
pub(super) async fn identify(cx: &Cx, auth: &Auth) -> Result<Identity> {
    let dav = Dav::of(cx)?;
    let base = dav.profile.base.clone();
    let mut item = look(&dav, &base).await?;
    if auth.scheme_name().is_none() {
        // The server shows itself to everyone and never asked; whether the password is right shows
        // only when it is sent all the same.
        auth.insist();
        item = look(&dav, &base).await?;
    }
    let facts = props::Facts::of(&item, false);
    if !facts.folder {
        return Err(Error::invalid("url names a file. It must name a folder."));
    }
    let host = match (base.host_str(), base.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    };
    let place = format!("{host}{}", base.path());
    Ok(match cx.account.setting("username") {
        Some(user) => Identity { id: format!("{user}@{place}"), display: format!("{user}@{host}") },
        None => Identity { display: place.trim_end_matches('/').to_owned(), id: place },
    })
}

async fn look(dav: &Dav<'_>, base: &Url) -> Result<Item> {
    let request = Dav::propfind("identify", base.clone(), Depth::Zero, props::propfind(&[PROPS]))
        .header(header::CONTENT_TYPE, "application/xml; charset=utf-8");
    let answer = dav.cx.send(request).await?;
    let status = answer.status.as_u16();
    let is_xml = answer.header(&header::CONTENT_TYPE).is_some_and(|kind| kind.contains("xml"));
    match status {
        207 => {}
        200 if is_xml => {}
        401 => return Err(refused(dav, &offered(&answer))),
        403 => {
            let text = "url: the server does not let this user read this folder.";
            return Err(Error::new(Kind::Forbidden, text));
        }
        200..=299 | 300..=399 | 400 | 404 | 405 | 409 | 410 | 501 => {
            return Err(no_webdav(dav, base, &answer.url).await);
        }
        _ => return Err(super::fault::fault(answer).await),
    }
    let mut found = None;
    xml::multistatus(answer.body, |item| {
        found.get_or_insert(item);
        Ok(())
    })
    .await?;
    let item: Item =
        found.ok_or_else(|| Error::invalid("url: the server answered with an empty list."))?;
    match item.status {
        Some(status) if !xml::is_success(status) => Err(no_webdav(dav, base, base).await),
        _ => Ok(item),
    }
}

fn refused(dav: &Dav<'_>, offered: &str) -> Error {
    let account = &dav.cx.account;
    let known = ["basic", "digest", "bearer"];
    let speaks = offered.split(", ").any(|one| known.contains(&one.to_ascii_lowercase().as_str()));
    let text = if !offered.is_empty() && !speaks {
        format!("The server wants {offered}. Tramontane knows Basic, Digest and bearer tokens.")
    } else if account.credential.get("token").is_some() {
        "token: the server refuses it.".to_owned()
    } else if account.setting("username").is_none() {
        "username: the server wants a user and a password.".to_owned()
    } else {
        "username or password: the server refuses them. With two-factor login, make an app password."
            .to_owned()
    };
    Error::new(Kind::Credential, text)
}

/// What to say when there is no WebDAV at the URL: where it is on a Nextcloud or ownCloud, when it is
/// one, and what the path looks like there, when not.
async fn no_webdav(dav: &Dav<'_>, base: &Url, answered: &Url) -> Error {
    let user = dav.cx.account.setting("username").unwrap_or("USER");
    let mut said = match status(dav, base).await {
        Some(_) => {
            let place = path::url(base, &["remote.php", "dav", "files", user], true);
            let place = place.map(String::from).unwrap_or_default();
            format!("url: this is a Nextcloud or ownCloud; its WebDAV is at {place}")
        }
        None => format!(
            "url: no WebDAV answers at {}. For a Nextcloud it is https://HOST/remote.php/dav/files/USER/.",
            base.path()
        ),
    };
    if answered.origin() != base.origin() {
        said.push_str(&format!(
            " The server redirects to {}.",
            answered.origin().ascii_serialization()
        ));
    }
    Error::invalid(said)
}

#[derive(Debug, Deserialize)]
struct Status {
    #[serde(default)]
    productname: String,
    #[serde(default)]
    versionstring: String,
}

/// What `status.php` of a Nextcloud or ownCloud says; it asks for no login.
async fn status(dav: &Dav<'_>, web: &Url) -> Option<Status> {
    let url = web.join("status.php").ok()?;
    let mut request = Request::new("status", Method::GET, url);
    request.signed = false;
    let answer = dav.cx.send(request).await.ok()?;
    if !answer.status.is_success() {
        return None;
    }
    let bytes = answer.body.collect(16 << 10).await.ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Finds out what the server can do. Nothing here fails a connection that [`identify`] allowed: what
/// cannot be found out is left to the plain dialect.
pub(super) async fn settle(cx: &Cx, auth: &Auth) -> Result<Settings> {
    let dav = Dav::of(cx)?;
    let base = dav.profile.base.clone();
    let item = look(&dav, &base).await?;
    let mut found = Settings::new();
    let mut note = |name: &str, value: &str| found.insert(name.to_owned(), value.to_owned());
    if let Some(scheme) = auth.scheme_name() {
        note("auth", scheme);
    }
    let has_quota = item.text(Ns::Dav, "quota-used-bytes").is_some();
    note("quota", if has_quota { "yes" } else { "no" });
    let has_oc =
        ["id", "fileid", "permissions"].iter().any(|name| item.text(Ns::Owncloud, name).is_some());
    let (server, classes, allow) = options(&dav, &base).await;
    note("server", &server);
    note("dav", &classes);
    let mut dialect = Dialect::Plain;
    if has_oc {
        let principal = item.text(Ns::Dav, "current-user-principal").and_then(principal_user);
        let user = user_in(&base).or(principal);
        let user = user.or_else(|| cx.account.setting("username").map(str::to_owned));
        let parts = user.as_deref().and_then(|user| cloud(&base, user));
        let web = parts.as_ref().map_or_else(|| base.clone(), |parts| parts.web.clone());
        let told = status(&dav, &web).await;
        let owncloud = told.as_ref().is_some_and(|told| {
            let name = told.productname.to_ascii_lowercase();
            name.contains("owncloud")
                || name.contains("infinite scale")
                || name.contains("opencloud")
        });
        dialect = if owncloud || parts.is_none() { Dialect::Owncloud } else { Dialect::Nextcloud };
        if let Some(told) = told {
            note("server", &format!("{} {}", told.productname, told.versionstring));
        }
        if let Some(parts) = parts {
            note("dav_user", &parts.user);
        }
    }
    note("dialect", dialect.as_str());
    // Which servers keep properties that they do not know cannot be asked; these two are known to.
    let keeps = dialect == Dialect::Plain
        && allow.contains("PROPPATCH")
        && (server.starts_with("Apache") || server.starts_with("WsgiDAV"));
    note("properties", if keeps { "yes" } else { "no" });
    Ok(found)
}

/// The `Server`, `DAV` and `Allow` headers.
async fn options(dav: &Dav<'_>, base: &Url) -> (String, String, String) {
    let request = Request::new("options", Method::OPTIONS, base.clone());
    let Ok(answer) = dav.cx.send(request).await else { return Default::default() };
    let all = |name: HeaderName| {
        let values = answer.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let mut text = values.collect::<Vec<_>>().join(", ");
        text.truncate(text.char_indices().nth(200).map_or(text.len(), |(at, _)| at));
        text
    };
    (all(header::SERVER), all(HeaderName::from_static("dav")), all(header::ALLOW))
}

/// The user in `.../principals/users/USER/`.
fn principal_user(href: &str) -> Option<String> {
    let segments = path::Href::parse(href, &[])?.segments;
    let at = segments.windows(2).position(|window| window == ["principals", "users"])?;
    segments.get(at + 2).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_user_in_a_principal() {
        let user = principal_user("/cloud/remote.php/dav/principals/users/ann%20a/");
        assert_eq!(user.as_deref(), Some("ann a"));
        assert_eq!(principal_user("/other/"), None);
    }
}
