//! The head of the request that the backend gets, written where it is sent from.
//!
//! Promises: the rules of [`headers`], by the same functions: nothing protected passes in any spelling, and what the gateway
//! says stands after it. The order of the lines that pass is kept.
//! Deliberately does not: choose the backend; its `Host` is put in where it stands.

use std::io::Write as _;
use std::ops::Range;

use http::{HeaderName, HeaderValue, Method};

use crate::gateway::Client;
use crate::gateway::exchange::Exchange;
use crate::gateway::headers::{self, name::Kind};
use crate::gateway::verdict::Permit;
use crate::gateway::worker::Worker;

use super::head::{Head, LONGEST_NAME, lower};

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
        let is_traced = headers::is_traced(&head.fields);
        let mut memory = [0; LONGEST_NAME];
        for field in head.fields.0 {
            let passes = match lower(field.name, &mut memory) {
                Some("host") | None => false,
                Some(name) => match Kind::of_text(name) {
                    Kind::Plain => !is_taken(field.name, field.value),
                    Kind::Trace => is_traced,
                    Kind::Te | Kind::Dropped | Kind::Foreign => false, // the lane takes neither of the last two
                },
            };
            if passes {
                self.line(field.name, field.value);
            }
        }
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
        if !headers::is_traced(fields) {
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

/// Whether `name` is, in any case, one of `names`.
pub(super) fn is_one_of(name: &str, names: [Option<&HeaderName>; 2]) -> bool {
    names.iter().flatten().any(|known| known.as_str().eq_ignore_ascii_case(name))
}
