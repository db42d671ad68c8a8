//! A database beside the store, of no importance to it: last uses, quotas.
//!
//! Promises: neither damage nor a device that fails ends the process, or reaches further than this file. What is damaged is
//! put aside under a name of its own, once, and a new file begins; what only cannot be opened, read or written stays as it
//! is and is tried again. Both are said once in the log, and [`Beside::trouble`] says what is so now.
//! Deliberately does not: know tables; try again by itself. Whoever writes asks for [`Beside::ready`] first.

use std::any::Any;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::backends::FileBackend;
use redb::{Database, Error};
use tracing::{info, warn};

use super::aside;

/// The file.
pub struct Beside {
    path: PathBuf,
    what: &'static str,
    cache_bytes: usize,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    open: Option<Arc<Database>>,
    /// After an error of the device only a fresh handle writes again; until then the old one may still read.
    is_stale: bool,
    /// Whether the last write failed: that the file can be opened does not mean that it can be written.
    write_failed: bool,
    trouble: Option<String>,
}

/// Whether a file was there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Age {
    /// It has just been made: nothing is in it.
    New,
    /// It was there.
    Old,
}

/// The file cannot be read or written now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Away;

enum Fault {
    /// It is not what was written.
    Damage(String),
    /// The device or the system does not let it be used. Nothing is wrong with it.
    Device(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        // What redb calls a file that is none, and one that ends too early.
        let is_no_file =
            |io: &io::Error| matches!(io.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof);
        let device = matches!(&error, Error::Io(io) if !is_no_file(io))
            || matches!(
                error,
                Error::Backend(_)
                    | Error::PreviousIo
                    | Error::DatabaseClosed
                    | Error::LockPoisoned(_)
                    | Error::DatabaseAlreadyOpen
                    | Error::LockProtocolMismatch
            );
        if device { Self::Device(error.to_string()) } else { Self::Damage(error.to_string()) }
    }
}

impl Beside {
    /// The file at `path`, which holds `what` (two words for the log) and is not opened yet.
    pub fn new(path: PathBuf, what: &'static str, cache_bytes: usize) -> Self {
        Self { path, what, cache_bytes, now: Mutex::default() }
    }

    /// Has the file open for writing. If it had to be opened: what `read`, which must read all that is needed, has found.
    pub fn ready<T>(&self, read: impl Fn(&Database, Age) -> Result<T, Error>) -> Result<Option<T>, Away> {
        {
            let mut now = self.now();
            if now.open.is_some() && !now.is_stale {
                return Ok(None);
            }
            let stale = now.open.take(); // its lock is in the way of the next
            drop(now);
            let_go(stale);
        }
        let opened = match self.open(&read) {
            Err(Fault::Damage(why)) => self.put_aside(&why).and_then(|()| self.open(&read)),
            opened => opened,
        };
        match opened {
            Ok((database, found)) => {
                let mut now = self.now();
                (now.open, now.is_stale) = (Some(Arc::new(database)), false);
                if !now.write_failed {
                    self.tell_well(now);
                }
                Ok(Some(found))
            }
            Err(Fault::Damage(why) | Fault::Device(why)) => {
                self.fail(&why);
                Err(Away)
            }
        }
    }

    /// Runs `work`, which only reads, on the open file.
    pub fn read<T>(&self, work: impl FnOnce(&Database) -> Result<T, Error>) -> Result<T, Away> {
        let Some(database) = self.now().open.clone() else { return Err(Away) };
        let done = guarded(|| work(&database));
        let is_open = self.now().open.as_ref().is_some_and(|open| Arc::ptr_eq(open, &database));
        let done = match done {
            _ if !is_open => Err(Away), // it was put aside meanwhile, and what was written with it
            Ok(done) => Ok(done),
            Err(Fault::Device(why)) => {
                let was_stale = std::mem::replace(&mut self.now().is_stale, true);
                if !was_stale {
                    self.fail(&why);
                }
                Err(Away)
            }
            Err(Fault::Damage(why)) => {
                self.give_up(&database, &why);
                Err(Away)
            }
        };
        let_go(Some(database));
        done
    }

    /// Runs `work`, which commits, on the open file.
    pub fn write<T>(&self, work: impl FnOnce(&Database) -> Result<T, Error>) -> Result<T, Away> {
        let done = self.read(work);
        let mut now = self.now();
        now.write_failed = done.is_err();
        if done.is_ok() {
            self.tell_well(now);
        }
        done
    }

    /// Lets go of the file: another process may open it.
    pub fn close(&self) {
        let open = self.now().open.take();
        let_go(open);
    }

    /// Why it cannot be read or written, if so.
    pub fn trouble(&self) -> Option<String> {
        self.now().trouble.clone()
    }

    fn open<T>(&self, read: impl Fn(&Database, Age) -> Result<T, Error>) -> Result<(Database, T), Fault> {
        let database = guarded(|| open(&self.path, self.cache_bytes))?;
        match guarded(|| read(&database.0, database.1)) {
            Ok(found) => Ok((database.0, found)),
            Err(fault) => {
                let_go(Some(Arc::new(database.0)));
                Err(fault)
            }
        }
    }

    /// `database` turned out to be damaged.
    fn give_up(&self, database: &Arc<Database>, why: &str) {
        let held = {
            let mut now = self.now();
            if !now.open.as_ref().is_some_and(|open| Arc::ptr_eq(open, database)) {
                return; // another thread has found it out
            }
            now.open.take()
        };
        if let Err(Fault::Damage(why) | Fault::Device(why)) = self.put_aside(why) {
            self.fail(&why);
        }
        let_go(held);
    }

    fn put_aside(&self, why: &str) -> Result<(), Fault> {
        let failed = |error: io::Error| Fault::Device(format!("{why}; and it cannot be put aside: {error}"));
        let aside = aside::put(&self.path).map_err(failed)?;
        let (path, aside) = (self.path.display(), aside.display());
        warn!(%path, %aside, error = why, "{} cannot be read: the file is damaged, and put aside; a new one begins", self.what);
        Ok(())
    }

    /// Says what is wrong, the first time.
    fn fail(&self, why: &str) {
        let mut now = self.now();
        if now.trouble.is_none() {
            let path = self.path.display();
            warn!(%path, error = why, "{} cannot be kept in their file, which stays as it is; trying again", self.what);
        }
        now.trouble = Some(format!("{}: {why}", self.path.display()));
    }

    fn tell_well(&self, mut now: MutexGuard<'_, Now>) {
        if now.trouble.take().is_some() {
            info!(path = %self.path.display(), "{} are kept again", self.what);
        }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(path: &Path, cache_bytes: usize) -> Result<(Database, Age), Error> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let age = if file.metadata()?.len() == 0 { Age::New } else { Age::Old };
    let mut builder = Database::builder();
    builder.set_cache_size(cache_bytes);
    builder.set_check_integrity_on_open(true); // a page that is not what was written makes redb panic later
    let opened = builder.create_with_backend(FileBackend::new(file)?);
    if opened.is_err() && age == Age::New {
        std::fs::remove_file(path).ok(); // half a file would be taken for a damaged one
    }
    Ok((opened?, age))
}

/// What `work` answers; if it panics, the file is damaged.
fn guarded<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Fault> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => Ok(done?),
        Err(panic) => Err(Fault::Damage(format!("the database stopped: {}", panic_text(&*panic)))),
    }
}

/// Drops a handle, which writes, if it is the last one.
fn let_go(database: Option<Arc<Database>>) {
    catch_unwind(AssertUnwindSafe(|| drop(database))).ok(); // whatever was to be written is lost with the file
}

/// What a panic has said.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}

#[cfg(test)]
mod tests {
    use redb::{ReadableDatabase, TableDefinition};

    use super::*;

    const ROWS: TableDefinition<u64, u64> = TableDefinition::new("rows");

    fn beside(folder: &Path) -> Beside {
        Beside::new(folder.join("rows.redb"), "rows", 1024 * 1024)
    }

    fn put(database: &Database, row: u64) -> Result<(), Error> {
        let transaction = database.begin_write()?;
        transaction.open_table(ROWS)?.insert(row, row)?;
        Ok(transaction.commit()?)
    }

    fn has(database: &Database, row: u64) -> Result<bool, Error> {
        Ok(database.begin_read()?.open_table(ROWS)?.get(row)?.is_some())
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("readable").map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<_> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_panic_costs_the_file_and_nothing_else_and_no_damaged_file_takes_the_place_of_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let beside = beside(folder.path());
        for time in 0..=aside::MOST {
            assert_eq!(beside.ready(|_, age| Ok(age)), Ok(Some(Age::New)), "{time}");
            assert_eq!(beside.write(|database| put(database, 7)), Ok(()));
            let panics = |database: &Database| -> Result<(), Error> {
                let transaction = database.begin_write()?;
                let _table = transaction.open_table(ROWS)?;
                panic!("as redb does on a damaged page")
            };
            assert_eq!(beside.write(panics), Err(Away));
            assert_eq!(beside.read(|database| has(database, 7)), Err(Away));
        }
        assert_eq!(names(folder.path()).len(), aside::MOST + 1);
        assert!(beside.trouble().is_some_and(|why| why.contains("10 damaged files")), "{:?}", beside.trouble());
        assert_eq!(beside.ready(|_, age| Ok(age)), Ok(Some(Age::Old)), "it is not damaged after all");
        assert_eq!(beside.read(|database| has(database, 7)), Ok(true));
        assert_eq!(beside.write(|database| put(database, 8)), Ok(()));
        assert_eq!(beside.trouble(), None);
    }

    #[test]
    fn a_file_that_cannot_be_opened_stays_and_is_opened_later() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rows.redb");
        let first = beside(folder.path());
        first.ready(|database, _| put(database, 7)).expect("made");
        let second = beside(folder.path());
        assert_eq!(second.ready(|_, age| Ok(age)), Err(Away), "another has it");
        first.close();
        std::fs::rename(&path, folder.path().join("elsewhere")).expect("renamed");
        std::fs::create_dir(&path).expect("in the way");
        assert_eq!(second.ready(|_, age| Ok(age)), Err(Away));
        assert!(second.trouble().is_some());
        std::fs::remove_dir(&path).expect("removed");
        std::fs::rename(folder.path().join("elsewhere"), &path).expect("renamed");
        assert_eq!(second.ready(|database, _| has(database, 7)), Ok(Some(true)));
        assert_eq!((second.trouble(), names(folder.path()).len()), (None, 1));
    }

    #[test]
    fn an_error_of_the_device_leaves_the_handle_for_reading_and_a_fresh_one_writes() {
        let folder = tempfile::tempdir().expect("a folder");
        let beside = beside(folder.path());
        beside.ready(|database, _| put(database, 7)).expect("made");
        let full = |_: &Database| -> Result<(), Error> { Err(Error::Io(io::ErrorKind::StorageFull.into())) };
        assert_eq!(beside.write(full), Err(Away));
        assert_eq!(beside.read(|database| has(database, 7)), Ok(true));
        assert_eq!(beside.ready(|database, _| has(database, 7)), Ok(Some(true)), "it is opened again");
        assert!(beside.trouble().is_some(), "nothing was written yet");
        assert_eq!(beside.write(|database| put(database, 8)), Ok(()));
        assert_eq!((beside.trouble(), names(folder.path()).len()), (None, 1));
    }

    #[test]
    fn a_file_that_is_cut_short_or_none_is_put_aside() {
        for bytes in [&b"no database"[..], &[0; 4096], &b"redb"[..]] {
            let folder = tempfile::tempdir().expect("a folder");
            std::fs::write(folder.path().join("rows.redb"), bytes).expect("written");
            assert_eq!(beside(folder.path()).ready(|_, age| Ok(age)), Ok(Some(Age::New)));
            assert_eq!(names(folder.path()), ["rows.redb", "rows.redb.damaged"]);
        }
        let folder = tempfile::tempdir().expect("a folder");
        let whole = beside(folder.path());
        whole.ready(|database, _| (0..99).try_for_each(|row| put(database, row))).ok();
        whole.close();
        let path = folder.path().join("rows.redb");
        let length = path.metadata().expect("there").len();
        OpenOptions::new().write(true).open(&path).expect("opened").set_len(length / 2).expect("cut");
        assert_eq!(whole.ready(|_, age| Ok(age)), Ok(Some(Age::New)));
    }
}
