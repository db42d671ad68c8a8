//! What time it is: wall time, carried on by the boot clock.
//!
//! Promises: time never jumps because somebody set the machine's clock. Small drift is slewed. A step is reported, and
//! adopted only when the wall clock has agreed with itself for a minute; until then the carried time decides, and
//! [`Clock::is_trusted`] says no. One source for everything above; a test can hold it in its hand.
//! Deliberately does not: watch by itself. Whoever runs it calls [`Clock::watch`] once a second.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use nix::time::{ClockId, clock_gettime};

use crate::domain::{Span, Timestamp};

/// Beyond this the wall clock has stepped, and not drifted.
const DRIFT: Span = Span::seconds(5);
/// How long the wall clock must agree with itself after a step.
const AGREEMENT: Span = Span::seconds(60);
/// How far apart two looks may find a step and still agree.
const TOLERANCE: Span = Span::seconds(1);
/// How much one look slews at most: slower than time passes, so that it never runs backwards.
const SLEW_MILLIS: i64 = 50;

/// Tells the time. Cheap to clone; every clone tells the same time.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    source: Source,
    started: Instant,
    /// Carried time less boot time, in milliseconds.
    offset_millis: AtomicI64,
    step: Mutex<Option<Step>>,
}

#[derive(Debug)]
enum Source {
    System,
    /// Milliseconds of wall time and of boot time.
    Manual(AtomicU64, AtomicU64),
}

/// A step of the wall clock that has not been adopted.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// Wall time less carried time, in milliseconds.
    by_millis: i64,
    /// Boot time since which the wall clock agrees with itself.
    since: Span,
}

/// An instant of this boot: it stays as long ago as it is, however the wall clock is set meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Mark(Span);

/// What a look at the wall clock has found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Look {
    /// It agrees with the carried time, or nearly.
    Steady,
    /// It has just stepped by so many milliseconds.
    Stepped(i64),
    /// The step is still there; the carried time still decides.
    Waiting,
    /// The step went away by itself.
    Withdrawn,
    /// The step of so many milliseconds is now the time.
    Adopted(i64),
}

impl Clock {
    /// The machine's wall time, carried on by its boot clock.
    pub fn system() -> Self {
        Self::of(Source::System)
    }

    /// A clock that stands at `now` until it is moved.
    pub fn manual(now: Timestamp) -> Self {
        Self::of(Source::Manual(AtomicU64::new(now.as_millis()), AtomicU64::new(0)))
    }

    fn of(source: Source) -> Self {
        let offset_millis = AtomicI64::new(signed(source.wall().as_millis()) - signed(source.boot().as_millis()));
        Self(Arc::new(Shared { source, started: Instant::now(), offset_millis, step: Mutex::default() }))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.time_of(self.mark())
    }

    /// Now, to be told later what time it was.
    pub fn mark(&self) -> Mark {
        Mark(self.0.source.boot())
    }

    /// What time it was at `mark`, by the time as it is known now: one that was told before a step was adopted is not that time.
    pub fn time_of(&self, mark: Mark) -> Timestamp {
        let carried = self.0.offset_millis.load(Ordering::Relaxed).saturating_add_unsigned(mark.0.as_millis());
        Timestamp::from_millis(u64::try_from(carried).unwrap_or_default())
    }

    /// How much time this process has seen pass. Neither a step of wall time nor a sleep of the machine adds to it.
    pub fn uptime(&self) -> Span {
        match &self.0.source {
            Source::System => self.0.started.elapsed().into(),
            Source::Manual(_, boot) => Span::millis(boot.load(Ordering::SeqCst)),
        }
    }

    /// Whether wall time and carried time agree. While they do not, nothing is settled.
    pub fn is_trusted(&self) -> bool {
        self.0.step.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Looks at the wall clock: slews, or follows a step. Once a second.
    pub fn watch(&self) -> Look {
        let boot = self.0.source.boot();
        let by_millis = signed(self.0.source.wall().as_millis()) - signed(self.now().as_millis());
        let mut step = self.0.step.lock().unwrap_or_else(PoisonError::into_inner);
        if within(by_millis, DRIFT) {
            self.0.offset_millis.fetch_add(by_millis.clamp(-SLEW_MILLIS, SLEW_MILLIS), Ordering::Relaxed);
            return step.take().map_or(Look::Steady, |_| Look::Withdrawn);
        }
        match *step {
            Some(known) if within(by_millis - known.by_millis, TOLERANCE) => {
                if boot.as_millis().saturating_sub(known.since.as_millis()) < AGREEMENT.as_millis() {
                    return Look::Waiting;
                }
                *step = None;
                self.0.offset_millis.fetch_add(by_millis, Ordering::Relaxed);
                Look::Adopted(by_millis)
            }
            Some(_) | None => {
                *step = Some(Step { by_millis, since: boot });
                Look::Stepped(by_millis)
            }
        }
    }

    /// Lets time pass on a manual clock. A system clock is not moved.
    pub fn advance(&self, span: Span) {
        if let Source::Manual(wall, boot) = &self.0.source {
            wall.fetch_add(span.as_millis(), Ordering::SeqCst);
            boot.fetch_add(span.as_millis(), Ordering::SeqCst);
        }
    }

    /// Sets the wall clock behind a manual clock to another time, as an operator might. A system clock is not moved.
    pub fn set_wall(&self, wall: Timestamp) {
        if let Source::Manual(millis, _) = &self.0.source {
            millis.store(wall.as_millis(), Ordering::SeqCst);
        }
    }
}

impl Source {
    fn wall(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::EPOCH.plus(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().into()),
            Self::Manual(wall, _) => Timestamp::from_millis(wall.load(Ordering::SeqCst)),
        }
    }

    /// Time since the machine started, its sleep included.
    fn boot(&self) -> Span {
        match self {
            Self::System => {
                let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map(std::time::Duration::from);
                now.unwrap_or_default().into() // every Linux since 2.6.39 has this clock
            }
            Self::Manual(_, boot) => Span::millis(boot.load(Ordering::SeqCst)),
        }
    }
}

fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

fn within(millis: i64, span: Span) -> bool {
    millis.unsigned_abs() <= span.as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const HOUR: Span = Span::hours(1);

    /// Looks once a second for `seconds` seconds. Answers the last thing found.
    fn watch_for(clock: &Clock, seconds: u64) -> Look {
        (0..seconds).fold(Look::Steady, |_, _| {
            clock.advance(Span::seconds(1));
            clock.watch()
        })
    }

    #[test]
    fn the_system_clock_tells_wall_time() {
        let wall = Timestamp::EPOCH.plus(SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").into());
        assert!(Clock::system().now().since(wall) < Span::seconds(1));
        assert_eq!(Clock::system().watch(), Look::Steady);
    }

    #[test]
    fn small_drift_is_slewed_and_time_never_runs_backwards() {
        let clock = Clock::manual(START);
        clock.set_wall(START.minus(Span::seconds(2)));
        let mut before = clock.now();
        for _ in 0..60 {
            assert_eq!(watch_for(&clock, 1), Look::Steady);
            assert!(clock.now() > before);
            before = clock.now();
        }
        assert_eq!(clock.now(), START.plus(Span::seconds(58)));
    }

    #[test]
    fn a_step_that_goes_away_within_a_minute_changes_nothing() {
        for stepped in [START.plus(HOUR), START.minus(HOUR)] {
            let clock = Clock::manual(START);
            clock.set_wall(stepped);
            assert!(matches!(watch_for(&clock, 1), Look::Stepped(_)));
            assert_eq!(watch_for(&clock, 29), Look::Waiting);
            assert!(!clock.is_trusted());
            assert_eq!(clock.now(), START.plus(Span::seconds(30)));
            clock.set_wall(START.plus(Span::seconds(30)));
            assert_eq!(watch_for(&clock, 1), Look::Withdrawn);
            assert!(clock.is_trusted());
            assert_eq!(clock.now(), START.plus(Span::seconds(31)));
        }
    }

    #[test]
    fn a_step_for_good_is_adopted_after_a_minute_of_agreement() {
        let clock = Clock::manual(START);
        clock.set_wall(START.plus(HOUR));
        assert_eq!(watch_for(&clock, 60), Look::Waiting);
        assert!(matches!(watch_for(&clock, 1), Look::Adopted(_)));
        assert!(clock.is_trusted());
        assert_eq!(clock.now(), START.plus(HOUR).plus(Span::seconds(61)));
    }

    #[test]
    fn a_mark_is_as_long_ago_after_a_step_as_before() {
        for stepped in [START.plus(HOUR), START.minus(HOUR)] {
            let clock = Clock::manual(START);
            let mark = clock.mark();
            clock.set_wall(stepped);
            assert!(matches!(watch_for(&clock, 62), Look::Adopted(_) | Look::Steady));
            assert_eq!(clock.now().since(clock.time_of(mark)), Span::seconds(62));
        }
    }

    #[test]
    fn a_clock_that_keeps_stepping_is_never_adopted() {
        let clock = Clock::manual(START);
        for minutes in 1..10 {
            clock.set_wall(START.plus(Span::hours(minutes)));
            assert!(matches!(watch_for(&clock, 30), Look::Waiting));
        }
        assert_eq!(clock.now(), START.plus(Span::seconds(9 * 30)));
    }
}
