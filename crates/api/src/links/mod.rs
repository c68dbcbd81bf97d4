//! Links of an account (wire API, section 25): the service's own where it can make them as asked, else
//! ours. What the URLs of ours show is [`crate::public`]'s.

pub(crate) mod handlers;
mod native;

use serde::Serialize;
use serde_json::Value;
use tramontane_connector::{Entry, EntryKind, EntryRef, Storage as _};
use tramontane_model::{Code, Kind, Op, ResourceId, Timestamp};
use tramontane_store::links::{self, Link, LinkAccess, LinkRole};
use tramontane_vault::random_id;
use utoipa::ToSchema;

use native::Write;

use crate::account::Account;
use crate::json::JsonBody;
use crate::problem::{Answer, Problem};

/// 128 bits: whoever knows the id of a link has what it opens.
const ID_BYTES: usize = 16;
const MAX_PASSWORD_BYTES: usize = 1_024;

/// A link as the wire shows it. Members that are an extension show once they say something: `native` (the
/// URL is the service's own), `access` and `role` (for other links than those that let anyone read),
/// `folder_id` and `folder_name` (in place of those of a file), `max_downloads` and `downloads`.
#[derive(Serialize, ToSchema)]
pub(crate) struct LinkObject {
    id: String,
    r#type: &'static str,
    api: &'static str,
    href: String,
    url: String,
    account: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    folder_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    folder_name: Option<String>,
    direct: bool,
    active: bool,
    password: bool,
    expiration: Option<String>,
    created: String,
    modified: String,
    #[serde(skip_serializing_if = "is_false")]
    native: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    access: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_downloads: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    downloads: Option<i64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// A new link, to a file or a folder.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes; the handler reads the members itself")]
pub(crate) struct NewLink {
    /// The file; this or `folder_id` is required.
    file_id: Option<String>,
    /// The folder. Links to folders are always the service's own.
    folder_id: Option<String>,
    /// Whether the URL shall be the content itself. Such a link is always Tramontane's.
    direct: Option<bool>,
    /// A link that is made switched off is Tramontane's.
    active: Option<bool>,
    password: Option<String>,
    #[schema(format = DateTime)]
    expiration: Option<String>,
    /// How many downloads it is good for. Such a link is always Tramontane's.
    #[schema(minimum = 1, maximum = 2_147_483_647)]
    max_downloads: Option<i64>,
    /// `true`: the service's own link or none (`501`); `false`: Tramontane's, whatever the service can.
    /// Left out: the service's own when it can honour everything asked, else Tramontane's.
    native: Option<bool>,
    /// Whom it lets in. `organization` is for the service's own links.
    #[schema(inline)]
    access: Option<Access>,
    /// What it lets them do. `writer` is for the service's own links.
    #[schema(inline)]
    role: Option<Role>,
}

/// Whom a link lets in.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes; the handler reads the members itself")]
pub(crate) enum Access {
    Anyone,
    Organization,
}

/// What a link lets them do.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes; the handler reads the members itself")]
pub(crate) enum Role {
    Reader,
    Writer,
}

/// Changes of a link.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes; the handler reads the members itself")]
pub(crate) struct LinkChange {
    direct: Option<bool>,
    /// Switching a link of the service's off removes it there; on again, it may have another `url`.
    active: Option<bool>,
    password: Option<String>,
    #[schema(format = DateTime)]
    expiration: Option<String>,
    #[schema(minimum = 1, maximum = 2_147_483_647)]
    max_downloads: Option<i64>,
}

pub(crate) fn view(account: &Account, row: &Link) -> LinkObject {
    let moment = |micros| Timestamp::from_micros(micros).to_string();
    let (id, name) = (row.resource_id.clone(), row.resource_name.clone());
    let (file, folder) = match kind_of(row) {
        EntryKind::File => (Some((id, name)), None),
        EntryKind::Folder => (None, Some((id, name))),
    };
    let (file_id, file_name) = file.unzip();
    let (folder_id, folder_name) = folder.unzip();
    LinkObject {
        id: row.id.clone(),
        r#type: "link",
        api: "storage",
        href: account.href(&format!("/storage/links/{}", row.id)),
        url: url(account, row),
        account: row.account,
        file_id,
        file_name,
        folder_id,
        folder_name,
        direct: row.direct,
        active: row.active,
        password: row.password_hash.is_some(),
        expiration: row.expiration.map(moment),
        created: moment(row.created),
        modified: moment(row.modified),
        native: row.native_url.is_some(),
        access: (row.access != LinkAccess::Anyone).then(|| row.access.as_str()),
        role: (row.role != LinkRole::Reader).then(|| row.role.as_str()),
        max_downloads: row.max_downloads,
        downloads: row.max_downloads.map(|_| row.downloads),
    }
}

/// The URL that a link is shared by.
pub(crate) fn url(account: &Account, row: &Link) -> String {
    match &row.native_url {
        Some(url) => url.clone(),
        None => format!("{}/l/{}", account.call.base, row.id),
    }
}

/// What a link leads to: a file, or a folder.
fn kind_of(row: &Link) -> EntryKind {
    match ResourceId::parse(&row.resource_id) {
        Some(id) if id.kind == Some(Kind::Folder) => EntryKind::Folder,
        _ => EntryKind::File,
    }
}

/// What was asked for a link; `None` leaves a member as it is.
#[derive(Default)]
pub(crate) struct Wish {
    direct: Option<bool>,
    active: Option<bool>,
    /// `Some(None)` removes the password.
    password: Option<Option<String>>,
    expiration: Option<Option<i64>>,
    max_downloads: Option<Option<i64>>,
    /// Whether it must be the service's own, or must not.
    native: Option<bool>,
    access: Option<LinkAccess>,
    role: Option<LinkRole>,
}

fn word<T>(
    body: &JsonBody,
    name: &str,
    words: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Answer<Option<T>> {
    let Some(text) = body.text(name)? else { return Ok(None) };
    match parse(&text) {
        Some(word) => Ok(Some(word)),
        None => Err(Problem::invalid(name, format!("must be {words}"))),
    }
}

impl Wish {
    /// Reads the writable members of a body, or of `link_options`.
    pub(crate) fn read(body: &JsonBody) -> Answer<Self> {
        let direct = match body.flag("direct")? {
            Some(direct) => Some(direct),
            None => body.flag("direct_link")?,
        };
        let password = match body.get("password") {
            None => None,
            // Clients that send an object back as they got it: `false` is no password.
            Some(Value::Bool(false)) => Some(None),
            Some(Value::Bool(true)) => None,
            Some(_) => Some(body.text("password")?.filter(|text| !text.is_empty())),
        };
        if password.iter().flatten().any(|text| text.len() > MAX_PASSWORD_BYTES) {
            return Err(Problem::invalid("password", "must have at most 1024 bytes"));
        }
        let time = |at: Option<Timestamp>| at.map(Timestamp::micros);
        let has = |name| body.has(name);
        let expiration =
            if has("expiration") { Some(time(body.time("expiration")?)) } else { None };
        let max_downloads = match has("max_downloads") {
            true => Some(body.number("max_downloads", 1, i64::from(i32::MAX))?),
            false => None,
        };
        Ok(Self {
            direct,
            active: body.flag("active")?,
            password,
            expiration,
            max_downloads,
            native: body.flag("native")?,
            access: word(body, "access", "anyone or organization", LinkAccess::parse)?,
            role: word(body, "role", "reader or writer", LinkRole::parse)?,
        })
    }

    /// Whether the service's own link is asked for by name.
    pub(crate) fn is_for_native(&self) -> bool {
        self.native == Some(true)
    }

    /// The password that is to be set.
    fn new_password(&self) -> Option<&str> {
        self.password.as_ref()?.as_deref()
    }

    async fn apply(&self, row: &mut Link) -> Answer<()> {
        row.direct = self.direct.unwrap_or(row.direct);
        row.active = self.active.unwrap_or(row.active);
        if let Some(expiration) = self.expiration {
            row.expiration = expiration;
        }
        if let Some(most) = self.max_downloads {
            row.max_downloads = most;
        }
        match &self.password {
            None => {}
            Some(None) => row.password_hash = None,
            Some(Some(password)) => row.password_hash = Some(hashed(password.clone()).await?),
        }
        Ok(())
    }
}

/// Hashing takes tens of milliseconds on purpose, so it happens off the threads that answer requests.
async fn hashed(password: String) -> Answer<String> {
    let hashing = tokio::task::spawn_blocking(move || tramontane_vault::hash_password(&password));
    Ok(hashing.await.map_err(Problem::internal)??)
}

/// Makes a link of ours to a file of the account.
pub(crate) async fn make_own(account: &Account, entry: &Entry, wish: &Wish) -> Answer<Link> {
    let row = blank(account, entry, wish).await?;
    if native::is_beyond_ours(&row) || wish.native == Some(true) {
        return Err(native::refused());
    }
    links::insert(account.app().db(), &row).await?;
    Ok(row)
}

/// Makes a link to a file or folder of the account: the service's own, or one of ours.
pub(crate) async fn make(account: &Account, entry: &Entry, wish: &Wish) -> Answer<Link> {
    let mut row = blank(account, entry, wish).await?;
    native::place(account, &mut row, wish).await?;
    native::keep(account, &mut row, Write::Insert).await?;
    Ok(row)
}

/// The row of a new link, which is one of ours so far.
async fn blank(account: &Account, entry: &Entry, wish: &Wish) -> Answer<Link> {
    if wish.direct == Some(true) && !entry.is_folder() && !entry.downloadable {
        let text = "The file has no content to download, so no direct link can be made to it.";
        return Err(Problem::new(Code::RequestFailed, text));
    }
    let app = account.app();
    let now = app.now().micros();
    let mut row = Link {
        id: random_id(app.entropy(), ID_BYTES),
        account: account.id().number(),
        resource_id: entry.reference().resource().to_string(),
        resource_name: entry.name.clone(),
        direct: false,
        active: true,
        password_hash: None,
        expiration: None,
        max_downloads: None,
        downloads: 0,
        created: now,
        modified: now,
        as_user: account.as_user().map(str::to_owned),
        access: wish.access.unwrap_or(LinkAccess::Anyone),
        role: wish.role.unwrap_or(LinkRole::Reader),
        native_id: None,
        native_url: None,
    };
    wish.apply(&mut row).await?;
    Ok(row)
}

/// The file or folder that a body's `file_id` or `folder_id` names.
async fn target(account: &Account, body: &JsonBody) -> Answer<Entry> {
    let of = match body.text("folder_id")? {
        Some(id) if body.text("file_id")?.is_none() => {
            account.object("folder_id", &id, EntryKind::Folder).await?
        }
        _ => {
            let id = body.required_text("file_id")?;
            account.object("file_id", &id, EntryKind::File).await?
        }
    };
    entry(account, &of).await
}

async fn entry(account: &Account, of: &EntryRef) -> Answer<Entry> {
    Ok(account.storage_for(Op::LinkCreate)?.get(&account.cx(), of).await?)
}
