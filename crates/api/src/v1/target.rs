//! Where a copy or a move goes: the same account, another one, or an upload location (wire API,
//! sections 20.7, 22.4, 22.5); and the link that may be asked for with it.

use axum::response::Response;
use serde_json::Value;
use tramontane_connector::{Entry, EntryKind, EntryRef};
use tramontane_model::{AccountId, NativeId, ResourceId};
use tramontane_store::locations::{self, Location};

use crate::account::Account;
use crate::answer::made;
use crate::json::JsonBody;
use crate::objects::Shown;
use crate::problem::{Answer, Problem};
use crate::query::Query;

/// The account and the folder that something goes to.
#[derive(Clone, Debug)]
pub struct Target {
    /// The account; `None` is the same one.
    pub account: Option<Account>,
    /// The folder; `None` when none was named.
    pub parent: Option<NativeId>,
}

impl Target {
    /// Reads `account` and `parent_id` of a body.
    ///
    /// # Errors
    /// As section 4.3 for the other account; `invalid_parent_folder`, `invalid_parameters`.
    pub async fn read(account: &Account, body: &JsonBody) -> Answer<Self> {
        if body.get("account").and_then(Value::as_str) == Some("upload_location") {
            return location(account, body).await;
        }
        let number = body.number("account", 1, i64::from(i32::MAX))?;
        let other = match number.and_then(AccountId::new).filter(|id| *id != account.id()) {
            None => None,
            Some(id) => Some(account.other(id).await?),
        };
        let parent = match body.get("parent_id") {
            None | Some(Value::Null) => None,
            Some(_) => {
                let id = body.required_text("parent_id")?;
                Some(other.as_ref().unwrap_or(account).parent(&id).await?)
            }
        };
        Ok(Self { account: other, parent })
    }
}

/// The upload location that a body means. The caller's credential needs no access to its account.
async fn location(account: &Account, body: &JsonBody) -> Answer<Target> {
    let application = account.application_id();
    let number = body.number("drop_account", 1, i64::from(i32::MAX))?;
    let folder = body.text("parent_id")?.filter(|id| !id.is_empty());
    let all = locations::list(account.app().db(), application).await?;
    let mut candidates: Vec<Location> =
        all.into_iter().filter(|one| number.is_none_or(|number| one.account == number)).collect();
    if number.is_none() && folder.is_none() {
        candidates.retain(|one| one.is_default);
    }
    for location in candidates {
        let Some(id) = AccountId::new(location.account) else { continue };
        let opened = account.app().directory().account_of(application, id).await?;
        opened.require_active()?;
        let target =
            Account::of_server(account.app(), &account.call, account.caller.clone(), opened);
        let home = target.parent(&location.folder_id).await?;
        let Some(wanted) = &folder else {
            return Ok(Target { account: Some(target), parent: Some(home) });
        };
        let wanted = target.parent(wanted).await?;
        if wanted == home {
            return Ok(Target { account: Some(target), parent: Some(home) });
        }
        if location.allow_subfolders {
            let inside = target.limited_to(&location.folder_id);
            if inside.confine(&EntryRef::folder(wanted.clone())).await.is_ok() {
                return Ok(Target { account: Some(target), parent: Some(wanted) });
            }
        }
    }
    Err(Problem::not_found("upload location"))
}

/// The answer for a new file, with a link when one was asked for.
///
/// # Errors
/// `invalid_parameters` for the options; what making the link gives.
pub async fn with_link(
    account: &Account,
    query: &Query,
    entry: &Entry,
    mut shown: Shown,
    created: bool,
) -> Answer<Response> {
    if query.flag("link")? == Some(true) && entry.kind == EntryKind::File {
        let options = match query.text("link_options") {
            None => JsonBody::default(),
            Some(text) => JsonBody::parse(text.as_bytes().to_vec())
                .map_err(|_| Problem::invalid("link_options", "must be a JSON object"))?,
        };
        let wish = crate::links::Wish::read(&options)?;
        // The file is there by now: what a service says against its own link must not spoil that.
        let link = match wish.is_for_native() {
            true => crate::links::make(account, entry, &wish).await?,
            false => crate::links::make_own(account, entry, &wish).await?,
        };
        let url = crate::links::url(account, &link);
        match &mut shown {
            Shown::Whole(object) => object.extra().link = Some(url),
            Shown::Part(members) => {
                members.insert("link".into(), url.into());
            }
        }
    }
    made(created, &shown)
}

/// Our id of an entry, for messages.
#[must_use]
pub fn id_of(entry: &Entry) -> ResourceId {
    entry.reference().resource()
}
