//! HTTP/1.1 read strictly (RFC 9112): one way to read a message, or a fault.
//!
//! Promises: never takes for one message what another reader could take for two.
//! Deliberately does not: accept bare LF, folded lines, chunk extensions or any header twice that frames a body.

/// Why bytes are not one message. The text names the place.
pub(crate) type Fault = String;

/// A header line, in the spelling that was read.
pub(crate) type Header = (String, String);

/// The first line and the headers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    pub(crate) first_line: String,
    pub(crate) headers: Vec<Header>,
    /// Bytes up to and with the empty line.
    pub(crate) length: usize,
}

/// How a message's end is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Framing {
    /// No framing header.
    Unsaid,
    Length(usize),
    Chunked,
}

/// A chunked body: its bytes, its trailers, and how many bytes it took.
pub(crate) type Chunked = (Vec<u8>, Vec<Header>, usize);

impl Head {
    /// The head at the beginning of `bytes`; `None` if it is not whole yet.
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<Self>, Fault> {
        let Some((first_line, mut at)) = line(bytes)? else { return Ok(None) };
        let Some((headers, length)) = headers(&bytes[at..])? else { return Ok(None) };
        at += length;
        Ok(Some(Self { first_line, headers, length: at }))
    }

    /// Every value of the header `name`, which is compared without regard to case.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        values(&self.headers, name)
    }

    pub(crate) fn framing(&self) -> Result<Framing, Fault> {
        match (&*self.all("content-length"), &*self.all("transfer-encoding")) {
            ([], []) => Ok(Framing::Unsaid),
            ([], ["chunked"]) => Ok(Framing::Chunked),
            ([length], []) if is_number(length) => {
                length.parse().map(Framing::Length).map_err(|_| format!("content-length {length:?}"))
            }
            (lengths, codings) => Err(format!("framing by content-length {lengths:?}, transfer-encoding {codings:?}")),
        }
    }
}

/// Every value of the header `name` in `headers`.
pub(crate) fn values<'h>(headers: &'h [Header], name: &str) -> Vec<&'h str> {
    let same = headers.iter().filter(|(each, _)| each.eq_ignore_ascii_case(name));
    same.map(|(_, value)| value.as_str()).collect()
}

fn is_number(text: &str) -> bool {
    text == "0" || (!text.starts_with('0') && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
}

/// The line at the beginning of `bytes`, and its length with the line end.
fn line(bytes: &[u8]) -> Result<Option<(String, usize)>, Fault> {
    let Some(end) = bytes.iter().position(|b| *b == b'\n') else { return Ok(None) };
    let Some(line) = bytes[..end].strip_suffix(b"\r") else {
        return Err(format!("a bare LF after {:?}", String::from_utf8_lossy(&bytes[..end])));
    };
    if let Some(odd) = line.iter().find(|b| **b < b' ' && **b != b'\t' || **b == 0x7f) {
        return Err(format!("the control character {odd:#04x} in {:?}", String::from_utf8_lossy(line)));
    }
    // Bytes above ASCII are legal in values (obs-text): one character each.
    Ok(Some((line.iter().map(|b| char::from(*b)).collect(), end + 1)))
}

/// Header lines up to and with the empty line, and their length.
fn headers(bytes: &[u8]) -> Result<Option<(Vec<Header>, usize)>, Fault> {
    let mut headers = Vec::new();
    let mut at = 0;
    loop {
        let Some((line, length)) = line(&bytes[at..])? else { return Ok(None) };
        at += length;
        if line.is_empty() {
            return Ok(Some((headers, at)));
        }
        let Some((name, value)) = line.split_once(':') else { return Err(format!("{line:?} is no header")) };
        if !is_token(name) {
            return Err(format!("{name:?} is no name of a header"));
        }
        headers.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
    }
}

/// RFC 9110 §5.6.2.
pub(crate) fn is_token(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(legal)
}

/// The chunked body at the beginning of `bytes`; `None` if it is not whole yet.
pub(crate) fn chunked(bytes: &[u8]) -> Result<Option<Chunked>, Fault> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let Some((size, length)) = line(&bytes[at..])? else { return Ok(None) };
        at += length;
        let legal = !size.is_empty() && size.len() <= 8 && size.bytes().all(|b| b.is_ascii_hexdigit());
        let size = if legal { usize::from_str_radix(&size, 16).ok() } else { None }
            .ok_or_else(|| format!("the chunk size {size:?}"))?;
        if size == 0 {
            let trailers = headers(&bytes[at..])?;
            return Ok(trailers.map(|(trailers, length)| (body, trailers, at + length)));
        }
        let Some(chunk) = bytes[at..].get(..size + 2) else { return Ok(None) };
        let Some(data) = chunk.strip_suffix(b"\r\n") else { return Err("a chunk without its line end".into()) };
        body.extend_from_slice(data);
        at += size + 2;
    }
}

#[test]
fn whatever_could_be_read_in_two_ways_is_a_fault() {
    for head in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\n: a\r\n\r\n",
        "GET / HTTP/1.1\r\nX\r\n\r\n",
    ] {
        assert!(Head::read(head.as_bytes()).is_err(), "{head:?}");
    }
    for framing in [
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Content-Length: 010",
        "Content-Length: +5",
        "Content-Length: 5, 5",
        "Content-Length:",
        "Content-Length: 99999999999999999999999",
        "Transfer-Encoding: Chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ] {
        let head = Head::read(format!("POST / HTTP/1.1\r\n{framing}\r\n\r\n").as_bytes()).expect("legal lines");
        assert!(head.expect("whole").framing().is_err(), "{framing:?}");
    }
    for body in ["5;a=b\r\nhello\r\n0\r\n\r\n", "0x5\r\nhello", " 5\r\nhello", "5\r\nhelloo\r\n", "5\nhello", "\r\n"] {
        assert!(chunked(body.as_bytes()).is_err(), "{body:?}");
    }
}

#[test]
fn what_is_not_whole_yet_is_waited_for_at_every_byte() {
    let head = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = b"5\r\nhello\r\na\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n";
    for end in 0..head.len() {
        assert_eq!(Head::read(&head[..end]), Ok(None));
    }
    let read = Head::read(&[&head[..], b"rest"].concat()).expect("legal").expect("whole");
    assert_eq!((read.length, read.framing()), (head.len(), Ok(Framing::Chunked)));
    for end in 0..body.len() {
        assert_eq!(chunked(&body[..end]), Ok(None));
    }
    let trailers = vec![("X-Sum".to_owned(), "1".to_owned())];
    assert_eq!(chunked(&[&body[..], b"GET"].concat()), Ok(Some((b"hello0123456789".to_vec(), trailers, body.len()))));
}
