//! A disk in memory that remembers what was written and synced, and fails when told to.
//!
//! Promises: what is read is what was written last, as of a file; every write, growth and sync is in the log.
//! Deliberately does not: lock. Two databases on one disk are the test's business.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;

/// Something that was done to the disk.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Write(usize, Vec<u8>),
    Length(usize),
    Sync,
}

/// How a disk fails.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failure {
    /// Nothing works (EIO).
    Everything,
    /// Reading works, writing does not (ENOSPC).
    Writing,
}

#[derive(Debug, Default)]
struct Contents {
    bytes: Vec<u8>,
    log: Vec<Step>,
    failure: Option<Failure>,
    /// How many writes, growths and syncs go well before the failure sets in.
    good_steps: usize,
}

/// The disk. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<Contents>>);

/// An open handle of a disk.
#[derive(Debug)]
pub(super) struct Handle(Disk);

impl Disk {
    /// A disk that holds `bytes`.
    pub(super) fn holding(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(Contents { bytes, ..Contents::default() })))
    }

    pub(super) fn backend(&self) -> Handle {
        Handle(self.clone())
    }

    /// A handle, or the error that opening a file on a dead device brings.
    pub(super) fn try_backend(&self) -> io::Result<Handle> {
        match self.contents().failure {
            Some(Failure::Everything) => Err(io::Error::from_raw_os_error(5)),
            Some(Failure::Writing) | None => Ok(self.backend()),
        }
    }

    /// From now on, after `good_steps` more writes, growths and syncs, the disk fails.
    pub(super) fn fail(&self, failure: Failure, good_steps: usize) {
        let mut contents = self.contents();
        contents.failure = Some(failure);
        contents.good_steps = good_steps;
    }

    pub(super) fn heal(&self) {
        self.contents().failure = None;
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.contents().bytes.clone()
    }

    pub(super) fn replace(&self, bytes: Vec<u8>) {
        self.contents().bytes = bytes;
    }

    /// How many steps have been logged.
    pub(super) fn steps(&self) -> usize {
        self.contents().log.len()
    }

    pub(super) fn log(&self) -> Vec<Step> {
        self.contents().log.clone()
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().expect("no test panics here")
    }

    fn step(&self, step: Step) -> io::Result<()> {
        let mut contents = self.contents();
        if let Some(failure) = contents.failure {
            let Some(left) = contents.good_steps.checked_sub(1) else {
                return Err(io::Error::from_raw_os_error(match failure {
                    Failure::Everything => 5, // EIO
                    Failure::Writing => 28,   // ENOSPC
                }));
            };
            contents.good_steps = left;
        }
        apply(&mut contents.bytes, &step);
        contents.log.push(step);
        Ok(())
    }
}

/// Does to `bytes` what `step` did to the disk.
pub(super) fn apply(bytes: &mut Vec<u8>, step: &Step) {
    match step {
        Step::Write(offset, data) => {
            let end = offset + data.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*offset..end].copy_from_slice(data);
        }
        Step::Length(length) => bytes.resize(*length, 0),
        Step::Sync => {}
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("a small disk")
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.contents().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let contents = self.0.contents();
        if matches!(contents.failure, Some(Failure::Everything)) && contents.good_steps == 0 {
            return Err(io::Error::from_raw_os_error(5));
        }
        let start = index(offset);
        let bytes = contents.bytes.get(start..start.saturating_add(out.len()));
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.step(Step::Length(index(length)))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.step(Step::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.step(Step::Write(index(offset), data.to_vec()))
    }
}
