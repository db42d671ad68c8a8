//! From where and how a request came, as the backend learns it.
//!
//! Promises: only a trusted proxy is believed; of everybody else's words nothing passes but a sound `traceparent`.
//! Deliberately does not: draw randomness or look at sockets; both are handed in.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::header::{HOST, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use ipnet::IpNet;

use super::lines::{Lines, single};

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Who is at the other end of a connection. Made once per connection.
#[derive(Clone, Debug)]
pub struct Peer {
    address: HeaderValue,
    trusted: bool,
}

impl Peer {
    /// The peer at `address`, a proxy that is believed if it is in `trusted`. `None` cannot occur: every address is
    /// a legal header value.
    pub fn at(address: IpAddr, trusted: &[IpNet]) -> Option<Self> {
        let address = address.to_canonical(); // an IPv4 address seen through an IPv6 socket
        let trusted = trusted.iter().any(|net| net.contains(&address));
        let address = HeaderValue::try_from(address.to_string()).ok()?;
        Some(Self { address, trusted })
    }

    /// Whether its `X-Forwarded-*` and `X-Request-Id` are believed.
    pub const fn is_trusted(&self) -> bool {
        self.trusted
    }
}

/// How the client speaks to the gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// In clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    pub(in crate::gateway) const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// What is known of a request beside its headers.
#[derive(Clone, Debug)]
pub struct Arrival<'a> {
    /// From whom it came.
    pub peer: &'a Peer,
    /// Over what.
    pub scheme: Scheme,
    /// In which version of HTTP.
    pub version: Version,
    /// What it is called: of [`request_id`], or new.
    pub request_id: HeaderValue,
    /// Random bytes for a trace to begin with.
    pub entropy: [u8; 24],
}

/// The `X-Request-Id` of a trusted proxy: one line of at most 128 visible ASCII characters.
pub fn request_id<'l>(lines: &'l impl Lines, peer: &Peer) -> Option<&'l [u8]> {
    let usable = |value: &&[u8]| (1..=128).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic);
    believed(lines, peer, &REQUEST_ID).filter(usable)
}

/// The client's address: that of the connection, or where a trusted proxy holds it, what the proxies tell in
/// `X-Forwarded-For`, read from its end. The first address that is not itself `trusted` is the client's; beyond one
/// that cannot be read nobody is believed.
pub fn client_address(lines: &impl Lines, peer: &Peer, connected: IpAddr, trusted: &[IpNet]) -> IpAddr {
    if !peer.trusted {
        return connected;
    }
    let told: Vec<&[u8]> = lines.named(&FORWARDED_FOR).flat_map(|line| line.split(|byte| *byte == b',')).collect();
    let mut client = connected;
    for address in told.into_iter().rev().map(<[u8]>::trim_ascii).filter(|address| !address.is_empty()) {
        let Some(address) = forwarded_address(address) else { break };
        client = address;
        if !trusted.iter().any(|net| net.contains(&client)) {
            break;
        }
    }
    client
}

/// An address as proxies write it: some add a port, and brackets before it.
fn forwarded_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let address = text.parse().or_else(|_| text.parse().map(|socket: SocketAddr| socket.ip()));
    let address = address.ok().or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok());
    address.map(|address| address.to_canonical())
}

/// The `X-Forwarded-Proto` of a trusted proxy.
pub(in crate::gateway) fn believed_proto<'l>(lines: &'l impl Lines, peer: &Peer) -> Option<&'l [u8]> {
    believed(lines, peer, &FORWARDED_PROTO).filter(|value| matches!(*value, b"http" | b"https"))
}

/// The `X-Forwarded-Host` of a trusted proxy.
pub(in crate::gateway) fn believed_host<'l>(lines: &'l impl Lines, peer: &Peer) -> Option<&'l [u8]> {
    believed(lines, peer, &FORWARDED_HOST)
}

/// The one line of `name` that a trusted proxy sent.
fn believed<'l>(lines: &'l impl Lines, peer: &Peer, name: &'l HeaderName) -> Option<&'l [u8]> {
    if peer.trusted { single(lines, name) } else { None }
}

/// Whether the client's `traceparent` is sound; without it, its `tracestate` means nothing (Trace Context §3.3).
pub(in crate::gateway) fn is_traced(lines: &impl Lines) -> bool {
    single(lines, &TRACEPARENT).is_some_and(is_traceparent)
}

/// The peer's address, behind what a trusted proxy says.
pub(in crate::gateway) fn addresses<'l>(lines: &'l impl Lines, peer: &'l Peer) -> Cow<'l, [u8]> {
    let address = peer.address.as_bytes();
    if !peer.trusted {
        return Cow::Borrowed(address);
    }
    let mut lines = lines.named(&FORWARDED_FOR).filter(|line| !line.is_empty()).peekable();
    if lines.peek().is_none() {
        return Cow::Borrowed(address);
    }
    let mut all = Vec::new();
    for line in lines {
        all.extend_from_slice(line);
        all.extend_from_slice(b", ");
    }
    all.extend_from_slice(address);
    Cow::Owned(all)
}

/// What the backend is told, gathered before the client's own lines are dropped.
pub(super) struct Told {
    addresses: HeaderValue,
    proto: HeaderValue,
    host: Option<HeaderValue>,
    trace: Trace,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Trace {
    Continued,
    Started,
}

impl Told {
    pub(super) fn of(headers: &HeaderMap, arrival: &Arrival<'_>) -> Self {
        let peer = arrival.peer;
        let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).ok();
        let addresses = match addresses(headers, peer) {
            Cow::Borrowed(_) => None,
            Cow::Owned(all) => HeaderValue::from_maybe_shared(Bytes::from(all)).ok(),
        };
        let proto = believed_proto(headers, peer).and_then(value);
        Self {
            addresses: addresses.unwrap_or_else(|| peer.address.clone()),
            proto: proto.unwrap_or_else(|| HeaderValue::from_static(arrival.scheme.as_str())),
            host: believed_host(headers, peer).and_then(value).or_else(|| headers.get(HOST).cloned()),
            trace: if is_traced(headers) { Trace::Continued } else { Trace::Started },
        }
    }

    /// Whether the client's trace goes on.
    pub(super) fn continues_trace(&self) -> bool {
        self.trace == Trace::Continued
    }

    pub(super) fn tell(self, headers: &mut HeaderMap, arrival: &Arrival<'_>) {
        headers.insert(&FORWARDED_FOR, self.addresses);
        headers.insert(&FORWARDED_PROTO, self.proto);
        if let Some(host) = self.host {
            headers.insert(&FORWARDED_HOST, host);
        }
        headers.insert(&REQUEST_ID, arrival.request_id.clone());
        headers.append(VIA, via(arrival.version));
        if self.trace == Trace::Started
            && let Ok(trace) = HeaderValue::from_bytes(&traceparent(arrival.entropy))
        {
            headers.insert(&TRACEPARENT, trace);
        }
    }
}

/// The version in which the request was received (RFC 9110 §7.6.3).
fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_09 | Version::HTTP_10 => "1.0 relevo",
        Version::HTTP_2 => "2 relevo",
        Version::HTTP_3 => "3 relevo",
        _ => "1.1 relevo",
    })
}

/// Whether a value is a legal `traceparent` (W3C Trace Context §3.2), of this version or of one to come.
fn is_traceparent(value: &[u8]) -> bool {
    let Some((head, rest)) = value.split_at_checked(55) else { return false };
    let hex = |bytes: &[u8]| bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let (version, trace, parent, flags) = (&head[..2], &head[3..35], &head[36..52], &head[53..]);
    let dashes = [head[2], head[35], head[52]] == *b"---";
    let ends = rest.is_empty() || (version != b"00" && rest.starts_with(b"-"));
    let zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == b'0');
    dashes
        && ends
        && [version, trace, parent, flags].into_iter().all(hex)
        && version != b"ff"
        && !zero(trace)
        && !zero(parent)
}

/// A new trace, not sampled: whether to record is for those who do. Neither of its ids is all zeros.
pub(in crate::gateway) fn traceparent(mut entropy: [u8; 24]) -> [u8; 55] {
    entropy[15] |= 1;
    entropy[23] |= 1;
    let mut text = [b'0'; 55];
    (text[2], text[35], text[52]) = (b'-', b'-', b'-');
    hex::encode_to_slice(&entropy[..16], &mut text[3..35]).unwrap_or_default(); // they fit
    hex::encode_to_slice(&entropy[16..], &mut text[36..52]).unwrap_or_default();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_last_address_that_no_trusted_proxy_has() {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().expect("a network")).into();
        let client = |from: &str, told: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in told {
                headers.append(&FORWARDED_FOR, HeaderValue::try_from(*line).expect("legal"));
            }
            let connected: IpAddr = from.parse().expect("an address");
            let peer = Peer::at(connected, &trusted).expect("a peer");
            client_address(&headers, &peer, connected, &trusted).to_string()
        };
        for (from, told, expected) in [
            ("192.0.2.1", &["203.0.113.5"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.5"], "203.0.113.5"),
            ("10.0.0.1", &["198.51.100.7, 203.0.113.5, 10.0.0.2"], "203.0.113.5"),
            ("10.0.0.1", &["198.51.100.7, 203.0.113.5", "10.0.0.2,fd00::1"], "203.0.113.5"),
            ("fd00::9", &["203.0.113.5:4711"], "203.0.113.5"),
            ("10.0.0.1", &["[2001:db8::1]:80"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["::ffff:203.0.113.5"], "203.0.113.5"),
            ("10.0.0.1", &["203.0.113.5, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["203.0.113.5, , 10.0.0.2,"], "203.0.113.5"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ] {
            assert_eq!(client(from, told), expected, "{from} {told:?}");
        }
    }
}
