//! Access lists: what a token or key may do, and where (wire API, section 52).

use std::fmt;

use crate::error::{Error, Result};

/// The unified APIs that a list may name.
const APIS: [&str; 9] =
    ["storage", "calendar", "events", "sharing", "crm", "messaging", "team", "email", "meetings"];

const MAX_ITEMS: usize = 50;
const MAX_PLACE_BYTES: usize = 8_192;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Looking.
    Read,
    /// Making and changing.
    Write,
    /// Deleting.
    Delete,
    /// Following changes.
    Events,
    /// Passing requests through to the service.
    Raw,
}

impl Verb {
    const ALL: [Self; 5] = [Self::Read, Self::Write, Self::Delete, Self::Events, Self::Raw];

    /// The word in an access list.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::Events => "events",
            Self::Raw => "raw",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    /// `None` is `*`: every API, every verb.
    what: Option<(String, Verb)>,
    /// The folder or calendar that it is limited to.
    place: Option<String>,
}

/// What a token or key may do. Everything, unless a list says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access(Option<Vec<Item>>);

/// The answer of [`Access::allows`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// Not at all: `403 permission_denied`.
    No,
    /// Wherever the account reaches.
    Everywhere,
    /// Only in these folders or calendars (ids as the list gave them), and below them.
    Within(Vec<String>),
}

impl Access {
    /// No limits.
    #[must_use]
    pub fn everything() -> Self {
        Self(None)
    }

    /// Whether there are no limits.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.0.is_none()
    }

    /// Reads the items of a list: `{api}:{verb}` or `*`, each optionally with `@{folder or calendar}`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for `access`, naming the item and the rule.
    pub fn parse<'a>(items: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let items: Vec<Item> = items.into_iter().map(parse_item).collect::<Result<_>>()?;
        if items.is_empty() || items.len() > MAX_ITEMS {
            return Err(Error::invalid("access", format!("must hold 1 to {MAX_ITEMS} items")));
        }
        Ok(Self(Some(items)))
    }

    /// Reads the stored form; `None` is everything.
    ///
    /// # Errors
    /// As [`Access::parse`].
    pub fn from_stored(stored: Option<&str>) -> Result<Self> {
        match stored {
            None => Ok(Self::everything()),
            Some(text) => Self::parse(text.split_ascii_whitespace()),
        }
    }

    /// The stored form: the items with a space between; `None` is everything.
    #[must_use]
    pub fn to_stored(&self) -> Option<String> {
        self.items().map(|items| items.join(" "))
    }

    /// The items as the wire shows them; `None` is everything.
    #[must_use]
    pub fn items(&self) -> Option<Vec<String>> {
        Some(self.0.as_ref()?.iter().map(Item::to_string).collect())
    }

    /// Whether, and where, this may be done.
    #[must_use]
    pub fn allows(&self, api: &str, verb: Verb) -> Allowance {
        let Some(items) = &self.0 else { return Allowance::Everywhere };
        let mut places = Vec::new();
        for item in items.iter().filter(|item| item.speaks_of(api, verb)) {
            match &item.place {
                None => return Allowance::Everywhere,
                Some(place) => places.push(place.clone()),
            }
        }
        if places.is_empty() { Allowance::No } else { Allowance::Within(places) }
    }

    /// Whether everything that `other` allows is allowed here too, so that a limited key can make no
    /// token with more power than its own. Places are compared by id alone: a folder below an allowed
    /// one must be covered by naming the allowed one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let Some(own) = &self.0 else { return true };
        let Some(asked) = &other.0 else {
            return own.iter().any(|item| item.what.is_none() && item.place.is_none());
        };
        asked.iter().all(|ask| {
            own.iter().any(|item| {
                let reaches = item.place.is_none() || item.place == ask.place;
                let speaks = match &ask.what {
                    None => item.what.is_none(),
                    Some((api, verb)) => item.speaks_of(api, *verb),
                };
                reaches && speaks
            })
        })
    }
}

impl Item {
    fn speaks_of(&self, api: &str, verb: Verb) -> bool {
        match &self.what {
            None => true,
            Some((own_api, own_verb)) => own_api == api && *own_verb == verb,
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            None => f.write_str("*")?,
            Some((api, verb)) => write!(f, "{api}:{}", verb.as_str())?,
        }
        match &self.place {
            None => Ok(()),
            Some(place) => write!(f, "@{place}"),
        }
    }
}

fn parse_item(text: &str) -> Result<Item> {
    let bad = |rule: &str| {
        let shown: String = text.chars().take(80).collect();
        Error::invalid("access", format!("holds {shown:?}, which {rule}"))
    };
    let (what, place) = match text.split_once('@') {
        None => (text, None),
        Some((what, place)) => (what, Some(place)),
    };
    if let Some(place) = place {
        let fits = place.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-=%".contains(&b));
        if place.is_empty() || place.len() > MAX_PLACE_BYTES || !fits {
            return Err(bad("needs the id of a folder or calendar after the @"));
        }
    }
    let place = place.map(str::to_owned);
    if what == "*" {
        return Ok(Item { what: None, place });
    }
    let Some((api, verb)) = what.split_once(':') else {
        return Err(bad("is neither * nor api:verb, such as storage:read"));
    };
    if !APIS.contains(&api) {
        return Err(bad(&format!("names no API; the APIs are {}", APIS.join(", "))));
    }
    let Some(verb) = Verb::ALL.into_iter().find(|known| known.as_str() == verb) else {
        return Err(bad("names no verb; the verbs are read, write, delete, events, raw"));
    };
    Ok(Item { what: Some((api.to_owned(), verb)), place })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn list(text: &str) -> Access {
        Access::from_stored(Some(text)).unwrap()
    }

    #[test]
    fn a_list_allows_what_it_names_where_it_names_it() {
        let access = list("storage:read@folder_a storage:read@folder_b storage:write calendar:raw");
        let within = Allowance::Within(vec!["folder_a".into(), "folder_b".into()]);
        assert_eq!(access.allows("storage", Verb::Read), within);
        assert_eq!(access.allows("storage", Verb::Write), Allowance::Everywhere);
        assert_eq!(access.allows("storage", Verb::Delete), Allowance::No);
        assert_eq!(access.allows("calendar", Verb::Read), Allowance::No);
        assert_eq!(list("*").allows("crm", Verb::Delete), Allowance::Everywhere);
        let some = Allowance::Within(vec!["folder_a".into()]);
        assert_eq!(list("*@folder_a").allows("storage", Verb::Raw), some);
        assert_eq!(Access::everything().allows("storage", Verb::Raw), Allowance::Everywhere);
    }

    #[test]
    fn refuses_what_is_no_item_and_says_which() {
        for bad in ["", "storage", "storage:reed", "store:read", "storage:read@", "*:read", "a b@"]
        {
            let refused = Access::parse([bad]).unwrap_err().to_string();
            assert!(refused.starts_with("access: "), "{refused}");
        }
        assert!(Access::parse([]).is_err());
        assert!(Access::parse(vec!["*"; 51]).is_err());
    }

    #[test]
    fn the_stored_form_reads_back() {
        for text in ["*", "storage:read@folder_L1JlcG9ydHM storage:delete", "*@root"] {
            assert_eq!(list(text).to_stored().as_deref(), Some(text));
        }
        assert_eq!(Access::everything().to_stored(), None);
        assert_eq!(Access::from_stored(None).unwrap(), Access::everything());
    }

    #[test]
    fn a_limited_list_covers_no_more_than_itself() {
        let own = list("storage:read storage:write@folder_a");
        for (asked, covered) in [
            ("storage:read", true),
            ("storage:read@folder_z", true),
            ("storage:write@folder_a storage:read", true),
            ("storage:write", false),
            ("storage:write@folder_b", false),
            ("storage:delete", false),
            ("*", false),
            ("*@folder_a", false),
        ] {
            assert_eq!(own.covers(&list(asked)), covered, "{asked}");
        }
        assert!(!own.covers(&Access::everything()));
        assert!(list("*").covers(&Access::everything()));
        assert!(list("*").covers(&list("storage:read@x *")));
        assert!(Access::everything().covers(&Access::everything()));
    }

    proptest::proptest! {
        #[test]
        fn never_panics_and_reads_back_what_it_took(text: String) {
            if let Ok(access) = Access::parse([text.as_str()]) {
                proptest::prop_assert_eq!(access.to_stored(), Some(text));
            }
        }
    }
}
