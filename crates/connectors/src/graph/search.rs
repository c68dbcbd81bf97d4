//! Search. Sources: "Search for driveItems in a drive" ("values may be matched across several fields
//! including filename, metadata, and file content") and, over all of SharePoint, "searchEntity: query".

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tramontane_connector::storage::SearchQuery;
use tramontane_connector::{Entry, Error, Kind, Repeat, Result};
use tramontane_model::{NativeId, Page, PageRequest};

use super::Flavour;
use super::api::{Client, collection};
use super::id::Id;
use super::names::quoted;

/// The longest text that is searched for, in bytes.
const MAX_TEXT: usize = 500;

/// Where a search is: the folder, by its place in the query, and the page or offset in it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Cursor {
    folder: usize,
    next: Option<String>,
    from: u64,
}

impl Cursor {
    fn read(text: Option<&str>) -> Result<Self> {
        let Some(text) = text else { return Ok(Self::default()) };
        serde_json::from_str(text).map_err(|cause| {
            let text = "This cursor cannot be read. Start again.";
            Error::new(Kind::CursorExpired, text).because(cause)
        })
    }

    fn written(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }
}

pub(super) async fn search(
    client: Client<'_>,
    query: &SearchQuery,
    page: &PageRequest,
) -> Result<Page<Entry>> {
    if query.text.len() > MAX_TEXT {
        return Err(Error::invalid("q must be at most 500 bytes long."));
    }
    let cursor = Cursor::read(page.cursor.as_deref())?;
    let everywhere = query.below.is_empty();
    if everywhere && client.api.flavour == Flavour::Sharepoint {
        return all(client, query, page, &cursor).await;
    }
    let own = [Id::Root.native()];
    let below: &[NativeId] = if everywhere { &own } else { &query.below };
    let Some(folder) = below.get(cursor.folder) else { return Ok(Page::last(Vec::new())) };
    let id = Id::parse(folder)?;
    if matches!(id, Id::Site(_)) || (client.api.flavour == Flavour::Sharepoint && id == Id::Root) {
        return Err(Error::invalid(
            "parents must be folders inside of libraries; leave it out to search everywhere.",
        ));
    }
    let request = match &cursor.next {
        Some(next) => client.next("search", next)?,
        None => {
            let path = client.path(&id)?;
            let path = format!("{path}/search(q='{}')?$top={}", quoted(&query.text), page.limit);
            client.request("search", Method::GET, &path)?
        }
    };
    let (found, next) = collection(client.json(request).await?)?;
    let mut items = Vec::with_capacity(found.len());
    for value in found {
        items.push(client.entry(value).await?);
    }
    let here = Cursor { folder: cursor.folder, next, from: 0 };
    let next = match here.next {
        Some(_) => here.written(),
        None if cursor.folder + 1 < below.len() => {
            Cursor { folder: cursor.folder + 1, ..Cursor::default() }.written()
        }
        None => None,
    };
    Ok(Page { items, next })
}

/// Over everything that the account may see.
async fn all(
    client: Client<'_>,
    query: &SearchQuery,
    page: &PageRequest,
    cursor: &Cursor,
) -> Result<Page<Entry>> {
    let body = json!({"requests": [{
        "entityTypes": ["driveItem"],
        "query": {"queryString": literal(&query.text)},
        "from": cursor.from,
        "size": page.limit.min(200),
    }]});
    let request = client.with("search_query", Method::POST, "search/query", &body)?;
    let answer = client.json(request.repeat(Repeat::Yes)).await?;
    let container = answer.pointer("/value/0/hitsContainers/0").cloned().unwrap_or_default();
    let hits = container.get("hits").and_then(Value::as_array).cloned().unwrap_or_default();
    let count = hits.len() as u64;
    let mut items = Vec::with_capacity(hits.len());
    for hit in hits {
        let resource = hit.get("resource").cloned().unwrap_or_default();
        items.push(client.entry(resource).await?);
    }
    let more = container.get("moreResultsAvailable").and_then(Value::as_bool).unwrap_or(false);
    let next = (more && count > 0)
        .then(|| Cursor { from: cursor.from + count, ..Cursor::default() }.written())
        .flatten();
    Ok(Page { items, next })
}

/// Words of a text as words, not as the query language (KQL) that they may look like: each in quotes.
fn literal(text: &str) -> String {
    let words = text.split_whitespace().map(|word| format!("\"{}\"", word.replace('"', " ")));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words() {
        assert_eq!(literal("a OR author:\"x\""), "\"a\" \"OR\" \"author: x \"");
        assert!(Cursor::read(Some("zz")).is_err() && Cursor::read(None).is_ok());
    }
}
