//! A device that fails and comes back: errors at once, no loss, feeds that start anew.
//!
//! Promises: failures at every step of a commit; waiting is for a condition, with a deadline.
//! Deliberately does not: cut the power. `power_cut` does.

use std::time::{Duration, Instant};

use super::disk::{Disk, Failure};
use super::*;
use crate::store::contract::{Mirror, create, id, key};
use crate::store::{Conflict, Notice};

/// How long anything here may take that should take a moment.
const SOON: Duration = Duration::from_secs(30);
/// An answer that did not wait for the device.
const QUICK: Duration = Duration::from_secs(5);

fn open(disk: &Disk) -> EmbeddedStore {
    let disk = disk.clone();
    EmbeddedStore::open_with(move || disk.try_backend()).expect("a good disk")
}

/// Waits until the store answers again.
async fn until_open(store: &EmbeddedStore) {
    let deadline = Instant::now() + SOON;
    while let Err(error) = store.settings().await {
        assert!(Instant::now() < deadline, "still away: {error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_dead_device_is_answered_at_once_and_its_return_noticed() {
    let disk = Disk::default();
    let store = open(&disk);
    let last = store.commit(vec![create(&key(1, "before"))]).await.expect("committed");
    let (mut feed, mut mirror) = (store.subscribe(), Mirror::default());
    mirror.follow(&mut *feed, last).await;
    disk.fail(Failure::Everything, 0);
    for attempt in 0..5 {
        let began = Instant::now();
        let failed = store.commit(vec![create(&key(2, "during"))]).await;
        assert!(matches!(failed, Err(StoreError::Unavailable(_))), "attempt {attempt}: {failed:?}");
        assert!(began.elapsed() < QUICK, "attempt {attempt} took {:?}", began.elapsed());
    }
    let (mut late, mut late_mirror) = (store.subscribe(), Mirror::default());
    assert!(matches!(late_mirror.take(&mut *late).await, Notice::Reset));
    disk.heal();
    until_open(&store).await;
    let last = match store.commit(vec![create(&key(2, "during"))]).await {
        Ok(last) => last,
        other => panic!("nothing reached the dead device: {other:?}"),
    };
    mirror.follow(&mut *feed, last).await;
    assert_eq!((mirror.resets, mirror.keys.len()), (2, 2));
    late_mirror.follow(&mut *late, last).await;
    assert_eq!(late_mirror.keys.len(), 2);
}

#[tokio::test]
async fn a_full_disk_fails_a_commit_whole_wherever_it_fills_up() {
    let mut outcomes = [0, 0];
    for good_steps in 0.. {
        let disk = Disk::default();
        let store = open(&disk);
        store.commit(vec![create(&key(1, "before"))]).await.expect("committed");
        disk.fail(Failure::Writing, good_steps);
        let during = store.commit(vec![create(&key(2, "during"))]).await;
        disk.heal();
        let Err(error) = during else { break };
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        until_open(&store).await;
        assert!(whole(&store, 1).await, "what was answered is there");
        outcomes[usize::from(whole(&store, 2).await)] += 1;
        match store.commit(vec![create(&key(3, "after"))]).await {
            Ok(_) => assert!(whole(&store, 3).await),
            other => panic!("after {good_steps} good steps: {other:?}"),
        }
    }
    assert!(outcomes[0] > 0, "no failure came before the write: {outcomes:?}");
}

#[tokio::test]
async fn whether_changes_are_taken_is_told_by_the_last_one_and_else_tried() {
    let disk = Disk::default();
    let store = open(&disk);
    store.commit(vec![create(&key(1, "before"))]).await.expect("committed");
    let steps = disk.steps();
    store.takes_changes().await.expect("the last was taken");
    assert_eq!(disk.steps(), steps, "nothing is tried while all is well");

    disk.fail(Failure::Writing, 0);
    store.takes_changes().await.expect("nobody has tried yet");
    store.commit(vec![create(&key(2, "during"))]).await.expect_err("the disk is full");
    disk.heal();
    until_open(&store).await;
    disk.fail(Failure::Writing, 0);
    let told = store.takes_changes().await;
    assert!(matches!(told, Err(StoreError::Unavailable(_))), "{told:?}");

    disk.heal();
    until_open(&store).await;
    store.takes_changes().await.expect("there is room again");
    let steps = disk.steps();
    store.takes_changes().await.expect("as before");
    assert_eq!(disk.steps(), steps);
    assert!(whole(&store, 1).await && !whole(&store, 2).await);
}

/// Whether key `number` is there, with its digest and event; half of it is a failure.
async fn whole(store: &EmbeddedStore, number: u64) -> bool {
    let living = store.load(Realm::Gateway, KeyRef::Id(id(number))).await.expect("read").is_some();
    let digest = crate::store::contract::digest(number);
    let by_digest = store.find_digest(Realm::Gateway, digest).await.expect("read").is_some();
    let query = EventQuery { key: Some(id(number)), limit: 9, ..EventQuery::default() };
    let told = store.events(query).await.expect("read").events.len() == 1;
    assert_eq!([by_digest, told], [living, living], "key {number} is half there");
    living
}

#[tokio::test]
async fn a_disk_that_comes_back_older_is_refused() {
    let disk = Disk::default();
    let store = open(&disk);
    store.commit(vec![create(&key(1, "first"))]).await.expect("committed");
    let older = Disk::holding(disk.bytes());
    drop(open(&older)); // closed in order, as a backup is
    store.commit(vec![create(&key(2, "second"))]).await.expect("committed");
    for bytes in [older.bytes(), Vec::new()] {
        disk.fail(Failure::Everything, 0);
        let failed = store.commit(vec![create(&key(3, "third"))]).await;
        assert!(matches!(failed, Err(StoreError::Unavailable(_) | StoreError::Corrupt(_))), "{failed:?}");
        let deadline = Instant::now() + SOON;
        disk.replace(bytes);
        disk.heal();
        while !matches!(store.settings().await, Err(StoreError::Corrupt(_))) {
            assert!(Instant::now() < deadline, "the older disk was not noticed");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn a_feed_in_the_middle_of_its_listing_begins_again_after_a_failure() {
    const KEYS: u64 = 6_000; // more slices than are read ahead
    let disk = Disk::default();
    let store = open(&disk);
    let creates = (0..KEYS).map(|number| create(&key(number, &format!("key {number}")))).collect();
    let last = store.commit(creates).await.expect("committed");
    let (mut feed, mut mirror) = (store.subscribe(), Mirror::default());
    while mirror.keys.is_empty() {
        mirror.take(&mut *feed).await;
    }
    disk.fail(Failure::Everything, 0);
    let failed = store.commit(vec![create(&key(KEYS, "late"))]).await;
    assert!(matches!(failed, Err(StoreError::Unavailable(_))), "{failed:?}");
    disk.heal();
    until_open(&store).await;
    mirror.follow(&mut *feed, last).await;
    assert_eq!((mirror.resets, mirror.keys.len() as u64), (2, KEYS));
}

#[tokio::test]
async fn a_refusal_is_no_failure() {
    let store = open(&Disk::default());
    store.commit(vec![create(&key(1, "first"))]).await.expect("committed");
    let (mut feed, mut mirror) = (store.subscribe(), Mirror::default());
    let taken = store.commit(vec![create(&key(2, "first"))]).await;
    assert!(matches!(taken, Err(StoreError::Conflict(Conflict::NameTaken))), "{taken:?}");
    let last = store.commit(vec![create(&key(2, "second"))]).await.expect("committed");
    mirror.follow(&mut *feed, last).await;
    assert_eq!(mirror.resets, 1);
}
