//! Which events an endpoint wants: by type, by account, by service.

use std::collections::BTreeSet;

/// The most patterns of an endpoint.
pub const MAX_PATTERNS: usize = 100;
const MAX_PATTERN: usize = 100;

/// A pattern that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a pattern is *, a type such as storage.file.added, or the start of types such as storage.*"
)]
pub struct BadPattern;

/// What an endpoint wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    patterns: Vec<String>,
    /// Only these accounts; empty: all.
    pub accounts: BTreeSet<i64>,
    /// Only accounts of these services; empty: all.
    pub services: BTreeSet<String>,
}

impl Filter {
    /// Everything of these types. No pattern at all is everything.
    ///
    /// # Errors
    /// [`BadPattern`], also for more than [`MAX_PATTERNS`].
    pub fn of<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, BadPattern> {
        let mut filter = Self::default();
        for pattern in patterns {
            if !fits(pattern) || filter.patterns.len() == MAX_PATTERNS {
                return Err(BadPattern);
            }
            filter.patterns.push(pattern.to_owned());
        }
        Ok(filter)
    }

    /// Whether it wants an event of this type, of this account, at this service.
    #[must_use]
    pub fn wants(&self, type_name: &str, account: i64, service: &str) -> bool {
        let typed = self.patterns.is_empty() || self.patterns.iter().any(|p| matches(p, type_name));
        typed && self.covers(account, service)
    }

    /// Whether it wants anything of this account, at this service.
    #[must_use]
    pub fn covers(&self, account: i64, service: &str) -> bool {
        (self.accounts.is_empty() || self.accounts.contains(&account))
            && (self.services.is_empty() || self.services.contains(service))
    }
}

fn fits(pattern: &str) -> bool {
    let words = pattern.strip_suffix(".*").unwrap_or(pattern);
    let word = |word: &str| {
        !word.is_empty()
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    pattern == "*" || pattern.len() <= MAX_PATTERN && words.split('.').all(word)
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_choose_types() {
        let filter = Filter::of(["storage.*", "account.deleted"]).unwrap();
        for (name, wanted) in [
            ("storage.file.added", true),
            ("storage.folder.moved", true),
            ("storageful.file.added", false),
            ("account.deleted", true),
            ("account.deleted.twice", false),
            ("account.updated", false),
        ] {
            assert_eq!(filter.wants(name, 1, "box"), wanted, "{name}");
        }
        assert!(Filter::of(["*"]).unwrap().wants("anything.at_all", 1, "box"));
        assert!(Filter::default().wants("anything", 1, "box"));
        for bad in ["", ".", "storage.", "*.file", "Storage.*", "storage.**", "a b", ".*"] {
            assert_eq!(Filter::of([bad]), Err(BadPattern), "{bad}");
        }
        assert_eq!(Filter::of(vec!["a"; MAX_PATTERNS + 1]), Err(BadPattern));
    }

    #[test]
    fn accounts_and_services_narrow() {
        let mut filter = Filter::default();
        filter.accounts.insert(7);
        assert!(filter.wants("a", 7, "box") && !filter.wants("a", 8, "box"));
        filter.services.insert("dropbox".into());
        assert!(!filter.wants("a", 7, "box") && filter.wants("a", 7, "dropbox"));
    }
}
