//! Subscriptions: what is watched in an account, and its activity (wire API, section 30).

use serde::Serialize;
use serde_json::Value;
use tramontane_connector::EntryKind;
use tramontane_feeds::Watched;
use tramontane_feeds::following::MAX_RESOURCES;
use tramontane_model::{Code, Kind, NativeId, ResourceId, Timestamp};
use tramontane_store::feeds::Subscription;
use utoipa::ToSchema;

use crate::account::Account;
use crate::answer::{empty, made, ok};
use crate::json::JsonBody;
use crate::paging::NumberPage;
use crate::problem::{Answer, Problem};
use crate::query::Query;

use super::{allowed, read};

/// A subscription on the wire.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Subscription)]
pub(crate) struct One {
    /// Its id.
    id: String,
    /// Always `subscription`.
    r#type: &'static str,
    /// Always `events`.
    api: &'static str,
    /// Where it is retrieved.
    href: String,
    /// The account.
    account: i64,
    /// Whether `/events` is its feed.
    default: bool,
    /// Whether it gets events.
    active: bool,
    /// Always `changes`.
    subscription_type: &'static str,
    /// What it is limited to; empty: everything.
    monitored_resources: Vec<Resource>,
    /// Whether its events keep the service's own JSON of their objects.
    raw_data: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    modified: Timestamp,
}

/// Something that is watched.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MonitoredResource)]
pub(crate) struct Resource {
    /// A folder's id, or `root`.
    id: String,
    /// Always `folder`.
    r#type: &'static str,
}

/// What a subscription is made or changed by.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body alone")]
#[schema(as = SubscriptionChange)]
pub(crate) struct Change {
    /// Whether it gets events.
    active: Option<bool>,
    /// `changes`; it cannot be changed later.
    subscription_type: Option<String>,
    /// Folders to watch with all below them; empty: everything.
    monitored_resources: Option<Vec<Watching>>,
    /// Whether its events keep the service's own JSON of their objects, from now on.
    raw_data: Option<bool>,
    /// On creation: whether this is about the default subscription.
    default: Option<bool>,
}

/// A folder to watch.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body alone")]
#[schema(as = WatchedResource)]
pub(crate) struct Watching {
    /// Its id, or `root`.
    id: String,
    /// `folder`.
    r#type: Option<String>,
}

fn view(account: &Account, row: &Subscription) -> One {
    let watched = Watched::of(row);
    let folders = watched.folders.into_iter().map(|id| Resource {
        id: match account.is_root(&id) {
            true => "root".to_owned(),
            false => ResourceId::new(Kind::Folder, id).to_string(),
        },
        r#type: "folder",
    });
    One {
        id: row.id.clone(),
        r#type: "subscription",
        api: "events",
        href: account.href(&format!("/subscriptions/{}", row.id)),
        account: account.id().number(),
        default: row.is_default,
        active: row.active,
        subscription_type: "changes",
        monitored_resources: folders.collect(),
        raw_data: watched.raw,
        created: Timestamp::from_micros(row.created),
        modified: Timestamp::from_micros(row.modified),
    }
}

async fn all(account: &Account) -> Answer<Vec<Subscription>> {
    Ok(account.app().log().subscriptions(account.id().number()).await?)
}

/// The subscription that the path names.
async fn find(account: &Account) -> Answer<Subscription> {
    let id = account.param("subscription");
    let named = |row: &Subscription| row.id == id || (id == "default" && row.is_default);
    let found = all(account).await?.into_iter().find(named);
    found.ok_or_else(|| Problem::not_found("subscription"))
}

/// Reads `subscription_type`: there is one type yet.
fn check_type(body: &JsonBody) -> Answer<()> {
    match body.text("subscription_type")?.as_deref() {
        None | Some("changes") => Ok(()),
        Some("audit") => {
            let text = "This service has no audit activity here: no connector reads it yet.";
            let problem = Problem::new(Code::NotImplemented, text);
            Err(problem.with_reason("events.changes.read", "connector_incomplete"))
        }
        Some(_) => Err(Problem::invalid("subscription_type", "must be changes or audit")),
    }
}

/// Reads `monitored_resources`; `None` when it is absent.
async fn folders(account: &Account, body: &JsonBody) -> Answer<Option<Vec<NativeId>>> {
    const NAME: &str = "monitored_resources";
    let bad = |rule: &str| Problem::invalid(NAME, rule);
    let list = match body.get(NAME) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(bad("must be a list of objects with an id")),
    };
    if list.len() > MAX_RESOURCES {
        return Err(bad(&format!("may hold at most {MAX_RESOURCES} resources")));
    }
    let mut folders = Vec::with_capacity(list.len());
    for one in list {
        let (id, kind) = match one {
            Value::String(id) => (Some(id.as_str()), None),
            Value::Object(one) => (one.get("id").and_then(Value::as_str), one.get("type")),
            _ => (None, None),
        };
        if kind.is_some_and(|kind| !kind.is_null() && kind != "folder") {
            return Err(bad("may hold resources of type folder alone"));
        }
        let id = id.ok_or_else(|| bad("must be a list of objects with an id"))?;
        let folder = account.object(NAME, id, EntryKind::Folder).await?.id;
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    Ok(Some(folders))
}

/// `GET .../subscriptions`.
///
/// # Errors
/// As section 7.
pub(crate) async fn list(account: Account, query: Query) -> Answer {
    account.require_everywhere()?;
    let context = format!("subscriptions {}", account.id());
    let page = NumberPage::read(account.app(), &query, context).await?;
    let rows = all(&account).await?;
    let total = rows.len() as u64;
    let shown = page.of(rows).iter().map(|row| view(&account, row)).collect();
    ok(&page.answer("events", total, shown)?)
}

/// `POST .../subscriptions`: an empty body makes the default one, or gives it.
///
/// # Errors
/// As section 30.
pub(crate) async fn create(account: Account, body: JsonBody) -> Answer {
    allowed(&account)?;
    check_type(&body)?;
    let (folders, active) = (folders(&account, &body).await?, body.flag("active")?);
    let raw = body.flag("raw_data")?;
    let bare =
        folders.is_none() && active.is_none() && raw.is_none() && !body.has("subscription_type");
    let default = body.flag("default")?.unwrap_or(bare);
    let (following, id) = (account.app().following(), account.id().number());
    let watched = Watched { folders: folders.unwrap_or_default(), raw: raw.unwrap_or(false) };
    if default {
        let (row, new) = following.follow(id, &watched).await?;
        // What is there stays as it is, but for one that is made switched off.
        let row = match (new, active) {
            (true, Some(false)) => following.change(row, false, &watched).await?,
            _ => Some(row),
        };
        let row = row.ok_or_else(|| Problem::not_found("subscription"))?;
        return made(new, &view(&account, &row));
    }
    let row = following.add(id, &watched, active.unwrap_or(true)).await?;
    made(true, &view(&account, &row))
}

/// `GET .../subscriptions/{subscription}`.
///
/// # Errors
/// `not_found`.
pub(crate) async fn retrieve(account: Account) -> Answer {
    account.require_everywhere()?;
    ok(&view(&account, &find(&account).await?))
}

/// `PATCH .../subscriptions/{subscription}`.
///
/// # Errors
/// As section 30.
pub(crate) async fn update(account: Account, body: JsonBody) -> Answer {
    allowed(&account)?;
    check_type(&body)?;
    let (active, folders) = (body.flag("active")?, folders(&account, &body).await?);
    let raw = body.flag("raw_data")?;
    let row = find(&account).await?;
    let active = active.unwrap_or(row.active);
    let before = Watched::of(&row);
    let watched =
        Watched { folders: folders.unwrap_or(before.folders), raw: raw.unwrap_or(before.raw) };
    let changed = account.app().following().change(row, active, &watched).await?;
    let row = changed.ok_or_else(|| Problem::not_found("subscription"))?;
    ok(&view(&account, &row))
}

/// `DELETE .../subscriptions/{subscription}`.
///
/// # Errors
/// `not_found`.
pub(crate) async fn delete(account: Account) -> Answer {
    account.require_everywhere()?;
    let row = find(&account).await?;
    match account.app().following().end(row.account, &row.id).await? {
        true => Ok(empty()),
        false => Err(Problem::not_found("subscription")),
    }
}

/// `GET .../subscriptions/{subscription}/activity`.
///
/// # Errors
/// As section 29.1.
pub(crate) async fn activity(account: Account, query: Query) -> Answer {
    allowed(&account)?;
    let row = find(&account).await?;
    read::page(&account, row.feed, &query).await
}

/// `GET .../subscriptions/{subscription}/activity/latest`.
///
/// # Errors
/// `not_found`.
pub(crate) async fn latest(account: Account) -> Answer {
    allowed(&account)?;
    let row = find(&account).await?;
    read::newest(&account, row.feed).await
}
