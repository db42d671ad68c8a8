//! Which token was last used when, and how long an old one has been quiet.
//!
//! Promises: last use is known to the second; noting one costs a worker a look into its own small map, no lock and
//! no write to shared memory; only time in which the gateway ran counts as quiet.
//! Deliberately does not: decide anything. First uses are facts of the key and go on to the keyring.
//!
//! What is here may be lost with its file and costs no key: quiet then starts anew.

mod file;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::domain::{KeyId, Realm, Span, Timestamp, TokenId};

use file::UsageFile;

/// How many first uses may wait for the keyring; one that finds no room is told again by the next request.
const FIRST_USES: usize = 16_384;

/// Tokens not used for so long are known by the file alone.
const IN_MEMORY: Span = Span::hours(24);
/// How often they are looked for: it is a look at every token.
const SWEEP: Span = Span::hours(1);

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
    file: UsageFile,
    first_uses: mpsc::Sender<FirstUse>,
}

struct Known {
    tokens: HashMap<[u8; 16], Seen, RandomState>,
    /// The tokens whose [`Seen::changed`] is set.
    changed: Vec<[u8; 16]>,
    swept_at: Timestamp,
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

/// A record to the second, as it is kept for each of many tokens. Quiet is never told too long.
#[derive(Clone, Copy)]
struct Seen {
    /// 0: never.
    last_used_s: u32,
    quiet_since_s: u32,
    quiet_from_s: u32,
    changed: bool,
}

impl Seen {
    fn of(record: Record) -> Self {
        let seconds = |millis: u64| u32::try_from(millis / 1_000).unwrap_or(u32::MAX);
        Self {
            last_used_s: record.last_used.map_or(0, |at| seconds(at.as_millis())),
            quiet_since_s: seconds(record.quiet_since.as_millis()),
            quiet_from_s: seconds(record.quiet_from.as_millis().saturating_add(999)),
            changed: false,
        }
    }

    fn record(self) -> Record {
        let at = |seconds: u32| Timestamp::from_millis(u64::from(seconds) * 1_000);
        Record {
            last_used: (self.last_used_s != 0).then(|| at(self.last_used_s)),
            quiet_since: at(self.quiet_since_s),
            quiet_from: Span::seconds(self.quiet_from_s.into()),
        }
    }
}

impl Usage {
    /// What `path` remembers, and the other end of the queue of first uses.
    pub fn open(path: PathBuf, clock: Clock) -> (Self, mpsc::Receiver<FirstUse>) {
        let (first_uses, receiver) = mpsc::channel(FIRST_USES);
        let (file, observed) = UsageFile::open(path, clock.now());
        let counted_to = clock.uptime();
        let tokens = HashMap::default();
        let known = Known { tokens, changed: Vec::new(), swept_at: clock.now(), observed, counted_to };
        (Self(Arc::new(Shared { clock, known: Mutex::new(known), file, first_uses })), receiver)
    }

    /// Tells the keyring of a first use. `false` if it has no room: somebody must tell it again.
    pub fn tell(&self, first: FirstUse) -> bool {
        self.0.first_uses.try_send(first).is_ok()
    }

    /// When `token` was last used, to the second, up to the last fold of each worker.
    pub fn last_used(&self, token: TokenId) -> Option<Timestamp> {
        let known = self.known().record(token);
        known.or_else(|| self.0.file.record(token)).and_then(|record| record.last_used)
    }

    /// How long, and since when, the old token `token` of a renewal opened at `opened_at` has not been used, counting
    /// only observed time. Quiet before the renewal does not count: the first call begins to watch.
    pub fn quiet(&self, token: TokenId, opened_at: Timestamp) -> (Span, Timestamp) {
        let now = self.0.clock.now();
        let mut known = self.known();
        known.observe(&self.0.clock);
        let record = known.record(token).or_else(|| self.0.file.record(token));
        // To the second, as it is kept.
        let counts = |record: &Record| record.quiet_since.as_seconds() >= opened_at.as_seconds();
        let record = record.filter(counts).unwrap_or_else(|| {
            let last_used = record.and_then(|record| record.last_used);
            let watched = Record { last_used, quiet_since: now, quiet_from: known.observed };
            known.keep(token, watched);
            watched
        });
        let quiet = Span::millis(known.observed.as_millis().saturating_sub(record.quiet_from.as_millis()));
        (quiet, record.quiet_since)
    }

    /// Writes what has changed to the file, and lets go of what has long been quiet. Blocks on the disk.
    ///
    /// No lock is held meanwhile: a fold never waits for the disk.
    pub fn flush(&self) {
        let (rows, observed) = {
            let mut known = self.known();
            known.observe(&self.0.clock);
            (known.take_changed(), known.observed)
        };
        let written = self.0.file.write(&rows, observed);
        let mut known = self.known();
        if written {
            known.sweep(self.0.clock.now());
        } else {
            for (token, _) in rows {
                known.mark(token.as_bits().to_be_bytes());
            }
        }
    }

    /// The last flush: from now on nothing is observed, and the file says that nothing was missed.
    pub fn close(&self) {
        self.flush();
        self.0.file.close();
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
        self.tokens.get(&token.as_bits().to_be_bytes()).map(|seen| seen.record())
    }

    fn keep(&mut self, token: TokenId, record: Record) {
        let token = token.as_bits().to_be_bytes();
        let changed = self.tokens.get(&token).is_some_and(|seen| seen.changed);
        self.tokens.insert(token, Seen { changed, ..Seen::of(record) });
        self.mark(token);
    }

    fn mark(&mut self, token: [u8; 16]) {
        if let Some(seen) = self.tokens.get_mut(&token).filter(|seen| !seen.changed) {
            seen.changed = true;
            self.changed.push(token);
        }
    }

    fn take_changed(&mut self) -> Vec<(TokenId, Record)> {
        let mut rows = Vec::with_capacity(self.changed.len());
        for token in std::mem::take(&mut self.changed) {
            if let Some(seen) = self.tokens.get_mut(&token) {
                seen.changed = false;
                rows.push((TokenId::from_bits(u128::from_be_bytes(token)), seen.record()));
            }
        }
        rows
    }

    /// Lets go of what has long been quiet and is in the file.
    fn sweep(&mut self, now: Timestamp) {
        if now.since(self.swept_at) >= SWEEP {
            self.swept_at = now;
            self.tokens.retain(|_, seen| seen.changed || now.since(seen.record().quiet_since) < IN_MEMORY);
        }
    }
}

/// One worker's own note of the tokens it has seen since the last fold.
pub struct Tally {
    usage: Usage,
    seen: HashMap<TokenId, Timestamp, RandomState>,
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
            // Another worker may have told of a later use already.
            let last = known.record(token).and_then(|record| record.last_used).map_or(at, |known| known.max(at));
            known.keep(token, Record { last_used: Some(last), quiet_since: last, quiet_from });
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

    // Once, a worker that told late of an earlier use set the beginning of quiet back behind the last use.
    #[test]
    fn an_earlier_use_that_is_told_late_does_not_date_quiet_back() {
        let dir = tempfile::tempdir().expect("dir");
        let clock = Clock::manual(START);
        let (usage, _first_uses) = Usage::open(dir.path().join("usage.redb"), clock.clone());
        let mut late = Tally::new(usage.clone());
        late.note(token(1), START);
        clock.advance(Span::seconds(1));
        used(&usage, token(1), clock.now());
        late.fold();
        assert_eq!(usage.quiet(token(1), START), (Span::ZERO, clock.now()));
        assert_eq!(usage.last_used(token(1)), Some(clock.now()));
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
    fn the_last_use_of_a_token_long_quiet_is_in_the_file_alone() {
        let dir = tempfile::tempdir().expect("dir");
        let clock = Clock::manual(START);
        let (usage, _first_uses) = Usage::open(dir.path().join("usage.redb"), clock.clone());
        used(&usage, token(1), START);
        clock.advance(Span::hours(23));
        used(&usage, token(2), clock.now());
        clock.advance(Span::hours(2));
        usage.flush();
        assert_eq!(usage.known().record(token(1)), None);
        assert!(usage.known().record(token(2)).is_some());
        assert_eq!(usage.last_used(token(1)), Some(START));
    }

    #[test]
    fn what_could_not_be_written_is_written_later() {
        let dir = tempfile::tempdir().expect("dir");
        let folder = dir.path().join("away");
        let (path, clock) = (folder.join("usage.redb"), Clock::manual(START));
        let (usage, _first_uses) = Usage::open(path.clone(), clock.clone()); // there is no such folder
        used(&usage, token(1), START);
        usage.flush();
        assert_eq!(usage.last_used(token(1)), Some(START));
        std::fs::create_dir(folder).expect("folder");
        usage.close();
        drop(usage);
        let (usage, _first_uses) = Usage::open(path, clock);
        assert_eq!(usage.last_used(token(1)), Some(START));
    }

    #[test]
    fn quiet_that_began_within_a_second_is_never_told_too_long() {
        let dir = tempfile::tempdir().expect("dir");
        let clock = Clock::manual(START.plus(Span::millis(1)));
        let (usage, _first_uses) = Usage::open(dir.path().join("usage.redb"), clock.clone());
        clock.advance(Span::millis(1));
        assert_eq!(usage.quiet(token(1), clock.now()).0, Span::ZERO);
        clock.advance(Span::minutes(1));
        let (quiet, since) = usage.quiet(token(1), START.plus(Span::millis(2)));
        assert!(quiet <= Span::minutes(1) && quiet >= Span::seconds(59), "{quiet}");
        assert_eq!(since, START);
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
