//! What an administrator may do: the roles of his key, read as permissions.
//!
//! Promises: a role that is no permission permits nothing.

use crate::domain::Role;

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
    /// Create, edit and delete administrators.
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_is_a_legal_role_and_is_found_by_it() {
        for permission in Permission::ALL {
            let role: Role = permission.as_str().parse().expect("a legal role");
            assert_eq!(Permission::of(&role), Some(permission));
        }
    }

    #[test]
    fn other_roles_permit_nothing() {
        for role in ["keys", "keys:reads", "orders:read", "keys.read"] {
            assert_eq!(Permission::of(&role.parse().expect(role)), None);
        }
    }
}
