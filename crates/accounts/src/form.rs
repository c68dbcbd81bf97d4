//! From what a user gives (an import body, `--set name=value`, a form) to settings and credential, by
//! the fields that the connector declares.

use std::collections::BTreeMap;

use tramontane_connector::oauth::{ACCESS_TOKEN, REFRESH_TOKEN, SERVICE_ACCOUNT, SUBJECT};
use tramontane_connector::{Connector, Credential, Descriptor, Field, FieldKind, Settings};

use crate::error::{Error, Result};

/// The longest value of a field, in bytes; private keys are the longest that make sense.
const MAX_VALUE_BYTES: usize = 65_536;

/// What services behind OAuth take beside their own fields, where tokens are at hand already.
const TOKEN_FIELDS: &[Field] = &[
    Field::secret(ACCESS_TOKEN, "Access token", "An access token of the service.")
        .optional()
        .also(&["token"]),
    Field::secret(REFRESH_TOKEN, "Refresh token", "A refresh token of the service.").optional(),
];
/// What services with service accounts take.
const SERVICE_FIELDS: &[Field] = &[
    Field::secret(
        SERVICE_ACCOUNT,
        "Service account",
        "true: the OAuth client's own key lets it in.",
    )
    .optional(),
    Field::text(SUBJECT, "Acts for", "Whom it acts for when no member is named.").optional(),
];

/// The field with this name or alias: the connector's own, or one of those that OAuth brings.
fn field_of<'a>(connector: &'a dyn Connector, name: &str) -> Option<&'a Field> {
    let own = connector.descriptor().field(name);
    own.or_else(|| {
        let oauth = connector.oauth()?;
        let robots = if oauth.service_account.is_some() { SERVICE_FIELDS } else { &[] };
        let mut fields = TOKEN_FIELDS.iter().chain(robots);
        fields.find(|field| field.name == name || field.aliases.contains(&name))
    })
}

/// Who fills the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The operator, at the machine itself: may set everything.
    Operator,
    /// An application or an end user: may not set fields that name something on the server.
    Application,
}

/// What was given, sorted. In a change, `None` removes the value.
#[derive(Debug, Default)]
pub struct Sorted {
    /// What is no secret.
    pub settings: BTreeMap<String, Option<String>>,
    /// What is kept sealed.
    pub credential: BTreeMap<String, Option<secrecy::SecretString>>,
    /// Names that are no field of the connector.
    pub unknown: Vec<String>,
}

/// Sorts given values into settings and secrets, under the fields' own names. Checks each value's
/// kind; does not ask whether anything is missing.
///
/// # Errors
/// [`Error::Invalid`], naming the field as the user wrote it, and the rule.
pub fn sort(
    connector: &dyn Connector,
    given: &BTreeMap<String, Option<String>>,
    by: By,
) -> Result<Sorted> {
    let mut sorted = Sorted::default();
    // A field's own name wins over an alias of it, whichever comes first.
    let mut own = Vec::new();
    for name in given.keys() {
        if let Some(field) = field_of(connector, name).filter(|field| field.name == name) {
            own.push(field.name);
        }
    }
    for (name, value) in given {
        let Some(field) = field_of(connector, name) else {
            sorted.unknown.push(name.clone());
            continue;
        };
        if field.name != name && own.contains(&field.name) {
            continue;
        }
        if field.operator_only && by != By::Operator {
            let rule = "only the operator may set this, at the command line";
            return Err(Error::invalid(name, rule));
        }
        let value = match value.as_deref().filter(|value| !value.is_empty()) {
            None => None,
            Some(value) => Some(checked(field, name, value)?),
        };
        if field.is_secret() {
            sorted.credential.insert(field.name.to_owned(), value.map(Into::into));
        } else {
            sorted.settings.insert(field.name.to_owned(), value);
        }
    }
    Ok(sorted)
}

fn checked(field: &Field, name: &str, value: &str) -> Result<String> {
    if value.len() > MAX_VALUE_BYTES {
        return Err(Error::invalid(name, format!("is longer than {MAX_VALUE_BYTES} bytes")));
    }
    if value.contains('\0') {
        return Err(Error::invalid(name, "holds a NUL character"));
    }
    match field.kind {
        FieldKind::Number => {
            let number: std::result::Result<i64, _> = value.trim().parse();
            let number = number.map_err(|_| Error::invalid(name, "must be a whole number"))?;
            Ok(number.to_string())
        }
        FieldKind::Boolean => match value.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok("true".to_owned()),
            "false" | "0" | "no" | "off" => Ok("false".to_owned()),
            _ => Err(Error::invalid(name, "must be true or false")),
        },
        FieldKind::Url => {
            let value = value.trim();
            if value.starts_with("http://") || value.starts_with("https://") {
                Ok(value.to_owned())
            } else {
                Err(Error::invalid(name, "must be a URL that starts with https:// or http://"))
            }
        }
        FieldKind::Text | FieldKind::Secret if value.contains(['\r', '\n']) => {
            Err(Error::invalid(name, "must be one line"))
        }
        FieldKind::Text | FieldKind::Secret | FieldKind::SecretText => Ok(value.to_owned()),
    }
}

/// Fills a whole form: sorts, puts defaults in, asks for what is missing, and lets the connector bring
/// it into its normal form. Names that are no field are refused when `strict`, and left out otherwise.
///
/// # Errors
/// [`Error::Invalid`] naming the field; what [`Connector::normalize`] says.
pub fn fill(
    connector: &dyn Connector,
    given: &BTreeMap<String, Option<String>>,
    by: By,
    strict: bool,
) -> Result<(Settings, Credential)> {
    let descriptor = connector.descriptor();
    let sorted = sort(connector, given, by)?;
    if let Some(unknown) = sorted.unknown.first().filter(|_| strict) {
        let tokens = if connector.oauth().is_some() { TOKEN_FIELDS } else { &[] };
        let known = descriptor.fields.iter().chain(tokens).map(|field| field.name);
        let known: Vec<_> = known.collect();
        let rule =
            format!("is no field of {}; its fields are {}", descriptor.name, known.join(", "));
        return Err(Error::invalid(unknown, rule));
    }
    let mut settings = Settings::new();
    let mut credential = Credential::none();
    apply(&sorted, &mut settings, &mut credential);
    complete(descriptor, &mut settings, &mut credential)?;
    require_tokens(connector, &credential)?;
    connector.normalize(&mut settings, &mut credential)?;
    Ok((settings, credential))
}

/// Puts a change into what an account has, and lets the connector bring it into its normal form.
///
/// # Errors
/// As [`fill`].
pub fn change(
    connector: &dyn Connector,
    sorted: &Sorted,
    settings: &mut Settings,
    credential: &mut Credential,
) -> Result<()> {
    apply(sorted, settings, credential);
    complete(connector.descriptor(), settings, credential)?;
    require_tokens(connector, credential)?;
    Ok(connector.normalize(settings, credential)?)
}

/// An account behind OAuth rests on a token, or on the client's own key.
fn require_tokens(connector: &dyn Connector, credential: &Credential) -> Result<()> {
    if connector.oauth().is_none() {
        return Ok(());
    }
    if credential.get(SERVICE_ACCOUNT).is_some_and(|value| value != "true") {
        return Err(Error::invalid(SERVICE_ACCOUNT, "must be true or left out"));
    }
    let rests_on = [ACCESS_TOKEN, REFRESH_TOKEN, SERVICE_ACCOUNT];
    if rests_on.iter().any(|field| credential.get(field).is_some()) {
        return Ok(());
    }
    let name = connector.descriptor().friendly_name;
    let rule = format!(
        "is required: {name} is connected by OAuth. Send the user through the connect page, or give a \
         refresh token or access token (token) that the service gave you"
    );
    Err(Error::invalid(REFRESH_TOKEN, rule))
}

fn apply(sorted: &Sorted, settings: &mut Settings, credential: &mut Credential) {
    use secrecy::ExposeSecret as _;
    for (name, value) in &sorted.settings {
        match value {
            Some(value) => settings.insert(name.clone(), value.clone()),
            None => settings.remove(name),
        };
    }
    for (name, value) in &sorted.credential {
        match value {
            Some(value) => credential.set(name.as_str(), value.expose_secret()),
            None => credential.remove(name),
        }
    }
}

fn complete(
    descriptor: &Descriptor,
    settings: &mut Settings,
    credential: &mut Credential,
) -> Result<()> {
    for field in descriptor.fields {
        let there = if field.is_secret() {
            credential.get(field.name).is_some()
        } else {
            settings.get(field.name).is_some_and(|value| !value.is_empty())
        };
        if there {
            continue;
        }
        match field.default {
            Some(default) if field.is_secret() => credential.set(field.name, default),
            Some(default) => {
                settings.insert(field.name.to_owned(), default.to_owned());
            }
            None if field.required => {
                let rule = format!("is required by {}: {}", descriptor.name, field.help);
                return Err(Error::invalid(field.name, rule));
            }
            None => {}
        }
    }
    Ok(())
}
