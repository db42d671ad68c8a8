//! The listener of a router: accepts, bounds, times, and drains.
//!
//! Promises: at most [`Limits::connections`] connections at once, and none of them is kept at the cost of a new one while
//! it only waits for its client; a head that does not arrive in time ends its connection; over TLS, so does a handshake;
//! so does a reply of which nothing is taken; after the shutdown no connection is accepted and open calls have until
//! the drain's deadline.
//! Deliberately does not: speak HTTP/2.

mod bodies;
mod places;
mod stall;

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ConnectInfo;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use crate::net::opening::Unopened;
use crate::net::shortage::Shortage;
use crate::net::stream::Stream;
use crate::net::tls::Terminator;

use bodies::{Asked, Told};
use places::{InCall, Place, Places};
use stall::Paced;

/// How long a request's head may take, and how long an idle connection is kept.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// The longest head, in bytes.
const HEAD_LIMIT_BYTES: usize = 32 * 1024;
/// How long to wait when the machine cannot accept (no descriptors left).
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// What one listener may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once. Beyond that the one that has waited longest for its client is closed for a new one; while
    /// all are in a call, new ones wait.
    pub connections: usize,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long a client may take nothing of a reply. Over TLS it has as long for the last 64 KiB together.
    pub write_stall: Duration,
    /// How long open calls have to end after the shutdown.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            handshake: Duration::from_secs(10),
            write_stall: Duration::from_secs(30),
            drain: Duration::from_secs(10),
        }
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
    let places = Places::new(limits.connections);
    let connections = TaskTracker::new();
    let port = Port { router, limits, tls, shutdown: shutdown.clone() };
    let shortage = Shortage::new();
    while let Some((stream, peer, place)) = shutdown.run_until_cancelled(accept(&listener, &places, &shortage)).await {
        let port = port.clone();
        connections.spawn(async move {
            tokio::select! {
                biased;
                () = place.told_to_leave() => tracing::debug!(%peer, "an admin connection made room for another"),
                () = port.host(stream, peer, &place) => {}
            }
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(limits.drain, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "admin connections are still open after the drain");
    }
    Ok(())
}

/// The next connection, once there is a place for it. Never fails: what cannot be accepted now is tried again.
async fn accept(
    listener: &tokio::net::TcpListener,
    places: &Places,
    shortage: &Shortage,
) -> (TcpStream, SocketAddr, Arc<Place>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, canonical(peer), places.take().await),
            Err(error) => {
                if shortage.begins(Instant::now()) {
                    tracing::warn!(%error, "admin port cannot accept");
                }
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
}

/// The address as it is told: one of IPv4 also where it came through a socket for both families.
fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

/// What all connections of one listener have in common.
#[derive(Clone)]
struct Port {
    router: Router,
    limits: Limits,
    tls: Option<Terminator>,
    shutdown: CancellationToken,
}

impl Port {
    /// One connection, from its handshake to its end.
    async fn host(self, stream: TcpStream, peer: SocketAddr, place: &Arc<Place>) {
        let opened = open(stream, self.tls.as_ref(), self.limits.handshake);
        match self.shutdown.run_until_cancelled(opened).await {
            Some(Ok(stream)) => self.converse(stream, peer, place).await,
            Some(Err(error)) => tracing::debug!(%error, %peer, "no conversation began on the admin port"),
            None => {}
        }
    }

    /// From its first request on.
    async fn converse(&self, stream: Stream, peer: SocketAddr, place: &Arc<Place>) {
        let secured = self.tls.as_ref().map(|_| Secured);
        let service = service_fn(|mut request: Request<Incoming>| {
            let call = InCall::begin(place);
            request.extensions_mut().insert(ConnectInfo(peer));
            secured.map(|secured| request.extensions_mut().insert(secured));
            answer(self.router.clone(), request.map(|body| Asked { body, place: Arc::clone(place) }), call)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_DEADLINE)
            .max_buf_size(HEAD_LIMIT_BYTES)
            .serve_connection(TokioIo::new(Paced::new(stream, self.limits.write_stall)), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, %peer, "admin connection broke off");
        }
    }
}

/// Ends TLS, if there is any.
async fn open(stream: TcpStream, tls: Option<&Terminator>, deadline: Duration) -> Result<Stream, Unopened> {
    stream.set_nodelay(true).ok(); // best effort: only latency is at stake
    match tls {
        Some(tls) => tls.accept(Stream::Tcp(stream), deadline).await.map(|(stream, _)| stream),
        None => Ok(Stream::Tcp(stream)),
    }
}

/// One call, which is in progress until its reply has been handed over.
async fn answer(mut router: Router, request: Request<Asked>, call: InCall) -> Result<Response<Told>, Infallible> {
    let response = router.call(request).await?;
    call.goes_on();
    Ok(response.map(|body| Told { body, _call: call }))
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

    /// A call that says when it has begun, and is done when it is told to go on.
    fn slow(begun: &Arc<Notify>, go_on: &Arc<Notify>) -> axum::routing::MethodRouter {
        let (begins, goes_on) = (Arc::clone(begun), Arc::clone(go_on));
        get(move || async move {
            begins.notify_one();
            goes_on.notified().await;
            "done"
        })
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
        let slow = slow(&begun, &go_on);
        let Served { address, shutdown, ended } = served(Router::new().route("/", slow), Limits::default());
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

    /// Whether the other end has closed, once it has.
    async fn ended(mut stream: TcpStream) -> bool {
        let mut rest = Vec::new();
        let end = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
        end.is_ok() && !rest.starts_with(b"HTTP")
    }

    #[tokio::test]
    async fn a_connection_beyond_the_bound_takes_the_place_of_one_that_only_waits_for_its_client() {
        let limits = Limits { connections: 1, ..Limits::default() };
        let routes = Router::new().route("/", get(|| async { "here" }).post(|body: String| async { body }));
        let served = served(routes, limits);
        for waiting in
            ["", "GET / HTTP/1.1\r\nhost: x\r\n", "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf"]
        {
            let mut first = TcpStream::connect(served.address).await.expect("a connection");
            first.write_all(waiting.as_bytes()).await.expect("sent");
            assert!(answered(connected(served.address, "/").await).await.ends_with("here"), "{waiting:?}");
            assert!(ended(first).await, "{waiting:?}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_had_its_reply_makes_room_and_one_that_came_later_stays() {
        let limits = Limits { connections: 2, ..Limits::default() };
        let served = served(Router::new().route("/", get(|| async { "here" })), limits);
        let mut kept = [(); 2].map(|()| None);
        for kept in &mut kept {
            let mut stream = TcpStream::connect(served.address).await.expect("a connection");
            stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
            let mut reply = Vec::new();
            while !reply.ends_with(b"here") {
                assert!(stream.read_buf(&mut reply).await.expect("read") > 0);
            }
            *kept = Some(stream);
        }
        let [Some(first), Some(mut second)] = kept else { unreachable!() };
        assert!(answered(connected(served.address, "/").await).await.ends_with("here"));
        assert!(ended(first).await);
        second.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.expect("sent");
        assert!(answered(second).await.ends_with("here"));
    }

    #[tokio::test]
    async fn a_connection_beyond_the_bound_waits_while_every_place_is_in_a_call() {
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = slow(&begun, &go_on);
        let limits = Limits { connections: 1, ..Limits::default() };
        let served = served(Router::new().route("/", get(|| async { "here" })).route("/slow", slow), limits);
        let first = connected(served.address, "/slow").await;
        begun.notified().await;
        let mut second = connected(served.address, "/").await;
        let early = tokio::time::timeout(Duration::from_millis(100), second.read_u8()).await;
        assert!(early.is_err(), "the second connection was answered while the first was in a call");
        go_on.notify_one();
        assert!(answered(first).await.ends_with("done"));
        assert!(answered(second).await.ends_with("here"));
    }

    /// Tells when it is dropped.
    struct Dropped(Arc<Notify>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }

    #[tokio::test]
    async fn a_reply_of_which_nothing_is_taken_ends_with_its_connection() {
        let gone = Arc::new(Notify::new());
        let goes = Arc::clone(&gone);
        let endless = move || async move {
            let dropped = Dropped(goes);
            let pieces = futures_util::stream::repeat_with(move || {
                let _kept = &dropped;
                Ok::<_, Infallible>(bytes::Bytes::from_static(&[b'x'; 4096]))
            });
            axum::body::Body::from_stream(pieces)
        };
        let limits = Limits { write_stall: Duration::from_millis(50), ..Limits::default() };
        let served = served(Router::new().route("/", get(endless)), limits);
        let _unread = connected(served.address, "/").await;
        tokio::time::timeout(DEADLINE, gone.notified()).await.expect("the reply was given up");
    }
}
