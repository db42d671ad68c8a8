//! A lack of descriptors or memory, told once.
//!
//! Promises: while it lasts, one line of the log says so, however often accepting is tried.
//! Deliberately does not: wait, or try again.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long all must have been well before the next trouble is another one.
const QUIET: Duration = Duration::from_secs(30);

/// When there was trouble last.
#[derive(Debug)]
pub struct Shortage(Mutex<Option<Instant>>);

impl Shortage {
    /// None yet.
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Notes that there is trouble at `now`. Tells whether it begins, and is to be told.
    pub fn begins(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.replace(now);
        before.is_none_or(|before| now.saturating_duration_since(before) > QUIET)
    }
}

impl Default for Shortage {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_when_it_begins_and_again_after_a_quiet_time() {
        let (shortage, begun) = (Shortage::new(), Instant::now());
        let told = |after: Duration| shortage.begins(begun + after);
        assert!(told(Duration::ZERO));
        let tries = (1..10_000).map(|tenths| told(Duration::from_millis(100 * tenths))).filter(|told| *told);
        assert_eq!(tries.count(), 0, "it lasted for a quarter of an hour");
        let end = Duration::from_millis(999_900);
        assert!(!told(end + QUIET));
        assert!(told(end + 2 * QUIET + Duration::from_millis(1)));
    }
}
