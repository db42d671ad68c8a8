//! One spelling of a path, so that what is matched, what is logged and what the backend reads cannot differ.
//!
//! Promises: of two spellings that a server may resolve to one resource, both give one result or at least one is
//! refused; normalising twice changes nothing; a path that needs no change is borrowed, in one pass.
//! Percent-encoded unreserved characters are decoded and hex digits upper-cased (RFC 3986 §6.2.2). Refused are
//! encoded or plain backslashes and controls, dot segments, empty segments, bytes outside ASCII, escapes that are
//! broken or not UTF-8 (overlong forms among them), and `;` in either spelling unless the policy allows it.
//! Deliberately does not: decode twice (`%252e` is the text `%2e`: a path is decoded once, RFC 3986 §2.4); fold
//! case or trim trailing dots, which are other paths on most servers; decide about `%2F`, which the route does.

use std::borrow::Cow;

use super::refusal::Refusal;

/// How request paths are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PathPolicy {
    /// Whether `;` may stand in a path; a segment is then compared up to it.
    pub semicolons: bool,
}

/// A path in its one spelling.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Normalised<'a> {
    text: Cow<'a, str>,
    /// Whether it must be read through [`Normalised::compared`].
    special: bool,
    encoded_slash: bool,
}

/// Why a path is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadPath {
    /// It does not begin with `/`: empty, `*`, or a relative path.
    NotAbsolute,
    /// A control character, a space, `?` or `#`, or an encoded control character.
    Control,
    /// A byte outside ASCII that is not percent-encoded.
    NotAscii,
    /// `\`, plain or encoded.
    Backslash,
    /// A segment `.` or `..`, also before `;` or beside an encoded slash.
    DotSegment,
    /// `//`, or a segment that has nothing before its `;`.
    EmptySegment,
    /// `%` without two hex digits, or escapes that are not UTF-8.
    Escape,
    /// `;`, plain or encoded, which the configuration does not allow.
    Semicolon,
}

impl BadPath {
    /// The public text of the refusal.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotAbsolute => "The path does not begin with a slash",
            Self::Control => "The path or query holds a control character or a space",
            Self::NotAscii => "The path or query holds a byte outside ASCII",
            Self::Backslash => "The path holds a backslash",
            Self::DotSegment => "The path holds a dot segment",
            Self::EmptySegment => "The path holds an empty segment",
            Self::Escape => "The path holds an invalid percent-encoding",
            Self::Semicolon => "The path holds a semicolon",
        }
    }
}

impl From<BadPath> for Refusal {
    fn from(bad: BadPath) -> Self {
        Self::BadRequest(bad.reason())
    }
}

impl PathPolicy {
    /// The one spelling of `path`, which is the path alone, without query. Allocates only where it differs.
    pub fn normalise(self, path: &str) -> Result<Normalised<'_>, BadPath> {
        if !path.starts_with('/') {
            return Err(BadPath::NotAbsolute);
        }
        if is_plain(path.as_bytes()) {
            return Ok(Normalised { text: Cow::Borrowed(path), special: false, encoded_slash: false });
        }
        let mut rewrite = Rewrite::of(path, self);
        rewrite.run()?;
        Ok(rewrite.done())
    }
}

/// Refuses a query that holds what no request line may hold; everything else of it passes unchanged.
pub fn judge_query(query: &str) -> Result<(), BadPath> {
    query.bytes().try_for_each(|byte| match byte {
        0..=b' ' | 0x7f => Err(BadPath::Control),
        0x80.. => Err(BadPath::NotAscii),
        _ => Ok(()),
    })
}

impl Normalised<'_> {
    /// The path as it is matched, logged and sent.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it holds `%2F`, which only some routes take.
    pub const fn has_encoded_slash(&self) -> bool {
        self.encoded_slash
    }

    /// The path's own bytes, where they are also what routes compare.
    pub(super) fn plain(&self) -> Option<&[u8]> {
        (!self.special).then(|| self.text.as_bytes())
    }

    /// What routes compare: escapes decoded, an encoded slash as NUL (which nothing else gives), segments up to `;`.
    pub(super) fn compared(&self) -> Compared<'_> {
        compared(&self.text)
    }
}

/// What routes compare of a path in its one spelling.
pub(super) fn compared(path: &str) -> Compared<'_> {
    Compared { rest: path.as_bytes() }
}

/// The bytes that routes compare.
#[derive(Clone)]
pub(super) struct Compared<'a> {
    rest: &'a [u8],
}

impl Iterator for Compared<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (byte, rest) = take_byte(self.rest)?;
        if byte != b';' {
            self.rest = rest;
            return Some(byte);
        }
        let end = rest.iter().position(|byte| *byte == b'/')?;
        self.rest = &rest[end + 1..];
        Some(b'/')
    }
}

/// The first byte of a normalised path, decoded, and what follows it.
fn take_byte(text: &[u8]) -> Option<(u8, &[u8])> {
    let (first, rest) = text.split_first()?;
    match (first, rest) {
        (b'%', [high, low, rest @ ..]) => match hex_pair(*high, *low)? {
            b'/' => Some((0, rest)),
            byte => Some((byte, rest)),
        },
        _ => Some((*first, rest)),
    }
}

fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const SLASH: u8 = 1;
const DOT: u8 = 2;
const SPECIAL: u8 = 4;

/// What a byte asks for: nothing, care at the start of a segment, or [`Rewrite`].
static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [SPECIAL; 256];
    let mut byte = b'!';
    while byte < 0x7f {
        classes[byte as usize] = match byte {
            b'/' => SLASH,
            b'.' => DOT,
            b'%' | b';' | b'\\' | b'?' | b'#' => SPECIAL,
            _ => 0,
        };
        byte += 1;
    }
    classes
}

/// Whether nothing in `path` needs a second look. A segment that begins with a dot does.
fn is_plain(path: &[u8]) -> bool {
    let mut seen = 0;
    let mut previous = 0;
    for byte in path {
        let class = CLASS[usize::from(*byte)];
        if previous == SLASH && class != 0 {
            return false;
        }
        seen |= class;
        previous = class;
    }
    seen & SPECIAL == 0
}

/// What is known of the segment being read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Segment {
    Empty,
    Dot,
    TwoDots,
    Named,
}

/// The careful pass over a path.
struct Rewrite<'a> {
    path: &'a str,
    policy: PathPolicy,
    /// The new spelling, once it differs from the old one.
    changed: Option<String>,
    segment: Segment,
    /// Whether the segment's `;` has been passed.
    cut: bool,
    special: bool,
    encoded_slash: bool,
}

impl<'a> Rewrite<'a> {
    fn of(path: &'a str, policy: PathPolicy) -> Self {
        let (changed, segment) = (None, Segment::Empty);
        Self { path, policy, changed, segment, cut: false, special: false, encoded_slash: false }
    }

    fn run(&mut self) -> Result<(), BadPath> {
        let bytes = self.path.as_bytes();
        let mut at = 1; // behind the leading slash
        while let Some(byte) = bytes.get(at) {
            at += match byte {
                b'%' => self.escape(at)?,
                _ => self.literal(*byte)?,
            };
        }
        self.refuse_dots()
    }

    fn done(self) -> Normalised<'a> {
        let text = self.changed.map_or(Cow::Borrowed(self.path), Cow::Owned);
        Normalised { text, special: self.special, encoded_slash: self.encoded_slash }
    }

    fn literal(&mut self, byte: u8) -> Result<usize, BadPath> {
        match byte {
            b'/' => self.end_segment()?,
            b'.' => self.dot(),
            b';' => self.semicolon()?,
            b'\\' => return Err(BadPath::Backslash),
            0..=b' ' | 0x7f | b'?' | b'#' => return Err(BadPath::Control),
            0x80.. => return Err(BadPath::NotAscii),
            _ => self.named(),
        }
        self.push(byte);
        Ok(1)
    }

    /// Reads the escape at `at` and returns its length in bytes.
    fn escape(&mut self, at: usize) -> Result<usize, BadPath> {
        let byte = self.escaped_byte(at)?;
        match byte {
            _ if is_unreserved(byte) => {
                self.differ_from(at);
                self.literal(byte)?;
                return Ok(3);
            }
            b'\\' => return Err(BadPath::Backslash),
            0..=0x1f | 0x7f => return Err(BadPath::Control),
            b';' => self.semicolon()?,
            b'/' => {
                self.encoded_slash = true;
                self.refuse_dots()?;
                self.begin_segment();
            }
            0x80.. => return self.character(at, byte),
            _ => self.named(),
        }
        self.keep_escape(at);
        Ok(3)
    }

    /// Reads the escapes of one character outside ASCII that begins with `first` (RFC 3629 §3).
    fn character(&mut self, at: usize, first: u8) -> Result<usize, BadPath> {
        let length = match first {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => return Err(BadPath::Escape),
        };
        let mut bytes = [0; 4];
        for (index, byte) in bytes.iter_mut().enumerate().take(length) {
            *byte = self.escaped_byte(at + 3 * index)?;
            self.keep_escape(at + 3 * index);
        }
        let text = std::str::from_utf8(&bytes[..length]).map_err(|_| BadPath::Escape)?;
        if text.chars().any(char::is_control) {
            return Err(BadPath::Control);
        }
        self.named();
        Ok(3 * length)
    }

    fn escaped_byte(&self, at: usize) -> Result<u8, BadPath> {
        match self.path.as_bytes().get(at..at + 3) {
            Some([b'%', high, low]) => hex_pair(*high, *low).ok_or(BadPath::Escape),
            _ => Err(BadPath::Escape),
        }
    }

    /// Keeps the escape at `at`, its hex digits in upper case.
    fn keep_escape(&mut self, at: usize) {
        self.special = true;
        let Some(raw) = self.path.as_bytes().get(at..at + 3) else { return };
        if raw.iter().any(u8::is_ascii_lowercase) {
            self.differ_from(at);
        }
        for byte in raw {
            self.push(byte.to_ascii_uppercase());
        }
    }

    /// From `at` on the new spelling is not the old one.
    fn differ_from(&mut self, at: usize) {
        if self.changed.is_none() {
            let mut text = String::with_capacity(self.path.len());
            text.extend(self.path.get(..at)); // everything before is ASCII
            self.changed = Some(text);
        }
    }

    fn push(&mut self, byte: u8) {
        if let Some(text) = &mut self.changed {
            text.push(char::from(byte));
        }
    }

    fn dot(&mut self) {
        if !self.cut {
            self.segment = match self.segment {
                Segment::Empty => Segment::Dot,
                Segment::Dot => Segment::TwoDots,
                Segment::TwoDots | Segment::Named => Segment::Named,
            };
        }
    }

    fn named(&mut self) {
        if !self.cut {
            self.segment = Segment::Named;
        }
    }

    fn semicolon(&mut self) -> Result<(), BadPath> {
        if !self.policy.semicolons {
            return Err(BadPath::Semicolon);
        }
        self.cut = true;
        self.special = true;
        Ok(())
    }

    fn end_segment(&mut self) -> Result<(), BadPath> {
        if self.segment == Segment::Empty {
            return Err(BadPath::EmptySegment);
        }
        self.refuse_dots()?;
        self.begin_segment();
        Ok(())
    }

    fn begin_segment(&mut self) {
        (self.segment, self.cut) = (Segment::Empty, false);
    }

    fn refuse_dots(&self) -> Result<(), BadPath> {
        match self.segment {
            Segment::Dot | Segment::TwoDots => Err(BadPath::DotSegment),
            Segment::Empty | Segment::Named => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
