//! The feed of a store that lies in this process: a listing of what is, then every commit as it happens.
//!
//! Promises: the order written on [`Feed`]; no change between listing and live part is missed or told backwards; a
//! reader that lags, and every reader after a gap, gets `Reset` and everything anew; memory is bounded by two slices
//! of a listing and [`Changes::KEPT`] commits.
//! Deliberately does not: know how a listing is read. A [`Lister`] does that on a thread of its own.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};

use super::{Feed, Notice, StoreError};
use crate::domain::Revision;

/// How many slices of a listing are read ahead of the reader.
const SLICES_AHEAD: usize = 2;
/// After a listing failed, how long until the next is tried, unless the store says sooner that it is back.
const RETRY: Duration = Duration::from_secs(5);

/// What one commit changed, in its order.
#[derive(Debug)]
pub(super) struct Batch {
    /// A notice for each write.
    pub(super) notices: Vec<Notice>,
    /// The last revision of the commit.
    pub(super) last: Revision,
}

/// What all readers are told.
#[derive(Clone, Debug)]
enum Change {
    Commit(Arc<Batch>),
    /// The store was away; what happened meanwhile is not known.
    Gap,
}

/// Where commits are announced.
#[derive(Debug)]
pub(super) struct Changes(broadcast::Sender<Change>);

impl Changes {
    /// How many commits a reader may be behind, during its listing or after, before it starts again.
    pub(super) const KEPT: usize = 8_192;

    /// A place where a reader may be `kept` commits behind.
    pub(super) fn new(kept: usize) -> Self {
        Self(broadcast::Sender::new(kept))
    }

    /// Announces a commit. Callers do so in the order of their revisions.
    pub(super) fn commit(&self, batch: Batch) {
        let _nobody_listens = self.0.send(Change::Commit(Arc::new(batch)));
    }

    /// Announces that the store was away and is back.
    pub(super) fn gap(&self) {
        let _nobody_listens = self.0.send(Change::Gap);
    }
}

/// A part of a listing.
pub(super) enum Listed {
    /// Some of what is in the store.
    Slice(Vec<Notice>),
    /// That was all, as of this revision.
    End(Revision),
}

/// Reads a store from one end to the other.
pub(super) trait Lister: Send + Sync {
    /// Sends everything that is in the store at one revision, in slices, then [`Listed::End`]. Blocks; stops early
    /// when nobody receives any more.
    fn list(self: &Arc<Self>, into: &mpsc::Sender<Listed>) -> Result<(), StoreError>;

    /// Where commits are announced.
    fn changes(&self) -> &Changes;
}

/// The feed itself.
pub(super) struct LocalFeed<L> {
    lister: Arc<L>,
    phase: Phase,
    told: Told,
    /// What is to be told before anything else is looked at.
    ready: VecDeque<Notice>,
}

/// How far a reader is.
enum Phase {
    /// A listing is to be begun.
    Start,
    /// What is there is being told; what is announced meanwhile waits.
    Listing(mpsc::Receiver<Listed>, broadcast::Receiver<Change>),
    /// The last listing failed: nothing can be told until the store is back.
    Waiting(broadcast::Receiver<Change>),
    /// Everything up to this revision is told.
    Live(Revision, broadcast::Receiver<Change>),
}

/// Whether anything was told since the last `Reset`, which need not be repeated otherwise.
#[derive(PartialEq)]
enum Told {
    Something,
    Nothing,
}

impl<L: Lister + 'static> LocalFeed<L> {
    pub(super) fn new(lister: Arc<L>) -> Self {
        let ready = VecDeque::from([Notice::Reset]);
        Self { lister, phase: Phase::Start, told: Told::Nothing, ready }
    }

    /// One step on: whatever comes of it is in `ready`. Nothing is lost if the wait inside is given up.
    async fn advance(&mut self) {
        match &mut self.phase {
            Phase::Start => self.phase = self.begin(),
            Phase::Listing(slices, _) => {
                let listed = slices.recv().await;
                self.take(listed);
            }
            Phase::Waiting(changes) => {
                let _back_or_time_to_try = tokio::time::timeout(RETRY, until_gap(changes)).await;
                self.start_again();
            }
            Phase::Live(told, changes) => match changes.recv().await {
                Ok(Change::Commit(batch)) if batch.last <= *told => {} // was part of the listing
                Ok(Change::Commit(batch)) => {
                    *told = batch.last;
                    self.ready.extend(batch.notices.iter().cloned());
                    self.ready.push_back(Notice::Synced(batch.last));
                }
                Ok(Change::Gap) | Err(RecvError::Lagged(_) | RecvError::Closed) => self.start_again(),
            },
        }
    }

    /// Begins a listing. Announcements are received from before the snapshot it reads, so that none falls between.
    fn begin(&self) -> Phase {
        let changes = self.lister.changes().0.subscribe();
        let (into, slices) = mpsc::channel(SLICES_AHEAD);
        let lister = Arc::clone(&self.lister);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = lister.list(&into) {
                tracing::warn!(%error, "the feed could not read the store and will try again");
            }
        });
        Phase::Listing(slices, changes)
    }

    fn take(&mut self, listed: Option<Listed>) {
        match listed {
            Some(Listed::Slice(notices)) => self.ready.extend(notices),
            Some(Listed::End(revision)) => {
                self.ready.push_back(Notice::Synced(revision));
                self.turn(|changes| Phase::Live(revision, changes));
            }
            None => self.turn(Phase::Waiting), // ended without its end: it failed
        }
    }

    /// From listing to the phase that goes on receiving its announcements.
    fn turn(&mut self, next: impl FnOnce(broadcast::Receiver<Change>) -> Phase) {
        if let Phase::Listing(_, changes) = std::mem::replace(&mut self.phase, Phase::Start) {
            self.phase = next(changes);
        }
    }

    fn start_again(&mut self) {
        self.phase = Phase::Start;
        if self.told == Told::Something {
            self.ready.push_back(Notice::Reset);
        }
    }
}

/// Waits until the store is announced to be back.
async fn until_gap(changes: &mut broadcast::Receiver<Change>) {
    while let Ok(Change::Commit(_)) | Err(RecvError::Lagged(_)) = changes.recv().await {}
}

#[async_trait]
impl<L: Lister + 'static> Feed for LocalFeed<L> {
    async fn next(&mut self) -> Notice {
        loop {
            if let Some(notice) = self.ready.pop_front() {
                self.told = if matches!(notice, Notice::Reset) { Told::Nothing } else { Told::Something };
                return notice;
            }
            self.advance().await;
        }
    }
}
