//! Damaged files: the right data or an error, never wrong data, never a panic that gets out.
//!
//! Promises: every answer of the store is compared with that of the sound one. (The database panics on some damaged
//! pages: what these tests print of it was caught.)
//! Deliberately does not: damage more than one place at a time.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use redb::ReadableTable;

use super::disk::Disk;
use super::engine::Keep;
use super::row::State;
use super::table::WriteTable;
use super::*;
use crate::domain::Action;
use crate::store::What;
use crate::store::contract::{create, digest, draft, id, key, renewed, write};
use crate::store::feed::{Listed, Lister, Slices};

const KEYS: u64 = 60;
const PAGE: usize = 4_096;
/// Where the database keeps its roots.
const HEADER: usize = 320;
/// Where in the header they begin.
const ROOTS: usize = 64;
/// Which of the two roots is the current one is a single bit that no checksum covers. Flipped in the file of a store
/// that was killed, it looks exactly like a cut in the middle of the last commit. `docs/store-format.md` says so.
const CURRENT_ROOT: (usize, u8) = (9, 1);

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

/// The disk of a store with keys, renewed ones, deleted ones, settings and events.
async fn filled(close: Close) -> Vec<u8> {
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
    match close {
        Close::InOrder => {
            drop(store);
            disk.bytes()
        }
        Close::Killed => disk.bytes(),
    }
}

/// How the store went down before its file was damaged.
enum Close {
    InOrder,
    Killed,
}

/// Flips to try: every bit of what chooses between the roots, every byte of the roots, and bytes of pages that hold
/// anything.
fn flips(bytes: &[u8], count: usize, rng: &mut StdRng) -> Vec<(usize, u8)> {
    let holds_anything = |(at, page): (usize, &[u8])| page.iter().any(|byte| *byte != 0).then_some(at);
    let used: Vec<usize> = bytes.chunks(PAGE).enumerate().filter_map(holds_anything).collect();
    let mut flips: Vec<(usize, u8)> = (0..ROOTS).flat_map(|at| (0..8).map(move |bit| (at, 1 << bit))).collect();
    flips.extend((ROOTS..HEADER).map(|at| (at, 1 << rng.random_range(0..8))));
    for _ in 0..count {
        let at = used[rng.random_range(0..used.len())] * PAGE + rng.random_range(0..PAGE);
        flips.push((at, if rng.random_bool(0.5) { 0xff } else { 1 << rng.random_range(0..8) }));
    }
    flips
}

#[tokio::test]
async fn a_flipped_byte_in_a_closed_store_is_refused_or_changes_no_answer() {
    flip(filled(Close::InOrder).await, None).await;
}

#[tokio::test]
async fn a_flipped_byte_in_a_killed_store_is_refused_or_changes_no_answer() {
    flip(filled(Close::Killed).await, Some(CURRENT_ROOT)).await;
}

async fn flip(sound: Vec<u8>, except: Option<(usize, u8)>) {
    let disk = Disk::holding(sound.clone());
    let store = EmbeddedStore::open_with(move || Ok(disk.backend())).expect("it is sound");
    let right: Vec<String> = answers(&store).await.into_iter().map(|answer| answer.expect("it is sound")).collect();
    drop(store);
    let mut rng = StdRng::seed_from_u64(3);
    let (mut refused, mut wrong) = (0, Vec::new());
    for (at, flip) in flips(&sound, 300, &mut rng).into_iter().filter(|flip| Some(*flip) != except) {
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

#[tokio::test]
async fn a_byte_flipped_under_an_open_store_never_shows_another_record() {
    let sound = filled(Close::InOrder).await;
    let disk = Disk::holding(sound.clone());
    let store = EmbeddedStore::open_with(move || Ok(disk.backend())).expect("it is sound");
    let right: Vec<String> = answers(&store).await.into_iter().map(|answer| answer.expect("it is sound")).collect();
    drop(store);
    let mut rng = StdRng::seed_from_u64(5);
    let mut noticed = 0;
    for (at, flip) in flips(&sound, 300, &mut rng).into_iter().filter(|(at, _)| *at >= HEADER) {
        let disk = Disk::holding(sound.clone());
        let handles = disk.clone();
        let store = EmbeddedStore::open_with(move || Ok(handles.backend())).expect("it is sound");
        let mut bytes = disk.bytes();
        bytes[at] ^= flip;
        disk.replace(bytes);
        for (right, answer) in right.iter().zip(answers(&store).await) {
            match answer {
                // A key of a page in between may be missed; what is found is right.
                Ok(answer) => assert!(answer == *right || answer == "None", "byte {at} ^ {flip:#x}: {answer}"),
                Err(StoreError::Corrupt(_) | StoreError::Unavailable(_)) => noticed += 1,
                Err(StoreError::Conflict(conflict)) => panic!("byte {at} ^ {flip:#x}: {conflict}"),
            }
        }
    }
    assert!(noticed > 0, "no damage was noticed");
}

/// Writes rows past all rules.
async fn vandalise(store: &EmbeddedStore, vandal: impl FnOnce(&mut Tables<WriteTable<'_>>) + Send + 'static) {
    let vandal = move |tables: &mut Tables<WriteTable<'_>>| {
        vandal(tables);
        Ok(Keep::Yes(()))
    };
    store.engine.tidy(vandal).await.expect("written");
}

#[tokio::test]
async fn a_damaged_row_is_named_and_its_neighbours_are_read() {
    let disk = Disk::default();
    let store = EmbeddedStore::open_with(move || Ok(disk.backend())).expect("an empty store opens");
    store.commit((0..3).map(|number| create(&key(number, &format!("key {number}")))).collect()).await.expect("written");
    vandalise(&store, |tables| {
        let row = tables.keys[0].rows.get(&row::id_bytes(id(0))[..]).expect("read").expect("there").value().to_vec();
        tables.keys[0].rows.insert(&row::id_bytes(id(1))[..], row.as_slice()).expect("written");
    })
    .await;
    let damaged = store.load(Realm::Gateway, KeyRef::Id(id(1))).await.expect_err("it is another key's row");
    let place = format!("table gateway.keys, row {}", hex::encode(row::id_bytes(id(1))));
    assert_eq!(damaged.to_string(), format!("the store is damaged: {place}: the row's checksum is wrong"));
    assert!(store.load(Realm::Gateway, KeyRef::Id(id(2))).await.expect("read").is_some());
    let engine = Arc::clone(&store.engine);
    let (into, mut slices) = Slices::new(std::time::Duration::from_secs(30));
    let listed = tokio::task::spawn_blocking(move || engine.list(&into)).await.expect("no panic");
    assert!(matches!(listed, Err(StoreError::Corrupt(_))), "{listed:?}");
    while let Some(listed) = slices.recv().await {
        assert!(!matches!(listed, Listed::End(_)), "a damaged listing has no end");
    }
}

#[tokio::test]
async fn tables_that_contradict_each_other_are_refused_at_opening() {
    type Vandal = fn(&mut Tables<WriteTable<'_>>);
    let vandals: [(Vandal, &str); 4] = [
        (|tables| tables.names[0].remove(b"key 1").expect("written"), "table gateway.names has 2 rows"),
        (|tables| tables.meta.put(b"format", vec![0, 0, 0, 9]).expect("written"), "the store is in format 9"),
        (|tables| tables.meta.remove(b"state").expect("written"), "the row is missing"),
        (
            |tables| tables.put_state(State { last: Revision(1), living: [3, 0] }).expect("written"),
            "ends at revision 1",
        ),
    ];
    for (vandal, text) in vandals {
        let disk = Disk::default();
        let handles = disk.clone();
        let store = EmbeddedStore::open_with(move || Ok(handles.backend())).expect("an empty store opens");
        let creates = (0..3).map(|number| create(&key(number, &format!("key {number}")))).collect();
        store.commit(creates).await.expect("written");
        vandalise(&store, vandal).await;
        drop(store);
        let refused = EmbeddedStore::open_with(move || Ok(disk.backend())).map(|_| ()).expect_err("it is refused");
        assert!(refused.to_string().contains(text), "{refused} does not say: {text}");
    }
}
