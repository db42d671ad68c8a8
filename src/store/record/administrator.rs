//! An administrator who is limited to a role, as his record of version 3 holds him: version 2, and the role behind it.
//!
//! Promises: only who is limited is written in this version.
//! Deliberately does not: change. Another field is another version.

use serde::{Deserialize, Serialize};

use super::Damaged;
use super::key::parsed;
use super::limits::KeyV2;
use crate::domain::{ApiKey, Limits, Role};

#[derive(Serialize, Deserialize)]
pub(super) struct KeyV3 {
    key: KeyV2,
    /// Whether the limits of version 2 are the key's own; `false`: it has none.
    has_limits: bool,
    limited_to_role: String,
}

impl KeyV3 {
    /// `key`, who is limited to `role`.
    pub(super) fn of(key: &ApiKey, role: &Role) -> Self {
        let limits = key.limits.unwrap_or_default();
        Self {
            key: KeyV2::of(key, &limits),
            has_limits: key.limits.is_some(),
            limited_to_role: role.as_str().to_owned(),
        }
    }
}

impl TryFrom<KeyV3> for ApiKey {
    type Error = Damaged;

    fn try_from(record: KeyV3) -> Result<Self, Damaged> {
        let key: Self = record.key.try_into()?;
        let limits: Option<Limits> = key.limits.filter(|_| record.has_limits);
        Ok(Self { limits, limited_to_role: Some(parsed("limited_to_role", &record.limited_to_role)?), ..key })
    }
}
