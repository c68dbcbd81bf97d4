//! A proxy in front of a real HTTP server that spoils chosen exchanges: refusals, resets, bodies that end
//! early or stop, answers that are not what they should be.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The longest head of a message, in bytes.
const MOST_HEAD: usize = 64 << 10;
/// The longest answer that is spoiled, in bytes.
const MOST_ANSWER: u64 = 64 << 20;
/// How much of an upload of unknown length goes through before it is cut.
const SOME: u64 = 32 << 10;

/// What happens to an exchange.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The server is not asked; this status answers, perhaps with `Retry-After`.
    Refuse(u16, Option<&'static str>),
    /// Half of the answer's body arrives, then the connection is reset.
    ResetAnswer,
    /// Half of the answer's body arrives, then the connection ends as if all had been said.
    CutAnswer,
    /// Half of the answer's body arrives, then nothing more; the connection stays open.
    StallAnswer,
    /// The answer has this body in place of its own.
    Replace(&'static [u8]),
    /// Half of the request's body reaches the server, then both connections are reset.
    ResetUpload,
    /// The request reaches the server whole; its answer is lost with the connection.
    LoseAnswer,
}

type Matches = Arc<dyn Fn(&str) -> bool + Send + Sync>;

struct Rule {
    matches: Matches,
    fault: Fault,
    left: usize,
}

/// The proxy. It stops taking connections when it is dropped.
pub struct Faulty {
    address: SocketAddr,
    state: Arc<State>,
    accepting: tokio::task::JoinHandle<()>,
}

struct State {
    upstream: String,
    rules: Mutex<Vec<Rule>>,
    spoiled: Mutex<usize>,
}

impl Faulty {
    /// A proxy in front of the server at this host and port.
    ///
    /// # Errors
    /// When no port can be listened on.
    pub async fn before(upstream: impl Into<String>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            upstream: upstream.into(),
            rules: Mutex::default(),
            spoiled: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                // A connection that broke is what this is for.
                tokio::spawn(async move { exchange(client, &state).await.unwrap_or_default() });
            }
        });
        Ok(Self { address, state, accepting })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Spoils the next `times` exchanges whose request head (request line and headers, names in lower
    /// case) matches.
    pub fn spoil(
        &self,
        times: usize,
        fault: Fault,
        matches: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) {
        let rule = Rule { matches: Arc::new(matches), fault, left: times };
        self.state.rules.lock().unwrap_or_else(PoisonError::into_inner).push(rule);
    }

    /// Lets everything through from now on; gives how many exchanges were spoiled since the last time.
    pub fn heal(&self) -> usize {
        self.state.rules.lock().unwrap_or_else(PoisonError::into_inner).clear();
        std::mem::take(&mut *self.state.spoiled.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl State {
    fn fault(&self, head: &str) -> Option<Fault> {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let rule = rules.iter_mut().find(|rule| rule.left > 0 && (rule.matches)(head))?;
        rule.left -= 1;
        *self.spoiled.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Some(rule.fault.clone())
    }
}

/// One request and its answer; every connection carries one.
async fn exchange(mut client: TcpStream, state: &State) -> io::Result<()> {
    let (head, rest) = head_of(&mut client).await?;
    let head = closing(&head);
    let fault = state.fault(&head);
    if let Some(Fault::Refuse(status, retry_after)) = fault {
        return refuse(client, &head, rest, status, retry_after).await;
    }
    let mut server = TcpStream::connect(&state.upstream).await?;
    server.write_all(head.as_bytes()).await?;
    if let Some(Fault::ResetUpload) = fault {
        let half = length_of(&head).map_or(SOME, |length| length / 2);
        let first = rest.get(..usize::try_from(half).unwrap_or(rest.len())).unwrap_or(&rest);
        server.write_all(first).await?;
        let more = half.saturating_sub(first.len() as u64);
        tokio::io::copy(&mut (&mut client).take(more), &mut server).await?;
        server.flush().await?;
        server.set_zero_linger()?;
        return client.set_zero_linger();
    }
    server.write_all(&rest).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        tokio::io::copy(&mut from_client, &mut to_server).await?;
        // The client has gone, or sends no more; the answer goes on as long as someone takes it.
        std::future::pending::<io::Result<()>>().await
    };
    let down = async {
        match fault {
            None => tokio::io::copy(&mut from_server, &mut to_client).await.map(|_| None),
            Some(fault) => {
                let mut answer = Vec::new();
                (&mut from_server).take(MOST_ANSWER).read_to_end(&mut answer).await?;
                Ok(Some((fault, answer)))
            }
        }
    };
    let spoiled = tokio::select! {
        done = up => done.map(|()| None),
        done = down => done,
    };
    let Some((fault, answer)) = spoiled? else { return to_client.shutdown().await };
    let client = from_client.reunite(to_client).map_err(io::Error::other)?;
    spoil(client, &fault, &answer).await
}

/// Sends the spoiled answer.
async fn spoil(mut client: TcpStream, fault: &Fault, answer: &[u8]) -> io::Result<()> {
    let start = body_of(answer).unwrap_or(answer.len());
    let half = start + (answer.len() - start) / 2;
    match fault {
        Fault::CutAnswer | Fault::ResetAnswer | Fault::StallAnswer => {
            client.write_all(answer.get(..half).unwrap_or(answer)).await?;
            client.flush().await?;
            match fault {
                Fault::CutAnswer => client.shutdown().await,
                Fault::ResetAnswer => client.set_zero_linger(),
                // Until the client gives up.
                _ => client.read(&mut [0; 1]).await.map(drop),
            }
        }
        Fault::Replace(body) => {
            let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
            let line = String::from_utf8_lossy(line);
            let kind = "content-type: application/xml; charset=utf-8";
            let head = format!(
                "{line}\r\n{kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            client.write_all(head.as_bytes()).await?;
            client.write_all(body).await?;
            client.shutdown().await
        }
        _ => client.set_zero_linger(),
    }
}

/// Answers without the server. The request's body is taken first, so that the answer is read.
async fn refuse(
    mut client: TcpStream,
    head: &str,
    mut taken: Vec<u8>,
    status: u16,
    retry_after: Option<&str>,
) -> io::Result<()> {
    if head.contains("transfer-encoding: chunked") {
        while !taken.ends_with(b"\r\n0\r\n\r\n") {
            // What ends the body is all that must be known of it.
            taken.drain(..taken.len().saturating_sub(7));
            if client.read_buf(&mut taken).await? == 0 {
                break;
            }
        }
    } else {
        let left = length_of(head).unwrap_or_default().saturating_sub(taken.len() as u64);
        tokio::io::copy(&mut (&mut client).take(left), &mut tokio::io::sink()).await?;
    }
    let wait = retry_after.map(|wait| format!("retry-after: {wait}\r\n")).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 {status} Spoiled\r\n{wait}content-length: 0\r\nconnection: close\r\n\r\n"
    );
    client.write_all(answer.as_bytes()).await?;
    client.shutdown().await
}

/// The head of the request, and what came with it of the body.
async fn head_of(client: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut seen = Vec::new();
    loop {
        if let Some(start) = body_of(&seen) {
            let rest = seen.split_off(start);
            return Ok((String::from_utf8_lossy(&seen).into_owned(), rest));
        }
        let ended = client.read_buf(&mut seen).await? == 0;
        if ended || seen.len() > MOST_HEAD {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The same head with names in lower case, for an exchange that ends its connection.
fn closing(head: &str) -> String {
    let mut lines = head.trim_end().split("\r\n");
    let mut text = format!("{}\r\n", lines.next().unwrap_or_default());
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let name = name.to_ascii_lowercase();
        if name != "connection" {
            text.push_str(&format!("{name}:{value}\r\n"));
        }
    }
    text.push_str("connection: close\r\n\r\n");
    text
}

fn length_of(head: &str) -> Option<u64> {
    head.split("\r\n").find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
}

/// Where the body begins in a message.
fn body_of(message: &[u8]) -> Option<usize> {
    message.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}
