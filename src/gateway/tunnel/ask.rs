//! What a request asks to be made of its connection, and whether a backend's answer grants it (RFC 9110 §7.8).
//!
//! Promises: asked is only what the route allows, by GET and without a body; granted is only what was asked.
//! Deliberately does not: refuse. A request that asks for what is not allowed is one that does not ask.

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, request};
use hyper::upgrade::OnUpgrade;

use crate::config::UpgradeName;
use crate::gateway::refusal::Refusal;
use crate::gateway::route::{EVERY_METHOD, Route};

use super::key::Key;

/// The protocol that a request may change its connection to.
pub(in crate::gateway) struct Ask {
    pub(super) name: UpgradeName,
    /// The stream of HTTP/2 on which it is asked, if it is: there the gateway shakes hands with the backend by itself.
    pub(super) stream: Option<(OnUpgrade, Key)>,
}

impl Ask {
    /// Of a request with this head, on `route`; `None`: it asks for nothing that is allowed. On HTTP/2 there is nothing else
    /// that such a request can be, and it is refused.
    pub(in crate::gateway) fn of(
        route: &Route,
        head: &mut request::Parts,
        has_body: impl FnOnce() -> bool,
        entropy: impl FnOnce() -> [u8; 24],
    ) -> Result<Option<Box<Self>>, Refusal> {
        let is_connect = head.version == Version::HTTP_2 && head.headers.contains_key(UPGRADE);
        let name = Self::allowed(route, head, has_body);
        if !is_connect {
            return Ok(name.map(|name| Box::new(Self { name, stream: None })));
        }
        let stream = head.extensions.remove().map(|stream| (stream, Key::of(entropy())));
        let (Some(name), Some(stream)) = (name, stream) else {
            return Err(Refusal::MethodNotAllowed { allow: EVERY_METHOD });
        };
        Ok(Some(Box::new(Self { name, stream: Some(stream) })))
    }

    fn allowed(route: &Route, head: &request::Parts, has_body: impl FnOnce() -> bool) -> Option<UpgradeName> {
        if route.upgrade.is_empty() || head.method != Method::GET || head.version == Version::HTTP_10 || has_body() {
            return None;
        }
        if !lists(&head.headers, CONNECTION, "upgrade") {
            return None;
        }
        let known = |offered: &str| route.upgrade.iter().find(|name| offered.eq_ignore_ascii_case(name.as_str()));
        members(&head.headers, UPGRADE).find_map(known).cloned()
    }

    /// Asks the backend for it.
    pub(in crate::gateway) fn put(&self, headers: &mut HeaderMap) {
        self.tell(headers);
        if let Some((_, key)) = &self.stream {
            key.put(headers);
        }
    }

    /// Whether a reply with status 101 and these headers grants it.
    pub(in crate::gateway) fn is_granted(&self, headers: &HeaderMap) -> bool {
        let mut granted = members(headers, UPGRADE);
        let is_it = granted.next().is_some_and(|name| name.eq_ignore_ascii_case(self.name.as_str()));
        let is_shaken = self.stream.as_ref().is_none_or(|(_, key)| key.is_accepted(headers));
        is_it && granted.next().is_none() && lists(headers, CONNECTION, "upgrade") && is_shaken
    }

    /// Whether a reply with another status can be passed on: on HTTP/2 any success would grant what was asked.
    pub(in crate::gateway) fn can_be_answered_by(&self, status: StatusCode) -> bool {
        self.stream.is_none() || !status.is_success()
    }

    /// Says in a message that this is spoken next on its connection.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        if let Ok(name) = HeaderValue::from_str(self.name.as_str()) {
            headers.insert(UPGRADE, name); // a token is a legal value
        }
    }
}

/// Whether `member` is in the list of the lines `name`.
fn lists(headers: &HeaderMap, name: HeaderName, member: &str) -> bool {
    members(headers, name).any(|listed| listed.eq_ignore_ascii_case(member))
}

/// The members of the list that the lines `name` are; empty ones do not count (RFC 9110 §5.6.1).
fn members(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim_ascii).filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::gateway::route::RouteTable;
    use crate::gateway::route::tests::{config, route};

    fn table() -> RouteTable {
        let allowing = |names: &[&str]| {
            let upgrade = names.iter().map(|name| name.parse().expect("a name")).collect();
            crate::config::Route { upgrade, ..route("/") }
        };
        RouteTable::new(&config(vec![allowing(&["websocket", "echo/1"])]))
    }

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let line = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).expect("a name"), HeaderValue::from_str(value).expect("a value"))
        };
        lines.iter().map(line).collect()
    }

    fn asked(method: Method, version: Version, lines: &[(&str, &str)]) -> Option<String> {
        let mut request = Request::builder().method(method).version(version).body(()).expect("a request");
        *request.headers_mut() = headers(lines);
        let (table, mut head) = (table(), request.into_parts().0);
        let asked = Ask::of(&table.routes()[0], &mut head, || false, || [0; 24]).expect("no refusal");
        asked.map(|ask| ask.name.to_string())
    }

    #[test]
    fn the_first_that_is_offered_and_allowed_is_asked_for() {
        let get = |lines: &[(&str, &str)]| asked(Method::GET, Version::HTTP_11, lines);
        let usual = [("connection", "Upgrade"), ("upgrade", "WebSocket")];
        assert_eq!(get(&usual).as_deref(), Some("websocket"));
        let two = [("connection", "keep-alive"), ("connection", "x, upgrade"), ("upgrade", "h2c, ,Echo/1,websocket")];
        assert_eq!(get(&two).as_deref(), Some("echo/1"));
        assert_eq!(
            get(&[("connection", "upgrade"), ("upgrade", "h2c"), ("upgrade", "websocket")]).as_deref(),
            Some("websocket")
        );
        assert_eq!(get(&[("connection", "upgrade"), ("upgrade", "h2c")]), None);
        assert_eq!(get(&[("connection", "upgrade"), ("upgrade", "echo")]), None);
        assert_eq!(get(&[("connection", "keep-alive"), ("upgrade", "websocket")]), None);
        assert_eq!(get(&[("upgrade", "websocket")]), None);
        assert_eq!(get(&[("connection", "upgrade")]), None);
        assert_eq!(asked(Method::POST, Version::HTTP_11, &usual), None);
        assert_eq!(asked(Method::GET, Version::HTTP_10, &usual), None);
    }

    #[test]
    fn granted_is_what_was_asked_for_and_nothing_else() {
        let ask = Ask { name: "websocket".parse().expect("a name"), stream: None };
        let grants = |lines: &[(&str, &str)]| ask.is_granted(&headers(lines));
        assert!(grants(&[("connection", "Upgrade"), ("upgrade", "WebSocket")]));
        assert!(!grants(&[("connection", "upgrade"), ("upgrade", "echo/1")]));
        assert!(!grants(&[("connection", "upgrade"), ("upgrade", "websocket, echo/1")]));
        assert!(!grants(&[("upgrade", "websocket")]));
        assert!(!grants(&[("connection", "upgrade")]));
        let mut told = HeaderMap::new();
        ask.tell(&mut told);
        assert!(ask.is_granted(&told));
    }
}
