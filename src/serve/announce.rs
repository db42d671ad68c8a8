//! `admin.json`: how the command line of this user finds this gateway.
//!
//! Promises: each is locked for as long as this gateway lives and no longer, whatever ends it: one that nobody holds leads
//! to nobody, or to whoever has taken the port since.
//! Deliberately does not: keep a gateway from running where it cannot be announced.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde_json::json;
use tracing::warn;

use super::first::TOKEN_FILE;
use crate::config::AdminTls;
use crate::store::private;

/// The files written, each with its lock; those that are still this process's are removed when it is dropped.
pub(super) struct Announcement {
    files: Vec<(PathBuf, fs::File)>,
    text: String,
}

/// Announces the admin port at `admin` of the gateway whose store is at `store`: beside the store, and in the user's
/// runtime directory if there is one. Over TLS it names the certificate that will be shown, whatever names are in that.
pub(super) fn write(admin: SocketAddr, tls: Option<&AdminTls>, store: &Path) -> Option<Announcement> {
    let folder = fs::canonicalize(store).ok()?.parent()?.to_owned();
    let Some(text) = text(admin, tls, &folder) else {
        warn!(folder = %folder.display(), "this gateway is not announced: a path to be told is not UTF-8");
        return None;
    };
    let mut announcement = Announcement { files: Vec::new(), text };
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| Path::new(folder).is_absolute());
    let runtime = runtime.map(|folder| PathBuf::from(folder).join("relevo"));
    for folder in [Some(folder), runtime].into_iter().flatten() {
        let file = folder.join("admin.json");
        match private::write_held(&file, &announcement.text) {
            Ok(held) => announcement.files.push((file, held)),
            Err(error) => warn!(file = %file.display(), %error, "this gateway is not announced there"),
        }
    }
    Some(announcement)
}

/// What is announced of the gateway whose store is in `folder`; `None` where a path in it is no text.
fn text(admin: SocketAddr, tls: Option<&AdminTls>, folder: &Path) -> Option<String> {
    let token_file = folder.join(TOKEN_FILE).into_os_string().into_string().ok()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", reachable(admin));
    let mut text = json!({"url": url, "token_file": token_file, "pid": std::process::id()});
    if let Some(tls) = tls {
        // Whoever reads it may stand in another directory.
        let certificate = &tls.certificate.certificate;
        let certificate = fs::canonicalize(certificate).unwrap_or_else(|_| certificate.clone());
        text["certificate"] = certificate.into_os_string().into_string().ok()?.into();
    }
    Some(format!("{text}\n"))
}

/// Where a client of this machine reaches what listens on `address`.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

impl Drop for Announcement {
    fn drop(&mut self) {
        for (file, _held) in &self.files {
            if fs::read_to_string(file).is_ok_and(|text| text == self.text) {
                fs::remove_file(file).ok();
            }
        }
    }
}
