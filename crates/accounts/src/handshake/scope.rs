//! The grammar of scopes (wire API, section 18.3), and what a scope leaves of the services there are.

use std::collections::BTreeMap;
use std::fmt;

use tramontane_connector::{Category, Connector};

/// The longest scope, in bytes.
const MAX_BYTES: usize = 8_192;
const MAX_ITEMS: usize = 200;

const APIS: &[&str] = &[
    "storage",
    "calendar",
    "events",
    "crm",
    "messaging",
    "email",
    "team",
    "sharing",
    "basic",
    "all",
];

/// How far an account reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reach {
    /// What the user can see.
    #[default]
    Normal,
    /// The whole organisation.
    Admin,
    /// The user chooses.
    All,
}

impl Reach {
    fn word(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Admin => "admin",
            Self::All => "all",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Normal, Self::Admin, Self::All].into_iter().find(|one| one.word() == word)
    }
}

/// One item of a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// A service, a category, `any` or `all`.
    pub target: String,
    /// How far.
    pub reach: Reach,
    /// Which unified API; `None`: all of the service's.
    pub api: Option<String>,
    /// The service's own scopes, in place of what the API needs.
    pub literal: Option<String>,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.target, self.reach.word())?;
        if let Some(api) = &self.api {
            write!(f, ".{api}")?;
        }
        match &self.literal {
            Some(scopes) => write!(f, ".\"{scopes}\":raw"),
            None => Ok(()),
        }
    }
}

/// An item that cannot be read, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("scope item '{item}' {rule}")]
pub struct BadScope {
    /// The item as it was sent.
    pub item: String,
    /// The rule that it breaks.
    pub rule: String,
}

/// Reads a scope. Items that name what nobody knows are read too: whether there is such a service is
/// asked by [`choices`].
///
/// # Errors
/// The item and the rule.
pub fn parse(text: &str) -> Result<Vec<Item>, BadScope> {
    let bad = |rule: &str| BadScope { item: text.chars().take(60).collect(), rule: rule.into() };
    if text.len() > MAX_BYTES {
        return Err(bad("is longer than 8192 bytes"));
    }
    let mut quoted = false;
    let items = text.split(|one: char| {
        quoted ^= one == '"';
        one == ' ' && !quoted
    });
    let items: Vec<&str> = items.filter(|item| !item.is_empty()).collect();
    if items.len() > MAX_ITEMS {
        return Err(bad("is one of more than 200"));
    }
    items.into_iter().map(item).collect()
}

fn item(text: &str) -> Result<Item, BadScope> {
    let bad = |rule: String| BadScope { item: text.chars().take(200).collect(), rule };
    let (target, mut rest) = word(text);
    if target.is_empty() {
        return Err(bad("must begin with a service, a category, any or all".into()));
    }
    let mut item = Item { target: target.into(), reach: Reach::Normal, api: None, literal: None };
    let mut kind = None;
    if let Some(after) = rest.strip_prefix(':') {
        let (named, after) = word(after);
        match Reach::parse(named) {
            Some(reach) => item.reach = reach,
            None => kind = Some(named),
        }
        rest = after;
    }
    if kind.is_none()
        && let Some(after) = rest.strip_prefix('.')
    {
        let (api, after) = word(after);
        if !APIS.contains(&api) {
            return Err(bad(format!("names no API '{api}'; there are {}", APIS.join(", "))));
        }
        item.api = (api != "all").then(|| api.to_owned());
        rest = after;
        if let Some(after) = rest.strip_prefix('.') {
            rest = level(after, &mut item).map_err(bad)?;
        }
    }
    if kind.is_none()
        && let Some(after) = rest.strip_prefix(':')
    {
        let (named, after) = word(after);
        kind = Some(named);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(bad("must be target:access.api.level:kind".into()));
    }
    match (kind, &item.literal) {
        (Some("raw"), Some(_)) | (None | Some("kloudless"), None) => Ok(item),
        (Some("raw"), None) => Err(bad("of kind raw needs the service's scopes in quotes".into())),
        (None | Some("kloudless"), Some(_)) => {
            Err(bad("with quoted scopes must end in :raw".into()))
        }
        (Some(other), _) => {
            let rule = format!(
                "has '{other}' where the access (normal, admin, all) or the kind (kloudless, raw) stands"
            );
            Err(bad(rule))
        }
    }
}

/// Reads what stands behind the API; gives the rest.
fn level<'a>(text: &'a str, item: &mut Item) -> Result<&'a str, String> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (named, rest) = word(text);
        return match named {
            "default" => Ok(rest),
            _ => Err(format!("has the level '{named}'; there is 'default', or scopes in quotes")),
        };
    };
    let (scopes, rest) = quoted.split_once('"').ok_or("has a quote that does not end")?;
    if scopes.trim().is_empty() {
        return Err("has empty quotes".into());
    }
    item.literal = Some(scopes.to_owned());
    Ok(rest)
}

fn word(text: &str) -> (&str, &str) {
    let fits = |one: char| one.is_ascii_alphanumeric() || one == '_' || one == '-';
    let end = text.find(|one| !fits(one)).unwrap_or(text.len());
    text.split_at(end)
}

/// A service, as far as scopes ask.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// Its id.
    pub service: &'static str,
    /// Its shelf.
    pub category: Category,
    /// The unified APIs it takes part in.
    pub apis: &'static [&'static str],
    /// Whether an organisation's administrator can connect the whole of it.
    pub admin: bool,
}

impl Offer {
    /// What a connector offers.
    #[must_use]
    pub fn of(connector: &dyn Connector) -> Self {
        let about = connector.descriptor();
        let admin = connector.oauth().is_some_and(|oauth| oauth.scopes.iter().any(|set| set.admin));
        Self { service: about.name, category: about.category, apis: about.apis, admin }
    }

    fn is_meant_by(&self, target: &str) -> bool {
        match target {
            "any" | "all" => true,
            "storage" => matches!(self.category, Category::FileStore | Category::ObjectStore),
            category => self.service == category || self.category.as_str() == category,
        }
    }
}

/// What a user may connect under a scope: one service, once for each reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The service.
    pub service: &'static str,
    /// The whole organisation.
    pub admin: bool,
    /// The unified APIs that are asked for.
    pub apis: Vec<&'static str>,
    /// Scopes in the service's own words, with the API that each stands for.
    pub literal: Vec<(Option<String>, String)>,
}

impl Choice {
    /// What an account is granted, in the form of section 18.3: its `effective_scope`.
    #[must_use]
    pub fn effective(&self) -> String {
        let reach = if self.admin { Reach::Admin } else { Reach::Normal }.word();
        let named = self.apis.iter();
        let named = named.map(|api| format!("{}:{reach}.{api}.default:kloudless", self.service));
        let literal = self.literal.iter().map(|(api, scopes)| {
            let api = api.as_deref().unwrap_or("all");
            format!("{}:{reach}.{api}.\"{scopes}\":raw", self.service)
        });
        named.chain(literal).collect::<Vec<_>>().join(" ")
    }
}

/// What a scope leaves of the services that are offered, in their order. Items for the same service
/// and reach are united; what fits nothing is ignored.
#[must_use]
pub fn choices(items: &[Item], offers: &[Offer]) -> Vec<Choice> {
    let mut found: BTreeMap<(usize, bool), Choice> = BTreeMap::new();
    for item in items {
        for (number, offer) in offers.iter().enumerate() {
            if !offer.is_meant_by(&item.target) {
                continue;
            }
            let reaches: &[bool] = match item.reach {
                Reach::Normal => &[false],
                Reach::Admin => &[true],
                Reach::All => &[false, true],
            };
            for &admin in reaches.iter().filter(|admin| !**admin || offer.admin) {
                if !has(offer, item) {
                    continue;
                }
                let choice = found.entry((number, admin)).or_insert_with(|| Choice {
                    service: offer.service,
                    admin,
                    apis: Vec::new(),
                    literal: Vec::new(),
                });
                unite(choice, offer, item);
            }
        }
    }
    found.into_values().collect()
}

/// Whether the service has what the item asks for. `basic` has every service.
fn has(offer: &Offer, item: &Item) -> bool {
    item.api.as_deref().is_none_or(|api| api == "basic" || offer.apis.contains(&api))
}

fn unite(choice: &mut Choice, offer: &Offer, item: &Item) {
    if let Some(scopes) = &item.literal {
        let literal = (item.api.clone(), scopes.clone());
        if !choice.literal.contains(&literal) {
            choice.literal.push(literal);
        }
        return;
    }
    for api in offer.apis {
        let wanted = item.api.as_deref().is_none_or(|named| named == *api);
        if wanted && !choice.apis.contains(api) {
            choice.apis.push(api);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OFFERS: &[Offer] = &[
        Offer { service: "box", category: Category::FileStore, apis: &["storage"], admin: true },
        Offer {
            service: "gdrive",
            category: Category::FileStore,
            apis: &["storage", "events"],
            admin: true,
        },
        Offer { service: "s3", category: Category::ObjectStore, apis: &["storage"], admin: false },
        Offer { service: "cal", category: Category::Calendar, apis: &["calendar"], admin: false },
    ];

    fn chosen(scope: &str) -> Vec<String> {
        let name = |choice: &Choice| {
            let admin = if choice.admin { "!" } else { "" };
            format!("{}{admin}={}", choice.service, choice.apis.join("+"))
        };
        choices(&parse(scope).unwrap(), OFFERS).iter().map(name).collect()
    }

    #[test]
    fn the_examples_of_the_specification_leave_what_they_say() {
        assert_eq!(chosen("box dropbox"), ["box=storage"]);
        assert_eq!(chosen("any.storage"), ["box=storage", "gdrive=storage", "s3=storage"]);
        assert_eq!(chosen("calendar:normal"), ["cal=calendar"]);
        assert_eq!(chosen("all:admin"), ["box!=storage", "gdrive!=storage+events"]);
        assert_eq!(chosen("salesforce.crm"), [""; 0]);
        assert_eq!(chosen("gdrive:normal.storage gdrive:normal.basic"), ["gdrive=storage"]);
        assert_eq!(chosen("storage:all").len(), 5, "with and without the organisation");
        assert_eq!(chosen("gdrive:normal.storage.default:kloudless"), ["gdrive=storage"]);
        assert_eq!(chosen("gdrive:kloudless"), ["gdrive=storage+events"]);
        assert_eq!(chosen("gdrive.calendar"), [""; 0]);
        assert_eq!(chosen("gdrive.basic"), ["gdrive="]);
        assert_eq!(chosen("gdrive.events gdrive.storage"), ["gdrive=events+storage"]);
        assert_eq!(chosen(""), [""; 0]);
    }

    #[test]
    fn quoted_scopes_are_the_services_own() {
        let items = parse("gdrive.storage.\"Files.Read offline_access\":raw any.events").unwrap();
        let choice = choices(&items, OFFERS).remove(0);
        assert_eq!(choice.apis, ["events"]);
        let literal = (Some("storage".to_owned()), "Files.Read offline_access".to_owned());
        assert_eq!(choice.literal, [literal]);
        assert_eq!(
            choice.effective(),
            "gdrive:normal.events.default:kloudless \
             gdrive:normal.storage.\"Files.Read offline_access\":raw"
        );
    }

    #[test]
    fn what_breaks_the_grammar_is_named() {
        for bad in [
            ":normal",
            "gdrive:sometimes",
            "gdrive.files",
            "gdrive.storage.some",
            "gdrive.storage.\"a b",
            "gdrive.storage.\"a\"",
            "gdrive.storage.\"\":raw",
            "gdrive:raw",
            "gdrive.storage:normal",
            "gdrive:normal:kloudless:raw",
            "g/drive",
            "\u{e9}",
        ] {
            let refused = parse(bad).unwrap_err();
            assert!(bad.starts_with(&refused.item), "{refused}");
        }
        assert!(parse(&"a ".repeat(201)).is_err());
        assert!(parse(&"a".repeat(9_000)).is_err());
    }

    fn any_item() -> impl Strategy<Value = Item> {
        let reach = prop_oneof![Just(Reach::Normal), Just(Reach::Admin), Just(Reach::All)];
        let api = prop::option::of(prop::sample::select(&["storage", "events", "basic"][..]));
        let literal = prop::option::of("[A-Za-z.:/]{1,9}( [a-z_.:]{1,9}){0,2}");
        let target = prop::sample::select(&["gdrive", "box", "any", "storage", "nobody"][..]);
        (target, reach, api, literal).prop_map(|(target, reach, api, literal)| Item {
            target: target.to_owned(),
            reach,
            literal: literal.filter(|_| api.is_some()),
            api: api.map(str::to_owned),
        })
    }

    proptest! {
        #[test]
        fn every_item_is_read_as_it_is_written(items in prop::collection::vec(any_item(), 0..8)) {
            let text = items.iter().map(Item::to_string).collect::<Vec<_>>().join("  ");
            prop_assert_eq!(parse(&text).unwrap(), items);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn nearly_scopes_never_panic(text in "[a-c:.\" ]{0,40}") {
            if let Ok(items) = parse(&text) {
                let _ = choices(&items, OFFERS);
            }
        }

        #[test]
        fn more_items_never_leave_less(
            some in prop::collection::vec(any_item(), 0..4),
            more in prop::collection::vec(any_item(), 0..4),
        ) {
            let all: Vec<Item> = some.iter().chain(&more).cloned().collect();
            let wide = choices(&all, OFFERS);
            for choice in choices(&some, OFFERS) {
                let same = wide.iter().find(|one| {
                    one.service == choice.service && one.admin == choice.admin
                });
                let same = same.unwrap();
                prop_assert!(choice.apis.iter().all(|api| same.apis.contains(api)));
            }
        }

        #[test]
        fn nobody_gets_the_organisation_without_its_being_asked_for(
            items in prop::collection::vec(any_item(), 0..6),
        ) {
            let asked = items.iter().any(|item| item.reach != Reach::Normal);
            let admin = choices(&items, OFFERS).iter().any(|choice| choice.admin);
            prop_assert!(asked || !admin);
        }

        #[test]
        fn an_effective_scope_is_a_scope_that_leaves_the_same(
            items in prop::collection::vec(any_item(), 1..5),
        ) {
            for choice in choices(&items, OFFERS) {
                if choice.apis.is_empty() && choice.literal.is_empty() {
                    continue;
                }
                let again = choices(&parse(&choice.effective()).unwrap(), OFFERS);
                prop_assert_eq!(again.len(), 1);
                prop_assert_eq!(again[0].apis.clone(), choice.apis.clone());
                prop_assert_eq!(again[0].literal.len(), choice.literal.len());
            }
        }
    }
}
