//! What a request of HTTP/1.1 says, said over HTTP/2 (RFC 9113 §8.3).
//!
//! Promises: nothing is put right on the way but what HTTP/2 has no words for: names are in lower case, chunks are unpacked, and
//! a single host is the authority.

use super::frames::{CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, block, frame};
use super::wire::chunked;

/// A header line, as bytes.
type Line = (Vec<u8>, Vec<u8>);

/// One stream, up to its end.
pub(crate) struct Translated {
    headers: Vec<Line>,
    body: Vec<u8>,
    trailers: Vec<Line>,
}

impl Translated {
    /// Of a request whose lines end in CRLF. Of several hosts the first is the authority besides, where the target names none.
    pub(crate) fn from(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
        let (head, body) = (&bytes[..end], &bytes[end + 4..]);
        let (line, lines) = split(head, b"\r\n").unwrap_or((head, &[]));
        let (method, rest) = split(line, b" ").expect("a method");
        let target = rest.strip_suffix(b" HTTP/1.1").expect("a version");
        let mut lines: Vec<Line> = each(lines).map(read).collect();
        let (authority, path) = if let Some(rest) = target.strip_prefix(b"http://") {
            let slash = rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len());
            (Some(rest[..slash].to_vec()), &rest[slash..])
        } else {
            let hosts: Vec<_> =
                lines.iter().filter(|(name, _)| name == b"host").map(|(_, host)| host.clone()).collect();
            lines.retain(|(name, _)| name != b"host" || hosts.len() > 1);
            (hosts.into_iter().next(), target)
        };
        let mut headers: Vec<Line> = [(":method", method), (":scheme", b"http"), (":path", path)]
            .map(|(name, value)| (name.into(), value.into()))
            .into();
        headers.extend(authority.map(|authority| (b":authority".to_vec(), authority)));
        let is_chunked = lines.iter().any(|(name, _)| name == b"transfer-encoding");
        headers.extend(lines.into_iter().filter(|(name, _)| name != b"transfer-encoding"));
        if !is_chunked {
            return Self { headers, body: body.to_vec(), trailers: Vec::new() };
        }
        let (body, trailers, _) = chunked(body).expect("chunks").expect("an end");
        let trailers = trailers.into_iter().map(|(name, value)| (name.to_ascii_lowercase().into(), value.into()));
        Self { headers, body, trailers: trailers.collect() }
    }

    /// The frames of it on `stream`, its headers in so many pieces.
    pub(crate) fn frames(&self, stream: u32, pieces: usize) -> Vec<u8> {
        let ends = |is_last| if is_last { END_STREAM } else { 0 };
        let headers = block(&self.headers);
        let mut bytes = Vec::new();
        let mut left: &[u8] = &headers;
        for piece in (0..pieces).rev() {
            let here = left.len() / (piece + 1);
            let end = if piece == 0 { END_HEADERS } else { 0 };
            let (kind, flags) = if bytes.is_empty() {
                (HEADERS, ends(self.body.is_empty() && self.trailers.is_empty()))
            } else {
                (CONTINUATION, 0)
            };
            bytes.extend(frame(kind, flags | end, stream, &left[..here]));
            left = &left[here..];
        }
        if !self.body.is_empty() {
            bytes.extend(frame(DATA, ends(self.trailers.is_empty()), stream, &self.body));
        }
        if !self.trailers.is_empty() {
            bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&self.trailers)));
        }
        bytes
    }
}

fn split<'b>(bytes: &'b [u8], at: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let place = bytes.windows(at.len()).position(|part| part == at)?;
    Some((&bytes[..place], &bytes[place + at.len()..]))
}

fn each(mut lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (line, rest) = split(lines, b"\r\n").unwrap_or((lines, &[]));
        lines = rest;
        (!line.is_empty()).then_some(line)
    })
}

fn read(line: &[u8]) -> Line {
    let (name, value) = split(line, b":").expect("a colon");
    (name.to_ascii_lowercase(), value.strip_prefix(b" ").unwrap_or(value).to_vec())
}
