use rand::SeedableRng;

use super::*;
use crate::config;
use crate::gateway::route::RouteTable;
use crate::gateway::route::tests::{config, route};

const TOKEN: &str = "0123456789abcdefXYZ";

/// A header's name and value.
type Line<'a> = (&'static str, &'a str);

fn minted() -> String {
    Secret::mint(&Prefix::default(), &mut rand::rngs::StdRng::seed_from_u64(7)).reveal().to_owned()
}

fn headers(lines: &[Line<'_>]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
    }
    headers
}

/// Takes the credential out of `lines` on a route that `change` has made of the plain one.
fn take_on(lines: &[Line<'_>], change: impl Fn(&mut config::Route)) -> (Result<Presented, Refusal>, HeaderMap) {
    let mut route = route("/");
    change(&mut route);
    let config = config(vec![route]);
    let table = RouteTable::new(&config);
    let mut headers = headers(lines);
    let taken = take(&mut headers, &table.routes()[0], &config.credentials, &[Prefix::default()]);
    (taken, headers)
}

fn take_from(lines: &[Line<'_>]) -> Result<Presented, Refusal> {
    take_on(lines, |_| ()).0
}

fn token_of(presented: &Presented) -> &str {
    match presented {
        Presented::None => "",
        Presented::Token(token) | Presented::Pair { token, .. } => std::str::from_utf8(token.token()).expect("ASCII"),
    }
}

/// The lines that go on to the backend.
fn rest(headers: &HeaderMap) -> Vec<(&str, &[u8])> {
    let lines = headers.iter().filter(|(_, value)| !is_taken(value));
    lines.map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
}

#[test]
fn each_form_is_taken_out_and_the_other_lines_keep_their_order() {
    let around = |lines: &[Line<'_>]| {
        let all = [&[("host", "h"), ("accept", "a")], lines, &[("cookie", "c"), ("user-agent", "u")]].concat();
        let (presented, headers) = take_on(&all, |_| ());
        let expected: [(&str, &[u8]); 4] = [("host", b"h"), ("accept", b"a"), ("cookie", b"c"), ("user-agent", b"u")];
        assert_eq!(rest(&headers), expected);
        assert!(!format!("{headers:?}").contains(TOKEN));
        let presented = presented.expect("taken");
        assert_eq!(token_of(&presented), TOKEN);
        assert!(!format!("{presented:?}").contains(TOKEN), "a secret is not shown");
        presented
    };
    let bearer = format!("Bearer {TOKEN}");
    let form = |presented: &Presented| match presented {
        Presented::None => None,
        Presented::Token(token) | Presented::Pair { token, .. } => Some(token.form()),
    };
    assert_eq!(form(&around(&[("authorization", &bearer)])), Some(CredentialForm::Bearer));
    assert_eq!(form(&around(&[("x-api-key", TOKEN)])), Some(CredentialForm::Header));
    let pair = around(&[("x-vtex-api-appkey", "ci"), ("x-vtex-api-apptoken", TOKEN)]);
    assert_eq!(form(&pair), Some(CredentialForm::Pair));
    assert!(matches!(pair, Presented::Pair { key, .. } if key == "ci"));
}

#[test]
fn the_scheme_is_ours_in_any_case_and_behind_any_number_of_spaces() {
    for scheme in ["Bearer ", "bearer ", "BEARER ", "bEaReR    "] {
        let presented = take_from(&[("authorization", &format!("{scheme}{TOKEN}"))]).expect(scheme);
        assert_eq!(token_of(&presented), TOKEN);
    }
}

#[test]
fn what_follows_the_scheme_must_be_a_token_to_its_last_byte() {
    let long = "x".repeat(513);
    let wide = "é".repeat(20);
    let bytes = "x".repeat(8 * 1024);
    let tails: Vec<String> = ["", " ", " short", " 0123456789abcde", "\t0123456789abcdefg", " \t0123456789abcdefg"]
        .into_iter()
        .map(str::to_owned)
        .chain([&long, &wide, &bytes].map(|token| format!(" {token}")))
        .chain([format!(" {TOKEN} x"), format!(" {TOKEN},{TOKEN} "), format!(" {TOKEN}\t"), format!("={TOKEN}x y")])
        .collect();
    for tail in tails {
        let refused = take_from(&[("authorization", &format!("Bearer{tail}"))]);
        assert_eq!(refused.err(), Some(Refusal::CredentialInvalid), "{tail:?}");
    }
}

#[test]
fn tokens_in_a_header_of_their_own_are_judged_alike() {
    let most = "x".repeat(512);
    for good in ["0123456789abcdef", &most, "!\"#$%&'()*+,-./~"] {
        assert_eq!(token_of(&take_from(&[("x-api-key", good)]).expect(good)), good);
    }
    let long = "x".repeat(513);
    for bad in ["", "short", "0123456789abcde", &long, "0123456789 abcdef", "0123456789\tabcdef", "0123456789abcdefé"]
    {
        assert_eq!(take_from(&[("x-api-key", bad)]).err(), Some(Refusal::CredentialInvalid), "{bad:?}");
    }
}

#[test]
fn other_schemes_are_never_ours_and_pass_untouched() {
    for value in
        ["Basic dXNlcjpwYXNz", "Bearerx 0123456789abcdef", "Bear", "", "Digest a=b", "Bearer-x 0123456789abcdef"]
    {
        let lines = [("authorization", value)];
        let (presented, headers) = take_on(&lines, |_| ());
        assert!(matches!(presented, Ok(Presented::None)), "{value}");
        assert_eq!(rest(&headers), [("authorization", value.as_bytes())]);
    }
    let both = [("authorization", "Basic x"), ("x-api-key", TOKEN)];
    let (presented, headers) = take_on(&both, |_| ());
    assert_eq!(token_of(&presented.expect("taken")), TOKEN);
    assert_eq!(rest(&headers), [("authorization", &b"Basic x"[..])]);
}

#[test]
fn two_accepted_credentials_are_ambiguous_and_both_are_named() {
    let bearer = &*format!("Bearer {TOKEN}");
    let (a, k) = ("authorization", "x-api-key");
    let (pk, pt) = ("x-vtex-api-appkey", "x-vtex-api-apptoken");
    let table: &[(&[Line<'_>], &str, &str)] = &[
        (&[(a, bearer), (k, TOKEN)], a, k),
        (&[(k, TOKEN), (k, TOKEN)], k, k),
        (&[(k, ""), (k, TOKEN)], k, k),
        (&[(a, bearer), (a, bearer)], a, a),
        (&[(a, "Basic x"), (a, bearer)], a, a),
        (&[(a, bearer), (a, "Basic x")], a, a),
        (&[(a, "Basic x"), (a, "Digest y"), (a, bearer)], a, a),
        (&[(a, bearer), (pk, "ci"), (pt, TOKEN)], a, pt),
        (&[(a, bearer), (pk, "ci")], a, pk),
        (&[(k, TOKEN), (pk, "ci"), (pt, TOKEN)], k, pt),
        (&[(k, TOKEN), (pt, TOKEN)], k, pt),
        (&[(pk, "ci"), (pk, "ci"), (pt, TOKEN)], pk, pk),
        (&[(pk, "ci"), (pt, TOKEN), (pt, TOKEN)], pt, pt),
        (&[(a, "Bearer"), (k, "bad")], a, k),
    ];
    for (lines, first, second) in table {
        let expected = Refusal::CredentialAmbiguous {
            first: HeaderName::from_static(first),
            second: HeaderName::from_static(second),
        };
        assert_eq!(take_from(lines).err(), Some(expected), "{lines:?}");
    }
}

#[test]
fn half_a_pair_is_invalid() {
    for line in [("x-vtex-api-appkey", "ci"), ("x-vtex-api-apptoken", TOKEN)] {
        assert_eq!(take_from(&[line]).err(), Some(Refusal::CredentialInvalid));
    }
}

#[test]
fn a_form_that_the_route_does_not_accept_passes_untouched() {
    let bearer = format!("Bearer {TOKEN}");
    let lines = [("authorization", &*bearer), ("x-api-key", TOKEN), ("x-vtex-api-appkey", "ci")];
    let (presented, headers) = take_on(&lines, |route| route.credentials = [CredentialForm::Header].into());
    assert_eq!(token_of(&presented.expect("taken")), TOKEN);
    assert_eq!(rest(&headers), [("authorization", bearer.as_bytes()), ("x-vtex-api-appkey", b"ci")]);
}

#[test]
fn a_forwarded_credential_stays_in_its_place_and_is_sensitive() {
    let (presented, headers) = take_on(&[("x-api-key", TOKEN)], |route| route.forward_credential = true);
    assert_eq!(token_of(&presented.expect("taken")), TOKEN);
    assert_eq!(rest(&headers), [("x-api-key", TOKEN.as_bytes())]);
    assert!(headers["x-api-key"].is_sensitive());
}

#[test]
fn a_route_that_judges_nothing_loses_tokens_in_the_format_and_nothing_else() {
    let token = minted();
    let broken = token[..token.len() - 1].to_owned() + if token.ends_with('a') { "b" } else { "a" };
    let bearer = format!("bearer  {token}");
    let lines = [
        ("authorization", &*bearer),
        ("authorization", "Basic x"),
        ("x-api-key", &token),
        ("x-api-key", &broken),
        ("x-api-key", TOKEN),
        ("x-vtex-api-apptoken", &token),
        ("x-other", &token),
    ];
    let (presented, headers) = take_on(&lines, |route| route.auth = Auth::None);
    assert!(matches!(presented, Ok(Presented::None)));
    let expected = [("authorization", &b"Basic x"[..]), ("x-api-key", TOKEN.as_bytes()), ("x-other", token.as_bytes())];
    assert_eq!(rest(&headers), expected);
}

#[test]
fn an_optional_route_refuses_a_bad_credential_and_takes_none_for_none() {
    let optional = |route: &mut config::Route| route.auth = Auth::Optional;
    assert!(matches!(take_on(&[], optional).0, Ok(Presented::None)));
    assert_eq!(take_on(&[("x-api-key", "bad")], optional).0.err(), Some(Refusal::CredentialInvalid));
}

#[test]
fn a_token_with_a_wrong_checksum_is_refused_unhashed_and_no_token_is_missing() {
    let token = minted();
    let digest = |text: &str| take_from(&[("x-api-key", text)]).and_then(|taken| taken.digest(&[Prefix::default()]));
    assert_eq!(digest(&token), Ok(Digest::of(token.as_bytes())));
    assert_eq!(digest(TOKEN), Ok(Digest::of(TOKEN.as_bytes())));
    let broken = token[..token.len() - 1].to_owned() + if token.ends_with('a') { "b" } else { "a" };
    assert_eq!(digest(&broken), Err(Refusal::CredentialInvalid));
    assert_eq!(Presented::<HeaderValue>::None.digest(&[]), Err(Refusal::CredentialMissing));
}
