//! The rest of a key's life, the settings and the audit log.

use super::super::support::gateway::{Holder, TestGateway};
use super::{Browser, ENGLISH, Manner, gateway, shown_token, sign_in};
use relevo::domain::Span;

#[test]
fn a_key_is_generated_edited_switched_and_deleted_in_spanish() {
    let gateway = gateway();
    gateway.create_key("ocupado").done();
    let manner = Manner { language: "es", ..ENGLISH };
    Browser::run(gateway.admin_address(), manner, async |browser| {
        sign_in(browser, &gateway).await;
        browser.press("Generar clave").await;
        browser.fill("#name", "Ocupado").await;
        browser.fill("#roles", "Lectura x:y").await;
        browser.press("Generar clave").await;
        browser.wait_for_text(".note.bad", "Hay campos por corregir").await;
        assert_eq!(browser.property("#roles", "value").await, "Lectura x:y", "nothing that was typed is lost");
        browser.fill("#roles", "x:y, x:z").await;
        browser.press("Generar clave").await;
        browser.wait_for_text("#name-hint", "Otra clave tiene ese nombre").await;
        browser.fill("#name", "integraci\u{f3}n").await;
        browser.press("Generar clave").await;
        let token = shown_token(browser).await;
        browser.press("Copiar").await;
        browser.wait_for_text("[data-when-copied]", "Copiado").await;
        let made = gateway.admin("GET", "/v1/keys/integraci%C3%B3n", None).json;
        assert_eq!(made["roles"], serde_json::json!(["x:y", "x:z"]));
        let id = made["id"].as_str().expect("an id").to_owned();
        let holder = Holder { id: id.clone(), name: String::new(), token };
        assert_eq!(gateway.status_with(&holder), 200);

        browser.press("Finalizar").await;
        browser.press("Editar").await;
        browser.fill("#owner", "Log\u{ed}stica").await;
        browser.click("[name=limits][value=own]").await;
        browser.fill("#rate", "muchas").await;
        browser.press("Guardar").await;
        browser.see("#rate[aria-invalid=true]").await;
        assert_eq!(browser.property("#rate", "value").await, "muchas", "nothing that was typed is lost");
        browser.fill("#rate", "100/1s").await;
        browser.fill("#concurrent", "5").await;
        browser.press("Guardar").await;
        browser.wait_for_text(".note.good", "guardado").await;
        assert!(browser.text(".lines").await.contains("Responsable \u{2013}"), "the history tells what changed");
        let limits = gateway.admin("GET", &format!("/v1/keys/{id}"), None).json["limits"].clone();
        let asked = serde_json::json!({"rate": {"requests": 100, "per": "1s", "burst": 100}, "concurrent": 5});
        assert_eq!(limits, asked);
        assert!(browser.text("main").await.contains("100 peticiones cada"), "they are told in words");

        browser.go(&format!("/console/keys/{id}/switch")).await;
        browser.press("Desactivar").await;
        browser.wait_for_text(".note.good", "inactiva").await;
        assert_eq!(gateway.status_with(&holder), 401);
        browser.go(&format!("/console/keys/{id}/switch")).await;
        browser.press("Activar").await;
        browser.wait_for_text(".note.good", "activa").await;
        assert_eq!(gateway.status_with(&holder), 200);

        browser.go(&format!("/console/keys/{id}/delete")).await;
        browser.script("document.querySelector('[name=understood]').required = false").await;
        browser.press("Eliminar").await;
        browser.wait_for_text(".note.bad", "Marque la casilla").await;
        assert_eq!(gateway.status_with(&holder), 200);
        browser.click("[name=understood]").await;
        browser.press("Eliminar").await;
        browser.wait_for_text(".note.good", "La clave se ha eliminado").await;
        assert_eq!(gateway.status_with(&holder), 401);
        assert_eq!(browser.faults().await, Vec::<String>::new());
    });
}

#[test]
fn a_shorter_duration_tells_whose_tokens_end_before_it_ends_them() {
    let gateway = gateway();
    let key = gateway.create_key("nightly").done();
    gateway.clock.advance(Span::days(30));
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        sign_in(browser, &gateway).await;
        browser.go("/console/settings").await;
        browser.fill("#span", "7 moons").await;
        browser.press("Save").await;
        browser.see("#span[aria-invalid=true]").await;
        browser.fill("#span", "7d").await;
        browser.press("Save").await;
        browser.wait_for_text(".note.warn", "1 living token would end at once").await;
        browser.wait_for_text(".note.warn a", "nightly").await;
        assert_eq!(gateway.status_with(&key), 200, "nothing is done before it is confirmed");
        browser.click("[name=confirm]").await;
        browser.press("Save").await;
        browser.wait_for_text(".note.good", "in force").await;
        assert_eq!(gateway.status_with(&key), 401);
        browser.go("/console/keys?show=outdated").await;
        browser.wait_for_text(".life.outdated", "Outdated").await;
        // Renewing is how an expired key comes back: there is nothing to plan.
        browser.go(&format!("/console/keys/{}", key.id)).await;
        browser.press("Renew token").await;
        let new = Holder { token: shown_token(browser).await, ..key.clone() };
        browser.wait_for_text("main", "the new one is the only one").await;
        assert_eq!((gateway.status_with(&key), gateway.status_with(&new)), (401, 200));
        browser.go("/console/audit?action=settings.changed").await;
        browser.wait_for_text(".lines", "7d").await;
        browser.wait_for_text(".chain", "through revision").await;
        assert_eq!(browser.faults().await, Vec::<String>::new());
    });
}

#[test]
fn keys_are_searched_filtered_sorted_and_turned_page_by_page() {
    let gateway = gateway();
    for number in 0..60 {
        gateway.create_key(&format!("key {number:02}")).with("owner", format!("team {}", number % 2).into()).done();
        gateway.clock.advance(Span::minutes(1));
    }
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        sign_in(browser, &gateway).await;
        browser.wait_for_text(".foot p", "1\u{2013}25 of 60").await;
        browser.wait_for_text(".cell-name", "key 59").await;
        browser.click("thead th:first-child a").await;
        browser.wait_for_text(".cell-name", "key 00").await;
        browser.press("Next").await;
        browser.wait_for_text(".cell-name", "key 25").await;
        browser.press("Next").await;
        browser.wait_for_text(".foot p", "51\u{2013}60 of 60").await;
        browser.press("Previous").await;
        browser.wait_for_text(".cell-name", "key 25").await;
        // The list follows what is typed, without a page being asked for.
        browser.fill("#q", "team 1").await;
        browser.wait_for_text(".foot p", "1\u{2013}25 of 30").await;
        browser.fill("#q", "nothing like it").await;
        browser.wait_for_text(".empty", "No key matches").await;
        browser.press("Show every key").await;
        browser.wait_for_text(".foot p", "1\u{2013}25 of 60").await;
        assert_eq!(browser.faults().await, Vec::<String>::new());
    });
}

#[test]
fn the_overview_counts_the_last_hour_and_tells_what_needs_attention() {
    let gateway = gateway();
    let key = gateway.create_key("ci").with("duration", "10d".into()).done();
    gateway.renew(&key).deleting_old_after(Span::days(3)).done();
    for _ in 0..4 {
        gateway.status_with(&key);
    }
    let nobody = Holder { token: "rlv_nobody_of_this_name".into(), ..key.clone() };
    assert_eq!(gateway.status_with(&nobody), 401);
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        sign_in(browser, &gateway).await;
        browser.go("/console/").await;
        browser.wait_for_text(".chart[aria-label=Requests]", "5 in the last hour").await;
        browser.wait_for_text(".chart[aria-label=Refusals]", "1 in the last hour").await;
        browser.wait_for_text("[aria-labelledby=attention]", "in 3 days").await;
        browser.wait_for_text("[aria-labelledby=ending]", "10 days left").await;
        browser.wait_for_text("[aria-labelledby=health]", "Keys loaded").await;
        browser.click(".figure.old a").await;
        browser.wait_for_text(".cell-name", "ci").await;
        assert_eq!(browser.faults().await, Vec::<String>::new());
    });
}

#[test]
fn the_overview_tells_in_spanish_which_upstream_does_not_answer() {
    let dead =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("an address");
    let upstream = format!(
        "[[upstreams]]\nname = \"backend\"\nendpoints = [\"http://{dead}\"]\nhealth = {{ interval = \"50ms\" }}"
    );
    let gateway = TestGateway::with_upstreams(&upstream).start();
    Browser::run(gateway.admin_address(), Manner { language: "es", ..ENGLISH }, async |browser| {
        browser.go("/console/").await;
        browser.fill("#token", gateway.root_token()).await;
        browser.click("main form button").await;
        browser.wait_for_text("[aria-labelledby=health]", "Claves cargadas\nBien").await;
        browser.wait_for_text("li:has(.status.bad)", "Servidor de destino").await;
        browser.wait_for_text("li:has(.status.bad) > bdi", "backend").await;
        browser.wait_for_text("li:has(.status.bad)", &dead.to_string()).await;
        assert_eq!(browser.faults().await, Vec::<String>::new());
    });
}

#[test]
fn a_renewal_that_is_held_says_so_wherever_it_is_looked_at() {
    let gateway = gateway();
    let key = gateway.create_key("ci").done();
    let new = gateway.renew(&key).deleting_old_after(Span::days(3)).done();
    gateway.clock.advance(Span::days(3));
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        sign_in(browser, &gateway).await;
        browser.wait_for_text("tr.pending .badge", "Held: new token not used").await;
        browser.press("ci").await;
        browser.wait_for_text(".next", "so nothing was deleted").await;
        browser.wait_for_text(".renewal .badge", "Held").await;
        browser.go("/console/").await;
        browser.wait_for_text("[aria-labelledby=attention]", "Held").await;
        assert_eq!((gateway.status_with(&key), gateway.status_with(&new)), (200, 200));
        assert_eq!(browser.faults().await, Vec::<String>::new());
    });
}

#[test]
fn what_happens_at_the_end_is_changed_when_it_is_told_whose_tokens_come_back() {
    let gateway = gateway();
    let key = gateway.create_key("nightly").done();
    gateway.clock.advance(Span::days(91));
    assert_eq!(gateway.status_with(&key), 401);
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        sign_in(browser, &gateway).await;
        browser.go("/console/settings").await;
        browser.click("input[value=warn]").await;
        browser.press("Save").await;
        browser.wait_for_text(".note.warn", "1 ended token would work again").await;
        browser.wait_for_text(".note.warn a", "nightly").await;
        assert_eq!(gateway.status_with(&key), 401, "nothing is done before it is confirmed");
        browser.click("[name=confirm]").await;
        browser.press("Save").await;
        browser.wait_for_text(".note.good", "in force").await;
        assert_eq!(gateway.status_with(&key), 200);
        browser.go(&format!("/console/keys/{}", key.id)).await;
        browser.wait_for_text(".life.outdated", "Outdated").await;
        assert_eq!(browser.faults().await, Vec::<String>::new());
    });
}
