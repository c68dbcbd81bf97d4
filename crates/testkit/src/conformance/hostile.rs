//! Ids as an attacker would type them: nothing outside the account, no panic, no half-done work.

use anyhow::ensure;
use tramontane_connector::storage::ReadOptions;
use tramontane_connector::{Body, Conflict, EntryRef, Error, Kind, Place, Storage, WriteOptions};
use tramontane_model::{NativeId, PageRequest};

use super::room::Room;
use super::suite;

suite! {
    ids_lead_nowhere_outside [FileCreate];
    writes_lead_nowhere_outside [FileCreate, FolderCreate];
}

const HOSTILE: &[&str] = &[
    "",
    "/",
    "//",
    "///",
    ".",
    "..",
    "../",
    "/..",
    "/../",
    "/../../../../etc/passwd",
    "../../etc/passwd",
    "/./",
    "/a/../..",
    "/a/./b",
    "/a//b",
    "\\..\\..",
    "/%2e%2e/%2e%2e/etc/passwd",
    "%2e%2e",
    "/..%2f..",
    "/\u{0}",
    "a\u{0}b",
    "/a\nb",
    "\r\nX: y",
    "http://169.254.169.254/",
    "//evil.example/x",
    "/?list-type=2",
    "/#",
    "/etc/passwd",
    "file:///etc/passwd",
    "~root",
    "$(id)",
    "`id`",
    "'; DROP TABLE accounts; --",
    "!!!",
    "%",
    "%zz",
    "\u{feff}",
    "\u{d7ff}",
];

fn harmless(error: &Error) -> bool {
    matches!(
        error.kind,
        Kind::NotFound
            | Kind::ParentNotFound
            | Kind::Invalid
            | Kind::NotAllowed
            | Kind::Forbidden
            | Kind::NotEmpty
            | Kind::Conflict(_)
            | Kind::Unsupported(_)
            | Kind::Declined(_)
    )
}

async fn ids_lead_nowhere_outside(room: &Room) -> anyhow::Result<()> {
    let root = room.storage.root(&room.cx.account);
    for raw in HOSTILE {
        let id = NativeId::new(*raw);
        let file = EntryRef::file(id.clone());
        match room.get(&file).await {
            Ok(entry) => ensure!(!entry.name.contains("passwd"), "{raw:?} gave {entry:?}"),
            Err(error) => ensure!(harmless(&error), "{raw:?}: {:?} {error}", error.kind),
        }
        match room.storage.read(&room.cx, &id, &ReadOptions::default()).await {
            Ok(content) => {
                let got = content.body.collect(1 << 20).await?;
                ensure!(
                    !String::from_utf8_lossy(&got).contains("root:"),
                    "{raw:?} read the password file"
                );
            }
            Err(error) => ensure!(harmless(&error), "read {raw:?}: {:?} {error}", error.kind),
        }
        if let Err(error) = room.storage.list(&room.cx, &id, &PageRequest::first(10)).await {
            ensure!(harmless(&error), "list {raw:?}: {:?} {error}", error.kind);
        }
        if id != root {
            let to = room.at("stolen");
            match room.storage.copy(&room.cx, &file, &to, Conflict::Fail).await {
                Ok(copy) => ensure!(
                    !room.text(&copy.id).await?.contains("root:"),
                    "{raw:?} copied the password file"
                ),
                Err(error) => ensure!(harmless(&error), "copy {raw:?}: {:?} {error}", error.kind),
            }
        }
    }
    Ok(())
}

async fn writes_lead_nowhere_outside(room: &Room) -> anyhow::Result<()> {
    for raw in ["/../", "/..", "..", "/a/../..", "//", "/%2e%2e", "\u{0}", "/nowhere/at/all"] {
        let at = Place::new(NativeId::new(raw), "tramontane-hostile-probe");
        let made =
            room.storage.create(&room.cx, &at, Body::from_bytes("x"), &WriteOptions::fail()).await;
        ensure!(made.as_ref().is_err_and(harmless), "create in {raw:?}: {made:?}");
        let made = room.storage.create_folder(&room.cx, &at).await;
        ensure!(made.as_ref().is_err_and(harmless), "folder in {raw:?}: {made:?}");
    }
    for raw in ["/../x", "/..", "/a/../../b", "\u{0}"] {
        let what = EntryRef::folder(NativeId::new(raw));
        let gone = room.delete(&what, true).await;
        ensure!(gone.as_ref().is_err_and(harmless), "delete {raw:?}: {gone:?}");
    }
    Ok(())
}
