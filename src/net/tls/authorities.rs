//! Who signs the certificates that clients must show, reloaded when the file changes.
//!
//! Promises: a client without a certificate that one of them has signed ends with its handshake; while the file is wrong,
//! those from before are believed.
//! Deliberately does not: tell clients apart. Who may do what is in their tokens.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use tracing::{info, warn};

use crate::config::certificate::{provider, read_certificates, roots};

/// Those whose signatures on clients' certificates are believed. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub(super) struct Authorities {
    believed: Arc<ArcSwap<Verifier>>,
    file: Arc<Mutex<File>>,
}

/// The library's verifier, as one word that can be swapped.
#[derive(Debug)]
struct Verifier(Arc<dyn ClientCertVerifier>);

#[derive(Debug)]
struct File {
    path: PathBuf,
    /// What was in it when it was last judged.
    judged: Read,
    /// What was in it when it was last read.
    last: Read,
    trouble: Option<String>,
}

/// The certificates in a file, or why it cannot be read.
type Read = Result<Vec<CertificateDer<'static>>, String>;

impl Authorities {
    /// Those in the file of PEM at `path`. Reads it.
    pub(super) fn load(path: PathBuf) -> Result<Self, String> {
        let read = read_certificates(&path)?;
        let believed = verifier(read.clone())?;
        let file = File { path, judged: Ok(read.clone()), last: Ok(read), trouble: None };
        Ok(Self { believed: Arc::new(ArcSwap::from_pointee(believed)), file: Arc::new(Mutex::new(file)) })
    }

    /// Reads the file again, and believes what is in it once it has been the same twice. What is wrong with it, with its
    /// name. Reads the file.
    pub(super) fn look(&self) -> Option<String> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(changed) = file.look() {
            self.believed.store(Arc::new(changed));
        }
        file.trouble.as_ref().map(|trouble| format!("{} {trouble}", file.path.display()))
    }

    fn believed(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.believed.load().0)
    }
}

impl File {
    fn look(&mut self) -> Option<Verifier> {
        let read = read_certificates(&self.path);
        let is_settled = read == self.last;
        self.last = read;
        if !is_settled || self.last == self.judged {
            return None;
        }
        self.judged = self.last.clone();
        match self.judged.clone().and_then(verifier) {
            Ok(verifier) => {
                info!(file = %self.path.display(), "those who sign clients' certificates reloaded");
                self.trouble = None;
                Some(verifier)
            }
            Err(error) => {
                warn!(file = %self.path.display(), error, "the file is wrong; those from before are believed");
                self.trouble = Some(error);
                None
            }
        }
    }
}

fn verifier(certificates: Vec<CertificateDer<'static>>) -> Result<Verifier, String> {
    let roots = Arc::new(roots(certificates)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
    verifier.map(Verifier).map_err(|error| format!("cannot be used: {error}"))
}

impl ClientCertVerifier for Authorities {
    /// None: hints are borrowed, and these may change. Clients then show the certificate that they were given.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.believed().verify_client_cert(own, between, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.believed().verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.believed().verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.believed().supported_verify_schemes()
    }
}
