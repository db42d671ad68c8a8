//! A feed with a script, and what is in force after each of its scenes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures_util::FutureExt;

use super::*;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::domain::{Digest, Lifetime, Origin, Prefix, Settings, Span, Timestamp, Token, TokenId};
use crate::index::Index;
use crate::keyring::Parts;
use crate::store::{KeyRef, embedded::EmbeddedStore};
use crate::usage::Usage;

const AT: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// Tells what stands in the script, and waits when all is told.
struct Scripted(Arc<Mutex<VecDeque<Notice>>>);

#[async_trait::async_trait]
impl Feed for Scripted {
    async fn next(&mut self) -> Notice {
        let told = |_: &mut Context<'_>| match self.0.lock().expect("script").pop_front() {
            Some(notice) => Poll::Ready(notice),
            None => Poll::Pending,
        };
        std::future::poll_fn(told).await
    }
}

/// A keyring that follows a script.
struct Stage {
    keyring: Keyring,
    keys: Index,
    admins: Index,
    catalog: Catalog,
    script: Arc<Mutex<VecDeque<Notice>>>,
    following: Pin<Box<dyn Future<Output = ()>>>,
    _folder: tempfile::TempDir,
}

impl Stage {
    fn set() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let store = EmbeddedStore::open(folder.path().join("store.redb")).expect("store");
        let clock = Clock::manual(AT);
        let (usage, _first_uses) = Usage::open(folder.path().join("usage.redb"), clock.clone());
        let ((keys, keys_writer), (admins, admins_writer)) = (Index::with_capacity(0), Index::with_capacity(0));
        let catalog = Catalog::default();
        let keyring = Keyring::new(Parts {
            store: Arc::new(store),
            catalog: catalog.clone(),
            keys: keys.clone(),
            admins: admins.clone(),
            usage,
            clock,
            prefix: Prefix::default(),
            remember: Span::days(90),
        });
        let script = Arc::default();
        let follower = Follower { keys: keys_writer, admins: admins_writer };
        let following = Box::pin(follow(keyring.clone(), follower, Box::new(Scripted(Arc::clone(&script)))));
        Self { keyring, keys, admins, catalog, script, following, _folder: folder }
    }

    /// Tells `scene`, and has all of it followed.
    fn play(&mut self, scene: impl IntoIterator<Item = Notice>) {
        self.script.lock().expect("script").extend(scene);
        assert!(self.following.as_mut().now_or_never().is_none(), "a feed is followed for ever");
        assert!(self.script.lock().expect("script").is_empty());
    }

    fn accepts(&self, number: u8) -> bool {
        self.keys.find(&digest(number)).is_some_and(|pass| pass.judge(AT, &self.keys.settings()).is_ok())
    }

    fn lists(&self, number: u8) -> bool {
        self.catalog.find(Realm::Gateway, &KeyRef::Id(id(number))).is_some()
    }
}

fn digest(number: u8) -> Digest {
    Digest::of(&[number])
}

fn id(number: u8) -> KeyId {
    KeyId::from_bits(number.into())
}

fn key(number: u8) -> ApiKey {
    let token = Token::of_digest(digest(number), TokenId::from_bits(number.into()), AT, Origin::Created);
    ApiKey::plain(id(number), &format!("key {number}"), token)
}

fn put(number: u8, revision: u64) -> Notice {
    Notice::Put(Realm::Gateway, Revision(revision), Arc::new(key(number)))
}

#[test]
fn nothing_is_loaded_before_the_first_synced_and_the_revision_is_told_with_it() {
    let mut stage = Stage::set();
    stage.play([Notice::Reset, put(1, 1), put(2, 2)]);
    assert!(!stage.keys.is_loaded() && !stage.admins.is_loaded());
    assert_eq!(stage.keyring.revision(), Revision(0));
    stage.play([Notice::Synced(Revision(2))]);
    assert!(stage.keys.is_loaded() && stage.admins.is_loaded());
    assert_eq!(stage.keyring.revision(), Revision(2));
    assert!(stage.accepts(1) && stage.lists(1) && stage.accepts(2) && stage.lists(2));
}

#[test]
fn during_a_resync_the_last_known_answers_serve_and_what_did_not_come_back_goes_at_its_end() {
    let mut stage = Stage::set();
    stage.play([Notice::Reset, put(1, 1), put(2, 2), Notice::Synced(Revision(2))]);
    stage.play([Notice::Reset, put(1, 1), put(3, 4)]);
    assert!(stage.accepts(1) && stage.accepts(2) && stage.accepts(3) && stage.lists(2));
    assert!(stage.keys.is_loaded());
    stage.play([Notice::Synced(Revision(4))]);
    assert!(stage.accepts(1) && !stage.accepts(2) && stage.accepts(3));
    assert!(stage.lists(1) && !stage.lists(2) && stage.lists(3));
    assert_eq!((stage.keys.len(), stage.catalog.len(Realm::Gateway)), (2, 2));
}

#[test]
fn a_resync_broken_off_by_another_sweeps_only_what_the_last_did_not_bring_back() {
    let mut stage = Stage::set();
    stage.play([Notice::Reset, put(1, 1), put(2, 2), Notice::Synced(Revision(2))]);
    stage.play([Notice::Reset, put(1, 1), Notice::Reset, put(2, 2), Notice::Synced(Revision(3))]);
    assert!(!stage.accepts(1) && stage.accepts(2));
}

#[test]
fn a_first_load_broken_off_leaves_nothing_of_its_own_behind() {
    let mut stage = Stage::set();
    stage.play([Notice::Reset, put(1, 1), Notice::Reset, put(2, 2), Notice::Synced(Revision(2))]);
    assert!(!stage.accepts(1) && !stage.lists(1) && stage.accepts(2));
}

#[test]
fn a_removed_key_is_refused_and_listed_no_more() {
    let mut stage = Stage::set();
    stage.play([Notice::Reset, put(1, 1), Notice::Synced(Revision(1))]);
    stage.play([Notice::Remove(Realm::Gateway, Revision(2), id(1)), Notice::Synced(Revision(2))]);
    assert!(!stage.accepts(1) && !stage.lists(1) && stage.keys.is_empty());
}

#[test]
fn realms_are_followed_apart() {
    let mut stage = Stage::set();
    let admin = Notice::Put(Realm::Admin, Revision(1), Arc::new(key(1)));
    stage.play([Notice::Reset, admin, Notice::Synced(Revision(1))]);
    assert!(stage.keys.find(&digest(1)).is_none() && stage.admins.find(&digest(1)).is_some());
    stage.play([Notice::Reset, put(2, 2), Notice::Synced(Revision(2))]);
    assert!(stage.admins.find(&digest(1)).is_none(), "a resync sweeps administrators too");
}

#[test]
fn settings_are_in_force_when_they_are_told() {
    let mut stage = Stage::set();
    let settings = Settings { duration: Lifetime::For(Span::millis(1)), ..Settings::default() };
    stage.play([Notice::Reset, put(1, 1), Notice::Synced(Revision(1))]);
    stage.play([Notice::Settings(Revision(2), Arc::new(settings.clone())), Notice::Synced(Revision(2))]);
    assert_eq!(*stage.keys.settings().as_ref(), settings);
    assert_eq!(*stage.admins.settings().as_ref(), settings);
}
