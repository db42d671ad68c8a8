//! One worker's idle connections to one endpoint, without an engine on them.
//!
//! Promises: the one used last is used first, so that the surplus grows old and goes; one on which the backend has closed,
//! or said what nobody asked for, is not used again.
//! Deliberately does not: dial.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::Context;

use tokio::io::{AsyncRead, ReadBuf};

use crate::net::deadline::{Tick, Ticks};
use crate::net::stream::Stream;

#[derive(Default)]
pub(super) struct Wires(RefCell<VecDeque<(Stream, Tick)>>);

impl Wires {
    /// A connection that has been idle for less than `timeout`.
    pub(super) fn take(&self, cx: &mut Context<'_>, now: Tick, timeout: Ticks) -> Option<Stream> {
        loop {
            let (mut stream, since) = self.0.borrow_mut().pop_back()?;
            let mut unasked = [0];
            let is_silent = Pin::new(&mut stream).poll_read(cx, &mut ReadBuf::new(&mut unasked)).is_pending();
            if is_silent && now.since(since) < timeout.count() {
                return Some(stream);
            }
        }
    }

    /// Keeps a connection from `now` on, among at most `most`.
    pub(super) fn keep(&self, stream: Stream, now: Tick, most: usize) {
        let mut idle = self.0.borrow_mut();
        if idle.len() < most {
            idle.push_back((stream, now));
        }
    }

    /// Closes connections that have been idle for `timeout`.
    pub(super) fn sweep(&self, now: Tick, timeout: Ticks) {
        let mut idle = self.0.borrow_mut();
        while idle.front().is_some_and(|(_, since)| now.since(*since) >= timeout.count()) {
            idle.pop_front();
        }
    }
}
