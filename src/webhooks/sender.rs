//! One webhook: from the audit log to its receiver.
//!
//! Promises: events of one key go one after the other, and the next only when the one before was taken; keys do not wait
//! for each other within a page; after a failure comes a pause that grows. A page of events is all that is in memory.
//! Deliberately does not: give up. What the receiver does not take is tried until it does, or the webhook is taken out.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use http::StatusCode;
use metrics::{Counter, Gauge};
use rand::RngExt;
use reqwest::redirect::Policy;
use serde::Deserialize;
use tracing::{info, warn};

use crate::config::Webhook;
use crate::domain::Revision;
use crate::keyring::Denied;
use crate::observe::{Condition, WebhookMetrics};
use crate::store::Record;

use super::Parts;
use super::address::PublicOnly;
use super::place::Places;
use super::removed;
use super::signature::signature;

/// How many records are read at once.
const PAGE: usize = 64;
/// How many keys' events are under way at once.
const AT_ONCE: usize = 4;
/// The pause after the first failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// How long to wait when the log cannot be read, or no client can be made.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(5);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How much of a reply is read, for the connection's sake.
const REPLY_LIMIT_BYTES: usize = 16 * 1024;

/// What sends to one receiver.
pub(super) struct Sender<'a> {
    webhook: &'a Webhook,
    parts: &'a Parts,
    places: &'a Places,
    condition: Condition,
    delivered: Counter,
    failed: Counter,
    behind: Gauge,
    removed: Counter,
    /// How many keys' events are failing now.
    failing: Cell<usize>,
}

/// What is looked at of an event.
#[derive(Deserialize)]
struct Outline {
    id: String,
    action: String,
    key: Option<String>,
}

/// An event on its way.
struct Outgoing {
    id: String,
    revision: Revision,
    line: Box<str>,
}

/// Why an attempt has failed, and how long to wait at least.
struct Trouble {
    why: String,
    pause: Pause,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pause {
    Growing,
    Longest,
}

impl<'a> Sender<'a> {
    /// A sender to `webhook`.
    pub(super) fn new(webhook: &'a Webhook, parts: &'a Parts, places: &'a Places) -> Self {
        let counters = parts.metrics.webhook(&webhook.name);
        let condition = parts.health.condition(&format!("webhook {}", webhook.name));
        let WebhookMetrics { delivered, failed, behind, removed } = counters;
        Self { webhook, parts, places, condition, delivered, failed, behind, removed, failing: Cell::new(0) }
    }

    /// Says that nothing is wrong with it any more, as it is not there any more.
    pub(super) fn leave(&self) {
        self.condition.ok();
        self.behind.set(0.0);
    }

    /// Says that it sends nothing yet: the places of webhooks cannot be read.
    pub(super) fn wait(&self, why: &str) {
        self.condition.fail(format!("how far it has come cannot be read: {why}"));
    }

    /// Sends for ever.
    pub(super) async fn run(&self) {
        let http = self.client().await;
        loop {
            let place = self.places.of(&self.webhook.name);
            let reached = self.parts.keyring.revision(); // before the page: what comes meanwhile is read the next time
            match self.page(place).await {
                Ok(page) => {
                    self.condition.ok();
                    if page.is_empty() {
                        self.reach(reached);
                        self.parts.keyring.after(reached).await;
                    } else {
                        self.send(&http, page).await;
                    }
                }
                Err(error) => {
                    self.condition.fail(format!("the audit log cannot be read: {error}"));
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        }
    }

    async fn client(&self) -> reqwest::Client {
        loop {
            let mut builder = reqwest::Client::builder()
                .user_agent(concat!("relevo/", env!("CARGO_PKG_VERSION")))
                .redirect(Policy::none()) // an event goes where it was sent, and nowhere else
                .no_proxy() // and the address that was checked is the one that is dialled
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(self.webhook.timeout)
                .pool_max_idle_per_host(AT_ONCE);
            if !self.webhook.allow_private {
                builder = builder.dns_resolver(std::sync::Arc::new(PublicOnly));
            }
            match self.believing(builder).and_then(reqwest::ClientBuilder::build) {
                Ok(client) => return client,
                Err(error) => {
                    self.condition.fail(format!("TLS cannot be spoken: {}", chain(error)));
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        }
    }

    /// Believes those who are configured, and nobody else, if any are.
    fn believing(&self, builder: reqwest::ClientBuilder) -> reqwest::Result<reqwest::ClientBuilder> {
        let Some(ca) = &self.webhook.ca else { return Ok(builder) };
        let certificates: reqwest::Result<Vec<_>> =
            ca.certificates.iter().map(|certificate| reqwest::Certificate::from_der(certificate)).collect();
        Ok(builder.tls_certs_only(certificates?))
    }

    /// The records behind `place`, some of them. What was removed before it was sent is told, and passed over.
    async fn page(&self, place: Revision) -> Result<Vec<Record>, Denied> {
        let page = self.parts.keyring.records(place, PAGE).await?;
        let Some(first) = page.first() else { return Ok(page) };
        if let Some(last) = removed::removed_between(&self.parts.keyring, place, first.revision).await? {
            let (webhook, first, events) = (&self.webhook.name, place.next().0, last.0 - place.0);
            warn!(webhook, first, last = last.0, events, "{}", removed::TOLD);
            self.removed.increment(events);
            self.reach(last);
        }
        Ok(page)
    }

    /// Sends what is asked for of a page, all of it.
    async fn send(&self, http: &reqwest::Client, page: Vec<Record>) {
        let Some(end) = page.last().map(|record| record.revision) else { return };
        let mut lanes: Vec<Vec<Outgoing>> = Vec::new();
        let mut lane_of: HashMap<Option<String>, usize> = HashMap::new();
        let mut pending = BTreeSet::new();
        for Record { revision, line } in page {
            let Some((key, event)) = self.outgoing(revision, line) else { continue };
            pending.insert(revision);
            let lane = *lane_of.entry(key).or_insert_with(|| {
                lanes.push(Vec::new());
                lanes.len() - 1
            });
            lanes[lane].push(event);
        }
        let pending = RefCell::new(pending);
        let send_lane = async |lane: Vec<Outgoing>| {
            for event in lane {
                self.deliver(http, &event).await;
                let mut pending = pending.borrow_mut();
                pending.remove(&event.revision);
                self.reach(pending.first().map_or(end, |first| Revision(first.0 - 1)));
            }
        };
        stream::iter(lanes).for_each_concurrent(AT_ONCE, send_lane).await;
        self.reach(end);
    }

    /// The event in a record, and its key, if it is asked for.
    fn outgoing(&self, revision: Revision, line: Box<str>) -> Option<(Option<String>, Outgoing)> {
        let Outline { id, action, key } = serde_json::from_str(&line)
            .inspect_err(|error| warn!(webhook = self.webhook.name, revision = revision.0, %error, "not an event"))
            .ok()?;
        let is_asked_for = self.webhook.events.iter().any(|pattern| pattern.fits(&action));
        is_asked_for.then_some((key, Outgoing { id, revision, line }))
    }

    /// Sends one event until it is taken.
    async fn deliver(&self, http: &reqwest::Client, event: &Outgoing) {
        let mut failures = 0;
        while let Err(trouble) = self.attempt(http, event).await {
            if failures == 0 {
                self.failing.set(self.failing.get() + 1);
            }
            failures += 1;
            self.failed.increment(1);
            self.tell_behind();
            let pause = self.pause(failures, trouble.pause);
            let (webhook, revision, why) = (&self.webhook.name, event.revision.0, &trouble.why);
            warn!(webhook, revision, failures, ?pause, why, "an event was not delivered; trying again");
            self.condition.fail(format!("revision {revision} was not delivered, {failures} times: {why}"));
            tokio::time::sleep(pause).await;
        }
        self.delivered.increment(1);
        if failures > 0 {
            info!(webhook = self.webhook.name, revision = event.revision.0, failures, "an event was delivered at last");
            self.failing.set(self.failing.get() - 1);
        }
        if self.failing.get() == 0 {
            self.condition.ok();
        }
    }

    /// The pause after so many failures in a row: twice the one before, and of it between a half and all.
    fn pause(&self, failures: u32, pause: Pause) -> Duration {
        let longest = self.webhook.longest_pause;
        let whole = match pause {
            Pause::Growing => longest.min(FIRST_PAUSE * 2_u32.saturating_pow((failures - 1).min(20))),
            Pause::Longest => longest,
        };
        whole.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    async fn attempt(&self, http: &reqwest::Client, event: &Outgoing) -> Result<(), Trouble> {
        let timestamp = self.parts.clock.now().as_seconds();
        let body = event.line.as_bytes();
        let request = http
            .post(&self.webhook.url)
            .header("content-type", "application/json")
            .header("webhook-id", &event.id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature(&self.webhook.secrets, &event.id, timestamp, body))
            .body(body.to_vec());
        let failed = |error| Trouble { why: chain(error), pause: Pause::Growing };
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        drain(response).await;
        match status {
            status if status.is_success() => Ok(()),
            StatusCode::GONE => Err(Trouble { why: "it answers 410: it wants no more".into(), pause: Pause::Longest }),
            status if status.is_redirection() => Err(Trouble {
                why: format!("it answers {}, and no redirect is followed", status.as_u16()),
                pause: Pause::Growing,
            }),
            status => Err(Trouble { why: format!("it answers {}", status.as_u16()), pause: Pause::Growing }),
        }
    }

    fn reach(&self, place: Revision) {
        self.places.reach(&self.webhook.name, place);
        self.tell_behind();
    }

    fn tell_behind(&self) {
        let place = self.places.of(&self.webhook.name);
        let behind = self.parts.keyring.revision().0.saturating_sub(place.0);
        self.behind.set(f64::from(u32::try_from(behind).unwrap_or(u32::MAX)));
    }
}

/// Reads a little of what follows a reply's head, so that the connection can be used again.
async fn drain(mut response: reqwest::Response) {
    let mut read = 0;
    while let Ok(Some(bytes)) = response.chunk().await {
        read += bytes.len();
        if read > REPLY_LIMIT_BYTES {
            return; // and the connection is closed
        }
    }
}

/// An error and its causes, without the URL: its path may be a secret.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
