//! The memory that a worker lends to whoever reads or writes just now.
//!
//! Promises: a connection that waits holds none of it; what is given back is used again, up to a bound.
//! Deliberately does not: limit how much is lent. Connections and requests in flight have bounds of their own.

use std::cell::RefCell;

/// How much is read at once, in bytes.
const READ: usize = 64 * 1024;
/// How many of each kind are kept.
const KEPT: usize = 32;
/// The largest text that is kept, in bytes.
const LARGEST: usize = 64 * 1024;

/// One worker's memory for reading and writing.
#[derive(Default)]
pub(super) struct Buffers {
    reads: RefCell<Vec<Box<[u8]>>>,
    texts: RefCell<Vec<Vec<u8>>>,
}

impl Buffers {
    /// Room to read into. What stands in it means nothing.
    pub(super) fn read(&self) -> Box<[u8]> {
        self.reads.borrow_mut().pop().unwrap_or_else(|| vec![0; READ].into())
    }

    /// Gives back what [`Buffers::read`] lent.
    pub(super) fn done_reading(&self, buffer: Box<[u8]>) {
        let mut reads = self.reads.borrow_mut();
        if reads.len() < KEPT {
            reads.push(buffer);
        }
    }

    /// An empty text.
    pub(super) fn text(&self) -> Vec<u8> {
        self.texts.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(1_024))
    }

    /// Gives a text back.
    pub(super) fn done_with(&self, mut text: Vec<u8>) {
        let mut texts = self.texts.borrow_mut();
        if texts.len() < KEPT && (1..=LARGEST).contains(&text.capacity()) {
            text.clear();
            texts.push(text);
        }
    }
}
