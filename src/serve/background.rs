//! The background thread: the feed, settlements, flushes, gauges. Durable writes go to its blocking pool.

use std::future::Future;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Handle, Runtime};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::catalog::Catalog;
use crate::clock::{Clock, Look};
use crate::config::Config;
use crate::domain::{Realm, Span, Timestamp};
use crate::keyring::{Examiner, Follower, Keyring, Settler, Teller, follow};
use crate::limiter::Limiter;
use crate::net::tls::Certificates;
use crate::observe::{Condition, Health, Metrics};
use crate::store::Store;
use crate::usage::Usage;

use super::StartError;
use super::first::{self, Given};

/// How often the wall clock is looked at.
const TIME: Duration = Duration::from_secs(1);
/// How often last uses and quotas are written.
const FLUSH: Duration = Duration::from_secs(10);
/// How often gauges are set and the store is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How often the files of certificates are looked at; a change is taken up at the second look.
const WATCH: Duration = Duration::from_millis(500);
/// How often every key is looked at for tokens that end soon.
const SURVEY: Duration = Duration::from_mins(1);

/// The file that keeps when tokens were last looked at for their ends, beside the store.
const SURVEY_FILE: &str = "survey.time";

/// The runtime, before its work is known.
pub(super) struct Prepared {
    runtime: Runtime,
    /// For how many digests the index reserves room: a shard that grows stalls the workers.
    pub(super) capacity: usize,
}

/// The running thread.
pub(super) struct Background {
    runtime: Handle,
    stop: CancellationToken,
    thread: JoinHandle<()>,
}

/// What there is to do.
pub(super) struct Work {
    pub(super) keyring: Keyring,
    pub(super) follower: Follower,
    pub(super) settler: Settler,
    pub(super) catalog: Catalog,
    pub(super) store: Arc<dyn Store>,
    pub(super) usage: Usage,
    pub(super) limiter: Limiter,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
    pub(super) health: Health,
    pub(super) config: Arc<Config>,
    pub(super) certificates: Vec<Certificates>,
    pub(super) given: Option<Given>,
}

impl Background {
    /// A runtime, and how large the store is.
    pub(super) fn prepare(store: &Arc<dyn Store>) -> Result<Prepared, StartError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| StartError::thread(&error))?;
        let keys = runtime.block_on(store.count(Realm::Gateway))?;
        let capacity = usize::try_from(keys.saturating_mul(5) / 4).unwrap_or_default();
        Ok(Prepared { runtime, capacity })
    }

    /// Does this besides, until the thread ends.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(work);
    }

    /// Where things are done besides.
    pub(super) fn runtime(&self) -> Handle {
        self.runtime.clone()
    }

    /// Ends the thread after a last flush.
    pub(super) fn stop(self) {
        self.stop.cancel();
        self.thread.join().ok(); // a thread that panicked has said so on stderr
    }
}

impl Prepared {
    /// Begins the work, and waits until the store has what a first start needs.
    pub(super) fn run(self, work: Work) -> Result<Background, StartError> {
        let stop = CancellationToken::new();
        let (established, told) = mpsc::sync_channel(1);
        let stopped = stop.clone();
        let runtime = self.runtime;
        let handle = runtime.handle().clone();
        let run = move || {
            runtime.block_on(stopped.run_until_cancelled(work.run(established)));
        };
        let thread = std::thread::Builder::new()
            .name("background".into())
            .spawn(run)
            .map_err(|error| StartError::thread(&error))?;
        let gone = |_| StartError::thread(&std::io::Error::other("the background thread ended"));
        told.recv().map_err(gone)??;
        Ok(Background { runtime: handle, stop, thread })
    }
}

impl Work {
    async fn run(self, established: mpsc::SyncSender<Result<(), StartError>>) {
        let Self { keyring, follower, settler, catalog, store, usage, clock, metrics, health, config, .. } = self;
        let (certificates, given, limiter) = (self.certificates, self.given, self.limiter);
        let _closed = CloseFiles(usage.clone(), limiter.clone());
        let loaded = health.requirement("keys loaded");
        let store_up = health.condition("store");
        let shown = health.condition("certificates");
        let clock_agrees = health.condition("clock");
        let audit_whole = health.condition("audit");
        let kept = [health.condition("usage"), health.condition("quotas")];
        let feed = store.subscribe();
        let establish = async {
            let done = first::establish(&keyring, &*store, &config, given).await;
            established.send(done).ok(); // whoever waited has given up
            keyring.loaded().await;
            loaded.ok();
            let teller = Teller::new(keyring.clone(), Some(config.store.path.with_file_name(SURVEY_FILE)));
            let examiner = Examiner::new(keyring.clone(), audit_whole, config.audit.retain);
            let refused = keyring.clone().write_refused();
            tokio::join!(settler.run(), teller.run(), examiner.run(), refused);
        };
        tokio::join!(
            follow(keyring.clone(), follower, feed),
            establish,
            every(TIME, || async { watch_time(&clock, &metrics, &clock_agrees) }),
            every(FLUSH, || flush(usage.clone(), limiter.clone(), &kept)),
            every(WATCH, || watch(certificates.clone(), shown.clone())),
            every(LOOK, || look(&keyring, &*store, &clock, &metrics, &store_up)),
            every(SURVEY, || survey(catalog.clone(), keyring.clone(), clock.clone(), metrics.clone())),
        );
    }
}

/// The last flush, whenever the work ends.
struct CloseFiles(Usage, Limiter);

impl Drop for CloseFiles {
    fn drop(&mut self) {
        let Self(usage, limiter) = self;
        for close in [&|| usage.close(), &|| limiter.close()] as [&dyn Fn(); 2] {
            catch_unwind(AssertUnwindSafe(close)).ok(); // one file's trouble is not the other's, nor that of whoever drops
        }
    }
}

async fn every<F: Future<Output = ()>>(period: Duration, work: impl Fn() -> F) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        work().await;
    }
}

/// Reports what the wall clock does.
fn watch_time(clock: &Clock, metrics: &Metrics, agrees: &Condition) {
    match clock.watch() {
        Look::Steady | Look::Waiting => {}
        Look::Stepped(by_millis) => {
            warn!(by_millis, "the wall clock has stepped; time is carried on without it");
            agrees.fail(format!("the wall clock has stepped by {by_millis} ms; nothing is settled until it agrees"));
            metrics.clock_steps.increment(1);
        }
        Look::Withdrawn => {
            info!("the wall clock is back");
            agrees.ok();
        }
        Look::Adopted(by_millis) => {
            warn!(by_millis, "the wall clock has agreed with itself for a minute; its time is adopted");
            agrees.ok();
        }
    }
}

/// Writes last uses and quotas, neither waiting for the other to be well, and says how that went.
async fn flush(usage: Usage, limiter: Limiter, kept: &[Condition; 2]) {
    let quotas = limiter.clone();
    let uses = usage.clone();
    let (uses, quotas) = (spawn_blocking(move || uses.flush()), spawn_blocking(move || quotas.flush()));
    let both = (uses.await, quotas.await);
    both.0.and(both.1).ok(); // a flush that failed is made again
    for (condition, trouble) in kept.iter().zip([usage.trouble(), limiter.trouble()]) {
        trouble.map_or_else(|| condition.ok(), |why| condition.fail(why));
    }
}

/// Looks at the files of all certificates, off this thread.
async fn watch(certificates: Vec<Certificates>, shown: Condition) {
    if certificates.is_empty() {
        return;
    }
    let look = move || certificates.iter().flat_map(Certificates::look).collect::<Vec<_>>();
    match spawn_blocking(look).await {
        Ok(troubles) if troubles.is_empty() => shown.ok(),
        Ok(troubles) => shown.fail(troubles.join("; ")),
        Err(_) => {} // looked at again in a moment
    }
}

/// Sets the gauges that cost little, and asks the store whether it takes changes.
async fn look(keyring: &Keyring, store: &dyn Store, clock: &Clock, metrics: &Metrics, store_up: &Condition) {
    let (open, oldest) = keyring.renewals().open(Realm::Gateway);
    let age = oldest.map_or(Span::ZERO, |opened_at| clock.now().since(opened_at));
    metrics.renewals_open.set(count(open));
    metrics.renewal_oldest_seconds.set(Duration::from(age).as_secs_f64());
    match store.takes_changes().await {
        Ok(()) => {
            store_up.ok();
            metrics.store_up.set(1.0);
        }
        Err(error) => {
            store_up.fail(error.to_string());
            metrics.store_up.set(0.0);
        }
    }
}

/// Counts the tokens that end within 14, 7 and 1 days. Reads every key, off this thread.
async fn survey(catalog: Catalog, keyring: Keyring, clock: Clock, metrics: Metrics) {
    let count_all = move || {
        let (now, settings) = (clock.now(), keyring.settings().settings);
        let mut ending = [0_usize; 3];
        catalog.newest_first(Realm::Gateway, None, &mut |key| {
            for token in key.tokens.each() {
                let end = key.lifetime(&settings).end(token.created_at).filter(|end| *end > now);
                tally(&mut ending, end, now);
            }
            ControlFlow::Continue(())
        });
        let gauges = &metrics.tokens_expiring;
        for (gauge, ending) in [&gauges.days_14, &gauges.days_7, &gauges.days_1].into_iter().zip(ending) {
            gauge.set(count(ending));
        }
    };
    spawn_blocking(count_all).await.ok(); // counted again in a minute
}

fn tally(ending: &mut [usize; 3], end: Option<Timestamp>, now: Timestamp) {
    for (count, days) in ending.iter_mut().zip([14, 7, 1]) {
        *count += usize::from(end.is_some_and(|end| end.since(now) <= Span::days(days)));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and exact up to 2^53")]
fn count(count: usize) -> f64 {
    count as f64
}
