//! Search by name and the newest files, with DASL's basic search (RFC 5323), which Nextcloud speaks.

use http::header;
use quick_xml::escape::escape;
use tramontane_connector::storage::SearchQuery;
use tramontane_connector::{Entry, EntryKind, EntryRef, Error, Kind, Result};
use tramontane_model::{NativeId, Op, Page, PageRequest, Timestamp};

use crate::webdav::dav::Dav;
use crate::webdav::listing::UPLOAD_PREFIX;
use crate::webdav::path::{self, Href};
use crate::webdav::profile::Cloud;
use crate::webdav::props::{self, Facts};

/// The entries whose name holds the words, ignoring case. The cursor is how many were seen.
pub(in crate::webdav) async fn by_name(
    dav: &Dav<'_>,
    parts: &Cloud,
    query: &SearchQuery,
    page: &PageRequest,
) -> Result<Page<Entry>> {
    let root = NativeId::new("/");
    let scope = match query.below.as_slice() {
        [] => &root,
        [one] => one,
        // Nextcloud takes one scope.
        _ => return Err(Error::declined(Op::SearchName)),
    };
    if scope != &root {
        dav.get(&EntryRef::folder(scope.clone())).await?;
    }
    let from = match &page.cursor {
        Some(cursor) => cursor.parse::<usize>().map_err(|_| {
            Error::new(Kind::CursorExpired, "The cursor cannot be read. Search again.")
        })?,
        None => 0,
    };
    // `%` and `_` are wildcards that cannot be escaped everywhere; what they match too much is
    // left out below.
    let wanted = query.text.to_lowercase();
    let literal = format!("%{}%", query.text);
    let condition = format!(
        "<d:like><d:prop><d:displayname/></d:prop><d:literal>{}</d:literal></d:like>",
        escape(&literal)
    );
    let limit = page.limit.clamp(1, 500);
    let body = request(parts, scope, &condition, "", from, limit)?;
    let (found, seen) = run(dav, parts, body).await?;
    let next = (seen >= limit).then(|| (from + seen).to_string());
    let items = found.into_iter().filter(|entry| entry.name.to_lowercase().contains(&wanted));
    Ok(Page { items: items.collect(), next })
}

/// The files that changed last.
pub(in crate::webdav) async fn recent(
    dav: &Dav<'_>,
    parts: &Cloud,
    after: Option<Timestamp>,
    limit: usize,
) -> Result<Vec<Entry>> {
    let since = after.unwrap_or_else(|| Timestamp::from_seconds(0));
    let condition = format!(
        "<d:and><d:gt><d:prop><d:getlastmodified/></d:prop><d:literal>{}</d:literal></d:gt>\
         <d:not><d:is-collection/></d:not></d:and>",
        Timestamp::from_seconds(since.seconds())
    );
    let order = "<d:order><d:prop><d:getlastmodified/></d:prop><d:descending/></d:order>";
    let root = NativeId::new("/");
    let body = request(parts, &root, &condition, order, 0, limit.clamp(1, 1_000))?;
    let (mut found, _) = run(dav, parts, body).await?;
    found.retain(|entry| {
        entry.kind == EntryKind::File && after.is_none_or(|after| entry.modified > Some(after))
    });
    found.sort_by_key(|entry| std::cmp::Reverse(entry.modified));
    found.truncate(limit);
    Ok(found)
}

fn request(
    parts: &Cloud,
    scope: &NativeId,
    condition: &str,
    order: &str,
    from: usize,
    limit: usize,
) -> Result<String> {
    let mut href = format!("/files/{}", path::encode(&parts.user));
    let below = parts.below.iter().map(String::as_str);
    for segment in below.chain(path::segments(scope)?) {
        href.push('/');
        href.push_str(&path::encode(segment));
    }
    Ok(format!(
        r#"<?xml version="1.0" encoding="utf-8"?><d:searchrequest xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns" xmlns:nc="http://nextcloud.org/ns"><d:basicsearch><d:select><d:prop>{}{}</d:prop></d:select><d:from><d:scope><d:href>{}</d:href><d:depth>infinity</d:depth></d:scope></d:from><d:where>{condition}</d:where><d:orderby>{order}</d:orderby><d:limit><d:nresults>{limit}</d:nresults><ns:firstresult xmlns:ns="https://github.com/icewind1991/SearchDAV/ns">{from}</ns:firstresult></d:limit></d:basicsearch></d:searchrequest>"#,
        props::PLAIN,
        props::OC,
        escape(&href),
    ))
}

/// The entries that were found, and how many responses there were.
async fn run(dav: &Dav<'_>, parts: &Cloud, body: String) -> Result<(Vec<Entry>, usize)> {
    let mut files_root = path::url_segments(&parts.dav);
    files_root.extend(["files".to_owned(), parts.user.clone()]);
    let request = Dav::request("search", "SEARCH", parts.dav.clone())
        .header(header::CONTENT_TYPE, "text/xml")
        .bytes(body);
    let (mut found, mut seen) = (Vec::new(), 0);
    dav.find(request, |item| {
        seen += 1;
        let href = Href::parse(&item.href, &[]);
        let id = href.and_then(|href| parts.id(href.below(&files_root)?));
        if let Some(id) = id.filter(|id| path::split(id).is_some()) {
            let entry = Facts::of(&item, dav.cx.raw).entry(&id);
            if !entry.name.starts_with(UPLOAD_PREFIX) {
                found.push(entry);
            }
        }
        Ok(())
    })
    .await?;
    Ok((found, seen))
}
