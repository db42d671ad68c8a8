//! How much a key may ask for: a rate, a quota, and how many requests at once.
//!
//! Promises: only limits that can be kept exist; text goes in and out in one form.
//! Deliberately does not: count. That is the limiter's.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Invalid, Span, Timestamp};

/// The limits of a key. None of the three: the key is not limited at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// How fast requests may come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// How many there may be in a window of the calendar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// How many there may be at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<NonZeroU32>,
}

impl Limits {
    /// Whether they limit nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// So many requests in so much time, and so many of them at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "RateText", into = "RateText")]
pub struct Rate {
    requests: u32,
    per: Span,
    burst: u32,
}

/// A rate as the outside writes it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RateText {
    requests: u64,
    per: Span,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    burst: Option<u64>,
}

impl Rate {
    /// The most requests of a rate, and of a burst.
    pub const MOST: u32 = 1_000_000;
    /// The longest time of a rate: beyond it, a quota is meant.
    pub const LONGEST: Span = Span::hours(24);

    /// `requests` every `per`; `burst` of them at once, or as many as in `per`.
    pub fn new(requests: u64, per: Span, burst: Option<u64>) -> Result<Self, Invalid> {
        let count = |count: u64| u32::try_from(count).ok().filter(|count| (1..=Self::MOST).contains(count));
        let requests = count(requests).ok_or_else(|| Invalid::new("has requests that are not from 1 to 1000000"))?;
        let burst = burst.map_or(Some(requests), count);
        let burst = burst.ok_or_else(|| Invalid::new("has a burst that is not from 1 to 1000000"))?;
        let whole = per.as_millis().is_multiple_of(1_000);
        if !whole || !(Span::seconds(1)..=Self::LONGEST).contains(&per) {
            return Err(Invalid::new("has a per that is not of whole seconds from 1s to 24h"));
        }
        let rate = Self { requests, per, burst };
        if u128::from(rate.interval_nanos()) * u128::from(burst) > 366 * 86_400 * 1_000_000_000 {
            return Err(Invalid::new("has a burst that takes more than a year to come back"));
        }
        Ok(rate)
    }

    /// In how many nanoseconds one request more is allowed.
    pub const fn interval_nanos(self) -> u64 {
        self.per.as_millis() * 1_000_000 / self.requests as u64
    }

    /// How many requests there may be every [`Rate::per`].
    pub const fn requests(self) -> u32 {
        self.requests
    }

    /// In how much time.
    pub const fn per(self) -> Span {
        self.per
    }

    /// How many there may be at once.
    pub const fn burst(self) -> u32 {
        self.burst
    }
}

impl TryFrom<RateText> for Rate {
    type Error = Invalid;

    fn try_from(text: RateText) -> Result<Self, Invalid> {
        Self::new(text.requests, text.per, text.burst)
    }
}

impl From<Rate> for RateText {
    fn from(rate: Rate) -> Self {
        Self { requests: rate.requests.into(), per: rate.per, burst: Some(rate.burst.into()) }
    }
}

/// `100/1s`, or with a burst of its own `100/1s/200`.
impl FromStr for Rate {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::new("is not a rate like 100/1s or, with a burst, 100/1s/200");
        let mut parts = text.split('/');
        let (Some(requests), Some(per), burst, None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(wrong());
        };
        let burst = burst.map(|burst| burst.parse().map_err(|_| wrong())).transpose()?;
        Self::new(requests.parse().map_err(|_| wrong())?, per.parse()?, burst)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.requests, self.per, self.burst)
    }
}

/// So many requests in each window of the calendar, in UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "QuotaText", into = "QuotaText")]
pub struct Quota {
    requests: u64,
    per: Window,
}

/// A quota as the outside writes it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotaText {
    requests: u64,
    per: Window,
}

impl Quota {
    /// The most requests of a quota.
    pub const MOST: u64 = 1_000_000_000_000;

    /// `requests` in each window.
    pub fn new(requests: u64, per: Window) -> Result<Self, Invalid> {
        if !(1..=Self::MOST).contains(&requests) {
            return Err(Invalid::new("has requests that are not from 1 to 1000000000000"));
        }
        Ok(Self { requests, per })
    }

    /// How many requests there may be in a window.
    pub const fn requests(self) -> u64 {
        self.requests
    }

    /// Which window.
    pub const fn per(self) -> Window {
        self.per
    }
}

impl TryFrom<QuotaText> for Quota {
    type Error = Invalid;

    fn try_from(text: QuotaText) -> Result<Self, Invalid> {
        Self::new(text.requests, text.per)
    }
}

impl From<Quota> for QuotaText {
    fn from(quota: Quota) -> Self {
        Self { requests: quota.requests, per: quota.per }
    }
}

/// `100000/month`
impl FromStr for Quota {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::new("is not a quota like 100000/month");
        let (requests, per) = text.split_once('/').ok_or_else(wrong)?;
        Self::new(requests.parse().map_err(|_| wrong())?, per.parse()?)
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.requests, self.per.as_str())
    }
}

/// A window of the calendar, in UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// From full hour to full hour.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From the first of a month to the first of the next.
    Month,
}

/// One window: which it is, and from when to when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Period {
    /// Its number among all windows of its kind since 1970.
    pub number: u32,
    /// When it began.
    pub begins: Timestamp,
    /// When the next one begins.
    pub ends: Timestamp,
}

impl Window {
    /// Every kind of window.
    pub const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Month];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// The window in which `now` lies.
    pub fn period(self, now: Timestamp) -> Period {
        const HOUR: u64 = 3_600_000;
        match self {
            Self::Hour => even(now, HOUR),
            Self::Day => even(now, 24 * HOUR),
            Self::Month => month(now),
        }
    }
}

fn even(now: Timestamp, length_millis: u64) -> Period {
    let number = now.as_millis() / length_millis;
    let begins = Timestamp::from_millis(number * length_millis);
    let ends = begins.plus(Span::millis(length_millis));
    Period { number: u32::try_from(number).unwrap_or(u32::MAX), begins, ends }
}

/// Howard Hinnant's `civil_from_days` and back, for years from 1970 on: no allocation, no time zone database.
fn month(now: Timestamp) -> Period {
    let days = now.as_seconds() / 86_400 + 719_468; // since 0000-03-01
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let months = (era * 400 + year_of_era) * 12 + from_march; // since 0000-03
    let number = months + 2 - 1_970 * 12; // since 1970-01
    let begins = |months: u64| {
        let (year, from_march) = (months / 12, months % 12);
        let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * from_march + 2) / 5;
        Timestamp::EPOCH.plus(Span::days(days - 719_468))
    };
    Period { number: u32::try_from(number).unwrap_or(u32::MAX), begins: begins(months), ends: begins(months + 1) }
}

impl FromStr for Window {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let found = Self::ALL.into_iter().find(|window| window.as_str() == text);
        found.ok_or_else(|| Invalid::new("is not hour, day or month"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: serde_json::Value) -> Result<Limits, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn the_published_example_goes_in_and_out_unchanged() {
        let example = json!({"rate": {"requests": 100, "per": "1s", "burst": 200},
            "quota": {"requests": 100_000, "per": "month"}, "concurrent": 50});
        let limits = read(example.clone()).expect("legal");
        assert_eq!(json!(limits), example);
        assert!(!limits.is_empty() && read(json!({})).expect("legal").is_empty());
    }

    #[test]
    fn a_burst_that_is_not_written_is_that_of_the_rate() {
        let rate: Rate = serde_json::from_value(json!({"requests": 7, "per": "1m"})).expect("legal");
        assert_eq!((rate.burst(), rate.per()), (7, Span::minutes(1)));
        assert_eq!("7/1m".parse(), Ok(rate));
        assert_eq!(rate.to_string().parse(), Ok(rate));
    }

    #[test]
    fn limits_that_cannot_be_kept_are_refused() {
        for (value, why) in [
            (json!({"rate": {"requests": 0, "per": "1s"}}), "requests that are not from 1"),
            (json!({"rate": {"requests": 1_000_001, "per": "1s"}}), "requests that are not from 1"),
            (json!({"rate": {"requests": 1, "per": "1s", "burst": 0}}), "a burst that is not from 1"),
            (json!({"rate": {"requests": 1, "per": "500ms"}}), "whole seconds from 1s to 24h"),
            (json!({"rate": {"requests": 1, "per": "1500ms"}}), "whole seconds from 1s to 24h"),
            (json!({"rate": {"requests": 1, "per": "25h"}}), "whole seconds from 1s to 24h"),
            (json!({"rate": {"requests": 1, "per": "24h", "burst": 367}}), "more than a year"),
            (json!({"quota": {"requests": 0, "per": "day"}}), "requests that are not from 1"),
            (json!({"quota": {"requests": 1, "per": "week"}}), "unknown variant"),
            (json!({"concurrent": 0}), "nonzero"),
            (json!({"rates": {}}), "unknown field"),
        ] {
            let error = read(value.clone()).expect_err("refused");
            assert!(error.contains(why), "{value}: {error}");
        }
    }

    #[test]
    fn windows_are_those_of_the_calendar_in_utc() {
        let period = |window: Window, at: &str| {
            let Period { begins, ends, .. } = window.period(at.parse().expect("an instant"));
            format!("{begins} {ends}")
        };
        let at = "2028-02-29T13:37:21.500Z";
        assert_eq!(period(Window::Hour, at), "2028-02-29T13:00:00.000Z 2028-02-29T14:00:00.000Z");
        assert_eq!(period(Window::Day, at), "2028-02-29T00:00:00.000Z 2028-03-01T00:00:00.000Z");
        assert_eq!(period(Window::Month, at), "2028-02-01T00:00:00.000Z 2028-03-01T00:00:00.000Z");
        assert_eq!(
            period(Window::Month, "2026-12-31T23:59:59.999Z"),
            "2026-12-01T00:00:00.000Z 2027-01-01T00:00:00.000Z"
        );
    }

    #[test]
    fn every_month_begins_where_the_one_before_it_ends() {
        let mut now = Timestamp::EPOCH;
        for number in 0..12 * 140 {
            let period = Window::Month.period(now);
            assert_eq!((period.number, period.begins), (number, now));
            assert_eq!(Window::Month.period(period.ends.minus(Span::millis(1))), period);
            assert!(period.begins.to_string().ends_with("-01T00:00:00.000Z"), "{}", period.begins);
            now = period.ends;
        }
    }
}
