//! A certificate and its key: two files of PEM, read and checked as a pair.
//!
//! Promises: what [`Certificate::load`] gives can be served: the key is the certificate's own.
//! Deliberately does not: judge names, dates or issuers. Whoever trusts a certificate does that.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Where a certificate and its key are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// The file of the certificate and those that it is signed with, in PEM, its own first.
    pub certificate: PathBuf,
    /// The file of its key, in PEM.
    pub key: PathBuf,
}

/// The content of both files.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

/// Why a certificate cannot be served. Never shows what is in the key's file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unusable {
    /// The trouble lies with the certificate's file.
    #[error("{0}")]
    Certificate(String),
    /// The trouble lies with the key's file, or both are sound and no pair.
    #[error("{0}")]
    Key(String),
}

impl Certificate {
    /// Reads both files.
    pub fn read(&self) -> Result<Pem, Unusable> {
        let certificate = read(&self.certificate).map_err(Unusable::Certificate)?;
        let key = Zeroizing::new(read(&self.key).map_err(Unusable::Key)?);
        Ok(Pem { certificate, key })
    }

    /// Reads both files and checks that they are a pair.
    pub fn load(&self) -> Result<Arc<CertifiedKey>, Unusable> {
        self.read()?.pair()
    }
}

impl Pem {
    /// SHA-256 over both: tells whether files have changed.
    pub fn digest(&self) -> [u8; 32] {
        let [certificate, key] = [&*self.certificate, &*self.key].map(Sha256::digest);
        Sha256::new().chain_update(certificate).chain_update(key).finalize().into()
    }

    /// The certificate and its key, checked to be a pair.
    pub fn pair(&self) -> Result<Arc<CertifiedKey>, Unusable> {
        let chain = certificates(&self.certificate).map_err(Unusable::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| Unusable::Key("holds no private key in PEM".to_owned()))?;
        CertifiedKey::from_der(chain, key, &provider()).map(Arc::new).map_err(|error| unusable(&error))
    }
}

fn unusable(error: &rustls::Error) -> Unusable {
    if let rustls::Error::InvalidCertificate(reason) = error {
        return Unusable::Certificate(format!("holds a malformed certificate: {reason}"));
    }
    let no_pair = matches!(error, rustls::Error::InconsistentKeys(_));
    Unusable::Key(if no_pair {
        "is not the key of the certificate".to_owned()
    } else {
        format!("cannot be used: {error}")
    })
}

/// The certificates in a file of PEM; at least one.
pub fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    certificates(&read(file)?)
}

/// The one provider of cryptography, for both sides.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: std::sync::LazyLock<Arc<CryptoProvider>> =
        std::sync::LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));
    Arc::clone(&PROVIDER)
}

/// Those whose signatures are believed: whoever has one of these certificates.
pub fn roots(certificates: Vec<CertificateDer<'static>>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate).map_err(|error| format!("holds a certificate that signs nothing: {error}"))?;
    }
    Ok(roots)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| "is not sound PEM".to_owned())?;
    if chain.is_empty() { Err("holds no certificate in PEM".to_owned()) } else { Ok(chain) }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("cannot be read: {error}"))
}
