//! A start with many keys in the store's file, and a change from durable to in force.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use relevo::clock::Clock;
use relevo::domain::{ApiKey, Realm, Status};
use relevo::store::{KeyRef, Store, What, Write, embedded::EmbeddedStore};
use relevo::usage::Usage;

use crate::memory::{Whole, cpu_seconds, mebibytes, resident, runtime};
use crate::times::Times;
use crate::{alone, keys, tell};

/// How many keys one commit writes while the store is built.
const BATCH: u64 = 20_000;

pub(crate) fn measure(count: u64) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("store.redb");
    let begun = Instant::now();
    alone(&["--build", &path.to_string_lossy(), &count.to_string()])?;
    let bytes = std::fs::metadata(&path)?.len();
    let took = begun.elapsed().as_secs_f64();
    tell(&format!("store of {count} keys: built"), format!("{took:.1} s, {:.1} MiB", mebibytes(bytes)))?;

    let before = resident()?;
    let (begun, cpu) = (Instant::now(), cpu_seconds()?);
    let store = EmbeddedStore::open(&path).map_err(io::Error::other)?;
    let opened = begun.elapsed().as_secs_f64();
    let (usage, _first_uses) = Usage::open(folder.path().join("usage.redb"), Clock::system());
    let store: Arc<dyn Store> = Arc::new(store);
    let (whole, follower) = Whole::over(Arc::clone(&store), count, usage);
    let feed_of = Arc::clone(&store);
    whole.follow(follower, move || feed_of.subscribe());
    let (ready, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    let known = u64::try_from(whole.index.len()).unwrap_or_default();
    tell(
        &format!("store of {count} keys: ready"),
        format!("{ready:.2} s, {opened:.2} of them to check the file; {cpu:.2} s CPU"),
    )?;
    assert_eq!(known, count, "the index does not know every token");
    let used = mebibytes(resident()?.saturating_sub(before));
    tell(&format!("store of {count} keys: memory, store's cache included"), format!("{used:.1} MiB"))?;
    in_force(&whole, store.as_ref(), count)
}

/// Makes a store of `count` keys at `path`.
pub(crate) fn build(path: &Path, count: u64) -> io::Result<()> {
    let store = EmbeddedStore::open(path).map_err(io::Error::other)?;
    let runtime = runtime()?;
    let mut next = 0;
    while next < count {
        let end = count.min(next + BATCH);
        let create = |number| Write { realm: Realm::Gateway, what: What::Create(young(number)), events: Vec::new() };
        runtime.block_on(store.commit((next..end).map(create).collect())).map_err(io::Error::other)?;
        next = end;
    }
    Ok(())
}

/// Key `number` with a token made now, which is good for as long as tokens are, and used: a first use is a write.
fn young(number: u64) -> ApiKey {
    let (mut key, now) = (keys::key(number), Clock::system().now());
    key.tokens.each_mut().for_each(|token| (token.created_at, token.first_used_at) = (now, Some(now)));
    key
}

/// How long after the store has answered a commit a look-up sees it; nothing if it was there before the answer.
fn in_force(whole: &Whole, store: &dyn Store, count: u64) -> io::Result<()> {
    let runtime = runtime()?;
    let (mut commits, mut times) = (Times::with_capacity(300), Times::with_capacity(300));
    for round in 0..300 {
        let key = KeyRef::Id(keys::key(keys::scattered(round) % count).id);
        let stored = runtime.block_on(store.load(Realm::Gateway, key)).map_err(io::Error::other)?;
        let Some(stored) = stored else { continue };
        let mut key = stored.value.as_ref().clone();
        let active = key.status == Status::Active;
        key.status = if active { Status::Inactive } else { Status::Active };
        let Some(digest) = key.digests().next() else { continue };
        let write = Write { realm: Realm::Gateway, what: What::Replace(key, stored.revision), events: Vec::new() };
        let begun = Instant::now();
        runtime.block_on(store.commit(vec![write])).map_err(io::Error::other)?;
        let durable = Instant::now();
        while whole.index.find(&digest).is_some_and(|pass| pass.is_active()) == active {
            std::hint::spin_loop();
        }
        times.add(durable.elapsed());
        commits.add(durable.duration_since(begun));
    }
    tell(&format!("store of {count} keys: one durable commit"), commits.sorted())?;
    tell(&format!("store of {count} keys: from durable to in force"), times.sorted())
}
