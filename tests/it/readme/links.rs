//! What pages refer to: other pages, places in them, and tests.
//!
//! Promises: a link within the repository that leads nowhere is told with its page.
//! Deliberately does not: ask the network.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every page, from the root of the sources.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = [root.to_owned(), root.join("docs")].into_iter().flat_map(|folder| fs::read_dir(folder).expect("read"));
    let files = files.map(|file| file.expect("read").path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// The targets of the links in `text` that stay within the repository.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    targets.filter(|target| !target.contains("://")).collect()
}

/// The places of a page that a link can name, as GitHub makes them of headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        heading.trim_start_matches('#').trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

fn dead(page: &Path, text: &str) -> Vec<String> {
    let leads = |target: &&str| {
        let (file, place) = target.split_once('#').unwrap_or((target, ""));
        let path = if file.is_empty() { page.to_owned() } else { page.with_file_name(file) };
        let is_there = path.exists();
        is_there && (place.is_empty() || anchors(&fs::read_to_string(path).expect("a page")).contains(place))
    };
    let dead = links(text).into_iter().filter(|target| !leads(target));
    dead.map(|target| format!("{}: {target}", page.display())).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    assert!(pages.len() >= 10, "{pages:?}");
    let dead: Vec<_> = pages.iter().flat_map(|page| dead(page, &fs::read_to_string(page).expect("a page"))).collect();
    assert!(dead.is_empty(), "\n{}", dead.join("\n"));
}

#[test]
fn a_link_that_leads_nowhere_is_noticed() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text =
        "[a](docs/cli.md) [b](docs/none.md) [c](docs/cli.md#renewing) [d](docs/cli.md#rotating) [e](https://x.y/z)";
    assert_eq!(dead(&page, text).len(), 2);
}

#[test]
fn every_test_that_the_architecture_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/architecture.md")).expect("a page");
    let (_, table) = text.split_once("## Invariants").expect("a section");
    let (table, _) = table.split_once("\n## ").expect("another section");
    let named: Vec<_> = table.split('`').filter(|word| is_test(word)).collect();
    assert!(named.len() > 10, "{named:?}");
    let mut sources = String::new();
    for folder in ["src", "tests"] {
        read_all(&root.join(folder), &mut sources);
    }
    let missing: Vec<_> = named.iter().filter(|name| !sources.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Whether `word` is a name as tests have it: a sentence.
fn is_test(word: &str) -> bool {
    word.split('_').count() > 3 && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn read_all(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("read").path();
        if path.is_dir() {
            read_all(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&fs::read_to_string(path).expect("a file"));
        }
    }
}
