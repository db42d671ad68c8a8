//! The commands that need no gateway to talk to: `serve`, `check`, `schema`, `openapi`, `admins rescue`, and the start of `demo`.
//!
//! Promises: a wrong configuration is exit code 2, with every mistake on stderr.
//! Deliberately does not: read TOML or open ports; `config` and `serve` do.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use reqwest::Method;
use serde_json::json;

use super::arguments::Demo;
use super::client::{AdminUrl, Call, Client};
use super::demo::{self, Beginning, Place, Ports};
use super::failure::Failure;
use super::find::{self, Surroundings};
use super::session::Reader;
use super::shapes::Issued;
use super::terminal::Terminal;
use super::trust::Trust;
use crate::admin;
use crate::config::{self, Config};
use crate::domain::Secret;
use crate::serve::{self, Source};

/// How often a demo looks for ports.
const DEMO_STARTS: u8 = 20;

/// `relevo serve`
pub(super) fn serve(path: Option<&Path>) -> Result<ExitCode, Failure> {
    let source = Source::of_process(path.map(Path::to_owned));
    Ok(serve::serve(load(&source)?, source)?)
}

/// `relevo check`
pub(super) fn check(path: Option<&Path>, terminal: &mut Terminal, reader: Reader) -> Result<(), Failure> {
    let config = load(&Source::of_process(path.map(Path::to_owned)))?;
    match reader {
        Reader::Program => {
            terminal.answer(&json!({"ok": true, "hash": config.hash, "effective": config.effective()}).to_string())
        }
        Reader::Person => {
            terminal.answer("ok")?;
            terminal.answer(&config.effective())
        }
    }
}

/// `relevo admins rescue`
pub(super) fn rescue(path: Option<&Path>, terminal: &mut Terminal, reader: Reader) -> Result<(), Failure> {
    let serve::Rescued { file } = serve::rescue(&load(&Source::of_process(path.map(Path::to_owned)))?)?;
    match reader {
        Reader::Program => terminal.answer(&json!({ "token_file": file }).to_string()),
        Reader::Person => {
            let file = file.display();
            terminal.note("root has a new token, every permission and no limit; his former tokens are refused.");
            terminal.answer(&format!("{file}"))
        }
    }
}

/// `relevo schema`
pub(super) fn schema(terminal: &mut Terminal) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(&config::schema());
    terminal.answer(&text.map_err(|error| Failure::failed(format!("the schema cannot be written: {error}")))?)
}

/// `relevo openapi`
pub(super) fn openapi(terminal: &mut Terminal) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(admin::openapi::document());
    terminal.answer(&text.map_err(|error| Failure::failed(format!("the document cannot be written: {error}")))?)
}

/// `relevo demo`: runs until it is told to stop.
pub(super) fn demo(demo: &Demo, terminal: &mut Terminal, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let beginning = if demo.fresh { Beginning::Fresh } else { Beginning::AsItWas };
    let place = Place::open(&surroundings.directory, beginning)?;
    let echo =
        demo::echo::start().map_err(|error| Failure::failed(format!("the echo backend does not start: {error}")))?;
    let running = start_demo(&place, echo)?;
    let Some(gateway) = running.gateway_addresses().first().copied() else {
        return Err(Failure::failed("the gateway has no address"));
    };
    let ports = Ports { gateway, admin: running.admin_address() };
    let token = super::block_on(demo_token(&place, ports, surroundings))??;
    let signals = serve::Signals::catch()?;
    let console = running.console_link().unwrap_or_default();
    terminal.answer(&demo::greeting(ports, token.as_deref(), &console, surroundings.program()))?;
    running.obey(signals);
    Ok(ExitCode::SUCCESS)
}

/// Starts the demo's gateway on free ports; on others if these were taken at the last moment, be it only by somebody who
/// looked whether they are free.
fn start_demo(place: &Place, echo: SocketAddr) -> Result<serve::Running, Failure> {
    let mut attempts = 1..DEMO_STARTS;
    loop {
        let ports = Ports::free()?;
        let source = Source { path: Some(place.configure(ports, echo)?), variables: Vec::new() };
        match serve::Relevo::start_as_process(load(&source)?, source) {
            Err(error) if error.is_for_an_address() && attempts.next().is_some() => {}
            started => return Ok(started?),
        }
    }
}

/// Creates the key `demo`; none if an earlier run has.
async fn demo_token(place: &Place, ports: Ports, surroundings: &Surroundings) -> Result<Option<String>, Failure> {
    let url = AdminUrl::parse(&format!("http://{}", ports.admin)).map_err(Failure::failed)?;
    let client = Client::new(url, root_token(place, surroundings)?, &Trust::default())?;
    let call = Call::new(Method::POST, &["v1", "keys"]).body(json!({"name": "demo"}));
    match client.send(call).await {
        Ok(reply) => Ok(reply.read::<Issued>()?.token),
        Err(Failure::Refused(problem)) if problem.code == "name_taken" => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// The first administrator's token: from its file, or the one that was given at the first start.
fn root_token(place: &Place, surroundings: &Surroundings) -> Result<Secret, Failure> {
    match (place.token_file().exists(), surroundings.variable("RELEVO_ADMIN_TOKEN")) {
        (false, Some(text)) => {
            Secret::import(text.to_owned()).map_err(|reason| Failure::Usage(format!("RELEVO_ADMIN_TOKEN {reason}")))
        }
        (true, _) | (false, None) => find::token_in(&place.token_file()),
    }
}

fn load(source: &Source) -> Result<Config, Failure> {
    source.load().map_err(|mistakes| Failure::Usage(mistakes.to_string()))
}
