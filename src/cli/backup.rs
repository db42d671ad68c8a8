//! `relevo backup` and `relevo restore`.
//!
//! Promises: a backup is in its file when it is whole, and only its owner reads it; a person sees which tokens a restoration
//! revives and ends before he answers, and exactly that is done.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use reqwest::Method;
use serde::Deserialize;

use super::arguments::{Backup, Restore};
use super::client::Call;
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
    let draft = file.with_extension("draft");
    let outcome = write(session, &draft).await.and_then(|()| Ok(fs::rename(&draft, file)?));
    if outcome.is_err() {
        fs::remove_file(&draft).ok();
    }
    outcome?;
    if session.reader == Reader::Person {
        session
            .terminal
            .note(&format!("{} is written. It holds no token, but who may do what: keep it safe.", file.display()));
    }
    Ok(())
}

async fn write(session: &mut Session, draft: &Path) -> Result<(), Failure> {
    let mut stream = session.client.download(&["v1", "backup"]).await?;
    let mut out = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(draft)?;
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
