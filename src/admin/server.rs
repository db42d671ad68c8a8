//! The listener of a router: accepts, bounds, times, and drains.
//!
//! Promises: at most [`Limits::connections`] connections at once; a head that does not arrive in time ends its
//! connection; over TLS, so does a handshake; after the shutdown no connection is accepted and open calls have until the
//! drain's deadline.
//! Deliberately does not: speak HTTP/2.

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

use crate::net::opening::Unopened;
use crate::net::stream::Stream;
use crate::net::tls::Terminator;

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
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long open calls have to end after the shutdown.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 256, handshake: Duration::from_secs(10), drain: Duration::from_secs(10) }
    }
}

/// Where calls come in.
pub struct Door {
    /// The socket.
    pub socket: TcpListener,
    /// The end of TLS there; `None`: in clear.
    pub tls: Option<Terminator>,
}

/// Marks a request that came over TLS. Nothing from outside can put it there.
#[derive(Clone, Copy, Debug)]
pub struct Secured;

/// Serves `router` at `door` until `shutdown`, then drains. To be run on a runtime with IO and time.
pub async fn serve(
    Door { socket: listener, tls }: Door,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let room = Arc::new(Semaphore::new(limits.connections));
    let connections = TaskTracker::new();
    while let Some((stream, peer, slot)) = shutdown.run_until_cancelled(accept(&listener, &room)).await {
        let (router, shutdown, tls) = (router.clone(), shutdown.clone(), tls.clone());
        connections.spawn(async move {
            match shutdown.run_until_cancelled(open(stream, tls.as_ref(), limits.handshake)).await {
                Some(Ok(stream)) => converse(stream, peer, router, shutdown, tls.map(|_| Secured)).await,
                Some(Err(error)) => tracing::debug!(%error, %peer, "no conversation began on the admin port"),
                None => {}
            }
            drop(slot);
        });
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
            Ok((stream, peer)) => return (stream, canonical(peer), slot),
            Err(error) => {
                tracing::warn!(%error, "admin port cannot accept");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
}

/// The address as it is told: one of IPv4 also where it came through a socket for both families.
fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

/// Room for one connection, until it is dropped.
type Slot = OwnedSemaphorePermit;

/// Ends TLS, if there is any.
async fn open(stream: TcpStream, tls: Option<&Terminator>, deadline: Duration) -> Result<Stream, Unopened> {
    stream.set_nodelay(true).ok(); // best effort: only latency is at stake
    match tls {
        Some(tls) => tls.accept(Stream::Tcp(stream), deadline).await.map(|(stream, _)| stream),
        None => Ok(Stream::Tcp(stream)),
    }
}

/// One connection, from its first request to its end.
async fn converse(
    stream: Stream,
    peer: SocketAddr,
    router: Router,
    shutdown: CancellationToken,
    secured: Option<Secured>,
) {
    let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        secured.map(|secured| request.extensions_mut().insert(secured));
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;

    const DEADLINE: Duration = Duration::from_secs(10);

    struct Served {
        address: SocketAddr,
        shutdown: CancellationToken,
        ended: tokio::task::JoinHandle<io::Result<()>>,
    }

    fn served(router: Router, limits: Limits) -> Served {
        served_with(None, router, limits)
    }

    fn served_with(tls: Option<Terminator>, router: Router, limits: Limits) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shutdown = CancellationToken::new();
        let door = Door { socket: listener, tls };
        let ended = tokio::spawn(serve(door, router, limits, shutdown.clone()));
        Served { address, shutdown, ended }
    }

    async fn connected(address: SocketAddr, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("a request");
        stream
    }

    async fn answered(mut stream: TcpStream) -> String {
        let mut text = String::new();
        tokio::time::timeout(DEADLINE, stream.read_to_string(&mut text)).await.expect("in time").expect("an answer");
        text
    }

    #[tokio::test]
    async fn a_call_knows_the_other_end_of_its_connection() {
        let peer = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() };
        let served = served(Router::new().route("/", get(peer)), Limits::default());
        let stream = connected(served.address, "/").await;
        let own = stream.local_addr().expect("an address").to_string();
        assert!(answered(stream).await.ends_with(&own));
    }

    #[test]
    fn an_ipv4_address_is_one_whichever_socket_it_came_through() {
        for (seen, told) in [
            ("[::ffff:192.0.2.7]:80", "192.0.2.7:80"),
            ("192.0.2.7:80", "192.0.2.7:80"),
            ("[2001:db8::7]:80", "[2001:db8::7]:80"),
        ] {
            assert_eq!(canonical(seen.parse().expect("an address")).to_string(), told);
        }
    }

    #[tokio::test]
    async fn an_open_call_is_answered_after_the_shutdown_and_no_new_one_is() {
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (begins, goes_on) = (Arc::clone(&begun), Arc::clone(&go_on));
        let slow = move || async move {
            begins.notify_one();
            goes_on.notified().await;
            "done"
        };
        let Served { address, shutdown, ended } = served(Router::new().route("/", get(slow)), Limits::default());
        let stream = connected(address, "/").await;
        begun.notified().await;
        shutdown.cancel();
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        go_on.notify_one();
        assert!(answered(stream).await.ends_with("done"));
        tokio::time::timeout(DEADLINE, ended).await.expect("in time").expect("no panic").expect("no error");
    }

    #[tokio::test]
    async fn a_call_that_does_not_end_does_not_hold_up_the_shutdown() {
        let begun = Arc::new(Notify::new());
        let begins = Arc::clone(&begun);
        let endless = move || async move {
            begins.notify_one();
            std::future::pending::<()>().await;
        };
        let limits = Limits { drain: Duration::from_millis(50), ..Limits::default() };
        let Served { address, shutdown, ended } = served(Router::new().route("/", get(endless)), limits);
        let _stream = connected(address, "/").await;
        begun.notified().await;
        shutdown.cancel();
        tokio::time::timeout(DEADLINE, ended).await.expect("in time").expect("no panic").expect("no error");
    }

    #[tokio::test]
    async fn a_handshake_that_does_not_end_is_ended_and_gives_its_place_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let [certificate, key] = ["a.pem", "a.key"].map(|name| folder.path().join(name));
        std::fs::write(&certificate, made.cert.pem()).expect("written");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
        let files = crate::config::Certificate { certificate, key };
        let tls = Terminator::of_admin(&crate::config::AdminTls { certificate: files, client_ca: None }).expect("TLS");
        let limits = Limits { connections: 1, handshake: Duration::from_millis(50), ..Limits::default() };
        let served = served_with(Some(tls), Router::new(), limits);
        for bytes in [&b""[..], b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"] {
            let mut stream = TcpStream::connect(served.address).await.expect("a connection");
            stream.write_all(bytes).await.expect("sent");
            let mut told = Vec::new();
            let ended = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut told)).await;
            ended.expect("in time").ok(); // an alert, or a reset
            assert!(!told.starts_with(b"HTTP"), "{told:?}");
        }
    }

    #[tokio::test]
    async fn a_connection_beyond_the_bound_waits_for_room() {
        let limits = Limits { connections: 1, ..Limits::default() };
        let served = served(Router::new().route("/", get(|| async { "here" })), limits);
        let idle = TcpStream::connect(served.address).await.expect("a connection");
        let mut waiting = connected(served.address, "/").await;
        let early = tokio::time::timeout(Duration::from_millis(100), waiting.read_u8()).await;
        assert!(early.is_err(), "the second connection was answered while the first was open");
        drop(idle);
        assert!(answered(waiting).await.ends_with("here"));
    }
}
