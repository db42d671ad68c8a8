//! What a feed has told, held to its contract.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{ApiKey, KeyId, Realm, Revision, Settings};
use crate::store::{Feed, Notice};

/// Every key as the feed has it.
#[derive(Default)]
pub(in crate::store) struct Mirror {
    pub(in crate::store) keys: HashMap<(bool, KeyId), Arc<ApiKey>>,
    pub(in crate::store) settings: Option<Arc<Settings>>,
    pub(in crate::store) synced: Option<Revision>,
    pub(in crate::store) resets: u32,
    /// Per key, the highest revision told, and after how many resets.
    highest: HashMap<KeyId, (Revision, u32)>,
}

impl Mirror {
    /// Takes what `feed` tells until it is in step with `revision`.
    pub(in crate::store) async fn follow(&mut self, feed: &mut dyn Feed, revision: Revision) {
        while self.synced.is_none_or(|synced| synced < revision) {
            self.take(feed).await;
        }
    }

    /// Takes the next notice.
    pub(in crate::store) async fn take(&mut self, feed: &mut dyn Feed) -> Notice {
        let notice = tokio::time::timeout(Duration::from_secs(30), feed.next()).await.expect("the feed goes on");
        assert!(self.resets > 0 || matches!(notice, Notice::Reset), "a feed begins with Reset, not {notice:?}");
        match &notice {
            Notice::Reset => {
                self.resets += 1;
                (self.keys, self.settings, self.synced) = (HashMap::new(), None, None);
            }
            Notice::Put(realm, revision, key) => {
                self.rises(key.id, *revision);
                self.keys.insert((*realm == Realm::Admin, key.id), Arc::clone(key));
            }
            Notice::Remove(realm, revision, id) => {
                self.rises(*id, *revision);
                self.keys.remove(&(*realm == Realm::Admin, *id));
            }
            Notice::Settings(_, settings) => self.settings = Some(Arc::clone(settings)),
            Notice::Synced(revision) => {
                assert!(self.synced.is_none_or(|before| before < *revision), "{revision:?} came twice");
                self.synced = Some(*revision);
            }
        }
        notice
    }

    /// A revision rises; only after another `Reset` may one be told again.
    fn rises(&mut self, id: KeyId, revision: Revision) {
        let before = self.highest.insert(id, (revision, self.resets));
        let risen = before.is_none_or(|(told, resets)| told < revision || (told == revision && resets < self.resets));
        assert!(risen, "{id} went from {before:?} to {revision:?}");
    }
}
