//! One upstream, as all workers see it: its addresses, its places, its budget of retries.
//!
//! Promises: bounds and judgements hold over all workers, and outlive a reload; passive failures never put out the last
//! address that is left; a retry is paid from a budget of a fifth of what is in flight, and at least three.
//! Deliberately does not: wait for anything but a place.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::config;

use super::choice::MOST;
use super::standing::{Millis, Standing};

/// So many retries at once are always allowed, and one for so many requests in flight.
const RETRIES: usize = 3;
const REQUESTS_PER_RETRY: usize = 5;

/// What the names of endpoints stand for.
pub(in crate::gateway) type Addresses = HashMap<String, Vec<IpAddr>>;

/// What all workers share of one upstream.
#[derive(Debug)]
pub(in crate::gateway) struct Shared {
    totals: Arc<Totals>,
    pub(super) members: Box<[Member]>,
    rules: Rules,
    /// Held by whoever puts one out: the floor is counted by one at a time.
    ejecting: Mutex<()>,
}

/// One address of an upstream.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) standing: Arc<Standing>,
    pub(super) weight: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Rules {
    eject_after: u32,
    eject_for: Duration,
    pub(super) slow_start: Duration,
    in_flight: usize,
    waiting: usize,
    wait_timeout: Duration,
}

/// Counts over all endpoints.
#[derive(Debug, Default)]
struct Totals {
    in_flight: AtomicUsize,
    waiting: AtomicUsize,
    retrying: AtomicUsize,
    freed: Notify,
}

/// How a request went at an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::gateway) enum Outcome {
    /// A reply came to its end, or the head of a stream, whatever it says.
    Answered,
    /// No connection could be made.
    Unreachable,
    /// It broke off, or what came was no reply.
    Broken,
    /// Nothing came in time.
    Late,
}

impl Shared {
    /// The upstream of `config`, with the counts and standings of `before`.
    pub(in crate::gateway) fn new(config: &config::Upstream, before: Option<&Self>, addresses: &Addresses) -> Self {
        let mut members = Vec::new();
        for (endpoint, weight) in config.endpoints.iter().zip(&config.weights) {
            let resolved = name(endpoint).and_then(|host| addresses.get(host)).filter(|found| !found.is_empty());
            let each: Vec<_> = match resolved {
                Some(found) => found.iter().copied().map(Some).collect(),
                None => vec![None],
            };
            for address in each {
                let standing = before.and_then(|before| before.known(endpoint, address));
                let standing = standing.unwrap_or_else(|| Arc::new(Standing::new(endpoint.clone(), address)));
                members.push(Member { standing, weight: *weight });
            }
        }
        members.truncate(MOST);
        let rules = Rules {
            eject_after: config.eject_after,
            eject_for: config.eject_for,
            slow_start: config.slow_start,
            in_flight: config.in_flight,
            waiting: config.waiting,
            wait_timeout: config.wait_timeout,
        };
        let totals = before.map(|before| Arc::clone(&before.totals)).unwrap_or_default();
        Self { totals, members: members.into(), rules, ejecting: Mutex::default() }
    }

    fn known(&self, endpoint: &config::Endpoint, address: Option<IpAddr>) -> Option<Arc<Standing>> {
        let is_it = |member: &&Member| member.standing.endpoint == *endpoint && member.standing.address == address;
        self.members.iter().find(is_it).map(|member| Arc::clone(&member.standing))
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// A place among the requests in flight; `None` if there is none now.
    pub(super) fn admit(&self) -> Option<InFlight> {
        let taken = |count: usize| (count < self.rules.in_flight).then_some(count + 1);
        self.totals.in_flight.fetch_update(Ordering::SeqCst, Ordering::SeqCst, taken).ok()?;
        Some(InFlight { totals: Arc::clone(&self.totals), load: None, retries: false })
    }

    /// A place once one is free; `None` if too many wait already, or none comes free in time.
    pub(super) async fn wait(&self) -> Option<InFlight> {
        let _waiting = Waiting::among(&self.totals, self.rules.waiting)?;
        let place = async {
            loop {
                let freed = self.totals.freed.notified();
                let mut freed = std::pin::pin!(freed);
                freed.as_mut().enable(); // before the look: a place that comes free between is not missed
                if let Some(place) = self.admit() {
                    return place;
                }
                freed.await;
            }
        };
        tokio::time::timeout(self.rules.wait_timeout, place).await.ok()
    }

    /// Notes how a request went at `standing`; `Some`: it is put out for so long.
    pub(super) fn report(&self, standing: &Standing, outcome: Outcome) -> Option<Duration> {
        match outcome {
            Outcome::Answered => {
                standing.answered();
                None
            }
            Outcome::Unreachable | Outcome::Broken | Outcome::Late => self.failed(standing, Instant::now().into()),
        }
    }

    fn failed(&self, standing: &Standing, now: Millis) -> Option<Duration> {
        let failures = standing.failed();
        if self.rules.eject_after == 0 || failures < self.rules.eject_after {
            return None;
        }
        let _one_at_a_time = self.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        let others =
            self.members.iter().map(|member| &*member.standing).filter(|other| !std::ptr::eq(*other, standing));
        let is_last = !others.into_iter().any(|other| other.is_available(now));
        if is_last || !standing.is_available(now) {
            return None;
        }
        Some(standing.eject(now, self.rules.eject_for))
    }
}

/// The name that an endpoint's host is, if it is one that may stand for several addresses.
pub(super) fn name(endpoint: &config::Endpoint) -> Option<&str> {
    match &endpoint.reach {
        config::Reach::Tcp { host, .. } if host == "localhost" || host.parse::<IpAddr>().is_ok() => None,
        config::Reach::Tcp { host, .. } => Some(host),
        config::Reach::Unix(_) => None,
    }
}

/// A place among the requests in flight, and among those of one endpoint; given back when dropped.
pub(in crate::gateway) struct InFlight {
    totals: Arc<Totals>,
    load: Option<Arc<Standing>>,
    retries: bool,
}

impl InFlight {
    /// The request now goes to `standing`.
    pub(super) fn goes_to(&mut self, standing: &Arc<Standing>) {
        standing.in_flight.fetch_add(1, Ordering::Relaxed);
        self.leave();
        self.load = Some(Arc::clone(standing));
    }

    /// Whether it may be sent a second time: the budget allows it.
    pub(in crate::gateway) fn may_retry(&mut self) -> bool {
        let allowed = RETRIES.max(self.totals.in_flight.load(Ordering::Relaxed) / REQUESTS_PER_RETRY);
        let taken = |count: usize| (count < allowed).then_some(count + 1);
        self.retries =
            self.retries || self.totals.retrying.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok();
        self.retries
    }

    /// It is answered: what follows is no retry any longer.
    pub(in crate::gateway) fn answered(&mut self) {
        if std::mem::take(&mut self.retries) {
            self.totals.retrying.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn leave(&mut self) {
        if let Some(before) = self.load.take() {
            before.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.answered();
        self.leave();
        self.totals.in_flight.fetch_sub(1, Ordering::SeqCst);
        if self.totals.waiting.load(Ordering::SeqCst) > 0 {
            self.totals.freed.notify_one();
        }
    }
}

/// A place among those who wait; given back when dropped.
struct Waiting<'t>(&'t Totals);

impl<'t> Waiting<'t> {
    fn among(totals: &'t Totals, most: usize) -> Option<Self> {
        let taken = |count: usize| (count < most).then_some(count + 1);
        totals.waiting.fetch_update(Ordering::SeqCst, Ordering::SeqCst, taken).ok()?;
        Some(Self(totals))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn shared(more: &str) -> Shared {
        let text = format!("[[upstreams]]\nname = \"a\"\nendpoints = [\"http://a:1\", \"http://b:1\"]\n{more}\n");
        let config = Config::parse(&text, "test", []).expect("legal");
        Shared::new(&config.upstreams[0], None, &Addresses::default())
    }

    #[test]
    fn failures_in_a_row_put_one_out_but_never_the_last() {
        let shared = shared("eject_after = 3");
        let [first, second] = &*shared.members else { panic!("two members") };
        let fail = |member: &Member| shared.report(&member.standing, Outcome::Broken).is_some();
        assert_eq!([fail(first), fail(first)], [false, false]);
        shared.report(&first.standing, Outcome::Answered);
        assert_eq!([fail(first), fail(first), fail(first)], [false, false, true]);
        assert_eq!([fail(second), fail(second), fail(second), fail(second)], [false; 4], "the floor is one");
    }

    #[test]
    fn a_fifth_of_what_is_in_flight_may_be_sent_again_and_three_always() {
        let shared = shared("");
        let mut all: Vec<_> = (0..30).map(|_| shared.admit().expect("a place")).collect();
        let allowed = all.iter_mut().map(InFlight::may_retry).filter(|may| *may).count();
        assert_eq!(allowed, 6);
        all.truncate(4); // these four retry still
        assert!(!shared.admit().expect("a place").may_retry());
        all[0].answered();
        all[1].answered();
        assert!(shared.admit().expect("a place").may_retry());
    }

    #[tokio::test]
    async fn who_finds_no_place_waits_for_one_but_not_for_long_and_not_in_a_crowd() {
        let shared = shared("in_flight = 1\nwaiting = 1\nwait_timeout = \"500ms\"");
        let place = shared.admit().expect("a place");
        assert!(shared.admit().is_none());
        let freed = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(place);
        };
        let (waited, crowd, ()) = tokio::join!(shared.wait(), shared.wait(), freed);
        assert!(waited.is_some() && crowd.is_none());
        assert!(shared.wait().await.is_none(), "the place is taken for longer than one waits");
        drop(waited);
        assert!(shared.wait().await.is_some());
    }

    #[test]
    fn a_name_is_as_many_members_as_it_has_addresses_and_who_stays_keeps_his_standing() {
        let text =
            "[[upstreams]]\nname = \"a\"\nendpoints = [\"http://a:1\", \"http://127.0.0.1:1\"]\nweights = [2, 1]\n";
        let config = Config::parse(text, "test", []).expect("legal");
        let resolved = |last: &[u8]| {
            let addresses = last.iter().map(|last| IpAddr::from([10, 0, 0, *last])).collect();
            Addresses::from([("a".to_owned(), addresses)])
        };
        let before = Shared::new(&config.upstreams[0], None, &resolved(&[1, 2]));
        let after = Shared::new(&config.upstreams[0], Some(&before), &resolved(&[2, 3, 4]));
        assert_eq!(after.members.iter().map(|member| member.weight).collect::<Vec<_>>(), [2, 2, 2, 1]);
        assert!(Arc::ptr_eq(&before.members[1].standing, &after.members[0].standing));
        assert!(Arc::ptr_eq(&before.members[2].standing, &after.members[3].standing));
        let _place = before.admit();
        assert_eq!(after.totals.in_flight.load(Ordering::Relaxed), 1);
    }
}
