//! A chunked body (RFC 9112 §7.1): where it ends, byte by byte but for the data, which is counted.
//!
//! Promises: what passes ends at one place, whoever reads it: sizes of 1–16 hex digits, no control characters in
//! extensions, every line ended by CRLF.
//! Deliberately does not: decode, or judge trailers beyond their line ends; the HTTP engine does.

use super::fault::BodyFault;

/// The most bytes of one line with a chunk's size. The engine's bound over all extensions of a body is the same.
const LINE: u32 = 16 * 1024;

/// A chunked body being read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chunked {
    at: At,
    /// Of the size being read, or of the data still to come.
    size: u64,
    digits: u8,
    line: u32,
    /// Of all chunks so far.
    content: u64,
    /// Bytes of blanks and extensions so far.
    extra: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum At {
    #[default]
    Size,
    Blank,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// The beginning of a trailer line.
    Trailer,
    TrailerLine,
    TrailerLf,
    LastLf,
    End,
}

/// How far a body was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Read {
    /// To its end, which is here.
    To(usize),
    /// Through all of the bytes.
    On,
    /// Up to here, where it is wrong.
    Wrong(usize, BodyFault),
}

impl Chunked {
    /// Reads on with the next bytes.
    pub fn read(&mut self, bytes: &[u8]) -> Read {
        self.read_up_to(At::End, bytes)
    }

    /// The same, but not beyond the line of the last chunk, after which trailers may come.
    pub fn read_chunks(&mut self, bytes: &[u8]) -> Read {
        self.read_up_to(At::Trailer, bytes)
    }

    /// How many bytes of content have been read.
    pub fn content(&self) -> u64 {
        self.content
    }

    /// How many bytes of blanks and extensions have been read.
    pub fn extra(&self) -> u64 {
        self.extra
    }

    /// `bytes`, which come next and are not wrong, without blanks and extensions: those are for the one connection only
    /// (RFC 9112 §7.1.1).
    pub fn without_extra(mut self, bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let Some((first, others)) = rest.split_first() {
            let length =
                if self.at == At::Data { rest.len().min(usize::try_from(self.size).unwrap_or(usize::MAX)) } else { 1 };
            let (piece, after) = rest.split_at_checked(length).unwrap_or((std::slice::from_ref(first), others));
            let before = self.extra;
            self.read_up_to(At::End, piece);
            if self.extra == before {
                plain.extend_from_slice(piece);
            }
            rest = after;
        }
        plain
    }

    fn read_up_to(&mut self, end: At, bytes: &[u8]) -> Read {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if self.at == At::Data {
                let here = (bytes.len() - at) as u64;
                let skipped = self.size.min(here);
                self.size -= skipped;
                self.content += skipped;
                at += usize::try_from(skipped).unwrap_or(bytes.len());
                if self.size == 0 {
                    self.at = At::DataCr;
                }
                continue;
            }
            match self.next(*byte) {
                Ok(next) => self.at = next,
                Err(fault) => return Read::Wrong(at, fault),
            }
            at += 1;
            if self.at == end {
                return Read::To(at);
            }
        }
        Read::On
    }

    fn next(&mut self, byte: u8) -> Result<At, BodyFault> {
        const LINE_END: BodyFault = BodyFault("A line of the chunked body does not end with CRLF");
        let only = |wanted: u8, next: At| if byte == wanted { Ok(next) } else { Err(LINE_END) };
        match self.at {
            At::Size => self.size(byte),
            At::Blank | At::Extension => self.after_size(byte),
            At::SizeLf => {
                let next = if self.size == 0 { At::Trailer } else { At::Data };
                (self.digits, self.line) = (0, 0);
                only(b'\n', next)
            }
            At::DataCr => only(b'\r', At::DataLf),
            At::DataLf => only(b'\n', At::Size),
            At::Trailer if byte == b'\r' => Ok(At::LastLf),
            At::Trailer | At::TrailerLine => match byte {
                b'\r' => Ok(At::TrailerLf),
                b'\n' => Err(LINE_END),
                _ => Ok(At::TrailerLine),
            },
            At::TrailerLf => only(b'\n', At::Trailer),
            At::LastLf => only(b'\n', At::End),
            At::Data | At::End => Ok(self.at),
        }
    }

    fn size(&mut self, byte: u8) -> Result<At, BodyFault> {
        const SIZE: BodyFault = BodyFault("The size of a chunk is not a hexadecimal number of at most 16 digits");
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ if self.digits > 0 => return self.after_size(byte),
            _ => return Err(SIZE),
        };
        if self.digits == 16 {
            return Err(SIZE);
        }
        // Before the first digit the size is what the chunk before it left: nothing.
        self.size = self.size << 4 | u64::from(digit);
        self.digits += 1;
        Ok(At::Size)
    }

    /// Blanks, which some old servers write, and extensions, which nobody reads.
    fn after_size(&mut self, byte: u8) -> Result<At, BodyFault> {
        self.line += 1;
        if self.line > LINE {
            return Err(BodyFault("A chunk extension is too long"));
        }
        let next = match (self.at, byte) {
            (_, b'\r') => return Ok(At::SizeLf),
            (At::Extension, b'\t' | b' '..=b'~' | 0x80..) | (_, b';') => At::Extension,
            (_, b' ' | b'\t') => At::Blank,
            _ => return Err(BodyFault("The size of a chunk is followed by what is no extension")),
        };
        self.extra += 1;
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_ends_at_the_same_byte_however_it_comes() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "A;name=\"value\"\r\n0123456789\r\n000\r\nX-Sum: 1\r\nY:\r\n\r\n",
            "3 \t\r\n\r\n\0\r\n3 ;x\r\n0\r\n\r\n0\r\n\r\n",
            "0000000000000001\r\na\r\n0\r\n\r\n",
        ] {
            let bytes = [body.as_bytes(), b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(Chunked::default().read(&bytes), Read::To(body.len()), "{body:?}");
            let mut split = Chunked::default();
            for at in 0..body.len() - 1 {
                assert_eq!(split.read(&bytes[at..=at]), Read::On, "{body:?} at {at}");
            }
            assert_eq!(split.read(&bytes[body.len() - 1..]), Read::To(1), "{body:?}");
        }
    }

    #[test]
    fn trailers_can_be_told_from_what_is_before_them() {
        let (chunks, trailers) = ("5\r\nhello\r\n0;x\r\n", "X-Sum: 1\r\nY:\r\n\r\n");
        let bytes = [chunks, trailers, "HTTP/1.1"].concat();
        let mut body = Chunked::default();
        assert_eq!(body.read_chunks(bytes.as_bytes()), Read::To(chunks.len()));
        assert_eq!(body.read(&bytes.as_bytes()[chunks.len()..]), Read::To(trailers.len()));
    }

    #[test]
    fn extensions_can_be_left_out_however_they_come() {
        let body = "A ;name=\"value\"\r\n0123;567\r\n\r\n1\t\r\n;\r\n000;last\r\nX-Sum: 1;a\r\n\r\n";
        let plain = "A\r\n0123;567\r\n\r\n1\r\n;\r\n000\r\nX-Sum: 1;a\r\n\r\n";
        for size in 1..=body.len() {
            let mut chunked = Chunked::default();
            let mut whole = Vec::new();
            for piece in body.as_bytes().chunks(size) {
                whole.extend(chunked.without_extra(piece));
                chunked.read(piece);
            }
            assert_eq!(String::from_utf8_lossy(&whole), plain, "{size}");
            assert_eq!(chunked.extra(), (body.len() - plain.len()) as u64);
        }
    }

    #[test]
    fn what_could_end_elsewhere_is_wrong_where_it_stands() {
        let long = format!("5;{}\r\n", "a".repeat(64 * 1024));
        for (body, at) in [
            ("5;\nhello\r\n", 2),
            ("5\nhello", 1),
            ("5\r\nhelloo", 8),
            ("5\r\nhello\n", 8),
            ("5\r\nhello\rx", 9),
            ("0x5\r\n", 1),
            ("+5\r\n", 0),
            (" 5\r\n", 0),
            ("\r\n", 0),
            ("5 5\r\n", 2),
            ("00000000000000005\r\n", 16),
            ("5;a\0b\r\n", 3),
            ("5\rx", 2),
            ("0\r\nX: a\n\r\n\r\n", 7),
            ("0\r\nX: a\r\r\n", 8),
            ("0\r\n\rx", 4),
            ("0\r\n\n", 3),
            (&long, 1 + LINE as usize),
        ] {
            match Chunked::default().read(body.as_bytes()) {
                Read::Wrong(place, _) => assert_eq!(place, at, "{body:?}"),
                other @ (Read::To(_) | Read::On) => panic!("{body:?}: {other:?}"),
            }
        }
    }
}
