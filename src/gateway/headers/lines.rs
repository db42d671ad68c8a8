//! The header lines of a message, whoever has read them: the engine's map, or the lane's list.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Header lines that can be asked for by name.
pub trait Lines {
    /// The values of the lines with this name, in their order.
    fn named<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]>;
}

impl Lines for HeaderMap {
    fn named<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
        self.get_all(name).iter().map(HeaderValue::as_bytes)
    }
}

/// The value of the only line with this name.
pub(super) fn single<'a>(lines: &'a impl Lines, name: &'a HeaderName) -> Option<&'a [u8]> {
    let mut lines = lines.named(name);
    lines.next().filter(|_| lines.next().is_none())
}
