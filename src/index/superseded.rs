//! Replaced tokens that somebody still tries.
//!
//! Promises: a note waits for nobody and memory is bounded; under contention or beyond the bound it is lost.
//! Deliberately does not: decide what is told of it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError, TryLockError};

use super::Pass;
use crate::domain::{KeyId, Timestamp, TokenId};

/// How many tokens are noted between two takings.
const MOST: usize = 1_024;

/// How a replaced token was tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SupersededUse {
    /// Its key.
    pub key: KeyId,
    /// The token.
    pub token: TokenId,
    /// How often.
    pub uses: u64,
    /// From where, the last time.
    pub address: IpAddr,
    /// When, the last time.
    pub at: Timestamp,
}

#[derive(Default)]
pub(super) struct Uses(Mutex<HashMap<TokenId, SupersededUse>>);

impl Uses {
    pub(super) fn note(&self, pass: &Pass, address: IpAddr, at: Timestamp) {
        let mut noted = match self.0.try_lock() {
            Ok(noted) => noted,
            Err(TryLockError::Poisoned(noted)) => noted.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if noted.len() == MOST && !noted.contains_key(&pass.token()) {
            return;
        }
        let (key, token) = (pass.key(), pass.token());
        let noted = noted.entry(token).or_insert(SupersededUse { key, token, uses: 0, address, at });
        *noted = SupersededUse { uses: noted.uses + 1, address, at, ..*noted };
    }

    pub(super) fn take(&self) -> Vec<SupersededUse> {
        let noted = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        noted.into_values().collect()
    }
}
