//! TLS towards clients: certificates by name, reloaded when their files change.
//!
//! Promises: TLS 1.2 and 1.3, no early data, post-quantum key exchange first; a certificate is shown only after it was
//! checked to be a pair with its key; while its files are wrong, the one before stays.
//! Deliberately does not: watch by itself. Whoever has a clock calls [`Certificates::look`].

mod authorities;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::{TlsAcceptor, TlsStream};
use tracing::{info, warn};

use crate::config::certificate::{self, Pem, Unusable};
use crate::config::{AdminTls, Certificate, HostPattern, Served};

use authorities::Authorities;

use super::opening::{Protocol, Unopened};
use super::pulse::Late;
use super::stream::Stream;

/// The end of TLS on one listener. Cheap to clone.
#[derive(Clone)]
pub struct Terminator {
    acceptor: TlsAcceptor,
    certificates: Certificates,
}

impl Terminator {
    /// TLS with these certificates; the first is the default.
    pub fn new(served: &[Served]) -> io::Result<Self> {
        let certificates = Certificates::load(served).map_err(io::Error::other)?;
        let mut config = ServerConfig::builder_with_provider(certificate::provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certificates.clone()));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = Ticketer::new().map_err(io::Error::other)?;
        Ok(Self { acceptor: Arc::new(config).into(), certificates })
    }

    /// TLS of the admin port: HTTP/1.1, and clients show a certificate where that is asked for.
    pub fn of_admin(tls: &AdminTls) -> io::Result<Self> {
        let served = Served { certificate: tls.certificate.clone(), hosts: Vec::new() };
        let mut certificates = Certificates::load(&[served]).map_err(io::Error::other)?;
        let authorities = tls.client_ca.clone().map(Authorities::load).transpose().map_err(io::Error::other)?;
        certificates.authorities.clone_from(&authorities);
        let builder = ServerConfig::builder_with_provider(certificate::provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let builder = match authorities {
            Some(authorities) => builder.with_client_cert_verifier(Arc::new(authorities)),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(certificates.clone()));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Nothing is resumed: every connection shows its certificate to those who are believed now.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self { acceptor: Arc::new(config).into(), certificates })
    }

    /// The certificates that it shows.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Shakes hands within `deadline`. The protocol is that of ALPN (RFC 7301), if the client spoke of it.
    pub async fn accept(&self, stream: Stream, deadline: Duration) -> Result<(Stream, Option<Protocol>), Unopened> {
        let shaken = tokio::time::timeout(deadline, self.acceptor.accept(stream));
        let stream = shaken.await.map_err(|_| Unopened::Late(Late::Handshake))??;
        let protocol = stream.get_ref().1.alpn_protocol().map(|name| match name {
            b"h2" => Protocol::Http2,
            _ => Protocol::Http1,
        });
        Ok((Stream::Tls(Box::new(TlsStream::Server(stream))), protocol))
    }
}

/// The certificates of one listener. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Certificates {
    shown: Arc<ArcSwap<Shown>>,
    files: Arc<Mutex<Vec<Files>>>,
    /// Who signs those of clients, where clients must show one.
    authorities: Option<Authorities>,
}

/// What is shown to whom.
#[derive(Clone, Debug, Default)]
struct Shown {
    /// One for each of the listener's, in its order.
    all: Vec<Arc<CertifiedKey>>,
    /// The place in `all`.
    exact: HashMap<String, usize>,
    /// The same, for any one label before these, which begin with a dot.
    one_label_before: HashMap<String, usize>,
}

/// What is known of one certificate's files.
#[derive(Debug)]
struct Files {
    certificate: Certificate,
    /// What was in them when they were last judged.
    judged: Read,
    /// What was in them when they were last read.
    last: Read,
    trouble: Option<Unusable>,
}

/// SHA-256 of both files, or why they cannot be read.
type Read = Result<[u8; 32], Unusable>;

impl Certificates {
    /// The certificates of a listener; the first is the default. Reads files.
    pub fn load(served: &[Served]) -> Result<Self, Unusable> {
        let (shown, files) = load(served)?;
        let (shown, files) = (Arc::new(ArcSwap::from_pointee(shown)), Arc::new(Mutex::new(files)));
        Ok(Self { shown, files, authorities: None })
    }

    /// Shows these from now on. They were loaded by others before, so that nothing can go wrong any more.
    pub fn replace(&self, by: &Self) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        *files = std::mem::take(&mut *by.files.lock().unwrap_or_else(PoisonError::into_inner));
        self.shown.store(by.shown.load_full());
    }

    /// Reads the files again, and shows what has changed in them once it has been the same twice: two files are seldom
    /// written at one instant. What is wrong with files, each with its name. Reads files.
    pub fn look(&self) -> Vec<String> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let mut shown = self.shown.load_full();
        for (place, files) in files.iter_mut().enumerate() {
            if let Some(pair) = files.look() {
                let mut changed = Shown::clone(&shown);
                changed.all[place] = pair;
                shown = Arc::new(changed);
                self.shown.store(Arc::clone(&shown));
            }
        }
        let of_clients = self.authorities.as_ref().and_then(Authorities::look);
        files.iter().filter_map(Files::trouble).chain(of_clients).collect()
    }
}

fn load(served: &[Served]) -> Result<(Shown, Vec<Files>), Unusable> {
    let (mut shown, mut files) = (Shown::default(), Vec::new());
    for (place, served) in served.iter().enumerate() {
        let pem = served.certificate.read()?;
        shown.all.push(pem.pair()?);
        let read = Ok(pem.digest());
        files.push(Files { certificate: served.certificate.clone(), judged: read.clone(), last: read, trouble: None });
        for host in &served.hosts {
            match host {
                HostPattern::Exact(name) => shown.exact.insert(name.clone(), place),
                HostPattern::OneLabelBefore(suffix) => shown.one_label_before.insert(suffix.clone(), place),
            };
        }
    }
    Ok((shown, files))
}

impl Files {
    /// A certificate to be shown from now on.
    fn look(&mut self) -> Option<Arc<CertifiedKey>> {
        let pem = self.certificate.read();
        let read = pem.as_ref().map(Pem::digest).map_err(Clone::clone);
        let is_settled = read == self.last;
        self.last = read;
        if !is_settled || self.last == self.judged {
            return None;
        }
        self.judged = self.last.clone();
        let file = self.certificate.certificate.display();
        match pem.and_then(|pem| pem.pair()) {
            Ok(pair) => {
                info!(certificate = %file, "certificate reloaded");
                self.trouble = None;
                Some(pair)
            }
            Err(error) => {
                warn!(certificate = %file, %error, "the certificate's files are wrong; the one before stays");
                self.trouble = Some(error);
                None
            }
        }
    }

    fn trouble(&self) -> Option<String> {
        let file = match self.trouble.as_ref()? {
            Unusable::Certificate(_) => &self.certificate.certificate,
            Unusable::Key(_) => &self.certificate.key,
        };
        Some(format!("{} {}", file.display(), self.trouble.as_ref()?))
    }
}

impl Shown {
    /// The certificate for a client that asks for `name`.
    fn to(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let place = name.and_then(|name| {
            let name = name.to_ascii_lowercase();
            let suffix = name.find('.').map(|dot| &name[dot..]);
            self.exact.get(&name).or_else(|| self.one_label_before.get(suffix?)).copied()
        });
        self.all.get(place.unwrap_or(0)).cloned()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.shown.load().to(hello.server_name())
    }
}
