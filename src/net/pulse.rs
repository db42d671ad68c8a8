//! What a connection waits for, and until when.
//!
//! Promises: at every instant of its life a connection waits either for its own service or for a client with a
//! deadline: first byte, head, next request, room to write, end. On the path of a request that costs a few stores.
//! Deliberately does not: bound a request's body, which its reader does; close anything.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::deadline::{Tick, Ticks, Timer, Wheel};

/// How long each wait may be, in ticks, so that no request has to divide.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For the first byte of a connection.
    pub first_byte: Ticks,
    /// For the end of a head, from its first byte.
    pub head: Ticks,
    /// For the next request.
    pub keep_alive: Ticks,
    /// For the client to take something of a reply.
    pub write_stall: Ticks,
    /// For the client to end after the last reply.
    pub linger: Ticks,
    /// For the end of the connection, which then comes with the next reply.
    pub life: Ticks,
}

/// What did not come in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Late {
    /// The end of the TLS handshake.
    Handshake,
    /// The first byte.
    FirstByte,
    /// The end of a head.
    Head,
    /// The next request.
    Idle,
    /// Room for more of a reply.
    Write,
    /// The client's end, after ours.
    End,
}

impl Late {
    /// Every one of them.
    pub const ALL: [Self; 6] = [Self::Handshake, Self::FirstByte, Self::Head, Self::Idle, Self::Write, Self::End];

    /// A word for it, for metrics and logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::FirstByte => "first_byte",
            Self::Head => "head",
            Self::Idle => "keep_alive",
            Self::Write => "write",
            Self::End => "linger",
        }
    }
}

/// The waits of one connection.
#[derive(Debug)]
pub struct Pulse {
    timer: Timer,
    times: Times,
    /// Requests that the engine has and whose replies are not done.
    open: Cell<u32>,
    awaited: Cell<Late>,
    due: Cell<Tick>,
    is_writing: Cell<bool>,
    /// How long the client may take nothing, on a stream.
    stream_idle: Cell<Option<Ticks>>,
    retires: Tick,
}

impl Pulse {
    /// Of a connection that begins now; `spread` makes its life up to a tenth shorter or longer.
    pub fn new(wheel: &Rc<Wheel>, times: Times, spread: u8) -> Self {
        let due = wheel.after(times.first_byte);
        let pulse = Self {
            timer: Timer::new(wheel),
            times,
            open: Cell::new(0),
            awaited: Cell::new(Late::FirstByte),
            due: Cell::new(due),
            is_writing: Cell::new(false),
            stream_idle: Cell::default(),
            retires: wheel.after(times.life.spread(spread)),
        };
        pulse.timer.set(due);
        pulse
    }

    /// Ready with what is late.
    pub fn poll(&self, cx: &Context<'_>) -> Poll<Late> {
        self.timer.poll(cx).map(|()| if self.is_writing.get() { Late::Write } else { self.awaited.get() })
    }

    /// Whether the connection is to end with the next reply.
    pub fn retires(&self) -> bool {
        self.timer.wheel().now() >= self.retires
    }

    /// The exchange in progress is a stream, which may be silent for `idle`.
    pub fn is_stream(&self, idle: Ticks) {
        self.stream_idle.set(Some(idle));
    }

    /// A reply is done with, however it ended.
    pub fn replied(&self) {
        self.open.set(self.open.get().saturating_sub(1));
        self.stream_idle.set(None);
        if self.open.get() == 0 {
            match self.awaited.get() {
                Late::Head => self.head_began(),
                Late::Idle => self.await_until(Late::Idle, self.after(self.times.keep_alive)),
                Late::Handshake | Late::FirstByte | Late::Write | Late::End => {}
            }
        }
    }

    /// The beginning of a head has come, and not its end. While a request before it is served, nobody asks for it.
    pub fn head_began(&self) {
        let due = if self.open.get() == 0 { self.after(self.times.head) } else { Tick::NEVER };
        self.await_until(Late::Head, due);
    }

    /// The engine gets a request.
    pub fn head_ended(&self) {
        self.open.set(self.open.get() + 1);
        self.await_until(Late::Idle, Tick::NEVER);
    }

    /// The client takes nothing.
    pub fn write_began(&self) {
        if !self.is_writing.replace(true) {
            let patience = self.stream_idle.get().unwrap_or(self.times.write_stall);
            self.timer.set(self.after(patience));
        }
    }

    /// The client has taken something.
    pub fn write_ended(&self) {
        if self.is_writing.replace(false) {
            self.timer.set(self.due.get());
        }
    }

    /// The last reply is out.
    pub fn ended(&self) {
        self.await_until(Late::End, self.after(self.times.linger));
    }

    fn after(&self, patience: Ticks) -> Tick {
        self.timer.wheel().after(patience)
    }

    fn await_until(&self, awaited: Late, due: Tick) {
        self.awaited.set(awaited);
        self.due.set(due);
        if !self.is_writing.get() {
            self.timer.set(due);
        }
    }
}
