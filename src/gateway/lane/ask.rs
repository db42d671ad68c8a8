//! From a request in memory to the head of the backend's reply.
//!
//! Promises: a request is sent a second time only when nothing of it was sent, or, once, when it is idempotent, has no body
//! and its connection closed without a byte of reply, paid from the upstream's budget; more than [`MOST_INTERIM`] interim replies are none.
//! A client that leaves is noticed.
//! Deliberately does not: stream a request's body: it is here.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use http::Method;
use tokio::io::AsyncWrite;
use tracing::warn;

use crate::gateway::exchange::Exchange;
use crate::gateway::refusal::Refusal;
use crate::gateway::upstream::{Answering, Endpoint, InFlight, Outcome, Pool, REPLY_HEAD, Tried, Upstream};
use crate::gateway::waits::Waits;
use crate::net::deadline::{Tick, Ticks};
use crate::net::interim::MOST as MOST_INTERIM;
use crate::net::stream::Stream;

use super::admit::Passage;
use super::reply::{self, Found, Reply, Telling};
use super::wire::{Over, poll_read};
use super::{Lane, Trouble};

/// A reply whose head has been read.
pub(super) struct Answer {
    /// Its head as the client gets it.
    pub(super) text: Vec<u8>,
    pub(super) heard: Heard,
    pub(super) wire: Stream,
    pub(super) pool: Rc<Pool>,
    /// How long its body may make no progress.
    pub(super) patience: Ticks,
    pub(super) answering: Answering,
    pub(super) _in_flight: InFlight,
}

/// A reply's head, and the `length` bytes of `memory` that came with it.
pub(super) struct Heard {
    pub(super) reply: Reply,
    pub(super) memory: Box<[u8]>,
    pub(super) length: usize,
}

/// Why there is no reply on a connection.
enum Miss {
    /// Nothing of the request was sent.
    Unsent,
    /// It was sent, and nothing came back.
    Silence,
    /// What came back is no reply.
    Nonsense,
    /// It did not come in time.
    Late,
    /// The client does not wait any longer.
    Over(Over),
}

impl Lane {
    /// Sends the request to one of its upstream's endpoints, and reads the head of the reply.
    pub(super) async fn ask(&mut self, exchange: &mut Exchange, passage: &mut Passage) -> Result<Answer, Trouble> {
        let upstream = Rc::clone(exchange.site.upstream_at(passage.upstream));
        let mut place = match upstream.admit() {
            Some(place) => place,
            None => upstream.wait().await.ok_or(Refusal::Overloaded)?,
        };
        let asked = Instant::now();
        let (mut tried, mut again) = (Tried::default(), None);
        while let Some(endpoint) = upstream.choose(asked, &mut tried) {
            upstream.goes_to(endpoint, &mut place);
            passage.request.address(&endpoint.host);
            loop {
                let (mut wire, reused) = match self.wire(endpoint, again.is_none()).await {
                    Ok(found) => found,
                    Err(error) => {
                        upstream.report(endpoint, Outcome::Unreachable);
                        warn!(upstream = &*upstream.name, endpoint = &*endpoint.label.authority, %error, "no connection");
                        break;
                    }
                };
                let miss = match self.converse_on(&mut wire, exchange, passage, again).await {
                    Ok((text, heard)) => {
                        let answering = upstream.answering(endpoint);
                        place.answered();
                        exchange.answered_by(&endpoint.label, asked.elapsed());
                        let pool = Rc::clone(&endpoint.pool);
                        let Waits { body, stream_idle, .. } = passage.waits;
                        let patience = if heard.reply.is_stream { stream_idle } else { body };
                        return Ok(Answer { text, heard, wire, pool, patience, answering, _in_flight: place });
                    }
                    Err(miss) => miss,
                };
                let may_repeat =
                    |place: &mut InFlight| again.is_none() && is_repeatable(exchange, passage) && place.may_retry();
                match miss {
                    Miss::Unsent if reused => {}
                    Miss::Unsent => {
                        upstream.report(endpoint, Outcome::Unreachable);
                        break;
                    }
                    Miss::Silence if may_repeat(&mut place) => {
                        endpoint.label.metrics.retried();
                        if !reused {
                            upstream.report(endpoint, Outcome::Broken);
                            if upstream.is_single() {
                                tried.forget();
                            }
                            again = Some(asked);
                            break;
                        }
                    }
                    miss @ (Miss::Silence | Miss::Nonsense | Miss::Late | Miss::Over(_)) => {
                        return Err(given_up(&upstream, endpoint, &miss));
                    }
                }
                // A connection that was used before has closed: from now on only a new one will do.
                again = Some(asked);
            }
        }
        Err(Refusal::UpstreamUnavailable.into())
    }

    /// A connection to the endpoint, and whether it was used before.
    async fn wire(&self, endpoint: &Endpoint, from_idle: bool) -> io::Result<(Stream, bool)> {
        if from_idle && let Some(wire) = poll_fn(|cx| Poll::Ready(endpoint.pool.idle_wire(cx))).await {
            return Ok((wire, true));
        }
        endpoint.pool.new_wire().await.map(|wire| (wire, false))
    }

    async fn converse_on(
        &mut self,
        wire: &mut Stream,
        exchange: &Exchange,
        passage: &Passage,
        begun: Option<Instant>,
    ) -> Result<(Vec<u8>, Heard), Miss> {
        let patience = passage.waits.head(begun);
        self.send(wire, &passage.request.text, patience).await?;
        let date = self.worker.date();
        let telling = Telling {
            method: exchange.method(),
            request_id: exchange.request_id.as_bytes(),
            token: passage.permit.holder().and_then(crate::gateway::old_token),
            closes: self.is_last,
            date: &date,
            limits: exchange.admitted.as_ref().map(|admitted| &admitted.standing),
        };
        let mut reading = Reading { telling, text: self.worker.buffers.text(), part: Vec::new(), interim: 0 };
        self.await_until(patience);
        let heard = poll_fn(|cx| self.poll_reply(wire, &mut reading, cx)).await;
        self.timer.set(Tick::NEVER);
        Ok((reading.text, heard?))
    }

    async fn send(&mut self, wire: &mut Stream, text: &[u8], patience: Ticks) -> Result<(), Miss> {
        let mut sent = 0;
        let is_late = poll_fn(|cx| {
            while let Some(left) = text.get(sent..).filter(|left| !left.is_empty()) {
                match Pin::new(&mut *wire).poll_write(cx, left) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Some(false)),
                    Poll::Ready(Ok(count)) => sent += count,
                    Poll::Pending => {
                        if !self.timer.is_set() {
                            self.await_until(patience);
                        }
                        return self.timer.poll(cx).map(|()| Some(true));
                    }
                }
            }
            Poll::Ready(None)
        })
        .await;
        if is_late.is_some() {
            self.timer.set(Tick::NEVER); // it is the next request's, perhaps
        }
        match is_late {
            None => Ok(()),
            Some(true) => Err(Miss::Late),
            Some(false) if sent == 0 => Err(Miss::Unsent),
            Some(false) => Err(Miss::Silence),
        }
    }

    fn poll_reply(
        &mut self,
        wire: &mut Stream,
        reading: &mut Reading<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Heard, Miss>> {
        loop {
            let mut memory = self.worker.buffers.read();
            let read = poll_read(wire, cx, &mut memory);
            let found = match read {
                Poll::Ready(Ok(0) | Err(_)) => Err(reading.end()),
                Poll::Ready(Ok(count)) => reading.read(&mut memory, count),
                Poll::Pending => {
                    self.worker.buffers.done_reading(memory);
                    if self.timer.poll(cx).is_ready() {
                        return Poll::Ready(Err(Miss::Late));
                    }
                    return self.poll_client(cx).map(|over| Err(Miss::Over(over)));
                }
            };
            match found {
                Ok(Some((reply, length))) => return Poll::Ready(Ok(Heard { reply, memory, length })),
                Ok(None) => self.worker.buffers.done_reading(memory),
                Err(miss) => {
                    self.worker.buffers.done_reading(memory);
                    return Poll::Ready(Err(miss));
                }
            }
        }
    }
}

/// What becomes of a request that is not sent again.
fn given_up(upstream: &Upstream, endpoint: &Endpoint, miss: &Miss) -> Trouble {
    match miss {
        Miss::Unsent | Miss::Silence | Miss::Nonsense => {
            upstream.report(endpoint, Outcome::Broken);
            warn!(upstream = &*upstream.name, endpoint = &*endpoint.label.authority, "no reply");
            Refusal::UpstreamFailed.into()
        }
        Miss::Late => {
            upstream.report(endpoint, Outcome::Late);
            Refusal::UpstreamTimeout.into()
        }
        Miss::Over(over) => Trouble::Over(*over),
    }
}

/// A reply's head being read.
struct Reading<'t> {
    telling: Telling<'t>,
    text: Vec<u8>,
    /// What came of it and does not end it.
    part: Vec<u8>,
    interim: u8,
}

impl Reading<'_> {
    /// Reads on with `count` bytes at the beginning of `memory`. With the reply comes how many bytes there follow its head.
    fn read(&mut self, memory: &mut [u8], count: usize) -> Result<Option<(Reply, usize)>, Miss> {
        if !self.part.is_empty() {
            self.part.extend_from_slice(memory.get(..count).unwrap_or_default());
        }
        let mut begin = 0;
        loop {
            let whole = if self.part.is_empty() { memory.get(..count).unwrap_or_default() } else { &self.part };
            let bytes = whole.get(begin..).unwrap_or_default();
            match reply::read(bytes, &self.telling, &mut self.text) {
                Found::Part if bytes.len() >= REPLY_HEAD => return Err(Miss::Nonsense),
                Found::Part => {
                    let part = bytes.to_vec();
                    self.part = part;
                    return Ok(None);
                }
                Found::Nonsense => return Err(Miss::Nonsense),
                Found::Interim(_) if self.interim == MOST_INTERIM => return Err(Miss::Nonsense),
                Found::Interim(length) => {
                    self.interim += 1;
                    begin += length;
                }
                Found::Whole(reply, length) => return Ok(Some((reply, self.move_rest(memory, count, begin + length)))),
            }
        }
    }

    /// Puts what follows the head, which ends at `end`, at the beginning of `memory`. The last read went beyond the head's
    /// end, so it is not longer than that was.
    fn move_rest(&mut self, memory: &mut [u8], count: usize, end: usize) -> usize {
        if self.part.is_empty() {
            memory.copy_within(end..count, 0);
            return count - end;
        }
        let rest = self.part.get(end..).unwrap_or_default();
        if let Some(place) = memory.get_mut(..rest.len()) {
            place.copy_from_slice(rest);
        }
        rest.len()
    }

    /// What it means that nothing more comes.
    fn end(&self) -> Miss {
        if self.part.is_empty() && self.interim == 0 { Miss::Silence } else { Miss::Nonsense }
    }
}

/// Whether it may be sent again though it was sent (RFC 9110 §9.2.2).
fn is_repeatable(exchange: &Exchange, passage: &Passage) -> bool {
    let is_idempotent =
        [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE].contains(exchange.method());
    is_idempotent && !passage.has_body
}
