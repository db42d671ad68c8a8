//! The one who looks after upstreams by himself, once per process: checks endpoints, resolves their names again, and tells
//! how they fare.
//!
//! Promises: a check that hangs holds up no other; a name that cannot be resolved keeps the addresses it had; what is found
//! is in force at every worker with its next request.
//! Deliberately does not: run on a worker.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::config;
use crate::gateway::Plane;
use crate::gateway::site::Setup;
use crate::net::dial::Connector;
use crate::observe::{Condition, Health};

use super::choice::MOST;
use super::probe;
use super::shared::{self, Shared};
use super::standing::{Millis, Standing};

/// How often somebody looks what is due.
const TICK: Duration = Duration::from_millis(250);
/// How long resolving a name may take.
const RESOLVING: Duration = Duration::from_secs(10);

/// When each name is to be resolved again.
type Due = HashMap<String, Instant>;
/// The condition of each upstream that was ever looked after.
type Conditions = HashMap<String, Condition>;

impl Plane {
    /// Looks after the upstreams for ever; `health` learns how they fare.
    pub async fn watch(self: Arc<Self>, health: Health) {
        let (mut due, mut conditions) = (Due::default(), Conditions::default());
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let setup = self.setup.load_full();
            self.resolve(&setup, &mut due);
            check(&setup);
            self.tell(&setup, &health, &mut conditions);
        }
    }

    /// Begins to resolve the names that are due.
    fn resolve(self: &Arc<Self>, setup: &Setup, due: &mut Due) {
        let now = Instant::now();
        for upstream in &setup.config.upstreams {
            for name in upstream.endpoints.iter().filter_map(shared::name) {
                if due.get(name).is_some_and(|due| *due > now) {
                    continue;
                }
                due.insert(name.to_owned(), now + upstream.resolve_every.max(TICK));
                let (plane, name) = (Arc::clone(self), name.to_owned());
                tokio::spawn(async move {
                    match addresses(&name).await {
                        Ok(found) => plane.resolved(name, found),
                        Err(error) => warn!(name, %error, "not resolved; the addresses known so far stay"),
                    }
                });
            }
        }
    }

    /// Sets gauges and conditions.
    fn tell(&self, setup: &Setup, health: &Health, conditions: &mut Conditions) {
        let now = Instant::now().into();
        for (upstream, shared) in setup.upstreams() {
            let troubles = self.troubles(upstream, shared, now);
            let condition = conditions
                .entry(upstream.name.clone())
                .or_insert_with(|| health.condition(&format!("upstream {}", upstream.name)));
            if troubles.is_empty() { condition.ok() } else { condition.fail(troubles.join("; ")) }
        }
        let is_there = |name: &String| setup.config.upstreams.iter().any(|upstream| upstream.name == *name);
        conditions.iter().filter(|(name, _)| !is_there(name)).for_each(|(_, gone)| gone.ok());
    }

    fn troubles(&self, upstream: &config::Upstream, shared: &Shared, now: Millis) -> Vec<String> {
        let mut troubles = Vec::new();
        for endpoint in &upstream.endpoints {
            let label = endpoint.label();
            let members = shared.members.iter().map(|member| &member.standing);
            let (mut all, mut well) = (0_u32, 0_u32);
            for standing in members.filter(|standing| standing.endpoint == *endpoint) {
                all += 1;
                match standing.trouble(now) {
                    None => well += 1,
                    Some(why) => troubles.push(told(&label, standing.address, &why)),
                }
            }
            let share = if all == 0 { 0.0 } else { f64::from(well) / f64::from(all) };
            self.metrics.upstream_up(&upstream.name, &label).set(share);
        }
        troubles
    }
}

fn told(label: &str, address: Option<IpAddr>, why: &str) -> String {
    match address {
        None => format!("{label}: {why}"),
        Some(address) => format!("{label} ({address}): {why}"),
    }
}

/// The addresses of `name`, each once, in order.
async fn addresses(name: &str) -> std::io::Result<Vec<IpAddr>> {
    let resolving = tokio::net::lookup_host((name, 0));
    let found = tokio::time::timeout(RESOLVING, resolving).await.map_err(crate::net::dial::late)??;
    let mut found: Vec<_> = found.map(|address| address.ip()).collect();
    found.sort_unstable();
    found.dedup();
    found.truncate(MOST);
    Ok(found)
}

/// Begins the checks that are due.
fn check(setup: &Setup) {
    let now = Millis::from(Instant::now()).0;
    for ((upstream, shared), connector) in setup.upstreams().zip(&setup.connectors) {
        let Some(health) = &upstream.health else {
            shared.members.iter().for_each(|member| member.standing.unchecked());
            continue;
        };
        for member in &shared.members {
            let checks = &member.standing.checks;
            if checks.next.load(Ordering::Relaxed) > now || checks.is_running.swap(true, Ordering::Relaxed) {
                continue;
            }
            let interval = u64::try_from(health.interval.as_millis()).unwrap_or(u64::MAX);
            checks.next.store(now.saturating_add(interval), Ordering::Relaxed);
            let (standing, health, connector) = (Arc::clone(&member.standing), health.clone(), connector.clone());
            tokio::spawn(check_one(upstream.name.clone(), standing, health, connector));
        }
    }
}

async fn check_one(upstream: String, standing: Arc<Standing>, health: config::Health, connector: Option<Connector>) {
    let found = probe::look(&standing, &health, connector).await;
    let why = found.as_ref().err().cloned().unwrap_or_default();
    let (endpoint, address) = (standing.endpoint.label(), standing.address);
    match standing.checked(found, &health, Instant::now().into()) {
        None => {}
        Some(true) => info!(upstream, endpoint, ?address, "checks pass again: it gets requests"),
        Some(false) => warn!(upstream, endpoint, ?address, why, "checks fail: it gets no requests"),
    }
    standing.checks.is_running.store(false, Ordering::Relaxed);
}
