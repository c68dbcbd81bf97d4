//! Ids, URLs and hrefs: the three forms of a path, and how one becomes another.
//!
//! An id is the decoded path below the base, `/Reports/q1.pdf`; the root is `/`. A URL has every
//! segment percent-encoded. An href is whatever a server wrote into a multistatus, and is believed only
//! in its last segment: nothing that a server says leads out of the base.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tramontane_connector::{Error, Place, Result};
use tramontane_model::NativeId;
use url::Url;

/// Everything but the unreserved characters of RFC 3986 section 2.3.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The longest path that is sent, in bytes before encoding.
const MAX_PATH_BYTES: usize = 8_192;

/// One segment of a path, encoded.
pub(super) fn encode(segment: &str) -> String {
    utf8_percent_encode(segment, SEGMENT).to_string()
}

/// The segments of an id, which comes from callers: anything that is not a clean path is not found.
pub(super) fn segments(id: &NativeId) -> Result<Vec<&str>> {
    let missing = || Error::not_found("There is no such file or folder.");
    let rest = id.as_str().strip_prefix('/').ok_or_else(missing)?;
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    let segments: Vec<&str> = rest.split('/').collect();
    let clean = rest.len() <= MAX_PATH_BYTES && segments.iter().all(|one| is_name(one));
    if clean { Ok(segments) } else { Err(missing()) }
}

fn is_name(segment: &str) -> bool {
    !segment.is_empty()
        && segment != "."
        && segment != ".."
        && !segment.contains('/')
        && !segment.contains('\0')
}

/// The id of the child with this name.
pub(super) fn child(folder: &NativeId, name: &str) -> NativeId {
    match folder.as_str() {
        "/" => NativeId::new(format!("/{name}")),
        path => NativeId::new(format!("{path}/{name}")),
    }
}

/// The id of a place: its folder's id is checked, its name is a single segment.
pub(super) fn at(place: &Place) -> Result<NativeId> {
    segments(&place.parent)?;
    if !is_name(&place.name) {
        return Err(Error::invalid("name must be a single part of a path."));
    }
    Ok(child(&place.parent, &place.name))
}

/// The id of the folder that holds this, and the name in it; `None` for the root.
pub(super) fn split(id: &NativeId) -> Option<(NativeId, &str)> {
    let (parent, name) = id.as_str().rsplit_once('/')?;
    if name.is_empty() {
        return None;
    }
    Some((NativeId::new(if parent.is_empty() { "/" } else { parent }), name))
}

/// Whether `inner` is `outer` or lies below it.
pub(super) fn is_within(inner: &NativeId, outer: &NativeId) -> bool {
    let outer = outer.as_str().trim_end_matches('/');
    inner.as_str().strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The URL with a slash at its end, without query and fragment, and with no doubled slashes.
pub(super) fn collection_url(mut url: Url) -> Url {
    url.set_query(None);
    url.set_fragment(None);
    let parts: Vec<String> =
        url.path().split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let path = if parts.is_empty() { "/".into() } else { format!("/{}/", parts.join("/")) };
    url.set_path(&path);
    url
}

/// The URL of something below a collection's URL. Folders end with a slash, as servers that
/// redirect the other form expect (RFC 4918 section 5.2).
pub(super) fn url(base: &Url, segments: &[&str], folder: bool) -> Result<Url> {
    let mut text = base.as_str().trim_end_matches('/').to_owned();
    for segment in segments {
        text.push('/');
        text.push_str(&encode(segment));
    }
    if folder || segments.is_empty() {
        text.push('/');
    }
    Url::parse(&text).map_err(|cause| Error::internal("A path made no URL.").because(cause))
}

/// The decoded segments of a URL's path.
pub(super) fn url_segments(url: &Url) -> Vec<String> {
    Href::parse(url.path(), &[]).map(|href| href.segments).unwrap_or_default()
}

/// An href as a server wrote it, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Href {
    /// The path's segments, without empty ones.
    pub segments: Vec<String>,
    /// Whether it ended with a slash.
    pub slash: bool,
}

impl Href {
    /// Reads an absolute URL, an absolute path, or a path relative to `folder`. `None` when a segment
    /// is no UTF-8, or would climb or hide another segment once it is decoded.
    pub(super) fn parse(text: &str, folder: &[String]) -> Option<Self> {
        let text = text.trim();
        let (absolute, path) = match text.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => {
                (true, rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or("/"))
            }
            _ => (text.starts_with('/'), text),
        };
        let mut segments = if absolute { Vec::new() } else { folder.to_vec() };
        for part in path.split('/') {
            if part.is_empty() || (part == "." && !absolute) {
                continue;
            }
            let name = percent_decode_str(part).decode_utf8().ok()?.into_owned();
            if !is_name(&name) {
                return None;
            }
            segments.push(name);
        }
        (!path.is_empty()).then_some(Self { segments, slash: path.ends_with('/') })
    }

    /// The segments below `outer`; `None` when it is not below.
    pub(super) fn below(&self, outer: &[String]) -> Option<&[String]> {
        self.segments.strip_prefix(outer)
    }
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 16
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Sorts a multistatus of one folder into the folder itself, its children, and what does not belong.
///
/// Servers spell the folder's own path in other ways than it was asked for (another case, another
/// Unicode form, the path behind a reverse proxy). The first response names the folder itself, so
/// its spelling is taken for the prefix of the children too.
#[derive(Debug)]
pub(super) struct Anchor {
    asked: Vec<String>,
    spelt: Option<Vec<String>>,
    first: bool,
}

/// What a response is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The folder asked for.
    Own,
    /// The child with this name.
    Child(String),
    /// Something that was not asked for.
    Foreign,
}

impl Anchor {
    /// For the folder at this URL.
    pub(super) fn of(url: &Url) -> Self {
        Self { asked: url_segments(url), spelt: None, first: true }
    }

    /// What a response with this href is about. `collection` tells whether it is a folder.
    pub(super) fn place(&mut self, href: &str, collection: bool) -> Whose {
        let first = std::mem::replace(&mut self.first, false);
        let Some(href) = Href::parse(href, &self.asked) else { return Whose::Foreign };
        if let Some(whose) = under(&self.asked, &href) {
            return whose;
        }
        if let Some(whose) = self.spelt.as_ref().and_then(|spelt| under(spelt, &href)) {
            return whose;
        }
        if first && collection {
            self.spelt = Some(href.segments);
            return Whose::Own;
        }
        Whose::Foreign
    }

    /// Whether this href names exactly what was asked for.
    pub(super) fn is_own(&self, href: &str) -> bool {
        Href::parse(href, &self.asked).is_some_and(|href| href.segments == self.asked)
    }
}

fn under(folder: &[String], href: &Href) -> Option<Whose> {
    match href.below(folder)? {
        [] => Some(Whose::Own),
        [name] => Some(Whose::Child(name.clone())),
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn base(text: &str) -> Url {
        collection_url(Url::parse(text).unwrap())
    }

    #[test]
    fn ids_that_are_no_clean_paths_are_not_found() {
        for bad in ["", "a", "//", "/a/", "/a//b", "/..", "/a/../b", "/.", "/a\0", "trash/a"] {
            assert!(segments(&NativeId::new(bad)).is_err(), "{bad:?}");
        }
        assert_eq!(segments(&NativeId::new("/")).unwrap(), Vec::<&str>::new());
        assert_eq!(segments(&NativeId::new("/a b/%2F")).unwrap(), ["a b", "%2F"]);
    }

    #[test]
    fn every_segment_is_encoded_whole() {
        let base = base("https://dav.example.com//files//ann%20a?x=1#y");
        assert_eq!(base.as_str(), "https://dav.example.com/files/ann%20a/");
        let made = url(&base, &["50% #1", "q?;é.txt"], false).unwrap();
        assert_eq!(
            made.as_str(),
            "https://dav.example.com/files/ann%20a/50%25%20%231/q%3F%3B%C3%A9.txt"
        );
        assert_eq!(url(&base, &["..."], true).unwrap().path(), "/files/ann%20a/.../");
        assert_eq!(url(&base, &[], false).unwrap(), base);
    }

    #[test]
    fn reads_hrefs_in_every_form_that_servers_write() {
        let asked = base("https://dav.example.com/d%C3%A4v/Reports");
        for (href, name) in [
            ("/d%C3%A4v/Reports/q1.pdf", "q1.pdf"),
            ("/d%c3%a4v/%52eports/q1.pdf", "q1.pdf"),
            ("/däv/Reports/a b.txt", "a b.txt"),
            ("http://inner:8080/d%C3%A4v/Reports/sub/", "sub"),
            ("//d%C3%A4v//Reports///sub//", "sub"),
            ("q1.pdf", "q1.pdf"),
            ("./q1.pdf", "q1.pdf"),
            ("/d%C3%A4v/Reports/100%.txt", "100%.txt"),
            ("/d%C3%A4v/Reports/a%3Ab%25", "a:b%"),
        ] {
            let mut anchor = Anchor::of(&asked);
            assert_eq!(anchor.place(href, false), Whose::Child(name.into()), "{href}");
        }
    }

    #[test]
    fn never_leaves_the_folder_that_was_asked_for() {
        let asked = base("https://dav.example.com/dav/a");
        for href in [
            "/dav/b/x",
            "/dav",
            "/dav/a/b/c",
            "/dav/a/%2e%2e/x",
            "/dav/a/..",
            "../x",
            "/dav/a/x%2Fy",
            "/dav/a/%FF",
            "",
        ] {
            let mut anchor = Anchor::of(&asked);
            assert_eq!(anchor.place("/dav/a/", true), Whose::Own);
            assert_eq!(anchor.place(href, false), Whose::Foreign, "{href}");
        }
    }

    #[test]
    fn the_first_response_tells_how_the_server_spells_the_folder() {
        let mut anchor = Anchor::of(&base("https://proxy.example.com/dav/re\u{301}sume\u{301}"));
        assert_eq!(anchor.place("/inner/r%C3%A9sum%C3%A9/", true), Whose::Own);
        assert_eq!(anchor.place("/inner/r%C3%A9sum%C3%A9/x", false), Whose::Child("x".into()));
        assert_eq!(anchor.place("/inner/other/x", false), Whose::Foreign);
    }

    #[test]
    fn a_missing_own_entry_does_no_harm() {
        let mut anchor = Anchor::of(&base("https://dav.example.com/dav"));
        assert_eq!(anchor.place("/dav/sub/", true), Whose::Child("sub".into()));
        assert_eq!(anchor.place("/dav/b", false), Whose::Child("b".into()));
    }

    #[test]
    fn knows_what_lies_within_a_folder() {
        let within =
            |inner: &str, outer: &str| is_within(&NativeId::new(inner), &NativeId::new(outer));
        assert!(within("/a/b", "/a") && within("/a", "/a") && within("/a", "/"));
        assert!(!within("/ab", "/a") && !within("/", "/a"));
    }

    proptest! {
        #[test]
        fn names_come_back_from_their_urls(name in "[^/\0]{1,80}") {
            prop_assume!(is_name(&name));
            let base = base("http://h/b%20c");
            let made = url(&base, &["in", &name], false).unwrap();
            let mut anchor = Anchor::of(&url(&base, &["in"], true).unwrap());
            prop_assert_eq!(anchor.place(made.path(), false), Whose::Child(name));
        }

        #[test]
        fn hrefs_never_panic_and_never_climb(text in ".{0,200}") {
            if let Some(href) = Href::parse(&text, &["a".into()]) {
                prop_assert!(href.segments.iter().all(|one| is_name(one)));
            }
        }
    }
}
