//! Hosts: those that routes name, and those of endpoints.
//!
//! Promises: a host is in lower case and has no port, so that it can be compared.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::super::HostPattern;

/// An exact host or `*.` before one, in lower case.
pub(super) fn pattern(text: &str) -> Result<HostPattern, &'static str> {
    let text = text.to_ascii_lowercase();
    if let Some(suffix) = text.strip_prefix("*.") {
        name(suffix)?;
        return Ok(HostPattern::OneLabelBefore(format!(".{suffix}")));
    }
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        address.parse::<Ipv6Addr>().map_err(|_| "is not an IPv6 address in brackets")?;
        return Ok(HostPattern::Exact(text));
    }
    name(&text)?;
    Ok(HostPattern::Exact(text))
}

/// Whether `text` is a name or an IPv4 address, in lower case.
pub(super) fn name(text: &str) -> Result<(), &'static str> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
    };
    if text.parse::<Ipv4Addr>().is_ok() || (text.len() <= 253 && text.split('.').all(label)) {
        return Ok(());
    }
    Err(match text {
        _ if text.contains(':') => "holds a port or is an IPv6 address without brackets: a host stands alone",
        _ if text.contains('*') => "holds * where it cannot stand: *.example.com is the one form",
        _ if !text.is_ascii() => "is outside ASCII: write it in its xn-- form",
        _ => "is not a host like api.example.com or *.example.com",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_host_or_one_star_before_it() {
        let exact = |text: &str| Ok(HostPattern::Exact(text.into()));
        assert_eq!(pattern("API.example.com"), exact("api.example.com"));
        assert_eq!(pattern("localhost"), exact("localhost"));
        assert_eq!(pattern("10.0.0.7"), exact("10.0.0.7"));
        assert_eq!(pattern("[::1]"), exact("[::1]"));
        assert_eq!(pattern("*.example.com"), Ok(HostPattern::OneLabelBefore(".example.com".into())));
    }

    #[test]
    fn what_no_host_header_can_name_is_refused() {
        let long = "a".repeat(64);
        for text in
            ["", "*", "*.", "**.a", "*.*.a", "a:80", "::1", "[::1", "[a]", "a b", "a/b", "a.", ".a", "ä.example", &long]
        {
            assert!(pattern(text).is_err(), "{text:?} was accepted");
        }
    }
}
