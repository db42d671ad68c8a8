//! The open file, and what happens when it fails.
//!
//! Promises: an operation ends quickly with [`StoreError::Unavailable`] while the file is away; after a failure of
//! the device it is opened again, after 100 ms at first and every 5 s at last; then every feed starts anew. A panic
//! inside the database ends neither the process nor the store. Commits come one after the other and are announced
//! in their order.
//! Deliberately does not: know tables. It runs what it is given, on a thread that may block.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::thread;
use std::time::Duration;

use redb::{Database, Durability, ReadableDatabase};

use super::check;
use super::fault::Fault;
use super::open::{OpenError, Opener};
use super::table::{ReadTable, Tables, WriteTable};
use crate::domain::Revision;
use crate::store::StoreError;
use crate::store::beside::panic_text;
use crate::store::feed::{Batch, Changes};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The open file.
pub(super) struct Engine {
    opener: Opener,
    durability: Durability,
    file: RwLock<File>,
    committing: Mutex<()>,
    reopening: AtomicBool,
    /// Counts how often the file was opened: a failure is of one of these times.
    opened: AtomicU64,
    /// The last revision that a commit was answered with: a file opened again must know it.
    acknowledged: AtomicU64,
    /// Whether the device did not take the last change.
    refusing: AtomicBool,
    changes: Changes,
}

enum File {
    Open(Database),
    Away(StoreError),
}

/// Whether a write transaction is to be kept.
pub(super) enum Keep<T> {
    /// Commit it.
    Yes(T),
    /// There is nothing in it.
    No(T),
}

impl Engine {
    /// Opens the file. `kept` is how many commits a reader of the feed may be behind.
    pub(super) fn open(opener: Opener, durability: Durability, kept: usize) -> Result<Self, OpenError> {
        let database = guarded_open(|| opener.first())?;
        let state = guarded_open(|| check::check(&database, check::Age::MayBeNew))?;
        Ok(Self {
            opener,
            durability,
            file: RwLock::new(File::Open(database)),
            committing: Mutex::new(()),
            reopening: AtomicBool::new(false),
            opened: AtomicU64::new(1),
            acknowledged: AtomicU64::new(state.last.0),
            refusing: AtomicBool::new(false),
            changes: Changes::new(kept),
        })
    }

    /// Whether the device did not take the last change. One that was not tried, the file being away, says nothing.
    pub(super) fn is_refusing(&self) -> bool {
        self.refusing.load(Ordering::SeqCst)
    }

    /// Where commits are announced.
    pub(super) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Runs `read` on all tables as they are now, on a thread that may block.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Tables<ReadTable>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.blocking(move |engine| engine.read_here(read)).await
    }

    /// Runs `commit` in a durable transaction of its own, on a thread that may block, and announces what it did.
    pub(super) async fn commit(
        self: &Arc<Self>,
        commit: impl FnOnce(&mut Tables<WriteTable<'_>>) -> Result<Batch, Fault> + Send + 'static,
    ) -> Result<Revision, StoreError> {
        self.blocking(move |engine| engine.commit_here(commit)).await
    }

    /// Runs `change` in a durable transaction of its own that no feed tells of.
    pub(super) async fn tidy<T: Send + 'static>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Tables<WriteTable<'_>>) -> Result<Keep<T>, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.blocking(move |engine| {
            let _turn = engine.committing.lock().unwrap_or_else(PoisonError::into_inner);
            engine.with_file(|database| engine.transact(database, change))
        })
        .await
    }

    /// Runs `read` on all tables as they are now. Blocks.
    pub(super) fn read_here<T>(
        self: &Arc<Self>,
        read: impl FnOnce(&Tables<ReadTable>) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let time = self.opened.load(Ordering::SeqCst);
        let tables = self.with_file(|database| Tables::reading(&database.begin_read()?))?;
        self.watch(time, || read(&tables))
    }

    fn commit_here(
        self: &Arc<Self>,
        commit: impl FnOnce(&mut Tables<WriteTable<'_>>) -> Result<Batch, Fault>,
    ) -> Result<Revision, StoreError> {
        let _turn = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        let change = |tables: &mut Tables<WriteTable<'_>>| commit(tables).map(Keep::Yes);
        let batch = self.with_file(|database| self.transact(database, change))?;
        let last = batch.last;
        self.acknowledged.store(last.0, Ordering::SeqCst);
        self.changes.commit(batch);
        Ok(last)
    }

    /// Begins a transaction, runs `change` in it, and commits it durably.
    fn transact<T>(
        &self,
        database: &Database,
        change: impl FnOnce(&mut Tables<WriteTable<'_>>) -> Result<Keep<T>, Fault>,
    ) -> Result<T, Fault> {
        let done = self.try_transact(database, change);
        match &done {
            Ok(Keep::Yes(_)) => self.refusing.store(false, Ordering::SeqCst),
            Err(Fault::Device(_)) => self.refusing.store(true, Ordering::SeqCst),
            Ok(Keep::No(_)) | Err(_) => {}
        }
        done.map(|(Keep::Yes(done) | Keep::No(done))| done)
    }

    fn try_transact<T>(
        &self,
        database: &Database,
        change: impl FnOnce(&mut Tables<WriteTable<'_>>) -> Result<Keep<T>, Fault>,
    ) -> Result<Keep<T>, Fault> {
        let mut transaction = database.begin_write()?;
        transaction.set_durability(self.durability)?;
        transaction.set_quick_repair(true); // and with it, commits in two phases
        let keep = change(&mut Tables::writing(&transaction)?)?;
        match keep {
            Keep::Yes(done) => match transaction.commit().map_err(Fault::from) {
                Err(Fault::Device(why)) => {
                    Err(Fault::Device(format!("{why}; whether the commit was written is unknown")))
                }
                result => result.map(|()| Keep::Yes(done)),
            },
            Keep::No(done) => {
                transaction.abort()?;
                Ok(Keep::No(done))
            }
        }
    }

    /// Runs `operation` on the open file.
    fn with_file<T>(self: &Arc<Self>, operation: impl FnOnce(&Database) -> Result<T, Fault>) -> Result<T, StoreError> {
        let file = self.file_now();
        match &*file {
            File::Open(_) if self.reopening.load(Ordering::SeqCst) => {
                Err(StoreError::Unavailable("it failed and is being opened again".into()))
            }
            File::Open(database) => self.watch(self.opened.load(Ordering::SeqCst), || operation(database)),
            File::Away(why) => Err(why.clone()),
        }
    }

    fn file_now(&self) -> RwLockReadGuard<'_, File> {
        self.file.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `operation` on the file opened the `time`-th time; if it panics or the device fails, has the file opened again.
    fn watch<T>(self: &Arc<Self>, time: u64, operation: impl FnOnce() -> Result<T, Fault>) -> Result<T, StoreError> {
        match catch_unwind(AssertUnwindSafe(operation)) {
            Ok(Err(Fault::Device(why))) => {
                self.open_again(time, &why);
                Err(StoreError::Unavailable(why))
            }
            Ok(result) => Ok(result?),
            Err(panic) => {
                let why = format!("the database stopped: {}", panic_text(&*panic));
                self.open_again(time, &why); // which checks all of it
                Err(StoreError::Corrupt(why))
            }
        }
    }

    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        operation: impl FnOnce(&Arc<Self>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let engine = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || operation(&engine)).await;
        done.unwrap_or_else(|_| Err(StoreError::Unavailable("the process is shutting down".into())))
    }

    /// Closes the file and opens it again, in the background, as often as it takes.
    fn open_again(self: &Arc<Self>, time: u64, why: &str) {
        if time != self.opened.load(Ordering::SeqCst) || self.reopening.swap(true, Ordering::SeqCst) {
            return;
        }
        tracing::error!(error = why, "the store failed and will be opened again");
        let away = StoreError::Unavailable(why.to_owned());
        let engine = Arc::downgrade(self);
        let thread = thread::Builder::new().name("store-reopen".into());
        if let Err(error) = thread.spawn(move || reopen(&engine, away)) {
            tracing::error!(%error, "no thread to open the store again; the next failure tries once more");
            self.reopening.store(false, Ordering::SeqCst);
        }
    }

    fn turn(&self, file: File) {
        let before = {
            let mut now = self.file.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *now, file)
        };
        // Closing a failed database may fail in any way; what matters is that it is closed.
        let _closed = catch_unwind(AssertUnwindSafe(|| drop(before)));
    }

    /// Goes on with a file opened again. No commit comes between it and the gap: a feed that told of one would not
    /// have told of another before it, whose answer was lost with the device.
    fn resume(&self, database: Database) {
        let _turn = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        self.turn(File::Open(database));
        self.opened.fetch_add(1, Ordering::SeqCst);
        self.reopening.store(false, Ordering::SeqCst);
        tracing::info!("the store is open again");
        self.changes.gap();
    }

    fn open_once_more(&self) -> Result<Database, OpenError> {
        let database = guarded_open(|| self.opener.again())?;
        let state = guarded_open(|| check::check(&database, check::Age::Known))?;
        let acknowledged = Revision(self.acknowledged.load(Ordering::SeqCst));
        if state.last < acknowledged {
            let what = format!("it ends at revision {}, and {} was written", state.last.0, acknowledged.0);
            return Err(OpenError::Corrupt(what));
        }
        Ok(database)
    }
}

/// Closes the file of `engine` and opens it again, with growing pauses, until it is open or nobody needs it any more.
fn reopen(engine: &Weak<Engine>, away: StoreError) {
    if let Some(engine) = engine.upgrade() {
        engine.turn(File::Away(away));
    }
    let mut pause = FIRST_PAUSE;
    loop {
        thread::sleep(pause);
        pause = LONGEST_PAUSE.min(pause * 2);
        let Some(engine) = engine.upgrade() else {
            return;
        };
        match engine.open_once_more() {
            Ok(database) => return engine.resume(database),
            Err(error) => {
                tracing::error!(%error, "the store could not be opened again");
                engine.turn(File::Away(error.into()));
            }
        }
    }
}

/// What `open` answers; if it panics, the file is damaged.
fn guarded_open<T>(open: impl FnOnce() -> Result<T, OpenError>) -> Result<T, OpenError> {
    catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|panic| Err(OpenError::Corrupt(panic_text(&*panic))))
}
