//! Certificates with their keys, in files, a server that shows one, and a client that trusts them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// A certificate that signs itself, with its key.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Pair {
    /// A new one for these names.
    pub(crate) fn of(names: &[&str]) -> Self {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        Self { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }

    /// Writes it to `NAME.pem` and `NAME.key`, each at one instant, the certificate first.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> [PathBuf; 2] {
        [("pem", &self.certificate), ("key", &self.key)].map(|(end, text)| {
            let (file, draft) = (folder.join(format!("{name}.{end}")), folder.join(format!("{name}.{end}.draft")));
            std::fs::write(&draft, text).expect("written");
            std::fs::rename(&draft, &file).expect("renamed");
            file
        })
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("a certificate")
    }
}

/// How a server shakes hands that shows `pair` and speaks these protocols.
pub(crate) fn serving(pair: &Pair, protocols: &[&str]) -> Arc<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("a key");
    let mut config = builder.with_single_cert(vec![pair.der()], key).expect("a pair");
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// How a client that trusts `pairs` shakes hands, offering these protocols; it never resumes, and so sees each certificate.
pub(crate) fn trusting(pairs: &[&Pair], protocols: &[&str]) -> Arc<ClientConfig> {
    shaking(pairs, protocols, None)
}

/// The same over HTTP/1.1, showing `own`.
pub(crate) fn showing(own: &Pair, pairs: &[&Pair]) -> Arc<ClientConfig> {
    shaking(pairs, &["http/1.1"], Some(own))
}

fn shaking(pairs: &[&Pair], protocols: &[&str], own: Option<&Pair>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for pair in pairs {
        roots.add(pair.der()).expect("a root");
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let mut config = match own {
        Some(own) => {
            let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("a key");
            builder.with_client_auth_cert(vec![own.der()], key).expect("a pair")
        }
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}
