//! The JSON that requests carry, for the OpenAPI document. Handlers read it more leniently (`json.rs`).

use std::collections::HashMap;

use utoipa::ToSchema;

/// An account to connect from a credential that the application has. Further members are the
/// connector's fields.
#[derive(Debug, ToSchema)]
pub struct NewAccount {
    /// What people know it by.
    #[schema(min_length = 1)]
    pub account: String,
    /// The service's id.
    pub service: String,
    /// Whether the credential has organisation-wide access.
    pub admin: Option<bool>,
    /// What the application notes.
    pub custom_properties: Option<HashMap<String, String>>,
}

/// A change of an account. Further members are the connector's fields.
#[derive(Debug, ToSchema)]
pub struct AccountUpdate {
    /// Whether it may be used.
    pub active: Option<bool>,
    /// What people know it by.
    pub account: Option<String>,
    /// Merged by key; `null` deletes a key.
    pub custom_properties: Option<HashMap<String, Option<String>>>,
}

/// A raw id.
#[derive(Debug, ToSchema)]
pub struct RawId {
    /// The service's id.
    #[schema(min_length = 1)]
    pub raw_id: String,
    /// What it names; `file` without.
    #[serde(rename = "type")]
    pub kind: Option<RawIdKind>,
}

/// What an id names.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawIdKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A calendar.
    Calendar,
    /// A calendar event.
    Event,
    /// A conversation in a chat service.
    Conversation,
    /// A chat or email message.
    Message,
    /// A person at the service.
    User,
    /// A group of people at the service.
    Group,
    /// A label.
    Label,
}

/// A file to be fetched from a URL.
#[derive(Debug, ToSchema)]
pub struct NewFileFromUrl {
    /// Where the content is.
    pub url: String,
    /// The folder.
    pub parent_id: String,
    /// The name.
    #[schema(min_length = 1, max_length = 1024, pattern = "^(?!\\.{1,2}$)[^/\\x00]+$")]
    pub name: String,
}

/// A new folder.
#[derive(Debug, ToSchema)]
pub struct NewFolder {
    /// The name.
    #[schema(min_length = 1, max_length = 1024, pattern = "^(?!\\.{1,2}$)[^/\\x00]+$")]
    pub name: String,
    /// The folder that it is made in; the root without.
    pub parent_id: Option<String>,
}

/// Another name, folder or account.
#[derive(Debug, ToSchema)]
pub struct Move {
    /// The new name.
    #[schema(min_length = 1, max_length = 1024, pattern = "^(?!\\.{1,2}$)[^/\\x00]+$")]
    pub name: Option<String>,
    /// The new folder.
    pub parent_id: Option<String>,
    /// The new account.
    #[schema(minimum = 1, maximum = 2147483647)]
    pub account: Option<i64>,
}

/// Where a copy goes.
#[derive(Debug, ToSchema)]
pub struct Copy {
    /// The folder. It may be missing for an upload location.
    pub parent_id: String,
    /// The copy's name; the same without.
    #[schema(min_length = 1, max_length = 1024, pattern = "^(?!\\.{1,2}$)[^/\\x00]+$")]
    pub name: Option<String>,
    /// The account; the same without. Also `upload_location`.
    #[schema(value_type = Option<String>)]
    pub account: Option<i64>,
}

/// Where something from the trash goes.
#[derive(Debug, ToSchema)]
pub struct Restore {
    /// The folder; where it was without.
    pub parent_id: Option<String>,
    /// The name; what it was without.
    #[schema(min_length = 1, max_length = 1024, pattern = "^(?!\\.{1,2}$)[^/\\x00]+$")]
    pub name: Option<String>,
}

/// Changes of permissions: a list.
#[derive(Debug, ToSchema)]
pub struct PermissionChanges(pub Vec<PermissionChange>);

/// One change of a permission.
#[derive(Debug, ToSchema)]
pub struct PermissionChange {
    /// Whose it is; a person's without.
    #[serde(rename = "type")]
    pub kind: Option<Grantee>,
    /// What they shall be able to do; `null` removes the permission.
    #[schema(required = true)]
    pub role: Option<String>,
    /// Whose it is, by address.
    pub email: Option<String>,
    /// Whose it is, by id.
    pub id: Option<String>,
}

/// Whom a permission is for.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Grantee {
    /// A person.
    User,
    /// A group.
    Group,
    /// Everyone of a domain.
    Domain,
    /// Everyone who has the address.
    Anyone,
}

/// Changes of properties: a list.
#[derive(Debug, ToSchema)]
pub struct PropertyChanges(pub Vec<PropertyChange>);

/// One change of a property.
#[derive(Debug, ToSchema)]
pub struct PropertyChange {
    /// Its key.
    #[schema(min_length = 1, max_length = 124)]
    pub key: String,
    /// Its value; `null` deletes it.
    #[schema(required = true)]
    pub value: Option<String>,
}

/// How every operation is supported.
#[derive(Debug, ToSchema)]
pub struct Capabilities {
    /// Always `core`.
    pub api: String,
    /// Always `capabilities`.
    #[serde(rename = "type")]
    pub kind: String,
    /// By operation: `result`, `support`, `reason`.
    #[schema(value_type = Object)]
    pub capabilities: HashMap<String, String>,
}
