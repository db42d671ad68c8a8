//! What every store must do: a suite that each is put through.
//!
//! Promises: every test takes an empty store and relies on nothing but [`Store`].
//! Deliberately does not: know how a store keeps what it is given, or how it fails.

mod mirror;

use super::{Conflict, EventQuery, KeyRef, Notice, Store, StoreError, What, Write};
use crate::domain::audit::PrunedFacts;
use crate::domain::chain::{Verified, Verifier};
use crate::domain::{
    Action, ActionName, Actor, ApiKey, Digest, EndReason, Ended, EventDraft, EventId, Facts, Head, KeyId, KeyName,
    Lifetime, Origin, Realm, RecordHash, Revision, Settings, Span, Timestamp, Token, TokenId, Tokens, audit::KeyFacts,
};

pub(super) use mirror::Mirror;

pub(super) const NOW: Timestamp = Timestamp::from_millis(1_795_461_120_000);

pub(super) fn id(number: u64) -> KeyId {
    KeyId::from_bits(u128::from(number) | 0x0199_0000 << 96)
}

pub(super) fn digest(number: u64) -> Digest {
    Digest::of(&number.to_be_bytes())
}

pub(super) fn token(number: u64) -> Token {
    let id = TokenId::from_bits(u128::from(number) | 0x0198_0000 << 96);
    Token::of_digest(digest(number), id, NOW, Origin::Created)
}

/// A plain key whose id and only token are made of `number`.
pub(super) fn key(number: u64, name: &str) -> ApiKey {
    ApiKey::plain(id(number), name, token(number))
}

/// `key` with another token, the former one remembered.
pub(super) fn renewed(key: &ApiKey, number: u64) -> ApiKey {
    let mut after = key.clone();
    after.ended.extend(key.tokens.each().map(|token| Ended {
        id: token.id,
        digest: token.digest,
        ended_at: NOW,
        reason: EndReason::Superseded,
    }));
    after.tokens = Tokens::Single { current: token(number) };
    after
}

pub(super) fn draft(number: u64, action: Action, key: Option<&ApiKey>) -> EventDraft {
    EventDraft {
        id: EventId::from_bits(u128::from(number)),
        at: NOW,
        written_at: NOW,
        actor: Actor::named("alice"),
        address: None,
        action,
        key: key.map(|key| key.id),
        before: None,
        after: key.map(|key| Facts::Key(Box::new(KeyFacts::of(key)))),
    }
}

pub(super) fn write(what: What, events: Vec<EventDraft>) -> Write {
    Write { realm: Realm::Gateway, what, events }
}

pub(super) fn create(key: &ApiKey) -> Write {
    write(What::Create(key.clone()), vec![draft(1, Action::Created, Some(key))])
}

fn replace(key: &ApiKey, revision: Revision) -> Write {
    write(What::Replace(key.clone(), revision), vec![draft(2, Action::Edited, Some(key))])
}

fn delete(key: &ApiKey, revision: Revision) -> Write {
    write(What::Delete(key.id, revision, NOW), vec![draft(3, Action::Deleted, Some(key))])
}

fn admin(write: Write) -> Write {
    Write { realm: Realm::Admin, ..write }
}

async fn conflict(store: &impl Store, writes: Vec<Write>) -> Conflict {
    match store.commit(writes).await {
        Err(StoreError::Conflict(conflict)) => conflict,
        other => panic!("expected a conflict, and got {other:?}"),
    }
}

fn by_name(name: &str) -> KeyRef {
    KeyRef::Name(name.parse::<KeyName>().expect("a legal name"))
}

pub(super) async fn a_created_key_is_found_by_id_name_and_digest_in_its_realm_only(store: impl Store) {
    let key = key(1, "Straße");
    let revision = store.commit(vec![create(&key)]).await.expect("committed");
    for found in [
        store.load(Realm::Gateway, KeyRef::Id(key.id)).await,
        store.load(Realm::Gateway, by_name("STRASSE")).await,
        store.find_digest(Realm::Gateway, digest(1)).await,
    ] {
        let found = found.expect("read").expect("there");
        assert_eq!((&*found.value, found.revision), (&key, revision));
    }
    for absent in [
        store.load(Realm::Admin, KeyRef::Id(key.id)).await,
        store.load(Realm::Admin, by_name("Straße")).await,
        store.find_digest(Realm::Admin, digest(1)).await,
        store.load(Realm::Gateway, by_name("other")).await,
        store.find_digest(Realm::Gateway, digest(2)).await,
    ] {
        assert_eq!(absent.expect("read"), None);
    }
    let again = ApiKey { name: "other".parse().expect("legal"), tokens: Tokens::Single { current: token(9) }, ..key };
    assert_eq!(conflict(&store, vec![create(&again)]).await, Conflict::Revision);
}

pub(super) async fn a_name_belongs_to_one_living_key_of_a_realm(store: impl Store) {
    let first = key(1, "ci");
    let revision = store.commit(vec![create(&first)]).await.expect("committed");
    assert_eq!(conflict(&store, vec![create(&key(2, "CI"))]).await, Conflict::NameTaken);
    store.commit(vec![admin(create(&key(3, "ci")))]).await.expect("another realm, another name");
    let second = key(2, "other");
    let other = store.commit(vec![create(&second)]).await.expect("committed");
    let taken = ApiKey { name: "Ci".parse().expect("legal"), ..second };
    assert_eq!(conflict(&store, vec![replace(&taken, other)]).await, Conflict::NameTaken);
    let upper = ApiKey { name: "CI".parse().expect("legal"), ..first.clone() };
    let revision = store.commit(vec![replace(&upper, revision)]).await.expect("its own name in other letters");
    let renamed = ApiKey { name: "was-ci".parse().expect("legal"), ..first };
    let revision = store.commit(vec![replace(&renamed, revision)]).await.expect("renamed");
    let other = store.commit(vec![replace(&taken, other)]).await.expect("the name is free after a renaming");
    store.commit(vec![delete(&renamed, revision)]).await.expect("deleted");
    store.commit(vec![create(&key(4, "was-CI"))]).await.expect("the name is free after a deletion");
    let found = store.load(Realm::Gateway, by_name("ci")).await.expect("read").expect("there");
    assert_eq!((found.value.id, found.revision), (taken.id, other));
}

pub(super) async fn a_digest_belongs_to_one_key_living_remembered_or_deleted(store: impl Store) {
    let first = key(1, "first");
    let created = store.commit(vec![create(&first)]).await.expect("committed");
    let thief = |number| ApiKey { tokens: Tokens::Single { current: token(number) }, ..key(7, "thief") };
    assert_eq!(conflict(&store, vec![create(&thief(1))]).await, Conflict::DigestInUse);
    assert_eq!(conflict(&store, vec![admin(create(&thief(1)))]).await, Conflict::DigestInUse);
    let renewed = renewed(&first, 2);
    let revision = store.commit(vec![replace(&renewed, created)]).await.expect("renewed");
    for number in [1, 2] {
        assert_eq!(conflict(&store, vec![create(&thief(number))]).await, Conflict::DigestInUse, "token {number}");
        let found = store.find_digest(Realm::Gateway, digest(number)).await.expect("read").expect("there");
        assert_eq!(*found.value, renewed);
    }
    let forgetful = ApiKey { ended: Vec::new(), ..renewed };
    let revision = store.commit(vec![replace(&forgetful, revision)]).await.expect("forgotten");
    assert_eq!(store.find_digest(Realm::Gateway, digest(1)).await.expect("read"), None);
    store.commit(vec![create(&thief(1))]).await.expect("a forgotten digest is free");
    store.commit(vec![delete(&forgetful, revision)]).await.expect("deleted");
    assert_eq!(store.find_digest(Realm::Gateway, digest(2)).await.expect("read"), None);
    let late = ApiKey { tokens: Tokens::Single { current: token(2) }, ..key(8, "late") };
    assert_eq!(conflict(&store, vec![create(&late)]).await, Conflict::DigestInUse);
    let twice = renewed_with_its_own(&key(9, "twice"));
    assert_eq!(conflict(&store, vec![create(&twice)]).await, Conflict::DigestInUse);
}

pub(super) async fn what_one_write_lets_go_of_another_of_the_same_commit_may_take(store: impl Store) {
    let named = |number, name: &str| ApiKey { tokens: Tokens::Single { current: token(number) }, ..key(1, name) };
    let (first, second, gone) = (key(1, "a"), key(2, "b"), key(3, "c"));
    let mut revisions = Vec::new();
    for key in [&first, &second, &gone] {
        revisions.push(store.commit(vec![create(key)]).await.expect("committed"));
    }
    let exchanged = [
        replace(&named(2, "b"), revisions[0]),
        replace(&ApiKey { id: second.id, ..named(1, "c") }, revisions[1]),
        delete(&gone, revisions[2]),
    ];
    store.commit(exchanged.to_vec()).await.expect("names and tokens are exchanged");
    for (reference, number, key) in [("b", 2, &first), ("c", 1, &second)] {
        let found = store.load(Realm::Gateway, by_name(reference)).await.expect("read").expect("there");
        assert_eq!(found.value.id, key.id, "{reference}");
        let found = store.find_digest(Realm::Gateway, digest(number)).await.expect("read").expect("there");
        assert_eq!(found.value.id, key.id, "token {number}");
    }
    assert_eq!(store.load(Realm::Gateway, by_name("a")).await.expect("read"), None);
    let living = async |id| store.load(Realm::Gateway, KeyRef::Id(id)).await.expect("read").expect("there");
    let (one, other) = (living(first.id).await, living(second.id).await);
    let same = |key: &ApiKey| ApiKey { name: "d".parse().expect("legal"), ..key.clone() };
    let both = vec![replace(&same(&one.value), one.revision), replace(&same(&other.value), other.revision)];
    assert_eq!(conflict(&store, both).await, Conflict::NameTaken, "one name is not two keys'");
    let twice = vec![replace(&same(&one.value), one.revision), replace(&one.value, one.revision)];
    assert_eq!(conflict(&store, twice).await, Conflict::Revision, "a key is written once in a commit");
    assert_eq!(living(first.id).await, one, "nothing was written");
}

/// A key that remembers the very token it has.
fn renewed_with_its_own(key: &ApiKey) -> ApiKey {
    ApiKey { tokens: key.tokens.clone(), ..renewed(key, 0) }
}

pub(super) async fn deleted_keys_are_forgotten_when_it_is_time_and_not_before(store: impl Store) {
    for number in 1..=3 {
        let key = key(number, &format!("key {number}"));
        let revision = store.commit(vec![create(&key)]).await.expect("committed");
        let end = NOW.plus(Span::seconds(number));
        store.commit(vec![write(What::Delete(key.id, revision, end), Vec::new())]).await.expect("deleted");
    }
    let again = |number| create(&ApiKey { id: id(number + 10), ..key(number, &format!("again {number}")) });
    assert_eq!(store.forget_deleted(NOW.plus(Span::seconds(1))).await.expect("swept"), 0, "deleted before, not at");
    assert_eq!(store.forget_deleted(NOW.plus(Span::seconds(3))).await.expect("swept"), 2);
    store.commit(vec![again(1), again(2)]).await.expect("forgotten digests are free");
    assert_eq!(conflict(&store, vec![again(3)]).await, Conflict::DigestInUse);
    assert_eq!(store.forget_deleted(NOW.plus(Span::days(1))).await.expect("swept"), 1);
    assert_eq!(store.forget_deleted(NOW.plus(Span::days(1))).await.expect("swept"), 0);
}

pub(super) async fn of_many_replacements_of_one_revision_exactly_one_wins(store: impl Store) {
    let first = key(1, "contended");
    let revision = store.commit(vec![create(&first)]).await.expect("committed");
    let attempts = (2..10).map(|number| store.commit(vec![replace(&renewed(&first, number), revision)]));
    let results = futures_util::future::join_all(attempts).await;
    let won: Vec<Revision> = results.iter().filter_map(|result| result.as_ref().ok().copied()).collect();
    assert_eq!(won.len(), 1, "{results:?}");
    for lost in results.into_iter().filter_map(Result::err) {
        assert!(matches!(lost, StoreError::Conflict(Conflict::Revision)), "{lost:?}");
    }
    let found = store.load(Realm::Gateway, KeyRef::Id(first.id)).await.expect("read").expect("there");
    assert_eq!(found.revision, won[0]);
    let gone = write(What::Delete(first.id, won[0], NOW), Vec::new());
    store.commit(vec![gone.clone()]).await.expect("deleted");
    assert_eq!(conflict(&store, vec![gone]).await, Conflict::Revision);
    assert_eq!(conflict(&store, vec![replace(&first, won[0])]).await, Conflict::Revision);
}

pub(super) async fn a_commit_is_written_whole_or_not_at_all(store: impl Store) {
    let first = key(1, "first");
    let before = store.commit(vec![create(&first)]).await.expect("committed");
    let mut feed = store.subscribe();
    let mut mirror = Mirror::default();
    mirror.follow(&mut *feed, before).await;
    let second = key(2, "second");
    let settings = write(What::Settings(Settings::default(), Revision(0)), Vec::new());
    for obstacle in [create(&key(3, "FIRST")), replace(&first, Revision(99)), delete(&first, Revision(0))] {
        let commit = vec![create(&second), settings.clone(), delete(&first, before), create(&second), obstacle];
        conflict(&store, commit).await;
    }
    conflict(&store, vec![create(&second), settings, create(&key(4, "Second"))]).await;
    assert_eq!(store.load(Realm::Gateway, by_name("second")).await.expect("read"), None);
    assert_eq!(store.find_digest(Realm::Gateway, digest(2)).await.expect("read"), None);
    assert_eq!(store.settings().await.expect("read"), None);
    assert_eq!(store.count(Realm::Gateway).await.expect("read"), 1);
    let events = store.events(EventQuery { limit: 10, ..EventQuery::default() }).await.expect("read");
    assert_eq!(events.events.len(), 1);
    let swapped = store.commit(vec![delete(&first, before), create(&key(5, "first"))]).await.expect("committed");
    assert_eq!(swapped, Revision(before.0 + 2), "a refused commit takes no revision");
    mirror.follow(&mut *feed, swapped).await;
    assert_eq!(mirror.keys.keys().copied().collect::<Vec<_>>(), [(false, id(5))]);
    assert_eq!(mirror.resets, 1);
    assert_eq!(store.commit(Vec::new()).await.expect("nothing to do"), swapped);
}

pub(super) async fn a_commit_holds_only_while_what_it_expects_is_so(store: impl Store) {
    let (first, second) = (key(1, "first"), key(2, "second"));
    let revision = store.commit(vec![create(&first)]).await.expect("committed");
    let expected =
        |revision| Write { realm: Realm::Gateway, what: What::Expect(first.id, revision), events: Vec::new() };
    let stale = Revision(revision.0 + 7);
    assert_eq!(conflict(&store, vec![create(&second), expected(stale)]).await, Conflict::Revision);
    assert_eq!(store.load(Realm::Gateway, by_name("second")).await.expect("read"), None);
    let last = store.commit(vec![create(&second), expected(revision)]).await.expect("it is so");
    let found = store.load(Realm::Gateway, by_name("second")).await.expect("read").expect("there");
    assert_eq!(found.revision, last, "an expectation takes no revision");
    store.commit(vec![delete(&first, revision)]).await.expect("deleted");
    assert_eq!(conflict(&store, vec![create(&key(3, "third")), expected(revision)]).await, Conflict::Revision);
}

pub(super) async fn each_event_takes_a_revision_and_the_record_the_last_of_them(store: impl Store) {
    let first = key(1, "first");
    let two = vec![draft(10, Action::Created, Some(&first)), draft(11, Action::Edited, Some(&first))];
    let revision = store.commit(vec![write(What::Create(first.clone()), two)]).await.expect("committed");
    assert_eq!(revision, Revision(2));
    let silent = write(What::Replace(first.clone(), revision), Vec::new());
    let second = admin(create(&key(2, "second")));
    assert_eq!(store.commit(vec![silent, second]).await.expect("committed"), Revision(4));
    let found = store.load(Realm::Gateway, KeyRef::Id(first.id)).await.expect("read").expect("there");
    assert_eq!(found.revision, Revision(3));
    let found = store.load(Realm::Admin, by_name("second")).await.expect("read").expect("there");
    assert_eq!(found.revision, Revision(4));
    let page = store.events(EventQuery { limit: 100, ..EventQuery::default() }).await.expect("read");
    let told: Vec<_> = page.events.iter().map(|event| (event.revision.0, event.action)).collect();
    let (created, edited) = (ActionName(Action::Created, Realm::Gateway), ActionName(Action::Edited, Realm::Gateway));
    assert_eq!(told, [(1, created), (2, edited), (4, ActionName(Action::Created, Realm::Admin))]);
    let first =
        draft(10, Action::Created, Some(&first)).at_revision(Realm::Gateway, Revision(1), RecordHash::of_nothing());
    assert_eq!(page.events[0], first);
}

pub(super) async fn events_come_in_pages_and_through_filters(store: impl Store) {
    for number in 1..=9 {
        let key = key(number, &format!("key {number}"));
        let mut event = draft(number, Action::Created, Some(&key));
        event.actor = Actor::named(if number % 3 == 0 { "bob" } else { "alice" });
        store.commit(vec![write(What::Create(key), vec![event])]).await.expect("committed");
    }
    let mut query = EventQuery { limit: 4, ..EventQuery::default() };
    let mut told = Vec::new();
    loop {
        let page = store.events(query.clone()).await.expect("read");
        assert!(page.events.len() <= 4);
        told.extend(page.events.iter().map(|event| event.revision.0));
        match page.next {
            Some(next) => query.after = next,
            None => break,
        }
    }
    assert_eq!(told, (1..=9).collect::<Vec<_>>());
    let mut query = EventQuery { limit: 4, before: Some(Revision(u64::MAX)), ..EventQuery::default() };
    told.clear();
    while let Some(before) = query.before {
        let page = store.events(query.clone()).await.expect("read");
        assert!(page.events.len() <= 4);
        told.extend(page.events.iter().map(|event| event.revision.0));
        query.before = page.next.inspect(|next| assert!(*next < before, "it goes round in circles"));
    }
    assert_eq!(told, (1..=9).rev().collect::<Vec<_>>());
    let all = EventQuery { limit: 100, ..EventQuery::default() };
    let revisions = async |query| {
        let page = store.events(query).await.expect("read");
        page.events.iter().map(|event| event.revision.0).collect::<Vec<_>>()
    };
    assert_eq!(revisions(EventQuery { key: Some(id(4)), ..all.clone() }).await, [4]);
    assert_eq!(revisions(EventQuery { actor: Some("bob".into()), ..all.clone() }).await, [3, 6, 9]);
    assert_eq!(revisions(EventQuery { actor: Some("bob".into()), after: Revision(3), ..all.clone() }).await, [6, 9]);
    let deleted = ActionName(Action::Deleted, Realm::Gateway);
    assert_eq!(revisions(EventQuery { action: Some(deleted), ..all.clone() }).await, Vec::<u64>::new());
    let created = ActionName(Action::Created, Realm::Gateway);
    assert_eq!(revisions(EventQuery { action: Some(created), ..all.clone() }).await.len(), 9);
    assert_eq!(revisions(EventQuery { after: Revision(9), ..all.clone() }).await, Vec::<u64>::new());
    let before = |revision| Some(Revision(revision));
    assert_eq!(revisions(EventQuery { before: before(9), after: Revision(6), ..all.clone() }).await, [8, 7]);
    let of_bob = EventQuery { actor: Some("bob".into()), ..all.clone() };
    assert_eq!(revisions(EventQuery { before: before(9), ..of_bob }).await, [6, 3]);
    assert_eq!(revisions(EventQuery { before: before(4), after: Revision(4), ..all }).await, Vec::<u64>::new());
}

/// Whether the whole log is in its place, these heads included.
async fn verified(store: &impl Store, known: &[Head]) -> Verified {
    let mut verifier = Verifier::knowing(known.to_vec());
    loop {
        let records = store.records(verifier.head().revision, 7).await.expect("read");
        if records.is_empty() {
            return verifier.finish().expect("whole");
        }
        assert!(records.len() <= 7);
        for record in records {
            verifier.take(record.line.as_bytes()).expect("in its place");
            assert_eq!(verifier.head().revision, record.revision);
        }
    }
}

pub(super) async fn each_event_holds_the_hash_of_the_one_before(store: impl Store) {
    assert_eq!(store.head().await.expect("read"), Head::of_nothing());
    let mut heads = Vec::new();
    for number in 1..=9 {
        let key = key(number, &format!("key {number}"));
        let two = vec![draft(number, Action::Created, Some(&key)), draft(number + 100, Action::Edited, Some(&key))];
        let revision = store.commit(vec![write(What::Create(key.clone()), two)]).await.expect("committed");
        let head = store.head().await.expect("read");
        assert_eq!(head.revision, revision);
        heads.push(head);
        store.commit(vec![write(What::Replace(key, revision), Vec::new())]).await.expect("committed");
        assert_eq!(store.head().await.expect("read"), head, "what has no event does not lengthen the chain");
    }
    conflict(&store, vec![create(&key(10, "key 1"))]).await;
    let whole = verified(&store, &heads).await;
    assert_eq!((whole.records, whole.head, whole.removed), (18, heads[8], None));
    let page = store.events(EventQuery { after: Revision(1), limit: 1, ..EventQuery::default() }).await.expect("read");
    let first = store.records(Revision(0), 1).await.expect("read");
    assert_eq!(page.events[0].previous, RecordHash::of(first[0].line.as_bytes()));
}

pub(super) async fn the_oldest_events_go_for_their_age_and_tell_of_it(store: impl Store) {
    const OLD: u64 = 1_500; // more than go at once
    let at = |number, written_at| EventDraft { written_at, ..draft(number, Action::Edited, None) };
    let (old, young) = (NOW, NOW.plus(Span::days(1)));
    let events = (0..OLD).map(|number| at(number, old)).chain([at(OLD, young), at(OLD + 1, old)]).collect();
    let last = store.commit(vec![write(What::Events, events)]).await.expect("committed");
    let (mut feed, mut mirror) = (store.subscribe(), Mirror::default());
    mirror.follow(&mut *feed, last).await;
    let kept = store.records(Revision(OLD - 1), 1).await.expect("read")[0].clone();
    let told = || draft(9_999, Action::AuditPruned, None);
    assert!(!store.prune_events(old, told()).await.expect("nothing is older"));
    for more in [true, true, false] {
        assert_eq!(store.prune_events(young, told()).await.expect("pruned"), more);
    }
    let records = store.records(Revision(0), 100).await.expect("read");
    let revisions: Vec<u64> = records.iter().map(|record| record.revision.0).collect();
    assert_eq!(
        revisions,
        [OLD + 1, OLD + 2, OLD + 3, OLD + 4],
        "an old one behind a young one stays: there are no gaps"
    );
    let head = Head { revision: kept.revision, hash: RecordHash::of(kept.line.as_bytes()) };
    let page = store.events(EventQuery { limit: 9, ..EventQuery::default() }).await.expect("read");
    let last_told = page.events[3].after.clone();
    let facts = PrunedFacts { through: head.revision, hash: head.hash, records: OLD - 1_000 };
    assert_eq!((page.events[0].previous, last_told), (head.hash, Some(Facts::Pruned(facts))));
    assert_eq!(verified(&store, &[head]).await.records, 4);
    mirror.follow(&mut *feed, Revision(OLD + 4)).await;
    assert_eq!(mirror.resets, 1);
}

pub(super) async fn settings_are_replaced_by_revision(store: impl Store) {
    assert_eq!(store.settings().await.expect("read"), None);
    let settings = Settings::default();
    let set = |settings: &Settings, revision| {
        write(What::Settings(settings.clone(), revision), vec![draft(1, Action::SettingsChanged, None)])
    };
    assert_eq!(conflict(&store, vec![set(&settings, Revision(1))]).await, Conflict::Revision);
    let revision = store.commit(vec![set(&settings, Revision(0))]).await.expect("committed");
    assert_eq!(conflict(&store, vec![set(&settings, Revision(0))]).await, Conflict::Revision);
    let other = Settings { duration: Lifetime::Never, ..settings };
    let revision = store.commit(vec![set(&other, revision)]).await.expect("committed");
    let found = store.settings().await.expect("read").expect("there");
    assert_eq!((found.value, found.revision), (other, revision));
}

pub(super) async fn living_keys_are_counted_by_realm(store: impl Store) {
    let counts = async || {
        let (gateway, admin) = (store.count(Realm::Gateway).await, store.count(Realm::Admin).await);
        (gateway.expect("read"), admin.expect("read"))
    };
    assert_eq!(counts().await, (0, 0));
    let first = key(1, "first");
    let revision = store.commit(vec![create(&first)]).await.expect("committed");
    store.commit(vec![create(&key(2, "second")), admin(create(&key(3, "third")))]).await.expect("committed");
    assert_eq!(counts().await, (2, 1));
    store.commit(vec![delete(&first, revision)]).await.expect("committed");
    assert_eq!(counts().await, (1, 1));
}

pub(super) async fn a_feed_tells_what_is_and_then_what_happens(store: impl Store) {
    let (first, second) = (key(1, "first"), key(2, "second"));
    let revision = store.commit(vec![create(&first)]).await.expect("committed");
    let last = store.commit(vec![admin(create(&second))]).await.expect("committed");
    let mut feed = store.subscribe();
    let mut mirror = Mirror::default();
    assert!(matches!(mirror.take(&mut *feed).await, Notice::Reset));
    mirror.follow(&mut *feed, last).await;
    assert_eq!(mirror.keys.len(), 2);
    assert_eq!(*mirror.keys[&(false, first.id)], first);
    assert_eq!(*mirror.keys[&(true, second.id)], second);
    let settings = write(What::Settings(Settings::default(), Revision(0)), Vec::new());
    let last = store.commit(vec![delete(&first, revision), settings]).await.expect("committed");
    let removed = mirror.take(&mut *feed).await;
    assert!(matches!(removed, Notice::Remove(Realm::Gateway, _, id) if id == first.id), "{removed:?}");
    assert!(matches!(mirror.take(&mut *feed).await, Notice::Settings(revision, _) if revision == last));
    assert!(matches!(mirror.take(&mut *feed).await, Notice::Synced(revision) if revision == last));
}

pub(super) async fn feeds_begun_amid_commits_miss_nothing_and_repeat_nothing(store: impl Store) {
    const KEYS: u64 = 40;
    let store = &store;
    let writer = async |from: u64| {
        for number in (from..KEYS).step_by(4) {
            let key = key(number, &format!("key {number}"));
            let created = store.commit(vec![create(&key)]).await.expect("committed");
            let renewed = renewed(&key, number + 1_000);
            let revision = store.commit(vec![replace(&renewed, created)]).await.expect("committed");
            if number % 5 == 0 {
                store.commit(vec![delete(&renewed, revision)]).await.expect("committed");
            }
        }
    };
    let reader = async |after_commits: u64| {
        let mut first = store.subscribe();
        Mirror::default().follow(&mut *first, Revision(after_commits)).await; // the writers are at work by now
        let mut feed = store.subscribe();
        let mut mirror = Mirror::default();
        mirror.follow(&mut *feed, Revision(KEYS * 2 + KEYS / 5)).await;
        mirror
    };
    let writers = futures_util::future::join_all((0..4).map(writer));
    let readers = futures_util::future::join_all([0, 5, 20, 40, 60].map(reader));
    let (_, mirrors) = futures_util::future::join(writers, readers).await;
    for mirror in mirrors {
        let mut told: Vec<KeyId> = mirror.keys.keys().map(|(_, id)| *id).collect();
        told.sort();
        assert_eq!(told, (0..KEYS).filter(|number| number % 5 != 0).map(id).collect::<Vec<_>>());
        for (number, key) in (0..KEYS).filter_map(|number| Some((number, mirror.keys.get(&(false, id(number)))?))) {
            assert!(key.digests().any(|own| own == digest(number + 1_000)), "key {number} is as it was before");
        }
        assert_eq!(mirror.resets, 1);
    }
}
