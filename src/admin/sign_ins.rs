//! Who has failed to show an administrator's token, or a link that leads somewhere, and what he is told.
//!
//! Promises: it is asked only after one was refused, so that a good token never waits or is refused for the failures of
//! others; failures of one address are answered the later the more they are, and beyond [`MOST`] a minute 429; memory, and
//! how many answers wait, are bounded.
//! Deliberately does not: count calls without a token, which guess nothing.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tracing::warn;

use super::problem::Problem;
use crate::domain::Timestamp;
use crate::limiter::failures::{Counted, Failures, Sum};
use crate::observe::Metrics;

/// How many failures a minute from one address are answered each for itself.
pub const MOST: u32 = 30;
/// By how much longer each failure of a minute is made to wait than the one before it.
const STEP: Duration = Duration::from_millis(20);
/// How long it waits at most.
const LONGEST: Duration = Duration::from_millis(400);
/// How many wait at once; one more is answered without a wait.
const MOST_WAITING: usize = 64;

/// Failed sign-ins by their address. Cheap to clone; every clone counts the same.
#[derive(Clone)]
pub struct SignIns {
    failures: Arc<Failures>,
    waiting: Arc<Semaphore>,
    metrics: Metrics,
}

/// What somebody is told whose token or link was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// That it is not accepted.
    Refused,
    /// That too many came before it.
    TooMany {
        /// When it can be tried again.
        retry_after_seconds: u64,
    },
}

impl SignIns {
    /// None yet, counted in `metrics`.
    pub fn new(metrics: Metrics) -> Self {
        let (failures, waiting) = (Arc::new(Failures::new(MOST)), Arc::new(Semaphore::new(MOST_WAITING)));
        Self { failures, waiting, metrics }
    }

    /// Notes that a token or link from `address` was refused at `now`. Answers when it is time to.
    pub async fn failed(&self, address: Option<IpAddr>, now: Timestamp) -> Told {
        for Sum { source, refused } in self.failures.sweep(now) {
            warn!(client = %source, refused, "too many failed sign-ins in a minute");
        }
        let Counted { in_minute, retry_after_seconds } =
            address.map(|address| self.failures.count(address, now)).unwrap_or_default();
        if let (Some(address), 1) = (address, in_minute) {
            warn!(client = %address, "an administrator's token or link was refused; further ones from there are counted");
        }
        if let Some(retry_after_seconds) = retry_after_seconds {
            self.metrics.sign_in_failed("too_many_failures").increment(1);
            return Told::TooMany { retry_after_seconds };
        }
        self.metrics.sign_in_failed("unauthenticated").increment(1);
        if let Ok(_place) = self.waiting.try_acquire() {
            tokio::time::sleep(STEP.saturating_mul(in_minute).min(LONGEST)).await;
        }
        Told::Refused
    }
}

impl From<Told> for Problem {
    fn from(told: Told) -> Self {
        match told {
            Told::Refused => Self::unauthenticated(),
            Told::TooMany { retry_after_seconds } => Self::too_many_failures(retry_after_seconds),
        }
    }
}
