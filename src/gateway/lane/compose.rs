//! The head of the request that the backend gets, written where it is sent from.
//!
//! Promises: the rules of [`headers`], by the same functions: nothing protected passes in any spelling, and what the gateway
//! says stands after it. The order of the lines that pass is kept.
//! Deliberately does not: choose the backend; its `Host` is put in where it stands.

use std::io::Write as _;
use std::ops::Range;

use http::{HeaderName, HeaderValue, Method};
use httparse::Header;

use crate::gateway::Client;
use crate::gateway::exchange::Exchange;
use crate::gateway::headers::{self, name::Kind};
use crate::gateway::verdict::Permit;
use crate::gateway::worker::Worker;

use super::head::{Head, is};

/// A head to be sent, with the body behind it as far as it is here.
pub(super) struct Composed {
    pub(super) text: Vec<u8>,
    /// Where the value of `Host` stands.
    host: Range<usize>,
}

impl Composed {
    /// Begins in `text`, which is empty.
    pub(super) fn begin(mut text: Vec<u8>, method: &Method, target: &str, host: &HeaderValue) -> Self {
        text.extend_from_slice(method.as_str().as_bytes());
        text.push(b' ');
        text.extend_from_slice(target.as_bytes());
        text.extend_from_slice(b" HTTP/1.1\r\nhost: ");
        let start = text.len();
        text.extend_from_slice(host.as_bytes());
        let host = start..text.len();
        text.extend_from_slice(b"\r\n");
        Self { text, host }
    }

    /// Makes it a request to `host`.
    pub(super) fn address(&mut self, host: &HeaderValue) {
        if self.text.get(self.host.clone()) != Some(host.as_bytes()) {
            self.text.splice(self.host.clone(), host.as_bytes().iter().copied());
            self.host.end = self.host.start + host.len();
        }
    }

    /// Passes on the client's lines, but for those that must not pass and those that `is_taken`.
    pub(super) fn pass(&mut self, head: &Head<'_, '_>, is_taken: impl Fn(&str, &[u8]) -> bool) {
        let passes = |name: &str, value: &[u8]| match Kind::of(name) {
            Kind::Plain | Kind::Cookie => !is(name, "host") && !is_taken(name, value),
            Kind::Trace => head.is_traced,
            Kind::Te | Kind::Dropped | Kind::Foreign => false, // the lane takes neither of the last two
        };
        copy_lines(&mut self.text, head.bytes, head.fields.0, passes);
    }

    /// What the gateway says of the request and of who is behind it.
    pub(super) fn tell(&mut self, head: &Head<'_, '_>, client: &Client, exchange: &Exchange, worker: &Worker) {
        let (fields, peer) = (&head.fields, &client.peer);
        self.line("x-forwarded-for", &headers::addresses(fields, peer));
        let proto = headers::believed_proto(fields, peer);
        self.line("x-forwarded-proto", proto.unwrap_or(client.scheme.as_str().as_bytes()));
        self.line("x-forwarded-host", headers::believed_host(fields, peer).unwrap_or(head.host.as_bytes()));
        self.line("x-request-id", exchange.request_id.as_bytes());
        self.line("via", b"1.1 relevo");
        if !head.is_traced {
            self.line("traceparent", &headers::traceparent(worker.entropy()));
        }
    }

    /// Who calls, and with which of the key's tokens.
    pub(super) fn identify(&mut self, permit: &Permit) {
        let Some(holder) = permit.holder() else { return };
        let pass = holder.pass();
        self.text.extend_from_slice(b"x-relevo-key-id: ");
        pass.write_key_id(&mut self.text);
        self.text.extend_from_slice(b"\r\nx-relevo-key-name: ");
        pass.write_key_name(&mut self.text);
        self.text.extend_from_slice(b"\r\nx-relevo-roles: ");
        pass.write_roles(&mut self.text);
        self.text.extend_from_slice(b"\r\nx-relevo-token: ");
        self.text.extend_from_slice(holder.slot().as_str().as_bytes());
        self.text.extend_from_slice(b"\r\n");
    }

    /// Ends the head. A body of `length` bytes comes behind it.
    pub(super) fn end(&mut self, method: &Method, length: u64) {
        if length > 0 || [Method::POST, Method::PUT, Method::PATCH].contains(method) {
            write!(self.text, "content-length: {length}\r\n").unwrap_or_default(); // memory takes all; RFC 9110 §8.6
        }
        self.text.extend_from_slice(b"\r\n");
    }

    fn line(&mut self, name: &str, value: &[u8]) {
        line(&mut self.text, name.as_bytes(), value);
    }
}

/// Appends a header line.
pub(super) fn line(text: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    text.extend_from_slice(name);
    text.extend_from_slice(b": ");
    text.extend_from_slice(value);
    text.extend_from_slice(b"\r\n");
}

/// Appends the lines of `fields` that pass, which were read from `bytes`. What stands there together as it is to be written
/// is copied together.
pub(super) fn copy_lines(
    text: &mut Vec<u8>,
    bytes: &[u8],
    fields: &[Header<'_>],
    passes: impl Fn(&str, &[u8]) -> bool,
) {
    let mut run = 0..0;
    for Header { name, value } in fields {
        if !passes(name, value) {
            continue;
        }
        let place = place_of(bytes, name, value);
        if let Some(place) = place.clone().filter(|place| place.start == run.end) {
            run.end = place.end;
            continue;
        }
        text.extend_from_slice(bytes.get(run).unwrap_or_default());
        run = place.clone().unwrap_or(0..0);
        if place.is_none() {
            line(text, name.as_bytes(), value);
        }
    }
    text.extend_from_slice(bytes.get(run).unwrap_or_default());
}

/// Where in `bytes` a line stands that was read from there, if it is written as [`line`] would write it.
fn place_of(bytes: &[u8], name: &str, value: &[u8]) -> Option<Range<usize>> {
    let offset = |part: *const u8| part.addr().wrapping_sub(bytes.as_ptr().addr());
    let (start, at) = (offset(name.as_ptr()), offset(value.as_ptr()));
    let end = at.checked_add(value.len())?;
    let is_plain = bytes.get(start.checked_add(name.len())?..at)? == b": " && bytes.get(end..end + 2)? == b"\r\n";
    is_plain.then_some(start..end + 2)
}

/// Whether `name` is, in any case, one of `names`.
pub(super) fn is_one_of(name: &str, names: [Option<&HeaderName>; 2]) -> bool {
    names.iter().flatten().any(|known| known.as_str().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_pass_are_written_in_their_order_and_in_one_form() {
        let bytes = b"GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\nX: x\r\nC:3\r\nD:  4 \r\nE: 5\nF: 6\r\nX: x\r\nG: \r\nH:\r\nI: 9\r\n\r\n";
        let mut memory = [httparse::EMPTY_HEADER; 16];
        let mut request = httparse::Request::new(&mut memory);
        assert!(request.parse(bytes).expect("a head").is_complete());
        let mut text = Vec::new();
        copy_lines(&mut text, bytes, request.headers, |name, _| name != "X");
        let expected = "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nF: 6\r\nG: \r\nH: \r\nI: 9\r\n";
        assert_eq!(String::from_utf8(text).expect("text"), expected);
    }
}
