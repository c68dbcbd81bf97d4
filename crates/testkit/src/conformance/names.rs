//! Names that break careless software.

use anyhow::{Context as _, ensure};
use tramontane_connector::{Conflict, Kind, Place, Storage};
use tramontane_model::Op;

use super::room::{Room, fails};
use super::suite;

suite! {
    awkward_names_come_back_exactly [FileCreate, FileDelete, FolderList];
    awkward_folders_can_be_walked [FolderCreate, FileCreate];
    two_normal_forms_are_kept_apart_or_refused [FileCreate];
    the_longest_name_is_taken [FileCreate];
    a_name_that_is_too_long_is_refused [FileCreate];
    renaming_between_awkward_names [FileCreate, FileRename, FileDelete];
    names_that_are_not_taken_are_refused [FileCreate, FolderCreate];
}

const AWKWARD: &[&str] = &[
    "plain.txt",
    "with space",
    " leading",
    "100% sure",
    "%41%2f%00",
    "a#b",
    "what?",
    "semi;colon",
    "a&b=c",
    "a+b",
    "quote'single",
    "quote\"double",
    "back`tick",
    "<tag>",
    "{brace}",
    "[bracket]",
    "(1)",
    "~tilde",
    "!bang",
    "@at",
    "$dollar",
    "^caret",
    "comma,",
    "a:b",
    "star*",
    "pipe|",
    "back\\slash",
    ".hidden",
    "..double",
    "...",
    "-dash",
    "ünïcödé",
    "日本語",
    "🙂 emoji 👩‍👩‍👧",
    "\u{202e}rtl",
    "Ａ wide",
    "zero\u{200b}width",
    "tab\there",
    "CON",
    "null",
    "undefined",
];

fn fitting(room: &Room) -> impl Iterator<Item = &'static str> {
    let rules = room.semantics().names;
    AWKWARD.iter().copied().chain(["trailing dot.", "trailing space "]).filter(move |name| {
        let ends = name.ends_with(['.', ' ']);
        !name.contains(rules.forbidden)
            && (rules.trailing_dot_or_space || !ends)
            && room.storage.takes_name(&room.cx.account, name)
    })
}

async fn names_that_are_not_taken_are_refused(room: &Room) -> anyhow::Result<()> {
    for name in AWKWARD {
        if room.storage.takes_name(&room.cx.account, name) {
            continue;
        }
        let made = room.upload(name, "x", tramontane_fill::Policy::Fail).await;
        fails(made, |kind| *kind == Kind::Invalid, name)?;
        let made = room.storage.create_folder(&room.cx, &room.at(name)).await;
        fails(made, |kind| *kind == Kind::Invalid, name)?;
    }
    ensure!(room.names(&room.folder).await?.is_empty());
    Ok(())
}

async fn awkward_names_come_back_exactly(room: &Room) -> anyhow::Result<()> {
    let mut expected = Vec::new();
    for name in fitting(room) {
        let made = room.put(name, name).await?;
        ensure!(made.name == name, "{name:?} came back as {:?}", made.name);
        ensure!(room.text(&made.id).await.context(name)? == name);
        ensure!(room.get(&made.reference()).await.with_context(|| name.to_owned())?.name == name);
        let child = room.storage.child(&room.cx, &room.at(name)).await?;
        ensure!(child.is_some_and(|child| child.id == made.id), "{name:?} is no child");
        expected.push(name.to_owned());
    }
    expected.sort();
    let listed = room.names(&room.folder).await?;
    ensure!(listed == expected, "listed {listed:?}");
    for entry in room.children(&room.folder, 7).await? {
        room.delete(&entry.reference(), false).await.with_context(|| entry.name.clone())?;
    }
    ensure!(room.names(&room.folder).await?.is_empty());
    Ok(())
}

async fn awkward_folders_can_be_walked(room: &Room) -> anyhow::Result<()> {
    for name in fitting(room) {
        let folder = room.folder(name).await?;
        ensure!(folder.name == name, "{name:?} came back as {:?}", folder.name);
        let file = room
            .put_at(&Place::new(folder.id.clone(), "x"), name)
            .await
            .with_context(|| name.to_owned())?;
        let listed = room.children(&folder.id, 10).await.with_context(|| name.to_owned())?;
        ensure!(listed.len() == 1 && listed[0].id == file.id, "{name:?} lists {listed:?}");
        ensure!(room.text(&file.id).await? == name);
    }
    Ok(())
}

async fn two_normal_forms_are_kept_apart_or_refused(room: &Room) -> anyhow::Result<()> {
    let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
    let one = room.put(composed, "composed").await?;
    match room.put(decomposed, "decomposed").await {
        Ok(two) => {
            ensure!(one.id != two.id && one.name == composed && two.name == decomposed);
            ensure!(
                room.text(&one.id).await? == "composed"
                    && room.text(&two.id).await? == "decomposed"
            );
        }
        // A service that normalises must say that the name is taken, not mix them up.
        Err(_) => ensure!(room.text(&one.id).await? == "composed"),
    }
    Ok(())
}

async fn the_longest_name_is_taken(room: &Room) -> anyhow::Result<()> {
    let most = room.semantics().names.max_bytes.min(255);
    for name in ["n".repeat(most), "é".repeat(most / 2)] {
        let made = room.put(&name, "long").await?;
        ensure!(made.name == name && room.text(&made.id).await? == "long");
    }
    Ok(())
}

async fn a_name_that_is_too_long_is_refused(room: &Room) -> anyhow::Result<()> {
    let name = "n".repeat(1_025);
    let made = room.upload(&name, "x", tramontane_fill::Policy::Fail).await;
    fails(made, |kind| *kind == Kind::Invalid, "1,025 bytes")?;
    for bad in ["", ".", "..", "a/b", "a\0b"] {
        let made = room.upload(bad, "x", tramontane_fill::Policy::Fail).await;
        fails(made, |kind| *kind == Kind::Invalid, bad)?;
    }
    ensure!(room.names(&room.folder).await?.is_empty());
    Ok(())
}

async fn renaming_between_awkward_names(room: &Room) -> anyhow::Result<()> {
    let mut entry = room.put("start", "content").await?;
    for name in fitting(room).step_by(3) {
        let to = room.at(name);
        let renamed =
            room.storage.relocate(&room.cx, &entry.reference(), &to, Conflict::Fail).await;
        entry = renamed.with_context(|| format!("renaming to {name:?}"))?;
        ensure!(entry.name == name);
    }
    ensure!(room.text(&entry.id).await? == "content");
    ensure!(room.can(Op::FileRename));
    Ok(())
}
