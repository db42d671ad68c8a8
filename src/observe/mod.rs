//! What the operator sees: the log, metrics, access records, health.
//!
//! Promises: nothing here blocks a request, and no token is ever written.
//! Deliberately does not: decide anything; whoever knows tells.

pub mod access;
pub mod health;
pub mod histogram;
pub mod log;
pub mod metrics;
mod queue;

pub use access::{AccessLog, Record, Sink};
pub use health::{Condition, Health};
pub use metrics::{Metrics, RouteMetrics, UpstreamMetrics, WebhookMetrics};
