//! TLS at the door: names, protocols, certificates that change, and clients that do not finish.

mod admin;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use relevo::clock::Clock;
use rustls::{NamedGroup, ProtocolVersion};

use crate::support::DEADLINE;
use crate::support::backend::Backend;
use crate::support::gateway::{TestGateway, wait_until};
use crate::support::modern::Modern;
use crate::support::pairs::{Pair, trusting};
use crate::support::relay::Door;

/// A listener with TLS that shows these certificates: of a file each, for a name each, the first by default.
fn listener(folder: &Path, names: &[(&str, &str)]) -> String {
    let served = |(file, host): &(&str, &str)| {
        let path = |end: &str| folder.join(format!("{file}.{end}")).display().to_string();
        format!("{{ certificate = '{}', key = '{}', hosts = ['{host}'] }}", path("pem"), path("key"))
    };
    let tls: Vec<_> = names.iter().map(served).collect();
    format!("[[gateway.listeners]]\naddress = \"127.0.0.1:0\"\ntls = [{}]\n", tls.join(", "))
}

#[test]
fn http2_and_http1_are_chosen_by_alpn_and_both_renew_without_a_refusal() {
    let backend = Backend::answering("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let pair = Pair::of(&["localhost"]);
    pair.write(folder.path(), "a");
    let gateway = TestGateway::in_front_of(&backend).settings(&listener(folder.path(), &[("a", "localhost")])).start();
    let secure = gateway.addresses()[1];
    let offers =
        [(&["h2", "http/1.1"][..], Some("h2")), (&["http/1.1"], Some("http/1.1")), (&[], None), (&["h2"], Some("h2"))];
    for (place, (offered, agreed)) in offers.into_iter().enumerate() {
        let old = gateway.create_key(&format!("ci {place}")).done();
        let mut client = Modern::over_tls(secure, "localhost", &trusting(&[&pair], offered)).expect("a handshake");
        assert_eq!(client.agreed.as_ref().and_then(|agreed| agreed.protocol.as_deref()), agreed);
        assert_eq!(client.get("/", &old).expect("an answer").status, 200);
        let new = gateway.renew(&old).done();
        for holder in [&old, &new] {
            assert_eq!(client.get("/", holder).expect("an answer").status, 200);
        }
        gateway.delete_old(&old);
        assert_eq!(client.get("/", &old).expect("an answer").status, 401);
        assert_eq!(client.get("/", &new).expect("an answer").status, 200);
    }
    let recorded = backend.wait_for(12);
    assert!(recorded.iter().all(|request| request.all("x-forwarded-proto") == ["https"]));
    assert_eq!(backend.faults(), [""; 0]);
}

#[test]
fn the_certificate_is_chosen_by_name_and_the_key_exchange_is_post_quantum() {
    let backend = Backend::answering("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let pairs = [&["default.example", "other.example"][..], &["b.example"], &["x.wild.example", "a.x.wild.example"]];
    let pairs = pairs.map(Pair::of);
    for (pair, name) in pairs.iter().zip(["a", "b", "w"]) {
        pair.write(folder.path(), name);
    }
    let names = [("a", "default.example"), ("b", "b.example"), ("w", "*.wild.example")];
    let gateway = TestGateway::in_front_of(&backend).settings(&listener(folder.path(), &names)).start();
    let trust = trusting(&[&pairs[0], &pairs[1], &pairs[2]], &["h2"]);
    for (host, shown) in [("default.example", 0), ("B.example", 1), ("x.wild.example", 2), ("other.example", 0)] {
        let client = Modern::over_tls(gateway.addresses()[1], host, &trust).expect("a handshake");
        let agreed = client.agreed.expect("an agreement");
        assert_eq!(agreed.certificate, pairs[shown].der(), "{host}");
        assert_eq!(agreed.version, Some(ProtocolVersion::TLSv1_3));
        assert_eq!(agreed.group, Some(NamedGroup::X25519MLKEM768));
    }
    let deeper = Modern::over_tls(gateway.addresses()[1], "a.x.wild.example", &trust);
    assert!(deeper.is_err(), "a star is one label");
}

#[test]
fn certificates_change_while_requests_run_and_none_fails() {
    let backend = Backend::answering("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let first = Pair::of(&["localhost"]);
    first.write(folder.path(), "a");
    let gateway = TestGateway::in_front_of(&backend).settings(&listener(folder.path(), &[("a", "localhost")])).start();
    let (secure, holder) = (gateway.addresses()[1], gateway.create_key("ci").done());
    let mut kept = Modern::over_tls(secure, "localhost", &trusting(&[&first], &["h2"])).expect("a handshake");
    let mut before = first;
    for _ in 0..3 {
        let next = Pair::of(&["localhost"]);
        next.write(folder.path(), "a");
        let trust = trusting(&[&before, &next], &["h2", "http/1.1"]);
        let deadline = Instant::now() + DEADLINE;
        loop {
            assert!(Instant::now() < deadline, "the certificate is not taken up");
            let mut fresh = Modern::over_tls(secure, "localhost", &trust).expect("a handshake");
            assert_eq!(fresh.get("/", &holder).expect("an answer").status, 200);
            assert_eq!(kept.get("/", &holder).expect("an answer").status, 200);
            if fresh.agreed.expect("an agreement").certificate == next.der() {
                break;
            }
        }
        before = next;
    }
}

#[test]
fn a_key_that_is_not_the_certificates_own_leaves_the_old_pair_in_place_and_is_told() {
    let backend = Backend::answering("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let (good, next) = (Pair::of(&["localhost"]), Pair::of(&["localhost"]));
    good.write(folder.path(), "a");
    let gateway = TestGateway::in_front_of(&backend).settings(&listener(folder.path(), &[("a", "localhost")])).start();
    let trust = trusting(&[&good, &next], &["h2"]);
    let shown = || {
        let client = Modern::over_tls(gateway.addresses()[1], "localhost", &trust).expect("a handshake");
        client.agreed.expect("an agreement").certificate
    };
    let told = || gateway.admin("GET", "/v1/status", None).json.to_string();
    Pair { key: Pair::of(&["x"]).key, ..next.clone() }.write(folder.path(), "a");
    wait_until("the mismatch is told", || told().contains("is not the key of the certificate"));
    assert_eq!(shown(), good.der());
    std::fs::remove_file(folder.path().join("a.key")).expect("removed");
    wait_until("the absence is told", || told().contains("cannot be read"));
    assert_eq!(shown(), good.der());
    next.write(folder.path(), "a");
    wait_until("all is well again", || !told().contains("a.key"));
    assert_eq!(shown(), next.der());
}

/// How long it takes until the other end closes.
fn closes_after(stream: &mut TcpStream) -> Duration {
    let begun = Instant::now();
    stream.set_read_timeout(Some(DEADLINE)).expect("set");
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).expect("closed in time") > 0 {}
    begun.elapsed()
}

// Case 18.
#[test]
fn half_a_handshake_and_half_a_preface_end_at_their_deadline_beside_a_good_client() {
    let backend = Backend::answering("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let pair = Pair::of(&["localhost"]);
    pair.write(folder.path(), "a");
    let settings = format!(
        "{}[limits]\nhandshake_timeout = \"1s\"\nfirst_byte = \"1s\"\nhead_timeout = \"1s\"\n",
        listener(folder.path(), &[("a", "localhost")])
    );
    let gateway = TestGateway::in_front_of(&backend).settings(&settings).clock(Clock::system()).start();
    let &[clear, secure] = gateway.addresses() else { panic!("two addresses") };
    let holder = gateway.create_key("ci").done();
    let [_, over_tls] = Door::both(clear, secure, &pair, "h2");
    let shaken = over_tls.address;
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let halves: Vec<_> = [
        (secure, &b""[..]),
        (secure, &hello[..3]),
        (secure, hello),
        (clear, b""),
        (clear, b"P"),
        (clear, b"PRI * HTTP/2.0\r\n\r\nSM"),
        (clear, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (clear, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
        (shaken, b"P"),
        (shaken, b"PRI * HTTP/2.0\r\n\r\nSM"),
        (shaken, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (shaken, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
    ]
    .into_iter()
    .map(|(address, bytes)| {
        let mut stream = TcpStream::connect(address).expect("connected");
        stream.write_all(bytes).expect("sent");
        (stream, bytes)
    })
    .collect();
    let trust = trusting(&[&pair], &["h2"]);
    let mut good = Modern::over_tls(secure, "localhost", &trust).expect("a handshake");
    let ending = std::thread::spawn(move || {
        let mut ended = Vec::new();
        for (mut stream, bytes) in halves {
            ended.push((closes_after(&mut stream), bytes));
        }
        ended
    });
    let mut asked = 0;
    while !ending.is_finished() {
        assert_eq!(good.get("/", &holder).expect("an answer").status, 200);
        asked += 1;
    }
    let ended = ending.join().expect("all closed");
    assert!(asked > 10, "the good client was served {asked} times");
    assert!(ended[0].0 > Duration::from_millis(500), "closed too early: {ended:?}");
    assert!(ended.iter().all(|(after, _)| *after < Duration::from_secs(4)), "closed too late: {ended:?}");
}
