//! Properties set on files and folders: dead properties (RFC 4918 section 4) in a namespace of our own,
//! one per key.

use std::collections::BTreeMap;

use async_trait::async_trait;
use http::header;
use quick_xml::escape::escape;
use tramontane_connector::storage::{Properties, Property};
use tramontane_connector::{Cx, EntryKind, EntryRef, Error, Kind, Repeat, Result};
use tramontane_model::Op;
use url::Url;

use super::dav::Dav;
use super::fault::meaning;
use super::storage::DavStorage;
use super::xml::{Item, Ns, OUR_NS, is_success};

const ALL: &str =
    r#"<?xml version="1.0" encoding="utf-8"?><d:propfind xmlns:d="DAV:"><d:allprop/></d:propfind>"#;

/// The longest key and the longest value that are sent, in bytes.
const MAX_KEY_BYTES: usize = 255;
const MAX_VALUE_BYTES: usize = 256 << 10;

type Changes = BTreeMap<String, Option<String>>;

#[async_trait]
impl Properties for DavStorage {
    async fn list(&self, cx: &Cx, of: &EntryRef) -> Result<Vec<Property>> {
        let (dav, url) = target(cx, of, Op::PropertiesList).await?;
        let pairs = read(&dav, url).await?;
        let property = |(key, value)| Property { key, value, created: None, modified: None };
        Ok(pairs.into_iter().map(property).collect())
    }

    async fn patch(&self, cx: &Cx, of: &EntryRef, changes: &Changes) -> Result<Vec<Property>> {
        let (dav, url) = target(cx, of, Op::PropertiesUpdate).await?;
        if !changes.is_empty() {
            write(&dav, url, changes).await?;
        }
        self.list(cx, of).await
    }

    async fn clear(&self, cx: &Cx, of: &EntryRef) -> Result<()> {
        let (dav, url) = target(cx, of, Op::PropertiesDeleteAll).await?;
        let known = read(&dav, url.clone()).await?;
        let changes: Changes = known.into_keys().map(|key| (key, None)).collect();
        if changes.is_empty() { Ok(()) } else { write(&dav, url, &changes).await }
    }
}

async fn target<'a>(cx: &'a Cx, of: &EntryRef, op: Op) -> Result<(Dav<'a>, Url)> {
    let dav = Dav::of(cx)?;
    if !dav.profile.properties {
        return Err(Error::declined(op));
    }
    dav.get(of).await?;
    let url = dav.profile.url(&of.id, of.kind == EntryKind::Folder)?;
    Ok((dav, url))
}

/// Gives the file at one URL the properties of the file at another.
pub(super) async fn carry(dav: &Dav<'_>, from: &Url, to: &Url) -> Result<()> {
    let known = read(dav, from.clone()).await?;
    let changes: Changes = known.into_iter().map(|(key, value)| (key, Some(value))).collect();
    if changes.is_empty() { Ok(()) } else { write(dav, to.clone(), &changes).await }
}

async fn read(dav: &Dav<'_>, url: Url) -> Result<BTreeMap<String, String>> {
    let item = dav.item(url, ALL.to_owned()).await?;
    let ours = item.props.into_iter().filter(|prop| prop.ns == Ns::Ours && is_success(prop.status));
    Ok(ours.filter_map(|prop| Some((key(&prop.name)?, prop.text))).collect())
}

async fn write(dav: &Dav<'_>, url: Url, changes: &Changes) -> Result<()> {
    let body = update(changes)?;
    let request = Dav::request("proppatch", "PROPPATCH", url)
        .repeat(Repeat::Yes)
        .header(header::CONTENT_TYPE, "application/xml; charset=utf-8")
        .bytes(body);
    let mut refused: Option<(u16, Item)> = None;
    dav.find(request, |item| {
        let statuses = item.status.into_iter().chain(item.props.iter().map(|prop| prop.status));
        // Of several refusals, 424 only says that another one is to blame.
        let worst = statuses.filter(|status| !is_success(*status)).min_by_key(|code| *code == 424);
        if let Some(status) = worst {
            refused = Some((status, item));
        }
        Ok(())
    })
    .await?;
    let Some((status, item)) = refused else { return Ok(()) };
    Err(meaning(status, item.condition.as_deref(), item.message.as_deref()))
}

/// The body of a `PROPPATCH`.
fn update(changes: &Changes) -> Result<String> {
    let (mut set, mut remove) = (String::new(), String::new());
    for (key, value) in changes {
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            return Err(Error::invalid("key must be 1 to 255 bytes long."));
        }
        let name = name(key);
        match value {
            Some(value) => {
                if value.len() > MAX_VALUE_BYTES {
                    return Err(Error::new(Kind::TooLarge, "value must be at most 256 KiB long."));
                }
                if !value.chars().all(is_xml) {
                    let text = "value holds a control character, which WebDAV cannot carry.";
                    return Err(Error::invalid(text));
                }
                set.push_str(&format!("<t:{name}>{}</t:{name}>", escape(value)));
            }
            None => remove.push_str(&format!("<t:{name}/>")),
        }
    }
    let part = |what: &str, props: &str| match props {
        "" => String::new(),
        props => format!("<d:{what}><d:prop>{props}</d:prop></d:{what}>"),
    };
    Ok(format!(
        r#"<?xml version="1.0" encoding="utf-8"?><d:propertyupdate xmlns:d="DAV:" xmlns:t="{OUR_NS}">{}{}</d:propertyupdate>"#,
        part("set", &set),
        part("remove", &remove)
    ))
}

/// A character that XML 1.0 can carry.
fn is_xml(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// A key as the name of an element: `p`, then letters, digits, `-` and `.` as they are, every other byte
/// as `_` and two hex digits.
fn name(key: &str) -> String {
    let mut name = String::from("p");
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.' {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("_{byte:02x}"));
        }
    }
    name
}

/// The key that made a name; `None` when none did.
fn key(name: &str) -> Option<String> {
    let mut rest = name.strip_prefix('p')?.bytes();
    let mut key = Vec::new();
    while let Some(byte) = rest.next() {
        if byte == b'_' {
            let digits = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            key.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            key.push(byte);
        }
    }
    String::from_utf8(key).ok().filter(|key| !key.is_empty())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_escaped_and_control_characters_refused() {
        let one = |value: &str| Changes::from([("a b".to_owned(), Some(value.to_owned()))]);
        let body = update(&one("<&>\r")).unwrap();
        assert!(body.contains("<t:pa_20b>&lt;&amp;&gt;&#13;</t:pa_20b>"), "{body}");
        assert!(update(&one("\u{1}")).is_err());
        assert!(update(&one(&"x".repeat(MAX_VALUE_BYTES + 1))).is_err());
    }

    proptest! {
        #[test]
        fn keys_come_back_from_their_names(text in ".{1,60}") {
            let made = name(&text);
            prop_assert!(made.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b)));
            prop_assert_eq!(key(&made), Some(text));
        }

        #[test]
        fn foreign_names_never_panic(text in ".{0,60}") {
            let _ = key(&text);
        }
    }
}
