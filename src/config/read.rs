//! From text to [`File`]: syntax, names of keys, kinds of values, and what this version does not serve yet.
//!
//! Promises: every such mistake is found in one pass over the text, not only the first.
//! Deliberately does not: ask whether values make sense.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use super::environment;
use super::file::File;
use super::mistake::{Findings, Source};

/// More mistakes than this help nobody.
const MOST_MISTAKES: usize = 100;

/// Keys that a later version will know, and what they are for.
const LATER: &[(&str, &str, &str)] = &[("store", "endpoints", "etcd"), ("store", "prefix", "etcd")];

/// Reads the file's text and the environment over it.
pub(super) fn read(
    source: &mut Source,
    env: impl IntoIterator<Item = (String, String)>,
    findings: &mut Findings,
) -> File {
    let settings = environment::read(env, source, findings);
    let (mut root, errors) = DeTable::parse_recoverable(source.file());
    for error in errors.iter().take(MOST_MISTAKES) {
        let span = error.span().unwrap_or(0..0);
        match error.message() {
            message if message.starts_with("duplicate key") => findings.push_shape("", &span, message),
            message => findings.push_syntax(&span, sentence(message)),
        }
    }
    refuse_later(root.get_mut(), findings);
    environment::overlay(root.get_mut(), &settings);
    deserialize(root, findings)
}

/// Deserializes the tree; what cannot be read is noted, taken out, and the rest is tried again.
fn deserialize(mut root: Spanned<DeTable<'_>>, findings: &mut Findings) -> File {
    for _ in 0..MOST_MISTAKES {
        let error = match File::deserialize(Deserializer::from(root.clone())) {
            Ok(file) => return file,
            Err(error) => error,
        };
        let span = error.span().unwrap_or(0..0);
        let key = remove_at(root.get_mut(), &span).unwrap_or_default();
        findings.push_shape(key.clone(), &span, sentence(error.message()));
        if key.is_empty() {
            break;
        }
    }
    File::default()
}

/// Takes the innermost entry out whose key or value covers `span`, and tells its key path.
fn remove_at(table: &mut DeTable<'_>, span: &Range<usize>) -> Option<String> {
    let covers = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
    for (key, value) in table.iter_mut() {
        let inner = match value.get_mut() {
            DeValue::Table(inner) => remove_at(inner, span).map(|path| format!(".{path}")),
            DeValue::Array(items) => remove_in(items, span),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => None,
        };
        if let Some(path) = inner {
            return Some(format!("{}{path}", shown(key.get_ref())));
        }
    }
    let found = table.iter().find(|(key, value)| covers(key.span()) || covers(value.span()));
    let name = found?.0.get_ref().to_string();
    table.remove(name.as_str());
    Some(shown(&name))
}

fn remove_in(items: &mut DeArray<'_>, span: &Range<usize>) -> Option<String> {
    items.iter_mut().enumerate().find_map(|(place, item)| match item.get_mut() {
        DeValue::Table(inner) => remove_at(inner, span).map(|path| format!("[{place}].{path}")),
        DeValue::Array(inner) => remove_in(inner, span).map(|path| format!("[{place}]{path}")),
        DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {
            None
        }
    })
}

/// A key as a path shows it: quoted where it is no bare key.
fn shown(key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare { key.to_owned() } else { format!("{key:?}") }
}

/// What another version will serve is refused by name, not as a key that nobody knows.
fn refuse_later(root: &mut DeTable<'_>, findings: &mut Findings) {
    for (section, key, purpose) in LATER {
        let Some(DeValue::Table(table)) = root.get_mut(*section).map(Spanned::get_mut) else { continue };
        if let Some((name, _)) = table.remove_entry(*key) {
            let path = format!("{section}.{key}");
            findings.push_shape(path, &name.span(), format!("{purpose} is not supported by this version"));
        }
    }
}

/// A library's message as one line, in the words of the file's format.
fn sentence(message: &str) -> String {
    let message = message.trim().replace('\n', ", ");
    let message =
        message.replace("expected a sequence", "expected a list").replace("expected u64", "expected a whole number");
    match message.split_once("expected struct ") {
        Some((before, _)) => format!("{before}expected a table"),
        None => message,
    }
}
