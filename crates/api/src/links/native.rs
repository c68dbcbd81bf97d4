//! Links of the service's own: when a link is one, and what happens to it there when ours changes.
//!
//! A link is the service's own when the service makes a new one that honours everything asked; else it is
//! ours. One of the service's that is to be what the service cannot do becomes ours, with another URL.

use tramontane_connector::links::{LinkAccess as Access, LinkRole as Role};
use tramontane_connector::{EntryKind, EntryRef, LinkChange, LinkOptions, Links, Storage as _};
use tramontane_model::{Code, Op, Support, Timestamp};
use tramontane_store::links::{self, Link, LinkAccess, LinkRole};

use super::{Wish, kind_of};
use crate::account::Account;
use crate::problem::{Answer, Problem};

/// Whether only a service's own link can be this.
pub(super) fn is_beyond_ours(row: &Link) -> bool {
    row.access != LinkAccess::Anyone
        || row.role != LinkRole::Reader
        || kind_of(row) == EntryKind::Folder
}

/// Whether a service's own link can be this at all.
fn is_within_theirs(row: &Link) -> bool {
    !row.direct && row.max_downloads.is_none()
}

/// Neither the service nor we can make such a link.
pub(super) fn refused() -> Problem {
    let text = "The service cannot make this link itself, and a link of Tramontane lets anyone read one file.";
    Problem::new(Code::NotImplemented, text)
}

async fn target(account: &Account, row: &Link) -> Answer<EntryRef> {
    account.object("file_id", &row.resource_id, kind_of(row)).await
}

/// The service's links, with the credential to use them.
fn service(account: &Account) -> Answer<Option<&dyn Links>> {
    if !matches!(account.support(Op::LinkCreate)?, Support::Native) {
        return Ok(None);
    }
    Ok(account.storage_for(Op::LinkCreate)?.links())
}

/// Decides whose link a new row is, and makes the service's own.
pub(super) async fn place(account: &Account, row: &mut Link, wish: &Wish) -> Answer<()> {
    let wanted = wish.native != Some(false) && row.active && is_within_theirs(row);
    if wanted && make(account, row, wish).await? {
        return Ok(());
    }
    if is_beyond_ours(row) || wish.native == Some(true) { Err(refused()) } else { Ok(()) }
}

/// Makes the service's own link for a row; `false` when the service leaves it.
async fn make(account: &Account, row: &mut Link, wish: &Wish) -> Answer<bool> {
    let Some(links) = service(account)? else { return Ok(false) };
    // Of a password that was set before we have a hash alone.
    if row.password_hash.is_some() && wish.new_password().is_none() {
        return Ok(false);
    }
    let options = LinkOptions {
        access: match row.access {
            LinkAccess::Anyone => Access::Anyone,
            LinkAccess::Organization => Access::Organization,
        },
        role: match row.role {
            LinkRole::Reader => Role::Reader,
            LinkRole::Writer => Role::Writer,
        },
        password: wish.new_password().map(|text| text.to_owned().into()),
        expires: row.expiration.map(Timestamp::from_micros),
    };
    match links.create(&account.cx(), &target(account, row).await?, &options).await {
        Ok(made) => {
            row.native_id = Some(made.id);
            row.native_url = Some(made.url.into());
            row.expiration = made.expires.map(Timestamp::micros);
            Ok(true)
        }
        Err(error) if error.is_declined() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// How a row is written.
#[derive(Clone, Copy)]
pub(super) enum Write {
    Insert,
    Update,
}

impl Write {
    async fn run(self, account: &Account, row: &Link) -> tramontane_store::Result<bool> {
        let db = account.app().db();
        match self {
            Self::Insert => links::insert(db, row).await.map(|()| true),
            Self::Update => links::update(db, row).await,
        }
    }
}

/// Writes a row. A link of the service's that cannot be written down is taken back, so that none is left
/// that nobody knows; one that stands for another row stays, and this row is one of ours.
pub(super) async fn keep(account: &Account, row: &mut Link, write: Write) -> Answer<bool> {
    match write.run(account, row).await {
        Err(error) if error.is_taken() && row.native_id.is_some() => {
            if is_beyond_ours(row) {
                return Err(refused());
            }
            (row.native_id, row.native_url) = (None, None);
            Ok(write.run(account, row).await?)
        }
        Err(error) => {
            if let Err(problem) = remove(account, row).await {
                tracing::warn!(
                    cause = problem.message,
                    "a link of the service could not be written down, nor taken back"
                );
            }
            Err(error.into())
        }
        Ok(done) => Ok(done),
    }
}

/// Looks whether the service's own link is still there; one that is not, is not active.
pub(super) async fn look(account: &Account, row: &mut Link) -> Answer<()> {
    let (Some(id), Some(links)) = (&row.native_id, service(account)?) else { return Ok(()) };
    match links.get(&account.cx(), &target(account, row).await?, id).await {
        Ok(_) => {}
        Err(error) if error.is_not_found() => row.active = false,
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Removes the service's own link of a row, if it is there.
pub(super) async fn remove(account: &Account, row: &Link) -> Answer<()> {
    let (Some(id), Some(links)) = (&row.native_id, service(account)?) else { return Ok(()) };
    match links.delete(&account.cx(), &target(account, row).await?, id).await {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}

/// Brings the service's own link to what a changed row says.
pub(super) async fn follow(
    account: &Account,
    before: &Link,
    row: &mut Link,
    wish: &Wish,
) -> Answer<()> {
    if before.native_url.is_none() {
        return if is_beyond_ours(row) { Err(refused()) } else { Ok(()) };
    }
    if !is_within_theirs(row) {
        return become_ours(account, before, row).await;
    }
    if !row.active {
        remove(account, before).await?;
        row.native_id = None;
        return Ok(());
    }
    if before.native_id.is_some() {
        match change(account, before, row, wish).await? {
            Changed::Done => return Ok(()),
            Changed::Left => return become_ours(account, before, row).await,
            Changed::Gone => row.native_id = None,
        }
    }
    if make(account, row, wish).await? { Ok(()) } else { become_ours(account, before, row).await }
}

enum Changed {
    Done,
    /// The service cannot.
    Left,
    /// Someone has removed it at the service.
    Gone,
}

async fn change(account: &Account, before: &Link, row: &mut Link, wish: &Wish) -> Answer<Changed> {
    let Some(links) = service(account)? else { return Ok(Changed::Left) };
    let Some(id) = &before.native_id else { return Ok(Changed::Gone) };
    let expires =
        (row.expiration != before.expiration).then(|| row.expiration.map(Timestamp::from_micros));
    // A password is set again also when it is the same: nobody knows.
    let password = wish
        .password
        .as_ref()
        .filter(|new| new.is_some() || before.password_hash.is_some())
        .map(|new| new.clone().map(Into::into));
    let same = expires.is_none() && password.is_none();
    if same && wish.active.is_none() {
        return Ok(Changed::Done);
    }
    let (cx, of) = (account.cx(), target(account, row).await?);
    let done = match same {
        // Whoever says that it shall be active wants to know it so.
        true => links.get(&cx, &of, id).await,
        false => links.change(&cx, &of, id, &LinkChange { password, expires }).await,
    };
    match done {
        Ok(now) => {
            row.expiration = now.expires.map(Timestamp::micros);
            row.native_url = Some(now.url.into());
            Ok(Changed::Done)
        }
        Err(error) if error.is_declined() => Ok(Changed::Left),
        Err(error) if error.is_not_found() => Ok(Changed::Gone),
        Err(error) => Err(error.into()),
    }
}

/// The service's own link ends, and the row is one of ours. It ends first: better none than one that is
/// open to more than the row says.
async fn become_ours(account: &Account, before: &Link, row: &mut Link) -> Answer<()> {
    if is_beyond_ours(row) {
        return Err(refused());
    }
    remove(account, before).await?;
    (row.native_id, row.native_url) = (None, None);
    Ok(())
}
