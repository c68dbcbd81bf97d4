//! Request lines with bare quotes in their query (T16): the HTTP parser refuses them, existing clients
//! send them.
//!
//! On its way in, each quote in the query of a request line is exchanged for a stand-in of the same
//! length, so that no byte moves and framing stays what it was; the front of the request gets the
//! quotes back, escaped. Only what stands where a request line is due is looked at: at the start of
//! the connection, and after an answer was written.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::Uri;
use http::uri::PathAndQuery;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What stands for a quote between the socket and the service.
const STAND_IN: u8 = b'!';
/// The longest request line that is looked at, in bytes.
const LONGEST: usize = 64 << 10;
/// Request lines that may wait for their request; clients that pipeline more get none mended.
const WAITING: usize = 16;

/// The request lines of one connection that had quotes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mended(Arc<Mutex<VecDeque<Line>>>);

/// A target as the parser saw it, and where its quotes were.
#[derive(Debug)]
struct Line {
    target: Vec<u8>,
    quotes: Vec<usize>,
}

impl Mended {
    /// Gives a request its quotes back, escaped, when its target is the next one that had any.
    pub(crate) fn restore(&self, uri: &mut Uri) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = uri.path_and_query().map(PathAndQuery::as_str).unwrap_or_default();
        let Some(line) = lines.pop_front_if(|line| line.target == seen.as_bytes()) else { return };
        let mut text = String::with_capacity(seen.len() + 2 * line.quotes.len());
        for (at, letter) in seen.char_indices() {
            if line.quotes.contains(&at) {
                text.push_str("%22");
            } else {
                text.push(letter);
            }
        }
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = PathAndQuery::try_from(text).ok();
        if let Ok(whole) = Uri::from_parts(parts) {
            *uri = whole;
        }
    }

    fn push(&self, line: Line) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < WAITING {
            lines.push_back(line);
        }
    }
}

/// Where in a request line the next byte stands.
#[derive(Debug)]
enum At {
    /// Before or in the method.
    Method(usize),
    /// In the target; whether its query has begun.
    Target { query: bool, line: Line },
    /// Past it: nothing is looked at until an answer is written.
    Past,
}

/// A socket whose request lines are mended.
#[derive(Debug)]
pub(crate) struct Mending<S> {
    inner: S,
    at: At,
    mended: Mended,
}

impl<S> Mending<S> {
    pub(crate) fn new(inner: S, mended: Mended) -> Self {
        Self { inner, at: At::Method(0), mended }
    }

    fn look(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            match &mut self.at {
                At::Past => return,
                At::Method(length) => match *byte {
                    b'A'..=b'Z' if *length < 20 => *length += 1,
                    b'\r' | b'\n' if *length == 0 => {}
                    b' ' if *length > 0 => {
                        let line = Line { target: Vec::new(), quotes: Vec::new() };
                        self.at = At::Target { query: false, line };
                    }
                    _ => self.at = At::Past,
                },
                At::Target { query, line } => {
                    let first = line.target.is_empty();
                    let over = line.target.len() >= LONGEST || (first && *byte != b'/');
                    if over || matches!(*byte, b' ' | b'\r' | b'\n') {
                        if let At::Target { line, .. } = std::mem::replace(&mut self.at, At::Past)
                            && !line.quotes.is_empty()
                        {
                            self.mended.push(line);
                        }
                        return;
                    }
                    *query |= *byte == b'?';
                    if *query && *byte == b'"' {
                        line.quotes.push(line.target.len());
                        *byte = STAND_IN;
                    }
                    line.target.push(*byte);
                }
            }
        }
    }

    fn wrote(&mut self, bytes: &[u8]) {
        // An interim answer asks for the body, not for the next request.
        if matches!(self.at, At::Past) && !bytes.is_empty() && !bytes.starts_with(b"HTTP/1.1 100") {
            self.at = At::Method(0);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Mending<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if !matches!(self.at, At::Past)
            && let Some(new) = buf.filled_mut().get_mut(before..)
        {
            self.look(new);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Mending<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.wrote(bytes);
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(first) = slices.iter().find(|slice| !slice.is_empty()) {
            self.wrote(first);
        }
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(pieces: &[&str]) -> (String, Mended) {
        let mended = Mended::default();
        let mut socket = Mending::new((), mended.clone());
        let mut out = Vec::new();
        for piece in pieces {
            let mut bytes = piece.as_bytes().to_vec();
            socket.look(&mut bytes);
            out.extend(bytes);
        }
        (String::from_utf8(out).unwrap_or_default(), mended)
    }

    #[test]
    fn quotes_of_a_query_come_back_escaped() {
        let line = ["GET /a?x={\"k\":", "\"v\"} HTTP/1.1\r\nX: \"q\"\r\n\r\n{\"a\":1}"];
        let (out, mended) = through(&line);
        assert_eq!(out, "GET /a?x={!k!:!v!} HTTP/1.1\r\nX: \"q\"\r\n\r\n{\"a\":1}");
        let mut uri = Uri::from_static("/a?x={!k!:!v!}");
        mended.restore(&mut uri);
        assert_eq!(uri, "/a?x={%22k%22:%22v%22}");
        let mut again = Uri::from_static("/a?x={!k!:!v!}");
        mended.restore(&mut again);
        assert_eq!(again, "/a?x={!k!:!v!}", "each line is mended once");
    }

    #[test]
    fn nothing_else_is_touched() {
        for text in [
            "GET /a\"b HTTP/1.1\r\n\r\n",
            "{\"k\":\"?\"}",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\"?\"",
            "some text /? \"x\"",
            "",
        ] {
            assert_eq!(through(&[text]).0, text);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_byte_moves(text in "(GET |POST )?/?[a-z?\" ]{0,20}(\r\n)?[ -~]{0,30}") {
            let (out, _) = through(&[&text]);
            proptest::prop_assert_eq!(out.len(), text.len());
            for (one, other) in text.bytes().zip(out.bytes()) {
                proptest::prop_assert!(one == other || (one == b'"' && other == STAND_IN));
            }
        }
    }
}
