//! What a route changes of requests and replies, and which requests need no credential.

use super::support::backend::{Backend, Reply};
use super::support::gateway::TestGateway;
use super::support::request::request;

const ROUTES: &str = "
[[routes]]
path = \"/api/v1\"
methods = [\"GET\", \"POST\"]
strip_prefix = true
preflight = true
set_request_headers = { \"X-Environment\" = \"production\" }
remove_request_headers = [\"cookie\"]
set_response_headers = { \"Strict-Transport-Security\" = \"max-age=63072000\" }
remove_response_headers = [\"server\"]
upstream = \"backend\"
[[routes]]
path = \"/closed\"
upstream = \"backend\"
";

fn backend() -> Backend {
    Backend::replying(|_| {
        Reply::raw("HTTP/1.1 200 OK\r\nServer: secret/1.0\r\nServer: too\r\nX-Kept: yes\r\nContent-Length: 2\r\n\r\nok")
    })
}

#[test]
fn the_backend_and_the_client_get_what_the_route_says() {
    let backend = backend();
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).start();
    let key = gateway.create_key("ci").done();
    let asked = request("GET", "/api/v1/orders/7?x=1").token(&key.token);
    let asked = asked.header("Cookie", "a=b").header("x-environment", "mine").header("X-Other", "stays");
    let answer = gateway.ask(&asked);
    assert_eq!((answer.status, answer.header("strict-transport-security")), (200, Some("max-age=63072000")));
    assert_eq!((answer.header("server"), answer.header("x-kept")), (None, Some("yes")));
    assert!(!answer.headers.iter().any(|header| format!("{header:?}").contains("secret")));
    gateway.ask(&request("GET", "/api/v1").token(&key.token));
    let got = backend.requests();
    assert_eq!((&*got[0].target, &*got[1].target), ("/orders/7?x=1", "/"));
    assert_eq!(got[0].all("x-environment"), ["production"]);
    assert_eq!((got[0].all("cookie").len(), got[0].all("x-other")), (0, vec!["stays"]));
    assert_eq!(got[0].all("x-relevo-key-name"), ["ci"]);
}

#[test]
fn a_preflight_passes_without_a_credential_where_the_route_says_so_and_nothing_else_does() {
    let backend = backend();
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).start();
    let options = |path| request("OPTIONS", path).header("Origin", "https://app.example");
    let preflight = |path, method| options(path).header("Access-Control-Request-Method", method);
    assert_eq!(gateway.ask(&preflight("/api/v1/orders", "POST")).status, 200);
    assert_eq!(backend.requests()[0].all("x-relevo-key-id").len(), 0);
    assert_eq!(&*backend.requests()[0].method, "OPTIONS");
    for (asked, status) in [
        (preflight("/api/v1/orders", "DELETE"), 405),
        (preflight("/api/v1/orders", "POST").token("nobody's-token-at-all"), 401),
        (options("/api/v1/orders"), 405),
        (preflight("/closed", "POST"), 401),
        (request("POST", "/api/v1/orders").header("Origin", "https://app.example"), 401),
    ] {
        assert_eq!(gateway.ask(&asked).status, status, "{:?}", String::from_utf8_lossy(&asked.bytes()));
    }
    assert_eq!(backend.requests().len(), 1);
}
