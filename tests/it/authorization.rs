//! Other proxies ask whether a request may pass: the contract, and the ready-made configurations of
//! `docs/authorization.md` in real processes.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::problems::problem_of;
use super::support::backend::Backend;
use super::support::client::{RawClient, RawResponse};
use super::support::gateway::{Holder, TestGateway, wait_until};
use super::support::process::from_pypi;
use super::support::request::{Request, request};

const PAGE: &str = include_str!("../../docs/authorization.md");
const TRUSTING: &str = "gateway.trusted_proxies = [\"127.0.0.1\"]\n";
const LISTENERS: &str = "[[gateway.listeners]]\naddress = \"127.0.0.1:0\"\nauthorization = true\n\
                         [[gateway.listeners]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = true\n";
const ROUTES: &str = "
[[routes]]
path = \"/\"
hosts = [\"localhost\", \"127.0.0.1\"]
upstream = \"backend\"
[[routes]]
path = \"/write\"
hosts = [\"localhost\", \"127.0.0.1\"]
methods = [\"POST\"]
roles = [\"writer\"]
upstream = \"backend\"
";

/// A gateway that can be asked, with the backend of its second port.
fn gateway(backend: &Backend) -> TestGateway {
    TestGateway::in_front_of(backend).routes(ROUTES).gateway(TRUSTING).settings(LISTENERS).start()
}

fn ask(address: SocketAddr, asked: &Request) -> RawResponse {
    let mut client = RawClient::connect(address);
    client.send(&asked.bytes());
    client.read_response()
}

#[test]
fn the_answer_is_the_gateways_own_for_the_request_that_is_told() {
    let backend = Backend::answering("hello");
    let gateway = gateway(&backend);
    let asked_at = gateway.addresses()[1];
    let key = gateway.create_key("ci").roles(&["reader"]).done();
    let writer = gateway.create_key("writer").roles(&["writer"]).done();
    let narrow = gateway.create_key("narrow").with("allowed_addresses", json!(["203.0.113.0/24"])).done();
    let limited = gateway.create_key("limited").with("limits", json!({"rate": {"requests": 1, "per": "1m"}})).done();
    let asking = |key: &Holder| request("GET", "/anything").token(&key.token);

    let passes = ask(asked_at, &asking(&key).header("X-Forwarded-Uri", "/orders?x=1"));
    assert_eq!((passes.status, passes.header("x-relevo-key-name")), (200, Some("ci")));
    assert_eq!((passes.header("x-relevo-roles"), passes.header("x-relevo-token")), (Some("reader"), Some("current")));
    assert_eq!(passes.header("x-relevo-key-id"), Some(&*key.id));
    assert!(passes.body.is_empty() && passes.header("x-request-id").is_some());

    let posting = |asked: Request, names: [&str; 2]| asked.header(names[0], "POST").header(names[1], "/write/7");
    for names in [["X-Forwarded-Method", "X-Forwarded-Uri"], ["X-Original-Method", "X-Original-URI"]] {
        assert_eq!(problem_of(&ask(asked_at, &posting(asking(&key), names))), (403, "role_missing".into()));
        assert_eq!(ask(asked_at, &posting(asking(&writer), names)).status, 200);
    }
    // Envoy's way: the request's own method and path.
    assert_eq!(ask(asked_at, &request("POST", "/write/7").token(&writer.token)).status, 200);
    assert_eq!(ask(asked_at, &request("GET", "/write/7").token(&writer.token)).status, 405);

    let from = |address| asking(&narrow).header("X-Forwarded-For", address);
    assert_eq!(ask(asked_at, &from("203.0.113.5")).status, 200);
    assert_eq!(problem_of(&ask(asked_at, &from("198.51.100.7"))), (401, "credential_invalid".into()));
    assert_eq!(problem_of(&ask(asked_at, &request("GET", "/"))), (401, "credential_missing".into()));
    assert_eq!(ask(asked_at, &asking(&limited)).header("ratelimit"), Some("\"rate\";r=0;t=60"));
    let refused = ask(asked_at, &asking(&limited));
    assert_eq!((problem_of(&refused), refused.header("retry-after")), ((429, "rate_limited".into()), Some("60")));
    for (name, value, status) in [
        ("X-Forwarded-Uri", "//evil", 400),
        ("X-Forwarded-Uri", "http://localhost/", 400),
        ("X-Forwarded-Uri", "/a/../b", 400),
        ("X-Forwarded-Method", "G T", 400),
        ("X-Forwarded-Method", "TRACE", 405),
        ("X-Forwarded-Host", "other.example", 421),
    ] {
        assert_eq!(ask(asked_at, &asking(&key).header(name, value)).status, status, "{name}: {value}");
    }
    let twice = asking(&key).header("X-Forwarded-Uri", "/a").header("X-Original-URI", "/b");
    assert_eq!(ask(asked_at, &twice).status, 400);
    let renewed = gateway.renew(&key).done();
    assert_eq!(ask(asked_at, &asking(&key)).header("relevo-token"), Some("old"));
    assert_eq!(ask(asked_at, &asking(&renewed)).header("x-relevo-token"), Some("new"));
    assert!(backend.requests().is_empty(), "nothing is forwarded");
}

#[test]
fn a_connection_says_that_it_ends_where_nobody_reads_the_body_of_what_was_asked() {
    let backend = Backend::answering("hello");
    let gateway = gateway(&backend);
    let key = gateway.create_key("ci").done();
    let asking = request("POST", "/orders").token(&key.token).header("Content-Length", "100000");
    let passes = ask(gateway.addresses()[1], &asking);
    assert_eq!((passes.status, passes.header("connection")), (200, Some("close")));
}

/// The one block of the page in this language that holds `needle`.
fn block(language: &str, needle: &str) -> &'static str {
    let mut blocks = PAGE.split("```").filter_map(|block| block.split_once('\n'));
    blocks.find(|(named, text)| *named == language && text.contains(needle)).expect("a block").1
}

/// A server in a process of its own, which ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts `program` with these words, and waits until `port` is listened on.
fn start(program: &str, words: &[&str], folder: &Path, port: u16) -> Server {
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/bin"].map(|place| Path::new(place).join(program));
    let found = places.into_iter().find(|path| path.exists()).unwrap_or_else(|| from_pypi(program));
    let log = fs::File::create(folder.join("server.log")).expect("a file");
    let mut command = Command::new(found);
    command.args(words).current_dir(folder).env("HOME", folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let server = Server(command.spawn().expect("started"));
    wait_until(&format!("{program} listens"), || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
    server
}

fn free_port() -> u16 {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    free.local_addr().expect("an address").port()
}

/// What is asked of the proxy at `port`, whoever it is, and what comes of it.
fn check(port: u16, gateway: &TestGateway, backend: &Backend) {
    let proxy = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let key = gateway.create_key("ci").roles(&["reader"]).done();
    let limited = gateway.create_key("limited").with("limits", json!({"rate": {"requests": 1, "per": "24h"}})).done();
    let asking =
        |method, target, key: &Holder| request(method, target).token(&key.token).header("X-Relevo-Key-Name", "root");
    let passes = ask(proxy, &asking("GET", "/orders?x=1", &key));
    assert_eq!((passes.status, passes.text()), (200, "hello".to_owned()));
    let got = backend.wait_for(1).remove(0);
    assert_eq!((&*got.target, got.all("x-relevo-key-name")), ("/orders?x=1", vec!["ci"]));
    assert_eq!((got.all("x-relevo-token"), got.all("authorization").concat()), (vec!["current"], String::new()));
    assert_eq!(ask(proxy, &request("GET", "/").token("nobody's-token-at-all")).status, 401);
    assert_eq!(ask(proxy, &request("GET", "/")).status, 401);
    assert_eq!(ask(proxy, &asking("POST", "/write/7", &key).body("x")).status, 403);
    assert_eq!(ask(proxy, &asking("GET", "/", &limited)).status, 200);
    let refused = ask(proxy, &asking("GET", "/", &limited));
    assert_eq!((refused.status, refused.header("retry-after").is_some()), (429, true));
    assert_eq!(backend.requests().len(), 2);
}

#[test]
fn nginx_asks_as_the_page_says() {
    let backend = Backend::answering("hello");
    let gateway = gateway(&backend);
    let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
    let place = folder.path().display();
    let server = block("nginx", "auth_request")
        .replace("listen 8080", &format!("listen 127.0.0.1:{port}"))
        .replace("127.0.0.1:8083", &gateway.addresses()[1].to_string())
        .replace("127.0.0.1:9000", &backend.address().to_string());
    let text = format!(
        "daemon off; master_process off; pid {place}/nginx.pid; error_log {place}/nginx.log;\nevents {{}}\n\
         http {{ access_log off; client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;\n\
         fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;\n{server} }}\n"
    );
    let file = folder.path().join("nginx.conf");
    fs::write(&file, text).expect("written");
    let _nginx = start("nginx", &["-p", ".", "-c", &file.display().to_string()], folder.path(), port);
    check(port, &gateway, &backend);
}

#[test]
fn caddy_asks_as_the_page_says() {
    let backend = Backend::answering("hello");
    let gateway = gateway(&backend);
    let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
    let text = block("caddyfile", "forward_auth")
        .replace(":8080 {", &format!("http://:{port} {{\n\tbind 127.0.0.1"))
        .replace("127.0.0.1:8083", &gateway.addresses()[1].to_string())
        .replace("127.0.0.1:9000", &backend.address().to_string());
    fs::write(folder.path().join("Caddyfile"), text).expect("written");
    let words = ["run", "--config", "Caddyfile", "--adapter", "caddyfile"];
    let _caddy = start("caddy", &words, folder.path(), port);
    check(port, &gateway, &backend);
}

#[test]
fn envoy_asks_as_the_page_says() {
    let backend = Backend::answering("hello");
    let gateway = gateway(&backend);
    let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
    let at = |port: u16| format!("port_value: {port} ");
    let text = block("yaml", "ext_authz")
        .replace("0.0.0.0", "127.0.0.1")
        .replace(&at(8080), &at(port))
        .replace(&at(8083), &at(gateway.addresses()[1].port()))
        .replace(&at(9000), &at(backend.address().port()));
    fs::write(folder.path().join("envoy.yaml"), text).expect("written");
    let words = ["-c", "envoy.yaml", "--use-dynamic-base-id", "--concurrency", "1"];
    let _envoy = start("envoy", &words, folder.path(), port);
    check(port, &gateway, &backend);
}

#[test]
fn haproxy_introduces_its_clients_as_the_page_says() {
    let backend = Backend::answering("hello");
    let gateway = gateway(&backend);
    let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
    let text = block("haproxy", "send-proxy-v2")
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"))
        .replace("127.0.0.1:8084", &gateway.addresses()[2].to_string());
    fs::write(folder.path().join("haproxy.cfg"), text).expect("written");
    let _haproxy = start("haproxy", &["-db", "-f", "haproxy.cfg"], folder.path(), port);
    check(port, &gateway, &backend);
    assert_eq!(backend.requests()[0].all("x-forwarded-for"), ["127.0.0.1"]);
}
