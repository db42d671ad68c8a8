//! From an endpoint to a connected stream.
//!
//! Promises: the address dialled comes from the configuration only; a dial, from the name to the end of the handshake, ends
//! at one deadline.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::config::{Reach, Speech};
use crate::net::dial::{self, Connector, Offer};
use crate::net::opening::Protocol;
use crate::net::stream::Stream;

use super::standing::Standing;

pub(super) struct Dialer {
    reach: Reach,
    /// The address of its host, where it has been resolved.
    address: Option<IpAddr>,
    speech: Speech,
    connector: Option<Connector>,
    deadline: Duration,
}

impl Dialer {
    pub(super) fn new(standing: &Standing, connector: Option<Connector>, deadline: Duration) -> Self {
        let Standing { endpoint, address, .. } = standing;
        Self { reach: endpoint.reach.clone(), address: *address, speech: endpoint.speech, connector, deadline }
    }

    /// What is spoken there, where that is known before anybody asked.
    pub(super) fn expected(&self) -> Option<Protocol> {
        match self.speech {
            Speech::Http => Some(Protocol::Http1),
            Speech::Https => None,
            Speech::H2c => Some(Protocol::Http2),
        }
    }

    /// A new stream, and what is spoken on it.
    pub(super) async fn dial(&self) -> io::Result<(Stream, Protocol)> {
        tokio::time::timeout(self.deadline, self.connect(Offer::Both)).await.map_err(dial::late)?
    }

    /// A new stream on which HTTP/1.1 is spoken, whatever else could be.
    pub(super) async fn dial_http1(&self) -> io::Result<Stream> {
        match tokio::time::timeout(self.deadline, self.connect(Offer::Http1)).await.map_err(dial::late)?? {
            (stream, Protocol::Http1) => Ok(stream),
            (_, Protocol::Http2) => Err(io::Error::other("only HTTP/2 is spoken with this endpoint")),
        }
    }

    async fn connect(&self, offer: Offer) -> io::Result<(Stream, Protocol)> {
        let stream = match &self.reach {
            Reach::Tcp { host, port } => self.tcp(host, *port).await?,
            Reach::Unix(path) => dial::unix(path, self.deadline).await?,
        };
        match (self.speech, &self.reach) {
            (Speech::Http, _) | (Speech::Https, Reach::Unix(_)) => Ok((stream, Protocol::Http1)),
            (Speech::H2c, _) => Ok((stream, Protocol::Http2)),
            (Speech::Https, Reach::Tcp { host, .. }) => {
                let none = || io::Error::other("TLS cannot be spoken with this upstream");
                self.connector.as_ref().ok_or_else(none)?.connect(host, stream, offer).await
            }
        }
    }

    /// To its address; where that is not known yet, to the first address of `host` that answers.
    async fn tcp(&self, host: &str, port: u16) -> io::Result<Stream> {
        if let Some(address) = self.address {
            return dial::tcp(SocketAddr::new(address, port), self.deadline).await;
        }
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses(host, port).await? {
            match dial::tcp(address, self.deadline).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

async fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}
