//! Commands that were refused to somebody who was signed in, on their way into the audit log.
//!
//! Promises: telling costs the refusal no wait and no write; ten a second are written, and of the rest how many there were
//! stands in the next one; memory is bounded; no key is changed.
//! Deliberately does not: know what a command was sent with. A secret may have been among it.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::warn;

use crate::domain::audit::RefusedFacts;
use crate::domain::{Action, Actor, EventDraft, EventId, Facts, KeyId, Realm, Timestamp};
use crate::store::{StoreError, What, Write};

use super::{Keyring, entropy};

/// How many are written of one second.
const EACH_SECOND: u32 = 10;
/// How many wait to be written at most.
const MOST_WAITING: usize = 100;
/// How long to wait for more before what waits is written at once.
const GATHER: Duration = Duration::from_millis(100);

/// One of them.
#[derive(Clone, Debug)]
pub struct RefusedCommand {
    /// Whose table the command was about.
    pub realm: Realm,
    /// Who gave it.
    pub actor: Actor,
    /// From where.
    pub address: Option<IpAddr>,
    /// Which it was: a method and a path's pattern, nothing that was sent.
    pub command: String,
    /// The problem's code.
    pub code: &'static str,
    /// The key it was about, if there is one.
    pub key: Option<KeyId>,
}

/// Those that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    commands: VecDeque<(Timestamp, u64, RefusedCommand)>,
    /// The second that is counted in, and how many were taken of it.
    second: u64,
    taken: u32,
    /// How many were left out since the last one that was taken.
    left_out: u64,
}

impl Waiting {
    fn take(&mut self, refused: RefusedCommand, now: Timestamp) {
        if now.as_seconds() != self.second {
            (self.second, self.taken) = (now.as_seconds(), 0);
        }
        if self.taken >= EACH_SECOND || self.commands.len() >= MOST_WAITING {
            self.left_out += 1;
            return;
        }
        self.taken += 1;
        let left_out = std::mem::take(&mut self.left_out);
        self.commands.push_back((now, left_out, refused));
    }
}

impl Refusals {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keyring {
    /// Has the audit log told, in a moment, that a command was refused.
    pub fn refused(&self, refused: RefusedCommand) {
        self.0.refusals.waiting().take(refused, self.0.parts.clock.now());
        self.0.refusals.news.notify_one();
    }

    /// Writes refused commands down for ever. To be begun when every key is known.
    pub async fn write_refused(self) {
        loop {
            self.0.refusals.news.notified().await;
            tokio::time::sleep(GATHER).await;
            let refused: Vec<_> = self.0.refusals.waiting().commands.drain(..).collect();
            if refused.is_empty() {
                continue;
            }
            let count = refused.iter().map(|(_, left_out, _)| left_out + 1).sum::<u64>();
            if let Err(error) = self.write_down(refused).await {
                warn!(%error, count, "refused commands could not be written down; the next one tells how many");
                self.0.refusals.waiting().left_out += count;
            }
        }
    }

    async fn write_down(&self, refused: Vec<(Timestamp, u64, RefusedCommand)>) -> Result<(), StoreError> {
        let written_at = self.0.parts.clock.now();
        let write = |(at, unrecorded, refused): (Timestamp, u64, RefusedCommand)| {
            let RefusedCommand { realm, actor, address, command, code, key } = refused;
            let event = EventDraft {
                id: EventId::new(at, entropy()?),
                at,
                written_at,
                actor,
                address,
                action: Action::CommandRefused,
                key,
                before: None,
                after: Some(Facts::Refused(RefusedFacts { command, code: code.to_owned(), unrecorded })),
            };
            Ok(Write { realm, what: What::Events, events: vec![event] })
        };
        let writes = refused.into_iter().map(write).collect::<Result<_, StoreError>>()?;
        self.commit_all(writes).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_of_a_second_are_taken_and_the_rest_counted_into_the_next() {
        let refused = RefusedCommand {
            realm: Realm::Gateway,
            actor: Actor::named("root"),
            address: None,
            command: "POST /v1/keys".into(),
            code: "name_taken",
            key: None,
        };
        let mut waiting = Waiting::default();
        for _ in 0..25 {
            waiting.take(refused.clone(), Timestamp::from_millis(5_999));
        }
        waiting.take(refused.clone(), Timestamp::from_millis(6_000));
        waiting.take(refused.clone(), Timestamp::from_millis(6_001));
        let left_out: Vec<_> = waiting.commands.iter().map(|(_, left_out, _)| *left_out).collect();
        assert_eq!(left_out, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 15, 0]);
        for second in 7..1_000 {
            waiting.take(refused.clone(), Timestamp::from_millis(second * 1_000));
        }
        assert_eq!(waiting.commands.len(), MOST_WAITING);
        assert_eq!(waiting.left_out, 993 - (MOST_WAITING as u64 - 12));
    }
}
