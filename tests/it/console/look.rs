//! Every page, looked at by axe-core, light and dark, and by its width on a small screen.

use std::fmt::Write as _;

use serde_json::Value;

use super::access::{page, session_of};
use super::gallery::{self, Scene};
use super::{Browser, ENGLISH, Manner, gateway, sign_in};
use crate::support::request::request;

const AXE: &str = include_str!("../../assets/axe.min.js");
/// WCAG 2.2, levels A and AA, with the size of targets, and what axe holds good practice.
const RUN: &str = "const done = arguments[arguments.length - 1];
    axe.run(document, {resultTypes: ['violations'], rules: {'target-size': {enabled: true}}}).then(r => done(r.violations), e => done([{id: String(e), nodes: []}]));";

/// What axe finds wrong with the page as it is.
async fn violations(browser: &Browser) -> String {
    // Through the debugger, as the page's own policy would not let it in.
    browser.debug("Runtime.evaluate", serde_json::json!({"expression": AXE, "returnByValue": false})).await;
    let found = browser.script_later(RUN).await;
    let mut text = String::new();
    for violation in found.as_array().expect("a list") {
        let nodes = violation["nodes"].as_array().expect("nodes");
        let places: Vec<_> =
            nodes.iter().map(|node| format!("{} {}", node["target"], node["failureSummary"])).collect();
        let _ = write!(text, "\n{}: {}", violation["id"], places.join("\n    "));
    }
    text
}

/// What is wrong with the page `name`, which `enter` goes to: as axe sees it, light and dark, and on a small screen.
async fn wrong_with(browser: &Browser, name: &str, enter: impl AsyncFn()) -> String {
    let mut wrong = String::new();
    for theme in ["light", "dark"] {
        gallery::dress(browser, theme, 1280).await;
        enter().await;
        let found = violations(browser).await;
        if !found.is_empty() {
            let _ = write!(wrong, "\n== {name}, {theme}{found}");
        }
    }
    gallery::dress(browser, "light", 360).await;
    let width = browser.script("return document.documentElement.scrollWidth").await;
    if width.as_u64().is_none_or(|width| width > 360) {
        let _ = write!(wrong, "\n== {name} is {width} wide on a screen of 360");
    }
    let hidden =
        "return [...document.querySelectorAll('.nav a')].filter(a => a.getBoundingClientRect().right > 360).length";
    if browser.script(hidden).await != 0 {
        let _ = write!(wrong, "\n== {name} hides a part of its navigation on a screen of 360");
    }
    let text = browser.script("return document.documentElement.outerHTML").await;
    if text.as_str().is_none_or(|text| text.contains('\u{27e6}')) {
        let _ = write!(wrong, "\n== {name} lacks a message");
    }
    wrong
}

#[test]
fn axe_finds_nothing_wrong_with_any_page_and_no_page_is_wider_than_a_telephone() {
    let gateway = gateway();
    let scenes = gallery::furnish(&gateway);
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        let mut wrong = String::new();
        let mut signed_in = false;
        for Scene { name, path, steps } in &scenes {
            if !gallery::is_before_sign_in(path) && !signed_in {
                sign_in(browser, &gateway).await;
                signed_in = true;
            }
            wrong += &wrong_with(browser, name, async || gallery::enter(browser, path, steps).await).await;
        }
        assert!(wrong.is_empty(), "{wrong}");
        let faults = browser.faults().await;
        assert!(faults.is_empty(), "{faults:?}");
    });
}

#[test]
fn axe_finds_nothing_wrong_with_what_somebody_sees_who_may_do_little_or_comes_too_late() {
    let gateway = gateway();
    let old = gateway.create_key("ci").done();
    gateway.renew(&old).done();
    let body = serde_json::json!({"name": "auditor", "permissions": ["audit:read"]});
    let auditor = gateway.admin("POST", "/v1/admins", Some(&body)).json;
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        browser.go("/console/sign-in").await;
        browser.fill("#token", auditor["token"].as_str().expect("a token")).await;
        browser.click("main form button").await;
        browser.see(".account-name").await;
        let mut wrong = String::new();
        let key = format!("/console/keys/{}", old.id);
        for path in ["/console/", "/console/keys", &key, "/console/settings", "/console/admins", "/console/audit"] {
            wrong += &wrong_with(browser, path, async || browser.go(path).await).await;
        }
        browser.click(".account summary").await;
        browser.click(".menu-foot button").await;
        browser.see("#token").await;
        sign_in(browser, &gateway).await;
        browser.go(&format!("/console/keys/{}/delete-old", old.id)).await;
        assert_eq!(gateway.delete_old(&old).status, 200);
        browser.press("Delete").await;
        browser.wait_for_text(".trouble h1", "has changed meanwhile").await;
        wrong += &wrong_with(browser, "too late", async || ()).await;
        assert!(wrong.is_empty(), "{wrong}");
        browser.press("Go to the key").await;
        browser.wait_for_text("h1", "ci").await;
    });
}

#[test]
fn names_that_look_like_something_else_are_only_names() {
    let gateway = gateway();
    let longest = "W".repeat(120);
    let hostile =
        ["<img src=x onerror=alert(1)>'\"&", "\u{5d0}\u{5d1}\u{5d2} abc \u{645}\u{631}\u{62d}\u{628}\u{627}", &longest];
    let mut ids = Vec::new();
    for name in hostile {
        let made = gateway.create_key(name).with("owner", "</td><script>alert(2)</script>".into());
        ids.push(made.with("note", "\u{202e}reversed <b>bold</b>".into()).done().id);
    }
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        sign_in(browser, &gateway).await;
        let shown =
            browser.script("return [...document.querySelectorAll('.cell-name > a')].map(a => a.textContent)").await;
        let shown: Vec<_> = shown.as_array().expect("names").iter().filter_map(Value::as_str).collect();
        for name in hostile {
            assert!(shown.contains(&name), "{name} is not among {shown:?}");
        }
        for (id, name) in ids.iter().zip(hostile) {
            gallery::dress(browser, "light", 360).await;
            browser.go(&format!("/console/keys/{id}")).await;
            assert_eq!(browser.script("return document.querySelector('h1').textContent").await, name);
            assert_eq!(browser.script("return document.querySelectorAll('img, main script').length").await, 0);
            let width = browser.script("return document.documentElement.scrollWidth").await;
            assert!(width.as_u64().is_some_and(|width| width <= 360), "{name} makes the page {width} wide");
        }
        assert_eq!(browser.faults().await, Vec::<String>::new());
    });
}

#[test]
fn every_page_has_all_its_words_in_every_language_and_carries_the_policy() {
    let gateway = gateway();
    let scenes = gallery::furnish(&gateway);
    let cookie = session_of(&gateway, gateway.root_token());
    for language in ["en", "es", "pt"] {
        for Scene { name, path, .. } in &scenes {
            let reply = page(&gateway, path, &format!("{cookie}; relevo-language={language}"));
            let text = reply.text();
            assert!(text.contains(&format!("<html lang=\"{language}\"")), "{name} is not in {language}");
            assert!(!text.contains('\u{27e6}'), "{name} lacks a message in {language}");
            for (header, value) in [("cache-control", "no-store"), ("x-frame-options", "DENY")] {
                assert_eq!(reply.header(header), Some(value), "{name}");
            }
            let policy = reply.header("content-security-policy").unwrap_or_default();
            assert!(
                policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"),
                "{name}"
            );
            assert!(!text.contains("<script>") && !text.contains(" style=\"") && !text.contains(" onclick"), "{name}");
        }
    }
}

#[test]
fn administrators_and_callers_with_names_like_markup_are_shown_harmlessly() {
    let gateway = gateway();
    let names = ["<svg onload=alert(1)>'\"&", "\u{5d0}\u{5d1}\u{5d2} \u{645}\u{631}\u{62d}", &"W".repeat(120)];
    let agents = ["<script>alert(1)</script>\"'", "\u{5d0}\u{5d1} <b>x</b>", &"W".repeat(5_000)];
    let old = gateway.create_key("ci").done();
    let new = gateway.renew(&old).done();
    for (holder, agent) in [&old, &new].into_iter().flat_map(|holder| agents.map(|agent| (holder, agent))) {
        let call = request("GET", "/").token(&holder.token).header("User-Agent", agent);
        assert_eq!(gateway.ask(&call).status, 200);
    }
    for name in names {
        let body = serde_json::json!({"name": name, "permissions": ["keys:read", "keys:write"], "note": "<i>note</i>"});
        let made = gateway.admin("POST", "/v1/admins", Some(&body)).json;
        let own = request("POST", "/v1/keys").token(made["token"].as_str().expect("a token"));
        let of_his = serde_json::json!({"name": format!("of {}", &made["admin"]["id"]).replace('"', "")}).to_string();
        let reply = gateway.admin_raw(&own.header("Content-Type", "application/json").body(of_his));
        assert_eq!(reply.status, 201, "{}", reply.json);
    }
    let admins = gateway.admin("GET", "/v1/admins", None).json["admins"].clone();
    let ids = admins.as_array().expect("a list").iter().filter_map(|admin| admin["id"].as_str());
    let mut paths: Vec<_> = ids.map(|id| format!("/console/admins/{id}")).collect();
    paths.extend(["", "/delete-old", "/undo", "/plan"].map(|rest| format!("/console/keys/{}{rest}", old.id)));
    paths.extend(["/console/admins".to_owned(), "/console/audit".to_owned(), "/console/".to_owned()]);
    Browser::run(gateway.admin_address(), Manner { language: "es", ..ENGLISH }, async |browser| {
        sign_in(browser, &gateway).await;
        gallery::dress(browser, "light", 360).await;
        let mut shown = String::new();
        for path in &paths {
            browser.go(path).await;
            shown += browser.script("return document.querySelector('main').textContent").await.as_str().expect("text");
            let strange = "return document.querySelectorAll('main script, main b, main i, main svg[onload]').length";
            assert_eq!(browser.script(strange).await, 0, "{path}");
            let width = browser.script("return document.documentElement.scrollWidth").await;
            assert!(width.as_u64().is_some_and(|width| width <= 360), "{path} is {width} wide");
        }
        for text in names.iter().chain(&agents[..1]) {
            assert!(shown.contains(text), "{text} is shown nowhere");
        }
        assert_eq!(browser.faults().await, Vec::<String>::new());
    });
}
