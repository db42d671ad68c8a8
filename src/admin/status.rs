//! How the gateway fares: status, metrics, and the two probes.
//!
//! Promises: the probes need no credential, wait for nothing, and do not say why something is not well.

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;

use super::call::Call;
use super::mistakes::Mistake;
use super::problem::{Code, Problem};
use super::{Admin, ReloadRefused};
use crate::domain::Permission::{KeysRead, MetricsRead, SettingsWrite};
use crate::domain::{Authority, Realm, Revision, Timestamp};
use crate::observe::Health;

/// The media type of the Prometheus text format 0.0.4.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What `GET /v1/status` answers.
#[derive(Serialize)]
pub struct Status {
    version: &'static str,
    started_at: Timestamp,
    config_hash: String,
    revision: Revision,
    keys: usize,
    administrators: usize,
    renewals_open: usize,
    health: Vec<Told>,
}

/// What `GET /readyz` answers.
#[derive(Serialize)]
struct Readiness {
    ready: bool,
    health: Vec<Sign>,
}

/// One health condition, as anybody may see it.
#[derive(Serialize)]
struct Sign {
    name: String,
    ok: bool,
}

/// One health condition.
#[derive(Serialize)]
struct Told {
    name: String,
    ok: bool,
    detail: String,
}

fn told(health: &Health) -> Vec<Told> {
    health.report().into_iter().map(|(name, ok, detail)| Told { name, ok, detail }).collect()
}

/// `GET /v1/status`
pub async fn show(State(admin): State<Admin>, call: Call) -> Result<Json<Status>, Problem> {
    let (caller, _) = call.permit(&[KeysRead])?.plain().await?.without_fields()?;
    let keys = Seen::of(&admin, Realm::Gateway, &caller.authority);
    let administrators = Seen::of(&admin, Realm::Admin, &caller.authority);
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        started_at: admin.operations.started_at(),
        config_hash: admin.operations.config_hash(),
        revision: admin.keyring.revision(),
        keys: keys.all,
        administrators: administrators.all,
        renewals_open: keys.renewing,
        health: told(&admin.health),
    }))
}

/// How many of a realm somebody may see.
struct Seen {
    all: usize,
    renewing: usize,
}

impl Seen {
    fn of(admin: &Admin, realm: Realm, authority: &Authority) -> Self {
        if authority.is_over_all() {
            return Self { all: admin.catalog.len(realm), renewing: admin.keyring.renewals().open(realm).0 };
        }
        let mut seen = Self { all: 0, renewing: 0 };
        admin.catalog.newest_first(realm, None, &mut |key| {
            if authority.is_within(realm, &key.roles, key.limited_to_role.as_ref()) {
                seen.all += 1;
                seen.renewing += usize::from(key.tokens.renewal().is_some());
            }
            ControlFlow::Continue(())
        });
        seen
    }
}

/// What `POST /v1/reload` answers.
#[derive(Serialize)]
struct Reloaded {
    config_hash: String,
}

/// `POST /v1/reload`
pub async fn reload(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    call.unlimited()?.permit(&[SettingsWrite])?.plain().await?.without_fields()?;
    // Reading the file blocks, and other calls share this thread.
    let operations = Arc::clone(&admin.operations);
    let reloaded = tokio::task::spawn_blocking(move || operations.reload()).await;
    let config_hash = reloaded.map_err(|_| Problem::internal())??;
    Ok(Json(Reloaded { config_hash }).into_response())
}

impl From<ReloadRefused> for Problem {
    fn from(refused: ReloadRefused) -> Self {
        match refused {
            ReloadRefused::Mistakes(mistakes) => {
                Self::invalid(mistakes.into_iter().map(|(path, message)| Mistake { path, message }).collect())
            }
            ReloadRefused::NeedsRestart(keys) => {
                Self::new(Code::NeedsRestart, format!("{} can change by a restart only", keys.join(", ")))
            }
            ReloadRefused::NoFile => Self::mistake("configuration", "was not read from a file"),
        }
    }
}

/// `GET /metrics` on the admin port.
pub async fn metrics(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    call.unlimited()?.permit(&[MetricsRead])?.plain().await?.without_fields()?;
    Ok(open_metrics(State(admin)).await)
}

/// `GET /metrics` on the probes' port, where the network is the permission.
pub async fn open_metrics(State(admin): State<Admin>) -> Response {
    ([(CONTENT_TYPE, METRICS_TYPE)], admin.metrics.render()).into_response()
}

/// `GET /livez`: the process answers.
pub async fn livez() -> &'static str {
    "ok"
}

/// `GET /readyz`: whether requests should be sent here.
pub async fn readyz(State(admin): State<Admin>) -> Response {
    let ready = admin.health.ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let health = admin.health.report().into_iter().map(|(name, ok, _)| Sign { name, ok }).collect();
    (status, Json(Readiness { ready, health })).into_response()
}
