//! Finding a gateway to talk to: the one that is named, or the one of this machine and user.
//!
//! Promises: a gateway that is not named is on this machine, its `admin.json` is the caller's own, and it answers;
//! an error names everything that was tried.
//! Deliberately does not: look for a token anywhere but where it is told to.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::arguments::Reach;
use super::client::{AdminUrl, Client};
use super::failure::Failure;
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
}

/// A client of the gateway that the arguments, the environment or an `admin.json` name.
pub(super) async fn gateway(reach: &Reach, surroundings: &Surroundings) -> Result<Client, Failure> {
    let token = given_token(reach, surroundings)?;
    let Some(url) = reach.admin.as_deref().or_else(|| surroundings.variable("RELEVO_ADMIN_URL")) else {
        return announced(token, surroundings).await;
    };
    let url = AdminUrl::parse(url).map_err(|reason| Failure::Usage(format!("the admin URL {url:?} {reason}")))?;
    let token = token.ok_or_else(|| {
        Failure::Usage(format!("no token for {url}: give --token-file FILE or set RELEVO_ADMIN_TOKEN"))
    })?;
    Client::new(url, token)
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
async fn announced(token: Option<Secret>, surroundings: &Surroundings) -> Result<Client, Failure> {
    let mut tried = Vec::new();
    for place in surroundings.places() {
        match living(&place).await {
            Ok((url, token_file)) => {
                let token = token.map_or_else(|| token_in(&token_file), Ok)?;
                return Client::new(url, token);
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

/// The gateway that an `admin.json` announces, if it answers; else the reason in words.
async fn living(place: &Path) -> Result<(AdminUrl, PathBuf), String> {
    let announcement = announcement(place)?;
    let url = AdminUrl::parse(&announcement.url).map_err(|reason| format!("its url {reason}"))?;
    if !url.is_loopback() {
        return Err("its url is not on this machine".to_owned());
    }
    if !answers(&url).await {
        return Err(format!("{url} does not answer; its gateway has stopped"));
    }
    let beside = place.parent().unwrap_or(Path::new(""));
    Ok((url, beside.join(announcement.token_file)))
}

/// Reads an `admin.json` that belongs to this user.
fn announcement(place: &Path) -> Result<Announcement, String> {
    let metadata = match fs::metadata(place) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err("not there".to_owned()),
        Err(error) => return Err(error.to_string()),
    };
    // Otherwise whoever may write here would be handed the token.
    if metadata.uid() != nix::unistd::geteuid().as_raw() {
        return Err("belongs to another user".to_owned());
    }
    let text = read(place).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| format!("is damaged ({error})"))
}

/// Whether a gateway's admin port answers there. No token is sent.
async fn answers(url: &AdminUrl) -> bool {
    let client =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(LIVE_TIMEOUT).build();
    let Ok(client) = client else { return false };
    let reply = client.get(format!("{url}/livez")).send().await;
    reply.is_ok_and(|reply| reply.status().is_success())
}

/// A small file's text.
fn read(path: &Path) -> io::Result<String> {
    use io::Read;
    let mut text = String::new();
    let length = fs::File::open(path)?.take(FILE_LIMIT_BYTES + 1).read_to_string(&mut text)?;
    if length as u64 > FILE_LIMIT_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 64 KiB"));
    }
    Ok(text)
}
