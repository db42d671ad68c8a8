//! The bounds of what the gateway takes and holds, judged.

use std::time::Duration;

use crate::domain::{self, Role};

/// `[limits]`: the bounds of the data plane that hold for every route.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Client connections of the whole process at once.
    pub connections: usize,
    /// TLS handshakes of the whole process at once.
    pub handshakes: usize,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a connection may be idle between requests.
    pub keep_alive: Duration,
    /// How long a request's head may take.
    pub head_timeout: Duration,
    /// The largest request head, in bytes.
    pub head_bytes: usize,
    /// The most header lines of one request.
    pub header_count: usize,
    /// The longest request target, in bytes.
    pub uri_bytes: usize,
    /// How long a new connection may be silent.
    pub first_byte: Duration,
    /// How long a client may take nothing of what is sent to it.
    pub write_stall: Duration,
    /// How long a request's body may make no progress.
    pub body_stall: Duration,
    /// The least bytes a second of a request's body; 0 is no floor.
    pub body_rate: u64,
    /// The time over which that is averaged.
    pub body_rate_over: Duration,
    /// How many failed authentications a minute from one address are answered each for itself; 0 is no bound.
    pub failures: u32,
    /// How long a stream may be idle, in both directions.
    pub stream_idle: Duration,
    /// How old a connection may grow, give or take a tenth.
    pub connection_life: Duration,
    /// How long a closing connection is read on, so that the client sees its last reply.
    pub linger: Duration,
    /// What holds for HTTP/2 only.
    pub http2: Http2Limits,
    /// What keys without limits of their own may ask for.
    pub keys: KeyLimits,
}

/// `[limits.default]` and `[[limits.roles]]`: what keys without limits of their own may ask for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyLimits {
    /// By role; the first that a key carries counts.
    pub roles: Vec<(Role, domain::Limits)>,
    /// Where no role says anything; `None`: without limits.
    pub default: Option<domain::Limits>,
}

impl KeyLimits {
    /// Whether they limit nobody.
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty() && self.default.is_none()
    }
}

/// `[limits.http2]`: the bounds of one HTTP/2 connection.
#[derive(Clone, Debug)]
pub struct Http2Limits {
    /// Streams at once.
    pub streams: u32,
    /// The largest header list, in bytes as RFC 9113 §6.5.2 counts them.
    pub header_list_bytes: u32,
    /// How much of a request's body may come before some of it went on, in bytes.
    pub stream_window_bytes: u32,
    /// The same over all streams of a connection, in bytes.
    pub connection_window_bytes: u32,
    /// How much of one reply is held for a client that does not read, in bytes.
    pub send_buffer_bytes: usize,
    /// How often a client is asked whether it is there.
    pub ping_interval: Duration,
    /// How long it may take to answer.
    pub ping_timeout: Duration,
    /// Streams that a client reset before they were looked at, at once.
    pub pending_resets: usize,
    /// Streams that were reset for a client's mistakes, over the life of a connection.
    pub error_resets: usize,
}
