//! A running server of the binary's own, asked over a socket as anyone would.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};

use serde_json::Value;

/// The command with no settings but its data directory.
pub(crate) fn command(data_dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tramontane"));
    command.args(arguments).env_clear().env("TRAMONTANE_DATA_DIR", data_dir);
    command
}

/// A server; killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What it printed when it had started: with `--json`, one document.
    pub(crate) printed: Value,
    log: BufReader<ChildStderr>,
    _out: BufReader<ChildStdout>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Status line and headers.
    pub(crate) head: String,
    pub(crate) text: String,
}

impl Answer {
    /// Every value of a header, named in lower case.
    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

impl Server {
    /// Starts it on a free port and waits until it says where.
    pub(crate) fn start(data_dir: &Path, more: &[&str]) -> Self {
        let arguments = [&["serve", "--listen", "127.0.0.1:0", "--json"], more].concat();
        let mut child = command(data_dir, &arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut text = String::new();
        let printed: Value = loop {
            assert_ne!(out.read_line(&mut text).unwrap(), 0, "it ended: {text}");
            if let Ok(document) = serde_json::from_str(&text) {
                break document;
            }
        };
        let url = printed["url"].as_str().unwrap();
        let address = url.strip_prefix("http://").unwrap().parse().unwrap();
        Self { child, address, printed, log, _out: out }
    }

    /// Asks for one thing.
    pub(crate) fn ask(&self, head: &str, body: &str) -> Answer {
        ask(self.address, head, body).unwrap()
    }

    /// Reads the log until a line holds this; gives everything up to it.
    pub(crate) fn logged(&mut self, words: &str) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.log.read_line(&mut line).unwrap(), 0, "never logged {words}: {seen}");
            seen.push_str(&line);
            if line.contains(words) {
                return seen;
            }
        }
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Waits for its end; gives how it ended and the rest of the log.
    pub(crate) fn ended(&mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap(), rest)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One HTTP/1.1 exchange. `head` is the request line without its version, then headers, a line each.
pub(crate) fn ask(address: SocketAddr, head: &str, body: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    let mut lines = head.lines();
    let mut text = format!("{} HTTP/1.1\r\nhost: {address}\r\n", lines.next().unwrap_or_default());
    for line in lines {
        text.push_str(&format!("{line}\r\n"));
    }
    text.push_str(&format!("connection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(text.as_bytes())?;
    answer(stream)
}

/// Reads an answer to its end.
pub(crate) fn answer(mut stream: TcpStream) -> std::io::Result<Answer> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other(format!("no answer: {text:?}")))?;
    Ok(Answer { status, head: head.to_owned(), text: body.to_owned() })
}
