//! `[limits]`: the bounds of the data plane.

use std::ops::RangeInclusive;

use super::super::file;
use super::super::mistake::Findings;
use super::super::written::Text;
use super::super::{Http2Limits, Limits};
use super::{keys, number, size, timeout};

/// Judges every bound.
pub(super) fn check(file: &file::Limits, findings: &mut Findings) -> Option<Limits> {
    let connections = number("limits.connections", &file.connections, 1..=10_000_000, findings);
    let handshakes = number("limits.handshakes", &file.handshakes, 1..=10_000_000, findings);
    let handshake_timeout = timeout("limits.handshake_timeout", &file.handshake_timeout, findings);
    let keep_alive = timeout("limits.keep_alive", &file.keep_alive, findings);
    let head_timeout = timeout("limits.head_timeout", &file.head_timeout, findings);
    // hyper's own buffer is never smaller than 8 KiB.
    let head_bytes = bytes("limits.head_bytes", &file.head_bytes, 8..=1024, findings);
    let header_count = number("limits.header_count", &file.header_count, 1..=1_000, findings);
    let uri_bytes = findings.keep("limits.uri_bytes", &file.uri_bytes.span, uri_size(&file.uri_bytes.value));
    let first_byte = timeout("limits.first_byte", &file.first_byte, findings);
    let write_stall = timeout("limits.write_stall", &file.write_stall, findings);
    let body_stall = timeout("limits.body_stall", &file.body_stall, findings);
    let body_rate = number("limits.body_rate", &file.body_rate, 0..=1_000_000_000, findings);
    let failures = number("limits.failures", &file.failures, 0..=1_000_000_000, findings);
    let body_rate_over = timeout("limits.body_rate_over", &file.body_rate_over, findings);
    let stream_idle = timeout("limits.stream_idle", &file.stream_idle, findings);
    let connection_life = timeout("limits.connection_life", &file.connection_life, findings);
    let linger = timeout("limits.linger", &file.linger, findings);
    let http2 = http2(&file.http2, findings);
    let keys = keys::check(file, findings);
    Some(Limits {
        connections: connections?,
        handshakes: handshakes?,
        handshake_timeout: handshake_timeout?,
        keep_alive: keep_alive?,
        head_timeout: head_timeout?,
        head_bytes: head_bytes? as usize,
        header_count: header_count?,
        uri_bytes: uri_bytes?,
        first_byte: first_byte?,
        write_stall: write_stall?,
        body_stall: body_stall?,
        body_rate: body_rate? as u64,
        body_rate_over: body_rate_over?,
        failures: u32::try_from(failures?).unwrap_or(u32::MAX),
        stream_idle: stream_idle?,
        connection_life: connection_life?,
        linger: linger?,
        http2: http2?,
        keys: keys?,
    })
}

fn uri_size(text: &str) -> Result<usize, &'static str> {
    // The HTTP engine takes none longer.
    const WRONG: &str = "is not a size from 256 to 65534 bytes";
    let bytes = usize::try_from(size(text)?).map_err(|_| WRONG)?;
    if (256..=65_534).contains(&bytes) { Ok(bytes) } else { Err(WRONG) }
}

fn http2(file: &file::Http2, findings: &mut Findings) -> Option<Http2Limits> {
    let streams = number("limits.http2.streams", &file.streams, 1..=10_000, findings);
    let mut bytes =
        |name: &str, text: &Text, range| self::bytes(&format!("limits.http2.{name}"), text, range, findings);
    let header_list_bytes = bytes("header_list_bytes", &file.header_list_bytes, 1..=1024);
    // RFC 9113 §6.9.2: a window holds at most 2^31-1; smaller than its first size it would only stall.
    let stream_window_bytes = bytes("stream_window_bytes", &file.stream_window_bytes, 64..=1024 * 1024);
    let connection_window_bytes = bytes("connection_window_bytes", &file.connection_window_bytes, 64..=1024 * 1024);
    let send_buffer_bytes = bytes("send_buffer_bytes", &file.send_buffer_bytes, 16..=1024 * 1024);
    let ping_interval = timeout("limits.http2.ping_interval", &file.ping_interval, findings);
    let ping_timeout = timeout("limits.http2.ping_timeout", &file.ping_timeout, findings);
    let pending_resets = number("limits.http2.pending_resets", &file.pending_resets, 1..=100_000, findings);
    let error_resets = number("limits.http2.error_resets", &file.error_resets, 1..=1_000_000, findings);
    Some(Http2Limits {
        streams: u32::try_from(streams?).ok()?,
        header_list_bytes: header_list_bytes?,
        stream_window_bytes: stream_window_bytes?,
        connection_window_bytes: connection_window_bytes?,
        send_buffer_bytes: send_buffer_bytes? as usize,
        ping_interval: ping_interval?,
        ping_timeout: ping_timeout?,
        pending_resets: pending_resets?,
        error_resets: error_resets?,
    })
}

/// A size that lies in `range`, which is in KiB.
fn bytes(key: &str, text: &Text, range: RangeInclusive<u32>, findings: &mut Findings) -> Option<u32> {
    let bytes = findings.keep(key, &text.span, size(&text.value))?;
    let fits = u32::try_from(bytes).ok().filter(|bytes| (range.start() * 1024..=range.end() * 1024).contains(bytes));
    let shown = |kib: u32| if kib >= 1024 { format!("{}MiB", kib / 1024) } else { format!("{kib}KiB") };
    let wrong = || format!("is not a size from {} to {}", shown(*range.start()), shown(*range.end()));
    findings.keep(key, &text.span, fits.ok_or_else(wrong))
}
