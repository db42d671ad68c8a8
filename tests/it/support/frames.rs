//! HTTP/2 frame by frame: what no client library sends.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Instant;

use super::DEADLINE;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame (RFC 9113 §4.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// A frame as it goes over the wire.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header block of literals without indexing and without Huffman (RFC 7541 §6.2.2).
pub(crate) fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(headers: &[(N, V)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in headers {
        bytes.push(0);
        for text in [name.as_ref(), value.as_ref()] {
            length(text.len(), &mut bytes);
            bytes.extend(text);
        }
    }
    bytes
}

/// RFC 7541 §5.1, with a prefix of seven bits.
fn length(mut value: usize, bytes: &mut Vec<u8>) {
    if value < 127 {
        bytes.push(u8::try_from(value).expect("small"));
        return;
    }
    bytes.push(127);
    value -= 127;
    while value >= 128 {
        bytes.push(u8::try_from(value % 128).expect("small") | 128);
        value /= 128;
    }
    bytes.push(u8::try_from(value).expect("small"));
}

/// The headers of a GET of `path` at `localhost`, with these besides.
pub(crate) fn get<'h>(path: &'h str, more: &[(&'h str, &'h str)]) -> Vec<u8> {
    let mut headers = vec![(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", path)];
    headers.extend(more);
    block(&headers)
}

/// A connection on which frames are sent and read.
pub(crate) struct Frames {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Frames {
    /// A connection on which nothing was sent.
    pub(crate) fn silent(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, DEADLINE).expect("connected");
        stream.set_nodelay(true).expect("set");
        stream.set_read_timeout(Some(DEADLINE)).expect("set");
        stream.set_write_timeout(Some(DEADLINE)).expect("set");
        Self { stream, read: Vec::new() }
    }

    /// A connection that begins as it should.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let mut frames = Self::silent(address);
        frames.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat());
        frames
    }

    /// The same, with an end that remembers no header (RFC 7541 §4.2): so every status can be read.
    pub(crate) fn forgetful(address: SocketAddr) -> Self {
        let mut frames = Self::silent(address);
        frames.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0])].concat());
        frames
    }

    /// Sends bytes; false once the other end has closed.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Reads and forgets in another thread, so that the other end can always write.
    pub(crate) fn read_aside(&self) -> JoinHandle<()> {
        let mut stream = self.stream.try_clone().expect("cloned");
        std::thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            while matches!(stream.read(&mut buffer), Ok(length) if length > 0) {}
        })
    }

    /// Ends both directions.
    pub(crate) fn close(&self) {
        // It fails where the other end has closed already.
        drop(self.stream.shutdown(Shutdown::Both));
    }

    /// The next frame; `None` once the other end has closed.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some((head, rest)) = self.read.split_at_checked(9) {
                let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
                if let Some(payload) = rest.get(..length) {
                    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                    let frame = Frame { kind: head[3], flags: head[4], stream, payload: payload.to_vec() };
                    self.read.drain(..9 + length);
                    return Some(frame);
                }
            }
            assert!(Instant::now() < deadline, "no frame in time");
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(length) => self.read.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("no frame in time"),
                Err(_) => return None,
            }
        }
    }

    /// Reads until a frame of this kind, or until the other end has closed.
    pub(crate) fn until(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next()?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// The whole reply on `stream`, its status and its body; as [`Frames::answer`] where there is none.
    pub(crate) fn reply(&mut self, stream: u32) -> Option<Result<(u16, Vec<u8>), u32>> {
        let mut reply = (0, Vec::new());
        loop {
            let frame = self.next()?;
            match frame.kind {
                RST_STREAM if frame.stream == stream => return Some(Err(reset(&frame))),
                HEADERS if frame.stream == stream => reply.0 = status(&frame.payload),
                DATA if frame.stream == stream => reply.1.extend(frame.payload),
                _ => continue,
            }
            if frame.flags & END_STREAM != 0 {
                return Some(Ok(reply));
            }
        }
    }

    /// The status of the reply on `stream`, or the code of its reset; `None` once the other end has closed.
    pub(crate) fn answer(&mut self, stream: u32) -> Option<Result<u16, u32>> {
        loop {
            let frame = self.next()?;
            match frame.kind {
                HEADERS if frame.stream == stream => return Some(Ok(status(&frame.payload))),
                RST_STREAM if frame.stream == stream => return Some(Err(reset(&frame))),
                _ => {}
            }
        }
    }
}

/// Why a stream was reset.
fn reset(frame: &Frame) -> u32 {
    u32::from_be_bytes(frame.payload[..4].try_into().expect("four bytes"))
}

/// The status at the beginning of a header block: an entry of the static table, or a literal (RFC 7541 §6).
fn status(block: &[u8]) -> u16 {
    // A change of the table's size may stand before it.
    let block = &block[block.iter().position(|byte| byte >> 5 != 1).unwrap_or(0)..];
    match block[0] {
        0x88 => 200,
        0x89 => 204,
        0x8a => 206,
        0x8b => 304,
        0x8c => 400,
        0x8d => 404,
        0x8e => 500,
        _ => {
            let (huffman, length) = (block[1] & 128 != 0, usize::from(block[1] & 127));
            let text = &block[2..2 + length];
            if huffman { digits(text) } else { std::str::from_utf8(text).expect("digits").parse().expect("a status") }
        }
    }
}

/// Three digits in the Huffman code of RFC 7541, appendix B: 0, 1 and 2 have five bits, the others six.
fn digits(bytes: &[u8]) -> u16 {
    let bits = |from: usize, count: usize| {
        let bit = |at: usize| u16::from(bytes[at / 8] >> (7 - at % 8) & 1);
        (from..from + count).fold(0, |value, at| value << 1 | bit(at))
    };
    let (mut at, mut status) = (0, 0);
    for _ in 0..3 {
        let (digit, length) = if bits(at, 5) <= 2 { (bits(at, 5), 5) } else { (bits(at, 6) - 0x19 + 3, 6) };
        (status, at) = (status * 10 + digit, at + length);
    }
    status
}
