//! What becomes of the old token, as its form holds it: one of four, with spans of time in numbers and units.
//!
//! Deliberately does not: hold two conditions at once, as the API can. Of such a plan the form begins with the deadline.

use serde_json::{Value, json};

use super::answers::Plan;
use super::form::Form;
use crate::domain::Span;

/// The units of the form, the largest first, in seconds.
const UNITS: [(&str, u64); 3] = [("d", 86_400), ("h", 3_600), ("m", 60)];

/// What was chosen, or is in force.
pub(super) struct Choice {
    /// `later`, `now`, `after` or `quiet`.
    pub(super) kind: String,
    pub(super) after: Amount,
    pub(super) quiet: Amount,
    /// Whether the deadline holds even if the new token has not been used.
    pub(super) is_whatever: bool,
}

/// A span of time, as typed.
pub(super) struct Amount {
    pub(super) number: String,
    /// `m`, `h` or `d`.
    pub(super) unit: String,
}

impl Default for Choice {
    fn default() -> Self {
        let amount = |number: &str, unit: &str| Amount { number: number.into(), unit: unit.into() };
        Self { kind: "later".into(), after: amount("7", "d"), quiet: amount("24", "h"), is_whatever: false }
    }
}

impl Choice {
    /// The plan that is in force.
    pub(super) fn of_plan(plan: &Plan) -> Self {
        let usual = Self::default();
        let Plan::Conditions { after, when_quiet, on_unused } = plan else { return usual };
        let kind = if after.is_some() { "after" } else { "quiet" };
        Self {
            kind: kind.into(),
            after: after.map_or(usual.after, Amount::of_span),
            quiet: when_quiet.map_or(usual.quiet, Amount::of_span),
            is_whatever: on_unused.as_deref() == Some("delete"),
        }
    }

    pub(super) fn of_form(form: &Form) -> Self {
        let amount = |name: &str| Amount {
            number: form.text(name).to_owned(),
            unit: form.text(&format!("{name}_unit")).to_owned(),
        };
        Self {
            kind: form.text("plan").to_owned(),
            after: amount("after"),
            quiet: amount("quiet"),
            is_whatever: form.is_ticked("whatever"),
        }
    }

    /// What the API is sent for anything but `now`; `None`: a span that is none.
    pub(super) fn plan(&self) -> Option<Value> {
        let on_unused = if self.is_whatever { "delete" } else { "hold" };
        match self.kind.as_str() {
            "after" => self.after.span().map(|span| json!({"after": span, "on_unused": on_unused})),
            "quiet" => self.quiet.span().map(|span| json!({ "when_quiet": span })),
            _ => Some(json!("later")),
        }
    }
}

impl Amount {
    /// In the largest unit that is exact; what is none in minutes, up to the next.
    fn of_span(span: Span) -> Self {
        let seconds = span.as_millis().div_ceil(1_000);
        let exact = UNITS.into_iter().find(|(_, unit)| seconds.is_multiple_of(*unit));
        let (unit, number) = exact.map_or(("m", seconds.div_ceil(60)), |(name, unit)| (name, seconds / unit));
        Self { number: number.to_string(), unit: unit.into() }
    }

    fn span(&self) -> Option<String> {
        let (unit, _) = UNITS.into_iter().find(|(known, _)| *known == self.unit)?;
        let number: u32 = self.number.parse().ok()?;
        let span: Span = format!("{number}{unit}").parse().ok()?;
        (span != Span::ZERO).then(|| span.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_plan(plan: Value) -> Choice {
        Choice::of_plan(&serde_json::from_value(plan).expect("a plan"))
    }

    #[test]
    fn the_form_begins_with_the_plan_in_force() {
        for plan in [
            json!("later"),
            json!({"after": "7d", "on_unused": "hold"}),
            json!({"after": "36h", "on_unused": "delete"}),
            json!({"when_quiet": "2h"}),
        ] {
            assert_eq!(of_plan(plan.clone()).plan(), Some(plan));
        }
        assert_eq!(of_plan(json!({"when_quiet": "90s"})).plan(), Some(json!({"when_quiet": "2m"})));
        let both = of_plan(json!({"after": "7d", "when_quiet": "2h", "on_unused": "hold"}));
        assert_eq!((both.kind.as_str(), both.quiet.number.as_str()), ("after", "2"));
    }

    #[test]
    fn a_span_that_is_none_is_no_plan() {
        for form in ["plan=after&after=0&after_unit=d", "plan=quiet&quiet=x&quiet_unit=h", "plan=after&after=7"] {
            assert_eq!(Choice::of_form(&Form::of(form)).plan(), None, "{form}");
        }
        let ticked = Choice::of_form(&Form::of("plan=after&after=2&after_unit=h&whatever=on"));
        assert_eq!(ticked.plan(), Some(json!({"after": "2h", "on_unused": "delete"})));
    }
}
