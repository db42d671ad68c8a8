//! One client command at work: the gateway it talks to, the terminal it speaks to, and how it answers.
//!
//! Promises: `--json` prints the gateway's reply word for word, a refusal included; a person is asked before something final.
//! Deliberately does not: know single commands.

use super::client::{Call, Client, Reply};
use super::failure::Failure;
use super::shapes::Key;
use super::table;
use super::terminal::{Consent, Terminal};
use super::text::{plain, quoted};
use super::values::KeyReference;
use crate::clock::Clock;

/// For whom the answer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reader {
    /// A person.
    Person,
    /// A program.
    Program,
}

/// Whom a command is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Subject {
    /// An API key.
    Key,
    /// An administrator.
    Administrator,
}

impl Subject {
    /// What paths and commands call several of them.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Key => "keys",
            Self::Administrator => "admins",
        }
    }

    /// What a person calls one.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Administrator => "administrator",
        }
    }
}

/// What a client command works with.
pub(super) struct Session {
    /// The gateway.
    pub(super) client: Client,
    /// The terminal.
    pub(super) terminal: Terminal,
    /// For whom the answer is.
    pub(super) reader: Reader,
    /// What time it is.
    pub(super) clock: Clock,
    /// How a person starts this program.
    pub(super) program: &'static str,
    /// Whom the command is about.
    pub(super) subject: Subject,
}

impl Session {
    /// Sends a call. A program reads a refusal's document too; that it has gone does not undo the refusal.
    pub(super) async fn send(&mut self, call: Call<'_>) -> Result<Reply, Failure> {
        let outcome = self.client.send(call).await;
        if let (Err(Failure::Refused(problem)), Reader::Program) = (&outcome, self.reader) {
            drop(self.terminal.answer(&problem.document));
        }
        outcome
    }

    /// The key as it is now.
    pub(super) async fn key(&mut self, key: &KeyReference) -> Result<(Key, Reply), Failure> {
        let reply = self.send(Call::read(&["v1", self.subject.plural(), key.as_str()])).await?;
        Ok((reply.read()?, reply))
    }

    /// Prints the reply for a program, or what `say` makes of it for a person.
    pub(super) fn tell(
        &mut self,
        reply: &Reply,
        say: impl FnOnce(&Self) -> Result<String, Failure>,
    ) -> Result<(), Failure> {
        match self.reader {
            Reader::Program if reply.body.is_empty() => Ok(()),
            Reader::Program => self.terminal.answer(&reply.body),
            Reader::Person => {
                let text = say(self)?;
                self.terminal.answer(&text)
            }
        }
    }

    /// A command that could come next, as a person types it.
    pub(super) fn command(&self, words: &str, name: &str) -> String {
        let (program, name) = (self.program, quoted(name));
        match self.subject {
            Subject::Key => format!("{program} {words} {name}"),
            Subject::Administrator => {
                format!("{program} admins {} {name}", words.strip_prefix("keys ").unwrap_or(words))
            }
        }
    }

    /// Shows the tokens of `key` and what is `told` besides, and asks `question`.
    pub(super) fn ask(&mut self, key: &Key, told: &str, question: &str) -> Result<Consent, Failure> {
        let shown = table::tokens(key, self.clock.now());
        self.terminal.note(&format!("{}:\n{shown}", plain(&key.name)));
        if !told.is_empty() {
            self.terminal.note(told);
        }
        self.terminal.ask(question)
    }
}
