//! What was done to a key, all of it, the newest first.

use std::path::Path;

use relevo::domain::{Action, Actor, EventDraft, EventId, KeyId, Realm, Timestamp};
use relevo::store::{Store, What, Write, embedded::EmbeddedStore};

use super::super::support::backend::Backend;
use super::super::support::gateway::TestGateway;
use super::{Browser, ENGLISH, sign_in};

const AT: Timestamp = Timestamp::from_millis(1_795_435_200_000);
/// As many events as a call of the API looks at.
const LOOKED_AT: u128 = 50_000;

/// Writes so many events of `key` into the store, numbered by their actors.
fn write_events(folder: &Path, key: &str, count: u128) {
    let store = EmbeddedStore::open(folder.join("relevo.redb")).expect("a store");
    let key: KeyId = key.parse().expect("an id");
    let event = |number: u128| EventDraft {
        id: EventId::from_bits(number),
        at: AT,
        written_at: AT,
        actor: Actor::named(format!("edit {number}")),
        address: None,
        action: Action::Edited,
        key: Some(key),
        before: None,
        after: None,
    };
    let write = Write { realm: Realm::Gateway, what: What::Events, events: (1..=count).map(event).collect() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(store.commit(vec![write])).expect("committed");
}

#[test]
fn a_keys_history_reaches_from_its_latest_event_to_its_first_page_by_page() {
    let backend = Backend::answering("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let started = || TestGateway::in_front_of(&backend).kept_in(folder.path()).start();
    let gateway = started();
    let (busy, other) = (gateway.create_key("busy").done().id, gateway.create_key("other").done().id);
    drop(gateway);
    write_events(folder.path(), &busy, 6_000);
    let gateway = started();
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        sign_in(browser, &gateway).await;
        browser.go(&format!("/console/keys/{busy}")).await;
        browser.wait_for_text("#history .line:first-child", "edit 6000").await;
        browser.wait_for_text("#history .line:last-child", "edit 5989").await;
        browser.press("Older").await;
        browser.wait_for_text("#history .line:first-child", "edit 5988").await;
        // To its beginning, as somebody would who keeps pressing.
        browser.go(&format!("/console/keys/{busy}?before=12")).await;
        browser.wait_for_text("#history .line:last-child", "Key generated").await;
        assert!(!browser.text("#history .turn").await.contains("Older"), "before that there was nothing");
        browser.press("Newest").await;
        browser.wait_for_text("#history .line:first-child", "edit 6000").await;
        browser.press("Everything in the audit log").await;
        browser.wait_for_text(".line:nth-child(50)", "edit 5951").await;
        browser.press("Older").await;
        browser.wait_for_text(".line:first-child", "edit 5950").await;
        assert_eq!(browser.faults().await, Vec::<String>::new());
    });
    drop(gateway);
    write_events(folder.path(), &other, LOOKED_AT);
    let gateway = started();
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        sign_in(browser, &gateway).await;
        browser.go(&format!("/console/keys/{busy}")).await;
        browser.wait_for_text("#history", "Nothing among the changes looked at").await;
        browser.press("Older").await;
        browser.wait_for_text("#history .line:first-child", "edit 6000").await;
        assert_eq!(browser.faults().await, Vec::<String>::new());
    });
}
