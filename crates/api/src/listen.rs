//! The socket: HTTP/1.1 and HTTP/2 without TLS, limits on heads and connections, and draining.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::front::{Front, Peer};
use crate::limits::ApiLimits;
use crate::quotes::{Mended, Mending};

/// How long to wait when the machine gives no more connections (too many files open).
const OUT_OF_FILES: Duration = Duration::from_millis(100);

/// Ends a connection of HTTP/1, in a request's extensions: for clients that take nothing. As long as the
/// socket takes no bytes, an answer that breaks off would go unnoticed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hangup(CancellationToken);

impl Hangup {
    /// Ends it now.
    pub(crate) fn hang_up(&self) {
        self.0.cancel();
    }
}

/// Serves until `stop` is cancelled, then lets requests that are under way finish, for as long as the
/// limits say.
///
/// # Errors
/// When the listener cannot tell its address.
pub async fn serve(listener: TcpListener, front: Front, stop: CancellationToken) -> io::Result<()> {
    let address = listener.local_addr()?;
    let limits = front.app().limits().clone();
    let room = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
    let connections = TaskTracker::new();
    tracing::info!(%address, "listening");
    loop {
        let permit = tokio::select! {
            permit = room.clone().acquire_owned() => permit,
            () = stop.cancelled() => break,
        };
        // The semaphore is never closed.
        let Ok(permit) = permit else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (front, limits, stop) = (front.clone(), limits.clone(), stop.clone());
                connections.spawn(async move {
                    connection(stream, Peer(peer), front, &limits, stop).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(OUT_OF_FILES).await;
            }
        }
    }
    drop(listener);
    // Streams and long polls would outlast any limit: they are told to end.
    front.app().draining().cancel();
    connections.close();
    let open = connections.len();
    tracing::info!(open, "draining");
    if tokio::time::timeout(limits.drain, connections.wait()).await.is_err() {
        let cut = connections.len();
        tracing::warn!(cut, "connections were cut: they took longer than the drain limit");
    }
    Ok(())
}

async fn connection(
    stream: TcpStream,
    peer: Peer,
    front: Front,
    limits: &ApiLimits,
    stop: CancellationToken,
) {
    // Small answers must not wait for more to send.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the connection was gone before it began");
        return;
    }
    let mended = Mended::default();
    let stream = Mending::new(stream, mended.clone());
    let hangup = Hangup::default();
    let hung_up = hangup.0.clone();
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        mended.restore(request.uri_mut());
        let (front, hangup) = (front.clone(), hangup.clone());
        async move {
            let mut request: Request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            if request.version() < http::Version::HTTP_2 {
                request.extensions_mut().insert(hangup);
            }
            Ok::<_, std::convert::Infallible>(front.handle(request).await)
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(limits.head.max(16 << 10))
        .max_headers(200);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.head).unwrap_or(u32::MAX))
        .max_concurrent_streams(200)
        .keep_alive_interval(Duration::from_secs(60));
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let outcome = tokio::select! {
        outcome = serving.as_mut() => outcome,
        () = hung_up.cancelled() => return,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                outcome = serving => outcome,
                () = hung_up.cancelled() => return,
            }
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(error, peer = %peer.0, "a connection ended early");
    }
}
