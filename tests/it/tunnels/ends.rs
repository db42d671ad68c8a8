//! What ends a tunnel before its peers do: its token, silence, age, the end of the gateway.

use std::time::Duration;

use nix::sys::signal::Signal;
use relevo::domain::Span;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{SWITCHED, counted, once, upgrade};
use crate::support::client::RawClient;
use crate::support::gateway::{Holder, TestGateway, wait_until};
use crate::support::process::Process;
use crate::support::request::request;
use crate::support::sockets::{EchoBackend, Socket};

const ROUTES: &str = "
[[routes]]
path = \"/\"
upstream = \"backend\"
upgrade = [\"websocket\", \"lines/1\"]
roles = [\"reader\"]
";

/// Enough that every worker carries some.
const SOCKETS: usize = 4;

fn open(gateway: &TestGateway, target: &str, holder: &Holder) -> Vec<Socket> {
    let one = |_| {
        let mut socket = Socket::open(gateway.address(), target, &holder.token).expect("a socket");
        socket.echoes(&Message::text("hello"));
        socket
    };
    (0..SOCKETS).map(one).collect()
}

fn patch(gateway: &TestGateway, holder: &Holder, fields: &Value) {
    assert_eq!(gateway.admin("PATCH", &format!("/v1/keys/{}", holder.id), Some(fields)).status, 200);
}

fn reader(gateway: &TestGateway, name: &str) -> Holder {
    gateway.create_key(name).roles(&["reader"]).done()
}

#[test]
fn a_websocket_ends_with_its_token_whatever_takes_it_away_and_no_other_does() {
    let backend = EchoBackend::in_clear();
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access.log");
    let setup = TestGateway::in_front_of_address(backend.address()).routes(ROUTES).access_log(&log);
    let gateway = setup.start();
    let mut others = open(&gateway, "/others", &reader(&gateway, "steady"));
    let take_away = |target: &str, code: &str, holder: &Holder, act: &dyn Fn()| {
        let sockets = open(&gateway, target, holder);
        act();
        for socket in sockets {
            assert_eq!(socket.closed(), Some((1008, code.to_owned())), "{target}");
        }
        assert_eq!(backend.ends_of(target), vec![Some((1008, code.to_owned())); SOCKETS], "{target}");
    };

    let old = reader(&gateway, "delete-old");
    let new = gateway.renew(&old).done();
    others.extend(open(&gateway, "/others", &new));
    take_away("/delete-old", "token_superseded", &old, &|| assert_eq!(gateway.delete_old(&old).status, 200));
    let old = reader(&gateway, "undo");
    let new = gateway.renew(&old).done();
    take_away("/undo", "token_superseded", &new, &|| assert_eq!(gateway.undo(&old).status, 200));
    let short = gateway.create_key("expiry").roles(&["reader"]).with("duration", "1h".into()).done();
    take_away("/expiry", "token_expired", &short, &|| gateway.clock.advance(Span::hours(2)));
    let idle = reader(&gateway, "deactivation");
    let inactive = json!({"status": "inactive"});
    take_away("/deactivation", "credential_invalid", &idle, &|| patch(&gateway, &idle, &inactive));
    let gone = reader(&gateway, "delete");
    take_away("/delete", "credential_invalid", &gone, &|| {
        assert_eq!(gateway.admin("DELETE", &format!("/v1/keys/{}", gone.id), None).status, 204);
    });
    let demoted = reader(&gateway, "role");
    take_away("/role", "role_missing", &demoted, &|| patch(&gateway, &demoted, &json!({"roles": ["writer"]})));

    for (code, times) in [("token_superseded", 2), ("token_expired", 1), ("credential_invalid", 2), ("role_missing", 1)]
    {
        let count = times * SOCKETS;
        counted(&gateway, &format!("relevo_streams_ended_total{{route=\"/\",refusal=\"{code}\"}} {count}"));
    }
    counted(&gateway, &format!("relevo_tunnels_ended_total{{route=\"/\",reason=\"refused\"}} {}", 6 * SOCKETS));
    counted(&gateway, &format!("relevo_tunnels {}", 2 * SOCKETS));
    for mut socket in others {
        socket.echoes(&Message::text("still here"));
        socket.close();
    }
    let records = || std::fs::read_to_string(&log).unwrap_or_default();
    wait_until("all are written down", || records().lines().count() == 8 * SOCKETS);
    let records = records();
    let ended: Vec<Value> = records.lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
    for record in &ended {
        assert_eq!((&record["status"], &record["method"]), (&json!(101), &json!("GET")), "{record}");
        assert!(record["bytes_in"].as_u64() >= Some(11) && record["bytes_out"].as_u64() >= Some(7), "{record}");
    }
    let of = |path: &str| {
        ended.iter().filter(|record| record["path"] == path).map(|record| &record["refusal"]).collect::<Vec<_>>()
    };
    assert_eq!(of("/role"), vec!["role_missing"; SOCKETS]);
    assert_eq!(of("/others"), vec![&Value::Null; 2 * SOCKETS]);
}

#[test]
fn a_frame_that_has_begun_is_finished_before_the_close_frame_or_there_is_none() {
    for (rest, ends) in [(&b"lo"[..], true), (b"", false)] {
        let (address, serving) = once(move |mut stream, head| {
            use std::io::{Read as _, Write as _};
            assert!(head.contains("upgrade: websocket\r\n"), "{head}");
            let switched = String::from_utf8_lossy(SWITCHED).replace("lines/1", "websocket");
            stream.write_all(&[switched.as_bytes(), b"\x81\x05hel"].concat()).expect("sent");
            let mut first = [0; 8];
            stream.read_exact(&mut first).expect("the beginning of a frame");
            let mut end = Vec::new();
            // The gateway takes nothing more from the client, and so cannot finish his frame.
            let read = stream.read(&mut [0; 1]);
            assert_eq!(read.expect("an end"), 0);
            if !rest.is_empty() {
                stream.write_all(rest).expect("sent");
            }
            stream.read_to_end(&mut end).ok();
            assert_eq!(end, b"");
        });
        let gateway = TestGateway::in_front_of_address(address).routes(ROUTES).start();
        let holder = reader(&gateway, "ci");
        let mut client = gateway.connect();
        client.send(&upgrade("/", "websocket", &holder).bytes());
        assert_eq!(client.read_response().status, 101);
        client.send(b"\x81\x85\0\0\0\0he"); // the other three never come
        client.read_until(b"\x81\x05hel");
        assert_eq!(gateway.admin("DELETE", &format!("/v1/keys/{}", holder.id), None).status, 204);
        if ends {
            client.read_until(b"\x81\x05hello\x88\x14\x03\xf0credential_invalid");
            client.finish();
        } else {
            client.finish();
            assert_eq!(client.read_to_end(), b"\x81\x05hel");
        }
        serving.join().expect("as it should be");
    }
}

#[test]
fn another_protocol_ends_plainly() {
    let (address, serving) = once(|mut stream, _| {
        use std::io::{Read as _, Write as _};
        stream.write_all(&[SWITCHED, b"hello"].concat()).expect("sent");
        let mut end = Vec::new();
        stream.read_to_end(&mut end).expect("an end");
        assert_eq!(end, b"hello");
    });
    let gateway = TestGateway::in_front_of_address(address).routes(ROUTES).start();
    let holder = reader(&gateway, "ci");
    let mut client = gateway.connect();
    client.send(&[&upgrade("/", "lines/1", &holder).bytes()[..], b"hello"].concat());
    assert_eq!(client.read_response().status, 101);
    client.read_until(b"hello");
    patch(&gateway, &holder, &json!({"status": "inactive"}));
    assert_eq!(client.read_to_end(), b"hello");
    serving.join().expect("as it should be");
}

#[test]
fn silence_and_age_end_a_tunnel_and_one_direction_speaks_for_both() {
    let backend = EchoBackend::in_clear();
    let idle = TestGateway::in_front_of_address(backend.address())
        .routes(ROUTES)
        .settings("[limits]\nstream_idle = \"1s\"\n")
        .start();
    let holder = reader(&idle, "ci");
    let mut socket = Socket::open(idle.address(), "/", &holder.token).expect("a socket");
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        socket.echoes(&Message::text("hello")); // never silent for long
        std::thread::park_timeout(Duration::from_millis(100));
    }
    assert_eq!(socket.closed(), Some((1001, "idle".to_owned())));
    counted(&idle, "relevo_tunnels_ended_total{route=\"/\",reason=\"idle\"} 1");

    let old = TestGateway::in_front_of_address(backend.address())
        .routes(ROUTES)
        .settings("[limits]\nconnection_life = \"1s\"\n")
        .start();
    let holder = reader(&old, "ci");
    let socket = Socket::open(old.address(), "/", &holder.token).expect("a socket");
    assert_eq!(socket.closed(), Some((1001, "life".to_owned())));
    counted(&old, "relevo_tunnels_ended_total{route=\"/\",reason=\"life\"} 1");
}

fn configuration(backend: std::net::SocketAddr, drain: &str, more: &str) -> String {
    format!(
        "[gateway]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [store]\npath = \"relevo.redb\"\n[drain]\ndelay = \"0s\"\ntimeout = \"{drain}\"\n[log]\naccess = false\n\
         [[upstreams]]\nname = \"backend\"\nendpoints = [\"http://{backend}\"]\n\
         [[routes]]\npath = \"/\"\nauth = \"none\"\nupstream = \"backend\"\nupgrade = [\"websocket\", \"lines/1\"]\n{more}"
    )
}

#[test]
fn a_drain_tells_websockets_to_go_and_a_reload_leaves_them_alone() {
    let backend = EchoBackend::in_clear();
    let folder = tempfile::tempdir().expect("a folder");
    let process = Process::serve(folder.path(), &configuration(backend.address(), "20s", ""));
    let open = |place| match place % 2 {
        0 => Socket::open(process.gateway, "/", "none").expect("a socket"),
        _ => Socket::open_over_http2(process.gateway, "/", "none").expect("a socket"),
    };
    let mut sockets: Vec<_> = (0..8).map(open).collect();
    let next = configuration(
        backend.address(),
        "20s",
        "[[routes]]\npath = \"/new\"\nauth = \"none\"\nmethods = [\"POST\"]\nupstream = \"backend\"\n",
    );
    std::fs::write(folder.path().join("relevo.toml"), next).expect("written");
    process.signal(Signal::SIGHUP);
    let status = |target: &str| {
        let mut client = RawClient::connect(process.gateway);
        client.send(&request("GET", target).bytes());
        client.read_response().status
    };
    wait_until("the new route is there", || status("/new") == 405);
    for socket in &mut sockets {
        socket.echoes(&Message::text("hello"));
    }
    process.signal(Signal::SIGTERM);
    for socket in sockets {
        assert_eq!(socket.closed(), Some((1001, "drain".to_owned())));
    }
    assert_eq!(process.terminate(Duration::from_secs(10)).code(), Some(0), "long before drain.timeout");
    assert_eq!(backend.ends_of("/"), vec![Some((1001, "drain".to_owned())); 8]);
}

#[test]
fn a_drain_leaves_other_tunnels_until_its_end() {
    let (address, serving) = once(|mut stream, _| {
        use std::io::{Read as _, Write as _};
        stream.write_all(SWITCHED).expect("sent");
        let mut read = [0; 5];
        stream.read_exact(&mut read).expect("what is sent during the drain");
        stream.write_all(&read).expect("sent");
        assert_eq!(stream.read(&mut read).unwrap_or(0), 0);
    });
    let folder = tempfile::tempdir().expect("a folder");
    let process = Process::serve(folder.path(), &configuration(address, "2s", ""));
    let mut client = RawClient::connect(process.gateway);
    client.send(&request("GET", "/").header("Connection", "upgrade").header("Upgrade", "lines/1").bytes());
    assert_eq!(client.read_response().status, 101);
    let mut idle = RawClient::connect(process.gateway);
    idle.send(&request("TRACE", "/").bytes());
    assert_eq!(idle.read_response().status, 405);
    process.signal(Signal::SIGTERM);
    assert!(idle.is_closed(), "the drain has begun");
    client.send(b"hello");
    client.read_until(b"hello");
    assert_eq!(process.terminate(Duration::from_secs(10)).code(), Some(0));
    serving.join().expect("as it should be");
}
