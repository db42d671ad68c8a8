//! The four ways on which a client comes: HTTP/1.1 and HTTP/2, in clear and over TLS.
//!
//! Promises: the same request is said on each, and its answer told alike.
//! Deliberately does not: say what is not well-formed. `trial` does.

use std::fmt;
use std::net::SocketAddr;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustls::ClientConfig;

use super::client::{RawClient, RawResponse};
use super::modern::{Answer, Modern};
use super::pairs::{Pair, trusting};
use super::request::Request;
use super::wire::Fault;

/// One of them, to one gateway.
#[derive(Clone)]
pub(crate) struct Way {
    address: SocketAddr,
    protocol: &'static str,
    handshake: Option<Arc<ClientConfig>>,
}

/// One connection.
pub(crate) enum Caller {
    Plain(RawClient),
    Modern(Modern),
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.protocol, if self.handshake.is_some() { " over TLS" } else { "" })
    }
}

impl Way {
    /// All four, to a listener in clear and one that shows `pair`.
    pub(crate) fn all(clear: SocketAddr, secure: SocketAddr, pair: &Pair) -> [Self; 4] {
        let over_tls = |protocol| Self { address: secure, protocol, handshake: Some(trusting(&[pair], &[protocol])) };
        let in_clear = |protocol| Self { address: clear, protocol, handshake: None };
        [in_clear("http/1.1"), over_tls("http/1.1"), in_clear("h2"), over_tls("h2")]
    }

    /// Whether several requests share a connection, so that the end of one is not that of the connection.
    pub(crate) fn is_http2(&self) -> bool {
        self.protocol == "h2"
    }

    /// A connection. `Err` if there is nobody, or no agreement.
    pub(crate) fn connect(&self) -> Result<Caller, Fault> {
        let modern = match &self.handshake {
            Some(handshake) => Modern::over_tls(self.address, "localhost", handshake),
            None if self.is_http2() => Modern::in_clear(self.address),
            None => return RawClient::try_connect(self.address).map(Caller::Plain).map_err(|error| error.to_string()),
        };
        modern.map(Caller::Modern).map_err(|error| error.to_string())
    }

    /// What is answered to a request on a connection of its own.
    pub(crate) fn ask(&self, request: &Request) -> Result<RawResponse, Fault> {
        self.connect()?.ask(request)
    }
}

/// Asks on every way without a pause, each time on the connection that is kept there, while `work` is done. What came of
/// it on each; `asked` is given it every time, and at least once.
pub(crate) fn meanwhile<T: Default + Send>(
    ways: &[Way; 4],
    asked: impl Fn(&Way, &mut Caller, &mut T) + Sync,
    work: impl FnOnce(),
) -> [T; 4] {
    let over = AtomicBool::new(false);
    let keep_asking = |way: &Way| {
        let mut client = way.connect().unwrap_or_else(|fault| panic!("{way:?}: {fault}"));
        let mut came = T::default();
        loop {
            asked(way, &mut client, &mut came);
            if over.load(Ordering::Relaxed) {
                return came;
            }
        }
    };
    thread::scope(|scope| {
        let clients = ways.each_ref().map(|way| scope.spawn(|| keep_asking(way)));
        let worked = panic::catch_unwind(AssertUnwindSafe(work));
        over.store(true, Ordering::Relaxed);
        let came = clients.map(|client| client.join().expect("every answer was right"));
        worked.unwrap_or_else(|panic| panic::resume_unwind(panic));
        came
    })
}

impl Caller {
    /// What is answered to a request. `Err` if the connection, or the stream, ended without a whole answer.
    pub(crate) fn ask(&mut self, request: &Request) -> Result<RawResponse, Fault> {
        match self {
            Self::Plain(client) => {
                client.send(&request.bytes());
                client.try_read_response()
            }
            Self::Modern(client) => {
                client.ask_for(request).map(|answer| told(&answer)).map_err(|error| error.to_string())
            }
        }
    }
}

fn told(answer: &Answer) -> RawResponse {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = answer.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect();
    let closed = answer.headers.get("connection").is_some_and(|option| option == "close");
    RawResponse { status: answer.status.as_u16(), headers, body: answer.body.to_vec(), closed }
}
