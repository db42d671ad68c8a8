//! What must hold for any bytes whatever. The fuzz targets feed these, and so does `tests/it/seeds.rs` with the seeds.
//!
//! Promises: each panics where its promise is broken, and nowhere else.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Version};
use percent_encoding::percent_decode_str;
use relevo::clock::Clock;
use relevo::config::Config;
use relevo::domain::Prefix;
use relevo::domain::token::{Form, form, mask};
use relevo::gateway::headers::{Arrival, Peer, Scheme, sanitise_request, sanitise_trailers};
use relevo::gateway::path::PathPolicy;
use relevo::gateway::route::RouteTable;
use relevo::net::proxy::parse;
use relevo::serve::Relevo;

/// A path has one spelling: reading it twice changes nothing, and the route of a path is that of the path decoded,
/// or the path is refused.
pub fn path(bytes: &[u8]) {
    static ROUTES: OnceLock<RouteTable> = OnceLock::new();
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let routes = ROUTES.get_or_init(|| RouteTable::new(&configured(SocketAddr::from((Ipv4Addr::LOCALHOST, 9)))));
    let policy = PathPolicy { semicolons: false };
    let Ok(path) = policy.normalise(text) else { return };
    let again = policy.normalise(path.as_str()).expect("what was read once is read again");
    assert_eq!(again.as_str(), path.as_str());
    let Ok(decoded) = percent_decode_str(text).decode_utf8() else { return };
    let route = |path| routes.choose("localhost", path, &Method::GET).ok().map(|route| route.index);
    // A path is decoded once: a percent sign that was encoded is one, not the beginning of another escape.
    let decoded = decoded.replace('%', "%25");
    let Ok(decoded) = policy.normalise(&decoded) else { return };
    // No route is a refusal here: of an encoded slash, since one route takes every other path.
    if let (Some(other), Some(chosen)) = (route(&decoded), route(&path)) {
        assert_eq!(other, chosen, "{text:?}");
    }
}

/// A header of the PROXY protocol is whole at one length and at no other, and what it says does not depend on what follows.
pub fn proxy(bytes: &[u8]) {
    let Ok(Some((introduced, length))) = parse(bytes) else { return };
    assert_eq!(parse(&bytes[..length]), Ok(Some((introduced, length))));
    for shorter in 0..length {
        assert_eq!(parse(&bytes[..shorter]), Ok(None), "{shorter} of {length}");
    }
}

/// No protected name reaches a backend in any spelling, whatever the headers and trailers are.
pub fn headers(bytes: &[u8]) {
    let config = configured(SocketAddr::from((Ipv4Addr::LOCALHOST, 9)));
    let Some(peer) = Peer::at(Ipv4Addr::LOCALHOST.into(), &[]) else { return };
    let mut sent = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(100) {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = (&line[..colon], line.get(colon + 1..).unwrap_or_default());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            sent.append(name, value);
        }
    }
    let trailers = sanitise_trailers(sent.clone(), &config.credentials);
    assert!(trailers.keys().all(|name| !is_protected(name) && !is_framing(name)), "{trailers:?}");
    let id = HeaderValue::from_static("0");
    let arrival =
        Arrival { peer: &peer, scheme: Scheme::Http, version: Version::HTTP_11, request_id: id, entropy: [7; 24] };
    let Ok(kept) = sanitise_request(sent, &arrival, &config.credentials) else { return };
    for (name, value) in &kept {
        // What the gateway itself says of the client is the only thing under these names.
        let own = match name.as_str() {
            "x-forwarded-for" => value == "127.0.0.1",
            "x-forwarded-proto" => value == "http",
            "x-forwarded-host" => true,
            _ => !is_protected(name) && !is_framing(name),
        };
        assert!(own, "{name:?}: {value:?}");
    }
}

fn is_protected(name: &HeaderName) -> bool {
    let name = name.as_str().replace(['_', '.'], "-");
    ["forwarded", "x-real-ip"].contains(&&*name)
        || ["x-relevo-", "x-forwarded-", "x-original-", "x-rewrite-"].iter().any(|family| name.starts_with(family))
}

fn is_framing(name: &HeaderName) -> bool {
    ["content-length", "transfer-encoding", "connection", "upgrade"].contains(&name.as_str())
}

/// A text has one form; what is masked holds no token.
pub fn token(bytes: &[u8]) {
    let known = [Prefix::default()];
    let sound = form(bytes, &known) == Form::Sound;
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    assert!(!sound || mask(text) == "***");
    let masked = mask(text);
    assert_eq!(mask(&masked), masked);
    assert!(
        masked
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .all(|word| form(word.as_bytes(), &known) != Form::Sound)
    );
}

/// A configuration is legal or has mistakes that can be drawn; a legal one, written out, is the same one.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Config::parse(text, "fuzz.toml", []) {
        Err(mistakes) => assert!(!mistakes.plain().is_empty()),
        Ok(config) => {
            let again = Config::parse(&config.effective(), "effective.toml", []).expect("legal");
            assert_eq!(again.hash, config.hash);
        }
    }
}

/// Whatever is written to the listener, the backend sees well-formed requests for the one route that asks for no
/// token, and none that has another's identity; and the gateway answers the next client.
pub fn listener(bytes: &[u8]) {
    static TRIAL: OnceLock<Trial> = OnceLock::new();
    let trial = TRIAL.get_or_init(Trial::start);
    let mut stream = connect(trial.gateway);
    // The gateway may close before all is written.
    drop(stream.write_all(bytes));
    drop(stream.shutdown(Shutdown::Write));
    drop(stream.read_to_end(&mut Vec::new()));
    let seen = std::mem::take(&mut *trial.seen.lock().unwrap_or_else(PoisonError::into_inner));
    for connection in seen {
        let bytes = connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rest = &bytes[..];
        while let Some((head, behind)) = split_at(rest, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(head).to_ascii_lowercase();
            let parts: Vec<_> = head.lines().next().unwrap_or_default().split(' ').collect();
            assert!(parts.len() == 3 && parts[1].starts_with("/open") && parts[2] == "http/1.1", "{head}");
            assert!(!head.contains("\r\nx-relevo-"), "{head}");
            let Some(behind) = behind_body(&head, behind) else { break };
            rest = behind;
        }
    }
    let mut stream = connect(trial.gateway);
    drop(stream.write_all(b"GET /closed HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    assert!(answer.starts_with(b"HTTP/1.1 401 "), "{}", String::from_utf8_lossy(&answer));
}

/// What is before and behind the first `mark`.
fn split_at<'b>(bytes: &'b [u8], mark: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let at = bytes.windows(mark.len()).position(|window| window == mark)?;
    Some((&bytes[..at], &bytes[at + mark.len()..]))
}

/// What is behind the body of a request with this head; `None` if the body is not whole.
fn behind_body<'b>(head: &str, mut bytes: &'b [u8]) -> Option<&'b [u8]> {
    let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    let length = value("content-length: ").map(|length| length.parse().expect("a length"));
    match (length, value("transfer-encoding: ")) {
        (Some(length), None) => bytes.get(length..),
        (None, None) => Some(bytes),
        (None, Some("chunked")) => loop {
            let (line, behind) = split_at(bytes, b"\r\n")?;
            let length = usize::from_str_radix(&String::from_utf8_lossy(line), 16).expect("the length of a chunk");
            if length == 0 {
                // Trailers, and the empty line after them.
                return match behind.strip_prefix(b"\r\n") {
                    Some(behind) => Some(behind),
                    None => split_at(behind, b"\r\n\r\n").map(|(_, behind)| behind),
                };
            }
            let behind = behind.get(length..)?;
            assert!(behind.len() < 2 || behind.starts_with(b"\r\n"), "a chunk is longer than it says");
            bytes = behind.get(2..)?;
        },
        (_, Some(coding)) => panic!("{length:?} and {coding:?}"),
    }
}

/// Every connection's bytes.
type Seen = Arc<Mutex<Vec<Arc<Mutex<Vec<u8>>>>>>;

struct Trial {
    gateway: SocketAddr,
    seen: Seen,
    _folder: tempfile::TempDir,
}

impl Trial {
    fn start() -> Self {
        let backend = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = backend.local_addr().expect("an address");
        let seen = Seen::default();
        let record = Arc::clone(&seen);
        thread::spawn(move || backend.incoming().flatten().for_each(|stream| answer_all(stream, &record)));
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = configured(address);
        config.store.path = folder.path().join("relevo.redb");
        let running = Relevo::start(config, Clock::system(), None).expect("started");
        let gateway = running.gateway_addresses()[0];
        std::mem::forget(running); // it goes on until the process ends
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut answer = Vec::new();
        while !answer.starts_with(b"HTTP/1.1 401 ") && Instant::now() < deadline {
            let mut stream = connect(gateway);
            drop(stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
            answer.clear();
            drop(stream.read_to_end(&mut answer));
        }
        Self { gateway, seen, _folder: folder }
    }
}

/// Records what comes, and answers every piece of it.
fn answer_all(mut stream: TcpStream, seen: &Seen) {
    let record = Arc::<Mutex<Vec<u8>>>::default();
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&record));
    thread::spawn(move || {
        let mut buffer = [0; 4_096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            record.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..count]);
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").is_err() {
                break;
            }
        }
    });
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
    stream
}

/// Two routes: everything asks for a token but what is below `/open`.
fn configured(backend: SocketAddr) -> Config {
    let text = format!(
        "[gateway]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n[log]\naccess = false\n\
         [[upstreams]]\nname = \"backend\"\nendpoints = [\"http://{backend}\"]\n\
         [[routes]]\npath = \"/\"\nupstream = \"backend\"\n\
         [[routes]]\npath = \"/open\"\nauth = \"none\"\nupstream = \"backend\"\n"
    );
    Config::parse(&text, "fuzz", []).expect("legal")
}
