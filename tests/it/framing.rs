//! Where one request ends and the next begins is said in one way, or the request is refused; one test or more for each
//! of the cases of the house that are about framing.

use crate::support::backend::{Backend, Reply};
use crate::support::gateway::{TestGateway, wait_until};
use crate::support::request::{Request, request};
use crate::support::trial::{OPEN, Outcome, anonymous, assert_passed, assert_refused, echo, try_all};

/// Everything else is open to everybody.
const ROUTES: &str = "[[routes]]
path = \"/closed\"
upstream = \"backend\"
[[routes]]
path = \"/small\"
auth = \"none\"
body_limit = \"1KiB\"
upstream = \"backend\"
";

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn gateway(backend: &Backend) -> TestGateway {
    TestGateway::in_front_of(backend).routes(&[OPEN, ROUTES].concat()).secured().start()
}

/// Refused as a malformed request, with a problem that says so, unless the engine below had nothing to say.
fn assert_malformed(outcome: &Outcome, shown: &str) {
    assert_refused(outcome, &[400], shown);
    let answer = outcome.answer.as_ref().unwrap_or_else(|fault| panic!("{shown:?} got no answer: {fault}"));
    assert!(answer.closed, "{shown:?} is answered, and the connection lives on");
}

#[track_caller]
fn assert_all_malformed(requests: &[String]) {
    let backend = echo();
    let gateway = gateway(&backend);
    for bytes in requests {
        try_all((&gateway, &backend), bytes.as_bytes(), anonymous, |outcome| assert_malformed(outcome, bytes));
    }
}

fn post(framing: &str, body: &str) -> String {
    format!("POST /a HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n{body}")
}

// Case 1.
#[test]
fn a_request_with_two_framings_smuggles_nothing() {
    let clte = post("Content-Length: 6\r\nTransfer-Encoding: chunked", &format!("0\r\n\r\n{SMUGGLED}"));
    let tecl = post("Transfer-Encoding: chunked\r\nContent-Length: 4", &format!("2b\r\n{SMUGGLED}\r\n0\r\n\r\n"));
    let folded = post("Content-Length: 6\r\nTransfer-Encoding:\r\n chunked", &format!("0\r\n\r\n{SMUGGLED}"));
    let spaced = post("Content-Length: 6\r\nTransfer-Encoding : chunked", &format!("0\r\n\r\n{SMUGGLED}"));
    let lined = post("Content-Length: 6\r\nX: x\nTransfer-Encoding: chunked", &format!("0\r\n\r\n{SMUGGLED}"));
    assert_all_malformed(&[clte, tecl, folded, spaced, lined]);
}

// Case 1.
#[test]
fn a_refused_request_does_not_overtake_those_sent_before_it() {
    let backend = echo();
    let gateway = gateway(&backend);
    let bad = post("Content-Length: 6\r\nTransfer-Encoding: chunked", &format!("0\r\n\r\n{SMUGGLED}"));
    let bytes = [
        request("GET", "/1").bytes(),
        request("POST", "/2").body("two").bytes(),
        post("Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n").into_bytes(),
        bad.into_bytes(),
    ]
    .concat();
    for sizes in [&[usize::MAX][..], &[1], &[60, 3, 1, 90]] {
        let mut client = gateway.connect();
        client.send_split(&bytes, sizes);
        for target in ["/1", "/2", "/a"] {
            let answer = client.read_response();
            assert_eq!((answer.status, &*answer.text(), answer.closed), (200, target, false));
        }
        let answer = client.read_response();
        assert_eq!((answer.status, answer.closed), (400, true));
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert!(client.is_closed());
    }
    assert_eq!((backend.requests().len(), backend.faults()), (9, vec![]));
}

// Cases 1 to 3, 5 and 6, cut in two at every byte.
#[test]
fn where_a_refused_head_is_cut_makes_no_difference() {
    let backend = echo();
    let gateway = gateway(&backend);
    for bytes in [
        post("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        post("Transfer-Encoding: x", ""),
        post("Content-Length: +5", "hello"),
        "GET / HTTP/2.0\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n".into(),
    ] {
        for cut in 1..bytes.len() {
            let mut client = gateway.connect();
            client.send_split(bytes.as_bytes(), &[cut, bytes.len()]);
            let answer = client.read_response();
            assert_eq!((answer.status, answer.closed), (400, true), "{bytes:?} cut at {cut}");
            assert!(client.is_closed(), "{bytes:?} cut at {cut}");
        }
    }
    assert_eq!(backend.bytes().concat(), b"");
    assert_eq!(gateway.ask(&anonymous("/good")).text(), "/good");
}

// Case 2.
#[test]
fn transfer_encoding_has_one_spelling() {
    let values = [
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding:  chunked",
        "Transfer-Encoding: chunked ",
        "Transfer-Encoding:\tchunked",
        "Transfer-Encoding:\u{b}chunked",
        "Transfer-Encoding: \u{c}chunked",
        "Transfer-Encoding: chunked,identity",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: Chunked",
        "Transfer-Encoding: cHuNkEd",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: 'chunked'",
        "Transfer-Encoding: chunke",
        "Transfer-Encoding:",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\ntransfer-encoding: chunked",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding\t: chunked",
        "X: x\r\n Transfer-Encoding: chunked",
        "Transfer-Encoding\u{0}: chunked",
    ];
    let body = format!("0\r\n\r\n{SMUGGLED}");
    assert_all_malformed(&values.map(|framing| post(framing, &body)));
}

// Case 3.
#[test]
fn content_length_is_a_number_and_one() {
    let lengths = [
        "+5",
        "0x5",
        "5,5",
        "5, 5",
        "5, 6",
        "-1",
        "",
        "18446744073709551616",
        "99999999999999999999999",
        "5 5",
        "5.0",
        "5e0",
        "\u{b}5",
        "5\u{c}",
        "five",
        "5;5",
        "\"5\"",
        "18446744073709551615",
    ];
    let mut requests: Vec<_> = lengths.map(|length| post(&format!("Content-Length: {length}"), "hello")).into();
    requests.push(post("Content-Length: 5\r\nContent-Length: 6", "hello!"));
    requests.push(post("Content-Length: 6\r\nContent-Length: 5", "hello!"));
    requests.push(post("Content-Length: 5\r\nContent-Length: +5", "hello"));
    assert_all_malformed(&requests);
}

// Case 3.
#[test]
fn lengths_that_agree_are_one_and_are_told_as_one_number() {
    let backend = echo();
    let gateway = gateway(&backend);
    for (framing, length) in [
        ("Content-Length: 5\r\nContent-Length: 5", "5"),
        ("Content-Length: 5\r\ncontent-length: 05", "5"),
        ("Content-Length: 010", "10"),
        ("content-LENGTH:5", "5"),
        ("Content-Length: \t5 ", "5"),
    ] {
        let bytes = post(framing, &"helloworld"[..length.parse().expect("a number")]);
        try_all((&gateway, &backend), bytes.as_bytes(), anonymous, |outcome| {
            let arrived = assert_passed(outcome, framing);
            assert_eq!(
                (arrived.all("content-length"), arrived.body.len().to_string()),
                (vec![length], length.to_owned())
            );
        });
    }
}

/// Sends a request with this chunked body in one piece and byte by byte: how many times it was answered `status`, and
/// that no more than a beginning of it ever reached the backend if that is not 200.
fn try_chunks(body: &str, status: u16) {
    let backend = echo();
    let gateway = gateway(&backend);
    for sizes in [&[usize::MAX][..], &[1], &[3, 1, 17, 2, 5]] {
        let mut client = gateway.connect();
        let bytes = post("Transfer-Encoding: chunked", body);
        if bytes.len() < 1_024 || sizes != [1] {
            client.send_split(bytes.as_bytes(), sizes);
        } else {
            client.send(bytes.as_bytes());
        }
        let answer = client.read_response();
        assert_eq!(answer.status, status, "{body:?}: {}", answer.text());
        assert_eq!(answer.closed || client.is_closing(), status != 200, "{body:?}");
        assert_eq!(gateway.ask(&anonymous("/good")).text(), "/good");
    }
    let arrived: Vec<_> = backend.requests().into_iter().filter(|request| request.target != "/good").collect();
    if status == 200 {
        assert_eq!((arrived.len(), backend.faults()), (3, vec![]), "{body:?}");
        assert!(arrived.iter().all(|request| request.body == b"hello"), "{body:?}");
    } else {
        assert_eq!(arrived, [], "{body:?}");
        assert!(backend.faults().iter().all(|fault| fault.starts_with("ended within a request")), "{body:?}");
        assert!(backend.bytes().iter().all(|bytes| !String::from_utf8_lossy(bytes).contains("/smuggled")), "{body:?}");
    }
}

// Case 4.
#[test]
fn a_chunk_has_one_size_and_ends_with_its_line_end() {
    let end = format!("\r\n0\r\n\r\n{SMUGGLED}");
    for chunk in [
        "5;\nhello",
        "5\nhello",
        "5\rhello",
        "5hello",
        "5\r\nhell",
        "5\r\nhello!",
        "5\r\nhello\nx",
        "0x5\r\nhello",
        "+5\r\nhello",
        "-5\r\nhello",
        " 5\r\nhello",
        "\t5\r\nhello",
        "\r\n5\r\nhello",
        "5 5\r\nhello",
        "5g\r\nhello",
        "5.\r\nhello",
        "00000000000000005\r\nhello",
        "10000000000000005\r\nhello",
        "ffffffffffffffffff\r\nhello",
        "5;a\u{0}b\r\nhello",
        "5;a\rb\r\nhello",
    ] {
        try_chunks(&format!("{chunk}{end}"), 400);
    }
    try_chunks(&format!("5;{}\r\nhello{end}", "a".repeat(64 * 1024)), 400);
    try_chunks(&format!("5\r\nhello\r\n0\r\nX: 1\nGET /smuggled HTTP/1.1\r\n\r\n{SMUGGLED}"), 400);
}

// Case 4.
#[test]
fn chunk_extensions_within_their_limit_are_passed_over() {
    for chunk in [
        "5;a=b\r\nhello",
        "5 ;a\r\nhello",
        "0000000000000005\r\nhello",
        "5;a=\"b;c\"\r\nhello",
        "2\r\nhe\r\n3;x\r\nllo",
    ] {
        try_chunks(&format!("{chunk}\r\n0\r\n\r\n"), 200);
    }
    try_chunks(&format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(15 * 1024)), 200);
}

// Case 5.
#[test]
fn only_http_1_0_and_1_1_are_spoken() {
    let host = "\r\nHost: localhost\r\n";
    let body = format!("0\r\n\r\n{SMUGGLED}");
    assert_all_malformed(&[
        "GET /\r\n\r\n".into(),
        "GET /\r\n".into(),
        "GET /\n".into(),
        format!("GET / HTTP/0.9{host}\r\n"),
        format!("GET / HTTP/1.2{host}\r\n"),
        format!("GET / HTTP/2.0{host}\r\n"),
        format!("GET / HTTP/2{host}\r\n"),
        format!("GET / HTTP/1.10{host}\r\n"),
        format!("GET / HTTP/01.1{host}\r\n"),
        format!("GET / http/1.1{host}\r\n"),
        format!("GET / HTTP/1.1 {host}\r\n"),
        format!("GET  / HTTP/1.1{host}\r\n"),
        format!("GET /  HTTP/1.1{host}\r\n"),
        format!("GET /\tHTTP/1.1{host}\r\n"),
        format!("GET /a b HTTP/1.1{host}\r\n"),
        format!("POST / HTTP/1.0{host}Transfer-Encoding: chunked\r\n\r\n{body}"),
        format!("POST / HTTP/1.0{host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{body}"),
    ]);
}

// Case 5.
#[test]
fn a_get_of_http_1_0_has_the_body_that_it_says() {
    let backend = echo();
    let gateway = gateway(&backend);
    let bytes = format!("GET /old HTTP/1.0\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{SMUGGLED}", SMUGGLED.len());
    try_all((&gateway, &backend), bytes.as_bytes(), anonymous, |outcome| {
        assert_eq!(assert_passed(outcome, "1.0").body, SMUGGLED.as_bytes());
    });
}

// Case 6.
#[test]
fn a_header_line_is_a_name_a_colon_and_a_value_without_control_characters() {
    let lines = [
        "X: a\r\n b",
        "X: a\r\n\tb",
        " X: a",
        "\tX: a",
        "X : a",
        "X\t: a",
        ": a",
        "X",
        "X\r: a",
        "X: a\rb",
        "X: a\r\rb",
        "X: a\r",
        "X: a\u{0}b",
        "X\u{0}: a",
        "X: a\u{1}b",
        "X: a\u{7f}b",
        "X: \u{8}",
        "X y: a",
        "X(y): a",
        "X\u{e9}: a",
        "\"X\": a",
    ];
    let get = |line: &str| format!("GET /a HTTP/1.1\r\nHost: localhost\r\n{line}\r\n\r\n");
    let mut requests: Vec<_> = lines.map(get).into();
    requests.extend(
        ["\r", "\u{0}", "\u{1}", "\u{7f}"].map(|odd| format!("GET /{odd} HTTP/1.1\r\nHost: localhost\r\n\r\n")),
    );
    requests.extend(["G\u{0}T", "G(T", "", "G\rT"].map(|odd| format!("{odd} / HTTP/1.1\r\nHost: localhost\r\n\r\n")));
    assert_all_malformed(&requests);
}

// Case 6.
#[test]
fn bare_line_feeds_in_a_head_reach_the_backend_as_line_ends() {
    let backend = echo();
    let gateway = gateway(&backend);
    for bytes in [
        "POST /a HTTP/1.1\nHost: localhost\nContent-Length: 5\n\nhello",
        "POST /a HTTP/1.1\r\nHost: localhost\nContent-Length: 5\n\r\nhello",
        "\r\n\nPOST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\nhello",
    ] {
        try_all((&gateway, &backend), bytes.as_bytes(), anonymous, |outcome| {
            assert_eq!(assert_passed(outcome, bytes).body, b"hello");
        });
    }
}

// Case 7.
#[test]
fn a_body_that_is_itself_a_request_stays_a_body() {
    let backend = Backend::replying(|request| match &*request.method {
        "HEAD" => Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        _ => Reply::ok(&request.target),
    });
    let gateway = gateway(&backend);
    let chunked = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    for method in ["GET", "HEAD", "OPTIONS", "DELETE"] {
        let head = |framing: &str| format!("{method} /a HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n");
        for bytes in [
            head(&format!("Content-Length: {}", SMUGGLED.len())) + SMUGGLED,
            head("Transfer-Encoding: chunked") + &chunked,
        ] {
            let before = backend.requests().len();
            for sizes in [&[usize::MAX][..], &[1]] {
                let client = gateway.connect();
                let mut client = if method == "HEAD" { client.asking_heads() } else { client };
                client.send_split(bytes.as_bytes(), sizes);
                let answer = client.read_response();
                assert_eq!((answer.status, answer.closed), (200, false), "{bytes:?}");
                client.send(&request(method, "/next").bytes());
                assert_eq!(client.read_response().status, 200);
            }
            let arrived: Vec<_> = backend.requests().split_off(before);
            let seen: Vec<_> = arrived.iter().map(|request| (&*request.target, request.body.len())).collect();
            let expected = [("/a", SMUGGLED.len()), ("/next", 0)];
            assert_eq!(seen, [expected, expected].concat(), "{bytes:?}");
        }
    }
    assert_eq!(backend.faults(), [""; 0]);
}

/// A request with a body of 100 MiB, which is sent whole before the answer is read.
fn answer_to_100_mib(gateway: &TestGateway, request: &Request) -> u16 {
    const LENGTH: usize = 100 * 1024 * 1024;
    let mut client = gateway.connect();
    client.send(&request.clone().header("Content-Length", &LENGTH.to_string()).bytes());
    let piece = vec![b'x'; 1024 * 1024];
    for _ in 0..LENGTH / piece.len() {
        client.send(&piece);
    }
    let answer = client.read_response();
    assert!(answer.closed, "what follows a body that was not read cannot be read either");
    answer.status
}

// Case 8.
#[test]
fn a_client_that_sends_100_mib_all_the_same_reads_why_nobody_wanted_it() {
    let backend = echo();
    let routes = format!("{OPEN}{ROUTES}[[routes]]\npath = \"/role\"\nroles = [\"other\"]\nupstream = \"backend\"\n");
    let gateway = TestGateway::in_front_of(&backend).routes(&routes).start();
    let holder = gateway.create_key("ci").done();
    assert_eq!(answer_to_100_mib(&gateway, &request("POST", "/closed")), 401);
    assert_eq!(answer_to_100_mib(&gateway, &request("POST", "/role").token(&holder.token)), 403);
    assert_eq!(answer_to_100_mib(&gateway, &request("POST", "/small")), 413);
    assert_eq!(backend.bytes().concat(), b"");
    assert_eq!(gateway.ask(&anonymous("/good")).text(), "/good");
}

// Case 9.
#[test]
fn nobody_is_asked_for_a_body_before_he_is_let_through() {
    let backend = echo();
    let gateway = gateway(&backend);
    let holder = gateway.create_key("ci").done();
    let expecting = |target| request("POST", target).header("Expect", "100-continue").header("Content-Length", "5");
    let mut client = gateway.connect();
    client.send(&expecting("/closed").bytes());
    let answer = client.read_response_or_interim();
    assert_eq!((answer.status, answer.closed), (401, true));
    assert_eq!(backend.bytes().concat(), b"");

    let mut client = gateway.connect();
    client.send(&expecting("/closed").token(&holder.token).bytes());
    assert_eq!(client.read_response_or_interim().status, 100);
    client.send(b"hello");
    let answer = client.read_response_or_interim();
    assert_eq!((answer.status, answer.text(), answer.closed), (200, "/closed".to_owned(), false));
    let arrived = &backend.requests()[0];
    assert_eq!((arrived.all("expect"), &*arrived.body), (vec![], &b"hello"[..]));
}

// Case 15.
#[test]
fn the_size_of_a_head_is_bounded_in_every_direction() {
    let backend = echo();
    let gateway = gateway(&backend);
    let lines = |count: usize| "X: 1\r\n".repeat(count);
    let get = |target: &str, lines: &str| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
    for (bytes, status) in [
        (get("/a", &lines(100)), 431),
        (get("/a", &format!("X: {}\r\n", "x".repeat(33 * 1024))), 431),
        (get(&format!("/{}", "a".repeat(70_000)), ""), 414),
        (get(&format!("/{}", "a".repeat(8 * 1024)), ""), 414),
        ("\r\n".repeat(17 * 1024), 431),
    ] {
        let shown = &bytes[..60];
        for sizes in [&[usize::MAX][..], &[1_000], &[7_919, 1]] {
            let mut client = gateway.connect();
            client.send_split(bytes.as_bytes(), sizes);
            let answer = client.read_response();
            assert_eq!((answer.status, answer.closed), (status, true), "{shown}");
            assert!(client.is_closed());
        }
    }
    assert_eq!(backend.bytes().concat(), b"");
    let target = format!("/{}", "a".repeat(8 * 1024 - 1));
    let bytes = get(&target, &(lines(98) + &format!("X: {}\r\n", "x".repeat(22 * 1024))));
    try_all((&gateway, &backend), bytes.as_bytes(), anonymous, |outcome| {
        assert_eq!(assert_passed(outcome, "all but too large").target, target);
    });
}

// Errors that are answered below the service count as well.
#[test]
fn what_never_became_a_request_is_counted_once() {
    let backend = echo();
    let gateway = gateway(&backend);
    for bytes in [post("Content-Length: +5", ""), "GET / HTTP/1.1\r\nX: \0\r\n\r\n".into(), "GET /\r\n".into()] {
        let mut client = gateway.connect();
        client.send(bytes.as_bytes());
        assert_eq!(client.read_response().status, 400);
    }
    let mut client = gateway.connect();
    client.send(format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(9_000)).as_bytes());
    assert_eq!(client.read_response().status, 414);
    let counted = |line: &str| gateway.metrics().lines().any(|each| each == line);
    wait_until("four are counted", || {
        counted("relevo_refusals_total{route=\"none\",refusal=\"bad_request\"} 3")
            && counted("relevo_refusals_total{route=\"none\",refusal=\"uri_too_long\"} 1")
            && counted("relevo_requests_total{route=\"none\",method=\"other\",code=\"400\"} 3")
            && counted("relevo_requests_total{route=\"none\",method=\"other\",code=\"414\"} 1")
    });
}
