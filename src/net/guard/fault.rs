//! Why the bytes of a client are not, or not safely, HTTP/1.1.

/// What is wrong with the head of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It could be read in two ways, or in none; the text says why, as a whole sentence without the period.
    Malformed(&'static str),
    /// Too many bytes or lines.
    HeadTooLarge,
    /// The target is too long.
    UriTooLong,
}

/// What is wrong with the body of a request: a sentence without the period.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct BodyFault(pub(super) &'static str);
