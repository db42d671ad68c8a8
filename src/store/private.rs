//! Small files beside the store that only this user reads.
//!
//! Promises: a reader, and whoever comes after a crash, sees the old file or the new one, never a part; a file that is held
//! is never seen unheld while this process lives.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Writes the file durably, at once.
pub fn write(file: &Path, text: &str) -> io::Result<()> {
    replace(file, text, |_| Ok(())).map(drop)
}

/// The same; an exclusive lock is on it (`flock`) for as long as what is returned lives, and no longer than this process.
pub fn write_held(file: &Path, text: &str) -> io::Result<fs::File> {
    replace(file, text, fs::File::lock)
}

/// Puts another file in the place of `file`, `prepared` before it has that name.
fn replace(file: &Path, text: &str, prepared: impl FnOnce(&fs::File) -> io::Result<()>) -> io::Result<fs::File> {
    let folder = file.parent().filter(|folder| *folder != "").unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let draft = file.with_extension(format!("{}.draft", std::process::id()));
    fs::remove_file(&draft).ok();
    let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    prepared(&out)?;
    fs::rename(draft, file)?;
    fs::File::open(folder)?.sync_all()?;
    Ok(out)
}
