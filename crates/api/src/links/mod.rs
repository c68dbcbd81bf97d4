//! Links of an account (wire API, section 25). What their URLs show is [`crate::public`]'s.

pub(crate) mod handlers;

use serde::Serialize;
use serde_json::Value;
use tramontane_connector::{Entry, EntryKind, EntryRef, Storage as _};
use tramontane_model::{Code, Op, Timestamp};
use tramontane_store::links::{self, Link};
use tramontane_vault::random_id;
use utoipa::ToSchema;

use crate::account::Account;
use crate::json::JsonBody;
use crate::problem::{Answer, Problem};

/// 128 bits: whoever knows the id of a link has what it opens.
const ID_BYTES: usize = 16;
const MAX_PASSWORD_BYTES: usize = 1_024;

/// A link as the wire shows it. `max_downloads` and `downloads` are an extension that shows once it is
/// set.
#[derive(Serialize, ToSchema)]
pub(crate) struct LinkObject {
    id: String,
    r#type: &'static str,
    api: &'static str,
    href: String,
    url: String,
    account: i64,
    file_id: String,
    file_name: String,
    direct: bool,
    active: bool,
    password: bool,
    expiration: Option<String>,
    created: String,
    modified: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_downloads: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    downloads: Option<i64>,
}

/// A new link.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes; the handler reads the members itself")]
pub(crate) struct NewLink {
    file_id: String,
    direct: Option<bool>,
    active: Option<bool>,
    password: Option<String>,
    #[schema(format = DateTime)]
    expiration: Option<String>,
    #[schema(minimum = 1, maximum = 2_147_483_647)]
    max_downloads: Option<i64>,
}

/// Changes of a link.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes; the handler reads the members itself")]
pub(crate) struct LinkChange {
    direct: Option<bool>,
    active: Option<bool>,
    password: Option<String>,
    #[schema(format = DateTime)]
    expiration: Option<String>,
    #[schema(minimum = 1, maximum = 2_147_483_647)]
    max_downloads: Option<i64>,
}

pub(crate) fn view(account: &Account, row: &Link) -> LinkObject {
    let moment = |micros| Timestamp::from_micros(micros).to_string();
    LinkObject {
        id: row.id.clone(),
        r#type: "link",
        api: "storage",
        href: account.href(&format!("/storage/links/{}", row.id)),
        url: url(account, row),
        account: row.account,
        file_id: row.resource_id.clone(),
        file_name: row.resource_name.clone(),
        direct: row.direct,
        active: row.active,
        password: row.password_hash.is_some(),
        expiration: row.expiration.map(moment),
        created: moment(row.created),
        modified: moment(row.modified),
        max_downloads: row.max_downloads,
        downloads: row.max_downloads.map(|_| row.downloads),
    }
}

/// The URL that a link is shared by.
pub(crate) fn url(account: &Account, row: &Link) -> String {
    format!("{}/l/{}", account.call.base, row.id)
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
        Ok(Self { direct, active: body.flag("active")?, password, expiration, max_downloads })
    }

    async fn apply(self, row: &mut Link) -> Answer<()> {
        row.direct = self.direct.unwrap_or(row.direct);
        row.active = self.active.unwrap_or(row.active);
        if let Some(expiration) = self.expiration {
            row.expiration = expiration;
        }
        if let Some(most) = self.max_downloads {
            row.max_downloads = most;
        }
        match self.password {
            None => {}
            Some(None) => row.password_hash = None,
            Some(Some(password)) => row.password_hash = Some(hashed(password).await?),
        }
        Ok(())
    }
}

/// Hashing takes tens of milliseconds on purpose, so it happens off the threads that answer requests.
async fn hashed(password: String) -> Answer<String> {
    let hashing = tokio::task::spawn_blocking(move || tramontane_vault::hash_password(&password));
    Ok(hashing.await.map_err(Problem::internal)??)
}

/// Makes a link to a file of the account.
pub(crate) async fn make(account: &Account, entry: &Entry, wish: Wish) -> Answer<Link> {
    if wish.direct == Some(true) && !entry.downloadable {
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
    };
    wish.apply(&mut row).await?;
    links::insert(app.db(), &row).await?;
    Ok(row)
}

/// The file that a body's `file_id` names.
async fn file(account: &Account, body: &JsonBody) -> Answer<Entry> {
    if body.text("file_id")?.is_none() && body.has("folder_id") {
        let text = "Links to folders are not served yet; give a file_id.";
        return Err(Problem::new(Code::NotImplemented, text));
    }
    let id = body.required_text("file_id")?;
    let of = account.object("file_id", &id, EntryKind::File).await?;
    entry(account, &of).await
}

async fn entry(account: &Account, of: &EntryRef) -> Answer<Entry> {
    Ok(account.storage_for(Op::LinkCreate)?.get(&account.cx(), of).await?)
}
