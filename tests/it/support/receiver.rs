//! A receiver of webhooks that does as a test says: takes them, answers something else, is silent, or dies half-way.
//!
//! Promises: a real socket; every delivery's signature is verified by a computation of its own before it counts as taken.
//! Deliberately does not: share code with what signs.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::pairs::{Pair, serving};

/// What it does with one delivery.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// Answers this status. 2xx: it has taken it.
    Answer(u16),
    /// Answers that what was asked for is elsewhere.
    Redirect(String),
    /// Answers nothing, and keeps the connection.
    Silence,
    /// Closes the connection in the middle of its reply's head.
    Die,
}

/// One delivery that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) id: String,
    pub(crate) event: Value,
}

impl Taken {
    pub(crate) fn action(&self) -> &str {
        self.event["action"].as_str().expect("an action")
    }

    pub(crate) fn revision(&self) -> u64 {
        self.event["revision"].as_u64().expect("a revision")
    }
}

#[derive(Default)]
struct State {
    /// What it does next; when there is no more, it takes everything.
    script: VecDeque<Deed>,
    /// What it does with everything, whatever the script says.
    always: Option<Deed>,
    taken: Vec<Taken>,
    attempts: usize,
    wrong: Vec<String>,
}

/// The receiver. It lives until the process ends.
pub(crate) struct Receiver {
    address: SocketAddr,
    scheme: &'static str,
    state: Arc<Mutex<State>>,
}

impl Receiver {
    /// A receiver that knows this secret (its bytes), and begins with these deeds.
    pub(crate) fn new(secret: &[u8], script: impl IntoIterator<Item = Deed>) -> Self {
        Self::start(None, secret, script.into_iter().collect())
    }

    /// The same over TLS, showing the certificate of `pair`; it takes everything.
    pub(crate) fn over_tls(pair: &Pair, secret: &[u8]) -> Self {
        Self::start(Some(serving(pair, &["http/1.1"])), secret, VecDeque::new())
    }

    fn start(tls: Option<Arc<ServerConfig>>, secret: &[u8], script: VecDeque<Deed>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(Mutex::new(State { script, ..State::default() }));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (shared, secret) = (Arc::clone(&state), secret.to_vec());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (shared, secret, tls) = (Arc::clone(&shared), secret.clone(), tls.clone());
                thread::spawn(move || match tls {
                    None => serve(stream, &shared, &secret),
                    Some(tls) => {
                        let connection = ServerConnection::new(tls).expect("a connection");
                        serve(StreamOwned::new(connection, stream), &shared, &secret);
                    }
                });
            }
        });
        Self { address, scheme, state }
    }

    /// Where it is; over TLS at `localhost`, as its certificate says.
    pub(crate) fn url(&self) -> String {
        let host = if self.scheme == "https" { "localhost" } else { "127.0.0.1" };
        format!("{}://{host}:{}/hook", self.scheme, self.address.port())
    }

    /// What it has taken, in its order.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.state().taken.clone()
    }

    /// How often something was sent to it.
    pub(crate) fn attempts(&self) -> usize {
        self.state().attempts
    }

    /// What was wrong with deliveries.
    pub(crate) fn wrong(&self) -> Vec<String> {
        self.state().wrong.clone()
    }

    /// From now on it does this with everything; `None`: what its script says.
    pub(crate) fn always(&self, deed: Option<Deed>) {
        self.state().always = deed;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no receiver panics")
    }
}

fn serve(stream: impl Read + Write, state: &Mutex<State>, secret: &[u8]) {
    let mut reader = BufReader::new(stream);
    while let Some((head, body)) = read_request(&mut reader) {
        let deed = {
            let mut state = state.lock().expect("no receiver panics");
            state.attempts += 1;
            let next = state.always.clone().or_else(|| state.script.pop_front());
            let deed = next.unwrap_or(Deed::Answer(204));
            match verified(&head, &body, secret) {
                Ok(taken) if matches!(deed, Deed::Answer(200..=299)) => state.taken.push(taken),
                Ok(_) => {}
                Err(why) => state.wrong.push(why),
            }
            deed
        };
        let reply = match deed {
            Deed::Answer(status) => format!("HTTP/1.1 {status} Any\r\nContent-Length: 0\r\n\r\n"),
            Deed::Redirect(to) => format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"),
            Deed::Silence => {
                thread::sleep(Duration::from_secs(30)); // the other end gives up first
                return;
            }
            Deed::Die => {
                drop(reader.get_mut().write_all(b"HTTP/1.1 200 O"));
                return;
            }
        };
        if reader.get_mut().write_all(reply.as_bytes()).is_err() {
            return;
        }
    }
}

/// The fields of a head, their names in lower case.
type Head = Vec<(String, String)>;

fn read_request(reader: &mut impl BufRead) -> Option<(Head, Vec<u8>)> {
    let mut head = Head::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.trim_end().split_once(": ") {
            head.push((name.to_ascii_lowercase(), value.to_owned()));
        }
    }
    let mut body = vec![0; field(&head, "content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

fn field<'h>(head: &'h [(String, String)], name: &str) -> Option<&'h str> {
    head.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Verifies a delivery as the specification of Standard Webhooks says.
fn verified(head: &[(String, String)], body: &[u8], secret: &[u8]) -> Result<Taken, String> {
    let of = |name: &str| field(head, name).ok_or_else(|| format!("{name} is missing"));
    let (id, timestamp, signatures) = (of("webhook-id")?, of("webhook-timestamp")?, of("webhook-signature")?);
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    let expected = format!("v1,{}", STANDARD.encode(hmac(secret, &signed)));
    if !signatures.split(' ').any(|signature| signature == expected) {
        return Err(format!("none of {signatures} is {expected}"));
    }
    let event: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if event["id"] != id {
        return Err(format!("{id} is not the id of {event}"));
    }
    Ok(Taken { id: id.to_owned(), event })
}

/// HMAC-SHA256 (RFC 2104), for keys of at most 64 bytes.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let padded = |pad: u8| {
        let mut block = [pad; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
}
