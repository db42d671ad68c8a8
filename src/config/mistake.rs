//! What is wrong with a configuration: every mistake, each with its key and its line.
//!
//! Promises: [`Mistakes`] is never empty, is drawn whole, and shows no token and no secret that strayed into the text.
//! Deliberately does not: find mistakes.

use std::fmt;
use std::io::IsTerminal;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::webhook;
use crate::domain::token;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The key it is about, such as `routes[1].path`; empty for the file as a whole.
    pub key: String,
    /// What is wrong, in a sentence without its end.
    pub message: String,
    /// Where: the line's number in the file, from 1, or the name of the variable in the environment.
    pub place: Place,
    span: Range<usize>,
}

/// Where a mistake stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this line of the file, counted from 1.
    Line(usize),
    /// In this variable of the environment.
    Variable(String),
    /// In no line: the file could not be read, or it is about a default.
    Nowhere,
}

/// Every mistake of a configuration, in the order of the text.
#[derive(Clone, Debug)]
pub struct Mistakes {
    source: Source,
    all: Vec<Mistake>,
}

impl Mistakes {
    /// Each mistake.
    pub fn iter(&self) -> std::slice::Iter<'_, Mistake> {
        self.all.iter()
    }

    /// All mistakes drawn without colours.
    pub fn plain(&self) -> String {
        self.drawn_by(&Renderer::plain())
    }

    /// The one mistake of a file that cannot be read as text.
    pub(super) fn unreadable(name: &str, message: String) -> Self {
        let source = Source::new(name, String::new());
        let mistake = Mistake { key: String::new(), message, place: Place::Nowhere, span: 0..0 };
        Self { source, all: vec![mistake] }
    }

    fn drawn_by(&self, renderer: &Renderer) -> String {
        let drawn: Vec<_> = self.all.iter().map(|mistake| self.source.draw(mistake, renderer)).collect();
        webhook::mask(&token::mask(&drawn.join("\n\n")))
    }
}

impl<'a> IntoIterator for &'a Mistakes {
    type Item = &'a Mistake;
    type IntoIter = std::slice::Iter<'a, Mistake>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// In colours where stderr is a terminal, else plain.
impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        f.write_str(&if coloured { self.drawn_by(&Renderer::styled()) } else { self.plain() })
    }
}

impl std::error::Error for Mistakes {}

/// The text that positions refer to: the file, and behind it a line for each variable of the environment.
#[derive(Clone, Debug)]
pub(super) struct Source {
    name: String,
    file: String,
    variables: Vec<Variable>,
}

#[derive(Clone, Debug)]
struct Variable {
    name: String,
    start: usize,
    line: String,
}

impl Source {
    pub(super) fn new(name: &str, file: String) -> Self {
        Self { name: name.to_owned(), file, variables: Vec::new() }
    }

    /// The file's text.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// Adds a variable of the environment and tells where its value stands.
    pub(super) fn add_variable(&mut self, name: &str, value: &str) -> Range<usize> {
        let start = self.variables.last().map_or(self.file.len(), |last| last.start + last.line.len()) + 1;
        let line = format!("{name}={}", value.escape_debug());
        let span = start + name.len() + 1..start + line.len();
        self.variables.push(Variable { name: name.to_owned(), start, line });
        span
    }

    fn place(&self, span: &Range<usize>) -> Place {
        if let Some(variable) = self.variable(span) {
            return Place::Variable(variable.name.clone());
        }
        if *span == (0..0) {
            return Place::Nowhere;
        }
        let before = &self.file[..self.file.floor_char_boundary(span.start)];
        Place::Line(1 + before.matches('\n').count())
    }

    fn variable(&self, span: &Range<usize>) -> Option<&Variable> {
        self.variables.iter().rfind(|variable| span.start >= variable.start)
    }

    fn draw(&self, mistake: &Mistake, renderer: &Renderer) -> String {
        let title = match mistake.key.as_str() {
            "" => mistake.message.clone(),
            key => format!("{key}: {}", mistake.message),
        };
        let title = Level::ERROR.primary_title(title);
        let drawn = |text: &str, path: &str, span| {
            let snippet = Snippet::source(text.to_owned()).path(path.to_owned());
            renderer.render(&[title.clone().element(snippet.annotation(AnnotationKind::Primary.span(span)))])
        };
        match (&mistake.place, self.variable(&mistake.span)) {
            (Place::Line(_) | Place::Variable(_), Some(variable)) => {
                let within = mistake.span.start - variable.start..mistake.span.end - variable.start;
                drawn(&variable.line, "environment", within)
            }
            (Place::Line(_) | Place::Variable(_), None) => {
                drawn(&self.file, &self.name, first_line(&self.file, &mistake.span))
            }
            (Place::Nowhere, _) => renderer.render(&[title.clone().element(Level::NOTE.message(self.name.clone()))]),
        }
    }
}

/// The part of `span` that lies in the line where it begins, on character boundaries.
fn first_line(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start);
    let rest = &text[start..text.ceil_char_boundary(span.end.max(start))];
    start..start + rest.lines().next().map_or(0, str::len)
}

/// Collects mistakes while a configuration is judged.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Vec<Found>,
    shapeless: bool,
    /// Where the text first is not TOML: what is said of the rest of the file would be guessing.
    broken_at: Option<usize>,
}

#[derive(Debug)]
struct Found {
    key: String,
    span: Range<usize>,
    message: String,
}

impl Findings {
    /// A mistake about the value of `key` at `span`.
    pub(super) fn push(&mut self, key: impl Into<String>, span: &Range<usize>, message: impl Into<String>) {
        self.found.push(Found { key: key.into(), span: span.clone(), message: message.into() });
    }

    /// A place where the text is not TOML. Told before any other mistake is.
    pub(super) fn push_syntax(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.broken_at = Some(self.broken_at.map_or(span.start, |place| place.min(span.start)));
        self.push_shape("", span, message);
    }

    /// A value that could not even be read: it is absent from what is judged afterwards.
    pub(super) fn push_shape(&mut self, key: impl Into<String>, span: &Range<usize>, message: impl Into<String>) {
        self.push(key, span, message);
        self.shapeless = true;
    }

    /// A mistake that says that something is absent; where values could not be read this may be an echo, and is dropped.
    pub(super) fn push_absent(&mut self, key: impl Into<String>, span: &Range<usize>, message: impl Into<String>) {
        if !self.shapeless {
            self.push(key, span, message);
        }
    }

    /// The value of a key that must be there, in the table at `table`.
    pub(super) fn required<'a, T>(
        &mut self,
        key: impl Into<String>,
        value: Option<&'a T>,
        table: &Range<usize>,
    ) -> Option<&'a T> {
        if value.is_none() {
            self.push_absent(key, table, "is missing");
        }
        value
    }

    /// Keeps a value, or the reason why it is not one.
    pub(super) fn keep<T, E: fmt::Display>(
        &mut self,
        key: impl Into<String>,
        span: &Range<usize>,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|reason| self.push(key, span, reason.to_string())).ok()
    }

    /// The mistakes found, if any, in the order of the text.
    pub(super) fn into_mistakes(self, source: &Source) -> Option<Mistakes> {
        let end = source.file.len();
        let guessed = |found: &Found| {
            let after = self.broken_at.is_some_and(|place| (place + 1..end).contains(&found.span.start));
            after && !found.key.is_empty()
        };
        let told = self.found.into_iter().filter(|found| !guessed(found));
        let mistake = |Found { key, span, message }| Mistake { key, message, place: source.place(&span), span };
        let mut all: Vec<_> = told.map(mistake).collect();
        all.sort_by_key(|mistake| mistake.span.start);
        all.dedup();
        (!all.is_empty()).then(|| Mistakes { source: source.clone(), all })
    }
}
