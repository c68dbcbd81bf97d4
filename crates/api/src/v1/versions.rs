//! Earlier contents of files (wire API, section 48).

use http::{HeaderMap, Method};
use serde::Serialize;
use tramontane_connector::storage::{ReadOptions, Version, Versions};
use tramontane_connector::{EntryRef, Hashes, Storage as _};
use tramontane_model::{Code, Op, PageRequest, Timestamp};
use utoipa::ToSchema;

use crate::account::Account;
use crate::answer::{empty, made, ok};
use crate::objects::Someone;
use crate::paging::TokenPage;
use crate::problem::{Answer, Problem};
use crate::query::Query;
use crate::render::Render;
use crate::v1::download::{Wanted, answer};

/// The longest id of a version, in bytes.
const MAX_ID_BYTES: usize = 1_024;

/// A version on the wire.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Version)]
pub struct One {
    /// Its id.
    pub id: String,
    /// Always `version`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Always `storage`.
    pub api: &'static str,
    /// Where it is retrieved.
    pub href: String,
    /// Bytes.
    pub size: Option<u64>,
    /// When it was written.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub modified: Option<Timestamp>,
    /// Who wrote it.
    pub last_modifier: Someone,
    /// Whether it is the content now.
    pub current: bool,
    /// Content hashes in hex.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    pub hashes: Hashes,
}

fn part(account: &Account) -> Answer<&dyn Versions> {
    let storage = account.storage_for(Op::VersionsList)?;
    storage
        .versions()
        .ok_or_else(|| Problem::new(Code::NotImplemented, "The service keeps no versions."))
}

fn view(account: &Account, version: Version) -> One {
    // A service's id of a version may hold any character; the path holds it encoded.
    let id = encoded(&version.id);
    let tail = format!("/storage/files/{}/versions/{id}", account.param("file"));
    One {
        href: account.href(&tail),
        id,
        kind: "version",
        api: "storage",
        size: version.size,
        modified: version.modified,
        last_modifier: Someone::of(version.last_modifier),
        current: version.current,
        hashes: version.hashes,
    }
}

/// Ids of versions are what the service calls them, with everything but unreserved characters
/// escaped so that they survive URLs: `~` and two hex digits.
fn encoded(id: &str) -> String {
    let mut text = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("~{byte:02x}"));
        }
    }
    text
}

fn decoded(text: &str) -> Option<String> {
    if text.is_empty() || text.len() > MAX_ID_BYTES * 3 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('~') {
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(u8::from_str_radix(after.get(..2)?, 16).ok()?);
        rest = after.get(2..)?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    let id = String::from_utf8(bytes).ok()?;
    (!id.contains('\0') && id.len() <= MAX_ID_BYTES).then_some(id)
}

fn named(account: &Account) -> Answer<String> {
    decoded(account.param("version")).ok_or_else(|| Problem::not_found("version"))
}

/// `GET .../files/{file}/versions`.
///
/// # Errors
/// `not_implemented`; what the service says.
pub async fn list(account: Account, query: Query) -> Answer {
    let file = account.file().await?;
    let context = format!("{}|versions|{}", account.scope(), file.id);
    let page = TokenPage::<String>::read(account.app(), &query, context).await?;
    let versions = part(&account)?;
    let cx = account.cx();
    let mut ask = PageRequest { cursor: page.at.clone(), limit: page.size };
    let (found, next) = loop {
        let found = versions.list(&cx, &file.id, &ask).await?;
        match found.next {
            Some(next) if found.items.is_empty() => ask = PageRequest::after(next, page.size),
            next => break (found.items, next),
        }
    };
    let shown = found.into_iter().map(|version| view(&account, version)).collect();
    ok(&page.answer("storage", shown, next)?)
}

async fn find(account: &Account, file: &EntryRef, id: &str) -> Answer<Version> {
    let versions = part(account)?;
    let cx = account.cx();
    let mut ask = PageRequest::first(1_000);
    loop {
        let page = versions.list(&cx, &file.id, &ask).await?;
        if let Some(found) = page.items.into_iter().find(|version| version.id == id) {
            return Ok(found);
        }
        match page.next {
            Some(next) => ask = PageRequest::after(next, 1_000),
            None => return Err(Problem::not_found("version")),
        }
    }
}

/// `GET .../versions/{version}`.
///
/// # Errors
/// As [`list`]; `not_found`.
pub async fn retrieve(account: Account) -> Answer {
    let (file, id) = (account.file().await?, named(&account)?);
    let version = find(&account, &file, &id).await?;
    ok(&view(&account, version))
}

/// `GET .../versions/{version}/contents`.
///
/// # Errors
/// As section 22.6.
pub async fn contents(
    account: Account,
    query: Query,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    let (file, id) = (account.file().await?, named(&account)?);
    let wanted = Wanted::read(&method, &headers, &query)?;
    let range = wanted.range();
    let storage = account.storage_for(Op::VersionsList)?;
    let cx = account.cx();
    let versions = part(&account)?;
    let mut entry = storage.get(&cx, &file).await?;
    // The file's own etag and size are those of its newest content.
    let version = find(&account, &file, &id).await?;
    entry.etag = None;
    entry.size = version.size;
    entry.modified = version.modified;
    if wanted.head {
        return Ok(crate::v1::download::head(&entry, &wanted));
    }
    let content =
        match versions.read(&cx, &file.id, &id, &ReadOptions { range, export: None }).await {
            Err(error) if error.is_declined() && range.is_some() => {
                let whole = versions.read(&cx, &file.id, &id, &ReadOptions::default()).await?;
                return answer(whole, &entry, None, &wanted).await;
            }
            content => content?,
        };
    answer(content, &entry, range, &wanted).await
}

/// `POST .../versions/{version}/restore`.
///
/// # Errors
/// As section 48.
pub async fn restore(account: Account, query: Query) -> Answer {
    let (file, id) = (account.file().await?, named(&account)?);
    let entry = part(&account)?.restore(&account.cx(), &file.id, &id).await?;
    made(false, &Render::new(&account, &query)?.one(entry).await?)
}

/// `DELETE .../versions/{version}`.
///
/// # Errors
/// As section 48.
pub async fn delete(account: Account) -> Answer {
    let (file, id) = (account.file().await?, named(&account)?);
    part(&account)?.delete(&account.cx(), &file.id, &id).await?;
    Ok(empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn ids_of_versions_survive_urls(id in "[^\0]{1,40}") {
            let text = encoded(&id);
            proptest::prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b)));
            proptest::prop_assert_eq!(decoded(&text), Some(id));
        }

        #[test]
        fn reading_never_panics(text: String) {
            let _ = decoded(&text);
        }
    }
}
