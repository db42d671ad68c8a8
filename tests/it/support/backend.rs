//! A backend that records every byte it receives and answers as it is told.
//!
//! Promises: a byte is recorded before it is looked at; what is not one well-formed request is a fault or one more
//! request, never overlooked.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::DEADLINE;
use super::wire::{Fault, Framing, Head, Header, chunked, is_token, values};

/// One request as it arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Recorded {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<Header>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<Header>,
}

impl Recorded {
    /// Every value of the header `name`.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        values(&self.headers, name)
    }

    /// The request at the beginning of `bytes` and its length; `None` if it is not whole yet.
    fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, Fault> {
        let Some(head) = Head::read(bytes)? else { return Ok(None) };
        let parts: Vec<_> = head.first_line.split(' ').collect();
        let &[method, target, "HTTP/1.1"] = &*parts else {
            return Err(format!("{:?} is no request line", head.first_line));
        };
        if !is_token(method) || target.is_empty() || !target.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!("{:?} is no request line", head.first_line));
        }
        let hosts = head.all("host").len();
        if hosts != 1 {
            return Err(format!("{hosts} Host headers"));
        }
        let (method, target) = (method.to_owned(), target.to_owned());
        let rest = &bytes[head.length..];
        let (body, trailers, length) = match head.framing()? {
            Framing::Unsaid => (Vec::new(), Vec::new(), 0),
            Framing::Length(length) => {
                let Some(body) = rest.get(..length) else { return Ok(None) };
                (body.to_vec(), Vec::new(), length)
            }
            Framing::Chunked => {
                let Some(read) = chunked(rest)? else { return Ok(None) };
                read
            }
        };
        Ok(Some((Self { method, target, headers: head.headers, body, trailers }, head.length + length)))
    }
}

/// Holds a reply back until it is opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn open(&self) {
        *lock(&self.0.0) = true;
        self.0.1.notify_all();
    }

    /// Waits until it is open or the deadline is over, which ends the reply all the same.
    pub(crate) fn wait(&self) {
        let closed = self.0.1.wait_timeout_while(lock(&self.0.0), DEADLINE, |open| !*open);
        drop(closed.unwrap_or_else(PoisonError::into_inner));
    }
}

/// A part of a reply.
#[derive(Clone, Debug)]
enum Part {
    Bytes(Vec<u8>),
    Repeated(Vec<u8>, usize),
    Wait(Gate),
    Close,
}

/// What is answered to one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply(Vec<Part>);

impl Reply {
    /// 200 with this body.
    pub(crate) fn ok(body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", body.len());
        Self::raw([head.as_bytes(), body].concat())
    }

    /// 200 with this body in chunks.
    pub(crate) fn chunked(chunks: &[&str]) -> Self {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
        let chunk = |text: &&str| format!("{:x}\r\n{text}\r\n", text.len());
        Self::raw(head + &chunks.iter().map(chunk).collect::<String>() + "0\r\n\r\n")
    }

    /// These bytes, whatever they are.
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self(vec![Part::Bytes(bytes.into())])
    }

    /// Then these bytes.
    pub(crate) fn then(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.0.push(Part::Bytes(bytes.into()));
        self
    }

    /// Then these bytes so many times.
    pub(crate) fn then_repeatedly(mut self, bytes: impl Into<Vec<u8>>, times: usize) -> Self {
        self.0.push(Part::Repeated(bytes.into(), times));
        self
    }

    /// Then nothing until the gate is opened.
    pub(crate) fn then_waiting_for(mut self, gate: &Gate) -> Self {
        self.0.push(Part::Wait(gate.clone()));
        self
    }

    /// Then the end of the connection.
    pub(crate) fn then_closing(mut self) -> Self {
        self.0.push(Part::Close);
        self
    }
}

#[derive(Debug, Default)]
struct Record {
    connections: Vec<Vec<u8>>,
    requests: Vec<Recorded>,
    faults: Vec<Fault>,
    open: Vec<TcpStream>,
    stopped: bool,
}

#[derive(Debug, Default)]
struct Recorder {
    record: Mutex<Record>,
    changed: Condvar,
}

type Answer = dyn Fn(&Recorded) -> Reply + Send + Sync;

/// A server on a port of its own. Its connections end when it is dropped.
pub(crate) struct Backend {
    address: SocketAddr,
    recorder: Arc<Recorder>,
}

impl Backend {
    /// Answers every request 200 with this body.
    pub(crate) fn answering(body: &'static str) -> Self {
        Self::replying(move |_| Reply::ok(body))
    }

    /// Answers every request with what `answer` says.
    pub(crate) fn replying(answer: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("bound");
        let recorder = Arc::new(Recorder::default());
        let backend = Self { address, recorder: Arc::clone(&recorder) };
        let answer: Arc<Answer> = Arc::new(answer);
        thread::spawn(move || accept(&listener, &recorder, &answer));
        backend
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests that have arrived whole, in the order of their arrival.
    pub(crate) fn requests(&self) -> Vec<Recorded> {
        lock(&self.recorder.record).requests.clone()
    }

    /// Every byte of every connection, in the order in which they were opened.
    pub(crate) fn bytes(&self) -> Vec<Vec<u8>> {
        lock(&self.recorder.record).connections.clone()
    }

    /// What was not one well-formed request.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        lock(&self.recorder.record).faults.clone()
    }

    /// Waits for `count` requests and returns those that are there.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Recorded> {
        self.wait("requests", |record| record.requests.len() >= count);
        self.requests()
    }

    fn wait(&self, what: &str, is_there: impl Fn(&Record) -> bool) {
        let record = lock(&self.recorder.record);
        let waited = self.recorder.changed.wait_timeout_while(record, DEADLINE, |record| !is_there(record));
        let (record, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "waited for {what} in vain, and there is {record:?}");
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        let mut record = lock(&self.recorder.record);
        record.stopped = true;
        for stream in &record.open {
            // A connection that is closed already needs no closing.
            drop(stream.shutdown(Shutdown::Both));
        }
        drop(record);
        // Wakes the accepting thread, which then sees that it is over.
        drop(TcpStream::connect_timeout(&self.address, Duration::from_secs(1)));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, recorder: &Arc<Recorder>, answer: &Arc<Answer>) {
    for stream in listener.incoming().map_while(Result::ok) {
        let mut record = lock(&recorder.record);
        if record.stopped {
            return;
        }
        let Ok(other) = stream.try_clone() else { return };
        let number = record.connections.len();
        record.connections.push(Vec::new());
        record.open.push(other);
        drop(record);
        let (recorder, answer) = (Arc::clone(recorder), Arc::clone(answer));
        thread::spawn(move || converse(stream, number, &recorder, &answer));
    }
}

/// Reads and answers the requests of one connection, one after the other, until it ends.
fn converse(mut stream: TcpStream, number: usize, recorder: &Recorder, answer: &Arc<Answer>) {
    let mut buffer = [0; 16 * 1024];
    let mut pending = Vec::new();
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        lock(&recorder.record).connections[number].extend_from_slice(&buffer[..length]);
        pending.extend_from_slice(&buffer[..length]);
        loop {
            match Recorded::read(&pending) {
                Ok(None) => break,
                Ok(Some((request, length))) => {
                    pending.drain(..length);
                    let reply = answer(&request);
                    lock(&recorder.record).requests.push(request);
                    recorder.changed.notify_all();
                    if !write(&mut stream, reply) {
                        return;
                    }
                }
                Err(fault) => {
                    lock(&recorder.record).faults.push(fault);
                    recorder.changed.notify_all();
                    write(
                        &mut stream,
                        Reply::raw("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").then_closing(),
                    );
                    return;
                }
            }
        }
    }
    if !pending.is_empty() {
        lock(&recorder.record).faults.push(format!("ended within a request: {:?}", String::from_utf8_lossy(&pending)));
        recorder.changed.notify_all();
    }
}

/// Writes the reply; `false` if the connection is over.
fn write(stream: &mut TcpStream, reply: Reply) -> bool {
    for part in reply.0 {
        match part {
            Part::Bytes(bytes) if stream.write_all(&bytes).is_ok() => {}
            Part::Repeated(bytes, times) if (0..times).all(|_| stream.write_all(&bytes).is_ok()) => {}
            Part::Wait(gate) => gate.wait(),
            Part::Bytes(_) | Part::Repeated(..) | Part::Close => {
                // Closed already, if it cannot be closed.
                drop(stream.shutdown(Shutdown::Both));
                return false;
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::client::RawClient;
    use crate::support::request::request;

    #[test]
    fn a_smuggled_request_shows_up_as_one_more_request() {
        let backend = Backend::answering("hello");
        let mut client = RawClient::connect(backend.address());
        client.send(
            b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbodyGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        );
        let targets: Vec<_> = backend.wait_for(2).into_iter().map(|request| request.target).collect();
        assert_eq!(targets, ["/a", "/smuggled"]);
    }

    #[test]
    fn two_framings_in_one_request_are_a_fault_and_no_request() {
        let backend = Backend::answering("hello");
        let mut client = RawClient::connect(backend.address());
        let bytes =
            b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /";
        client.send(bytes);
        assert_eq!(client.read_response().status, 400);
        backend.wait("a fault", |record| record.faults.len() == 1);
        assert_eq!((backend.requests(), backend.bytes()), (vec![], vec![bytes.to_vec()]));
        assert!(client.is_closed());
    }

    #[test]
    fn every_byte_is_recorded_also_of_a_request_that_never_becomes_whole() {
        let backend = Backend::answering("hello");
        let mut client = RawClient::connect(backend.address());
        client.send_split(b"GET /half HTTP/1.1\r\nHo", &[1, 2, 3]);
        client.finish();
        backend.wait("a fault", |record| record.faults.len() == 1);
        assert_eq!(backend.bytes(), [b"GET /half HTTP/1.1\r\nHo"]);
        assert!(backend.faults()[0].starts_with("ended within a request"));
        assert!(backend.requests().is_empty());
    }

    #[test]
    fn a_request_sent_byte_by_byte_is_recorded_as_it_was_and_answered_once() {
        let backend = Backend::replying(|request| Reply::ok(&request.body));
        let mut client = RawClient::connect(backend.address());
        let sent = request("POST", "/a?b=c").host("x.example").token("secret").header("X-Two", "1").body("hello");
        client.send_split(&sent.bytes(), &[1]);
        let reply = client.read_response();
        assert_eq!((reply.status, reply.text(), reply.closed), (200, "hello".to_owned(), false));
        assert_eq!(reply.header("content-type"), Some("text/plain"));
        let recorded = &backend.wait_for(1)[0];
        assert_eq!((&*recorded.method, &*recorded.target, &*recorded.body), ("POST", "/a?b=c", &b"hello"[..]));
        assert_eq!((recorded.all("host"), recorded.all("AUTHORIZATION")), (vec!["x.example"], vec!["Bearer secret"]));
        assert_eq!(backend.bytes(), [sent.bytes()]);
        client.send(&request("GET", "/again").bytes());
        assert_eq!(client.read_response().text(), "");
    }

    #[test]
    fn replies_may_be_chunked_held_back_cut_off_or_ended_by_closing() {
        let gate = Gate::default();
        let held = gate.clone();
        let backend = Backend::replying(move |request| match &*request.target {
            "/chunked" => Reply::chunked(&["hel", "lo"]),
            "/held" => Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel").then_waiting_for(&held).then("lo"),
            "/cut" => Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel").then_closing(),
            _ => Reply::raw("HTTP/1.1 200 OK\r\n\r\nhello").then_closing(),
        });
        let ask = |target| {
            let mut client = RawClient::connect(backend.address());
            client.send(&request("GET", target).bytes());
            client
        };
        assert_eq!(ask("/chunked").read_response().text(), "hello");
        let mut waiting = ask("/held");
        backend.wait_for(2);
        gate.open();
        assert_eq!(waiting.read_response().text(), "hello");
        assert!(ask("/cut").try_read_response().is_err());
        let closed = ask("/close").read_response();
        assert_eq!((closed.text(), closed.closed), ("hello".to_owned(), true));
    }

    #[test]
    fn a_reply_to_head_has_no_body_and_interim_replies_are_passed_over() {
        let backend = Backend::replying(|_| {
            Reply::raw("HTTP/1.1 103 Early Hints\r\n\r\n").then("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        });
        let mut client = RawClient::connect(backend.address()).asking_heads();
        for _ in 0..2 {
            client.send(&request("HEAD", "/").bytes());
            let reply = client.read_response();
            assert_eq!((reply.status, reply.body.len()), (200, 0));
        }
    }
}
