//! One direction of a tunnel.
//!
//! Promises: what is read is written before more is read, so that a slow reader slows the writer; while nothing comes, no
//! memory is held; an end is passed on when everything before it is.
//! Deliberately does not: keep time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::gateway::buffers::Buffers;

use super::frames::Frames;

/// How much is read at once to bring a frame to its end, in bytes.
const PIECE: usize = 4 * 1024;

/// One direction.
pub(super) struct Flow {
    /// What was read and, from `written` on, not written yet.
    held: Vec<u8>,
    written: usize,
    /// How much was written over all.
    moved: u64,
    /// What was written, where it is a WebSocket's.
    frames: Option<Frames>,
    is_flushed: bool,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// More may come.
    Open,
    /// Nothing more comes.
    Ended,
    /// And the other side knows.
    Over,
}

impl Flow {
    /// A direction in which nothing has moved.
    pub(super) fn new(frames: Option<Frames>) -> Self {
        Self { held: Vec::new(), written: 0, moved: 0, frames, is_flushed: true, stage: Stage::Open }
    }

    /// The same, in which `early` was read before it began.
    pub(super) fn holding(self, early: Vec<u8>) -> Self {
        Self { held: early, ..self }
    }

    /// How many bytes it has moved.
    pub(super) fn moved(&self) -> u64 {
        self.moved
    }

    /// Whether it has ended, and the other side knows.
    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Whether the Close frame of a WebSocket has passed.
    pub(super) fn is_closed(&self) -> bool {
        self.frames.as_ref().is_some_and(Frames::is_closed)
    }

    /// Moves what can be moved; ready when it is over.
    pub(super) fn poll(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        buffers: &Buffers,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_write_held(to, cx))?;
            match self.stage {
                Stage::Open => {
                    let mut memory = buffers.read();
                    let passed = self.poll_pass(from, to, &mut memory, cx);
                    buffers.done_reading(memory);
                    ready!(passed)?;
                }
                Stage::Ended => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.stage = Stage::Over;
                }
                Stage::Over => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Reads into `memory` and writes from there; what finds no room is held.
    fn poll_pass(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        memory: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut buffer = ReadBuf::new(memory);
        if Pin::new(from).poll_read(cx, &mut buffer)?.is_pending() {
            if !self.is_flushed {
                ready!(Pin::new(to).poll_flush(cx))?;
                self.is_flushed = true;
            }
            return Poll::Pending;
        }
        let came = buffer.filled();
        if came.is_empty() {
            self.stage = Stage::Ended;
            return Poll::Ready(Ok(()));
        }
        let written = match Pin::new(to).poll_write(cx, came)? {
            Poll::Ready(count) => count,
            Poll::Pending => 0,
        };
        self.note(came.get(..written).unwrap_or_default());
        self.held = came.get(written..).unwrap_or_default().to_vec();
        Poll::Ready(Ok(()))
    }

    fn poll_write_held(&mut self, to: &mut (impl AsyncWrite + Unpin), cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(left) = self.held.get(self.written..).filter(|left| !left.is_empty()) {
            let count = ready!(Pin::new(&mut *to).poll_write(cx, left))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let held = std::mem::take(&mut self.held);
            self.note(held.get(self.written..self.written + count).unwrap_or_default());
            self.held = held;
            self.written += count;
        }
        if self.written > 0 {
            (self.held, self.written) = (Vec::new(), 0); // a tunnel that waits holds no memory
        }
        Poll::Ready(Ok(()))
    }

    fn note(&mut self, written: &[u8]) {
        self.moved += written.len() as u64;
        self.is_flushed &= written.is_empty();
        self.frames.iter_mut().for_each(|frames| frames.follow(written));
    }

    /// Says to the other side that nothing more comes; in a WebSocket by `close`, if that can stand between two frames: the
    /// frame that has begun is brought to its end first, with what of it is held, and with what more comes `from` its source.
    pub(super) async fn conclude(
        mut self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        close: &[u8],
    ) -> io::Result<()> {
        if let Some(mut frames) = self.frames.take().filter(|_| self.stage == Stage::Open) {
            let held = self.held.get(self.written..).unwrap_or_default();
            let mut piece = held.get(..frames.rest(held)).unwrap_or_default().to_vec();
            loop {
                to.write_all(&piece).await?;
                frames.follow(&piece);
                if frames.is_between() {
                    break;
                }
                piece.resize(PIECE, 0);
                let count = from.read(&mut piece).await?;
                if count == 0 {
                    break;
                }
                piece.truncate(count);
                piece.truncate(frames.rest(&piece));
            }
            if frames.is_between() && !frames.is_closed() {
                to.write_all(close).await?;
            }
        }
        to.shutdown().await
    }
}
