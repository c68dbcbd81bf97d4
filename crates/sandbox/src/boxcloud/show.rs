//! Items as JSON: mini, standard and whatever `fields` asks for.

use serde_json::{Map, Value, json};

use super::answer::time;
use super::node::{Grantee, Key, Kind, Node, Powers, User};
use super::store::Store;

/// What comes without `fields`, beside the mini form.
const STANDARD: &[&str] = &[
    "type",
    "id",
    "etag",
    "sequence_id",
    "name",
    "sha1",
    "file_version",
    "description",
    "size",
    "url",
    "path_collection",
    "created_at",
    "modified_at",
    "trashed_at",
    "purged_at",
    "content_created_at",
    "content_modified_at",
    "created_by",
    "modified_by",
    "owned_by",
    "shared_link",
    "parent",
    "item_status",
    "folder_upload_email",
    "item_collection",
];
const MINI: &[&str] = &["type", "id", "etag", "sequence_id", "name", "sha1", "file_version", "url"];

/// How much of an item is shown.
#[derive(Clone, Debug)]
pub(super) enum Fields {
    Mini,
    /// As events tell an item: all but what is in a folder.
    Source,
    Standard,
    These(Vec<String>),
}

impl Fields {
    /// From the query's `fields`.
    pub(super) fn of(query: Option<&String>, otherwise: Self) -> Self {
        match query {
            Some(list) if !list.is_empty() => {
                Self::These(list.split(',').map(|one| one.trim().to_owned()).collect())
            }
            _ => otherwise,
        }
    }

    /// Whether a folder's contents are asked for.
    fn wants_inside(&self) -> bool {
        match self {
            Self::Standard => true,
            Self::These(list) => list.iter().any(|one| one == "item_collection"),
            Self::Mini | Self::Source => false,
        }
    }

    fn keep(&self, whole: Map<String, Value>) -> Value {
        let kept = |name: &str| match self {
            Self::Mini => MINI.contains(&name),
            Self::Source | Self::Standard => STANDARD.contains(&name),
            Self::These(list) => {
                matches!(name, "type" | "id" | "etag")
                    || list.iter().any(|one| one.split('.').next() == Some(name))
            }
        };
        Value::Object(whole.into_iter().filter(|(name, _)| kept(name)).collect())
    }
}

/// The mini form of a user.
pub(super) fn user_mini(store: &Store, id: u64) -> Value {
    match store.users.get(&id) {
        Some(user) => json!({
            "type": "user", "id": user.id.to_string(), "name": user.name, "login": user.login,
        }),
        None => json!({"type": "user", "id": "", "name": "", "login": ""}),
    }
}

/// A user, as `GET /users/:id` tells them.
pub(super) fn user(store: &Store, user: &User) -> Map<String, Value> {
    let whole = json!({
        "type": "user", "id": user.id.to_string(), "name": user.name, "login": user.login,
        "created_at": time(user.created), "modified_at": time(user.modified),
        "language": "en", "timezone": "America/Los_Angeles",
        "space_amount": store.space(user.id), "space_used": store.used(user.id),
        "max_upload_size": 5_368_709_120_u64, "status": "active", "job_title": "", "phone": "",
        "address": "", "avatar_url": format!("https://app.box.com/api/avatar/large/{}", user.id),
        "notification_email": null, "role": user.role, "is_sync_enabled": true,
        "enterprise": {"type": "enterprise", "id": super::store::ENTERPRISE.to_string(),
            "name": "Example Inc."},
    });
    match whole {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// A user cut to what was asked for.
pub(super) fn user_shown(store: &Store, one: &User, fields: Option<&String>) -> Value {
    let mut whole = user(store, one);
    match fields {
        Some(list) if !list.is_empty() => Fields::of(Some(list), Fields::Mini).keep(whole),
        _ => {
            whole.retain(|name, _| {
                !matches!(name.as_str(), "role" | "is_sync_enabled" | "enterprise")
            });
            Value::Object(whole)
        }
    }
}

fn version_mini(node: &Node) -> Value {
    node.current().map_or(Value::Null, |version| {
        json!({"type": "file_version", "id": version.id.to_string(), "sha1": version.sha1})
    })
}

/// The mini form of an item.
pub(super) fn mini(node: &Node) -> Value {
    let mut members = Map::new();
    basics(node, &mut members);
    Value::Object(members)
}

fn basics(node: &Node, into: &mut Map<String, Value>) {
    let mut put = |name: &str, value: Value| into.insert(name.to_owned(), value);
    put("type", node.key.kind.word().into());
    put("id", node.key.id.to_string().into());
    put("sequence_id", node.etag.to_string().into());
    put("etag", node.etag.to_string().into());
    put("name", node.name.clone().into());
    match node.key.kind {
        Kind::File => {
            put("sha1", node.current().map_or(Value::Null, |now| now.sha1.clone().into()));
            put("file_version", version_mini(node));
        }
        Kind::Link => {
            put("url", node.url.clone().into());
        }
        Kind::Folder => {}
    }
}

const ROOT_NAME: &str = "All Files";

fn root_mini() -> Value {
    json!({"type": "folder", "id": "0", "sequence_id": null, "etag": null, "name": ROOT_NAME})
}

/// The first page of what is in a folder.
fn inside(store: &Store, me: u64, folder: u64) -> Value {
    let all = store.listing(me, folder);
    let entries: Vec<Value> = all.iter().take(100).map(|node| mini(node)).collect();
    json!({
        "total_count": all.len(), "entries": entries, "offset": 0, "limit": 100,
        "order": [{"by": "type", "direction": "ASC"}, {"by": "name", "direction": "ASC"}],
    })
}

fn parent(store: &Store, me: u64, node: &Node) -> Value {
    let above = store.nodes.get(&Key::folder(node.parent));
    match above {
        Some(above) if store.powers(me, above.key) != Powers::default() => mini(above),
        // What others share appears in the caller's own root.
        _ => root_mini(),
    }
}

fn path(store: &Store, me: u64, key: Key) -> Value {
    let mut entries: Vec<Value> = store
        .upwards(key)
        .skip(1)
        .take_while(|node| store.powers(me, node.key) != Powers::default())
        .map(mini)
        .collect();
    entries.push(root_mini());
    entries.reverse();
    json!({"total_count": entries.len(), "entries": entries})
}

fn permissions(kind: Kind, powers: Powers) -> Value {
    let mut shown = json!({
        "can_download": powers.download, "can_upload": powers.upload, "can_rename": powers.edit,
        "can_delete": powers.edit, "can_share": powers.edit,
        "can_invite_collaborator": powers.edit, "can_set_share_access": powers.own,
    });
    if kind != Kind::Folder
        && let Some(members) = shown.as_object_mut()
    {
        members.insert("can_preview".into(), powers.preview.into());
        members.insert("can_comment".into(), powers.download.into());
        for name in ["can_annotate", "can_view_annotations_all", "can_view_annotations_self"] {
            members.insert(name.into(), powers.download.into());
        }
    }
    shown
}

fn shared_link(node: &Node) -> Value {
    let Some(link) = &node.shared else { return Value::Null };
    let is_file = node.key.kind == Kind::File;
    let download = (is_file && link.can_download)
        .then(|| format!("https://app.box.com/shared/static/{}", link.token));
    json!({
        "url": format!("https://app.box.com/s/{}", link.token), "download_url": download,
        "vanity_url": null, "vanity_name": null, "effective_access": link.access,
        "effective_permission": if link.can_edit { "can_edit" } else if link.can_download {
            "can_download" } else { "can_preview" },
        "is_password_enabled": link.password.is_some(),
        "unshared_at": link.unshared_at.map(time), "download_count": 0, "preview_count": 0,
        "access": link.access,
        "permissions": {"can_preview": true, "can_download": link.can_download,
            "can_edit": link.can_edit},
    })
}

fn whole(store: &Store, me: u64, node: &Node) -> Map<String, Value> {
    let mut members = Map::new();
    basics(node, &mut members);
    let powers = store.powers(me, node.key);
    let is_trashed = !store.live(node.key);
    let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
    put("description", node.description.clone().into());
    if node.key.kind == Kind::Folder {
        let below = store.below(node.key.id);
        let size: u64 = below.iter().filter_map(|key| store.nodes.get(key)).map(Node::size).sum();
        put("size", size.into());
        put("folder_upload_email", Value::Null);
        put(
            "has_collaborations",
            store.collaborations.values().any(|one| one.item == node.key).into(),
        );
        put("sync_state", "not_synced".into());
        put("can_non_owners_invite", true.into());
        put("is_externally_owned", false.into());
        put("can_non_owners_view_collaborators", true.into());
        put("is_collaboration_restricted_to_enterprise", false.into());
        put("allowed_shared_link_access_levels", json!(["collaborators", "open", "company"]));
        put(
            "allowed_invitee_roles",
            json!([
                "editor",
                "viewer",
                "previewer",
                "uploader",
                "previewer uploader",
                "viewer uploader",
                "co-owner"
            ]),
        );
    } else {
        put("size", node.size().into());
        put("extension", node.name.rsplit_once('.').map_or("", |(_, end)| end).into());
        put("version_number", node.versions.len().to_string().into());
        put("comment_count", 0.into());
        put("lock", Value::Null);
        put("is_package", false.into());
    }
    put("path_collection", path(store, me, node.key));
    put("created_at", time(node.created).into());
    put("modified_at", time(node.modified).into());
    put("trashed_at", node.trashed.map_or(Value::Null, |at| time(at).into()));
    put("purged_at", Value::Null);
    put("content_created_at", time(node.content_created).into());
    put("content_modified_at", time(node.content_modified).into());
    put("created_by", user_mini(store, node.created_by));
    put("modified_by", user_mini(store, node.modified_by));
    put("owned_by", user_mini(store, node.owner));
    put("shared_link", shared_link(node));
    put("parent", parent(store, me, node));
    put("item_status", if is_trashed { "trashed" } else { "active" }.into());
    put("permissions", permissions(node.key.kind, powers));
    put("tags", node.tags.clone().into());
    members
}

/// An item with as much as was asked for.
pub(super) fn item(store: &Store, me: u64, node: &Node, fields: &Fields) -> Value {
    match fields {
        Fields::Mini => mini(node),
        _ => {
            let mut members = whole(store, me, node);
            if node.key.kind == Kind::Folder && fields.wants_inside() {
                members.insert("item_collection".into(), inside(store, me, node.key.id));
            }
            fields.keep(members)
        }
    }
}

/// The caller's own root folder.
pub(super) fn root(store: &Store, me: u64, fields: &Fields) -> Value {
    let size = store.used(me);
    let whole = json!({
        "type": "folder", "id": "0", "sequence_id": null, "etag": null, "name": ROOT_NAME,
        "created_at": null, "modified_at": null, "description": "", "size": size,
        "path_collection": {"total_count": 0, "entries": []}, "created_by": user_mini(store, me),
        "modified_by": user_mini(store, me), "trashed_at": null, "purged_at": null,
        "content_created_at": null, "content_modified_at": null, "owned_by": user_mini(store, me),
        "shared_link": null, "folder_upload_email": null, "parent": null, "item_status": "active",
        "permissions": permissions(Kind::Folder, Powers::ALL), "tags": [],
        "has_collaborations": false, "sync_state": "default",
    });
    match whole {
        Value::Object(mut members) => {
            if fields.wants_inside() {
                members.insert("item_collection".into(), inside(store, me, 0));
            }
            fields.keep(members)
        }
        other => other,
    }
}

/// Who a collaboration is for.
pub(super) fn grantee(store: &Store, who: &Grantee) -> Value {
    match who {
        Grantee::User(id) => user_mini(store, *id),
        Grantee::Group(id) => match store.groups.get(id) {
            Some(group) => json!({
                "type": "group", "id": id.to_string(), "name": group.name,
                "group_type": "managed_group",
            }),
            None => Value::Null,
        },
        Grantee::Invited(_) => Value::Null,
    }
}
