//! Behind other proxies: whose address counts, and who is believed.

use serde_json::json;

use super::support::backend::Backend;
use super::support::client::RawClient;
use super::support::gateway::TestGateway;
use super::support::request::request;

const TRUSTING: &str = "gateway.trusted_proxies = [\"127.0.0.0/8\"]\n";

#[test]
fn the_address_that_a_trusted_proxy_tells_counts_for_the_key_and_in_the_log() {
    let backend = Backend::answering("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access.log");
    let gateway = TestGateway::in_front_of(&backend).gateway(TRUSTING).access_log(&log).start();
    let key = gateway.create_key("ci").with("allowed_addresses", json!(["203.0.113.0/24"])).done();
    for (told, odd, status) in [
        (Some("203.0.113.5"), None, 200),
        (Some("198.51.100.7, 203.0.113.6, 127.0.0.2"), None, 200),
        (Some("203.0.113.7, 198.51.100.7"), None, 401),
        (Some("203.0.113.8"), Some("x-foo"), 200), // by the engine
        (None, None, 401),
    ] {
        let mut asked = request("GET", "/").token(&key.token);
        asked = told.into_iter().fold(asked, |asked, told| asked.header("X-Forwarded-For", told));
        asked = odd.into_iter().fold(asked, |asked, odd| asked.header("Connection", odd));
        assert_eq!(gateway.ask(&asked).status, status, "{told:?}");
    }
    let told = backend.requests()[0].all("x-forwarded-for").join(" ");
    assert_eq!(told, "203.0.113.5, 127.0.0.1");
    drop(gateway);
    let records = std::fs::read_to_string(&log).expect("a log");
    for client in ["203.0.113.5", "203.0.113.6", "198.51.100.7", "203.0.113.8", "127.0.0.1"] {
        assert!(records.contains(&format!("\"client\":\"{client}\"")), "{client} in {records}");
    }
}

#[test]
fn nobody_else_is_believed() {
    let backend = Backend::answering("hello");
    let gateway = TestGateway::in_front_of(&backend).start();
    let key = gateway.create_key("ci").with("allowed_addresses", json!(["203.0.113.0/24"])).done();
    let asked = request("GET", "/").token(&key.token).header("X-Forwarded-For", "203.0.113.5");
    assert_eq!(gateway.ask(&asked).status, 401);
}

/// A listener that is spoken to in the PROXY protocol.
const PROXIED: &str = "[[gateway.listeners]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = true\n";

/// The status of a request behind `header`; `None`: the connection was closed without an answer.
fn behind(gateway: &TestGateway, header: &[u8], token: &str) -> Option<u16> {
    let mut client = RawClient::connect(gateway.addresses()[1]);
    client.send(&[header, &request("GET", "/").token(token).bytes()].concat());
    client.try_read_response().ok().map(|response| response.status)
}

/// A header of version 2 for a client at this address.
fn version_2(client: [u8; 4]) -> Vec<u8> {
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &client, &[10, 0, 0, 1, 18, 103, 1, 187]].concat()
}

#[test]
fn a_trusted_proxy_introduces_its_clients_before_they_speak() {
    let backend = Backend::answering("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access.log");
    let gateway = TestGateway::in_front_of(&backend).gateway(TRUSTING).settings(PROXIED).access_log(&log).start();
    let key = gateway.create_key("ci").with("allowed_addresses", json!(["203.0.113.0/24"])).done();
    assert_eq!(behind(&gateway, b"PROXY TCP4 203.0.113.5 10.0.0.1 4711 443\r\n", &key.token), Some(200));
    assert_eq!(behind(&gateway, &version_2([203, 0, 113, 6]), &key.token), Some(200));
    assert_eq!(behind(&gateway, &version_2([198, 51, 100, 7]), &key.token), Some(401));
    assert_eq!(behind(&gateway, b"PROXY UNKNOWN\r\n", &key.token), Some(401));
    // The same address, as a socket for both families has it.
    assert_eq!(behind(&gateway, b"PROXY TCP6 ::ffff:203.0.113.7 ::1 4711 443\r\n", &key.token), Some(200));
    for nonsense in [&b""[..], b"PROXY TCP4 203.0.113.5\r\n", b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0"] {
        assert_eq!(behind(&gateway, nonsense, &key.token), None, "{nonsense:?}");
    }
    let told = backend.requests();
    assert_eq!(told[0].all("x-forwarded-for"), ["203.0.113.5"]);
    assert_eq!(told[1].all("x-forwarded-for"), ["203.0.113.6"]);
    let mut split = RawClient::connect(gateway.addresses()[1]);
    let bytes = [version_2([203, 0, 113, 6]), request("GET", "/").token(&key.token).bytes()].concat();
    split.send_split(&bytes, &[1, 2, 3, 5]);
    assert_eq!(split.read_response().status, 200);
    drop(gateway);
    let records = std::fs::read_to_string(&log).expect("a log");
    for client in ["203.0.113.5", "203.0.113.6", "198.51.100.7", "203.0.113.7"] {
        assert!(records.contains(&format!("\"client\":\"{client}\"")), "{client} in {records}");
    }
}

#[test]
fn nobody_else_may_introduce_anybody_and_silence_has_its_deadline() {
    let backend = Backend::answering("hello");
    let others = "gateway.trusted_proxies = [\"192.0.2.0/24\"]\n";
    let gateway = TestGateway::in_front_of(&backend).gateway(others).settings(PROXIED).start();
    let key = gateway.create_key("ci").done();
    assert_eq!(behind(&gateway, &version_2([203, 0, 113, 6]), &key.token), None);
    let patience = format!("[limits]\nfirst_byte = \"300ms\"\n{PROXIED}");
    let gateway = TestGateway::in_front_of(&backend).gateway(TRUSTING).settings(&patience).start();
    let mut slow = RawClient::connect(gateway.addresses()[1]);
    slow.send(b"PROXY TCP4 203.0.113.5");
    assert!(slow.is_closed());
    assert!(backend.requests().is_empty());
}

#[test]
fn a_listener_that_redirects_leads_to_the_same_over_tls() {
    let backend = Backend::answering("hello");
    let listener = "[[gateway.listeners]]\naddress = \"127.0.0.1:0\"\nredirect_to_https = true\n";
    let gateway = TestGateway::in_front_of(&backend).settings(listener).start();
    let mut client = RawClient::connect(gateway.addresses()[1]);
    client.send(b"POST /a/%7eb?c=d HTTP/1.1\r\nHost: Api.example.com:8080\r\nContent-Length: 0\r\n\r\n");
    let answer = client.read_response();
    assert_eq!((answer.status, answer.header("location")), (308, Some("https://api.example.com/a/~b?c=d")));
    client.send(b"GET //evil.example HTTP/1.1\r\nHost: api.example.com\r\n\r\n");
    assert_eq!(client.read_response().status, 400);
    let mut client = RawClient::connect(gateway.addresses()[1]);
    client.send(b"POST /a HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 100000\r\n\r\n");
    let answer = client.read_response();
    assert_eq!((answer.status, answer.header("connection")), (308, Some("close")), "nobody reads the body");
    assert!(backend.requests().is_empty());
}
