//! Leaving the page of a renewal, meant or not.

use serde_json::{Value, json};

use super::super::support::browser::Network;
use super::super::support::gateway::TestGateway;
use super::{Browser, ENGLISH, both, gateway, shown_token, sign_in};

/// Whether whoever leaves the page is asked first.
async fn asks(browser: &Browser) -> Value {
    let leave = "const leave = new Event('beforeunload', {cancelable: true}); dispatchEvent(leave); return leave.defaultPrevented";
    browser.script(leave).await
}

async fn renew(browser: &Browser, id: &str) -> String {
    browser.go(&format!("/console/keys/{id}")).await;
    browser.press("Renew token").await;
    shown_token(browser).await
}

fn plan(gateway: &TestGateway, id: &str) -> Value {
    gateway.admin("GET", &format!("/v1/keys/{id}"), None).json["renewal"]["delete_old"].clone()
}

#[test]
fn whoever_has_not_copied_the_token_is_warned_and_copying_puts_it_into_the_clipboard() {
    let gateway = gateway();
    let id = gateway.create_key("ci").done().id;
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        sign_in(browser, &gateway).await;
        let new = renew(browser, &id).await;
        assert_eq!(asks(browser).await, true);
        assert!(browser.text("#secret-warning").await.contains("only time"));
        let granted = json!({"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]});
        browser.debug("Browser.grantPermissions", granted).await;
        browser.press("Copy").await;
        browser.wait_for_text("[data-when-copied]", "Copied").await;
        assert_eq!(asks(browser).await, false);
        assert_eq!(browser.text("#secret-warning").await, "", "it has been heeded");
        let read = "const done = arguments[0]; navigator.clipboard.readText().then(done, e => done(String(e)))";
        assert_eq!(browser.script_later(read).await, new);
        assert_eq!(browser.faults().await, Vec::<String>::new());
    });
}

#[test]
fn a_connection_that_is_lost_at_any_step_leaves_both_tokens_working() {
    let gateway = gateway();
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        sign_in(browser, &gateway).await;
        for step in ["shown", "later", "now", "delete", "undo"] {
            let old = gateway.create_key(step).done();
            let new = renew(browser, &old.id).await;
            browser.press("Copy").await;
            browser.wait_for_text("[data-when-copied]", "Copied").await;
            if ["later", "now"].contains(&step) {
                browser.click(&format!("input[value={step}]")).await;
            }
            if ["delete", "undo"].contains(&step) {
                browser.press("Complete").await;
                browser.press(if step == "undo" { "Undo renewal" } else { "Delete old token" }).await;
                browser.see("#close-title").await;
            }
            browser.network(Network::Lost).await;
            if step != "shown" {
                drop(browser.try_click("main .card-foot button").await); // a page that cannot be loaded is an error
            }
            assert_eq!(both(&gateway, &old, &new), (200, 200), "{step}");
            assert_eq!(plan(&gateway, &old.id), "later", "{step}");
            browser.network(Network::There).await;
        }
    });
}

#[test]
fn a_page_that_renews_itself_says_when_it_cannot() {
    let gateway = gateway();
    let key = gateway.create_key("ci").done();
    gateway.renew(&key).done();
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        sign_in(browser, &gateway).await;
        browser.go(&format!("/console/keys/{}", key.id)).await;
        browser.see("#renewal-title").await;
        browser.network(Network::Lost).await;
        browser.wait_for_text("[data-stale]", "not up to date").await;
        browser.network(Network::There).await;
        browser.see("[data-stale][hidden]").await;
        gateway.admin("DELETE", &format!("/v1/keys/{}", key.id), None);
        browser.wait_for_text("[data-stale]", "there no more").await;
        assert!(browser.has("#renewal-title").await, "what was read is not taken away");
    });
}
