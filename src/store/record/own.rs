//! An API key as its record of version 4 holds it: version 1, and behind it all that a key may have besides.
//!
//! Promises: only a key that may look after itself is written in this version.
//! Deliberately does not: change. Another field is another version.

use serde::{Deserialize, Serialize};

use super::Damaged;
use super::key::{KeyV1, parsed};
use super::limits::LimitsV2;
use crate::domain::ApiKey;

#[derive(Serialize, Deserialize)]
pub(super) struct KeyV4 {
    key: KeyV1,
    limits: Option<LimitsV2>,
    limited_to_role: Option<String>,
    self_service: bool,
}

impl From<&ApiKey> for KeyV4 {
    fn from(key: &ApiKey) -> Self {
        Self {
            key: key.into(),
            limits: key.limits.as_ref().map(LimitsV2::from),
            limited_to_role: key.limited_to_role.as_ref().map(|role| role.as_str().to_owned()),
            self_service: key.self_service,
        }
    }
}

impl TryFrom<KeyV4> for ApiKey {
    type Error = Damaged;

    fn try_from(record: KeyV4) -> Result<Self, Damaged> {
        let limits = record.limits.map(TryInto::try_into).transpose()?;
        let limited_to_role = record.limited_to_role.map(|role| parsed("limited_to_role", &role)).transpose()?;
        Ok(Self { limits, limited_to_role, self_service: record.self_service, ..record.key.try_into()? })
    }
}
