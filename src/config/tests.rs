//! Every mistake of a configuration provoked, and what a good one becomes.

use proptest::prelude::*;

use super::*;

mod mistakes;

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

fn addresses(config: &Config) -> Vec<String> {
    config.gateway.listeners.iter().map(|listener| listener.address.to_string()).collect()
}

fn with_env(text: &str, env: &[(&str, &str)]) -> Result<Config, Mistakes> {
    Config::parse(text, "relevo.toml", env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

#[test]
fn an_empty_file_is_the_defaults() {
    let config = read("").expect("legal");
    assert_eq!(addresses(&config), ["127.0.0.1:8080"]);
    assert!(config.gateway.workers > 0 && config.probes.is_none() && config.routes.is_empty());
    assert_eq!(config.limits.head_bytes, 32 * 1024);
    assert_eq!(config.credentials.header.as_ref().map(http::HeaderName::as_str), Some("x-api-key"));
    assert_eq!(config.hash.len(), 64);
}

#[test]
fn every_mistake_is_told_at_once_in_the_order_of_the_text() {
    let text = "x = 1\n[gateway]\nlisten = 5\nworkers = \"a\"\n[drain]\ntimeout = \"0s\"\n[[routes]]\npath = 4\n[[routes]]\npath = \"/..\"\nauth = \"x\"\n";
    let lines: Vec<_> = read(text).expect_err("mistakes").iter().map(|m| (m.place.clone(), m.key.clone())).collect();
    let expected = [
        (1, "x"),
        (3, "gateway.listen"),
        (4, "gateway.workers"),
        (6, "drain.timeout"),
        (8, "routes[0].path"),
        (10, "routes[1].path"),
        (11, "routes[1].auth"),
    ];
    assert_eq!(lines, expected.map(|(line, key)| (Place::Line(line), key.to_owned())));
}

#[test]
fn a_mistake_is_drawn_with_its_line() {
    let drawn = read("[gateway]\nworkers = 9999\n").expect_err("a mistake").plain();
    let expected = "error: gateway.workers: is not a number from 0 to 1024\n --> relevo.toml:2:11\n  |\n2 | workers = 9999\n  |           ^^^^";
    assert_eq!(drawn, expected);
}

#[test]
fn a_token_that_strayed_into_the_text_is_masked_where_it_is_drawn() {
    let secret = crate::domain::Secret::mint(&Prefix::default(), &mut rand::rng());
    let drawn = read(&format!("[tokens]\nprefix = \"{}\"\n", secret.reveal())).expect_err("a mistake").to_string();
    assert!(!drawn.contains(&secret.reveal()[4..20]) && drawn.contains("***"), "{drawn}");
}

#[test]
fn the_environment_lies_over_the_file() {
    let file = format!("[gateway]\nworkers = 1\n{SOUND}");
    let config = with_env(
        &file,
        &[
            ("RELEVO__GATEWAY__WORKERS", "03"),
            ("RELEVO__GATEWAY__LISTEN", "127.0.0.1:1, [::1]:2"),
            ("RELEVO__GATEWAY__TRUSTED_PROXIES", ""),
            ("RELEVO__CREDENTIALS__BEARER", "false"),
            ("RELEVO__CREDENTIALS__PAIR__KEY", "x-a"),
            ("RELEVO__CREDENTIALS__PAIR__TOKEN", "x-b"),
            ("RELEVO__LOG__ACCESS", "false"),
            ("RELEVO__PROBES__LISTEN", "127.0.0.1:0"),
            ("RELEVO_ADMIN_TOKEN", "not ours"),
            ("RELEVO_LOG", "debug"),
            ("PATH", "/bin"),
        ],
    )
    .expect("legal");
    assert_eq!(config.gateway.workers, 3);
    assert_eq!(addresses(&config), ["127.0.0.1:1", "[::1]:2"]);
    assert!(!config.credentials.bearer && config.credentials.pair.is_some() && config.probes.is_some());
    assert_eq!(config.log.access, AccessLog::Off);
    assert_eq!(config.routes.len(), 1);
}

#[test]
fn a_variable_that_sets_nothing_is_a_mistake_that_names_it() {
    let told = with_env(
        "",
        &[
            ("RELEVO__GATEWAY__WORKERS", "many"),
            ("RELEVO__GATEWAY__WORKER", "2"),
            ("RELEVO__ROUTES", "[]"),
            ("RELEVO__UPSTREAMS__0__NAME", "a"),
            ("RELEVO__GATEWAY__LISTENERS__0__ADDRESS", "a"),
            ("RELEVO__PATHS__SEMICOLONS", "yes"),
            ("RELEVO__LOG__ACCESS", "true"),
            ("RELEVO__ADMIN__LISTEN", "\u{1b}[31m"),
        ],
    )
    .expect_err("mistakes");
    let lines: Vec<_> = told.iter().map(shown).collect();
    assert_eq!(
        lines,
        [
            "RELEVO__ADMIN__LISTEN admin.listen: is not an address and port like 127.0.0.1:8080 or [::1]:8080",
            "RELEVO__GATEWAY__LISTENERS__0__ADDRESS : RELEVO__GATEWAY__LISTENERS__0__ADDRESS sets nothing: routes, upstreams, listeners and limits of roles stand in the file only",
            "RELEVO__GATEWAY__WORKER : RELEVO__GATEWAY__WORKER names no setting",
            "RELEVO__GATEWAY__WORKERS gateway.workers: is not a whole number of at most 4294967295",
            "RELEVO__LOG__ACCESS log.access: true says too little: give a string, or false",
            "RELEVO__PATHS__SEMICOLONS paths.semicolons: is neither true nor false",
            "RELEVO__ROUTES : RELEVO__ROUTES sets nothing: routes, upstreams, listeners and limits of roles stand in the file only",
            "RELEVO__UPSTREAMS__0__NAME : RELEVO__UPSTREAMS__0__NAME sets nothing: routes, upstreams, listeners and limits of roles stand in the file only",
        ]
    );
    assert!(!told.plain().contains('\u{1b}'));
}

#[test]
fn a_mistake_of_the_file_and_one_of_the_environment_are_told_together() {
    let told = with_env("[drain]\ntimeout = \"0s\"", &[("RELEVO__DRAIN__DELAY", "x")]).expect_err("mistakes");
    assert_eq!(told.iter().map(|m| m.key.as_str()).collect::<Vec<_>>(), ["drain.timeout", "drain.delay"]);
    assert!(told.plain().contains("RELEVO__DRAIN__DELAY=x") && told.plain().contains("relevo.toml:2:11"));
}

#[test]
fn the_effective_values_read_again_are_the_same_configuration() {
    let text = "[gateway]\nlisten = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\nworkers = 2\ntrusted_proxies = [\"10.1.2.3\", \"fd00::/8\"]\n\
                [probes]\nlisten = \"0.0.0.0:8082\"\nmetrics = true\n[tokens]\nduration = \"never\"\non_expiry = \"warn\"\n\
                [credentials]\nheader = false\npair = { key = \"X-VTEX-API-AppKey\", token = \"X-VTEX-API-AppToken\" }\n\
                [log]\naccess = \"logs/access.log\"\n[limits]\nhead_bytes = \"10000\"\n[errors]\ndetail = \"minimal\"\n\
                [[upstreams]]\nname = \"a\"\nendpoints = [\"http://[::1]:9000\", \"https://a.example\", \"h2c://b\", \"unix:/run/c.sock\"]\n\
                [[routes]]\npath = \"/x/\"\nhosts = [\"*.Example.com\", \"a.example.com\"]\nmethods = [\"GET\"]\nroles = [\"a\", \"b\"]\ncredentials = [\"pair\"]\nbody_limit = \"unlimited\"\nupstream = \"a\"\n\
                [[routes]]\npath = \"/\"\nauth = \"none\"\nupstream = \"a\"\n";
    let config = read(text).expect("legal");
    let again = read(&config.effective()).expect("legal");
    assert_eq!(again.effective(), config.effective());
    assert_eq!(again.hash, config.hash);
    assert_ne!(again.hash, read("").expect("legal").hash);
    assert_eq!(again.routes[0].path, "/x");
    assert_eq!(again.routes[0].hosts[0], HostPattern::OneLabelBefore(".example.com".into()));
    assert!(again.routes[0].body_limit.is_none() && again.routes[1].credentials.is_empty());
    assert_eq!(format!("{again:?}"), format!("{config:?}"));
}

#[test]
fn the_small_file_in_the_repository_is_legal() {
    let config = read(include_str!("../../config/relevo.toml")).expect("legal");
    assert_eq!(config.upstreams[0].endpoints[0].to_string(), "http://127.0.0.1:9000");
    assert_eq!(config.routes[0].path, "/");
}

/// The dotted paths of a schema's keys.
fn keys(schema: &serde_json::Value, path: &str, found: &mut Vec<String>) {
    let items = if schema["items"]["properties"].is_object() { &schema["items"] } else { schema };
    match items["properties"].as_object() {
        Some(properties) => {
            for (name, property) in properties {
                keys(property, format!("{path}.{name}").trim_start_matches('.'), found);
            }
        }
        None => found.push(path.to_owned()),
    }
}

#[test]
fn the_reference_names_every_key_with_its_default() {
    let text = include_str!("../../config/reference.toml");
    let mut expected = Vec::new();
    keys(&schema(), "", &mut expected);
    expected.sort();
    let (mut section, mut named) = (String::new(), Vec::new());
    for line in text.lines() {
        let shown = |line: &&str| line.contains(" = ") || line.starts_with("[[");
        let line = line.strip_prefix("# ").filter(shown).unwrap_or(line);
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| !key.contains(' ')) {
            let inner = [
                ("pair = {", &["pair.key", "pair.token"][..]),
                ("tls = [{", &["tls.certificate", "tls.key", "tls.hosts"]),
                ("tls = { ca", &["tls.ca", "tls.certificate", "tls.key"]),
                ("tls = { certificate", &["tls.certificate", "tls.key", "tls.client_ca"]),
                (
                    "health = {",
                    &["health.path", "health.interval", "health.timeout", "health.healthy", "health.unhealthy"],
                ),
            ];
            let inner = inner.into_iter().find_map(|(start, keys)| line.starts_with(start).then_some(keys));
            named.extend(
                inner
                    .map_or_else(|| vec![key], Vec::from)
                    .iter()
                    .map(|key| format!("{section}.{key}").trim_start_matches('.').to_owned()),
            );
        }
    }
    named.sort();
    assert_eq!(named, expected);

    let config = read(text).expect("legal");
    let default = read("").expect("legal");
    let general = |config: &Config| {
        let mut config = config.clone();
        (config.upstreams, config.routes) = (Vec::new(), Vec::new());
        config.effective()
    };
    assert_eq!(general(&config), general(&default));
    let small = read(SOUND).expect("legal");
    assert_eq!(format!("{:?}", config.upstreams), format!("{:?}", small.upstreams));
    assert_eq!(format!("{:?}", config.routes), format!("{:?}", small.routes));
}

#[test]
fn the_schema_asks_for_what_the_check_asks_for_and_knows_no_null() {
    let schema = schema();
    assert_eq!(schema["properties"]["routes"]["items"]["required"], serde_json::json!(["path", "upstream"]));
    assert_eq!(schema["properties"]["upstreams"]["items"]["required"], serde_json::json!(["name", "endpoints"]));
    assert!(!schema.to_string().contains("null"), "{schema}");
}

/// The text of `docs/configuration.md` between the fences of the first block that holds `needle`.
fn block(needle: &str) -> &'static str {
    let page = include_str!("../../docs/configuration.md");
    let found = page.split("```").find(|block| block.contains(needle)).expect("a block");
    found.split_once('\n').expect("a language").1
}

#[test]
fn the_guide_shows_mistakes_as_they_are_drawn() {
    let text = "# a\n[gateway]\nworkers = 4096\n\n[[upstreams]]\nname = \"orders\"\nendpoints = [\"http://a\"]\n\n\
         [[routes]]\npath = \"/\"\nupstream = \"ordres\"\n";
    assert_eq!(read(text).expect_err("mistakes").plain(), block("error:").trim_end());
}

#[test]
fn the_routes_of_the_guide_are_legal() {
    let upstreams = ["site", "orders", "tenants"]
        .map(|name| format!("[[upstreams]]\nname = \"{name}\"\nendpoints = [\"http://{name}.example\"]\n"));
    let config = read(&format!("{}{}", upstreams.concat(), block("# E"))).expect("legal");
    assert_eq!(config.routes.len(), 5);
    let pair = format!("{}{}", upstreams.concat(), block("/legacy"));
    assert_eq!(read(&pair).expect("legal").routes[0].credentials.len(), 1);
}

#[test]
fn a_file_that_cannot_be_read_is_a_mistake() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = load(Some(&folder.path().join("none.toml")), []).expect_err("no file");
    assert!(missing.plain().contains("none.toml") && missing.plain().contains("cannot be read"), "{}", missing.plain());
    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, [0xff, 0xfe]).expect("written");
    assert!(load(Some(&binary), []).expect_err("not text").plain().contains("is not UTF-8"));
    std::fs::write(&binary, SOUND).expect("written");
    assert_eq!(load(Some(&binary), []).expect("legal").routes.len(), 1);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}", value in ".{0,40}") {
        let told = with_env(&text, &[("RELEVO__GATEWAY__LISTEN", &value), ("RELEVO__LOG__ACCESS", &value)]);
        if let Err(mistakes) = told {
            prop_assert!(!mistakes.plain().is_empty());
        }
    }

    #[test]
    fn no_values_make_it_panic(
        path in ".{0,20}", host in ".{0,20}", endpoint in "(http://)?.{0,20}", span in ".{0,12}", list in "[\\[\\]{}\"=,a-z.\n]{0,60}"
    ) {
        let text = format!(
            "[drain]\ndelay = {span:?}\n[[upstreams]]\nname = \"a\"\nendpoints = [{endpoint:?}]\n[[routes]]\npath = {path:?}\nhosts = [{host:?}]\nupstream = \"a\"\n{list}"
        );
        if let Err(mistakes) = read(&text) {
            prop_assert!(!mistakes.plain().is_empty());
        }
    }
}
