//! Every mistake of a configuration provoked, and what a good one becomes.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;

/// A sound beginning: one upstream, one route.
const SOUND: &str = "[[upstreams]]\nname = \"orders\"\nendpoints = [\"http://127.0.0.1:9000\"]\n\
                     [[routes]]\npath = \"/\"\nupstream = \"orders\"\n";

fn read(text: &str) -> Result<Config, Mistakes> {
    Config::parse(text, "relevo.toml", [])
}

/// The mistakes of `text` as `line key: message`.
fn mistakes(text: &str) -> Vec<String> {
    let mistakes = read(text).expect_err("a mistake");
    mistakes.iter().map(shown).collect()
}

fn shown(mistake: &Mistake) -> String {
    let place = match &mistake.place {
        Place::Line(line) => line.to_string(),
        Place::Variable(name) => name.clone(),
        Place::Nowhere => "nowhere".to_owned(),
    };
    format!("{place} {}: {}", mistake.key, mistake.message)
}

fn with_env(text: &str, env: &[(&str, &str)]) -> Result<Config, Mistakes> {
    Config::parse(text, "relevo.toml", env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

#[test]
fn an_empty_file_is_the_defaults() {
    let config = read("").expect("legal");
    assert_eq!(config.gateway.listen, ["127.0.0.1:8080".parse::<SocketAddr>().expect("address")]);
    assert!(config.gateway.workers > 0 && config.probes.is_none() && config.routes.is_empty());
    assert_eq!(config.limits.head_bytes, 32 * 1024);
    assert_eq!(config.credentials.header.as_ref().map(http::HeaderName::as_str), Some("x-api-key"));
    assert_eq!(config.hash.len(), 64);
}
