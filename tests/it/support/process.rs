//! The real program in a process of its own: started, killed, started again on the same store.
//!
//! Promises: no process outlives its test.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::client::RawClient;
use super::request::request;

/// How long a start, with its recovery, may take.
const START: Duration = Duration::from_secs(20);

const PROGRAM: &str = env!("CARGO_BIN_EXE_relevo");

/// A program that `packaging/install-test-tools` has from Python's package index.
pub(crate) fn from_pypi(program: &str) -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), PathBuf::from);
    let program = cache.join("relevo/test-tools/bin").join(program);
    assert!(program.exists(), "{} is not there: run packaging/install-test-tools", program.display());
    program
}

/// A configuration with a listener in clear and one that shows the pair `a`, an upstream `backend` at this address, and
/// these tables.
pub(crate) fn with_two_doors(backend: SocketAddr, workers: usize, tables: &str) -> String {
    format!(
        "[gateway]\nlisten = [\"127.0.0.1:0\"]\nworkers = {workers}\n[[gateway.listeners]]\naddress = \"127.0.0.1:0\"\n\
         tls = [{{ certificate = \"a.pem\", key = \"a.key\" }}]\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [store]\npath = \"relevo.redb\"\n[log]\naccess = false\n\
         [[upstreams]]\nname = \"backend\"\nendpoints = [\"http://{backend}\"]\n{tables}"
    )
}

/// A running `relevo serve`.
pub(crate) struct Process {
    child: Child,
    lines: Mutex<Receiver<String>>,
    /// The data plane's last address.
    pub(crate) gateway: SocketAddr,
    /// All of the data plane's addresses, as far as they were told before the admin port's.
    pub(crate) doors: Vec<SocketAddr>,
    pub(crate) admin: SocketAddr,
}

impl Process {
    /// Starts `relevo serve` in `folder` with this configuration, and waits until it listens. What it says on stderr
    /// is added to `stderr.log` there.
    pub(crate) fn serve(folder: &Path, configuration: &str) -> Self {
        Self::begin(folder, configuration, &[], program())
    }

    /// The same with the configuration at its default place, which no argument names.
    pub(crate) fn serve_by_default(folder: &Path, configuration: &str) -> Self {
        let file = folder.join("config/relevo.toml");
        std::fs::create_dir_all(folder.join("config")).expect("made");
        std::fs::write(file, configuration).expect("written");
        let mut command = program();
        command.arg("serve");
        Self::launch(folder, &[], command)
    }

    /// The same; it inherits `socket` under the name `door`, as from a manager of services.
    pub(crate) fn serve_inheriting(folder: &Path, configuration: &str, socket: TcpListener) -> Self {
        let mut shell = Command::new("sh");
        let hand_over = r#"exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=door exec "$0" "$@""#;
        shell.args(["-c", hand_over, PROGRAM]).stdin(OwnedFd::from(socket));
        Self::begin(folder, configuration, &[], shell)
    }

    /// The same, with these variables in its environment.
    pub(crate) fn serve_told(folder: &Path, configuration: &str, variables: &[(&str, &str)]) -> Self {
        Self::begin(folder, configuration, variables, program())
    }

    /// The same, with this filter of the log.
    pub(crate) fn serve_logging(folder: &Path, configuration: &str, filter: &str) -> Self {
        Self::begin(folder, configuration, &[("RELEVO_LOG", filter)], program())
    }

    /// The same, after `preparation`, a command of the shell that becomes the program.
    pub(crate) fn serve_after(folder: &Path, configuration: &str, preparation: &str) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{preparation} && exec \"$0\" \"$@\""), PROGRAM]).stdin(Stdio::null());
        Self::begin(folder, configuration, &[], shell)
    }

    fn begin(folder: &Path, configuration: &str, variables: &[(&str, &str)], mut command: Command) -> Self {
        let file = folder.join("relevo.toml");
        std::fs::write(&file, configuration).expect("written");
        command.arg("serve").arg("--config").arg(&file);
        Self::launch(folder, variables, command)
    }

    /// Starts what `command` says in `folder`, and waits until it listens.
    fn launch(folder: &Path, variables: &[(&str, &str)], mut command: Command) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(folder.join("stderr.log")).expect("opened");
        settle_in(&mut command, folder);
        command.env("RELEVO_LOG", "info").envs(variables.iter().copied());
        command.stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("started");
        let lines = lines_of(&mut child);
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        // Held from here on, so that a failure below still ends the process.
        let mut process =
            Self { child, lines: Mutex::new(channel().1), gateway: nowhere, doors: Vec::new(), admin: nowhere };
        while process.gateway == nowhere || process.admin == nowhere {
            let line = lines.recv_timeout(START).unwrap_or_else(|error| {
                let said = std::fs::read_to_string(folder.join("stderr.log")).unwrap_or_default();
                panic!("does not listen: {error}\n{said}")
            });
            process.take(&line);
        }
        process.lines = Mutex::new(lines);
        process
    }

    fn take(&mut self, line: &str) {
        let said: serde_json::Value = serde_json::from_str(line).expect("stdout holds JSON lines only");
        let address = said["address"].as_str().and_then(|text| text.parse().ok()).expect("an address");
        match said["listening"].as_str() {
            Some("gateway") => {
                self.gateway = address;
                self.doors.push(address);
            }
            Some("admin") => self.admin = address,
            Some(_) | None => {}
        }
    }

    /// Lets it write nothing beyond this place of a file, as on a disk that is full; anywhere again without one. It must have
    /// been started to take the refusal for an error: `trap '' XFSZ`.
    pub(crate) fn bound_files(&self, bytes: Option<u64>) {
        let bound = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        self.limit(&format!("--fsize={bound}:"));
    }

    /// Lets it open no more than so many files from now on, those included that it has open.
    pub(crate) fn bound_open_files(&self, files: usize) {
        self.limit(&format!("--nofile={files}:"));
    }

    fn limit(&self, how: &str) {
        let told = Command::new("prlimit").arg(format!("--pid={}", self.child.id())).arg(how).status();
        assert!(told.is_ok_and(|status| status.success()), "not told by prlimit");
    }

    /// How many files it has open.
    pub(crate) fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it runs").count()
    }

    /// How much memory it has resident.
    pub(crate) fn memory_kib(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Every metric, as text; it runs in `folder`.
    pub(crate) fn metrics(&self, folder: &Path) -> String {
        let root = std::fs::read_to_string(folder.join("admin.token")).expect("the first administrator's token");
        let mut client = RawClient::connect(self.admin);
        client.send(&request("GET", "/metrics").token(root.trim()).bytes());
        client.read_response().text()
    }

    /// What it writes to stdout after it has told its addresses, up to its end.
    pub(crate) fn take_lines(&mut self) -> Receiver<String> {
        std::mem::replace(&mut self.lines, Mutex::new(channel().1)).into_inner().expect("never held in a panic")
    }

    /// Ends it at once, as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(id), signal).expect("told");
    }

    /// Asks it to end and waits for that.
    pub(crate) fn terminate(mut self, patience: Duration) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        let deadline = std::time::Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().expect("waited") {
                return status;
            }
            assert!(std::time::Instant::now() < deadline, "does not end");
            thread::park_timeout(Duration::from_millis(10));
        }
    }

    fn end(&mut self) {
        // Both fail only if it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

fn program() -> Command {
    let mut command = Command::new(PROGRAM);
    command.stdin(Stdio::null());
    command
}

/// The program in `folder`.
pub(crate) fn relevo(folder: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    settle_in(&mut command, folder);
    command
}

/// Has `command` run in `folder`, which is its runtime directory too, without variables of ours.
pub(crate) fn settle_in(command: &mut Command, folder: &Path) {
    command.current_dir(folder).env("XDG_RUNTIME_DIR", folder);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("RELEVO_")) {
        command.env_remove(name);
    }
}

/// What it writes to stdout, line by line; read to the end, so that it never waits for a reader.
fn lines_of(child: &mut Child) -> Receiver<String> {
    let stdout = child.stdout.take().expect("piped");
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // Nobody listens any more once the addresses are known.
            drop(sender.send(line));
        }
    });
    receiver
}
