//! The fuzz targets' seeds, run as ordinary tests: what was ever found stays mended.

#[path = "../../fuzz/src/oracles.rs"]
#[expect(unreachable_pub, reason = "the fuzz crate uses them too")]
mod oracles;

use std::fs;
use std::path::Path;

/// Runs `oracle` over every seed of `target`.
fn run(target: &str, oracle: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let files = fs::read_dir(folder).expect("the seeds").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = files.collect();
    files.sort();
    assert!(files.len() >= 5, "{target} has {} seeds", files.len());
    for file in files {
        eprintln!("{}", file.display());
        oracle(&fs::read(&file).expect("a seed"));
    }
}

#[test]
fn a_path_has_one_spelling() {
    run("path", oracles::path);
}

#[test]
fn no_protected_name_survives() {
    run("headers", oracles::headers);
}

#[test]
fn a_token_has_one_form_and_is_masked() {
    run("token", oracles::token);
}

#[test]
fn a_configuration_is_legal_or_its_mistakes_can_be_drawn() {
    run("config", oracles::config);
}

#[test]
fn the_backend_sees_well_formed_requests_only() {
    run("listener", oracles::listener);
}

#[test]
fn a_proxys_header_has_one_length() {
    run("proxy", oracles::proxy);
}
