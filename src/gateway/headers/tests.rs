use std::collections::BTreeSet;
use std::net::IpAddr;

use http::{Uri, Version};
use proptest::prelude::*;

use super::*;
use crate::config::Pair;
use crate::domain::{KeyId, Role, Slot};

const OURS: [&str; 6] =
    ["traceparent", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id"];

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
    }
    headers
}

fn credentials() -> Credentials {
    let name = HeaderName::from_static;
    let pair = Some(Pair { key: name("x-app-key"), token: name("x-app-token") });
    Credentials { bearer: true, header: Some(name("x-api-key")), pair }
}

fn stranger() -> Peer {
    peer("192.0.2.7")
}

fn peer(address: &str) -> Peer {
    let trusted = ["10.0.0.0/8".parse().expect("a network")];
    Peer::at(address.parse::<IpAddr>().expect("an address"), &trusted).expect("a peer")
}

fn sanitised_from(peer: &Peer, lines: &[(&str, &str)]) -> Result<HeaderMap, Refusal> {
    let (scheme, request_id) = (Scheme::Http, HeaderValue::from_static("fresh"));
    let arrival = Arrival { peer, scheme, version: Version::HTTP_11, request_id, entropy: [0xab; 24] };
    sanitise_request(headers(lines), &arrival, &credentials())
}

fn sanitised(lines: &[(&str, &str)]) -> Result<HeaderMap, Refusal> {
    sanitised_from(&stranger(), lines)
}

/// The names that pass of what a stranger sends, without what the gateway adds.
fn passing(lines: &[(&str, &str)]) -> Vec<String> {
    let headers = sanitised(lines).expect("not refused");
    headers.keys().map(|name| name.as_str().to_owned()).filter(|name| !OURS.contains(&name.as_str())).collect()
}

/// All lines of `name`.
fn lines<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
}

#[test]
fn hop_by_hop_headers_and_framing_go_and_the_others_keep_their_order() {
    let sent = [
        ("host", "h"),
        ("connection", "keep-alive"),
        ("accept", "a"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("content-length", "010"),
        ("content-type", "text/plain"),
        ("upgrade", "h2c"),
        ("http2-settings", "x"),
        ("proxy-authorization", "Basic x"),
        ("expect", "100-continue"),
        ("cookie", "c"),
        ("te", "gzip"),
    ];
    assert_eq!(passing(&sent), ["host", "accept", "content-type", "cookie"]);
}

#[test]
fn of_te_only_trailers_passes() {
    for (te, expected) in [("trailers", true), ("gzip, Trailers", true), ("trailersx", false), ("gzip", false)] {
        let headers = sanitised(&[("te", te)]).expect("not refused");
        assert_eq!(lines(&headers, "te"), if expected { vec![&b"trailers"[..]] } else { vec![] }, "{te}");
    }
    assert_eq!(lines(&sanitised(&[("te", "gzip"), ("te", "trailers")]).expect("fine"), "te"), [b"trailers"]);
}

#[test]
fn several_lines_of_one_name_all_pass_in_order() {
    let headers = sanitised(&[("a", "1"), ("b", "x"), ("a", "2"), ("a", "3")]).expect("not refused");
    assert_eq!(lines(&headers, "a"), [b"1", b"2", b"3"]);
}

#[test]
fn names_of_other_characters_are_refused_and_with_underscore_dropped() {
    for name in ["x.relevo.key-id", "a.b", "a!", "a~b", "x-relevo-key-id'", "a|b", "a+b", "$"] {
        assert!(matches!(sanitised(&[(name, "x")]), Err(Refusal::BadRequest(_))), "{name}");
    }
    assert_eq!(passing(&[("x_y", "1"), ("_", "1"), ("x-y", "1"), ("x_api_key", "1")]), ["x-y"]);
}

#[test]
fn connection_naming_what_backends_rely_on_is_refused_on_any_line() {
    let names = [
        "host",
        "Content-Length",
        "transfer-encoding",
        "Authorization",
        "X-API-Key",
        "x-app-token",
        "x-app-key",
        "cookie",
        "X-Relevo-Key-Id",
        "x_relevo_key_id",
        "x.relevo.roles",
        "Forwarded",
        "X-Forwarded-For",
        "x-forwarded_host",
        "x-real-ip",
        "x-original-url",
        "x-rewrite-url",
        "x-request-id",
        "via",
        "a b",
        "a;b",
        "\"close\"",
    ];
    for name in names {
        for value in [name.to_owned(), format!("close, {name}"), format!(",{name} ,keep-alive")] {
            let sent = [("connection", "close"), ("a", "b"), ("connection", &value), ("connection", "te")];
            assert!(matches!(sanitised(&sent), Err(Refusal::BadRequest(_))), "{value}");
        }
    }
    let many = "a,".repeat(33);
    assert!(sanitised(&[("connection", &many)]).is_err());
}

#[test]
fn other_names_that_connection_lists_are_removed_over_all_its_lines() {
    let sent = [
        ("x-one", "1"),
        ("connection", "X-One, close"),
        ("x-two", "1"),
        ("connection", ",, x-two ,"),
        ("connection", "Keep-Alive"),
        ("x-three", "1"),
    ];
    assert_eq!(passing(&sent), ["x-three"]);
}

#[test]
fn nothing_of_a_credential_that_was_taken_passes() {
    let mut taken = HeaderValue::from_static("");
    taken.set_sensitive(true);
    let mut sent = headers(&[("a", "1"), ("x-empty", "")]);
    sent.append("x-api-key", taken);
    let (peer, request_id) = (stranger(), HeaderValue::from_static("fresh"));
    let (scheme, version, entropy) = (Scheme::Http, Version::HTTP_11, [1; 24]);
    let arrival = Arrival { peer: &peer, scheme, version, request_id, entropy };
    let kept = sanitise_request(sent, &arrival, &credentials()).expect("not refused");
    assert!(!kept.contains_key("x-api-key"));
    assert!(kept.contains_key("x-empty"));
}

#[test]
fn a_stranger_is_not_believed() {
    let sent = [
        ("host", "h:1"),
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil"),
        ("x-forwarded-port", "1"),
        ("forwarded", "for=1.1.1.1"),
        ("x-real-ip", "1.1.1.1"),
        ("x-request-id", "theirs"),
    ];
    let told = sanitised(&sent).expect("not refused");
    assert_eq!(lines(&told, "x-forwarded-for"), [b"192.0.2.7"]);
    assert_eq!(lines(&told, "x-forwarded-proto"), [b"http"]);
    assert_eq!(lines(&told, "x-forwarded-host"), [b"h:1"]);
    assert_eq!(lines(&told, "x-request-id"), [b"fresh"]);
    for name in ["forwarded", "x-real-ip", "x-forwarded-port"] {
        assert!(!told.contains_key(name), "{name}");
    }
    assert_eq!(request_id(&headers(&sent), &stranger()), None);
}

#[test]
fn a_trusted_proxy_is_believed_and_its_peer_list_grows() {
    let proxy = peer("::ffff:10.1.2.3");
    let sent = [
        ("host", "inner"),
        ("x-forwarded-for", "1.1.1.1, 2.2.2.2"),
        ("x-forwarded-for", "3.3.3.3"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "outer"),
        ("forwarded", "for=1.1.1.1"),
        ("x-request-id", "theirs"),
    ];
    let told = sanitised_from(&proxy, &sent).expect("not refused");
    assert_eq!(lines(&told, "x-forwarded-for"), [b"1.1.1.1, 2.2.2.2, 3.3.3.3, 10.1.2.3"]);
    assert_eq!(lines(&told, "x-forwarded-proto"), [b"https"]);
    assert_eq!(lines(&told, "x-forwarded-host"), [b"outer"]);
    assert!(!told.contains_key("forwarded"));
    assert_eq!(request_id(&headers(&sent), &proxy), Some(&b"theirs"[..]));
}

#[test]
fn a_trusted_proxy_is_believed_only_what_makes_sense() {
    let proxy = peer("10.1.2.3");
    let told = sanitised_from(&proxy, &[("host", "h"), ("x-forwarded-proto", "gopher")]).expect("not refused");
    assert_eq!(lines(&told, "x-forwarded-proto"), [b"http"]);
    assert_eq!(lines(&told, "x-forwarded-for"), [b"10.1.2.3"]);
    let two = sanitised_from(&proxy, &[("host", "h"), ("x-forwarded-host", "a"), ("x-forwarded-host", "b")]);
    assert_eq!(lines(&two.expect("not refused"), "x-forwarded-host"), [b"h"]);
    let long = "x".repeat(129);
    for bad in ["", "a b", "é", &long] {
        assert_eq!(request_id(&headers(&[("x-request-id", bad)]), &proxy), None, "{bad:?}");
    }
    assert_eq!(request_id(&headers(&[("x-request-id", "a"), ("x-request-id", "b")]), &proxy), None);
}

#[test]
fn via_is_appended_to() {
    let told = sanitised(&[("via", "1.0 a, 1.1 b")]).expect("not refused");
    assert_eq!(lines(&told, "via"), [&b"1.0 a, 1.1 b"[..], b"1.1 relevo"]);
}

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn a_sound_trace_is_passed_on_whole() {
    let later = TRACE.replacen("00", "01", 1) + "-more";
    for trace in [TRACE, &later] {
        let told = sanitised(&[("traceparent", trace), ("tracestate", "a=b"), ("tracestate", "c=d")]).expect("fine");
        assert_eq!(lines(&told, "traceparent"), [trace.as_bytes()]);
        assert_eq!(lines(&told, "tracestate"), [b"a=b", b"c=d"]);
    }
}

#[test]
fn a_missing_or_malformed_trace_is_replaced_and_its_state_dropped() {
    let zero_trace = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
    let zero_parent = "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01";
    let bad = [
        "",
        "x",
        zero_trace,
        zero_parent,
        &TRACE.to_uppercase(),
        &TRACE.replacen("00", "ff", 1),
        &format!("{TRACE}-x"),
        &format!("{TRACE}x"),
        &TRACE.replace('-', "_"),
        &TRACE[..54],
    ];
    let fresh = format!("00-{}-{}-00", "ab".repeat(16), "ab".repeat(8));
    for trace in bad {
        let told = sanitised(&[("traceparent", trace), ("tracestate", "a=b")]).expect("not refused");
        assert_eq!(lines(&told, "traceparent"), [fresh.as_bytes()], "{trace}");
        assert!(!told.contains_key("tracestate"));
    }
    let two = sanitised(&[("traceparent", TRACE), ("traceparent", TRACE)]).expect("not refused");
    assert_eq!(lines(&two, "traceparent"), [fresh.as_bytes()]);
}

#[test]
fn the_identity_is_told_whatever_the_client_sent() {
    let roles: BTreeSet<Role> = ["orders:read", "a"].map(|role| role.parse().expect("a role")).into();
    let identity = crate::index::Identity::of(KeyId::from_bits(0x7b), "Zoë & co", &roles);
    let mut told = sanitised(&[("x-relevo-key-id", "key_evil"), ("x-relevo-admin", "1")]).expect("not refused");
    identify(&mut told, identity, Slot::Old);
    assert_eq!(lines(&told, "x-relevo-key-id"), [b"key_0000000000000000000000000000007b"]);
    assert_eq!(lines(&told, "x-relevo-key-name"), [b"Zo%C3%AB%20%26%20co"]);
    assert_eq!(lines(&told, "x-relevo-roles"), [b"a,orders:read"]);
    assert_eq!(lines(&told, "x-relevo-token"), [b"old"]);
    assert!(!told.contains_key("x-relevo-admin"));
}

#[test]
fn a_response_loses_hop_by_hop_headers_and_what_only_the_gateway_may_say() {
    let sent = [
        ("server", "s"),
        ("connection", "keep-alive, X-Private"),
        ("keep-alive", "timeout=5"),
        ("x-private", "1"),
        ("relevo-token", "old"),
        ("relevo-anything", "1"),
        ("transfer-encoding", "chunked"),
        ("set-cookie", "a"),
        ("set-cookie", "b"),
        ("content-type", "t"),
    ];
    let kept = sanitise_response(headers(&sent)).expect("not refused");
    let names: Vec<_> = kept.keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["server", "set-cookie", "content-type"]);
    assert_eq!(lines(&kept, "set-cookie"), [b"a", b"b"]);
    let framing = sanitise_response(headers(&[("connection", "content-length")]));
    assert_eq!(framing, Err(Refusal::UpstreamFailed));
}

#[test]
fn trailers_lose_what_frames_routes_or_authenticates() {
    let sent = [
        ("content-length", "1"),
        ("host", "h"),
        ("authorization", "x"),
        ("x-api-key", "x"),
        ("x_api_key", "x"),
        ("x.api.key", "x"),
        ("x-app-token", "x"),
        ("cookie", "c"),
        ("set-cookie", "c"),
        ("x-relevo-token", "new"),
        ("relevo-token", "old"),
        ("x_forwarded_for", "1"),
        ("grpc-status", "0"),
        ("x-checksum", "1"),
    ];
    let kept = sanitise_trailers(headers(&sent), &credentials());
    assert_eq!(kept.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["grpc-status", "x-checksum"]);
}

#[test]
fn a_host_has_one_spelling() {
    let table = [
        ("example.com", "example.com"),
        ("Example.COM:8080", "example.com"),
        ("example.com.", "example.com"),
        ("localhost:0", "localhost"),
        ("127.0.0.1:65535", "127.0.0.1"),
        ("a_b-c.d", "a_b-c.d"),
        ("[::1]", "[::1]"),
        ("[0:0::1]:80", "[::1]"),
        ("[2001:DB8::A]", "[2001:db8::a]"),
    ];
    for (value, expected) in table {
        assert_eq!(host_of(&Uri::from_static("/"), &headers(&[("host", value)])).as_deref(), Ok(expected), "{value}");
    }
}

#[test]
fn a_missing_doubled_or_malformed_host_is_refused() {
    let target = Uri::from_static("/");
    assert!(host_of(&target, &headers(&[])).is_err());
    assert!(host_of(&target, &headers(&[("host", "a"), ("host", "a")])).is_err());
    let long = "a".repeat(254);
    let bad = [
        "", " ", ".", "a..b", ".a", "a..", "u@a", "u:p@a", "a,b", "a b", "a/b", "a?b", "a#b", "a:b", "a:", "a:+1",
        "a:65536", "a:1:2", "a%2eb", "a\tb", "é", "[::1", "::1", "[::1]x", "[::1]:", "[]", "[::g]", "[::1]:x",
        "[v1.a]", "http://a", "*", "a;b", "a\\b", "a'b", &long,
    ];
    for value in bad {
        assert!(host_of(&target, &headers(&[("host", value)])).is_err(), "{value:?}");
    }
}

#[test]
fn an_absolute_target_must_be_for_the_same_host() {
    let host = |target: &'static str, value: &str| {
        host_of(&Uri::from_static(target), &headers(&[("host", value)])).map(std::borrow::Cow::into_owned)
    };
    assert_eq!(host("http://a.b:1/x", "A.b:1").as_deref(), Ok("a.b"));
    for (target, value) in [("http://a/", "b"), ("http://a/", "a:80"), ("http://u@a/", "a"), ("http://u@a/", "u@a")] {
        assert!(host(target, value).is_err(), "{target} {value}");
    }
}

/// A protected name in some spelling.
fn protected() -> impl Strategy<Value = String> {
    let names = vec![
        "x-relevo-key-id",
        "x-relevo-roles",
        "x-relevo-anything",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-user",
        "x-real-ip",
        "x-original-url",
        "x-rewrite-url",
    ];
    let separators = prop::collection::vec(prop::sample::select(vec!['-', '_', '.']), 4);
    (prop::sample::select(names), separators, any::<u32>()).prop_map(|(name, separators, cases)| {
        let mut separators = separators.into_iter();
        let spelled = name.chars().enumerate().map(|(index, c)| match c {
            '-' => separators.next().unwrap_or('-'),
            c if cases >> index & 1 == 1 => c.to_ascii_uppercase(),
            c => c,
        });
        spelled.collect()
    })
}

fn is_spelled_like_protected(name: &HeaderName) -> bool {
    let plain = name.as_str().replace(['_', '.'], "-");
    ["x-relevo-", "x-forwarded-", "x-original-", "x-rewrite-"].iter().any(|prefix| plain.starts_with(prefix))
        || ["forwarded", "x-real-ip"].contains(&plain.as_str())
}

proptest! {
    #[test]
    fn no_protected_name_survives_in_any_spelling(
        names in prop::collection::vec(protected(), 1..8),
        others in prop::collection::vec("[a-z][a-z0-9-]{0,8}", 0..5),
    ) {
        let mut sent: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "theirs")).collect();
        sent.extend(others.iter().map(|name| (name.as_str(), "1")));
        if let Ok(kept) = sanitised(&sent) {
            let theirs = kept.iter().filter(|(_, value)| *value == "theirs").count();
            prop_assert_eq!(theirs, 0);
            let unexpected = kept.keys().find(|name| is_spelled_like_protected(name) && !OURS.contains(&name.as_str()));
            prop_assert_eq!(unexpected, None);
        } else {
            prop_assert!(names.iter().any(|name| name.contains('.')), "{:?}", sent);
        }
        let kept = sanitise_trailers(headers(&sent), &credentials());
        prop_assert!(!kept.keys().any(is_spelled_like_protected));
        for name in &names {
            let listed = [("connection", name.as_str())];
            prop_assert!(sanitised(&listed).is_err(), "{}", name);
        }
    }

    #[test]
    fn no_value_panics(value in prop::collection::vec(32_u8..=255, 0..40)) {
        let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
        for name in ["connection", "te", "traceparent", "host", "x-forwarded-for", "x-request-id"] {
            let mut sent = HeaderMap::new();
            sent.insert(HeaderName::from_static(name), value.clone());
            let (peer, request_id) = (peer("10.0.0.1"), HeaderValue::from_static("fresh"));
            let (scheme, version, entropy) = (Scheme::Https, Version::HTTP_10, [0; 24]);
            let arrival = Arrival { peer: &peer, scheme, version, request_id, entropy };
            let _ = host_of(&Uri::from_static("/"), &sent);
            let _ = sanitise_response(sent.clone());
            let _ = sanitise_request(sent, &arrival, &credentials());
        }
    }
}
