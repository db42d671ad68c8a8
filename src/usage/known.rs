//! What all workers have told, in memory.
//!
//! Promises: a token costs its id and [`Seen`]; only tokens of renewals cost more; callers are bounded in all.
//! Deliberately does not: read or write a file.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::callers::{self, CallerUse, Callers};
use super::file::{News, Rare, Row};
use super::seen::Seen;
use super::tally::{Noted, NotedCaller};
use crate::clock::Clock;
use crate::domain::{Slot, Span, Timestamp, TokenId};

/// Tokens not used for so long are known by the file alone.
pub(super) const IN_MEMORY: Span = Span::hours(24);
/// How often they are looked for: it is a look at every token.
const SWEEP: Span = Span::hours(1);
/// How many callers are kept in all.
const MOST_CALLERS: usize = 131_072;

/// What is known.
pub(super) struct Known {
    /// By id in bytes: aligned as a number it would cost more.
    tokens: HashMap<[u8; 16], Seen, RandomState>,
    watched: HashMap<TokenId, Watched, RandomState>,
    /// What the file does not know yet.
    changed: HashSet<[u8; 16], RandomState>,
    /// Tokens that have ended since the last flush, and before it. Of the latter every worker has told by now.
    ended: HashSet<[u8; 16], RandomState>,
    ended_before: HashSet<[u8; 16], RandomState>,
    routes: HashSet<Arc<str>, RandomState>,
    callers: usize,
    loading: Loading,
    swept_at: Timestamp,
    /// Observed time up to the uptime `counted_to`.
    observed: Span,
    counted_to: Span,
}

/// Whether the uses of before the start are in memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loading {
    Due,
    Done,
}

/// A token of a renewal.
#[derive(Default)]
struct Watched {
    quiet: Option<Quiet>,
    callers: Callers,
}

/// The beginning of an old token's quiet, to the second: it is never told too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Quiet {
    /// By the wall.
    pub(super) since: Timestamp,
    /// In observed time.
    pub(super) from: Span,
}

impl Quiet {
    fn of(since: Timestamp, from: Span) -> Self {
        let since = Timestamp::from_millis(since.as_seconds() * 1_000);
        Self { since, from: Span::seconds(from.as_millis().div_ceil(1_000)) }
    }
}

impl Known {
    pub(super) fn new(clock: &Clock) -> Self {
        let (tokens, watched, changed, routes, ended, ended_before) = Default::default();
        Self {
            tokens,
            watched,
            changed,
            ended,
            ended_before,
            routes,
            callers: 0,
            loading: Loading::Due,
            swept_at: clock.now(),
            observed: Span::ZERO,
            counted_to: clock.uptime(),
        }
    }

    /// Goes on from what was observed before the start, and whose callers were known then.
    pub(super) fn begin(&mut self, clock: &Clock, observed: Span, callers: Vec<(TokenId, Callers)>) {
        self.observed = self.observed.plus(observed);
        for quiet in self.watched.values_mut().filter_map(|watched| watched.quiet.as_mut()) {
            quiet.from = quiet.from.plus(observed);
        }
        for (token, callers) in callers {
            let watched = self.watched.entry(token).or_default();
            if watched.callers.is_empty() {
                watched.callers = callers;
            }
        }
        self.forget_callers(clock.now());
    }

    /// The file knows nothing: it is to be told of every token again.
    pub(super) fn tell_all(&mut self) {
        self.changed.extend(self.tokens.keys().copied());
        self.changed.extend(self.watched.keys().copied().map(bytes));
    }

    pub(super) fn observe(&mut self, clock: &Clock) {
        let uptime = clock.uptime();
        self.observed = self.observed.plus(uptime.less(self.counted_to));
        self.counted_to = uptime;
    }

    pub(super) fn observed(&self) -> Span {
        self.observed
    }

    pub(super) fn seen(&self, token: TokenId) -> Option<Seen> {
        self.tokens.get(&bytes(token)).copied()
    }

    pub(super) fn callers(&self, token: TokenId) -> Option<&Callers> {
        self.watched.get(&token).map(|watched| &watched.callers)
    }

    pub(super) fn quiet(&self, token: TokenId) -> Option<Quiet> {
        self.watched.get(&token)?.quiet
    }

    /// Quiet begins now.
    pub(super) fn watch(&mut self, token: TokenId, now: Timestamp) -> Quiet {
        let quiet = Quiet::of(now, self.observed);
        self.watched.entry(token).or_default().quiet = Some(quiet);
        self.changed.insert(bytes(token));
        quiet
    }

    pub(super) fn unwatch(&mut self, token: TokenId) {
        if let Some(watched) = self.watched.remove(&token) {
            self.callers -= watched.callers.len();
            self.changed.insert(bytes(token));
        }
    }

    /// `token` has ended: nothing will be known of it after the next flush but one.
    pub(super) fn end(&mut self, token: TokenId) {
        self.unwatch(token);
        self.ended.insert(bytes(token));
    }

    /// `token` has not ended.
    pub(super) fn live(&mut self, token: TokenId) {
        self.ended.remove(&bytes(token));
        self.ended_before.remove(&bytes(token));
    }

    /// Takes in what a worker has noted.
    pub(super) fn take_in(
        &mut self,
        clock: &Clock,
        tokens: impl Iterator<Item = (TokenId, Noted)>,
        callers: impl Iterator<Item = NotedCaller>,
    ) {
        self.observe(clock);
        for (token, Noted { slot, at, requests }) in tokens {
            let seen = self.tokens.entry(bytes(token)).or_default();
            seen.add(at, requests);
            self.changed.insert(bytes(token));
            match slot {
                // Another worker may have told of a later use already.
                Slot::Old => {
                    let last = seen.last_used().map_or(at, |last| last.max(at));
                    let quiet = Quiet::of(last, self.observed);
                    self.watched.entry(token).or_default().quiet = Some(quiet);
                }
                Slot::Current | Slot::New => {}
            }
        }
        callers.for_each(|noted| self.add_caller(noted));
    }

    fn add_caller(&mut self, noted: NotedCaller) {
        let NotedCaller { token, address, user_agent, route, at, requests } = noted;
        let route = self.route(route);
        let user_agent = user_agent.map(|agent| callers::kept(&agent));
        let used =
            CallerUse { address: address.to_canonical(), user_agent, route: &route, at, requests: requests.into() };
        let callers = &mut self.watched.entry(token).or_default().callers;
        let before = callers.len();
        let in_all = self.callers;
        callers.add(used, || in_all < MOST_CALLERS);
        self.callers += callers.len() - before;
    }

    fn route(&mut self, route: Box<str>) -> Arc<str> {
        if let Some(known) = self.routes.get(&*route) {
            return Arc::clone(known);
        }
        let route = Arc::<str>::from(route);
        self.routes.insert(Arc::clone(&route));
        route
    }

    /// Whether [`Known::absorb`] has to be called with the rows of the file.
    pub(super) fn must_load(&self) -> bool {
        self.loading == Loading::Due
    }

    /// They have been absorbed.
    pub(super) fn is_loaded(&mut self) {
        self.loading = Loading::Done;
    }

    /// Adds what was known before the start.
    pub(super) fn absorb(&mut self, rows: &[(TokenId, Seen)]) {
        for (token, seen) in rows {
            self.tokens.entry(bytes(*token)).or_default().absorb(*seen);
        }
    }

    /// What the file does not know yet.
    pub(super) fn take_news(&mut self) -> News {
        let ended = std::mem::replace(&mut self.ended_before, std::mem::take(&mut self.ended));
        for token in &ended {
            self.unwatch(TokenId::from_bits(u128::from_be_bytes(*token)));
            self.tokens.remove(token);
            self.changed.remove(token);
        }
        News { rows: self.take_changed(), ended: ended.into_iter().collect() }
    }

    fn take_changed(&mut self) -> Vec<Row> {
        let changed = std::mem::take(&mut self.changed);
        let rare = |watched: &Watched| {
            let callers = Some(&watched.callers).filter(|callers| !callers.is_empty());
            Box::new(Rare { quiet: watched.quiet, callers: callers.map(Callers::text) })
        };
        let row = |token: [u8; 16]| {
            let id = TokenId::from_bits(u128::from_be_bytes(token));
            Row { token, seen: self.tokens.get(&token).copied(), rare: self.watched.get(&id).map(rare) }
        };
        changed.into_iter().map(row).collect()
    }

    /// The file could not be told.
    pub(super) fn still_news(&mut self, News { rows, ended }: News) {
        self.changed.extend(rows.iter().map(|row| row.token));
        self.ended_before.extend(ended);
    }

    /// Lets go of what has long been quiet and is in the file.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        if !self.swept_at.is_due_again(SWEEP, now) {
            return;
        }
        self.swept_at = now;
        let (changed, before) = (&self.changed, now.minus(IN_MEMORY));
        self.tokens.retain(|token, seen| changed.contains(token) || seen.last_used() >= Some(before));
        self.forget_callers(now);
        self.routes.retain(|route| Arc::strong_count(route) > 1);
    }

    fn forget_callers(&mut self, now: Timestamp) {
        let before = now.minus(callers::KNOWN_FOR);
        for (token, watched) in &mut self.watched {
            if watched.callers.forget(before) {
                self.changed.insert(bytes(*token));
            }
        }
        self.watched.retain(|_, watched| watched.quiet.is_some() || !watched.callers.is_empty());
        self.callers = self.watched.values().map(|watched| watched.callers.len()).sum();
    }
}

fn bytes(token: TokenId) -> [u8; 16] {
    token.as_bits().to_be_bytes()
}
