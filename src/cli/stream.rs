//! The gateway's events as they happen: server-sent events, read line by line.
//!
//! Promises: what has begun to arrive and breaks off is not told; an event is bounded in size; a silent connection is given up.
//! Deliberately does not: connect again. Whoever reads knows after which event to go on.

use std::collections::VecDeque;

use super::client::{Client, Stream};
use super::failure::Failure;

/// The longest event that is read.
const EVENT_LIMIT_BYTES: usize = 4 << 20;

/// One stream of events.
pub(super) struct Events {
    stream: Stream,
    partial: Vec<u8>,
    data: String,
    ready: VecDeque<String>,
}

impl Events {
    /// The events after the revision `after`, of one key or of all.
    pub(super) async fn after(client: &Client, after: u64, key: Option<&str>) -> Result<Self, Failure> {
        let stream = client.stream(&["v1", "events"], key.map(|key| ("key", key)).as_slice(), after).await?;
        Ok(Self { stream, partial: Vec::new(), data: String::new(), ready: VecDeque::new() })
    }

    /// The JSON of the next event; `None` when the stream has ended.
    pub(super) async fn next(&mut self) -> Result<Option<String>, Failure> {
        while self.ready.is_empty() {
            let Some(bytes) = self.stream.chunk().await? else { return Ok(None) };
            self.take(&bytes)?;
        }
        Ok(self.ready.pop_front())
    }

    /// Takes in what has arrived, line by line.
    fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.partial.len() + self.data.len() + bytes.len() > EVENT_LIMIT_BYTES {
            return Err(Failure::failed("the gateway sent an event that is longer than 4 MiB"));
        }
        self.partial.extend_from_slice(bytes);
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            self.line(line.trim_end_matches(['\r', '\n']));
        }
        Ok(())
    }

    /// An empty line ends an event; of the fields only `data` is looked at, as the event says all else itself.
    fn line(&mut self, line: &str) {
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            self.ready.extend((!data.is_empty()).then_some(data));
        } else if let Some(data) = line.strip_prefix("data:") {
            self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
        }
    }
}
