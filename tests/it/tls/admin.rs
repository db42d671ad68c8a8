//! TLS on the admin port: for programs, for browsers, and for the command line.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use http::HeaderMap;
use rustls::ClientConfig;
use serde_json::Value;

use crate::support::client::RawClient;
use crate::support::gateway::wait_until;
use crate::support::modern::{Answer, Fault, Modern};
use crate::support::pairs::{Pair, showing, trusting};
use crate::support::process::Process;
use crate::support::request::request;

const NAME: &str = "admin.example.com";

/// A process whose admin port shows `pair`, with `more` said of its TLS.
fn serve(folder: &Path, pair: &Pair, more: &str) -> Process {
    pair.write(folder, "admin");
    let configuration = format!(
        "[gateway]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[admin]\nlisten = \"0.0.0.0:0\"\nhosts = [\"{NAME}\"]\n\
         tls = {{ certificate = \"admin.pem\", key = \"admin.key\"{more} }}\n[store]\npath = \"relevo.redb\"\n[drain]\ndelay = \"0s\"\n"
    );
    Process::serve(folder, &configuration)
}

/// Where a process that listens on every address is reached.
fn reached(process: &Process) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], process.admin.port()))
}

fn root(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("admin.token")).expect("a token").trim().to_owned()
}

/// What a GET by the first administrator is answered on a connection of its own.
fn get(process: &Process, folder: &Path, trust: &Arc<ClientConfig>, path: &str) -> Result<Answer, Fault> {
    let mut client = Modern::over_tls(reached(process), NAME, trust)?;
    client.ask(client.request(path).header("authorization", format!("Bearer {}", root(folder))), "")
}

/// Runs a client command in `folder` with nothing in its environment but `variables`.
fn relevo(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relevo"));
    command.args(arguments).current_dir(folder).env_clear().envs(variables.iter().copied());
    command.output().expect("it ran")
}

/// That a command ended with `code`, having said `part`.
#[track_caller]
fn ended(output: &Output, code: i32, part: &str) {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.code() == Some(code) && said.contains(part), "{:?}: {said}", output.status);
}

fn cookie(headers: &HeaderMap) -> &str {
    headers["set-cookie"].to_str().expect("text")
}

#[test]
fn an_admin_port_that_others_can_reach_speaks_tls_alone_and_the_consoles_cookie_is_its_hosts() {
    let (folder, pair) = (tempfile::tempdir().expect("a folder"), Pair::of(&[NAME]));
    let process = serve(folder.path(), &pair, "");
    let trust = trusting(&[&pair], &["h2", "http/1.1"]);
    let answer = get(&process, folder.path(), &trust, "/v1/status").expect("an answer");
    assert_eq!(answer.status, 200);
    let mut clear = RawClient::connect(reached(&process));
    clear.send(&request("GET", "/livez").bytes());
    assert!(clear.try_read_response().is_err(), "answered in clear");

    let mut browser = Modern::over_tls(reached(&process), NAME, &trust).expect("a handshake");
    assert_eq!(browser.agreed.as_ref().and_then(|agreed| agreed.protocol.as_deref()), Some("http/1.1"));
    let origin = format!("https://{NAME}");
    let sign_in = http::Request::post("/console/sign-in").header("host", NAME).header("origin", origin);
    let sign_in = sign_in.header("content-type", "application/x-www-form-urlencoded");
    let welcome = browser.ask(sign_in, &format!("token={}", root(folder.path()))).expect("an answer");
    assert_eq!(welcome.status, 303, "{welcome:?}");
    let set = cookie(&welcome.headers).to_owned();
    assert!(set.starts_with("__Host-relevo=") && set.contains("; Path=/; HttpOnly; SameSite=Strict; Secure"), "{set}");
    let kept = set.split(';').next().expect("a pair").to_owned();
    let page = browser.ask(browser.request("/console/keys").header("cookie", &kept), "").expect("an answer");
    assert_eq!(page.status, 200, "the cookie is known again");
    let link = format!("console: https://{NAME}:{}/console/link/", process.admin.port());
    let told = || std::fs::read_to_string(folder.path().join("stderr.log")).expect("a log");
    assert!(told().contains(&link), "{}", told());
}

#[test]
fn only_clients_with_a_certificate_are_let_in_where_one_is_asked_for_and_all_three_files_are_watched() {
    let (folder, pair) = (tempfile::tempdir().expect("a folder"), Pair::of(&[NAME]));
    let [known, stranger] = [Pair::of(&["known"]), Pair::of(&["stranger"])];
    known.write(folder.path(), "clients");
    let process = serve(folder.path(), &pair, ", client_ca = \"clients.pem\"");
    let status =
        |trust: &Arc<ClientConfig>| get(&process, folder.path(), trust, "/v1/status").map(|answer| answer.status);
    assert_eq!(status(&showing(&known, &[&pair])).expect("let in"), 200);
    assert!(status(&showing(&stranger, &[&pair])).is_err(), "a certificate that nobody has signed");
    assert!(status(&trusting(&[&pair], &["http/1.1"])).is_err(), "no certificate");

    stranger.write(folder.path(), "clients");
    wait_until("the other's are believed", || status(&showing(&stranger, &[&pair])).is_ok());
    assert!(status(&showing(&known, &[&pair])).is_err(), "no longer believed");
    let next = Pair::of(&[NAME]);
    next.write(folder.path(), "admin");
    wait_until("the other certificate is shown", || status(&showing(&stranger, &[&next])).is_ok());
    let told = || {
        let answer = get(&process, folder.path(), &showing(&stranger, &[&next]), "/v1/status").expect("an answer");
        String::from_utf8_lossy(&answer.body).into_owned()
    };
    std::fs::write(folder.path().join("clients.pem"), "no PEM").expect("written");
    wait_until("what is wrong is told", || told().contains("clients.pem holds no certificate in PEM"));
}

#[test]
fn the_command_line_believes_the_announced_certificate_or_those_who_are_named() {
    let (folder, pair) = (tempfile::tempdir().expect("a folder"), Pair::of(&[NAME, "localhost"]));
    let own = Pair::of(&["operator"]);
    let [clients, key] = own.write(folder.path(), "clients").map(|file| file.display().to_string());
    let data = folder.path().join("relevo-data");
    std::fs::create_dir(&data).expect("made");
    let process = serve(&data, &pair, &format!(", client_ca = \"{clients}\""));
    let shown = [("RELEVO_ADMIN_CLIENT_CERTIFICATE", clients.as_str()), ("RELEVO_ADMIN_CLIENT_KEY", key.as_str())];

    let found = relevo(folder.path(), &["status", "--json"], &shown);
    ended(&found, 0, "");
    let status: Value = serde_json::from_slice(&found.stdout).expect("JSON");
    assert_eq!(status["administrators"], 1);
    ended(&relevo(folder.path(), &["status"], &[]), 1, "does not answer");
    let half = relevo(folder.path(), &["status", "--client-key", &key], &[]);
    ended(&half, 2, "--client-certificate and --client-key");

    let url = format!("https://localhost:{}", process.admin.port());
    let named = |ca: &str| {
        let arguments = ["status", "--admin", &url, "--token-file", "relevo-data/admin.token", "--ca", ca];
        relevo(folder.path(), &arguments, &shown)
    };
    ended(&named("relevo-data/admin.pem"), 0, "");
    ended(&named("clients.pem"), 1, "does not answer");
    ended(&named("nothing.pem"), 2, "nothing.pem, cannot be read");

    // Whoever has taken the port of a gateway that has gone cannot show its certificate.
    let announced = data.join("admin.json");
    let text = std::fs::read_to_string(&announced).expect("announced").replace("admin.pem", "../clients.pem");
    std::fs::write(&announced, text).expect("written");
    ended(&relevo(folder.path(), &["status"], &shown), 1, "does not answer");
}
