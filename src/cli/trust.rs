//! Whom a client command believes that he is the gateway, and what it shows of itself.
//!
//! Promises: a file that was named and cannot be used is told before anything is sent; nobody is believed whose
//! certificate was not signed by those who were named, or is not the announced one.
//! Deliberately does not: offer a way to believe anybody.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use super::arguments::Reach;
use super::client::AdminUrl;
use super::failure::Failure;
use super::find::Surroundings;
use crate::config::Certificate;
use crate::config::certificate::{Unusable, provider, read_certificates, roots};
use crate::net::dial::Shown;

/// Who is believed, and what is shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust {
    /// `None`: the system's roots.
    believed: Option<Arc<dyn ServerCertVerifier>>,
    shown: Option<Arc<CertifiedKey>>,
}

impl Trust {
    /// What the arguments and the environment say. Reads files.
    pub(super) fn given(reach: &Reach, surroundings: &Surroundings) -> Result<Self, Failure> {
        let file = |given: &Option<PathBuf>, variable: &str| {
            let named = given.clone().or_else(|| surroundings.variable(variable).map(PathBuf::from));
            named.map(|path| surroundings.directory.join(path))
        };
        let believed = match file(&reach.ca, "RELEVO_ADMIN_CA") {
            Some(file) => Some(signed_by(&file)?),
            None => None,
        };
        let certificate = file(&reach.client_certificate, "RELEVO_ADMIN_CLIENT_CERTIFICATE");
        let shown = match (certificate, file(&reach.client_key, "RELEVO_ADMIN_CLIENT_KEY")) {
            (Some(certificate), Some(key)) => Some(shown(&Certificate { certificate, key })?),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                let text = "--client-certificate and --client-key are given together, or not at all";
                return Err(Failure::Usage(text.to_owned()));
            }
        };
        Ok(Self { believed, shown })
    }

    /// Believes whoever shows the first certificate in `file` and has its key, unless somebody was named. Reads the file.
    pub(super) fn announced(&mut self, file: &Path) -> Result<(), String> {
        if self.believed.is_none() {
            let told = |reason| format!("its certificate, {}, {reason}", file.display());
            let certificate = read_certificates(file).map_err(told)?.swap_remove(0);
            self.believed = Some(Arc::new(Pinned(certificate)));
        }
        Ok(())
    }

    /// A client that believes and shows this, about to be built.
    pub(super) fn client(&self, url: &AdminUrl) -> Result<reqwest::ClientBuilder, String> {
        let builder = reqwest::Client::builder();
        if !url.is_secure() || (self.believed.is_none() && self.shown.is_none()) {
            return Ok(builder);
        }
        self.tls().map(|tls| builder.tls_backend_preconfigured(tls)).map_err(|error| error.to_string())
    }

    fn tls(&self) -> Result<ClientConfig, Error> {
        let believed = match &self.believed {
            Some(believed) => Arc::clone(believed),
            None => Arc::new(rustls_platform_verifier::Verifier::new(provider())?),
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .dangerous() // the one way to name a verifier
            .with_custom_certificate_verifier(believed);
        let mut config = match &self.shown {
            Some(shown) => builder.with_client_cert_resolver(Arc::new(Shown(Arc::clone(shown)))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn signed_by(file: &Path) -> Result<Arc<dyn ServerCertVerifier>, Failure> {
    let wrong = |reason: String| Failure::Usage(format!("the file of --ca, {}, {reason}", file.display()));
    let roots = Arc::new(read_certificates(file).and_then(roots).map_err(wrong)?);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider()).build();
    Ok(verifier.map_err(|error| wrong(format!("cannot be used: {error}")))?)
}

fn shown(files: &Certificate) -> Result<Arc<CertifiedKey>, Failure> {
    files.load().map_err(|unusable| {
        let (option, file) = match &unusable {
            Unusable::Certificate(_) => ("--client-certificate", &files.certificate),
            Unusable::Key(_) => ("--client-key", &files.key),
        };
        Failure::Usage(format!("the file of {option}, {}, {unusable}", file.display()))
    })
}

/// One certificate, whatever its names, dates and issuer: whoever shows it must have its key.
#[derive(Debug)]
struct Pinned(CertificateDer<'static>);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let is_it = *own == self.0;
        is_it.then(ServerCertVerified::assertion).ok_or(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
