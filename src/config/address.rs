//! Where the data plane listens, in one text.
//!
//! Promises: what is written, read again, is the same address.
//! Deliberately does not: bind anything, or ask whether an inherited socket is there.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a listener listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ListenAddress {
    /// An address and port; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// `unix:/path`: a socket in the file system.
    Unix(PathBuf),
    /// `fd:NAME`: a socket that this process inherits, by its name in `LISTEN_FDNAMES`.
    Inherited(String),
}

impl ListenAddress {
    /// Whether the system is to choose the port, so that two of them are not one.
    pub fn is_any_port(&self) -> bool {
        matches!(self, Self::Tcp(address) if address.port() == 0)
    }
}

impl FromStr for ListenAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            // The system's own bound, with the byte that ends it (unix(7)).
            let legal = path.starts_with('/') && !path.ends_with('/') && path.len() < 108 && !path.contains('\0');
            return legal.then(|| Self::Unix(path.into())).ok_or("is not of the form unix:/path, of at most 107 bytes");
        }
        if let Some(name) = text.strip_prefix("fd:") {
            let legal = (1..=255).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
            return legal.then(|| Self::Inherited(name.into())).ok_or("is not of the form fd:NAME");
        }
        text.parse().map(Self::Tcp).map_err(|_| "is not an address and port like 127.0.0.1:8080 or [::1]:8080")
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Inherited(name) => write!(f, "fd:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_as_the_same_address() {
        for text in ["127.0.0.1:0", "[::1]:8080", "unix:/run/relevo.sock", "fd:gateway"] {
            assert_eq!(text.parse::<ListenAddress>().map(|address| address.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_nobody_can_listen_on_is_refused() {
        let long = format!("unix:/{}", "a".repeat(107));
        for text in ["", "localhost:80", "unix:", "unix:run/a", "unix:/run/", "fd:", "fd:a b", "fd:a:b", &long] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text:?} was accepted");
        }
    }
}
