//! What behaviour tests stand on: a backend that records every byte, and a client that sends any.
//!
//! Promises: port 0 everywhere; every wait has a deadline and fails by name.
//! Deliberately does not: mend what it reads. Whatever two servers could read in two ways is a fault.

pub(crate) mod backend;
pub(crate) mod browser;
pub(crate) mod client;
pub(crate) mod desk;
pub(crate) mod frames;
pub(crate) mod gateway;
pub(crate) mod modern;
pub(crate) mod modern_backend;
pub(crate) mod pairs;
pub(crate) mod process;
pub(crate) mod receiver;
pub(crate) mod relay;
pub(crate) mod request;
pub(crate) mod sockets;
pub(crate) mod store;
pub(crate) mod translated;
pub(crate) mod trial;
pub(crate) mod ways;
pub(crate) mod wire;

/// How long anything may take before a test fails.
pub(crate) const DEADLINE: std::time::Duration = std::time::Duration::from_secs(20);

/// `short` in `make test`; `soak` in `make soak`, which takes its time.
pub(crate) fn in_short_or_soak<T>(short: T, soak: T) -> T {
    if std::env::var_os("SOAK").is_some() { soak } else { short }
}

/// Lets this process, and those that it starts, have as many files open as the system gives.
pub(crate) fn allow_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("set");
}
