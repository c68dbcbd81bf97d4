//! Drives and items as JSON: the resource types `drive` and `driveItem` of Microsoft Graph v1.0.

use serde_json::{Map, Value, json};

use super::call::Call;
use super::download;
use super::drive::{Drive, Flavour, Item};
use super::world::{HOST, World, guid};
use crate::people::Person;

/// What a drive says it holds, in bytes.
pub(super) const TOTAL: u64 = 15 << 30;

pub(super) fn identity(person: &Person, personal: bool) -> Value {
    let mut user = json!({"id": guid(person.id), "displayName": person.name});
    if personal {
        user = json!({"id": guid(person.id).replace('-', "").chars().take(16).collect::<String>(), "displayName": person.name});
    } else if let Some(members) = user.as_object_mut() {
        members.insert("email".into(), person.email.into());
    }
    json!({"user": user})
}

fn web(drive: &Drive, path: &[String]) -> String {
    let mut url = match (drive.flavour, &drive.site) {
        (Flavour::Personal, _) => "https://onedrive.live.com".to_owned(),
        (Flavour::Business, _) => {
            let owner = drive.owner.map_or("nobody", |owner| owner.id);
            format!("https://example-my.sharepoint.com/personal/{owner}_example_com/Documents")
        }
        (Flavour::Library, _) => format!("https://{HOST}/{}", drive.name),
    };
    for name in path {
        url.push('/');
        url.extend(percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC));
    }
    url
}

pub(super) fn drive_type(drive: &Drive) -> &'static str {
    match drive.flavour {
        Flavour::Personal => "personal",
        Flavour::Business => "business",
        Flavour::Library => "documentLibrary",
    }
}

pub(super) fn drive(drive: &Drive) -> Value {
    let personal = drive.flavour == Flavour::Personal;
    let owner = match drive.owner {
        Some(owner) => identity(owner, personal),
        None => json!({"group": {"id": guid("group everyone"), "displayName": "Everyone"}}),
    };
    json!({
        "id": drive.id,
        "driveType": drive_type(drive),
        "name": drive.name,
        "webUrl": web(drive, &[]),
        "createdDateTime": drive.created.to_string(),
        "lastModifiedDateTime": drive.created.to_string(),
        "owner": owner,
        "quota": {
            "total": TOTAL,
            "used": drive.used(),
            "remaining": TOTAL.saturating_sub(drive.used()),
            "deleted": 0,
            "state": "normal",
        },
    })
}

fn parent(drive: &Drive, item: &Item) -> Value {
    let mut reference = json!({"driveType": drive_type(drive), "driveId": drive.id});
    if let (Some(parent), Some(members)) = (&item.parent, reference.as_object_mut()) {
        members.insert("id".into(), parent.as_str().into());
        let above = drive.path(parent);
        if let Some(above) = drive.items.get(parent) {
            members.insert("name".into(), above.name.as_str().into());
        }
        let mut path = format!("/drives/{}/root:", drive.id);
        for name in above {
            path.push('/');
            path.extend(percent_encoding::utf8_percent_encode(&name, ESCAPED));
        }
        members.insert("path".into(), path.into());
    }
    if let (Some(site), Some(members)) = (&drive.site, reference.as_object_mut()) {
        members.insert("siteId".into(), site.as_str().into());
    }
    reference
}

/// What a path in `parentReference` is written with.
const ESCAPED: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

pub(super) fn media_type(item: &Item) -> String {
    mime_guess::from_path(&item.name).first_or_octet_stream().to_string()
}

pub(super) fn size(drive: &Drive, item: &Item) -> u64 {
    if !item.folder {
        return item.content.len() as u64;
    }
    let below = drive.below(&item.id);
    below.iter().filter_map(|id| drive.items.get(id)).map(|item| item.content.len() as u64).sum()
}

/// An item as it shows in lists and by itself.
pub(super) fn item(world: &World, drive: &Drive, item: &Item, call: &Call) -> Value {
    let personal = drive.flavour == Flavour::Personal;
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| {
        out.insert(name.to_owned(), value);
    };
    let plain = !item.folder && !item.package && item.remote.is_none();
    if plain {
        let token = download::token(world, drive, item, None, call.now);
        put("@microsoft.graph.downloadUrl", format!("{}/dl/{token}", call.base).into());
    }
    put("id", item.id.as_str().into());
    put("name", item.name.as_str().into());
    put("size", size(drive, item).into());
    put("createdDateTime", item.created.to_string().into());
    put("lastModifiedDateTime", item.modified.to_string().into());
    put("eTag", drive.etag(item).into());
    put("cTag", drive.ctag(item).into());
    put("webUrl", web(drive, &drive.path(&item.id)).into());
    put("createdBy", identity(item.creator, personal));
    put("lastModifiedBy", identity(item.modifier, personal));
    put("parentReference", parent(drive, item));
    put(
        "fileSystemInfo",
        json!({
            "createdDateTime": item.client_created.to_string(),
            "lastModifiedDateTime": item.client_modified.to_string(),
        }),
    );
    if item.parent.is_none() {
        put("root", json!({}));
    }
    if item.folder {
        put("folder", json!({"childCount": drive.child_count(&item.id)}));
    } else if item.package {
        put("package", json!({"type": "oneNote"}));
    } else if let Some((other, id)) = &item.remote {
        put("remoteItem", remote(world, other, id));
    } else {
        put("file", json!({"mimeType": media_type(item), "hashes": item.hashes}));
    }
    if !item.sharing.is_empty() {
        put("shared", json!({"scope": "users"}));
    }
    Value::Object(out)
}

fn remote(world: &World, drive: &str, id: &str) -> Value {
    let found = world.drives.get(drive).and_then(|drive| Some((drive, drive.items.get(id)?)));
    let Some((drive, item)) = found else { return json!({"id": id}) };
    json!({
        "id": item.id,
        "name": item.name,
        "size": size(drive, item),
        "webUrl": web(drive, &drive.path(&item.id)),
        "folder": {"childCount": drive.child_count(&item.id)},
        "fileSystemInfo": {
            "createdDateTime": item.client_created.to_string(),
            "lastModifiedDateTime": item.client_modified.to_string(),
        },
        "parentReference": {"driveId": drive.id, "driveType": drive_type(drive), "id": item.parent},
        "shared": {"scope": "users"},
    })
}

/// Leaves only what `$select` names.
pub(super) fn selected(value: Value, call: &Call) -> Value {
    let select = call.parameter("$select").or_else(|| call.parameter("select"));
    let (Some(select), Value::Object(members)) = (select, value.clone()) else { return value };
    let wanted: Vec<&str> = select.split(',').map(str::trim).collect();
    let keep = |name: &str| {
        wanted.contains(&name)
            || name.starts_with("@odata")
            || (name == "@microsoft.graph.downloadUrl" && wanted.contains(&"content.downloadUrl"))
    };
    Value::Object(members.into_iter().filter(|(name, _)| keep(name)).collect())
}
