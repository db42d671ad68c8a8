//! The door before the door: which requests a browser may not be talked into sending.
//!
//! Promises: a request that names a host which is not this port's (DNS rebinding), or that a page of another site
//! has made, is refused before anybody looks at its token, on a loopback address too.
//! Deliberately does not: set cross-origin permissions; there are none.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, Request};

use super::problem::{Code, Problem};
use crate::config::HostPattern;

/// Under which names this port is spoken to.
#[derive(Clone, Debug)]
pub struct Hosts {
    listening: IpAddr,
    others: Arc<[HostPattern]>,
}

impl Hosts {
    /// The names of a port that listens on `listening`: loopback's, the address itself, and `others`.
    pub fn of(listening: SocketAddr, others: &[HostPattern]) -> Self {
        Self { listening: listening.ip(), others: others.into() }
    }

    /// Refuses a request that is for somebody else, or made by somebody else's page.
    pub fn check<B>(&self, request: &Request<B>) -> Result<(), Problem> {
        let misdirected = |detail| Problem::new(Code::UnknownHost, detail);
        let host = host(request).ok_or_else(|| misdirected("the request names no host, or several"))?;
        if !self.names(&host) {
            return Err(misdirected("the host is none of this port's: admin.hosts names them"));
        }
        if is_cross_site(request.headers(), &host) {
            return Err(Problem::new(Code::Forbidden, "the request was made by a page of another site"));
        }
        Ok(())
    }

    fn names(&self, authority: &Authority) -> bool {
        let host = authority.host();
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if self.others.iter().any(|known| is_named_by(known, &host.to_ascii_lowercase())) {
            return true;
        }
        match literal.parse::<IpAddr>() {
            // No name can be rebound to an address that is written out, so a wildcard port takes any.
            Ok(address) => address.is_loopback() || address == self.listening || self.listening.is_unspecified(),
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        }
    }
}

/// Whether `pattern` names `host`, which is in lower case.
fn is_named_by(pattern: &HostPattern, host: &str) -> bool {
    match pattern {
        HostPattern::Exact(name) => name == host,
        HostPattern::OneLabelBefore(suffix) => {
            host.strip_suffix(suffix.as_str()).is_some_and(|label| !label.is_empty() && !label.contains('.'))
        }
    }
}

/// The one host of a request (RFC 9112 §3.2, §3.3): of its target where that names one, and of its one `Host`.
fn host<B>(request: &Request<B>) -> Option<Authority> {
    let mut fields = request.headers().get_all(HOST).iter();
    let field = fields.next()?;
    let host: Authority = field.to_str().ok()?.parse().ok()?;
    let same = request.uri().authority().is_none_or(|target| *target == host);
    let has_user = host.as_str().contains('@');
    (same && !has_user && fields.next().is_none()).then_some(host)
}

/// What a browser says of the page that made the request (Fetch Metadata), or else its `Origin` (RFC 6454).
fn is_cross_site(headers: &HeaderMap, host: &Authority) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site != "same-origin" && site != "none";
    }
    headers.get(ORIGIN).is_some_and(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        let there = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        there.is_none_or(|there| !there.eq_ignore_ascii_case(host.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().uri("/v1/keys");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request")
    }

    fn passes(listening: &str, headers: &[(&str, &str)]) -> bool {
        Hosts::of(listening.parse().expect("an address"), &[]).check(&request(headers)).is_ok()
    }

    #[test]
    fn hosts_that_are_named_besides_are_this_ports_and_no_others() {
        let others =
            [HostPattern::Exact("admin.example.com".into()), HostPattern::OneLabelBefore(".ops.example.com".into())];
        let hosts = Hosts::of("127.0.0.1:8081".parse().expect("an address"), &others);
        for host in ["admin.example.com:8081", "ADMIN.example.com", "a.ops.example.com", "127.0.0.1:8081"] {
            assert!(hosts.check(&request(&[("host", host)])).is_ok(), "{host}");
        }
        for host in ["example.com", "ops.example.com", "a.b.ops.example.com", ".ops.example.com", "10.0.0.7"] {
            let problem = hosts.check(&request(&[("host", host)])).expect_err("not this port's");
            assert_eq!(problem.code(), Code::UnknownHost, "{host}");
        }
    }

    #[test]
    fn only_loopback_names_and_the_listening_address_are_this_ports() {
        for host in ["127.0.0.1:8081", "localhost", "LOCALHOST:1", "[::1]:8081", "127.1.2.3", "10.0.0.7:8081"] {
            assert!(passes("10.0.0.7:8081", &[("host", host)]), "{host}");
        }
        for host in ["evil.example", "10.0.0.8", "localhost.evil.example", "127.0.0.1.evil.example", "a@localhost", ""]
        {
            assert!(!passes("10.0.0.7:8081", &[("host", host)]), "{host}");
        }
        assert!(!passes("127.0.0.1:8081", &[]));
        assert!(!passes("127.0.0.1:8081", &[("host", "localhost"), ("host", "localhost")]));
    }

    #[test]
    fn a_port_on_every_address_takes_addresses_and_no_names() {
        assert!(passes("0.0.0.0:8081", &[("host", "192.0.2.1:8081")]));
        assert!(!passes("0.0.0.0:8081", &[("host", "evil.example")]));
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let here = ("host", "127.0.0.1:8081");
        for site in ["cross-site", "same-site", ""] {
            assert!(!passes("127.0.0.1:8081", &[here, ("sec-fetch-site", site)]), "{site}");
        }
        for site in ["same-origin", "none"] {
            assert!(passes("127.0.0.1:8081", &[here, ("sec-fetch-site", site)]), "{site}");
        }
        for origin in ["null", "http://evil.example", "http://127.0.0.1:9999", "file://"] {
            assert!(!passes("127.0.0.1:8081", &[here, ("origin", origin)]), "{origin}");
        }
        assert!(passes("127.0.0.1:8081", &[here, ("origin", "http://127.0.0.1:8081")]));
    }
}
