//! Between a client's socket and the HTTP/1.1 engine: watches the bytes for what the engine takes and cannot tell.
//!
//! Follows the messages of a connection byte by byte: heads, bodies by length or in chunks, pipelined requests. A head
//! reaches the engine only when it is whole and has one framing. In the place of one that has not, the engine gets
//! a substitute, and after it nothing more: the refusal comes in the order of the requests, because the engine keeps
//! that order, and the service that is asked for it learns from [`Heads`] what it is. A chunked body that is wrong is
//! an error of reading where it is wrong.
//!
//! Promises: the engine never sees a byte of a refused head, nor one after it; what passes is not copied, but for heads
//! that come in several pieces.
//! Deliberately does not: judge what the engine refuses by itself; wait for a body.

mod chunked;
mod fault;
mod head;
mod heads;

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub use chunked::{Chunked, Read};
pub use fault::{BodyFault, Fault};
pub use head::{Framing, Head, HeadBounds, length_in};
pub use heads::Heads;

/// A head that the engine takes, and that no client's can be taken for by [`Heads`].
const SUBSTITUTE: &[u8] = b"- * HTTP/1.1\r\n\r\n";

/// A client's socket, watched.
#[derive(Debug)]
pub struct Guard<IO> {
    io: IO,
    at: At,
    /// What the engine has not got yet: `ready` bytes for it, then the beginning of a head.
    held: BytesMut,
    ready: usize,
    /// What the engine never gets, for as far as it was read.
    refused: Vec<u8>,
    bounds: HeadBounds,
    heads: Rc<Heads>,
    is_shut: bool,
}

/// Where in the messages of a connection the next byte stands.
#[derive(Debug)]
enum At {
    Head(Head),
    Length(u64),
    Chunked(Chunked),
    /// A head was refused.
    Refused,
    /// A body was wrong.
    Broken(fault::BodyFault),
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Guard<IO> {
    /// Watches `io`; what it finds is told by `heads`.
    pub fn new(io: IO, bounds: HeadBounds, heads: Rc<Heads>) -> Self {
        let (held, refused) = Default::default();
        Self { io, at: At::Head(Head::default()), held, ready: 0, refused, bounds, heads, is_shut: false }
    }

    /// The socket itself, and what the client sent behind the last request that the engine served; `unread` is what the
    /// engine has read and not used.
    pub fn into_parts(self, unread: &[u8]) -> (IO, Vec<u8>) {
        let mut behind = [unread, &self.held].concat();
        if matches!(self.at, At::Refused) {
            behind.truncate(behind.len().saturating_sub(SUBSTITUTE.len()));
        }
        behind.extend_from_slice(&self.refused);
        (self.io, behind)
    }

    /// Follows the messages through `bytes`, which begin with a held head if there is one. How many of them the engine
    /// may have; the rest is the beginning of a head, or nobody's.
    fn follow(&mut self, bytes: &[u8]) -> usize {
        let mut done = 0;
        loop {
            let rest = bytes.get(done..).unwrap_or_default();
            match &mut self.at {
                At::Head(head) => match head.read(rest, &self.bounds) {
                    Ok(None) => return done,
                    Ok(Some((length, framing))) => {
                        self.heads.pass();
                        self.at = At::after_head(framing);
                        done += length;
                    }
                    Err(fault) => {
                        self.heads.refuse(fault);
                        self.at = At::Refused;
                        return done;
                    }
                },
                At::Length(0) => self.at = At::Head(Head::default()),
                At::Length(_) if rest.is_empty() => return done,
                At::Length(left) => {
                    let skipped = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= skipped as u64;
                    done += skipped;
                }
                At::Chunked(body) => match body.read(rest) {
                    Read::On => return bytes.len(),
                    Read::To(length) => {
                        self.at = At::Head(Head::default());
                        done += length;
                    }
                    Read::Wrong(length, fault) => {
                        self.at = At::Broken(fault);
                        return done + length;
                    }
                },
                At::Refused | At::Broken(_) => return done,
            }
        }
    }

    /// Takes what was just read into `buf`: leaves there what the engine may have, and holds the rest.
    fn take(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        if self.held.is_empty() {
            let came = buf.filled().get(before..).unwrap_or_default();
            let passing = self.follow(came);
            self.hold(came.get(passing..).unwrap_or_default());
            buf.set_filled(before + passing);
            self.begin_head();
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(buf.filled().get(before..).unwrap_or_default());
            buf.set_filled(before);
            self.ready = self.follow(&held);
            let rest = held.split_off(self.ready);
            self.held = held;
            self.hold(&rest);
            if self.ready > 0 {
                self.begin_head();
            }
        }
        self.heads.set_between(matches!(self.at, At::Head(_)));
    }

    /// The head that is held, if one is, was not before.
    fn begin_head(&self) {
        if matches!(self.at, At::Head(_)) && self.held.len() > self.ready {
            self.heads.pulse().head_began();
        }
    }

    /// Something that waits for the client to take what he was sent.
    fn writing<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut IO>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let written = write(Pin::new(&mut self.io), cx);
        match written {
            Poll::Pending => self.heads.pulse().write_began(),
            Poll::Ready(_) => self.heads.pulse().write_ended(),
        }
        written
    }

    fn hold(&mut self, rest: &[u8]) {
        match self.at {
            At::Head(_) => self.held.extend_from_slice(rest),
            At::Refused => {
                self.held.extend_from_slice(SUBSTITUTE);
                self.ready = self.held.len();
                self.refused = rest.to_vec();
            }
            At::Broken(_) => self.refused = rest.to_vec(),
            At::Length(_) | At::Chunked(_) => {}
        }
    }

    /// Gives the engine as much of what is held for it as it has room for.
    fn give(&mut self, buf: &mut ReadBuf<'_>) {
        let length = self.ready.min(buf.remaining());
        buf.put_slice(self.held.get(..length).unwrap_or_default());
        self.held.advance(length);
        self.ready -= length;
        if self.held.is_empty() {
            self.held = BytesMut::new(); // an idle connection holds no memory
        }
    }
}

impl At {
    fn after_head(framing: Framing) -> Self {
        match framing {
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Chunked::default()),
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guard<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.ready > 0 {
                this.give(buf);
                return Poll::Ready(Ok(()));
            }
            match this.at {
                // The engine still has the substitute to answer, and nothing comes after it: nobody is to be woken.
                At::Refused => return Poll::Pending,
                At::Broken(fault) => return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, fault))),
                At::Head(_) | At::Length(_) | At::Chunked(_) => {}
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
            if buf.filled().len() == before {
                return Poll::Ready(Ok(())); // the client sends no more
            }
            this.take(buf, before);
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().writing(cx, |io, cx| io.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().writing(cx, |io, cx| io.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().writing(cx, AsyncWrite::poll_flush)
    }

    /// Says that nothing more comes. Where the client may still be sending, reads on until he ends: a socket closed
    /// with bytes in it is reset, and the client might never see the last reply (RFC 9112 §9.6).
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_shut {
            ready!(this.writing(cx, AsyncWrite::poll_shutdown))?;
            this.is_shut = true;
            this.heads.pulse().ended();
        }
        if matches!(this.at, At::Head(_)) && this.held.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut memory = [MaybeUninit::uninit(); 16 * 1024];
        loop {
            let mut unwanted = ReadBuf::uninit(&mut memory);
            let read = ready!(Pin::new(&mut this.io).poll_read(cx, &mut unwanted));
            if read.is_err() || unwanted.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
