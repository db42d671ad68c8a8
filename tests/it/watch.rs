//! `watch = true`: a file that changes is taken up without being asked for.

use std::fs;
use std::path::Path;

use crate::support::backend::Backend;
use crate::support::client::RawClient;
use crate::support::gateway::wait_until;
use crate::support::process::Process;
use crate::support::request::request;

/// A configuration that is watched, and whose only route leads to `backend` and asks for no token.
fn configuration(backend: &Backend) -> String {
    format!(
        "watch = true\n[gateway]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [store]\npath = \"relevo.redb\"\n[drain]\ndelay = \"0s\"\n[log]\naccess = false\n\
         [[upstreams]]\nname = \"backend\"\nendpoints = [\"http://{}\"]\n\
         [[routes]]\npath = \"/\"\nauth = \"none\"\nupstream = \"backend\"\n",
        backend.address()
    )
}

fn ask(process: &Process) -> String {
    let mut client = RawClient::connect(process.gateway);
    client.send(&request("GET", "/").bytes());
    client.read_response().text()
}

/// How often this was logged.
fn logged(folder: &Path, what: &str) -> usize {
    fs::read_to_string(folder.join("stderr.log")).expect("a log").matches(what).count()
}

#[test]
fn a_file_that_changes_is_in_force_without_being_asked_for_and_one_with_mistakes_never() {
    let backends = ["first", "second", "third"].map(Backend::answering);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("relevo.toml");
    let process = Process::serve(folder.path(), &configuration(&backends[0]));
    assert_eq!(ask(&process), "first");

    fs::write(&file, configuration(&backends[1])).expect("written");
    wait_until("the second configuration is in force", || ask(&process) == "second");

    fs::write(&file, configuration(&backends[2]).replace("auth", "autt")).expect("written");
    wait_until("the mistake is told", || logged(folder.path(), "configuration not reloaded") == 1);
    assert_eq!(ask(&process), "second");

    // A link that is swapped, as volumes do.
    let (draft, link) = (folder.path().join("third.toml"), folder.path().join("link"));
    fs::write(&draft, configuration(&backends[2])).expect("written");
    std::os::unix::fs::symlink(&draft, &link).expect("linked");
    fs::rename(&link, &file).expect("renamed");
    wait_until("the third configuration is in force", || ask(&process) == "third");
    // What was there at the start was looked at, and said nothing new.
    wait_until("both are told", || logged(folder.path(), "configuration reloaded") == 2);
    assert_eq!(logged(folder.path(), "configuration not reloaded"), 1);
}
