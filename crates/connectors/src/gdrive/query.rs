//! Drive's search language ("Search query terms and operators"), with texts escaped.

use tramontane_model::Timestamp;

use super::item::FOLDER;

/// A text as a value of the language: in single quotes, with `'` and `\` escaped.
pub(super) fn quoted(text: &str) -> String {
    let mut value = String::with_capacity(text.len() + 2);
    value.push('\'');
    for letter in text.chars() {
        if matches!(letter, '\'' | '\\') {
            value.push('\\');
        }
        value.push(letter);
    }
    value.push('\'');
    value
}

/// What is in a folder. The id must have been checked.
pub(super) fn children(folder: &str) -> String {
    format!("{} in parents and trashed = false", quoted(folder))
}

/// What is in a folder under this name. Drive ignores case here, so the answer must be looked through.
pub(super) fn named(folder: &str, name: &str) -> String {
    format!("name = {} and {}", quoted(name), children(folder))
}

/// What others shared.
pub(super) const SHARED: &str = "sharedWithMe = true and trashed = false";

/// What has these words in its name or content.
pub(super) fn words(text: &str) -> String {
    let text = quoted(text);
    format!("(name contains {text} or fullText contains {text}) and trashed = false")
}

/// Files, and only those changed after a moment.
pub(super) fn changed_after(after: Option<Timestamp>) -> String {
    let mut query = format!("mimeType != '{FOLDER}' and trashed = false");
    if let Some(after) = after {
        // To the millisecond below, since that is what Drive keeps; the caller sorts out the rest.
        let millis = Timestamp::from_millis(after.micros().div_euclid(1_000));
        query.push_str(&format!(" and modifiedTime >= '{millis}'"));
    }
    query
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quotes_what_would_end_a_value() {
        assert_eq!(quoted("Valentine's Day"), r"'Valentine\'s Day'");
        assert_eq!(quoted(r"a\"), r"'a\\'");
        assert_eq!(
            quoted("' or trashed = true or name = '"),
            r"'\' or trashed = true or name = \''"
        );
    }

    proptest! {
        /// Reading a value back gives the text, and nothing is left over.
        #[test]
        fn a_value_ends_where_the_text_does(text in ".*") {
            let value = quoted(&text);
            let mut letters = value.chars();
            prop_assert_eq!(letters.next(), Some('\''));
            let mut read = String::new();
            loop {
                match letters.next() {
                    Some('\\') => read.extend(letters.next()),
                    Some('\'') => break,
                    Some(letter) => read.push(letter),
                    None => prop_assert!(false, "the value does not end"),
                }
            }
            prop_assert_eq!(letters.next(), None);
            prop_assert_eq!(read, text);
        }
    }
}
