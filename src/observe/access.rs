//! Access records: one JSON line for each request.
//!
//! Promises: recording never blocks; what does not fit the queue, 8 MiB at most, is dropped and counted; tokens are masked;
//! of a query only the parameters' names are written. Deliberately does not: rotate files.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::Metrics;
use super::queue::{Queue, Room, Stderr};
use crate::domain::{KeyId, Slot, Timestamp, TokenId, token};

/// How long the last one waits for the lines still queued.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// One request and its answer.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// When the request's head had come.
    pub time: Timestamp,
    /// The id that the client is told too.
    pub request_id: &'a str,
    /// Who asked.
    pub client: IpAddr,
    /// The method.
    pub method: &'a str,
    /// The host asked for.
    pub host: &'a str,
    /// The path, in its one spelling.
    pub path: &'a str,
    /// The query as it came; only its parameters' names are written.
    pub query: Option<&'a str>,
    /// The route that took it.
    pub route: Option<&'a str>,
    /// The endpoint that was asked.
    pub upstream: Option<&'a str>,
    /// The answer's status.
    pub status: u16,
    /// The code of the refusal, if it was one.
    pub refusal: Option<&'a str>,
    /// Whose token it was.
    pub key: Option<KeyId>,
    /// Which token it was.
    pub token: Option<TokenId>,
    /// Whether that was the key's current, old or new token.
    pub slot: Option<Slot>,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the reply's body.
    pub bytes_out: u64,
    /// From the request's head to the end of the reply, in milliseconds.
    pub duration: Duration,
    /// From asking the backend to the head of its reply, in milliseconds.
    pub upstream_duration: Option<Duration>,
    /// What the client calls itself.
    pub user_agent: Option<&'a str>,
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = serializer.serialize_struct("Record", 19)?;
        line.serialize_field("time", &self.time)?;
        line.serialize_field("request_id", self.request_id)?;
        line.serialize_field("client", &self.client)?;
        line.serialize_field("method", self.method)?;
        line.serialize_field("host", self.host)?;
        line.serialize_field("path", self.path)?;
        line.serialize_field("query", &Names(self.query.unwrap_or_default()))?;
        line.serialize_field("route", &self.route)?;
        line.serialize_field("upstream", &self.upstream)?;
        line.serialize_field("status", &self.status)?;
        line.serialize_field("refusal", &self.refusal)?;
        line.serialize_field("key", &self.key)?;
        line.serialize_field("token", &self.token)?;
        line.serialize_field("slot", &self.slot.map(Slot::as_str))?;
        line.serialize_field("bytes_in", &self.bytes_in)?;
        line.serialize_field("bytes_out", &self.bytes_out)?;
        line.serialize_field("duration_ms", &in_millis(self.duration))?;
        line.serialize_field("upstream_ms", &self.upstream_duration.map(in_millis))?;
        line.serialize_field("user_agent", &self.user_agent)?;
        line.end()
    }
}

/// A query of which only the parameters' names are shown.
struct Names<'a>(&'a str);

impl Serialize for Names<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parameters = self.0.split('&').filter(|parameter| !parameter.is_empty());
        serializer
            .collect_seq(parameters.map(|parameter| parameter.split_once('=').map_or(parameter, |(name, _)| name)))
    }
}

/// Milliseconds with three decimals.
fn in_millis(duration: Duration) -> f64 {
    Duration::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)).as_secs_f64() * 1_000.0
}

/// Where access records are to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sink<'a> {
    /// To stderr, beside the log.
    Stderr,
    /// To the end of this file, which is made if it is not there.
    File(&'a Path),
    /// Nowhere.
    Off,
}

/// Takes access records. Cheap to clone: each worker has its own. When the last one goes, what is queued is written.
#[derive(Clone, Debug)]
pub struct AccessLog(Option<Arc<Lines>>);

#[derive(Debug)]
struct Lines(Queue);

impl AccessLog {
    /// Opens `sink` and starts its writer. Errors are the file's, with its path.
    pub fn open(sink: Sink<'_>, metrics: &Metrics) -> io::Result<Self> {
        match sink {
            Sink::Off => Ok(Self(None)),
            Sink::Stderr => Self::to(Stderr::open()?, metrics),
            Sink::File(path) => {
                let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path);
                let named = |error: io::Error| {
                    io::Error::new(error.kind(), format!("the access log {} cannot be opened: {error}", path.display()))
                };
                Self::to(file.map_err(named)?, metrics)
            }
        }
    }

    fn to(out: impl Write + Send + 'static, metrics: &Metrics) -> io::Result<Self> {
        let queue = Queue::start("access-log", out, Room::USUAL, metrics.access_log_dropped.clone())?;
        Ok(Self(Some(Arc::new(Lines(queue)))))
    }

    /// Whether records go anywhere: where not, none need be made.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Queues a record, or drops and counts it.
    pub fn record(&self, record: &Record<'_>) {
        let Some(lines) = &self.0 else { return };
        match line(record) {
            Some(line) => lines.0.push(line),
            None => lines.0.lost(),
        }
    }

    /// Waits until everything recorded before is written, `patience` at most. Tells whether it is.
    pub fn flush(&self, patience: Duration) -> bool {
        self.0.as_ref().is_none_or(|lines| lines.0.flush(patience))
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.0.flush(LAST_WAIT);
    }
}

/// The record as a line, masked.
fn line(record: &Record<'_>) -> Option<Vec<u8>> {
    let mut line = Vec::with_capacity(512);
    serde_json::to_writer(&mut line, record).ok()?;
    line.push(b'\n');
    let text = String::from_utf8(line).ok()?;
    let masked = match token::mask(&text) {
        std::borrow::Cow::Borrowed(_) => None,
        std::borrow::Cow::Owned(masked) => Some(masked),
    };
    Some(masked.unwrap_or(text).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Prefix, Secret};
    use crate::observe::queue::Full;

    fn record() -> Record<'static> {
        Record {
            time: Timestamp::from_millis(1_795_461_120_000),
            request_id: "0198",
            client: IpAddr::from([10, 0, 0, 7]),
            method: "GET",
            host: "api.example.com",
            path: "/orders/7",
            query: Some("page=2&secret=hunter2&&flag"),
            route: Some("/orders"),
            upstream: Some("127.0.0.1:9000"),
            status: 200,
            refusal: None,
            key: Some(KeyId::from_bits(7)),
            token: Some(TokenId::from_bits(8)),
            slot: Some(Slot::Old),
            bytes_in: 0,
            bytes_out: 12,
            duration: Duration::from_micros(1_500),
            upstream_duration: Some(Duration::from_millis(1)),
            user_agent: Some("curl/8"),
        }
    }

    fn in_file(records: &[Record<'_>]) -> Vec<serde_json::Value> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("access.log");
        let log = AccessLog::open(Sink::File(&path), &Metrics::install()).expect("opened");
        for record in records {
            log.clone().record(record);
        }
        drop(log); // the last one writes what is queued
        let text = std::fs::read_to_string(path).expect("read");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    #[test]
    fn a_record_is_one_json_line_with_the_names_of_the_query_only() {
        let lines = in_file(&[record(), record()]);
        assert_eq!(lines.len(), 2);
        let line = &lines[0];
        assert_eq!(line["time"], "2026-11-23T19:12:00.000Z");
        assert_eq!(line["query"], serde_json::json!(["page", "secret", "flag"]));
        assert_eq!(line["token"], format!("tok_{:032x}", 8));
        assert_eq!((&line["slot"], &line["status"]), (&"old".into(), &200.into()));
        assert_eq!((&line["duration_ms"], &line["upstream_ms"]), (&1.5.into(), &1.0.into()));
        assert!(!line.to_string().contains("hunter2"));
    }

    #[test]
    fn a_token_is_masked_wherever_it_stands() {
        let secret = Secret::mint(&Prefix::default(), &mut rand::rng());
        let text = secret.reveal();
        let path = format!("/a/{text}");
        let query = format!("{text}&a={text}");
        let strayed = Record {
            path: &path,
            query: Some(&query),
            host: text,
            user_agent: Some(text),
            method: text,
            request_id: text,
            ..record()
        };
        let line = in_file(&[strayed])[0].to_string();
        assert!(!line.contains(&text[4..20]), "{line}");
        assert!(line.contains("***"), "{line}");
    }

    #[test]
    fn a_masked_line_is_still_json_where_a_token_follows_an_escape() {
        let secret = Secret::mint(&Prefix::default(), &mut rand::rng());
        let agent = format!("a\t{}\t_", secret.reveal());
        let line = &in_file(&[Record { user_agent: Some(&agent), ..record() }])[0];
        assert_eq!(line["user_agent"], "a\trlv_***\t_");
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        let metrics = Metrics::install();
        let log = AccessLog::to(Full, &metrics).expect("started");
        (0..50).for_each(|_| log.record(&record()));
        assert!(log.flush(Duration::from_secs(20)));
        assert!(metrics.render().contains("relevo_access_log_dropped_total 50\n"), "{}", metrics.render());
    }

    #[test]
    fn a_log_that_is_off_takes_records_and_is_always_flushed() {
        let log = AccessLog::open(Sink::Off, &Metrics::install()).expect("nothing to open");
        log.record(&record());
        assert!(!log.is_on() && log.flush(Duration::ZERO));
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let path = Path::new("/nonexistent/access.log");
        let error = AccessLog::open(Sink::File(path), &Metrics::install()).expect_err("no such folder");
        assert!(error.to_string().contains("/nonexistent/access.log"), "{error}");
    }
}
