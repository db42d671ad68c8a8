//! Webhooks: events of the audit log, sent to whoever is configured, signed as Standard Webhooks are.
//!
//! Promises: each event at least once, those of one key in their order; a place that outlives the process; a receiver that
//! is dead holds up neither another nor any request or command, and costs no more memory than one that is well.
//! Deliberately does not: remember an event that the audit log does not. What retention has removed is not sent; that it was
//! not is told.

mod address;
mod place;
mod removed;
mod sender;
mod signature;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::clock::Clock;
use crate::config::Webhook;
use crate::keyring::Keyring;
use crate::observe::{Health, Metrics};

use place::Places;
use sender::Sender;

/// How long to wait before the file of places is read again.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// What webhooks work with.
pub struct Parts {
    /// The audit log.
    pub keyring: Keyring,
    /// The time.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Metrics,
    /// Where a receiver that does not take events is reported.
    pub health: Health,
    /// The file that keeps how far each webhook has come.
    pub places: PathBuf,
}

/// What changes which webhooks there are. Cheap to clone.
#[derive(Clone)]
pub struct Control(watch::Sender<Arc<[Webhook]>>);

impl Control {
    /// From now on these, each from where it had come by its name.
    pub fn reload(&self, webhooks: &[Webhook]) {
        self.0.send_if_modified(|now| {
            let differs = **now != *webhooks;
            if differs {
                *now = webhooks.into();
            }
            differs
        });
    }
}

/// Begins to send on a thread of its own, which ends at `stop` when it has kept the places of all webhooks.
pub fn start(parts: Parts, webhooks: &[Webhook], stop: CancellationToken) -> io::Result<(Control, JoinHandle<()>)> {
    let (control, told) = watch::channel(webhooks.into());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let run = move || {
        let places = Places::new(parts.places.clone());
        runtime.block_on(stop.run_until_cancelled(send(&parts, &places, told)));
        places.save();
    };
    let thread = std::thread::Builder::new().name("webhooks".into()).spawn(run)?;
    Ok((Control(control), thread))
}

/// Sends for ever, with whatever webhooks there are.
async fn send(parts: &Parts, places: &Places, mut told: watch::Receiver<Arc<[Webhook]>>) {
    parts.keyring.loaded().await;
    loop {
        let webhooks = Arc::clone(&told.borrow_and_update());
        let senders: Vec<_> = webhooks.iter().map(|webhook| Sender::new(webhook, parts, places)).collect();
        let all = async {
            read(places, &senders).await;
            places.begin(webhooks.iter().map(|webhook| webhook.name.as_str()), parts.keyring.revision());
            join_all(senders.iter().map(Sender::run)).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            changed = told.changed() => if changed.is_err() { return },
            () = all => {} // never: without senders it waits, too
            () = places.keep() => {}
        }
        senders.iter().for_each(Sender::leave);
    }
}

/// Waits until the file of places can be read. Before that nothing is sent: it would be from the wrong place on.
async fn read(places: &Places, senders: &[Sender<'_>]) {
    let mut is_told = false;
    while let Err(why) = places.read() {
        if !std::mem::replace(&mut is_told, true) {
            error!(why, "the places of webhooks cannot be read: nothing is sent until they can be");
        }
        for sender in senders {
            sender.wait(&why);
        }
        tokio::time::sleep(READ_AGAIN).await;
    }
}
