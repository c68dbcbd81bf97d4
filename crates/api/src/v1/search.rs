//! `GET /storage/search`, in one account or several (wire API, sections 13, 24.2).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tramontane_connector::storage::SearchQuery;
use tramontane_connector::{EntryKind, Storage as _};
use tramontane_model::{Op, PageRequest};

use crate::account::{Account, Accounts};
use crate::answer::ok;
use crate::objects::Shown;
use crate::paging::TokenPage;
use crate::problem::{Answer, Problem};
use crate::query::Query;
use crate::remembered;
use crate::render::Render;

/// Where the search of each account goes on. Accounts that are finished are left out.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct At(Vec<(i64, Option<String>)>);

/// `GET /storage/search`.
///
/// # Errors
/// As section 24.2; the first account's when all fail.
pub async fn search(Accounts(accounts): Accounts, query: Query) -> Answer {
    let text = query.text("q").map(str::trim).filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| Problem::invalid("q", "must have at least one character"))?;
    let Some(first) = accounts.first() else { return Err(Problem::not_found("account")) };
    let ids: Vec<String> = accounts.iter().map(Account::scope).collect();
    let parents = query.text("parents").unwrap_or_default();
    let context = format!("{}|search|{parents}|{text}", ids.join(","));
    let page = TokenPage::<At>::read(first.app(), &query, context).await?;
    let at = page.at.clone();
    let at = at.unwrap_or_else(|| {
        At(accounts.iter().map(|account| (account.id().number(), None)).collect())
    });
    let share = page.size.div_ceil(at.0.len().max(1)).max(1);
    let open = at.0.iter().filter_map(|(id, cursor)| {
        let account = accounts.iter().find(|account| account.id().number() == *id)?;
        Some((account, cursor.clone()))
    });
    let each = open.map(|(account, cursor)| {
        let query = &query;
        async move { (account, one(account, query, text, cursor, share).await) }
    });
    let mut errors = Vec::new();
    let mut first_problem = None;
    let mut lists = Vec::new();
    let mut next = Vec::new();
    for (account, found) in futures::future::join_all(each).await {
        match found {
            Ok((shown, cursor)) => {
                if let Some(cursor) = cursor {
                    next.push((account.id().number(), Some(cursor)));
                }
                lists.push(shown.into_iter());
            }
            Err(problem) => {
                errors.push(failed(account, &problem));
                first_problem.get_or_insert(problem);
            }
        }
    }
    if let (Some(problem), true) = (first_problem, lists.is_empty()) {
        return Err(problem);
    }
    let next = (!next.is_empty()).then_some(At(next));
    ok(&page.answer("storage", interleaved(lists), next)?.with_errors(errors))
}

/// An account's error in a list of several accounts.
pub(crate) fn failed(account: &Account, problem: &Problem) -> Value {
    let mut body = problem.body(&account.call.request_id);
    if let Value::Object(members) = &mut body {
        members.insert("account".into(), account.id().number().into());
    }
    body
}

async fn one(
    account: &Account,
    query: &Query,
    text: &str,
    cursor: Option<String>,
    limit: usize,
) -> Answer<(Vec<Shown>, Option<String>)> {
    let storage = account.storage_for(Op::SearchName)?;
    let render = Render::new(account, query)?;
    let mut below = Vec::new();
    for id in query.list("parents") {
        below.push(account.object("parents", id, EntryKind::Folder).await?.id);
    }
    if let (Some(places), true) = (account.places(), below.is_empty()) {
        below = places;
    }
    let search = SearchQuery { text: text.to_owned(), below };
    if let Some((entries, next)) =
        remembered::search(account, &search, cursor.as_deref(), limit).await?
    {
        return Ok((render.many(entries).await?, next));
    }
    let cx = account.cx();
    let mut ask = PageRequest { cursor, limit };
    loop {
        let found = storage.search(&cx, &search, &ask).await?;
        match found.next {
            Some(next) if found.items.is_empty() => ask = PageRequest::after(next, limit),
            next => return Ok((render.many(found.items).await?, next)),
        }
    }
}

/// The best of each account, then the second of each, and so on.
fn interleaved<T>(mut lists: Vec<std::vec::IntoIter<T>>) -> Vec<T> {
    let mut all = Vec::new();
    loop {
        let before = all.len();
        all.extend(lists.iter_mut().filter_map(Iterator::next));
        if all.len() == before {
            return all;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_interleaved_by_rank() {
        let lists = vec![vec![1, 4, 6].into_iter(), vec![2].into_iter(), vec![3, 5].into_iter()];
        assert_eq!(interleaved(lists), [1, 2, 3, 4, 5, 6]);
    }
}
