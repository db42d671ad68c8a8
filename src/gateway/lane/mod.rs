//! The lane: a conversation in HTTP/1.1 without the engine, for what most requests are.
//!
//! A request with a usual head and a small body, on its way to a backend that speaks HTTP/1.1 in clear, is read where the
//! socket put it, judged, written anew once, and its reply passed on as it comes. Everything else goes, with every byte
//! of it, to the engine: [`Ending::Engine`]. One story, two ways to tell it: the same routes, credentials, verdict and
//! rules for headers, by the same functions.
//!
//! Promises: what is not usual is the engine's before anything is noted of it; a connection waits for nothing without a
//! deadline, and while it waits for a request it holds no buffer.
//! Deliberately does not: judge what is malformed, which the engine does; stream a request's body.

mod admit;
mod ask;
mod compose;
mod deliver;
mod head;
mod reply;
mod wire;

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use tracing::error;

use crate::net::deadline::{Ticks, Timer};
use crate::net::guard::{Head, HeadBounds, Heads};
use crate::net::pulse::Late;
use crate::net::stream::Stream;

use super::Client;
use super::answer::{InProgress, poll_surviving};
use super::exchange::Exchange;
use super::refusal::Refusal;
use super::stall::{Patience, Stall};
use super::worker::Worker;

use admit::{Arrived, Passage, Passing};
use wire::{Over, Writing, poll_read};

/// How many bytes of requests that were not asked for yet are read.
const AHEAD: usize = 64 * 1024;

/// One conversation.
pub(super) struct Lane {
    worker: Rc<Worker>,
    client: Rc<Client>,
    heads: Rc<Heads>,
    bounds: HeadBounds,
    io: Stream,
    /// What came and was not used yet. It begins with a head.
    held: Vec<u8>,
    /// How much of it was looked at.
    looked: usize,
    head: Head,
    /// How much of the body of the request being served has not come.
    body_left: u64,
    /// Whether the reply is the last.
    is_last: bool,
    /// Whether any of the reply was written.
    has_replied: bool,
    /// For the backend.
    timer: Timer,
}

/// How a conversation ends in the lane.
pub(super) enum Ending {
    /// The connection is closed, or is to be.
    Closed,
    /// The client was late.
    Late(Late),
    /// The engine is to go on, with these bytes first.
    Engine(Stream, Vec<u8>),
}

/// What came of a head.
enum Next {
    /// A request that passes.
    Passes(Box<Passing>),
    /// It was refused, and the answer is out.
    Told,
    /// It was refused, and the client has not taken all of the answer.
    Telling(Box<Told>),
    /// It is not the lane's.
    Engine,
    /// It made us panic.
    Panicked(Box<Exchange>),
}

/// An answer of the gateway's own, up to its end.
struct Told {
    text: Vec<u8>,
    /// How much of it is out.
    written: usize,
    /// Counted when the answer is out.
    _exchange: Exchange,
    _in_progress: InProgress,
}

/// Why a request is not served.
enum Trouble {
    /// The client is told.
    Refused(Refusal),
    /// There is nobody to tell.
    Over(Over),
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Lane {
    /// A conversation on `io`, of which `first` was read.
    pub(super) fn new(
        (worker, client, heads): (Rc<Worker>, Rc<Client>, Rc<Heads>),
        bounds: HeadBounds,
        (io, first): (Stream, Vec<u8>),
    ) -> Self {
        let timer = Timer::new(&worker.wheel);
        let (head, looked, body_left) = (Head::default(), 0, 0);
        let (is_last, has_replied) = (false, false);
        Self { worker, client, heads, bounds, io, held: first, looked, head, body_left, is_last, has_replied, timer }
    }

    /// The conversation, from its first request to its end.
    pub(super) async fn run(mut self) -> Ending {
        loop {
            let served = match poll_fn(|cx| self.poll_next(cx)).await {
                Ok(Next::Passes(passing)) => Box::pin(self.serve(passing)).await,
                Ok(Next::Told) => Ok(()),
                Ok(Next::Telling(told)) => Box::pin(self.tell(told)).await,
                Ok(Next::Engine) => return Ending::Engine(self.io, self.held),
                Ok(Next::Panicked(mut exchange)) => Box::pin(self.tell_panic(&mut exchange)).await,
                Err(over) => Err(over),
            };
            match served {
                Ok(()) if self.is_last => return self.close().await,
                Ok(()) => {}
                Err(Over::Late(late)) => return Ending::Late(late),
                Err(Over::Gone | Over::BrokenOff) => return Ending::Closed,
            }
        }
    }

    /// The next head, once it is whole.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Next, Over>> {
        loop {
            if self.held.len() > self.looked {
                let held = std::mem::take(&mut self.held);
                if let Some(next) = self.look(held.as_slice(), cx) {
                    return Poll::Ready(next);
                }
            }
            if self.held.is_empty() && self.worker.is_draining.get() {
                return Poll::Ready(Err(Over::Gone));
            }
            let mut memory = self.worker.buffers.read();
            let read = poll_read(&mut self.io, cx, &mut memory);
            let next = match read {
                Poll::Ready(Ok(0) | Err(_)) => Some(Err(Over::Gone)),
                Poll::Ready(Ok(count)) if self.held.is_empty() => {
                    self.look(memory.get(..count).unwrap_or_default(), cx)
                }
                Poll::Ready(Ok(count)) => {
                    self.held.extend_from_slice(memory.get(..count).unwrap_or_default());
                    None
                }
                Poll::Pending => {
                    self.worker.buffers.done_reading(memory);
                    return self.heads.pulse().poll(cx).map(|late| Err(Over::Late(late)));
                }
            };
            self.worker.buffers.done_reading(memory);
            if let Some(next) = next {
                return Poll::Ready(next);
            }
        }
    }

    /// Looks at `bytes`, which begin with a head, and holds what of them is not used.
    fn look(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Option<Result<Next, Over>> {
        let is_first = self.looked == 0;
        // What comes in pieces is not read anew with each, but followed until it is whole.
        let arrived = if is_first { self.arrive(bytes, cx) } else { None };
        let (next, used) = match arrived {
            Some((next, used)) => (Some(next), used),
            None => match self.head.read(bytes, &self.bounds) {
                Ok(None) => {
                    if is_first {
                        self.heads.pulse().head_began();
                    }
                    (None, 0)
                }
                Ok(Some(_)) if !is_first => {
                    let (next, used) = self.arrive(bytes, cx).unwrap_or((Ok(Next::Engine), 0));
                    (Some(next), used)
                }
                Ok(Some(_)) | Err(_) => (Some(Ok(Next::Engine)), 0),
            },
        };
        self.held = bytes.get(used..).unwrap_or_default().to_vec();
        self.looked = if next.is_none() { self.held.len() } else { 0 };
        next
    }

    /// The request that `bytes` begin with, and how many of them it used; `None`: its head is not whole, or it is the engine's.
    fn arrive(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Option<(Result<Next, Over>, usize)> {
        self.has_replied = false;
        let arrived = catch_unwind(AssertUnwindSafe(|| self.worker.arrive(&self.client, bytes, &self.bounds)));
        let Ok(arrived) = arrived else {
            let exchange = self.worker.begin(&self.client, &super::answer::unread(http::Method::default()));
            return Some((Ok(Next::Panicked(Box::new(exchange))), bytes.len()));
        };
        let Arrived { head, body, mut exchange, judged, closes } = arrived?;
        let rest = bytes.get(head..).unwrap_or_default();
        let here = rest.get(..usize::try_from(body).unwrap_or(usize::MAX)).unwrap_or(rest);
        exchange.received(here.len() as u64);
        self.body_left = body - here.len() as u64;
        self.head = Head::default();
        let pulse = self.heads.pulse();
        pulse.head_ended();
        self.is_last = closes || pulse.retires() || self.worker.is_draining.get();
        let next = match judged {
            Ok(mut passage) => {
                passage.request.text.extend_from_slice(here);
                Ok(Next::Passes(Box::new(Passing { exchange, passage })))
            }
            Err(refusal) => self.refuse_at_once(refusal, exchange, cx),
        };
        Some((next, head + here.len()))
    }

    /// The answer to a request that does not pass. Mostly the socket takes it all, and there is nothing to remember.
    fn refuse_at_once(&mut self, refusal: Refusal, mut exchange: Exchange, cx: &mut Context<'_>) -> Result<Next, Over> {
        let in_progress = InProgress::new(&self.heads);
        let text = catch_unwind(AssertUnwindSafe(|| self.compose_refusal(refusal, &mut exchange)));
        let Ok(text) = text else { return Ok(Next::Panicked(Box::new(exchange))) };
        self.has_replied = true;
        let mut writing = Writing { first: &text, second: &[] };
        match writing.poll(&mut self.io, self.heads.pulse(), cx) {
            Poll::Ready(written) => {
                self.worker.buffers.done_with(text);
                written.map(|()| Next::Told)
            }
            Poll::Pending => {
                let written = text.len() - writing.first.len();
                Ok(Next::Telling(Box::new(Told { text, written, _exchange: exchange, _in_progress: in_progress })))
            }
        }
    }

    /// Writes what is left of an answer.
    async fn tell(&mut self, told: Box<Told>) -> Result<(), Over> {
        self.write(told.text.get(told.written..).unwrap_or_default(), &[]).await
    }

    /// Serves one request, whatever becomes of it.
    async fn serve(&mut self, mut passing: Box<Passing>) -> Result<(), Over> {
        let _in_progress = InProgress::new(&self.heads);
        let served = {
            let mut serving = pin!(self.answer(&mut passing));
            poll_fn(|cx| poll_surviving(serving.as_mut(), cx)).await
        };
        match served {
            Ok(served) => served,
            Err(_) => Box::pin(self.tell_panic(&mut passing.exchange)).await,
        }
    }

    async fn answer(&mut self, passing: &mut Passing) -> Result<(), Over> {
        let Passing { exchange, passage } = passing;
        match self.pass(exchange, passage).await {
            Ok(()) => Ok(()),
            Err(Trouble::Refused(refusal)) => self.refuse(refusal, exchange).await,
            Err(Trouble::Over(over)) => Err(over),
        }
    }

    async fn pass(&mut self, exchange: &mut Exchange, passage: &mut Passage) -> Result<(), Trouble> {
        if self.body_left > 0 {
            let patience = Patience::with_request(&self.worker.wheel, &exchange.site.pace);
            let mut stall = Stall::new(patience);
            poll_fn(|cx| self.poll_body(exchange, passage, &mut stall, cx)).await?;
        }
        let answer = self.ask(exchange, passage).await?;
        self.worker.buffers.done_with(std::mem::take(&mut passage.request.text));
        self.deliver(exchange, answer, &passage.permit).await
    }

    /// Ready when the rest of the body is here.
    fn poll_body(
        &mut self,
        exchange: &mut Exchange,
        passage: &mut Passage,
        stall: &mut Stall,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Refusal>> {
        while self.body_left > 0 {
            let mut memory = self.worker.buffers.read();
            let read = poll_read(&mut self.io, cx, &mut memory);
            let refusal = match read {
                Poll::Pending => {
                    self.worker.buffers.done_reading(memory);
                    return stall.wait(cx).map(|()| Err(Refusal::BodyTimeout));
                }
                Poll::Ready(Ok(0) | Err(_)) => Some(Refusal::BadRequest("The body ends before its end")),
                Poll::Ready(Ok(count)) => {
                    let came = memory.get(..count).unwrap_or_default();
                    let ours = came.len().min(usize::try_from(self.body_left).unwrap_or(usize::MAX));
                    let (ours, rest) = came.split_at(ours);
                    passage.request.text.extend_from_slice(ours);
                    self.held.extend_from_slice(rest);
                    self.body_left -= ours.len() as u64;
                    exchange.received(ours.len() as u64);
                    (!stall.came(ours.len() as u64)).then_some(Refusal::BodyTimeout)
                }
            };
            self.worker.buffers.done_reading(memory);
            if let Some(refusal) = refusal {
                return Poll::Ready(Err(refusal));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when the client has left before his answer. What he sends meanwhile is held, up to a bound.
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        while self.held.len() < AHEAD {
            let mut memory = self.worker.buffers.read();
            let read = poll_read(&mut self.io, cx, &mut memory);
            if let Poll::Ready(Ok(count)) = read {
                self.held.extend_from_slice(memory.get(..count).unwrap_or_default());
            }
            self.worker.buffers.done_reading(memory);
            match read {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Over::Gone),
                Poll::Ready(Ok(_)) => {}
            }
        }
        Poll::Pending
    }

    /// The gateway's own answer.
    async fn refuse(&mut self, refusal: Refusal, exchange: &mut Exchange) -> Result<(), Over> {
        let text = self.compose_refusal(refusal, exchange);
        let written = self.write(&text, &[]).await;
        self.worker.buffers.done_with(text);
        written
    }

    fn compose_refusal(&mut self, refusal: Refusal, exchange: &mut Exchange) -> Vec<u8> {
        self.is_last |= refusal.closes() || self.body_left > 0;
        exchange.refused(&refusal);
        let mut text = self.worker.buffers.text();
        let date = self.worker.date();
        let (status, length) = reply::refuse(refusal, exchange, self.is_last, &date, &mut text);
        exchange.status = status;
        exchange.sent(length as u64);
        text
    }

    /// A request has panicked: it is answered once, if nothing of an answer is out.
    async fn tell_panic(&mut self, exchange: &mut Exchange) -> Result<(), Over> {
        error!(client = %self.client.address, "a request panicked");
        if self.has_replied {
            return Err(Over::BrokenOff);
        }
        self.refuse(Refusal::Internal, exchange).await
    }

    async fn write(&mut self, first: &[u8], second: &[u8]) -> Result<(), Over> {
        self.has_replied = true;
        let (io, pulse) = (&mut self.io, self.heads.pulse());
        let mut writing = Writing { first, second };
        poll_fn(|cx| writing.poll(io, pulse, cx)).await
    }

    /// From now on the backend has so long.
    fn await_until(&self, patience: Ticks) {
        self.timer.set(self.worker.wheel.after(patience));
    }

    /// Says that nothing more comes. Where the client may still be sending, reads on until he ends: a socket closed with
    /// bytes in it is reset, and the client might never see the last reply (RFC 9112 §9.6).
    async fn close(mut self) -> Ending {
        self.heads.pulse().ended();
        let is_sending = self.body_left > 0 || !self.held.is_empty();
        self.held = Vec::new();
        let mut is_shut = false;
        poll_fn(|cx| {
            if !is_shut {
                match Pin::new(&mut self.io).poll_shutdown(cx) {
                    Poll::Ready(Ok(())) if is_sending => is_shut = true,
                    Poll::Ready(_) => return Poll::Ready(Ending::Closed),
                    Poll::Pending => return self.heads.pulse().poll(cx).map(Ending::Late),
                }
            }
            loop {
                let mut memory = self.worker.buffers.read();
                let read = poll_read(&mut self.io, cx, &mut memory);
                self.worker.buffers.done_reading(memory);
                match read {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Ending::Closed),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Pending => return self.heads.pulse().poll(cx).map(Ending::Late),
                }
            }
        })
        .await
    }
}
