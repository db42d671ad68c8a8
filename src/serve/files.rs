//! How many clients this process has descriptors for.
//!
//! Promises: however many clients come, the admin port, the probes and the store have descriptors left, and each client's
//! connection has another one, to its backend.
//! Deliberately does not: bound what the streams of one HTTP/2 connection open to backends; `in_flight` does.

use tracing::warn;

use crate::admin::server;
use crate::config::Config;
use crate::gateway::Room;

/// What is open besides workers and connections, amply: stores, the log, runtimes, webhooks, look-ups of names.
const OWN: u64 = 64;
/// What the runtime of a worker has open, amply.
const RUNTIME: u64 = 8;

/// The descriptors that this process may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Files(pub(super) u64);

impl Files {
    /// The room for clients that is left. Where descriptors are few, what is kept back is three quarters of them.
    pub(super) fn room(self, config: &Config) -> Room {
        let Self(most) = self;
        let (workers, listeners) = (count(config.gateway.workers), count(config.gateway.listeners.len()));
        let usual = Room::default().farewells;
        let admin = count(server::Limits::default().connections) * ports(config);
        let wanted = OWN + admin + workers * (RUNTIME + listeners + count(usual));
        let kept = wanted.min(most / 4 * 3);
        let connections = usize::try_from((most - kept) / 2).unwrap_or(usize::MAX).max(1);
        let farewells = usize::try_from(most / 8 / workers.max(1)).unwrap_or(usize::MAX).clamp(1, usual);
        Room { connections, farewells }
    }

    /// The bounds of the admin port, and of the probes' port.
    pub(super) fn admin(self, config: &Config) -> server::Limits {
        let usual = server::Limits::default();
        let share = usize::try_from(self.0 / 5 / ports(config)).unwrap_or(usize::MAX);
        server::Limits { connections: share.clamp(1, usual.connections), ..usual }
    }

    /// Warns where the configuration promises more places than there is room for.
    pub(super) fn tell(self, config: &Config) {
        let (asked, places) = (config.limits.connections, self.room(config).connections);
        if asked > places {
            warn!(
                limits.connections = asked,
                places,
                open_files = self.0,
                "the limit of open files leaves fewer places than limits.connections: raise it, or lower that"
            );
        }
    }
}

/// How many ports there are of the admin plane's.
fn ports(config: &Config) -> u64 {
    1 + u64::from(config.probes.is_some())
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("relevo.toml");
        std::fs::write(&file, text).expect("written");
        crate::config::load(Some(&file), []).expect("no mistakes")
    }

    #[test]
    fn clients_and_their_backends_leave_the_rest_what_it_needs() {
        let probes = "[probes]\nlisten = \"127.0.0.1:9999\"\n";
        for (workers, probes, kept) in
            [(1, "", 64 + 256 + 73), (16, "", 64 + 256 + 16 * 73), (1, probes, 64 + 512 + 73)]
        {
            let config = config(&format!("[gateway]\nlisten = [\"127.0.0.1:0\"]\nworkers = {workers}\n{probes}"));
            for most in [20_000, 131_072, 1_048_576] {
                let room = Files(most).room(&config);
                assert_eq!(count(room.connections), (most - kept) / 2, "{workers} workers, {most} files");
                assert_eq!(room.farewells, 64);
            }
        }
    }

    #[test]
    fn where_files_are_few_a_quarter_of_them_is_for_clients_and_backends() {
        let config = config("[gateway]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n");
        for (most, connections, farewells) in [(0, 1, 1), (8, 1, 1), (64, 8, 4), (100, 12, 6), (256, 32, 16)] {
            assert_eq!(Files(most).room(&config), Room { connections, farewells }, "{most}");
        }
        for (most, connections) in [(0, 1), (100, 20), (1_024, 204), (4_096, 256)] {
            assert_eq!(Files(most).admin(&config).connections, connections, "{most}");
        }
        assert_eq!(Files(u64::MAX).room(&config).farewells, 64);
    }
}
