//! How one address of an upstream stands, as all workers see it: what it has in flight, whether it is well.
//!
//! Promises: telling and asking are single atomics, so that a judgement of one worker holds for all; nobody is put out but
//! for a time or by a check.
//! Deliberately does not: decide who may be put out (`shared`), or look at the endpoint by itself (`watch`).

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use crate::config;

/// Milliseconds of this process's monotonic clock; never 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::gateway) struct Millis(pub(super) u64);

impl From<Instant> for Millis {
    fn from(now: Instant) -> Self {
        static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);
        let since = now.saturating_duration_since(*BEGINNING).as_millis();
        Self(u64::try_from(since).unwrap_or(u64::MAX).saturating_add(1))
    }
}

impl Millis {
    fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// One address of an upstream, as all workers see it.
#[derive(Debug)]
pub(in crate::gateway) struct Standing {
    pub(super) endpoint: config::Endpoint,
    /// The address that its name stands for, where it has been resolved.
    pub(super) address: Option<IpAddr>,
    pub(super) in_flight: AtomicUsize,
    /// Failures in a row.
    failures: AtomicU32,
    /// How often it was put out since it last answered.
    ejections: AtomicU32,
    /// Until when it is put out; 0: it is not.
    out_until: AtomicU64,
    /// Since when it is back; 0: it never was away.
    back_since: AtomicU64,
    is_ill: AtomicBool,
    pub(super) checks: Checks,
}

/// What its checks have found.
#[derive(Debug, Default)]
pub(super) struct Checks {
    pub(super) next: AtomicU64,
    pub(super) is_running: AtomicBool,
    /// Successes in a row, or failures as a negative number.
    streak: AtomicI32,
    trouble: ArcSwapOption<String>,
}

impl Standing {
    pub(super) fn new(endpoint: config::Endpoint, address: Option<IpAddr>) -> Self {
        Self {
            endpoint,
            address,
            in_flight: AtomicUsize::default(),
            failures: AtomicU32::default(),
            ejections: AtomicU32::default(),
            out_until: AtomicU64::default(),
            back_since: AtomicU64::default(),
            is_ill: AtomicBool::default(),
            checks: Checks::default(),
        }
    }

    /// Whether requests may go there.
    pub(super) fn is_available(&self, now: Millis) -> bool {
        !self.is_ill.load(Ordering::Relaxed) && self.out_until.load(Ordering::Relaxed) <= now.0
    }

    /// Its weight in thousandths: one that is back gets its share by and by over `slow_start`.
    pub(super) fn share(&self, weight: u32, now: Millis, slow_start: Duration) -> u64 {
        let whole = u64::from(weight) * 1_000;
        let since = self.back_since.load(Ordering::Relaxed);
        let over = u64::try_from(slow_start.as_millis()).unwrap_or(u64::MAX);
        let elapsed = now.0.saturating_sub(since);
        if since == 0 || elapsed >= over {
            return whole;
        }
        (whole / 10).max(whole.saturating_mul(elapsed) / over)
    }

    /// It answered.
    pub(super) fn answered(&self) {
        // A load where nothing has failed: the line stays shared among the workers.
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.ejections.store(0, Ordering::Relaxed);
        }
    }

    /// It failed: how often in a row.
    pub(super) fn failed(&self) -> u32 {
        self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// Puts it out for `span`, longer each time in a row. One failure more puts it out again.
    pub(super) fn eject(&self, now: Millis, span: Duration) -> Duration {
        let times = self.ejections.fetch_add(1, Ordering::Relaxed).saturating_add(1).min(10);
        let span = span.saturating_mul(times);
        let until = now.plus(span).0;
        self.out_until.store(until, Ordering::Relaxed);
        self.back_since.store(until, Ordering::Relaxed);
        span
    }

    /// A check has come back; `Some`: whether it is well, where that is new.
    pub(super) fn checked(&self, found: Result<(), String>, health: &config::Health, now: Millis) -> Option<bool> {
        let step = |streak: i32| {
            let next = if found.is_ok() { streak.max(0).saturating_add(1) } else { streak.min(0).saturating_sub(1) };
            Some(next)
        };
        let before = self.checks.streak.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).unwrap_or_default();
        let streak = step(before).unwrap_or_default();
        let is_ill = self.is_ill.load(Ordering::Relaxed);
        if let Err(why) = found {
            self.checks.trouble.store(Some(Arc::new(why)));
        }
        if is_ill && streak >= count(health.healthy) {
            self.back_since.store(now.0, Ordering::Relaxed);
            self.is_ill.store(false, Ordering::Relaxed);
            return Some(true);
        }
        if !is_ill && streak <= -count(health.unhealthy) {
            self.is_ill.store(true, Ordering::Relaxed);
            return Some(false);
        }
        None
    }

    /// Nobody checks it any longer.
    pub(super) fn unchecked(&self) {
        self.is_ill.store(false, Ordering::Relaxed);
    }

    /// Why no request goes there; `None`: it is available.
    pub(super) fn trouble(&self, now: Millis) -> Option<String> {
        if self.is_ill.load(Ordering::Relaxed) {
            let why = self.checks.trouble.load_full();
            return Some(why.map_or_else(String::new, |why| (*why).clone()));
        }
        (!self.is_available(now)).then(|| "put out for a while: requests have failed there".to_owned())
    }
}

fn count(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn standing() -> Standing {
        let endpoint = config::Endpoint {
            speech: config::Speech::Http,
            reach: config::Reach::Tcp { host: "a".to_owned(), port: 1 },
            authority: http::uri::Authority::from_static("a:1"),
        };
        Standing::new(endpoint, None)
    }

    #[test]
    fn one_that_was_put_out_comes_back_and_gets_its_share_by_and_by() {
        let standing = standing();
        let now = Millis(1_000);
        assert_eq!(standing.share(3, now, 10 * SECOND), 3_000, "at the beginning nobody is behind");
        assert_eq!(standing.eject(now, SECOND), SECOND);
        assert!(!standing.is_available(Millis(1_999)) && standing.is_available(Millis(2_000)));
        for (at, share) in [(2_000, 300), (3_000, 300), (7_000, 1_500), (12_000, 3_000), (90_000, 3_000)] {
            assert_eq!(standing.share(3, Millis(at), 10 * SECOND), share, "{at}");
        }
        assert_eq!(standing.eject(Millis(3_000), SECOND), 2 * SECOND, "longer each time in a row");
        standing.failed();
        standing.answered();
        assert_eq!(standing.eject(Millis(9_000), SECOND), SECOND);
    }

    #[test]
    fn checks_need_so_many_in_a_row_either_way() {
        let standing = standing();
        let health = config::Health { path: None, interval: SECOND, timeout: SECOND, healthy: 2, unhealthy: 3 };
        let mut check = |well: bool| {
            let found = if well { Ok(()) } else { Err("refused".to_owned()) };
            standing.checked(found, &health, Millis(5))
        };
        let found = [false, false, true, false, false, false, false, true, false, true, true].map(&mut check);
        let expected = [None, None, None, None, None, Some(false), None, None, None, None, Some(true)];
        assert_eq!(found, expected);
        assert!(standing.is_available(Millis(6)) && standing.trouble(Millis(6)).is_none());
    }
}
