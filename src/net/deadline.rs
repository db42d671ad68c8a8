//! Deadlines of many connections at the price of one timer: a wheel that turns four times a second.
//!
//! A timer lies in one slot of the wheel, no later than its deadline. Putting a deadline off costs one store: when the
//! slot comes round, the timer is moved on to its deadline. Only a deadline that comes nearer is filed anew.
//!
//! Promises: no deadline fires early; none fires later than two ticks after it, unless the thread is held up.
//! Deliberately does not: measure time more finely; cross threads.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How often the wheel turns.
pub const TICK: Duration = Duration::from_millis(MILLIS);
const MILLIS: u64 = 250;
/// So many ticks are a turn: 64 s.
const SLOTS: usize = 256;

/// An instant, in ticks since the wheel was made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Tick(u64);

impl Tick {
    /// The instant that does not come.
    pub const NEVER: Self = Self(u64::MAX);

    /// How many ticks it is after `earlier`; none if it is before.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The instant after which `span` has passed since this one for certain.
    #[must_use]
    pub fn plus(self, span: Ticks) -> Self {
        Self(self.0.saturating_add(span.0).saturating_add(1))
    }
}

/// A span of time in whole ticks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Ticks(u64);

impl From<Duration> for Ticks {
    /// Rounded up to the tick.
    fn from(duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        Self(millis.div_ceil(MILLIS))
    }
}

impl Ticks {
    /// How many.
    pub fn count(self) -> u64 {
        self.0
    }

    /// Up to a tenth less or more: `spread` says where between the two.
    #[must_use]
    pub fn spread(self, spread: u8) -> Self {
        let tenth = u128::from(self.0 / 10);
        let spread = u128::from(self.0) - tenth + tenth * 2 * u128::from(spread) / 255;
        Self(u64::try_from(spread).unwrap_or(u64::MAX))
    }
}

/// The wheel of one thread.
#[derive(Debug)]
pub struct Wheel {
    now: Cell<u64>,
    slots: RefCell<Box<[Vec<Weak<State>>]>>,
}

/// A deadline that can be moved, and waited for by one task.
#[derive(Debug)]
pub struct Timer {
    wheel: Rc<Wheel>,
    state: Rc<State>,
}

#[derive(Debug)]
struct State {
    due: Cell<Tick>,
    /// In whose slot it lies; entries in other slots are forgotten ones.
    filed: Cell<Tick>,
    waker: RefCell<Option<Waker>>,
}

impl Wheel {
    /// A wheel that stands still until somebody calls [`Wheel::run`] or [`Wheel::turn`].
    pub fn new() -> Rc<Self> {
        Rc::new(Self { now: Cell::new(0), slots: RefCell::new(vec![Vec::new(); SLOTS].into()) })
    }

    /// The instant now, to the tick.
    pub fn now(&self) -> Tick {
        Tick(self.now.get())
    }

    /// The instant after which `span` has passed for certain.
    pub fn after(&self, span: Ticks) -> Tick {
        self.now().plus(span)
    }

    /// Turns the wheel for ever. A thread that was held up catches up.
    pub async fn run(self: Rc<Self>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.tick().await; // the first comes at once
        loop {
            ticks.tick().await;
            self.turn();
        }
    }

    /// One tick: wakes who is due, moves on who lies here and is not.
    pub fn turn(&self) {
        let now = self.now.get() + 1;
        self.now.set(now);
        let due = std::mem::take(&mut self.slots.borrow_mut()[slot(now)]);
        for state in due.iter().filter_map(Weak::upgrade) {
            if state.filed.get() != Tick(now) {
                continue;
            }
            state.filed.set(Tick::NEVER);
            if state.due.get() <= Tick(now) {
                state.waker.borrow_mut().take().into_iter().for_each(Waker::wake);
            } else if state.due.get() < Tick::NEVER {
                self.file(&state);
            }
        }
    }

    /// Wakes everybody who waits for a deadline of this wheel, whether it has come or not: something else has.
    pub fn wake_all(&self) {
        let all: Vec<_> = self.slots.borrow().iter().flatten().filter_map(Weak::upgrade).collect();
        all.iter().filter_map(|state| state.waker.borrow_mut().take()).for_each(Waker::wake);
    }

    fn file(&self, state: &Rc<State>) {
        let now = self.now.get();
        let at = state.due.get().0.clamp(now + 1, now + SLOTS as u64 - 1);
        state.filed.set(Tick(at));
        self.slots.borrow_mut()[slot(at)].push(Rc::downgrade(state));
    }
}

fn slot(tick: u64) -> usize {
    usize::try_from(tick % SLOTS as u64).unwrap_or_default()
}

impl Timer {
    /// A timer of `wheel` without a deadline.
    pub fn new(wheel: &Rc<Wheel>) -> Self {
        let state = State { due: Cell::new(Tick::NEVER), filed: Cell::new(Tick::NEVER), waker: RefCell::default() };
        Self { wheel: Rc::clone(wheel), state: Rc::new(state) }
    }

    /// Its wheel.
    pub fn wheel(&self) -> &Rc<Wheel> {
        &self.wheel
    }

    /// Whether it has a deadline.
    pub fn is_set(&self) -> bool {
        self.state.due.get() < Tick::NEVER
    }

    /// Moves the deadline.
    pub fn set(&self, due: Tick) {
        self.state.due.set(due);
        if due < self.state.filed.get() {
            self.wheel.file(&self.state);
        }
    }

    /// Ready once the deadline has come.
    pub fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.state.due.get() <= self.wheel.now() {
            return Poll::Ready(());
        }
        let mut waker = self.state.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// What comes of `future` before the deadline of `timer`, which is `span` from now; `None` if nothing does.
pub async fn within<T>(timer: &Timer, span: Ticks, future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    timer.set(timer.wheel.after(span));
    let outcome = poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending => timer.poll(cx).map(|()| None),
    })
    .await;
    timer.set(Tick::NEVER);
    outcome
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    /// Counts how often it was woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    const SECOND: Ticks = Ticks(4);

    fn is_due(timer: &Timer) -> bool {
        timer.poll(&Context::from_waker(Waker::noop())).is_ready()
    }

    fn turn(wheel: &Wheel, ticks: u64) {
        (0..ticks).for_each(|_| wheel.turn());
    }

    #[test]
    fn a_deadline_comes_once_its_time_has_passed_and_not_before() {
        let wheel = Wheel::new();
        for seconds in [0, 1, 10, 63, 64, 65, 300, 3_600] {
            let timer = Timer::new(&wheel);
            timer.set(wheel.after(Duration::from_secs(seconds).into()));
            turn(&wheel, seconds * 4);
            assert!(!is_due(&timer), "{seconds} s");
            turn(&wheel, 1);
            assert!(is_due(&timer), "{seconds} s");
        }
    }

    #[test]
    fn whoever_waits_is_woken_also_after_the_deadline_was_moved_to_and_fro() {
        let wheel = Wheel::new();
        let timer = Timer::new(&wheel);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        timer.set(wheel.after(Ticks(240)));
        turn(&wheel, 3);
        timer.set(Tick::NEVER);
        turn(&wheel, 500);
        assert!(!is_due(&timer));
        timer.set(wheel.after(Ticks(400)));
        timer.set(wheel.after(SECOND));
        turn(&wheel, 4);
        assert!(timer.poll(&Context::from_waker(&waker)).is_pending());
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        turn(&wheel, 1);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(is_due(&timer));
    }

    #[test]
    fn a_deadline_that_is_put_off_again_and_again_lies_in_one_place() {
        let wheel = Wheel::new();
        let timer = Timer::new(&wheel);
        for _ in 0..1_000 {
            timer.set(wheel.after(SECOND));
            timer.set(Tick::NEVER);
            timer.set(wheel.after(Ticks(240)));
        }
        let entries = |wheel: &Wheel| wheel.slots.borrow().iter().map(Vec::len).sum::<usize>();
        assert_eq!(entries(&wheel), 1);
        turn(&wheel, 300);
        assert!(is_due(&timer));
        drop(timer);
        turn(&wheel, 256);
        assert_eq!(entries(&wheel), 0);
    }
}
