//! Every page, looked at by axe-core, light and dark, and by its width on a small screen.

use std::fmt::Write as _;

use serde_json::Value;

use super::gallery::{self, Scene};
use super::{Browser, ENGLISH, gateway, sign_in};

const AXE: &str = include_str!("../../assets/axe.min.js");
/// WCAG 2.2, levels A and AA, and what axe holds good practice.
const RUN: &str = "const done = arguments[arguments.length - 1];
    axe.run(document, {resultTypes: ['violations']}).then(r => done(r.violations), e => done([{id: String(e), nodes: []}]));";

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

#[test]
fn axe_finds_nothing_wrong_with_any_page_and_no_page_is_wider_than_a_telephone() {
    let gateway = gateway();
    let scenes = gallery::furnish(&gateway);
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        let mut wrong = String::new();
        let mut signed_in = false;
        for Scene { name, path, steps } in &scenes {
            if !path.starts_with("/console/sign-in") && !signed_in {
                sign_in(browser, &gateway).await;
                signed_in = true;
            }
            for theme in ["light", "dark"] {
                gallery::dress(browser, theme, 1280).await;
                gallery::enter(browser, path, steps).await;
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
            let text = browser.script("return document.documentElement.outerHTML").await;
            if text.as_str().is_none_or(|text| text.contains('\u{27e6}')) {
                let _ = write!(wrong, "\n== {name} lacks a message");
            }
        }
        assert!(wrong.is_empty(), "{wrong}");
        let faults = browser.faults().await;
        assert!(faults.is_empty(), "{faults:?}");
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
