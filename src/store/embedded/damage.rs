//! Damaged files: the right data or an error, never wrong data, never a panic that gets out.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::disk::Disk;
use super::*;
use crate::domain::Action;
use crate::store::What;
use crate::store::contract::{create, digest, draft, id, key, renewed, write};

const KEYS: u64 = 60;
const PAGE: usize = 4_096;

/// Everything that can be asked of the store under test, as text.
async fn answers(store: &EmbeddedStore) -> Vec<Result<String, StoreError>> {
    let mut answers = Vec::new();
    for number in 0..KEYS {
        answers.push(store.load(Realm::Gateway, KeyRef::Id(id(number))).await.map(|key| format!("{key:?}")));
        let name = KeyRef::Name(format!("key {number}").parse().expect("a legal name"));
        answers.push(store.load(Realm::Gateway, name).await.map(|key| format!("{key:?}")));
        for digest in [digest(number), digest(number + 1_000)] {
            answers.push(store.find_digest(Realm::Gateway, digest).await.map(|key| format!("{key:?}")));
        }
    }
    let query = EventQuery { limit: 1_000, ..EventQuery::default() };
    answers.push(store.events(query).await.map(|page| format!("{:?}", page.events)));
    answers.push(store.settings().await.map(|settings| format!("{settings:?}")));
    answers.push(store.count(Realm::Gateway).await.map(|count| count.to_string()));
    answers
}

/// A closed store with keys, renewed ones, deleted ones, settings and events.
async fn closed_store() -> Vec<u8> {
    let disk = Disk::default();
    let handles = disk.clone();
    let store = EmbeddedStore::open_with(move || Ok(handles.backend())).expect("an empty store opens");
    for number in 0..KEYS {
        let key = key(number, &format!("key {number}"));
        let created = store.commit(vec![create(&key)]).await.expect("committed");
        if number % 3 == 0 {
            let after = renewed(&key, number + 1_000);
            let events = vec![draft(number, Action::RenewalCompleted, Some(&after))];
            store.commit(vec![write(What::Replace(after, created), events)]).await.expect("committed");
        } else if number % 5 == 0 {
            store.commit(vec![write(What::Delete(key.id, created, key.created_at), vec![])]).await.expect("committed");
        }
    }
    let settings = write(What::Settings(Settings::default(), Revision(0)), Vec::new());
    store.commit(vec![settings]).await.expect("committed");
    drop(store);
    disk.bytes()
}

/// Positions in pages that hold anything, every byte of the header among them.
fn positions(bytes: &[u8], count: usize, rng: &mut StdRng) -> Vec<usize> {
    let used: Vec<usize> =
        bytes.chunks(PAGE).enumerate().filter(|(_, page)| page.iter().any(|b| *b != 0)).map(|(at, _)| at).collect();
    let anywhere = (0..count).map(|_| used[rng.random_range(0..used.len())] * PAGE + rng.random_range(0..PAGE));
    (0..320).chain(anywhere).filter(|at| *at < bytes.len()).collect()
}

#[tokio::test]
async fn a_flipped_byte_anywhere_is_refused_or_changes_no_answer() {
    let sound = closed_store().await;
    let disk = Disk::holding(sound.clone());
    let store = EmbeddedStore::open_with(move || Ok(disk.backend())).expect("it is sound");
    let right: Vec<String> = answers(&store).await.into_iter().map(|answer| answer.expect("it is sound")).collect();
    drop(store);
    let mut rng = StdRng::seed_from_u64(3);
    let (mut refused, mut wrong) = (0, Vec::new());
    for at in positions(&sound, 600, &mut rng) {
        let flip = if rng.random_bool(0.5) { 0xff } else { 1 << rng.random_range(0..8) };
        let mut bytes = sound.clone();
        bytes[at] ^= flip;
        let disk = Disk::holding(bytes);
        let Ok(store) = EmbeddedStore::open_with(move || Ok(disk.backend())) else {
            refused += 1;
            continue;
        };
        for (right, answer) in right.iter().zip(answers(&store).await) {
            match answer {
                Ok(answer) if answer != *right => wrong.push(format!("byte {at} ^ {flip:#x}: {answer}, not {right}")),
                Ok(_) | Err(StoreError::Corrupt(_) | StoreError::Unavailable(_)) => {}
                Err(StoreError::Conflict(conflict)) => wrong.push(format!("byte {at} ^ {flip:#x}: {conflict}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong answers: {:#?}", wrong.len(), &wrong[..wrong.len().min(3)]);
    assert!(refused > 100, "only {refused} damaged files were refused: is anything checked?");
}
