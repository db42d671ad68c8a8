//! Which token was last used when, and how long an old one has been quiet.
//!
//! Promises: last use is known to the second; noting one costs a worker a look into its own small map, no lock and
//! no write to shared memory; only time in which the gateway ran counts as quiet.
//! Deliberately does not: decide anything. First uses are facts of the key and go on to the keyring.
//!
//! What is here may be lost with its file and costs no key: quiet then starts anew.

mod file;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::domain::{KeyId, Realm, Span, Timestamp, TokenId};

use file::UsageFile;

/// How many first uses may wait for the keyring; one that finds no room is told again by the next request.
const FIRST_USES: usize = 16_384;

/// Tokens not used for so long are known by the file alone.
const IN_MEMORY: Span = Span::hours(24);

/// A token was used for the first time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FirstUse {
    /// Whose key.
    pub realm: Realm,
    /// The key.
    pub key: KeyId,
    /// The token.
    pub token: TokenId,
    /// When.
    pub at: Timestamp,
}

/// What is known of the use of tokens. Cheap to clone; every clone knows the same.
#[derive(Clone)]
pub struct Usage(Arc<Shared>);

struct Shared {
    clock: Clock,
    known: Mutex<Known>,
    first_uses: mpsc::Sender<FirstUse>,
}

struct Known {
    records: HashMap<TokenId, Record>,
    changed: HashSet<TokenId>,
    file: UsageFile,
    /// Observed time up to the uptime `counted_to`.
    observed: Span,
    counted_to: Span,
}

/// The last use of one token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Record {
    /// When it was last used; `None` for an old token watched but not used.
    last_used: Option<Timestamp>,
    /// Wall time at which its quiet began.
    quiet_since: Timestamp,
    /// Observed time at which its quiet began.
    quiet_from: Span,
}

impl Usage {
    /// What `path` remembers, and the other end of the queue of first uses.
    pub fn open(path: PathBuf, clock: Clock) -> (Self, mpsc::Receiver<FirstUse>) {
        let (first_uses, receiver) = mpsc::channel(FIRST_USES);
        let (file, observed) = UsageFile::open(path, clock.now());
        let counted_to = clock.uptime();
        let known = Known { records: HashMap::new(), changed: HashSet::new(), file, observed, counted_to };
        (Self(Arc::new(Shared { clock, known: Mutex::new(known), first_uses })), receiver)
    }

    /// Tells the keyring of a first use. `false` if it has no room: somebody must tell it again.
    pub fn tell(&self, first: FirstUse) -> bool {
        self.0.first_uses.try_send(first).is_ok()
    }

    /// When `token` was last used, to the second, up to the last fold of each worker.
    pub fn last_used(&self, token: TokenId) -> Option<Timestamp> {
        self.known().record(token).and_then(|record| record.last_used)
    }

    /// How long, and since when, the old token `token` of a renewal opened at `opened_at` has not been used, counting
    /// only observed time. Quiet before the renewal does not count: the first call begins to watch.
    pub fn quiet(&self, token: TokenId, opened_at: Timestamp) -> (Span, Timestamp) {
        let now = self.0.clock.now();
        let mut known = self.known();
        known.observe(&self.0.clock);
        let record = known.record(token);
        let record = record.filter(|record| record.quiet_since >= opened_at).unwrap_or_else(|| {
            let last_used = record.and_then(|record| record.last_used);
            let watched = Record { last_used, quiet_since: now, quiet_from: known.observed };
            known.keep(token, watched);
            watched
        });
        let quiet = Span::millis(known.observed.as_millis().saturating_sub(record.quiet_from.as_millis()));
        (quiet, record.quiet_since)
    }

    /// Writes what has changed to the file, and lets go of what has long been quiet. Blocks on the disk.
    pub fn flush(&self) {
        let now = self.0.clock.now();
        let mut known = self.known();
        known.observe(&self.0.clock);
        known.flush(now);
    }

    /// The last flush: from now on nothing is observed, and the file says that nothing was missed.
    pub fn close(&self) {
        self.flush();
        self.known().file.close();
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn observe(&mut self, clock: &Clock) {
        let uptime = clock.uptime();
        let passed = uptime.as_millis().saturating_sub(self.counted_to.as_millis());
        self.observed = self.observed.plus(Span::millis(passed));
        self.counted_to = uptime;
    }

    fn record(&self, token: TokenId) -> Option<Record> {
        self.records.get(&token).copied().or_else(|| self.file.record(token))
    }

    fn keep(&mut self, token: TokenId, record: Record) {
        self.records.insert(token, record);
        self.changed.insert(token);
    }

    fn flush(&mut self, now: Timestamp) {
        let changed = self.changed.iter().filter_map(|token| Some((*token, *self.records.get(token)?)));
        if self.file.write(changed, self.observed) {
            self.changed.clear();
            self.records.retain(|_, record| now.since(record.quiet_since) < IN_MEMORY);
        }
    }
}

/// One worker's own note of the tokens it has seen since the last fold.
pub struct Tally {
    usage: Usage,
    seen: HashMap<TokenId, Timestamp, foldhash::fast::RandomState>,
}

impl Tally {
    /// An empty note that will be folded into `usage`.
    pub fn new(usage: Usage) -> Self {
        Self { usage, seen: HashMap::default() }
    }

    /// Notes that `token` was used at `now`.
    pub fn note(&mut self, token: TokenId, now: Timestamp) {
        self.seen.insert(token, now);
    }

    /// Adds the note to what everybody knows. Once a second.
    pub fn fold(&mut self) {
        if self.seen.is_empty() {
            return;
        }
        let mut known = self.usage.known();
        known.observe(&self.usage.0.clock);
        let quiet_from = known.observed;
        for (token, at) in self.seen.drain() {
            let last_used = known.record(token).and_then(|record| record.last_used).max(Some(at));
            known.keep(token, Record { last_used, quiet_since: at, quiet_from });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn token(bits: u128) -> TokenId {
        TokenId::from_bits(bits)
    }

    fn used(usage: &Usage, token: TokenId, at: Timestamp) {
        let mut tally = Tally::new(usage.clone());
        tally.note(token, at);
        tally.fold();
    }

    #[test]
    fn the_last_use_survives_a_restart() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("usage.redb");
        let clock = Clock::manual(START);
        let (usage, _first_uses) = Usage::open(path.clone(), clock.clone());
        used(&usage, token(1), START);
        usage.close();
        drop(usage);
        let (usage, _first_uses) = Usage::open(path, clock);
        assert_eq!(usage.last_used(token(1)), Some(START));
        assert_eq!(usage.last_used(token(2)), None);
    }

    #[test]
    fn quiet_counts_observed_time_only_and_starts_anew_with_each_use() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("usage.redb");
        let clock = Clock::manual(START);
        let (usage, _first_uses) = Usage::open(path.clone(), clock.clone());
        assert_eq!(usage.quiet(token(1), START).0, Span::ZERO);
        clock.advance(Span::hours(2));
        assert_eq!(usage.quiet(token(1), START), (Span::hours(2), START));
        usage.close();
        drop(usage);

        clock.advance(Span::days(30)); // the gateway does not run
        let (usage, _first_uses) = Usage::open(path, clock.clone());
        assert_eq!(usage.quiet(token(1), START).0, Span::hours(2));
        clock.advance(Span::hours(1));
        assert_eq!(usage.quiet(token(1), START).0, Span::hours(3));
        used(&usage, token(1), clock.now());
        assert_eq!(usage.quiet(token(1), START), (Span::ZERO, clock.now()));
    }

    #[test]
    fn quiet_before_the_renewal_does_not_count() {
        let dir = tempfile::tempdir().expect("dir");
        let clock = Clock::manual(START);
        let (usage, _first_uses) = Usage::open(dir.path().join("usage.redb"), clock.clone());
        used(&usage, token(1), START);
        clock.advance(Span::days(30));
        let opened_at = clock.now();
        assert_eq!(usage.quiet(token(1), opened_at), (Span::ZERO, opened_at));
        clock.advance(Span::hours(1));
        assert_eq!(usage.quiet(token(1), opened_at), (Span::hours(1), opened_at));
        assert_eq!(usage.last_used(token(1)), Some(START));
    }

    #[test]
    fn after_an_unclean_end_quiet_starts_anew() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("usage.redb");
        let clock = Clock::manual(START);
        let (usage, _first_uses) = Usage::open(path.clone(), clock.clone());
        used(&usage, token(1), START);
        clock.advance(Span::hours(23));
        usage.flush();
        drop(usage); // no close: a use after the last flush may have been lost
        clock.advance(Span::hours(2));
        let (usage, _first_uses) = Usage::open(path, clock.clone());
        assert_eq!(usage.quiet(token(1), START), (Span::ZERO, clock.now()));
        assert_eq!(usage.last_used(token(1)), Some(START));
    }

    #[test]
    fn a_damaged_file_is_put_aside_and_costs_only_what_it_knew() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("usage.redb");
        std::fs::write(&path, b"not a database").expect("write");
        let (usage, _first_uses) = Usage::open(path, Clock::manual(START));
        used(&usage, token(1), START);
        assert_eq!(usage.last_used(token(1)), Some(START));
    }
}
