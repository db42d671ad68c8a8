//! Who gets in, and what a browser is told to hold itself to.

use serde_json::json;

use super::super::support::client::{RawClient, RawResponse};
use super::super::support::gateway::TestGateway;
use super::super::support::request::{Request, request};
use super::{Browser, ENGLISH, Manner, gateway, sign_in};

pub(super) fn ask(gateway: &TestGateway, request: &Request) -> RawResponse {
    let mut client = RawClient::connect(gateway.admin_address());
    client.send(&request.bytes());
    client.read_response()
}

/// The form of a page, sent from that page.
pub(super) fn form(gateway: &TestGateway, path: &str, fields: &str) -> Request {
    let origin = format!("http://{}", gateway.admin_address());
    let host = gateway.admin_address().to_string();
    let sent = request("POST", path).host(&host).header("Origin", &origin);
    sent.header("Content-Type", "application/x-www-form-urlencoded").body(fields)
}

/// The cookie of a session by the first administrator.
fn session(gateway: &TestGateway) -> String {
    session_of(gateway, gateway.root_token())
}

/// The cookie of a session by whoever has this token.
pub(super) fn session_of(gateway: &TestGateway, token: &str) -> String {
    let reply = ask(gateway, &form(gateway, "/console/sign-in", &format!("token={token}")));
    assert_eq!((reply.status, reply.header("location")), (303, Some("/console/")), "{}", reply.text());
    let cookie = reply.header("set-cookie").expect("a cookie");
    assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
    cookie.split(';').next().expect("a pair").to_owned()
}

pub(super) fn page(gateway: &TestGateway, path: &str, cookie: &str) -> RawResponse {
    let host = gateway.admin_address().to_string();
    ask(gateway, &request("GET", path).host(&host).header("Cookie", cookie))
}

#[test]
fn every_page_carries_the_policy_and_is_kept_by_nobody() {
    let gateway = gateway();
    let id = gateway.create_key("ci").done().id;
    let cookie = session(&gateway);
    for path in ["/console/keys", &format!("/console/keys/{id}"), "/console/sign-in", "/console/nothing", "/console/"] {
        let reply = page(&gateway, path, &cookie);
        let policy = reply.header("content-security-policy").unwrap_or_else(|| panic!("{path} has no policy"));
        assert!(policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
        ] {
            assert_eq!(reply.header(name), Some(value), "{path}");
        }
        let text = reply.text();
        assert!(!text.contains("<script>") && !text.contains(" style=\"") && !text.contains(" onclick"), "{path}");
    }
}

#[test]
fn whoever_is_not_signed_in_sees_nothing_and_is_brought_back() {
    let gateway = gateway();
    let id = gateway.create_key("ci").done().id;
    for cookie in ["", "relevo-1=x", "relevo_console=guess"] {
        let reply = page(&gateway, &format!("/console/keys/{id}?done=undone"), cookie);
        let way = reply.header("location").expect("a way").to_owned();
        assert_eq!(reply.status, 303);
        assert!(way.starts_with("/console/sign-in?next=%2Fconsole%2Fkeys%2Fkey%5F"), "{way}");
    }
    let refused = ask(&gateway, &form(&gateway, "/console/sign-in", "token=rlva_no"));
    assert_eq!((refused.status, refused.header("set-cookie")), (403, None));
    let key = gateway.create_key("caller").done();
    let foreign = ask(&gateway, &form(&gateway, "/console/sign-in", &format!("token={}", key.token)));
    assert_eq!((foreign.status, foreign.header("set-cookie")), (403, None));
}

#[test]
fn a_page_of_another_site_can_do_nothing() {
    let gateway = gateway();
    let key = gateway.create_key("ci").done();
    let cookie = session(&gateway);
    let path = format!("/console/keys/{}/renew", key.id);
    let host = gateway.admin_address().to_string();
    let base = || request("POST", &path).host(&host).header("Cookie", &cookie);
    for foreign in [
        base().header("Origin", "http://evil.example"),
        base().header("Sec-Fetch-Site", "cross-site"),
        base().header("Sec-Fetch-Site", "same-site"),
        base().header("Origin", "null"),
        base(), // says nothing of where it comes from
    ] {
        assert_eq!(ask(&gateway, &foreign.body("")).status, 403);
    }
    assert_eq!(gateway.admin("GET", "/v1/keys/ci", None).json["renewal"], json!(null));
    let own = base().header("Sec-Fetch-Site", "same-origin").header("Origin", &format!("http://{host}"));
    assert_eq!(ask(&gateway, &own.body("")).status, 200);
}

#[test]
fn a_session_ends_with_its_token_by_idleness_and_by_signing_out() {
    let gateway = gateway();
    let cookie = session(&gateway);
    assert_eq!(page(&gateway, "/console/keys", &cookie).status, 200);
    gateway.clock.advance(relevo::domain::Span::minutes(29));
    assert_eq!(page(&gateway, "/console/keys?watching=1", &cookie).status, 200);
    gateway.clock.advance(relevo::domain::Span::minutes(1));
    assert_eq!(page(&gateway, "/console/keys", &cookie).status, 303);
    let cookie = session(&gateway);
    let out = ask(&gateway, &form(&gateway, "/console/sign-out", "").header("Cookie", &cookie));
    assert!(out.header("set-cookie").is_some_and(|cookie| cookie.ends_with("Max-Age=0")));
    assert_eq!(page(&gateway, "/console/keys", &cookie).status, 303);
}

#[test]
fn the_one_time_link_signs_in_once() {
    let gateway = gateway();
    let link = gateway.console_link();
    let path = link.strip_prefix(&format!("http://{}", gateway.admin_address())).expect("an address").to_owned();
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        browser.go(&path).await;
        browser.press("Sign in to the console").await;
        browser.wait_for_text(".account-name", "root").await;
        browser.go(&path).await;
        browser.wait_for_text(".note.bad", "already").await;
    });
    let late = gateway.console_link();
    let path = late.strip_prefix(&format!("http://{}", gateway.admin_address())).expect("an address");
    gateway.clock.advance(relevo::domain::Span::minutes(15));
    assert_eq!(page(&gateway, path, "").status, 410);
}

#[test]
fn links_that_lead_nowhere_are_counted_and_delayed_with_the_failed_sign_ins_and_a_good_one_never() {
    let gateway = gateway();
    let [good, late] = [gateway.console_link(), gateway.console_link()]
        .map(|link| link.strip_prefix(&format!("http://{}", gateway.admin_address())).expect("an address").to_owned());
    let counted = |code: &str| {
        let sample = format!("relevo_admin_sign_ins_failed_total{{code=\"{code}\"}} ");
        let text = gateway.metrics();
        let count = text.lines().find_map(|line| line.strip_prefix(&sample));
        count.map_or(0, |count| count.parse().expect("a count"))
    };
    let guess = |number: usize| {
        let path = format!("/console/link/guess{number}");
        let begun = std::time::Instant::now();
        let reply = if number.is_multiple_of(2) {
            page(&gateway, &path, "")
        } else {
            ask(&gateway, &form(&gateway, &path, ""))
        };
        assert_eq!(reply.header("set-cookie"), None);
        (reply.status, begun.elapsed().as_millis())
    };
    assert_eq!(ask(&gateway, &form(&gateway, "/console/sign-in", "token=rlva_no")).status, 403);
    for number in 1..30 {
        let (status, waited_ms) = guess(number);
        assert!(
            status == 410 && waited_ms >= (20 * (number as u128 + 1)).min(400),
            "{number}: {status}, {waited_ms} ms"
        );
    }
    assert_eq!(guess(30).0, 429);
    assert_eq!(
        ask(&gateway, &form(&gateway, "/console/sign-in", "token=rlva_no")).status,
        429,
        "they are counted together"
    );
    assert_eq!((counted("unauthenticated"), counted("too_many_failures")), (30, 2));
    assert_eq!(page(&gateway, &good, "").status, 200);
    let welcome = ask(&gateway, &form(&gateway, &good, ""));
    assert_eq!((welcome.status, welcome.header("location")), (303, Some("/console/")));
    gateway.clock.advance(relevo::domain::Span::minutes(15));
    assert_eq!(page(&gateway, &late, "").status, 410);
    assert_eq!(counted("unauthenticated"), 31, "one that is too late, too");
}

#[test]
fn language_and_theme_are_chosen_and_kept() {
    let gateway = gateway();
    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        sign_in(browser, &gateway).await;
        browser.wait_for_text("h1", "Keys").await;
        browser.click(".account summary").await;
        browser.click("button[value=pt]").await;
        browser.wait_for_text("h1", "Chaves").await;
        browser.click(".account summary").await;
        browser.click("button[value=dark]").await;
        browser.see("html[data-theme=dark][lang=pt]").await;
        browser.click(".account summary").await;
        browser.click(".menu-foot button").await;
        browser.wait_for_text(".note.good", "Voc\u{ea} saiu").await;
        assert_eq!(browser.faults().await, Vec::<String>::new());
    });
}

#[test]
fn times_are_told_in_the_readers_zone_and_language() {
    let gateway = gateway();
    let id = gateway.create_key("ci").done().id; // at noon of 23 November, UTC
    for (language, zone, day, minute) in [
        ("en", "America/Sao_Paulo", "Nov 23, 2026", "9:00"),
        ("es", "Pacific/Auckland", "24 nov 2026", "1:00"),
        ("pt", "Asia/Kolkata", "23 de nov. de 2026", "17:30"),
    ] {
        Browser::run(gateway.admin_address(), Manner { language, ..ENGLISH }, async |browser| {
            browser.debug("Emulation.setTimezoneOverride", json!({ "timezoneId": zone })).await;
            sign_in(browser, &gateway).await;
            browser.wait_for_text("tbody td:nth-child(4)", day).await;
            let hint = browser.property("td:nth-child(4) time", "title").await;
            assert!(hint.contains(minute), "{language}: {hint}");
            let end = browser.property("td:nth-child(2) time", "title").await;
            assert!(end.contains("2027") && end.contains(minute), "{language}: {end}");
            browser.go(&format!("/console/keys/{id}")).await;
            browser.wait_for_text(".facts.wide", day).await;
            browser.wait_for_text(".facts.wide", minute).await;
        });
    }
}
