//! A backend's reply as the client gets it: its head written anew, its body passed on as it comes.
//!
//! Promises: one framing, which is the backend's if that is sound: a reply that could mean two things is none. Nothing of
//! one connection passes to the other; trailers do not pass, since nobody who asked for them comes this way.
//! Deliberately does not: read or write anything.

use std::io::Write as _;
use std::mem::MaybeUninit;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use httparse::{Header, Response, Status};

use crate::gateway;
use crate::gateway::exchange::Exchange;
use crate::gateway::headers::{self, name::is_dropped_from_response};
use crate::gateway::limit;
use crate::gateway::refusal::Refusal;
use crate::limiter::Standing;
use crate::net::guard::{Chunked, Read, length_in};

use super::compose::{copy_lines, line};
use super::head::{MOST_LINES, is};

/// The most bytes of trailers that are passed over.
const TRAILERS: usize = 32 * 1024;

/// What a reply has to say beside what the backend says.
pub(super) struct Telling<'a> {
    pub(super) method: &'a Method,
    pub(super) request_id: &'a [u8],
    /// The value of `Relevo-Token`.
    pub(super) token: Option<HeaderValue>,
    /// Whether it is the last on its connection.
    pub(super) closes: bool,
    /// What `Date` says where the backend does not.
    pub(super) date: &'a [u8],
    /// What is left of the key's limits, where it has any.
    pub(super) limits: Option<&'a Standing>,
}

/// The head of a reply, read.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Body,
    /// Whether the backend keeps its connection.
    pub(super) keeps: bool,
    /// Whether it is a stream of events.
    pub(super) is_stream: bool,
}

/// What was read.
pub(super) enum Found {
    /// Not a whole head.
    Part,
    /// An interim reply of so many bytes.
    Interim(usize),
    /// A reply whose head has so many bytes.
    Whole(Reply, usize),
    /// What is no reply, or more than one.
    Nonsense,
}

/// The rest of a reply's body.
#[derive(Debug)]
pub(super) enum Body {
    Length(u64),
    /// As it comes in chunks.
    Chunks(Chunked),
    /// The trailers after the chunks, so many bytes so far.
    Trailers(Chunked, usize),
    /// Until the backend closes; it is made chunks here.
    UntilClose,
}

/// What of some bytes is to be sent on.
#[derive(Default, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    /// What stands before them.
    pub(super) before: Vec<u8>,
    pub(super) length: usize,
    pub(super) after: &'static [u8],
    /// How many of them are content.
    pub(super) content: u64,
    /// Whether the body ends with them.
    pub(super) ends: bool,
    /// Whether there is more than the body.
    pub(super) surplus: bool,
}

/// What is no body.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Broken;

/// Reads the head at the beginning of `bytes`, and writes it to `text` as the client gets it.
pub(super) fn read(bytes: &[u8], telling: &Telling<'_>, text: &mut Vec<u8>) -> Found {
    let mut memory: [MaybeUninit<Header<'_>>; MOST_LINES] = [const { MaybeUninit::uninit() }; MOST_LINES];
    let mut response = Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    let length = match parser.parse_response_with_uninit_headers(&mut response, bytes, &mut memory) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Found::Part,
        Err(_) => return Found::Nonsense,
    };
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
    match (status, response.version) {
        (None | Some(StatusCode::SWITCHING_PROTOCOLS), _) | (_, None) => Found::Nonsense,
        (Some(status), _) if status.is_informational() => Found::Interim(length),
        (Some(status), Some(version)) => match write(status, version, (bytes, response.headers), telling, text) {
            Some(reply) => Found::Whole(reply, length),
            None => Found::Nonsense,
        },
    }
}

/// What the lines of a reply say of its framing and its connection.
struct Said {
    length: Option<u64>,
    is_chunked: bool,
    link: Link,
    has_date: bool,
    is_stream: bool,
}

/// What `Connection` says.
#[derive(PartialEq, Eq)]
enum Link {
    Keeps,
    Closes,
    /// It names headers, or something else that is unusual.
    Names,
}

impl Said {
    /// `None`: there is more than one framing, or none that is sound.
    fn of(fields: &[Header<'_>]) -> Option<Self> {
        let mut said = Self { length: None, is_chunked: false, link: Link::Keeps, has_date: false, is_stream: false };
        for Header { name, value } in fields {
            match name.len() {
                4 => said.has_date |= is(name, "date"),
                10 if is(name, "connection") => said.connection(value),
                12 if is(name, "content-type") => said.is_stream = headers::is_event_stream(value),
                14 if is(name, "content-length") => {
                    let length = length_in(value)?;
                    if said.length.replace(length).is_some_and(|other| other != length) {
                        return None;
                    }
                }
                17 if is(name, "transfer-encoding") => {
                    let is_one = !said.is_chunked && value.eq_ignore_ascii_case(b"chunked");
                    is_one.then_some(())?;
                    said.is_chunked = true;
                }
                _ => {}
            }
        }
        let is_one = !(said.is_chunked && said.length.is_some());
        is_one.then_some(said)
    }

    fn connection(&mut self, value: &[u8]) {
        if value.eq_ignore_ascii_case(b"close") {
            self.link = if self.link == Link::Names { Link::Names } else { Link::Closes };
        } else if !value.eq_ignore_ascii_case(b"keep-alive") {
            self.link = Link::Names;
        }
    }

    /// The body behind a head that says so.
    fn body(&self) -> Body {
        match (self.is_chunked, self.length) {
            (true, _) => Body::Chunks(Chunked::default()),
            (false, Some(length)) => Body::Length(length),
            (false, None) => Body::UntilClose,
        }
    }
}

fn write(
    status: StatusCode,
    version: u8,
    (bytes, fields): (&[u8], &[Header<'_>]),
    telling: &Telling<'_>,
    text: &mut Vec<u8>,
) -> Option<Reply> {
    let said = Said::of(fields)?;
    if said.is_chunked && version == 0 {
        return None; // RFC 9112 §6.1
    }
    status_line(text, status);
    match said.link {
        Link::Keeps | Link::Closes => copy_lines(text, bytes, fields, |name, _| passes(name, telling)),
        Link::Names => write_named(fields, telling, text)?,
    }
    let has_no_body = telling.method == Method::HEAD || matches!(status.as_u16(), 204 | 304);
    let body = if has_no_body { Body::Length(0) } else { said.body() };
    match (said.length, &body) {
        (Some(length), _) if status != StatusCode::NO_CONTENT => {
            write!(text, "content-length: {length}\r\n").unwrap_or_default(); // memory takes all
        }
        (None, Body::Chunks(_) | Body::UntilClose) => line(text, b"transfer-encoding", b"chunked"),
        (Some(_) | None, _) => {}
    }
    if !said.has_date {
        line(text, b"date", telling.date); // RFC 9110 §6.6.1
    }
    finish(text, telling);
    let keeps = said.link == Link::Keeps && version == 1 && !matches!(body, Body::UntilClose);
    Some(Reply { status, body, keeps, is_stream: said.is_stream })
}

/// What of a reply is written here, or not at all, where `Connection` names no header.
fn passes(name: &str, telling: &Telling<'_>) -> bool {
    !is_written_here(name, telling) && !is_dropped_from_response(name)
}

/// What the gateway writes by itself.
fn is_written_here(name: &str, telling: &Telling<'_>) -> bool {
    match name.len() {
        9 => telling.limits.is_some() && is(name, "ratelimit"),
        16 => telling.limits.is_some() && is(name, "ratelimit-policy"),
        12 => is(name, "x-request-id"),
        14 => is(name, "content-length"),
        _ => false,
    }
}

/// The same where `Connection` names some: by the rules for a map of them.
fn write_named(fields: &[Header<'_>], telling: &Telling<'_>, text: &mut Vec<u8>) -> Option<()> {
    let mut map = HeaderMap::with_capacity(fields.len());
    for Header { name, value } in fields {
        map.append(HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?);
    }
    for (name, value) in &headers::sanitise_response(map).ok()? {
        if !is_written_here(name.as_str(), telling) {
            line(text, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    Some(())
}

/// Appends a status line.
pub(super) fn status_line(text: &mut Vec<u8>, status: StatusCode) {
    text.extend_from_slice(b"HTTP/1.1 ");
    text.extend_from_slice(status.as_str().as_bytes());
    text.push(b' ');
    text.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    text.extend_from_slice(b"\r\n");
}

/// Writes the gateway's own answer, and tells its status and how long its body is.
pub(super) fn refuse(
    refusal: Refusal,
    exchange: &Exchange,
    closes: bool,
    date: &[u8],
    text: &mut Vec<u8>,
) -> (StatusCode, usize) {
    let method = exchange.method();
    let refusal = refusal.told(exchange.site.config().errors.detail);
    let own = refusal.own_body();
    let problem = refusal.problem();
    let body = own.as_ref().map_or_else(|| problem.fixed_body(), |own| own.as_bytes());
    if own.is_none() && refusal.header_is_fixed() {
        text.extend_from_slice(problem.fixed_head(|| head_of(&refusal, body.len())));
    } else {
        text.extend_from_slice(&head_of(&refusal, body.len()));
    }
    line(text, b"date", date);
    let (request_id, limits) = (exchange.request_id.as_bytes(), refusal.standing());
    finish(text, &Telling { method, request_id, token: None, closes, date, limits });
    let body = if method == Method::HEAD { &[][..] } else { body };
    text.extend_from_slice(body);
    (refusal.status(), body.len())
}

/// What a refusal whose body has `length` bytes begins with.
fn head_of(refusal: &Refusal, length: usize) -> Vec<u8> {
    let mut text = Vec::new();
    status_line(&mut text, refusal.status());
    line(&mut text, b"content-type", gateway::reply::PROBLEM_JSON.as_bytes());
    line(&mut text, b"cache-control", gateway::reply::NO_STORE.as_bytes());
    if let Some((name, value)) = refusal.header() {
        line(&mut text, name.as_str().as_bytes(), value.as_bytes());
    }
    line(&mut text, b"content-length", length.to_string().as_bytes());
    text
}

/// Appends what the gateway says in every reply, and the end of the head.
fn finish(text: &mut Vec<u8>, telling: &Telling<'_>) {
    line(text, b"x-request-id", telling.request_id);
    if let Some(token) = &telling.token {
        line(text, b"relevo-token", token.as_bytes());
    }
    for (name, value) in telling.limits.into_iter().flat_map(limit::lines) {
        line(text, name.as_str().as_bytes(), value.as_bytes());
    }
    if telling.closes {
        line(text, b"connection", b"close");
    }
    text.extend_from_slice(b"\r\n");
}

impl Body {
    /// What of `bytes`, which come next, is to be sent on.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Piece, Broken> {
        match self {
            Self::Length(left) => {
                let length = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= length as u64;
                let (ends, surplus) = (*left == 0, length < bytes.len());
                Ok(Piece { length, content: length as u64, ends, surplus, ..Piece::default() })
            }
            Self::Chunks(chunks) => {
                let (before, read) = (*chunks, chunks.read_chunks(bytes));
                let (ours, ends) = match read {
                    Read::On => (bytes, false),
                    Read::Wrong(..) => return Err(Broken),
                    Read::To(length) => (bytes.get(..length).unwrap_or_default(), true),
                };
                let content = chunks.content() - before.content();
                let is_plain = chunks.extra() == before.extra();
                let rest = if ends {
                    *self = Self::Trailers(*chunks, 0);
                    self.take(bytes.get(ours.len()..).unwrap_or_default())?
                } else {
                    Piece::default()
                };
                Ok(if is_plain {
                    Piece { length: ours.len(), content, ..rest }
                } else {
                    Piece { before: before.without_extra(ours), content, ..rest }
                })
            }
            Self::Trailers(chunks, so_far) => {
                *so_far += bytes.len();
                match chunks.read(bytes) {
                    Read::To(length) => {
                        Ok(Piece { after: b"\r\n", ends: true, surplus: length < bytes.len(), ..Piece::default() })
                    }
                    Read::On if *so_far <= TRAILERS => Ok(Piece::default()),
                    Read::On | Read::Wrong(..) => Err(Broken),
                }
            }
            Self::UntilClose if bytes.is_empty() => Ok(Piece::default()),
            Self::UntilClose => {
                let (before, length) = (format!("{:x}\r\n", bytes.len()).into_bytes(), bytes.len());
                Ok(Piece { before, length, after: b"\r\n", content: length as u64, ..Piece::default() })
            }
        }
    }

    /// What is to be sent when the backend has closed, if that is an end.
    pub(super) fn close(&self) -> Result<&'static [u8], Broken> {
        match self {
            Self::UntilClose => Ok(b"0\r\n\r\n"),
            Self::Length(_) | Self::Chunks(_) | Self::Trailers(..) => Err(Broken),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn telling(method: &Method) -> Telling<'_> {
        Telling { method, request_id: b"id", token: None, closes: false, date: b"today", limits: None }
    }

    fn written(reply: &str) -> Option<(String, Reply)> {
        written_for(reply, &Method::GET)
    }

    fn written_for(reply: &str, method: &Method) -> Option<(String, Reply)> {
        let mut text = Vec::new();
        match read(reply.as_bytes(), &telling(method), &mut text) {
            Found::Whole(reply, _) => Some((String::from_utf8(text).expect("text"), reply)),
            Found::Part | Found::Interim(_) | Found::Nonsense => None,
        }
    }

    #[test]
    fn what_is_of_one_connection_or_of_the_gateway_does_not_pass() {
        let head = "HTTP/1.1 200 Fine\r\nDate: now\r\nA: 1\r\nKeep-Alive: 5\r\nContent-Length: 003\r\nRelevo-Token: x\r\n\
                    X-Request-Id: theirs\r\nConnection: b\r\nB: 2\r\nrelevo_token: y\r\n\r\n";
        let (text, reply) = written(head).expect("a reply");
        assert_eq!(text, "HTTP/1.1 200 OK\r\ndate: now\r\na: 1\r\ncontent-length: 3\r\nx-request-id: id\r\n\r\n");
        assert!(matches!(reply.body, Body::Length(3)));
        for lines in [
            "Connection: close\r\nConnection: a\r\n",
            "Connection: a, close\r\n",
            "Connection: a\r\nConnection: close\r\n",
        ] {
            let (text, reply) = written(&format!("HTTP/1.1 200 OK\r\nA: 1\r\n{lines}\r\n")).expect("a reply");
            assert!(!text.contains("a: 1") && !reply.keeps, "{lines:?}: {text}");
        }
        let (text, reply) = written("HTTP/1.1 200 OK\r\nA: 1\r\nconnection: close\r\n\r\n").expect("a reply");
        assert_eq!(
            text,
            "HTTP/1.1 200 OK\r\nA: 1\r\ntransfer-encoding: chunked\r\ndate: today\r\nx-request-id: id\r\n\r\n"
        );
        assert!(matches!(reply.body, Body::UntilClose) && !reply.keeps);
    }

    #[test]
    fn a_reply_that_could_mean_two_things_is_none() {
        for lines in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Content-Length: 1\r\nContent-Length: 2\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: +1\r\n",
            "Connection: content-length\r\nContent-Length: 1\r\n",
            "A : b\r\n",
        ] {
            assert!(written(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n")).is_none(), "{lines:?}");
        }
        for reply in
            ["HTTP/1.1 101 S\r\n\r\n", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "garbage\r\n\r\n"]
        {
            assert!(written(reply).is_none(), "{reply:?}");
        }
        assert!(written("HTTP/1.1 200 OK\r\nContent-Length: 1\r\ncontent-length: 01\r\n\r\n").is_some());
    }

    #[test]
    fn a_reply_to_head_or_without_content_has_no_body_whatever_it_says() {
        let head = "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 7\r\n\r\n";
        let (text, reply) = written_for(head, &Method::HEAD).expect("a reply");
        assert!(text.contains("content-length: 7\r\n") && matches!(reply.body, Body::Length(0)));
        let (text, reply) = written("HTTP/1.1 204 No\r\nContent-Length: 7\r\n\r\n").expect("a reply");
        assert!(!text.contains("content-length") && matches!(reply.body, Body::Length(0)));
        let (text, reply) = written("HTTP/1.1 304 No\r\n\r\n").expect("a reply");
        assert!(!text.contains("chunked") && matches!(reply.body, Body::Length(0)) && reply.keeps);
    }

    /// What of `bytes` passes, what comes after it, and whether it ends there and there is more.
    fn taken<'b>(body: &mut Body, bytes: &'b str) -> Result<(&'b str, &'static [u8], bool, bool), Broken> {
        body.take(bytes.as_bytes()).map(|piece| (&bytes[..piece.length], piece.after, piece.ends, piece.surplus))
    }

    #[test]
    fn a_body_ends_where_its_framing_says() {
        let mut body = Body::Length(5);
        assert_eq!(taken(&mut body, "abc"), Ok(("abc", &b""[..], false, false)));
        assert_eq!(taken(&mut body, "deX"), Ok(("de", &b""[..], true, true)));
        assert!(Body::Length(1).close().is_err());

        let mut body = Body::Chunks(Chunked::default());
        assert_eq!(taken(&mut body, "3\r\nab"), Ok(("3\r\nab", &b""[..], false, false)));
        assert_eq!(taken(&mut body, "c\r\n0\r\n\r\n"), Ok(("c\r\n0\r\n", &b"\r\n"[..], true, false)));
        let mut body = Body::Chunks(Chunked::default());
        assert_eq!(body.take(b"1\r\na\r\n0").map(|piece| piece.content), Ok(1));
        assert_eq!(taken(&mut body, "\r\nX-Relevo-Roles: a\r\n\r"), Ok(("\r\n", &b""[..], false, false)));
        assert_eq!(taken(&mut body, "\nX"), Ok(("", &b"\r\n"[..], true, true)));
        assert_eq!(Body::Chunks(Chunked::default()).take(b"+5\r\n"), Err(Broken));

        let mut body = Body::UntilClose;
        let piece = body.take(b"0123456789abcdef").expect("any");
        assert_eq!((&piece.before[..], piece.length, piece.after), (&b"10\r\n"[..], 16, &b"\r\n"[..]));
        assert_eq!(body.close(), Ok(&b"0\r\n\r\n"[..]));
    }
}
