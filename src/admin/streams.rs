//! The streams of this port: how many there may be, and what ends them all.
//!
//! Promises: one administrator has no more than his share, so that others still get theirs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::problem::{Code, Problem};
use crate::domain::KeyId;

/// How many streams there are at once.
const MOST: usize = 64;
/// How many of them one administrator has.
const MOST_OF_ONE: usize = 8;

/// How many streams each administrator has open.
type Open = HashMap<KeyId, usize>;

/// The streams that are open. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Streams {
    open: Arc<Mutex<Open>>,
    stop: CancellationToken,
}

impl Streams {
    /// Streams that end at `stop`.
    pub fn until(stop: CancellationToken) -> Self {
        Self { open: Arc::default(), stop }
    }

    /// What ends them.
    pub(super) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Room for one more of this administrator's, until it is dropped.
    pub(super) fn take_room(&self, of: KeyId) -> Result<Room, Problem> {
        let full = |what: String| Problem::new(Code::TooManyStreams, what);
        let mut open = locked(&self.open);
        if open.values().sum::<usize>() >= MOST {
            return Err(full(format!("{MOST} streams are open")));
        }
        let own = open.entry(of).or_default();
        if *own >= MOST_OF_ONE {
            return Err(full(format!("{MOST_OF_ONE} streams of yours are open")));
        }
        *own += 1;
        Ok(Room { of, open: Arc::clone(&self.open) })
    }
}

/// Room for one stream.
#[derive(Debug)]
pub(super) struct Room {
    of: KeyId,
    open: Arc<Mutex<Open>>,
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut open = locked(&self.open);
        if let Some(own) = open.get_mut(&self.of) {
            *own -= 1;
        }
        open.retain(|_, own| *own > 0);
    }
}

fn locked(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(streams: &Streams, of: u128, count: usize) -> Vec<Result<Room, Code>> {
        let take = |_| streams.take_room(KeyId::from_bits(of)).map_err(|problem| problem.code());
        (0..count).map(take).collect()
    }

    #[test]
    fn one_administrator_has_eight_and_leaves_the_others_theirs() {
        let streams = Streams::until(CancellationToken::new());
        let mut own = taken(&streams, 1, 9);
        assert_eq!(own.pop().expect("nine").expect_err("one too many"), Code::TooManyStreams);
        assert!(own.iter().all(Result::is_ok));
        let others: Vec<_> = (2..=8).flat_map(|of| taken(&streams, of, 8)).collect();
        assert!(others.iter().all(Result::is_ok));
        assert!(taken(&streams, 9, 1)[0].is_err(), "sixty-four are open");
        own.pop();
        assert!(taken(&streams, 9, 1)[0].is_ok());
        assert!(taken(&streams, 1, 1)[0].is_ok());
    }
}
