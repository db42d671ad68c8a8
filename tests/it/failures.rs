//! Failed authentications: whoever fails too often is told so, and nobody else pays for it.

use relevo::domain::Span;

use super::problems::problem_of;
use super::support::backend::Backend;
use super::support::gateway::{TestGateway, wait_until};
use super::support::request::request;

#[test]
fn a_good_token_never_pays_for_the_failures_of_others() {
    let backend = Backend::answering("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access.log");
    let gateway = TestGateway::in_front_of(&backend).access_log(&log).start();
    let key = gateway.create_key("ci").done();
    let good = request("GET", "/").token(&key.token);
    // What goes through the engine counts with what does not.
    let bad = [
        request("GET", "/").token("nobody's-token-at-all"),
        request("GET", "/").token("short"),
        request("GET", "/").token("nobody's-token-at-all").header("Connection", "x-foo"),
    ];
    for (count, bad) in bad.iter().cycle().take(130).enumerate() {
        let answer = gateway.ask(bad);
        let expected = if count < 100 { (401, "credential_invalid") } else { (429, "too_many_failures") };
        assert_eq!(problem_of(&answer), (expected.0, expected.1.to_owned()), "{count}");
        assert_eq!(answer.header("ratelimit"), None);
        assert_eq!(answer.header("www-authenticate").is_some(), count < 100);
        if count % 10 == 0 {
            assert_eq!(gateway.ask(&good).status, 200, "{count}");
        }
    }
    assert_eq!(problem_of(&gateway.ask(&request("GET", "/"))), (401, "credential_missing".to_owned()));
    gateway.clock.advance(Span::minutes(1));
    wait_until("the minute is over", || problem_of(&gateway.ask(&bad[0])).0 == 401);
    drop(gateway);
    let records = std::fs::read_to_string(&log).expect("a log");
    assert_eq!(records.matches("\"refusal\":\"too_many_failures\"").count(), 0, "they are summed up");
    assert_eq!(records.matches("\"refusal\":\"credential_invalid\"").count(), 101);
}
