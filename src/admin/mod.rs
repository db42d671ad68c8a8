//! The admin plane: the HTTP API through which keys are made, renewed and deleted.
//!
//! Promises: every call under `/v1` and `/metrics` is made by an admitted administrator with the permission for it;
//! every refusal is `application/problem+json`; no reply is kept by a cache.
//! Deliberately does not: know the gateway, or decide what may happen to a key.

pub mod admins;
pub mod audit;
pub mod backup;
pub mod batch;
pub mod call;
mod calls;
pub mod console;
pub mod etag;
pub mod events;
pub mod export;
pub mod fields;
pub mod filter;
pub mod guard;
pub mod json;
pub mod keys;
pub mod list;
pub mod mistakes;
pub mod openapi;
pub mod problem;
pub mod query;
mod refused;
pub mod renewal;
pub mod server;
pub mod session;
pub mod settings;
pub mod sign_ins;
pub mod sorted;
pub mod status;
pub mod streams;
mod stretch;
pub mod view;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use tower_http::catch_panic::CatchPanicLayer;

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::domain::Timestamp;
use crate::index::Index;
use crate::keyring::Keyring;
use crate::observe::{Health, Metrics};
use crate::usage::Usage;

pub use console::Console;
pub use guard::Hosts;
use problem::{Problem, method_not_allowed, not_found};
pub use sign_ins::SignIns;
pub use streams::Streams;

/// The header that tells the revision of a change.
pub const RELEVO_REVISION: &str = "relevo-revision";
/// How long a call may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// What the whole process can tell and do, beyond keys.
pub trait Operations: Send + Sync {
    /// The hash of the configuration in force.
    fn config_hash(&self) -> String;

    /// When this process began to serve.
    fn started_at(&self) -> Timestamp;

    /// Reads the configuration again and puts it in force whole, or refuses it whole. Answers its hash.
    fn reload(&self) -> Result<String, ReloadRefused>;
}

/// Why the configuration in force stays.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReloadRefused {
    /// The new one has these mistakes: each with its key and what is wrong.
    Mistakes(Vec<(String, String)>),
    /// The new one changes these keys, and only a restart can.
    NeedsRestart(Vec<&'static str>),
    /// There is no file to read again.
    NoFile,
}

/// What the admin plane works with. Cheap to clone.
#[derive(Clone)]
pub struct Admin {
    /// The write side.
    pub keyring: Keyring,
    /// Every key, for lists.
    pub catalog: Catalog,
    /// Which token was used when.
    pub usage: Usage,
    /// The administrators' tokens.
    pub admins: Index,
    /// Every metric.
    pub metrics: Metrics,
    /// Whether all is well.
    pub health: Health,
    /// The process.
    pub operations: Arc<dyn Operations>,
    /// The time.
    pub clock: Clock,
    /// Under which names this port is spoken to.
    pub hosts: Hosts,
    /// The streams of events.
    pub streams: Streams,
    /// Who is signed in to the console.
    pub console: Console,
    /// Who has failed to sign in.
    pub sign_ins: SignIns,
}

/// The admin port's calls.
pub fn router(admin: Admin) -> Router {
    let served = |routes: Router<Admin>, call: calls::Entry| routes.route(call.path, call.handler);
    let calls = calls::table().into_iter().fold(Router::new(), served);
    let calls = calls.route("/docs/{version}/{name}", get(openapi::serve_asset));
    let hosts = admin.hosts.clone();
    let calls = calls.layer(from_fn_with_state(admin.clone(), refused::recorded));
    let calls = finished(calls, admin.clone());
    let pages = console::router(admin, calls.clone());
    calls.merge(within_reason(pages)).layer(from_fn_with_state(hosts, guarded)).layer(from_fn(uncached))
}

/// The probes' port: `/livez`, `/readyz`, with `Probes::WithMetrics` also `/metrics`, and nothing else.
pub fn probes_router(admin: Admin, probes: Probes) -> Router {
    let calls = Router::new().route("/livez", get(status::livez)).route("/readyz", get(status::readyz));
    let calls = match probes {
        Probes::Alone => calls,
        Probes::WithMetrics => calls.route("/metrics", get(status::open_metrics)),
    };
    finished(calls, admin).layer(from_fn(uncached))
}

/// What the probes' port answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Probes {
    /// The two probes.
    Alone,
    /// The metrics too, to whoever reaches the port.
    WithMetrics,
}

/// What holds for every call: refusals are problems, a call has a deadline, a panic is not the end.
fn finished(calls: Router<Admin>, admin: Admin) -> Router {
    let calls = calls
        .fallback(|| async { not_found() })
        .method_not_allowed_fallback(|| async { method_not_allowed() })
        .with_state(admin);
    within_reason(calls)
}

fn within_reason(routes: Router) -> Router {
    routes.layer(from_fn(within_deadline)).layer(CatchPanicLayer::custom(panicked))
}

async fn guarded(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    match hosts.check(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Refuses the caller who has waited too long. What he asked for may still be done: the store is not interrupted.
async fn within_deadline(request: Request, next: Next) -> Response {
    let late = || Problem::store_unavailable("no answer in time; whether it was done is unknown").into_response();
    tokio::time::timeout(DEADLINE, next.run(request)).await.unwrap_or_else(|_| late())
}

async fn uncached(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[expect(clippy::needless_pass_by_value, reason = "the layer hands the panic over by value")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("without a text"), "a call of the admin port panicked");
    Problem::internal().into_response()
}
