//! Which events a stream gives: `types` and `categories`.

use tramontane_activity::Event;

use crate::problem::{Answer, Problem};
use crate::query::Query;

/// The most words of a filter.
const MAX_WORDS: usize = 50;
/// The words of section 29.2.
const CATEGORIES: [&str; 9] =
    ["storage", "calendar", "crm", "messaging", "email", "team", "audit", "account", "task"];
const ACTIONS: [&str; 7] = ["add", "delete", "update", "rename", "move", "copy", "restore"];

/// A filter; the empty one lets everything through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    types: Vec<String>,
    categories: Vec<String>,
}

impl Filter {
    /// Reads `types` (`rename`, `storage.file.renamed`, `storage.*`) and `categories`.
    ///
    /// # Errors
    /// `invalid_parameters`.
    pub(crate) fn read(query: &Query) -> Answer<Self> {
        let words = |name: &str, fits: fn(&str) -> bool, rule: &str| {
            let words: Vec<String> = query.list(name).map(str::to_owned).collect();
            match words.len() <= MAX_WORDS && words.iter().all(|word| fits(word)) {
                true => Ok(words),
                false => Err(Problem::invalid(name, rule)),
            }
        };
        let rule = "may hold, with commas between, at most 50 of: add, delete, update, rename, move, copy, \
                    restore, types such as storage.file.renamed, and patterns such as storage.*";
        let types = words("types", is_type, rule)?;
        let rule = "may hold, with commas between: storage, calendar, crm, messaging, email, team, audit, account, \
                    task";
        let categories = words("categories", |word| CATEGORIES.contains(&word), rule)?;
        Ok(Self { types, categories })
    }

    /// Whether an event goes through.
    pub(crate) fn lets(&self, event: &Event) -> bool {
        let category = event.category.as_str();
        if !self.categories.is_empty() && !self.categories.iter().any(|own| own == category) {
            return false;
        }
        if self.types.is_empty() {
            return true;
        }
        let (action, whole) = (event.action.as_str(), event.type_name());
        self.types.iter().any(|own| match own.strip_suffix('*') {
            Some(start) => whole.starts_with(start),
            None => own == action || *own == whole,
        })
    }
}

fn is_type(word: &str) -> bool {
    if ACTIONS.contains(&word) || word == "*" {
        return true;
    }
    let (start, pattern) = match word.strip_suffix(".*") {
        Some(start) => (start, true),
        None => (word, false),
    };
    let parts: Vec<&str> = start.split('.').collect();
    let plain = |part: &&str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let count = if pattern { 1..=2 } else { 2..=3 };
    CATEGORIES.contains(&parts.first().copied().unwrap_or_default())
        && count.contains(&parts.len())
        && parts.iter().all(plain)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use tramontane_activity::{Action, Category, Object};

    use super::*;

    fn event(action: Action, kind: &str) -> Event {
        Event {
            action,
            category: Category::Storage,
            subtype: None,
            object: Object {
                kind: kind.into(),
                id: "1".into(),
                name: "a".into(),
                parent: None,
                path: None,
            },
            before: None,
            happened: None,
            detected: 1,
            actor: None,
            entry: tramontane_activity::Metadata::default(),
            recovered: false,
            above: Vec::new(),
        }
    }

    #[test]
    fn events_are_let_through_by_word_by_type_and_by_pattern() {
        let lets =
            |query: &str, event: &Event| Filter::read(&Query::parse(query)).unwrap().lets(event);
        let renamed = event(Action::Rename, "file");
        for query in [
            "",
            "types=rename",
            "types=add,rename",
            "types=storage.file.renamed",
            "types=storage.file.*",
            "types=storage.*",
            "types=*",
            "categories=storage",
            "categories=storage,account&types=rename",
        ] {
            assert!(lets(query, &renamed), "{query}");
        }
        for query in [
            "types=add",
            "types=storage.folder.*",
            "types=account.*",
            "categories=account",
            "categories=account&types=rename",
        ] {
            assert!(!lets(query, &renamed), "{query}");
        }
    }

    #[test]
    fn words_that_nothing_has_are_refused() {
        for query in [
            "types=renamed",
            "types=storage",
            "types=storage*",
            "types=.*",
            "types=storage..x",
            "types=files.file.added",
            "categories=files",
            "categories=Storage",
        ] {
            assert!(Filter::read(&Query::parse(query)).is_err(), "{query}");
        }
        let many = format!("types={}", vec!["add"; 51].join(","));
        assert!(Filter::read(&Query::parse(&many)).is_err());
    }
}
