//! Holds `src` to its floors: a module uses modules on lower floors only (the table in `src/lib.rs`).
//!
//! Promises: reads every file of `src`, comments and literals left out; says which file broke which rule.
//! Deliberately does not: resolve names as the compiler does. Paths begin with `crate::`, `relevo::` or `super::`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Every module with its floor. `lib` only declares.
const FLOORS: [(&str, u8); 18] = [
    ("main", 9),
    ("cli", 8),
    ("serve", 7),
    ("admin", 6),
    ("gateway", 6),
    ("webhooks", 6),
    ("keyring", 5),
    ("index", 4),
    ("catalog", 4),
    ("usage", 4),
    ("limiter", 4),
    ("store", 3),
    ("net", 3),
    ("config", 2),
    ("observe", 2),
    ("clock", 2),
    ("domain", 1),
    ("lib", 0),
];

/// What lower floors a module may nevertheless not use.
const CLOSED: [(&str, &str); 2] = [("gateway", "store"), ("gateway", "keyring")];

/// What may not be read in the domain: it has no IO, no clock, no async.
const FOREIGN_TO_DOMAIN: [&str; 10] = [
    "tokio",
    "std::time::SystemTime",
    "std::time::Instant",
    "std::fs",
    "std::thread",
    "std::env",
    "std::process",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
];

/// Names that say nothing.
const NAMELESS: [&str; 6] = ["utils", "common", "helpers", "types", "prelude", "manager"];

#[test]
fn every_module_uses_lower_floors_only() {
    let sources = read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(sources.len() > 10, "only {} files were found", sources.len());
    let faults: Vec<_> = sources.iter().flat_map(|(path, text)| faults(path, text)).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Every Rust file below `root`: its path from there, with `/`, and its text.
fn read_all(root: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).expect("below").to_string_lossy().replace('\\', "/");
                found.push((name, fs::read_to_string(&path).expect("readable")));
            }
        }
    }
    found.sort();
    found
}

/// What is wrong with the file at `path` from `src`, one sentence each.
fn faults(path: &str, text: &str) -> Vec<String> {
    let place: Vec<_> = path.trim_end_matches(".rs").split('/').filter(|name| *name != "mod").collect();
    let code = code_of(text);
    let mut faults = BTreeSet::new();
    for name in &place {
        if NAMELESS.contains(name) {
            faults.insert(format!("`{name}` is no name for a module"));
        }
    }
    let Some(floor) = floor_of(place[0]) else {
        faults.insert(format!("`{}` has no floor", place[0]));
        return told(path, faults);
    };
    let paths = paths_of(&code);
    for used in paths.iter().filter_map(|used| module_of(used, &place)) {
        let closed = CLOSED.contains(&(place[0], used.as_str()));
        let higher = floor_of(&used).is_some_and(|other| other >= floor);
        if used != place[0] && place[0] != "lib" && (closed || higher) {
            faults.insert(format!("`{}` may not use `{used}`", place[0]));
        }
    }
    if place[0] == "domain" {
        for used in paths.iter().map(|used| used.join("::")) {
            for foreign in FOREIGN_TO_DOMAIN.iter().filter(|foreign| is_below(&used, foreign)) {
                faults.insert(format!("`domain` may not use `{foreign}`"));
            }
        }
    }
    told(path, faults)
}

fn told(path: &str, faults: BTreeSet<String>) -> Vec<String> {
    faults.into_iter().map(|fault| format!("src/{path}: {fault}")).collect()
}

fn floor_of(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

fn is_below(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The module of the crate's first level that `path`, read in the module `place`, leads to.
fn module_of(path: &[String], place: &[&str]) -> Option<String> {
    let named = match path.first()?.as_str() {
        "crate" | "relevo" => path.get(1)?.clone(),
        "super" => {
            let ups = path.iter().take_while(|segment| *segment == "super").count();
            match place.len().checked_sub(ups)? {
                0 => path.get(ups)?.clone(),
                _ => place[0].to_owned(),
            }
        }
        _ => return None,
    };
    floor_of(&named).map(|_| named)
}

/// `text` with comments and the contents of literals replaced by spaces.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = comment(rest).or_else(|| literal(rest)).unwrap_or(0);
        if skipped > 0 {
            code.push(' ');
            rest = &rest[skipped..];
            continue;
        }
        // A whole word at a time, so that the `r` at the end of one does not begin a raw string.
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let taken = word.max(first.len_utf8());
        code.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    code
}

/// The length of the comment at the beginning of `text`. Block comments nest.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            return Some(at);
        }
    }
    Some(text.len())
}

/// The length of the text or character literal at the beginning of `text`; a lifetime is none.
fn literal(text: &str) -> Option<usize> {
    let body = text.trim_start_matches(['b', 'c']);
    let skipped = text.len() - body.len();
    if skipped > 1 {
        return None;
    }
    if let Some(raw) = body.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let opened = raw[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let length = opened.find(&end).map_or(opened.len(), |at| at + end.len());
        return Some(skipped + 1 + hashes + 1 + length);
    }
    let quote = body.chars().next().filter(|c| *c == '"' || *c == '\'')?;
    let mut characters = body.char_indices().skip(1);
    if quote == '\'' {
        let second = body.chars().nth(1)?;
        let third = body.chars().nth(2)?;
        if second != '\\' && third != '\'' {
            return None; // a lifetime
        }
    }
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => {
                characters.next();
            }
            end if end == quote => return Some(skipped + at + 1),
            _ => {}
        }
    }
    Some(text.len())
}

/// A word or a sign of the language.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Word(String),
    Colons,
    Sign(char),
}

fn pieces_of(code: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (piece, taken) = if word > 0 {
            (Piece::Word(rest[..word].to_owned()), word)
        } else if rest.starts_with("::") {
            (Piece::Colons, 2)
        } else {
            (Piece::Sign(first), first.len_utf8())
        };
        pieces.push(piece);
        rest = rest[taken..].trim_start();
    }
    pieces
}

/// Every path that `code` names, those within braces unfolded: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn paths_of(code: &str) -> Vec<Vec<String>> {
    let pieces = pieces_of(code);
    let mut paths = Vec::new();
    let mut at = 0;
    while at < pieces.len() {
        at = path_at(&pieces, at, &[], &mut paths).max(at + 1);
    }
    paths
}

/// Reads the path at `at` behind `before`; returns where it ends.
fn path_at(pieces: &[Piece], mut at: usize, before: &[String], paths: &mut Vec<Vec<String>>) -> usize {
    let mut path = before.to_vec();
    loop {
        match pieces.get(at) {
            Some(Piece::Word(word)) => path.push(word.clone()),
            Some(Piece::Sign('{')) if !path.is_empty() => return group_at(pieces, at + 1, &path, paths),
            _ => break,
        }
        at += 1;
        if pieces.get(at) != Some(&Piece::Colons) {
            break;
        }
        at += 1;
    }
    if path.len() > before.len() {
        paths.push(path);
    }
    at
}

/// Reads the paths between braces, the first of which has been read; returns where they end.
fn group_at(pieces: &[Piece], mut at: usize, before: &[String], paths: &mut Vec<Vec<String>>) -> usize {
    while let Some(piece) = pieces.get(at) {
        if *piece == Piece::Sign('}') {
            return at + 1;
        }
        at = path_at(pieces, at, before, paths).max(at + 1);
    }
    at
}

#[test]
fn a_higher_floor_and_a_neighbour_are_noticed_in_every_way_of_writing_them() {
    let wrong = [
        ("admin/keys.rs", "use crate::gateway::route;", "gateway"),
        ("admin/mod.rs", "use crate::{domain::Plan, gateway::{self, route::Route}};", "gateway"),
        ("admin.rs", "use crate::{\n    domain::{KeyId, Plan},\n    serve,\n};", "serve"),
        ("admin/mod.rs", "fn f() -> crate::gateway::Route { todo }", "gateway"),
        ("admin/mod.rs", "fn f() { let x = \"quoted\"; ::relevo::cli::run(r\"x\"); }", "cli"),
        ("admin/mod.rs", "pub(crate) use crate :: serve :: Relevo ;", "serve"),
        ("admin/mod.rs", "use super::gateway::Route;", "gateway"),
        ("admin/view.rs", "use super::super::gateway::Route;", "gateway"),
        ("admin/mod.rs", "struct A<'a>(&'a str); use crate::cli::x;", "cli"),
        ("admin/mod.rs", "const Q: char = '\"'; use crate::cli::x; const R: char = '\\'';", "cli"),
        ("index.rs", "use crate::usage::Usage;", "usage"),
        ("catalog.rs", "use crate::index;", "index"),
        ("store/embedded.rs", "use crate::net::Peer;", "net"),
        ("clock.rs", "use crate::config::Config;", "config"),
        ("domain/key.rs", "use crate::clock::Clock;", "clock"),
        ("keyring.rs", "use crate::admin::view;", "admin"),
        ("gateway/verdict.rs", "use crate::store::Store;", "store"),
        ("gateway/mod.rs", "use crate::{index::Index, keyring};", "keyring"),
    ];
    for (path, code, used) in wrong {
        let module = path.split(['/', '.']).next().expect("a name");
        assert_eq!(faults(path, code), [format!("src/{path}: `{module}` may not use `{used}`")], "{code}");
    }
}

#[test]
fn lower_floors_the_module_itself_comments_and_texts_are_no_fault() {
    let right = [
        ("admin/keys.rs", "use crate::{admin::view, keyring::Keyring, domain::*};"),
        ("admin/keys.rs", "use super::view; // crate::gateway is none of ours"),
        ("admin/keys.rs", "/* crate::gateway /* nested */ crate::cli */ use crate::domain::Plan;"),
        ("admin/keys.rs", "/// See [`crate::gateway::Route`].\nfn f() -> &'static str { \"crate::gateway::x\" }"),
        ("admin/keys.rs", "const X: &str = r#\"a \" crate::gateway::x\"#; const Y: &[u8] = b\"crate::cli::x\";"),
        ("serve.rs", "use crate::{admin, gateway, keyring, store, net};"),
        ("gateway/mod.rs", "use crate::{index, usage, net, observe, clock, config, domain};"),
        ("main.rs", "fn main() { relevo::cli::run() }"),
        ("lib.rs", "pub mod gateway; pub use crate::admin::Operations;"),
        ("domain/policy.rs", "use std::net::IpAddr; use super::{ApiKey, time::Span};"),
    ];
    for (path, code) in right {
        assert_eq!(faults(path, code), [""; 0], "{code}");
    }
}

#[test]
fn a_clock_io_or_async_in_the_domain_and_empty_names_are_noticed() {
    for (code, foreign) in [
        ("use std::time::{Duration, SystemTime};", "std::time::SystemTime"),
        ("fn f() { std::time::Instant::now(); }", "std::time::Instant"),
        ("use std::{fs::File, fmt};", "std::fs"),
        ("use std::net::{IpAddr, TcpStream};", "std::net::TcpStream"),
        ("#[tokio::test] async fn f() {}", "tokio"),
    ] {
        assert_eq!(faults("domain/x.rs", code), [format!("src/domain/x.rs: `domain` may not use `{foreign}`")]);
    }
    assert_eq!(faults("store/utils.rs", ""), ["src/store/utils.rs: `utils` is no name for a module"]);
    assert_eq!(faults("attic.rs", ""), ["src/attic.rs: `attic` has no floor"]);
}
