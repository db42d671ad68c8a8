//! Where clients come in: from an accepted connection to the engine that serves it.
//!
//! Promises: every connection has its place among those of the process, or is turned away; one that does not come to speak
//! HTTP ends at its deadline; what waited in the queue when a drain began is still served.
//! Deliberately does not: look at requests.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use ipnet::IpNet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::config::Limits;
use crate::net::connection::{self, End};
use crate::net::guard::Heads;
use crate::net::http2;
use crate::net::listener::{Listener, Socket};
use crate::net::opening::{self, Opened, Patience, Protocol, Unopened};
use crate::net::proxy::{self, Introduced};
use crate::net::pulse::{Late, Pulse};
use crate::net::stream::Stream;
use crate::net::tls::Terminator;

use super::headers::{Peer, Scheme};
use super::lane::{Ending, Lane};
use super::refusal::Refusal;
use super::worker::Worker;
use super::{Client, Plane};

/// How long a connection that was accepted during a drain may take to say what it wants.
const LAST_CALL: Duration = Duration::from_secs(1);
/// How long that may take, the bytes that a client still sends included.
const FAREWELL: Duration = Duration::from_secs(1);
/// As whom a client counts that comes through the file system.
const THIS_MACHINE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How many clients the process can hold, whatever the configuration says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    /// Connections at once.
    pub connections: usize,
    /// How many clients for whom there is no place are told so at once, by one worker; others are only closed.
    pub farewells: usize,
}

impl Default for Room {
    /// As if descriptors had no end.
    fn default() -> Self {
        Self { connections: usize::MAX, farewells: 64 }
    }
}

/// Where clients come in, for one worker.
pub struct Entrance {
    /// The socket.
    pub socket: Socket,
    /// What there is to say of it.
    pub door: Door,
}

/// How clients come in somewhere.
pub struct Door {
    /// The end of TLS there; `None`: in clear.
    pub tls: Option<Terminator>,
    /// Whether a connection begins with a header of the PROXY protocol.
    pub proxied: bool,
    /// What clients come for.
    pub purpose: Purpose,
}

/// What clients come for somewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// To have their requests forwarded.
    Forward,
    /// To be told where to find the same over TLS.
    Redirect,
    /// To ask whether a request that they hold may pass.
    Authorize,
}

impl Worker {
    /// Admits connections until `drain` is called, and then those that have come before.
    pub(super) async fn accept(
        self: Rc<Self>,
        listener: Listener,
        door: Rc<Door>,
        tasks: TaskTracker,
        drain: CancellationToken,
    ) {
        loop {
            let (stream, from) = tokio::select! {
                accepted = listener.accept() => accepted,
                () = drain.cancelled() => break,
            };
            self.admit(stream, from, &door, &tasks, &drain);
        }
        // Closing a listener would reset the connections that wait in its queue.
        match listener.into_queued() {
            Ok(queued) => queued.for_each(|(stream, from)| self.admit(stream, from, &door, &tasks, &drain)),
            Err(error) => warn!(%error, "what waits in the queue is lost"),
        }
    }

    fn admit(
        self: &Rc<Self>,
        stream: Stream,
        from: Option<SocketAddr>,
        door: &Rc<Door>,
        tasks: &TaskTracker,
        drain: &CancellationToken,
    ) {
        let (site, room) = (self.site(), self.plane.room);
        let Some(place) = Place::among(&self.plane, site.config().limits.connections.min(room.connections)) else {
            site.route_metrics(None).refused(Refusal::Overloaded.code());
            if door.tls.is_none() && Rc::strong_count(&self.farewells) <= room.farewells {
                let told = Rc::clone(&self.farewells);
                tasks.spawn_local(async move {
                    turn_away(stream).await;
                    drop(told);
                });
            }
            return;
        };
        let address = from.map_or(THIS_MACHINE, |from| from.ip().to_canonical()); // through a socket for both families
        let (worker, door, drain) = (Rc::clone(self), Rc::clone(door), drain.clone());
        tasks.spawn_local(async move {
            let _place = place;
            let opened = tokio::select! {
                opened = Box::pin(worker.open(stream, address, &door)) => opened, // no part of what waits for requests later
                () = last_call(&drain) => return,
            };
            match opened {
                Ok((client, stream, protocol)) => worker.converse(stream, protocol, client, &drain).await,
                Err(Unopened::Late(late)) => worker.late(address, late),
                Err(Unopened::Broken(error)) => debug!(client = %address, %error, "no conversation began"),
            }
        });
    }

    /// One connection, from its first request to its last reply.
    async fn converse(
        self: Rc<Self>,
        mut stream: Opened<Stream>,
        protocol: Protocol,
        mut client: Client,
        drain: &CancellationToken,
    ) {
        // A connection outlives reloads: it does not keep the site.
        let (head_bounds, http2_bounds, times) = {
            let site = self.site();
            (site.head_bounds(), site.http2_bounds(self.entropy()[0]), site.times())
        };
        let heads = Rc::new(Heads::new(Pulse::new(&self.wheel, times, self.entropy()[0])));
        if protocol == Protocol::Http1 {
            client.heads = Some(Rc::clone(&heads));
        }
        let client = Rc::new(client);
        if protocol == Protocol::Http1 && client.purpose == Purpose::Forward {
            let whose = (Rc::clone(&self), Rc::clone(&client), Rc::clone(&heads));
            stream = match Lane::new(whose, head_bounds, stream.into_parts()).run().await {
                Ending::Closed => return,
                Ending::Late(wait) => return self.ended(&client, &End::Late(wait)),
                Ending::Engine(io, first) => Opened::resumed(io, first),
            };
        }
        let serving = (Rc::clone(&self), Rc::clone(&client));
        let service = service_fn(move |request: Request<Incoming>| {
            let (worker, client) = serving.clone();
            async move { Ok::<_, Infallible>(worker.answer(&client, request).await) }
        });
        let ended = match protocol {
            // Apart, so that a conversation in the lane does not keep room for an engine.
            Protocol::Http1 => {
                let served = Box::pin(connection::serve(stream, heads, service, head_bounds, drain)).await;
                match (served, client.tunnel.take()) {
                    (Ok(rest), Some(tunnel)) => return Box::pin(tunnel.run(rest.stream, rest.unread)).await,
                    (served, _) => served.map(drop),
                }
            }
            Protocol::Http2 => Box::pin(http2::serve(stream, service, &http2_bounds, drain)).await.map_err(End::Broken),
        };
        if let Err(end) = ended {
            self.ended(&client, &end);
        }
    }

    /// Hears for whom the connection is, where that is said; ends TLS, if there is any; and finds out what is spoken: by
    /// ALPN, or by the first bytes.
    async fn open(
        &self,
        mut stream: Stream,
        mut address: IpAddr,
        door: &Door,
    ) -> Result<(Client, Opened<Stream>, Protocol), Unopened> {
        let site = self.site();
        let Limits { handshake_timeout, first_byte, head_timeout, handshakes, .. } = site.config().limits;
        let trusted = &site.config().gateway.trusted_proxies;
        if door.proxied {
            address = introduced(&mut stream, address, trusted, first_byte).await?;
        }
        let nobody = || io::Error::from(io::ErrorKind::AddrNotAvailable);
        let peer = Peer::at(address, trusted).ok_or_else(nobody)?;
        let scheme = if door.tls.is_some() { Scheme::Https } else { Scheme::Http };
        let client = Client { address, peer, scheme, purpose: door.purpose, heads: None, tunnel: Cell::default() };
        let (stream, agreed) = match &door.tls {
            Some(tls) => {
                let _place = Handshake::among(&self.plane, handshakes)?;
                tls.accept(stream, handshake_timeout).await?
            }
            None => (stream, None),
        };
        if agreed == Some(Protocol::Http2) {
            return Ok((client, Opened::untouched(stream), Protocol::Http2));
        }
        let (stream, spoken) = opening::open(stream, Patience { first_byte, rest: head_timeout }).await?;
        Ok((client, stream, agreed.unwrap_or(spoken)))
    }
}

/// Whose connection it is by the header of the PROXY protocol with which it begins. Nobody but a trusted proxy may say so.
async fn introduced(
    stream: &mut Stream,
    address: IpAddr,
    trusted: &[IpNet],
    patience: Duration,
) -> Result<IpAddr, Unopened> {
    if !trusted.iter().any(|net| net.contains(&address)) {
        let error =
            io::Error::new(io::ErrorKind::PermissionDenied, "it is no trusted proxy and may not introduce anybody");
        return Err(Unopened::Broken(error));
    }
    let read = tokio::time::timeout(patience, proxy::read(stream)).await;
    match read.map_err(|_| Unopened::Late(Late::FirstByte))?? {
        Introduced::Itself => Ok(address),
        Introduced::Client(client) => Ok(client.ip().to_canonical()),
    }
}

/// Resolves a little after the drain has begun: what waited in the queue is still served.
async fn last_call(drain: &CancellationToken) {
    drain.cancelled().await;
    tokio::time::sleep(LAST_CALL).await;
}

/// A place among the handshakes of the process; given back when dropped.
struct Handshake(Arc<AtomicUsize>);

impl Handshake {
    fn among(plane: &Plane, most: usize) -> io::Result<Self> {
        let before = plane.handshakes.fetch_add(1, Ordering::Relaxed);
        let taken = Self(Arc::clone(&plane.handshakes));
        let full = || io::Error::new(io::ErrorKind::QuotaExceeded, "too many TLS handshakes at once");
        (before < most).then_some(taken).ok_or_else(full)
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A place among the connections of the process; given back when dropped.
struct Place {
    connections: Arc<AtomicUsize>,
    open: metrics::Gauge,
}

impl Place {
    fn among(plane: &Plane, most: usize) -> Option<Self> {
        let before = plane.connections.fetch_add(1, Ordering::Relaxed);
        plane.metrics.connections.increment(1.0);
        let taken = Self { connections: Arc::clone(&plane.connections), open: plane.metrics.connections.clone() };
        (before < most).then_some(taken)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
        self.open.decrement(1.0);
    }
}

/// Tells a client for whom there is no place so, and reads on until he has closed or had his time: a socket that is closed
/// with bytes unread resets the connection, and the reply is lost with it (RFC 9112 §9.6).
async fn turn_away(mut stream: Stream) {
    let body = Refusal::Overloaded.problem().fixed_body();
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 1\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let told = async {
        stream.write_all(&[head.as_bytes(), body].concat()).await?;
        stream.shutdown().await?;
        let mut unread = [0; 1024];
        while stream.read(&mut unread).await? > 0 {}
        Ok::<_, io::Error>(())
    };
    tokio::time::timeout(FAREWELL, told).await.ok(); // whoever left, or does not end, was told as well as can be
}
