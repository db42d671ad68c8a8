//! Keys that somebody has written down: CSV, JSON lines or TOML, read into what the admin API takes.
//!
//! Promises: a token is hashed here and never leaves this machine; every mistake is told with its line, and none repeats
//! a value, which might be a token.
//! Deliberately does not: know what a key may be. The gateway does.

use std::fs;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::shapes::{Mistake, Problem};
use super::text::plain;
use crate::admin::json;
use crate::domain::Secret;

/// How keys are written down.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// A line of column names, then a key a line
    Csv,
    /// A JSON object a line
    Jsonl,
    /// `[[keys]]` tables
    Toml,
}

impl Form {
    /// The form that a file's name tells.
    pub(super) fn of(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()? {
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" | "json" => Some(Self::Jsonl),
            "toml" => Some(Self::Toml),
            _ => None,
        }
    }
}

/// Whether tokens may be shorter than they should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Weak {
    /// No.
    Refused,
    /// Yes; they are marked.
    Allowed,
}

/// Keys from one file, each with its line.
pub(super) struct Roster {
    file: String,
    lines: Vec<u64>,
    keys: Vec<Value>,
}

/// A mistake, and the line where it is.
type Mistakes = Vec<(u64, String)>;

impl Roster {
    /// Reads `file`; `-` is the standard input. All that is wrong is told at once.
    pub(super) fn read(file: &Path, form: Option<Form>, weak: Weak) -> Result<Self, Failure> {
        let name = file.display().to_string();
        let form = form.or_else(|| Form::of(file));
        let form = form.ok_or_else(|| Failure::Usage(format!("{name}: say --format csv, jsonl or toml")))?;
        let text = read_text(file).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
        Self::parse(&name, &text, form, weak)
    }

    fn parse(name: &str, text: &str, form: Form, weak: Weak) -> Result<Self, Failure> {
        let mut mistakes = Vec::new();
        let rows = match form {
            Form::Csv => csv_rows(text, &mut mistakes),
            Form::Jsonl => json_rows(text, &mut mistakes),
            Form::Toml => toml_rows(text, &mut mistakes),
        };
        let mut roster = Self { file: name.to_owned(), lines: Vec::new(), keys: Vec::new() };
        for (line, mut fields) in rows {
            if let Err(mistake) = digest_token(&mut fields, weak) {
                mistakes.push((line, mistake));
            }
            roster.lines.push(line);
            roster.keys.push(Value::Object(fields));
        }
        if mistakes.is_empty() {
            return Ok(roster);
        }
        mistakes.sort();
        let told: Vec<_> =
            mistakes.iter().map(|(line, text)| format!("{}:{line}: {}", plain(name), plain(text))).collect();
        Err(Failure::Usage(format!("nothing was sent\n{}", told.join("\n"))))
    }

    /// The keys as the admin API takes them.
    pub(super) fn keys(&self) -> &[Value] {
        &self.keys
    }

    /// A refusal, its places told as lines of the file.
    pub(super) fn placed(&self, failure: Failure) -> Failure {
        let Failure::Refused(problem) = failure else { return failure };
        let errors = problem.errors.iter().map(|mistake| self.placed_mistake(mistake)).collect();
        Failure::Refused(Box::new(Problem { errors, ..*problem }))
    }

    fn placed_mistake(&self, Mistake { path, message }: &Mistake) -> Mistake {
        let place = path.strip_prefix("keys[").and_then(|rest| rest.split_once(']'));
        let line = place.and_then(|(at, rest)| Some((self.lines.get(at.parse::<usize>().ok()?)?, rest)));
        let Some((line, rest)) = line else { return Mistake { path: path.clone(), message: message.clone() } };
        let field = rest.trim_start_matches('.');
        let path = format!("{}:{line}", self.file);
        let message = if field.is_empty() { message.clone() } else { format!("{field} {message}") };
        Mistake { path, message }
    }
}

fn read_text(file: &Path) -> std::io::Result<String> {
    if file != Path::new("-") {
        return fs::read_to_string(file);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// Puts the digest of `token` in its place.
fn digest_token(fields: &mut Map<String, Value>, weak: Weak) -> Result<(), String> {
    let Some(token) = fields.remove("token") else { return Ok(()) };
    if fields.contains_key("digest") {
        return Err("has a token and a digest".into());
    }
    let Value::String(token) = token else { return Err("token is not a string".into()) };
    let secret = Secret::import(token).map_err(|invalid| format!("token {invalid}"))?;
    if secret.is_weak() && weak == Weak::Refused {
        return Err("token is shorter than 32 characters: --allow-weak takes it all the same".into());
    }
    fields.insert("digest".into(), json!(secret.digest().to_string()));
    fields.insert("weak".into(), json!(secret.is_weak()));
    if let Some(hint) = secret.hint() {
        fields.insert("hint".into(), json!(hint.to_string()));
    }
    Ok(())
}

fn json_rows(text: &str, mistakes: &mut Mistakes) -> Vec<(u64, Map<String, Value>)> {
    let mut rows = Vec::new();
    for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        match json::read(text.as_bytes()) {
            Ok(Value::Object(fields)) => rows.push((line, fields)),
            Ok(_) => mistakes.push((line, "is not a JSON object".into())),
            Err(message) => mistakes.push((line, message)),
        }
    }
    rows
}

fn csv_rows(text: &str, mistakes: &mut Mistakes) -> Vec<(u64, Map<String, Value>)> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let names = match reader.headers() {
        Ok(names) => names.clone(),
        Err(_) => csv::StringRecord::new(),
    };
    if !names.iter().any(|name| name == "name") {
        mistakes.push((1, "is no line of column names: there is no column name".into()));
        return Vec::new();
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        match record {
            Ok(record) => {
                let line = record.position().map_or(0, csv::Position::line);
                let cells = names.iter().zip(&record).filter(|(_, cell)| !cell.is_empty());
                match cells.map(|(name, cell)| Ok((name.to_owned(), cell_value(name, cell)?))).collect() {
                    Ok(fields) => rows.push((line, fields)),
                    Err(mistake) => mistakes.push((line, mistake)),
                }
            }
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                mistakes.push((line, "does not have as many cells as there are columns, or is not CSV".into()));
            }
        }
    }
    rows
}

/// Lists are separated by spaces or semicolons, labels are `name=value`, limits are JSON.
fn cell_value(name: &str, cell: &str) -> Result<Value, String> {
    let items = || cell.split([' ', ';']).filter(|item| !item.is_empty());
    Ok(match name {
        "roles" | "allowed_addresses" => items().collect(),
        "labels" => {
            let pairs = cell.split(';').map(str::trim).filter(|pair| !pair.is_empty());
            let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (name.to_owned(), json!(value)));
            Value::Object(pairs.map(pair).collect::<Option<_>>().ok_or("labels are not name=value")?)
        }
        "self_service" => json!(cell.parse::<bool>().map_err(|_| "self_service is neither true nor false")?),
        "limits" => json::read(cell.as_bytes()).map_err(|message| format!("limits {message}"))?,
        _ => json!(cell),
    })
}

fn toml_rows(text: &str, mistakes: &mut Mistakes) -> Vec<(u64, Map<String, Value>)> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        keys: Vec<toml::Spanned<Map<String, Value>>>,
    }
    let line_of = |offset: usize| 1 + text[..offset.min(text.len())].matches('\n').count() as u64;
    match toml::from_str::<File>(text) {
        Ok(file) => file.keys.into_iter().map(|key| (line_of(key.span().start), key.into_inner())).collect(),
        Err(error) => {
            let line = error.span().map_or(1, |span| line_of(span.start));
            mistakes.push((line, "is not TOML with [[keys]] tables of plain values".into()));
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "legacy-0123456789abcdef0123456789abcdef";

    fn parsed(text: &str, form: Form) -> Result<Roster, String> {
        Roster::parse("keys", text, form, Weak::Refused).map_err(|failure| failure.to_string())
    }

    #[test]
    fn all_three_forms_say_the_same() {
        let digest = crate::domain::Digest::of(TOKEN.as_bytes()).to_string();
        let expected = json!([{"name": "ci", "roles": ["a", "b"], "labels": {"team": "x"}, "digest": digest, "hint": "cdef", "weak": false}]);
        let csv = format!("name,token,roles,labels,owner\nci,{TOKEN},a b,team=x,\n");
        let lines = format!(
            "\n{{\"name\": \"ci\", \"token\": \"{TOKEN}\", \"roles\": [\"a\", \"b\"], \"labels\": {{\"team\": \"x\"}}}}\n"
        );
        let toml = format!(
            "[[keys]]\nname = \"ci\"\ntoken = \"{TOKEN}\"\nroles = [\"a\", \"b\"]\nlabels = {{ team = \"x\" }}\n"
        );
        for (text, form, line) in [(csv, Form::Csv, 2), (lines, Form::Jsonl, 2), (toml, Form::Toml, 1)] {
            let roster = parsed(&text, form).unwrap_or_else(|mistake| panic!("{form:?}: {mistake}"));
            assert_eq!((Value::from(roster.keys.clone()), roster.lines), (expected.clone(), vec![line]), "{form:?}");
        }
    }

    #[test]
    fn every_mistake_is_told_with_its_line_and_no_token() {
        let csv = format!(
            "name,token,labels\nci,{TOKEN} x,\nnight,short-secret-12345,\nday,{TOKEN},team\n\"ev\nil\",{TOKEN}\n"
        );
        let mistakes = parsed(&csv, Form::Csv).err().expect("mistakes");
        for line in ["keys:2:", "keys:3:", "keys:4:", "keys:5:"] {
            assert!(mistakes.contains(line), "{line} in {mistakes}");
        }
        let lines = format!("{{\"name\": 1, \"name\": 2}}\n[]\n{TOKEN}\n{{\"token\": \"{TOKEN}\", \"digest\": \"x\"}}");
        let more = parsed(&lines, Form::Jsonl).err().expect("mistakes");
        for line in ["keys:1:", "keys:2:", "keys:3:", "keys:4:"] {
            assert!(more.contains(line), "{line} in {more}");
        }
        let toml = parsed(&format!("[[keys]]\nname = {TOKEN} {TOKEN}"), Form::Toml).err().expect("mistakes");
        assert!(toml.contains("keys:2:"), "{toml}");
        for told in [mistakes, more, toml] {
            assert!(!told.contains("0123456789") && !told.contains("short-secret"), "{told}");
        }
    }

    #[test]
    fn a_refusal_of_the_gateway_names_the_line() {
        let roster =
            parsed("{\"name\": \"a\"}\n\n{\"name\": \"b\"}\n", Form::Jsonl).unwrap_or_else(|why| panic!("{why}"));
        let mistake = |path: &str| Mistake { path: path.into(), message: "is wrong".into() };
        let problem = Problem {
            errors: vec![mistake("keys[1].name"), mistake("keys[0]"), mistake("body")],
            ..Problem::default()
        };
        let Failure::Refused(placed) = roster.placed(Failure::Refused(Box::new(problem))) else {
            panic!("another failure")
        };
        let told: Vec<_> = placed.errors.iter().map(|mistake| (&*mistake.path, &*mistake.message)).collect();
        assert_eq!(told, [("keys:3", "name is wrong"), ("keys:1", "is wrong"), ("body", "is wrong")]);
    }
}
