//! The folder of a store that is served: the files beside the store are that store's alone.
//!
//! Promises: as long as a [`Folder`] is held, no other store is served from there; the system lets go of it with the process.
//! Deliberately does not: keep anybody from reading another store that lies there, or a gateway from starting where no such
//! file can be made.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::open::{OpenError, folder_of};

/// The file that is locked. It holds the name of the store.
const FILE: &str = "store.lock";
/// The longest name that is read.
const LONGEST_NAME: u64 = 1_024;

/// A folder that is one store's.
pub(super) struct Folder {
    /// Locked until it is closed.
    _held: File,
}

impl Folder {
    /// Takes the folder of the store at `path`, made with mode 0700 if it is not there, unless another gateway has it.
    pub(super) fn take(path: &Path) -> Result<Option<Self>, OpenError> {
        let Some(own) = path.file_name().map(OsStr::to_string_lossy) else { return Ok(None) }; // it is no file
        let folder = folder_of(path);
        let mut file = match opened(folder) {
            Ok(file) => file,
            Err(error) => return Ok(unlocked(folder, &error)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Ok(unlocked(folder, &error)),
            Err(TryLockError::WouldBlock) => {
                let mut name = String::new();
                let read = file.take(LONGEST_NAME).read_to_string(&mut name);
                let is_other = read.is_ok() && !name.is_empty() && name != own;
                return Err(if is_other { OpenError::FolderInUse { store: name } } else { OpenError::InUse });
            }
        }
        let written = file.rewind().and_then(|()| file.set_len(0)).and_then(|()| file.write_all(own.as_bytes()));
        if let Err(error) = written {
            tracing::debug!(%error, "the lock of the store's folder does not say whose it is"); // a full disk
        }
        Ok(Some(Self { _held: file }))
    }
}

fn opened(folder: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).open(folder.join(FILE))
}

fn unlocked(folder: &Path, error: &io::Error) -> Option<Folder> {
    tracing::warn!(folder = %folder.display(), %error, "the store's folder is not kept from other stores");
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_stores_until_that_is_closed() {
        let directory = tempfile::tempdir().expect("a directory");
        let folder = directory.path().join("var");
        let [first, second] = ["first.redb", "second.redb"].map(|name| folder.join(name));
        let held = Folder::take(&first).expect("free").expect("a lock");
        assert_eq!(Folder::take(&first).err(), Some(OpenError::InUse));
        let refused = Folder::take(&second).err().expect("taken");
        assert_eq!(refused, OpenError::FolderInUse { store: "first.redb".into() });
        assert!(refused.to_string().contains("\"first.redb\""), "{refused}");
        drop(held);
        let held = Folder::take(&second).expect("free again");
        assert_eq!(Folder::take(&first).err(), Some(OpenError::FolderInUse { store: "second.redb".into() }));
        drop(held);
    }

    #[test]
    fn where_no_lock_can_be_made_nobody_is_kept_from_starting() {
        let directory = tempfile::tempdir().expect("a directory");
        let no_folder = directory.path().join("file");
        std::fs::write(&no_folder, "").expect("written");
        assert!(Folder::take(&no_folder.join("relevo.redb")).expect("not refused").is_none());
    }
}
