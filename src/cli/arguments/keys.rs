//! The commands about keys, and about many of them at once.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::roster::Form;
use crate::cli::values::{KeyReference, LabelPair, OwnDuration, affected};
use crate::domain::{Affected, KeyName, Lifetime, Limits, Quota, Rate, Remark, Role};

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Keys {
    /// List the keys, newest first
    List(List),
    /// Create a key and print its token, which is shown this once
    Create(Create),
    /// Show a key and its tokens
    Show(Named),
    /// Change a key's name, roles, duration or remarks
    Edit(Box<Edit>),
    /// Accept the key's tokens again
    Activate(Named),
    /// Refuse the key's tokens until it is activated again
    Deactivate(Named),
    /// Delete a key: its tokens are refused from now on, and it cannot be brought back
    Delete(Close),
    /// Create keys with tokens that are known elsewhere, all or none
    Import(Rows),
    /// Print all keys without their tokens
    Export(Export),
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Named {
    /// The id or name
    pub(in crate::cli) key: KeyReference,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct List {
    /// Only so many keys
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub(in crate::cli) limit: Option<u16>,
    /// Go on where the list before ended: its `next_cursor`
    #[arg(long)]
    pub(in crate::cli) cursor: Option<String>,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Create {
    /// The key's name
    pub(in crate::cli) name: KeyName,
    #[command(flatten)]
    pub(in crate::cli) attributes: Attributes,
    #[command(flatten)]
    pub(in crate::cli) remarks: Remarks,
    /// How long its tokens live, such as 90d, or never; without it the setting counts
    #[arg(long)]
    pub(in crate::cli) duration: Option<Lifetime>,
}

/// What a key alone has.
#[derive(Args, Debug, Default)]
pub(in crate::cli) struct Attributes {
    /// A role that the key carries; may be given several times
    #[arg(long = "role", value_name = "ROLE")]
    pub(in crate::cli) roles: Vec<Role>,
    #[command(flatten)]
    pub(in crate::cli) limits: OwnLimits,
    /// It may see and renew itself, with its own tokens, where the gateway offers that
    #[arg(long)]
    pub(in crate::cli) self_service: bool,
}

/// What the key may ask for, in the place of what the configuration says.
#[derive(Args, Debug, Default)]
pub(in crate::cli) struct OwnLimits {
    /// How fast its requests may come, such as 100/1s, or with a burst of its own 100/1s/200
    #[arg(long, value_name = "REQUESTS/TIME[/BURST]")]
    pub(in crate::cli) rate: Option<Rate>,
    /// How many there may be in each hour, day or month of the calendar, such as 100000/month
    #[arg(long, value_name = "REQUESTS/WINDOW")]
    pub(in crate::cli) quota: Option<Quota>,
    /// How many there may be at once
    #[arg(long, value_name = "REQUESTS")]
    pub(in crate::cli) concurrent: Option<std::num::NonZeroU32>,
    /// Nothing limits it, whatever the configuration says
    #[arg(long, conflicts_with_all = ["rate", "quota", "concurrent"])]
    pub(in crate::cli) no_limits: bool,
}

impl OwnLimits {
    /// The limits that are asked for, if any are.
    pub(in crate::cli) fn given(&self) -> Option<Limits> {
        let Self { rate, quota, concurrent, no_limits } = *self;
        let limits = Limits { rate, quota, concurrent };
        (no_limits || !limits.is_empty()).then_some(limits)
    }
}

/// What the key may ask for from now on.
#[derive(Args, Debug)]
pub(in crate::cli) struct NewLimits {
    /// The limits in place of those it has: how fast its requests may come, such as 100/1s, or with a burst 100/1s/200
    #[arg(long, value_name = "REQUESTS/TIME[/BURST]", group = "change")]
    rate: Option<Rate>,
    /// How many requests there may be in each hour, day or month of the calendar, such as 100000/month
    #[arg(long, value_name = "REQUESTS/WINDOW", group = "change")]
    quota: Option<Quota>,
    /// How many requests there may be at once
    #[arg(long, value_name = "REQUESTS", group = "change")]
    concurrent: Option<std::num::NonZeroU32>,
    /// Nothing limits it, whatever the configuration says
    #[arg(long, group = "change", conflicts_with_all = ["rate", "quota", "concurrent"])]
    no_limits: bool,
    /// No limits of its own: the configuration's count
    #[arg(long, group = "change", conflicts_with_all = ["rate", "quota", "concurrent", "no_limits"])]
    default_limits: bool,
}

impl NewLimits {
    /// The field of the change, if they are to change; null: none of its own.
    pub(in crate::cli) fn field(&self) -> Option<serde_json::Value> {
        let Self { rate, quota, concurrent, no_limits, default_limits } = *self;
        let limits = OwnLimits { rate, quota, concurrent, no_limits }.given();
        let limits = limits.map(|limits| serde_json::json!(limits));
        limits.or(default_limits.then_some(serde_json::Value::Null))
    }
}

/// What a key and an administrator are described by.
#[derive(Args, Debug, Default)]
pub(in crate::cli) struct Remarks {
    /// A label, as name=value; may be given several times
    #[arg(long = "label", value_name = "NAME=VALUE")]
    pub(in crate::cli) labels: Vec<LabelPair>,
    /// A network from which the tokens are accepted; may be given several times
    #[arg(long = "allow-address", value_name = "CIDR")]
    pub(in crate::cli) allowed_addresses: Vec<ipnet::IpNet>,
    /// Who answers for it
    #[arg(long)]
    pub(in crate::cli) owner: Option<Remark>,
    /// A remark
    #[arg(long)]
    pub(in crate::cli) note: Option<Remark>,
}

/// What a key and an administrator are told apart and described by, from now on.
#[derive(Args, Debug)]
pub(in crate::cli) struct NewRemarks {
    /// Another name
    #[arg(long, group = "change")]
    pub(in crate::cli) name: Option<KeyName>,
    /// Who answers for it; empty: nobody
    #[arg(long, group = "change")]
    pub(in crate::cli) owner: Option<Remark>,
    /// A remark; empty: none
    #[arg(long, group = "change")]
    pub(in crate::cli) note: Option<Remark>,
    /// The labels in place of those there are; may be given several times
    #[arg(long = "label", value_name = "NAME=VALUE", group = "change")]
    pub(in crate::cli) labels: Vec<LabelPair>,
    /// No labels
    #[arg(long, group = "change", conflicts_with = "labels")]
    pub(in crate::cli) no_labels: bool,
    /// The networks from which the tokens are accepted; may be given several times
    #[arg(long = "allow-address", value_name = "CIDR", group = "change")]
    pub(in crate::cli) allowed_addresses: Vec<ipnet::IpNet>,
    /// Accept the tokens from anywhere
    #[arg(long, group = "change", conflicts_with = "allowed_addresses")]
    pub(in crate::cli) any_address: bool,
}

#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("change").required(true).multiple(true)))]
pub(in crate::cli) struct Edit {
    /// The id or name
    pub(in crate::cli) key: KeyReference,
    /// The roles in place of those it carries; may be given several times
    #[arg(long = "role", value_name = "ROLE", group = "change")]
    pub(in crate::cli) roles: Vec<Role>,
    /// No roles
    #[arg(long, group = "change", conflicts_with = "roles")]
    pub(in crate::cli) no_roles: bool,
    /// How long its tokens live: such as 90d, never, or default (the setting counts)
    #[arg(long, group = "change")]
    pub(in crate::cli) duration: Option<OwnDuration>,
    #[command(flatten)]
    pub(in crate::cli) remarks: NewRemarks,
    #[command(flatten)]
    pub(in crate::cli) limits: NewLimits,
    /// It may see and renew itself, with its own tokens, where the gateway offers that
    #[arg(long, group = "change", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(in crate::cli) self_service: Option<bool>,
    /// The change may end and revive so many tokens: the counts that the refusal named
    #[arg(long, value_name = "ENDS,REVIVES", value_parser = affected)]
    pub(in crate::cli) confirm: Option<Affected>,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Close {
    /// The id or name
    pub(in crate::cli) key: KeyReference,
    /// Do not ask
    #[arg(long)]
    pub(in crate::cli) yes: bool,
}

/// A file with keys, and how it is read.
#[derive(Args, Debug)]
pub(in crate::cli) struct Rows {
    /// TOML with `[[keys]]`, CSV or JSON lines; `-` reads the standard input
    pub(in crate::cli) file: PathBuf,
    /// The form of the file, where its name does not tell
    #[arg(long)]
    pub(in crate::cli) format: Option<Form>,
    /// Only tell what would be done
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Take tokens of fewer than 32 characters
    #[arg(long)]
    pub(in crate::cli) allow_weak: bool,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Export {
    /// The form
    #[arg(long, default_value = "jsonl")]
    pub(in crate::cli) format: Form,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Apply {
    #[command(flatten)]
    pub(in crate::cli) rows: Rows,
    /// Do not ask
    #[arg(long)]
    pub(in crate::cli) yes: bool,
}
