//! The head of a request, line by line as its bytes come: where it ends, and how its body is framed.
//!
//! Promises: each byte is looked at once; a head that passes has one framing, whoever reads it: one `Content-Length` of
//! digits, or one `Transfer-Encoding: chunked`, or none (RFC 9112 §6).
//! Deliberately does not: judge what the HTTP engine refuses by itself: characters, folded lines, names, the method.

use memchr::memchr;

use super::fault::Fault;

/// The bounds of a head.
#[derive(Clone, Copy, Debug)]
pub struct HeadBounds {
    /// The largest head, in bytes.
    pub head_bytes: usize,
    /// The most header lines.
    pub header_count: usize,
    /// The longest request target, in bytes.
    pub uri_bytes: usize,
}

/// How the end of a body is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// After so many bytes; 0 is no body.
    Length(u64),
    /// In chunks.
    Chunked,
}

/// A head being read. Offsets count from its first byte.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head {
    /// Where the line being read begins.
    line: usize,
    /// Up to where no line end is left.
    searched: usize,
    fields: usize,
    version: Option<Version>,
    length: Option<u64>,
    is_chunked: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Version {
    Http10,
    Http11,
}

impl Head {
    /// Reads on. `bytes` begins with the head's first byte and is never shorter than before. `None`: it is not whole
    /// yet; else its length and the framing of the body after it.
    pub fn read(&mut self, bytes: &[u8], bounds: &HeadBounds) -> Result<Option<(usize, Framing)>, Fault> {
        while let Some(length) = memchr(b'\n', bytes.get(self.searched..).unwrap_or_default()) {
            let end = self.searched + length;
            let line = bytes.get(self.line..end).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            (self.line, self.searched) = (end + 1, end + 1);
            match self.version {
                None if line.is_empty() => {} // before a request line, empty lines are passed over (RFC 9112 §2.2)
                None => self.request_line(line, bounds)?,
                Some(_) if line.is_empty() && self.line > bounds.head_bytes => return Err(Fault::HeadTooLarge),
                Some(_) if line.is_empty() => return Ok(Some((self.line, self.framing()))),
                Some(version) => self.field(line, version, bounds)?,
            }
        }
        self.searched = bytes.len();
        self.unfinished(bytes, bounds).map(|()| None)
    }

    fn request_line(&mut self, line: &[u8], bounds: &HeadBounds) -> Result<(), Fault> {
        if !line.first().is_some_and(u8::is_ascii_graphic) {
            return Err(NO_METHOD);
        }
        let (rest, version) = match (line.strip_suffix(b" HTTP/1.1"), line.strip_suffix(b" HTTP/1.0")) {
            (Some(rest), _) => (rest, Version::Http11),
            (None, Some(rest)) => (rest, Version::Http10),
            (None, None) => return Err(Fault::Malformed("The request line does not end with HTTP/1.1 or HTTP/1.0")),
        };
        let space = memchr(b' ', rest).ok_or(Fault::Malformed("The request line names no target"))?;
        if rest.len() - space - 1 > bounds.uri_bytes {
            return Err(Fault::UriTooLong);
        }
        self.version = Some(version);
        Ok(())
    }

    fn field(&mut self, line: &[u8], version: Version, bounds: &HeadBounds) -> Result<(), Fault> {
        self.fields += 1;
        if self.fields > bounds.header_count {
            return Err(Fault::HeadTooLarge);
        }
        if let Some(value) = value_of(b"content-length:", line) {
            return self.content_length(value);
        }
        match value_of(b"transfer-encoding:", line) {
            Some(value) => self.transfer_encoding(value, version),
            None => Ok(()),
        }
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        let length = length_in(value).ok_or(Fault::Malformed("Content-Length is not a number"))?;
        match self.length {
            _ if self.is_chunked => return Err(TWO_FRAMINGS),
            Some(other) if other != length => return Err(Fault::Malformed("There are two lengths in Content-Length")),
            Some(_) | None => self.length = Some(length),
        }
        Ok(())
    }

    /// Spellings that another server may take for something else than `chunked` are refused.
    fn transfer_encoding(&mut self, value: &[u8], version: Version) -> Result<(), Fault> {
        if version == Version::Http10 {
            return Err(Fault::Malformed("Transfer-Encoding is not for HTTP/1.0")); // RFC 9112 §6.1
        }
        if self.length.is_some() {
            return Err(TWO_FRAMINGS);
        }
        if self.is_chunked || value.strip_prefix(b" ").unwrap_or(value) != b"chunked" {
            return Err(Fault::Malformed("Transfer-Encoding is not, once, chunked"));
        }
        self.is_chunked = true;
        Ok(())
    }

    fn framing(&self) -> Framing {
        if self.is_chunked { Framing::Chunked } else { Framing::Length(self.length.unwrap_or(0)) }
    }

    /// What can be told of a head that is not whole.
    fn unfinished(&self, bytes: &[u8], bounds: &HeadBounds) -> Result<(), Fault> {
        let line = bytes.get(self.line..).unwrap_or_default();
        if self.version.is_none() {
            const REST: usize = " HTTP/1.1\r".len();
            if line.first().is_some_and(|first| !first.is_ascii_graphic() && *first != b'\r') {
                return Err(NO_METHOD);
            }
            if memchr(b' ', line).is_some_and(|space| line.len() - space - 1 > bounds.uri_bytes + REST) {
                return Err(Fault::UriTooLong);
            }
        }
        if bytes.len() >= bounds.head_bytes { Err(Fault::HeadTooLarge) } else { Ok(()) }
    }
}

const NO_METHOD: Fault = Fault::Malformed("The request line does not begin with a method");
const TWO_FRAMINGS: Fault = Fault::Malformed("There are both Content-Length and Transfer-Encoding");

/// The number in the value of `Content-Length` (RFC 9110 §8.6). Many a server counts in 63 bits, so no larger one.
pub fn length_in(value: &[u8]) -> Option<u64> {
    let value = without_blanks(value);
    let digit = |length: u64, byte: &u8| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    };
    let length = value.iter().try_fold(0, digit).filter(|_| !value.is_empty());
    length.filter(|length| i64::try_from(*length).is_ok())
}

/// What follows the name in `line`, if it is this one; `name` is in lower case, with its colon.
fn value_of<'l>(name: &[u8], line: &'l [u8]) -> Option<&'l [u8]> {
    let (before, value) = line.split_at_checked(name.len())?;
    (before.last() == Some(&b':') && before.eq_ignore_ascii_case(name)).then_some(value)
}

/// Without spaces and tabs around it (RFC 9110 §5.5).
fn without_blanks(value: &[u8]) -> &[u8] {
    let is_visible = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let first = value.iter().position(is_visible).unwrap_or(value.len());
    let end = value.iter().rposition(is_visible).map_or(first, |last| last + 1);
    value.get(first..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: HeadBounds = HeadBounds { head_bytes: 1_024, header_count: 4, uri_bytes: 64 };

    fn read(fields: &str) -> Result<Option<(usize, Framing)>, Fault> {
        Head::default().read(format!("POST / HTTP/1.1\r\n{fields}\r\n").as_bytes(), &BOUNDS)
    }

    fn framing(fields: &str) -> Option<Framing> {
        read(fields).ok().flatten().map(|(_, framing)| framing)
    }

    #[test]
    fn one_framing_is_read_and_every_other_spelling_is_refused() {
        assert_eq!(framing(""), Some(Framing::Length(0)));
        for length in ["5", "010", " 7 \t", "\t0"] {
            let number = length.trim().parse().expect("a number");
            assert_eq!(framing(&format!("content-LENGTH:{length}\r\n")), Some(Framing::Length(number)), "{length:?}");
        }
        assert_eq!(framing("Content-Length: 5\nContent-Length: 05\n"), Some(Framing::Length(5)));
        assert_eq!(framing("Transfer-encoding: chunked\r\n"), Some(Framing::Chunked));
        for length in ["+5", "0x5", "5,5", "5, 6", "-1", "", "9223372036854775808", "5 5", "5\r", "5\u{b}"] {
            assert!(matches!(read(&format!("Content-Length: {length}\r\n")), Err(Fault::Malformed(_))), "{length:?}");
        }
        for coding in ["xchunked", "\tchunked", "  chunked", "chunked ", "Chunked", "chunked,", "\"chunked\"", "", "x"]
        {
            assert!(matches!(read(&format!("Transfer-Encoding:{coding}\r\n")), Err(Fault::Malformed(_))), "{coding:?}");
        }
        let (length, coding) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
        for two in [format!("{length}{coding}"), format!("{coding}{length}"), coding.repeat(2)] {
            assert!(matches!(read(&two), Err(Fault::Malformed(_))), "{two:?}");
        }
    }

    #[test]
    fn only_two_versions_are_read_and_a_line_without_one_is_refused_at_its_end() {
        for line in
            ["GET /\r\n", "GET / HTTP/1.2\r\n", "GET / HTTP/2.0\r\n", "HTTP/1.1\r\n", "GET HTTP/1.1\n", "\x16\x03"]
        {
            let read = Head::default().read(line.as_bytes(), &BOUNDS);
            assert!(matches!(read, Err(Fault::Malformed(_))), "{line:?}: {read:?}");
        }
        let old = b"GET / HTTP/1.0\r\n\r\n";
        assert_eq!(Head::default().read(old, &BOUNDS), Ok(Some((old.len(), Framing::Length(0)))));
        let old = b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(Head::default().read(old, &BOUNDS).is_err());
    }

    #[test]
    fn a_head_ends_at_the_same_byte_however_it_comes() {
        for head in [
            "\r\n\nPOST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n",
            "POST /a HTTP/1.1\nHost: a\nContent-Length: 3\n\n",
            "POST /a HTTP/1.1\r\nContent-Length: 3\n\r\n",
        ] {
            let bytes = [head.as_bytes(), b"abcGET /"].concat();
            let expected = Ok(Some((head.len(), Framing::Length(3))));
            assert_eq!(Head::default().read(&bytes, &BOUNDS), expected, "{head:?}");
            let mut split = Head::default();
            for end in 0..head.len() {
                assert_eq!(split.read(&bytes[..end], &BOUNDS), Ok(None), "{head:?} to {end}");
            }
            assert_eq!(split.read(&bytes, &BOUNDS), expected, "{head:?}");
        }
    }

    #[test]
    fn size_count_and_target_have_bounds_also_before_the_head_is_whole() {
        let line = |length: usize| format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(length - 1));
        assert!(Head::default().read(line(64).as_bytes(), &BOUNDS).is_ok());
        assert_eq!(Head::default().read(line(65).as_bytes(), &BOUNDS), Err(Fault::UriTooLong));
        assert_eq!(Head::default().read(&line(200).as_bytes()[..100], &BOUNDS), Err(Fault::UriTooLong));
        assert!(read(&"A: b\r\n".repeat(4)).is_ok());
        assert_eq!(read(&"A: b\r\n".repeat(5)), Err(Fault::HeadTooLarge));
        let long = format!("POST / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(1_024));
        assert_eq!(Head::default().read(long.as_bytes(), &BOUNDS), Err(Fault::HeadTooLarge));
        assert_eq!(Head::default().read(&long.as_bytes()[..1_024], &BOUNDS), Err(Fault::HeadTooLarge));
        assert_eq!(Head::default().read(&[b'\n'; 1_024], &BOUNDS), Err(Fault::HeadTooLarge));
    }
}
