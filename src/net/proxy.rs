//! The PROXY protocol, versions 1 and 2: before a connection speaks, the proxy that made it says for whom.
//!
//! Promises: not one byte behind the header is read; what is not exactly as the specification writes it is refused.
//! Deliberately does not: decide who may speak it, or look at what version 2 says besides (its TLVs are passed over).
//!
//! Source: haproxy.org/download/2.9/doc/proxy-protocol.txt.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// How version 2 begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header of version 1, its end included.
const LONGEST_LINE: usize = 107;
/// The longest header of version 2 that is taken: both addresses and a good deal of TLVs.
const LONGEST: usize = 4096;
/// How version 1 begins.
const WORD: &[u8] = b"PROXY ";

/// For whom a connection was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Introduced {
    /// For the proxy itself, or somebody of whom there is no address.
    Itself,
    /// For the client at this address.
    Client(SocketAddr),
}

/// What is no header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("this is no header of the PROXY protocol")]
pub struct Malformed;

/// Reads the header at the beginning of `bytes` and its length; `None` if it is not whole yet.
pub fn parse(bytes: &[u8]) -> Result<Option<(Introduced, usize)>, Malformed> {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(one, other)| one == other);
    if begins(SIGNATURE) {
        return version_2(bytes);
    }
    if begins(WORD) {
        return version_1(bytes);
    }
    Err(Malformed)
}

/// Reads the header with which `io` begins.
pub async fn read<I: AsyncRead + Unpin>(io: &mut I) -> io::Result<Introduced> {
    let mut bytes = Vec::with_capacity(64);
    loop {
        let wanted = bytes.len() + at_least(&bytes);
        let before = bytes.len();
        bytes.resize(wanted, 0);
        io.read_exact(bytes.get_mut(before..).unwrap_or_default()).await?;
        match parse(&bytes) {
            Ok(Some((introduced, _))) => return Ok(introduced),
            Ok(None) => {}
            Err(malformed) => return Err(io::Error::new(io::ErrorKind::InvalidData, malformed)),
        }
    }
}

/// How many bytes at least are still to come of a header that begins with `bytes`.
fn at_least(bytes: &[u8]) -> usize {
    match bytes.len() {
        // The shortest header of either version has more.
        length if length < SIGNATURE.len() => SIGNATURE.len() - length,
        length if bytes.starts_with(SIGNATURE) => {
            let whole = if length < 16 { 16 } else { 16 + length_of(bytes) };
            whole.saturating_sub(length).max(1)
        }
        _ if bytes.ends_with(b"\r") => 1,
        _ => 2,
    }
}

/// `PROXY TCP4 192.0.2.1 198.51.100.7 56324 443`, and the end of the line.
fn version_1(bytes: &[u8]) -> Result<Option<(Introduced, usize)>, Malformed> {
    let window = bytes.get(..LONGEST_LINE.min(bytes.len())).unwrap_or_default();
    let Some(end) = window.windows(2).position(|two| two == b"\r\n") else {
        return if bytes.len() < LONGEST_LINE { Ok(None) } else { Err(Malformed) };
    };
    let rest = window.get(WORD.len()..end).ok_or(Malformed)?;
    let rest = std::str::from_utf8(rest).map_err(|_| Malformed)?;
    let length = end + 2;
    if rest == "UNKNOWN" || rest.starts_with("UNKNOWN ") {
        return Ok(Some((Introduced::Itself, length)));
    }
    let parts: Vec<_> = rest.split(' ').collect();
    let &[family, source, target, source_port, target_port] = &*parts else { return Err(Malformed) };
    let address = |text: &str| -> Result<IpAddr, Malformed> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().map(Into::into).map_err(|_| Malformed),
            "TCP6" => text.parse::<Ipv6Addr>().map(Into::into).map_err(|_| Malformed),
            _ => Err(Malformed),
        }
    };
    let (source, _) = (address(source)?, address(target)?);
    let (source_port, _) = (port(source_port)?, port(target_port)?);
    Ok(Some((Introduced::Client(SocketAddr::new(source, source_port)), length)))
}

/// A port in decimal digits, without a zero before them.
fn port(text: &str) -> Result<u16, Malformed> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain).ok_or(Malformed)
}

/// The signature, version and command, family, the length of the rest, the rest.
fn version_2(bytes: &[u8]) -> Result<Option<(Introduced, usize)>, Malformed> {
    let Some(&command) = bytes.get(12) else { return Ok(None) };
    if !matches!(command, 0x20 | 0x21) {
        return Err(Malformed);
    }
    let Some(head) = bytes.first_chunk::<16>() else { return Ok(None) };
    let length = 16 + length_of(head);
    if length > LONGEST {
        return Err(Malformed);
    }
    let family = head[13];
    let needs = match (command, family) {
        (0x20, _) | (_, 0x00) => 0, // LOCAL; UNSPEC
        (_, 0x11) => 12,            // TCP over IPv4
        (_, 0x21) => 36,            // TCP over IPv6
        (_, 0x31) => 216,           // a stream in the file system
        _ => return Err(Malformed),
    };
    if length < 16 + needs {
        return Err(Malformed);
    }
    let Some(rest) = bytes.get(16..length) else { return Ok(None) };
    let introduced = match (command, family) {
        (0x21, 0x11) => client(rest.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets).into()), rest.get(8..10)),
        (0x21, 0x21) => client(rest.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets).into()), rest.get(32..34)),
        _ => Some(Introduced::Itself),
    };
    introduced.map(|introduced| Some((introduced, length))).ok_or(Malformed)
}

fn client(address: Option<IpAddr>, port: Option<&[u8]>) -> Option<Introduced> {
    let port = u16::from_be_bytes(*port?.first_chunk::<2>()?);
    Some(Introduced::Client(SocketAddr::new(address?, port)))
}

fn length_of(head: &[u8]) -> usize {
    head.get(14..16).and_then(|length| length.first_chunk::<2>()).map_or(0, |length| u16::from_be_bytes(*length).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    fn client(text: &str) -> Introduced {
        Introduced::Client(text.parse().expect("an address"))
    }

    /// Every sound header, with what it says.
    fn sound() -> Vec<(Vec<u8>, Introduced)> {
        let v4 = [&[203, 0, 113, 5, 10, 0, 0, 1][..], &4711_u16.to_be_bytes(), &[1, 187]].concat();
        let from: Ipv6Addr = "2001:db8::5".parse().expect("legal");
        let v6 = [&from.octets()[..], &[0; 16], &4711_u16.to_be_bytes(), &[1, 187]].concat();
        let tlv = [&v4[..], &[0x03, 0, 4, 1, 2, 3, 4]].concat();
        vec![
            (b"PROXY TCP4 203.0.113.5 10.0.0.1 4711 443\r\n".to_vec(), client("203.0.113.5:4711")),
            (b"PROXY TCP6 2001:db8::5 ::1 4711 443\r\n".to_vec(), client("[2001:db8::5]:4711")),
            (b"PROXY UNKNOWN\r\n".to_vec(), Introduced::Itself),
            (b"PROXY UNKNOWN ffff::1 x y z\r\n".to_vec(), Introduced::Itself),
            (v2(0x21, 0x11, &v4), client("203.0.113.5:4711")),
            (v2(0x21, 0x21, &v6), client("[2001:db8::5]:4711")),
            (v2(0x21, 0x11, &tlv), client("203.0.113.5:4711")),
            (v2(0x21, 0x31, &[0; 216]), Introduced::Itself),
            (v2(0x20, 0x00, &[]), Introduced::Itself),
            (v2(0x20, 0x11, &v4), Introduced::Itself),
            (v2(0x21, 0x00, &[9, 9, 9]), Introduced::Itself),
        ]
    }

    #[tokio::test]
    async fn a_sound_header_is_read_to_its_end_and_not_beyond() {
        for (header, expected) in sound() {
            for length in 0..header.len() {
                assert_eq!(parse(&header[..length]), Ok(None), "{:?}", String::from_utf8_lossy(&header[..length]));
            }
            assert_eq!(parse(&header), Ok(Some((expected, header.len()))));
            let bytes = [&header[..], b"GET / HTTP/1.1"].concat();
            let mut rest = &bytes[..];
            assert_eq!(read(&mut rest).await.expect("a header"), expected);
            assert_eq!(rest, b"GET / HTTP/1.1");
        }
    }

    #[test]
    fn what_is_written_in_another_way_is_refused() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
        for text in [
            "GET / HTTP/1.1\r\n",
            "proxy TCP4 203.0.113.5 10.0.0.1 4711 443\r\n",
            "PROXY  TCP4 203.0.113.5 10.0.0.1 4711 443\r\n",
            "PROXY TCP4 203.0.113.5 10.0.0.1 4711 443 \r\n",
            "PROXY TCP4 203.0.113.5 10.0.0.1 4711\r\n",
            "PROXY TCP4 2001:db8::5 ::1 4711 443\r\n",
            "PROXY TCP6 203.0.113.5 10.0.0.1 4711 443\r\n",
            "PROXY TCP4 203.0.113.05 10.0.0.1 4711 443\r\n",
            "PROXY TCP4 203.0.113.5 10.0.0.1 04711 443\r\n",
            "PROXY TCP4 203.0.113.5 10.0.0.1 65536 443\r\n",
            "PROXY TCP4 203.0.113.5 10.0.0.1 +1 443\r\n",
            "PROXY UDP4 203.0.113.5 10.0.0.1 4711 443\r\n",
            "PROXY UNKNOWNS\r\n",
            &long,
        ] {
            assert_eq!(parse(text.as_bytes()), Err(Malformed), "{text}");
        }
        for header in [
            v2(0x11, 0x11, &[0; 12]),
            v2(0x22, 0x11, &[0; 12]),
            v2(0x21, 0x12, &[0; 12]),
            v2(0x21, 0x11, &[0; 11]),
            v2(0x21, 0x21, &[0; 35]),
            v2(0x21, 0x11, &[0; 5000]),
        ] {
            assert_eq!(parse(&header), Err(Malformed), "{header:?}");
        }
    }
}
