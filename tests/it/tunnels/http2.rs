//! WebSocket on a stream of HTTP/2, by CONNECT with a protocol (RFC 8441).

use http::HeaderMap;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::{ROUTES, counted};
use crate::support::backend::{Backend, Reply};
use crate::support::frames::{Frames, SETTINGS};
use crate::support::gateway::TestGateway;
use crate::support::sockets::{EchoBackend, Socket};

#[test]
fn a_websocket_on_a_stream_is_one_of_http1_to_the_backend() {
    let backend = EchoBackend::in_clear();
    let gateway = TestGateway::in_front_of_address(backend.address()).routes(ROUTES).start();
    let holder = gateway.create_key("ci").done();
    let open = || Socket::open_over_http2(gateway.address(), "/chat?room=1", &holder.token).expect("a socket");
    let (mut socket, mut other) = (open(), open());
    assert_eq!(socket.answer["sec-websocket-protocol"], "echo");
    assert!(!socket.answer.contains_key("sec-websocket-accept") && !socket.answer.contains_key("upgrade"));
    for length in [0, 5, 126, 70_000, 1_000_000] {
        socket.echoes(&Message::text("a".repeat(length)));
        other.echoes(&Message::binary(vec![7; length]));
    }
    counted(&gateway, "relevo_tunnels 2");
    socket.close();
    counted(&gateway, "relevo_tunnels_ended_total{route=\"/\",reason=\"closed\"} 1");
    counted(&gateway, "relevo_requests_total{route=\"/\",method=\"GET\",code=\"200\"} 1");
    let all = |headers: &HeaderMap, name: &str| {
        headers.get_all(name).iter().map(|value| value.to_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    let seen = backend.seen();
    let keys: Vec<_> = seen.iter().flat_map(|seen| all(&seen.headers, "sec-websocket-key")).collect();
    assert!(keys.len() == 2 && keys[0] != keys[1] && keys[0].len() == 24, "{keys:?}");
    for seen in seen {
        assert_eq!(seen.target, "/chat?room=1");
        assert_eq!(
            (all(&seen.headers, "connection"), all(&seen.headers, "upgrade")),
            (vec!["upgrade".to_owned()], vec!["websocket".to_owned()])
        );
        assert_eq!(
            (all(&seen.headers, "via"), all(&seen.headers, "authorization")),
            (vec!["2 relevo".to_owned()], vec![])
        );
    }

    assert_eq!(
        gateway.admin("PATCH", &format!("/v1/keys/{}", holder.id), Some(&json!({"status": "inactive"}))).status,
        200
    );
    assert_eq!(other.closed(), Some((1008, "credential_invalid".to_owned())));
    counted(&gateway, "relevo_tunnels 0");
    assert_eq!(backend.ends_of("/chat?room=1"), [None, Some((1008, "credential_invalid".to_owned()))]);
}

#[test]
fn connect_is_refused_where_there_is_no_websocket_and_never_taken_for_granted() {
    let accepting = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n";
    let backend = Backend::replying(move |request| match &*request.target {
        "/forbidden" => Reply::raw("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"),
        "/unshaken" => Reply::raw(format!("{accepting}Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")),
        _ => Reply::ok("hello"),
    });
    let gateway = TestGateway::in_front_of(&backend).routes(ROUTES).start();
    let holder = gateway.create_key("ci").done();
    let opened = |target, token: &str| Socket::open_over_http2(gateway.address(), target, token).map(drop);
    assert_eq!(opened("/plain", &holder.token), Err(405));
    assert_eq!(opened("/", "rlv_nonsense"), Err(401));
    assert_eq!(opened("/reader", &holder.token), Err(403));
    assert_eq!(backend.requests().len(), 0);
    assert_eq!(opened("/forbidden", &holder.token), Err(403));
    assert_eq!(opened("/ordinary", &holder.token), Err(502));
    assert_eq!(opened("/unshaken", &holder.token), Err(502));
    counted(&gateway, "relevo_tunnels 0");
}

#[test]
fn connect_with_a_protocol_is_offered_only_where_a_route_allows_websocket() {
    /// `SETTINGS_ENABLE_CONNECT_PROTOCOL` (RFC 8441 §3), on.
    const OFFER: [u8; 6] = [0, 8, 0, 0, 0, 1];
    let backend = Backend::answering("hello");
    for (upgrade, offers) in [("websocket", true), ("lines/1", false)] {
        let routes = format!("[[routes]]\npath = \"/\"\nupstream = \"backend\"\nupgrade = [\"{upgrade}\"]\n");
        let gateway = TestGateway::in_front_of(&backend).routes(&routes).start();
        let mut client = Frames::connect(gateway.address());
        let settings = client.until(SETTINGS).expect("settings");
        assert_eq!(settings.payload.chunks(6).any(|setting| setting == OFFER), offers, "{upgrade}");
    }
}
