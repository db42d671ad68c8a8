//! How long things took: counts by upper bound, in Prometheus's text format.
//!
//! Promises: noting a duration is two additions to shared memory, and keeps nothing of it; what is rendered is exact.
//! Deliberately does not: know what is measured.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The upper bounds, in seconds.
pub const BUCKETS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// The same, in microseconds.
const BOUNDS_MICROS: [u64; 16] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000, 60_000_000,
];

/// One series. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Histogram(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// By bound; the last is beyond all of them.
    each: [AtomicU64; BOUNDS_MICROS.len() + 1],
    sum_nanos: AtomicU64,
}

impl Histogram {
    /// Notes that something took so long.
    pub fn record(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let fits = |bound: &u64| nanos <= bound * 1_000;
        let at = BOUNDS_MICROS.iter().position(fits).unwrap_or(BOUNDS_MICROS.len());
        if let Some(count) = self.0.each.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.0.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

/// Every series of one metric, by the values of its labels.
#[derive(Debug)]
pub struct Family {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    series: Mutex<BTreeMap<Vec<String>, Histogram>>,
}

impl Family {
    /// A metric without a series.
    pub const fn new(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Self {
        Self { name, help, labels, series: Mutex::new(BTreeMap::new()) }
    }

    /// The series with these values of the labels.
    pub fn series(&self, values: &[&str]) -> Histogram {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        self.all().entry(values).or_default().clone()
    }

    /// Appends all series to `text`.
    pub fn render(&self, text: &mut String) {
        let series = self.all();
        if series.is_empty() {
            return;
        }
        let Self { name, help, .. } = self;
        writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram").unwrap_or_default(); // a string takes all
        for (values, histogram) in series.iter() {
            self.render_one(text, values, histogram);
        }
        text.push('\n');
    }

    fn render_one(&self, text: &mut String, values: &[String], histogram: &Histogram) {
        let (name, mut labels) = (self.name, String::new());
        for (label, value) in self.labels.iter().zip(values) {
            let value = value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
            write!(labels, "{label}=\"{value}\",").unwrap_or_default();
        }
        let mut sum = 0;
        let bounds = BUCKETS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(&histogram.0.each) {
            sum += count.load(Ordering::Relaxed);
            writeln!(text, "{name}_bucket{{{labels}le=\"{bound}\"}} {sum}").unwrap_or_default();
        }
        let labels = labels.trim_end_matches(',');
        let seconds = Duration::from_nanos(histogram.0.sum_nanos.load(Ordering::Relaxed)).as_secs_f64();
        writeln!(text, "{name}_sum{{{labels}}} {seconds}\n{name}_count{{{labels}}} {sum}").unwrap_or_default();
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Vec<String>, Histogram>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_every_bucket_whose_bound_it_does_not_pass() {
        let family = Family::new("a_seconds", "A.", &["route"]);
        let series = family.series(&["/\"x\\"]);
        for micros in [500, 501, 60_000_000, 60_000_001] {
            series.record(Duration::from_micros(micros));
        }
        family.series(&["/\"x\\"]).record(Duration::ZERO);
        let mut text = String::new();
        family.render(&mut text);
        let line = |line: &str| assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        line("# HELP a_seconds A.");
        line("# TYPE a_seconds histogram");
        line(r#"a_seconds_bucket{route="/\"x\\",le="0.0005"} 2"#);
        line(r#"a_seconds_bucket{route="/\"x\\",le="0.001"} 3"#);
        line(r#"a_seconds_bucket{route="/\"x\\",le="60"} 4"#);
        line(r#"a_seconds_bucket{route="/\"x\\",le="+Inf"} 5"#);
        line(r#"a_seconds_sum{route="/\"x\\"} 120.001002"#);
        line(r#"a_seconds_count{route="/\"x\\"} 5"#);
    }

    #[test]
    fn both_lists_of_bounds_are_one() {
        for (seconds, micros) in BUCKETS.iter().zip(BOUNDS_MICROS) {
            assert_eq!(Duration::from_secs_f64(*seconds), Duration::from_micros(micros));
        }
    }
}
