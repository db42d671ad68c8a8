//! A key's limits as its form holds them: as configured, none, or three texts.
//!
//! Promises: what cannot be read is sent as it was typed, so that the refusal is the API's own.

use std::num::NonZeroU32;
use std::str::FromStr;

use serde::Serialize;
use serde_json::{Map, Value};

use super::answers::Limits;
use super::form::Form;
use crate::domain;

/// What the form says of limits.
#[derive(Default)]
pub(super) struct Bounds {
    /// `configured`, `own` or `none`.
    pub(super) kind: String,
    /// Such as `100/1s/200`.
    pub(super) rate: String,
    /// Such as `100000/month`.
    pub(super) quota: String,
    pub(super) concurrent: String,
}

impl Bounds {
    pub(super) fn of_form(form: &Form) -> Self {
        let text = |name: &str| form.text(name).to_owned();
        Self { kind: text("limits"), rate: text("rate"), quota: text("quota"), concurrent: text("concurrent") }
    }

    /// Those of a key; `None`: it has none of its own.
    pub(super) fn of_key(limits: Option<&Limits>) -> Self {
        let Some(limits) = limits else { return Self { kind: "configured".into(), ..Self::default() } };
        let rate = limits.rate.as_ref().map(|rate| {
            let burst = rate.burst.map(|burst| format!("/{burst}")).unwrap_or_default();
            format!("{}/{}{burst}", rate.requests, rate.per)
        });
        let quota = limits.quota.as_ref().map(|quota| format!("{}/{}", quota.requests, quota.per));
        let concurrent = limits.concurrent.map(|most| most.to_string());
        let is_limited = rate.is_some() || quota.is_some() || concurrent.is_some();
        Self {
            kind: if is_limited { "own" } else { "none" }.into(),
            rate: rate.unwrap_or_default(),
            quota: quota.unwrap_or_default(),
            concurrent: concurrent.unwrap_or_default(),
        }
    }

    /// What the API is sent.
    pub(super) fn value(&self) -> Value {
        match self.kind.as_str() {
            "none" => Value::Object(Map::new()),
            "own" => self.own(),
            _ => Value::Null,
        }
    }

    fn own(&self) -> Value {
        let texts = [
            ("rate", read::<domain::Rate>(&self.rate)),
            ("quota", read::<domain::Quota>(&self.quota)),
            ("concurrent", read::<NonZeroU32>(&self.concurrent)),
        ];
        let given: Map<_, _> = texts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        // Limits of his own that limit nothing are what nobody means.
        if given.is_empty() { "".into() } else { Value::Object(given) }
    }
}

/// What `text` says; the text itself, if that is nothing.
fn read<T: FromStr + Serialize>(text: &str) -> Option<Value> {
    let value = || text.parse::<T>().ok().and_then(|read| serde_json::to_value(read).ok());
    (!text.is_empty()).then(|| value().unwrap_or_else(|| text.into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_key_has_is_what_its_form_sends() {
        for limits in [
            json!(null),
            json!({}),
            json!({"rate": {"requests": 100, "per": "1s", "burst": 200}}),
            json!({"quota": {"requests": 5, "per": "month"}, "concurrent": 7}),
        ] {
            let known: Option<Limits> = serde_json::from_value(limits.clone()).expect("limits");
            assert_eq!(Bounds::of_key(known.as_ref()).value(), limits);
        }
    }

    #[test]
    fn what_cannot_be_read_is_sent_as_it_was_typed() {
        let sent = |text: &str| Bounds::of_form(&Form::of(text)).value();
        assert_eq!(sent("limits=own&rate=many&concurrent=0"), json!({"rate": "many", "concurrent": "0"}));
        assert_eq!(sent("limits=own"), json!(""));
        assert_eq!(sent("limits=configured&rate=1/1s"), json!(null));
        assert_eq!(sent("limits=own&rate=1/1s"), json!({"rate": {"requests": 1, "per": "1s", "burst": 1}}));
    }
}
