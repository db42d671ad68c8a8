//! Finding a gateway to talk to: the one that is named, or the one of this machine and user.
//!
//! Promises: a gateway that is not named is on this machine, its `admin.json` is the caller's own and held by a process that
//! lives, and it answers; an error names everything that was tried.
//! Deliberately does not: look for a token anywhere but where it is told to.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::arguments::Reach;
use super::client::{self, AdminUrl, Client};
use super::failure::Failure;
use super::trust::Trust;
use crate::domain::Secret;

/// How long a gateway of this machine may take to say that it lives.
const LIVE_TIMEOUT: Duration = Duration::from_secs(2);
/// The largest `admin.json` or token file that is read.
const FILE_LIMIT_BYTES: u64 = 64 << 10;

/// What surrounds the command: environment and working directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Surroundings {
    /// The environment.
    pub(super) variables: BTreeMap<String, String>,
    /// The directory that relative paths begin in.
    pub(super) directory: PathBuf,
}

impl Surroundings {
    /// Those of this process. Variables that are not text are left out.
    pub(super) fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self { variables: std::env::vars_os().filter_map(text).collect(), directory: PathBuf::new() }
    }

    /// A variable that is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// How a person starts this program: from a clone through cargo, or installed.
    pub(super) fn program(&self) -> &'static str {
        let cargo = ["CARGO", "CARGO_MANIFEST_DIR"].iter().any(|name| self.variable(name).is_some());
        if cargo { "cargo run --release --" } else { "relevo" }
    }

    /// Where an `admin.json` may lie, in the order in which they are tried.
    fn places(&self) -> Vec<PathBuf> {
        let runtime = self.variable("XDG_RUNTIME_DIR").map(Path::new).filter(|path| path.is_absolute());
        let runtime = runtime.map(|path| path.join("relevo"));
        let beside = ["relevo-demo", "relevo-data"].map(|name| self.directory.join(name));
        runtime.into_iter().chain(beside).map(|directory| directory.join("admin.json")).collect()
    }
}

/// What a running gateway writes about itself.
#[derive(Deserialize)]
struct Announcement {
    url: String,
    token_file: PathBuf,
    /// The file of the certificate that it shows; only over TLS.
    certificate: Option<PathBuf>,
}

/// A client of the gateway that the arguments, the environment or an `admin.json` name.
pub(super) async fn gateway(reach: &Reach, surroundings: &Surroundings) -> Result<Client, Failure> {
    let token = given_token(reach, surroundings)?;
    let trust = Trust::given(reach, surroundings)?;
    let Some(url) = reach.admin.as_deref().or_else(|| surroundings.variable("RELEVO_ADMIN_URL")) else {
        return announced(token, trust, surroundings).await;
    };
    let url = AdminUrl::parse(url).map_err(|reason| Failure::Usage(format!("the admin URL {url:?} {reason}")))?;
    let token = token.ok_or_else(|| {
        Failure::Usage(format!("no token for {url}: give --token-file FILE or set RELEVO_ADMIN_TOKEN"))
    })?;
    Client::new(url, token, &trust)
}

/// The token that was given for whichever gateway it is.
fn given_token(reach: &Reach, surroundings: &Surroundings) -> Result<Option<Secret>, Failure> {
    if let Some(path) = &reach.token_file {
        return token_in(&surroundings.directory.join(path)).map(Some);
    }
    let Some(text) = surroundings.variable("RELEVO_ADMIN_TOKEN") else { return Ok(None) };
    let secret = Secret::import(text.trim().to_owned());
    secret.map(Some).map_err(|reason| Failure::Usage(format!("RELEVO_ADMIN_TOKEN {reason}")))
}

/// The token in a file, which may end with a line break.
pub(super) fn token_in(path: &Path) -> Result<Secret, Failure> {
    let place = path.display();
    let text = read(path).map_err(|error| {
        Failure::Usage(format!(
            "the token file {place} cannot be read ({error}): give --token-file FILE or set RELEVO_ADMIN_TOKEN"
        ))
    })?;
    let secret = Secret::import(text.trim().to_owned());
    secret.map_err(|reason| Failure::Usage(format!("the token in {place} {reason}")))
}

/// A client of the first gateway that has announced itself and answers.
async fn announced(token: Option<Secret>, trust: Trust, surroundings: &Surroundings) -> Result<Client, Failure> {
    let mut tried = Vec::new();
    for place in surroundings.places() {
        match living(&place, &trust).await {
            Ok(Living { url, token_file, trust }) => {
                let token = token.map_or_else(|| token_in(&token_file), Ok)?;
                return Client::new(url, token, &trust);
            }
            Err(reason) => tried.push(format!("\n  {}: {reason}", place.display())),
        }
    }
    let (program, tried) = (surroundings.program(), tried.concat());
    Err(Failure::failed(format!(
        "no gateway of this machine and user was found; start one (`{program} serve` or `{program} demo`), or give --admin URL and \
         --token-file FILE. Tried:{tried}"
    )))
}

/// A gateway that was announced, and answers.
struct Living {
    url: AdminUrl,
    token_file: PathBuf,
    trust: Trust,
}

/// The gateway that an `admin.json` announces, if it answers; else the reason in words.
async fn living(place: &Path, trust: &Trust) -> Result<Living, String> {
    let announcement = announcement(place)?;
    let url = AdminUrl::parse(&announcement.url).map_err(|reason| format!("its url {reason}"))?;
    let beside = place.parent().unwrap_or(Path::new(""));
    let mut trust = trust.clone();
    match &announcement.certificate {
        // Nobody else can show it, wherever its gateway listens, and whatever names are in it.
        Some(certificate) => trust.announced(&beside.join(certificate))?,
        None if !url.is_loopback() => return Err("its url is not on this machine".to_owned()),
        None => {}
    }
    answers(&url, &trust)
        .await
        .map_err(|reason| format!("{url} does not answer ({reason}); its gateway may have stopped"))?;
    Ok(Living { url, token_file: beside.join(announcement.token_file), trust })
}

/// Reads an `admin.json` that belongs to this user and is held by a gateway that lives.
fn announcement(place: &Path) -> Result<Announcement, String> {
    let without_waiting = nix::fcntl::OFlag::O_NONBLOCK.bits(); // for a pipe's other end
    let file = match fs::File::options().read(true).custom_flags(without_waiting).open(place) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err("not there".to_owned()),
        Err(error) => return Err(error.to_string()),
    };
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    // Otherwise whoever may write here would be handed the token.
    if metadata.uid() != nix::unistd::geteuid().as_raw() {
        return Err("belongs to another user".to_owned());
    }
    if !metadata.is_file() {
        return Err("is not a file".to_owned());
    }
    // Else whoever has taken the port since would be handed it. Shared: two commands that look do not mislead each other.
    match file.try_lock_shared() {
        Err(fs::TryLockError::WouldBlock) => {}
        Ok(()) => return Err("is stale: its gateway has ended, or is of a version that does not hold it".to_owned()),
        Err(fs::TryLockError::Error(error)) => return Err(format!("may be stale ({error})")),
    }
    let text = text_of(file).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| format!("is damaged ({error})"))
}

/// That a gateway's admin port answers there, or why not. No token is sent.
async fn answers(url: &AdminUrl, trust: &Trust) -> Result<(), String> {
    let client = trust.client(url)?.no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(LIVE_TIMEOUT);
    let client = client.build().map_err(client::chain)?;
    let reply = client.get(format!("{url}/livez")).send().await.map_err(client::chain)?;
    reply.error_for_status().map(drop).map_err(client::chain)
}

/// A small file's text.
fn read(path: &Path) -> io::Result<String> {
    text_of(fs::File::open(path)?)
}

fn text_of(file: fs::File) -> io::Result<String> {
    use io::Read;
    let mut text = String::new();
    let length = file.take(FILE_LIMIT_BYTES + 1).read_to_string(&mut text)?;
    if length as u64 > FILE_LIMIT_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 64 KiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::super::client::Call;
    use super::super::double::{Answer, Double, ROOT, locally};
    use super::*;

    /// A directory to start in, with places in it where gateways may have announced themselves, and what these hold.
    struct Ground(tempfile::TempDir, RefCell<Vec<fs::File>>);

    impl Ground {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("a directory"), RefCell::default())
        }

        fn surroundings(&self, variables: &[(&str, &str)]) -> Surroundings {
            let mut variables: BTreeMap<_, _> =
                variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            variables.insert("XDG_RUNTIME_DIR".to_owned(), self.0.path().join("run").to_string_lossy().into_owned());
            Surroundings { variables, directory: self.0.path().to_owned() }
        }

        fn announce(&self, place: &str, url: &str) {
            let token = format!("{}-{}", ROOT, place.replace('/', "-"));
            self.write(&format!("{place}/admin.token"), &format!("{token}\n"));
            let document = serde_json::json!({"url": url, "token_file": "admin.token", "pid": 1});
            self.write(&format!("{place}/admin.json"), &document.to_string());
            self.hold(place);
        }

        /// Locks what is announced there, as a gateway does that lives.
        fn hold(&self, place: &str) {
            let file = fs::File::open(self.0.path().join(place).join("admin.json")).expect("there");
            file.try_lock().expect("nobody holds it");
            self.1.borrow_mut().push(file);
        }

        /// Ends every gateway, as kill -9 does.
        fn end(&self) {
            self.1.borrow_mut().clear();
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        }
    }

    async fn double() -> Double {
        Double::saying([Answer::Says(200, serde_json::json!({}))]).await
    }

    /// The token with which the gateway found was asked.
    async fn token_at(double: &Double, client: &Client) -> String {
        client.send(Call::read(&["v1", "status"])).await.map(drop).expect("answered");
        double.with(0, |asked| asked.headers["authorization"].to_str().expect("text").to_owned())
    }

    async fn refused(reach: &Reach, surroundings: &Surroundings) -> Failure {
        gateway(reach, surroundings).await.err().expect("not found")
    }

    /// An address where nobody answers.
    fn nobody() -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        format!("http://{}", listener.local_addr().expect("bound"))
    }

    #[test]
    fn the_runtime_directory_comes_first_then_the_demo_then_the_data() {
        locally(async {
            for (places, first) in [
                (vec!["run/relevo", "relevo-demo", "relevo-data"], "run-relevo"),
                (vec!["relevo-demo", "relevo-data"], "relevo-demo"),
                (vec!["relevo-data"], "relevo-data"),
            ] {
                let (double, ground) = (double().await, Ground::new());
                for place in &places {
                    ground.announce(place, &double.url);
                }
                let client = gateway(&Reach::default(), &ground.surroundings(&[])).await.expect("found");
                assert_eq!(token_at(&double, &client).await, format!("Bearer {ROOT}-{first}"));
            }
        });
    }

    #[test]
    fn a_gateway_that_has_stopped_is_passed_over() {
        locally(async {
            let (double, ground) = (double().await, Ground::new());
            ground.announce("run/relevo", &nobody());
            ground.write("relevo-demo/admin.json", "{ damaged");
            ground.hold("relevo-demo");
            ground.announce("relevo-data", &double.url);
            let client = gateway(&Reach::default(), &ground.surroundings(&[])).await.expect("found");
            assert_eq!(token_at(&double, &client).await, format!("Bearer {ROOT}-relevo-data"));
        });
    }

    #[test]
    fn whoever_has_taken_the_port_of_a_gateway_that_was_killed_is_not_asked() {
        locally(async {
            let (taker, double, ground) = (double().await, double().await, Ground::new());
            ground.announce("run/relevo", &taker.url);
            ground.end();
            let failure = refused(&Reach::default(), &ground.surroundings(&[])).await.to_string();
            assert!(failure.contains("run/relevo/admin.json: is stale"), "{failure}");
            ground.announce("relevo-data", &double.url);
            let client = gateway(&Reach::default(), &ground.surroundings(&[])).await.expect("found");
            assert_eq!(token_at(&double, &client).await, format!("Bearer {ROOT}-relevo-data"));
            assert!(taker.lines().is_empty(), "the token went to whoever took the port");
        });
    }

    #[test]
    fn if_nobody_answers_everything_that_was_tried_is_named() {
        locally(async {
            let ground = Ground::new();
            ground.announce("run/relevo", &nobody());
            ground.announce("relevo-demo", "https://admin.example.com");
            let failure = refused(&Reach::default(), &ground.surroundings(&[])).await;
            let text = failure.to_string();
            assert_eq!(failure.code(), 1);
            for part in [
                "run/relevo/admin.json: http://127.0.0.1:",
                "does not answer",
                "relevo-demo/admin.json: its url is not on this machine",
                "relevo-data/admin.json: not there",
            ] {
                assert!(text.contains(part), "{part:?} is not in {text}");
            }
        });
    }

    #[test]
    fn what_is_named_counts_and_a_token_goes_with_it() {
        locally(async {
            let (double, ground) = (double().await, Ground::new());
            ground.announce("relevo-demo", &nobody());
            ground.write("mine", ROOT);
            let named = Reach { admin: Some(double.url.clone()), token_file: Some("mine".into()), ..Reach::default() };
            let surroundings =
                ground.surroundings(&[("RELEVO_ADMIN_URL", "http://10.0.0.1"), ("RELEVO_ADMIN_TOKEN", "x")]);
            let client = gateway(&named, &surroundings).await.expect("named");
            assert_eq!(token_at(&double, &client).await, format!("Bearer {ROOT}"));
        });
    }

    #[test]
    fn a_token_from_the_environment_goes_to_a_gateway_that_was_found() {
        locally(async {
            let (double, ground) = (double().await, Ground::new());
            ground.announce("relevo-data", &double.url);
            let surroundings = ground.surroundings(&[("RELEVO_ADMIN_TOKEN", ROOT)]);
            let client = gateway(&Reach::default(), &surroundings).await.expect("found");
            assert_eq!(token_at(&double, &client).await, format!("Bearer {ROOT}"));
        });
    }

    #[test]
    fn wrong_words_about_the_gateway_are_wrong_usage() {
        locally(async {
            let ground = Ground::new();
            let reach = |admin: &str| Reach { admin: Some(admin.to_owned()), ..Reach::default() };
            let with_token = ground.surroundings(&[("RELEVO_ADMIN_TOKEN", ROOT)]);
            let missing = Reach { token_file: Some("none".into()), ..Reach::default() };
            for (reach, surroundings, part) in [
                (reach("http://10.0.0.7:8081"), with_token.clone(), "not sent in clear"),
                (reach("nonsense"), with_token.clone(), "is not a URL"),
                (reach("http://127.0.0.1:1"), ground.surroundings(&[]), "no token for"),
                (Reach::default(), ground.surroundings(&[("RELEVO_ADMIN_TOKEN", "short")]), "RELEVO_ADMIN_TOKEN"),
                (missing, with_token, "cannot be read"),
            ] {
                let failure = refused(&reach, &surroundings).await;
                assert!(failure.code() == 2 && failure.to_string().contains(part), "{failure}");
            }
        });
    }

    #[test]
    fn a_suggested_command_begins_as_this_one_was_started() {
        let started = |name: &str| Surroundings {
            variables: [(name.to_owned(), "x".to_owned())].into(),
            ..Surroundings::default()
        };
        assert_eq!(started("CARGO").program(), "cargo run --release --");
        assert_eq!(started("PATH").program(), "relevo");
    }
}
