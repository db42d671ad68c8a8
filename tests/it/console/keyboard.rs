//! The console by the keyboard alone, and where the focus is meanwhile.

use super::super::support::gateway::TestGateway;
use super::{Browser, ENGLISH, both, gateway, shown_token, sign_in};

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";
const DOWN: &str = "\u{e015}";
const UP: &str = "\u{e013}";
/// More stops than any page of these tests has.
const STOPS: usize = 60;

/// Goes on by the tab key until the focus is there. At every stop it can be seen where it is.
async fn tab_to(browser: &Browser, css: &str) {
    let look = format!(
        "const at = document.activeElement, box = at.getBoundingClientRect(), style = getComputedStyle(at);
        const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
        const seen = style.outlineStyle !== 'none' && box.width > 0 && box.bottom > 0 && box.top < innerHeight
            && top !== null && (at.contains(top) || top.contains(at));
        return [at.matches({css:?}), seen, at.outerHTML.slice(0, 200)];"
    );
    for _ in 0..STOPS {
        browser.keys(TAB).await;
        let told = browser.script(&look).await;
        assert_eq!(told[1], true, "the focus cannot be seen at {}", told[2]);
        if told[0] == true {
            return;
        }
    }
    panic!("the tab key does not lead to {css}");
}

async fn has_focus(browser: &Browser, css: &str) -> bool {
    browser.script(&format!("return document.activeElement.matches({css:?})")).await == true
}

async fn is_open(browser: &Browser) -> bool {
    browser.has(".cell-menu details[open]").await
}

/// Signs in, with a token typed into the field that has the focus.
async fn type_token(browser: &Browser, gateway: &TestGateway) {
    browser.go("/console/sign-in?next=%2Fconsole%2Fkeys").await;
    browser.see("#token:focus").await;
    browser.keys(gateway.root_token()).await;
    browser.keys(ENTER).await;
    browser.see(".account-name").await;
}

#[test]
fn a_token_is_renewed_and_the_old_one_deleted_by_the_keyboard_alone() {
    let gateway = gateway();
    let old = gateway.create_key("ci").done();
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        type_token(browser, &gateway).await;
        tab_to(browser, ".skip").await;
        browser.keys(ENTER).await;
        browser.see("main:focus").await;
        tab_to(browser, ".cell-menu summary").await;
        browser.keys(ENTER).await;
        assert!(is_open(browser).await);
        tab_to(browser, ".menu-item").await;
        browser.keys(ESCAPE).await;
        assert!(!is_open(browser).await);
        assert!(has_focus(browser, ".cell-menu summary").await, "the focus is where it came from");
        browser.keys(" ").await;
        assert!(is_open(browser).await);
        tab_to(browser, ".cell-menu form button").await;
        browser.keys(ENTER).await;
        let new = shown_token(browser).await;
        browser.see("#secret:focus").await;
        tab_to(browser, "[data-copy]").await;
        browser.keys(ENTER).await;
        browser.wait_for_text("[data-when-copied]", "Copied").await;
        tab_to(browser, "input[value=later]").await;
        browser.keys(DOWN).await;
        browser.wait_for_text("[data-for=now]", "Who would be cut off").await;
        browser.keys(UP).await;
        tab_to(browser, ".card-foot .primary").await;
        assert_eq!(both(&gateway, &old, &new), (200, 200));
        browser.keys(ENTER).await;
        browser.see("#renewal-title").await;
        tab_to(browser, "#live .card-foot a").await;
        browser.wait_for_text(".legend", "Old token: 1").await;
        assert_eq!(gateway.status_with(&old), 200);
        browser.wait_for_text(".legend", "Old token: 2").await;
        assert!(has_focus(browser, "#live .card-foot a").await, "a page that renews itself leaves the focus alone");
        browser.keys(ENTER).await;
        browser.see("#close-title").await;
        tab_to(browser, ".button.danger").await;
        browser.keys(ENTER).await;
        browser.wait_for_text(".note.good", "The old token is deleted").await;
        assert_eq!(both(&gateway, &old, &new), (401, 200));
        assert_eq!(browser.faults().await, Vec::<String>::new());
    });
}

#[test]
fn the_focus_is_seen_at_every_stop_of_the_longest_forms() {
    let gateway = gateway();
    let id = gateway.create_key("ci").done().id;
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        sign_in(browser, &gateway).await;
        for path in [
            "/console/keys/new".to_owned(),
            "/console/admins/new".into(),
            format!("/console/keys/{id}/edit"),
            "/console/settings".into(),
        ] {
            browser.go(&path).await;
            tab_to(browser, ".card-foot .primary").await;
        }
        browser.go("/console/audit").await;
        tab_to(browser, ".filters button").await;
        browser.go("/console/").await;
        tab_to(browser, ".figure:last-child a").await;
    });
}
