//! What tokens cost in memory and time: the goals of `docs/performance.md` for index, catalogue and usage.
//!
//! `cargo bench --bench index -- [KEYS...] [--store KEYS]`; without arguments 100,000 and 1,000,000 keys, and a store
//! of 100,000. `--build FILE KEYS` makes a store and `--tokens KEYS` prints its tokens, for `benches/run`. Each size is measured in a process of its own, so that memory is its alone.
//! Promises: changes take the way of the product (feed → follower → catalogue → index), with the product's allocator.
//! Deliberately does not: judge. It prints what was measured; goals are the page's.

mod keys;
mod memory;
mod store;
mod times;

use std::io::{self, Write};
use std::process::{Command, ExitCode};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let ran = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--one", "memory", keys] => number(keys).and_then(memory::measure),
        ["--one", "store", keys] => number(keys).and_then(store::measure),
        ["--build", path, keys] => number(keys).and_then(|keys| store::build(path.as_ref(), keys)),
        ["--tokens", keys] => number(keys).and_then(tokens),
        given => measure_each(given),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "index: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn measure_each(given: &[&str]) -> io::Result<()> {
    let (mut sizes, mut stores) = (Vec::new(), Vec::new());
    let mut words = given.iter();
    while let Some(word) = words.next() {
        match *word {
            "--store" => stores.push(number(words.next().copied().unwrap_or_default())?),
            keys => sizes.push(number(keys)?),
        }
    }
    if given.is_empty() {
        (sizes, stores) = (vec![100_000, 1_000_000], vec![100_000]);
    }
    let cases = sizes.into_iter().map(|keys| ("memory", keys)).chain(stores.into_iter().map(|keys| ("store", keys)));
    for (case, keys) in cases {
        alone(&["--one", case, &keys.to_string()])?;
    }
    Ok(())
}

/// Runs this program with `arguments` in a process of its own.
fn alone(arguments: &[&str]) -> io::Result<()> {
    let ended = Command::new(std::env::current_exe()?).args(arguments).status()?;
    if ended.success() { Ok(()) } else { Err(io::Error::other(format!("{arguments:?}: {ended}"))) }
}

/// Prints each key's token and name.
fn tokens(count: u64) -> io::Result<()> {
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    for number in 0..count {
        writeln!(stdout, "{} {}", String::from_utf8_lossy(&keys::text(number)), keys::key(number).name)?;
    }
    stdout.flush()
}

fn number(text: &str) -> io::Result<u64> {
    let plain = text.replace(['_', ','], "");
    plain.parse().map_err(|_| io::Error::other(format!("{text:?} is no number of keys")))
}

/// One line of what was measured.
fn tell(what: &str, value: impl std::fmt::Display) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{what:<58} {value}")?;
    stdout.flush()
}
