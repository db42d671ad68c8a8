//! The promise as a new user meets it: `relevo demo`, and `relevo serve` in front of a real server, killed in between.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::support::client::{RawClient, RawResponse};
use crate::support::gateway::wait_until;
use crate::support::process::Process;
use crate::support::request::{Request, request};

/// A `relevo demo`; dropped, it is killed as `kill -9` does.
struct Demo {
    child: Child,
    /// What it said when it was ready.
    said: String,
}

impl Demo {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = relevo(folder);
        command.arg("demo").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("started");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut said = String::new();
        while !said.contains("undo demo\n") {
            said += &lines.next().expect("a demo that gets ready").expect("text");
            said.push('\n');
        }
        Self { child, said }
    }

    fn gateway(&self) -> SocketAddr {
        self.said
            .split("http://")
            .nth(1)
            .and_then(|rest| rest.split([' ', '/']).next()?.parse().ok())
            .expect("an address")
    }

    fn token(&self) -> Option<String> {
        let words = self.said.split_whitespace();
        words.filter(|word| word.starts_with("rlv_")).map(str::to_owned).next()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The program, as a user in `folder` runs it.
fn relevo(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relevo"));
    command.current_dir(folder).env("XDG_RUNTIME_DIR", folder);
    for name in ["RELEVO_ADMIN_TOKEN", "RELEVO_ADMIN_URL", "CARGO"] {
        command.env_remove(name);
    }
    command
}

/// What a command answers on stdout; it must succeed.
fn command(folder: &Path, arguments: &[&str]) -> String {
    let output = relevo(folder).args(arguments).stdin(Stdio::null()).output().expect("run");
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complained}");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

fn ask(gateway: SocketAddr, asked: &Request) -> RawResponse {
    let mut client = RawClient::connect(gateway);
    client.send(&asked.bytes());
    client.read_response()
}

fn statuses(gateway: SocketAddr, path: &str, tokens: &[&str]) -> Vec<u16> {
    tokens.iter().map(|token| ask(gateway, &request("GET", path).token(token)).status).collect()
}

/// Something that runs in front of a backend, and can be killed and started again.
struct Stage<'a, R> {
    folder: &'a Path,
    key: &'a str,
    path: &'a str,
    start: &'a dyn Fn() -> R,
    gateway: &'a dyn Fn(&R) -> SocketAddr,
}

impl<R> Stage<'_, R> {
    /// Renew, undo, renew, delete old; after each step `between` what runs is what it becomes. Answers the token
    /// that is left, and those that are gone.
    fn renewals(&self, mut running: R, first: String, between: impl Fn(R) -> R) -> (R, String, Vec<String>) {
        let passing = |running: &R, tokens: &[&str]| statuses((self.gateway)(running), self.path, tokens);
        assert_eq!(passing(&running, &[&first]), [200]);
        assert_eq!(ask((self.gateway)(&running), &request("GET", self.path)).status, 401);

        let second = command(self.folder, &["renew", self.key]);
        running = between(running);
        assert_eq!(passing(&running, &[&first, &second]), [200, 200]);
        command(self.folder, &["undo", self.key, "--yes"]);
        running = between(running);
        assert_eq!(passing(&running, &[&first, &second]), [200, 401]);
        let third = command(self.folder, &["renew", self.key]);
        running = between(running);
        assert_eq!(passing(&running, &[&first, &second, &third]), [200, 401, 200]);
        command(self.folder, &["delete-old", self.key, "--yes"]);
        running = between(running);
        assert_eq!(passing(&running, &[&first, &second, &third]), [401, 401, 200]);
        (running, third, vec![first, second])
    }

    /// Both rounds: undisturbed, then killed after every step. What ended in the first stays ended in the second.
    fn both_rounds(&self, running: R, first: String) {
        let (running, left, gone) = self.renewals(running, first, |running| running);
        drop(running); // killed
        let (running, left, more) = self.renewals((self.start)(), left, |running| {
            drop(running);
            (self.start)()
        });
        let gone: Vec<_> = gone.iter().chain(&more).map(String::as_str).collect();
        let gateway = (self.gateway)(&running);
        assert!(statuses(gateway, self.path, &gone).iter().all(|status| *status == 401));
        assert_eq!(statuses(gateway, self.path, &[&left]), [200]);
    }
}

#[test]
fn the_demo_renews_undoes_and_deletes_and_all_of_it_survives_being_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let demo = Demo::start(folder, &[]);
    let first = demo.token().expect("a token");
    let answer = ask(demo.gateway(), &request("GET", "/hello").token(&first));
    assert!(answer.text().contains("\"x-relevo-key-name\":\"demo\""), "{}", answer.text());
    let start = || {
        let demo = Demo::start(folder, &[]);
        assert!(demo.said.contains("cannot be shown again") && demo.token().is_none(), "{}", demo.said);
        demo
    };
    Stage { folder, key: "demo", path: "/hello", start: &start, gateway: &Demo::gateway }
        .both_rounds(demo, first.clone());

    let fresh = Demo::start(folder, &["--fresh"]);
    let token = fresh.token().expect("another token");
    assert_eq!(statuses(fresh.gateway(), "/hello", &[&first, &token]), [401, 200]);
}

#[test]
fn the_link_to_the_console_that_the_demo_prints_signs_in_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = Demo::start(folder.path(), &[]);
    let link = demo.said.split_whitespace().find_map(|word| word.strip_prefix("http://")?.split_once("/console/link/"));
    let (host, code) = link.expect("a link");
    let follow = request("POST", &format!("/console/link/{code}")).host(host);
    let follow = follow.header("Origin", &format!("http://{host}")).body("");
    let admin = host.parse().expect("an address");
    assert_eq!([(); 2].map(|()| ask(admin, &follow).status), [303, 410]);
}

#[test]
fn demos_started_at_once_each_find_ports_and_keep_their_tokens_apart() {
    const DEMOS: usize = 6;
    let folders: Vec<_> = (0..DEMOS).map(|_| tempfile::tempdir().expect("a folder")).collect();
    let demos: Vec<_> = thread::scope(|scope| {
        let starting: Vec<_> = folders.iter().map(|folder| scope.spawn(|| Demo::start(folder.path(), &[]))).collect();
        starting.into_iter().map(|demo| demo.join().expect("started")).collect()
    });
    let tokens: Vec<_> = demos.iter().map(|demo| demo.token().expect("a token")).collect();
    let tokens: Vec<_> = tokens.iter().map(String::as_str).collect();
    for (own, demo) in demos.iter().enumerate() {
        let expected: Vec<_> = (0..DEMOS).map(|at| if at == own { 200 } else { 401 }).collect();
        assert_eq!(statuses(demo.gateway(), "/", &tokens), expected);
    }
}

#[test]
fn a_demo_is_not_stopped_by_somebody_who_only_looks_whether_its_ports_are_free() {
    let done = CancellationToken::new();
    let look = || {
        while !done.is_cancelled() {
            for port in 8080..8084 {
                let looked = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
                thread::park_timeout(Duration::from_micros(200)); // as on a machine that is busy
                drop(looked);
            }
        }
    };
    thread::scope(|scope| {
        let _done = done.clone().drop_guard(); // also after a failure
        scope.spawn(look);
        for _ in 0..8 {
            let folder = tempfile::tempdir().expect("a folder");
            let demo = Demo::start(folder.path(), &[]);
            assert_eq!(statuses(demo.gateway(), "/", &[&demo.token().expect("a token")]), [200]);
        }
    });
}

#[test]
fn a_demo_that_runs_is_neither_started_again_nor_deleted() {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = Demo::start(folder.path(), &[]);
    let token = demo.token().expect("a token");
    for arguments in [&["demo"][..], &["demo", "--fresh"]] {
        let output = relevo(folder.path()).args(arguments).stdin(Stdio::null()).output().expect("run");
        let complained = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{complained}");
        assert!(complained.contains("a gateway is running") && complained.contains("stop it first"), "{complained}");
    }
    assert_eq!(statuses(demo.gateway(), "/", &[&token]), [200]);
}

/// A real nginx with two servers, each of which tells its port and the caller it was told.
struct Nginx {
    child: Child,
    ports: [u16; 2],
}

impl Nginx {
    fn start(folder: &Path) -> Self {
        let ports = [0, 1].map(|_| {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            free.local_addr().expect("an address").port()
        });
        let place = folder.display();
        let server = |port: &u16| {
            format!(
                "server {{ listen 127.0.0.1:{port}; location / {{ return 200 \"$server_port $request_method $uri $http_x_relevo_key_name $http_x_api_key\\n\"; }} }}\n"
            )
        };
        let servers: String = ports.iter().map(server).collect();
        let text = format!(
            "daemon off; master_process off; pid {place}/nginx.pid; error_log {place}/nginx.log;\nevents {{}}\n\
             http {{ access_log off; client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;\n\
             fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;\n{servers} }}\n"
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, text).expect("written");
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|path| Path::new(path).exists());
        let program = program.expect("nginx is installed: packaging/install-test-tools does it");
        let child = Command::new(program).arg("-p").arg(folder).arg("-c").arg(&file).stdin(Stdio::null()).spawn();
        let nginx = Self { child: child.expect("started"), ports };
        wait_until("nginx listens", || {
            ports.iter().all(|port| TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_ok())
        });
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn the_same_holds_for_a_configuration_of_routes_in_front_of_nginx() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let nginx = Nginx::start(folder);
    let [one, other] = nginx.ports;
    let configuration = format!(
        "[gateway]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [drain]\ndelay = \"0s\"\n[log]\naccess = false\n\
         [[upstreams]]\nname = \"nginx\"\nendpoints = [\"http://127.0.0.1:{one}\", \"http://127.0.0.1:{other}\"]\n\
         [[routes]]\npath = \"/orders\"\nmethods = [\"GET\"]\nroles = [\"orders:read\"]\nupstream = \"nginx\"\n\
         [[routes]]\npath = \"/orders\"\nmethods = [\"POST\"]\nroles = [\"orders:write\"]\nupstream = \"nginx\"\n\
         [[routes]]\npath = \"/public\"\nauth = \"none\"\nupstream = \"nginx\"\n"
    );
    let start = || Process::serve(folder, &configuration);
    let running = start();
    let first = command(folder, &["keys", "create", "ci", "--role", "orders:read"]);
    let gateway = running.gateway;

    let answers: Vec<_> = (0..8).map(|_| ask(gateway, &request("GET", "/orders/7").token(&first)).text()).collect();
    for port in nginx.ports {
        let expected = format!("{port} GET /orders/7 ci \n");
        assert!(answers.iter().any(|answer| answer.ends_with(&expected)), "{answers:?}");
    }
    assert_eq!(ask(gateway, &request("GET", "/public/a")).status, 200);
    assert_eq!(ask(gateway, &request("POST", "/orders").token(&first).body("x")).status, 403);
    assert_eq!(ask(gateway, &request("DELETE", "/orders").token(&first)).header("allow"), Some("GET, HEAD, POST"));
    assert_eq!(ask(gateway, &request("GET", "/elsewhere").token(&first)).status, 404);

    let gateway = |process: &Process| process.gateway;
    Stage { folder, key: "ci", path: "/orders", start: &start, gateway: &gateway }.both_rounds(running, first);
}
