//! One worker's own note of the tokens it has seen since it last told.
//!
//! Promises: noting a use is a look into a small map of the worker's own, without a lock and, once a token is in it, without
//! an allocation; who called is noted of keys being renewed alone; a note is told early rather than grow.
//! Deliberately does not: share a line of memory with another worker.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::IpAddr;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use tokio::sync::watch;

use super::Usage;
use crate::domain::{Slot, Timestamp, TokenId};

/// How many callers wait to be told at most.
const MOST_CALLERS: usize = 1_024;
/// How many bytes of their user agents at most.
const MOST_AGENT_BYTES: usize = 256 * 1_024;

/// One use of a token.
#[derive(Clone, Copy)]
pub struct Use<'a> {
    /// The token.
    pub token: TokenId,
    /// Which of its key's tokens it is.
    pub slot: Slot,
    /// When.
    pub at: Timestamp,
    /// Who; looked at during a renewal only.
    pub by: By<'a>,
}

/// Who uses a token: what a caller is told apart by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct By<'a> {
    /// The client's address.
    pub address: IpAddr,
    /// Its `User-Agent`, as it was sent.
    pub user_agent: Option<&'a [u8]>,
    /// The route, by hosts and path.
    pub route: &'a str,
}

/// The note.
pub struct Tally {
    usage: Usage,
    tokens: HashMap<TokenId, Noted, RandomState>,
    callers: HashTable<NotedCaller>,
    agent_bytes: usize,
    asked: watch::Receiver<u64>,
    told: watch::Sender<u64>,
}

/// The uses of one token.
pub(super) struct Noted {
    pub(super) slot: Slot,
    pub(super) at: Timestamp,
    pub(super) requests: u32,
}

/// The uses of one token by one caller.
pub(super) struct NotedCaller {
    pub(super) token: TokenId,
    pub(super) address: IpAddr,
    pub(super) user_agent: Option<Box<[u8]>>,
    pub(super) route: Box<str>,
    pub(super) at: Timestamp,
    pub(super) requests: u32,
}

impl NotedCaller {
    fn of(token: TokenId, at: Timestamp, by: By<'_>) -> Self {
        let user_agent = by.user_agent.map(Box::from);
        Self { token, address: by.address, user_agent, route: by.route.into(), at, requests: 1 }
    }

    fn by(&self) -> By<'_> {
        By { address: self.address, user_agent: self.user_agent.as_deref(), route: &self.route }
    }
}

/// One use as it is told at once: by whom, during a renewal.
pub(super) fn single(Use { token, slot, at, by }: Use<'_>) -> (Noted, Option<NotedCaller>) {
    let caller = (slot != Slot::Current).then(|| NotedCaller::of(token, at, by));
    (Noted { slot, at, requests: 1 }, caller)
}

impl Tally {
    /// An empty note that will be told to `usage`.
    pub fn new(usage: Usage) -> Self {
        let (asked, told) = usage.enrol();
        let (tokens, callers) = Default::default();
        Self { usage, tokens, callers, agent_bytes: 0, asked, told }
    }

    /// Changes whenever somebody asks for [`Tally::fold`].
    pub fn asked(&self) -> watch::Receiver<u64> {
        self.asked.clone()
    }

    /// Notes one use.
    pub fn note(&mut self, used: Use<'_>) {
        let Use { token, slot, at, .. } = used;
        let noted = self.tokens.entry(token).or_insert(Noted { slot, at, requests: 0 });
        noted.requests = noted.requests.saturating_add(1);
        (noted.slot, noted.at) = (slot, at);
        match slot {
            Slot::Current => {}
            Slot::Old | Slot::New => self.note_caller(used),
        }
    }

    fn note_caller(&mut self, Use { token, at, by, .. }: Use<'_>) {
        let hasher = self.tokens.hasher();
        let hash = |token: TokenId, by: By<'_>| hasher.hash_one((token, by));
        let is_it = |known: &NotedCaller| known.token == token && known.by() == by;
        if let Some(known) = self.callers.find_mut(hash(token, by), is_it) {
            known.requests = known.requests.saturating_add(1);
            known.at = at;
            return;
        }
        self.agent_bytes += by.user_agent.map_or(0, <[u8]>::len);
        let noted = NotedCaller::of(token, at, by);
        self.callers.insert_unique(hash(token, by), noted, |known| hash(known.token, known.by()));
        if self.callers.len() >= MOST_CALLERS || self.agent_bytes >= MOST_AGENT_BYTES {
            self.fold();
        }
    }

    /// Adds the note to what everybody knows. Once a second, and when [asked](Tally::asked).
    pub fn fold(&mut self) {
        let asked = *self.asked.borrow_and_update();
        if !self.tokens.is_empty() {
            let mut known = self.usage.known();
            known.take_in(&self.usage.0.clock, self.tokens.drain(), self.callers.drain());
            self.agent_bytes = 0;
        }
        self.told.send_if_modified(|told| std::mem::replace(told, asked) != asked);
    }
}
