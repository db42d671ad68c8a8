//! How far each webhook has come: the revision through which everything was delivered.
//!
//! Promises: a place is in its file within a second, and at the end of the process; after a kill what was delivered in that
//! second is delivered again, and nothing is left out. A webhook that is new begins at the present. A file that cannot be
//! read stays as it is; one that is not what was written is put aside.
//! Deliberately does not: keep the place of a webhook that is no longer configured.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tracing::{error, warn};

use crate::domain::Revision;
use crate::store::{aside, private};

/// How often places are written.
const KEEP: Duration = Duration::from_millis(500);

/// The places of all webhooks.
pub(super) struct Places {
    file: PathBuf,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    /// `None`: the file was not read yet, and may hold places. It is not written before.
    places: Option<BTreeMap<String, Revision>>,
    differs: bool,
}

impl Places {
    /// The places that are kept in `file`, which is not read yet.
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file, now: Mutex::default() }
    }

    /// Reads the file, if it was not read yet. `Err`: why it cannot be.
    pub(super) fn read(&self) -> Result<(), String> {
        let mut now = self.now();
        if now.places.is_none() {
            now.places = Some(self.read_file().map_err(|error| format!("{}: {error}", self.file.display()))?);
        }
        Ok(())
    }

    fn read_file(&self) -> io::Result<BTreeMap<String, Revision>> {
        let text = match std::fs::read(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            text => text?,
        };
        match serde_json::from_slice(&text) {
            Ok(places) => Ok(places),
            Err(error) => {
                let (file, aside) = (self.file.display(), aside::put(&self.file)?);
                error!(%file, aside = %aside.display(), %error, "not the places of webhooks: they begin at the present");
                Ok(BTreeMap::new())
            }
        }
    }

    /// Has these webhooks and no others, once the file was read. One without a place begins at `present`, and so does one whose place is later: it is
    /// of another store.
    pub(super) fn begin<'a>(&self, names: impl Iterator<Item = &'a str>, present: Revision) {
        let mut now = self.now();
        let Some(known) = &now.places else { return };
        let place = |name: &str| known.get(name).map_or(present, |place| present.min(*place));
        let places: BTreeMap<_, _> = names.map(|name| (name.to_owned(), place(name))).collect();
        now.differs |= places != *known;
        now.places = Some(places);
        drop(now);
        self.save(); // before the first delivery: a new webhook's beginning is not to move
    }

    /// The place of this webhook.
    pub(super) fn of(&self, name: &str) -> Revision {
        self.now().places.as_ref().and_then(|places| places.get(name)).copied().unwrap_or_default()
    }

    /// Everything through `place` was delivered.
    pub(super) fn reach(&self, name: &str, place: Revision) {
        let mut now = self.now();
        let Now { places, differs } = &mut *now;
        let known = places.as_mut().and_then(|places| places.get_mut(name));
        if let Some(known) = known.filter(|known| **known < place) {
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

    fn read(file: &std::path::Path) -> Places {
        let places = Places::new(file.to_owned());
        places.read().expect("readable");
        places
    }

    #[test]
    fn a_place_outlives_the_process_and_a_new_webhook_begins_at_the_present() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("webhooks.json");
        let places = read(&file);
        places.begin(["a", "b"].into_iter(), Revision(7));
        places.reach("a", Revision(9));
        places.reach("a", Revision(8));
        places.save();
        let places = read(&file);
        places.begin(["a", "c"].into_iter(), Revision(20));
        assert_eq!([places.of("a"), places.of("c")], [Revision(9), Revision(20)]);
        let places = read(&file);
        places.begin(["a", "b"].into_iter(), Revision(5));
        assert_eq!(
            [places.of("a"), places.of("b")],
            [Revision(5), Revision(5)],
            "another store, and one that was gone"
        );
        std::fs::write(&file, "nonsense").expect("written");
        let places = read(&file);
        places.begin(["a"].into_iter(), Revision(3));
        assert_eq!(places.of("a"), Revision(3));
        let aside = std::fs::read_to_string(folder.path().join("webhooks.json.damaged")).expect("put aside");
        assert_eq!(aside, "nonsense");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_written_either_until_it_can_be() {
        let folder = tempfile::tempdir().expect("a folder");
        let [file, elsewhere] = ["webhooks.json", "elsewhere"].map(|name| folder.path().join(name));
        read(&file).begin(["a"].into_iter(), Revision(7));
        std::fs::rename(&file, &elsewhere).expect("renamed");
        std::fs::create_dir(&file).expect("in the way");
        let places = Places::new(file.clone());
        assert!(places.read().is_err_and(|why| why.contains("webhooks.json")));
        std::fs::remove_dir(&file).expect("removed");
        places.begin(["a"].into_iter(), Revision(20));
        places.reach("a", Revision(21));
        places.save();
        assert!(!file.exists());
        std::fs::rename(&elsewhere, &file).expect("renamed");
        places.read().expect("readable");
        places.begin(["a"].into_iter(), Revision(20));
        assert_eq!(places.of("a"), Revision(7));
    }
}
