//! The pages one by one, as they look with something in them: for axe, and for `make screenshots`.

use relevo::domain::Span;
use serde_json::json;

use super::super::support::gateway::{Holder, TestGateway};
use super::super::support::request::request;
use super::{Browser, ENGLISH, gateway, sign_in};

/// A page to look at.
pub(super) struct Scene {
    pub(super) name: &'static str,
    pub(super) path: String,
    /// What is clicked there first, or filled in (`field := text`).
    pub(super) steps: &'static [&'static str],
}

fn scene(name: &'static str, path: impl Into<String>, steps: &'static [&'static str]) -> Scene {
    Scene { name, path: path.into(), steps }
}

/// Fills the gateway with keys in every state, and tells the pages that show them.
pub(super) fn furnish(gateway: &TestGateway) -> Vec<Scene> {
    let make = |name: &str, owner: &str, roles: &[&str]| {
        gateway.create_key(name).with("owner", owner.into()).roles(roles).done()
    };
    make("reporting-nightly", "Data platform", &["reports:read"]);
    let old = make("warehouse-sync", "Logistics", &["orders:read", "stock:read", "stock:write", "returns:read"]);
    let gone = gateway.create_key("legacy-erp").with("duration", "30d".into()).done();
    gateway.status_with(&old);
    gateway.status_with(&gone);
    gateway.clock.advance(Span::days(20));
    let inactive = make("partner-sandbox", "Partnerships", &[]);
    gateway.admin("PATCH", &format!("/v1/keys/{}", inactive.id), Some(&json!({"status": "inactive"})));
    let mobile = make("mobile-app", "Apps", &["orders:read", "catalog:read"]);
    gateway.clock.advance(Span::days(5));
    let payments = make("payments-api", "Payments", &["orders:read", "payments:write"]);
    let new = gateway.renew(&payments).with("delete_old", json!({"after": "7d"})).done();
    gateway.renew(&old).done();
    let billing = make("billing-export", "Finance", &["invoices:read"]);
    gateway.clock.advance(Span::hours(26));
    gateway.status_with(&mobile);
    call(
        gateway,
        [(&payments, "checkout/4.1 (jdk21)", 3), (&payments, "ledger-sync/2", 1), (&new, "checkout/4.1 (jdk21)", 9)],
    );
    let mut scenes = of_anybody(gateway);
    scenes.extend(of_administrators(gateway));
    scenes.extend([
        scene("overview", "/console/", &[]),
        scene("keys", "/console/keys", &[]),
        scene("keys-menu", "/console/keys", &["tbody tr:nth-child(2) .cell-menu summary"]),
        scene("keys-none", "/console/keys?q=nothing-like-this", &[]),
        scene("account", "/console/keys", &[".account summary"]),
        scene("key", format!("/console/keys/{}", mobile.id), &[]),
        scene("renewal", format!("/console/keys/{}", payments.id), &[]),
        scene("plan", format!("/console/keys/{}/plan", payments.id), &["#plan-after"]),
        scene("delete-old", format!("/console/keys/{}/delete-old", payments.id), &[]),
        scene("delete-old-risky", format!("/console/keys/{}/delete-old", old.id), &[]),
        scene("undo", format!("/console/keys/{}/undo", payments.id), &[]),
        scene("generate", "/console/keys/new", &[]),
        scene(
            "generate-mistakes",
            "/console/keys/new",
            &["#name := mobile-app", "#roles := A B", ".card-foot .primary"],
        ),
        scene("generated", "/console/keys/new", &["#name := nightly-import", ".card-foot .primary"]),
        scene("edit", format!("/console/keys/{}/edit", mobile.id), &[]),
        scene("switch", format!("/console/keys/{}/switch", mobile.id), &[]),
        scene("delete", format!("/console/keys/{}/delete", mobile.id), &[]),
        scene("settings", "/console/settings", &[]),
        scene("settings-consequences", "/console/settings", &["#span := 2d", ".card-foot .primary"]),
        scene("audit", "/console/audit", &[]),
        scene("audit-none", "/console/audit?key=nobody", &[]),
        scene("trouble", "/console/nothing-here", &[]),
        scene("no-such-key", "/console/keys/nobody", &[]),
        scene("token", format!("/console/keys/{}", billing.id), &[".head .primary"]),
        scene("token-now", format!("/console/keys/{}", gone.id), &[".head .primary", "input[value=now]"]),
    ]);
    scenes
}

/// Calls of some with these tokens, these user agents and so often.
fn call<const N: usize>(gateway: &TestGateway, callers: [(&Holder, &str, usize); N]) {
    for (holder, agent, times) in callers {
        let call = request("GET", "/").token(&holder.token).header("User-Agent", agent);
        (0..times).for_each(|_| drop(gateway.ask(&call)));
    }
}

/// The pages before one is signed in.
fn of_anybody(gateway: &TestGateway) -> Vec<Scene> {
    let link = gateway.console_link();
    let link = link.split_once("/console/").map(|(_, rest)| format!("/console/{rest}")).expect("a link");
    vec![
        scene("sign-in", "/console/sign-in", &[]),
        scene("sign-in-refused", "/console/sign-in", &["#token := rlva_wrong", "main form button"]),
        scene("link", link, &[]),
        scene("link-spent", "/console/link/spent", &[]),
    ]
}

fn of_administrators(gateway: &TestGateway) -> Vec<Scene> {
    let (team, auditor) = appoint(gateway);
    vec![
        scene("admins", "/console/admins", &[]),
        scene("admin", format!("/console/admins/{team}"), &[]),
        scene("admin-new", "/console/admins/new", &[]),
        scene("admin-edit", format!("/console/admins/{team}/edit"), &[]),
        scene("admin-delete", format!("/console/admins/{auditor}/delete"), &[]),
    ]
}

/// Two administrators, of whom the first is being renewed: their ids.
fn appoint(gateway: &TestGateway) -> (String, String) {
    let made = |body: serde_json::Value| {
        let made = gateway.admin("POST", "/v1/admins", Some(&body)).json;
        made["admin"]["id"].as_str().expect("an id").to_owned()
    };
    let team = made(json!({"name": "orders-team", "permissions": ["keys:read", "keys:renew"],
        "limited_to_role": "orders:read", "owner": "Orders"}));
    let auditor =
        made(json!({"name": "auditor", "permissions": ["audit:read"], "duration": "10d", "owner": "Compliance"}));
    gateway.admin("POST", &format!("/v1/admins/{team}/renew"), None);
    (team, auditor)
}

/// Whether the page is there for whoever is not signed in.
pub(super) fn is_before_sign_in(path: &str) -> bool {
    path.starts_with("/console/sign-in") || path.starts_with("/console/link")
}

/// Puts the browser into this theme and width.
pub(super) async fn dress(browser: &Browser, theme: &str, width: u32) {
    let media = json!({"features": [{"name": "prefers-color-scheme", "value": theme}]});
    browser.debug("Emulation.setEmulatedMedia", media).await;
    let screen = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
    browser.debug("Emulation.setDeviceMetricsOverride", screen).await;
}

/// Goes to a scene. What can be done once only has been done the second time: then the page stays as it was.
pub(super) async fn enter(browser: &Browser, path: &str, steps: &[&str]) {
    let token_stays = browser.place().await.starts_with(path) && browser.has("#secret").await;
    if token_stays {
        return;
    }
    browser.go(path).await;
    for step in steps {
        match step.split_once(" := ") {
            Some((field, text)) => browser.fill(field, text).await,
            None => browser.click(step).await,
        }
    }
}

#[test]
#[ignore = "writes docs/screenshots: make screenshots"]
fn every_page_is_photographed() {
    let gateway = gateway();
    let scenes = furnish(&gateway);
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/screenshots");
    std::fs::create_dir_all(&folder).expect("a folder");
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        let mut signed_in = false;
        for Scene { name, path, steps } in &scenes {
            if !is_before_sign_in(path) && !signed_in {
                sign_in(browser, &gateway).await;
                signed_in = true;
            }
            for (theme, width, kind) in [
                ("light", 1280, "light-wide"),
                ("dark", 1280, "dark-wide"),
                ("light", 360, "light-narrow"),
                ("dark", 360, "dark-narrow"),
            ] {
                dress(browser, theme, width).await;
                enter(browser, path, steps).await;
                let height = browser.script("return Math.min(document.documentElement.scrollHeight, 2400)").await;
                let clip = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1});
                let picture =
                    json!({"format": "png", "optimizeForSpeed": false, "captureBeyondViewport": true, "clip": clip});
                let taken = browser.debug("Page.captureScreenshot", picture).await;
                let file = folder.join(format!("{name}-{kind}.png"));
                std::fs::write(file, decoded(taken["data"].as_str().expect("a picture"))).expect("written");
            }
        }
    });
}

/// Reads base64 (RFC 4648 §4).
fn decoded(text: &str) -> Vec<u8> {
    let value = |b: u8| match b {
        b'A'..=b'Z' => Some(b - b'A'),
        b'a'..=b'z' => Some(b - b'a' + 26),
        b'0'..=b'9' => Some(b - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bytes, mut bits, mut count) = (Vec::with_capacity(text.len() / 4 * 3), 0_u32, 0);
    for six in text.bytes().filter_map(value) {
        bits = (bits << 6) | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).expect("eight bits"));
        }
    }
    bytes
}
