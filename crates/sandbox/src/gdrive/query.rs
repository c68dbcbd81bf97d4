//! The search language of `files.list` and `drives.list` (`name contains 'x' and 'y' in parents`).
//!
//! Source: "Search query terms and operators" of the Drive API. `=` on names ignores case, as the real
//! service does; `contains` on names finds beginnings of words.

use tramontane_model::Timestamp;

use super::fault::{Answer, Fault};

/// The longest query, in bytes.
const MAX_QUERY: usize = 8_192;
/// The deepest that brackets may go.
const MAX_DEPTH: usize = 32;

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Contains,
    Is,
    IsNot,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Query {
    And(Box<Query>, Box<Query>),
    Or(Box<Query>, Box<Query>),
    Not(Box<Query>),
    /// A field against a text.
    Text(String, Compare, String),
    /// A field against a moment.
    Time(String, Compare, Timestamp),
    /// A field that is true or not.
    Flag(String, bool),
    /// A value among several.
    In(String, String),
    /// A property with this key and value: public, or the caller's own.
    Has {
        private: bool,
        key: String,
        value: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Sign(&'static str),
}

const SIGNS: [&str; 10] = ["<=", ">=", "!=", "<", ">", "=", "(", ")", "{", "}"];

fn invalid() -> Fault {
    Fault::invalid("q", "Invalid Value")
}

fn tokens(text: &str) -> Answer<Vec<Token>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if first == '\'' {
            let mut value = String::new();
            let mut letters = rest.char_indices().skip(1);
            let end = loop {
                match letters.next().ok_or_else(invalid)? {
                    (_, '\\') => match letters.next().ok_or_else(invalid)?.1 {
                        escaped @ ('\'' | '\\' | '"') => value.push(escaped),
                        other => {
                            value.push('\\');
                            value.push(other);
                        }
                    },
                    (at, '\'') => break at + 1,
                    (_, letter) => value.push(letter),
                }
            };
            found.push(Token::Text(value));
            rest = rest.get(end..).unwrap_or_default();
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            found.push(Token::Sign(sign));
            rest = rest.get(sign.len()..).unwrap_or_default();
        } else {
            let end = rest.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '.'));
            let end = end.unwrap_or(rest.len());
            if end == 0 {
                return Err(invalid());
            }
            found.push(Token::Word(rest.get(..end).unwrap_or_default().to_owned()));
            rest = rest.get(end..).unwrap_or_default();
        }
        rest = rest.trim_start();
    }
    Ok(found)
}

struct Reader {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    depth: usize,
}

impl Query {
    /// Reads a query; an empty one wants everything.
    pub(super) fn read(text: &str) -> Answer<Option<Self>> {
        if text.len() > MAX_QUERY {
            return Err(invalid());
        }
        let tokens = tokens(text)?;
        if tokens.is_empty() {
            return Ok(None);
        }
        let mut reader = Reader { tokens: tokens.into_iter().peekable(), depth: 0 };
        let query = reader.several()?;
        if reader.tokens.next().is_some() { Err(invalid()) } else { Ok(Some(query)) }
    }

    /// Whether it looks at content, which rules sorting out.
    pub(super) fn is_full_text(&self) -> bool {
        match self {
            Self::And(one, two) | Self::Or(one, two) => one.is_full_text() || two.is_full_text(),
            Self::Not(one) => one.is_full_text(),
            Self::Text(field, ..) => field == "fullText",
            _ => false,
        }
    }

    /// The folder that everything found must be in directly, when the query says so at its top.
    pub(super) fn parent(&self) -> Option<&str> {
        match self {
            Self::In(value, field) if field == "parents" => Some(value),
            Self::And(one, two) => one.parent().or_else(|| two.parent()),
            _ => None,
        }
    }
}

impl Reader {
    fn word(&mut self, word: &str) -> bool {
        let there = matches!(self.tokens.peek(), Some(Token::Word(own)) if own == word);
        if there {
            self.tokens.next();
        }
        there
    }

    fn sign(&mut self, sign: &str) -> Answer<()> {
        match self.tokens.next() {
            Some(Token::Sign(own)) if own == sign => Ok(()),
            _ => Err(invalid()),
        }
    }

    fn text(&mut self) -> Answer<String> {
        match self.tokens.next() {
            Some(Token::Text(text)) => Ok(text),
            _ => Err(invalid()),
        }
    }

    /// `and` and `or` have the same weight and are read from left to right.
    fn several(&mut self) -> Answer<Query> {
        let mut left = self.one()?;
        loop {
            if self.word("and") {
                left = Query::And(Box::new(left), Box::new(self.one()?));
            } else if self.word("or") {
                left = Query::Or(Box::new(left), Box::new(self.one()?));
            } else {
                return Ok(left);
            }
        }
    }

    fn one(&mut self) -> Answer<Query> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(invalid());
        }
        let query = self.bare();
        self.depth -= 1;
        query
    }

    fn bare(&mut self) -> Answer<Query> {
        if self.word("not") {
            return Ok(Query::Not(Box::new(self.one()?)));
        }
        match self.tokens.next().ok_or_else(invalid)? {
            Token::Sign("(") => {
                let inner = self.several()?;
                self.sign(")")?;
                Ok(inner)
            }
            Token::Text(value) => {
                if !self.word("in") {
                    return Err(invalid());
                }
                match self.tokens.next() {
                    Some(Token::Word(field))
                        if matches!(
                            field.as_str(),
                            "parents" | "owners" | "writers" | "readers"
                        ) =>
                    {
                        Ok(Query::In(value, field))
                    }
                    _ => Err(invalid()),
                }
            }
            Token::Word(field) => self.field(field),
            Token::Sign(_) => Err(invalid()),
        }
    }

    fn field(&mut self, field: String) -> Answer<Query> {
        match field.as_str() {
            "sharedWithMe" | "trashed" | "starred" | "hidden" => self.flag(field),
            "properties" | "appProperties" => {
                if !self.word("has") {
                    return Err(invalid());
                }
                self.sign("{")?;
                let mut pair = (None, None);
                loop {
                    let name = self.tokens.next();
                    self.sign("=")?;
                    let value = self.text()?;
                    match name {
                        Some(Token::Word(name)) if name == "key" => pair.0 = Some(value),
                        Some(Token::Word(name)) if name == "value" => pair.1 = Some(value),
                        _ => return Err(invalid()),
                    }
                    if !self.word("and") {
                        break;
                    }
                }
                self.sign("}")?;
                let (Some(key), Some(value)) = pair else { return Err(invalid()) };
                Ok(Query::Has { private: field == "appProperties", key, value })
            }
            "name" | "fullText" | "mimeType" | "visibility" | "shortcutDetails.targetId" => {
                let compare = self.compare()?;
                let allowed = match field.as_str() {
                    "fullText" => compare == Compare::Contains,
                    "name" | "mimeType" => {
                        matches!(compare, Compare::Contains | Compare::Is | Compare::IsNot)
                    }
                    _ => matches!(compare, Compare::Is | Compare::IsNot),
                };
                let value = self.text()?;
                if allowed { Ok(Query::Text(field, compare, value)) } else { Err(invalid()) }
            }
            "modifiedTime" | "viewedByMeTime" | "createdTime" | "sharedWithMeTime" => {
                let compare = self.compare()?;
                let at = Timestamp::parse(&self.text()?).ok_or_else(invalid)?;
                if compare == Compare::Contains {
                    return Err(invalid());
                }
                Ok(Query::Time(field, compare, at))
            }
            _ => Err(invalid()),
        }
    }

    fn flag(&mut self, field: String) -> Answer<Query> {
        let is = match self.tokens.peek() {
            Some(Token::Sign("=")) => true,
            Some(Token::Sign("!=")) => false,
            // `sharedWithMe` stands alone too.
            _ if field == "sharedWithMe" => return Ok(Query::Flag(field, true)),
            _ => return Err(invalid()),
        };
        self.tokens.next();
        match self.tokens.next() {
            Some(Token::Word(word)) if word == "true" => Ok(Query::Flag(field, is)),
            Some(Token::Word(word)) if word == "false" => Ok(Query::Flag(field, !is)),
            _ => Err(invalid()),
        }
    }

    fn compare(&mut self) -> Answer<Compare> {
        match self.tokens.next() {
            Some(Token::Word(word)) if word == "contains" => Ok(Compare::Contains),
            Some(Token::Sign(sign)) => match sign {
                "=" => Ok(Compare::Is),
                "!=" => Ok(Compare::IsNot),
                "<" => Ok(Compare::Less),
                "<=" => Ok(Compare::AtMost),
                ">" => Ok(Compare::More),
                ">=" => Ok(Compare::AtLeast),
                _ => Err(invalid()),
            },
            _ => Err(invalid()),
        }
    }
}

impl Compare {
    /// Whether two moments stand like this.
    pub(super) fn holds(self, left: Timestamp, right: Timestamp) -> bool {
        let (left, right) = (left.micros(), right.micros());
        match self {
            Self::Is => left == right,
            Self::IsNot => left != right,
            Self::Less => left < right,
            Self::AtMost => left <= right,
            Self::More => left > right,
            Self::AtLeast => left >= right,
            Self::Contains => false,
        }
    }
}

fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let parts = lower.split(|letter: char| !letter.is_alphanumeric());
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Whether every word that is looked for begins a word of the name.
pub(super) fn name_contains(name: &str, wanted: &str) -> bool {
    let there = words(name);
    let wanted = words(wanted);
    !wanted.is_empty()
        && wanted.iter().all(|word| there.iter().any(|own| own.starts_with(word.as_str())))
}

/// Whether every word that is looked for is in the text; in double quotes: one after the other.
pub(super) fn text_contains(text: &str, wanted: &str) -> bool {
    let there = words(text);
    let quoted = wanted.trim().strip_prefix('"').and_then(|inner| inner.strip_suffix('"'));
    let looked_for = words(quoted.unwrap_or(wanted));
    if looked_for.is_empty() {
        return false;
    }
    match quoted {
        Some(_) => there.windows(looked_for.len()).any(|window| window == looked_for),
        None => looked_for.iter().all(|word| there.contains(word)),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_documentation_shows() {
        for good in [
            "name = 'hello'",
            "name contains 'hello' and name contains 'goodbye'",
            "not name contains 'hello'",
            "mimeType != 'application/vnd.google-apps.folder'",
            "fullText contains '\"hello world\"' and trashed = true",
            "modifiedTime > '2012-06-04T12:00:00' and (mimeType contains 'image/' or mimeType contains 'video/')",
            "'1234567' in parents",
            "sharedWithMe and name contains 'hello'",
            "properties has { key='mass' and value='1.3kg' }",
            "name = 'Valentine\\'s Day' and starred=true",
        ] {
            assert!(Query::read(good).is_ok(), "{good}");
        }
        for bad in ["name", "name = ", "name ~ 'x'", "'x' in nothing", "name = 'x", "(name = 'x'"] {
            assert!(Query::read(bad).is_err(), "{bad}");
        }
        assert!(Query::read(&"not ".repeat(100)).is_err());
    }

    #[test]
    fn escapes_are_undone() {
        let query = Query::read(r"name = 'it\'s a \\ b'").unwrap().unwrap();
        assert_eq!(query, Query::Text("name".into(), Compare::Is, r"it's a \ b".into()));
    }

    #[test]
    fn names_are_found_by_the_beginnings_of_words() {
        assert!(name_contains("HelloWorld.txt", "hello"));
        assert!(!name_contains("HelloWorld.txt", "World"));
        assert!(name_contains("Quarterly Report.txt", "rePORT quart"));
        assert!(text_contains("Hello there world", "\"there world\""));
        assert!(!text_contains("Hello there world", "\"Hello world\""));
        assert!(!text_contains("HelloWorld", "Hello"));
    }
}
