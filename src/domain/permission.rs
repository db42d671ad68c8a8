//! What an administrator may do, and to whom.
//!
//! Promises: a role that is no permission permits nothing; nobody grants what he lacks, and nobody changes an
//! administrator who may do more than himself; who is limited to a role neither sees nor changes what lies beyond it.
//! Deliberately does not: know which call needs what.

use std::collections::BTreeSet;
use std::str::FromStr;

use super::{ApiKey, Invalid, Lifetime, OnExpiry, Realm, Role, Settings, Status, Timestamp};

/// One thing that an administrator may be allowed to do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Permission {
    /// List and show keys, settings and status.
    KeysRead,
    /// Create, edit, activate, deactivate, delete and import keys.
    KeysWrite,
    /// Renew, plan, delete the old token, undo.
    KeysRenew,
    /// Change the settings.
    SettingsWrite,
    /// Read the audit log.
    AuditRead,
    /// Read the metrics.
    MetricsRead,
    /// List, create, edit, renew and delete administrators.
    AdminsWrite,
}

impl Permission {
    /// Every permission: what the first administrator gets.
    pub const ALL: [Self; 7] = [
        Self::KeysRead,
        Self::KeysWrite,
        Self::KeysRenew,
        Self::SettingsWrite,
        Self::AuditRead,
        Self::MetricsRead,
        Self::AdminsWrite,
    ];

    /// The role that grants it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeysRead => "keys:read",
            Self::KeysWrite => "keys:write",
            Self::KeysRenew => "keys:renew",
            Self::SettingsWrite => "settings:write",
            Self::AuditRead => "audit:read",
            Self::MetricsRead => "metrics:read",
            Self::AdminsWrite => "admins:write",
        }
    }

    /// The permission that `role` grants, if it grants one.
    pub fn of(role: &Role) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.as_str() == role.as_str())
    }

    /// The permission to list and show what is in `realm`.
    pub const fn to_read(realm: Realm) -> Self {
        match realm {
            Realm::Gateway => Self::KeysRead,
            Realm::Admin => Self::AdminsWrite,
        }
    }

    /// The permission to create, edit and delete what is in `realm`.
    pub const fn to_write(realm: Realm) -> Self {
        match realm {
            Realm::Gateway => Self::KeysWrite,
            Realm::Admin => Self::AdminsWrite,
        }
    }

    /// The permission to renew tokens of `realm` and to close their renewals.
    pub const fn to_renew(realm: Realm) -> Self {
        match realm {
            Realm::Gateway => Self::KeysRenew,
            Realm::Admin => Self::AdminsWrite,
        }
    }
}

impl FromStr for Permission {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let known = Self::ALL.into_iter().find(|permission| permission.as_str() == text);
        known.ok_or_else(|| {
            Invalid::new(
                "is none of keys:read, keys:write, keys:renew, settings:write, audit:read, metrics:read, admins:write",
            )
        })
    }
}

/// What somebody may do, and within which bounds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authority {
    /// What he may do.
    pub permissions: BTreeSet<Permission>,
    /// The role that a key must carry, and that an administrator must be limited to; `None`: any.
    pub limited_to: Option<Role>,
}

impl Authority {
    /// That of the gateway itself, and of the first administrator.
    pub fn whole() -> Self {
        Self { permissions: Permission::ALL.into(), limited_to: None }
    }

    /// Whether he may do one of `wanted`.
    pub fn may(&self, wanted: &[Permission]) -> bool {
        wanted.iter().any(|permission| self.permissions.contains(permission))
    }

    /// Whether it is over every key: what tells of all of them is for nobody else.
    pub fn is_over_all(&self) -> bool {
        self.limited_to.is_none()
    }

    /// Whether he may know of `key`.
    pub fn sees(&self, realm: Realm, key: &ApiKey) -> bool {
        self.is_within(realm, &key.roles, key.limited_to_role.as_ref())
    }

    /// Whether he may make `key` what it is, or change it from what it is.
    pub fn commands(&self, realm: Realm, key: &ApiKey) -> bool {
        let grants = || key.roles.iter().filter_map(Permission::of).all(|granted| self.permissions.contains(&granted));
        self.sees(realm, key) && (realm == Realm::Gateway || grants())
    }

    /// Whether he may give `after` the roles that it has beyond those of `before`: whoever is limited to a role, that one only.
    pub fn gives(&self, realm: Realm, before: Option<&ApiKey>, after: &ApiKey) -> bool {
        let had = |role| before.is_some_and(|before| before.roles.contains(role));
        self.limited_to
            .as_ref()
            .is_none_or(|own| realm == Realm::Admin || after.roles.iter().all(|role| role == own || had(role)))
    }

    /// Whether a key with these roles, or an administrator limited to this role, lies within his own limit.
    pub fn is_within(&self, realm: Realm, roles: &BTreeSet<Role>, limited_to_role: Option<&Role>) -> bool {
        self.limited_to.as_ref().is_none_or(|own| match realm {
            Realm::Gateway => roles.contains(own),
            Realm::Admin => limited_to_role == Some(own),
        })
    }
}

/// Whether `administrator` can write every other administrator at `now`: one of these must be left.
pub fn is_guardian(administrator: &ApiKey, settings: &Settings, now: Timestamp) -> bool {
    let may_write = administrator.roles.iter().any(|role| Permission::of(role) == Some(Permission::AdminsWrite));
    let is_free = administrator.limited_to_role.is_none();
    let lifetime = administrator.duration.unwrap_or(Lifetime::Never);
    let lives = || {
        settings.on_expiry == OnExpiry::Warn || administrator.tokens.each().any(|token| !token.is_past(lifetime, now))
    };
    may_write && is_free && administrator.status == Status::Active && lives()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_is_a_legal_role_and_is_found_by_it() {
        for permission in Permission::ALL {
            let role: Role = permission.as_str().parse().expect("a legal role");
            assert_eq!(Permission::of(&role), Some(permission));
            assert_eq!(permission.as_str().parse(), Ok(permission));
        }
    }

    #[test]
    fn other_roles_permit_nothing() {
        for role in ["keys", "keys:reads", "orders:read", "keys.read"] {
            assert_eq!(Permission::of(&role.parse().expect(role)), None);
            let told = role.parse::<Permission>().expect_err("no permission").to_string();
            assert!(Permission::ALL.iter().all(|permission| told.contains(permission.as_str())), "{told}");
        }
    }
}
