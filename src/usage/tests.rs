//! What is known of tokens, noted, told, kept and forgotten.

use std::net::IpAddr;

use super::*;
use crate::domain::Slot;

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn token(bits: u128) -> TokenId {
    TokenId::from_bits(bits)
}

/// A use of a renewal's old token.
fn used_at(token: TokenId, at: Timestamp) -> Use<'static> {
    let by = By { address: IpAddr::V4([10, 0, 0, 7].into()), user_agent: Some(b"curl/8"), route: "/" };
    Use { token, slot: Slot::Old, at, by }
}

fn used(usage: &Usage, token: TokenId, at: Timestamp) {
    let mut tally = Tally::new(usage.clone());
    tally.note(used_at(token, at));
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
    assert_eq!(usage.last_used(token(1)), Ok(Some(START)));
    assert_eq!(usage.last_used(token(2)), Ok(None));
}

#[test]
fn quiet_is_counted_also_while_a_clock_that_was_set_back_is_before_the_renewal() {
    let dir = tempfile::tempdir().expect("dir");
    let clock = Clock::manual(START);
    let (usage, _first_uses) = Usage::open(dir.path().join("usage.redb"), clock.clone());
    assert_eq!(usage.quiet(token(1), START).0, Span::ZERO);
    clock.set_wall(START.minus(Span::days(1)));
    for _ in 0..62 {
        clock.advance(Span::seconds(1));
        clock.watch();
    }
    assert!(clock.now() < START && clock.is_trusted(), "the step is adopted");
    assert_eq!(usage.quiet(token(1), START).0, Span::seconds(62));
    used(&usage, token(1), clock.now());
    assert_eq!(usage.quiet(token(1), START).0, Span::ZERO);
    clock.advance(Span::hours(1));
    assert_eq!(usage.quiet(token(1), START).0, Span::hours(1));
}

#[test]
fn what_was_observed_is_as_long_as_the_process_has_run_however_wrong_the_clock_was_at_its_start() {
    for wrong in [START.plus(Span::days(300)), START.minus(Span::days(300))] {
        let dir = tempfile::tempdir().expect("dir");
        let clock = Clock::manual(wrong);
        let (usage, _first_uses) = Usage::open(dir.path().join("usage.redb"), clock.clone());
        clock.set_wall(START);
        for _ in 0..62 {
            clock.advance(Span::seconds(1));
            clock.watch();
        }
        assert!(clock.is_trusted(), "the step is adopted");
        assert_eq!(clock.now().since(usage.observed_since()), Span::seconds(62));
    }
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
    late.note(used_at(token(1), START));
    clock.advance(Span::seconds(1));
    used(&usage, token(1), clock.now());
    late.fold();
    assert_eq!(usage.quiet(token(1), START), (Span::ZERO, clock.now()));
    assert_eq!(usage.last_used(token(1)), Ok(Some(clock.now())));
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
    assert_eq!(usage.last_used(token(1)), Ok(Some(START)));
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
    assert_eq!(usage.last_used(token(1)), Ok(Some(START)));
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
    assert_eq!(usage.known().seen(token(1)), None);
    assert!(usage.known().seen(token(2)).is_some());
    assert_eq!(usage.last_used(token(1)), Ok(Some(START)));
}

#[test]
fn what_could_not_be_written_is_written_later() {
    let dir = tempfile::tempdir().expect("dir");
    let folder = dir.path().join("away");
    let (path, clock) = (folder.join("usage.redb"), Clock::manual(START));
    let (usage, _first_uses) = Usage::open(path.clone(), clock.clone()); // there is no such folder
    used(&usage, token(1), START);
    usage.flush();
    assert_eq!(usage.last_used(token(1)), Ok(Some(START)));
    std::fs::create_dir(folder).expect("folder");
    usage.close();
    drop(usage);
    let (usage, _first_uses) = Usage::open(path, clock);
    assert_eq!(usage.last_used(token(1)), Ok(Some(START)));
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
    assert_eq!(usage.last_used(token(1)), Ok(Some(START)));
}

#[test]
fn a_file_any_page_of_which_is_damaged_costs_at_most_what_it_knew() {
    let dir = tempfile::tempdir().expect("dir");
    let (path, clock) = (dir.path().join("usage.redb"), Clock::manual(START));
    let (usage, _first_uses) = Usage::open(path.clone(), clock.clone());
    (1..=300).for_each(|bits| used(&usage, token(bits), START));
    usage.close();
    drop(usage);
    let whole = std::fs::read(&path).expect("read");
    for page in 0..whole.len() / 4096 {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("usage.redb");
        let mut damaged = whole.clone();
        damaged[page * 4096..][..4096].fill(0);
        std::fs::write(&path, damaged).expect("written");
        let (usage, _first_uses) = Usage::open(path.clone(), clock.clone());
        let is_aside = dir.path().join("usage.redb.damaged").exists();
        assert!(is_aside || usage.last_used(token(7)) == Ok(Some(START)), "page {page}");
        used(&usage, token(1_000), START);
        usage.close();
        drop(usage);
        let (usage, _first_uses) = Usage::open(path, clock.clone());
        assert_eq!(usage.last_used(token(1_000)), Ok(Some(START)), "page {page}");
        assert_eq!(usage.trouble(), None);
    }
}

// Once, the panic of a damaged page went on to whoever asked, and the drop of the file made it an abort.
#[test]
fn a_file_that_is_damaged_while_it_is_open_is_put_aside_and_written_anew() {
    let dir = tempfile::tempdir().expect("dir");
    let (path, clock) = (dir.path().join("usage.redb"), Clock::manual(START));
    let (usage, _first_uses) = Usage::open(path.clone(), clock.clone());
    let mut tally = Tally::new(usage.clone());
    (1..=100_000).for_each(|bits| tally.note(Use { slot: Slot::Current, ..used_at(token(bits), START) }));
    tally.fold();
    usage.flush();
    clock.advance(Span::hours(25));
    usage.flush(); // they are in the file alone
    used(&usage, token(200_000), clock.now());
    usage.flush();
    let length = path.metadata().expect("there").len();
    let file = std::fs::OpenOptions::new().write(true).open(&path).expect("opened");
    std::os::unix::fs::FileExt::write_all_at(&file, &vec![0; usize::try_from(length).expect("small") - 4096], 4096)
        .expect("written");
    for bits in (1..=100_000).step_by(25) {
        usage.last_used(token(bits)).ok(); // until a page is read that is not cached
    }
    used(&usage, token(200_001), clock.now());
    usage.flush();
    usage.flush();
    assert!(dir.path().join("usage.redb.damaged").exists());
    assert_eq!(usage.observed_since(), clock.now(), "what was used before may be lost");
    usage.close();
    drop(usage);
    let (usage, _first_uses) = Usage::open(path, clock.clone());
    let known = [1, 200_000, 200_001].map(|bits| usage.last_used(token(bits)).expect("readable").is_some());
    assert_eq!(known, [false, true, true], "what was in memory is written again");
}

#[test]
fn a_file_that_could_not_be_opened_at_the_start_is_kept_and_taken_up_later() {
    let dir = tempfile::tempdir().expect("dir");
    let (path, elsewhere, clock) = (dir.path().join("usage.redb"), dir.path().join("good"), Clock::manual(START));
    let (usage, _first_uses) = Usage::open(path.clone(), clock.clone());
    assert_eq!(usage.quiet(token(1), START).0, Span::ZERO);
    used(&usage, token(2), START);
    clock.advance(Span::hours(2));
    usage.close();
    drop(usage);
    std::fs::rename(&path, &elsewhere).expect("renamed");
    std::fs::create_dir(&path).expect("in the way");
    let (usage, _first_uses) = Usage::open(path.clone(), clock.clone());
    used(&usage, token(2), clock.now());
    usage.flush();
    assert_eq!((usage.last_used(token(1)), usage.requests(token(1))), (Err(Away), Err(Away)), "nobody knows");
    assert_eq!((usage.quiet(token(1), START).0, usage.quiet_since(token(1), START)), (Span::ZERO, None));
    assert_eq!(usage.last_used(token(2)), Ok(Some(clock.now())));
    assert!(usage.trouble().is_some_and(|why| why.contains("usage.redb")), "{:?}", usage.trouble());
    std::fs::remove_dir(&path).expect("removed");
    std::fs::rename(&elsewhere, &path).expect("renamed");
    usage.flush();
    assert_eq!(usage.trouble(), None);
    assert_eq!(usage.quiet(token(1), START).0, Span::hours(2));
    assert_eq!(usage.requests(token(2)).expect("readable").in_day, 2);
    assert!(!dir.path().join("usage.redb.damaged").exists());
}

fn told(usage: &Usage, token: TokenId) -> Vec<(String, u64)> {
    let told = |caller: TokenCaller| {
        (format!("{} {}", caller.address, caller.user_agent.as_deref().unwrap_or("-")), caller.requests)
    };
    usage.callers(token, START).into_iter().map(told).collect()
}

#[test]
fn counts_and_callers_survive_a_restart_and_are_added_to() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("usage.redb");
    let clock = Clock::manual(START);
    for round in 1..=2 {
        let (usage, _first_uses) = Usage::open(path.clone(), clock.clone());
        (0..3).for_each(|_| used(&usage, token(1), clock.now()));
        usage.flush();
        let Requests { in_hour, in_day } = usage.requests(token(1)).expect("readable");
        assert_eq!((in_hour, in_day), (3 * round, 3 * round));
        assert_eq!(told(&usage, token(1)), [("10.0.0.7 curl/8".to_owned(), u64::from(3 * round))]);
        usage.close();
    }
}

#[test]
fn callers_are_noted_during_a_renewal_alone_and_forgotten_with_it() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("usage.redb");
    let clock = Clock::manual(START);
    let (usage, _first_uses) = Usage::open(path.clone(), clock.clone());
    let mut tally = Tally::new(usage.clone());
    tally.note(Use { slot: Slot::Current, ..used_at(token(1), START) });
    tally.note(Use { slot: Slot::New, ..used_at(token(2), START) });
    tally.fold();
    assert!(told(&usage, token(1)).is_empty());
    assert_eq!(told(&usage, token(2)).len(), 1);
    usage.flush();
    usage.renewal_over(token(2));
    assert!(told(&usage, token(2)).is_empty());
    usage.close();
    drop((tally, usage));
    let (usage, _first_uses) = Usage::open(path, clock);
    assert!(told(&usage, token(2)).is_empty());
    assert_eq!(usage.last_used(token(2)), Ok(Some(START)));
}

#[test]
fn of_a_token_that_has_ended_nothing_is_kept_though_a_worker_tells_late_unless_it_comes_back() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("usage.redb");
    let clock = Clock::manual(START);
    let (usage, _first_uses) = Usage::open(path.clone(), clock.clone());
    (1..=3).for_each(|bits| used(&usage, token(bits), START));
    usage.flush();
    (1..=2).for_each(|bits| usage.ended(token(bits)));
    usage.flush();
    used(&usage, token(1), START); // noted before it ended
    usage.lives(token(2));
    usage.flush();
    let known = |usage: &Usage| [1, 2, 3].map(|bits| usage.last_used(token(bits)).expect("readable").is_some());
    assert_eq!(known(&usage), [false, true, true]);
    usage.ended(token(3));
    usage.close();
    drop(usage);
    let (usage, _first_uses) = Usage::open(path, clock);
    assert_eq!(known(&usage), [false, true, false]);
    assert!(told(&usage, token(1)).is_empty());
}

#[test]
fn a_caller_is_erased_seven_days_after_its_last_use_from_the_file_too() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("usage.redb");
    let clock = Clock::manual(START);
    let (usage, _first_uses) = Usage::open(path.clone(), clock.clone());
    used(&usage, token(1), START);
    usage.flush();
    clock.advance(Span::days(7));
    assert_eq!(told(&usage, token(1)).len(), 1);
    clock.advance(Span::seconds(1));
    assert!(told(&usage, token(1)).is_empty());
    usage.flush(); // finds it
    usage.flush(); // writes that
    assert!(usage.0.file.callers().is_empty());
}

#[test]
fn a_flood_of_callers_is_told_early_and_bounded() {
    let dir = tempfile::tempdir().expect("dir");
    let (usage, _first_uses) = Usage::open(dir.path().join("usage.redb"), Clock::manual(START));
    let mut tally = Tally::new(usage.clone());
    for host in 0..5_000_u32 {
        let by = By { address: IpAddr::V4(host.into()), user_agent: None, route: "/" };
        tally.note(Use { token: token(1), slot: Slot::Old, at: START, by });
    }
    assert_ne!(usage.last_used(token(1)), Ok(None), "told before it was asked to");
    tally.fold();
    assert_eq!(told(&usage, token(1)).len(), 20);
    assert_eq!(usage.requests(token(1)).expect("readable").in_hour, 5_000);
}

#[tokio::test]
async fn every_worker_tells_when_it_is_asked_and_one_that_does_not_is_missed() {
    let dir = tempfile::tempdir().expect("dir");
    let (usage, _first_uses) = Usage::open(dir.path().join("usage.redb"), Clock::manual(START));
    assert!(usage.gather().await, "there is nobody to ask");
    let mut tally = Tally::new(usage.clone());
    tally.note(used_at(token(1), START));
    let worker = tokio::spawn(async move {
        let mut asked = tally.asked();
        asked.changed().await.expect("asked");
        tally.fold();
    });
    assert!(usage.gather().await);
    assert_eq!(usage.last_used(token(1)), Ok(Some(START)));
    worker.await.expect("done");
    let _stuck = Tally::new(usage.clone());
    assert!(!usage.gather().await);
}
