//! Damaged files are put aside, for whoever wants to look at them.
//!
//! Promises: none takes the place of an earlier one; of one name there are never more than [`MOST`].

use std::io;
use std::path::{Path, PathBuf};

/// How many damaged files of one name are kept. Where there are so many the device is the trouble.
pub const MOST: usize = 10;

/// Renames the file to `<name>.damaged`, or to `<name>.damaged.1` and so on where that is taken. Answers the new name.
pub fn put(path: &Path) -> io::Result<PathBuf> {
    let aside = free_name(path)?;
    std::fs::rename(path, &aside)?;
    Ok(aside)
}

fn free_name(path: &Path) -> io::Result<PathBuf> {
    for number in 0..MOST {
        let mut name = path.as_os_str().to_owned();
        name.push(".damaged");
        if number > 0 {
            name.push(format!(".{number}"));
        }
        match std::fs::symlink_metadata(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(name.into()),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
    Err(io::Error::other(format!("{MOST} damaged files are beside it already")))
}
