//! Why a start failed, and with which exit code.

use std::fmt::Display;
use std::io;
use std::path::Path;

use crate::keyring::Denied;
use crate::store::StoreError;
use crate::store::embedded::OpenError;

/// What stood in the way of a start, in one sentence.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct StartError {
    text: String,
    exit_code: u8,
    taken: Option<Taken>,
}

/// What another process has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Taken {
    Address,
    Store,
}

impl StartError {
    /// 2 where the operator can mend it in the configuration or by stopping another process, else 1.
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }

    /// Whether an address was in use, if only at that moment.
    pub fn is_for_an_address(&self) -> bool {
        self.taken == Some(Taken::Address)
    }

    /// The same for whoever needs the store at `path` for himself: what he can do about it, if a gateway has it.
    pub(super) fn beside_a_gateway(self, path: &Path) -> Self {
        if self.taken != Some(Taken::Store) {
            return self;
        }
        let path = path.display();
        let text = format!(
            "a gateway is running on the store {path}, and this works on the store itself: stop the gateway (where \
             systemd runs it: systemctl stop relevo), give this command again, and start the gateway"
        );
        Self { text, ..self }
    }

    fn failed(text: String) -> Self {
        Self { text, exit_code: 1, taken: None }
    }

    fn usage(text: String) -> Self {
        Self { text, exit_code: 2, taken: None }
    }

    pub(super) fn certificate(key: &str, address: &impl Display, error: &io::Error) -> Self {
        Self::usage(format!("{key}: {address}: {error}"))
    }

    pub(super) fn bind(key: &str, address: &impl Display, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::AddrInUse {
            let text = format!("{key}: {address} is in use by another process");
            return Self { taken: Some(Taken::Address), ..Self::usage(text) };
        }
        Self::usage(format!("{key}: {address} cannot be listened on: {error}"))
    }

    pub(super) fn store(path: &Path, error: &OpenError) -> Self {
        let text = format!("store.path: {}: {error}", path.display());
        match error {
            OpenError::InUse => Self { taken: Some(Taken::Store), ..Self::usage(text) },
            OpenError::FolderInUse { .. } => Self::usage(text),
            OpenError::UnknownFormat { .. } | OpenError::Corrupt(_) | OpenError::Unavailable(_) => Self::failed(text),
        }
    }

    pub(super) fn no_store(path: &Path) -> Self {
        Self::usage(format!("store.path: there is no store at {}: the first start makes it", path.display()))
    }

    pub(super) fn log(error: &io::Error) -> Self {
        Self::usage(format!("log.access: {error}"))
    }

    pub(super) fn stdout(error: &io::Error) -> Self {
        Self::failed(format!("stdout cannot be written: {error}"))
    }

    pub(super) fn thread(error: &io::Error) -> Self {
        Self::failed(format!("the system gives no thread or timer: {error}"))
    }

    pub(super) fn token(text: String) -> Self {
        Self::usage(text)
    }

    pub(super) fn token_file(path: &Path, error: &io::Error) -> Self {
        Self::failed(format!("the administrator's token cannot be written to {}: {error}", path.display()))
    }
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self::failed(error.to_string())
    }
}

impl From<Denied> for StartError {
    fn from(error: Denied) -> Self {
        Self::failed(error.to_string())
    }
}
