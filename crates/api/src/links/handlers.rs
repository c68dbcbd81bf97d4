//! The endpoints of links.

use axum::extract::State;
use tramontane_model::{Code, Op};
use tramontane_store::links::{self, Link};

use super::native::Write;
use super::{Wish, entry, kind_of, make, native, target, view};
use crate::account::{Account, Accounts};
use crate::answer;
use crate::json::JsonBody;
use crate::paging::NumberPage;
use crate::problem::{Answer, Problem};
use crate::query::Query;
use crate::state::App;

/// Lists the links of one or several accounts, the newest first.
pub(crate) async fn list(
    State(app): State<App>,
    Accounts(accounts): Accounts,
    query: Query,
) -> Answer {
    let active = query.flag("active")?;
    let ids: Vec<i64> = accounts.iter().map(|account| account.id().number()).collect();
    let page = NumberPage::read(&app, &query, format!("links {ids:?} {active:?}")).await?;
    for account in &accounts {
        account.require_everywhere()?;
    }
    let total = links::count(app.db(), &ids, active).await?;
    let rows = links::list(app.db(), &ids, active, page.slice()).await?;
    let objects = rows.iter().filter_map(|row| {
        let account = accounts.iter().find(|account| account.id().number() == row.account)?;
        Some(serde_json::to_value(view(account, row)))
    });
    let objects = objects.collect::<Result<_, _>>().map_err(Problem::internal)?;
    answer::ok(&page.answer("storage", u64::try_from(total).unwrap_or(0), objects)?)
}

/// Makes a link.
pub(crate) async fn create(account: Account, body: JsonBody) -> Answer {
    let wish = Wish::read(&body)?;
    account.storage_for(Op::LinkCreate)?;
    let entry = target(&account, &body).await?;
    let row = make(&account, &entry, &wish).await?;
    answer::made(true, &view(&account, &row))
}

/// One link. The service is asked whether one of its own is still there.
pub(crate) async fn retrieve(account: Account, query: Query) -> Answer {
    let Found { account, mut row } = find(account).await?;
    native::look(&account, &mut row).await?;
    if query.flag("active")?.is_some_and(|active| active != row.active) {
        return Err(Problem::not_found("link"));
    }
    answer::ok(&view(&account, &row))
}

/// Changes a link.
pub(crate) async fn update(account: Account, body: JsonBody) -> Answer {
    let Found { account, mut row } = find(account).await?;
    let wish = Wish::read(&body)?;
    let before = row.clone();
    if wish.direct == Some(true) && !row.direct {
        let of = account.object("file_id", &row.resource_id, kind_of(&row)).await?;
        let entry = entry(&account, &of).await?;
        if !entry.is_folder() && !entry.downloadable {
            let text = "The file has no content to download, so the link cannot be direct.";
            return Err(Problem::new(Code::RequestFailed, text));
        }
    }
    wish.apply(&mut row).await?;
    native::follow(&account, &before, &mut row, &wish).await?;
    if row != before {
        row.modified = account.app().now().micros();
        if !native::keep(&account, &mut row, Write::Update).await? {
            return Err(Problem::not_found("link"));
        }
    }
    answer::ok(&view(&account, &row))
}

/// Removes a link, at the service too when it is one of its own.
pub(crate) async fn delete(account: Account) -> Answer {
    let Found { account, row } = find(account).await?;
    native::remove(&account, &row).await?;
    if links::delete(account.app().db(), account.id().number(), &row.id).await? {
        Ok(answer::empty())
    } else {
        Err(Problem::not_found("link"))
    }
}

/// A link, with the account as the member that the link was made as.
struct Found {
    account: Account,
    row: Link,
}

/// The link that the path names, to a file that the credential reaches.
async fn find(account: Account) -> Answer<Found> {
    let db = account.app().db();
    let row = links::find_of(db, account.id().number(), account.param("link")).await?;
    let row = row.ok_or_else(|| Problem::not_found("link"))?;
    let account = account.acting_as(row.as_user.as_deref());
    if account.places().is_some() {
        let of = account.object("file_id", &row.resource_id, kind_of(&row)).await;
        of.map_err(|_| Problem::not_found("link"))?;
    }
    Ok(Found { account, row })
}
