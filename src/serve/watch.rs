//! The configuration's file, looked at again and again.
//!
//! Promises: what is in the file is due to be judged once it has been the same for a while, and once only.
//! Deliberately does not: ask the file system to tell of changes. Editors, volumes and network mounts differ in what they
//! do to names and links; what is read through the name is the same for all.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// How often the file is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(500);
/// How long it must have been still: whoever writes it may write it in pieces.
const STILL: Duration = Duration::from_secs(2);

/// A file under watch.
#[derive(Debug)]
pub(super) struct Watch {
    path: PathBuf,
    content: Content,
    since: Instant,
    is_judged: bool,
}

/// SHA-256 of what is in a file; `None` if it cannot be read.
type Content = Option<[u8; 32]>;

impl Watch {
    /// Watches the file at `path` from `now` on. What is in it then is due like any other: it may have changed since
    /// somebody read it. Reads the file.
    pub(super) fn over(path: PathBuf, now: Instant) -> Self {
        let content = read(&path);
        Self { path, content, since: now, is_judged: false }
    }

    /// Whether what is in the file is to be judged now. Reads the file.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let content = read(&self.path);
        if content != self.content {
            (self.content, self.since, self.is_judged) = (content, now, false);
        }
        let is_due = !self.is_judged && now.duration_since(self.since) >= STILL;
        self.is_judged |= is_due;
        is_due
    }
}

fn read(path: &Path) -> Content {
    std::fs::read(path).ok().map(|bytes| Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A watch over a file with `first` in it, judged already, and a clock that says `millis` after its beginning.
    fn watched(first: &str) -> (tempfile::TempDir, Watch, impl Fn(u64) -> Instant) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("relevo.toml");
        fs::write(&path, first).expect("written");
        let begun = Instant::now();
        let mut watch = Watch::over(path, begun);
        assert!(!watch.is_due(begun + Duration::from_millis(1_999)));
        let judged = begun + Duration::from_secs(2);
        assert!(watch.is_due(judged), "what was there at the start is judged once");
        (folder, watch, move |millis| judged + Duration::from_millis(millis))
    }

    #[test]
    fn a_change_is_due_two_seconds_after_the_last_of_its_pieces_and_once() {
        let (folder, mut watch, at) = watched("first");
        let path = folder.path().join("relevo.toml");
        for (millis, text) in [(500, "sec"), (2_000, "secon"), (3_500, "second")] {
            fs::write(&path, text).expect("written");
            assert!(!watch.is_due(at(millis)), "{text}");
        }
        assert!(!watch.is_due(at(5_499)));
        assert!(watch.is_due(at(5_500)));
        assert!(!watch.is_due(at(10_000)), "judged twice");
    }

    #[test]
    fn a_file_that_was_touched_or_written_again_as_it_was_is_not_due() {
        let (folder, mut watch, at) = watched("first");
        fs::write(folder.path().join("relevo.toml"), "first").expect("written");
        assert!(!watch.is_due(at(500)) && !watch.is_due(at(5_000)));
    }

    #[test]
    fn a_file_that_is_replaced_by_a_link_or_gone_for_good_is_due() {
        let (folder, mut watch, at) = watched("first");
        let (path, other) = (folder.path().join("relevo.toml"), folder.path().join("other.toml"));
        fs::write(&other, "second").expect("written");
        fs::remove_file(&path).expect("removed");
        assert!(!watch.is_due(at(500)), "an editor may be about to put it back");
        std::os::unix::fs::symlink(&other, &path).expect("linked");
        assert!(!watch.is_due(at(1_000)) && watch.is_due(at(3_000)));
        fs::remove_file(&path).expect("removed");
        assert!(!watch.is_due(at(3_500)) && watch.is_due(at(5_500)) && !watch.is_due(at(9_000)));
    }
}
