//! XML as S3 servers send it: a small tree, read with bounds, and the escaping of what we send.

use quick_xml::Reader;
use quick_xml::events::Event;
use tramontane_connector::error::Kind;
use tramontane_connector::{Error, Result};

/// The deepest nesting that is read; S3's own answers have four levels.
const MAX_DEPTH: usize = 16;
/// The most elements that are read: a full page of 1,000 entries has about ten each.
const MAX_ELEMENTS: usize = 200_000;

/// One element: its name without a namespace prefix, the text in it, the elements in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) children: Vec<Element>,
}

impl Element {
    /// The first child with this name.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first child with this name; absent and empty are the same.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str()).filter(|text| !text.is_empty())
    }

    /// All children with this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

/// Reads a document and gives its root element.
///
/// # Errors
/// `Broken` for anything that is not one well-formed document within the bounds.
pub(super) fn parse(bytes: &[u8]) -> Result<Element> {
    let text = std::str::from_utf8(bytes).map_err(|_| broken("it is not UTF-8"))?;
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    let mut seen = 0;
    loop {
        let event = reader.read_event().map_err(|error| broken(&error.to_string()))?;
        match event {
            Event::Start(start) => {
                seen += 1;
                if open.len() >= MAX_DEPTH || seen > MAX_ELEMENTS {
                    return Err(broken("it is too large"));
                }
                open.push(Element {
                    name: start.local_name().as_ref().to_owned(),
                    ..Element::default()
                });
            }
            Event::Empty(start) => {
                seen += 1;
                if open.len() >= MAX_DEPTH || seen > MAX_ELEMENTS {
                    return Err(broken("it is too large"));
                }
                let element =
                    Element { name: start.local_name().as_ref().to_owned(), ..Element::default() };
                match open.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => return Ok(element),
                }
            }
            Event::End(_) => {
                let Some(done) = open.pop() else { return Err(broken("a tag closes nothing")) };
                match open.last_mut() {
                    Some(parent) => parent.children.push(done),
                    None => return Ok(done),
                }
            }
            Event::Text(piece) => push(&mut open, &piece),
            Event::CData(piece) => push(&mut open, &piece),
            Event::GeneralRef(reference) => {
                let known = match reference.resolve_char_ref() {
                    Ok(Some(character)) => character,
                    _ => match &*reference {
                        "lt" => '<',
                        "gt" => '>',
                        "amp" => '&',
                        "quot" => '"',
                        "apos" => '\'',
                        _ => return Err(broken("it refers to an entity that it may not have")),
                    },
                };
                push(&mut open, known.encode_utf8(&mut [0; 4]));
            }
            Event::DocType(_) => return Err(broken("it has a document type")),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => return Err(broken("it ends in the middle")),
        }
    }
}

/// Text between elements is layout; only leaves keep theirs.
fn push(open: &mut [Element], piece: &str) {
    if let Some(element) = open.last_mut()
        && element.children.is_empty()
    {
        element.text.push_str(piece);
    }
}

fn broken(why: &str) -> Error {
    Error::new(Kind::Broken, format!("The service's XML answer cannot be read: {why}."))
}

/// Text as it stands in an element. Characters that XML 1.0 cannot hold are written as references,
/// which S3 servers read all the same.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            control if control.is_control() => {
                out.push_str(&format!("&#x{:x};", u32::from(control)));
            }
            plain => out.push(plain),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_text_references_and_namespaces() {
        let root = parse(
            b"<?xml version=\"1.0\"?>\n<a:R xmlns:a=\"u\"><Key>x&amp;&#x41;<![CDATA[<b>]]></Key>\n <E/></a:R>",
        )
        .unwrap();
        assert_eq!(root.name, "R");
        assert_eq!(root.text_of("Key"), Some("x&A<b>"));
        assert_eq!(root.text_of("E"), None);
        assert!(root.child("E").is_some());
    }

    #[test]
    fn refuses_what_is_malformed_or_hostile() {
        for bad in [
            "",
            "plain",
            "<a>",
            "<a></b>",
            "</a>",
            "<a>&unknown;</a>",
            "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
            "<a>\u{0}",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(parse(&[0xff, 0xfe]).is_err());
        let deep = format!("{}{}", "<a>".repeat(1_000), "</a>".repeat(1_000));
        assert!(parse(deep.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_markup_is_read_without_panic(text in "(<[a-z/!?&;#x0-9]{0,6}>?|&[a-z#0-9]{0,4};?|[^<]{0,3}){0,40}") {
            let _ = parse(text.as_bytes());
        }

        #[test]
        fn escaped_text_comes_back(text in "\\PC{0,60}") {
            let document = format!("<a><k>{}</k></a>", escape(&text));
            let root = parse(document.as_bytes()).unwrap();
            prop_assert_eq!(root.child("k").unwrap().text.as_str(), text.as_str());
        }
    }
}
