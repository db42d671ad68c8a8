//! A renewal watched while callers move from the old token to the new one: what the page says is what they meet.

use serde_json::Value;

use super::super::support::backend::Backend;
use super::super::support::gateway::{Holder, TestGateway};
use super::super::support::request::request;
use super::{Browser, ENGLISH, Manner, shown_token, sign_in};

/// A gateway that believes who its callers say they are.
fn gateway(backend: &Backend) -> TestGateway {
    TestGateway::in_front_of(backend).gateway("gateway.trusted_proxies = [\"127.0.0.0/8\"]\n").start()
}

/// One integration, as the gateway sees it.
struct Caller<'g> {
    gateway: &'g TestGateway,
    address: &'static str,
    agent: &'static str,
}

impl Caller<'_> {
    /// What it is answered, so many times.
    fn calls(&self, token: &str, times: usize) -> Vec<u16> {
        let call = request("GET", "/").token(token).header("User-Agent", self.agent);
        let call = call.header("X-Forwarded-For", self.address);
        (0..times).map(|_| self.gateway.ask(&call).status).collect()
    }
}

/// Renews the token on the key's page, leaving the old one.
async fn renew(browser: &Browser, id: &str, words: [&str; 4]) -> String {
    let [renew, copy, copied, complete] = words;
    browser.go(&format!("/console/keys/{id}")).await;
    browser.press(renew).await;
    let new = shown_token(browser).await;
    browser.press(copy).await;
    browser.wait_for_text("[data-when-copied]", copied).await;
    browser.press(complete).await;
    browser.see("#renewal-title").await;
    new
}

/// How wide the new token's part of the bar is, of a hundred.
async fn bar(browser: &Browser) -> Value {
    browser.script("return document.querySelector('.meter-new').getAttribute('width')").await
}

#[test]
fn a_renewal_is_watched_until_the_last_caller_has_moved_and_then_the_old_token_is_deleted() {
    let backend = Backend::answering("hello");
    let gateway = gateway(&backend);
    let old = gateway.create_key("warehouse").done().token;
    let id = gateway.admin("GET", "/v1/keys/warehouse", None).json["id"].as_str().expect("an id").to_owned();
    let shop = Caller { gateway: &gateway, address: "198.51.100.7", agent: "shop/2.1" };
    let robot = Caller { gateway: &gateway, address: "198.51.100.9", agent: "robot/7" };
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        sign_in(browser, &gateway).await;
        let new = renew(browser, &id, ["Renew token", "Copy", "Copied", "Complete"]).await;
        browser.wait_for_text(".adoption-text", "No request in the last hour").await;
        browser.script("window.stays = true").await;

        assert_eq!((shop.calls(&old, 3), robot.calls(&old, 1)), (vec![200; 3], vec![200]));
        browser.wait_for_text(".adoption-text", "0% of 4 requests").await;
        browser.wait_for_text(".side.old .callers", "198.51.100.7").await;
        browser.wait_for_text(".side.old .callers", "robot/7").await;
        browser.wait_for_text(".side.new", "Nobody has been seen").await;
        assert_eq!(bar(browser).await, "0");

        assert_eq!(shop.calls(&new, 6), vec![200; 6]);
        browser.wait_for_text(".adoption-text", "60% of 10 requests").await;
        assert_eq!(bar(browser).await, "60");
        browser.wait_for_text(".side.new .callers", "shop/2.1").await;
        browser.wait_for_text(".legend", "New token: 6").await;
        assert_eq!(browser.script("return window.stays").await, true, "the page was not asked for again");

        browser.press("Delete old token").await;
        browser.wait_for_text("main", "1 caller has used the old token and not the new one since: it would be").await;
        browser.wait_for_text("main", "1 caller has used the new token since: it goes on").await;
        browser.wait_for_text(".callers li:has(.moved)", "shop/2.1").await;
        browser.wait_for_text(".callers li:not(:has(.moved))", "robot/7").await;
        browser.wait_for_text("main", "The old token was last used").await;
        assert_eq!((robot.calls(&old, 1), shop.calls(&new, 1)), (vec![200], vec![200]), "asking ends nothing");
        browser.press("Cancel").await;

        browser.press("Undo renewal").await;
        browser.wait_for_text("main", "1 caller uses the new token already: it would be refused").await;
        browser.wait_for_text(".callers", "shop/2.1").await;
        browser.press("Cancel").await;

        assert_eq!(robot.calls(&new, 1), vec![200]);
        browser.wait_for_text(".side.new .callers", "robot/7").await;
        browser.press("Delete old token").await;
        browser.wait_for_text("main", "every caller of the old token has used the new one since").await;
        browser.press("Delete").await;
        browser.wait_for_text(".note.good", "Only the new one works").await;
        assert!(!browser.has("#renewal-title").await);
        for caller in [&shop, &robot] {
            assert_eq!((caller.calls(&old, 1), caller.calls(&new, 1)), (vec![401], vec![200]));
        }
        assert_eq!(browser.faults().await, Vec::<String>::new());
    });
}

#[test]
fn undoing_tells_in_portuguese_who_uses_the_new_token_and_is_then_refused() {
    let backend = Backend::answering("hello");
    let gateway = gateway(&backend);
    let Holder { id, token: old, .. } = gateway.create_key("estoque").done();
    let shop = Caller { gateway: &gateway, address: "198.51.100.7", agent: "loja/2.1" };
    Browser::run(gateway.admin_address(), Manner { language: "pt", ..ENGLISH }, async |browser| {
        sign_in(browser, &gateway).await;
        let new = renew(browser, &id, ["Renovar token", "Copiar", "Copiado", "Finalizar"]).await;
        browser.press("Desfazer renova\u{e7}\u{e3}o").await;
        browser.wait_for_text("main", "ningu\u{e9}m \u{e9} afetado").await;
        browser.press("Cancelar").await;
        assert_eq!(shop.calls(&new, 2), vec![200; 2]);
        browser.wait_for_text(".adoption-text", "100% de 2 requisi\u{e7}\u{f5}es").await;
        browser.press("Desfazer renova\u{e7}\u{e3}o").await;
        browser.wait_for_text("main", "1 cliente j\u{e1} usa o token novo: seria recusado").await;
        browser.wait_for_text(".callers", "198.51.100.7").await;
        browser.press("Desfazer").await;
        browser.wait_for_text(".note.good", "S\u{f3} o token antigo funciona").await;
        assert_eq!((shop.calls(&old, 1), shop.calls(&new, 1)), (vec![200], vec![401]));
        assert_eq!(browser.faults().await, Vec::<String>::new());
    });
}
