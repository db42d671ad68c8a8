//! The head of a request as the lane reads it: where it stands, without a copy.
//!
//! Promises: a head that passes is one that the engine would take, and read in the same way; it has one Host, no body in
//! chunks, a target of plain characters, names of letters, digits, `-` and `_`, and asks for nothing that changes the connection.
//! Deliberately does not: refuse. What is not usual is for the engine to judge.

use std::mem::MaybeUninit;

use http::{HeaderName, Method};
use httparse::{Header, Request, Status};

use crate::gateway::headers::cookie::may_be_of_console;
use crate::gateway::headers::{self, Lines};
use crate::net::guard::{HeadBounds, length_in};

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
    /// How many bytes of a body come behind it.
    pub(super) body: u64,
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
    /// Reads the head that `bytes` begin with; `None` if it is not whole, or there is anything unusual about it.
    pub(super) fn read(bytes: &'b [u8], bounds: &HeadBounds, memory: &'m mut Memory<'b>) -> Option<Self> {
        let mut request = Request::new(&mut []);
        let Status::Complete(length) = request.parse_with_uninit_headers(bytes, memory).ok()? else { return None };
        let (method, target) = (method(request.method?)?, request.path.filter(|target| is_plain(target))?);
        let fields = Fields(request.headers);
        let is_bounded =
            length <= bounds.head_bytes && target.len() <= bounds.uri_bytes && fields.0.len() <= bounds.header_count;
        if request.version != Some(1) || !is_bounded {
            return None;
        }
        let Usual { host, length: body, closes, has_trace } = Usual::of(fields)?;
        let (bytes, is_traced) = (bytes.get(..length)?, has_trace && headers::is_traced(&fields));
        Some(Self { method, target, host: host?, fields, bytes, body: body.unwrap_or(0), is_traced, closes })
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
    const PLAIN: [bool; 256] = letters_digits_and(b"-._~!$&'()*+,;=:@/?%");
    target.starts_with('/') && target.bytes().all(|byte| PLAIN[usize::from(byte)])
}

/// Of which bytes a plain text is made.
const fn letters_digits_and(marks: &[u8]) -> [bool; 256] {
    let (mut table, mut byte) = ([false; 256], 0_u8);
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut mark = 0;
    while mark < marks.len() {
        table[marks[mark] as usize] = true;
        mark += 1;
    }
    table
}

/// What the lines of a head say that is the connection's.
struct Usual<'b> {
    host: Option<&'b str>,
    /// Of the body.
    length: Option<u64>,
    closes: bool,
    has_trace: bool,
}

impl<'b> Usual<'b> {
    fn of(fields: Fields<'_, 'b>) -> Option<Self> {
        const PLAIN: [bool; 256] = letters_digits_and(b"-_");
        let mut usual = Self { host: None, length: None, closes: false, has_trace: false };
        for field in fields.0 {
            let is = |name| is(field.name, name);
            let unusual = match field.name.len() {
                2 => is("te"),
                4 if is("host") => usual.host.replace(std::str::from_utf8(field.value).ok()?).is_some(),
                6 if is("cookie") => may_be_of_console(field.value),
                6 => is("expect"),
                7 => is("upgrade") || is("trailer"),
                10 if is("connection") => !usual.connection(field.value),
                11 if is("traceparent") => {
                    usual.has_trace = true;
                    false
                }
                14 if is("content-length") => usual.length.replace(length_in(field.value)?).is_some(),
                14 => is("http2-settings"),
                17 => is("transfer-encoding"),
                _ => false,
            };
            if unusual || !field.name.bytes().all(|byte| PLAIN[usize::from(byte)]) {
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

    const BOUNDS: HeadBounds = HeadBounds { head_bytes: 1024, header_count: 100, uri_bytes: 100 };

    /// `method target host body closes` of a head with these lines, if it is usual.
    fn read(request_line: &str, lines: &[&str]) -> Option<String> {
        let text = [&[request_line], lines, &["", ""]].concat().join("\r\n");
        let mut memory = [const { MaybeUninit::uninit() }; MOST_LINES];
        let head = Head::read(text.as_bytes(), &BOUNDS, &mut memory)?;
        assert_eq!(head.bytes, text.as_bytes());
        Some(format!("{} {} {} {} {}", head.method, head.target, head.host, head.body, head.closes))
    }

    #[test]
    fn a_usual_head_is_read() {
        let lines = ["host: a:80", "X-Any_thing:  x ", "Content-Length: 3", "Connection: Keep-Alive"];
        assert_eq!(read("POST /a%20b?c=d HTTP/1.1", &lines).as_deref(), Some("POST /a%20b?c=d a:80 3 false"));
        assert_eq!(read("GET / HTTP/1.1", &["HOST: a", "connection: close"]).as_deref(), Some("GET / a 0 true"));
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
            &["host: a", "content-length: x"],
            &["host: a", "content-length: 1, 1"],
            &["host: a", "content-length: 1", "content-length: 1"],
        ] {
            assert_eq!(read("GET / HTTP/1.1", lines), None, "{lines:?}");
        }
        let many: Vec<_> = std::iter::once("host: a").chain(["a: b"; 100]).collect();
        assert_eq!(read("GET / HTTP/1.1", &many), None);
    }

    #[test]
    fn what_is_over_a_bound_or_not_whole_is_left_to_the_guard() {
        let text = b"GET /1234 HTTP/1.1\r\nhost: a\r\nb: c\r\n\r\nmore";
        let is_read = |bytes: &[u8], bounds| {
            let mut memory = [const { MaybeUninit::uninit() }; MOST_LINES];
            Head::read(bytes, &bounds, &mut memory).is_some()
        };
        let bounds = HeadBounds { head_bytes: text.len() - 4, header_count: 2, uri_bytes: 5 };
        assert!(is_read(text, bounds));
        assert!(!is_read(text, HeadBounds { head_bytes: bounds.head_bytes - 1, ..bounds }));
        assert!(!is_read(text, HeadBounds { header_count: 1, ..bounds }));
        assert!(!is_read(text, HeadBounds { uri_bytes: 4, ..bounds }));
        assert!(!is_read(&text[..text.len() - 5], bounds));
    }
}
