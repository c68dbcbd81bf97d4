//! Reads multistatus answers (RFC 4918 section 13) while they arrive, in bounded memory.
//!
//! Tolerant where servers are sloppy (no status, no namespace, odd prefixes), strict where it
//! matters: a document type is refused, no entity is expanded, a document that breaks off is an error,
//! and depth, text and the number of responses have limits.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use futures::{StreamExt, stream};
use quick_xml::NsReader;
use quick_xml::events::{BytesRef, Event};
use quick_xml::name::ResolveResult;
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};
use tokio_util::io::StreamReader;
use tramontane_connector::{Body, Error, Kind, Result};

/// The most bytes of one answer.
const MAX_BYTES: u64 = 512 << 20;
/// The most bytes of one tag or one piece of text.
const MAX_EVENT_BYTES: usize = 1 << 20;
/// The most text of one response.
const MAX_RESPONSE_BYTES: usize = 4 << 20;
/// The most properties of one response.
const MAX_PROPS: usize = 4_096;
/// How deep elements may lie.
const MAX_DEPTH: usize = 64;
/// The most responses of one answer.
pub(super) const MAX_RESPONSES: usize = 200_000;

/// The namespace of our own properties.
pub(super) const OUR_NS: &str = "urn:tramontane:properties";

/// A namespace that means something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ns {
    /// `DAV:`, and none at all, which some servers send.
    Dav,
    /// ownCloud's, which Nextcloud shares.
    Owncloud,
    /// Nextcloud's.
    Nextcloud,
    /// sabre/dav's, for error texts.
    Sabre,
    /// Ours.
    Ours,
    /// Any other.
    Other,
}

impl Ns {
    fn of(resolved: &ResolveResult<'_>) -> Self {
        match resolved {
            ResolveResult::Bound(ns) => match ns.0 {
                "DAV:" | "DAV" => Self::Dav,
                "http://owncloud.org/ns" => Self::Owncloud,
                "http://nextcloud.org/ns" => Self::Nextcloud,
                "http://sabredav.org/ns" => Self::Sabre,
                OUR_NS => Self::Ours,
                _ => Self::Other,
            },
            ResolveResult::Unbound | ResolveResult::Unknown(_) => Self::Dav,
        }
    }
}

/// One property of one response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prop {
    /// Its namespace.
    pub ns: Ns,
    /// Its name.
    pub name: String,
    /// All text in it. Texts of elements within are set apart by a space.
    pub text: String,
    /// The names of the elements directly in it.
    pub children: Vec<(Ns, String)>,
    /// The status it came with.
    pub status: u16,
}

/// One response: what it is about and what is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Item {
    /// As the server wrote it.
    pub href: String,
    /// The status of the whole response, when there is one.
    pub status: Option<u16>,
    /// The properties, also those with a status that says no.
    pub props: Vec<Prop>,
    /// The precondition that failed, by name.
    pub condition: Option<String>,
    /// The server's words.
    pub message: Option<String>,
}

impl Item {
    /// The property, when the server has it.
    pub(super) fn prop(&self, ns: Ns, name: &str) -> Option<&Prop> {
        let found = |prop: &&Prop| prop.ns == ns && prop.name == name && is_success(prop.status);
        self.props.iter().find(found)
    }

    /// The trimmed text of the property, when there is any.
    pub(super) fn text(&self, ns: Ns, name: &str) -> Option<&str> {
        self.prop(ns, name).map(|prop| prop.text.trim()).filter(|text| !text.is_empty())
    }
}

/// Whether a status says yes.
pub(super) fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// Answers up to this size are parsed in one go, which costs a third of parsing while they arrive.
const SMALL_BYTES: usize = 256 << 10;

/// Reads a multistatus and hands over each response as it is complete.
///
/// # Errors
/// `Broken` for anything that is no multistatus or is beyond the limits; what `each` says.
pub(super) async fn multistatus(
    body: Body,
    mut each: impl FnMut(Item) -> Result<()>,
) -> Result<()> {
    let mut pieces = body.into_stream();
    let mut begun = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        begun.extend_from_slice(&piece?);
        if begun.len() > SMALL_BYTES {
            let begun = stream::once(std::future::ready(Ok(begun.freeze())));
            let pieces = begun.chain(pieces.map(|piece| piece.map_err(io::Error::other)));
            return parse(StreamReader::new(pieces), each).await;
        }
    }
    parse_whole(&begun, &mut each)
}

/// As [`multistatus`], from bytes that are all there.
pub(super) fn parse_whole(bytes: &[u8], each: &mut impl FnMut(Item) -> Result<()>) -> Result<()> {
    let mut reader = NsReader::from_reader(bytes);
    let mut builder = Builder::default();
    while !builder.done {
        let (ns, event) = reader.read_resolved_event().map_err(broken)?;
        builder.take(&ns, event, each)?;
    }
    Ok(())
}

/// As [`multistatus`], from any reader.
pub(super) async fn parse(
    source: impl AsyncBufRead + Unpin,
    mut each: impl FnMut(Item) -> Result<()>,
) -> Result<()> {
    let mut reader = NsReader::from_reader(Fuse::new(source));
    let mut builder = Builder::default();
    let mut buffer = Vec::new();
    while !builder.done {
        buffer.clear();
        reader.get_mut().renew();
        let (ns, event) =
            reader.read_resolved_event_into_async(&mut buffer).await.map_err(broken)?;
        builder.take(&ns, event, &mut each)?;
    }
    Ok(())
}

/// The condition and message of an error body (RFC 4918 section 14.5, with sabre/dav's additions).
/// Empty when it is something else.
pub(super) fn error_body(bytes: &[u8]) -> (Option<String>, Option<String>) {
    let mut reader = NsReader::from_reader(bytes);
    let (mut depth, mut at_message) = (0usize, false);
    let (mut condition, mut message) = (None, String::new());
    loop {
        match reader.read_resolved_event() {
            Ok((ns, Event::Start(tag))) => {
                let (ns, name) = (Ns::of(&ns), tag.local_name().as_ref().to_owned());
                if depth == 0 && (ns, name.as_str()) != (Ns::Dav, "error") {
                    return (None, None);
                }
                at_message = is_message(ns, &name);
                if depth == 1 && ns == Ns::Dav && condition.is_none() {
                    condition = Some(name);
                }
                depth += 1;
            }
            Ok((ns, Event::Empty(tag))) => {
                if depth == 1 && Ns::of(&ns) == Ns::Dav && condition.is_none() {
                    condition = Some(tag.local_name().as_ref().to_owned());
                }
            }
            Ok((_, Event::End(_))) => {
                at_message = false;
                depth = depth.saturating_sub(1);
            }
            Ok((_, Event::Text(text))) if at_message => message.push_str(&text.xml10_content()),
            Ok((_, Event::CData(text))) if at_message => message.push_str(&text.xml10_content()),
            Ok((_, Event::GeneralRef(reference))) if at_message => {
                message.push_str(&resolve(&reference).unwrap_or_default());
            }
            Ok((_, Event::DocType(_) | Event::Eof)) | Err(_) => break,
            Ok(_) => {}
        }
    }
    let message = message.trim();
    (condition, (!message.is_empty()).then(|| message.to_owned()))
}

fn is_message(ns: Ns, name: &str) -> bool {
    match ns {
        Ns::Sabre => name == "message",
        Ns::Dav => name == "responsedescription" || name == "human-readable",
        _ => false,
    }
}

/// What an element means where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Multistatus,
    Response,
    Href,
    Status,
    Propstat,
    PropstatStatus,
    Props,
    Prop,
    InProp,
    Problem,
    Message,
    Other,
}

#[derive(Debug, Default)]
struct Builder {
    stack: Vec<At>,
    item: Item,
    hrefs: Vec<String>,
    text: String,
    spent: usize,
    propstat: Option<u16>,
    propstat_from: usize,
    responses: usize,
    done: bool,
}

impl Builder {
    fn take(
        &mut self,
        ns: &ResolveResult<'_>,
        event: Event<'_>,
        each: &mut impl FnMut(Item) -> Result<()>,
    ) -> Result<()> {
        let empty = matches!(event, Event::Empty(_));
        match event {
            Event::Start(tag) | Event::Empty(tag) => {
                self.open(Ns::of(ns), tag.local_name().as_ref())?;
                if empty { self.close(each) } else { Ok(()) }
            }
            Event::End(_) => self.close(each),
            Event::Text(text) => self.text(&text.xml10_content()),
            Event::CData(text) => self.text(&text.xml10_content()),
            Event::GeneralRef(reference) => self.text(&resolve(&reference)?),
            Event::DocType(_) => Err(nonsense("a document type, which WebDAV has not")),
            Event::Eof => Err(nonsense("a document that breaks off")),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => Ok(()),
        }
    }

    fn open(&mut self, ns: Ns, name: &str) -> Result<()> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(nonsense("elements nested too deeply"));
        }
        let at = match (self.stack.last(), ns, name) {
            (None, Ns::Dav, "multistatus") => At::Multistatus,
            (None, _, "html" | "HTML") => return Err(nonsense("a web page")),
            (None, _, _) => return Err(nonsense("something that is no multistatus")),
            (Some(At::Multistatus), Ns::Dav, "response") => {
                self.begin()?;
                At::Response
            }
            (Some(At::Response), Ns::Dav, "href") => At::Href,
            (Some(At::Response), Ns::Dav, "status") => At::Status,
            (Some(At::Response), Ns::Dav, "propstat") => {
                self.propstat = None;
                self.propstat_from = self.item.props.len();
                At::Propstat
            }
            (Some(At::Propstat), Ns::Dav, "status") => At::PropstatStatus,
            (Some(At::Propstat), Ns::Dav, "prop") => At::Props,
            (Some(At::Response | At::Propstat), Ns::Dav, "error") => At::Problem,
            (Some(At::Response | At::Propstat), Ns::Dav, "responsedescription") => At::Message,
            (Some(At::Problem), Ns::Sabre, "message") => At::Message,
            (Some(At::Problem), ns, name) => {
                if ns == Ns::Dav && self.item.condition.is_none() {
                    self.item.condition = Some(name.to_owned());
                }
                At::Other
            }
            (Some(At::Props), ns, name) => {
                if self.item.props.len() >= MAX_PROPS {
                    return Err(nonsense("too many properties"));
                }
                self.spend(name.len())?;
                let (name, text) = (name.to_owned(), String::new());
                self.item.props.push(Prop { ns, name, text, children: Vec::new(), status: 200 });
                At::Prop
            }
            (Some(At::Prop | At::InProp), ns, name) => {
                let direct = self.stack.last() == Some(&At::Prop);
                self.spend(name.len())?;
                if let Some(prop) = self.item.props.last_mut() {
                    if direct {
                        prop.children.push((ns, name.to_owned()));
                    }
                    if !prop.text.is_empty() && !prop.text.ends_with(' ') {
                        prop.text.push(' ');
                    }
                }
                At::InProp
            }
            _ => At::Other,
        };
        if matches!(at, At::Href | At::Status | At::PropstatStatus | At::Message) {
            self.text.clear();
        }
        self.stack.push(at);
        Ok(())
    }

    fn begin(&mut self) -> Result<()> {
        self.responses += 1;
        if self.responses > MAX_RESPONSES {
            return Err(nonsense("more entries than can be read"));
        }
        self.item = Item::default();
        self.hrefs.clear();
        self.spent = 0;
        Ok(())
    }

    fn spend(&mut self, bytes: usize) -> Result<()> {
        self.spent = self.spent.saturating_add(bytes);
        if self.spent > MAX_RESPONSE_BYTES {
            return Err(nonsense("an entry that is too large"));
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<()> {
        match self.stack.last() {
            Some(At::Href | At::Status | At::PropstatStatus | At::Message) => {
                self.spend(text.len())?;
                self.text.push_str(text);
            }
            Some(At::Prop | At::InProp) => {
                self.spend(text.len())?;
                if let Some(prop) = self.item.props.last_mut() {
                    prop.text.push_str(text);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, each: &mut impl FnMut(Item) -> Result<()>) -> Result<()> {
        match self.stack.pop() {
            Some(At::Href) => self.hrefs.push(self.text.trim().to_owned()),
            Some(At::Status) => self.item.status = status(&self.text),
            Some(At::PropstatStatus) => self.propstat = status(&self.text),
            Some(At::Message) => {
                let text = self.text.trim();
                if !text.is_empty() && self.item.message.is_none() {
                    self.item.message = Some(text.to_owned());
                }
            }
            Some(At::Propstat) => {
                let status = self.propstat.unwrap_or(200);
                for prop in self.item.props.iter_mut().skip(self.propstat_from) {
                    prop.status = status;
                }
            }
            Some(At::Response) => {
                let item = std::mem::take(&mut self.item);
                let mut hrefs = std::mem::take(&mut self.hrefs).into_iter();
                let Some(first) = hrefs.next() else { return Ok(()) };
                for href in hrefs {
                    each(Item { href, ..item.clone() })?;
                }
                each(Item { href: first, ..item })?;
            }
            Some(At::Multistatus) => self.done = true,
            _ => {}
        }
        Ok(())
    }
}

/// The code in a status line, however it is written.
fn status(text: &str) -> Option<u16> {
    let code = text.split_whitespace().find_map(|word| word.parse::<u16>().ok())?;
    (100..600).contains(&code).then_some(code)
}

/// The five predefined entities and character references; any other stays as it was written.
fn resolve(reference: &BytesRef<'_>) -> Result<String> {
    if let Some(character) = reference.resolve_char_ref().map_err(broken)? {
        return Ok(character.to_string());
    }
    Ok(match quick_xml::escape::resolve_predefined_entity(reference) {
        Some(text) => text.to_owned(),
        None => format!("&{};", &**reference),
    })
}

fn nonsense(what: &str) -> Error {
    Error::new(Kind::Broken, format!("The WebDAV server answered with {what}."))
}

fn broken(error: quick_xml::Error) -> Error {
    if let quick_xml::Error::Io(cause) = &error
        && let Some(ours) = cause.get_ref().and_then(|inner| inner.downcast_ref::<Error>())
    {
        return Error::new(ours.kind.clone(), ours.message.clone()).retry(ours.retry);
    }
    nonsense("XML that cannot be read").because(error)
}

/// Blows when one event, or the whole answer, takes too many bytes.
struct Fuse<R> {
    inner: R,
    event: usize,
    total: u64,
}

impl<R> Fuse<R> {
    fn new(inner: R) -> Self {
        Self { inner, event: MAX_EVENT_BYTES, total: MAX_BYTES }
    }

    fn renew(&mut self) {
        self.event = MAX_EVENT_BYTES;
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Fuse<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buf)
    }
}

impl<R: AsyncBufRead + Unpin> AsyncBufRead for Fuse<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.event == 0 || this.total == 0 {
            return Poll::Ready(Err(io::Error::other(nonsense("more than can be read"))));
        }
        let most = this.event;
        Pin::new(&mut this.inner)
            .poll_fill_buf(cx)
            .map_ok(|bytes| bytes.get(..most).unwrap_or(bytes))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        let this = self.get_mut();
        this.event = this.event.saturating_sub(amount);
        this.total = this.total.saturating_sub(amount as u64);
        Pin::new(&mut this.inner).consume(amount);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
