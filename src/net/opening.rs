//! The first bytes of a connection: which HTTP the client speaks.
//!
//! Promises: what was read to find out is read again by whoever serves the connection; the first byte that cannot belong
//! to the preface of HTTP/2 decides, so that nobody waits for more than it takes; half a preface ends at its deadline.
//! Deliberately does not: look further than that.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::pulse::Late;

/// How an HTTP/2 client begins (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Which HTTP is spoken on a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// HTTP/1.1 and 1.0.
    Http1,
    /// HTTP/2.
    Http2,
}

/// A stream whose first bytes have been looked at, and are still to be read.
#[derive(Debug)]
pub struct Opened<I> {
    first: Vec<u8>,
    read: usize,
    io: I,
}

/// How long a client may take to say what it speaks.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the first byte.
    pub first_byte: Duration,
    /// From there.
    pub rest: Duration,
}

/// Why a connection never came to speak HTTP.
#[derive(Debug, thiserror::Error)]
pub enum Unopened {
    /// The client was late.
    #[error("the client was late: {}", .0.word())]
    Late(Late),
    /// It left, or what it sent is no TLS.
    #[error(transparent)]
    Broken(#[from] io::Error),
}

/// Reads from `io` until it is known what is spoken. Ends with an error where the client left without a byte.
pub async fn open<I: AsyncRead + Unpin>(mut io: I, patience: Patience) -> Result<(Opened<I>, Protocol), Unopened> {
    let (mut first, mut length) = ([0; PREFACE.len()], 0);
    let mut deadline = Instant::now() + patience.first_byte;
    loop {
        let late = if length == 0 { Late::FirstByte } else { Late::Head };
        let read = tokio::time::timeout_at(deadline, io.read(&mut first[length..]));
        let count = read.await.map_err(|_| Unopened::Late(late))??;
        if length + count == 0 {
            return Err(Unopened::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        if length == 0 {
            deadline = Instant::now() + patience.rest;
        }
        length += count;
        let protocol = match PREFACE.strip_prefix(&first[..length]) {
            Some(&[]) => Protocol::Http2,
            Some(_) if count > 0 => continue,
            Some(_) | None => Protocol::Http1,
        };
        return Ok((Opened::resumed(io, first[..length].to_vec()), protocol));
    }
}

impl<I> Opened<I> {
    /// A stream of which nothing was read: what is spoken is known from elsewhere.
    pub fn untouched(io: I) -> Self {
        Self::resumed(io, Vec::new())
    }

    /// A stream of which `first` was read, and is to be read again.
    pub fn resumed(io: I, first: Vec<u8>) -> Self {
        Self { first, read: 0, io }
    }

    /// The stream itself, and what was read of it. Only before anybody has read any of that again.
    pub fn into_parts(self) -> (I, Vec<u8>) {
        (self.io, self.first)
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Opened<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let left = this.first.get(this.read..).unwrap_or_default();
        if left.is_empty() {
            return Pin::new(&mut this.io).poll_read(cx, buffer);
        }
        let count = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..count]);
        this.read += count;
        if this.read == this.first.len() {
            (this.first, this.read) = (Vec::new(), 0); // an idle connection holds no memory
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Opened<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, pieces)
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
    use tokio::io::AsyncWriteExt;

    use super::*;

    const PATIENCE: Patience = Patience { first_byte: Duration::from_secs(10), rest: Duration::from_secs(3) };

    /// What is found of a client that sends `bytes` one by one and leaves, and what is read afterwards.
    async fn opened(bytes: &[u8]) -> Result<(Protocol, Vec<u8>), Unopened> {
        let (mut client, server) = tokio::io::duplex(1);
        let sent = bytes.to_vec();
        let sending = async move { client.write_all(&sent).await };
        let reading = async {
            let (mut stream, protocol) = open(server, PATIENCE).await?;
            let mut read = Vec::new();
            stream.read_to_end(&mut read).await?;
            Ok((protocol, read))
        };
        let (sent, read) = tokio::join!(sending, reading);
        sent?;
        read
    }

    #[tokio::test]
    async fn the_preface_is_http2_anything_else_http1_and_no_byte_is_lost() {
        for (bytes, protocol) in [
            (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04"[..], Protocol::Http2),
            (b"GET / HTTP/1.1\r\n\r\n", Protocol::Http1),
            (b"P", Protocol::Http1),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", Protocol::Http1),
            (b"PRI * HTTP/2.0\r\nHost: a\r\n\r\n", Protocol::Http1),
            (b"PUT / HTTP/1.1\r\n\r\n", Protocol::Http1),
            (b"\x16\x03\x01", Protocol::Http1),
        ] {
            assert_eq!(opened(bytes).await.expect("opened"), (protocol, bytes.to_vec()));
        }
        assert!(matches!(opened(b"").await, Err(Unopened::Broken(_))));
    }

    #[tokio::test]
    async fn silence_and_half_a_preface_are_late_each_with_its_own() {
        let patience = Patience { first_byte: Duration::from_millis(20), rest: Duration::from_millis(20) };
        for (bytes, late) in [(&b""[..], Late::FirstByte), (b"PRI * HTTP/2.0\r\n", Late::Head)] {
            let (mut client, server) = tokio::io::duplex(64);
            client.write_all(bytes).await.expect("sent");
            let opened = open(server, patience).await.map(|(_, protocol)| protocol);
            assert!(matches!(opened, Err(Unopened::Late(found)) if found == late), "{opened:?}");
        }
    }
}
