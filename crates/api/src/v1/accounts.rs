//! Accounts: list, import, retrieve, update, delete, check; ids from raw ids (wire API, section 17).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use http::{HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tramontane_accounts::connect::try_credential;
use tramontane_accounts::form::{self, By};
use tramontane_accounts::upstream::{Revoked, replaced};
use tramontane_accounts::{
    AccountChange, AccountFilter, AccountRow, Allowance, Caller, CredentialState, NewAccount,
    Opened, Refusal, Verb,
};
use tramontane_connector::oauth::SERVICE_ACCOUNT;
use tramontane_connector::{Connector, Kind};
use tramontane_model::{Code, Kind as IdKind, NativeId, ResourceId, Timestamp};
use utoipa::ToSchema;

use crate::account::{Account, AnyAccount};
use crate::answer::{empty, made, ok};
use crate::call::Call;
use crate::caller::{ApiKey, Known};
use crate::json::JsonBody;
use crate::paging::NumberPage;
use crate::problem::{Answer, Problem};
use crate::query::Query;
use crate::state::App;

/// An account on the wire.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Account)]
pub struct One {
    /// Its id.
    pub id: i64,
    /// Always `account`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Always `core`.
    pub api: &'static str,
    /// Where it is retrieved.
    pub href: String,
    /// What people know it by.
    pub account: String,
    /// The service's id.
    pub service: String,
    /// The service's name for people.
    pub service_name: String,
    /// Whether it has organisation-wide access.
    pub admin: bool,
    /// Whether it may be used.
    pub active: bool,
    /// As `active`.
    pub enabled: bool,
    /// Kept for compatibility.
    pub internal_use: bool,
    /// The APIs that it takes part in.
    pub apis: Vec<&'static str>,
    /// Granted scopes.
    pub effective_scope: String,
    /// When it was connected.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    pub modified: Timestamp,
    /// When the service's token ends.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub token_expiry: Option<Timestamp>,
    /// When the service's refresh token ends.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub refresh_token_expiry: Option<Timestamp>,
    /// What the application noted.
    #[schema(value_type = Object)]
    pub custom_properties: Value,
    /// Kept for compatibility.
    #[schema(value_type = Object)]
    pub object_definitions: Map<String, Value>,
    /// Kept for compatibility.
    pub proxy_connection: Option<String>,
    /// Whether the credential works.
    pub credential: Health,
    /// With `retrieve_full=true`: `capabilities`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub properties: Option<Value>,
}

/// Whether a credential works.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CredentialHealth)]
pub struct Health {
    /// `ok`, `failing`, `dead`.
    pub state: &'static str,
    /// Why, as a code.
    pub reason: Option<String>,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

fn view(app: &App, call: &Call, row: &AccountRow) -> One {
    let about = app.registry().get(&row.service).map(|connector| connector.descriptor());
    let noted = match &row.custom_properties {
        Value::Object(noted) => Value::Object(noted.clone()),
        _ => json!({}),
    };
    let apis = about.map(|about| about.apis.to_vec()).unwrap_or_default();
    let scope = if row.scope.is_empty() { scope(&row.service, &apis) } else { row.scope.clone() };
    One {
        id: row.id,
        kind: "account",
        api: "core",
        href: format!("{}/v1/accounts/{}", call.base, row.id),
        account: row.display.clone(),
        service: row.service.clone(),
        service_name: about.map_or_else(|| row.service.clone(), |one| one.friendly_name.to_owned()),
        admin: row.admin,
        active: row.active,
        enabled: row.active,
        internal_use: false,
        apis,
        effective_scope: scope,
        created: Timestamp::from_micros(row.created),
        modified: Timestamp::from_micros(row.modified),
        token_expiry: row.token_expiry.map(Timestamp::from_micros),
        refresh_token_expiry: row.refresh_token_expiry.map(Timestamp::from_micros),
        custom_properties: noted,
        object_definitions: Map::new(),
        proxy_connection: None,
        credential: Health {
            state: row.credential_state.as_str(),
            reason: row.credential_reason.clone(),
            since: Timestamp::from_micros(row.credential_since),
        },
        properties: None,
    }
}

fn scope(service: &str, apis: &[&str]) -> String {
    let each = apis.iter().map(|api| format!("{service}:normal.{api}.default:kloudless"));
    each.collect::<Vec<_>>().join(" ")
}

/// `active` or its other name.
fn active(query: &Query) -> Answer<Option<bool>> {
    Ok(query.flag("active")?.or(query.flag("enabled")?))
}

/// `GET /v1/accounts`.
///
/// # Errors
/// As sections 4 and 7.
pub async fn list(
    State(app): State<App>,
    Known(caller): Known,
    call: Call,
    query: Query,
) -> Answer {
    let mut noted = Map::new();
    for (name, value) in query.iter() {
        let key = name.strip_prefix("custom_properties[").and_then(|rest| rest.strip_suffix(']'));
        if let Some(key) = key.filter(|_| !value.is_empty()) {
            noted.insert(key.to_owned(), value.into());
        }
    }
    let filter = AccountFilter {
        active: active(&query)?,
        admin: query.flag("admin")?,
        service: query.text("service").map(str::to_owned),
        display: query.text("account").map(str::to_owned),
        custom_properties: (!noted.is_empty()).then_some(Value::Object(noted)),
    };
    let context = format!("{}|accounts|{filter:?}", caller.owner());
    let page = NumberPage::read(&app, &query, context).await?;
    let (rows, total) = match &caller {
        Caller::Key(key) => {
            let id = &key.application.id;
            app.directory().accounts(id, &filter, page.slice()).await?
        }
        _ => {
            let mut rows = Vec::new();
            for id in caller.me() {
                let opened = app.directory().open(id).await?;
                rows.extend(
                    opened.map(|opened| opened.row.clone()).filter(|row| fits(row, &filter)),
                );
            }
            rows.sort_by_key(|row| row.id);
            let total = i64::try_from(rows.len()).unwrap_or(i64::MAX);
            (page.of(rows), total)
        }
    };
    let shown = rows.iter().map(|row| view(&app, &call, row)).collect();
    ok(&page.answer("core", u64::try_from(total).unwrap_or(0), shown)?)
}

fn fits(row: &AccountRow, filter: &AccountFilter) -> bool {
    let noted = |wanted: &Value| match (wanted, &row.custom_properties) {
        (Value::Object(wanted), Value::Object(own)) => {
            wanted.iter().all(|(key, value)| own.get(key) == Some(value))
        }
        _ => false,
    };
    filter.active.is_none_or(|active| row.active == active)
        && filter.admin.is_none_or(|admin| row.admin == admin)
        && filter.service.as_ref().is_none_or(|service| row.service == *service)
        && filter.display.as_ref().is_none_or(|display| row.display == *display)
        && filter.custom_properties.as_ref().is_none_or(noted)
}

/// Says what came of `?revoke=true`: `done`, `not_possible` (the service cannot, or the account holds
/// no grant), `failed`. The account is deleted in any case.
const REVOKED: HeaderName = HeaderName::from_static("tramontane-revoked");

/// Members of an import or an update that are not the connector's fields.
const OWN_MEMBERS: [&str; 10] = [
    "account",
    "service",
    "admin",
    "active",
    "enabled",
    "custom_properties",
    "token_expiry",
    "refresh_token_expiry",
    "monitor_team_drives",
    "account_id",
];

/// What a body gives for the connector's fields. Lists and objects are no fields of anyone.
fn given(body: &JsonBody) -> BTreeMap<String, Option<String>> {
    let members = body.members().iter().filter(|(name, _)| !OWN_MEMBERS.contains(&name.as_str()));
    members
        .filter_map(|(name, value)| match value {
            Value::Null => Some((name.clone(), None)),
            Value::String(text) => Some((name.clone(), Some(text.clone()))),
            Value::Number(_) | Value::Bool(_) => Some((name.clone(), Some(value.to_string()))),
            Value::Array(_) | Value::Object(_) => None,
        })
        .collect()
}

fn noted(body: &JsonBody) -> Answer<BTreeMap<String, Option<String>>> {
    let rule = "must be an object of strings";
    let members = match body.get("custom_properties") {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(members)) => members,
        Some(_) => return Err(Problem::invalid("custom_properties", rule)),
    };
    let each = members.iter().map(|(key, value)| match value {
        Value::Null => Ok((key.clone(), None)),
        Value::String(text) => Ok((key.clone(), Some(text.clone()))),
        Value::Number(_) | Value::Bool(_) => Ok((key.clone(), Some(value.to_string()))),
        _ => Err(Problem::invalid("custom_properties", rule)),
    });
    each.collect()
}

/// A moment, when the member is there; `null` and `""` forget it.
fn expiry(body: &JsonBody, name: &str) -> Answer<Option<Option<i64>>> {
    if !body.has(name) {
        return Ok(None);
    }
    // Existing clients send seconds since 1970 as well.
    if let Some(Value::Number(number)) = body.get(name) {
        let micros = number.as_i64().map(|seconds| seconds.saturating_mul(1_000_000));
        return Ok(Some(micros));
    }
    Ok(Some(body.time(name)?.map(Timestamp::micros)))
}

/// `POST /v1/accounts`.
///
/// # Errors
/// As section 17.2.
pub async fn import(
    State(app): State<App>,
    ApiKey(key): ApiKey,
    call: Call,
    query: Query,
    body: JsonBody,
) -> Answer {
    let verify = query.flag("verify")?.unwrap_or(false);
    let display = body.required_text("account")?;
    let service = body.required_text("service")?;
    let connector = app.registry().get(&service).cloned().ok_or_else(|| {
        let names = app.registry().names().join(", ");
        Problem::invalid("service", format!("must be one of {names}"))
    })?;
    let admin = body.flag("admin")?.unwrap_or(false);
    let (mut settings, credential) =
        form::fill(connector.as_ref(), &given(&body), By::Application, false)?;
    if credential.get(SERVICE_ACCOUNT).is_some() && !admin {
        return Err(Problem::invalid("admin", "must be true for a service account"));
    }
    let mut identity = None;
    let new_properties = noted(&body)?;
    let (mut token, mut refresh) = (
        expiry(&body, "token_expiry")?.flatten(),
        expiry(&body, "refresh_token_expiry")?.flatten(),
    );
    let mut kept = credential;
    if verify {
        let (id, lent) = (&key.application.id, app.lent().clone());
        let ready = app.grants().prepare(id, connector.as_ref(), admin, &settings, kept).await?;
        let tried = try_credential(connector.as_ref(), settings, ready.tried, admin, lent);
        let (whose, learnt) = tried.await?;
        (settings, kept) = (learnt, ready.kept);
        token = ready.token_expiry.or(token);
        refresh = ready.refresh_token_expiry.or(refresh);
        identity = Some(whose.id);
    }
    let new = NewAccount {
        scope: scope(&service, connector.descriptor().apis),
        service,
        admin,
        identity,
        display,
        settings,
        credential: kept,
        custom_properties: new_properties,
        token_expiry: token,
        refresh_token_expiry: refresh,
    };
    let imported = app.directory().import(&key.application.id, new).await?;
    made(imported.created, &view(&app, &call, &imported.opened.row))
}

/// Whether a caller may see the account's own resource: a switched-off account is closed to its own
/// token.
fn require_open(account: &Account) -> Answer<()> {
    match account.caller {
        Caller::Tokens(_) => Ok(account.opened.require_active()?),
        _ => Ok(()),
    }
}

/// Changing the account itself takes a credential that is not limited.
fn require_power(account: &Account, verb: Verb) -> Answer<()> {
    let access = account.caller.access(account.id());
    match access.map(|access| access.allows("core", verb)) {
        Some(Allowance::Everywhere) => Ok(()),
        _ => {
            Err(Problem::out_of_scope("This credential is limited; it cannot change the account."))
        }
    }
}

/// `GET /v1/accounts/{account}`.
///
/// # Errors
/// As section 17.2.
pub async fn retrieve(AnyAccount(account): AnyAccount, query: Query) -> Answer {
    let wanted = active(&query)?;
    if wanted.is_some_and(|wanted| wanted != account.opened.row.active) {
        // A picker drops an account on 403 and reports every other error (D16).
        return Err(match account.caller {
            Caller::Tokens(_) => Refusal::AccountInactive.into(),
            _ => Problem::not_found("account"),
        });
    }
    require_open(&account)?;
    let mut shown = view(account.app(), &account.call, &account.opened.row);
    if query.flag("retrieve_full")? == Some(true) {
        let capabilities = crate::capabilities::account(account.abilities().as_ref());
        shown.properties = Some(json!({"capabilities": capabilities}));
    }
    ok(&shown)
}

/// `PATCH /v1/accounts/{account}`.
///
/// # Errors
/// As section 17.2.
pub async fn update(AnyAccount(account): AnyAccount, body: JsonBody) -> Answer {
    require_open(&account)?;
    require_power(&account, Verb::Write)?;
    let row = &account.opened.row;
    if body.text("service")?.is_some_and(|service| service != row.service) {
        return Err(Problem::invalid("service", "cannot be changed; connect another account"));
    }
    let wanted = body.flag("active")?.or(body.flag("enabled")?);
    let connector = connector(&account)?;
    let mut change = AccountChange {
        active: wanted,
        display: body.text("account")?.filter(|text| !text.is_empty()),
        custom_properties: noted(&body)?,
        token_expiry: expiry(&body, "token_expiry")?,
        refresh_token_expiry: expiry(&body, "refresh_token_expiry")?,
        ..AccountChange::default()
    };
    let sorted = form::sort(connector.as_ref(), &given(&body), By::Application)?;
    if !sorted.settings.is_empty() || !sorted.credential.is_empty() {
        let mut settings = account.opened.account.settings.clone();
        let mut credential = account.opened.account.credential.clone();
        form::change(connector.as_ref(), &sorted, &mut settings, &mut credential)?;
        if connector.oauth().is_some() && replaced(&sorted.credential, &mut credential) {
            // The old token's end says nothing of the new one's.
            change.token_expiry = change.token_expiry.or(Some(None));
            change.refresh_token_expiry = change.refresh_token_expiry.or(Some(None));
        }
        change.settings = Some(settings);
        change.credential = Some(credential);
    } else if wanted == Some(true) && row.credential_state == CredentialState::Dead {
        if connector.oauth().is_some() {
            account.app().grants().retry(account.id()).await?;
        }
        connector.identify(&account.cx()).await?;
        account
            .app()
            .directory()
            .report_credential(&account.opened, CredentialState::Ok, None)
            .await?;
    }
    let application = account.application_id();
    let opened =
        account.app().directory().update_account(application, account.id(), &change).await?;
    ok(&view(account.app(), &account.call, &opened.row))
}

/// `DELETE /v1/accounts/{account}`.
///
/// # Errors
/// As section 17.2.
pub async fn delete(AnyAccount(account): AnyAccount, query: Query) -> Answer {
    require_open(&account)?;
    require_power(&account, Verb::Delete)?;
    let revoked = match query.flag("revoke")? {
        Some(true) => Some(account.app().grants().revoke(&account.opened).await),
        _ => None,
    };
    let application = account.application_id();
    let remains = account.app().directory().delete_account(application, account.id()).await?;
    crate::v1::remains::sweep(&account, remains);
    let mut answer = empty();
    if let Some(revoked) = revoked {
        let word = match &revoked {
            Revoked::Done => "done",
            Revoked::NotPossible => "not_possible",
            Revoked::Failed(why) => {
                tracing::warn!(account = %account.id(), why, "a grant was not given back");
                "failed"
            }
        };
        answer.headers_mut().insert(REVOKED, HeaderValue::from_static(word));
    }
    Ok(answer)
}

/// `POST /v1/accounts/{account}/check`.
///
/// # Errors
/// As section 54.
pub async fn check(account: Account) -> Answer {
    let connector = connector(&account)?;
    let directory = account.app().directory();
    let was_dead = account.opened.row.credential_state == CredentialState::Dead;
    let mut tried = Ok(());
    if was_dead && connector.oauth().is_some() {
        tried = account.app().grants().retry(account.id()).await;
    }
    let tried = match tried {
        Ok(()) => connector.identify(&account.cx()).await.map(|_| ()),
        Err(tramontane_accounts::Error::Connector(error)) => Err(error),
        Err(error) => return Err(error.into()),
    };
    let (state, reason) = match tried {
        Ok(()) => (CredentialState::Ok, None),
        Err(error) if error.kind == Kind::Credential => (CredentialState::Dead, Some("unknown")),
        Err(error) => return Err(error.into()),
    };
    let find = || async {
        let opened: Option<Arc<Opened>> = directory.open(account.id()).await?;
        opened.ok_or_else(|| Problem::not_found("account"))
    };
    // A grant that the service ended is called dead with the reason already.
    let now = find().await?;
    if now.row.credential_state != CredentialState::Dead || state == CredentialState::Ok {
        directory.report_credential(&now, state, reason).await?;
    }
    let opened = find().await?;
    ok(&view(account.app(), &account.call, &opened.row))
}

fn connector(account: &Account) -> Answer<Arc<dyn Connector>> {
    let service = &account.opened.account.service;
    account.app().registry().get(service).cloned().ok_or_else(|| {
        let text = format!("This server has no connector for {service}.");
        Problem::new(Code::NotImplemented, text)
    })
}

/// An id made of a raw one.
#[derive(Debug, Serialize, ToSchema)]
pub struct EncodedId {
    /// Our id.
    pub id: String,
    /// What it names.
    #[serde(rename = "type")]
    pub kind: String,
    /// Always `storage`, or the API of the type.
    pub api: &'static str,
    /// The service's id.
    pub raw_id: String,
}

/// `POST /v1/accounts/{account}/encode_raw_id` and `.../storage/convert_id`.
///
/// # Errors
/// `invalid_resource_type`, `invalid_parameters`.
pub async fn encode(_: Account, body: JsonBody) -> Answer {
    let word = body.text("type")?.filter(|word| !word.is_empty()).unwrap_or_else(|| "file".into());
    let kind = IdKind::parse(&word).ok_or_else(|| {
        let text = format!("The type {word:?} is not known.");
        Problem::new(Code::InvalidResourceType, text).param("type")
    })?;
    let raw_id = match body.text("raw_id")?.filter(|raw| !raw.is_empty()) {
        Some(raw) => raw,
        None => body
            .text("id")?
            .filter(|raw| !raw.is_empty())
            .ok_or_else(|| Problem::invalid("raw_id", "is required"))?,
    };
    if raw_id.contains('\0') {
        return Err(Problem::invalid("raw_id", "must not contain NUL"));
    }
    let id = match raw_id.as_str() {
        "root" => "root".to_owned(),
        raw => ResourceId::new(kind, NativeId::new(raw)).to_string(),
    };
    if id.len() > tramontane_model::id::MAX_ID_BYTES {
        return Err(Problem::invalid("raw_id", "is too long for an id"));
    }
    let api = match kind {
        IdKind::File | IdKind::Folder => "storage",
        IdKind::Calendar | IdKind::Event => "calendar",
        IdKind::Conversation | IdKind::Message => "messaging",
        IdKind::User | IdKind::Group => "team",
        IdKind::Label => "email",
    };
    ok(&EncodedId { id, kind: word, api, raw_id })
}
