//! How instants, names and commands are written for people.
//!
//! Promises: no control character of a name or a message reaches the terminal; a date has one form.
//! Deliberately does not: print.

use std::borrow::Cow;

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::domain::{Span, Timestamp};

/// `text` with control and format characters written out, so that nothing in it moves a cursor or turns a line around.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    let escaped = |c: char| c.general_category_group() == GeneralCategoryGroup::Other;
    if !text.contains(escaped) {
        return text.into();
    }
    let mut written = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if escaped(c) {
            written.extend(c.escape_unicode());
        } else {
            written.push(c);
        }
    }
    written.into()
}

/// `2026-11-23 19:12 UTC`
pub(super) fn minute(instant: Timestamp) -> String {
    format!("{} UTC", part(instant, "2026-11-23T19:12".len()))
}

/// `2026-11-23 19:12:05 UTC`
pub(super) fn second(instant: Timestamp) -> String {
    format!("{} UTC", part(instant, "2026-11-23T19:12:05".len()))
}

/// `2026-11-23`
pub(super) fn day(instant: Timestamp) -> String {
    part(instant, "2026-11-23".len())
}

fn part(instant: Timestamp, length: usize) -> String {
    let text = instant.to_string();
    text.get(..length).unwrap_or(&text).replace('T', " ")
}

/// How much time there is until `end`: `12 days left`, or `ended`.
pub(super) fn left(end: Timestamp, now: Timestamp) -> String {
    if now >= end {
        return "ended".to_owned();
    }
    format!("{} left", length(end.since(now)))
}

/// How long ago `instant` was: `3 hours ago`.
pub(super) fn ago(instant: Timestamp, now: Timestamp) -> String {
    match now.since(instant) {
        span if span < Span::minutes(1) => "just now".to_owned(),
        span => format!("{} ago", length(span)),
    }
}

/// A length in its largest whole unit.
fn length(span: Span) -> String {
    let units = [(Span::days(1), "day"), (Span::hours(1), "hour"), (Span::minutes(1), "minute")];
    // Two of a unit at least: "47 hours" says more than "1 day".
    let found = units.iter().find(|(unit, _)| span >= unit.plus(*unit));
    let (unit, name) = found.copied().unwrap_or((Span::seconds(1), "second"));
    let count = span.as_millis() / unit.as_millis();
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

/// A word of a command line as a POSIX shell takes it.
pub(super) fn quoted(word: &str) -> Cow<'_, str> {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-_.:/@,+=".contains(c);
    if !word.is_empty() && word.chars().all(harmless) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_millis(1_795_461_120_000);

    #[test]
    fn instants_are_written_in_one_form() {
        assert_eq!(minute(NOON), "2026-11-23 19:12 UTC");
        assert_eq!(second(NOON.plus(Span::seconds(5))), "2026-11-23 19:12:05 UTC");
        assert_eq!(day(NOON), "2026-11-23");
    }

    #[test]
    fn time_left_is_told_in_a_unit_that_says_something() {
        assert_eq!(left(NOON.plus(Span::days(12)), NOON), "12 days left");
        assert_eq!(left(NOON.plus(Span::hours(47)), NOON), "47 hours left");
        assert_eq!(left(NOON.plus(Span::minutes(90)), NOON), "90 minutes left");
        assert_eq!(left(NOON.plus(Span::seconds(1)), NOON), "1 second left");
        assert_eq!(left(NOON, NOON), "ended");
        assert_eq!(ago(NOON, NOON.plus(Span::hours(3))), "3 hours ago");
        assert_eq!(ago(NOON.plus(Span::hours(1)), NOON), "just now");
    }

    #[test]
    fn what_could_steer_a_terminal_is_written_out() {
        assert_eq!(plain("ci für 東京"), "ci für 東京");
        assert_eq!(plain("a\u{1b}[31m\u{202e}b\n"), "a\\u{1b}[31m\\u{202e}b\\u{a}");
    }

    #[test]
    fn a_name_in_a_suggested_command_is_one_word() {
        assert_eq!(quoted("ci"), "ci");
        assert_eq!(quoted("night job"), "'night job'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("$(rm)"), "'$(rm)'");
    }
}
