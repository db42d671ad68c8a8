//! The commands about administrators.

use clap::{Args, Subcommand};

use super::Configured;
use super::keys::{Close, List, Named, NewRemarks, Remarks};
use super::renewal::{End, Plan, Renew};
use crate::cli::values::{KeyReference, affected};
use crate::domain::{Affected, KeyName, Lifetime, Permission, Role};

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Admins {
    /// List the administrators, newest first
    List(List),
    /// Create an administrator and print his token, which is shown this once
    Create(Appoint),
    /// Show an administrator and his tokens
    Show(Named),
    /// Change an administrator's name, permissions, limit, duration or remarks
    Edit(Box<Reappoint>),
    /// Accept his tokens again
    Activate(Named),
    /// Refuse his tokens until he is activated again
    Deactivate(Named),
    /// Delete an administrator: his tokens are refused from now on, and he cannot be brought back
    Delete(Close),
    /// Give an administrator a new token; the old one goes on working until the plan says otherwise
    Renew(Renew),
    /// Change what becomes of the old token
    Plan(Plan),
    /// Close a renewal in favour of the new token
    DeleteOld(End),
    /// Close a renewal in favour of the old token
    Undo(End),
    /// On the gateway's machine, while it is stopped: a new token for root, when all others are lost
    Rescue(Configured),
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Appoint {
    /// His name
    pub(in crate::cli) name: KeyName,
    /// What he may do, such as keys:read; may be given several times
    #[arg(long = "permission", value_name = "PERMISSION")]
    pub(in crate::cli) permissions: Vec<Permission>,
    /// He sees and changes only keys that carry this role
    #[arg(long, value_name = "ROLE")]
    pub(in crate::cli) limited_to: Option<Role>,
    #[command(flatten)]
    pub(in crate::cli) remarks: Remarks,
    /// How long his tokens live, such as 90d; without it they do not end
    #[arg(long)]
    pub(in crate::cli) duration: Option<Lifetime>,
}

#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("change").required(true).multiple(true)))]
pub(in crate::cli) struct Reappoint {
    /// His id or name
    pub(in crate::cli) key: KeyReference,
    /// The permissions in place of those he has; may be given several times
    #[arg(long = "permission", value_name = "PERMISSION", group = "change")]
    pub(in crate::cli) permissions: Vec<Permission>,
    /// No permissions
    #[arg(long, group = "change", conflicts_with = "permissions")]
    pub(in crate::cli) no_permissions: bool,
    /// He sees and changes only keys that carry this role
    #[arg(long, value_name = "ROLE", group = "change")]
    pub(in crate::cli) limited_to: Option<Role>,
    /// He sees and changes all keys
    #[arg(long, group = "change", conflicts_with = "limited_to")]
    pub(in crate::cli) unlimited: bool,
    /// How long his tokens live: such as 90d, or never
    #[arg(long, group = "change")]
    pub(in crate::cli) duration: Option<Lifetime>,
    #[command(flatten)]
    pub(in crate::cli) remarks: NewRemarks,
    /// The change may end and revive so many tokens: the counts that the refusal named
    #[arg(long, value_name = "ENDS,REVIVES", value_parser = affected)]
    pub(in crate::cli) confirm: Option<Affected>,
}
