//! `[[routes]]` as they are written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::written::{At, Text};

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Route {
    /// The path prefix; it ends at a segment boundary.
    pub(in crate::config) path: Option<Text>,
    /// The hosts it answers for, exact or `*.example.com`; without any: every host that no other route names.
    pub(in crate::config) hosts: Vec<Text>,
    /// The methods it takes; without any: those that no other route with that host and path names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) methods: Option<At<Vec<Text>>>,
    /// One of these roles is needed.
    pub(in crate::config) roles: At<Vec<Text>>,
    /// All of these roles are needed.
    pub(in crate::config) all_roles: At<Vec<Text>>,
    /// Whether a token is asked for: "required", "optional" or "none".
    pub(in crate::config) auth: Text,
    /// The forms of credential that it accepts, of those enabled in `[credentials]`; without: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) credentials: Option<At<Vec<Text>>>,
    /// Whether the credential's header goes on to the backend.
    pub(in crate::config) forward_credential: bool,
    /// Whether every exchange on it counts as a stream.
    pub(in crate::config) streaming: bool,
    /// Whether `%2F` may stand in its paths.
    pub(in crate::config) encoded_slash: At<bool>,
    /// The largest request body, or "unlimited".
    pub(in crate::config) body_limit: Text,
    /// How long the head of a reply may take; without: as its upstream says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) head_timeout: Option<Text>,
    /// How long a reply's body may make no progress; without: as its upstream says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) body_timeout: Option<Text>,
    /// How long a stream may be silent in both directions; without: as `[limits]` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) stream_idle: Option<Text>,
    /// The protocols to which a request may change its connection, such as "websocket".
    pub(in crate::config) upgrade: At<Vec<Text>>,
    /// Whether the backend is asked for what follows the path prefix, and not for all of it.
    pub(in crate::config) strip_prefix: At<bool>,
    /// Whether CORS preflights (`OPTIONS` with `Origin` and `Access-Control-Request-Method`) go to the backend without a
    /// credential.
    pub(in crate::config) preflight: At<bool>,
    /// Headers that the backend gets, in the place of the client's of the same name.
    pub(in crate::config) set_request_headers: BTreeMap<String, Text>,
    /// Headers of the client that the backend does not get.
    pub(in crate::config) remove_request_headers: Vec<Text>,
    /// Headers that the client gets, in the place of the backend's of the same name.
    pub(in crate::config) set_response_headers: BTreeMap<String, Text>,
    /// Headers of the backend that the client does not get.
    pub(in crate::config) remove_response_headers: Vec<Text>,
    /// The name of its upstream.
    pub(in crate::config) upstream: Option<Text>,
}

impl Default for Route {
    fn default() -> Self {
        Self {
            path: None,
            hosts: Vec::new(),
            methods: None,
            roles: At::default(),
            all_roles: At::default(),
            auth: "required".into(),
            credentials: None,
            forward_credential: false,
            streaming: false,
            encoded_slash: At::default(),
            body_limit: "10MiB".into(),
            head_timeout: None,
            body_timeout: None,
            stream_idle: None,
            upgrade: At::default(),
            strip_prefix: At::default(),
            preflight: At::default(),
            set_request_headers: BTreeMap::new(),
            remove_request_headers: Vec::new(),
            set_response_headers: BTreeMap::new(),
            remove_response_headers: Vec::new(),
            upstream: None,
        }
    }
}
