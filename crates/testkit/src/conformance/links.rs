//! Share links of the service's own, where it has them. Where it has none, the link is one of
//! Tramontane's, which is not a matter of storage.

use anyhow::{Context as _, ensure};
use tramontane_connector::{
    EntryRef, Error, LinkAccess, LinkChange, LinkOptions, LinkRole, Links, ShareLink, Storage as _,
};
use tramontane_model::{NativeId, Op, Timestamp};

use super::room::{Room, missing};
use super::suite;

suite! {
    a_link_is_made_told_and_taken_back [FileCreate, LinkCreate];
    a_link_is_as_it_was_asked_for_or_left_to_us [FileCreate, LinkCreate];
    folders_are_shared_by_links [FolderCreate, LinkCreate];
}

/// The service's links; none when it declares none, and then it has none.
fn own(room: &Room) -> anyhow::Result<Option<&dyn Links>> {
    let links = room.storage.links();
    let declared = room.storage.abilities(&room.cx.account).native.has(Op::LinkCreate);
    ensure!(declared == links.is_some(), "declared: {declared}, there: {}", links.is_some());
    Ok(links)
}

/// A moment so many days from now, at a full second.
fn in_days(room: &Room, days: i64) -> Timestamp {
    Timestamp::from_seconds(room.cx.now().seconds() + days * 86_400)
}

async fn there(links: &dyn Links, room: &Room, of: &EntryRef) -> anyhow::Result<Vec<ShareLink>> {
    links.list(&room.cx, of).await.context("listing the links")
}

async fn goes(links: &dyn Links, room: &Room, of: &EntryRef) -> anyhow::Result<()> {
    let made = links.create(&room.cx, of, &LinkOptions::default()).await.context("making")?;
    ensure!(made.honours(&LinkOptions::default()), "{made:?}");
    ensure!(matches!(made.url.scheme(), "https" | "http") && made.url.has_host(), "{}", made.url);
    let told = links.get(&room.cx, of, &made.id).await.context("one link")?;
    ensure!(told == made, "told as {told:?}, made as {made:?}");
    ensure!(there(links, room, of).await? == [made.clone()], "not listed");
    // The service has one of a kind, or several: never the same one twice.
    match links.create(&room.cx, of, &LinkOptions::default()).await {
        Ok(other) => {
            ensure!(other.id != made.id, "one link was made twice");
            links.delete(&room.cx, of, &other.id).await.context("taking the other back")?;
        }
        Err(error) => ensure!(error.is_declined(), "{error}"),
    }
    links.delete(&room.cx, of, &made.id).await.context("taking back")?;
    missing(links.get(&room.cx, of, &made.id).await, "a link that was taken back")?;
    missing(links.delete(&room.cx, of, &made.id).await, "a link that was taken back already")?;
    ensure!(there(links, room, of).await?.is_empty(), "still listed");
    Ok(())
}

async fn a_link_is_made_told_and_taken_back(room: &Room) -> anyhow::Result<()> {
    let Some(links) = own(room)? else { return Ok(()) };
    let made = room.put("shared.txt", "x").await?;
    let of = made.reference();
    ensure!(there(links, room, &of).await?.is_empty());
    goes(links, room, &of).await?;
    // Once more, now that one was there: nothing of it is left.
    goes(links, room, &of).await?;
    let nowhere = EntryRef::file(NativeId::new(format!("{}-nowhere", made.id)));
    missing(links.create(&room.cx, &nowhere, &LinkOptions::default()).await, "what is not there")?;
    missing(links.list(&room.cx, &nowhere).await, "what is not there")?;
    let folder = EntryRef::folder(made.id);
    missing(links.create(&room.cx, &folder, &LinkOptions::default()).await, "a file as a folder")
}

async fn folders_are_shared_by_links(room: &Room) -> anyhow::Result<()> {
    let Some(links) = own(room)? else { return Ok(()) };
    let made = room.folder("shared").await?;
    goes(links, room, &made.reference()).await
}

/// Either the service does it, or it leaves it; there is no third.
fn left(outcome: Result<ShareLink, Error>, what: &str) -> anyhow::Result<Option<ShareLink>> {
    match outcome {
        Ok(link) => Ok(Some(link)),
        Err(error) if error.is_declined() => Ok(None),
        Err(error) => Err(error).with_context(|| what.to_owned()),
    }
}

async fn a_link_is_as_it_was_asked_for_or_left_to_us(room: &Room) -> anyhow::Result<()> {
    let Some(links) = own(room)? else { return Ok(()) };
    let plain = LinkOptions::default();
    let password = || Some("Kd8-fwq2Lz".to_owned().into());
    let ends = Some(in_days(room, 7));
    let kinds = [
        LinkOptions { password: password(), ..plain.clone() },
        LinkOptions { expires: ends, ..plain.clone() },
        LinkOptions { password: password(), expires: ends, ..plain.clone() },
        LinkOptions { access: LinkAccess::Organization, ..plain.clone() },
        LinkOptions { role: LinkRole::Writer, ..plain.clone() },
    ];
    for (n, how) in kinds.iter().enumerate() {
        let of = room.put(&format!("{n}"), "x").await?.reference();
        let made = left(links.create(&room.cx, &of, how).await, "making")?;
        let Some(made) = made else {
            ensure!(
                there(links, room, &of).await?.is_empty(),
                "{how:?}: left, and made all the same"
            );
            continue;
        };
        ensure!(made.honours(how), "{how:?} became {made:?}");
        ensure!(links.get(&room.cx, &of, &made.id).await? == made, "told otherwise");
        links.delete(&room.cx, &of, &made.id).await.context("taking back")?;
    }
    let over = LinkOptions { expires: Some(in_days(room, -1)), ..plain.clone() };
    let of = room.put("over", "x").await?.reference();
    ensure!(left(links.create(&room.cx, &of, &over).await, "an end in the past")?.is_none());

    let made = links.create(&room.cx, &of, &plain).await?;
    let changes = [
        LinkChange { expires: Some(Some(in_days(room, 9))), ..LinkChange::default() },
        LinkChange { password: Some(password()), ..LinkChange::default() },
        LinkChange { expires: Some(None), password: Some(None) },
    ];
    let mut now = made.clone();
    for change in changes {
        if let Some(link) = left(links.change(&room.cx, &of, &made.id, &change).await, "changing")?
        {
            ensure!(link.url == made.url, "the address changed");
            let locked = change.password.as_ref().map_or(now.password, Option::is_some);
            let ends = change.expires.unwrap_or(now.expires);
            ensure!(link.password == locked && link.expires == ends, "{change:?} gave {link:?}");
            now = link;
        }
        let told = links.get(&room.cx, &of, &made.id).await?;
        ensure!(told == now, "told as {told:?}, is {now:?}");
    }
    links.delete(&room.cx, &of, &made.id).await.context("taking back")
}
