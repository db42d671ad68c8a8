//! Requests and refusals of the last hour, minute by minute, for the overview's charts.
//!
//! Promises: sixty numbers are kept, whatever the traffic; counting costs the data plane nothing.
//! Deliberately does not: replace a system that collects `/metrics`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::observe::Metrics;

/// How many minutes are kept.
const MINUTES: usize = 60;

/// Everything counted since the process began.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Count {
    pub(super) requests: u64,
    pub(super) refusals: u64,
}

/// The counts as they were at the ends of the last minutes. Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub(super) struct Traffic(Arc<Mutex<VecDeque<Count>>>);

impl Traffic {
    /// Keeps the counts once a minute, for ever.
    pub(super) async fn watch(&self, metrics: &Metrics) -> Infallible {
        let mut minute = tokio::time::interval(Duration::from_mins(1));
        loop {
            minute.tick().await;
            self.keep(Count::read(&metrics.render()));
        }
    }

    fn keep(&self, count: Count) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == MINUTES {
            kept.pop_front();
        }
        kept.push_back(count);
    }

    /// What each of the last sixty minutes has added, the one that is not over last.
    pub(super) fn minutes(&self, metrics: &Metrics) -> Vec<Count> {
        self.up_to(Count::read(&metrics.render()))
    }

    fn up_to(&self, now: Count) -> Vec<Count> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let ends = kept.iter().copied().skip(1).chain([now]);
        let mut minutes: Vec<_> = kept.iter().zip(ends).map(|(start, end)| end.since(*start)).collect();
        let missing = MINUTES.saturating_sub(minutes.len());
        minutes.splice(0..0, std::iter::repeat_n(Count::default(), missing));
        minutes
    }
}

impl Count {
    /// Adds up the series of a rendering in the Prometheus text format.
    fn read(text: &str) -> Self {
        let sum = |name: &str| {
            let series =
                text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
            series.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
        };
        Self { requests: sum("relevo_requests_total"), refusals: sum("relevo_refusals_total") }
    }

    fn since(self, start: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(start.requests),
            refusals: self.refusals.saturating_sub(start.refusals),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_added_up_and_others_left_out() {
        let text = "# TYPE relevo_requests_total counter\nrelevo_requests_total{route=\"/ x\",code=\"200\"} 7\n\
                    relevo_requests_total{route=\"/\",code=\"401\"} 2\nrelevo_requests_total_more{} 9\n\
                    relevo_refusals_total{route=\"/\",refusal=\"credential_missing\"} 2\n";
        assert_eq!(Count::read(text), Count { requests: 9, refusals: 2 });
    }

    #[test]
    fn an_hour_is_kept_and_not_more() {
        let traffic = Traffic::default();
        let count = |requests| Count { requests, refusals: 0 };
        for minute in 0..100 {
            traffic.keep(count(minute * 10));
        }
        let minutes = traffic.up_to(count(993));
        assert_eq!(minutes.len(), MINUTES);
        assert_eq!((minutes[0], minutes[58], minutes[59]), (count(10), count(10), count(3)));
        let young = Traffic::default();
        young.keep(count(5));
        assert_eq!(young.up_to(count(6)).iter().map(|minute| minute.requests).sum::<u64>(), 1);
    }
}
