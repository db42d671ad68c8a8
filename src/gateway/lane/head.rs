//! The head of a request as the lane reads it: where it stands, without a copy.
//!
//! Promises: a head that passes is one that the engine would take, and read in the same way; it has one Host, no body in
//! chunks, a target of plain characters, names of letters, digits, `-` and `_`, and asks for nothing that changes the connection.
//! Deliberately does not: refuse. What is not usual is for the engine to judge.

use std::mem::MaybeUninit;

use http::{HeaderName, Method};
use httparse::{Header, Request};

use crate::gateway::headers::{self, Lines};

/// The most lines of a head. The engine takes as many without an allocation.
pub(super) const MOST_LINES: usize = 100;

/// Room for the lines of a head.
pub(super) type Memory<'b> = [MaybeUninit<Header<'b>>; MOST_LINES];

/// A usual head.
pub(super) struct Head<'m, 'b> {
    pub(super) method: Method,
    /// In origin form (RFC 9112 §3.2.1).
    pub(super) target: &'b str,
    pub(super) host: &'b str,
    pub(super) fields: Fields<'m, 'b>,
    /// All of it, as it came.
    pub(super) bytes: &'b [u8],
    /// Whether the client's trace goes on.
    pub(super) is_traced: bool,
    /// Whether the client wants no other request on the connection.
    pub(super) closes: bool,
}

/// The lines of a head.
#[derive(Clone, Copy)]
pub(super) struct Fields<'m, 'b>(pub(super) &'m [Header<'b>]);

impl Lines for Fields<'_, '_> {
    fn named<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
        let known = name.as_str();
        self.0.iter().filter(move |field| is(field.name, known)).map(|field| field.value)
    }
}

/// Whether `name` is `known`, which is in lower case.
pub(super) fn is(name: &str, known: &str) -> bool {
    name.len() == known.len() && name.eq_ignore_ascii_case(known)
}

impl<'m, 'b> Head<'m, 'b> {
    /// Reads `bytes`, which are a whole head; `None` if there is anything unusual about it.
    pub(super) fn read(bytes: &'b [u8], memory: &'m mut Memory<'b>) -> Option<Self> {
        let mut request = Request::new(&mut []);
        if !request.parse_with_uninit_headers(bytes, memory).ok()?.is_complete() || request.version != Some(1) {
            return None;
        }
        let (method, target) = (method(request.method?)?, request.path.filter(|target| is_plain(target))?);
        let fields = Fields(request.headers);
        let usual = Usual::of(fields)?;
        let is_traced = usual.has_trace && headers::is_traced(&fields);
        Some(Self { method, target, host: usual.host?, fields, bytes, is_traced, closes: usual.closes })
    }
}

/// The methods that are served often.
fn method(name: &str) -> Option<Method> {
    Some(match name {
        "GET" => Method::GET,
        "POST" => Method::POST,
        "PUT" => Method::PUT,
        "PATCH" => Method::PATCH,
        "DELETE" => Method::DELETE,
        "HEAD" => Method::HEAD,
        "OPTIONS" => Method::OPTIONS,
        _ => return None,
    })
}

/// Whether a target is in origin form, and of characters that every reader of URIs takes (RFC 3986 §3.3, §3.4).
fn is_plain(target: &str) -> bool {
    const MARKS: &[u8] = b"-._~!$&'()*+,;=:@/?%";
    const PLAIN: [bool; 256] = {
        let (mut table, mut byte) = ([false; 256], 0_u8);
        while byte < 128 {
            table[byte as usize] = byte.is_ascii_alphanumeric();
            byte += 1;
        }
        let mut mark = 0;
        while mark < MARKS.len() {
            table[MARKS[mark] as usize] = true;
            mark += 1;
        }
        table
    };
    target.starts_with('/') && target.bytes().all(|byte| PLAIN[usize::from(byte)])
}

/// What the lines of a head say that is the connection's.
struct Usual<'b> {
    host: Option<&'b str>,
    closes: bool,
    has_trace: bool,
}

impl<'b> Usual<'b> {
    fn of(fields: Fields<'_, 'b>) -> Option<Self> {
        let mut usual = Self { host: None, closes: false, has_trace: false };
        for field in fields.0 {
            let is = |name| is(field.name, name);
            let unusual = match field.name.len() {
                2 => is("te"),
                4 if is("host") => usual.host.replace(std::str::from_utf8(field.value).ok()?).is_some(),
                6 => is("expect"),
                7 => is("upgrade") || is("trailer"),
                10 if is("connection") => !usual.connection(field.value),
                11 if is("traceparent") => {
                    usual.has_trace = true;
                    false
                }
                14 => is("http2-settings"),
                17 => is("transfer-encoding"),
                _ => false,
            };
            if unusual || !field.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
                return None;
            }
        }
        Some(usual)
    }

    /// Whether a line of `Connection` says one of two plain things.
    fn connection(&mut self, value: &[u8]) -> bool {
        let closes = value.eq_ignore_ascii_case(b"close");
        self.closes |= closes;
        closes || value.eq_ignore_ascii_case(b"keep-alive")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `method target host closes` of a head with these lines, if it is usual.
    fn read(request_line: &str, lines: &[&str]) -> Option<String> {
        let text = [&[request_line], lines, &["", ""]].concat().join("\r\n");
        let mut memory = [const { MaybeUninit::uninit() }; MOST_LINES];
        let head = Head::read(text.as_bytes(), &mut memory)?;
        Some(format!("{} {} {} {}", head.method, head.target, head.host, head.closes))
    }

    #[test]
    fn a_usual_head_is_read() {
        let lines = ["host: a:80", "X-Any_thing:  x ", "Content-Length: 3", "Connection: Keep-Alive"];
        assert_eq!(read("POST /a%20b?c=d HTTP/1.1", &lines).as_deref(), Some("POST /a%20b?c=d a:80 false"));
        assert_eq!(read("GET / HTTP/1.1", &["HOST: a", "connection: close"]).as_deref(), Some("GET / a true"));
    }

    #[test]
    fn what_is_unusual_is_left_to_the_engine() {
        for line in [
            "GET / HTTP/1.0",
            "BREW / HTTP/1.1",
            "TRACE / HTTP/1.1",
            "CONNECT a:80 HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "GET http://a/ HTTP/1.1",
            "GET /#a HTTP/1.1",
            "GET /a\\b HTTP/1.1",
            "GET /\u{e9} HTTP/1.1",
            "GET /a|b HTTP/1.1",
        ] {
            assert_eq!(read(line, &["host: a"]), None, "{line}");
        }
        for lines in [
            &["accept: */*"][..],
            &["host: a", "host: a"],
            &["host: a", "Expect: 100-continue"],
            &["host: a", "Upgrade: websocket"],
            &["host: a", "TE: trailers"],
            &["host: a", "Trailer: x"],
            &["host: a", "Transfer-Encoding: chunked"],
            &["host: a", "HTTP2-Settings: x"],
            &["host: a", "Connection: keep-alive, x-a"],
            &["host: a", "Connection: x-a"],
            &["host: a", "x.a: b"],
            &["host: a", "x~a: b"],
            &["host: a", " folded"],
        ] {
            assert_eq!(read("GET / HTTP/1.1", lines), None, "{lines:?}");
        }
        let many: Vec<_> = std::iter::once("host: a").chain(["a: b"; 100]).collect();
        assert_eq!(read("GET / HTTP/1.1", &many), None);
    }
}
