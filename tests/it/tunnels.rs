//! Upgraded connections: who gets one, what passes through it, and what ends it.

mod ends;
mod http2;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::support::DEADLINE;
use crate::support::backend::{Backend, Reply};
use crate::support::gateway::{Holder, TestGateway, wait_until};
use crate::support::pairs::Pair;
use crate::support::request::{Request, request};
use crate::support::sockets::{EchoBackend, Socket};

const ROUTES: &str = "
[[routes]]
path = \"/\"
upstream = \"backend\"
upgrade = [\"websocket\", \"lines/1\"]
[[routes]]
path = \"/plain\"
upstream = \"backend\"
[[routes]]
path = \"/reader\"
upstream = \"backend\"
upgrade = [\"websocket\"]
roles = [\"reader\"]
";

/// A request that asks for `protocol`.
fn upgrade(target: &str, protocol: &str, holder: &Holder) -> Request {
    request("GET", target).token(&holder.token).header("Connection", "Upgrade").header("Upgrade", protocol)
}

/// A backend for one connection: it reads a head, and `serve` has the rest.
fn once(serve: impl FnOnce(TcpStream, String) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("an address");
    let serving = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(DEADLINE)).expect("set");
        stream.set_write_timeout(Some(DEADLINE)).expect("set");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a head");
            head.extend(byte);
        }
        serve(stream, String::from_utf8(head).expect("text"));
    });
    (address, serving)
}

const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: lines/1\r\n\r\n";

fn counted(gateway: &TestGateway, line: &str) {
    wait_until(line, || gateway.metrics().contains(&format!("{line}\n")));
}

#[test]
fn a_websocket_passes_through_every_door_to_every_kind_of_backend() {
    let (pair, folder) = (Pair::of(&["localhost"]), tempfile::tempdir().expect("a folder"));
    let [certificate, key] = pair.write(folder.path(), "a");
    let tls = format!(
        "[[gateway.listeners]]\naddress = \"127.0.0.1:0\"\ntls = [{{ certificate = '{}', key = '{}' }}]\n",
        certificate.display(),
        key.display()
    );
    let clear = EchoBackend::in_clear();
    let secure = EchoBackend::over_tls(&pair);
    for (backend, endpoint, trust) in [
        (&clear, format!("http://localhost:{}", clear.address().port()), String::new()),
        (
            &secure,
            format!("https://localhost:{}", secure.address().port()),
            format!("tls = {{ ca = '{}' }}", certificate.display()),
        ),
    ] {
        let upstream = format!("[[upstreams]]\nname = \"backend\"\nendpoints = [\"{endpoint}\"]\n{trust}");
        let gateway = TestGateway::with_upstreams(&upstream).routes(ROUTES).settings(&tls).start();
        let holder = gateway.create_key("ci").done();
        let target = "/chat?room=1";
        let doors: [&dyn Fn() -> Result<Socket, u16>; 2] =
            [&|| Socket::open(gateway.addresses()[0], target, &holder.token), &|| {
                Socket::open_over_tls(gateway.addresses()[1], &pair, target, &holder.token)
            }];
        for open in doors {
            let mut socket = open().expect("a socket");
            assert_eq!(socket.answer["sec-websocket-protocol"], "echo");
            assert_eq!(
                (&socket.answer["connection"], &socket.answer["upgrade"]),
                (&"upgrade".parse().expect("a value"), &"websocket".parse().expect("a value"))
            );
            assert!(socket.answer.contains_key("x-request-id"));
            for length in [0, 5, 126, 70_000, 1_000_000] {
                socket.echoes(&Message::text("a".repeat(length)));
                socket.echoes(&Message::binary(vec![7; length]));
            }
            counted(&gateway, "relevo_tunnels 1");
            socket.close();
            counted(&gateway, "relevo_tunnels 0");
        }
        counted(&gateway, "relevo_tunnels_ended_total{route=\"/\",reason=\"closed\"} 2");
        counted(&gateway, "relevo_requests_total{route=\"/\",method=\"GET\",code=\"101\"} 2");
        for seen in backend.seen() {
            let all = |name: &str| {
                seen.headers.get_all(name).iter().map(|value| value.to_str().expect("text")).collect::<Vec<_>>()
            };
            assert_eq!(seen.target, target);
            assert_eq!((all("connection"), all("upgrade")), (vec!["upgrade"], vec!["websocket"]));
            assert_eq!(all("sec-websocket-key"), ["dGhlIHNhbXBsZSBub25jZQ=="]);
            assert_eq!(
                (all("via"), all("x-relevo-key-name"), all("authorization")),
                (vec!["1.1 relevo"], vec!["ci"], vec![])
            );
            assert_eq!(all("x-forwarded-for"), ["127.0.0.1"]);
            let said = format!("{:?}", seen.headers);
            assert!(!said.contains(&holder.token), "{said}");
        }
        assert_eq!(backend.ends_of(target), [None, None]);
    }
}

#[test]
fn what_may_not_change_its_connection_is_an_ordinary_request() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).start();
    let holder = gateway.create_key("ci").done();
    let asking = |method: &str| request(method, "/").token(&holder.token);
    let listed = |method: &str| asking(method).header("Connection", "upgrade").header("Upgrade", "websocket");
    let all = [
        upgrade("/", "h2c", &holder),
        upgrade("/", "lines", &holder),
        upgrade("/plain", "websocket", &holder),
        asking("GET").header("Upgrade", "websocket"),
        asking("GET").header("Connection", "keep-alive").header("Upgrade", "websocket"),
        listed("POST"),
        listed("GET").body("hello"),
        listed("GET").header("Transfer-Encoding", "chunked"),
    ];
    for (place, request) in all.iter().enumerate() {
        let mut client = gateway.connect();
        client.send(&request.bytes());
        if place + 1 == all.len() {
            client.send(b"0\r\n\r\n");
        }
        assert_eq!(client.read_response().status, 200, "{place}");
        let recorded = backend.wait_for(2 * place + 1);
        let last = recorded.last().expect("a request");
        assert_eq!((last.all("upgrade").len(), last.all("connection").len()), (0, 0), "{place}");
        client.send(&asking("GET").bytes());
        assert_eq!(client.read_response().text(), "hello", "{place}");
    }
    assert_eq!(backend.faults(), [""; 0]);
}

#[test]
fn of_several_protocols_the_first_that_the_route_allows_is_asked_for() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).start();
    let holder = gateway.create_key("ci").done();
    assert_eq!(gateway.ask(&upgrade("/", "h2c, Lines/1, websocket", &holder)).status, 200);
    let asked = &backend.wait_for(1)[0];
    assert_eq!((asked.all("upgrade"), asked.all("connection")), (vec!["lines/1"], vec!["upgrade"]));
    assert_eq!(backend.faults(), [""; 0]);
}

#[test]
fn a_backend_that_does_not_switch_gives_an_ordinary_reply_and_one_that_switches_otherwise_none() {
    let switching = |lines: &str| Reply::raw(format!("HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n"));
    let backend = Backend::replying(move |request| match &*request.target {
        "/no" => Reply::raw(
            "HTTP/1.1 426 Upgrade Required\r\nUpgrade: x\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nno",
        ),
        "/other" => switching("Connection: upgrade\r\nUpgrade: lines/2\r\n"),
        "/two" => switching("Connection: upgrade\r\nUpgrade: lines/1, websocket\r\n"),
        "/silent" => switching("Connection: upgrade\r\n"),
        "/unlisted" => switching("Upgrade: lines/1\r\n"),
        "/unasked" => switching("Connection: upgrade\r\nUpgrade: lines/1\r\n"),
        _ => Reply::ok("hello"),
    });
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).start();
    let holder = gateway.create_key("ci").done();
    let mut client = gateway.connect();
    client.send(&upgrade("/no", "lines/1", &holder).bytes());
    let reply = client.read_response();
    assert_eq!((reply.status, reply.text(), reply.header("upgrade")), (426, "no".to_owned(), None));
    for target in ["/other", "/two", "/silent", "/unlisted"] {
        client.send(&upgrade(target, "lines/1", &holder).bytes());
        assert_eq!(client.read_response().status, 502, "{target}");
    }
    client.send(&request("GET", "/unasked").token(&holder.token).bytes());
    assert_eq!(client.read_response().status, 502);
    client.send(&upgrade("/", "lines/1", &holder).bytes());
    assert_eq!(client.read_response().text(), "hello");
    assert!(gateway.metrics().contains("relevo_tunnels 0\n"));
}

#[test]
fn no_byte_behind_either_head_is_lost() {
    // What a reader of HTTP would take for nonsense, for half a head, for a request, and for one with a broken body.
    let whole = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    let broken = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n0\r\n\r\nmore".to_vec();
    let binary: Vec<u8> = (0..=255).cycle().take(20_000).collect();
    for early in [binary, b"half a line".to_vec(), [&whole[..], b"\0\r\n\r\nrest"].concat(), whole.repeat(3), broken] {
        for split in [false, true] {
            let expected = early.clone();
            let (address, serving) = once(move |mut stream, _| {
                stream.write_all(&[SWITCHED, b"early"].concat()).expect("sent");
                let mut read = vec![0; expected.len()];
                stream.read_exact(&mut read).expect("all of it");
                assert!(read == expected, "another text came");
                stream.write_all(b" and late").expect("sent");
                let mut end = Vec::new();
                stream.read_to_end(&mut end).expect("an end");
                assert_eq!(end, b"bye");
            });
            let gateway = TestGateway::in_front_of_address(address).routes(ROUTES).workers(1).start();
            let holder = gateway.create_key("ci").done();
            let mut client = gateway.connect();
            let head = upgrade("/", "lines/1", &holder).bytes();
            if split {
                client.send_split(&[&head[..], &early[..]].concat(), &[head.len() + 1, 3, 5_000]);
            } else {
                client.send(&[head, early.clone()].concat());
            }
            let reply = client.read_response();
            assert_eq!((reply.status, reply.header("upgrade")), (101, Some("lines/1")));
            client.read_until(b"early and late");
            client.send(b"bye");
            client.finish();
            serving.join().expect("as it should be");
            counted(&gateway, "relevo_tunnels_ended_total{route=\"/\",reason=\"closed\"} 1");
        }
    }
}

#[test]
fn a_connection_on_which_other_requests_came_before_can_become_a_tunnel() {
    let (backend, plain) = (EchoBackend::in_clear(), Backend::answering("hello"));
    let upstream = format!("[[upstreams]]\nname = \"plain\"\nendpoints = [\"http://{}\"]", plain.address());
    let routes = format!("{ROUTES}[[routes]]\npath = \"/other\"\nupstream = \"plain\"\n");
    let setup = TestGateway::in_front_of_address(backend.address()).upstream(&upstream).routes(&routes);
    let gateway = setup.start();
    let holder = gateway.create_key("ci").done();
    // The first leaves the connection in the lane, the second in the engine.
    for (framing, body) in [(("Content-Length", "5"), "hello"), (("Transfer-Encoding", "chunked"), "0\r\n\r\n")] {
        let mut client = gateway.connect();
        let first = request("POST", "/other").token(&holder.token).header(framing.0, framing.1);
        client.send(&[&first.bytes()[..], body.as_bytes()].concat());
        assert_eq!(client.read_response().text(), "hello");
        let key = upgrade("/", "websocket", &holder).header("Sec-WebSocket-Version", "13");
        client.send(&key.header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==").bytes());
        let reply = client.read_response();
        assert_eq!((reply.status, reply.header("sec-websocket-accept")), (101, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
        client.send(b"\x81\x85\0\0\0\0hello");
        client.read_until(b"\x81\x05hello");
    }
}

#[test]
fn whoever_may_not_gets_no_tunnel_and_the_backend_hears_nothing() {
    let backend = EchoBackend::in_clear();
    let gateway = TestGateway::in_front_of_address(backend.address()).routes(ROUTES).start();
    let holder = gateway.create_key("ci").done();
    let opened = |target, token: &str| Socket::open(gateway.address(), target, token).map(drop);
    assert_eq!(opened("/", "rlv_nonsense"), Err(401));
    assert_eq!(opened("/reader", &holder.token), Err(403));
    assert_eq!(backend.seen().len(), 0);
    let limits = json!({"concurrent": 1});
    let limited = gateway.create_key("one").with("limits", limits).done();
    let first = Socket::open(gateway.address(), "/", &limited.token).expect("a socket");
    assert_eq!(opened("/", &limited.token), Err(429));
    first.close();
    counted(&gateway, "relevo_tunnels 0");
    assert_eq!(opened("/", &limited.token), Ok(()));
}

#[test]
fn a_reader_that_is_slow_slows_the_writer_and_gets_every_byte() {
    const MOST: usize = 64 * 1024 * 1024;
    let (held_back, is_held_back) = mpsc::channel();
    let byte = |place: usize| u8::try_from(place % 251).expect("small");
    let (address, serving) = once(move |mut stream, _| {
        stream.write_all(SWITCHED).expect("sent");
        stream.set_nonblocking(true).expect("set");
        let (mut sent, mut full_since) = (0, None::<Instant>);
        while full_since.is_none_or(|since| since.elapsed() < Duration::from_secs(1)) {
            let piece: Vec<_> = (sent..sent + 64 * 1024).map(byte).collect();
            match stream.write(&piece) {
                Ok(count) => (sent, full_since) = (sent + count, None),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    full_since.get_or_insert_with(Instant::now);
                }
            }
            assert!(sent < MOST, "nothing holds it back");
        }
        held_back.send(sent).expect("somebody waits");
    });
    let gateway = TestGateway::in_front_of_address(address).routes(ROUTES).start();
    let holder = gateway.create_key("ci").done();
    let mut client = TcpStream::connect(gateway.address()).expect("connected");
    client.set_read_timeout(Some(DEADLINE)).expect("set");
    client.write_all(&upgrade("/", "lines/1", &holder).bytes()).expect("sent");
    let sent = is_held_back.recv_timeout(2 * DEADLINE).expect("held back in time");
    let mut read = Vec::new();
    client.read_to_end(&mut read).expect("all of it");
    serving.join().expect("as it should be");
    let body = read.len() - sent;
    assert!(read[..body].ends_with(b"\r\n\r\n"));
    assert!(read[body..].iter().enumerate().all(|(place, found)| *found == byte(place)));
}
