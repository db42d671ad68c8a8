//! The command line as it is written: commands and options.
//!
//! Promises: what is wrong in itself (a duration, a role, a key's name) is told here, before anything is asked of a gateway.
//! Deliberately does not: know what a command does.

mod admins;
mod keys;
mod renewal;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::values::{KeyReference, affected};
use crate::domain::{Affected, Head, Lifetime, OnExpiry};

pub(super) use admins::{Admins, Appoint, Reappoint};
pub(super) use keys::{Apply, Attributes, Close, Create, Edit, Export, Keys, List, NewRemarks, Remarks, Rows};
pub(super) use renewal::{Conditions, DeleteOld, End, OnUnused, Plan, Renew};

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
