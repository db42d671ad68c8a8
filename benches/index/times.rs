//! Many times, and what they come to.

use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Times of one thing done often, in nanoseconds.
pub(crate) struct Times(Vec<u32>);

impl Times {
    pub(crate) fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    pub(crate) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn add(&mut self, took: Duration) {
        self.0.push(u32::try_from(took.as_nanos()).unwrap_or(u32::MAX));
    }

    /// What reading the clock twice takes, which is in every time here: the median.
    pub(crate) fn of_the_clock() -> u32 {
        let mut times = Self::with_capacity(100_000);
        for _ in 0..100_000 {
            let begun = Instant::now();
            times.add(black_box(begun).elapsed());
        }
        times.sorted().at(0.5)
    }

    /// The times in their order.
    pub(crate) fn sorted(mut self) -> Sorted {
        self.0.sort_unstable();
        Sorted(self.0)
    }
}

/// Times from the shortest to the longest.
pub(crate) struct Sorted(Vec<u32>);

impl Sorted {
    /// The time within which the share `quantile` of all was done.
    pub(crate) fn at(&self, quantile: f64) -> u32 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "0..=1"
        )]
        let index = ((self.0.len().saturating_sub(1)) as f64 * quantile).round() as usize;
        self.0.get(index).copied().unwrap_or_default()
    }

    /// The same, each shorter by `nanos`.
    pub(crate) fn less(mut self, nanos: u32) -> Self {
        self.0.iter_mut().for_each(|time| *time = time.saturating_sub(nanos));
        self
    }
}

impl fmt::Display for Sorted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, p999, most] = [0.5, 0.99, 0.999, 1.0].map(|quantile| self.at(quantile));
        write!(f, "p50 {p50} ns, p99 {p99} ns, p99.9 {p999} ns, longest {most} ns ({} times)", self.0.len())
    }
}
