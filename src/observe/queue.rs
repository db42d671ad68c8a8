//! Lines on their way out: a bounded queue, and the thread that empties it.
//!
//! Promises: whoever has a line never waits; what has no room, by number or by size, is dropped and counted, and so is what
//! cannot be written; lines stay whole and in order.
//! Deliberately does not: know what a line says.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::metrics::Counter;

/// How many bytes are written at once, about.
const BATCH_BYTES: usize = 64 * 1024;
/// How long the writer lets lines gather after a write: woken for each of them, it would cost more than the lines.
const GATHERING: Duration = Duration::from_millis(10);
/// How long somebody who asks for a flush waits before he looks again whether the queue takes his question.
const LOOK: Duration = Duration::from_millis(1);

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Lines.
    pub(super) lines: usize,
    /// Bytes of all lines together.
    pub(super) bytes: usize,
}

impl Room {
    /// What is usual.
    pub(super) const USUAL: Self = Self { lines: 8_192, bytes: 8 * 1024 * 1024 };
}

/// The near end of the queue.
#[derive(Debug)]
pub(super) struct Queue {
    sender: SyncSender<Message>,
    /// Bytes that wait.
    waiting: Arc<AtomicUsize>,
    most_bytes: usize,
    dropped: Counter,
}

enum Message {
    Line(Vec<u8>),
    /// Asks to be told when everything before it is written.
    Flush(SyncSender<()>),
}

impl Queue {
    /// Writes to `out` from a thread of this name.
    pub(super) fn start(
        name: &str,
        out: impl Write + Send + 'static,
        room: Room,
        dropped: Counter,
    ) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(room.lines);
        let waiting = Arc::new(AtomicUsize::new(0));
        let (taken, lost) = (Arc::clone(&waiting), dropped.clone());
        let writer = Writer { out, receiver, waiting: taken, dropped: lost, batch: Vec::new(), lines: 0 };
        std::thread::Builder::new().name(name.to_owned()).spawn(move || writer.run())?;
        Ok(Self { sender, waiting, most_bytes: room.bytes, dropped })
    }

    /// Queues a line, which ends with a newline, or drops and counts it.
    pub(super) fn push(&self, line: Vec<u8>) {
        let bytes = line.capacity();
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        let has_room = before.saturating_add(bytes) <= self.most_bytes;
        if !has_room || self.sender.try_send(Message::Line(line)).is_err() {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            self.lost();
        }
    }

    /// Counts a line that never came to be queued.
    pub(super) fn lost(&self) {
        self.dropped.increment(1);
    }

    /// Waits until everything queued before is written, `patience` at most. Tells whether it is.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        let (done, written) = sync_channel(1);
        let mut question = Message::Flush(done);
        loop {
            question = match self.sender.try_send(question) {
                Ok(()) => return written.recv_timeout(end.saturating_duration_since(Instant::now())).is_ok(),
                Err(TrySendError::Full(question)) if Instant::now() < end => question,
                Err(_) => return false,
            };
            std::thread::sleep(LOOK);
        }
    }
}

/// The thread's side of the queue.
struct Writer<W> {
    out: W,
    receiver: Receiver<Message>,
    waiting: Arc<AtomicUsize>,
    dropped: Counter,
    batch: Vec<u8>,
    lines: u64,
}

impl<W: Write> Writer<W> {
    /// Runs until every sender is gone: waits for a message, takes those that have gathered, writes them at once. Whoever
    /// sends while more are gathering wakes nobody.
    fn run(mut self) {
        while let Ok(message) = self.receiver.recv() {
            self.take(message);
            while self.batch.len() < BATCH_BYTES
                && let Ok(message) = self.receiver.try_recv()
            {
                self.take(message);
            }
            let is_full = self.batch.len() >= BATCH_BYTES;
            self.write();
            if !is_full {
                std::thread::sleep(GATHERING);
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Line(line) => {
                self.waiting.fetch_sub(line.capacity(), Ordering::Relaxed);
                self.batch.extend_from_slice(&line);
                self.lines += 1;
            }
            Message::Flush(done) => {
                self.write();
                let _ = done.try_send(()); // who asked may have lost patience
            }
        }
    }

    fn write(&mut self) {
        if self.lines > 0 && self.out.write_all(&self.batch).and_then(|()| self.out.flush()).is_err() {
            self.dropped.increment(self.lines);
        }
        self.batch.clear();
        self.lines = 0;
    }
}

/// The process's stderr for threads that write batches of lines. It has a lock of its own: in std's, one that waits for a
/// slow reader would make everybody wait who has a word to say.
#[derive(Debug)]
pub(super) struct Stderr(std::fs::File);

/// Keeps one thread's lines out of the midst of another's.
static WRITING: Mutex<()> = Mutex::new(());

impl Stderr {
    /// Another descriptor of the same.
    pub(super) fn open() -> io::Result<Self> {
        io::stderr().as_fd().try_clone_to_owned().map(|own| Self(own.into()))
    }
}

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A disk that is full.
#[cfg(test)]
pub(super) struct Full;

#[cfg(test)]
impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    /// A writer that waits for leave before each write.
    struct Held(Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Held {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(|_| io::Error::other("let go"))?;
            self.1.lock().expect("unpoisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Stuck {
        queue: Queue,
        leave: SyncSender<()>,
        written: Arc<Mutex<Vec<u8>>>,
        dropped: Arc<AtomicU64>,
    }

    fn stuck(room: Room) -> Stuck {
        let (leave, held) = sync_channel(100_000);
        let (written, dropped) = (Arc::default(), Arc::<AtomicU64>::default());
        let out = Held(held, Arc::clone(&written));
        let counter = Counter::from_arc(Arc::clone(&dropped));
        let queue = Queue::start("lines", out, room, counter).expect("started");
        // The writer has something in hand: it takes what comes now into the same batch, or not at all.
        queue.push(b"first\n".to_vec());
        let deadline = Instant::now() + Duration::from_secs(20);
        while queue.waiting.load(Ordering::Relaxed) > 0 {
            assert!(Instant::now() < deadline, "not taken");
            std::thread::yield_now();
        }
        Stuck { queue, leave, written, dropped }
    }

    fn long() -> Vec<u8> {
        [&[b'x'; 999][..], b"\n"].concat()
    }

    #[test]
    fn what_a_stuck_writer_cannot_take_is_dropped_and_counted_by_number() {
        let Stuck { queue, leave, dropped, .. } = stuck(Room { lines: 2, bytes: 1_000_000 });
        (0..50).for_each(|_| queue.push(b"line\n".to_vec()));
        assert!(!queue.flush(Duration::ZERO), "nothing is written yet");
        drop(leave); // every write fails now
        assert!(queue.flush(Duration::from_secs(20)));
        assert_eq!(dropped.load(Ordering::Relaxed), 51);
    }

    #[test]
    fn long_lines_have_no_more_room_than_their_bytes() {
        let Stuck { queue, leave, written, dropped } = stuck(Room { lines: 10_000, bytes: 20_000 });
        for _ in 0..1_000 {
            queue.push(long());
            assert!(queue.waiting.load(Ordering::Relaxed) <= 20_000);
        }
        let lost = usize::try_from(dropped.load(Ordering::Relaxed)).expect("few");
        // Those that fitted, and a batch in the writer's hand at most.
        assert!((1_000 - 20 - BATCH_BYTES / 1_000 - 1..=980).contains(&lost), "{lost} lost");
        (0..1_000).for_each(|_| leave.send(()).expect("the writer waits"));
        assert!(queue.flush(Duration::from_secs(20)));
        assert_eq!(written.lock().expect("unpoisoned").len(), "first\n".len() + (1_000 - lost) * 1_000);
        queue.push(long()); // there is room again
        assert!(queue.flush(Duration::from_secs(20)));
        assert_eq!(dropped.load(Ordering::Relaxed), u64::try_from(lost).expect("few"));
    }

    #[test]
    fn a_flush_is_patient_with_a_writer_that_comes_along() {
        let Stuck { queue, leave, written, dropped } = stuck(Room { lines: 1, bytes: 1_000 });
        queue.push(b"second\n".to_vec()); // the queue is full, unless this is in the first batch
        std::thread::scope(|scope| {
            scope.spawn(|| (0..10).for_each(|_| leave.send(()).expect("the writer waits")));
            assert!(queue.flush(Duration::from_secs(20)));
        });
        assert_eq!(
            (&**written.lock().expect("unpoisoned"), dropped.load(Ordering::Relaxed)),
            (&b"first\nsecond\n"[..], 0)
        );
    }
}
