//! The renewal, as an administrator does it.

use relevo::domain::Span;
use serde_json::json;

use super::{Browser, ENGLISH, Manner, Scripts, both, gateway, open_menu, shown_token, sign_in};

#[test]
fn a_token_is_renewed_and_the_old_one_deleted_later_in_english() {
    let gateway = gateway();
    let old = gateway.create_key("payments-api").done();
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        sign_in(browser, &gateway).await;
        open_menu(browser).await;
        browser.press("Renew token").await;
        let new = shown_token(browser).await;
        assert_eq!(both(&gateway, &old, &new), (200, 200));
        assert!(!browser.place().await.contains(&new));
        assert!(browser.text("#secret-warning").await.contains("only time"));
        browser.press("Copy").await;
        browser.wait_for_text("[data-when-copied]", "Copied").await;
        browser.press("Complete").await;
        browser.wait_for_text("#renewal-title", "Renewal in progress").await;
        assert!(!browser.source().await.contains(&new), "the token is shown once");
        browser.go("/console/keys").await;
        assert!(browser.text(".note.pending").await.contains("1 key has an old token"));
        assert!(browser.text("tr.pending .badge").await.contains("Pending deletion: old token"));
        open_menu(browser).await;
        browser.press("Delete old token").await;
        browser.wait_for_text("main", "Who would be cut off").await;
        assert_eq!(both(&gateway, &old, &new), (200, 200));
        browser.press("Delete").await;
        browser.wait_for_text(".note.good", "The old token is deleted").await;
        assert_eq!(both(&gateway, &old, &new), (401, 200));
        assert_eq!(browser.faults().await, Vec::<String>::new());
    });
}

#[test]
fn a_renewal_is_undone_in_spanish() {
    let gateway = gateway();
    let old = gateway.create_key("pagos").done();
    let manner = Manner { language: "es-MX,es", ..ENGLISH };
    Browser::run(gateway.admin_address(), manner, async |browser| {
        sign_in(browser, &gateway).await;
        open_menu(browser).await;
        browser.press("Renovar token").await;
        let new = shown_token(browser).await;
        browser.press("Copiar").await;
        browser.wait_for_text("[data-when-copied]", "Copiado").await;
        browser.press("Finalizar").await;
        browser.press("Deshacer renovaci\u{f3}n").await;
        browser.wait_for_text("main", "Qui\u{e9}n usa ya el token nuevo").await;
        assert_eq!(both(&gateway, &old, &new), (200, 200));
        browser.press("Deshacer").await;
        browser.wait_for_text(".note.good", "Solo funciona el token antiguo").await;
        assert_eq!(both(&gateway, &old, &new), (200, 401));
        assert_eq!(browser.faults().await, Vec::<String>::new());
    });
}

#[test]
fn the_old_token_is_deleted_now_in_portuguese() {
    let gateway = gateway();
    let old = gateway.create_key("pagamentos").done();
    let manner = Manner { language: "pt-BR", ..ENGLISH };
    Browser::run(gateway.admin_address(), manner, async |browser| {
        sign_in(browser, &gateway).await;
        open_menu(browser).await;
        browser.press("Renovar token").await;
        let new = shown_token(browser).await;
        browser.press("Copiar").await;
        browser.wait_for_text("[data-when-copied]", "Copiado").await;
        browser.click("input[value=now]").await;
        browser.wait_for_text("[data-for=now]", "Quem seria cortado").await;
        assert_eq!(both(&gateway, &old, &new), (200, 200), "nothing happens before it is completed");
        browser.press("Finalizar").await;
        browser.wait_for_text(".note.good", "S\u{f3} o novo funciona").await;
        assert_eq!(both(&gateway, &old, &new), (401, 200));
        assert_eq!(browser.faults().await, Vec::<String>::new());
    });
}

#[test]
fn a_deadline_is_chosen_a_mistake_told_and_the_plan_changed() {
    let gateway = gateway();
    let old = gateway.create_key("ci").done();
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        sign_in(browser, &gateway).await;
        open_menu(browser).await;
        browser.press("Renew token").await;
        let new = shown_token(browser).await;
        browser.press("Copy").await;
        browser.wait_for_text("[data-when-copied]", "Copied").await;
        browser.click("#plan-after").await;
        browser.script("document.querySelector('#after').removeAttribute('min')").await;
        browser.fill("#after", "0").await;
        browser.press("Complete").await;
        browser.wait_for_text(".note.bad", "longer than nothing").await;
        assert!(!browser.has("#secret").await, "the token is shown once");
        browser.fill("#after", "2").await;
        browser.press("Complete").await;
        browser.wait_for_text(".next", "if the new one has been used by then").await;
        let renewal = gateway.admin("GET", &format!("/v1/keys/{}", old.id), None).json["renewal"].clone();
        assert_eq!(renewal["delete_old"]["after"], "2d", "{renewal}");
        browser.press("Change plan").await;
        browser.click("#plan-quiet").await;
        browser.press("Complete").await;
        browser.wait_for_text(".next", "not been used for 24 hours").await;
        assert_eq!(both(&gateway, &old, &new), (200, 200));
        assert_eq!(browser.faults().await, Vec::<String>::new());
    });
}

#[test]
fn closing_the_page_at_any_step_leaves_both_tokens_working() {
    let gateway = gateway();
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        sign_in(browser, &gateway).await;
        for step in ["shown", "copied", "now chosen", "planned", "asked to delete", "asked to undo"] {
            let old = gateway.create_key(step).done();
            let first = browser.open_tab().await;
            browser.go(&format!("/console/keys/{}", old.id)).await;
            browser.press("Renew token").await;
            let new = shown_token(browser).await;
            if step != "shown" {
                browser.press("Copy").await;
                browser.wait_for_text("[data-when-copied]", "Copied").await;
            }
            if step == "now chosen" {
                browser.click("input[value=now]").await;
            }
            if step == "planned" || step.starts_with("asked") {
                browser.press("Complete").await;
                browser.see("#renewal-title").await;
            }
            if step.starts_with("asked") {
                browser.press(if step.ends_with("undo") { "Undo renewal" } else { "Delete old token" }).await;
                browser.see("#close-title").await;
            }
            browser.close_tab(first).await;
            assert_eq!(both(&gateway, &old, &new), (200, 200), "{step}");
            let renewal = gateway.admin("GET", &format!("/v1/keys/{}", old.id), None).json["renewal"].clone();
            assert_eq!(renewal["delete_old"], "later", "{step}");
        }
    });
}

#[test]
fn the_token_is_in_no_address_no_storage_and_no_second_answer() {
    let gateway = gateway();
    gateway.create_key("ci").done();
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        sign_in(browser, &gateway).await;
        open_menu(browser).await;
        browser.press("Renew token").await;
        let new = shown_token(browser).await;
        browser.press("Copy").await;
        browser.wait_for_text("[data-when-copied]", "Copied").await;
        let kept = browser
            .script("return JSON.stringify([location.href, history.state, {...localStorage}, {...sessionStorage}, document.cookie])")
            .await;
        assert!(!kept.to_string().contains(&new), "{kept}");
        browser.press("Complete").await;
        browser.see("#renewal-title").await;
        browser.back().await;
        let back = browser.source().await;
        assert!(!back.contains(&new), "the browser's memory of pages holds the token");
        // The address typed once more leads to the key, and asking once more mints nothing.
        let id = gateway.admin("GET", "/v1/keys/ci", None).json["id"].as_str().expect("an id").to_owned();
        browser.go(&format!("/console/keys/{id}/renew")).await;
        assert_eq!(browser.place().await, format!("/console/keys/{id}"));
    });
}

#[test]
fn everything_works_without_javascript() {
    let gateway = gateway();
    let old = gateway.create_key("ci").done();
    let manner = Manner { scripts: Scripts::Off, ..ENGLISH };
    Browser::run(gateway.admin_address(), manner, async |browser| {
        sign_in(browser, &gateway).await;
        let hint = browser.see("td[data-label='Token duration'] time[title$=UTC]").await;
        drop(hint);
        open_menu(browser).await;
        browser.press("Renew token").await;
        let new = shown_token(browser).await;
        assert!(browser.text("#secret-warning").await.contains("only time"));
        assert!(browser.text("[data-for=now]").await.contains("Who would be cut off"));
        assert_eq!(both(&gateway, &old, &new), (200, 200));
        browser.press("Complete").await;
        browser.press("Undo renewal").await;
        browser.press("Undo").await;
        browser.wait_for_text(".note.good", "Only the old token works").await;
        assert_eq!(both(&gateway, &old, &new), (200, 401));
        browser.press("Renew token").await;
        let new = shown_token(browser).await;
        browser.click("input[value=now]").await;
        browser.press("Complete").await;
        browser.wait_for_text(".note.good", "The old token is deleted").await;
        assert_eq!(both(&gateway, &old, &new), (401, 200));
    });
}

#[test]
fn during_a_renewal_the_list_and_the_keys_page_tell_both_tokens_durations_with_the_exact_end_of_each() {
    let gateway = gateway();
    let old = gateway.create_key("ci").done();
    gateway.clock.advance(Span::days(20));
    gateway.renew(&old).done();
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        sign_in(browser, &gateway).await;
        for (place, sides) in [
            ("/console/keys".to_owned(), "td[data-label=\"Token duration\"] .lives > div"),
            (format!("/console/keys/{}", old.id), ".pair .side"),
        ] {
            browser.go(&place).await;
            let shown = format!(
                "return [...document.querySelectorAll('{sides}')].map(side => [side.innerText.split(/\\s/)[0],
                    side.querySelector('.life').innerText, side.querySelector('.life time').title])"
            );
            let expected = json!([
                ["Old", "70 days left", "February 21, 2027 at 12:00:00 PM UTC"],
                ["New", "90 days left", "March 13, 2027 at 12:00:00 PM UTC"],
            ]);
            assert_eq!(browser.script(&shown).await, expected, "{place}");
        }
    });
}
