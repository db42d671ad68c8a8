//! The list at ten thousand keys.

use relevo::domain::Span;
use serde_json::{Value, json};

use super::super::support::gateway::{TestGateway, wait_until};
use super::access::{page, session_of};
use super::{Browser, ENGLISH, gateway, sign_in};

const MANY: usize = 10_000;

/// Ten thousand keys: each tenth team's are inactive, and every hundredth key lives for ten days only.
fn import(gateway: &TestGateway) {
    let key = |number: usize| {
        let mut key = json!({"name": format!("key {number:05}"), "digest": format!("sha256:{number:064x}"),
            "owner": format!("team {}", number % 10), "roles": [format!("role:{}", number % 4)]});
        if number.is_multiple_of(100) {
            key["duration"] = "10d".into();
        }
        if number % 10 == 3 {
            key["status"] = "inactive".into();
        }
        key
    };
    let body = json!({"keys": (0..MANY).map(key).collect::<Vec<_>>()});
    let done = gateway.admin("POST", "/v1/import", Some(&body));
    assert_eq!(done.status, 200, "{}", done.json);
}

/// The names on a page of the list, and where it says that it is.
struct Listed {
    names: Vec<String>,
    place: String,
}

fn list(gateway: &TestGateway, cookie: &str, query: &str) -> Listed {
    let shown = page(gateway, &format!("/console/keys?{query}"), cookie);
    assert_eq!(shown.status, 200, "{query}");
    let text = shown.text();
    let between = |text: &str, begin: &str, end: &str| {
        text.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).map(|(found, _)| found.to_owned())
    };
    let rows = text.split("class=\"cell-name\"").skip(1);
    let names = rows.filter_map(|row| between(row, "<bdi>", "</bdi>")).collect();
    Listed { names, place: between(&text, "<div class=\"foot\">\n    <p>", "</p>").unwrap_or_default() }
}

#[test]
fn ten_thousand_keys_are_searched_filtered_sorted_and_turned() {
    let gateway = gateway();
    import(&gateway);
    gateway.clock.advance(Span::days(31));
    let used = gateway.create_key("used").done();
    gateway.clock.advance(Span::minutes(1));
    let renewed = gateway.create_key("renewed").done();
    gateway.renew(&renewed).done();
    assert_eq!(gateway.status_with(&used), 200);
    let cookie = session_of(&gateway, gateway.root_token());
    let at = |query: &str| list(&gateway, &cookie, query);
    let first = |query: &str| at(query).names.first().cloned().unwrap_or_default();
    let of = |query: &str| at(query).place.rsplit(' ').next().unwrap_or_default().to_owned();

    wait_until("the use is known", || first("sort=-last_used") == "used");
    assert_eq!(at("page=2").place, "26\u{2013}50 of 10,002");
    let last = at("sort=name&page=401");
    assert_eq!(
        (last.names, last.place),
        (vec!["renewed".into(), "used".into()], "10,001\u{2013}10,002 of 10,002".into())
    );
    for (sort, name) in [("name", "key 00000"), ("-name", "used"), ("-created", "renewed")] {
        assert_eq!(first(&format!("sort={sort}")), name, "{sort}");
    }
    assert_eq!(at("sort=name&page=3").names, (50..75).map(|number| format!("key {number:05}")).collect::<Vec<_>>());
    assert!(first("sort=expires").ends_with("00"), "each hundredth ends first");
    for (show, count) in [
        ("all", "10,002"),
        ("renewing", "1"),
        ("outdated", "100"),
        ("unused", "10,000"),
        ("active", "9,002"),
        ("inactive", "1,000"),
    ] {
        assert_eq!(of(&format!("show={show}")), count, "{show}");
    }
    for (q, count) in [("key 00042", "1"), ("role:1", "2,500"), ("team 7", "1,000"), (used.id.as_str(), "1")] {
        assert_eq!(of(&format!("q={}", q.replace(' ', "+"))), count, "{q}");
    }
    assert_eq!(of("q=team+3&show=active"), "", "a team that is inactive as a whole");

    Browser::run(gateway.admin_address(), ENGLISH, async |browser| {
        sign_in(browser, &gateway).await;
        browser.wait_for_text(".foot p", "1\u{2013}25 of 10,002").await;
        browser.fill("#q", "role:2").await;
        browser.wait_for_text(".foot p", "of 2,500").await;
        browser.press("Next").await;
        browser.wait_for_text(".foot p", "26\u{2013}50 of 2,500").await;
        assert_eq!(browser.property("#q", "value").await, "role:2", "what was searched for is still searched for");
        browser.press("Inactive").await;
        browser.wait_for_text(".empty", "No key matches").await;
        assert_eq!(browser.script("return document.querySelectorAll('tbody tr').length").await, Value::from(0));
        assert_eq!(browser.faults().await, Vec::<String>::new());
    });
}
