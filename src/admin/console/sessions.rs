//! Who is signed in to the console: sessions, and the one-time links that open them.
//!
//! Promises: a session lives no longer than the token that opened it, [`IDLE`] without an action, [`LONGEST`] in all;
//! nobody's sessions but his own end because an administrator signs in again and again;
//! a link opens one session, within [`LINK_LIFETIME`]; of cookies and links only digests are kept, in memory.
//! Deliberately does not: survive a restart, or hold any token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::distr::{Alphanumeric, SampleString};

use super::traffic::Traffic;
use crate::domain::{Digest, KeyId, KeyName, Span, Timestamp};
use crate::observe::Metrics;

/// How long a session lasts without an action; what a page asks by itself is none.
pub(super) const IDLE: Span = Span::minutes(30);
/// How long a session lasts at most.
pub(super) const LONGEST: Span = Span::hours(12);
/// How long a one-time link can be followed.
pub(super) const LINK_LIFETIME: Span = Span::minutes(15);
/// How many sessions and links there are at once; beyond that the one longest unused ends.
const MOST: usize = 1_000;
/// How many sessions one administrator has at once; beyond that the one of his own that is longest unused ends.
const MOST_OF_ONE: usize = 16;
/// 43 base62 characters are 256 bits.
const SECRET_CHARACTERS: usize = 43;

/// The console's memory. Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub struct Console {
    memory: Arc<Mutex<Memory>>,
    traffic: Traffic,
}

#[derive(Default)]
struct Memory {
    sessions: HashMap<Digest, Session>,
    links: HashMap<Digest, Link>,
}

struct Session {
    administrator: KeyId,
    opened_by: Digest,
    opened_at: Timestamp,
    active_at: Timestamp,
}

struct Link {
    administrator: KeyName,
    made_at: Timestamp,
}

/// Whether a request shows that somebody is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Presence {
    /// Somebody asked for it.
    Acting,
    /// The page asked by itself.
    Watching,
}

impl Console {
    /// Makes a link that signs in as `administrator`, once. The answer is its secret part.
    pub fn make_link(&self, administrator: KeyName, now: Timestamp) -> String {
        let code = secret();
        let mut memory = self.memory();
        memory.links.retain(|_, link| link.is_alive(now));
        make_room(&mut memory.links, MOST, |link| Some(link.made_at));
        memory.links.insert(Digest::of(code.as_bytes()), Link { administrator, made_at: now });
        code
    }

    /// Whether the link can be followed.
    pub(super) fn knows_link(&self, code: &str, now: Timestamp) -> bool {
        self.memory().links.get(&Digest::of(code.as_bytes())).is_some_and(|link| link.is_alive(now))
    }

    /// Takes the link away and tells for whom it was made.
    pub(super) fn take_link(&self, code: &str, now: Timestamp) -> Option<KeyName> {
        let link = self.memory().links.remove(&Digest::of(code.as_bytes()))?;
        link.is_alive(now).then_some(link.administrator)
    }

    /// Opens a session for this administrator, who holds the token with this digest. The answer goes into his cookie.
    pub(super) fn open(&self, administrator: KeyId, opened_by: Digest, now: Timestamp) -> String {
        let cookie = secret();
        let mut memory = self.memory();
        memory.sessions.retain(|_, session| session.is_alive(now));
        make_room(&mut memory.sessions, MOST_OF_ONE, |session| {
            (session.administrator == administrator).then_some(session.active_at)
        });
        make_room(&mut memory.sessions, MOST, |session| Some(session.active_at));
        let session = Session { administrator, opened_by, opened_at: now, active_at: now };
        memory.sessions.insert(Digest::of(cookie.as_bytes()), session);
        cookie
    }

    /// The digest of the token by which the session of `cookie` was opened, if it lasts.
    pub(super) fn opened_by(&self, cookie: &str, presence: Presence, now: Timestamp) -> Option<Digest> {
        let mut memory = self.memory();
        let session =
            memory.sessions.get_mut(&Digest::of(cookie.as_bytes())).filter(|session| session.is_alive(now))?;
        if presence == Presence::Acting {
            session.active_at = now;
        }
        Some(session.opened_by)
    }

    /// Ends the session.
    pub(super) fn close(&self, cookie: &str) {
        self.memory().sessions.remove(&Digest::of(cookie.as_bytes()));
    }

    /// Keeps the last hour's counts for the overview, for ever.
    pub async fn watch_traffic(&self, metrics: &Metrics) -> std::convert::Infallible {
        self.traffic.watch(metrics).await
    }

    pub(super) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn is_alive(&self, now: Timestamp) -> bool {
        now < self.active_at.plus(IDLE) && now < self.opened_at.plus(LONGEST)
    }
}

impl Link {
    fn is_alive(&self, now: Timestamp) -> bool {
        now < self.made_at.plus(LINK_LIFETIME)
    }
}

/// Makes room for one more among those that have a `last` use, if there are as many as may be: the oldest goes.
fn make_room<V>(map: &mut HashMap<Digest, V>, most: usize, last: impl Fn(&V) -> Option<Timestamp>) {
    let used = map.iter().filter_map(|(digest, value)| Some((last(value)?, *digest)));
    let (count, oldest) = used.fold((0, None), |(count, oldest): (usize, Option<(Timestamp, Digest)>), one| {
        (count + 1, Some(oldest.filter(|(at, _)| *at <= one.0).unwrap_or(one)))
    });
    if count >= most {
        oldest.map(|(_, digest)| map.remove(&digest));
    }
}

fn secret() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), SECRET_CHARACTERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_461_120_000);
    const TOKEN: Digest = Digest::from_bytes([7; 32]);
    const WHO: KeyId = KeyId::from_bits(7);

    #[test]
    fn a_session_ends_when_nobody_acts_and_watching_is_not_acting() {
        let console = Console::default();
        let cookie = console.open(WHO, TOKEN, NOW);
        let almost = NOW.plus(Span::minutes(29));
        assert_eq!(console.opened_by(&cookie, Presence::Watching, almost), Some(TOKEN));
        assert_eq!(console.opened_by(&cookie, Presence::Acting, NOW.plus(IDLE)), None);
        let cookie = console.open(WHO, TOKEN, NOW);
        assert_eq!(console.opened_by(&cookie, Presence::Acting, almost), Some(TOKEN));
        assert_eq!(console.opened_by(&cookie, Presence::Acting, almost.plus(Span::minutes(29))), Some(TOKEN));
    }

    #[test]
    fn a_session_ends_after_half_a_day_whoever_acts() {
        let console = Console::default();
        let cookie = console.open(WHO, TOKEN, NOW);
        for minutes in (0..720).step_by(20) {
            assert!(console.opened_by(&cookie, Presence::Acting, NOW.plus(Span::minutes(minutes))).is_some());
        }
        assert_eq!(console.opened_by(&cookie, Presence::Acting, NOW.plus(LONGEST)), None);
    }

    #[test]
    fn a_closed_session_and_a_cookie_of_nobodys_are_nothing() {
        let console = Console::default();
        let cookie = console.open(WHO, TOKEN, NOW);
        console.close(&cookie);
        assert_eq!(console.opened_by(&cookie, Presence::Acting, NOW), None);
        assert_eq!(console.opened_by("", Presence::Acting, NOW), None);
    }

    #[test]
    fn a_link_works_once_and_for_a_quarter_of_an_hour() {
        let console = Console::default();
        let root = || "root".parse::<KeyName>().expect("a name");
        let code = console.make_link(root(), NOW);
        assert!(console.knows_link(&code, NOW));
        assert_eq!(console.take_link(&code, NOW), Some(root()));
        assert_eq!(console.take_link(&code, NOW), None);
        let late = console.make_link(root(), NOW);
        assert_eq!(console.take_link(&late, NOW.plus(LINK_LIFETIME)), None);
    }

    #[test]
    fn memory_is_bounded_and_the_session_longest_unused_goes_first() {
        let console = Console::default();
        let open = |at: u32| console.open(KeyId::from_bits(at.into()), TOKEN, NOW.plus(Span::millis(at.into())));
        let first = open(0);
        let second = open(1);
        for at in 2..=1_000 {
            open(at);
        }
        let later = NOW.plus(Span::seconds(2));
        assert_eq!(console.opened_by(&first, Presence::Acting, later), None);
        assert!(console.opened_by(&second, Presence::Acting, later).is_some());
    }

    #[test]
    fn whoever_signs_in_again_and_again_ends_his_own_sessions_and_nobody_elses() {
        let console = Console::default();
        let of_another = console.open(KeyId::from_bits(8), TOKEN, NOW);
        let at = |at: u32| NOW.plus(Span::millis(at.into()));
        let cookies: Vec<_> = (1..=2_000).map(|turn| console.open(WHO, TOKEN, at(turn))).collect();
        let last = |cookie: &String| console.opened_by(cookie, Presence::Watching, at(2_001)).is_some();
        assert!(last(&of_another));
        assert_eq!(cookies.iter().map(last).filter(|lasts| *lasts).count(), 16);
        assert!(cookies[1_984..].iter().all(last));
    }
}
