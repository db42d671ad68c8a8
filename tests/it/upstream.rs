//! Backends that speak TLS, HTTP/2, or through the file system.

use http::Version;

use crate::support::gateway::{TestGateway, wait_until};
use crate::support::modern::Modern;
use crate::support::modern_backend::ModernBackend;
use crate::support::pairs::Pair;
use crate::support::request::request;

fn upstream(endpoint: &str, more: &str) -> String {
    format!("[[upstreams]]\nname = \"backend\"\nendpoints = [\"{endpoint}\"]\n{more}\n")
}

#[test]
fn https_speaks_what_is_agreed_upon_and_believes_only_the_named_roots() {
    let folder = tempfile::tempdir().expect("a folder");
    let (pair, other) = (Pair::of(&["localhost"]), Pair::of(&["localhost"]));
    let [ca, _] = pair.write(folder.path(), "ca");
    let [wrong, _] = other.write(folder.path(), "wrong");
    for (protocols, version) in [(&["h2", "http/1.1"][..], Version::HTTP_2), (&[], Version::HTTP_11)] {
        let backend = ModernBackend::over_tls(&pair, protocols, None);
        let endpoint = format!("https://localhost:{}", backend.address().port());
        let tls = format!("tls = {{ ca = '{}' }}", ca.display());
        let gateway = TestGateway::with_upstreams(&upstream(&endpoint, &tls)).start();
        let holder = gateway.create_key("ci").done();
        for _ in 0..3 {
            let answer = gateway.ask(&request("POST", "/a?b").token(&holder.token).body("hello"));
            assert_eq!((answer.status, answer.text()), (200, "hello".to_owned()));
        }
        let asked = backend.asked();
        assert!(asked.iter().all(|asked| asked.version == version), "{asked:?}");
        assert_eq!(asked[0].body, "hello");
        let (target, host) = (endpoint.clone() + "/a?b", endpoint.trim_start_matches("https://").to_owned());
        let expected = if version == Version::HTTP_2 { (target, None) } else { ("/a?b".to_owned(), Some(host)) };
        assert_eq!((asked[0].target.clone(), asked[0].host.clone()), expected);
        assert!(asked[0].headers.get("transfer-encoding").is_none() && asked[0].headers["content-length"] == "5");

        let tls = format!("tls = {{ ca = '{}' }}", wrong.display());
        for tls in [&*tls, ""] {
            let distrusting = TestGateway::with_upstreams(&upstream(&endpoint, tls)).start();
            let holder = distrusting.create_key("ci").done();
            assert_eq!(distrusting.status_with(&holder), 503, "{tls:?}");
        }
        assert_eq!(backend.asked().len(), 3);
    }
}

#[test]
fn the_certificate_must_be_for_the_host_that_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let pair = Pair::of(&["other.example"]);
    let [ca, _] = pair.write(folder.path(), "ca");
    let backend = ModernBackend::over_tls(&pair, &["h2"], None);
    let tls = format!("tls = {{ ca = '{}' }}", ca.display());
    let endpoint = format!("https://localhost:{}", backend.address().port());
    let gateway = TestGateway::with_upstreams(&upstream(&endpoint, &tls)).start();
    assert_eq!(gateway.status_with(&gateway.create_key("ci").done()), 503);
    assert!(backend.asked().is_empty());
}

#[test]
fn a_client_certificate_is_shown_to_a_backend_that_asks() {
    let folder = tempfile::tempdir().expect("a folder");
    let (pair, client) = (Pair::of(&["localhost"]), Pair::of(&["gateway"]));
    let [ca, _] = pair.write(folder.path(), "ca");
    let [certificate, key] = client.write(folder.path(), "client");
    let backend = ModernBackend::over_tls(&pair, &["h2"], Some(&client));
    let endpoint = format!("https://localhost:{}", backend.address().port());
    let with = format!(
        "tls = {{ ca = '{}', certificate = '{}', key = '{}' }}",
        ca.display(),
        certificate.display(),
        key.display()
    );
    let without = format!("tls = {{ ca = '{}' }}", ca.display());
    for (tls, expected) in [(with, &[200][..]), (without, &[502, 503])] {
        let gateway = TestGateway::with_upstreams(&upstream(&endpoint, &tls)).start();
        let status = gateway.status_with(&gateway.create_key("ci").done());
        assert!(expected.contains(&status), "{status} with {tls}");
    }
    assert_eq!(backend.asked().len(), 1);
}

#[test]
fn exchanges_share_a_connection_of_http2_and_bodies_pass_both_ways() {
    let backend = ModernBackend::in_clear();
    let endpoint = format!("h2c://{}", backend.address());
    let gateway = TestGateway::with_upstreams(&upstream(&endpoint, "")).start();
    let holder = gateway.create_key("ci").done();
    let long = "0123456789".repeat(30_000);
    let mut client = Modern::in_clear(gateway.address()).expect("connected");
    let asked = client.request("/").method("PUT").header("authorization", format!("Bearer {}", holder.token));
    assert_eq!(client.ask(asked, &long).expect("an answer").body, long);
    let clients: Vec<_> = (0..40)
        .map(|number: usize| {
            let mut client = gateway.connect();
            client.send(&request("POST", "/").token(&holder.token).body(number.to_string()).bytes());
            client
        })
        .collect();
    for (number, mut client) in clients.into_iter().enumerate() {
        assert_eq!(client.read_response().text(), number.to_string());
    }
    let chunked = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n";
    let head = [&chunked[..], format!("Authorization: Bearer {}\r\n\r\n", holder.token).as_bytes()].concat();
    let mut client = gateway.connect();
    client.send(&[&head, &b"3\r\nabc\r\n0\r\n\r\n"[..]].concat());
    assert_eq!(client.read_response().text(), "abc");
    let asked = backend.asked();
    assert_eq!(asked.len(), 42);
    assert!(asked.iter().all(|asked| asked.version == Version::HTTP_2 && asked.host.is_none()));
    assert!(asked.iter().all(|asked| asked.headers.get("transfer-encoding").is_none()));
    assert!(asked.iter().all(|asked| asked.target == format!("http://{}/", backend.address())));
    assert!(backend.connections() <= 2, "{} connections for two workers", backend.connections());
}

#[test]
fn a_stream_that_was_refused_is_sent_again_whatever_its_method() {
    for method in ["GET", "POST"] {
        let backend = ModernBackend::refusing_first();
        let endpoint = format!("h2c://{}", backend.address());
        let gateway = TestGateway::with_upstreams(&upstream(&endpoint, "")).start();
        let holder = gateway.create_key("ci").done();
        assert_eq!(gateway.ask(&request(method, "/").token(&holder.token)).status, 200, "{method}");
        assert_eq!(backend.connections(), 1);
    }
}

#[test]
fn a_backend_may_listen_in_the_file_system() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("backend.sock");
    let backend = ModernBackend::at_path(&path);
    wait_until("the backend listens", || path.exists());
    let gateway = TestGateway::with_upstreams(&upstream(&format!("unix:{}", path.display()), "")).start();
    let holder = gateway.create_key("ci").done();
    for _ in 0..2 {
        assert_eq!(gateway.ask(&request("POST", "/x").token(&holder.token).body("hello")).text(), "hello");
    }
    let asked = backend.asked();
    assert_eq!((&*asked[0].target, asked[0].host.as_deref()), ("/x", Some("localhost")));
}
