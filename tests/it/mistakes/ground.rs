//! A folder in which the program is run as a script would: no terminal, its output in files.
//!
//! Promises: a command that does not end fails its test; what it said lies outside the folder, so that the folder shows
//! what the command changed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::DEADLINE;
use crate::support::process::{Process, relevo};

/// A gateway on any two ports, without upstreams.
pub(super) const SERVED: &str = "[gateway]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n\
     [log]\naccess = false\n[drain]\ndelay = \"0s\"\ntimeout = \"1s\"\n";

/// The folder.
pub(super) struct Ground {
    folder: TempDir,
    said: TempDir,
}

/// What a command said, and its exit code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Said {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) err: String,
}

impl Said {
    /// stdout as JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Fails unless it ended with `code`, with nothing on stdout and every one of `parts` on stderr.
    #[track_caller]
    pub(super) fn refuses(&self, code: i32, parts: &[&str]) {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{self:?}");
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is not in {}", self.err);
        }
    }
}

impl Ground {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), said: tempfile::tempdir().expect("a folder") }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file; the answer is its path.
    pub(super) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(&path, text).expect("written");
        path
    }

    /// Runs the command whose words these are.
    pub(super) fn run(&self, words: &str) -> Said {
        self.run_with(words, &[])
    }

    /// The same with these variables in its environment.
    pub(super) fn run_with(&self, words: &str, variables: &[(&str, &str)]) -> Said {
        let mut command = relevo(self.path());
        command.args(words.split_whitespace()).envs(variables.iter().copied());
        self.ended(&mut command)
    }

    /// Runs `command` to its end.
    pub(super) fn ended(&self, command: &mut Command) -> Said {
        let file = |name| File::create(self.said.path().join(name)).expect("created");
        command.stdin(Stdio::null()).stdout(file("out")).stderr(file("err"));
        let mut child = command.spawn().expect("started");
        let deadline = Instant::now() + DEADLINE;
        let status: Option<ExitStatus> = loop {
            match child.try_wait().expect("waited") {
                None if Instant::now() < deadline => std::thread::park_timeout(std::time::Duration::from_millis(5)),
                status => break status,
            }
        };
        drop(child.kill()); // fails if it has ended, as it should
        drop(child.wait());
        let text = |name| fs::read_to_string(self.said.path().join(name)).expect("text");
        let (out, err) = (text("out"), text("err"));
        let code = status.and_then(|status| status.code());
        Said { code: code.unwrap_or_else(|| panic!("{command:?} does not end by itself\n{out}\n{err}")), out, err }
    }

    /// A running gateway with this configuration.
    pub(super) fn serve(&self, configuration: &str) -> Process {
        Process::serve(self.path(), configuration)
    }

    /// What the gateways that were served said on stderr.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.path().join("stderr.log")).unwrap_or_default()
    }

    /// Every file below the folder with its bytes.
    pub(super) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let (mut folders, mut found) = (vec![self.path().to_owned()], BTreeMap::new());
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("listed") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.insert(path.clone(), fs::read(path).expect("read"));
                }
            }
        }
        found
    }
}
