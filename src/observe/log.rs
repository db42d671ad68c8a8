//! The log: to stderr, for people on a terminal, as JSON lines elsewhere.
//!
//! Promises: whatever has the shape of a token is masked, in every line, whoever wrote it; a panic is such a line too. Lines go
//! through a queue of their own: a line that cannot be written, as on a full disk or to a reader that has stopped, is counted
//! and stops nobody.
//! Deliberately does not: hold access records, which have a file and a queue of their own.

use std::io::{self, IsTerminal, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use ::metrics::Counter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::queue::{Queue, Room, Stderr};
use crate::domain::token;

/// The variable that says what is logged, such as `debug` or `relevo::gateway=trace,info`.
pub const FILTER_VARIABLE: &str = "RELEVO_LOG";

/// How long the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(2);
/// How long a thread that panics waits for that to be written: the process may end with it.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Lines that were lost.
static DROPPED: LazyLock<Arc<AtomicU64>> = LazyLock::new(Arc::default);

/// How many lines of this process's log could not be written, or had no room in the queue.
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// A log that has been started. Dropped, it waits until the lines that are queued are written, or a little while.
#[must_use = "without it the last lines are lost"]
#[derive(Debug)]
pub struct Log(Arc<Queue>);

impl Drop for Log {
    fn drop(&mut self) {
        self.0.flush(LAST_LINES);
    }
}

/// Starts the log of this process; a second call changes nothing. Errors are those of a thread that cannot be started.
///
/// The filter is [`FILTER_VARIABLE`]'s; an illegal part of it is passed over, and without it `info` holds.
pub fn start() -> io::Result<Log> {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
        .with_env_var(FILTER_VARIABLE)
        .from_env_lossy();
    let form = if io::stderr().is_terminal() { Form::People } else { Form::Machines };
    let queue = queue(Stderr::open()?)?;
    // Only a second call can fail, and then the first one's log goes on.
    let _ = tracing::subscriber::set_global_default(subscriber(filter, form, Lines(Arc::clone(&queue))));
    let last = Arc::clone(&queue);
    panic::set_hook(Box::new(move |panic| {
        tell_panic(panic);
        last.flush(LAST_WORDS);
    }));
    Ok(Log(queue))
}

fn queue(out: impl Write + Send + 'static) -> io::Result<Arc<Queue>> {
    Queue::start("log", out, Room::USUAL, Counter::from_arc(Arc::clone(&DROPPED))).map(Arc::new)
}

/// A panic's own text could hold anything, so it goes where everything is masked.
fn tell_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let what = panic.payload_as_str().unwrap_or_default();
    tracing::error!(place, what, "a thread panicked");
}

/// For whom lines are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    People,
    Machines,
}

fn subscriber(filter: EnvFilter, form: Form, to: Lines) -> Box<dyn tracing::Subscriber + Send + Sync> {
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(to);
    match form {
        Form::People => Box::new(builder.compact().with_ansi(false).finish()),
        Form::Machines => Box::new(builder.json().flatten_event(true).with_ansi(false).finish()),
    }
}

/// Queues lines with every token masked.
#[derive(Clone, Debug)]
struct Lines(Arc<Queue>);

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Write for Lines {
    /// The subscriber hands over one whole line at a time, so no token is cut in two. Of a failure it would write to stderr
    /// itself, and panic when that fails too: so it hears of none.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.0.push(token::mask(&text).into_owned().into_bytes());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::domain::{Prefix, Secret};
    use crate::observe::queue::Full;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("unpoisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(form: Form, event: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let queue = queue(buffer.clone()).expect("started");
        let subscriber = subscriber(EnvFilter::new("info"), form, Lines(Arc::clone(&queue)));
        tracing::subscriber::with_default(subscriber, event);
        drop(Log(queue));
        let bytes = buffer.0.lock().expect("unpoisoned").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn a_token_in_a_message_or_a_field_is_masked_in_both_forms() {
        let secret = Secret::mint(&Prefix::default(), &mut rand::rng());
        for form in [Form::People, Form::Machines] {
            let text = logged(form, || tracing::info!(header = secret.reveal(), "took {}", secret.reveal()));
            assert!(!text.contains(&secret.reveal()[4..20]), "{text}");
            assert_eq!(text.matches("***").count(), 2, "{text}");
        }
    }

    #[test]
    fn a_token_in_a_panic_is_masked() {
        let secret = Secret::mint(&Prefix::default(), &mut rand::rng());
        let text = logged(Form::Machines, || {
            let before = panic::take_hook();
            panic::set_hook(Box::new(tell_panic));
            let panicked = panic::catch_unwind(|| panic!("cannot read {}", secret.reveal()));
            panic::set_hook(before);
            panicked.expect_err("a panic");
        });
        assert!(!text.contains(&secret.reveal()[4..20]), "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&line["message"], &line["what"]), (&"a thread panicked".into(), &"cannot read rlv_***".into()));
        assert!(line["place"].as_str().is_some_and(|place| place.contains("log.rs")), "{text}");
    }

    #[test]
    fn a_line_that_cannot_be_written_is_counted_and_stops_nobody() {
        let before = dropped();
        for form in [Form::People, Form::Machines] {
            let queue = queue(Full).expect("started");
            let subscriber = subscriber(EnvFilter::new("info"), form, Lines(Arc::clone(&queue)));
            tracing::subscriber::with_default(subscriber, || tracing::info!("listening"));
            drop(Log(queue));
        }
        assert!(dropped() >= before + 2);
    }

    #[test]
    fn machines_get_one_json_object_a_line() {
        let text = logged(Form::Machines, || {
            tracing::info!(workers = 2, "listening");
            tracing::debug!("not seen");
            tracing::warn!("a\nb");
        });
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["message"], "listening");
        assert_eq!(lines[0]["workers"], 2);
        assert_eq!(lines[1]["level"], "WARN");
    }
}
