//! Instants and spans as people read them.
//!
//! Promises: without JavaScript an instant is told in UTC and says so; with it, the page's script tells it in the
//! reader's own zone.

use askama::Template;
use jiff::tz::Offset;

use super::words::Words;
use crate::domain::{Lifetime, Span, Timestamp};

/// An instant on a page.
#[derive(Template, Clone, Debug)]
#[template(ext = "html", source = r#"<time datetime="{{ iso }}" data-local="{{ grain }}">{{ text }}</time>"#)]
pub(super) struct Moment {
    iso: String,
    text: String,
    /// What is told of it: the `day`, or everything to the `minute`.
    grain: &'static str,
}

/// An instant told by its distance from now, the instant itself on hover.
#[derive(Template, Clone, Debug)]
#[template(ext = "html", source = r#"<time datetime="{{ iso }}" title="{{ exact }}">{{ text }}</time>"#)]
pub(super) struct Distance {
    iso: String,
    exact: String,
    pub(super) text: String,
}

impl askama::filters::HtmlSafe for Moment {}
impl askama::filters::HtmlSafe for Distance {}

/// How much of a token's life is left.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) tone: &'static str,
    pub(super) left: Distance,
}

/// From when on a token's end is near.
pub(super) const SOON: Span = Span::days(14);

impl Words {
    /// The instant, in UTC.
    pub(super) fn moment(self, at: Timestamp) -> Moment {
        Moment { iso: at.to_string(), text: self.date(at), grain: "minute" }
    }

    /// The day of the instant, in UTC.
    pub(super) fn day(self, at: Timestamp) -> Moment {
        let (date, _) = civil(at);
        let [day, month, year] = self.parts(date);
        let text = self.fill("date-only", &[("day", &day), ("month", &month), ("year", &year)]);
        Moment { iso: at.to_string(), text, grain: "day" }
    }

    /// How long ago `at` was.
    pub(super) fn ago(self, at: Timestamp, now: Timestamp) -> Distance {
        let text = match now.since(at) {
            span if span < Span::seconds(5) => self.t("just-now"),
            span => self.with("ago", "span", &self.about_span(span)),
        };
        Distance { iso: at.to_string(), exact: self.date(at), text }
    }

    /// How long until `at`.
    pub(super) fn until(self, at: Timestamp, now: Timestamp) -> Distance {
        let text = self.with("in-span", "span", &self.about_span(at.since(now)));
        Distance { iso: at.to_string(), exact: self.date(at), text }
    }

    /// What is left until `at`, or since when it is past.
    pub(super) fn life(self, at: Timestamp, now: Timestamp) -> Life {
        let (tone, text) = if now >= at {
            ("outdated", self.t("outdated"))
        } else {
            let left = at.since(now);
            (if left <= SOON { "soon" } else { "fresh" }, self.with("left", "span", &self.about_span(left)))
        };
        Life { tone, left: Distance { iso: at.to_string(), exact: self.date(at), text } }
    }

    /// A span in its largest unit.
    pub(super) fn about_span(self, span: Span) -> String {
        let seconds = span.as_millis() / 1_000;
        match seconds {
            0..60 => self.count("seconds", seconds),
            60..3_600 => self.count("minutes", seconds / 60),
            3_600..172_800 => self.count("hours", seconds / 3_600),
            _ => self.count("days", seconds / 86_400),
        }
    }

    /// A span to the second.
    pub(super) fn span(self, span: Span) -> String {
        let seconds = span.as_millis() / 1_000;
        let days = if seconds >= 172_800 { seconds / 86_400 } else { 0 };
        let rest = seconds - days * 86_400;
        let parts = [("days", days), ("hours", rest / 3_600), ("minutes", rest % 3_600 / 60), ("seconds", rest % 60)];
        let told = parts.into_iter().filter(|(_, count)| *count > 0).map(|(unit, count)| self.count(unit, count));
        let text = told.collect::<Vec<_>>().join(" ");
        if text.is_empty() { self.count("seconds", 0_u64) } else { text }
    }

    /// A token duration.
    pub(super) fn lifetime(self, lifetime: Lifetime) -> String {
        match lifetime {
            Lifetime::Never => self.t("never-ends"),
            Lifetime::For(span) => self.span(span),
        }
    }

    fn date(self, at: Timestamp) -> String {
        let (date, time) = civil(at);
        let [day, month, year] = self.parts(date);
        self.fill("date", &[("day", &day), ("month", &month), ("year", &year), ("time", &time)])
    }

    fn parts(self, date: jiff::civil::DateTime) -> [String; 3] {
        [date.day().to_string(), self.t(&format!("month-{}", date.month())), date.year().to_string()]
    }
}

/// Date and time in UTC.
fn civil(at: Timestamp) -> (jiff::civil::DateTime, String) {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    let at = Offset::UTC.to_datetime(at);
    (at, format!("{:02}:{:02}", at.hour(), at.minute()))
}

#[cfg(test)]
mod tests {
    use super::super::words::Language;
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_461_120_000);

    #[test]
    fn an_instant_is_told_in_utc_in_each_language() {
        let told = Language::ALL.map(|language| Words(language).moment(NOW).to_string());
        let element =
            |text: &str| format!(r#"<time datetime="2026-11-23T19:12:00.000Z" data-local="minute">{text}</time>"#);
        let [en, es, pt] =
            ["23 Nov 2026, 19:12 UTC", "23 nov 2026, 19:12 UTC", "23 de nov. de 2026, 19:12 UTC"].map(element);
        assert_eq!(told, [en, es, pt]);
    }

    #[test]
    fn the_rest_of_a_life_is_told_by_its_largest_unit() {
        let words = Words(Language::En);
        let told = |span| words.life(NOW.plus(span), NOW);
        assert_eq!(told(Span::days(12)).left.text, "12 days left");
        assert_eq!(told(Span::days(12)).tone, "soon");
        assert_eq!(told(Span::hours(47)).left.text, "47 hours left");
        assert_eq!((told(Span::days(15)).tone, told(Span::ZERO).tone), ("fresh", "outdated"));
        assert_eq!(words.ago(NOW, NOW).text, "just now");
        assert_eq!(words.ago(NOW.minus(Span::minutes(1)), NOW).text, "1 minute ago");
        assert_eq!(words.span("1h 30m".parse().expect("a span")), "1 hour 30 minutes");
        assert_eq!(words.span(Span::days(90)), "90 days");
    }
}
