//! How far each webhook has come: the revision through which everything was delivered.
//!
//! Promises: a place is in its file within a second, and at the end of the process; after a kill what was delivered in that
//! second is delivered again, and nothing is left out. A webhook that is new begins at the present.
//! Deliberately does not: keep the place of a webhook that is no longer configured.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tracing::{error, warn};

use crate::domain::Revision;
use crate::store::private;

/// How often places are written.
const KEEP: Duration = Duration::from_millis(500);

/// The places of all webhooks.
pub(super) struct Places {
    file: PathBuf,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    places: BTreeMap<String, Revision>,
    differs: bool,
}

impl Places {
    /// The places that are kept in `file`.
    pub(super) fn open(file: PathBuf) -> Self {
        let places = match std::fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                error!(file = %file.display(), %error, "not the places of webhooks: they begin at the present");
                BTreeMap::new()
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                error!(file = %file.display(), %error, "the places of webhooks cannot be read: they begin at the present");
                BTreeMap::new()
            }
        };
        Self { file, now: Mutex::new(Now { places, differs: false }) }
    }

    /// Has these webhooks and no others. One without a place begins at `present`, and so does one whose place is later: it is
    /// of another store.
    pub(super) fn begin<'a>(&self, names: impl Iterator<Item = &'a str>, present: Revision) {
        let mut now = self.now();
        let place = |name: &str| now.places.get(name).map_or(present, |place| present.min(*place));
        let places: BTreeMap<_, _> = names.map(|name| (name.to_owned(), place(name))).collect();
        now.differs |= places != now.places;
        now.places = places;
        drop(now);
        self.save(); // before the first delivery: a new webhook's beginning is not to move
    }

    /// The place of this webhook.
    pub(super) fn of(&self, name: &str) -> Revision {
        self.now().places.get(name).copied().unwrap_or_default()
    }

    /// Everything through `place` was delivered.
    pub(super) fn reach(&self, name: &str, place: Revision) {
        let mut now = self.now();
        let Now { places, differs } = &mut *now;
        if let Some(known) = places.get_mut(name).filter(|known| **known < place) {
            *known = place;
            *differs = true;
        }
    }

    /// Writes places for ever as they change.
    pub(super) async fn keep(&self) {
        let mut ticks = tokio::time::interval(KEEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.save();
        }
    }

    /// Writes places if they differ from what is written. Blocks: this thread has nothing else to do.
    pub(super) fn save(&self) {
        let mut now = self.now();
        if !now.differs {
            return;
        }
        let text = serde_json::json!(now.places).to_string();
        match private::write(&self.file, &text) {
            Ok(()) => now.differs = false,
            Err(error) => {
                warn!(file = %self.file.display(), %error, "the places of webhooks cannot be kept; trying again");
            }
        }
    }

    fn now(&self) -> std::sync::MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_outlives_the_process_and_a_new_webhook_begins_at_the_present() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("webhooks.json");
        let places = Places::open(file.clone());
        places.begin(["a", "b"].into_iter(), Revision(7));
        places.reach("a", Revision(9));
        places.reach("a", Revision(8));
        places.save();
        let places = Places::open(file.clone());
        places.begin(["a", "c"].into_iter(), Revision(20));
        assert_eq!([places.of("a"), places.of("c")], [Revision(9), Revision(20)]);
        let places = Places::open(file.clone());
        places.begin(["a", "b"].into_iter(), Revision(5));
        assert_eq!(
            [places.of("a"), places.of("b")],
            [Revision(5), Revision(5)],
            "another store, and one that was gone"
        );
        std::fs::write(&file, "nonsense").expect("written");
        let places = Places::open(file);
        places.begin(["a"].into_iter(), Revision(3));
        assert_eq!(places.of("a"), Revision(3));
    }
}
