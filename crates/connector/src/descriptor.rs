//! What a service is and what connecting to it needs.

use serde::Serialize;

/// What kind of thing a field of the connect form takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldKind {
    /// One line of text.
    Text,
    /// An absolute `http` or `https` URL.
    Url,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// One line that must not be shown.
    Secret,
    /// Several lines that must not be shown (a private key).
    SecretText,
}

/// One thing that the user is asked for when connecting.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Field {
    /// Its name in `--set name=value`, in the import body and in the account's settings.
    pub name: &'static str,
    /// What a form writes beside it.
    pub label: &'static str,
    /// One sentence that helps.
    pub help: &'static str,
    /// What it takes.
    pub kind: FieldKind,
    /// Whether it must be given.
    pub required: bool,
    /// What stands there when nothing is given.
    pub default: Option<&'static str>,
    /// Other names under which the import body may carry it (`token` for an access key, say).
    pub aliases: &'static [&'static str],
    /// Only an operator may set it, or a value below what the operator allowed: it names something
    /// on the server's own machine.
    pub operator_only: bool,
}

impl Field {
    /// A required line of text.
    #[must_use]
    pub const fn text(name: &'static str, label: &'static str, help: &'static str) -> Self {
        Self {
            name,
            label,
            help,
            kind: FieldKind::Text,
            required: true,
            default: None,
            aliases: &[],
            operator_only: false,
        }
    }

    /// A required secret.
    #[must_use]
    pub const fn secret(name: &'static str, label: &'static str, help: &'static str) -> Self {
        Self { kind: FieldKind::Secret, ..Self::text(name, label, help) }
    }

    /// The same field, but it may be left out.
    #[must_use]
    pub const fn optional(self) -> Self {
        Self { required: false, ..self }
    }

    /// The same field, of another kind.
    #[must_use]
    pub const fn of(self, kind: FieldKind) -> Self {
        Self { kind, ..self }
    }

    /// The same field, with what stands there when nothing is given.
    #[must_use]
    pub const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), required: false, ..self }
    }

    /// The same field, also known under these names.
    #[must_use]
    pub const fn also(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    /// Whether it must be kept sealed.
    #[must_use]
    pub const fn is_secret(&self) -> bool {
        matches!(self.kind, FieldKind::Secret | FieldKind::SecretText)
    }
}

/// The shelf that a service stands on (wire API, section 15.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Files in folders.
    FileStore,
    /// Objects in buckets.
    ObjectStore,
    /// Calendars.
    Calendar,
    /// Email.
    Email,
    /// Customers.
    Crm,
    /// Chat.
    Messaging,
}

impl Category {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FileStore => "file_store",
            Self::ObjectStore => "object_store",
            Self::Calendar => "calendar",
            Self::Email => "email",
            Self::Crm => "crm",
            Self::Messaging => "messaging",
        }
    }
}

/// What a service is.
#[derive(Clone, Copy, Debug)]
pub struct Descriptor {
    /// Its id: lower-case letters, digits and `_`.
    pub name: &'static str,
    /// Its name for people.
    pub friendly_name: &'static str,
    /// Its shelf.
    pub category: Category,
    /// The unified APIs it takes part in: `storage`, `calendar`, ...
    pub apis: &'static [&'static str],
    /// What connecting needs, in the order of the form.
    pub fields: &'static [Field],
    /// Where the service documents the protocol that the connector speaks.
    pub documentation: &'static str,
}

impl Descriptor {
    /// The field with this name or alias.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        let own = self.fields.iter().find(|field| field.name == name);
        own.or_else(|| self.fields.iter().find(|field| field.aliases.contains(&name)))
    }
}
