//! One budget a key, on the disk and in memory.

use std::num::NonZeroU32;
use std::path::Path;

use super::*;
use crate::domain::Span;

const NOON: Timestamp = Timestamp::from_millis(1_795_435_200_000);

fn limits(rate: Option<&str>, quota: Option<&str>, concurrent: Option<u32>) -> Limits {
    Limits {
        rate: rate.map(|text| text.parse().expect("legal")),
        quota: quota.map(|text| text.parse().expect("legal")),
        concurrent: concurrent.and_then(NonZeroU32::new),
    }
}

fn key(number: u128) -> KeyId {
    KeyId::from_bits(number)
}

fn limiter(folder: &Path, clock: &Clock) -> Limiter {
    Limiter::open(folder.join("quotas.redb"), clock.clone())
}

#[test]
fn a_place_is_given_back_when_its_request_is_done_with() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), Clock::manual(NOON));
    let limiter = limiter(folder.path(), &clock);
    let two = limits(None, None, Some(2));
    let first = limiter.admit(key(1), &two, NOON).expect("admitted");
    let second = limiter.admit(key(1), &two, NOON).expect("admitted");
    assert_eq!(second.standing.concurrent.map(|left| left.units), Some(0));
    let exceeded = limiter.admit(key(1), &two, NOON).err().expect("refused");
    assert_eq!(exceeded.retry_after_seconds, 1);
    assert!(limiter.admit(key(2), &two, NOON).is_ok(), "another key has its own");
    drop(first);
    assert!(limiter.admit(key(1), &two, NOON).is_ok());
}

#[test]
fn what_is_refused_is_not_counted() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), Clock::manual(NOON));
    let limiter = limiter(folder.path(), &clock);
    let both = limits(Some("1/1s"), Some("5/day"), None);
    assert!(limiter.admit(key(1), &both, NOON).is_ok());
    for _ in 0..9 {
        let exceeded = limiter.admit(key(1), &both, NOON).err().expect("refused");
        assert_eq!(exceeded.standing.quota.map(|left| left.units), Some(4));
    }
    for second in 1..5 {
        assert!(limiter.admit(key(1), &both, NOON.plus(Span::seconds(second))).is_ok(), "{second}");
    }
    let spent = limiter.admit(key(1), &both, NOON.plus(Span::seconds(9))).err().expect("spent");
    assert_eq!(spent.standing.rate.map(|left| left.units), Some(1), "the bucket is as it was");
}

#[test]
fn a_quota_goes_on_after_a_restart_and_is_forgotten_with_its_window() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), Clock::manual(NOON));
    let quota = limits(None, Some("3/day"), None);
    let first = limiter(folder.path(), &clock);
    for _ in 0..3 {
        assert!(first.admit(key(1), &quota, NOON).is_ok());
    }
    first.close();
    let second = limiter(folder.path(), &clock);
    assert!(second.admit(key(1), &quota, NOON).is_err());
    second.close();
    clock.advance(Span::hours(24));
    let third = limiter(folder.path(), &clock);
    assert!(third.is_empty());
    assert!(third.admit(key(1), &quota, clock.now()).is_ok());
}

#[test]
fn an_idle_key_costs_nothing_and_one_in_use_keeps_its_budget() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), Clock::manual(NOON));
    let limiter = limiter(folder.path(), &clock);
    let all = limits(Some("10/10s"), None, Some(1));
    let held = limiter.admit(key(1), &all, NOON).expect("admitted");
    drop(limiter.admit(key(2), &all, NOON).expect("admitted"));
    clock.advance(Span::minutes(1));
    limiter.flush();
    assert_eq!(limiter.len(), 1, "the one in flight");
    assert!(limiter.admit(key(1), &all, clock.now()).is_err());
    drop(held);
    clock.advance(Span::minutes(1));
    limiter.flush();
    assert!(limiter.is_empty());
}

#[test]
fn a_damaged_file_is_put_aside_and_counting_begins_anew() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), Clock::manual(NOON));
    std::fs::write(folder.path().join("quotas.redb"), b"this is not a database of any kind".repeat(99))
        .expect("written");
    let limiter = limiter(folder.path(), &clock);
    assert!(limiter.admit(key(1), &limits(None, Some("1/hour"), None), NOON).is_ok());
    limiter.close();
    assert!(folder.path().join("quotas.redb.damaged").exists());
}

#[test]
fn a_file_any_page_of_which_is_damaged_costs_at_most_what_it_counted() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), Clock::manual(NOON));
    let quota = limits(None, Some("1/day"), None);
    let first = limiter(folder.path(), &clock);
    (0..500).for_each(|number| assert!(first.admit(key(number), &quota, NOON).is_ok()));
    first.close();
    drop(first);
    let whole = std::fs::read(folder.path().join("quotas.redb")).expect("read");
    for page in 0..whole.len() / 4096 {
        let folder = tempfile::tempdir().expect("a folder");
        let mut damaged = whole.clone();
        damaged[page * 4096..][..4096].fill(0);
        std::fs::write(folder.path().join("quotas.redb"), damaged).expect("written");
        let damaged = limiter(folder.path(), &clock);
        let is_aside = folder.path().join("quotas.redb.damaged").exists();
        assert!(is_aside || damaged.admit(key(7), &quota, NOON).is_err(), "page {page}");
        assert!(damaged.admit(key(1_000), &quota, NOON).is_ok());
        damaged.close();
        assert!(limiter(folder.path(), &clock).admit(key(1_000), &quota, NOON).is_err(), "page {page}");
    }
}

#[test]
fn a_file_that_could_not_be_opened_at_the_start_is_kept_and_counted_on_later() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), Clock::manual(NOON));
    let quota = limits(None, Some("3/day"), None);
    let (path, elsewhere) = (folder.path().join("quotas.redb"), folder.path().join("good"));
    let first = limiter(folder.path(), &clock);
    assert!(first.admit(key(1), &quota, NOON).is_ok());
    first.close();
    std::fs::rename(&path, &elsewhere).expect("renamed");
    std::fs::create_dir(&path).expect("in the way");
    let second = limiter(folder.path(), &clock);
    assert!(second.trouble().is_some());
    assert!(second.admit(key(1), &quota, NOON).is_ok());
    second.flush();
    std::fs::remove_dir(&path).expect("removed");
    std::fs::rename(&elsewhere, &path).expect("renamed");
    second.flush();
    assert_eq!(second.trouble(), None);
    assert!(second.admit(key(1), &quota, NOON).is_ok());
    assert!(second.admit(key(1), &quota, NOON).is_err(), "one before, two since");
    second.close();
    assert!(limiter(folder.path(), &clock).admit(key(1), &quota, NOON).is_err());
    assert!(!folder.path().join("quotas.redb.damaged").exists());
}
