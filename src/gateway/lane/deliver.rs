//! From the head of a backend's reply to its end at the client.
//!
//! Promises: what is read is written before more is read, so that a slow reader slows the writer; a reply that breaks off
//! ends the connection, by which the client learns it; the backend's connection is kept only after a reply that ended well.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::gateway::exchange::Exchange;
use crate::gateway::refusal::Refusal;
use crate::gateway::upstream::Outcome;
use crate::gateway::verdict::Permit;
use crate::gateway::vigil::{Side, Vigil};
use crate::net::deadline::{Tick, Ticks};
use crate::net::stream::Stream;

use super::ask::{Answer, Heard};
use super::reply::Piece;
use super::wire::{Over, poll_read};
use super::{Lane, Trouble};

/// Up to so many bytes, copying behind the head is quicker than writing from two places.
const SMALL: usize = 8 * 1024;

/// Memory, and how many bytes at its beginning have come.
type More = (Box<[u8]>, usize);

impl Lane {
    /// Passes the reply on to its end.
    pub(super) async fn deliver(
        &mut self,
        exchange: &mut Exchange,
        answer: Answer,
        permit: &Permit,
    ) -> Result<(), Trouble> {
        let Answer { mut text, heard, wire, pool, patience, answering, _in_flight } = answer;
        let Heard { mut reply, mut memory, mut length } = heard;
        let mut wire = Some(wire);
        let broken_off = || answering.report(Outcome::Broken);
        let piece = reply.body.take(memory.get(..length).unwrap_or_default()).inspect_err(|_| broken_off());
        let mut piece = piece.map_err(|_| Refusal::UpstreamFailed)?;
        exchange.status = reply.status;
        let vigil = if reply.is_stream { self.begin_stream(exchange, permit, patience) } else { None };
        if reply.is_stream {
            answering.report(Outcome::Answered); // that it has begun is as well as can be
        }
        loop {
            if piece.ends {
                answering.report(Outcome::Answered);
            }
            if piece.ends
                && let Some(wire) = wire.take_if(|_| reply.keeps && !piece.surplus)
            {
                pool.keep_wire(wire);
            }
            exchange.sent(piece.content);
            let written = self.write_piece(&mut text, &memory, &piece).await;
            self.worker.buffers.done_reading(memory);
            written.map_err(Trouble::Over)?;
            let Some(wire) = wire.as_mut().filter(|_| !piece.ends) else { break };
            self.await_until(patience);
            let more = poll_fn(|cx| self.poll_more(wire, vigil.as_deref(), cx)).await;
            if let Some(ended) = vigil.as_ref().and_then(|vigil| vigil.ended()) {
                exchange.stream_ended(&ended.refusal());
                return Err(Trouble::Over(Over::BrokenOff)); // nobody takes a part for the whole
            }
            let is_broken = |over: &Over| *over == Over::BrokenOff && !reply.is_stream;
            (memory, length) = more
                .inspect_err(|over| {
                    if is_broken(over) {
                        broken_off();
                    }
                })
                .map_err(Trouble::Over)?;
            self.timer.set(Tick::NEVER);
            let next = if length == 0 {
                let end = |after| Piece { after, ends: true, surplus: true, ..Piece::default() };
                reply.body.close().map(end)
            } else {
                reply.body.take(memory.get(..length).unwrap_or_default())
            };
            piece = next.inspect_err(|_| broken_off()).map_err(|_| Trouble::Over(Over::BrokenOff))?;
        }
        self.worker.buffers.done_with(text);
        Ok(())
    }

    /// Writes `text`, which may be the head, and the piece of `memory` behind it.
    async fn write_piece(&mut self, text: &mut Vec<u8>, memory: &[u8], piece: &Piece) -> Result<(), Over> {
        text.extend_from_slice(&piece.before);
        let content = memory.get(..piece.length).unwrap_or_default();
        if content.len() <= SMALL {
            text.extend_from_slice(content);
            text.extend_from_slice(piece.after);
            if !text.is_empty() {
                self.write(text, &[]).await?;
            }
        } else {
            self.write(text, content).await?;
            if !piece.after.is_empty() {
                self.write(piece.after, &[]).await?;
            }
        }
        text.clear();
        Ok(())
    }

    /// The reply is a stream: what tells when it is ended before its end.
    fn begin_stream(&self, exchange: &Exchange, permit: &Permit, idle: Ticks) -> Option<Rc<Vigil>> {
        self.heads.pulse().is_stream(idle);
        let place = (&exchange.site, exchange.route()?);
        self.worker.vigils.begin(permit, place, exchange.address, None)
    }

    /// What comes next from the backend; 0 is the end.
    fn poll_more(
        &mut self,
        wire: &mut Stream,
        vigil: Option<&Vigil>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<More, Over>> {
        if vigil.is_some_and(|vigil| vigil.poll(Side::Download, cx).is_ready()) {
            return Poll::Ready(Err(Over::BrokenOff));
        }
        let mut memory = self.worker.buffers.read();
        match poll_read(wire, cx, &mut memory) {
            Poll::Ready(Ok(count)) => Poll::Ready(Ok((memory, count))),
            Poll::Ready(Err(_)) => {
                self.worker.buffers.done_reading(memory);
                Poll::Ready(Err(Over::BrokenOff))
            }
            Poll::Pending => {
                self.worker.buffers.done_reading(memory);
                if self.timer.poll(cx).is_ready() {
                    return Poll::Ready(Err(Over::BrokenOff));
                }
                self.poll_client(cx).map(Err)
            }
        }
    }
}
