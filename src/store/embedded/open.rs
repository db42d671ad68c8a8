//! Opening the file.
//!
//! Promises: its directory is made with mode 0700 and itself with 0600, whole or not at all; a second process is
//! refused; once it was open, it is never made anew in silence.
//! Deliberately does not: look into tables. That is `check`.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError, Error, StorageBackend, StorageError};

use super::check::{self, Age};
use super::fault::Fault;
use super::folder::Folder;
use crate::store::StoreError;

/// How much of the file is kept in memory.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// Why a store was not opened.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the store is in use by another process")]
    InUse,
    /// A gateway with another store has its folder.
    #[error(
        "a gateway runs with another store in this folder, {store:?}, and the files beside a store (usage.redb, admin.token \
         and others) belong to one: give each store a folder of its own"
    )]
    FolderInUse {
        /// The other's file name.
        store: String,
    },
    /// It is in a format that this version does not know. Nothing is wrong with it.
    #[error("the store is in format {found}, and only {known} is known to this version")]
    UnknownFormat {
        /// The file's format.
        found: u32,
        /// This version's.
        known: u32,
    },
    /// It is not what was written. Nothing is guessed: restore a backup.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// The device or the file system does not let it be opened.
    #[error("the store cannot be opened: {0}")]
    Unavailable(String),
}

impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Corrupt(what) => Self::Corrupt(what),
            OpenError::Unavailable(what) => Self::Unavailable(what),
            OpenError::InUse | OpenError::FolderInUse { .. } | OpenError::UnknownFormat { .. } => {
                Self::Unavailable(error.to_string())
            }
        }
    }
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Conflict(conflict) => Self::Corrupt(conflict.to_string()),
            Fault::Corrupt(what) => Self::Corrupt(what),
            Fault::Device(what) => Self::Unavailable(what),
        }
    }
}

impl From<DatabaseError> for OpenError {
    fn from(error: DatabaseError) -> Self {
        if matches!(error, DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch) {
            return Self::InUse;
        }
        let not_a_database = matches!(
            &error, // what redb calls a file that is none
            DatabaseError::Storage(StorageError::Io(io)) if io.kind() == io::ErrorKind::InvalidData
        );
        if not_a_database { Self::Corrupt(error.to_string()) } else { Fault::from(Error::from(error)).into() }
    }
}

/// Opens the file, at first and again.
pub(super) struct Opener {
    open: Box<dyn Fn(Occasion) -> Result<Database, OpenError> + Send + Sync>,
    /// Held as long as the file may be opened.
    _folder: Option<Folder>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Occasion {
    First,
    Again,
}

impl Opener {
    /// Opens the file at `path`.
    pub(super) fn of_path(path: &Path) -> Self {
        let path = path.to_path_buf();
        Self { open: Box::new(move |occasion| open_path(&path, occasion)), _folder: None }
    }

    /// The same, with the folder of `path` kept from other stores.
    pub(super) fn alone_in_folder(self, path: &Path) -> Result<Self, OpenError> {
        Ok(Self { _folder: Folder::take(path)?, ..self })
    }

    /// Opens whatever `make` makes.
    pub(super) fn of_backend<B: StorageBackend>(make: impl Fn() -> io::Result<B> + Send + Sync + 'static) -> Self {
        let open = move |occasion| {
            let backend = make().map_err(|error| OpenError::Unavailable(error.to_string()))?;
            if occasion == Occasion::Again && backend.len().is_ok_and(|length| length == 0) {
                return Err(OpenError::Corrupt("it is empty".into()));
            }
            open_backend(backend)
        };
        Self { open: Box::new(open), _folder: None }
    }

    /// Opens the file for the first time: it may have to be made.
    pub(super) fn first(&self) -> Result<Database, OpenError> {
        (self.open)(Occasion::First)
    }

    /// Opens a file that was open before: it must be there.
    pub(super) fn again(&self) -> Result<Database, OpenError> {
        (self.open)(Occasion::Again)
    }
}

fn open_path(path: &Path, occasion: Occasion) -> Result<Database, OpenError> {
    let at_path = |error: io::Error| OpenError::Unavailable(format!("{}: {error}", path.display()));
    if is_missing(path).map_err(at_path)? {
        match occasion {
            Occasion::First => make(path)?,
            Occasion::Again => return Err(OpenError::Corrupt(format!("{} is missing or empty", path.display()))),
        }
    }
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(at_path)?;
    open_backend(FileBackend::new(file)?)
}

fn is_missing(path: &Path) -> io::Result<bool> {
    match path.metadata() {
        Ok(metadata) => Ok(metadata.len() == 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// The folder that the file at `path` lies in.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    }
}

/// Makes an empty store at `path`: beside it first, and there once it is whole and durable, so that a kill or a power
/// cut leaves a store or none. The directory is locked meanwhile against another process that does the same.
fn make(path: &Path) -> Result<(), OpenError> {
    let at_path = |error: io::Error| OpenError::Unavailable(format!("{}: {error}", path.display()));
    let parent = folder_of(path);
    DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(at_path)?;
    let directory = File::open(parent).map_err(at_path)?;
    match directory.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::InUse),
        Err(TryLockError::Error(error)) => return Err(at_path(error)),
    }
    if !is_missing(path).map_err(at_path)? {
        return Ok(()); // another process was quicker
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true).mode(0o600);
    let file = options.open(&beside).map_err(at_path)?;
    let database = open_backend(FileBackend::new(file.try_clone().map_err(at_path)?)?)?;
    check::check(&database, Age::MayBeNew)?;
    database.close()?;
    file.sync_all().map_err(at_path)?;
    fs::rename(&beside, path).map_err(at_path)?;
    directory.sync_all().map_err(at_path)
}

fn open_backend(backend: impl StorageBackend) -> Result<Database, OpenError> {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder.set_check_integrity_on_open(true); // every page's checksum, not only after a crash
    Ok(builder.create_with_backend(backend)?)
}
