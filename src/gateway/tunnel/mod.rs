//! A tunnel: a client's connection and a backend's after both have agreed to speak something else than HTTP.
//!
//! Promises: only after a 101 that was asked for; no byte behind either head is lost; a tunnel has an end: when both sides
//! have ended, when its token is refused, when nothing moves for too long, when it is too old, and when the gateway stops.
//! A WebSocket learns by a Close frame why it ends. A tunnel keeps its place among the requests in flight and its key's
//! until then, and is counted and written down as the one request that it began with.
//! Deliberately does not: look at what passes, but for where the frames of a WebSocket begin; keep a connection.

mod ask;
mod flow;
mod frames;
mod key;

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT};
use http::{Method, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tracing::debug;

use crate::config::UpgradeName;
use crate::net::deadline::{Tick, Ticks, Timer};
use crate::net::stream::Stream;

use super::body::ReplyBody;
use super::exchange::Exchange;
use super::refusal::Refusal;
use super::upstream::InFlight;
use super::vigil::{Ended, Side, Vigil};
use super::worker::Worker;
use super::{Client, Delivery, refuse};

pub(super) use ask::Ask;
use flow::Flow;
use frames::Frames;

/// How long a WebSocket that is ended has for the rest of a frame, the Close frames, and the client's own end.
const FAREWELL: Duration = Duration::from_secs(1);

/// One tunnel, whose client is still to be given.
pub(super) struct Tunnel {
    worker: Rc<Worker>,
    exchange: Exchange,
    vigil: Option<Rc<Vigil>>,
    backend: Stream,
    /// From the client to the backend.
    up: Flow,
    /// From the backend to the client.
    down: Flow,
    is_websocket: bool,
    clocks: Clocks,
    _in_flight: InFlight,
    _open: Open,
}

/// When a tunnel ends by itself.
struct Clocks {
    timer: Timer,
    idle: Ticks,
    linger: Ticks,
    active: Tick,
    retires: Tick,
}

/// Why a tunnel ends.
#[derive(Debug)]
enum End {
    /// Both sides have ended.
    Over,
    /// One side broke off.
    Broken(io::Error),
    /// It would be refused now.
    Refused(Ended),
    /// Nothing moved for too long.
    Idle,
    /// It is too old.
    Old,
    /// The gateway stops.
    Stopping,
}

impl End {
    /// What metrics and logs say.
    fn word(&self) -> &'static str {
        match self {
            Self::Over => "closed",
            Self::Broken(_) => "broken",
            Self::Refused(_) => "refused",
            Self::Idle => "idle",
            Self::Old => "life",
            Self::Stopping => "drain",
        }
    }

    /// What a WebSocket is told: a code (RFC 6455 §7.4.1) and a reason. `None`: there is nobody to be told.
    fn told(&self) -> Option<(u16, &'static str)> {
        const GOING_AWAY: u16 = 1001;
        const POLICY: u16 = 1008;
        match self {
            Self::Over | Self::Broken(_) => None,
            Self::Refused(ended) => Some((POLICY, ended.refusal().code())),
            Self::Idle | Self::Old | Self::Stopping => Some((GOING_AWAY, self.word())),
        }
    }
}

impl Worker {
    /// The reply after which the client's connection is a tunnel: a backend has granted what was asked.
    pub(super) async fn raise(
        self: &Rc<Self>,
        client: &Client,
        mut head: Response<()>,
        delivery: Delivery,
        exchange: Exchange,
    ) -> Response<ReplyBody> {
        let Delivery { lease, patience: (_, vigil), ask, .. } = delivery;
        let backend = lease.into_stream().await;
        let (Some(backend), Some(ask)) = (backend, ask) else {
            return refuse(Refusal::UpstreamFailed, &Method::GET, exchange);
        };
        head.headers_mut().remove(CONTENT_LENGTH);
        let mut tunnel = Box::new(Tunnel::new(self, &ask.name, (exchange, vigil), backend));
        if let Some((stream, _)) = ask.stream {
            // RFC 8441 §5: nothing but the status tells.
            *head.status_mut() = StatusCode::OK;
            tunnel.exchange.status = StatusCode::OK;
            head.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
            tokio::task::spawn_local(async move {
                if let Ok(stream) = stream.await {
                    tunnel.run(TokioIo::new(stream), Vec::new()).await;
                }
            });
        } else {
            ask.tell(head.headers_mut());
            client.tunnel.set(Some(tunnel));
        }
        head.map(|()| ReplyBody::of_tunnel())
    }
}

impl Tunnel {
    /// What becomes of an exchange in which a backend has granted what was asked.
    fn new(
        worker: &Rc<Worker>,
        name: &UpgradeName,
        (exchange, vigil): (Exchange, Option<Rc<Vigil>>),
        (backend, early, in_flight): (Stream, Bytes, InFlight),
    ) -> Self {
        let is_websocket = name.is_websocket();
        let frames = is_websocket.then(Frames::default);
        let (wheel, times) = (&worker.wheel, exchange.site.times());
        let route = exchange.route().and_then(|place| exchange.site.route_at(place));
        let idle = route.map_or(times.linger, |route| route.waits.stream_idle); // a tunnel has a route
        let clocks = Clocks {
            timer: Timer::new(wheel),
            idle,
            linger: times.linger,
            active: wheel.now(),
            retires: wheel.after(times.life.spread(worker.entropy()[0])),
        };
        Self {
            vigil,
            backend,
            up: Flow::new(frames),
            down: Flow::new(frames).holding(early.into()),
            is_websocket,
            clocks,
            _in_flight: in_flight,
            _open: Open::among(&worker.plane.metrics),
            worker: Rc::clone(worker),
            exchange,
        }
    }

    /// Carries what comes, until there is an end. `early` is what the client sent behind the head of his request.
    pub(super) async fn run(mut self, mut client: impl AsyncRead + AsyncWrite + Unpin, early: Vec<u8>) {
        self.up = self.up.holding(early);
        let end = poll_fn(|cx| self.poll(&mut client, cx)).await;
        match &end {
            End::Refused(ended) => self.exchange.stream_ended(&ended.refusal()),
            End::Broken(error) => debug!(client = %self.exchange.address, %error, "a tunnel is broken"),
            End::Over | End::Idle | End::Old | End::Stopping => {}
        }
        self.exchange.tunnel_ended(end.word());
        if let Some(told) = end.told() {
            tokio::time::timeout(FAREWELL, self.part(client, told)).await.ok(); // whoever does not listen is left
        }
    }

    fn poll(&mut self, client: &mut (impl AsyncRead + AsyncWrite + Unpin), cx: &mut Context<'_>) -> Poll<End> {
        if let Some(Poll::Ready(ended)) = self.vigil.as_ref().map(|vigil| vigil.poll(Side::Download, cx)) {
            return Poll::Ready(End::Refused(ended));
        }
        if self.is_websocket && self.worker.is_draining.get() {
            return Poll::Ready(End::Stopping);
        }
        let (moved, buffers) = ((self.up.moved(), self.down.moved()), &self.worker.buffers);
        let up = self.up.poll(client, &mut self.backend, buffers, cx);
        let down = self.down.poll(&mut self.backend, client, buffers, cx);
        let (came, went) = (self.up.moved() - moved.0, self.down.moved() - moved.1);
        self.exchange.received(came);
        self.exchange.sent(went);
        match (up, down) {
            // Where both have said that it ends, nobody need wait for a proper end of what carries it.
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) if self.up.is_closed() && self.down.is_closed() => {
                Poll::Ready(End::Over)
            }
            (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) => Poll::Ready(End::Broken(error)),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(End::Over),
            (Poll::Ready(Ok(())) | Poll::Pending, Poll::Ready(Ok(())) | Poll::Pending) => {
                let is_half_over = self.up.is_over() || self.down.is_over();
                // A WebSocket ends on both sides or on none.
                let idle = if self.is_websocket && is_half_over { self.clocks.linger } else { self.clocks.idle };
                self.clocks.poll(idle, came + went > 0, cx)
            }
        }
    }

    /// Ends it on both sides, a WebSocket with these words.
    async fn part(mut self, client: impl AsyncRead + AsyncWrite + Unpin, (code, reason): (u16, &str)) {
        let [a, b, c, d, ..] = self.worker.entropy();
        let (plain, masked) = (frames::close(code, reason, None), frames::close(code, reason, Some([a, b, c, d])));
        let (mut from_client, mut to_client) = tokio::io::split(client);
        let (mut from_backend, mut to_backend) = tokio::io::split(&mut self.backend);
        let mut nobody = tokio::io::empty();
        let (told, _) = tokio::join!(
            self.down.conclude(&mut from_backend, &mut to_client, &plain),
            // Nothing more is taken from a client for the backend.
            self.up.conclude(&mut nobody, &mut to_backend, &masked),
        );
        let mut unread = [0; 1024];
        // A socket closed with bytes in it is reset, and the client might never see why (RFC 9112 §9.6).
        while told.is_ok() && from_client.read(&mut unread).await.is_ok_and(|count| count > 0) {}
    }
}

impl Clocks {
    /// Ready with the end that has come: nothing has moved for `idle`, or it is too old.
    fn poll(&mut self, idle: Ticks, has_moved: bool, cx: &Context<'_>) -> Poll<End> {
        let now = self.timer.wheel().now();
        if has_moved {
            self.active = now;
        }
        self.timer.set(self.active.plus(idle).min(self.retires));
        self.timer.poll(cx).map(|()| if self.retires <= now { End::Old } else { End::Idle })
    }
}

/// One of the tunnels that are open; given back when dropped.
struct Open(metrics::Gauge);

impl Open {
    fn among(metrics: &crate::observe::Metrics) -> Self {
        metrics.tunnels.increment(1.0);
        Self(metrics.tunnels.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
