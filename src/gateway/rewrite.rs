//! What a route changes of requests and replies on their way.
//!
//! Promises: what the gateway itself says of the caller cannot be changed: the configuration refuses such names. Routes
//! that change nothing have no [`Rewrite`], and cost a branch.
//! Deliberately does not: touch bodies.

use http::HeaderMap;
use http::header::Entry;

use crate::config::{self, HeaderRules};

/// What one route changes.
#[derive(Clone, Debug)]
pub struct Rewrite {
    /// How many segments of the path the backend does not get.
    stripped: usize,
    request: HeaderRules,
    response: HeaderRules,
}

impl Rewrite {
    /// What `route` changes, if it changes anything.
    pub(super) fn of(route: &config::Route) -> Option<Box<Self>> {
        let stripped =
            if route.strip_prefix { route.path.split('/').filter(|segment| !segment.is_empty()).count() } else { 0 };
        let (request, response) = (route.request_headers.clone(), route.response_headers.clone());
        let changes = stripped > 0 || !request.is_empty() || !response.is_empty();
        changes.then(|| Box::new(Self { stripped, request, response }))
    }

    /// What of the request's `path` the backend gets. Segments are counted, since two spellings of one need not be of one length.
    pub(super) fn path<'p>(&self, path: &'p str) -> &'p str {
        if self.stripped == 0 {
            return path;
        }
        let mut slashes = path.match_indices('/').skip(self.stripped).map(|(at, _)| at);
        slashes.next().and_then(|at| path.get(at..)).unwrap_or("/")
    }

    /// Changes the headers of a request.
    pub(super) fn request(&self, headers: &mut HeaderMap) {
        apply(&self.request, headers);
    }

    /// Changes the headers of a reply.
    pub(super) fn response(&self, headers: &mut HeaderMap) {
        apply(&self.response, headers);
    }
}

fn apply(rules: &HeaderRules, headers: &mut HeaderMap) {
    for name in &rules.remove {
        if let Entry::Occupied(line) = headers.entry(name) {
            line.remove_entry_mult();
        }
    }
    for (name, value) in &rules.set {
        headers.insert(name, value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_segments_as_the_route_has_are_stripped() {
        let stripping =
            |stripped| Rewrite { stripped, request: HeaderRules::default(), response: HeaderRules::default() };
        for (stripped, path, left) in [
            (1, "/api/orders/7", "/orders/7"),
            (1, "/api;v=1/orders", "/orders"),
            (1, "/api", "/"),
            (1, "/api/", "/"),
            (2, "/a/b/c", "/c"),
            (2, "/a/b", "/"),
            (0, "/a/b", "/a/b"),
        ] {
            assert_eq!(stripping(stripped).path(path), left, "{path}");
        }
    }
}
