//! The lane and the engine tell one story: what a request meets does not depend on which of them serves it.
//!
//! A request is sent twice: as it is, and with a `Connection` line that names a header which is not there. The second
//! form is for the engine; in every other respect the two are the same request, and must come to the same.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::support::backend::{Backend, Recorded, Reply};
use crate::support::client::RawResponse;
use crate::support::gateway::TestGateway;
use crate::support::in_short_or_soak;
use crate::support::request::{Request, request};
use crate::support::wire::Header;

const ROUTES: &str = r#"
[[routes]]
path = "/"
upstream = "backend"
[[routes]]
path = "/open"
auth = "none"
upstream = "backend"
body_limit = "64B"
[[routes]]
path = "/maybe"
auth = "optional"
forward_credential = true
upstream = "backend"
[[routes]]
path = "/roles"
roles = ["orders:read"]
upstream = "backend"
[[routes]]
path = "/cut"
auth = "none"
strip_prefix = true
upstream = "backend"
[[routes]]
path = "/read"
methods = ["GET"]
credentials = ["header"]
upstream = "backend"
[[routes]]
path = "/hosted"
hosts = ["api.example.com"]
auth = "none"
upstream = "backend"
"#;

const METHODS: [&str; 9] = ["GET", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"];

const FIRST: [&str; 9] = ["", "open", "maybe", "roles", "cut", "read", "hosted", "ro%6ces", "OPEN"];

const PIECES: [&str; 19] = [
    "/", "a", "..", ".", "%2e", "%2F", "%5c", "%41", "%7e", "%zz", ";x=1", "?", "a=b", "&", "%20", "~", "\u{e9}", "|",
    "%00",
];

const HOSTS: [&str; 7] = ["localhost", "LOCALHOST:80", "api.example.com", "", "a, b", "user@a", "[::1]:8080"];

const NAMES: [&str; 34] = [
    "Accept",
    "Cookie",
    "Content-Type",
    "Content-Length",
    "X-Any",
    "x_any",
    "X.Any",
    "X-Relevo-Key-Id",
    "x_relevo-key.id",
    "X-Relevo-Anything",
    "Relevo-Token",
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded_Host",
    "X-Real-IP",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-Request-Id",
    "Via",
    "traceparent",
    "tracestate",
    "Keep-Alive",
    "Proxy-Connection",
    "Proxy-Authorization",
    "Connection",
    "TE",
    "Trailer",
    "Upgrade",
    "Expect",
    "User-Agent",
    "Authorization",
    "X-API-Key",
    "Host",
];

const VALUES: [&str; 20] = [
    "",
    "x",
    "a, b",
    "  padded\t",
    "close",
    "keep-alive",
    "x-any",
    "authorization",
    "trailers",
    "1.1 other",
    "10.0.0.7",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "00-0-0-0",
    "Basic dXNlcjp3b3Jk",
    "Bearer GOOD",
    "Bearer OTHER",
    "GOOD",
    "OTHER",
    "rlv_not-a-token",
    "caf\u{e9}",
];

/// What a backend may answer, by number.
const REPLIES: [&str; 14] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\ncontent-length:   2  \r\nX-A: 1\r\nx-a: 2\r\n\r\nhi",
    "HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1;a=b\r\nh\r\n1\r\ni\r\n0\r\nX-Trailer: 1\r\n\r\n",
    "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n", // with a length, which may stand there, the engine leaves it out
    "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nConnection: close\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nRelevo-Token: old\r\nX-Request-Id: theirs\r\nDate: then\r\nServer: s\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nno",
    "HTP/1.1 200 OK\r\n\r\n",
];

/// A request that may be anything from usual to hostile.
#[derive(Clone, Debug)]
struct Asked {
    method: &'static str,
    target: String,
    host: &'static str,
    /// Names and values, in which `GOOD` and `OTHER` stand for tokens.
    lines: Vec<(&'static str, &'static str)>,
    body: Option<Vec<u8>>,
    reply: usize,
}

fn asked() -> impl Strategy<Value = Asked> {
    let target = (select(&FIRST[..]), vec(select(&PIECES[..]), 0..5))
        .prop_map(|(first, pieces)| format!("/{first}{}", pieces.concat()));
    // Most are usual: else nothing but refusals would be compared.
    let target = proptest::prop_oneof![3 => select(&FIRST[..]).prop_map(|first| format!("/{first}")), 2 => target];
    let host = proptest::prop_oneof![6 => Just("localhost"), 1 => select(&HOSTS[..])];
    let line = (select(&NAMES[..]), select(&VALUES[..]));
    let credential = proptest::prop_oneof![
        4 => Just(Some(("X-API-Key", "GOOD"))),
        1 => Just(Some(("Authorization", "Bearer GOOD"))),
        1 => Just(Some(("Authorization", "Bearer OTHER"))),
        2 => Just(None),
    ];
    let lines = (credential, vec(line, 0..4))
        .prop_map(|(credential, lines)| credential.into_iter().chain(lines).collect::<Vec<_>>());
    let body = proptest::option::weighted(0.3, vec(any::<u8>(), 0..100));
    (select(&METHODS[..]), target, host, lines, body, 0..REPLIES.len())
        .prop_map(|(method, target, host, lines, body, reply)| Asked { method, target, host, lines, body, reply })
}

impl Asked {
    fn request(&self, tokens: [&str; 2]) -> Request {
        let mut request = request(self.method, &self.target).host(self.host).header("X-Reply", &self.reply.to_string());
        for (name, value) in &self.lines {
            request = request.header(name, &value.replace("GOOD", tokens[0]).replace("OTHER", tokens[1]));
        }
        match &self.body {
            Some(body) => request.body(body),
            None => request,
        }
    }
}

/// What a request came to, without what differs from one request to the next.
#[derive(PartialEq, Debug)]
struct Told {
    answer: Option<(u16, Vec<Header>, Vec<u8>)>,
    arrived: Vec<(String, String, Vec<Header>, Vec<u8>)>,
}

/// Lower-case names, sorted; of what is made anew for each request, only that it is there.
fn alike(headers: &[Header], asked: &Asked) -> Vec<Header> {
    let mut headers: Vec<_> = headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    for (name, value) in &mut headers {
        let is_theirs = asked.lines.iter().any(|(_, theirs)| theirs == value);
        if ["date", "x-request-id", "traceparent"].contains(&&**name) && !is_theirs {
            "…".clone_into(value);
        }
    }
    headers.sort();
    headers
}

fn told(answer: Option<RawResponse>, arrived: Vec<Recorded>, asked: &Asked) -> Told {
    let answer = answer.map(|answer| (answer.status, alike(&answer.headers, asked), answer.body));
    let arrived = arrived.into_iter().map(|one| (one.method, one.target, alike(&one.headers, asked), one.body));
    Told { answer, arrived: arrived.collect() }
}

#[test]
fn a_request_meets_the_same_whoever_serves_it() {
    let backend = Backend::replying(|request| {
        let number = request.all("x-reply").first().and_then(|number| number.parse::<usize>().ok());
        let reply = Reply::raw(REPLIES[number.unwrap_or_default()]);
        // After a reply to a request with `HEAD` nothing of a body may follow.
        if request.method == "HEAD" { reply.then_closing() } else { reply }
    });
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).settings("[limits]\nfailures = 0\n").start();
    let good = gateway.create_key("good").roles(&["orders:read"]).done();
    let other = gateway.create_key("other").done();
    gateway.admin("PATCH", &format!("/v1/keys/{}", other.id), Some(&serde_json::json!({"status": "inactive"})));
    let tokens = [&*good.token, &*other.token];

    let ask = |asked: &Asked, bytes: &[u8]| {
        let before = backend.requests().len();
        let mut client = gateway.connect();
        if asked.method == "HEAD" {
            client = client.asking_heads();
        }
        client.send(bytes);
        let answer = client.try_read_response().ok();
        told(answer, backend.requests().split_off(before), asked)
    };
    let config = Config { cases: in_short_or_soak(800, 5_000), failure_persistence: None, ..Config::default() };
    let compared = TestRunner::new(config).run(&asked(), |asked| {
        let request = asked.request(tokens);
        let lane = ask(&asked, &request.bytes());
        let engine = ask(&asked, &request.header("Connection", "x-nothing").bytes());
        if lane == engine {
            Ok(())
        } else {
            Err(TestCaseError::fail(format!("the lane: {lane:?}\nthe engine: {engine:?}")))
        }
    });
    compared.unwrap_or_else(|difference| panic!("{difference}"));
}
