//! Spellings that other servers resolve to a protected path: none reaches the backend without a token.

use crate::support::gateway::TestGateway;
use crate::support::trial::{OPEN, assert_passed, assert_refused, echo, try_everywhere};

/// `/admin` asks for a token, everything else for none.
const ROUTES: &str = "[[routes]]
path = \"/admin\"
upstream = \"backend\"
";

/// Another spelling of a path below `/admin`: it is that path, and asks for a token.
const PROTECTED: [&str; 16] = [
    "/admin",
    "/admin/",
    "/admin?x=1",
    "/admin/x",
    "/%61dmin",
    "/%61dmin/x",
    "/adm%69n",
    "/a%64min",
    "/%61%64%6d%69%6e",
    "/%61%64%6D%69%6E",
    "/admin/%7euser",
    "/admin/%2Dx",
    "/admi%6E?y",
    "http://localhost/admin",
    "http://localhost/%61dmin",
    "http://localhost/admin?x",
];

/// Refused on every route.
const REFUSED: [&[u8]; 66] = [
    b"//admin",
    b"///admin",
    b"/x//admin",
    b"/admin//",
    b"/admin//x",
    b"/./admin",
    b"/../admin",
    b"/x/../admin",
    b"/x/./../admin",
    b"/x/y/../../admin",
    b"/admin/.",
    b"/admin/..",
    b"/admin/../admin",
    b"/.",
    b"/..",
    b"/%2e/admin",
    b"/%2E/admin",
    b"/%2e%2e/admin",
    b"/x/%2e%2e/admin",
    b"/x/%2E%2E/admin",
    b"/x/.%2e/admin",
    b"/x/%2e./admin",
    b"/x/%2E./%61dmin",
    b"/%2fadmin",
    b"/%2Fadmin",
    b"/x/..%2fadmin",
    b"/x/%2e%2e%2fadmin",
    b"/x%2f..%2fadmin",
    b"/x%2F%2e%2e%2Fadmin",
    b"/admin%2f",
    b"/admin%2Fx",
    b"/admin%2f..%2f",
    b"/.%2fadmin",
    b"/\\admin",
    b"/x\\..\\admin",
    b"/x/..\\admin",
    b"/admin\\",
    b"\\admin",
    b"/%5cadmin",
    b"/%5Cadmin",
    b"/x/..%5cadmin",
    b"/x%5c..%5cadmin",
    b"/admin%5C",
    b"/admin;",
    b"/admin;x=1",
    b"/admin;/x",
    b"/;/admin",
    b"/x;/../admin",
    b"/..;/admin",
    b"/x/..;a=b/admin",
    b"/admin%00",
    b"/%00/admin",
    b"/admin%00.html",
    b"/admin%0a",
    b"/admin%0d%0a",
    b"/admin%09",
    b"/admin%1f",
    b"/admin%7f",
    b"/admin%",
    b"/admin%2",
    b"/admin%zz",
    b"/%u0061dmin",
    b"/x/..%c0%afadmin",
    b"/x/%c0%ae%c0%ae/admin",
    b"/\xc3\xa4/admin",
    b"http://localhost//admin",
];

/// No request line at all: whoever reads it refuses it.
const UNREADABLE: [&[u8]; 8] =
    [b"admin", b"./admin", b"", b"/x /admin", b"/x\t/admin", b"/x\x01/admin", b"/x\x7f/admin", b"*"];

fn bytes_of(target: &[u8]) -> Vec<u8> {
    [b"GET ", target, b" HTTP/1.1\r\nHost: localhost\r\n\r\n"].concat()
}

#[test]
fn another_spelling_of_a_protected_path_asks_for_a_token_too() {
    let backend = echo();
    let gateway = TestGateway::in_front_of(&backend).routes(&[OPEN, ROUTES].concat()).secured().start();
    for target in PROTECTED {
        try_everywhere((&gateway, &backend), &bytes_of(target.as_bytes()), |outcome| {
            assert_refused(outcome, &[401], target);
            assert!(outcome.answer.is_ok(), "{target:?} got no answer: {:?}", outcome.answer);
        });
    }
}

#[test]
fn spellings_that_servers_read_differently_are_refused_on_every_route() {
    let backend = echo();
    let gateway = TestGateway::in_front_of(&backend).routes(&[OPEN, ROUTES].concat()).secured().start();
    for target in REFUSED.iter().chain(&UNREADABLE) {
        let shown = String::from_utf8_lossy(target);
        try_everywhere((&gateway, &backend), &bytes_of(target), |outcome| {
            assert_refused(outcome, &[400], &shown);
        });
    }
}

#[test]
fn a_token_does_not_open_what_is_refused_on_every_route() {
    let backend = echo();
    let gateway = TestGateway::in_front_of(&backend).routes(&[OPEN, ROUTES].concat()).secured().start();
    let token = gateway.create_key("ci").done().token;
    for target in REFUSED {
        let head = format!(" HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
        let shown = String::from_utf8_lossy(target);
        let bytes = [b"GET ", target, head.as_bytes()].concat();
        try_everywhere((&gateway, &backend), &bytes, |outcome| assert_refused(outcome, &[400], &shown));
    }
}

#[test]
fn the_backend_reads_the_one_spelling_that_was_matched() {
    let backend = echo();
    let gateway = TestGateway::in_front_of(&backend).routes(&[OPEN, ROUTES].concat()).secured().start();
    for (sent, read) in [
        ("/x/%7Euser", "/x/~user"),
        ("/%78", "/x"),
        ("/x%3a%c3%a4", "/x%3A%C3%A4"),
        ("/x?a=%2e%2e/%2f;//", "/x?a=%2e%2e/%2f;//"),
        ("/administrator", "/administrator"),
        ("/Admin", "/Admin"),
        ("/%252e%252e/admin", "/%252e%252e/admin"),
        ("http://localhost/x", "/x"),
    ] {
        try_everywhere((&gateway, &backend), &bytes_of(sent.as_bytes()), |outcome| {
            assert_eq!(assert_passed(outcome, sent).target, read);
        });
    }
}

#[test]
fn in_front_of_a_server_without_regard_to_case_the_protected_path_has_none_either() {
    let backend = echo();
    let routes = format!("case_insensitive = true\n{OPEN}{ROUTES}"); // the last line of the upstream
    let gateway = TestGateway::in_front_of(&backend).routes(&routes).secured().start();
    for target in ["/ADMIN", "/Admin/x", "/%41dmin", "/aDM%49N"] {
        try_everywhere((&gateway, &backend), &bytes_of(target.as_bytes()), |outcome| {
            assert_refused(outcome, &[401], target);
        });
    }
}
