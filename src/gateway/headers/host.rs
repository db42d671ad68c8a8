//! The host that a request is for.
//!
//! Promises: one spelling: lower case, no port, no final dot, IPv6 addresses in their canonical text.
//! Deliberately does not: resolve anything, or choose whom the gateway dials.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use http::header::HOST;
use http::{HeaderMap, Uri};
use memchr::memchr;

use crate::gateway::refusal::Refusal;

/// The host of a request without its port (RFC 9110 §7.2): there is exactly one `Host`, it is a host with or without
/// a port, and it is that of the target where the target names one. Allocates only to change a spelling.
pub fn host_of<'a>(target: &Uri, headers: &'a HeaderMap) -> Result<Cow<'a, str>, Refusal> {
    let mut lines = headers.get_all(HOST).iter();
    let (Some(value), None) = (lines.next(), lines.next()) else {
        return Err(Refusal::BadRequest("There is not exactly one Host header"));
    };
    let Ok(value) = value.to_str() else { return Err(MALFORMED) };
    if target.authority().is_some_and(|authority| !authority.as_str().eq_ignore_ascii_case(value)) {
        return Err(Refusal::BadRequest("The Host header is not the host of the request target"));
    }
    host_in(value)
}

/// The host in the value of `Host`.
pub fn host_in(value: &str) -> Result<Cow<'_, str>, Refusal> {
    match value.strip_prefix('[') {
        Some(rest) => ipv6(value, rest),
        None => name(value),
    }
}

const MALFORMED: Refusal = Refusal::BadRequest("The Host header is malformed");

const ILLEGAL: u8 = 1;
const CAPITAL: u8 = 2;
const DOT: u8 = 4;

/// What each byte is in a name.
const CLASS: [u8; 256] = {
    let (mut table, mut byte) = ([ILLEGAL; 256], 0_u8);
    while byte < 128 {
        table[byte as usize] = match byte {
            b'A'..=b'Z' => CAPITAL,
            b'.' => DOT,
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => 0,
            _ => ILLEGAL,
        };
        byte += 1;
    }
    table
};

/// A name or an IPv4 address, of letters, digits, `-` and `_` in labels that are not empty.
fn name(value: &str) -> Result<Cow<'_, str>, Refusal> {
    let colon = memchr(b':', value.as_bytes()).and_then(|colon| value.split_at_checked(colon));
    let (host, port) = colon.map_or((value, None), |(host, port)| (host, port.get(1..)));
    let host = host.strip_suffix('.').unwrap_or(host);
    let (mut all, mut twice, mut before) = (0, 0, DOT);
    for byte in host.bytes() {
        let class = CLASS[usize::from(byte)];
        (all, twice, before) = (all | class, twice | (before & class), class);
    }
    let is_legal = host.len() <= 253 && all & ILLEGAL == 0;
    let has_empty_label = (twice | before) & DOT != 0;
    if !is_legal || has_empty_label || !port.is_none_or(is_port) {
        return Err(MALFORMED);
    }
    Ok(if all & CAPITAL != 0 { Cow::Owned(host.to_ascii_lowercase()) } else { Cow::Borrowed(host) })
}

/// `value` is `[` and `rest`.
fn ipv6<'a>(value: &'a str, rest: &'a str) -> Result<Cow<'a, str>, Refusal> {
    let (address, port) = rest.split_once(']').ok_or(MALFORMED)?;
    let port_is_legal = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    let canonical = address.parse::<Ipv6Addr>().map_err(|_| MALFORMED)?.to_string();
    if !port_is_legal {
        return Err(MALFORMED);
    }
    match value.get(..address.len() + 2) {
        Some(host) if canonical == address => Ok(Cow::Borrowed(host)),
        _ => Ok(Cow::Owned(format!("[{canonical}]"))),
    }
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
}
