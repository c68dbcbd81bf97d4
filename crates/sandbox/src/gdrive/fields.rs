//! Partial responses: the `fields` parameter (`a,b(c,d/e),f/*`).
//!
//! Source: "Return specific fields" of the Drive API.

use serde_json::{Map, Value};

use super::fault::{Answer, Fault};

/// The deepest that a mask may go.
const MAX_DEPTH: usize = 12;

/// Which members of an object are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mask(Vec<(String, Mask)>);

impl Mask {
    /// Reads a `fields` parameter.
    pub(super) fn read(text: &str) -> Answer<Self> {
        let mut rest = text;
        let mask = list(&mut rest, 0).filter(|_| rest.is_empty());
        mask.ok_or_else(|| Fault::invalid("fields", format!("Invalid field selection {text}")))
    }

    /// Keeps what is wanted. An empty mask wants everything.
    pub(super) fn apply(&self, value: Value) -> Value {
        if self.0.is_empty() {
            return value;
        }
        match value {
            Value::Array(items) => items.into_iter().map(|one| self.apply(one)).collect(),
            Value::Object(members) => {
                let mut kept = Map::new();
                for (name, member) in members {
                    let wanted = self.0.iter().find(|(one, _)| *one == name || one == "*");
                    if let Some((_, inner)) = wanted {
                        kept.insert(name, inner.apply(member));
                    }
                }
                Value::Object(kept)
            }
            other => other,
        }
    }
}

fn list(rest: &mut &str, depth: usize) -> Option<Mask> {
    if depth > MAX_DEPTH {
        return None;
    }
    let mut found: Vec<(String, Mask)> = Vec::new();
    loop {
        let (name, inner) = one(rest, depth)?;
        match found.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => known.0.extend(inner.0),
            None => found.push((name, inner)),
        }
        match rest.strip_prefix(',') {
            Some(more) => *rest = more.trim_start(),
            None => return Some(Mask(found)),
        }
    }
}

fn one(rest: &mut &str, depth: usize) -> Option<(String, Mask)> {
    let end = rest.find([',', '(', ')', '/']).unwrap_or(rest.len());
    let name = rest.get(..end)?.trim();
    let fine = name == "*"
        || (!name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
    if !fine {
        return None;
    }
    *rest = rest.get(end..)?;
    if let Some(inner) = rest.strip_prefix('/') {
        *rest = inner;
        let below = one(rest, depth + 1).filter(|_| depth < MAX_DEPTH)?;
        return Some((name.to_owned(), Mask(vec![below])));
    }
    if let Some(inner) = rest.strip_prefix('(') {
        *rest = inner;
        let below = list(rest, depth + 1)?;
        *rest = rest.strip_prefix(')')?;
        return Some((name.to_owned(), below));
    }
    Some((name.to_owned(), Mask::default()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keeps_what_is_asked_for() {
        let whole = json!({"a": 1, "b": [{"c": 2, "d": 3}], "e": {"f": 4, "g": {"h": 5}}});
        let kept = |text| Mask::read(text).unwrap().apply(whole.clone());
        assert_eq!(kept("a"), json!({"a": 1}));
        assert_eq!(kept("*"), whole);
        assert_eq!(kept("a,b(d)"), json!({"a": 1, "b": [{"d": 3}]}));
        assert_eq!(kept("e/f, e/g/h"), json!({"e": {"f": 4, "g": {"h": 5}}}));
        assert_eq!(kept("b/c,nothing"), json!({"b": [{"c": 2}]}));
    }

    #[test]
    fn refuses_what_is_no_mask() {
        for bad in ["", "a,", "a(b", "a)", "a b", "(a)", "a//b"] {
            assert!(Mask::read(bad).is_err(), "{bad}");
        }
        assert!(Mask::read(&"a(".repeat(50)).is_err());
    }
}
