//! What retention has removed from the audit log before a webhook had sent it.
//!
//! Promises: it is found from the log itself, so also after a restart; where nothing was removed it costs nothing, but for a
//! webhook that is behind everything that is left.
//! Deliberately does not: know which of the removed events the webhook would have been sent, or how many they were: some
//! revisions have no event.

use crate::domain::{Action, ActionName, Facts, Realm, Revision};
use crate::keyring::{Denied, Keyring};
use crate::store::EventQuery;

/// What the operator is told.
pub(super) const TOLD: &str =
    "events were removed for their age (audit.retain) before they were sent; going on behind them";
/// How many events are looked at once.
const PAGE: usize = 64;

/// The last revision between `place` and `first`, the next that is left, of those that were removed; `None` if none was.
pub(super) async fn removed_between(
    keyring: &Keyring,
    place: Revision,
    first: Revision,
) -> Result<Option<Revision>, Denied> {
    if first <= place.next() {
        return Ok(None);
    }
    let oldest = keyring.records(Revision(0), 1).await?;
    if oldest.first().is_some_and(|oldest| oldest.revision < first) {
        return Ok(None); // only the beginning of the log is ever removed
    }
    let pruned = ActionName(Action::AuditPruned, Realm::Gateway);
    let mut query = EventQuery { after: place, action: Some(pruned), limit: PAGE, ..EventQuery::default() };
    let mut through = Revision(0);
    loop {
        let page = keyring.events(query.clone()).await?;
        for event in &page.events {
            if let Some(Facts::Pruned(pruned)) = &event.after {
                through = through.max(pruned.through);
            }
        }
        let Some(next) = page.next else { break };
        query.after = next;
    }
    let last = through.min(Revision(first.0 - 1));
    Ok((last > place).then_some(last))
}
