//! What is counted of a gateway.
//!
//! Promises: a recorder of its own for each [`Metrics`], so that many gateways live in one process; handles are made
//! once and counting takes no lock; labels have few values, whatever clients send.
//! Deliberately does not: listen. Whoever serves `/metrics` calls [`Metrics::render`].

mod list;

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::metrics::{Counter, Gauge, Key, Label, Level, Metadata, Recorder, with_local_recorder};
use http::{Method, StatusCode};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::histogram::{Family, Histogram};
use super::log;
use list::{
    ACCESS_LOG_DROPPED, CLOCK_STEPS, CONNECTIONS, Kind, LATE, LOG_DROPPED, Metric, OLD_TOKEN_REQUESTS, REFUSALS,
    RENEWAL_OLDEST, RENEWALS_OPEN, REQUEST_SECONDS, REQUESTS, SIGN_INS_FAILED, STORE_UP, STREAMS_ENDED,
    TOKENS_EXPIRING, TUNNELS, TUNNELS_ENDED, UPSTREAM_EJECTIONS, UPSTREAM_RETRIES, UPSTREAM_SECONDS, UPSTREAM_UP,
    WEBHOOK_BEHIND, WEBHOOK_DELIVERIES, WEBHOOK_REMOVED,
};
pub use list::{ALL, NO_ROUTE};

/// The metrics of one gateway. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    handle: PrometheusHandle,
    /// Keys with an old and a new token.
    pub renewals_open: Gauge,
    /// Seconds since the oldest open renewal was opened; 0 without one.
    pub renewal_oldest_seconds: Gauge,
    /// Tokens that end soon.
    pub tokens_expiring: TokensExpiring,
    /// 1 while the store takes changes.
    pub store_up: Gauge,
    /// Access records lost.
    pub access_log_dropped: Counter,
    /// Client connections open now.
    pub connections: Gauge,
    /// Tunnels open now.
    pub tunnels: Gauge,
    /// Steps of the machine's clock.
    pub clock_steps: Counter,
}

/// Tokens that end within a time; each gauge includes those of the shorter times.
#[derive(Clone)]
pub struct TokensExpiring {
    /// Within 14 days.
    pub days_14: Gauge,
    /// Within 7 days.
    pub days_7: Gauge,
    /// Within a day.
    pub days_1: Gauge,
}

struct Registry {
    recorder: PrometheusRecorder,
    request_seconds: Family,
    upstream_seconds: Family,
    process: metrics_process::Collector,
}

impl Metrics {
    /// New metrics, all at nothing; independent of any other.
    pub fn install() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        for metric in ALL {
            describe(&recorder, metric);
        }
        let process = metrics_process::Collector::default();
        with_local_recorder(&recorder, || process.describe());
        let family = |metric: Metric| Family::new(metric.name, metric.help, metric.labels);
        let (request_seconds, upstream_seconds) = (family(REQUEST_SECONDS), family(UPSTREAM_SECONDS));
        let registry = Registry { recorder, request_seconds, upstream_seconds, process };
        let expiring = |within| registry.gauge(&TOKENS_EXPIRING, &[within]);
        let tokens_expiring =
            TokensExpiring { days_14: expiring("14d"), days_7: expiring("7d"), days_1: expiring("1d") };
        Self {
            handle,
            renewals_open: registry.gauge(&RENEWALS_OPEN, &[]),
            renewal_oldest_seconds: registry.gauge(&RENEWAL_OLDEST, &[]),
            tokens_expiring,
            store_up: registry.gauge(&STORE_UP, &[]),
            access_log_dropped: registry.counter(&ACCESS_LOG_DROPPED, &[]),
            connections: registry.gauge(&CONNECTIONS, &[]),
            tunnels: registry.gauge(&TUNNELS, &[]),
            clock_steps: registry.counter(&CLOCK_STEPS, &[]),
            registry: Arc::new(registry),
        }
    }

    /// Administrators' tokens that were refused with this code.
    pub fn sign_in_failed(&self, code: &str) -> Counter {
        self.registry.counter(&SIGN_INS_FAILED, &[code])
    }

    /// Connections closed because the client was late with this.
    pub fn late(&self, wait: &str) -> Counter {
        self.registry.counter(&LATE, &[wait])
    }

    /// A worker's handles for the requests of one route; [`NO_ROUTE`] for those that none took.
    pub fn route(&self, route: &str) -> RouteMetrics {
        RouteMetrics {
            registry: Arc::clone(&self.registry),
            route: route.to_owned(),
            seconds: self.registry.request_seconds.series(&[route]),
            old_token: self.registry.counter(&OLD_TOKEN_REQUESTS, &[route]),
            answers: RefCell::default(),
            refusals: RefCell::default(),
        }
    }

    /// The handles for one endpoint of an upstream.
    pub fn upstream(&self, upstream: &str, endpoint: &str) -> UpstreamMetrics {
        let labels = [upstream, endpoint];
        UpstreamMetrics {
            seconds: self.registry.upstream_seconds.series(&labels),
            retries: self.registry.counter(&UPSTREAM_RETRIES, &labels),
            ejections: self.registry.counter(&UPSTREAM_EJECTIONS, &labels),
        }
    }

    /// The handles for one webhook.
    pub fn webhook(&self, webhook: &str) -> WebhookMetrics {
        let deliveries = |outcome| self.registry.counter(&WEBHOOK_DELIVERIES, &[webhook, outcome]);
        WebhookMetrics {
            delivered: deliveries("delivered"),
            failed: deliveries("failed"),
            behind: self.registry.gauge(&WEBHOOK_BEHIND, &[webhook]),
            removed: self.registry.counter(&WEBHOOK_REMOVED, &[webhook]),
        }
    }

    /// Whether an endpoint of an upstream gets requests.
    pub fn upstream_up(&self, upstream: &str, endpoint: &str) -> Gauge {
        self.registry.gauge(&UPSTREAM_UP, &[upstream, endpoint])
    }

    /// Everything in Prometheus's text format.
    pub fn render(&self) -> String {
        with_local_recorder(&self.registry.recorder, || self.registry.process.collect());
        self.registry.counter(&LOG_DROPPED, &[]).absolute(log::dropped());
        let mut text = self.handle.render();
        self.registry.request_seconds.render(&mut text);
        self.registry.upstream_seconds.render(&mut text);
        text
    }
}

/// The handles of one webhook.
pub struct WebhookMetrics {
    /// Attempts that were taken.
    pub delivered: Counter,
    /// Attempts that were not.
    pub failed: Counter,
    /// Revisions that it has not come to yet.
    pub behind: Gauge,
    /// Revisions that were removed before it had come to them.
    pub removed: Counter,
}

/// One worker's handles for the requests of one route.
///
/// Counters are made at their first use and kept; after that counting is a look along a short list and one addition.
pub struct RouteMetrics {
    registry: Arc<Registry>,
    route: String,
    seconds: Histogram,
    old_token: Counter,
    answers: RefCell<Vec<((&'static str, StatusCode), Counter)>>,
    refusals: RefCell<Vec<(&'static str, Counter)>>,
}

impl RouteMetrics {
    /// Counts a request that was answered with `code`, `elapsed` after its head had come.
    pub fn answered(&self, method: &Method, code: StatusCode, elapsed: Duration) {
        self.seconds.record(elapsed);
        let method = method_label(method);
        let made = || self.registry.counter(&REQUESTS, &[&self.route, method, code.as_str()]);
        count(&mut self.answers.borrow_mut(), (method, code), made);
    }

    /// Counts a refusal by its code.
    pub fn refused(&self, refusal: &'static str) {
        let made = || self.registry.counter(&REFUSALS, &[&self.route, refusal]);
        count(&mut self.refusals.borrow_mut(), refusal, made);
    }

    /// Counts a stream that is ended, by the code of the refusal that a new request would get.
    pub fn ended_stream(&self, refusal: &'static str) {
        self.registry.counter(&STREAMS_ENDED, &[&self.route, refusal]).increment(1);
    }

    /// Counts a tunnel that has ended, by its reason.
    pub fn ended_tunnel(&self, reason: &'static str) {
        self.registry.counter(&TUNNELS_ENDED, &[&self.route, reason]).increment(1);
    }

    /// Counts a request that was let through on an old token.
    pub fn used_old_token(&self) {
        self.old_token.increment(1);
    }
}

/// Adds one to the counter of `key`, made at its first use. There are few, and the busiest come soon: a look along the
/// list is quicker than a hash.
fn count<K: PartialEq>(counters: &mut Vec<(K, Counter)>, key: K, made: impl FnOnce() -> Counter) {
    if let Some((_, counter)) = counters.iter().find(|(known, _)| *known == key) {
        return counter.increment(1);
    }
    let counter = made();
    counter.increment(1);
    counters.push((key, counter));
}

/// The handles for one endpoint of an upstream.
#[derive(Clone)]
pub struct UpstreamMetrics {
    seconds: Histogram,
    retries: Counter,
    ejections: Counter,
}

impl UpstreamMetrics {
    /// Counts a request that failed there and is sent again.
    pub fn retried(&self) {
        self.retries.increment(1);
    }

    /// Counts that it is put out.
    pub fn ejected(&self) {
        self.ejections.increment(1);
    }

    /// Counts a reply whose head came `elapsed` after the backend was asked.
    pub fn answered(&self, elapsed: Duration) {
        self.seconds.record(elapsed);
    }
}

/// The method as a label: clients can make methods up, so any but the known is one.
fn method_label(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

impl Registry {
    fn counter(&self, metric: &Metric, labels: &[&str]) -> Counter {
        self.recorder.register_counter(&key(metric, labels), &METADATA)
    }

    fn gauge(&self, metric: &Metric, labels: &[&str]) -> Gauge {
        self.recorder.register_gauge(&key(metric, labels), &METADATA)
    }
}

fn key(metric: &Metric, values: &[&str]) -> Key {
    let labels = metric.labels.iter().zip(values).map(|(name, value)| Label::new(*name, (*value).to_owned()));
    Key::from_parts(metric.name, labels.collect::<Vec<_>>())
}

fn describe(recorder: &PrometheusRecorder, metric: &Metric) {
    let (name, help) = (metric.name.into(), metric.help.into());
    match metric.kind {
        Kind::Counter => recorder.describe_counter(name, None, help),
        Kind::Gauge => recorder.describe_gauge(name, None, help),
        Kind::Histogram => {} // a family tells itself
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl fmt::Debug for RouteMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteMetrics").field("route", &self.route).finish_non_exhaustive()
    }
}

impl fmt::Debug for UpstreamMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamMetrics").finish_non_exhaustive()
    }
}

impl fmt::Debug for WebhookMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookMetrics").finish_non_exhaustive()
    }
}

impl fmt::Debug for TokensExpiring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokensExpiring").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Metrics in which every metric has been used once.
    fn used() -> Metrics {
        let metrics = Metrics::install();
        let route = metrics.route("/orders");
        route.answered(&Method::GET, StatusCode::OK, Duration::from_millis(3));
        route.refused("credential_missing");
        route.used_old_token();
        route.ended_stream("token_superseded");
        route.ended_tunnel("closed");
        metrics.late("head").increment(1);
        metrics.sign_in_failed("unauthenticated").increment(1);
        metrics.upstream("orders", "127.0.0.1:9000").answered(Duration::from_millis(2));
        metrics.upstream_up("orders", "127.0.0.1:9000").set(1.0);
        let webhook = metrics.webhook("tickets");
        webhook.delivered.increment(1);
        webhook.behind.set(0.0);
        webhook.removed.increment(1);
        metrics
    }

    #[test]
    fn every_metric_of_the_list_is_rendered_with_its_help_and_kind() {
        let text = used().render();
        for metric in ALL {
            let kind = format!("{:?}", metric.kind).to_lowercase();
            assert!(text.contains(&format!("# HELP {} {}\n", metric.name, metric.help)), "{}: {text}", metric.name);
            assert!(text.contains(&format!("# TYPE {} {kind}\n", metric.name)), "{}: {text}", metric.name);
        }
    }

    #[test]
    fn the_page_lists_every_metric_that_is_rendered_and_no_other() {
        let page = include_str!("../../docs/metrics.md");
        let text = used().render();
        let rendered = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        let rendered: std::collections::BTreeSet<_> = rendered.collect();
        let listed = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        assert_eq!(listed.collect::<std::collections::BTreeSet<_>>(), rendered);
        for metric in ALL {
            let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let row = format!("| `{}` | {:?} | {} |", metric.name, metric.kind, labels.join(", ")).to_lowercase();
            assert!(page.to_lowercase().replace("|  |", "| |").contains(&row.replace("|  |", "| |")), "{row}");
        }
    }

    #[test]
    fn requests_are_counted_by_route_method_and_code() {
        let metrics = Metrics::install();
        let (here, there) = (metrics.route("/a"), metrics.route("/a"));
        for route in [&here, &there, &here] {
            route.answered(&Method::POST, StatusCode::CREATED, Duration::from_millis(7));
        }
        let text = metrics.render();
        assert!(text.contains("relevo_requests_total{route=\"/a\",method=\"POST\",code=\"201\"} 3\n"), "{text}");
        assert!(text.contains("relevo_request_seconds_bucket{route=\"/a\",le=\"0.005\"} 0\n"), "{text}");
        assert!(text.contains("relevo_request_seconds_bucket{route=\"/a\",le=\"0.01\"} 3\n"), "{text}");
    }

    #[test]
    fn made_up_methods_share_one_label() {
        let metrics = Metrics::install();
        let route = metrics.route(NO_ROUTE);
        for name in ["BREW", "get", "WHEN"] {
            let method = Method::from_bytes(name.as_bytes()).expect("method");
            route.answered(&method, StatusCode::NOT_FOUND, Duration::ZERO);
        }
        let text = metrics.render();
        assert!(text.contains("relevo_requests_total{route=\"none\",method=\"other\",code=\"404\"} 3\n"), "{text}");
    }

    #[test]
    fn two_gateways_in_one_process_count_for_themselves() {
        let (one, other) = (Metrics::install(), Metrics::install());
        one.connections.increment(5.0);
        assert!(one.render().contains("relevo_connections 5\n"));
        assert!(other.render().contains("relevo_connections 0\n"));
    }
}
