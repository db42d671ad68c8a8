//! The command line as it is written: commands and options.
//!
//! Promises: what is wrong in itself (a duration, a role, a key's name) is told here, before anything is asked of a gateway.
//! Deliberately does not: know what a command does.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::roster::Form;
use super::values::{KeyReference, LabelPair, OwnDuration, affected};
use crate::domain::{
    Affected, Head, KeyName, Lifetime, Limits, OnExpiry, Permission, Prefix, Quota, Rate, Remark, Role, Span,
};

const OPERATOR: &str = "Talking to a gateway";

/// An authenticating reverse-proxy gateway that replaces API tokens without one refused request.
#[derive(Parser, Debug)]
#[command(name = "relevo", version, max_term_width = 100)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) reach: Reach,
    /// Print the gateway's answer as JSON, word for word
    #[arg(long, global = true, display_order = 900)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Which gateway a client command talks to, and with whose token.
#[derive(Args, Debug, Clone, Default)]
pub(super) struct Reach {
    /// The admin port's URL (or `RELEVO_ADMIN_URL`); without it, the gateway of this machine and user
    #[arg(long, global = true, value_name = "URL", help_heading = OPERATOR)]
    pub(super) admin: Option<String>,
    /// The file with the administrator's token (or the token itself in `RELEVO_ADMIN_TOKEN`)
    #[arg(long, global = true, value_name = "FILE", help_heading = OPERATOR)]
    pub(super) token_file: Option<PathBuf>,
    /// The file of those who may have signed the admin port's certificate, in PEM (or `RELEVO_ADMIN_CA`); without it the
    /// system's roots, or the certificate that a gateway of this machine has announced
    #[arg(long, global = true, value_name = "FILE", help_heading = OPERATOR)]
    pub(super) ca: Option<PathBuf>,
    /// The file of the certificate to show, in PEM (or `RELEVO_ADMIN_CLIENT_CERTIFICATE`)
    #[arg(long, global = true, value_name = "FILE", help_heading = OPERATOR)]
    pub(super) client_certificate: Option<PathBuf>,
    /// The file of its key, in PEM (or `RELEVO_ADMIN_CLIENT_KEY`)
    #[arg(long, global = true, value_name = "FILE", help_heading = OPERATOR)]
    pub(super) client_key: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Try it: an echo backend, the gateway and a key, all on this machine
    Demo(Demo),
    /// Run the gateway
    Serve(Configured),
    /// Read the configuration and print every mistake, or the values in force
    Check(Configured),
    #[command(flatten)]
    Client(ClientCommand),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page of the program, or of one command
    Man {
        /// The command, such as `keys create`
        command: Vec<String>,
    },
    /// Print the JSON schema of the configuration file
    Schema,
    /// Print the `OpenAPI` document of the admin port
    Openapi,
}

/// The commands that ask a running gateway.
#[derive(Subcommand, Debug)]
pub(super) enum ClientCommand {
    /// List, create and change API keys
    #[command(subcommand)]
    Keys(Keys),
    /// List, create and change administrators, and renew their tokens
    #[command(subcommand)]
    Admins(Admins),
    /// Give a key a new token; the old one goes on working until the plan says otherwise
    Renew(Renew),
    /// Change what becomes of the old token
    Plan(Plan),
    /// Close a renewal in favour of the new token
    DeleteOld(End),
    /// Close a renewal in favour of the old token
    Undo(End),
    /// Show what was changed, when and by whom
    Audit(Audit),
    /// Show or change the settings that hold for every key
    #[command(subcommand)]
    Settings(Settings),
    /// Make keys agree with a file: names, roles, limits, digests
    Apply(Apply),
    /// Write everything but the audit log to a file
    Backup(Backup),
    /// Put a backup back
    Restore(Restore),
    /// Show how the gateway is doing
    Status,
}

#[derive(Args, Debug)]
pub(super) struct Demo {
    /// Delete the demo of an earlier run and begin anew
    #[arg(long)]
    pub(super) fresh: bool,
}

#[derive(Args, Debug)]
pub(super) struct Configured {
    /// The configuration; without it `./config/relevo.toml` if it is there, else defaults
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
pub(super) enum Keys {
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
    Import(Import),
    /// Print all keys without their tokens
    Export(Export),
}

#[derive(Subcommand, Debug)]
pub(super) enum Admins {
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
pub(super) struct Appoint {
    /// His name
    pub(super) name: KeyName,
    /// What he may do, such as keys:read; may be given several times
    #[arg(long = "permission", value_name = "PERMISSION")]
    pub(super) permissions: Vec<Permission>,
    /// He sees and changes only keys that carry this role
    #[arg(long, value_name = "ROLE")]
    pub(super) limited_to: Option<Role>,
    /// A label, as name=value; may be given several times
    #[arg(long = "label", value_name = "NAME=VALUE")]
    pub(super) labels: Vec<LabelPair>,
    /// A network from which his tokens are accepted; may be given several times
    #[arg(long = "allow-address", value_name = "CIDR")]
    pub(super) allowed_addresses: Vec<ipnet::IpNet>,
    /// How long his tokens live, such as 90d; without it they do not end
    #[arg(long)]
    pub(super) duration: Option<Lifetime>,
    /// Who answers for him
    #[arg(long)]
    pub(super) owner: Option<Remark>,
    /// A remark
    #[arg(long)]
    pub(super) note: Option<Remark>,
}

#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("change").required(true).multiple(true)))]
pub(super) struct Reappoint {
    /// His id or name
    pub(super) key: KeyReference,
    /// The permissions in place of those he has; may be given several times
    #[arg(long = "permission", value_name = "PERMISSION", group = "change")]
    pub(super) permissions: Vec<Permission>,
    /// No permissions
    #[arg(long, group = "change", conflicts_with = "permissions")]
    pub(super) no_permissions: bool,
    /// He sees and changes only keys that carry this role
    #[arg(long, value_name = "ROLE", group = "change")]
    pub(super) limited_to: Option<Role>,
    /// He sees and changes all keys
    #[arg(long, group = "change", conflicts_with = "limited_to")]
    pub(super) unlimited: bool,
    /// How long his tokens live: such as 90d, or never
    #[arg(long, group = "change")]
    pub(super) duration: Option<Lifetime>,
    #[command(flatten)]
    pub(super) remarks: NewRemarks,
    /// The change may end and revive so many tokens: the counts that the refusal named
    #[arg(long, value_name = "ENDS,REVIVES", value_parser = affected)]
    pub(super) confirm: Option<Affected>,
}

#[derive(Args, Debug)]
pub(super) struct Named {
    /// The id or name
    pub(super) key: KeyReference,
}

#[derive(Args, Debug)]
pub(super) struct List {
    /// Only so many keys
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub(super) limit: Option<u16>,
    /// Go on where the list before ended: its `next_cursor`
    #[arg(long)]
    pub(super) cursor: Option<String>,
}

#[derive(Args, Debug)]
pub(super) struct Create {
    /// The key's name
    pub(super) name: KeyName,
    #[command(flatten)]
    pub(super) attributes: Attributes,
    /// How long its tokens live, such as 90d, or never; without it the setting counts
    #[arg(long)]
    pub(super) duration: Option<Lifetime>,
    /// Whose key it is
    #[arg(long)]
    pub(super) owner: Option<Remark>,
    /// A remark
    #[arg(long)]
    pub(super) note: Option<Remark>,
}

/// The lists that a key carries.
#[derive(Args, Debug, Default)]
pub(super) struct Attributes {
    /// A role that the key carries; may be given several times
    #[arg(long = "role", value_name = "ROLE")]
    pub(super) roles: Vec<Role>,
    /// A label, as name=value; may be given several times
    #[arg(long = "label", value_name = "NAME=VALUE")]
    pub(super) labels: Vec<LabelPair>,
    /// A network from which its tokens are accepted; may be given several times
    #[arg(long = "allow-address", value_name = "CIDR")]
    pub(super) allowed_addresses: Vec<ipnet::IpNet>,
    #[command(flatten)]
    pub(super) limits: OwnLimits,
    /// It may see and renew itself, with its own tokens, where the gateway offers that
    #[arg(long)]
    pub(super) self_service: bool,
}

/// What the key may ask for, in the place of what the configuration says.
#[derive(Args, Debug, Default)]
pub(super) struct OwnLimits {
    /// How fast its requests may come, such as 100/1s, or with a burst of its own 100/1s/200
    #[arg(long, value_name = "REQUESTS/TIME[/BURST]")]
    pub(super) rate: Option<Rate>,
    /// How many there may be in each hour, day or month of the calendar, such as 100000/month
    #[arg(long, value_name = "REQUESTS/WINDOW")]
    pub(super) quota: Option<Quota>,
    /// How many there may be at once
    #[arg(long, value_name = "REQUESTS")]
    pub(super) concurrent: Option<std::num::NonZeroU32>,
    /// Nothing limits it, whatever the configuration says
    #[arg(long, conflicts_with_all = ["rate", "quota", "concurrent"])]
    pub(super) no_limits: bool,
}

impl OwnLimits {
    /// The limits that are asked for, if any are.
    pub(super) fn given(&self) -> Option<Limits> {
        let Self { rate, quota, concurrent, no_limits } = *self;
        let limits = Limits { rate, quota, concurrent };
        (no_limits || !limits.is_empty()).then_some(limits)
    }
}

/// What the key may ask for from now on.
#[derive(Args, Debug)]
pub(super) struct NewLimits {
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
    pub(super) fn field(&self) -> Option<serde_json::Value> {
        let Self { rate, quota, concurrent, no_limits, default_limits } = *self;
        let limits = OwnLimits { rate, quota, concurrent, no_limits }.given();
        let limits = limits.map(|limits| serde_json::json!(limits));
        limits.or(default_limits.then_some(serde_json::Value::Null))
    }
}

/// What a key and an administrator are told apart and described by, from now on.
#[derive(Args, Debug)]
pub(super) struct NewRemarks {
    /// Another name
    #[arg(long, group = "change")]
    pub(super) name: Option<KeyName>,
    /// Who answers for it; empty: nobody
    #[arg(long, group = "change")]
    pub(super) owner: Option<Remark>,
    /// A remark; empty: none
    #[arg(long, group = "change")]
    pub(super) note: Option<Remark>,
    /// The labels in place of those there are; may be given several times
    #[arg(long = "label", value_name = "NAME=VALUE", group = "change")]
    pub(super) labels: Vec<LabelPair>,
    /// No labels
    #[arg(long, group = "change", conflicts_with = "labels")]
    pub(super) no_labels: bool,
    /// The networks from which the tokens are accepted; may be given several times
    #[arg(long = "allow-address", value_name = "CIDR", group = "change")]
    pub(super) allowed_addresses: Vec<ipnet::IpNet>,
    /// Accept the tokens from anywhere
    #[arg(long, group = "change", conflicts_with = "allowed_addresses")]
    pub(super) any_address: bool,
}

#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("change").required(true).multiple(true)))]
pub(super) struct Edit {
    /// The id or name
    pub(super) key: KeyReference,
    /// The roles in place of those it carries; may be given several times
    #[arg(long = "role", value_name = "ROLE", group = "change")]
    pub(super) roles: Vec<Role>,
    /// No roles
    #[arg(long, group = "change", conflicts_with = "roles")]
    pub(super) no_roles: bool,
    /// How long its tokens live: such as 90d, never, or default (the setting counts)
    #[arg(long, group = "change")]
    pub(super) duration: Option<OwnDuration>,
    #[command(flatten)]
    pub(super) remarks: NewRemarks,
    #[command(flatten)]
    pub(super) limits: NewLimits,
    /// It may see and renew itself, with its own tokens, where the gateway offers that
    #[arg(long, group = "change", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) self_service: Option<bool>,
    /// The change may end and revive so many tokens: the counts that the refusal named
    #[arg(long, value_name = "ENDS,REVIVES", value_parser = affected)]
    pub(super) confirm: Option<Affected>,
}

#[derive(Args, Debug)]
pub(super) struct Renew {
    /// The id or name
    pub(super) key: KeyReference,
    /// When to delete the old token: later (by hand), or now (as soon as the new one is printed)
    #[arg(long, value_name = "WHEN", conflicts_with_all = ["after", "when_quiet"])]
    pub(super) delete_old: Option<DeleteOld>,
    #[command(flatten)]
    pub(super) conditions: Conditions,
    /// Mint the token on this machine and send only its digest
    #[arg(long)]
    pub(super) local: bool,
    /// What a token minted here begins with; without it, what the gateway's own begin with
    #[arg(long, requires = "local")]
    pub(super) prefix: Option<Prefix>,
}

/// Conditions that end an old token, whichever comes first.
#[derive(Args, Debug, Default, Clone, Copy)]
pub(super) struct Conditions {
    /// Delete the old token so long after the renewal, if the new one was used by then
    #[arg(long, value_name = "DURATION")]
    pub(super) after: Option<Span>,
    /// Delete the old token once it has not been used for so long
    #[arg(long, value_name = "DURATION")]
    pub(super) when_quiet: Option<Span>,
    /// At the deadline, if the new token was never used: hold (both stay) or delete (the old one ends all the same)
    #[arg(long, value_name = "WHAT", requires = "after")]
    pub(super) on_unused: Option<OnUnused>,
}

#[derive(Args, Debug)]
pub(super) struct Plan {
    /// The id or name
    pub(super) key: KeyReference,
    /// By hand, some day
    #[arg(required_unless_present_any = ["after", "when_quiet"], conflicts_with_all = ["after", "when_quiet"])]
    pub(super) later: Option<Later>,
    #[command(flatten)]
    pub(super) conditions: Conditions,
}

#[derive(Args, Debug)]
pub(super) struct End {
    /// The id or name
    pub(super) key: KeyReference,
    /// Refuse if the token that would go has been used within this time (10m, 24h)
    #[arg(long, value_name = "TIME")]
    pub(super) unless_used_within: Option<Span>,
    /// Do not ask
    #[arg(long)]
    pub(super) yes: bool,
}

#[derive(Args, Debug)]
pub(super) struct Close {
    /// The id or name
    pub(super) key: KeyReference,
    /// Do not ask
    #[arg(long)]
    pub(super) yes: bool,
}

#[derive(Args, Debug)]
pub(super) struct Import {
    /// CSV, JSON lines or TOML; `-` reads the standard input
    pub(super) file: PathBuf,
    /// The form of the file, where its name does not tell
    #[arg(long)]
    pub(super) format: Option<Form>,
    /// Only tell what would be done
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Take tokens of fewer than 32 characters
    #[arg(long)]
    pub(super) allow_weak: bool,
}

#[derive(Args, Debug)]
pub(super) struct Export {
    /// The form
    #[arg(long, default_value = "jsonl")]
    pub(super) format: Form,
}

#[derive(Args, Debug)]
pub(super) struct Apply {
    /// TOML with `[[keys]]`, CSV or JSON lines; `-` reads the standard input
    pub(super) file: PathBuf,
    /// The form of the file, where its name does not tell
    #[arg(long)]
    pub(super) format: Option<Form>,
    /// Only tell what would be done
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub(super) yes: bool,
    /// Take tokens of fewer than 32 characters
    #[arg(long)]
    pub(super) allow_weak: bool,
}

#[derive(Args, Debug)]
pub(super) struct Backup {
    /// The file to write; it must not be there yet
    pub(super) file: PathBuf,
}

#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command are flags")]
pub(super) struct Restore {
    /// The backup
    pub(super) file: PathBuf,
    /// Only tell what would be done
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub(super) yes: bool,
    /// Delete the keys that the backup does not have
    #[arg(long)]
    pub(super) delete_newer: bool,
    /// Put administrators back who are not there
    #[arg(long)]
    pub(super) administrators: bool,
}

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Audit {
    #[command(subcommand)]
    pub(super) command: Option<AuditCommand>,
    /// Only what happened to this key (its id or name)
    #[arg(long)]
    pub(super) key: Option<KeyReference>,
    /// Go on printing what happens
    #[arg(long)]
    pub(super) follow: bool,
}

#[derive(Subcommand, Debug)]
pub(super) enum AuditCommand {
    /// Print the whole log as it is kept, a line of JSON each record
    Export,
    /// Find out whether a record was removed, changed or moved
    Verify(Verify),
}

#[derive(Args, Debug)]
pub(super) struct Verify {
    /// Verify the store that this configuration names, of a gateway that does not run
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    pub(super) config: Option<PathBuf>,
    /// Verify an export; `-` reads the standard input
    #[arg(long, value_name = "EXPORT")]
    pub(super) file: Option<PathBuf>,
    /// The log must hold the record with this head, which an earlier verification told
    #[arg(long, value_name = "REVISION:HASH")]
    pub(super) head: Option<Head>,
}

impl Verify {
    /// Whether no gateway is asked.
    pub(super) fn is_local(&self) -> bool {
        self.config.is_some() || self.file.is_some()
    }
}

#[derive(Subcommand, Debug)]
pub(super) enum Settings {
    /// Show the settings
    Show,
    /// Change them
    Set(Set),
}

#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("change").required(true).multiple(true)))]
pub(super) struct Set {
    /// How long tokens live, such as 90d, or never
    #[arg(long, group = "change")]
    pub(super) duration: Option<Lifetime>,
    /// What happens then: refuse, or warn (shown as outdated, works on)
    #[arg(long, group = "change", value_name = "WHAT")]
    pub(super) on_expiry: Option<OnExpiry>,
    /// The change may end and revive so many tokens: the counts that the refusal named
    #[arg(long, value_name = "ENDS,REVIVES", value_parser = affected)]
    pub(super) confirm: Option<Affected>,
}

/// When `renew` deletes the old token.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum DeleteOld {
    /// By hand.
    Later,
    /// When the new one has been printed.
    Now,
}

/// The one plan that is a word.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Later {
    /// By hand.
    Later,
}

/// What happens at a deadline if the new token was never used.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OnUnused {
    /// Both tokens stay.
    Hold,
    /// The old one ends.
    Delete,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn parsed(words: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(std::iter::once(&"relevo").chain(words))
    }

    #[test]
    fn the_arguments_are_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_documented_line_is_understood() {
        for line in [
            "demo",
            "demo --fresh",
            "serve",
            "serve --config relevo.toml",
            "check --config relevo.toml --json",
            "keys list",
            "keys list --json --limit 10 --cursor abc",
            "keys create ci --role orders:read --role orders:write --duration 90d --owner me --note x --label team=a",
            "keys create ci --duration never --allow-address 10.0.0.0/8",
            "keys create ci --rate 100/1s/200 --quota 1000/month --concurrent 5",
            "keys create ci --no-limits",
            "keys edit ci --rate 100/1s",
            "keys edit ci --default-limits",
            "keys show ci",
            "keys show key_01890a5d7c7a7000800000000000000a",
            "keys edit ci --name other",
            "keys edit ci --role a --duration default --owner me --confirm 3,0",
            "keys edit ci --no-roles --no-labels --any-address",
            "keys activate ci",
            "keys deactivate ci",
            "keys delete ci --yes",
            "keys import old.csv --dry-run --allow-weak",
            "keys import - --format jsonl",
            "keys export --format csv",
            "apply keys.toml --yes",
            "backup relevo.backup",
            "restore relevo.backup --delete-newer --administrators --dry-run",
            "renew ci",
            "renew ci --delete-old later",
            "renew ci --delete-old now --local",
            "renew ci --after 7d --when-quiet 24h --on-unused delete",
            "renew ci --local --prefix acme",
            "plan ci later",
            "plan ci --after 7d",
            "plan ci --when-quiet 24h --after 7d --on-unused hold",
            "delete-old ci",
            "delete-old ci --yes",
            "undo ci --yes",
            "audit",
            "audit --key ci --follow",
            "audit export",
            "audit verify",
            "audit verify --config relevo.toml",
            "audit verify --file audit.jsonl --head 7:sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "settings show",
            "settings set --duration 30d --on-expiry warn --confirm 1,0",
            "status --admin http://127.0.0.1:8081 --token-file root.token",
            "--admin https://h --json status",
            "completions bash",
            "man",
            "man keys create",
            "schema",
        ] {
            assert_understood(line);
        }
    }

    #[test]
    fn every_documented_line_about_administrators_is_understood() {
        for line in [
            "admins list --limit 10",
            "admins create ana --permission keys:read --permission keys:renew --limited-to a --duration 90d --note x",
            "admins create ana --owner me --label team=a --allow-address 10.0.0.0/8",
            "admins show ana",
            "admins edit ana --permission audit:read --unlimited --duration never",
            "admins edit ana --no-permissions --limited-to a --name other --any-address",
            "admins activate ana",
            "admins deactivate ana",
            "admins delete ana --yes",
            "admins renew ana --when-quiet 24h",
            "admins renew ana --local",
            "admins plan ana --after 7d",
            "admins delete-old ana --unless-used-within 10m",
            "admins undo ana --yes",
            "admins rescue --config relevo.toml",
        ] {
            assert_understood(line);
        }
    }

    #[track_caller]
    fn assert_understood(line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        if let Err(error) = parsed(&words) {
            panic!("{line}: {error}");
        }
    }

    #[test]
    fn wrong_usage_is_told_before_anything_is_asked_of_a_gateway() {
        for line in [
            "",
            "rotate ci",
            "keys",
            "keys create",
            "keys create key_x",
            "keys create ci --role Orders",
            "keys create ci --duration 0s",
            "keys create ci --rate 100",
            "keys create ci --quota 1/week",
            "keys create ci --concurrent 0",
            "keys create ci --no-limits --rate 1/1s",
            "keys edit ci --default-limits --concurrent 1",
            "keys create ci --duration soon",
            "keys create ci --label team",
            "keys create ci --allow-address everywhere",
            "keys show ..",
            "keys show a/b",
            "keys show key_1",
            "keys edit ci",
            "keys edit ci --confirm 1,0",
            "admins create ana --permission everything",
            "admins create ana --role a",
            "admins edit ana",
            "admins edit ana --limited-to a --unlimited",
            "keys edit ci --role a --no-roles",
            "keys edit ci --name a --confirm 1",
            "keys list --limit 0",
            "keys list --limit 501",
            "renew",
            "renew ci --delete-old soon",
            "renew ci --delete-old now --after 7d",
            "renew ci --on-unused delete",
            "renew ci --after 7",
            "renew ci --prefix ab",
            "renew ci --local --prefix A",
            "plan ci",
            "plan ci now",
            "plan ci later --after 7d",
            "audit verify --config a --file b",
            "audit verify --head 7",
            "audit --follow export",
            "settings set",
            "settings set --confirm 1,0",
            "settings set --on-expiry explode",
            "completions cmd",
        ] {
            let words: Vec<_> = line.split(' ').filter(|word| !word.is_empty()).collect();
            let error = parsed(&words).err().unwrap_or_else(|| panic!("{line:?} was accepted"));
            assert!(error.use_stderr() && error.exit_code() == 2, "{line}");
        }
        assert!(parsed(&["keys", "show", ""]).is_err(), "an empty name would be the list of all keys");
    }

    #[test]
    fn help_and_version_are_no_mistakes() {
        for (word, kind) in [("--help", ErrorKind::DisplayHelp), ("--version", ErrorKind::DisplayVersion)] {
            let shown = parsed(&[word]).expect_err("shown");
            assert!(shown.kind() == kind && !shown.use_stderr());
        }
    }
}
