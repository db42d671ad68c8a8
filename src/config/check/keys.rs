//! `[limits.default]` and `[[limits.roles]]`: what keys may ask for that have no limits of their own.

use std::num::NonZeroU32;

use super::super::KeyLimits;
use super::super::file;
use super::super::mistake::Findings;
use super::super::written::{At, Text};
use super::parsed;
use crate::domain::{Limits, Role};

/// Judges the default, and that no role comes twice.
pub(super) fn check(file: &file::Limits, findings: &mut Findings) -> Option<KeyLimits> {
    let file::KeyLimits { rate, quota, concurrent } = &file.default;
    let default = limits("limits.default", (rate.as_ref(), quota.as_ref(), concurrent.as_ref()), findings);
    let roles: Vec<_> = file.roles.iter().enumerate().map(|(place, at)| role(file, place, at, findings)).collect();
    let default = default?;
    Some(KeyLimits {
        roles: roles.into_iter().collect::<Option<_>>()?,
        default: (!default.is_empty()).then_some(default),
    })
}

fn role(
    file: &file::Limits,
    place: usize,
    at: &At<file::RoleLimits>,
    findings: &mut Findings,
) -> Option<(Role, Limits)> {
    let key = format!("limits.roles[{place}]");
    let file::RoleLimits { role, rate, quota, concurrent } = &at.value;
    let limits = limits(&key, (rate.as_ref(), quota.as_ref(), concurrent.as_ref()), findings);
    let text = findings.required(format!("{key}.role"), role.as_ref(), &at.span)?;
    let role = parsed::<Role>(&format!("{key}.role"), text, findings)?;
    let named = |other: &At<file::RoleLimits>| other.value.role.as_ref().is_some_and(|role| role.value == text.value);
    if file.roles.iter().take(place).any(named) {
        findings.push(format!("{key}.role"), &text.span, "has limits already");
    }
    Some((role, limits?))
}

type Written<'a> = (Option<&'a Text>, Option<&'a Text>, Option<&'a At<u64>>);

fn limits(key: &str, (rate, quota, concurrent): Written<'_>, findings: &mut Findings) -> Option<Limits> {
    let rate = rate.map(|text| parsed(&format!("{key}.rate"), text, findings));
    let quota = quota.map(|text| parsed(&format!("{key}.quota"), text, findings));
    let concurrent = concurrent.map(|at| {
        let most = u32::try_from(at.value).ok().and_then(NonZeroU32::new);
        findings.keep(format!("{key}.concurrent"), &at.span, most.ok_or("is not a number from 1 to 4294967295"))
    });
    if rate.is_some_and(|rate: Option<_>| rate.is_none())
        || quota.is_some_and(|quota: Option<_>| quota.is_none())
        || concurrent.is_some_and(|concurrent| concurrent.is_none())
    {
        return None;
    }
    Some(Limits { rate: rate.flatten(), quota: quota.flatten(), concurrent: concurrent.flatten() })
}
