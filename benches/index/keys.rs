//! The keys that are measured, each made from its number, and a feed that tells them.
//!
//! A key: a name of 15 characters, one of 64 pairs of roles, one token that was never renewed, nothing else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use relevo::domain::{
    ApiKey, Digest, Hint, KeyId, Origin, Realm, Revision, Role, Status, Timestamp, Token, TokenId, Tokens, Version,
};
use relevo::store::{Feed, Notice};
use tokio::sync::mpsc::UnboundedReceiver;

/// When the first key was made; the others follow, one a millisecond.
const BIRTH: u64 = 1_790_000_000_000;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The text of a token, in the format of minted ones.
pub(crate) type Text = [u8; 53];

/// A number that looks like chance (splitmix64).
pub(crate) fn scattered(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The text of the token of key `number`: 43 characters, and a CRC-32 in six more.
pub(crate) fn text(number: u64) -> Text {
    let mut text = *b"rlv_0000000000000000000000000000000000000000000000000";
    let mut state = number;
    let (checked, check) = text.split_at_mut(47);
    for at in checked.iter_mut().skip(4) {
        state = scattered(state);
        *at = BASE62[(state % 62) as usize];
    }
    let mut rest = crc32fast::hash(checked) as usize;
    for digit in check.iter_mut().rev() {
        *digit = BASE62[rest % 62];
        rest /= 62;
    }
    text
}

/// Key `number`.
pub(crate) fn key(number: u64) -> ApiKey {
    let made = Timestamp::from_millis(BIRTH + number);
    let token = token(made, number);
    let name = format!("client-{number:08}").parse().unwrap_or_else(|_| unreachable!("a legal name"));
    ApiKey {
        id: KeyId::new(made, entropy(number)),
        name,
        roles: roles(scattered(number) % 64),
        status: Status::Active,
        owner: None,
        note: None,
        labels: BTreeMap::new(),
        allowed_addresses: Vec::new(),
        self_service: false,
        created_at: made,
        limits: None,
        limited_to_role: None,
        duration: None,
        version: Version::FIRST,
        tokens: Tokens::Single { current: token },
        ended: Vec::new(),
    }
}

fn token(made: Timestamp, number: u64) -> Token {
    let text = text(number);
    let hint = text.last_chunk().copied().and_then(Hint::from_bytes);
    let id = TokenId::new(made, entropy(scattered(number)));
    Token { hint, ..Token::of_digest(Digest::of(&text), id, made, Origin::Created) }
}

fn roles(set: u64) -> BTreeSet<Role> {
    let role = |text: String| text.parse().unwrap_or_else(|_| unreachable!("a legal role"));
    BTreeSet::from([role(format!("area{set}:read")), role(format!("area{set}:write"))])
}

fn entropy(number: u64) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&scattered(number ^ 0x5eed).to_be_bytes());
    bytes
}

/// A feed of keys `0..count`, then of whatever changes are handed in.
pub(crate) struct Told {
    next: u64,
    count: u64,
    begun: bool,
    synced: bool,
    changes: UnboundedReceiver<Vec<Notice>>,
    ready: VecDeque<Notice>,
}

impl Told {
    pub(crate) fn new(count: u64, changes: UnboundedReceiver<Vec<Notice>>) -> Self {
        Self { next: 0, count, begun: false, synced: false, changes, ready: VecDeque::new() }
    }
}

#[async_trait]
impl Feed for Told {
    async fn next(&mut self) -> Notice {
        if !self.begun {
            self.begun = true;
            return Notice::Reset;
        }
        if self.next < self.count {
            self.next += 1;
            return Notice::Put(Realm::Gateway, Revision(self.next), Arc::new(key(self.next - 1)));
        }
        if !self.synced {
            self.synced = true;
            return Notice::Synced(Revision(self.count));
        }
        loop {
            if let Some(notice) = self.ready.pop_front() {
                return notice;
            }
            match self.changes.recv().await {
                Some(notices) => self.ready.extend(notices),
                None => std::future::pending().await,
            }
        }
    }
}
