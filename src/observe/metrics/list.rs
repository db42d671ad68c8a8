//! Every metric, in one list.

/// What a metric counts in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Only ever grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often a duration was at most which of [`super::histogram::BUCKETS`].
    Histogram,
}

/// One metric: its name, kind, labels and what it tells.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

/// The label `route` of requests that no route took.
pub const NO_ROUTE: &str = "none";

pub(super) const REQUESTS: Metric =
    counter("relevo_requests_total", &["route", "method", "code"], "Requests answered, by status; refusals included.");
pub(super) const REFUSALS: Metric =
    counter("relevo_refusals_total", &["route", "refusal"], "Requests that the gateway refused, by reason.");
pub(super) const STREAMS_ENDED: Metric = counter(
    "relevo_streams_ended_total",
    &["route", "refusal"],
    "Streams ended while they lasted, by what a new request would be told.",
);
pub(super) const TUNNELS: Metric = gauge("relevo_tunnels", &[], "Upgraded connections open now.");
pub(super) const TUNNELS_ENDED: Metric = counter(
    "relevo_tunnels_ended_total",
    &["route", "reason"],
    "Upgraded connections that have ended: closed, broken, refused, idle, life, drain.",
);
pub(super) const REQUEST_SECONDS: Metric =
    histogram("relevo_request_seconds", &["route"], "From a request's head to the end of its reply.");
pub(super) const UPSTREAM_SECONDS: Metric =
    histogram("relevo_upstream_seconds", &["upstream", "endpoint"], "From asking a backend to the head of its reply.");
pub(super) const UPSTREAM_UP: Metric = gauge(
    "relevo_upstream_up",
    &["upstream", "endpoint"],
    "1 while an endpoint gets requests, 0 while it is put out or its checks fail; of several addresses, their share.",
);
pub(super) const UPSTREAM_RETRIES: Metric = counter(
    "relevo_upstream_retries_total",
    &["upstream", "endpoint"],
    "Requests sent a second time, by who failed first.",
);
pub(super) const UPSTREAM_EJECTIONS: Metric = counter(
    "relevo_upstream_ejections_total",
    &["upstream", "endpoint"],
    "How often an endpoint was put out for failing.",
);
pub(super) const RENEWALS_OPEN: Metric = gauge("relevo_renewals_open", &[], "Keys with an old and a new token.");
pub(super) const RENEWAL_OLDEST: Metric =
    gauge("relevo_renewal_oldest_seconds", &[], "How long the oldest open renewal has been open; 0 without one.");
pub(super) const OLD_TOKEN_REQUESTS: Metric =
    counter("relevo_old_token_requests_total", &["route"], "Requests let through on an old token.");
pub(super) const TOKENS_EXPIRING: Metric =
    gauge("relevo_tokens_expiring", &["within"], "Tokens that end within 14d, 7d and 1d, each count with the shorter.");
pub(super) const STORE_UP: Metric =
    gauge("relevo_store_up", &[], "1 while the store takes changes, 0 while it does not.");
pub(super) const ACCESS_LOG_DROPPED: Metric = counter(
    "relevo_access_log_dropped_total",
    &[],
    "Access records lost, because the queue was full or could not be written.",
);
pub(super) const LOG_DROPPED: Metric = counter(
    "relevo_log_dropped_total",
    &[],
    "Lines of the process's log lost, because the queue was full or stderr could not be written.",
);
pub(super) const CONNECTIONS: Metric = gauge("relevo_connections", &[], "Client connections open now.");
pub(super) const CLOCK_STEPS: Metric =
    counter("relevo_clock_steps_total", &[], "Steps of the machine's clock by more than 5 s, adopted or not.");

pub(super) const SIGN_INS_FAILED: Metric = counter(
    "relevo_admin_sign_ins_failed_total",
    &["code"],
    "Administrators' tokens and one-time links that were refused on the admin port, by what was answered.",
);
pub(super) const WEBHOOK_DELIVERIES: Metric = counter(
    "relevo_webhook_deliveries_total",
    &["webhook", "outcome"],
    "Attempts to deliver an event: delivered or failed.",
);
pub(super) const WEBHOOK_BEHIND: Metric =
    gauge("relevo_webhook_behind", &["webhook"], "Revisions that a webhook has not come to yet.");
pub(super) const WEBHOOK_REMOVED: Metric = counter(
    "relevo_webhook_removed_total",
    &["webhook"],
    "Revisions that were removed for their age before a webhook had come to them.",
);

pub(super) const LATE: Metric = counter(
    "relevo_late_total",
    &["wait"],
    "Connections closed because the client was late, by what he was late with.",
);

/// Every metric of the gateway's own; the process's come from the system under their usual names.
pub const ALL: &[Metric] = &[
    REQUESTS,
    REFUSALS,
    STREAMS_ENDED,
    TUNNELS,
    TUNNELS_ENDED,
    REQUEST_SECONDS,
    UPSTREAM_SECONDS,
    UPSTREAM_UP,
    UPSTREAM_RETRIES,
    UPSTREAM_EJECTIONS,
    RENEWALS_OPEN,
    RENEWAL_OLDEST,
    OLD_TOKEN_REQUESTS,
    TOKENS_EXPIRING,
    STORE_UP,
    ACCESS_LOG_DROPPED,
    LOG_DROPPED,
    CONNECTIONS,
    LATE,
    CLOCK_STEPS,
    SIGN_INS_FAILED,
    WEBHOOK_DELIVERIES,
    WEBHOOK_BEHIND,
    WEBHOOK_REMOVED,
];

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram, labels, help }
}
