//! Files, people and permissions as the API shows them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::access::{DOMAIN, GROUPS, number_of, permission_id};
use super::call::Call;
use super::documents;
use super::state::{FOLDER, File, Grantee, Permission, Role, State, time};
use crate::people::{PEOPLE, Person};

/// What `files.get` gives without `fields`.
pub(super) const FILE_FIELDS: &str = "kind,id,name,mimeType";

/// A person, as in `owners` and `lastModifyingUser`.
pub(super) fn user(person: &Person, me: &Person) -> Value {
    json!({
        "kind": "drive#user", "displayName": person.name, "me": person == me,
        "permissionId": number_of(person.email, 20), "emailAddress": person.email,
    })
}

/// One permission, and from where it comes.
pub(super) fn permission(one: &Permission, details: &[Value]) -> Value {
    let mut shown = json!({
        "kind": "drive#permission", "id": one.id, "role": one.role.as_str(),
        "deleted": false, "pendingOwner": false,
    });
    let Some(members) = shown.as_object_mut() else { return shown };
    let mut set = |name: &str, value: Value| members.insert(name.into(), value);
    match &one.kind {
        Grantee::User(email) => {
            let known = PEOPLE.iter().find(|person| person.email.eq_ignore_ascii_case(email));
            set("type", "user".into());
            set("emailAddress", email.clone().into());
            set("displayName", known.map_or(email.as_str(), |person| person.name).into());
        }
        Grantee::Group(email) => {
            let known = GROUPS.iter().find(|group| group.email.eq_ignore_ascii_case(email));
            set("type", "group".into());
            set("emailAddress", email.clone().into());
            set("displayName", known.map_or(email.as_str(), |group| group.name).into());
        }
        Grantee::Domain(domain) => {
            set("type", "domain".into());
            set("domain", domain.clone().into());
            set("displayName", domain.clone().into());
            set("allowFileDiscovery", one.allow_discovery.into());
        }
        Grantee::Anyone => {
            set("type", "anyone".into());
            set("allowFileDiscovery", one.allow_discovery.into());
        }
    }
    if let Some(until) = one.expires {
        set("expirationTime", time(until).into());
    }
    if !details.is_empty() {
        set("permissionDetails", details.into());
    }
    shown
}

impl State {
    /// Every permission that holds for a file, its own and those from above, each grantee once.
    pub(super) fn permissions_of(&self, file: &File) -> Vec<Value> {
        let mut found: BTreeMap<String, (Permission, Vec<Value>)> = BTreeMap::new();
        if let Some(owner) = file.owner {
            let kind = Grantee::User(owner.email.into());
            let id = permission_id(&kind, false);
            let own = Permission {
                id: id.clone(),
                kind,
                role: Role::Owner,
                allow_discovery: false,
                since: file.created,
                expires: None,
            };
            found.insert(id, (own, Vec::new()));
        }
        for above in self.line(file) {
            for one in &above.permissions {
                let inherited = above.id != file.id;
                let member = above.drive.as_ref() == Some(&above.id);
                let mut detail = json!({
                    "permissionType": if member { "member" } else { "file" },
                    "role": one.role.as_str(), "inherited": inherited,
                });
                if let (true, Some(members)) = (inherited, detail.as_object_mut()) {
                    members.insert("inheritedFrom".into(), above.id.clone().into());
                }
                let entry =
                    found.entry(one.id.clone()).or_insert_with(|| (one.clone(), Vec::new()));
                entry.0.role = entry.0.role.max(one.role);
                entry.1.push(detail);
            }
        }
        found.into_values().map(|(one, details)| permission(&one, &details)).collect()
    }

    /// A file as this caller sees it, with every member that there is.
    pub(super) fn render(&self, file: &File, call: &Call) -> Value {
        let me = call.person;
        let role = self.role(me, file, call.now).unwrap_or(Role::Reader);
        let mut shown = json!({
            "kind": "drive#file", "id": file.id, "name": file.name, "mimeType": file.mime,
            "starred": file.starred.contains(me.id),
            "trashed": self.is_trashed(file), "explicitlyTrashed": file.trashed.is_some(),
            "spaces": ["drive"], "version": file.version.to_string(),
            "createdTime": time(file.created), "modifiedTime": time(file.modified),
            "modifiedByMe": file.modified_by == me,
            "viewedByMe": file.viewed.contains_key(me.id),
            "lastModifyingUser": user(file.modified_by, me),
            "shared": file.drive.is_some() || self.line(file).any(|one| !one.permissions.is_empty()),
            "ownedByMe": file.owner == Some(me),
            "writersCanShare": file.writers_can_share,
            "viewersCanCopyContent": !file.copy_needs_writer,
            "copyRequiresWriterPermission": file.copy_needs_writer,
            "permissionIds": [], "isAppAuthorized": true, "hasThumbnail": false,
            "quotaBytesUsed": file.bytes().to_string(),
            "capabilities": self.capabilities(file, role),
            "webViewLink": web_page(file),
            "iconLink": format!("https://drive-thirdparty.googleusercontent.com/16/type/{}", file.mime),
        });
        let Some(members) = shown.as_object_mut() else { return shown };
        self.render_place(file, call, members);
        let permissions = if role >= Role::Writer { self.permissions_of(file) } else { Vec::new() };
        let ids: Vec<Value> = permissions.iter().filter_map(|one| one.get("id").cloned()).collect();
        let mut set = |name: &str, value: Value| members.insert(name.into(), value);
        set("permissionIds", ids.into());
        if role >= Role::Writer && file.drive.is_none() {
            set("permissions", permissions.into());
        }
        if let Some(text) = &file.description {
            set("description", text.clone().into());
        }
        if file.modified_by == me {
            set("modifiedByMeTime", time(file.modified).into());
        }
        if let Some(at) = file.viewed.get(me.id) {
            set("viewedByMeTime", time(*at).into());
        }
        if let Some(at) = self.shared_with(me, file, call.now) {
            set("sharedWithMeTime", time(at).into());
        }
        if let Some(trashed) = file.trashed {
            set("trashedTime", time(trashed.at).into());
            set("trashingUser", user(trashed.by, me));
        }
        if !file.properties.is_empty() {
            set("properties", json!(file.properties));
        }
        let own = file.app_properties.iter().filter(|((client, _), _)| *client == call.client);
        let own: Map<String, Value> =
            own.map(|((_, key), value)| (key.clone(), value.clone().into())).collect();
        if !own.is_empty() {
            set("appProperties", own.into());
        }
        if let Some(color) = &file.color {
            set("folderColorRgb", color.clone().into());
        }
        if let Some((id, mime)) = &file.target {
            set("shortcutDetails", json!({"targetId": id, "targetMimeType": mime}));
        }
        render_content(file, call, members);
        shown
    }

    fn render_place(&self, file: &File, call: &Call, members: &mut Map<String, Value>) {
        let mut set = |name: &str, value: Value| members.insert(name.into(), value);
        // A folder that the caller may not see is not told.
        let above = file.parent.as_ref().and_then(|id| self.files.get(id));
        if let Some(above) = above
            && self.role(call.person, above, call.now).is_some()
        {
            set("parents", json!([above.id]));
        }
        if let Some(drive) = &file.drive {
            set("driveId", drive.clone().into());
            set("teamDriveId", drive.clone().into());
            set("hasAugmentedPermissions", (!file.permissions.is_empty()).into());
        }
        if let Some(owner) = file.owner {
            set("owners", json!([user(owner, call.person)]));
        }
        // The real service calls the top of every shared drive so.
        if file.drive.as_ref() == Some(&file.id) {
            set("name", "Drive".into());
        }
    }

    fn capabilities(&self, file: &File, role: Role) -> Value {
        let folder = file.is_folder();
        let edits = role >= Role::Writer;
        let root = self.is_root(file);
        json!({
            "canEdit": edits, "canRename": edits && !root,
            "canAddChildren": folder && edits, "canListChildren": folder,
            "canRemoveChildren": folder && edits,
            "canComment": role >= Role::Commenter,
            "canCopy": !folder && (edits || !file.copy_needs_writer),
            "canDownload": !folder && (edits || !file.copy_needs_writer),
            "canTrash": role >= Self::role_to_delete(file, false) && !root,
            "canUntrash": role >= Self::role_to_delete(file, false) && !root,
            "canDelete": role >= Self::role_to_delete(file, true) && !root,
            "canShare": edits && (role >= Role::FileOrganizer || file.writers_can_share),
            "canReadRevisions": !folder && edits,
            "canMoveItemWithinDrive": edits && !root,
            "canMoveItemOutOfDrive": role >= Self::role_to_delete(file, false) && !root,
            "canModifyContent": edits, "canModifyLabels": false,
        })
    }
}

fn render_content(file: &File, call: &Call, members: &mut Map<String, Value>) {
    let mut set = |name: &str, value: Value| members.insert(name.into(), value);
    let id = &file.id;
    if let Some(kind) = documents::kind(&file.mime) {
        let links: Map<String, Value> = kind
            .formats
            .iter()
            .map(|mime| {
                let encoded = mime.replace('+', "%2B");
                let url = format!("{}/drive/v3/files/{id}/export?mimeType={encoded}", call.base);
                ((*mime).to_owned(), url.into())
            })
            .collect();
        set("exportLinks", links.into());
        // Documents of Google's have told a size since 2021; it is not what an export has.
        set("size", "1024".into());
        return;
    }
    let Some(head) = file.head() else { return };
    set("size", head.content.len().to_string().into());
    set("md5Checksum", head.md5.clone().into());
    set("sha1Checksum", head.sha1.clone().into());
    set("sha256Checksum", head.sha256.clone().into());
    set("headRevisionId", head.id.clone().into());
    set("originalFilename", head.original_name.clone().into());
    let content = format!("https://drive.google.com/uc?id={id}&export=download");
    set("webContentLink", content.into());
    let extension = file.name.rsplit_once('.').map_or("", |(_, extension)| extension);
    set("fileExtension", extension.into());
    set("fullFileExtension", extension.into());
    if super::content::is_picture(&head.content) {
        set("hasThumbnail", true.into());
        set("thumbnailVersion", file.version.to_string().into());
        set("thumbnailLink", format!("{}/drive-storage/{id}=s220", call.base).into());
    }
}

/// The address that someone may be invited by, when it looks like one.
pub(super) fn is_address(text: &str) -> bool {
    let Some((name, domain)) = text.split_once('@') else { return false };
    !name.is_empty() && domain.contains('.') && !text.contains([' ', '\'', '"', '<', '>'])
}

/// Whether a domain is the organisation's.
pub(super) fn is_own_domain(domain: &str) -> bool {
    domain.eq_ignore_ascii_case(DOMAIN)
}

/// The page that people see.
fn web_page(file: &File) -> String {
    if file.mime == FOLDER {
        format!("https://drive.google.com/drive/folders/{}", file.id)
    } else {
        format!("https://drive.google.com/file/d/{}/view?usp=drivesdk", file.id)
    }
}
