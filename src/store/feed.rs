//! The feed of a store that lies in this process: a listing of what is, then every commit as it happens.
//!
//! Promises: the order written on [`Feed`]; no change between listing and live part is missed or told backwards; a
//! reader that lags, and every reader after a gap, gets `Reset` and everything anew; one that stands still in the middle of
//! its listing is given up, as after a gap; memory is bounded by some slices of a listing and [`Changes::KEPT`] commits.
//! Deliberately does not: know how a listing is read. A [`Lister`] does that on a thread of its own.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{broadcast, mpsc};

use super::{Feed, Notice, StoreError};
use crate::domain::Revision;

/// How many slices of a listing are read ahead of the reader.
const SLICES_AHEAD: usize = 4;
/// How long a listing waits until its reader takes a slice. Meanwhile the store cannot use again what is freed in it.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it looks meanwhile.
const LOOK: Duration = Duration::from_millis(1);
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

/// Where a listing is told, slice by slice.
pub(super) struct Slices {
    into: mpsc::Sender<Listed>,
    patience: Duration,
}

/// Why a listing is told no further.
pub(super) enum Untold {
    /// Nobody listens any more.
    Left,
    /// The reader has taken nothing for so long.
    Stalled(Duration),
}

impl Slices {
    /// A way to a reader that is waited for so long, and the reader's end of it.
    pub(super) fn new(patience: Duration) -> (Self, mpsc::Receiver<Listed>) {
        let (into, slices) = mpsc::channel(SLICES_AHEAD);
        (Self { into, patience }, slices)
    }

    /// Tells `listed` as soon as there is room for it. Blocks.
    pub(super) fn tell(&self, mut listed: Listed) -> Result<(), Untold> {
        let begun = Instant::now();
        loop {
            listed = match self.into.try_send(listed) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Closed(_)) => return Err(Untold::Left),
                Err(TrySendError::Full(listed)) => listed,
            };
            if begun.elapsed() >= self.patience {
                return Err(Untold::Stalled(self.patience));
            }
            thread::sleep(LOOK);
        }
    }
}

/// Reads a store from one end to the other.
pub(super) trait Lister: Send + Sync {
    /// Tells everything that is in the store at one revision, in slices, then [`Listed::End`]. Blocks; stops early
    /// when nobody receives any more, and fails when the reader stands still.
    fn list(self: &Arc<Self>, into: &Slices) -> Result<(), StoreError>;

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
    /// How long a listing waits for this reader.
    patience: Duration,
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
        Self { lister, phase: Phase::Start, told: Told::Nothing, ready, patience: PATIENCE }
    }

    /// The same, waited for so long.
    #[cfg(test)]
    pub(super) fn waited_for(self, patience: Duration) -> Self {
        Self { patience, ..self }
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
        let (into, slices) = Slices::new(self.patience);
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
