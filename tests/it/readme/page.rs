//! A page of the documentation: its shell commands, and the answers it shows to them.
//!
//! Promises: an answer is the `text` or `json` block that follows the commands with nothing between.
//! Deliberately does not: understand more of Markdown than fences.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// The commands of a page, in order.
pub(crate) struct Page {
    pub(crate) blocks: Vec<Block>,
}

/// One block of commands.
pub(crate) struct Block {
    pub(crate) script: String,
    pub(crate) shown: Option<Shown>,
    /// The text behind it.
    pub(crate) after: String,
}

/// An answer as a page shows it.
pub(crate) enum Shown {
    /// Line by line.
    Text(String),
    /// By its fields.
    Json(Value),
}

impl Page {
    /// The page at `path` from the root of the sources.
    pub(crate) fn read(path: &str) -> Self {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a page");
        let page = Self { blocks: blocks(&text) };
        assert!(!page.blocks.is_empty(), "{path} has no commands");
        page
    }
}

/// Fences and the text between them, by turns: the odd parts are within fences.
fn blocks(text: &str) -> Vec<Block> {
    let parts: Vec<_> = text.split("\n```").collect();
    let mut blocks = Vec::new();
    for (at, part) in parts.iter().enumerate().filter(|(at, _)| at % 2 == 1) {
        let Some(script) = part.strip_prefix("sh\n") else { continue };
        let after = parts.get(at + 1).map_or("", |after| after.trim());
        let answer = parts.get(at + 2).filter(|_| after.is_empty()).and_then(|answer| shown(answer));
        blocks.push(Block { script: script.to_owned(), shown: answer, after: after.to_owned() });
    }
    blocks
}

fn shown(fence: &str) -> Option<Shown> {
    let (language, answer) = fence.split_once('\n')?;
    match language {
        "text" => Some(Shown::Text(answer.to_owned())),
        "json" => Some(Shown::Json(serde_json::from_str(answer).unwrap_or_else(|error| panic!("{answer}: {error}")))),
        _ => None,
    }
}

impl Shown {
    /// Whether `said` is what is shown.
    pub(crate) fn admits(&self, said: &str) -> bool {
        match self {
            Self::Text(shown) => {
                let (shown, said): (Vec<_>, Vec<_>) = (shown.trim().lines().collect(), said.trim().lines().collect());
                lines_match(&shown, &said)
            }
            Self::Json(shown) => serde_json::from_str(said).is_ok_and(|said| value_matches(shown, &said)),
        }
    }
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Json(value) => write!(f, "{value}"),
        }
    }
}

fn lines_match(shown: &[&str], said: &[&str]) -> bool {
    match shown.split_first() {
        None => said.is_empty(),
        Some((line, rest)) if line.trim() == "…" => {
            (0..=said.len()).any(|skipped| lines_match(rest, &said[skipped..]))
        }
        Some((line, rest)) => {
            said.split_first().is_some_and(|(first, others)| text_matches(line, first) && lines_match(rest, others))
        }
    }
}

/// Whether `said` is `shown`, where a `…` is any text.
fn text_matches(shown: &str, said: &str) -> bool {
    match shown.split_once('…') {
        None => shown == said,
        Some((before, rest)) => said.strip_prefix(before).is_some_and(|said| {
            let ends = said.char_indices().map(|(at, _)| at).chain([said.len()]);
            ends.into_iter().any(|end| text_matches(rest, &said[end..]))
        }),
    }
}

fn value_matches(shown: &Value, said: &Value) -> bool {
    match (shown, said) {
        (Value::Object(shown), Value::Object(said)) => {
            shown.iter().all(|(name, value)| said.get(name).is_some_and(|said| value_matches(value, said)))
        }
        (Value::Array(shown), Value::Array(said)) => {
            shown.len() == said.len() && shown.iter().zip(said).all(|(shown, said)| value_matches(shown, said))
        }
        (Value::String(shown), Value::String(said)) => text_matches(shown, said),
        (shown, said) => shown == said,
    }
}

#[test]
fn an_answer_that_differs_from_what_is_shown_is_noticed() {
    let text = |shown: &str, said: &str| Shown::Text(shown.to_owned()).admits(said);
    assert!(text("a\n…\nz", "a\nb\nc\nz\n") && text("token rlv_…", "token rlv_abc") && text("…", ""));
    assert!(!text("a\n…\nz", "a\nb\n") && !text("rlv_…x", "rlv_abc") && !text("a", "a\nb") && !text("a\nb", "a"));
    let json = |shown: Value, said: &str| Shown::Json(shown).admits(said);
    let shown = serde_json::json!({"name": "ci", "token": "rlv_…", "tokens": [{}]});
    assert!(json(shown.clone(), r#"{"name": "ci", "token": "rlv_a", "tokens": [{"a": 1}], "more": null}"#));
    assert!(!json(shown.clone(), r#"{"name": "ci", "token": "a", "tokens": [{}]}"#));
    assert!(!json(shown.clone(), r#"{"name": "ci", "token": "rlv_a", "tokens": []}"#) && !json(shown, "none"));
}

#[test]
fn commands_are_found_with_the_answer_that_follows_at_once() {
    let found =
        blocks("# A\n\n```sh\nx\n```\n\n```text\ny\n```\nand\n```toml\nsh = 1\n```\n\n```sh\nz\n```\n\n200 ok\n");
    assert_eq!(found.iter().map(|block| block.script.as_str()).collect::<Vec<_>>(), ["x", "z"]);
    assert!(found[0].shown.as_ref().is_some_and(|shown| shown.admits("y")));
    assert!(found[1].shown.is_none() && found[1].after.starts_with("200"));
}
