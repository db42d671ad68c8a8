//! The console without JavaScript: everything that is not a renewal (that is in `flow`).

use super::super::support::gateway::Holder;
use super::{Browser, ENGLISH, Manner, Scripts, gateway, shown_token, sign_in};
use relevo::domain::Span;

const PLAIN: Manner = Manner { scripts: Scripts::Off, ..ENGLISH };

#[test]
fn a_keys_life_needs_no_javascript() {
    let gateway = gateway();
    Browser::run(gateway.admin_address(), PLAIN, async |browser| {
        sign_in(browser, &gateway).await;
        browser.press("Generate key").await;
        browser.fill("#name", "ci").await;
        browser.click("[name=limits][value=own]").await;
        browser.fill("#quota", "5/day").await;
        browser.press("Generate key").await;
        let token = shown_token(browser).await;
        browser.see("#secret:focus").await;
        browser.wait_for_text("main noscript", "Ctrl+A selects the whole token").await;
        browser.chord(["\u{e009}", "a"]).await;
        assert_eq!(browser.property("#secret", "selectionEnd").await, token.len().to_string(), "it is selected");
        assert!(browser.text("#secret-warning").await.contains("only time"));
        let id = gateway.admin("GET", "/v1/keys/ci", None).json["id"].as_str().expect("an id").to_owned();
        let holder = Holder { id: id.clone(), name: "ci".into(), token };
        assert_eq!(gateway.status_with(&holder), 200);
        browser.press("Complete").await;
        browser.wait_for_text(".facts", "UTC").await;
        browser.press("Edit").await;
        browser.fill("#owner", "Apps").await;
        browser.press("Save").await;
        browser.wait_for_text(".note.good", "saved").await;
        for (button, status) in [("Deactivate", 401), ("Activate", 200)] {
            browser.click(".head .menu summary").await;
            browser.press(button).await;
            browser.see("#switch-title").await;
            browser.press(button).await;
            browser.see(".note.good").await;
            assert_eq!(gateway.status_with(&holder), status);
        }
        browser.click(".head .menu summary").await;
        browser.press("Delete key").await;
        browser.click("[name=understood]").await;
        browser.press("Delete").await;
        browser.wait_for_text(".note.good", "deleted").await;
        assert_eq!(gateway.status_with(&holder), 401);
    });
}

#[test]
fn a_renewals_plan_the_list_and_everything_around_need_no_javascript() {
    let gateway = gateway();
    let key = gateway.create_key("ci").with("owner", "Apps".into()).done();
    gateway.create_key("other").done();
    gateway.renew(&key).done();
    gateway.clock.advance(Span::days(8));
    Browser::run(gateway.admin_address(), PLAIN, async |browser| {
        sign_in(browser, &gateway).await;
        browser.fill("#q", "apps").await;
        browser.press("Search").await;
        browser.wait_for_text(".foot p", "1\u{2013}1 of 1").await;
        browser.press("Being renewed").await;
        browser.wait_for_text(".foot p", "1\u{2013}1 of 1").await;
        browser.click("thead th:first-child a").await;
        browser.see("th[aria-sort=ascending]").await;
        browser.press("ci").await;
        browser.press("Change plan").await;
        browser.click("#plan-after").await;
        browser.fill("#after", "9").await;
        browser.press("Complete").await;
        browser.wait_for_text(".next", "if the new one has been used by then").await;
        browser.press("Change plan").await;
        assert_eq!(browser.property("#after", "value").await, "9", "the form begins with the plan in force");
        browser.wait_for_text(".next", "Deadline").await;
        browser.wait_for_text(".card-foot", "the plan stays as it is").await;

        browser.go("/console/settings").await;
        browser.fill("#span", "7d").await;
        browser.press("Save").await;
        browser.wait_for_text(".note.warn", "3 living tokens would end at once").await;
        browser.click("[name=confirm]").await;
        browser.press("Save").await;
        browser.wait_for_text(".note.good", "in force").await;
        browser.go("/console/audit").await;
        browser.fill("#actor", "root").await;
        browser.press("Search").await;
        browser.wait_for_text(".lines", "Settings changed").await;
        browser.go("/console/admins/new").await;
        browser.fill("#name", "ana").await;
        browser.click("[name='may-keys:read']").await;
        browser.press("Create administrator").await;
        assert!(shown_token(browser).await.starts_with("rlva_"));
        browser.click(".account summary").await;
        browser.click("button[value=es]").await;
        browser.see("html[lang=es]").await;
        browser.click(".account summary").await;
        browser.click(".menu-foot button").await;
        browser.see("#token").await;
    });
}
