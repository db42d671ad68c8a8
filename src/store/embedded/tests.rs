//! The embedded store put through the suite of every store, and what is its own: the file.
//!
//! Promises: one test for each promise of the suite, so that a failure names it.
//! Deliberately does not: damage or fail anything. `damage`, `failing` and `power_cut` do.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use redb::Durability;

use super::*;
use crate::domain::Action;
use crate::store::What;
use crate::store::contract::{self, Mirror, create, draft, id, key, renewed, write};
use crate::store::embedded::disk::Disk;

fn fresh() -> EmbeddedStore {
    let disk = Disk::default();
    EmbeddedStore::open_with(move || Ok(disk.backend())).expect("an empty store opens")
}

#[tokio::test]
async fn a_created_key_is_found_by_id_name_and_digest_in_its_realm_only() {
    contract::a_created_key_is_found_by_id_name_and_digest_in_its_realm_only(fresh()).await;
}

#[tokio::test]
async fn a_name_belongs_to_one_living_key_of_a_realm() {
    contract::a_name_belongs_to_one_living_key_of_a_realm(fresh()).await;
}

#[tokio::test]
async fn a_digest_belongs_to_one_key_living_remembered_or_deleted() {
    contract::a_digest_belongs_to_one_key_living_remembered_or_deleted(fresh()).await;
}

#[tokio::test]
async fn what_one_write_lets_go_of_another_of_the_same_commit_may_take() {
    contract::what_one_write_lets_go_of_another_of_the_same_commit_may_take(fresh()).await;
}

#[tokio::test]
async fn deleted_keys_are_forgotten_when_it_is_time_and_not_before() {
    contract::deleted_keys_are_forgotten_when_it_is_time_and_not_before(fresh()).await;
}

#[tokio::test]
async fn of_many_replacements_of_one_revision_exactly_one_wins() {
    contract::of_many_replacements_of_one_revision_exactly_one_wins(fresh()).await;
}

#[tokio::test]
async fn a_commit_is_written_whole_or_not_at_all() {
    contract::a_commit_is_written_whole_or_not_at_all(fresh()).await;
}

#[tokio::test]
async fn a_commit_holds_only_while_what_it_expects_is_so() {
    contract::a_commit_holds_only_while_what_it_expects_is_so(fresh()).await;
}

#[tokio::test]
async fn each_event_takes_a_revision_and_the_record_the_last_of_them() {
    contract::each_event_takes_a_revision_and_the_record_the_last_of_them(fresh()).await;
}

#[tokio::test]
async fn events_come_in_pages_and_through_filters() {
    contract::events_come_in_pages_and_through_filters(fresh()).await;
}

#[tokio::test]
async fn settings_are_replaced_by_revision() {
    contract::settings_are_replaced_by_revision(fresh()).await;
}

#[tokio::test]
async fn each_event_holds_the_hash_of_the_one_before() {
    contract::each_event_holds_the_hash_of_the_one_before(fresh()).await;
}

#[tokio::test]
async fn the_oldest_events_go_for_their_age_and_tell_of_it() {
    contract::the_oldest_events_go_for_their_age_and_tell_of_it(fresh()).await;
}

#[tokio::test]
async fn living_keys_are_counted_by_realm() {
    contract::living_keys_are_counted_by_realm(fresh()).await;
}

#[tokio::test]
async fn a_feed_tells_what_is_and_then_what_happens() {
    contract::a_feed_tells_what_is_and_then_what_happens(fresh()).await;
}

#[tokio::test]
async fn feeds_begun_amid_commits_miss_nothing_and_repeat_nothing() {
    contract::feeds_begun_amid_commits_miss_nothing_and_repeat_nothing(fresh()).await;
}

#[tokio::test]
async fn a_feed_that_lags_starts_again_and_is_complete_in_the_end() {
    let disk = Disk::default();
    let opener = Opener::of_backend(move || Ok(disk.backend()));
    let store = EmbeddedStore::opened(opener, Durability::Immediate, 4).expect("an empty store opens");
    let mut feed = store.subscribe();
    let mut mirror = Mirror::default();
    while mirror.synced.is_none() {
        mirror.take(&mut *feed).await;
    }
    let mut last = Revision(0);
    for number in 0..40 {
        last = store.commit(vec![create(&key(number, &format!("key {number}")))]).await.expect("committed");
    }
    mirror.follow(&mut *feed, last).await;
    assert_eq!((mirror.resets, mirror.keys.len()), (2, 40));
}

#[tokio::test]
async fn a_listing_of_several_slices_is_complete() {
    let store = fresh();
    let keys: Vec<ApiKey> = (0..2_500).map(|number| key(number, &format!("key {number}"))).collect();
    let last = store.commit(keys.iter().map(create).collect()).await.expect("committed");
    let mut mirror = Mirror::default();
    mirror.follow(&mut *store.subscribe(), last).await;
    assert_eq!(mirror.keys.len(), keys.len());
    drop(store.subscribe()); // a reader that never reads
    let mut impatient = store.subscribe();
    for _ in 0..3 {
        impatient.next().await; // and one that leaves in the middle of the listing
    }
    drop(impatient);
    store.commit(vec![create(&key(9_999, "late"))]).await.expect("neither is in the way");
}

#[tokio::test]
async fn a_reader_that_stands_still_holds_the_store_only_as_long_as_it_is_waited_for_and_then_begins_anew() {
    let store = fresh();
    let keys: Vec<ApiKey> = (0..5_000).map(|number| key(number, &format!("key {number}"))).collect();
    let last = store.commit(keys.iter().map(create).collect()).await.expect("committed");
    let mut feed = LocalFeed::new(Arc::clone(&store.engine)).waited_for(Duration::from_millis(500));
    let mut mirror = Mirror::default();
    for _ in 0..10 {
        mirror.take(&mut feed).await;
    }
    let begun = Instant::now();
    // The store, its feed, and as long as it runs the listing.
    while Arc::strong_count(&store.engine) > 2 {
        assert!(begun.elapsed() < Duration::from_secs(30), "the listing still waits");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    store.engine.changes().gap(); // or it would be tried again only after a while
    mirror.follow(&mut feed, last).await;
    assert!(mirror.resets > 1, "what broke off was not told as whole");
    assert_eq!(mirror.keys.len(), keys.len());
}

#[tokio::test]
async fn what_was_committed_is_there_after_opening_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("var").join("relevo.redb");
    let first = key(1, "first");
    let store = EmbeddedStore::open(&path).expect("a new store");
    let created = store.commit(vec![create(&first)]).await.expect("committed");
    let renewal = write(What::Replace(renewed(&first, 2), created), vec![draft(2, Action::Edited, Some(&first))]);
    let last = store.commit(vec![renewal]).await.expect("committed");
    drop(store);
    let store = EmbeddedStore::open(&path).expect("the same store");
    let found = store.load(Realm::Gateway, KeyRef::Id(id(1))).await.expect("read").expect("there");
    assert_eq!((&*found.value, found.revision), (&renewed(&first, 2), last));
    let page = store.events(EventQuery { limit: 9, ..EventQuery::default() }).await.expect("read");
    assert_eq!(page.events.len(), 2);
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().expect("a directory"))), (0o600, 0o700));
}

#[tokio::test]
async fn a_second_opening_is_refused_with_a_clear_text() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("relevo.redb");
    let store = EmbeddedStore::open(&path).expect("a new store");
    let refused = EmbeddedStore::open(&path).map(|_| ()).expect_err("it is open already");
    assert_eq!(refused, OpenError::InUse);
    assert_eq!(refused.to_string(), "the store is in use by another process");
    drop(store);
    EmbeddedStore::open(&path).expect("it is free again");
}

#[test]
fn what_is_not_a_store_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("notes.txt");
    let text = "not a store\n".repeat(1_000);
    std::fs::write(&path, &text).expect("written");
    let refused = EmbeddedStore::open(&path).map(|_| ()).expect_err("not a store");
    assert!(matches!(refused, OpenError::Corrupt(_)), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&path).expect("read"), text);
    let under = path.join("below");
    let refused = EmbeddedStore::open(under).map(|_| ()).expect_err("a file is no directory");
    assert!(matches!(refused, OpenError::Unavailable(_)), "{refused:?}");
}

#[tokio::test]
async fn a_waiting_feed_may_be_given_up_and_asked_again() {
    let store = fresh();
    let mut feed = store.subscribe();
    let mut mirror = Mirror::default();
    while mirror.synced.is_none() {
        mirror.take(&mut *feed).await;
    }
    for number in 0..20 {
        tokio::select! {
            biased;
            early = feed.next() => panic!("nothing has happened, and {early:?} was told"),
            () = std::future::ready(()) => {}
        }
        let last = store.commit(vec![create(&key(number, &format!("key {number}")))]).await.expect("committed");
        mirror.follow(&mut *feed, last).await;
    }
    assert_eq!(mirror.keys.len(), 20);
}

#[tokio::test]
async fn a_store_that_was_never_finished_is_begun_anew() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("relevo.redb");
    let beside = directory.path().join("relevo.redb.new");
    std::fs::write(&beside, vec![0; 100_000]).expect("written");
    std::fs::write(&path, "").expect("written");
    let store = EmbeddedStore::open(&path).expect("a new store");
    assert_eq!(store.commit(vec![create(&key(1, "first"))]).await.expect("committed"), Revision(1));
    assert!(!beside.exists());
}

#[test]
fn of_many_first_openings_at_once_one_wins_and_the_others_are_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("relevo.redb");
    let open = || {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| EmbeddedStore::open(&path))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
        })
    };
    let opened = open();
    assert_eq!(opened.iter().filter(|store| store.is_ok()).count(), 1);
    for refused in opened.iter().filter_map(|store| store.as_ref().err()) {
        assert_eq!(*refused, OpenError::InUse);
    }
}
