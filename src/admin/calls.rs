//! The route table: every call of the admin port, with what is published of it.
//!
//! Promises: the router and the OpenAPI document are made of this one table, so that no call is answered that is not
//! published, and none is published that is not answered.
//! Deliberately does not: say what bodies look like. The document's components do, and tests hold answers to them.

use axum::routing::{MethodRouter, delete, get, patch, post};
use http::Method;

use super::problem::Code;
use super::{Admin, admins, audit, backup, batch, events, export, keys, list, openapi, renewal, settings, status};
use crate::domain::Permission::{
    self, AdminsWrite, AuditRead, KeysRead, KeysRenew, KeysWrite, MetricsRead, SettingsWrite,
};

/// One call.
pub(super) struct Entry {
    pub(super) method: Method,
    pub(super) path: &'static str,
    /// What programs call it.
    pub(super) name: &'static str,
    pub(super) handler: MethodRouter<Admin>,
    /// What it does, in a few words.
    pub(super) summary: &'static str,
    /// What its caller must be permitted; empty: anybody may make it.
    pub(super) needs: Needs,
    /// The parameters that it takes besides those of its path, as the components call them.
    pub(super) parameters: Vec<&'static str>,
    pub(super) body: Option<Body>,
    pub(super) answers: Vec<(u16, Content)>,
    /// The refusals of its own.
    pub(super) problems: &'static [Code],
}

/// What a caller must be permitted.
#[derive(Clone, Copy)]
pub(super) enum Needs {
    Nothing,
    OneOf(&'static [Permission]),
    AllOf(&'static [Permission]),
}

/// What a call takes.
#[derive(Clone, Copy)]
pub(super) enum Body {
    /// JSON of this schema, or nothing.
    Optional(&'static str),
    /// JSON of this schema.
    Json(&'static str),
    /// A backup, whatever its media type is said to be.
    Bytes,
}

/// What a call answers.
#[derive(Clone, Copy)]
pub(super) enum Content {
    Nothing,
    /// JSON of this schema.
    Json(&'static str),
    /// Text of this media type.
    Text(&'static str),
}

const LISTED: [&str; 12] = [
    "status",
    "owner",
    "label",
    "q",
    "renewing",
    "outdated",
    "expiring_within",
    "unused_since",
    "limit",
    "cursor",
    "sort",
    "skip",
];
const CHANGED: &[Code] = &[Code::KeyNotFound, Code::VersionMismatch];
const RENEWED: &[Code] = &[Code::KeyNotFound, Code::RenewalOpen, Code::DigestInUse, Code::VersionMismatch];
const EDITED: &[Code] = &[Code::KeyNotFound, Code::NameTaken, Code::TokensAffected, Code::VersionMismatch];
const PLANNED: &[Code] = &[Code::KeyNotFound, Code::NoOldToken, Code::VersionMismatch];
const OLD_DELETED: &[Code] =
    &[Code::KeyNotFound, Code::NoOldToken, Code::OldTokenInUse, Code::UsageUnknown, Code::VersionMismatch];
const UNDONE: &[Code] = &[
    Code::KeyNotFound,
    Code::NoOldToken,
    Code::OldTokenExpired,
    Code::NewTokenInUse,
    Code::UsageUnknown,
    Code::VersionMismatch,
];

/// Every call.
pub(super) fn table() -> Vec<Entry> {
    [of_keys(), of_administrators(), of_many(), of_the_log(), of_the_gateway(), of_anybody()]
        .into_iter()
        .flatten()
        .collect()
}

fn of_keys() -> Vec<Entry> {
    let entry = |method, path, name, handler| Entry::new(method, path, name, handler, Needs::OneOf(&[KeysRenew]));
    vec![
        Entry::new(Method::GET, "/v1/keys", "list_keys", get(list::list), Needs::OneOf(&[KeysRead]))
            .says("List API keys")
            .takes(&LISTED)
            .takes(&["role"])
            .answers(200, Content::Json("Keys")),
        Entry::new(Method::POST, "/v1/keys", "create_key", post(keys::create), Needs::OneOf(&[KeysWrite]))
            .says("Create an API key: its token is in this answer and in no other")
            .body(Body::Json("CreateKey"))
            .answers(201, Content::Json("MadeKey"))
            .answers(200, Content::Json("MadeKey"))
            .refuses(&[Code::NameTaken, Code::DigestInUse]),
        Entry::new(Method::GET, "/v1/keys/{key}", "show_key", get(keys::show), Needs::OneOf(&[KeysRead]))
            .says("Show an API key")
            .answers(200, Content::Json("Key"))
            .refuses(&[Code::KeyNotFound]),
        Entry::new(Method::PATCH, "/v1/keys/{key}", "edit_key", patch(keys::edit), Needs::OneOf(&[KeysWrite]))
            .says("Edit an API key")
            .takes(&["if_match"])
            .body(Body::Optional("EditKey"))
            .answers(200, Content::Json("Key"))
            .refuses(EDITED),
        Entry::new(Method::DELETE, "/v1/keys/{key}", "delete_key", delete(keys::delete), Needs::OneOf(&[KeysWrite]))
            .says("Delete an API key: every one of its tokens is refused")
            .takes(&["if_match"])
            .answers(204, Content::Nothing)
            .refuses(CHANGED),
        entry(Method::POST, "/v1/keys/{key}/renew", "renew_key", post(renewal::renew)).renews("MadeKey"),
        entry(Method::PATCH, "/v1/keys/{key}/renewal", "plan_key", patch(renewal::change_plan)).plans("MadeKey"),
        entry(Method::POST, "/v1/keys/{key}/delete-old", "delete_old_token", post(renewal::delete_old)).closes(
            "Close the renewal in favour of the new token",
            "MadeKey",
            OLD_DELETED,
        ),
        entry(Method::POST, "/v1/keys/{key}/undo", "undo_renewal", post(renewal::undo)).closes(
            "Close the renewal in favour of the old token",
            "MadeKey",
            UNDONE,
        ),
    ]
}

fn of_administrators() -> Vec<Entry> {
    let entry = |method, path, name, handler| Entry::new(method, path, name, handler, Needs::OneOf(&[AdminsWrite]));
    vec![
        entry(Method::GET, "/v1/admins", "list_administrators", get(admins::list))
            .says("List administrators")
            .takes(&LISTED)
            .takes(&["permission"])
            .answers(200, Content::Json("Administrators")),
        entry(Method::POST, "/v1/admins", "create_administrator", post(admins::create))
            .says("Create an administrator: the token is in this answer and in no other")
            .body(Body::Json("CreateAdministrator"))
            .answers(201, Content::Json("MadeAdministrator"))
            .answers(200, Content::Json("MadeAdministrator"))
            .refuses(&[Code::NameTaken, Code::DigestInUse]),
        entry(Method::GET, "/v1/admins/{admin}", "show_administrator", get(admins::show))
            .says("Show an administrator")
            .answers(200, Content::Json("Administrator"))
            .refuses(&[Code::AdminNotFound]),
        entry(Method::PATCH, "/v1/admins/{admin}", "edit_administrator", patch(admins::edit))
            .says("Edit an administrator")
            .takes(&["if_match"])
            .body(Body::Optional("EditAdministrator"))
            .answers(200, Content::Json("Administrator"))
            .refuses(EDITED),
        entry(Method::DELETE, "/v1/admins/{admin}", "delete_administrator", delete(admins::delete))
            .says("Delete an administrator")
            .takes(&["if_match"])
            .answers(204, Content::Nothing)
            .refuses(CHANGED),
        entry(Method::POST, "/v1/admins/{admin}/renew", "renew_administrator", post(admins::renew))
            .renews("MadeAdministrator"),
        entry(Method::PATCH, "/v1/admins/{admin}/renewal", "plan_administrator", patch(admins::change_plan))
            .plans("MadeAdministrator"),
        entry(
            Method::POST,
            "/v1/admins/{admin}/delete-old",
            "delete_old_token_of_administrator",
            post(admins::delete_old),
        )
        .closes("Close the renewal in favour of the new token", "MadeAdministrator", OLD_DELETED),
        entry(Method::POST, "/v1/admins/{admin}/undo", "undo_renewal_of_administrator", post(admins::undo)).closes(
            "Close the renewal in favour of the old token",
            "MadeAdministrator",
            UNDONE,
        ),
    ]
}

fn of_many() -> Vec<Entry> {
    const RESTORES: Needs = Needs::AllOf(&[KeysWrite, KeysRenew, SettingsWrite, AdminsWrite]);
    vec![
        Entry::new(Method::POST, "/v1/import", "import_keys", post(batch::import), Needs::OneOf(&[KeysWrite]))
            .says("Create many API keys, all or none")
            .body(Body::Json("Batch"))
            .answers(200, Content::Json("BatchDone"))
            .refuses(&[Code::VersionMismatch]),
        Entry::new(Method::POST, "/v1/apply", "apply_keys", post(batch::apply), Needs::AllOf(&[KeysWrite, KeysRenew]))
            .says("Make many API keys agree with what is sent, all or none")
            .body(Body::Json("Batch"))
            .answers(200, Content::Json("BatchDone"))
            .refuses(&[Code::VersionMismatch]),
        Entry::new(Method::GET, "/v1/backup", "take_backup", get(backup::take), Needs::AllOf(&[KeysRead, AdminsWrite]))
            .says("Everything that is durable but the audit log, as JSON lines")
            .answers(200, Content::Text("application/jsonl")),
        Entry::new(Method::POST, "/v1/restore", "restore_backup", post(backup::restore), RESTORES)
            .says("Put a backup back")
            .takes(&["dry_run", "delete_newer", "administrators", "plan"])
            .body(Body::Bytes)
            .answers(200, Content::Json("Restored"))
            .refuses(&[Code::NameTaken, Code::DigestInUse, Code::VersionMismatch]),
    ]
}

fn of_the_log() -> Vec<Entry> {
    let entry = |path, name, handler| Entry::new(Method::GET, path, name, handler, Needs::OneOf(&[AuditRead]));
    vec![
        entry("/v1/audit", "list_events", get(audit::list))
            .says("A page of the audit log")
            .takes(&["of_key", "actor", "action", "after", "order", "limit", "cursor"])
            .answers(200, Content::Json("Audit"))
            .refuses(&[Code::KeyNotFound]),
        entry("/v1/audit/export", "export_events", get(export::export))
            .says("The whole audit log as it is kept, as JSON lines")
            .answers(200, Content::Text("application/jsonl"))
            .refuses(&[Code::TooManyStreams]),
        entry("/v1/events", "follow_events", get(events::follow))
            .says("The audit log as it grows, as server-sent events")
            .takes(&["of_key", "actor", "action", "after", "last_event_id"])
            .answers(200, Content::Text("text/event-stream"))
            .refuses(&[Code::KeyNotFound, Code::TooManyStreams]),
    ]
}

fn of_the_gateway() -> Vec<Entry> {
    const READS: Needs = Needs::OneOf(&[KeysRead, SettingsWrite]);
    vec![
        Entry::new(Method::GET, "/v1/settings", "show_settings", get(settings::show), READS)
            .says("The settings that hold for every key")
            .answers(200, Content::Json("Settings")),
        Entry::new(
            Method::PATCH,
            "/v1/settings",
            "edit_settings",
            patch(settings::change),
            Needs::OneOf(&[SettingsWrite]),
        )
        .says("Change the settings")
        .takes(&["if_match"])
        .body(Body::Optional("EditSettings"))
        .answers(200, Content::Json("Settings"))
        .refuses(&[Code::TokensAffected, Code::VersionMismatch]),
        Entry::new(Method::GET, "/v1/status", "show_status", get(status::show), Needs::OneOf(&[KeysRead]))
            .says("How the gateway fares")
            .answers(200, Content::Json("GatewayStatus")),
        Entry::new(Method::POST, "/v1/reload", "reload", post(status::reload), Needs::OneOf(&[SettingsWrite]))
            .says("Read the configuration again")
            .answers(200, Content::Json("Reloaded"))
            .refuses(&[Code::NeedsRestart]),
        Entry::new(Method::GET, "/metrics", "metrics", get(status::metrics), Needs::OneOf(&[MetricsRead]))
            .says("Every metric, in the text format of Prometheus")
            .answers(200, Content::Text("text/plain")),
    ]
}

fn of_anybody() -> Vec<Entry> {
    let entry = |path, name, handler| Entry::new(Method::GET, path, name, handler, Needs::Nothing);
    vec![
        entry("/livez", "livez", get(status::livez))
            .says("The process answers")
            .answers(200, Content::Text("text/plain")),
        entry("/readyz", "readyz", get(status::readyz))
            .says("Whether requests should be sent here")
            .answers(200, Content::Json("Readiness"))
            .answers(503, Content::Json("Readiness")),
        entry("/openapi.json", "openapi", get(openapi::serve))
            .says("This document")
            .answers(200, Content::Json("Document")),
        entry("/docs", "docs", get(openapi::page))
            .says("This document, to be read")
            .answers(200, Content::Text("text/html")),
    ]
}

impl Entry {
    fn new(method: Method, path: &'static str, name: &'static str, handler: MethodRouter<Admin>, needs: Needs) -> Self {
        let (parameters, answers) = (Vec::new(), Vec::new());
        Self { method, path, name, handler, summary: "", needs, parameters, body: None, answers, problems: &[] }
    }

    fn says(self, summary: &'static str) -> Self {
        Self { summary, ..self }
    }

    fn takes(mut self, parameters: &[&'static str]) -> Self {
        self.parameters.extend(parameters);
        self
    }

    fn body(self, body: Body) -> Self {
        Self { body: Some(body), ..self }
    }

    fn answers(mut self, status: u16, content: Content) -> Self {
        self.answers.push((status, content));
        self
    }

    fn refuses(self, problems: &'static [Code]) -> Self {
        Self { problems, ..self }
    }

    fn renews(self, made: &'static str) -> Self {
        self.says("A new token beside the old one: it is in this answer and in no other")
            .takes(&["if_match"])
            .body(Body::Optional("Renew"))
            .answers(201, Content::Json(made))
            .answers(200, Content::Json(made))
            .refuses(RENEWED)
    }

    fn plans(self, done: &'static str) -> Self {
        self.says("Change what becomes of the old token")
            .takes(&["if_match"])
            .body(Body::Json("ChangePlan"))
            .answers(200, Content::Json(done))
            .refuses(PLANNED)
    }

    fn closes(self, summary: &'static str, done: &'static str, problems: &'static [Code]) -> Self {
        self.says(summary)
            .takes(&["if_match", "unless_used_within"])
            .answers(200, Content::Json(done))
            .refuses(problems)
    }
}
