//! Reading and writing of the lane, each with what it waits for.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::pulse::{Late, Pulse};
use crate::net::stream::Stream;

/// Why a conversation with a client is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Over {
    /// The client left, or broke off.
    Gone,
    /// The client was late.
    Late(Late),
    /// A reply was broken off: the client learns it by the end of the connection.
    BrokenOff,
}

/// Reads what is there; 0 is the end.
pub(super) fn poll_read(stream: &mut Stream, cx: &mut Context<'_>, memory: &mut [u8]) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(memory);
    Pin::new(stream).poll_read(cx, &mut buffer).map_ok(|()| buffer.filled().len())
}

/// Two texts that are to be written one after the other.
pub(super) struct Writing<'a> {
    pub(super) first: &'a [u8],
    pub(super) second: &'a [u8],
}

impl Writing<'_> {
    /// Writes to a client as much as he takes; ready when it is all.
    pub(super) fn poll(&mut self, stream: &mut Stream, pulse: &Pulse, cx: &mut Context<'_>) -> Poll<Result<(), Over>> {
        loop {
            let written = match (self.first, self.second) {
                (&[], &[]) => break,
                (&[], only) | (only, &[]) => Pin::new(&mut *stream).poll_write(cx, only),
                (first, second) => {
                    let both = [io::IoSlice::new(first), io::IoSlice::new(second)];
                    Pin::new(&mut *stream).poll_write_vectored(cx, &both)
                }
            };
            match written {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Over::Gone)),
                Poll::Ready(Ok(count)) => {
                    pulse.write_ended();
                    self.advance(count);
                }
                Poll::Pending => return poll_late(pulse, cx),
            }
        }
        match Pin::new(stream).poll_flush(cx) {
            Poll::Ready(Ok(())) => {
                pulse.write_ended();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(_)) => Poll::Ready(Err(Over::Gone)),
            Poll::Pending => poll_late(pulse, cx),
        }
    }

    fn advance(&mut self, count: usize) {
        let of_first = count.min(self.first.len());
        self.first = self.first.get(of_first..).unwrap_or_default();
        self.second = self.second.get(count - of_first..).unwrap_or_default();
    }
}

/// The client takes nothing: ready when he has had his time.
fn poll_late(pulse: &Pulse, cx: &Context<'_>) -> Poll<Result<(), Over>> {
    pulse.write_began();
    pulse.poll(cx).map(|late| Err(Over::Late(late)))
}
