//! `relevo backup` and `relevo restore`.
//!
//! Promises: a backup is in its file when it is whole, and only its owner reads it; no other file is touched; a person sees which tokens a restoration
//! revives and ends before he answers, and exactly that is done.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use reqwest::Method;
use serde::Deserialize;

use super::arguments::{Backup, Restore};
use super::client::{Call, Stream};
use super::failure::Failure;
use super::session::{Reader, Session};
use super::terminal::Consent;
use super::text::plain;

/// `relevo backup`
pub(super) async fn backup(session: &mut Session, backup: &Backup) -> Result<(), Failure> {
    let file = &backup.file;
    if file.exists() {
        return Err(Failure::Usage(format!("{} is there already", file.display())));
    }
    let mut stream = session.client.download(&["v1", "backup"]).await?;
    let mut draft = Draft::beside(file)?;
    write(&mut stream, &mut draft.out).await?;
    draft.become_file(file)?;
    if session.reader == Reader::Person {
        session
            .terminal
            .note(&format!("{} is written. It holds no token, but who may do what: keep it safe.", file.display()));
    }
    Ok(())
}

/// A file of this process's own, which is gone again unless it has become another.
struct Draft {
    path: PathBuf,
    out: fs::File,
}

impl Draft {
    /// A new one, hidden beside `file`.
    fn beside(file: &Path) -> Result<Self, Failure> {
        let name = file.file_name().ok_or_else(|| Failure::Usage(format!("{} names no file", file.display())))?;
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.draft", std::process::id()));
        let path = file.with_file_name(hidden);
        let out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let out = out.map_err(|error| Failure::failed(format!("{} cannot be made: {error}", path.display())))?;
        Ok(Self { path, out })
    }

    fn become_file(self, file: &Path) -> Result<(), Failure> {
        let moved = fs::rename(&self.path, file);
        moved.map_err(|error| Failure::failed(format!("{} cannot be made: {error}", file.display())))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        fs::remove_file(&self.path).ok(); // not there where it has become another
    }
}

async fn write(stream: &mut Stream, out: &mut fs::File) -> Result<(), Failure> {
    let mut tail = Vec::new();
    while let Some(bytes) = stream.chunk().await? {
        out.write_all(&bytes)?;
        tail.extend_from_slice(&bytes);
        tail.drain(..tail.len().saturating_sub(512));
    }
    out.sync_all()?;
    let last = tail.strip_suffix(b"\n").and_then(|text| text.rsplit(|byte| *byte == b'\n').next());
    if last.is_some_and(|line| line.starts_with(b"{\"end\":")) {
        return Ok(());
    }
    Err(Failure::failed("the backup broke off; try again"))
}

/// What a restoration did, or would do.
#[derive(Deserialize)]
struct Outcome {
    restored: Vec<Mention>,
    deleted: Vec<Mention>,
    kept: Vec<Mention>,
    revives: Vec<TokenMention>,
    ends: Vec<TokenMention>,
    unchanged: usize,
    settings_changed: bool,
    plan: String,
}

#[derive(Deserialize)]
struct Mention {
    name: String,
    administrator: bool,
}

#[derive(Deserialize)]
struct TokenMention {
    name: String,
    token: String,
}

/// `relevo restore`
pub(super) async fn restore(session: &mut Session, restore: Restore) -> Result<(), Failure> {
    if !restore.yes && !restore.dry_run {
        session.terminal.need_person()?;
    }
    let text =
        fs::read(&restore.file).map_err(|error| Failure::Usage(format!("{}: {error}", restore.file.display())))?;
    let text = bytes::Bytes::from(text);
    let switch = |on: bool| if on { "true" } else { "false" };
    let call = || {
        let call = Call::new(Method::POST, &["v1", "restore"]).text(text.clone());
        let call = call.with("delete_newer", switch(restore.delete_newer));
        call.with("administrators", switch(restore.administrators))
    };
    let reply = session.send(call().with("dry_run", "true")).await?;
    let planned: Outcome = reply.read()?;
    if restore.dry_run {
        return session.tell(&reply, |_| Ok(told(&planned)));
    }
    if session.reader == Reader::Person {
        session.terminal.note(&told(&planned));
    }
    if planned.restored.is_empty() && planned.deleted.is_empty() && !planned.settings_changed {
        return session.tell(&reply, |_| Ok("There is nothing to restore.".into()));
    }
    if !restore.yes && session.terminal.ask("Restore?")? == Consent::Withheld {
        return Err(Failure::failed("nothing was changed"));
    }
    let reply = session.send(call().with("plan", &planned.plan)).await?;
    let done: Outcome = reply.read()?;
    session.tell(&reply, |_| Ok(format!("{} keys restored, {} deleted.", done.restored.len(), done.deleted.len())))
}

fn told(restored: &Outcome) -> String {
    let mut lines = Vec::new();
    for (mark, mentions) in
        [("~ restored", &restored.restored), ("- deleted", &restored.deleted), ("= kept", &restored.kept)]
    {
        for Mention { name, administrator } in mentions {
            let kind = if *administrator { " (administrator)" } else { "" };
            lines.push(format!("{mark}: {}{kind}", plain(name)));
        }
    }
    for (what, tokens) in [("accepted again", &restored.revives), ("no longer accepted", &restored.ends)] {
        lines.extend(tokens.iter().map(|of| format!("! {what}: {} of {}", plain(&of.token), plain(&of.name))));
    }
    if restored.settings_changed {
        lines.push("~ the settings".into());
    }
    lines.push(format!("{} are as they were.", restored.unchanged));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::double::{Answer, Double, locally};
    use super::*;

    /// What became of a backup to `before.jsonl` in a folder where `before.draft` is somebody else's, and the folder.
    async fn backed_up(answer: Answer) -> (Result<(), Failure>, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("theirs"), "theirs").expect("written");
        std::os::unix::fs::symlink("theirs", folder.path().join("before.draft")).expect("linked");
        let double = Double::saying([answer]).await;
        let asked = Backup { file: folder.path().join("before.jsonl") };
        let outcome = backup(&mut double.session(Reader::Person), &asked).await;
        assert_eq!(fs::read_to_string(folder.path().join("before.draft")).expect("there"), "theirs");
        (outcome, folder)
    }

    fn names(folder: &Path) -> Vec<OsString> {
        let mut names: Vec<_> =
            fs::read_dir(folder).expect("listed").map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_backup_touches_no_file_but_its_own_and_leaves_none_that_is_not_whole() {
        locally(async {
            let (outcome, folder) = backed_up(Answer::Foreign(200, "{\"backup\":1}\n{\"end\":{}}\n")).await;
            outcome.expect("whole");
            let file = fs::metadata(folder.path().join("before.jsonl")).expect("there");
            assert_eq!(file.permissions().mode() & 0o777, 0o600);
            assert_eq!(names(folder.path()), ["before.draft", "before.jsonl", "theirs"]);
            for answer in [Answer::Foreign(200, "{\"backup\":1}\n"), Answer::Foreign(500, "no"), Answer::Nothing] {
                let (outcome, folder) = backed_up(answer).await;
                assert_eq!(outcome.expect_err("not whole").code(), 1);
                assert_eq!(names(folder.path()), ["before.draft", "theirs"]);
            }
        });
    }
}
