//! Between a backend's socket and the HTTP/1.1 engine: counts interim replies (1xx), which the engine passes over
//! without end.
//!
//! Promises: looks at nothing but the beginnings of replies; more than [`MOST`] interim replies before one reply are an
//! error of reading.
//! Deliberately does not: judge a reply, or tell where it ends: whoever asks says when a reply is expected.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most interim replies before a reply.
pub const MOST: u8 = 8;

/// What is known of the replies on one connection.
#[derive(Debug, Default)]
pub struct Replies {
    at: Cell<At>,
    interim: Cell<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum At {
    /// Within a reply, or between two.
    #[default]
    Elsewhere,
    /// So far into a status line.
    StatusLine(u8),
    /// In the head of an interim reply, after so many bytes of an empty line.
    Interim(LineEnd),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum LineEnd {
    None,
    Lf,
    LfCr,
}

impl Replies {
    /// From here on the next byte is the first of a reply.
    pub fn expect(&self) {
        self.at.set(At::StatusLine(0));
        self.interim.set(0);
    }

    /// Whether nothing of the expected reply has come.
    pub fn is_silent(&self) -> bool {
        self.at.get() == At::StatusLine(0) && self.interim.get() == 0
    }

    /// Looks at what was read; `false` if these are too many interim replies.
    fn follow(&self, bytes: &[u8]) -> bool {
        for byte in bytes {
            let next = match (self.at.get(), byte) {
                (At::Elsewhere, _) => return true,
                // The engine passes over empty lines before a status line.
                (At::StatusLine(0), b'\r' | b'\n') | (At::Interim(LineEnd::Lf | LineEnd::LfCr), b'\n') => {
                    At::StatusLine(0)
                }
                (At::StatusLine(at), byte) => self.status_line(at, *byte),
                (At::Interim(LineEnd::None), b'\n') => At::Interim(LineEnd::Lf),
                (At::Interim(LineEnd::Lf), b'\r') => At::Interim(LineEnd::LfCr),
                (At::Interim(_), _) => At::Interim(LineEnd::None),
            };
            self.at.set(next);
            if self.interim.get() > MOST {
                return false;
            }
        }
        true
    }

    /// The first digit of the status tells.
    fn status_line(&self, at: u8, byte: u8) -> At {
        const BEFORE_STATUS: &[u8] = b"HTTP/1.1 ";
        match BEFORE_STATUS.get(usize::from(at)) {
            Some(_) => At::StatusLine(at + 1),
            None if byte == b'1' => {
                self.interim.set(self.interim.get() + 1);
                At::Interim(LineEnd::None)
            }
            None => At::Elsewhere,
        }
    }
}

/// A backend's socket, watched.
#[derive(Debug)]
pub struct Watched<IO> {
    io: IO,
    replies: Rc<Replies>,
}

impl<IO> Watched<IO> {
    /// Watches `io`.
    pub fn new(io: IO, replies: Rc<Replies>) -> Self {
        Self { io, replies }
    }

    /// The socket itself.
    pub fn into_inner(self) -> IO {
        self.io
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Watched<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if self.replies.follow(buf.filled().get(before..).unwrap_or_default()) {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "too many interim replies")))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Watched<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    const REPLY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nHTTP/1.1 100\n\nHTTP/1.1 100\n\nHTTP/1.1 100\n\n";

    fn passes(bytes: &str, size: usize) -> bool {
        let replies = Replies::default();
        replies.expect();
        bytes.as_bytes().chunks(size).all(|piece| replies.follow(piece))
    }

    #[test]
    fn eight_interim_replies_pass_before_a_reply_and_nine_do_not() {
        for size in [1, 3, 7, usize::MAX] {
            assert!(passes(&(HINTS.repeat(8) + REPLY), size));
            assert!(!passes(&(HINTS.repeat(9) + REPLY), size));
            assert!(!passes(&"HTTP/1.1 100\n\n".repeat(9), size));
            assert!(passes(&(REPLY.to_owned() + &HINTS.repeat(20)), size), "what follows the head is the reply's");
        }
    }

    #[test]
    fn each_reply_has_its_own_interim_replies() {
        let replies = Replies::default();
        for _ in 0..3 {
            replies.expect();
            assert!(replies.follow(HINTS.repeat(8).as_bytes()) && replies.follow(REPLY.as_bytes()));
        }
        assert!(replies.follow(HINTS.repeat(20).as_bytes()), "unasked-for bytes are the engine's affair");
    }
}
