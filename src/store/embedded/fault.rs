//! Why an operation on the file failed, and whether the file must be opened again for it.
//!
//! Promises: every error of the database becomes one of three: the caller's, the file's contents', or the device's.
//! Deliberately does not: open anything.

use redb::{CommitError, Error, SetDurabilityError, StorageError, TableError, TransactionError};

use super::row::Place;
use crate::store::record::Damaged;
use crate::store::{Conflict, StoreError};

/// Why an operation failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// Something stands in a commit's way. Nothing was written.
    Conflict(Conflict),
    /// The contents of the file are not what was written.
    Corrupt(String),
    /// The device failed. The database refuses to go on until it is opened again.
    Device(String),
}

impl Fault {
    /// The row at `place` is damaged.
    pub(super) fn damaged(place: &Place, damage: &Damaged) -> Self {
        Self::Corrupt(format!("{place}: {damage}"))
    }

    /// Two rows do not agree, and `place` is where it was noticed.
    pub(super) fn contradiction(place: &Place, what: &str) -> Self {
        Self::Corrupt(format!("{place}: {what}"))
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Conflict(conflict) => Self::Conflict(conflict),
            Fault::Corrupt(what) => Self::Corrupt(what),
            Fault::Device(what) => Self::Unavailable(what),
        }
    }
}

impl From<Conflict> for Fault {
    fn from(conflict: Conflict) -> Self {
        Self::Conflict(conflict)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let device = matches!(
            error,
            Error::Io(_) | Error::Backend(_) | Error::PreviousIo | Error::DatabaseClosed | Error::LockPoisoned(_)
        );
        if device { Self::Device(error.to_string()) } else { Self::Corrupt(error.to_string()) }
    }
}

impl From<StorageError> for Fault {
    fn from(error: StorageError) -> Self {
        Error::from(error).into()
    }
}

impl From<TableError> for Fault {
    fn from(error: TableError) -> Self {
        Error::from(error).into()
    }
}

impl From<TransactionError> for Fault {
    fn from(error: TransactionError) -> Self {
        Error::from(error).into()
    }
}

impl From<SetDurabilityError> for Fault {
    fn from(error: SetDurabilityError) -> Self {
        Error::from(error).into()
    }
}

impl From<CommitError> for Fault {
    fn from(error: CommitError) -> Self {
        Error::from(error).into()
    }
}
