//! `relevo audit export` and `relevo audit verify`: the log as it is kept, and whether it is what was written.
//!
//! Promises: the chain is followed here, from the lines themselves, whoever has handed them over; a broken one is named by
//! its first revision and is exit code 1.
//! Deliberately does not: change anything. But a store that was not closed in order is repaired when it is opened, and one
//! of an older format brought over, as a start of the gateway does.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde_json::json;

use super::arguments::Verify;
use super::client::{Client, Stream};
use super::failure::Failure;
use super::session::{Reader, Session};
use super::terminal::Terminal;
use crate::domain::chain::{Break, Verified, Verifier};
use crate::domain::{Head, Revision};
use crate::serve::Source;
use crate::store::Store;
use crate::store::embedded::{EmbeddedStore, OpenError};

/// How many records of a store are read at once.
const SLICE: usize = 1_024;
/// The longest line that is read.
const LINE_LIMIT_BYTES: usize = 4 << 20;

/// `relevo audit export`
pub(super) async fn export(session: &mut Session) -> Result<(), Failure> {
    let mut lines = Lines::of(&session.client).await?;
    while let Some(line) = lines.next().await? {
        session.terminal.answer(&line)?;
    }
    Ok(())
}

/// `relevo audit verify`, of the log of a running gateway.
pub(super) async fn verify_gateway(session: &mut Session, verify: &Verify) -> Result<(), Failure> {
    let mut verifier = Verifier::knowing(verify.head.into_iter().collect());
    let mut lines = Lines::of(&session.client).await?;
    let mut broken = None;
    while let (None, Some(line)) = (&broken, lines.next().await?) {
        broken = verifier.take(line.as_bytes()).err();
    }
    judge(&mut session.terminal, session.reader, broken.map_or_else(|| verifier.finish(), Err))
}

/// `relevo audit verify`, of an export or of the store of a gateway that does not run.
pub(super) fn verify_here(verify: &Verify, terminal: &mut Terminal, reader: Reader) -> Result<(), Failure> {
    let outcome = match &verify.file {
        Some(file) => verify_file(file, verify.head)?,
        None => super::block_on(verify_store(verify.config.as_deref(), verify.head))??,
    };
    judge(terminal, reader, outcome)
}

type Outcome = Result<Verified, Break>;

fn verify_file(file: &Path, head: Option<Head>) -> Result<Outcome, Failure> {
    let unread = |error: std::io::Error| Failure::Usage(format!("{}: {error}", file.display()));
    let source: Box<dyn Read> =
        if file == Path::new("-") { Box::new(std::io::stdin()) } else { Box::new(File::open(file).map_err(unread)?) };
    let mut verifier = Verifier::knowing(head.into_iter().collect());
    let mut reader = BufReader::new(source);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader).take(LINE_LIMIT_BYTES as u64).read_until(b'\n', &mut line).map_err(unread)?;
        if read == 0 {
            return Ok(verifier.finish());
        }
        if let Err(broken) = verifier.take(line.strip_suffix(b"\n").unwrap_or(&line)) {
            return Ok(Err(broken));
        }
    }
}

async fn verify_store(config: Option<&Path>, head: Option<Head>) -> Result<Outcome, Failure> {
    let source = Source::of_process(config.map(Path::to_owned));
    let path = source.load().map_err(|mistakes| Failure::Usage(mistakes.to_string()))?.store.path;
    if !path.exists() {
        return Err(Failure::Usage(format!("there is no store at {}", path.display())));
    }
    let store = EmbeddedStore::open(&path).map_err(|error| match error {
        OpenError::InUse => Failure::Usage(format!(
            "{}: {error}: without --config, the gateway that runs is asked for its log",
            path.display()
        )),
        error @ (OpenError::FolderInUse { .. }
        | OpenError::UnknownFormat { .. }
        | OpenError::Corrupt(_)
        | OpenError::Unavailable(_)) => Failure::failed(format!("{}: {error}", path.display())),
    })?;
    let known = [Some(store.head().await.map_err(Failure::failed)?), head];
    let mut verifier = Verifier::knowing(known.into_iter().flatten().collect());
    loop {
        let records = store.records(verifier.head().revision, SLICE).await.map_err(Failure::failed)?;
        if records.is_empty() {
            return Ok(verifier.finish());
        }
        for record in records {
            if let Err(broken) = take_in_place(&mut verifier, record.revision, &record.line) {
                return Ok(Err(broken));
            }
        }
    }
}

/// Takes a record that must be of the revision under which it is kept.
fn take_in_place(verifier: &mut Verifier, kept_under: Revision, line: &str) -> Result<(), Break> {
    let last = verifier.head().revision;
    verifier.take(line.as_bytes())?;
    let revision = verifier.head().revision;
    if revision == kept_under {
        return Ok(());
    }
    let why = format!("it is kept as revision {} and says that it is revision {}", kept_under.0, revision.0);
    Err(Break::NotARecord { line: kept_under.0, last, why })
}

/// Tells the outcome; a broken chain is a failure.
fn judge(terminal: &mut Terminal, reader: Reader, outcome: Outcome) -> Result<(), Failure> {
    let mut printed = Ok(());
    if reader == Reader::Program {
        let told = match &outcome {
            Ok(verified) => json!({
                "whole": true, "records": verified.records, "first_revision": verified.first, "head": verified.head,
                "head_removed": verified.removed,
            }),
            Err(broken) => json!({"whole": false, "revision": broken.revision(), "detail": broken.to_string()}),
        };
        printed = terminal.answer(&told.to_string());
    }
    // First: heard or not, a broken chain is broken.
    let verified = outcome.map_err(|broken| Failure::failed(format!("the audit log is broken: {broken}")))?;
    printed?;
    if reader == Reader::Person {
        let Verified { records, first, head, removed } = verified;
        let from = first.map_or_else(String::new, |first| format!(", revisions {} to {}", first.0, head.revision.0));
        terminal.answer(&format!("whole: {records} records{from}"))?;
        terminal.answer(&format!("head: {head}"))?;
        if let Some(Revision(removed)) = removed {
            terminal.note(&format!("Revision {removed} was removed for its age: that head proves nothing any more."));
        }
        terminal.note("Keep the head elsewhere: with --head it shows later whether the end of the log was removed.");
    }
    Ok(())
}

/// The lines of a gateway's log, one by one.
struct Lines {
    stream: Stream,
    partial: Vec<u8>,
    taken: usize,
}

impl Lines {
    async fn of(client: &Client) -> Result<Self, Failure> {
        let stream = client.download(&["v1", "audit", "export"]).await?;
        Ok(Self { stream, partial: Vec::new(), taken: 0 })
    }

    /// The next line, without its end; `None` when there are no more.
    async fn next(&mut self) -> Result<Option<String>, Failure> {
        loop {
            if let Some(length) = self.partial[self.taken..].iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&self.partial[self.taken..self.taken + length]).into_owned();
                self.taken += length + 1;
                return Ok(Some(line));
            }
            self.partial.drain(..self.taken);
            self.taken = 0;
            if self.partial.len() > LINE_LIMIT_BYTES {
                return Err(Failure::failed("the gateway sent a record that is longer than 4 MiB"));
            }
            match self.stream.chunk().await? {
                Some(bytes) => self.partial.extend_from_slice(&bytes),
                None if self.partial.is_empty() => return Ok(None),
                None => return Err(Failure::Lost("the export broke off in the middle of a record".to_owned())),
            }
        }
    }
}
