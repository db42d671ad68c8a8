//! What the admin API costs at ten thousand keys: lists, searches and filters, and ten thousand renewals in a row.
//!
//! `cargo bench --bench admin -- [KEYS] [RENEWALS]`. The whole product runs in this process, on a store of its own, and is asked over one
//! connection that is kept.
//! Promises: every answer is read to its end and must be a success; a median is of a hundred and one.
//! Deliberately does not: judge. It prints what was measured; goals are the page's (`docs/performance.md`).

mod caller;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use relevo::clock::Clock;
use relevo::config::Config;
use relevo::serve::{Relevo, Running};
use serde_json::{Value, json};

use caller::Caller;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often each call is made.
const TIMES: usize = 101;
/// How many keys are under renewal while lists are timed.
const RENEWING: usize = 500;

/// Each a list as somebody asks for it.
const LISTS: [(&str, &str); 13] = [
    ("the first page", "limit=50"),
    ("500 keys", "limit=500"),
    ("search by name", "q=key-77"),
    ("search that finds nothing", "q=nothing-is-called-so"),
    ("by role", "role=role-7"),
    ("by owner", "owner=owner-77"),
    ("by label", "label=team:team-3"),
    ("inactive", "status=inactive"),
    ("unused for an hour", "unused_since=1h"),
    ("ending within 14 days", "expiring_within=14d"),
    ("under renewal", "renewing=true"),
    ("by name, from the middle", "sort=name&skip=5000"),
    ("by last use, from the middle", "sort=-last_used&skip=5000"),
];

fn main() -> ExitCode {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let (keys, renewals) = (numbers.first().copied().unwrap_or(10_000), numbers.get(1).copied().unwrap_or(10_000));
    match run(keys, renewals) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "admin: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn run(keys: usize, renewals: usize) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let store = folder.path().join("relevo.redb");
    let running = start(&store)?;
    let token = std::fs::read_to_string(folder.path().join("admin.token"))?;
    let mut caller = Caller::connect(running.admin_address(), token.trim())?;
    while caller.get("/readyz").is_err() {
        std::thread::yield_now();
    }
    import(&mut caller, keys)?;
    for number in 0..RENEWING.min(keys) {
        caller.post(&format!("/v1/keys/key-{number}/renew"), None)?;
    }
    tell("keys", keys)?;
    for (what, query) in LISTS {
        tell(&format!("list, {what}: median, worst"), times(&mut caller, &format!("/v1/keys?{query}"))?)?;
    }
    tell("one key: median, worst", times(&mut caller, "/v1/keys/key-77")?)?;
    renew(&mut caller, (keys, renewals), &store)?;
    running.shutdown();
    Ok(())
}

fn start(store: &Path) -> io::Result<Running> {
    let text = format!(
        "[gateway]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n[store]\npath = '{}'\n\
         [log]\naccess = false\n[drain]\ndelay = \"0s\"\n",
        store.display()
    );
    let config = Config::parse(&text, "bench", []).map_err(|mistakes| io::Error::other(mistakes.to_string()))?;
    Relevo::start(config, Clock::system(), None).map_err(io::Error::other)
}

/// Makes the keys, each with something to be found by.
fn import(caller: &mut Caller, keys: usize) -> io::Result<()> {
    let key = |number: usize| {
        json!({
            "name": format!("key-{number}"),
            "roles": [format!("role-{}", number % 20), "orders:read"],
            "owner": format!("owner-{}", number % 100),
            "labels": {"team": format!("team-{}", number % 10)},
            "status": if number.is_multiple_of(50) { "inactive" } else { "active" },
            "digest": format!("sha256:{number:064x}"),
        })
    };
    let all: Vec<Value> = (0..keys).map(key).collect();
    caller.post("/v1/import", Some(&json!({ "keys": all }))).map(drop)
}

fn times(caller: &mut Caller, path: &str) -> io::Result<String> {
    let mut took = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let begun = Instant::now();
        caller.get(path)?;
        took.push(begun.elapsed());
    }
    Ok(middle_and_last(&mut took))
}

fn middle_and_last(took: &mut [Duration]) -> String {
    took.sort_unstable();
    let millis = |at: usize| took.get(at).map_or(0.0, |took| took.as_secs_f64() * 1e3);
    format!("{:.2} ms, {:.2} ms", millis(took.len() / 2), millis(took.len().saturating_sub(1)))
}

/// Renews, and deletes the old token, one key after another.
fn renew(caller: &mut Caller, (keys, renewals): (usize, usize), store: &Path) -> io::Result<()> {
    let tell_state = |done: usize| {
        let megabytes = std::fs::metadata(store).map_or(0, |file| file.len() >> 20);
        tell(
            &format!("after {done} renewals: resident, store"),
            format!("{} MiB, {megabytes} MiB", resident_mebibytes()),
        )
    };
    tell_state(0)?;
    let mut took = Vec::with_capacity(renewals);
    for number in 0..renewals {
        let name = format!("/v1/keys/key-{}", RENEWING + number % keys.saturating_sub(RENEWING).max(1));
        let begun = Instant::now();
        caller.post(&format!("{name}/renew"), None)?;
        caller.post(&format!("{name}/delete-old"), None)?;
        took.push(begun.elapsed());
        if (number + 1) % (renewals / 4).max(1) == 0 {
            tell_state(number + 1)?;
        }
    }
    tell("renew and delete the old token: median, worst", middle_and_last(&mut took))
}

fn resident_mebibytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() >> 10
}

/// One line of what was measured.
fn tell(what: &str, value: impl Display) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{what:<58} {value}")?;
    stdout.flush()
}
