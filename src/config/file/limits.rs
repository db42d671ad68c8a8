//! `[limits]` as it is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::written::{At, Text};

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Limits {
    /// Client connections of the whole process at once.
    pub(in crate::config) connections: At<u64>,
    /// TLS handshakes of the whole process at once.
    pub(in crate::config) handshakes: At<u64>,
    /// How long a TLS handshake may take.
    pub(in crate::config) handshake_timeout: Text,
    /// How long a connection may be idle between requests.
    pub(in crate::config) keep_alive: Text,
    /// How long a request's head may take.
    pub(in crate::config) head_timeout: Text,
    /// The largest request head.
    pub(in crate::config) head_bytes: Text,
    /// The most header lines of one request.
    pub(in crate::config) header_count: At<u64>,
    /// The longest request target.
    pub(in crate::config) uri_bytes: Text,
    /// How long a new connection may be silent.
    pub(in crate::config) first_byte: Text,
    /// How long a client may take nothing of what is sent to it.
    pub(in crate::config) write_stall: Text,
    /// How long a request's body may make no progress.
    pub(in crate::config) body_stall: Text,
    /// The least bytes a second of a request's body; 0 is no floor.
    pub(in crate::config) body_rate: At<u64>,
    /// The time over which that is averaged.
    pub(in crate::config) body_rate_over: Text,
    /// How many failed authentications a minute from one address are answered each for itself; 0 is no bound.
    pub(in crate::config) failures: At<u64>,
    /// How long a stream may be idle, in both directions.
    pub(in crate::config) stream_idle: Text,
    /// How old a connection may grow, give or take a tenth.
    pub(in crate::config) connection_life: Text,
    /// How long a closing connection is read on, so that the client sees its last reply.
    pub(in crate::config) linger: Text,
    /// The bounds of one HTTP/2 connection.
    pub(in crate::config) http2: Http2,
    /// The limits of keys that have none of their own, and whose roles have none.
    pub(in crate::config) default: KeyLimits,
    /// The limits of keys that have none of their own, by role: of several the first counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::config) roles: Vec<At<RoleLimits>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct KeyLimits {
    /// How fast requests may come, such as `100/1s`, or with a burst of its own `100/1s/200`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) rate: Option<Text>,
    /// How many there may be in each `hour`, `day` or `month` of the calendar, such as `100000/month`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) quota: Option<Text>,
    /// How many there may be at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) concurrent: Option<At<u64>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct RoleLimits {
    /// The role.
    pub(in crate::config) role: Option<Text>,
    /// As in `[limits.default]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) rate: Option<Text>,
    /// As in `[limits.default]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) quota: Option<Text>,
    /// As in `[limits.default]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) concurrent: Option<At<u64>>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Http2 {
    /// Streams at once.
    pub(in crate::config) streams: At<u64>,
    /// The largest header list.
    pub(in crate::config) header_list_bytes: Text,
    /// How much of a request's body may come before some of it went on.
    pub(in crate::config) stream_window_bytes: Text,
    /// The same over all streams of a connection.
    pub(in crate::config) connection_window_bytes: Text,
    /// How much of one reply is held for a client that does not read.
    pub(in crate::config) send_buffer_bytes: Text,
    /// How often a client is asked whether it is there.
    pub(in crate::config) ping_interval: Text,
    /// How long it may take to answer.
    pub(in crate::config) ping_timeout: Text,
    /// Streams that a client reset before they were looked at, at once.
    pub(in crate::config) pending_resets: At<u64>,
    /// Streams that were reset for a client's mistakes, over the life of a connection.
    pub(in crate::config) error_resets: At<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000.into(),
            handshakes: 1_000.into(),
            handshake_timeout: "10s".into(),
            keep_alive: "60s".into(),
            head_timeout: "10s".into(),
            head_bytes: "32KiB".into(),
            header_count: 100.into(),
            uri_bytes: "8KiB".into(),
            first_byte: "10s".into(),
            write_stall: "30s".into(),
            body_stall: "30s".into(),
            body_rate: 500.into(),
            body_rate_over: "20s".into(),
            failures: 100.into(),
            stream_idle: "5m".into(),
            connection_life: "1h".into(),
            linger: "10s".into(),
            http2: Http2::default(),
            default: KeyLimits::default(),
            roles: Vec::new(),
        }
    }
}

impl Default for Http2 {
    fn default() -> Self {
        Self {
            streams: 100.into(),
            header_list_bytes: "16KiB".into(),
            stream_window_bytes: "64KiB".into(),
            connection_window_bytes: "1MiB".into(),
            send_buffer_bytes: "64KiB".into(),
            ping_interval: "20s".into(),
            ping_timeout: "10s".into(),
            pending_resets: 20.into(),
            error_resets: 1_024.into(),
        }
    }
}
