//! Memory per token, and look-ups at rest and under change.

use std::hint::black_box;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use relevo::catalog::Catalog;
use relevo::clock::Clock;
use relevo::domain::{
    Actor, ApiKey, Digest, Origin, Plan, Prefix, Realm, Renewal, Revision, Slot, Span, Status, Token, TokenId, Tokens,
};
use relevo::index::Index;
use relevo::keyring::{Follower, Keyring, Parts, follow};
use relevo::store::{Feed, Notice, Store, embedded::EmbeddedStore};
use relevo::usage::{By, Tally, Usage, Use};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::keys::{self, Text, Told};
use crate::tell;
use crate::times::Times;

/// How many changes a second the index takes while look-ups are timed.
const CHANGES_PER_SECOND: u64 = 10_000;
/// How many different tokens are looked up.
const TEXTS: u64 = 400_000;

/// The whole of what is measured: index, catalogue and usage, and the keyring that fills them.
pub(crate) struct Whole {
    pub(crate) index: Index,
    pub(crate) keyring: Keyring,
    pub(crate) usage: Usage,
}

impl Whole {
    /// Empty, over `store`, and the writers that fill it. Room is reserved for `keys` digests, as the product does.
    pub(crate) fn over(store: Arc<dyn Store>, keys: u64, usage: Usage) -> (Self, Follower) {
        let (index, writer) = Index::with_capacity(usize::try_from(keys).unwrap_or_default());
        let (admins, admins_writer) = Index::with_capacity(1);
        let keyring = Keyring::new(Parts {
            store,
            catalog: Catalog::default(),
            keys: index.clone(),
            admins,
            usage: usage.clone(),
            clock: Clock::system(),
            prefix: Prefix::default(),
            remember: Span::days(90),
        });
        (Self { index, keyring, usage }, Follower { keys: writer, admins: admins_writer })
    }

    /// Follows `feed` on a thread with a runtime of its own, as the product does, and waits until all is loaded.
    pub(crate) fn follow(&self, follower: Follower, feed: impl FnOnce() -> Box<dyn Feed> + Send + 'static) {
        let keyring = self.keyring.clone();
        thread::spawn(move || {
            runtime().map(|runtime| runtime.block_on(async { follow(keyring, follower, feed()).await }))
        });
        while !self.index.is_loaded() {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

pub(crate) fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// The memory of this process that is resident, in bytes.
pub(crate) fn resident() -> io::Result<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm")?;
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.map(|pages| pages * 4_096).ok_or_else(|| io::Error::other("/proc/self/statm is not as expected"))
}

/// CPU time of all living threads of this process so far, in seconds.
pub(crate) fn cpu_seconds() -> io::Result<f64> {
    let mut seconds = 0.0;
    for thread in std::fs::read_dir("/proc/self/task")? {
        let times = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        let nanos = times.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok());
        seconds += nanos.unwrap_or_default() / 1e9;
    }
    Ok(seconds)
}

pub(crate) fn measure(count: u64) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let store = EmbeddedStore::open(folder.path().join("store.redb")).map_err(io::Error::other)?;
    let (usage, _first_uses) = Usage::open(folder.path().join("usage.redb"), Clock::system());
    let (changes, received) = unbounded_channel();
    let before = resident()?;
    let (whole, follower) = Whole::over(Arc::new(store), count, usage);
    let (begun, cpu) = (Instant::now(), cpu_seconds()?);
    whole.follow(follower, move || Box::new(Told::new(count, received)));
    let (took, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    tell(&format!("{count} keys: filled from a feed in memory"), format!("{took:.2} s, {cpu:.2} s CPU"))?;
    settle(&whole, count, &changes);
    tell_memory(count, before, "index, catalogue")?;
    use_all(&whole.usage, count);
    whole.usage.flush();
    settle(&whole, count, &changes);
    tell_memory(count, before, "index, catalogue, usage (every token used today)")?;

    let texts: Vec<Text> = (0..TEXTS).map(|at| keys::text(keys::scattered(at ^ 0xface) % count)).collect();
    let clock = Times::of_the_clock();
    tell(&format!("{count} keys: one read of memory of that size"), read_chain(count).sorted().less(clock))?;
    tell(&format!("{count} keys: of a look-up, the hash (SHA-256)"), hash(&texts).sorted().less(clock))?;
    look_up(&whole.index, &texts);
    let at_rest = look_up(&whole.index, &texts).sorted().less(clock);
    tell(&format!("{count} keys: look-up at rest (hash and map)"), at_rest)?;
    under_change(&whole, count, &changes, &texts, clock)?;
    in_force(&whole, count, &changes)
}

fn tell_memory(count: u64, before: u64, of: &str) -> io::Result<()> {
    let used = resident()?.saturating_sub(before);
    tell(&format!("{count} keys: {of}"), format!("{} B a token, {:.1} MiB in all", used / count, mebibytes(used)))
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
pub(crate) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

/// Changes keys for a while, as a gateway does that runs: the allocator gives back what was needed only to grow.
fn settle(whole: &Whole, count: u64, changes: &UnboundedSender<Vec<Notice>>) {
    for round in 0..500 {
        let key = Arc::new(keys::key(keys::scattered(round) % count));
        let revision = Revision(whole.keyring.revision().0 + 1);
        changes.send(vec![Notice::Put(Realm::Gateway, revision, key), Notice::Synced(revision)]).ok();
        thread::sleep(Duration::from_millis(5));
    }
}

/// Reads at random, each from where the last one says, over the memory that the tokens' passes take: what a miss of
/// every cache costs on this machine now. A look-up has three that wait for each other.
fn read_chain(count: u64) -> Times {
    const LINE: usize = 16; // 128 bytes
    let lines = usize::try_from(count).unwrap_or(1);
    let mut memory = vec![0_u64; lines * LINE];
    for (at, place) in memory.iter_mut().enumerate().step_by(LINE) {
        *place = keys::scattered(at as u64) % count;
    }
    let (mut times, mut at, mut jump) = (Times::with_capacity(400_000), 0, 0);
    for _ in 0..400_000 {
        let begun = Instant::now();
        at = usize::try_from((black_box(memory[at * LINE]) + jump) % count).unwrap_or_default();
        jump += 1; // or a short cycle would stay in the cache
        black_box(at);
        times.add(begun.elapsed());
    }
    times
}

/// Has every token used, in folds of the size that a busy second makes.
fn use_all(usage: &Usage, count: u64) {
    let mut tally = Tally::new(usage.clone());
    for number in 0..count {
        for token in keys::key(number).tokens.each() {
            let by = By { address: Ipv4Addr::LOCALHOST.into(), user_agent: None, route: "/" };
            tally.note(Use { token: token.id, slot: Slot::Current, at: Clock::system().now(), by });
        }
        if number % 10_000 == 0 {
            tally.fold();
        }
        if number % 500_000 == 0 {
            usage.flush();
        }
    }
    tally.fold();
}

fn hash(texts: &[Text]) -> Times {
    let mut times = Times::with_capacity(texts.len());
    for text in texts {
        let begun = Instant::now();
        black_box(Digest::of(black_box(text)));
        times.add(begun.elapsed());
    }
    times
}

fn look_up(index: &Index, texts: &[Text]) -> Times {
    let mut times = Times::with_capacity(texts.len());
    for text in texts {
        let begun = Instant::now();
        let found = index.find(&Digest::of(black_box(text)));
        times.add(begun.elapsed());
        assert!(found.is_some(), "a token of a key is not known");
    }
    times
}

/// Look-ups while renewals open and close at [`CHANGES_PER_SECOND`].
fn under_change(
    whole: &Whole,
    count: u64,
    changes: &UnboundedSender<Vec<Notice>>,
    texts: &[Text],
    clock: u32,
) -> io::Result<()> {
    let (stop, sent, first) = (AtomicBool::new(false), AtomicU64::new(0), whole.keyring.revision().0);
    let (times, rate) = thread::scope(|scope| {
        scope.spawn(|| change((count, first), changes, (&stop, &sent)));
        let begun = Instant::now();
        let mut times = Times::with_capacity(0);
        while begun.elapsed() < Duration::from_secs(5) {
            times.append(look_up(&whole.index, texts));
        }
        let applied = whole.keyring.revision().0 - first;
        stop.store(true, Ordering::Relaxed);
        (times, applied * 1_000 / u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX))
    });
    tell(&format!("{count} keys: look-up under {rate} changes a second"), times.sorted().less(clock))?;
    while whole.keyring.revision().0 < first + sent.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(1)); // what was sent is applied before anything else is measured
    }
    Ok(())
}

fn change((count, first): (u64, u64), changes: &UnboundedSender<Vec<Notice>>, (stop, sent): (&AtomicBool, &AtomicU64)) {
    let begun = Instant::now();
    let mut revision = 0;
    while !stop.load(Ordering::Relaxed) {
        let due = u64::try_from(begun.elapsed().as_micros()).unwrap_or_default() * CHANGES_PER_SECOND / 1_000_000;
        while revision < due {
            revision += 1;
            let key = keys::key(keys::scattered(revision / 2) % count);
            let key = if revision % 2 == 0 { renewing(key) } else { key };
            let revision = Revision(first + revision);
            let put = Notice::Put(Realm::Gateway, revision, Arc::new(key));
            changes.send(vec![put, Notice::Synced(revision)]).ok();
        }
        sent.store(revision, Ordering::Relaxed);
        thread::sleep(Duration::from_micros(500));
    }
}

/// The key with a renewal open.
fn renewing(mut key: ApiKey) -> ApiKey {
    let Tokens::Single { current } = key.tokens.clone() else { return key };
    let bits = current.id.as_bits() ^ 1;
    let opened_at = key.created_at.plus(Span::hours(1));
    let new = Token::of_digest(Digest::of(&bits.to_be_bytes()), TokenId::from_bits(bits), opened_at, Origin::Renewed);
    let renewal = Renewal { opened_at, opened_by: Actor::named("root"), plan: Plan::LATER, held: false };
    key.tokens = Tokens::Renewing { old: current, new, renewal };
    key
}

/// How long after a change is announced a look-up sees it: one change at a time.
fn in_force(whole: &Whole, count: u64, changes: &UnboundedSender<Vec<Notice>>) -> io::Result<()> {
    let mut times = Times::with_capacity(2_000);
    for round in 0..2_000 {
        let mut key = keys::key(keys::scattered(round) % count);
        let Some(digest) = key.digests().next() else { continue };
        let active = whole.index.find(&digest).is_some_and(|pass| pass.is_active());
        key.status = if active { Status::Inactive } else { Status::Active };
        let revision = Revision(whole.keyring.revision().0 + 1);
        let notices = vec![Notice::Put(Realm::Gateway, revision, Arc::new(key)), Notice::Synced(revision)];
        thread::sleep(Duration::from_micros(200));
        let begun = Instant::now();
        changes.send(notices).map_err(|_| io::Error::other("nobody follows the feed"))?;
        while whole.index.find(&digest).is_some_and(|pass| pass.is_active()) == active {
            std::hint::spin_loop();
        }
        times.add(begun.elapsed());
    }
    tell(&format!("{count} keys: from announced to in force"), times.sorted())
}
