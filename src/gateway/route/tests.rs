use std::collections::BTreeSet;
use std::time::Duration;

use http::HeaderName;
use proptest::prelude::*;

use super::*;
use crate::config::MethodName;
use crate::gateway::path::PathPolicy;

const POLICY: PathPolicy = PathPolicy { semicolons: true };

/// A route to the first upstream, which keeps case; to be changed by the test.
pub(in crate::gateway) fn route(path: &str) -> config::Route {
    config::Route {
        path: path.to_owned(),
        hosts: Vec::new(),
        methods: None,
        roles: BTreeSet::new(),
        all_roles: BTreeSet::new(),
        auth: Auth::Required,
        credentials: [CredentialForm::Bearer, CredentialForm::Header, CredentialForm::Pair].into(),
        forward_credential: false,
        streaming: false,
        encoded_slash: false,
        body_limit: None,
        waits: config::Waits::default(),
        upgrade: BTreeSet::new(),
        strip_prefix: false,
        preflight: false,
        request_headers: config::HeaderRules::default(),
        response_headers: config::HeaderRules::default(),
        upstream: 0,
    }
}

/// A configuration of `routes` and two upstreams, the second of which folds case.
pub(in crate::gateway) fn config(routes: Vec<config::Route>) -> Config {
    let second = Duration::from_secs(1);
    let upstream = |case_insensitive| config::Upstream {
        name: "orders".to_owned(),
        endpoints: Vec::new(),
        tls: config::UpstreamTls::default(),
        case_insensitive,
        connect_timeout: second,
        head_timeout: second,
        body_timeout: second,
        idle_timeout: second,
        idle_connections: 1,
        in_flight: 1,
        waiting: 0,
        wait_timeout: Duration::ZERO,
        weights: Vec::new(),
        slow_start: Duration::ZERO,
        eject_after: 0,
        eject_for: Duration::ZERO,
        resolve_every: Duration::ZERO,
        health: None,
    };
    let pair = config::Pair {
        key: HeaderName::from_static("x-vtex-api-appkey"),
        token: HeaderName::from_static("x-vtex-api-apptoken"),
    };
    let mut config = Config::parse("", "test", []).expect("the defaults");
    config.credentials.pair = Some(pair);
    config.paths.semicolons = true;
    config.upstreams = vec![upstream(false), upstream(true)];
    config.routes = routes;
    config
}

fn methods(names: &[&str]) -> BTreeSet<MethodName> {
    names.iter().map(|name| MethodName(name.parse().expect("a method"))).collect()
}

fn host(name: &str) -> HostPattern {
    name.strip_prefix('*').map_or(HostPattern::Exact(name.into()), |suffix| HostPattern::OneLabelBefore(suffix.into()))
}

/// The place of the route that is chosen, or the code of the refusal.
fn choose(table: &RouteTable, at: &str, path: &str, method: &str) -> Result<usize, &'static str> {
    let path = POLICY.normalise(path).map_err(|_| "bad_request")?;
    let method = method.parse().expect("a method");
    table.choose(at, &path, &method).map(|route| route.index).map_err(|refusal| refusal.code())
}

fn table(routes: Vec<config::Route>) -> RouteTable {
    RouteTable::new(&config(routes))
}

#[test]
fn the_longest_prefix_at_a_segment_boundary_wins() {
    let table = table(["/", "/a", "/a/b", "/a-b", "/a/b/c/d"].map(route).into());
    let expected = [
        ("/", 0),
        ("/ab", 0),
        ("/a", 1),
        ("/a/", 1),
        ("/a/a", 1),
        ("/a/bb", 1),
        ("/a/b", 2),
        ("/a/b/c", 2),
        ("/a/b/c/dd", 2),
        ("/a/b/c/d/e", 4),
        ("/a-b/x", 3),
        ("/a-c", 0),
        ("/A", 0),
        ("/a;v=1/b", 2),
        ("/%61/%62", 2),
        ("/zzz", 0),
    ];
    for (path, index) in expected {
        assert_eq!(choose(&table, "h", path, "GET"), Ok(index), "{path}");
    }
}

#[test]
fn a_path_that_no_route_begins_has_no_route() {
    let table = table(vec![route("/a"), route("/b/")]);
    for path in ["/", "/ab", "/b", "/c"] {
        assert_eq!(choose(&table, "h", path, "GET"), Err("no_route"), "{path}");
    }
    assert_eq!(choose(&table, "h", "/b/c", "GET"), Ok(1));
}

#[test]
fn a_host_that_is_named_is_answered_by_its_own_routes_only() {
    let at = |name: &str, path: &str| config::Route { hosts: vec![host(name)], ..route(path) };
    let table = table(vec![at("a.example.com", "/x"), at("*.example.com", "/"), route("/")]);
    let expected = [
        ("a.example.com", "/x", Ok(0)),
        ("a.example.com", "/y", Err("no_route")), // neither the wildcard's nor the others'
        ("b.example.com", "/y", Ok(1)),
        ("c.b.example.com", "/y", Ok(2)),
        ("example.com", "/y", Ok(2)),
        (".example.com", "/y", Ok(2)),
        ("localhost", "/y", Ok(2)),
    ];
    for (name, path, index) in expected {
        assert_eq!(choose(&table, name, path, "GET"), index, "{name}{path}");
    }
}

#[test]
fn a_host_that_no_route_names_is_unknown_where_all_routes_name_hosts() {
    let table = table(vec![config::Route { hosts: vec![host("a.b"), host("*.c.d")], ..route("/") }]);
    assert_eq!(choose(&table, "a.b", "/", "GET"), Ok(0));
    assert_eq!(choose(&table, "x.c.d", "/", "GET"), Ok(0));
    assert_eq!(choose(&table, "b", "/", "GET"), Err("unknown_host"));
}

#[test]
fn the_method_decides_last_and_without_falling_back() {
    let with = |path: &str, names: &[&str]| config::Route { methods: Some(methods(names)), ..route(path) };
    let table =
        table(vec![route("/"), with("/a", &["GET"]), with("/a", &["POST", "PUT"]), with("/b", &["GET"]), route("/b")]);
    assert_eq!(choose(&table, "h", "/a", "GET"), Ok(1));
    assert_eq!(choose(&table, "h", "/a", "HEAD"), Ok(1));
    assert_eq!(choose(&table, "h", "/a", "PUT"), Ok(2));
    assert_eq!(choose(&table, "h", "/a", "DELETE"), Err("method_not_allowed"));
    assert_eq!(choose(&table, "h", "/b", "HEAD"), Ok(3));
    assert_eq!(choose(&table, "h", "/b", "BREW"), Ok(4));
    let path = POLICY.normalise("/a").expect("legal");
    let refusal = table.choose("h", &path, &Method::DELETE).expect_err("refused");
    assert_eq!(refusal, Refusal::MethodNotAllowed { allow: HeaderValue::from_static("GET, HEAD, POST, PUT") });
}

#[test]
fn a_route_that_names_head_takes_it_from_one_that_names_get() {
    let with = |names: &[&str]| config::Route { methods: Some(methods(names)), ..route("/") };
    let table = table(vec![with(&["GET"]), with(&["HEAD"])]);
    assert_eq!(choose(&table, "h", "/", "HEAD"), Ok(1));
}

#[test]
fn connect_and_trace_are_never_taken() {
    let table = table(vec![config::Route { methods: Some(methods(&["TRACE", "GET"])), ..route("/") }, route("/a")]);
    for method in ["CONNECT", "TRACE"] {
        for path in ["/", "/a"] {
            assert_eq!(choose(&table, "h", path, method), Err("method_not_allowed"));
        }
    }
}

#[test]
fn an_encoded_slash_passes_only_where_the_route_takes_it() {
    let table = table(vec![route("/"), config::Route { encoded_slash: true, ..route("/files") }]);
    assert_eq!(choose(&table, "h", "/a%2Fb", "GET"), Err("bad_request"));
    assert_eq!(choose(&table, "h", "/files/a%2fb", "GET"), Ok(1));
    assert_eq!(choose(&table, "h", "/files%2fb", "GET"), Err("bad_request"));
    assert_eq!(choose(&table, "h", "/%2ffiles/a", "GET"), Err("bad_request"));
}

#[test]
fn a_case_insensitive_upstream_folds_the_case_of_its_routes_alone() {
    let folded = |path: &str| config::Route { upstream: 1, ..route(path) };
    let table = table(vec![route("/"), folded("/Admin"), route("/orders"), folded("/ORDERS")]);
    for path in ["/admin", "/ADMIN/x", "/%41dmin", "/aDmIn;x"] {
        assert_eq!(choose(&table, "h", path, "GET"), Ok(1), "{path}");
    }
    assert_eq!(choose(&table, "h", "/orders", "GET"), Ok(2));
    assert_eq!(choose(&table, "h", "/Orders", "GET"), Ok(3));
}

#[test]
fn a_path_with_reserved_characters_matches_in_either_spelling() {
    let table = table(vec![route("/"), route("/a+b"), route("/caf%C3%A9")]);
    assert_eq!(choose(&table, "h", "/a%2Bb", "GET"), Ok(1));
    assert_eq!(choose(&table, "h", "/a+b/c", "GET"), Ok(1));
    assert_eq!(choose(&table, "h", "/caf%c3%a9", "GET"), Ok(2));
}

#[test]
fn a_compiled_route_accepts_what_gateway_and_route_both_accept() {
    let mut config = config(vec![config::Route { credentials: [CredentialForm::Header].into(), ..route("/") }]);
    let accepted = |config: &Config| RouteTable::new(config).routes()[0].credentials.clone();
    assert!(!accepted(&config).bearer && accepted(&config).header.is_some() && accepted(&config).pair.is_none());
    config.credentials.header = None;
    assert!(accepted(&config).header.is_none());
}

#[test]
fn a_label_names_hosts_and_path() {
    let route = config::Route { hosts: vec![host("a.b"), host("*.c.d")], ..route("/x") };
    assert_eq!(&*table(vec![route]).routes()[0].label, "a.b,*.c.d/x");
}

/// The text of `docs/configuration.md`, "Which route takes a request", sentence by sentence and without any thought
/// of speed.
fn naive(config: &Config, at: &str, path: &[u8], method: &str) -> Result<usize, &'static str> {
    let all = || config.routes.iter().enumerate();
    let exact = |route: &config::Route| route.hosts.contains(&HostPattern::Exact(at.into()));
    let wild = |route: &config::Route| {
        route.hosts.iter().any(|host| match host {
            HostPattern::Exact(_) => false,
            HostPattern::OneLabelBefore(suffix) => {
                at.strip_suffix(suffix.as_str()).is_some_and(|label| !label.is_empty() && !label.contains('.'))
            }
        })
    };
    let mut candidates: Vec<_> = all().filter(|(_, route)| exact(route)).collect();
    if candidates.is_empty() {
        candidates = all().filter(|(_, route)| wild(route)).collect();
    }
    if candidates.is_empty() {
        candidates = all().filter(|(_, route)| route.hosts.is_empty()).collect();
    }
    if candidates.is_empty() {
        return Err("unknown_host");
    }
    candidates.retain(|(_, route)| {
        let (mut path, mut prefix) = (path.to_vec(), route.path.clone().into_bytes());
        if config.upstreams[route.upstream].case_insensitive {
            (path, prefix) = (path.to_ascii_lowercase(), prefix.to_ascii_lowercase());
        }
        path == prefix || (path.starts_with(&prefix) && (prefix.ends_with(b"/") || path[prefix.len()] == b'/'))
    });
    let longest = candidates.iter().map(|(_, route)| route.path.len()).max().ok_or("no_route")?;
    candidates.retain(|(_, route)| route.path.len() == longest);
    let names = |route: &config::Route, method: &str| {
        route.methods.as_ref().is_some_and(|methods| methods.iter().any(|name| name.0.as_str() == method))
    };
    let by_name = candidates.iter().find(|(_, route)| names(route, method));
    let by_get = candidates.iter().find(|(_, route)| method == "HEAD" && names(route, "GET"));
    let other = candidates.iter().find(|(_, route)| route.methods.is_none());
    by_name.or(by_get).or(other).map(|(index, _)| *index).ok_or("method_not_allowed")
}

fn routes() -> impl Strategy<Value = Vec<config::Route>> {
    let paths = vec!["/", "/a", "/a/b", "/a-b", "/A", "/a/", "/ab", "/a/b/c", "/b", "/a+b"];
    let hosts = vec!["x.h", "y.h", "*.h", "*.x.h"];
    let chosen_hosts = prop::collection::btree_set(prop::sample::select(hosts), 0..3);
    let chosen_methods = prop::option::of(prop::sample::subsequence(vec!["GET", "HEAD", "POST"], 1..3));
    let one = (prop::sample::select(paths), chosen_hosts, chosen_methods, 0..2_usize);
    let all = prop::collection::vec(one, 0..8).prop_map(|all| {
        let build = |(path, hosts, names, upstream): (&str, BTreeSet<&str>, Option<Vec<&str>>, usize)| config::Route {
            hosts: hosts.into_iter().map(host).collect(),
            methods: names.map(|names| methods(&names)),
            upstream,
            ..route(path)
        };
        all.into_iter().map(build).collect::<Vec<_>>()
    });
    all.prop_map(without_mistakes)
}

/// Drops routes of equal host, path (under either rule of case) and method, which a configuration cannot have.
fn without_mistakes(routes: Vec<config::Route>) -> Vec<config::Route> {
    let mut kept: Vec<config::Route> = Vec::new();
    for route in routes {
        let clashes = |other: &config::Route| {
            let hosts = |route: &config::Route| route.hosts.iter().cloned().map(Some).collect::<BTreeSet<_>>();
            let shared = route.hosts.is_empty() && other.hosts.is_empty()
                || hosts(&route).intersection(&hosts(other)).next().is_some();
            let methods = match (&route.methods, &other.methods) {
                (None, None) => true,
                (Some(a), Some(b)) => a.intersection(b).next().is_some(),
                (Some(_), None) | (None, Some(_)) => false,
            };
            shared && methods && route.path.eq_ignore_ascii_case(&other.path)
        };
        if !kept.iter().any(clashes) {
            kept.push(route);
        }
    }
    kept
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_table_chooses_as_the_text_says(
        routes in routes(),
        path in "(/(a|b|c|ab|A|a-b|a\\+b|%61|a%2Bb|B)){0,4}/?",
        at in prop::sample::select(vec!["x.h", "y.h", "z.h", "a.x.h", "h", "other"]),
        method in prop::sample::select(vec!["GET", "HEAD", "POST", "PUT"]),
    ) {
        let config = config(routes);
        let table = RouteTable::new(&config);
        if POLICY.normalise(&path).is_ok() {
            // The decision on a path is that on its decoded text, which is what a backend acts on.
            let decoded: Vec<u8> = percent_encoding::percent_decode_str(&path).collect();
            prop_assert_eq!(choose(&table, at, &path, method), naive(&config, at, &decoded, method));
        }
    }
}
