//! Power cuts: whatever part of the unsynced writes reaches the disk, every answered commit is whole.
//!
//! A workload runs on a disk that logs its writes and syncs. A cut keeps everything up to the last sync and of the
//! later writes any sectors of 512 bytes. The store is opened from what is left and compared, row by row, with what
//! it held after the last answered commit, or after the one that was under way.
//! Promises: the same cuts find out commits that are not durable.
//! Deliberately does not: cut while a store is being made; that one appears under its name when it is whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use redb::{Durability, ReadableTable};

use super::EmbeddedStore;
use super::disk::{Disk, Step, apply};
use super::engine::Engine;
use super::open::Opener;
use crate::domain::{Action, ApiKey, Realm, Revision, Settings, Timestamp};
use crate::store::contract::{NOW, create, draft, key, renewed, write};
use crate::store::feed::Changes;
use crate::store::{KeyRef, Store, What, Write};

const SECTOR: usize = 512;
const COMMITS: u64 = 120;
const CUTS: usize = 1_500;

/// Every row of every table.
type Rows = BTreeMap<(&'static str, Vec<u8>), Vec<u8>>;

fn rows(engine: &Arc<Engine>) -> Rows {
    let read = engine.read_here(|tables| {
        let mut rows = Rows::new();
        let single = [&tables.digests, &tables.deleted, &tables.events, &tables.meta];
        for table in tables.keys.iter().chain(&tables.names).chain(single) {
            for entry in table.rows.iter()? {
                let (key, row) = entry?;
                rows.insert((table.name, key.value().to_vec()), row.value().to_vec());
            }
        }
        Ok(rows)
    });
    read.expect("what was opened can be read")
}

/// What was done to a disk, and what the store held after each commit.
struct Recording {
    log: Vec<Step>,
    /// How many steps were logged when a commit was answered, and the rows at that moment; the first is an empty store.
    answered: Vec<(usize, Rows)>,
}

async fn record(durability: Durability, seed: u64) -> Recording {
    let disk = Disk::default();
    let handles = disk.clone();
    let opener = Opener::of_backend(move || Ok(handles.backend()));
    let store = EmbeddedStore::opened(opener, durability, Changes::KEPT).expect("an empty store opens");
    let mut answered = vec![(disk.steps(), rows(&store.engine))];
    let mut work = Workload { rng: StdRng::seed_from_u64(seed), living: Vec::new(), next: 0 };
    for _ in 0..COMMITS {
        work.commit(&store).await;
        answered.push((disk.steps(), rows(&store.engine)));
    }
    Recording { log: disk.log(), answered }
}

/// Commits of every kind, at random.
struct Workload {
    rng: StdRng,
    living: Vec<ApiKey>,
    next: u64,
}

impl Workload {
    /// One transaction.
    async fn commit(&mut self, store: &EmbeddedStore) {
        let writes = match self.rng.random_range(0..10) {
            0 => {
                store.forget_deleted(Timestamp::from_millis(u64::MAX)).await.expect("swept");
                return;
            }
            1 => (0..20).map(|_| self.create()).collect(),
            2..5 if !self.living.is_empty() => vec![self.renew(store).await, self.create()],
            5 if !self.living.is_empty() => vec![self.delete(store).await],
            6 => vec![Self::set(store).await],
            _ => vec![self.create()],
        };
        store.commit(writes).await.expect("committed");
    }

    fn create(&mut self) -> Write {
        self.next += 1;
        let key = key(self.next, &format!("integration {}", self.next));
        self.living.push(key.clone());
        create(&key)
    }

    /// One of the living keys and its revision.
    async fn any(&mut self, store: &EmbeddedStore) -> (usize, Revision) {
        let index = self.rng.random_range(0..self.living.len());
        let stored = store.load(Realm::Gateway, KeyRef::Id(self.living[index].id)).await.expect("read");
        (index, stored.expect("it lives").revision)
    }

    async fn renew(&mut self, store: &EmbeddedStore) -> Write {
        let (index, revision) = self.any(store).await;
        self.next += 1;
        let mut key = renewed(&self.living[index], self.next);
        key.ended.drain(..key.ended.len().saturating_sub(2)); // so that digests are freed, too
        self.living[index] = key.clone();
        let events = vec![draft(1, Action::Edited, Some(&key)), draft(2, Action::RenewalCompleted, Some(&key))];
        write(What::Replace(key, revision), events)
    }

    async fn delete(&mut self, store: &EmbeddedStore) -> Write {
        let (index, revision) = self.any(store).await;
        let key = self.living.swap_remove(index);
        write(What::Delete(key.id, revision, NOW), vec![draft(3, Action::Deleted, Some(&key))])
    }

    async fn set(store: &EmbeddedStore) -> Write {
        let revision = store.settings().await.expect("read").map_or(Revision(0), |stored| stored.revision);
        write(What::Settings(Settings::default(), revision), vec![draft(4, Action::SettingsChanged, None)])
    }
}

/// A moment at which the power goes.
struct Cut {
    /// How many steps have been asked of the disk by then.
    steps: usize,
    /// How likely a sector of an unsynced write is to have reached it.
    luck: f64,
}

/// Cuts the power at random moments.
fn cut(recording: &Recording, seed: u64) -> Vec<Outcome> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut cuts: Vec<Cut> = (0..CUTS)
        .map(|_| Cut {
            steps: rng.random_range(recording.answered[0].0..=recording.log.len()),
            luck: [0.0, 0.1, 0.5, 0.9, 1.0][rng.random_range(0..5)],
        })
        .collect();
    cuts.sort_by_key(|cut| cut.steps);
    let (mut synced, mut unsynced, mut done) = (Vec::new(), Vec::new(), 0);
    let mut outcomes = Vec::with_capacity(CUTS);
    for cut in cuts {
        for step in &recording.log[done..cut.steps] {
            unsynced.push(step);
            if matches!(step, Step::Sync) {
                unsynced.drain(..).for_each(|step| apply(&mut synced, step));
            }
        }
        done = cut.steps;
        let left = what_is_left(&synced, &unsynced, cut.luck, &mut rng);
        outcomes.push(judge(recording, cut.steps, left));
    }
    outcomes
}

/// The disk as the cut leaves it: what was synced, and of later writes the sectors that luck lets through.
fn what_is_left(synced: &[u8], unsynced: &[&Step], luck: f64, rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = synced.to_vec();
    for step in unsynced {
        match step {
            Step::Write(offset, data) => {
                let mut from = 0;
                while from < data.len() {
                    let to = data.len().min(from + SECTOR - (offset + from) % SECTOR);
                    if rng.random_bool(luck) {
                        apply(&mut bytes, &Step::Write(offset + from, data[from..to].to_vec()));
                    }
                    from = to;
                }
            }
            Step::Length(_) if rng.random_bool(luck) => apply(&mut bytes, step),
            Step::Length(_) | Step::Sync => {}
        }
    }
    bytes
}

/// What a store is after a cut.
enum Outcome {
    /// It holds what was answered.
    Answered,
    /// It holds the commit that was under way, too, whole.
    OneMore,
    /// Anything else.
    Wrong(String),
}

/// What the store is on the disk that a cut after `steps` steps has left.
fn judge(recording: &Recording, steps: usize, left: Vec<u8>) -> Outcome {
    let last = recording.answered.iter().rposition(|(answered, _)| *answered <= steps).unwrap_or_default();
    let disk = Disk::holding(left);
    let opener = Opener::of_backend(move || Ok(disk.backend()));
    let engine = match Engine::open(opener, Durability::Immediate, Changes::KEPT) {
        Ok(engine) => Arc::new(engine),
        Err(error) => return Outcome::Wrong(format!("cut at {steps}, after commit {last}: {error}")),
    };
    let rows = rows(&engine);
    match recording.answered[last..].iter().take(2).position(|(_, held)| *held == rows) {
        Some(0) => Outcome::Answered,
        Some(_) => Outcome::OneMore,
        None => Outcome::Wrong(format!("cut at {steps}, after commit {last}: neither its rows nor the next one's")),
    }
}

#[tokio::test]
async fn every_answered_commit_survives_a_power_cut_whole() {
    let recording = record(Durability::Immediate, 1).await;
    let (mut answered, mut one_more) = (0, 0);
    for outcome in cut(&recording, 2) {
        match outcome {
            Outcome::Answered => answered += 1,
            Outcome::OneMore => one_more += 1,
            Outcome::Wrong(why) => panic!("{why}"),
        }
    }
    assert!(answered > 100 && one_more > 10, "the cuts are too tame: {answered} and {one_more} of {CUTS}");
}

#[tokio::test]
async fn commits_that_are_not_durable_are_found_out_by_the_same_cuts() {
    let recording = record(Durability::None, 1).await;
    let lost = cut(&recording, 2).iter().filter(|outcome| matches!(outcome, Outcome::Wrong(_))).count();
    assert!(lost > CUTS / 2, "only {lost} of {CUTS} cuts were noticed, so the test above proves little");
}
