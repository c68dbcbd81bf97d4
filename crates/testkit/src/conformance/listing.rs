//! Listings: pages, trees, searches, recent files.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use tramontane_connector::storage::SearchQuery;
use tramontane_connector::{Kind, Place, Storage};
use tramontane_model::{PageRequest, Timestamp};

use super::room::{Room, fails, missing};
use super::suite;

suite! {
    pages_hold_everything_once [FileCreate, FolderList];
    a_foreign_cursor_is_refused [FolderList];
    ten_thousand_entries_are_listed [FileCreate, FolderList] slow;
    a_tree_lists_folders_before_their_contents [FileCreate, FolderCreate, FolderListRecursively];
    a_tree_pages_without_gaps [FileCreate, FolderCreate, FolderListRecursively];
    search_finds_names_whatever_their_case [FileCreate, FolderCreate, SearchName];
    recent_files_come_newest_first [FileCreate, RecentList];
}

async fn pages_hold_everything_once(room: &Room) -> anyhow::Result<()> {
    for n in 0..25 {
        if n % 5 == 0 {
            room.folder(&format!("folder {n}")).await?;
        } else {
            room.put(&format!("file {n}"), "x").await?;
        }
    }
    for page in [1, 3, 7, 25, 1000] {
        let all = room.children(&room.folder, page).await?;
        let ids: BTreeSet<_> = all.iter().map(|entry| (entry.kind, entry.id.clone())).collect();
        ensure!(
            all.len() == 25 && ids.len() == 25,
            "pages of {page}: {} entries, {} ids",
            all.len(),
            ids.len()
        );
    }
    Ok(())
}

async fn a_foreign_cursor_is_refused(room: &Room) -> anyhow::Result<()> {
    for cursor in ["", "x", "zz-not-a-cursor", "\u{0}"] {
        let page = PageRequest::after(cursor.into(), 10);
        match room.storage.list(&room.cx, &room.folder, &page).await {
            // A service may take any text to start after.
            Ok(_) => {}
            Err(error) => ensure!(
                matches!(error.kind, Kind::CursorExpired | Kind::Invalid),
                "{cursor:?}: {:?} {error}",
                error.kind
            ),
        }
    }
    Ok(())
}

async fn ten_thousand_entries_are_listed(room: &Room) -> anyhow::Result<()> {
    use futures::StreamExt as _;
    let made = futures::stream::iter(0..10_000)
        .map(|n| async move { room.put(&format!("{n:05}"), "").await })
        .buffer_unordered(24);
    let failed: Vec<_> = made.filter_map(|made| async { made.err() }).collect().await;
    ensure!(failed.is_empty(), "{} could not be made: {:#}", failed.len(), failed[0]);
    for page in [1000, 10_000] {
        let all = room.children(&room.folder, page).await?;
        let names: BTreeSet<_> = all.iter().map(|entry| entry.name.clone()).collect();
        ensure!(
            all.len() == 10_000 && names.len() == 10_000,
            "{} entries, {} names",
            all.len(),
            names.len()
        );
    }
    Ok(())
}

async fn plant(room: &Room) -> anyhow::Result<()> {
    for top in ["x", "y"] {
        let folder = room.folder(top).await?;
        for n in 0..3 {
            let sub = room.folder_at(&Place::new(folder.id.clone(), format!("sub {n}"))).await?;
            room.put_at(&Place::new(sub.id, "leaf.txt"), "leaf").await?;
        }
    }
    room.put("top.txt", "top").await?;
    Ok(())
}

async fn a_tree_lists_folders_before_their_contents(room: &Room) -> anyhow::Result<()> {
    plant(room).await?;
    let page = room.storage.list_tree(&room.cx, &room.folder, &PageRequest::first(1000)).await?;
    let mut all = page.items;
    let mut next = page.next;
    while let Some(cursor) = next {
        let page = room
            .storage
            .list_tree(&room.cx, &room.folder, &PageRequest::after(cursor, 1000))
            .await?;
        all.extend(page.items);
        next = page.next;
    }
    ensure!(all.len() == 15, "{} entries", all.len());
    let mut seen = BTreeSet::from([room.folder.clone()]);
    for item in &all {
        let parent = item.entry.parent.as_ref().context("no parent")?;
        ensure!(seen.contains(&parent.id), "{} comes before its folder", item.entry.name);
        let depth = match item.entry.name.as_str() {
            "x" | "y" | "top.txt" => 1,
            "leaf.txt" => 3,
            _ => 2,
        };
        ensure!(item.depth == depth, "{} at depth {}", item.entry.name, item.depth);
        seen.insert(item.entry.id.clone());
    }
    let gone = room.folder("gone").await?;
    room.delete(&gone.reference(), false).await?;
    missing(
        room.storage.list_tree(&room.cx, &gone.id, &PageRequest::first(10)).await,
        "a folder that is gone",
    )
}

async fn a_tree_pages_without_gaps(room: &Room) -> anyhow::Result<()> {
    plant(room).await?;
    for size in [1, 4] {
        let mut ids = BTreeSet::new();
        let mut request = PageRequest::first(size);
        let mut count = 0;
        loop {
            let page = room.storage.list_tree(&room.cx, &room.folder, &request).await?;
            ensure!(page.items.len() <= size);
            count += page.items.len();
            ids.extend(page.items.into_iter().map(|item| (item.entry.kind, item.entry.id)));
            match page.next {
                Some(next) => request = PageRequest::after(next, size),
                None => break,
            }
        }
        ensure!(
            count == 15 && ids.len() == 15,
            "pages of {size}: {count} entries, {} ids",
            ids.len()
        );
    }
    Ok(())
}

async fn search_finds_names_whatever_their_case(room: &Room) -> anyhow::Result<()> {
    room.put("Quarterly Report.txt", "x").await?;
    room.put("other.txt", "x").await?;
    let sub = room.folder("sub").await?;
    room.put_at(&Place::new(sub.id, "report final.md"), "x").await?;
    let query = SearchQuery { text: "rePORT".into(), below: vec![room.folder.clone()] };
    let mut found = BTreeSet::new();
    let mut request = PageRequest::first(100);
    loop {
        let page = room.storage.search(&room.cx, &query, &request).await?;
        found.extend(page.items.into_iter().map(|entry| entry.name));
        match page.next {
            Some(next) => request = PageRequest::after(next, 100),
            None => break,
        }
    }
    let expected =
        BTreeSet::from(["Quarterly Report.txt".to_owned(), "report final.md".to_owned()]);
    ensure!(found == expected, "{found:?}");
    let none = SearchQuery { text: "zzzznothing".into(), below: vec![room.folder.clone()] };
    let page = room.storage.search(&room.cx, &none, &PageRequest::first(10)).await?;
    ensure!(page.items.is_empty());
    let nowhere =
        SearchQuery { text: "a".into(), below: vec![tramontane_model::NativeId::new("/no/such")] };
    fails(
        room.storage.search(&room.cx, &nowhere, &PageRequest::first(10)).await.and_then(|page| {
            if page.items.is_empty() {
                Err(tramontane_connector::Error::not_found("empty"))
            } else {
                Ok(page)
            }
        }),
        |kind| matches!(kind, Kind::NotFound | Kind::Invalid | Kind::ParentNotFound),
        "below a folder that is not there",
    )
}

async fn recent_files_come_newest_first(room: &Room) -> anyhow::Result<()> {
    for name in ["one", "two", "three"] {
        room.put(name, name).await?;
    }
    let found = room.storage.recent(&room.cx, None, 50).await?;
    ensure!(found.iter().all(|entry| !entry.is_folder()), "folders among the files");
    let times: Vec<_> = found.iter().filter_map(|entry| entry.modified).collect();
    ensure!(times.len() == found.len(), "a file without a time");
    ensure!(times.windows(2).all(|pair| pair[0] >= pair[1]), "not newest first");
    ensure!(room.storage.recent(&room.cx, None, 2).await?.len() <= 2);
    let future = Timestamp::from_seconds(4_000_000_000);
    ensure!(room.storage.recent(&room.cx, Some(future), 50).await?.is_empty());
    Ok(())
}
