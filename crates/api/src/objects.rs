//! Files and folders on the wire (wire API, sections 6, 21, 49).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};
use tramontane_connector::storage::Permission;
use tramontane_connector::{ETag, Hashes, Person};
use tramontane_model::{Kind as IdKind, ResourceId, Timestamp};
use utoipa::ToSchema;

/// A folder that an object lies in.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = FolderReference)]
pub struct Above {
    /// The folder's id.
    pub id: String,
    /// Always `folder`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its name, when known.
    pub name: Option<String>,
    /// Which of its ids `id` is.
    pub id_type: &'static str,
}

/// Someone at the service.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(as = PersonReference)]
pub struct Someone {
    /// The person's id.
    pub id: Option<String>,
    /// Their name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Their address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

impl Someone {
    /// Someone as a connector tells of them.
    #[must_use]
    pub fn of(person: Option<Person>) -> Self {
        let person = person.unwrap_or_default();
        Self {
            id: person.id.map(|id| ResourceId::new(IdKind::User, id).to_string()),
            name: person.name,
            email: person.email,
        }
    }
}

/// What the service itself said of an object.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Raw {
    /// The service's id.
    pub id: String,
    /// The service's name of the type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The service's own JSON.
    #[schema(value_type = Object)]
    pub object: Value,
}

/// The members that only some answers have.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Extra {
    /// With `X-Kloudless-Raw-Data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<Raw>,
    /// The URL of the link that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// In recursive listings: 1 is a direct child.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<u32>,
    /// In the trash: when it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub trashed: Option<Option<Timestamp>>,
    /// In the trash: the folder it was in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub original_parent: Option<Option<String>>,
    /// With `expand=permissions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Vec<Grant>>,
}

macro_rules! object {
    ($(#[$about:meta])* $name:ident { $($(#[$own_about:meta])* $own:ident: $kind:ty,)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Serialize, ToSchema)]
        pub struct $name {
            /// Its id.
            pub id: String,
            /// What it is.
            #[serde(rename = "type")]
            pub kind: &'static str,
            /// Always `storage`.
            pub api: &'static str,
            /// Where it is retrieved.
            pub href: String,
            /// All ids of it.
            pub ids: BTreeMap<&'static str, String>,
            /// Which of them `id` is.
            pub id_type: &'static str,
            /// The service's id.
            pub raw_id: String,
            /// The account.
            pub account: i64,
            /// Its name.
            pub name: String,
            /// Bytes.
            pub size: Option<u64>,
            /// The display path.
            pub path: Option<String>,
            /// The folder it is in; `null` for the root.
            pub parent: Option<Above>,
            /// The folders above, from the root; `null` when finding them costs extra calls.
            pub ancestors: Option<Vec<Above>>,
            /// Who owns it.
            pub owner: Someone,
            /// Who made it.
            pub creator: Someone,
            /// Who changed it last.
            pub last_modifier: Someone,
            /// When it was made.
            #[schema(value_type = Option<String>, format = DateTime)]
            pub created: Option<Timestamp>,
            /// When it was last changed.
            #[schema(value_type = Option<String>, format = DateTime)]
            pub modified: Option<Timestamp>,
            $($(#[$own_about])* pub $own: $kind,)*
            /// What only some answers have.
            #[serde(flatten)]
            pub extra: Extra,
        }
    };
}

object! {
    /// A file.
    File {
        /// The media type.
        mime_type: String,
        /// Whether the content can be fetched.
        downloadable: bool,
        /// The entity tag of the content.
        etag: Option<String>,
        /// Content hashes in hex.
        #[schema(value_type = std::collections::HashMap<String, String>)]
        hashes: Hashes,
    }
}

object! {
    /// A folder.
    Folder {
        /// Whether folders may be made in it.
        can_create_folders: bool,
        /// Whether files may be made in it.
        can_upload_files: bool,
        /// Whether everything below can be listed at once.
        can_list_recursively: bool,
    }
}

/// A file or a folder.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Object {
    /// A file.
    File(Box<File>),
    /// A folder.
    Folder(Box<Folder>),
}

impl Object {
    /// The members that only some answers have.
    pub fn extra(&mut self) -> &mut Extra {
        match self {
            Self::File(file) => &mut file.extra,
            Self::Folder(folder) => &mut folder.extra,
        }
    }

    /// The etag, for the header.
    #[must_use]
    pub fn etag(&self) -> Option<&str> {
        match self {
            Self::File(file) => file.etag.as_deref(),
            Self::Folder(_) => None,
        }
    }

    pub(crate) fn set_ancestors(&mut self, ancestors: Vec<Above>) {
        match self {
            Self::File(file) => file.ancestors = Some(ancestors),
            Self::Folder(folder) => folder.ancestors = Some(ancestors),
        }
    }
}

/// An object as it is shown: whole, or only the members that were asked for.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Shown {
    /// All of it.
    Whole(Object),
    /// Some of it.
    #[schema(value_type = Object)]
    Part(Map<String, Value>),
}

/// A grant on an object.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Grant {
    /// The grantee's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `user`, `group`, `domain`, `anyone`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What they may do.
    pub role: String,
    /// Their address.
    pub email: Option<String>,
    /// Their name.
    pub name: Option<String>,
    /// Only when it comes from a folder above.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub inherited: bool,
}

impl Grant {
    /// A connector's grant as it is shown.
    #[must_use]
    pub fn of(grant: Permission) -> Self {
        use tramontane_connector::storage::GranteeKind;
        let (kind, id_kind) = match grant.grantee {
            GranteeKind::User => ("user", IdKind::User),
            GranteeKind::Group => ("group", IdKind::Group),
            GranteeKind::Domain => ("domain", IdKind::Group),
            GranteeKind::Anyone => ("anyone", IdKind::Group),
        };
        Self {
            id: grant.id.map(|id| ResourceId::new(id_kind, id).to_string()),
            kind,
            role: grant.role,
            email: grant.email,
            name: grant.name,
            inherited: grant.inherited,
        }
    }
}

/// The etags of an `If-Match` or `If-None-Match` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// `*`.
    Any,
    /// These.
    These(Vec<ETag>),
}

impl Tags {
    /// Reads a header; `None` when it is absent or empty. One that holds no tag at all is a condition
    /// that nothing meets: to ignore it would make a guarded write an unguarded one.
    #[must_use]
    pub fn read(headers: &http::HeaderMap, name: http::HeaderName) -> Option<Self> {
        let mut tags = Vec::new();
        let mut there = false;
        for value in headers.get_all(name) {
            // Tags may hold bytes above ASCII (RFC 9110, section 8.8.3).
            let text = String::from_utf8_lossy(value.as_bytes());
            for part in items(&text) {
                there |= !part.trim().is_empty();
                if part.trim() == "*" {
                    return Some(Self::Any);
                }
                tags.extend(ETag::parse(part));
            }
        }
        there.then_some(Self::These(tags))
    }

    /// Whether one of them is this, weakly compared (`If-None-Match`).
    #[must_use]
    pub fn meet(&self, etag: Option<&ETag>) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => {
                etag.is_some_and(|etag| tags.iter().any(|tag| tag.value == etag.value))
            }
        }
    }
}

/// The items of a list header: what commas part, unless they stand within quotes.
fn items(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |letter| {
        quoted ^= letter == '"';
        letter == ',' && !quoted
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use http::HeaderMap;
    use http::header::IF_MATCH;

    use super::*;

    #[test]
    fn tags_are_read_from_lists_and_stars() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_MATCH, text.parse().unwrap());
            Tags::read(&headers, IF_MATCH)
        };
        assert_eq!(read("*"), Some(Tags::Any));
        assert_eq!(read(""), None);
        let two = read("\"a\", W/\"b\"").unwrap();
        assert!(two.meet(Some(&ETag::strong("a"))));
        assert!(two.meet(Some(&ETag::strong("b"))));
        assert!(!two.meet(Some(&ETag::strong("c"))));
        assert!(!two.meet(None));
        assert!(Tags::Any.meet(None));
        assert_eq!(read("\"a,b\""), Some(Tags::These(vec![ETag::strong("a,b")])));
        let none = read("\"broken").unwrap();
        assert!(!none.meet(Some(&ETag::strong("broken"))) && !none.meet(None));
        assert_eq!(read(" , "), None);
    }
}
