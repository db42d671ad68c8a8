//! What the guard of a connection tells the service that answers its requests, and what both tell its pulse.
//!
//! Promises: requests are counted on both sides of the engine, so that a refusal meets the very request that it is for,
//! however many were sent at once: the engine asks for each head once, in order.

use std::cell::Cell;

use super::Fault;
use crate::net::pulse::Pulse;

/// The heads of one connection, counted.
#[derive(Debug)]
pub struct Heads {
    pulse: Pulse,
    passed: Cell<u64>,
    asked: Cell<u64>,
    refused: Cell<Option<Fault>>,
    between: Cell<bool>,
}

impl Heads {
    /// Of a connection with this pulse.
    pub fn new(pulse: Pulse) -> Self {
        Self {
            pulse,
            passed: Cell::default(),
            asked: Cell::default(),
            refused: Cell::default(),
            between: Cell::new(true),
        }
    }

    /// What the connection waits for.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// To be called once for each request that the engine asks for: why it is refused, if it is.
    pub fn next(&self) -> Option<Fault> {
        self.asked.set(self.asked.get() + 1);
        self.refused.get().filter(|_| self.asked.get() > self.passed.get())
    }

    /// Whether the engine has all that the client sent of the request asked for last.
    pub fn is_all_here(&self) -> bool {
        self.between.get()
    }

    /// Whether the next byte of the client belongs to a new head.
    pub(super) fn set_between(&self, between: bool) {
        self.between.set(between);
    }

    /// One more head goes to the engine.
    pub(super) fn pass(&self) {
        self.passed.set(self.passed.get() + 1);
        self.pulse.head_ended();
    }

    /// The head after those that have passed does not, and no other will.
    pub(super) fn refuse(&self, fault: Fault) {
        self.refused.set(Some(fault));
        self.pulse.head_ended();
    }
}
