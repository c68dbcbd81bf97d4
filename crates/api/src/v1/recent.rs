//! `GET /storage/recent`, of one account or several (wire API, sections 13, 24.1).

use std::cmp::Reverse;
use std::collections::HashMap;

use tokio::time::Instant;
use tramontane_connector::{Entry, Storage as _};
use tramontane_model::{Op, Timestamp};

use crate::account::{Account, Accounts};
use crate::answer::ok;
use crate::paging::NumberPage;
use crate::problem::{Answer, Problem};
use crate::query::Query;
use crate::remembered;
use crate::render::Render;
use crate::v1::search::failed;

/// At most so many files are offered (D24).
const MOST: usize = 1_000;

/// `GET /storage/recent`.
///
/// # Errors
/// As section 24.1; the first account's when all fail.
pub async fn recent(Accounts(accounts): Accounts, query: Query) -> Answer {
    let Some(first) = accounts.first() else { return Err(Problem::not_found("account")) };
    for account in &accounts {
        if !account.application()?.recent_enabled {
            return Err(Problem::forbidden("Recent files are switched off for this application."));
        }
        account.require_everywhere()?;
    }
    let ids: Vec<String> = accounts.iter().map(Account::scope).collect();
    let after = query.text("after");
    let context = format!("{}|recent|{}", ids.join(","), after.unwrap_or_default());
    let page = NumberPage::read(first.app(), &query, context).await?;
    let after = match after.map(Timestamp::parse) {
        // What is no moment has nothing after it.
        Some(None) => return ok(&page.answer::<()>("storage", 0, Vec::new())?),
        Some(Some(after)) => Some(after),
        None => None,
    };
    let each = accounts.iter().map(|account| async move { (account, one(account, after).await) });
    let mut errors = Vec::new();
    let mut first_problem = None;
    let mut all: Vec<(&Account, Entry)> = Vec::new();
    let mut noticed = Vec::new();
    let mut fine = false;
    for (account, found) in futures::future::join_all(each).await {
        match found {
            Ok((entries, by_events)) => {
                fine = true;
                noticed.extend(by_events.then(|| account.id()));
                all.extend(entries.into_iter().map(|entry| (account, entry)));
            }
            Err(problem) => {
                errors.push(failed(account, &problem));
                first_problem.get_or_insert(problem);
            }
        }
    }
    if let (Some(problem), false) = (first_problem, fine) {
        return Err(problem);
    }
    all.retain(|(_, entry)| {
        !entry.is_folder()
            && entry.modified.is_some_and(|modified| after.is_none_or(|after| modified > after))
    });
    all.sort_by(|(_, one), (_, other)| {
        let key = |entry: &Entry| (Reverse(entry.modified), entry.id.clone());
        key(one).cmp(&key(other))
    });
    all.truncate(MOST);
    let total = all.len() as u64;
    let mut shown = Vec::new();
    let offered: Vec<(&Account, Entry)> = page.of(all).into_iter().collect();
    let mut present = HashMap::new();
    for account in accounts.iter().filter(|account| noticed.contains(&account.id())) {
        let own = offered.iter().filter(|(of, _)| of.id() == account.id());
        let of = own.map(|(_, entry)| entry.reference()).collect();
        let (storage, cx) = (account.storage()?, account.cx());
        let enough = Instant::now() + cx.time_left();
        let (entries, _) = remembered::present(storage, &cx, of, enough).await?;
        let own = entries.into_iter().map(|entry| ((account.id(), entry.id.clone()), entry));
        present.extend(own);
    }
    for (account, entry) in offered {
        let entry = if noticed.contains(&account.id()) {
            // What is gone by now is left out.
            let Some(entry) = present.remove(&(account.id(), entry.id)) else { continue };
            entry
        } else {
            entry
        };
        // One account's objects follow each other seldom here, so each is rendered by itself.
        shown.extend(Render::new(account, &query)?.many(vec![entry]).await?);
    }
    ok(&page.answer("storage", total, shown)?.with_errors(errors))
}

/// The newest files of an account, and whether they are as they were when they were noticed.
async fn one(account: &Account, after: Option<Timestamp>) -> Answer<(Vec<Entry>, bool)> {
    let storage = account.storage_for(Op::RecentList)?;
    if let Some(entries) = remembered::recent(account, after, MOST).await? {
        return Ok((entries, true));
    }
    Ok((storage.recent(&account.cx(), after, MOST).await?, false))
}
