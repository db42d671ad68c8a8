//! Instants and spans of time, in whole milliseconds.
//!
//! Promises: arithmetic saturates and never panics; text goes in and out in one form each.
//! Deliberately does not: ask what time it is. Every caller hands `now` in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Invalid;

/// An instant of wall time: milliseconds since the Unix epoch.
///
/// Written as RFC 3339 in UTC with milliseconds: `2026-11-23T19:12:00.000Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);

    /// The instant `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    pub const fn as_seconds(self) -> u64 {
        self.0 / 1_000
    }

    /// The instant `span` later.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The instant `span` earlier, the epoch at the earliest.
    #[must_use]
    pub const fn minus(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// Whether what is done `every` so often, and was done at this instant, is to be done again at `now`: also when a clock
    /// that was set back has made it an instant to come.
    pub const fn is_due_again(self, every: Span, now: Self) -> bool {
        now.0 < self.0 || now.since(self).0 >= every.0
    }

    /// How long after `earlier` this instant is; zero if it is not after it.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        let instant = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{instant:.3}")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let instant: jiff::Timestamp =
            text.parse().map_err(|_| Invalid::new("is not an instant like 2026-11-23T19:12:00Z"))?;
        u64::try_from(instant.as_millisecond()).map(Self).map_err(|_| Invalid::new("is before 1970"))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A length of time in milliseconds, at most [`Span::LONGEST`].
///
/// Written `30s`, `10m`, `24h`, `7d`, `1h 30m`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(u64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// The longest span that is accepted from outside: a hundred years of 365 days.
    pub const LONGEST: Self = Self::days(36_500);

    /// A span of `millis` milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(millis)
    }

    /// A span of `seconds` seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    /// A span of `minutes` minutes.
    pub const fn minutes(minutes: u64) -> Self {
        Self::seconds(minutes.saturating_mul(60))
    }

    /// A span of `hours` hours.
    pub const fn hours(hours: u64) -> Self {
        Self::minutes(hours.saturating_mul(60))
    }

    /// A span of `days` days of 24 hours.
    pub const fn days(days: u64) -> Self {
        Self::hours(days.saturating_mul(24))
    }

    /// The span in milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The two spans together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left of the span without the other one; nothing, where that is longer.
    #[must_use]
    pub const fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl From<Span> for std::time::Duration {
    fn from(span: Span) -> Self {
        Self::from_millis(span.0)
    }
}

impl From<std::time::Duration> for Span {
    fn from(duration: std::time::Duration) -> Self {
        Self(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HOUR: u64 = 3_600_000;
        if self.0 == 0 {
            return f.write_str("0s");
        }
        // Up to two days people count hours ("24h"), beyond that days ("7d").
        let days = if self.0 >= 48 * HOUR { self.0 / (24 * HOUR) } else { 0 };
        let mut rest = self.0 - days * 24 * HOUR;
        let mut gap = "";
        for (size, unit) in [(HOUR, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")] {
            if size == HOUR && days > 0 {
                write!(f, "{days}d")?;
                gap = " ";
            }
            let count = rest / size;
            rest %= size;
            if count > 0 {
                write!(f, "{gap}{count}{unit}")?;
                gap = " ";
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Span {
    type Err = Invalid;

    /// Reads the friendly form: numbers with units from weeks to milliseconds. A day has 24 hours.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::new("is not a duration like 30s, 10m, 24h, 7d or 1h 30m");
        if text.len() > 64 || text.starts_with(['P', 'p', '-', '+']) {
            return Err(wrong());
        }
        let parser = jiff::fmt::friendly::SpanParser::new();
        let span = parser.parse_span(text).map_err(|_| wrong())?;
        if span.is_negative() || span.get_months() != 0 || span.get_years() != 0 {
            return Err(wrong());
        }
        let duration = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
        let span = Self(u64::try_from(duration.as_millis()).map_err(|_| wrong())?);
        if span > Self::LONGEST {
            return Err(Invalid::new("is longer than a hundred years"));
        }
        Ok(span)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How long a token lives, counted from its own creation: the *token duration*.
///
/// Written as a [`Span`] or `never` (it never ends).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lifetime {
    /// It has no end.
    Never,
    /// It ends this long after its creation; never zero.
    For(Span),
}

impl Lifetime {
    /// How long it lasts; `None`: it never ends.
    pub fn span(self) -> Option<Span> {
        match self {
            Self::Never => None,
            Self::For(span) => Some(span),
        }
    }

    /// The instant at which something created at `created_at` ends, if it ever does.
    pub fn end(self, created_at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Never => None,
            Self::For(span) => Some(created_at.plus(span)),
        }
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::For(span) => fmt::Display::fmt(span, f),
        }
    }
}

impl FromStr for Lifetime {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "never" {
            return Ok(Self::Never);
        }
        match text.parse()? {
            Span::ZERO => Err(Invalid::new("must be longer than nothing")),
            span => Ok(Self::For(span)),
        }
    }
}

impl Serialize for Lifetime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lifetime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written_in_the_documented_form() {
        for text in ["30s", "10m", "24h", "7d", "1h 30m", "90d", "36h", "3d 4h", "250ms"] {
            assert_eq!(text.parse::<Span>().expect(text).to_string(), text);
        }
        assert_eq!("2w".parse::<Span>().expect("weeks"), Span::days(14));
    }

    #[test]
    fn what_is_not_a_span_is_refused() {
        for text in ["", "7", "d", "-7d", "7d ago", "1 month", "1y", "P7D", "never", "200 years", "\0"] {
            assert!(text.parse::<Span>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_token_duration_of_nothing_is_refused_and_never_is_accepted() {
        assert!("0s".parse::<Lifetime>().is_err());
        assert_eq!("never".parse::<Lifetime>().expect("never"), Lifetime::Never);
    }

    #[test]
    fn instants_are_written_in_utc_with_milliseconds() {
        let instant = Timestamp::from_millis(1_795_461_120_000);
        assert_eq!(instant.to_string(), "2026-11-23T19:12:00.000Z");
        assert_eq!("2026-11-23T19:12:00Z".parse::<Timestamp>().expect("instant"), instant);
    }
}
