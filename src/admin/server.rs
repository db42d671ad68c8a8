//! The listener of a router: accepts, bounds, times, and drains.
//!
//! Promises: at most [`Limits::connections`] connections at once; a head that does not arrive in time ends its
//! connection; after the shutdown no connection is accepted and open calls have until the drain's deadline.
//! Deliberately does not: speak TLS or HTTP/2.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

/// How long a request's head may take, and how long an idle connection is kept.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// The longest head, in bytes.
const HEAD_LIMIT_BYTES: usize = 32 * 1024;
/// How long to wait when the machine cannot accept (no descriptors left).
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// What one listener may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; further ones wait in the kernel's queue.
    pub connections: usize,
    /// How long open calls have to end after the shutdown.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 256, drain: Duration::from_secs(10) }
    }
}

/// Serves `router` on `listener` until `shutdown`, then drains. To be run on a runtime with IO and time.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let room = Arc::new(Semaphore::new(limits.connections));
    let connections = TaskTracker::new();
    while let Some((stream, peer, slot)) = shutdown.run_until_cancelled(accept(&listener, &room)).await {
        connections.spawn(converse(stream, peer, router.clone(), shutdown.clone(), slot));
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(limits.drain, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "admin connections are still open after the drain");
    }
    Ok(())
}

/// The next connection, when there is room for it. Never fails: what cannot be accepted now is tried again.
async fn accept(listener: &tokio::net::TcpListener, room: &Arc<Semaphore>) -> (TcpStream, SocketAddr, Slot) {
    loop {
        // The semaphore is never closed, so a slot is what comes.
        let Ok(slot) = Arc::clone(room).acquire_owned().await else { continue };
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, slot),
            Err(error) => {
                tracing::warn!(%error, "admin port cannot accept");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
}

/// Room for one connection, until it is dropped.
type Slot = OwnedSemaphorePermit;

/// One connection, from its first request to its end.
async fn converse(stream: TcpStream, peer: SocketAddr, router: Router, shutdown: CancellationToken, slot: Slot) {
    let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD_LIMIT_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "admin connection broke off");
    }
    drop(slot);
}
