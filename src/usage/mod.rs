//! Which token was used when, how often, by whom during a renewal, and how long an old one has been quiet.
//!
//! Promises: last use is known to the second; noting one costs a worker a look into its own small map, no lock and
//! no write to shared memory; only time in which the gateway ran counts as quiet; memory is bounded.
//! Deliberately does not: decide anything. First uses are facts of the key and go on to the keyring.
//!
//! What is here may be lost with its file and costs no key: quiet then starts anew.

mod callers;
mod file;
mod known;
mod seen;
mod tally;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::clock::Clock;
use crate::domain::{KeyId, Realm, Span, Timestamp, TokenId};

pub use crate::store::beside::Away;
pub use callers::TokenCaller;
use file::UsageFile;
use known::Known;
pub use seen::Requests;
use seen::Seen;
pub use tally::{By, Tally, Use};

/// How many first uses may wait for the keyring; one that finds no room is told again by the next request.
const FIRST_USES: usize = 16_384;

/// Within this time every worker tells what it has noted when it is asked, or does not.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

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
    /// How often the workers were asked to tell.
    asked: watch::Sender<u64>,
    /// For each worker, the last time of those that it has answered.
    workers: Mutex<Vec<watch::Receiver<u64>>>,
}

impl Usage {
    /// What `path` remembers, and the other end of the queue of first uses.
    pub fn open(path: PathBuf, clock: Clock) -> (Self, mpsc::Receiver<FirstUse>) {
        let (first_uses, receiver) = mpsc::channel(FIRST_USES);
        let known = Mutex::new(Known::new(&clock));
        let file = UsageFile::new(path, &clock);
        let (asked, workers) = (watch::Sender::new(0), Mutex::default());
        let usage = Self(Arc::new(Shared { clock, known, file, first_uses, asked, workers }));
        if usage.ready().is_ok() {
            usage.write().ok(); // from now on a gateway runs on the file
        }
        (usage, receiver)
    }

    /// Tells the keyring of a first use. `false` if it has no room: somebody must tell it again.
    pub fn tell(&self, first: FirstUse) -> bool {
        self.0.first_uses.try_send(first).is_ok()
    }

    /// Notes one use at once: for the few calls of a place that has no [`Tally`].
    pub fn note(&self, used: Use<'_>) {
        let (noted, caller) = tally::single(used);
        self.known().take_in(&self.0.clock, std::iter::once((used.token, noted)), caller.into_iter());
    }

    /// When `token` was last used, to the second, up to the last fold of each worker. `Err`: that is in a file that cannot be
    /// read now.
    pub fn last_used(&self, token: TokenId) -> Result<Option<Timestamp>, Away> {
        Ok(self.seen(token)?.and_then(|seen| seen.last_used()))
    }

    /// How often `token` was used of late, up to the last fold of each worker. `Err`: as of [`Usage::last_used`].
    pub fn requests(&self, token: TokenId) -> Result<Requests, Away> {
        let now = self.0.clock.now();
        Ok(self.seen(token)?.map(|seen| seen.requests(now)).unwrap_or_default())
    }

    fn seen(&self, token: TokenId) -> Result<Option<Seen>, Away> {
        let known = self.known().seen(token);
        known.map_or_else(|| Ok(self.0.file.record(token)?.map(|row| row.seen)), |seen| Ok(Some(seen)))
    }

    /// The twenty heaviest callers of `token`, one of a renewal, that have used it since `since`.
    pub fn callers(&self, token: TokenId, since: Timestamp) -> Vec<TokenCaller> {
        let since = since.max(self.0.clock.now().minus(callers::KNOWN_FOR));
        self.known().callers(token).map(|callers| callers.heaviest(since)).unwrap_or_default()
    }

    /// Since when every use has been noted, by the time as it is known now: the start of this process, or the loss of the file.
    pub fn observed_since(&self) -> Timestamp {
        self.0.clock.time_of(self.0.file.whole_since())
    }

    /// Has every worker tell what it has noted. `false` if one did not within two seconds.
    pub async fn gather(&self) -> bool {
        let mut asked = 0;
        self.0.asked.send_modify(|times| {
            *times += 1;
            asked = *times;
        });
        let workers = {
            let mut workers = self.0.workers.lock().unwrap_or_else(PoisonError::into_inner);
            workers.retain(|told| told.has_changed().is_ok()); // a worker that is gone has told all
            workers.clone()
        };
        let every = async {
            for mut told in workers {
                told.wait_for(|told| *told >= asked).await.ok(); // as above
            }
        };
        tokio::time::timeout(TOLD_WITHIN, every).await.is_ok()
    }

    fn enrol(&self) -> (watch::Receiver<u64>, watch::Sender<u64>) {
        let asked = self.0.asked.subscribe();
        let told = watch::Sender::new(*asked.borrow());
        self.0.workers.lock().unwrap_or_else(PoisonError::into_inner).push(told.subscribe());
        (asked, told)
    }

    /// Lets go of the callers of `token`, which is not one of a renewal any more.
    pub fn renewal_over(&self, token: TokenId) {
        self.known().unwatch(token);
    }

    /// Nothing is to be known of `token` any more, which has ended.
    pub fn ended(&self, token: TokenId) {
        self.known().end(token);
    }

    /// `token` is in force, even if it had ended: it may have come back from a backup.
    pub fn lives(&self, token: TokenId) {
        self.known().live(token);
    }

    /// How long, and since when, the old token `token` of a renewal opened at `opened_at` has not been used, counting
    /// only observed time. Quiet before the renewal does not count: the first call begins to watch. While the file cannot be
    /// read, a token that is only there has not been quiet at all.
    pub fn quiet(&self, token: TokenId, opened_at: Timestamp) -> (Span, Timestamp) {
        self.find_quiet(token, opened_at).unwrap_or_else(|Away| (Span::ZERO, self.0.clock.now()))
    }

    /// Since when it has been quiet, as of [`Usage::quiet`]; `None`: that is in a file that cannot be read now.
    pub fn quiet_since(&self, token: TokenId, opened_at: Timestamp) -> Option<Timestamp> {
        self.find_quiet(token, opened_at).ok().map(|(_, since)| since)
    }

    fn find_quiet(&self, token: TokenId, opened_at: Timestamp) -> Result<(Span, Timestamp), Away> {
        let now = self.0.clock.now();
        let mut known = self.known();
        known.observe(&self.0.clock);
        let quiet = match known.quiet(token) {
            Some(quiet) => Some(quiet),
            None => self.0.file.record(token)?.and_then(|row| row.quiet),
        };
        // To the second, as it is kept. While a clock that was set back is before the opening, it tells nothing.
        let quiet = quiet.filter(|quiet| now < opened_at || quiet.since.as_seconds() >= opened_at.as_seconds());
        let quiet = quiet.unwrap_or_else(|| known.watch(token, now));
        Ok((known.observed().less(quiet.from), quiet.since))
    }

    /// Writes what has changed to the file, and lets go of what has long been quiet. Blocks on the disk.
    ///
    /// No lock is held meanwhile: a fold never waits for the disk.
    pub fn flush(&self) {
        self.try_flush().ok(); // what could not be written is written by the next
    }

    /// The last flushes: from now on nothing is observed, and the file says that nothing was missed, if nothing was.
    pub fn close(&self) {
        self.flush();
        // Without what ended just before.
        if self.try_flush().is_ok() {
            self.0.file.say_whole();
        }
        self.0.file.close();
    }

    /// Why the file of uses cannot be read or written, if so.
    pub fn trouble(&self) -> Option<String> {
        self.0.file.trouble()
    }

    fn try_flush(&self) -> Result<(), Away> {
        self.ready()?;
        if self.known().must_load() {
            let before = self.0.clock.now().minus(known::IN_MEMORY);
            let mut is_any = false;
            let absorb = |rows: &[_]| {
                is_any = true;
                self.known().absorb(rows);
            };
            let loaded = self.0.file.used_since(before, absorb);
            if loaded.is_ok() || is_any {
                self.known().is_loaded(); // what was absorbed must not be absorbed again
            }
            loaded?;
        }
        self.write()?;
        self.known().sweep(self.0.clock.now());
        Ok(())
    }

    /// Has the file open, and knows what is in it.
    fn ready(&self) -> Result<(), Away> {
        match self.0.file.ready(&self.0.clock)? {
            Some(file::Opened::First(observed, callers)) => self.known().begin(&self.0.clock, observed, callers),
            Some(file::Opened::Anew) => self.known().tell_all(),
            Some(file::Opened::Again) | None => {}
        }
        Ok(())
    }

    fn write(&self) -> Result<(), Away> {
        let (news, observed) = {
            let mut known = self.known();
            known.observe(&self.0.clock);
            (known.take_news(), known.observed())
        };
        self.0.file.write(&news, observed).inspect_err(|Away| self.known().still_news(news))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
