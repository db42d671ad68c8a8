//! The names of the protocols that a connection may be upgraded to (RFC 9110 §7.8).
//!
//! Promises: no name stands for HTTP or TLS, in which further requests would pass that nobody judges.
//! Deliberately does not: know what is spoken in any of them.

use std::fmt;
use std::str::FromStr;

/// Such a name, with its version if it has one, in lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct UpgradeName(Box<str>);

impl UpgradeName {
    /// It as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `websocket` (RFC 6455).
    pub fn is_websocket(&self) -> bool {
        &*self.0 == "websocket"
    }
}

impl fmt::Display for UpgradeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for UpgradeName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, version) = text.split_once('/').map_or((text, None), |(name, version)| (name, Some(version)));
        if !is_token(name) || !version.is_none_or(is_token) {
            return Err("is not the name of a protocol like websocket, with or without a /version");
        }
        let name = name.to_ascii_lowercase();
        if matches!(&*name, "http" | "h2" | "h2c" | "tls") {
            return Err("would carry requests that nobody judges: HTTP and TLS are no upgrades here");
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }
}

/// RFC 9110 §5.6.2
fn is_token(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_of_one_spelling_and_never_that_of_http() {
        let name = |text: &str| text.parse::<UpgradeName>().map(|name| name.to_string());
        assert_eq!(name("WebSocket").as_deref(), Ok("websocket"));
        assert_eq!(name("spdy/3.1").as_deref(), Ok("spdy/3.1"));
        for illegal in ["", "a b", "a/", "/1", "a/1/2", "a,b", "h2c", "H2C", "h2", "HTTP/2.0", "tls/1.3"] {
            assert!(name(illegal).is_err(), "{illegal:?}");
        }
    }
}
