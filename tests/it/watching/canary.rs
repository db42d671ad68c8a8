//! A token put wherever a client can put one, and looked for wherever anybody can look.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use relevo::domain::{Prefix, Secret};
use serde_json::Value;

use crate::support::backend::Backend;
use crate::support::client::{RawClient, RawResponse};
use crate::support::frames::{
    DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, RST_STREAM, SETTINGS, block, frame, get,
};
use crate::support::pairs::Pair;
use crate::support::process::Process;
use crate::support::relay::Door;
use crate::support::request::{Request, request};

/// `/open` asks for no token, `/pair` for a pair; `/narrow` lets `X-API-Key` pass. The second listener shows the certificate
/// in `a.pem`.
fn configuration(backend: &Backend) -> String {
    let route = |path: &str, lines: &str| format!("[[routes]]\npath = \"{path}\"\nupstream = \"backend\"\n{lines}\n");
    format!(
        "[gateway]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\ntrusted_proxies = [\"127.0.0.1\"]\n\
         [[gateway.listeners]]\naddress = \"127.0.0.1:0\"\ntls = [{{ certificate = \"a.pem\", key = \"a.key\" }}]\n[admin]\nlisten = \"127.0.0.1:0\"\n[store]\npath = \"relevo.redb\"\n[drain]\ndelay = \"0s\"\ntimeout = \"1s\"\n\
         [log]\naccess = \"access.log\"\n[credentials]\npair = {{ key = \"x-app-key\", token = \"x-app-token\" }}\n\
         [[upstreams]]\nname = \"backend\"\nendpoints = [\"http://{}\"]\n[[upstreams]]\nname = \"gone\"\n\
         endpoints = [\"http://127.0.0.1:9\"]\n{}{}{}{}[[routes]]\npath = \"/gone\"\nauth = \"none\"\nupstream = \"gone\"\n\
         [[webhooks]]\nname = \"gone\"\nurl = \"http://127.0.0.1:9/\"\nsecrets = [\"file:webhook.secret\"]\nevents = [\"*\"]\nallow_private = true\n",
        backend.address(),
        route("/", "body_limit = \"1KiB\""),
        route("/open", "auth = \"none\""),
        route("/pair", "credentials = [\"pair\"]"),
        route("/narrow", "credentials = [\"bearer\"]"),
    )
}

/// Every request that carries `token` somewhere, with the name of the place.
fn positions(token: &str) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for base in ["/", "/open", "/pair", "/narrow", "/gone"] {
        for (place, request) in well_formed(base, token) {
            all.push((format!("{place} at {base}"), request.bytes()));
        }
    }
    let raw = [
        ("a header's name", format!("GET / HTTP/1.1\r\nHost: a\r\n{token}: 1\r\n\r\n")),
        ("a length", format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {token}\r\n\r\n")),
        ("a coding", format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {token}\r\n\r\n")),
        ("the version", format!("GET / {token}\r\nHost: a\r\n\r\n")),
        ("the first line", format!("{token}\r\nHost: a\r\n\r\n")),
        ("a chunk's size", format!("POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{token}\r\n")),
        (
            "a trailer",
            format!("POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: {token}\r\n\r\n"),
        ),
        ("an absolute target", format!("GET http://user:{token}@localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n")),
    ];
    all.extend(raw.map(|(place, text)| (place.to_owned(), text.into_bytes())));
    all
}

fn well_formed(base: &str, token: &str) -> Vec<(&'static str, Request)> {
    let get = |target: String| request("GET", &target);
    let within = |header: &str, value: String| request("GET", base).header(header, &value);
    vec![
        ("the path", get(format!("{base}/{token}"))),
        ("a segment's part", get(format!("{base}/a_{token}_b"))),
        ("a path that is refused", get(format!("{base}/%2f/../{token}"))),
        ("the query", get(format!("{base}?{token}"))),
        ("a parameter", get(format!("{base}?token={token}&x=1"))),
        ("a parameter's name", get(format!("{base}?{token}=1"))),
        ("a bearer", request("GET", base).token(token)),
        ("a longer bearer", request("GET", base).token(&format!("{token}_1"))),
        ("two bearers", request("GET", base).token(token).token(token)),
        ("a basic", within("Authorization", format!("Basic {token}"))),
        ("the token's header", within("X-API-Key", token.to_owned())),
        ("a pair", within("X-App-Key", token.to_owned()).header("X-App-Token", token)),
        ("half a pair", within("X-App-Token", token.to_owned())),
        ("a cookie", within("Cookie", format!("session={token}"))),
        ("the user agent", within("User-Agent", token.to_owned())),
        ("a user agent with tabs", within("User-Agent", format!("a\t{token}\t\"{token}\"\\{token}"))),
        ("the referrer", within("Referer", format!("http://localhost/?t={token}"))),
        ("any header", within("X-Any", token.to_owned())),
        ("the request's id", within("X-Request-Id", token.to_owned())),
        ("the trace", within("traceparent", token.to_owned())),
        ("a forwarded address", within("X-Forwarded-For", token.to_owned())),
        ("an option", within("Connection", token.to_owned())),
        ("the host", request("GET", base).host(&format!("{token}.example"))),
        ("the method", request(token, base)),
        ("the body", request("POST", base).body(token)),
        ("a large body", request("POST", base).body(token.repeat(64))),
    ]
}

/// What carries `token` somewhere over HTTP/2, with the name of the place; the first of its frames begins stream 1.
fn modern_positions(token: &str) -> Vec<(&'static str, Vec<u8>)> {
    let whole = |headers: &[u8]| frame(HEADERS, END_HEADERS | END_STREAM, 1, headers);
    let open = frame(HEADERS, END_HEADERS, 1, &get("/open", &[]));
    let begun = |frame: Vec<u8>| [open.clone(), frame].concat();
    let pseudo = |name: &str| {
        let mut headers = vec![(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", "/")];
        headers.retain(|(each, _)| *each != name);
        whole(&block(&[&headers[..], &[(name, token)]].concat()))
    };
    let (path, query) = (format!("/{token}"), format!("/open?token={token}"));
    let mut all = vec![
        ("the path", whole(&get(&path, &[]))),
        ("the query", whole(&get(&query, &[]))),
        ("the method", pseudo(":method")),
        ("the scheme", pseudo(":scheme")),
        ("the authority", pseudo(":authority")),
        ("a path without its slash", pseudo(":path")),
        ("a pseudo-header that there is not", pseudo(":relevo")),
        ("a header's name", whole(&get("/", &[(token, "1")]))),
        ("the body", begun(frame(DATA, END_STREAM, 1, token.as_bytes()))),
        ("a trailer", begun(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("x-t", token)])))),
        ("a farewell", frame(GOAWAY, 0, 0, &[&[0; 8], token.as_bytes()].concat())),
        ("settings", frame(SETTINGS, 0, 0, token.as_bytes())),
        ("no header block", whole(token.as_bytes())),
        ("a frame of a kind that there is not", [frame(0xee, 0, 0, token.as_bytes()), whole(&get("/", &[]))].concat()),
    ];
    for name in ["authorization", "x-api-key", "x-app-token", "cookie", "user-agent", "x-any", "te", "connection"] {
        all.push((name, whole(&get("/", &[(name, token)]))));
    }
    all
}

/// What was answered to these frames in DATA, until the stream or the connection ended.
fn answer_in_frames(address: std::net::SocketAddr, bytes: &[u8]) -> String {
    let mut client = Frames::connect(address);
    client.send(bytes);
    let mut body = Vec::new();
    while let Some(frame) = client.next() {
        let is_last = frame.flags & END_STREAM != 0;
        let ends = match frame.kind {
            DATA => {
                body.extend(frame.payload);
                is_last
            }
            HEADERS => is_last,
            GOAWAY => {
                body.extend(&frame.payload[8..]);
                true
            }
            kind => kind == RST_STREAM,
        };
        if ends {
            break;
        }
    }
    String::from_utf8_lossy(&body).into_owned()
}

/// Calls of the admin port that carry `token` where it does not belong.
fn calls(root: &str, token: &str) -> Vec<(&'static str, Request)> {
    let call = |method: &str, path: &str| request(method, path).token(root);
    let with = |path: &str, body: String| call("POST", path).header("Content-Type", "application/json").body(body);
    vec![
        ("the path", call("GET", &format!("/v1/keys/{token}"))),
        ("no call", call("GET", &format!("/{token}"))),
        ("a parameter", call("GET", &format!("/v1/keys?status={token}"))),
        ("a cursor", call("GET", &format!("/v1/keys?cursor={token}"))),
        ("a bearer", request("GET", "/v1/keys").token(token)),
        ("two bearers", call("GET", "/v1/keys").token(token)),
        ("an origin", call("GET", "/v1/keys").header("Origin", token)),
        ("the host", call("GET", "/v1/keys").host(&format!("{token}.example"))),
        ("a tag", call("POST", "/v1/keys/ci/renew").header("If-Match", token)),
        ("the media type", call("POST", "/v1/keys").header("Content-Type", token).body("{}")),
        ("the body", with("/v1/keys", token.to_owned())),
        ("a name", with("/v1/keys", format!("{{\"name\": \"a/{token}\"}}"))),
        ("a role", with("/v1/keys", format!("{{\"name\": \"a\", \"roles\": [\"{token}\"]}}"))),
        ("a digest", with("/v1/keys/ci/renew", format!("{{\"digest\": \"{token}\"}}"))),
        ("a duration", with("/v1/keys", format!("{{\"name\": \"a\", \"duration\": \"{token}\"}}"))),
        ("a plan", with("/v1/keys/ci/renew", format!("{{\"delete_old\": \"{token}\"}}"))),
        ("an unknown field", with("/v1/keys", format!("{{\"colour\": \"{token}\"}}"))),
        ("an imported name", with("/v1/import", format!("{{\"keys\": [{{\"name\": \"a/{token}\"}}]}}"))),
        (
            "an imported digest",
            with("/v1/import", format!("{{\"keys\": [{{\"name\": \"a\", \"digest\": \"{token}\"}}]}}")),
        ),
        (
            "an imported token",
            with("/v1/import", format!("{{\"keys\": [{{\"name\": \"a\", \"token\": \"{token}\"}}]}}")),
        ),
        (
            "an applied role",
            with("/v1/apply", format!("{{\"keys\": [{{\"name\": \"ci\", \"roles\": [\"{token}\"]}}]}}")),
        ),
        (
            "a plan's mark",
            with("/v1/apply", format!("{{\"keys\": [{{\"name\": \"ci\", \"note\": \"x\"}}], \"plan\": \"{token}\"}}")),
        ),
        ("a backup", call("POST", "/v1/restore").body(token)),
        (
            "a backup's name",
            call("POST", "/v1/restore").body(format!("{{\"backup\": {{\"form\": 1, \"version\": \"{token}\"}}}}")),
        ),
        ("a place among events", call("GET", "/v1/events").header("Last-Event-ID", token)),
        ("an action", call("GET", &format!("/v1/events?action={token}"))),
    ]
}

/// Fails, without showing it, if `text` holds what is secret of one of `tokens`.
fn assert_hidden(text: &str, tokens: &[String], place: &str) {
    for (number, token) in tokens.iter().enumerate() {
        let secret = token.rsplit('_').next().expect("a token");
        assert!(!text.contains(&secret[..20]), "token {number} is in {place}");
    }
}

fn sent(address: std::net::SocketAddr, bytes: &[u8]) -> Option<RawResponse> {
    let mut client = RawClient::connect(address);
    client.send(bytes);
    client.try_read_response().ok()
}

fn key(process: &Process, root: &str, path: &str, body: &str) -> String {
    let call = request("POST", path).token(root).header("Content-Type", "application/json").body(body);
    let answer = sent(process.admin, &call.bytes()).expect("an answer");
    let reply: Value = serde_json::from_slice(&answer.body).expect("JSON");
    reply["token"].as_str().expect("a token").to_owned()
}

fn root_of(folder: &Path) -> String {
    fs::read_to_string(folder.join("admin.token")).expect("the first administrator's token").trim().to_owned()
}

/// Every event up to now, as the stream tells them.
fn events(process: &Process, root: &str) -> String {
    let status = sent(process.admin, &request("GET", "/v1/audit?limit=500").token(root).bytes()).expect("an answer");
    let page: Value = serde_json::from_slice(&status.body).expect("JSON");
    let last = page["events"].as_array().and_then(|events| events.last()).map(|event| event["revision"].to_string());
    let end = format!("id: {}\n", last.expect("an event"));
    let mut stream = TcpStream::connect(process.admin).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    stream.write_all(&request("GET", "/v1/events?after=0").token(root).bytes()).expect("sent");
    let (mut told, mut piece) = (String::new(), [0; 4_096]);
    while !told.contains(&end) || !told.ends_with("\n\r\n") {
        let length = stream.read(&mut piece).expect("read");
        assert!(length > 0, "the stream ended");
        told += &String::from_utf8_lossy(&piece[..length]);
    }
    told
}

/// What the other end is told: never the request's id, which a trusted proxy chose and gets back.
fn told(answer: &RawResponse) -> String {
    let headers = answer.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("x-request-id"));
    let headers: Vec<_> = headers.map(|(name, value)| format!("{name}: {value}\n")).collect();
    headers.concat() + &answer.text()
}

/// What lies beside the store, as text: all but the two files that are made to hold a secret.
fn assert_hidden_in_files(folder: &Path, tokens: &[String]) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path()) {
        let name = entry.file_name().expect("a name").to_string_lossy().into_owned();
        if entry.is_file() && !["admin.token", "webhook.secret"].contains(&&*name) {
            assert_hidden(&String::from_utf8_lossy(&fs::read(&entry).expect("read")), tokens, &name);
        }
    }
    assert!(folder.join("webhooks.json").exists() && folder.join("relevo.redb").exists());
}

/// A token that is made here, and of which the gateway learns the digest only.
fn bring(process: &Process, root: &str) -> String {
    let brought = Secret::mint(&Prefix::default(), &mut rand::rng());
    let body = format!("{{\"name\": \"brought\", \"digest\": \"{}\"}}", brought.digest());
    let create = request("POST", "/v1/keys").token(root).header("Content-Type", "application/json").body(body);
    let answer = sent(process.admin, &create.bytes()).expect("an answer");
    assert_eq!(answer.status, 201, "{}", answer.text());
    brought.reveal().to_owned()
}

/// Sends `token` in every place, through every door, and looks at the answers for all of `tokens`.
fn send_everywhere(process: &Process, pair: &Pair, token: &str, tokens: &[String]) {
    let doors = |protocol| Door::both(process.doors[0], process.doors[1], pair, protocol);
    for door in doors("http/1.1") {
        for (place, bytes) in positions(token) {
            let answer = sent(door.address, &bytes);
            assert_hidden(&answer.as_ref().map(told).unwrap_or_default(), tokens, &format!("the answer to {place}"));
        }
    }
    for door in doors("h2") {
        for (place, bytes) in modern_positions(token) {
            let answer = answer_in_frames(door.address, &bytes);
            assert_hidden(&answer, tokens, &format!("the answer over HTTP/2 to {place}"));
        }
    }
}

// Case 30.
#[test]
fn no_token_is_in_any_log_line_metric_or_error_wherever_a_client_put_it() {
    let backend = Backend::answering("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let signing = format!("whsec_{}", hex::encode([0xa5; 24])); // hexadecimal digits are base64, too
    fs::write(folder.path().join("webhook.secret"), &signing).expect("written");
    let pair = Pair::of(&["localhost"]);
    pair.write(folder.path(), "a");
    let process = Process::serve_logging(folder.path(), &configuration(&backend), "trace");
    let root = root_of(folder.path());
    let living = key(&process, &root, "/v1/keys", "{\"name\": \"ci\"}");
    let ended = key(&process, &root, "/v1/keys", "{\"name\": \"ended\"}");
    let renewed = key(&process, &root, "/v1/keys/ended/renew", "{\"delete_old\": \"now\"}");
    let unknown = Secret::mint(&Prefix::default(), &mut rand::rng()).reveal().to_owned();
    let brought = bring(&process, &root);
    let mut tokens = vec![living, ended, renewed, unknown, brought];
    for token in &tokens {
        send_everywhere(&process, &pair, token, &tokens);
        for (place, call) in calls(&root, token) {
            let answer = sent(process.admin, &call.bytes()).expect("an answer");
            assert!(answer.status >= 400, "{place}");
            assert_hidden(&told(&answer), &tokens, &format!("the admin port's answer to {place}"));
        }
    }
    tokens.push(signing);
    let stream = events(&process, &root);
    assert!(stream.contains("renewal.completed"), "{stream}");
    assert_hidden(&stream, &tokens, "the stream of events");
    assert!(stream.contains("command.refused"), "{stream}");
    let paths = [
        "/metrics",
        "/v1/keys",
        "/v1/admins",
        "/v1/audit?limit=500",
        "/v1/audit/export",
        "/v1/status",
        "/v1/settings",
        "/v1/backup",
    ];
    for path in paths {
        let answer = sent(process.admin, &request("GET", path).token(&root).bytes()).expect("an answer");
        assert_eq!(answer.status, 200, "{path}");
        assert_hidden(&told(&answer), &tokens, path);
    }
    process.terminate(Duration::from_secs(20));
    tokens.push(root);
    let access = fs::read_to_string(folder.path().join("access.log")).expect("an access log");
    let log = fs::read_to_string(folder.path().join("stderr.log")).expect("a log");
    assert!(super::lines(&access).len() > 800 && log.lines().count() > 100);
    assert_hidden(&access, &tokens, "the access log");
    assert_hidden(&log, &tokens, "the log");
    assert_hidden_in_files(folder.path(), &tokens);
}
