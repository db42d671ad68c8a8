//! An API key as its record of version 2 holds it: version 1, and its limits behind it.
//!
//! Promises: only a key that has limits of its own is written in this version.
//! Deliberately does not: change. Another field is another version.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::Damaged;
use super::key::KeyV1;
use crate::domain::{ApiKey, Limits, Quota, Rate, Span, Window};

#[derive(Serialize, Deserialize)]
pub(super) struct KeyV2 {
    key: KeyV1,
    limits: LimitsV2,
}

/// Postcard writes no bounds between structs: these are version 2's last three fields.
#[derive(Serialize, Deserialize)]
pub(super) struct LimitsV2 {
    rate: Option<RateV2>,
    quota: Option<QuotaV2>,
    concurrent: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct RateV2 {
    requests: u32,
    per_ms: u64,
    burst: u32,
}

#[derive(Serialize, Deserialize)]
struct QuotaV2 {
    requests: u64,
    per: WindowV2,
}

#[derive(Serialize, Deserialize)]
enum WindowV2 {
    Hour,
    Day,
    Month,
}

impl KeyV2 {
    /// `key`, whose limits these are.
    pub(super) fn of(key: &ApiKey, limits: &Limits) -> Self {
        Self { key: key.into(), limits: limits.into() }
    }
}

impl From<&Limits> for LimitsV2 {
    fn from(limits: &Limits) -> Self {
        let rate =
            |rate: Rate| RateV2 { requests: rate.requests(), per_ms: rate.per().as_millis(), burst: rate.burst() };
        let quota = |quota: Quota| QuotaV2 { requests: quota.requests(), per: quota.per().into() };
        Self {
            rate: limits.rate.map(rate),
            quota: limits.quota.map(quota),
            concurrent: limits.concurrent.map(NonZeroU32::get),
        }
    }
}

impl TryFrom<KeyV2> for ApiKey {
    type Error = Damaged;

    fn try_from(record: KeyV2) -> Result<Self, Damaged> {
        Ok(Self { limits: Some(record.limits.try_into()?), ..record.key.try_into()? })
    }
}

impl TryFrom<LimitsV2> for Limits {
    type Error = Damaged;

    fn try_from(record: LimitsV2) -> Result<Self, Damaged> {
        let rate = |rate: RateV2| {
            let rate = Rate::new(rate.requests.into(), Span::millis(rate.per_ms), Some(rate.burst.into()));
            rate.map_err(|why| Damaged::field("rate", &why))
        };
        let quota =
            |quota: QuotaV2| Quota::new(quota.requests, quota.per.into()).map_err(|why| Damaged::field("quota", &why));
        let concurrent = |most| NonZeroU32::new(most).ok_or_else(|| Damaged::field("concurrent", &"is nothing"));
        Ok(Self {
            rate: record.rate.map(rate).transpose()?,
            quota: record.quota.map(quota).transpose()?,
            concurrent: record.concurrent.map(concurrent).transpose()?,
        })
    }
}

impl From<Window> for WindowV2 {
    fn from(window: Window) -> Self {
        match window {
            Window::Hour => Self::Hour,
            Window::Day => Self::Day,
            Window::Month => Self::Month,
        }
    }
}

impl From<WindowV2> for Window {
    fn from(window: WindowV2) -> Self {
        match window {
            WindowV2::Hour => Self::Hour,
            WindowV2::Day => Self::Day,
            WindowV2::Month => Self::Month,
        }
    }
}
