//! A client that sends any bytes in any pieces and reads replies strictly.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Instant;

use super::DEADLINE;
use super::wire::{Fault, Framing, Head, Header, chunked, values};

/// A reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RawResponse {
    pub(crate) status: u16,
    pub(crate) headers: Vec<Header>,
    pub(crate) body: Vec<u8>,
    /// Whether the other end closed, or said that it will.
    pub(crate) closed: bool,
}

impl RawResponse {
    /// The header's only value, if it stands there once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let &[value] = &*values(&self.headers, name) else { return None };
        Some(value)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One connection.
pub(crate) struct RawClient {
    stream: TcpStream,
    read: Vec<u8>,
    ended: bool,
    /// Replies to HEAD have no body, whatever their head says.
    heads: bool,
}

impl RawClient {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).expect("connected")
    }

    /// `Err` if nobody listens.
    pub(crate) fn try_connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(Self { stream, read: Vec::new(), ended: false, heads: false })
    }

    /// From now on every request is a HEAD.
    pub(crate) fn asking_heads(mut self) -> Self {
        self.heads = true;
        self
    }

    /// Sends all at once. That the other end closes meanwhile is no failure: its reply tells.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        match self.stream.write_all(bytes) {
            Err(error) if is_closing(&error) => {}
            sent => sent.expect("sent in time"),
        }
    }

    /// Sends in pieces of these sizes, the last repeated until the end; each leaves in a segment of its own.
    pub(crate) fn send_split(&mut self, bytes: &[u8], sizes: &[usize]) {
        let mut rest = bytes;
        let mut sizes = sizes.iter().copied().chain(std::iter::repeat(sizes.last().copied().unwrap_or(1).max(1)));
        while !rest.is_empty() {
            let (piece, remaining) = rest.split_at(sizes.next().unwrap_or(1).min(rest.len()));
            self.send(piece);
            rest = remaining;
        }
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&mut self) {
        // The other end may have closed already: then there is nobody to tell.
        drop(self.stream.shutdown(Shutdown::Write));
    }

    /// The next reply; 1xx are passed over. `Err` names what is wrong with it, or that there was none.
    pub(crate) fn try_read_response(&mut self) -> Result<RawResponse, Fault> {
        loop {
            let response = self.read_one()?;
            if response.status >= 200 || response.status == 101 {
                return Ok(response);
            }
        }
    }

    /// The next reply, which may be a 1xx.
    pub(crate) fn read_response_or_interim(&mut self) -> RawResponse {
        self.read_one().unwrap_or_else(|fault| panic!("no reply: {fault}"))
    }

    /// The next reply, which must be there and well-formed.
    pub(crate) fn read_response(&mut self) -> RawResponse {
        self.try_read_response().unwrap_or_else(|fault| panic!("no reply: {fault}"))
    }

    /// Takes so many bytes, or a few more, and keeps them for the next reply.
    pub(crate) fn read_at_least(&mut self, length: usize) {
        let before = self.read.len();
        while !self.ended && self.read.len() < before + length {
            self.fill().unwrap_or_else(|fault| panic!("{fault}"));
        }
    }

    /// Takes what comes until these bytes have.
    pub(crate) fn read_until(&mut self, bytes: &[u8]) {
        while !self.read.windows(bytes.len()).any(|piece| piece == bytes) {
            assert!(!self.ended, "ended without {:?}", String::from_utf8_lossy(bytes));
            self.fill().unwrap_or_else(|fault| panic!("{fault}"));
        }
    }

    /// Everything that was not taken for a reply, once the other end has closed.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        while !self.ended {
            self.fill().unwrap_or_else(|fault| panic!("{fault}"));
        }
        std::mem::take(&mut self.read)
    }

    /// Whether the other end closes without another byte.
    pub(crate) fn is_closed(&mut self) -> bool {
        while !self.ended && self.read.is_empty() {
            if self.fill().is_err() {
                return false;
            }
        }
        self.read.is_empty()
    }

    /// Whether something of a reply is here, or the end; does not wait for it.
    pub(crate) fn is_readable(&mut self) -> bool {
        let mut byte = [0];
        self.stream.set_nonblocking(true).expect("set");
        let seen = self.stream.peek(&mut byte);
        self.stream.set_nonblocking(false).expect("set");
        !self.read.is_empty() || seen.is_ok()
    }

    /// Whether the other end has closed already; does not wait for it.
    pub(crate) fn is_closing(&mut self) -> bool {
        let mut byte = [0];
        self.stream.set_nonblocking(true).expect("set");
        let seen = self.stream.peek(&mut byte);
        self.stream.set_nonblocking(false).expect("set");
        match seen {
            Ok(length) => length == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }

    fn read_one(&mut self) -> Result<RawResponse, Fault> {
        let head = self.until(Head::read)?;
        self.read.drain(..head.length);
        let status = status_of(&head.first_line)?;
        let bodiless = self.heads || status < 200 || status == 204 || status == 304;
        let body = match head.framing()? {
            _ if bodiless => Vec::new(),
            Framing::Length(length) => {
                let body = self.until(|read| Ok(read.get(..length).map(<[u8]>::to_vec)))?;
                self.read.drain(..length);
                body
            }
            Framing::Chunked => {
                let (body, _, length) = self.until(chunked)?;
                self.read.drain(..length);
                body
            }
            Framing::Unsaid => {
                while !self.ended {
                    self.fill()?;
                }
                std::mem::take(&mut self.read)
            }
        };
        let options = head.all("connection");
        let says = |option: &str| options.iter().any(|value| value.eq_ignore_ascii_case(option));
        // RFC 9112 §9.3: a reply of HTTP/1.0 is the last unless it says otherwise.
        let said = says("close") || (head.first_line.starts_with("HTTP/1.0") && !says("keep-alive"));
        Ok(RawResponse { status, headers: head.headers, body, closed: said || self.ended })
    }

    /// Reads until `whole` finds what it looks for.
    fn until<T>(&mut self, whole: impl Fn(&[u8]) -> Result<Option<T>, Fault>) -> Result<T, Fault> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(found) = whole(&self.read)? {
                return Ok(found);
            }
            if self.ended {
                return Err(format!("closed after {:?}", String::from_utf8_lossy(&self.read)));
            }
            if Instant::now() > deadline {
                return Err(format!("too slow: {:?}", String::from_utf8_lossy(&self.read)));
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<(), Fault> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.ended = true,
            Ok(length) => self.read.extend_from_slice(&buffer[..length]),
            Err(error) if is_closing(&error) => self.ended = true,
            Err(error) => return Err(format!("{error} after {:?}", String::from_utf8_lossy(&self.read))),
        }
        Ok(())
    }
}

fn is_closing(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted)
}

fn status_of(line: &str) -> Result<u16, Fault> {
    let rest = line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_prefix("HTTP/1.0 "));
    let status = rest.and_then(|rest| rest.get(..3)).filter(|status| status.bytes().all(|b| b.is_ascii_digit()));
    status.and_then(|status| status.parse().ok()).ok_or_else(|| format!("{line:?} is no status line"))
}
