//! The environment's layer: `RELEVO__GATEWAY__WORKERS=4` is `gateway.workers = 4`.
//!
//! Promises: a variable that sets nothing is a mistake that names it; a list is written with commas.
//! Deliberately does not: set routes or upstreams, which are lists of tables; read the process's environment itself.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use ::config::{Environment, Source as _};
use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use super::mistake::{Findings, Source};

/// What the names of our variables begin with.
const PREFIX: &str = "RELEVO__";

/// Lists of tables, which a variable cannot hold.
const IN_FILE_ONLY: [&str; 4] = ["routes", "upstreams", "gateway.listeners", "limits.roles"];

/// What a setting holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Integer,
    Boolean,
    Text,
    /// A text, or `false`.
    Switched,
    List,
}

/// One setting that a variable makes.
#[derive(Debug)]
pub(super) struct Setting {
    path: String,
    kind: Kind,
    text: String,
    span: Range<usize>,
}

/// The settings that the variables of `env` make, in the order of their paths.
pub(super) fn read(
    env: impl IntoIterator<Item = (String, String)>,
    source: &mut Source,
    findings: &mut Findings,
) -> Vec<Setting> {
    let ours = env.into_iter().filter(|(name, _)| name.to_uppercase().starts_with(PREFIX)).collect();
    let layer = Environment::with_prefix("RELEVO").prefix_separator("__").separator("__").source(Some(ours));
    let layer: BTreeMap<_, _> = layer.collect().unwrap_or_default().into_iter().collect(); // a String is always UTF-8
    let known = settings();
    let mut made = Vec::new();
    for (key, value) in layer {
        let name = format!("{PREFIX}{}", key.replace('.', "__").to_uppercase());
        let text = value.into_string().unwrap_or_default().trim().to_owned();
        let span = source.add_variable(&name, &text);
        let Some((path, kind)) = known.iter().find(|(path, _)| *path == key) else {
            findings.push_shape("", &span, unknown(&name, &key));
            continue;
        };
        match judge(*kind, &text) {
            Ok(()) => made.push(Setting { path: path.clone(), kind: *kind, text, span }),
            Err(reason) => findings.push_shape(path, &span, reason),
        }
    }
    made
}

/// Lays settings over what the file says.
pub(super) fn overlay<'a>(table: &mut DeTable<'a>, settings: &'a [Setting]) {
    for setting in settings {
        set(table, &setting.path, Spanned::new(setting.span.clone(), setting.value()));
    }
}

fn unknown(name: &str, key: &str) -> String {
    let within = |list: &&&str| key.strip_prefix(**list).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    if IN_FILE_ONLY.iter().any(|list| within(&list)) {
        format!("{name} sets nothing: routes, upstreams, listeners and limits of roles stand in the file only")
    } else {
        format!("{name} names no setting")
    }
}

fn judge(kind: Kind, text: &str) -> Result<(), &'static str> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match kind {
        Kind::Boolean if text != "true" && text != "false" => Err("is neither true nor false"),
        Kind::Integer if !digits || text.parse::<u32>().is_err() => Err("is not a whole number of at most 4294967295"),
        Kind::Boolean | Kind::Integer | Kind::Text | Kind::Switched | Kind::List => Ok(()),
    }
}

impl Setting {
    fn value(&self) -> DeValue<'_> {
        let text = self.text.as_str();
        match self.kind {
            Kind::Boolean => DeValue::Boolean(text == "true"),
            Kind::Switched if text == "true" || text == "false" => DeValue::Boolean(text == "true"),
            Kind::Integer => {
                let significant = text.trim_start_matches('0'); // TOML knows no leading zeros
                DeValue::parse(significant).map_or_else(|_| DeValue::Integer(DeInteger::default()), Spanned::into_inner)
            }
            Kind::Text | Kind::Switched => DeValue::String(Cow::Borrowed(text)),
            Kind::List => {
                let mut list = DeArray::new();
                for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
                    list.push(Spanned::new(self.span.clone(), DeValue::String(Cow::Borrowed(item))));
                }
                DeValue::Array(list)
            }
        }
    }
}

/// Puts `value` at the dotted `path`, making tables on the way; a non-table in the way stays, for the file's own mistake.
fn set<'a>(table: &mut DeTable<'a>, path: &str, value: Spanned<DeValue<'a>>) {
    let key = |name: &str| Spanned::new(value.span(), Cow::Owned(name.to_owned()));
    match path.split_once('.') {
        None => {
            table.remove(path);
            table.insert(key(path), value);
        }
        Some((first, rest)) => {
            if !table.contains_key(first) {
                table.insert(key(first), Spanned::new(value.span(), DeValue::Table(DeTable::new())));
            }
            if let Some(DeValue::Table(inner)) = table.get_mut(first).map(Spanned::get_mut) {
                set(inner, rest, value);
            }
        }
    }
}

/// Every setting that the environment may set, by its dotted path; read off the schema, so that none is forgotten.
fn settings() -> Vec<(String, Kind)> {
    let mut found = Vec::new();
    collect(&super::schema::schema(), "", &mut found);
    found.retain(|(path, _)| !IN_FILE_ONLY.contains(&path.as_str()));
    found
}

fn collect(schema: &Json, path: &str, found: &mut Vec<(String, Kind)>) {
    let Some(properties) = schema["properties"].as_object() else {
        found.push((path.to_owned(), kind(schema)));
        return;
    };
    for (name, property) in properties {
        let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        collect(property, &inner, found);
    }
}

fn kind(schema: &Json) -> Kind {
    match schema["type"].as_str() {
        Some("array") => Kind::List,
        Some("integer") => Kind::Integer,
        Some("boolean") => Kind::Boolean,
        Some(_) => Kind::Text,
        None => Kind::Switched, // a choice of a string and false
    }
}
