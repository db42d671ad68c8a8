//! How long a body may take.
//!
//! Promises: a body that makes no progress ends, and so does one that trickles; only the time counts in which somebody
//! waited for it, so that a slow reader is not taken for a slow writer. A body that is here costs no timer.
//! Deliberately does not: bound a body as a whole.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;

use crate::config::Limits;
use crate::net::deadline::{Tick, Ticks, Timer, Wheel};

use super::body::BodyError;

/// How much patience there is with a body.
#[derive(Clone)]
pub(super) struct Patience {
    wheel: Rc<Wheel>,
    stall: Ticks,
    floor: Option<Floor>,
    stream: Option<Rc<Cell<Tick>>>,
}

/// The least that must come while it is waited for.
#[derive(Clone, Copy)]
struct Floor {
    bytes: u64,
    over: Ticks,
}

/// The limits of bodies, in ticks, so that no request has to divide.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    stall: Ticks,
    floor: Option<Floor>,
}

impl From<&Limits> for Pace {
    fn from(limits: &Limits) -> Self {
        let over = limits.body_rate_over;
        let bytes = u128::from(limits.body_rate).saturating_mul(over.as_millis()) / 1_000;
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let floor = (bytes > 0).then_some(Floor { bytes, over: over.into() });
        Self { stall: limits.body_stall.into(), floor }
    }
}

impl Patience {
    /// With a request's body.
    pub(super) fn with_request(wheel: &Rc<Wheel>, pace: &Pace) -> Self {
        Self { wheel: Rc::clone(wheel), stall: pace.stall, floor: pace.floor, stream: None }
    }

    /// With a reply's body: it may make no progress for so long.
    pub(super) fn with_reply(wheel: &Rc<Wheel>, stall: Ticks) -> Self {
        Self { wheel: Rc::clone(wheel), stall, floor: None, stream: None }
    }

    /// With both bodies of a stream, which may be silent for `idle`: what either does counts for both.
    pub(super) fn with_stream(wheel: &Rc<Wheel>, idle: Ticks) -> Self {
        let stream = Some(Rc::new(Cell::new(wheel.now())));
        Self { wheel: Rc::clone(wheel), stall: idle, floor: None, stream }
    }
}

/// A body's progress.
pub(super) struct Stall {
    patience: Patience,
    timer: Option<Timer>,
    /// Since when somebody waits.
    waiting: Option<Tick>,
    /// Ticks waited and bytes come since the floor was last looked at.
    waited: u64,
    bytes: u64,
}

impl Stall {
    pub(super) fn new(patience: Patience) -> Self {
        Self { patience, timer: None, waiting: None, waited: 0, bytes: 0 }
    }

    /// The next frame of `incoming`, or its end, or that it came too slowly.
    pub(super) fn poll_frame(
        &mut self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(incoming).poll_frame(cx) else {
            return self.wait(cx).map(|()| Some(Err(BodyError::Stalled)));
        };
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref);
        let is_enough = self.came(data.map_or(0, |data| data.len() as u64));
        match frame {
            Some(Ok(_)) if !is_enough => Poll::Ready(Some(Err(BodyError::Stalled))),
            frame => Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken))),
        }
    }

    /// Whether it is of a stream, which may be silent because there is nothing to say.
    pub(super) fn is_of_stream(&self) -> bool {
        self.patience.stream.is_some()
    }

    /// Ready when it has lasted too long.
    pub(super) fn wait(&mut self, cx: &Context<'_>) -> Poll<()> {
        let Patience { wheel, stall, stream, .. } = &self.patience;
        let timer = self.timer.get_or_insert_with(|| Timer::new(wheel));
        if self.waiting.is_none() {
            self.waiting = Some(wheel.now());
            timer.set(wheel.after(*stall));
        }
        if timer.poll(cx).is_pending() {
            return Poll::Pending;
        }
        // On a stream the other direction may have been busy meanwhile.
        let Some(active) = stream else { return Poll::Ready(()) };
        timer.set(active.get().plus(*stall));
        timer.poll(cx)
    }

    /// So many bytes came: whether that is fast enough.
    pub(super) fn came(&mut self, bytes: u64) -> bool {
        if let Some(stream) = &self.patience.stream {
            stream.set(self.patience.wheel.now());
        }
        if let Some(since) = self.waiting.take() {
            self.waited += self.patience.wheel.now().since(since);
            self.timer.iter().for_each(|timer| timer.set(Tick::NEVER));
        }
        self.bytes += bytes;
        let Some(floor) = self.patience.floor.filter(|floor| self.waited >= floor.over.count()) else { return true };
        let least = u128::from(floor.bytes) * u128::from(self.waited) / u128::from(floor.over.count().max(1));
        let is_enough = u128::from(self.bytes) >= least;
        (self.waited, self.bytes) = (0, 0);
        is_enough
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;
    use std::time::Duration;

    use super::*;

    fn stall(floor: Option<Floor>, stream: Option<Rc<Cell<Tick>>>) -> (Rc<Wheel>, Stall) {
        let wheel = Wheel::new();
        let stall = Ticks::from(Duration::from_secs(30));
        (Rc::clone(&wheel), Stall::new(Patience { wheel, stall, floor, stream }))
    }

    fn turn(wheel: &Wheel, seconds: u64) {
        (0..seconds * 4).for_each(|_| wheel.turn());
    }

    fn is_over(stall: &mut Stall) -> bool {
        stall.wait(&Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn nothing_for_too_long_is_a_stall_and_every_byte_begins_anew() {
        let (wheel, mut stall) = stall(None, None);
        for _ in 0..3 {
            assert!(!is_over(&mut stall));
            turn(&wheel, 30);
            assert!(!is_over(&mut stall));
            assert!(stall.came(1));
        }
        turn(&wheel, 60); // nobody waits: the reader is the slow one
        assert!(!is_over(&mut stall));
        turn(&wheel, 31);
        assert!(is_over(&mut stall));
    }

    #[test]
    fn less_than_the_floor_over_its_time_is_too_slow_and_the_floor_itself_is_not() {
        let floor = Floor { bytes: 10_000, over: Duration::from_secs(20).into() };
        for (bytes, is_enough) in [(500, true), (499, false)] {
            let (wheel, mut stall) = stall(Some(floor), None);
            let mut all = true;
            for _ in 0..20 {
                assert!(!is_over(&mut stall));
                turn(&wheel, 1);
                all &= stall.came(bytes);
            }
            assert_eq!(all, is_enough, "{bytes} bytes a second");
        }
        let (wheel, mut stall) = stall(Some(floor), None);
        turn(&wheel, 100);
        assert!(stall.came(1), "a body that nobody waits for is not slow");
    }

    #[test]
    fn one_direction_of_a_stream_speaks_for_both() {
        let active = Rc::new(Cell::new(Wheel::new().now()));
        let (wheel, mut stall) = stall(None, Some(Rc::clone(&active)));
        assert!(!is_over(&mut stall));
        turn(&wheel, 20);
        active.set(wheel.now());
        turn(&wheel, 11);
        assert!(!is_over(&mut stall));
        turn(&wheel, 20);
        assert!(is_over(&mut stall));
    }
}
