//! `relevo demo`: the place it lives in, its ports, and what it tells.
//!
//! Promises: only a directory that an earlier demo has marked as its own is ever deleted, and never one in use.
//! Deliberately does not: start the gateway; see [`super::local`].

pub(super) mod echo;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::failure::Failure;

/// The directory, below the one the demo is started in.
pub(super) const DIRECTORY: &str = "relevo-demo";
/// The file by which a demo knows its own directory.
const MARKER: &str = "MADE-BY-RELEVO-DEMO";
const MARKER_TEXT: &str = "`relevo demo` made this directory, and `relevo demo --fresh` deletes it.\n";
const STORE: &str = "relevo.redb";
/// The first pair of ports, and how many pairs are tried.
const FIRST_PORT: u16 = 8080;
const PAIRS: u16 = 100;

/// Whether the demo begins anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Beginning {
    /// With what an earlier run has left, if anything.
    AsItWas,
    /// With nothing.
    Fresh,
}

/// The two addresses of the demo's gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ports {
    /// Where requests go.
    pub(super) gateway: SocketAddr,
    /// Where the admin API is.
    pub(super) admin: SocketAddr,
}

impl Ports {
    /// The first pair of neighbouring ports that both are free: 8080 and 8081, else 8082 and 8083, and so on.
    pub(super) fn free() -> Result<Self, Failure> {
        Self::first(is_free)
    }

    fn first(is_free: impl Fn(SocketAddr) -> bool) -> Result<Self, Failure> {
        let pairs = (0..PAIRS).map(|pair| FIRST_PORT + 2 * pair);
        let mut ports = pairs.map(|port| Self { gateway: loopback(port), admin: loopback(port + 1) });
        let last = FIRST_PORT + 2 * PAIRS - 1;
        ports.find(|ports| is_free(ports.gateway) && is_free(ports.admin)).ok_or_else(|| {
            Failure::Usage(format!("no two neighbouring ports from {FIRST_PORT} to {last} are free on 127.0.0.1"))
        })
    }
}

fn is_free(address: SocketAddr) -> bool {
    TcpListener::bind(address).is_ok()
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// A directory that is a demo's own, and this one's for as long as the value lives.
pub(super) struct Place {
    directory: PathBuf,
    _lock: fs::File,
}

impl Place {
    /// The demo's directory below `parent`, made if it is not there, emptied first for a fresh beginning.
    pub(super) fn open(parent: &Path, beginning: Beginning) -> Result<Self, Failure> {
        let directory = parent.join(DIRECTORY);
        if check(&directory)? && beginning == Beginning::Fresh {
            clear(&directory).map_err(|error| failed(&directory, "cannot be deleted", error))?;
        }
        let lock = make(&directory).map_err(|error| failed(&directory, "cannot be made", error))?;
        Ok(Self { directory, _lock: lock })
    }

    /// Writes the demo's configuration and tells where it is.
    pub(super) fn configure(&self, ports: Ports, echo: SocketAddr) -> Result<PathBuf, Failure> {
        let path = self.directory.join("relevo.toml");
        let text = configuration(&self.directory, ports, echo);
        fs::write(&path, text).map_err(|error| failed(&self.directory, "cannot be written to", error))?;
        Ok(path)
    }

    /// Where the first administrator's token is.
    pub(super) fn token_file(&self) -> PathBuf {
        self.directory.join("admin.token")
    }
}

/// Whether the directory is there. Refuses one that is not a demo's, or that is in use.
fn check(directory: &Path) -> Result<bool, Failure> {
    let shown = directory.display();
    let metadata = match fs::symlink_metadata(directory) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(directory, "cannot be looked at", error)),
    };
    let entries = fs::read_dir(directory).map(Iterator::count);
    let own = metadata.is_dir() && (directory.join(MARKER).is_file() || matches!(entries, Ok(0)));
    if !own {
        return Err(Failure::failed(format!(
            "{shown} is there and no demo made it ({MARKER} is not in it): nothing was touched; start the demo elsewhere"
        )));
    }
    // The marker is held by a demo, the store by whatever gateway serves it.
    let held = |name| fs::File::open(directory.join(name)).is_ok_and(|file| is_held(&file));
    if [MARKER, STORE].into_iter().any(held) {
        return Err(Failure::Usage(format!("a gateway is running in {shown}: stop it first")));
    }
    Ok(true)
}

fn is_held(file: &fs::File) -> bool {
    matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock))
}

/// Deletes the directory, the marker last: what is left by an interruption is still known as a demo's.
fn clear(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name() == MARKER {
            continue;
        }
        if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
    }
    match fs::remove_file(directory.join(MARKER)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => fs::remove_dir(directory),
    }
}

/// Makes the directory and marks it. The answer is the marker, held.
fn make(directory: &Path) -> io::Result<fs::File> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let path = directory.join(MARKER);
    fs::write(&path, MARKER_TEXT)?;
    let marker = fs::File::open(path)?;
    marker.try_lock()?;
    Ok(marker)
}

fn failed(directory: &Path, what: &str, error: io::Error) -> Failure {
    Failure::Failed(anyhow::Error::new(error).context(format!("{} {what}", directory.display())))
}

fn configuration(directory: &Path, ports: Ports, echo: SocketAddr) -> String {
    let file = |name: &str| toml::Value::String(directory.join(name).to_string_lossy().into_owned());
    format!(
        "# Written anew by every `relevo demo`.\n\
         [gateway]\nlisten = [\"{}\"]\n\n[admin]\nlisten = \"{}\"\n\n[store]\npath = {}\n\n[log]\naccess = {}\n\n\
         [[upstreams]]\nname = \"echo\"\nendpoints = [\"http://{echo}\"]\n\n[[routes]]\npath = \"/\"\nupstream = \"echo\"\n",
        ports.gateway,
        ports.admin,
        file(STORE),
        file("access.log"),
    )
}

/// What the demo tells when it runs; `token` is the new key's, or none on an existing store.
pub(super) fn greeting(ports: Ports, token: Option<&str>, console: &str, program: &str) -> String {
    let Ports { gateway, admin } = ports;
    let (said, shown) = match token {
        Some(token) => (format!("{token}   (of the key `demo`; shown this once)"), token),
        None => (
            format!(
                "this store is from an earlier run; the token of `demo` was shown once and cannot be shown again.\n  \
                 {:10}For another one: {program} renew demo. To begin anew: stop this, then {program} demo --fresh",
                ""
            ),
            "<token>",
        ),
    };
    format!(
        "Relevo's demo runs; Ctrl-C stops it, and its store stays in ./{DIRECTORY}.\n\n  \
         gateway   http://{gateway} (before a backend that echoes)\n  admin     http://{admin}\n  \
         console   {console}\n            (signs in as root, once, within 15 minutes)\n  token     {said}\n\n\
         Try, from this directory in another terminal:\n\n  \
         curl -i -H 'X-API-Key: {shown}' http://{gateway}/hello\n  {program} renew demo\n  {program} undo demo\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports() -> Ports {
        Ports { gateway: loopback(8080), admin: loopback(8081) }
    }

    #[test]
    fn only_a_directory_that_a_demo_has_marked_is_deleted() {
        let parent = tempfile::tempdir().expect("a directory");
        let foreign = parent.path().join(DIRECTORY);
        fs::create_dir(&foreign).expect("made");
        fs::write(foreign.join("thesis.txt"), "years of work").expect("written");
        for beginning in [Beginning::Fresh, Beginning::AsItWas] {
            let refused = Place::open(parent.path(), beginning).err().expect("refused");
            assert_eq!(refused.code(), 1);
        }
        assert_eq!(fs::read_to_string(foreign.join("thesis.txt")).expect("still there"), "years of work");
    }

    #[test]
    fn a_link_to_a_demo_is_not_followed() {
        let parent = tempfile::tempdir().expect("a directory");
        let elsewhere = tempfile::tempdir().expect("a directory");
        fs::write(elsewhere.path().join(MARKER), "").expect("written");
        std::os::unix::fs::symlink(elsewhere.path(), parent.path().join(DIRECTORY)).expect("linked");
        assert!(Place::open(parent.path(), Beginning::Fresh).is_err());
        assert!(elsewhere.path().join(MARKER).exists());
    }

    #[test]
    fn a_fresh_beginning_leaves_nothing_and_another_run_leaves_everything() {
        let parent = tempfile::tempdir().expect("a directory");
        let place = Place::open(parent.path(), Beginning::AsItWas).expect("made");
        fs::create_dir(place.directory.join("below")).expect("made");
        fs::write(place.directory.join("below/x"), "x").expect("written");
        let directory = place.directory.clone();
        drop(place);
        drop(Place::open(parent.path(), Beginning::AsItWas).expect("its own"));
        assert!(directory.join("below/x").exists());
        drop(Place::open(parent.path(), Beginning::Fresh).expect("its own"));
        assert!(!directory.join("below").exists() && directory.join(MARKER).exists());
    }

    #[test]
    fn a_running_demo_is_not_deleted_under_its_feet() {
        let parent = tempfile::tempdir().expect("a directory");
        let place = Place::open(parent.path(), Beginning::AsItWas).expect("made");
        let refused = Place::open(parent.path(), Beginning::Fresh).err().expect("refused");
        assert_eq!(refused.code(), 2);
        assert!(place.directory.join(MARKER).exists());
    }

    #[test]
    fn a_store_that_is_served_is_not_deleted_either() {
        let parent = tempfile::tempdir().expect("a directory");
        let directory = Place::open(parent.path(), Beginning::AsItWas).expect("made").directory;
        let store = fs::File::create(directory.join(STORE)).expect("made");
        store.lock().expect("locked");
        assert!(Place::open(parent.path(), Beginning::Fresh).is_err());
        assert!(directory.join(STORE).exists());
    }

    #[test]
    fn the_next_pair_is_taken_if_either_port_is_not_free() {
        let found = |taken: &[u16]| Ports::first(|address| !taken.contains(&address.port()));
        assert_eq!(found(&[]).expect("free"), ports());
        let next = Ports { gateway: loopback(8082), admin: loopback(8083) };
        assert_eq!(found(&[8080]).expect("free"), next);
        assert_eq!(found(&[8081]).expect("free"), next);
        assert_eq!(Ports::first(|_| false).expect_err("none").code(), 2);
    }

    #[test]
    fn the_configuration_is_toml_whatever_the_directory_is_called() {
        let text = configuration(Path::new("/a \"quoted\" \\ place"), ports(), loopback(9));
        let table: toml::Table = text.parse().expect("toml");
        assert_eq!(table["store"]["path"].as_str(), Some("/a \"quoted\" \\ place/relevo.redb"));
        assert_eq!(table["upstreams"][0]["endpoints"][0].as_str(), Some("http://127.0.0.1:9"));
    }

    #[test]
    fn the_configuration_is_legal_and_leads_to_the_echo() {
        let parent = tempfile::tempdir().expect("a directory");
        let place = Place::open(parent.path(), Beginning::AsItWas).expect("made");
        let path = place.configure(ports(), loopback(9)).expect("written");
        let config = crate::config::load(Some(&path), []).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let listens: Vec<_> = config.gateway.listeners.iter().map(|listener| listener.address.to_string()).collect();
        assert_eq!((listens, config.admin.listen), (vec!["127.0.0.1:8080".to_owned()], loopback(8081)));
        assert_eq!(config.upstreams[config.routes[0].upstream].endpoints[0].to_string(), "http://127.0.0.1:9");
        assert_eq!(config.store.path, place.directory.join(STORE));
        assert_eq!(place.token_file().parent(), config.store.path.parent());
    }

    #[test]
    fn the_greeting_tells_the_token_and_three_commands_to_try() {
        let text = greeting(ports(), Some("rlv_abc"), "http://127.0.0.1:8081/console/link/x", "cargo run --release --");
        for line in [
            "  console   http://127.0.0.1:8081/console/link/x",
            "  curl -i -H 'X-API-Key: rlv_abc' http://127.0.0.1:8080/hello",
            "  cargo run --release -- renew demo",
            "  cargo run --release -- undo demo",
        ] {
            assert!(text.lines().any(|found| found == line), "{text}");
        }
        let again = greeting(ports(), None, "", "relevo");
        assert!(again.contains("relevo demo --fresh") && again.contains("cannot be shown again"), "{again}");
    }
}
