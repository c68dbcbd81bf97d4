//! The account that a request is for: credential, ownership and the access list are checked before a
//! handler sees it (wire API, section 4.4).

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use http::{HeaderMap, Method};
use tramontane_accounts::{
    Access, Allowance, Application, Caller, CredentialState, Opened, Realm, Verb,
};
use tramontane_connector::{AsUser, Connector, Cx, EntryKind, EntryRef, Storage as _};
use tramontane_fill::{Filled, Progress, Quiet, support_of};
use tramontane_model::{AccountId, Code, Kind, NativeId, Op, ResourceId, Support};

use crate::asked::{self, Asked};
use crate::call::Call;
use crate::caller::{over, who};
use crate::problem::{Answer, Problem};
use crate::state::App;

/// The most accounts of one request (wire API, section 13).
const MAX_ACCOUNTS: usize = 50;
/// How many folders are climbed to see whether an object lies below an allowed one.
const MAX_CLIMB: usize = 250;

/// One account that the caller may use for what the request does.
#[derive(Clone, Debug)]
pub struct Account {
    app: App,
    /// The request.
    pub call: Call,
    /// Who calls.
    pub caller: Caller,
    /// The account's row and what connectors get.
    pub opened: Arc<Opened>,
    params: Params,
    asked: Arc<Asked>,
    /// The only folders that the caller's credential reaches here; everything without.
    places: Option<Arc<Vec<String>>>,
    watcher: Option<Watcher>,
    /// The member of the organisation that the request is done as, by the service's id.
    as_user: Option<Arc<str>>,
}

/// The task that a request is done for, in the request's extensions: it listens to the work, and the
/// work is done in the background.
#[derive(Clone)]
pub struct Watcher(pub Arc<dyn Progress>);

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watcher")
    }
}

/// Path parameters by name.
type Params = Arc<Vec<(String, String)>>;

impl Account {
    /// An account that the server itself opens: for a link, a dropped file, a one-time upload.
    pub(crate) fn of_server(app: &App, call: &Call, caller: Caller, opened: Arc<Opened>) -> Self {
        call.set_opened(&opened);
        call.set_application(&opened.row.application);
        Self {
            app: app.clone(),
            call: call.clone(),
            caller,
            opened,
            params: Arc::default(),
            asked: Arc::default(),
            places: None,
            watcher: None,
            as_user: None,
        }
    }

    /// The account's id.
    #[must_use]
    pub fn id(&self) -> AccountId {
        self.opened.id()
    }

    /// The app.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The application that the account belongs to.
    #[must_use]
    pub fn application_id(&self) -> &str {
        &self.opened.row.application
    }

    /// The caller's application.
    ///
    /// # Errors
    /// `forbidden` for callers without one.
    pub fn application(&self) -> Answer<&Arc<Application>> {
        let application = self.caller.application();
        application.ok_or_else(|| tramontane_accounts::Refusal::WrongKind.into())
    }

    /// A parameter of the path; empty when the route has none of this name.
    #[must_use]
    pub fn param(&self, name: &str) -> &str {
        let found = self.params.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// Whether the caller's credential lets it read events, wherever they happen. For checks while a stream
    /// goes on.
    pub(crate) fn may_follow(access: &Access) -> bool {
        places(access, "events", Verb::Read).is_ok_and(|places| places.is_none())
    }

    /// The absolute URL of something of this account: `tail` starts with `/`.
    #[must_use]
    pub fn href(&self, tail: &str) -> String {
        format!("{}/v1/accounts/{}{tail}", self.call.base, self.id())
    }

    /// Whether objects shall carry the service's own JSON.
    #[must_use]
    pub fn wants_raw(&self) -> bool {
        self.asked.raw
    }

    /// The account's files, its gaps filled.
    ///
    /// # Errors
    /// `not_implemented` for services without files.
    pub fn storage(&self) -> Answer<&Arc<Filled>> {
        self.app.storage(&self.opened.account.service).ok_or_else(|| {
            let service = &self.opened.account.service;
            Problem::new(Code::NotImplemented, format!("The service {service} has no files."))
        })
    }

    /// How an operation is supported for this account.
    ///
    /// # Errors
    /// As [`Account::storage`].
    pub fn support(&self, op: Op) -> Answer<Support> {
        Ok(support_of(&self.storage()?.native().abilities(&self.opened.account), op))
    }

    /// The account's files, when the account can do this operation (checks 6 and 7).
    ///
    /// # Errors
    /// `not_implemented` with the capability; `service_unauthorized` when the stored credential is
    /// known to be dead.
    pub fn storage_for(&self, op: Op) -> Answer<&Arc<Filled>> {
        let support = self.support(op)?;
        if !support.is_supported() {
            return Err(Problem::unsupported(op, &support));
        }
        self.require_credential()?;
        self.storage()
    }

    /// Check 7: the stored credential is not known to be dead.
    ///
    /// # Errors
    /// `service_unauthorized`.
    pub fn require_credential(&self) -> Answer<()> {
        if self.opened.row.credential_state == CredentialState::Dead {
            let text = "The service no longer takes this account's credential; connect it again.";
            return Err(Problem::new(Code::ServiceUnauthorized, text));
        }
        Ok(())
    }

    /// The context for calls that the client waits for.
    #[must_use]
    pub fn cx(&self) -> Cx {
        self.call.set_asked_service();
        let within = self.asked.deadline.unwrap_or(self.app.limits().deadline);
        let mut cx = Cx::interactive(self.opened.account.clone(), self.app.lent().clone(), within);
        if self.watcher.is_some() {
            let step = self.storage().map_or(within, |storage| storage.ceilings().step);
            cx = cx.background(within.max(step));
        }
        cx.raw = self.asked.raw;
        cx.extra_headers = self.asked.headers.clone();
        cx.traceparent = self.call.traceparent.clone();
        cx.as_user = self.as_user.clone();
        cx.told = Arc::clone(&self.call.told);
        cx
    }

    /// The account's connector.
    #[must_use]
    pub fn connector(&self) -> Option<&Arc<dyn Connector>> {
        self.app.registry().get(&self.opened.account.service)
    }

    /// What the account can do, its team included; `None` for services without files.
    #[must_use]
    pub fn abilities(&self) -> Option<tramontane_connector::Abilities> {
        let connector = self.connector()?;
        crate::capabilities::of_account(connector.as_ref(), &self.opened.account)
    }

    /// What page tokens are bound to: the account, and the member that it is read as.
    #[must_use]
    pub fn scope(&self) -> String {
        match &self.as_user {
            None => self.id().to_string(),
            Some(user) => format!("{}@{user}", self.id()),
        }
    }

    /// Another account that the same caller may use: the target of a copy or a move.
    ///
    /// # Errors
    /// As section 4.3; `invalid_parameters` when the application has another.
    pub async fn other(&self, id: AccountId) -> Answer<Self> {
        let opened = self.app.directory().account(&self.caller, id).await?;
        opened.require_active()?;
        self.call.set_target(&opened);
        let access = self.caller.access(id).cloned().unwrap_or_default();
        let places = places(&access, "storage", Verb::Write)?;
        let as_user = self.as_user.clone().filter(|_| id == self.id());
        Ok(Self { opened, places, asked: Arc::new(Asked::default()), as_user, ..self.clone() })
    }

    /// The member that the request is done as, by the service's id.
    #[must_use]
    pub fn as_user(&self) -> Option<&str> {
        self.as_user.as_deref()
    }

    /// The same account, for what is done as this member, or as nobody in particular.
    #[must_use]
    pub fn acting_as(&self, member: Option<&str>) -> Self {
        Self { as_user: member.map(Arc::from), ..self.clone() }
    }

    /// The same account, reached no further than this folder.
    #[must_use]
    pub fn limited_to(&self, folder: &str) -> Self {
        Self { places: Some(Arc::new(vec![folder.to_owned()])), ..self.clone() }
    }

    /// Who listens to long work of this request: the task that it is done for, or nobody.
    #[must_use]
    pub fn progress(&self) -> &dyn Progress {
        match &self.watcher {
            Some(watcher) => watcher.0.as_ref(),
            None => &Quiet,
        }
    }

    /// The file that the path names.
    ///
    /// # Errors
    /// `not_found` when the id is malformed; `permission_denied` outside the credential's folders.
    pub async fn file(&self) -> Answer<EntryRef> {
        let of = read_id(self.param("file"), EntryKind::File);
        let of = of.ok_or_else(|| Problem::not_found("file"))?;
        self.confine(&of).await?;
        Ok(of)
    }

    /// The folder that the path names, `root` included.
    ///
    /// # Errors
    /// As [`Account::file`].
    pub async fn folder(&self) -> Answer<EntryRef> {
        let of = self.folder_id(self.param("folder"))?;
        let of = of.ok_or_else(|| Problem::not_found("folder"))?;
        self.confine(&of).await?;
        Ok(of)
    }

    /// The folder that a `parent_id` names.
    ///
    /// # Errors
    /// `invalid_parent_folder` when the id is malformed; `permission_denied` as above.
    pub async fn parent(&self, id: &str) -> Answer<NativeId> {
        let of = self.folder_id(id)?.ok_or_else(|| {
            let text = "parent_id must be the id of a folder, or root.";
            Problem::new(Code::InvalidParentFolder, text).param("parent_id")
        })?;
        self.confine(&of).await?;
        Ok(of.id)
    }

    /// The object that a member or parameter names.
    ///
    /// # Errors
    /// `invalid_parameters` when the id is malformed; `permission_denied` as above.
    pub async fn object(&self, param: &str, id: &str, kind: EntryKind) -> Answer<EntryRef> {
        let of = match kind {
            EntryKind::File => read_id(id, kind),
            EntryKind::Folder => self.folder_id(id)?,
        };
        let rule = format!("must be the id of a {}", kind.as_str());
        let of = of.ok_or_else(|| Problem::invalid(param, rule))?;
        self.confine(&of).await?;
        Ok(of)
    }

    /// Reads a folder's id or `root`; `None` when it is malformed.
    fn folder_id(&self, id: &str) -> Answer<Option<EntryRef>> {
        if id == "root" {
            return Ok(Some(EntryRef::folder(self.storage()?.native().root(&self.opened.account))));
        }
        Ok(read_id(id, EntryKind::Folder))
    }

    /// Whether an id is that of the account's root.
    #[must_use]
    pub fn is_root(&self, id: &NativeId) -> bool {
        self.storage().is_ok_and(|storage| storage.native().root(&self.opened.account) == *id)
    }

    /// The folders that the credential is limited to; `None` when it reaches everything.
    #[must_use]
    pub fn places(&self) -> Option<Vec<NativeId>> {
        let places = self.places.as_ref()?;
        let read = places.iter().filter_map(|id| self.folder_id(id).ok().flatten());
        Some(read.map(|of| of.id).collect())
    }

    /// Refuses a credential that is limited to some folders: for what cannot be limited.
    ///
    /// # Errors
    /// `permission_denied`.
    pub fn require_everywhere(&self) -> Answer<()> {
        match self.places {
            None => Ok(()),
            Some(_) => Err(Problem::out_of_scope(
                "This credential is limited to some folders, and this looks at all of them.",
            )),
        }
    }

    /// Checks that an object lies in or below a folder that the credential reaches.
    ///
    /// # Errors
    /// `permission_denied` when not; what looking gives.
    pub async fn confine(&self, of: &EntryRef) -> Answer<()> {
        let Some(places) = self.places() else { return Ok(()) };
        let refused =
            || Problem::out_of_scope("The object is outside the folders of this credential.");
        let (storage, cx) = (self.storage()?, self.cx());
        let mut at = of.clone();
        for _ in 0..MAX_CLIMB {
            if at.kind == EntryKind::Folder && places.contains(&at.id) {
                return Ok(());
            }
            let entry = storage.get(&cx, &at).await?;
            match entry.parent {
                Some(parent) => at = EntryRef::folder(parent.id),
                None => return Err(refused()),
            }
        }
        Err(refused())
    }
}

/// Reads the id of an object of this kind; `None` when it is malformed or of another kind.
fn read_id(text: &str, kind: EntryKind) -> Option<EntryRef> {
    let id = ResourceId::parse(text)?;
    let fits = id.kind.is_none_or(|own| own == kind.kind());
    fits.then_some(EntryRef { kind, id: id.native })
}

impl FromRequestParts<App> for Account {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let Accounts(mut accounts) = gather(parts, app).await?;
        match (accounts.pop(), accounts.is_empty()) {
            (Some(only), true) => Ok(only),
            _ => Err(Problem::bad_request("This takes one account, not several.")),
        }
    }
}

/// One account, or several with commas between (wire API, section 13).
#[derive(Clone, Debug)]
pub struct Accounts(pub Vec<Account>);

impl FromRequestParts<App> for Accounts {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        gather(parts, app).await
    }
}

/// The account whether it is switched on or not: for its own resource.
#[derive(Clone, Debug)]
pub struct AnyAccount(pub Account);

impl FromRequestParts<App> for AnyAccount {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let caller = who(parts, app, Realm::Accounts).await?;
        let params = params(parts, app).await?;
        let ids = named(&caller, &params)?;
        let [id] = ids.as_slice() else {
            return Err(Problem::bad_request("This takes one account, not several."));
        };
        let call = Call::from_request_parts(parts, app).await?;
        let opened = app.directory().account(&caller, *id).await?;
        spend(app, &call, &opened)?;
        Ok(Self(Account {
            app: app.clone(),
            call,
            caller,
            opened,
            params,
            asked: Arc::new(asked::read(&parts.headers)?),
            places: None,
            watcher: None,
            as_user: None,
        }))
    }
}

async fn gather(parts: &mut Parts, app: &App) -> Answer<Accounts> {
    let caller = who(parts, app, Realm::Accounts).await?;
    let params = params(parts, app).await?;
    let ids = named(&caller, &params)?;
    let call = Call::from_request_parts(parts, app).await?;
    let (api, verb) = operation(call.route(), &parts.method);
    let mut accounts = Vec::with_capacity(ids.len());
    for id in ids {
        let opened = app.directory().account(&caller, id).await?;
        opened.require_active()?;
        spend(app, &call, &opened)?;
        let access = caller.access(id).cloned().unwrap_or_default();
        let places = match api {
            Some(api) => places(&access, api, verb)?,
            None => None,
        };
        accounts.push(Account {
            app: app.clone(),
            call: call.clone(),
            caller: caller.clone(),
            opened,
            params: params.clone(),
            asked: Arc::default(),
            places,
            watcher: parts.extensions.get::<Watcher>().cloned(),
            as_user: None,
        });
    }
    let asked = Arc::new(asked::read(&parts.headers)?);
    for account in &mut accounts {
        account.asked = asked.clone();
        account.as_user = as_user(&parts.headers, account, api).await?;
    }
    Ok(Accounts(accounts))
}

async fn params(parts: &mut Parts, app: &App) -> Answer<Params> {
    let params = RawPathParams::from_request_parts(parts, app).await;
    let params = params.map_err(|_| Problem::not_found("object"))?;
    let owned = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(Arc::new(owned.collect()))
}

/// The accounts that the path names.
fn named(caller: &Caller, params: &Params) -> Answer<Vec<AccountId>> {
    let text = params.iter().find(|(name, _)| name == "account");
    let text = text.map(|(_, value)| value.as_str()).unwrap_or_default();
    if text == "me" {
        let me = caller.me();
        return if me.is_empty() {
            Err(Problem::bad_request("me names no account with an API key; give its id."))
        } else {
            Ok(me)
        };
    }
    let mut ids = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let unknown = || match caller {
            Caller::Tokens(_) => tramontane_accounts::Refusal::OtherAccount.into(),
            _ => Problem::not_found("account"),
        };
        let id = AccountId::parse(part).ok_or_else(unknown)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    match ids.len() {
        0 => Err(Problem::not_found("account")),
        count if count > MAX_ACCOUNTS => {
            Err(Problem::bad_request(format!("At most {MAX_ACCOUNTS} accounts in one request.")))
        }
        _ => Ok(ids),
    }
}

fn spend(app: &App, call: &Call, opened: &Arc<Opened>) -> Answer<()> {
    call.set_opened(opened);
    call.set_application(&opened.row.application);
    if call.inner {
        return Ok(());
    }
    let budget = app.rates().account(opened.id().number());
    call.spend(budget);
    match budget.filter(|budget| budget.spent) {
        Some(budget) => Err(over(budget.reset, "account")),
        None => Ok(()),
    }
}

/// Which API a route belongs to, and what is done; no API for the account's own resource.
fn operation(route: &str, method: &Method) -> (Option<&'static str>, Verb) {
    let tail = route.strip_prefix("/v1/accounts/{account}/").unwrap_or_default();
    let noun = tail.split('/').next().unwrap_or_default();
    let verb = match *method {
        Method::GET | Method::HEAD | Method::OPTIONS => Verb::Read,
        Method::DELETE => Verb::Delete,
        _ => Verb::Write,
    };
    match noun {
        "storage" if tail == "storage/convert_id" => (None, verb),
        "storage" => (Some("storage"), verb),
        "raw" => (Some("storage"), Verb::Raw),
        "tasks" => (Some("storage"), verb),
        // It only lets someone read what the caller may read.
        "events" if tail == "events/stream_token" => (Some("events"), Verb::Read),
        "events" | "activity" | "subscriptions" => (Some("events"), verb),
        "cal" => (Some("calendar"), verb),
        "chat" | "messaging" => (Some("messaging"), verb),
        "crm" => (Some("crm"), verb),
        "email" => (Some("email"), verb),
        "team" => (Some("team"), verb),
        _ => (None, verb),
    }
}

fn places(access: &Access, api: &str, verb: Verb) -> Answer<Option<Arc<Vec<String>>>> {
    let allowed = match access.allows(api, verb) {
        Allowance::No if api == "events" => following(access, verb),
        allowed => allowed,
    };
    match allowed {
        Allowance::Everywhere => Ok(None),
        Allowance::Within(places) => Ok(Some(Arc::new(places))),
        Allowance::No => Err(Problem::out_of_scope(format!(
            "The access list of this credential does not hold {api}:{}.",
            verb.as_str()
        ))),
    }
}

/// Whether someone may follow changes: `events:events` is all of it, `storage:events` the reading of what
/// happens to files.
pub(crate) fn following(access: &Access, verb: Verb) -> Allowance {
    match access.allows("events", Verb::Events) {
        Allowance::No if verb == Verb::Read => access.allows("storage", Verb::Events),
        allowed => allowed,
    }
}

/// `X-Kloudless-As-User` (wire API, section 12): the service's id of the member to act as.
async fn as_user(
    headers: &HeaderMap,
    account: &Account,
    api: Option<&str>,
) -> Answer<Option<Arc<str>>> {
    const HEADER: &str = "X-Kloudless-As-User";
    let connector = account.connector();
    let rule = connector.map_or(AsUser::Refused, |connector| connector.as_user());
    let named = headers.get(HEADER).filter(|value| !value.is_empty());
    let Some(named) = named else {
        // Events are those of the account itself, whoever is named.
        let data = api.is_some_and(|api| api != "team" && api != "events");
        if account.opened.account.admin && data && rule == AsUser::Needed {
            let text = format!(
                "An administrator's account of this service holds no data of its own: name a member \
                 in the header {HEADER}."
            );
            return Err(Problem::bad_request(text));
        }
        return Ok(None);
    };
    if !account.opened.account.admin {
        let text = format!("{HEADER} needs an administrator's account, and this is none.");
        return Err(Problem::forbidden(text));
    }
    let id = named.to_str().ok().and_then(ResourceId::parse);
    let id = id.filter(|id| id.kind == Some(Kind::User));
    let id = id.ok_or_else(|| Problem::not_found("user"))?.native;
    let team = connector.and_then(|connector| connector.team());
    let Some(team) = team else { return Err(Problem::not_found("user")) };
    if rule == AsUser::Refused {
        let rule = "is not taken by this service: its administrators see everything";
        return Err(Problem::invalid(HEADER, rule));
    }
    let known = (account.id().number(), id.as_str().to_owned());
    if !account.app.knows_member(&known) {
        account.require_credential()?;
        team.user(&account.cx(), &id).await.map_err(|error| match error.kind {
            tramontane_connector::Kind::NotFound => Problem::not_found("user"),
            _ => error.into(),
        })?;
        account.app.note_member(known);
    }
    Ok(Some(id.as_str().into()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn routes_tell_which_access_they_need() {
        let of =
            |route: &str, method| operation(&format!("/v1/accounts/{{account}}{route}"), &method);
        assert_eq!(of("/storage/files/{file}", Method::GET), (Some("storage"), Verb::Read));
        assert_eq!(of("/storage/files", Method::POST), (Some("storage"), Verb::Write));
        assert_eq!(of("/storage/files/{file}", Method::DELETE), (Some("storage"), Verb::Delete));
        assert_eq!(of("/raw", Method::POST), (Some("storage"), Verb::Raw));
        assert_eq!(of("/storage/convert_id", Method::POST).0, None);
        assert_eq!(of("", Method::GET).0, None);
        assert_eq!(of("/events", Method::GET), (Some("events"), Verb::Read));
        assert_eq!(of("/events/stream_token", Method::POST), (Some("events"), Verb::Read));
        assert_eq!(of("/subscriptions", Method::POST), (Some("events"), Verb::Write));
    }

    #[test]
    fn events_are_read_by_three_kinds_of_access() {
        let may = |list: &str, verb| {
            places(&Access::parse(list.split(' ')).unwrap(), "events", verb).is_ok()
        };
        for list in ["events:read", "events:events", "storage:events", "*"] {
            assert!(may(list, Verb::Read), "{list}");
        }
        for list in ["storage:read", "events:write", "calendar:events"] {
            assert!(!may(list, Verb::Read), "{list}");
        }
        assert!(may("events:events", Verb::Delete) && may("events:write", Verb::Write));
        assert!(!may("storage:events", Verb::Write) && !may("events:read", Verb::Delete));
    }
}
