//! A shell in a folder of its own, in which `relevo`, `cargo run --release --` and `make` are what a reader has.
//!
//! Promises: a command that fails, or takes a minute, fails the test with what it said; no process outlives it.
//! Deliberately does not: build anything, or run `make`'s targets: that they exist is enough.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::page::Page;
use crate::support::backend::{Backend, Reply};

/// How long one block of commands may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// `relevo`, but what runs until it is stopped does so in the background once it is ready.
const RELEVO: &str = r#"#!/usr/bin/env bash
set -euo pipefail
case "${1:-}" in
demo) ready='undo demo' ;;
serve) ready='"admin"' ;;
*) exec "$RELEVO_BINARY" "$@" ;;
esac
"$RELEVO_BINARY" "$@" >"$HOME/said" 2>"$HOME/complained" &
while kill -0 $! 2>/dev/null; do
    if grep -q "$ready" "$HOME/said"; then cat "$HOME/said"; exit 0; fi
    sleep 0.05
done
cat "$HOME/complained" >&2
exit 1
"#;

/// `cargo run --release -- …` runs the program that was built for the tests.
const CARGO: &str = r#"#!/usr/bin/env bash
set -euo pipefail
[ "${1:-} ${2:-} ${3:-}" = "run --release --" ] || { echo "not run here: cargo $*" >&2; exit 1; }
shift 3
CARGO=cargo exec relevo "$@"
"#;

/// `make` looks up the target and stops there.
const MAKE: &str = r#"#!/usr/bin/env bash
exec /usr/bin/make --no-print-directory -C "$SOURCES" -n "$@"
"#;

/// What a reader of the reference serves: everything goes to one backend.
const CONFIGURATION: &str = r#"
[gateway]
listen = ["127.0.0.1:0"]
[admin]
listen = "127.0.0.1:0"
[log]
access = false
[[upstreams]]
name = "orders"
endpoints = ["http://BACKEND"]
[[routes]]
path = "/"
upstream = "orders"
"#;

/// A running shell.
pub(crate) struct Shell {
    folder: TempDir,
    child: Child,
    commands: ChildStdin,
    done: Receiver<String>,
    /// An address as pages write it, and as it is here.
    addresses: Vec<(&'static str, String)>,
    /// The token that was shown last.
    token: String,
    _backend: Option<Backend>,
}

impl Shell {
    /// A shell in a folder with the configuration that comes along.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::within(folder, None)
    }

    /// The same with `served.toml`, before a backend that answers.
    pub(crate) fn serving() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let backend = Backend::replying(|request| Reply::ok(format!("{}\n", request.target)));
        let text = CONFIGURATION.replace("BACKEND", &backend.address().to_string());
        fs::write(folder.path().join("served.toml"), text).expect("written");
        Self::within(folder, Some(backend))
    }

    fn within(folder: TempDir, backend: Option<Backend>) -> Self {
        furnish(folder.path());
        let mut child = start(folder.path());
        let mut commands = child.stdin.take().expect("piped");
        let done = lines_of(&mut child);
        commands.write_all(b"set -euo pipefail\n").expect("a shell that listens");
        Self { folder, child, commands, done, addresses: Vec::new(), token: String::new(), _backend: backend }
    }

    /// Runs every block of `page` and compares its answers with those shown.
    pub(crate) fn run_page(&mut self, page: &Page) {
        for block in &page.blocks {
            let said = self.run(&block.script);
            if let Some(shown) = &block.shown {
                assert!(shown.admits(&said), "\n{}\nsays\n{said}\nand not\n{shown}", block.script);
            }
        }
    }

    /// Runs `script`; the answer is what it wrote to stdout, with addresses as pages write them.
    pub(crate) fn run(&mut self, script: &str) -> String {
        let path = |name| self.folder.path().join(name);
        let (out, err) = (path("out"), path("err"));
        fs::write(path("block"), self.as_here(script)).expect("written");
        self.commands.write_all(b". ./block >out 2>err </dev/null; echo done\n").expect("a shell that listens");
        let ended = self.done.recv_timeout(PATIENCE);
        let [said, complained] = [out, err].map(|path| fs::read_to_string(path).unwrap_or_default());
        assert!(ended.is_ok(), "\n{script}\nfails, says\n{said}\nand complains\n{complained}");
        self.learn(&said);
        self.addresses.iter().fold(said, |said, (written, here)| said.replace(here, written))
    }

    /// `script` with the addresses and the token of this shell.
    fn as_here(&self, script: &str) -> String {
        let script =
            self.addresses.iter().fold(script.to_owned(), |script, (written, here)| script.replace(written, here));
        script.replace("rlv_…", &self.token)
    }

    /// Takes what a program says of its addresses, and a token that it shows.
    fn learn(&mut self, said: &str) {
        for (name, written) in [("gateway", "127.0.0.1:8080"), ("admin", "127.0.0.1:8081")] {
            let (line, address) = (format!("\"listening\":\"{name}\""), format!("{name} "));
            let tells = |text: &&str| text.contains(&line) || text.trim_start().starts_with(&address);
            let Some(at) = said.lines().find(tells).and_then(|line| line.split_once("127.0.0.1:")) else { continue };
            let port: String = at.1.chars().take_while(char::is_ascii_digit).collect();
            self.addresses.push((written, format!("127.0.0.1:{port}")));
        }
        let mut words = said.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        if let Some(token) = words.rfind(|word| word.starts_with("rlv_") && word.len() == 4 + 43 + 6) {
            token.clone_into(&mut self.token);
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let group = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        killpg(group, Signal::SIGKILL).ok(); // fails only if everything has ended already
        drop(self.child.wait());
    }
}

/// Puts into `folder` what a clone has, and the programs in `bin`.
fn furnish(folder: &Path) {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    symlink(sources.join("config"), folder.join("config")).expect("linked");
    fs::create_dir(folder.join("bin")).expect("made");
    for (name, text) in [("relevo", RELEVO), ("cargo", CARGO), ("make", MAKE)] {
        let path = folder.join("bin").join(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("made executable");
    }
}

fn start(folder: &Path) -> Child {
    let path = std::env::var("PATH").expect("a path");
    let mut command = Command::new("bash");
    command.args(["--norc", "--noprofile"]).current_dir(folder).process_group(0);
    command.env("PATH", format!("{}:{path}", folder.join("bin").display()));
    command.env("HOME", folder).env("XDG_RUNTIME_DIR", folder);
    command.env("RELEVO_BINARY", env!("CARGO_BIN_EXE_relevo")).env("SOURCES", env!("CARGO_MANIFEST_DIR"));
    for name in ["CARGO", "CARGO_MANIFEST_DIR", "RELEVO_ADMIN_URL", "RELEVO_ADMIN_TOKEN", "MAKEFLAGS", "MAKELEVEL"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("bash")
}

/// A line for every block that has ended well; no more of them once the shell has ended.
fn lines_of(child: &mut Child) -> Receiver<String> {
    let stdout = child.stdout.take().expect("piped");
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // Nobody listens any more once the test has failed.
            drop(sender.send(line));
        }
    });
    receiver
}
