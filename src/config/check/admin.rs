//! `[admin]`: the admin port's address, its TLS, and the hosts that it answers to.
//!
//! Promises: an address that others can reach is served over TLS; every certificate can be served when this was read.
//! Deliberately does not: bind anything.

use std::path::PathBuf;

use super::super::certificate::read_certificates;
use super::super::file;
use super::super::mistake::Findings;
use super::super::written::At;
use super::super::{Admin, AdminTls};
use super::{address, all, host, listener};

pub(super) fn check(file: &file::Admin, findings: &mut Findings) -> Option<Admin> {
    let listen = findings.keep("admin.listen", &file.listen.span, address(&file.listen.value));
    if listen.is_some_and(|listen| !listen.ip().to_canonical().is_loopback()) && file.tls.is_none() {
        let message = "is not a loopback address, and without admin.tls tokens would travel in clear";
        findings.push("admin.listen", &file.listen.span, message);
    }
    let tls = match &file.tls {
        None => Some(None),
        Some(at) => tls(at, findings).map(Some),
    };
    let hosts = all("admin.hosts", &file.hosts, findings, host::pattern);
    Some(Admin { listen: listen?, tls: tls?, hosts: hosts? })
}

fn tls(at: &At<file::AdminTls>, findings: &mut Findings) -> Option<AdminTls> {
    let written = &at.value;
    let certificate = listener::pair("admin.tls", (&written.certificate, &written.key), at, findings);
    let client_ca = match &written.client_ca {
        None => Some(None),
        Some(text) => {
            let file = PathBuf::from(&text.value);
            findings.keep("admin.tls.client_ca", &text.span, read_certificates(&file)).map(|_| Some(file))
        }
    };
    Some(AdminTls { certificate: certificate?, client_ca: client_ca? })
}
