//! The settings as their record of version 1 holds them.
//!
//! Promises: every field goes in and out through the domain's constructors.
//! Deliberately does not: change. Another field is another version.

use serde::{Deserialize, Serialize};

use super::Damaged;
use super::key::{lifetime_from, lifetime_millis};
use crate::domain::{OnExpiry, Prefix, Settings};

#[derive(Serialize, Deserialize)]
pub(super) struct SettingsV1 {
    duration_ms: Option<u64>,
    on_expiry: OnExpiryV1,
    prefixes: Vec<String>,
}

#[derive(Serialize, Deserialize)]
enum OnExpiryV1 {
    Refuse,
    Warn,
}

impl From<&Settings> for SettingsV1 {
    fn from(settings: &Settings) -> Self {
        let on_expiry = match settings.on_expiry {
            OnExpiry::Refuse => OnExpiryV1::Refuse,
            OnExpiry::Warn => OnExpiryV1::Warn,
        };
        let prefixes = settings.prefixes.iter().map(ToString::to_string).collect();
        Self { duration_ms: lifetime_millis(settings.duration), on_expiry, prefixes }
    }
}

impl TryFrom<SettingsV1> for Settings {
    type Error = Damaged;

    fn try_from(record: SettingsV1) -> Result<Self, Damaged> {
        let on_expiry = match record.on_expiry {
            OnExpiryV1::Refuse => OnExpiry::Refuse,
            OnExpiryV1::Warn => OnExpiry::Warn,
        };
        let prefixes: Result<Vec<Prefix>, _> = record.prefixes.iter().map(|prefix| prefix.parse()).collect();
        let prefixes = prefixes.map_err(|why| Damaged::field("prefix", &why))?;
        Ok(Self { duration: lifetime_from(record.duration_ms)?, on_expiry, prefixes })
    }
}
