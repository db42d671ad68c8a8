//! The routes, judged: what they take, and what they ask for.

use std::collections::BTreeSet;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use super::{CredentialForm, UpgradeName};
use crate::domain::Role;

/// `[[routes]]`
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the file, and none excludes another")]
pub struct Route {
    /// The path prefix, in the one spelling of the path policy; begins with `/`.
    pub path: String,
    /// The hosts it answers for; empty: every host that no other route names.
    pub hosts: Vec<HostPattern>,
    /// The methods it takes; `None`: those that no other route with that host and path names.
    pub methods: Option<BTreeSet<MethodName>>,
    /// One of these suffices; empty: none is asked for.
    pub roles: BTreeSet<Role>,
    /// All of these are needed.
    pub all_roles: BTreeSet<Role>,
    /// Whether a token is asked for.
    pub auth: Auth,
    /// The forms of credential that it accepts; never empty unless `auth` is `none`.
    pub credentials: BTreeSet<CredentialForm>,
    /// Whether the credential's header goes on to the backend.
    pub forward_credential: bool,
    /// Whether every exchange on it counts as a stream.
    pub streaming: bool,
    /// Whether `%2F` may stand in its paths.
    pub encoded_slash: bool,
    /// The largest request body in bytes; `None`: unlimited.
    pub body_limit: Option<u64>,
    /// Its own waits.
    pub waits: Waits,
    /// The protocols to which a request may change its connection.
    pub upgrade: BTreeSet<UpgradeName>,
    /// Whether the backend is asked for what follows [`Route::path`] only.
    pub strip_prefix: bool,
    /// Whether CORS preflights pass without a credential.
    pub preflight: bool,
    /// What becomes of the headers of requests.
    pub request_headers: HeaderRules,
    /// What becomes of the headers of replies.
    pub response_headers: HeaderRules,
    /// The place of its upstream in [`super::Config::upstreams`].
    pub upstream: usize,
}

/// How long a route waits, where it says so itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Waits {
    /// For the head of a reply.
    pub head: Option<Duration>,
    /// For a reply's body to make progress.
    pub body: Option<Duration>,
    /// For anything in either direction of a stream.
    pub stream_idle: Option<Duration>,
}

/// What becomes of headers on their way. None of them is one that the gateway or the protocol needs for itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HeaderRules {
    /// Those that are set, in the place of any of the same name.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Those that are removed.
    pub remove: Vec<HeaderName>,
}

impl HeaderRules {
    /// Whether they change nothing.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }
}

/// A method's name, ordered as text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MethodName(pub Method);

impl PartialOrd for MethodName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for MethodName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.as_str().cmp(other.0.as_str())
    }
}

/// The hosts that a route names, lower-case and without a port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum HostPattern {
    /// This host.
    Exact(String),
    /// Any one label before this suffix, which begins with a dot: `*.example.com` is `.example.com`.
    OneLabelBefore(String),
}

/// Whether a route asks for a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Auth {
    /// None is refused.
    Required,
    /// None is anonymous, a bad one is refused.
    Optional,
    /// Nothing is judged.
    None,
}
