//! Which limits a key has, and what is told of them: `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11).
//!
//! Promises: a key without limits, where no default says otherwise, costs a branch; both tokens of a key share one
//! budget; what is told is what was counted.
//! Deliberately does not: count. That is [`Limiter`]'s.

use std::fmt::Write;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::KeyLimits;
use crate::domain::{Limits, Timestamp};
use crate::index::Pass;
use crate::limiter::{Admitted, Left, Limiter, Standing};

use super::refusal::Refusal;

/// What is left of each limit.
pub(super) const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// Which limits there are.
pub(super) const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Admits a request that was let through with `pass` at `now`; `None`: nothing limits its key. What is returned is to be
/// kept until the last of the reply is out: it is the request's place among those of its key at once.
pub(super) fn admit(
    pass: &Pass,
    others: &KeyLimits,
    limiter: &Limiter,
    now: Timestamp,
) -> Result<Option<Box<Admitted>>, Refusal> {
    let Some(limits) = limits_of(pass, others) else { return Ok(None) };
    match limiter.admit(pass.key(), limits, now) {
        Ok(admitted) => Ok(Some(Box::new(admitted))),
        Err(exceeded) => Err(Refusal::RateLimited(exceeded)),
    }
}

/// The key's own limits; else those of the first role that it carries; else the default. Own limits of nothing free it.
fn limits_of<'a>(pass: &'a Pass, others: &'a KeyLimits) -> Option<&'a Limits> {
    let limits = match pass.limits() {
        Some(own) => own,
        None if others.is_empty() => return None,
        None => {
            let role = others.roles.iter().find(|(role, _)| pass.roles().contains(role));
            role.map(|(_, limits)| limits).or(others.default.as_ref())?
        }
    };
    (!limits.is_empty()).then_some(limits)
}

/// Tells a client what is left. What a backend says under these names goes.
pub(super) fn tell(headers: &mut HeaderMap, standing: &Standing) {
    for (name, value) in lines(standing) {
        headers.insert(name, value); // `extend` would append
    }
}

/// The two headers, of structured fields (RFC 9651).
pub(super) fn lines(standing: &Standing) -> impl Iterator<Item = (HeaderName, HeaderValue)> + use<> {
    let lines = [(RATELIMIT, left(standing)), (RATELIMIT_POLICY, policy(standing))];
    lines.into_iter().filter_map(|(name, text)| Some((name, HeaderValue::try_from(text).ok()?)))
}

/// `"rate";r=99;t=1, "quota";r=99999;t=604800`
fn left(standing: &Standing) -> String {
    let Standing { rate, quota, concurrent, .. } = standing;
    let mut text = String::with_capacity(80);
    for (name, left) in [("rate", rate), ("quota", quota), ("concurrent", concurrent)] {
        let Some(Left { units, resets_in_seconds }) = left else { continue };
        let comma = if text.is_empty() { "" } else { ", " };
        write!(text, "{comma}\"{name}\";r={units}").unwrap_or_default(); // a String takes everything
        if name != "concurrent" {
            write!(text, ";t={resets_in_seconds}").unwrap_or_default();
        }
    }
    text
}

/// `"rate";q=200;w=2, "quota";q=100000;w=2592000, "concurrent";q=50;qu="concurrent-requests"`
///
/// A rate is told as its burst and the time in which that comes back, so that what is left is never more than the quota.
fn policy(standing: &Standing) -> String {
    let Standing { limits: Limits { rate, quota, concurrent }, now, .. } = standing;
    let rate = rate.map(|rate| {
        let fills_in = (u64::from(rate.burst()) * rate.interval_nanos()).div_ceil(1_000_000_000);
        format!("\"rate\";q={};w={fills_in}", rate.burst())
    });
    let quota = quota.map(|quota| {
        let period = quota.per().period(*now);
        format!("\"quota\";q={};w={}", quota.requests(), period.ends.since(period.begins).as_millis() / 1_000)
    });
    let concurrent = concurrent.map(|most| format!("\"concurrent\";q={most};qu=\"concurrent-requests\""));
    [rate, quota, concurrent].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    #[test]
    fn what_is_left_and_the_policies_are_structured_fields() {
        let limits = Limits {
            rate: Some("100/1s/200".parse().expect("legal")),
            quota: Some("100000/month".parse().expect("legal")),
            concurrent: NonZeroU32::new(50),
        };
        let left = |units, resets_in_seconds| Some(Left { units, resets_in_seconds });
        let now = "2026-11-23T12:00:00Z".parse().expect("an instant");
        let standing = Standing { limits, now, rate: left(199, 1), quota: left(7, 648_000), concurrent: left(49, 1) };
        let mut headers = HeaderMap::new();
        headers.insert(RATELIMIT, HeaderValue::from_static("a backend's"));
        tell(&mut headers, &standing);
        assert_eq!(headers[RATELIMIT], r#""rate";r=199;t=1, "quota";r=7;t=648000, "concurrent";r=49"#);
        let policy = r#""rate";q=200;w=2, "quota";q=100000;w=2592000, "concurrent";q=50;qu="concurrent-requests""#;
        assert_eq!(headers[RATELIMIT_POLICY], policy);
        assert_eq!(headers.len(), 2);
    }
}
