//! `GET /v1/backup` and `POST /v1/restore`: everything that is durable, but for the audit log.
//!
//! Promises: a backup is the store at one revision, whole or recognisably not (its last line counts and sums up the rest); no
//! secret is in it; what is read back is checked to the last byte before anything is planned.
//! Deliberately does not: hold a whole backup in memory on its way out.
//!
//! The form: JSON lines. The first names the version of the form, each further one holds a record of the store in hex,
//! the last is the end.

use std::convert::Infallible;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Admin;
use super::call::Call;
use super::mistakes::{Mistake, Mistakes};
use super::problem::Problem;
use crate::domain::Permission::{AdminsWrite, KeysRead, KeysRenew, KeysWrite, SettingsWrite};
use crate::domain::{ApiKey, KeyId, KeyName, Realm, Revision, Timestamp};
use crate::keyring::{Administrators, Backup, Newer, Restoration, Restored, Run};
use crate::store::{Feed, Notice, record};

/// The longest backup that is read back.
pub const RESTORE_LIMIT_BYTES: usize = 256 * 1024 * 1024;
/// The media type of JSON lines.
const MEDIA_TYPE: &str = "application/jsonl";
/// The version of the form.
const FORM: u32 = 1;
/// The largest revision or version that is read back. Every reader of JSON counts as far (RFC 8259 §6), and there are
/// others after it.
const LARGEST: u64 = (1 << 53) - 1;
/// How many lines are sent at once.
const SLICE: usize = 512;

/// One line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    /// The first.
    Backup { form: u32, version: String, at: Timestamp },
    /// The settings.
    Settings { record: String },
    /// A key. Its id and name are for people; the record counts.
    Key { id: KeyId, name: KeyName, record: String },
    /// An administrator.
    Administrator { id: KeyId, name: KeyName, record: String },
    /// The last: of the lines before it, how many they are, and the SHA-256 of their bytes.
    End { revision: Revision, lines: u64, sha256: String },
}

/// `GET /v1/backup`
pub async fn take(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    call.unlimited()?.needing(AdminsWrite)?.permit(&[KeysRead])?.plain().await?.without_fields()?;
    let at = admin.clock.now();
    let first = Line::Backup { form: FORM, version: env!("CARGO_PKG_VERSION").into(), at };
    let mut writer =
        Writer { feed: admin.keyring.snapshot(), hasher: Sha256::new(), lines: 0, state: Progress::Reading };
    let head = writer.line(&first);
    let body = stream::unfold((writer, Some(head)), |(mut writer, ready)| async move {
        let text = match ready {
            Some(text) => text,
            None => writer.next().await?,
        };
        Some((Ok::<_, Infallible>(Bytes::from(text)), (writer, None)))
    });
    Ok(([(CONTENT_TYPE, MEDIA_TYPE)], Body::from_stream(body)).into_response())
}

/// A backup on its way out.
struct Writer {
    feed: Box<dyn Feed>,
    hasher: Sha256,
    lines: u64,
    state: Progress,
}

#[derive(PartialEq)]
enum Progress {
    Reading,
    Ended,
}

impl Writer {
    /// The next lines; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        let mut text = String::new();
        for _ in 0..SLICE {
            if self.state == Progress::Ended {
                break;
            }
            let notice = self.feed.next().await;
            text.push_str(&self.notice(notice)?);
        }
        (!text.is_empty()).then_some(text)
    }

    /// The line of one thing told. `None`: the listing began anew, which breaks the backup off.
    fn notice(&mut self, notice: Notice) -> Option<String> {
        match notice {
            Notice::Reset if self.lines > 1 => None,
            Notice::Reset | Notice::Remove(..) => Some(String::new()),
            Notice::Put(realm, _, key) => {
                let (id, name, record) = (key.id, key.name.clone(), hex::encode(record::encode_key(&key)));
                Some(self.line(&match realm {
                    Realm::Gateway => Line::Key { id, name, record },
                    Realm::Admin => Line::Administrator { id, name, record },
                }))
            }
            Notice::Settings(_, settings) => {
                Some(self.line(&Line::Settings { record: hex::encode(record::encode_settings(&settings)) }))
            }
            Notice::Synced(revision) => {
                self.state = Progress::Ended;
                let sha256 = hex::encode(self.hasher.clone().finalize());
                let lines = self.lines;
                Some(self.line(&Line::End { revision, lines, sha256 }))
            }
        }
    }

    fn line(&mut self, line: &Line) -> String {
        let text = serde_json::to_string(line).unwrap_or_default() + "\n"; // strings and numbers: it can be written
        self.hasher.update(text.as_bytes());
        self.lines += 1;
        text
    }
}

/// `POST /v1/restore`
pub async fn restore(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    let call = call.unlimited()?.needing(KeysRenew)?.needing(SettingsWrite)?.needing(AdminsWrite)?;
    let mut call = call.permit(&[KeysWrite])?;
    let query = &mut call.query;
    let mut is_on = |name: &str| query.take::<bool>(name).unwrap_or_default();
    let (is_dry, deletes, administrators) = (is_on("dry_run"), is_on("delete_newer"), is_on("administrators"));
    let plan = query.take_text("plan");
    let how = Restoration {
        newer: if deletes { Newer::Delete } else { Newer::Keep },
        administrators: if administrators { Administrators::Restore } else { Administrators::Leave },
        run: if is_dry { Run::Dry } else { Run::Real(plan) },
    };
    let (caller, text) = call.raw_within(RESTORE_LIMIT_BYTES).await?;
    let backup = tokio::task::spawn_blocking(move || read(&text)).await.map_err(|_| Problem::internal())??;
    let restored = admin.keyring.restore(&backup, &how, &caller).await.map_err(Problem::from)?;
    let revision = restored.revision;
    Ok((admin.changed(revision), Json(RestoredView::of(restored, is_dry))).into_response())
}

/// What was put back, or would be.
#[derive(Serialize)]
pub struct RestoredView {
    restored: Vec<Mention>,
    deleted: Vec<Mention>,
    kept: Vec<Mention>,
    revives: Vec<TokenMention>,
    ends: Vec<TokenMention>,
    unchanged: usize,
    settings_changed: bool,
    dry_run: bool,
    plan: String,
}

#[derive(Serialize)]
struct Mention {
    id: KeyId,
    name: KeyName,
    administrator: bool,
}

#[derive(Serialize)]
struct TokenMention {
    name: KeyName,
    token: String,
}

impl RestoredView {
    fn of(restored: Restored, dry_run: bool) -> Self {
        let Restored { restored, deleted, kept, revives, ends, unchanged, settings_changed, mark, .. } = restored;
        let mention = |(id, name)| Mention { id, name, administrator: false };
        let token = |(name, token)| TokenMention { name, token };
        Self {
            restored: restored
                .into_iter()
                .map(|(realm, id, name)| Mention { id, name, administrator: realm == Realm::Admin })
                .collect(),
            deleted: deleted.into_iter().map(mention).collect(),
            kept: kept.into_iter().map(mention).collect(),
            revives: revives.into_iter().map(token).collect(),
            ends: ends.into_iter().map(token).collect(),
            unchanged,
            settings_changed,
            dry_run,
            plan: mark,
        }
    }
}

/// Reads a backup, every line of it.
fn read(text: &[u8]) -> Result<Backup, Problem> {
    let text = std::str::from_utf8(text).map_err(|_| Problem::mistake("body", "is not UTF-8"))?;
    let mut reader = Reader::default();
    let mut mistakes = Mistakes::default();
    for (at, line) in text.split_inclusive('\n').enumerate() {
        if let Err(message) = reader.line(line) {
            mistakes.push(Mistake { path: format!("line {}", at + 1), message });
            if mistakes.count() == 20 {
                break;
            }
        }
    }
    if mistakes.is_empty() && !reader.is_whole {
        mistakes.push(Mistake { path: "body".into(), message: "has no end: it is cut short, or no backup".into() });
    }
    if !mistakes.is_empty() {
        return Err(Problem::invalid(mistakes));
    }
    Ok(reader.backup)
}

struct Reader {
    backup: Backup,
    hasher: Sha256,
    lines: u64,
    is_whole: bool,
}

impl Default for Reader {
    fn default() -> Self {
        let (keys, administrators) = (Vec::new(), Vec::new());
        let backup = Backup { revision: Revision::default(), settings: None, keys, administrators };
        Self { backup, hasher: Sha256::new(), lines: 0, is_whole: false }
    }
}

impl Reader {
    fn line(&mut self, text: &str) -> Result<(), String> {
        // What is wrong with a line is told without its text: it may be anything.
        let line: Line = serde_json::from_str(text).map_err(|_| "is no line of a backup".to_owned())?;
        if self.is_whole {
            return Err("comes after the end".into());
        }
        match (self.lines, &line) {
            (0, Line::Backup { form: FORM, .. }) => {}
            (0, Line::Backup { form, .. }) => return Err(format!("has form {form}, and only {FORM} is known here")),
            (0, _) => return Err("is not the first line of a backup".into()),
            (_, Line::Backup { .. }) => return Err("begins another backup".into()),
            _ => {}
        }
        self.take(line)?;
        self.hasher.update(text.as_bytes());
        self.lines += 1;
        Ok(())
    }

    fn take(&mut self, line: Line) -> Result<(), String> {
        match line {
            Line::Backup { .. } => {}
            Line::Settings { record } => {
                let settings = record::decode_settings(&bytes(&record)?);
                self.backup.settings = Some(settings.map_err(|damage| format!("is damaged: {damage}"))?);
            }
            Line::Key { id, record, .. } => self.backup.keys.push(key(id, &record)?),
            Line::Administrator { id, record, .. } => self.backup.administrators.push(key(id, &record)?),
            Line::End { revision, lines, sha256 } => {
                let sum = hex::encode(self.hasher.clone().finalize());
                if lines != self.lines || sha256 != sum {
                    return Err("does not agree with the lines before it: the backup was changed".into());
                }
                if revision.0 > LARGEST {
                    return Err("has a revision after which no other can come".into());
                }
                self.backup.revision = revision;
                self.is_whole = true;
            }
        }
        Ok(())
    }
}

fn bytes(record: &str) -> Result<Vec<u8>, String> {
    hex::decode(record).map_err(|_| "has a record that is not hex".into())
}

fn key(id: KeyId, record: &str) -> Result<ApiKey, String> {
    let key = record::decode_key(&bytes(record)?).map_err(|damage| format!("is damaged: {damage}"))?;
    if key.version.0 > LARGEST {
        return Err("has a version after which no other can come".into());
    }
    if key.id == id { Ok(key) } else { Err("holds another key than it says".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_whole_backup_is_refused_with_its_line_and_never_repeated() {
        let first = "{\"backup\":{\"form\":1,\"version\":\"0\",\"at\":\"2026-11-23T19:12:00.000Z\"}}\n";
        for (text, place) in [
            (String::new(), "body"),
            ("secret".to_owned(), "line 1"),
            (first.to_owned(), "body"),
            (first.replace("\"form\":1", "\"form\":2"), "line 1"),
            (format!("{first}{first}"), "line 2"),
            (format!("{first}{{\"end\":{{\"revision\":1,\"lines\":1,\"sha256\":\"secret\"}}}}\n"), "line 2"),
            (format!("{first}{{\"settings\":{{\"record\":\"secret\"}}}}\n"), "line 2"),
        ] {
            let problem = read(text.as_bytes()).err().expect("refused");
            assert_eq!(problem.errors()[0].path, place, "{text}");
            assert!(!format!("{problem:?}").contains("secret"));
        }
        assert!(read(b"\xff").is_err());
    }

    #[test]
    fn a_backup_of_a_revision_after_which_none_comes_is_refused() {
        let first = "{\"backup\":{\"form\":1,\"version\":\"0\",\"at\":\"2026-11-23T19:12:00.000Z\"}}\n";
        let sha256 = hex::encode(Sha256::digest(first.as_bytes()));
        let read_at = |revision: u64| {
            read(
                format!("{first}{{\"end\":{{\"revision\":{revision},\"lines\":1,\"sha256\":\"{sha256}\"}}}}\n")
                    .as_bytes(),
            )
        };
        assert_eq!(read_at(7).expect("a backup").revision, Revision(7));
        for revision in [u64::MAX, LARGEST + 1] {
            let problem = read_at(revision).err().expect("refused");
            assert_eq!(problem.errors()[0].path, "line 2", "{revision}");
        }
    }
}
