//! How long the requests of one route wait for their backend, and its streams for anything.
//!
//! Promises: what the route says of itself goes before what its upstream and the limits say.

use std::time::{Duration, Instant};

use crate::config::{self, Config};
use crate::net::deadline::Ticks;

/// The waits of one route, in ticks, so that no request has to divide.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    head: Ticks,
    head_span: Duration,
    /// For a reply's body to make progress.
    pub body: Ticks,
    /// For anything in either direction of a stream.
    pub stream_idle: Ticks,
}

impl Waits {
    pub(super) fn of(route: &config::Route, config: &Config) -> Self {
        let config::Waits { head, body, stream_idle } = route.waits;
        let upstream = config.upstreams.get(route.upstream);
        let head = head.or(upstream.map(|upstream| upstream.head_timeout)).unwrap_or_default();
        let body = body.or(upstream.map(|upstream| upstream.body_timeout)).unwrap_or_default();
        let stream_idle = stream_idle.unwrap_or(config.limits.stream_idle);
        Self { head: head.into(), head_span: head, body: body.into(), stream_idle: stream_idle.into() }
    }

    /// Those of a route that leads to no backend.
    pub(super) fn none() -> Self {
        let none = Ticks::from(Duration::ZERO);
        Self { head: none, head_span: Duration::ZERO, body: none, stream_idle: none }
    }

    /// For the head of a reply; where the request was `begun` before and is sent again, what is left of it.
    pub(super) fn head(&self, begun: Option<Instant>) -> Ticks {
        let Some(begun) = begun else { return self.head };
        self.head_span.saturating_sub(begun.elapsed()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(route: &str) -> [Ticks; 3] {
        let text = format!(
            "[limits]\nstream_idle = \"3s\"\n[[upstreams]]\nname = \"a\"\nendpoints = [\"http://a:1\"]\nhead_timeout = \"1s\"\n\
             body_timeout = \"2s\"\n[[routes]]\npath = \"/\"\nupstream = \"a\"\n{route}\n"
        );
        let config = Config::parse(&text, "test", []).expect("legal");
        let waits = Waits::of(&config.routes[0], &config);
        [waits.head(None), waits.body, waits.stream_idle]
    }

    #[test]
    fn a_route_speaks_for_itself_and_else_its_upstream_and_the_limits() {
        let seconds = |all: [u64; 3]| all.map(|seconds| Ticks::from(Duration::from_secs(seconds)));
        assert_eq!(waits(""), seconds([1, 2, 3]));
        assert_eq!(waits("head_timeout = \"10s\""), seconds([10, 2, 3]));
        assert_eq!(waits("body_timeout = \"20s\"\nstream_idle = \"30s\""), seconds([1, 20, 30]));
    }
}
