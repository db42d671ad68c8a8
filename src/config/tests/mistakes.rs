//! Every kind of mistake, provoked, with its key and its line.

use super::*;

/// Each text has the one mistake beside it.
fn each(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(mistakes(text), [*expected], "{text}");
    }
}

#[test]
fn a_port_that_cannot_be_is_told_with_its_line() {
    each(&[
        ("[gateway]\nlisten = []", "2 gateway.listen: names no address"),
        (
            "[gateway]\nlisten = [\"unix:a.sock\"]",
            "2 gateway.listen[0]: is not of the form unix:/path, of at most 107 bytes",
        ),
        (
            "[gateway]\nlisten = [\n\"localhost:80\"]",
            "3 gateway.listen[0]: is not an address and port like 127.0.0.1:8080 or [::1]:8080",
        ),
        (
            "[gateway]\nlisten = [\"127.0.0.1:1\",\n\"127.0.0.1:1\"]",
            "3 gateway.listen[1]: is the address of gateway.listen[0] already",
        ),
        ("[gateway]\nworkers = 1025", "2 gateway.workers: is not a number from 0 to 1024"),
        ("[gateway]\nworkers = -1", "2 gateway.workers: invalid value: integer `-1`, expected a whole number"),
        ("[gateway]\nworkers = \"2\"", "2 gateway.workers: invalid type: string \"2\", expected a whole number"),
        (
            "[gateway]\ntrusted_proxies = [\"10.0.0.0/33\"]",
            "2 gateway.trusted_proxies[0]: is not a network like 10.0.0.0/8",
        ),
        (
            "[[gateway.listeners]]\naddress = \"x\"",
            "2 gateway.listeners[0].address: is not an address and port like 127.0.0.1:8080 or [::1]:8080",
        ),
        ("[[gateway.listeners]]", "1 gateway.listeners[0].address: is missing"),
        (
            "[gateway]\nlisten = [\"unix:/a\"]\n[[gateway.listeners]]\naddress = \"unix:/a\"",
            "4 gateway.listeners[0].address: is the address of gateway.listen[0] already",
        ),
        (
            "[[gateway.listeners]]\naddress = \"fd:a\"\ntls = []",
            "3 gateway.listeners[0].tls: names no certificate: leave it out to listen in clear",
        ),
        (
            "[gateway]\nself_service = true\n[[upstreams]]\nname = \"a\"\nendpoints = [\"http://a\"]\n[[routes]]\npath = \"/.relevo/x\"\nupstream = \"a\"",
            "7 routes[0].path: is Relevo's own: gateway.self_service is on",
        ),
        ("[gateway]\nlisten = 5", "2 gateway.listen: invalid type: integer `5`, expected a list"),
        ("gateway = 5", "1 gateway: invalid type: integer `5`, expected a table"),
        (
            "[admin]\nlisten = \"0.0.0.0:8081\"",
            "2 admin.listen: is not a loopback address, and without admin.tls tokens would travel in clear",
        ),
        ("[admin]\nlisten = \"127.0.0.1:8080\"", "2 admin.listen: is the address of gateway.listen[0] already"),
        ("[admin]\ntls = { key = \"k.pem\" }", "2 admin.tls.certificate: is missing"),
        (
            "[admin]\nhosts = [\"admin.example.com:8081\"]",
            "2 admin.hosts[0]: holds a port or is an IPv6 address without brackets: a host stands alone",
        ),
        ("[probes]\nlisten = \"127.0.0.1:8081\"", "2 probes.listen: is the address of admin.listen already"),
        ("[probes]\nmetrics = true", "2 probes.metrics: means nothing without probes.listen"),
    ]);
}

#[test]
fn a_certificate_that_cannot_be_shown_is_told_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let write = |name: &str, text: &str| std::fs::write(file(name), text).expect("written");
    for name in ["a", "b"] {
        let made = rcgen::generate_simple_self_signed([format!("{name}.example")]).expect("made");
        write(&format!("{name}.pem"), &made.cert.pem());
        write(&format!("{name}.key"), &made.signing_key.serialize_pem());
    }
    write("none.pem", "nothing");
    write("bad.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let served = |certificate: &str, key: &str, hosts: &str| {
        format!("{{ certificate = '{}', key = '{}'{hosts} }}", file(certificate), file(key))
    };
    let listener =
        |tls: &[String]| format!("[[gateway.listeners]]\naddress = \"127.0.0.1:443\"\ntls = [{}]", tls.join(",\n"));
    let good = served("a.pem", "a.key", "");
    let other = served("b.pem", "b.key", ", hosts = [\"b.example\"]");
    assert!(read(&listener(&[good.clone(), other.clone()])).is_ok());
    let gone = "cannot be read: No such file or directory (os error 2)";
    for (tls, expected) in [
        (vec![served("x.pem", "a.key", "")], format!("tls[0].certificate: {gone}")),
        (vec![served("a.pem", "x.key", "")], format!("tls[0].key: {gone}")),
        (vec![served("none.pem", "a.key", "")], "tls[0].certificate: holds no certificate in PEM".into()),
        (vec![served("a.pem", "none.pem", "")], "tls[0].key: holds no private key in PEM".into()),
        (
            vec![good.clone(), served("b.pem", "a.key", ", hosts = [\"b.example\"]")],
            "tls[1].key: is not the key of the certificate".into(),
        ),
        (
            vec![good.clone(), served("b.pem", "b.key", "")],
            "tls[1].hosts: is missing: only the first certificate is the default".into(),
        ),
        (
            vec![good.clone(), other.clone(), other.clone()],
            "tls[2].hosts: is named for another certificate already".into(),
        ),
        (vec!["{ key = \"a\" }".into()], "tls[0].certificate: is missing".into()),
    ] {
        let line = 2 + tls.len();
        assert_eq!(mistakes(&listener(&tls)), [format!("{line} gateway.listeners[0].{expected}")], "{tls:?}");
    }
    let malformed = mistakes(&listener(&[served("bad.pem", "a.key", "")]));
    assert!(malformed[0].starts_with("3 gateway.listeners[0].tls[0].certificate: holds a malformed"), "{malformed:?}");
}

#[test]
fn a_store_token_or_credential_that_cannot_be_is_told_with_its_line() {
    each(&[
        ("[store]\nkind = \"etcd\"", "2 store.kind: etcd is not supported by this version"),
        ("[store]\nkind = \"files\"", "2 store.kind: is not \"embedded\""),
        ("[store]\nendpoints = []", "2 store.endpoints: etcd is not supported by this version"),
        ("[store]\npath = \"\"", "2 store.path: names no file"),
        ("[store]\npath = \"var/usage.redb\"", "2 store.path: is the name of a file that is kept beside the store"),
        ("[tokens]\nprefix = \"rlva\"", "2 tokens.prefix: is the prefix of administrators' tokens"),
        ("[tokens]\nprefix = \"A\"", "2 tokens.prefix: is not 2 to 16 of a-z 0-9, beginning with a letter"),
        ("[tokens]\nduration = \"0s\"", "2 tokens.duration: must be longer than nothing"),
        ("[tokens]\nduration = \"soon\"", "2 tokens.duration: is not a duration like 30s, 10m, 24h, 7d or 1h 30m"),
        ("[tokens]\non_expiry = \"ask\"", "2 tokens.on_expiry: is neither refuse nor warn"),
        ("[tokens]\nremember = \"0s\"", "2 tokens.remember: must be longer than nothing"),
        (
            "[credentials]\nheader = \"authorization\"",
            "2 credentials.header: authorization cannot carry a credential: it has another meaning",
        ),
        (
            "[credentials]\nheader = \"X-Relevo-Key\"",
            "2 credentials.header: x-relevo-key cannot carry a credential: it has another meaning",
        ),
        ("[credentials]\nheader = \"a_b\"", "2 credentials.header: is not a header name of A-Z a-z 0-9 and -"),
        ("[credentials]\nheader = true", "2 credentials.header: true says too little: give a string, or false"),
        ("[credentials]\npair = { key = \"x-a\" }", "2 credentials.pair.token: is missing: a pair needs both headers"),
        ("[credentials]\npair = { key = \"x-a\", token = \"X-A\" }", "2 credentials.pair: uses one header for both"),
        (
            "[credentials]\npair = { key = \"x-a\", token = \"x-api-key\" }",
            "2 credentials.pair: uses the header of credentials.header",
        ),
    ]);
}

#[test]
fn a_log_wait_or_bound_that_cannot_be_is_told_with_its_line() {
    each(&[
        (
            "[log]\naccess = \"stdout\"",
            "2 log.access: stdout is for the listening addresses: \"stderr\", a file, or false",
        ),
        ("[log]\naccess = \"\"", "2 log.access: names no file"),
        ("[drain]\ntimeout = \"0s\"", "2 drain.timeout: must be longer than nothing"),
        ("[errors]\ndetail = \"none\"", "2 errors.detail: is neither \"full\" nor \"minimal\""),
        ("[limits]\nhead_bytes = \"1KiB\"", "2 limits.head_bytes: is not a size from 8KiB to 1MiB"),
        ("[limits]\nhead_bytes = \"big\"", "2 limits.head_bytes: is not a size like 512KiB or 10MiB"),
        ("[limits]\nhandshakes = 0", "2 limits.handshakes: is not a number from 1 to 10000000"),
        ("[limits]\nhandshake_timeout = \"0s\"", "2 limits.handshake_timeout: must be longer than nothing"),
        ("[limits.http2]\nstreams = 0", "2 limits.http2.streams: is not a number from 1 to 10000"),
        (
            "[limits.http2]\nheader_list_bytes = \"1B\"",
            "2 limits.http2.header_list_bytes: is not a size from 1KiB to 1MiB",
        ),
        (
            "[limits.http2]\nstream_window_bytes = \"2GiB\"",
            "2 limits.http2.stream_window_bytes: is not a size from 64KiB to 1024MiB",
        ),
        ("[limits.http2]\nping_interval = \"0s\"", "2 limits.http2.ping_interval: must be longer than nothing"),
        ("[limits]\nheader_count = 0", "2 limits.header_count: is not a number from 1 to 1000"),
        ("[limits]\nconnections = 0", "2 limits.connections: is not a number from 1 to 10000000"),
        ("[limits]\nkeep_alive = \"0s\"", "2 limits.keep_alive: must be longer than nothing"),
        ("[paths]\ncolons = true", "2 paths.colons: unknown field `colons`, expected `semicolons`"),
        ("[gateway", "1 : unclosed table, expected `]`"),
        ("[paths]\nsemicolons = true\nsemicolons = true", "3 : duplicate key"),
    ]);
}

#[test]
fn mistakes_of_an_upstream_are_told_with_their_line() {
    let endpoints = "endpoints = [\"http://a\"]\n";
    for (text, expected) in [
        (endpoints.to_owned(), "1 upstreams[0].name: is missing"),
        (format!("{endpoints}name = \"a b\""), "3 upstreams[0].name: is not 1 to 64 of A-Z a-z 0-9 . _ -"),
        (
            format!("{endpoints}name = \"a\"\n[[upstreams]]\n{endpoints}name = \"a\""),
            "6 upstreams[1].name: is the name of another upstream already",
        ),
        ("name = \"a\"".into(), "1 upstreams[0].endpoints: is missing"),
        ("name = \"a\"\nendpoints = []".into(), "3 upstreams[0].endpoints: names no endpoint"),
        (
            "name = \"a\"\nendpoints = [\"http://a/b\"]".into(),
            "3 upstreams[0].endpoints[0]: holds a path or query: an endpoint is a host and a port only",
        ),
        (
            "name = \"a\"\nendpoints = [\"http://u@a\"]".into(),
            "3 upstreams[0].endpoints[0]: holds user information: an endpoint is a host and a port only",
        ),
        (
            "name = \"a\"\nendpoints = [\"https://a/b\"]".into(),
            "3 upstreams[0].endpoints[0]: holds a path or query: an endpoint is a host and a port only",
        ),
        (
            "name = \"a\"\nendpoints = [\"http://a\"]\ntls = {}".into(),
            "4 upstreams[0].tls: means nothing without an endpoint of https",
        ),
        (
            "name = \"a\"\nendpoints = [\"unix:a\"]".into(),
            "3 upstreams[0].endpoints[0]: is not of the form unix:/path, of at most 107 bytes",
        ),
        (
            "name = \"a\"\nendpoints = [\"https://a\"]\ntls = { ca = \"/none.pem\" }".into(),
            "4 upstreams[0].tls.ca: cannot be read: No such file or directory (os error 2)",
        ),
        (
            "name = \"a\"\nendpoints = [\"https://a\"]\ntls = { certificate = \"/none.pem\" }".into(),
            "4 upstreams[0].tls.key: is missing",
        ),
        (
            "name = \"a\"\nendpoints = [\"a:80\"]".into(),
            "3 upstreams[0].endpoints[0]: is not of the form http://host:port, https://host:port, h2c://host:port or unix:/path",
        ),
        (
            "name = \"a\"\nendpoints = [\"http://a\", \"http://a/\"]".into(),
            "3 upstreams[0].endpoints[1]: is named twice",
        ),
        (
            format!("{endpoints}name = \"a\"\nconnect_timeout = \"0ms\""),
            "4 upstreams[0].connect_timeout: must be longer than nothing",
        ),
        (
            format!("{endpoints}name = \"a\"\nin_flight = 0"),
            "4 upstreams[0].in_flight: is not a number from 1 to 10000000",
        ),
    ] {
        assert_eq!(mistakes(&format!("[[upstreams]]\n{text}")), [expected], "{text}");
    }
}

#[test]
fn mistakes_of_a_route_are_told_with_their_line() {
    for (text, expected) in [
        ("path = \"orders\"", "9 routes[1].path: does not begin with /"),
        (
            "path = \"/a\"\nhosts = [\"a:80\"]",
            "10 routes[1].hosts[0]: holds a port or is an IPv6 address without brackets: a host stands alone",
        ),
        (
            "path = \"/a\"\nhosts = [\"a.*.b\"]",
            "10 routes[1].hosts[0]: holds * where it cannot stand: *.example.com is the one form",
        ),
        (
            "path = \"/a\"\nhosts = [\"bücher.example\"]",
            "10 routes[1].hosts[0]: is outside ASCII: write it in its xn-- form",
        ),
        (
            "path = \"/a\"\nhosts = [\"a..b\"]",
            "10 routes[1].hosts[0]: is not a host like api.example.com or *.example.com",
        ),
        ("path = \"/a\"\nmethods = []", "10 routes[1].methods: names no method: leave it out for all that are left"),
        ("path = \"/a\"\nmethods = [\"get\"]", "10 routes[1].methods[0]: is not in capitals, as methods are written"),
        ("path = \"/a\"\nmethods = [\"TRACE\"]", "10 routes[1].methods[0]: is never forwarded"),
        ("path = \"/a\"\nmethods = [\"A B\"]", "10 routes[1].methods[0]: is not a method"),
        (
            "path = \"/a\"\nroles = [\"A\"]",
            "10 routes[1].roles[0]: is not 1 to 64 of a-z 0-9 : . _ -, beginning with a letter or digit",
        ),
        (
            "path = \"/a\"\nauth = \"optional\"\nroles = [\"a\"]",
            "11 routes[1].roles: asks for roles where auth is not \"required\"",
        ),
        (
            "path = \"/a\"\nauth = \"none\"\nall_roles = [\"a\"]",
            "11 routes[1].all_roles: asks for roles where auth is not \"required\"",
        ),
        ("path = \"/a\"\nauth = \"maybe\"", "10 routes[1].auth: is none of \"required\", \"optional\" and \"none\""),
        ("path = \"/a\"\ncredentials = [\"pair\"]", "10 routes[1].credentials[0]: is not enabled in [credentials]"),
        (
            "path = \"/a\"\ncredentials = [\"cookie\"]",
            "10 routes[1].credentials[0]: is none of \"bearer\", \"header\" and \"pair\"",
        ),
        (
            "path = \"/a\"\ncredentials = []",
            "10 routes[1].credentials: names no form: leave it out for all that are enabled",
        ),
        (
            "path = \"/a\"\nauth = \"none\"\ncredentials = [\"header\"]",
            "11 routes[1].credentials: names credentials where auth is \"none\"",
        ),
        (
            "path = \"/a\"\nbody_limit = \"-1\"",
            "10 routes[1].body_limit: is neither a size like 512KiB or 10MiB nor \"unlimited\"",
        ),
        ("path = \"/a\"\nstream_idle = \"0s\"", "10 routes[1].stream_idle: must be longer than nothing"),
        ("path = \"/\"", "9 routes[1].path: has host, path and method of routes[0] already"),
    ] {
        let text = format!("{SOUND}\n[[routes]]\n{text}\nupstream = \"orders\"\n");
        assert_eq!(mistakes(&text), [expected], "{text}");
    }
}

#[test]
fn an_upgrade_that_cannot_be_is_told_with_its_line() {
    let named = |names: &str| mistakes(&format!("{SOUND}upgrade = [{names}]\n"));
    assert_eq!(
        named("\"websocket\", \"web socket\""),
        ["7 routes[0].upgrade[1]: is not the name of a protocol like websocket, with or without a /version"]
    );
    assert_eq!(
        named("\"h2c\""),
        ["7 routes[0].upgrade[0]: would carry requests that nobody judges: HTTP and TLS are no upgrades here"]
    );
    let text = SOUND.replace("http://", "h2c://") + "upgrade = [\"websocket\"]\n";
    let expected = "7 routes[0].upgrade: asks for upgrades of an upstream with h2c endpoints: only HTTP/1.1 has them";
    assert_eq!(mistakes(&text), [expected]);
}

#[test]
fn what_a_route_lacks_is_told_with_its_line() {
    let nobody = SOUND.replace("upstream = \"orders\"", "upstream = \"nobody\"");
    assert_eq!(mistakes(&nobody), ["6 routes[0].upstream: no upstream is named \"nobody\""]);
    let bare = format!("{SOUND}[[routes]]\n");
    assert_eq!(mistakes(&bare), ["7 routes[1].path: is missing", "7 routes[1].upstream: is missing"]);
    let nothing = format!("{SOUND}[credentials]\nbearer = false\nheader = false\n");
    let expected = "4 routes[0].credentials: no form of credential is enabled in [credentials], and this route judges";
    assert_eq!(mistakes(&nothing), [expected]);
}

/// Routes of one line each, with the upstream added.
fn routes(lines: &[&str]) -> Result<Config, Mistakes> {
    let tables = lines.iter().map(|line| format!("[[routes]]\n{}\nupstream = \"orders\"\n", line.replace("; ", "\n")));
    let upstream = &SOUND[..SOUND.find("[[routes]]").expect("a route")];
    read(&format!("{upstream}{}", tables.collect::<String>()))
}

#[test]
fn routes_that_take_one_request_both_are_a_mistake() {
    let path = "path = \"/a\"";
    for (one, other) in [
        (path, "path = \"/a/\""),
        ("path = \"/a\"; methods = [\"GET\", \"POST\"]", "path = \"/a\"; methods = [\"POST\"]"),
        ("path = \"/a\"; methods = [\"GET\"]", "path = \"/a\"; methods = [\"HEAD\"]"),
        ("path = \"/a\"; hosts = [\"x.example\", \"y.example\"]", "path = \"/a\"; hosts = [\"Y.example\"]"),
        ("path = \"/a\"; hosts = [\"*.example\"]", "path = \"/a\"; hosts = [\"*.EXAMPLE\"]"),
    ] {
        let mistakes = routes(&[one, other]).expect_err("one request, two routes");
        let told: Vec<_> = mistakes.iter().map(|m| (m.key.as_str(), m.message.as_str())).collect();
        assert_eq!(told, [("routes[1].path", "has host, path and method of routes[0] already")], "{one} | {other}");
    }
    for (one, other) in [
        (path, "path = \"/A\""),
        (path, "path = \"/a/b\""),
        (path, "path = \"/a\"; methods = [\"POST\"]"),
        (path, "path = \"/a\"; hosts = [\"x.example\"]"),
        ("path = \"/a\"; methods = [\"GET\"]", "path = \"/a\"; methods = [\"POST\"]"),
        ("path = \"/a\"; hosts = [\"x.example\"]", "path = \"/a\"; hosts = [\"*.example\"]"),
    ] {
        assert!(routes(&[one, other]).is_ok(), "{one} | {other}");
    }
}

#[test]
fn routes_of_an_upstream_that_folds_case_are_compared_folded() {
    let text = format!(
        "{SOUND}[[routes]]\npath = \"/Orders\"\nupstream = \"orders\"\n[[routes]]\npath = \"/orders\"\nupstream = \"orders\"\n"
    );
    assert!(read(&text).is_ok());
    let folding = text.replace("name = \"orders\"\n", "name = \"orders\"\ncase_insensitive = true\n");
    assert_eq!(mistakes(&folding), ["12 routes[2].path: has host, path and method of routes[1] already"]);
}

#[test]
fn encoded_slashes_pass_only_where_no_longer_route_lies_below() {
    let open = "path = \"/files\"; encoded_slash = true";
    let mistakes = routes(&[open, "path = \"/files/private\""]).expect_err("two routes for one path");
    assert_eq!(mistakes.iter().map(|m| m.key.as_str()).collect::<Vec<_>>(), ["routes[0].encoded_slash"]);
    assert!(routes(&["path = \"/\"; encoded_slash = true", "path = \"/a\""]).is_err());
    for other in [
        "path = \"/\"",
        "path = \"/filesystem\"",
        "path = \"/files/a\"; hosts = [\"x.example\"]",
        "path = \"/files\"; methods = [\"PUT\"]",
    ] {
        assert!(routes(&[open, other]).is_ok(), "{other}");
    }
}
