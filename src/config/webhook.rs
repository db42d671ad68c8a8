//! `[[webhooks]]`: who is told of events, where, and how he knows that it was Relevo.
//!
//! Promises: a secret has no text form but the one in which it was given; an address that is not public is told from one
//! that is.
//! Deliberately does not: resolve a name, or send anything.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::certificate::{read_certificates, roots};
use crate::domain::{Action, Realm};

/// One of `[[webhooks]]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Webhook {
    /// Its name: in the log, metrics and health conditions, and by which its place is kept.
    pub name: String,
    /// Where events are sent: https, or http where private addresses are allowed.
    pub url: String,
    /// Whose signatures on the receiver's certificate are believed; `None`: the system's roots.
    pub ca: Option<Believed>,
    /// What deliveries are signed with, each with all of them; at least one.
    pub secrets: Vec<SigningSecret>,
    /// Which events are sent; at least one pattern.
    pub events: Vec<EventPattern>,
    /// Whether an address may be dialled that is not public.
    pub allow_private: bool,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// The longest pause between two attempts.
    pub longest_pause: Duration,
}

/// The certificates of those whose signatures are believed, and where they were read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Believed {
    /// The file of PEM.
    pub file: PathBuf,
    /// At least one, each of which can sign another.
    pub certificates: Vec<CertificateDer<'static>>,
}

impl Believed {
    /// Reads the file.
    pub(super) fn read(file: &Path) -> Result<Self, String> {
        let certificates = read_certificates(file)?;
        roots(certificates.clone())?; // each signs something
        Ok(Self { file: file.to_owned(), certificates })
    }
}

/// A secret of a webhook, and where it was read.
#[derive(Clone, PartialEq)]
pub struct SigningSecret {
    /// `file:PATH` or `env:NAME`.
    pub source: String,
    bytes: Zeroizing<Vec<u8>>,
}

impl SigningSecret {
    /// How a secret begins.
    const PREFIX: &'static str = "whsec_";
    /// How many bytes it has (Standard Webhooks).
    const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

    /// Reads the secret that `source` names. The error never shows anything of it.
    pub(super) fn read(source: &str) -> Result<Self, String> {
        let text = if let Some(path) = source.strip_prefix("file:") {
            std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?
        } else if let Some(name) = source.strip_prefix("env:") {
            std::env::var(name).map_err(|_| "names a variable that is not set, or is not text".to_owned())?
        } else {
            return Err("is neither file:PATH nor env:NAME; a secret itself does not belong here".to_owned());
        };
        let text = Zeroizing::new(text);
        let bytes = text.trim().strip_prefix(Self::PREFIX).and_then(|text| STANDARD.decode(text).ok());
        let bytes = bytes.map(Zeroizing::new).filter(|bytes| Self::BYTES.contains(&bytes.len()));
        let bytes = bytes.ok_or_else(|| "does not hold whsec_ and 24 to 64 bytes in base64".to_owned())?;
        Ok(Self { source: source.to_owned(), bytes })
    }

    /// The key of its signatures.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningSecret").field("source", &self.source).finish_non_exhaustive()
    }
}

/// Replaces what is secret of every secret in `text` by `***`: it does not belong into a configuration, and strays there.
pub(super) fn mask(text: &str) -> String {
    let mut pieces = text.split(SigningSecret::PREFIX);
    let mut masked = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let rest = piece.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '='));
        let is_long = piece.len() - rest.len() >= 8; // the word itself may be talked about
        masked.extend([SigningSecret::PREFIX, if is_long { "***" } else { "" }, if is_long { rest } else { piece }]);
    }
    masked
}

/// Which events: an action, `renewal.*` for all that begin so, or `*`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventPattern(String);

impl EventPattern {
    /// Reads a pattern that fits at least one action.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        let pattern = Self(text.to_owned());
        let all = [Realm::Gateway, Realm::Admin].into_iter().flat_map(|realm| Action::ALL.map(|one| one.name(realm)));
        let fits = all.into_iter().any(|action| pattern.fits(action));
        if fits { Ok(pattern) } else { Err("is neither an event, such as key.created, nor a group, such as renewal.*") }
    }

    /// Whether it fits this action.
    pub fn fits(&self, action: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some("") => true,
            Some(group) => group.ends_with('.') && action.starts_with(group),
            None => self.0 == action,
        }
    }
}

impl fmt::Display for EventPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether anybody on the internet can have this address: not this machine's, not a private network's, and none that stands
/// for another (IANA's registries of special-purpose addresses; of IPv6 only what is assigned for global use).
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let is_special = match first {
        0 | 10 | 127 | 224.. => true,
        100 => (64..128).contains(&second),
        169 => second == 254,
        172 => (16..32).contains(&second),
        192 => matches!((second, third), (0, 0 | 2) | (88, 99) | (168, _)),
        198 => matches!((second, third), (18 | 19, _) | (51, 100)),
        203 => (second, third) == (0, 113),
        _ => false,
    };
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let is_global = first & 0xe000 == 0x2000;
    let is_special = match first {
        0x2001 => second < 0x200 || second == 0xdb8, // protocols such as Teredo; documentation
        0x2002 => true,                              // 6to4: stands for an address of IPv4
        0x3fff => second < 0x1000,                   // documentation
        _ => false,
    };
    is_global && !is_special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_machines_and_networks_of_ones_own_are_not_public() {
        for private in [
            "127.0.0.1",
            "127.255.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "198.18.0.1",
            "192.0.2.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "fec0::1",
            "ff02::1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
        ] {
            assert!(!is_public(private.parse().expect("an address")), "{private}");
        }
        for public in ["1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.0.1", "192.167.0.1", "2606:4700::1111", "2a00::1"]
        {
            assert!(is_public(public.parse().expect("an address")), "{public}");
        }
    }

    #[test]
    fn a_pattern_fits_an_action_a_group_or_all() {
        let fits = |pattern: &str, action| EventPattern::read(pattern).expect("a pattern").fits(action);
        assert!(fits("*", "key.created") && fits("renewal.*", "renewal.opened") && fits("key.created", "key.created"));
        assert!(!fits("renewal.*", "key.created") && !fits("key.created", "key.deleted"));
        for wrong in ["", "renewal", "renewal*", "key.crated", "*.created", "nothing.*"] {
            assert!(EventPattern::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_read_from_a_file_and_shown_nowhere() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        let source = format!("file:{}", path.display());
        let write = |text: &str| std::fs::write(&path, text).expect("written");
        write("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
        let secret = SigningSecret::read(&source).expect("a secret");
        assert_eq!(secret.as_bytes().len(), 24);
        assert!(!format!("{secret:?}").contains("MfKQ"));
        for wrong in ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_***"] {
            write(wrong);
            let told = SigningSecret::read(&source).expect_err("no secret");
            assert!(wrong.len() < 7 || !told.contains(wrong), "{told}");
        }
        let strayed = "a = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\" # whsec_ and whsec_ab";
        assert_eq!(mask(strayed), "a = \"whsec_***\" # whsec_ and whsec_ab");
        for source in ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "file:/nowhere/at/all", "env:RELEVO_NOT_SET_EVER"] {
            assert!(!SigningSecret::read(source).expect_err("no secret").contains("MfKQ"), "{source}");
        }
    }
}
