//! The log: to stderr, for people on a terminal, as JSON lines elsewhere.
//!
//! Promises: whatever has the shape of a token is masked, in every line, whoever wrote it; a panic is such a line too. A line
//! that cannot be written, as on a full disk, is counted and stops nobody.
//! Deliberately does not: hold access records, which have a file and a queue of their own.

use std::io::{self, IsTerminal, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicU64, Ordering};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::domain::token;

/// The variable that says what is logged, such as `debug` or `relevo::gateway=trace,info`.
pub const FILTER_VARIABLE: &str = "RELEVO_LOG";

/// Lines that could not be written.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// How many lines of this process's log could not be written.
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Starts the log of this process; a second call changes nothing.
///
/// The filter is [`FILTER_VARIABLE`]'s; an illegal part of it is passed over, and without it `info` holds.
pub fn start() {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
        .with_env_var(FILTER_VARIABLE)
        .from_env_lossy();
    let form = if io::stderr().is_terminal() { Form::People } else { Form::Machines };
    let subscriber = subscriber(filter, form, BoxMakeWriter::new(io::stderr));
    // Only a second call can fail, and then the first one's log goes on.
    let _ = tracing::subscriber::set_global_default(subscriber);
    panic::set_hook(Box::new(tell_panic));
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

fn subscriber(filter: EnvFilter, form: Form, to: BoxMakeWriter) -> Box<dyn tracing::Subscriber + Send + Sync> {
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Masked(to));
    match form {
        Form::People => Box::new(builder.compact().with_ansi(false).finish()),
        Form::Machines => Box::new(builder.json().flatten_event(true).with_ansi(false).finish()),
    }
}

/// Writes lines with every token masked.
#[derive(Clone, Debug)]
struct Masked<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Masked<W> {
    type Writer = Masked<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Masked(self.0.make_writer())
    }
}

impl<W: Write> Write for Masked<W> {
    /// The subscriber hands over one whole line at a time, so no token is cut in two. Of a failure it would write to the same
    /// stderr, and panic when that fails too: so it hears of none.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        if self.0.write_all(token::mask(&text).as_bytes()).is_err() {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::domain::{Prefix, Secret};

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
        let to = buffer.clone();
        let subscriber = subscriber(EnvFilter::new("info"), form, BoxMakeWriter::new(move || to.clone()));
        tracing::subscriber::with_default(subscriber, event);
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

    /// A stderr whose disk is full.
    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::StorageFull.into())
        }
    }

    #[test]
    fn a_line_that_cannot_be_written_is_counted_and_stops_nobody() {
        let before = dropped();
        for form in [Form::People, Form::Machines] {
            let subscriber = subscriber(EnvFilter::new("info"), form, BoxMakeWriter::new(|| Full));
            tracing::subscriber::with_default(subscriber, || tracing::info!("listening"));
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
