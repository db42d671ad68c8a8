//! The commands that need no gateway to talk to: `serve`, `check`, `schema`, and the start of `demo`.
//!
//! Promises: a wrong configuration is exit code 2, with every mistake on stderr.
//! Deliberately does not: read TOML or open ports; `config` and `serve` do.

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
use crate::config::{self, Config};
use crate::domain::Secret;
use crate::serve;

/// `relevo serve`
pub(super) fn serve(path: Option<&Path>) -> Result<ExitCode, Failure> {
    Ok(serve::serve(load(path)?)?)
}

/// `relevo check`
pub(super) fn check(path: Option<&Path>, terminal: &mut Terminal, reader: Reader) -> Result<(), Failure> {
    let config = load(path)?;
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

/// `relevo schema`
pub(super) fn schema(terminal: &mut Terminal) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(&config::schema());
    terminal.answer(&text.map_err(|error| Failure::failed(format!("the schema cannot be written: {error}")))?)
}

/// `relevo demo`: runs until it is told to stop.
pub(super) fn demo(demo: &Demo, terminal: &mut Terminal, surroundings: &Surroundings) -> Result<ExitCode, Failure> {
    let beginning = if demo.fresh { Beginning::Fresh } else { Beginning::AsItWas };
    let place = Place::open(&surroundings.directory, beginning)?;
    let echo =
        demo::echo::start().map_err(|error| Failure::failed(format!("the echo backend does not start: {error}")))?;
    let path = place.configure(Ports::free()?, echo)?;
    let config = config::load(Some(&path), []).map_err(|mistakes| Failure::Usage(mistakes.to_string()))?;
    let running = serve::Relevo::start_as_process(config)?;
    let Some(gateway) = running.gateway_addresses().first().copied() else {
        return Err(Failure::failed("the gateway has no address"));
    };
    let ports = Ports { gateway, admin: running.admin_address() };
    let token = super::block_on(demo_token(&place, ports, surroundings))??;
    terminal.answer(&demo::greeting(ports, token.as_deref(), surroundings.program()))?;
    running.wait_for_signal()?;
    Ok(ExitCode::SUCCESS)
}

/// Creates the key `demo`; none if an earlier run has.
async fn demo_token(place: &Place, ports: Ports, surroundings: &Surroundings) -> Result<Option<String>, Failure> {
    let url = AdminUrl::parse(&format!("http://{}", ports.admin)).map_err(Failure::failed)?;
    let client = Client::new(url, root_token(place, surroundings)?)?;
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

fn load(path: Option<&Path>) -> Result<Config, Failure> {
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    config::load(path, variables).map_err(|mistakes| Failure::Usage(mistakes.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::terminal::Person;
    use super::super::terminal::tests::Paper;
    use super::*;

    fn checked(text: &str, reader: Reader) -> (Result<(), Failure>, String) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("relevo.toml");
        std::fs::write(&path, text).expect("written");
        let out = Paper::default();
        let mut terminal = Terminal::new(Box::new(out.clone()), Box::new(Paper::default()), Person::Absent);
        (check(Some(&path), &mut terminal, reader), out.text())
    }

    #[test]
    fn a_legal_configuration_is_ok_and_its_values_are_shown() {
        let (outcome, text) = checked("[tokens]\nprefix = \"acme\"\n", Reader::Person);
        outcome.expect("legal");
        assert!(text.starts_with("ok\n") && text.contains("acme"), "{text}");
        let (outcome, text) = checked("", Reader::Program);
        outcome.expect("legal");
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(document["ok"], true);
    }

    #[test]
    fn every_mistake_is_told_at_once_and_is_exit_code_2() {
        let (outcome, text) = checked("[gateway]\nlisen = []\n[tokens]\nprefix = \"A\"\n", Reader::Person);
        let failure = outcome.expect_err("wrong");
        let told = failure.to_string();
        assert!(failure.code() == 2 && text.is_empty(), "{told}");
        assert!(told.contains("lisen") && told.contains("prefix"), "{told}");
        assert_eq!(load(Some(Path::new("/nowhere/relevo.toml"))).expect_err("missing").code(), 2);
    }

    #[test]
    fn the_schema_is_json() {
        let out = Paper::default();
        let mut terminal = Terminal::new(Box::new(out.clone()), Box::new(Paper::default()), Person::Absent);
        schema(&mut terminal).expect("printed");
        let document: serde_json::Value = serde_json::from_str(&out.text()).expect("JSON");
        assert!(document.is_object(), "{document}");
    }
}
