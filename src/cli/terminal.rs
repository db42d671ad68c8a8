//! Where the command line speaks: the answer to stdout, everything else to stderr, questions to a person.
//!
//! Promises: the answer alone is on stdout, so that `TOKEN=$(relevo renew ci)` works; a reader who has gone is no panic.
//! Deliberately does not: know what is said.

use std::io::{self, IsTerminal, Write};

use inquire::InquireError;

use super::failure::Failure;

/// Both output streams, and whoever can be asked.
pub(super) struct Terminal {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    person: Person,
}

/// How a question is put to a person.
pub(super) type Ask = fn(&str) -> Result<Consent, Failure>;

/// Whether somebody is there to be asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Person {
    /// Somebody sits at the terminal and is asked like this.
    Present(Ask),
    /// A script runs the command.
    Absent,
}

/// What a person answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Consent {
    /// Do it.
    Given,
    /// Leave it.
    Withheld,
}

impl Terminal {
    /// The streams of this process.
    pub(super) fn of_process() -> Self {
        let asked = io::stdin().is_terminal() && io::stderr().is_terminal();
        let person = if asked { Person::Present(confirm) } else { Person::Absent };
        Self::new(Box::new(io::stdout()), Box::new(io::stderr()), person)
    }

    /// These streams.
    pub(super) fn new(out: Box<dyn Write>, err: Box<dyn Write>, person: Person) -> Self {
        Self { out, err, person }
    }

    /// Whether somebody is there to be asked.
    pub(super) fn person(&self) -> Person {
        self.person
    }

    /// A line of the answer, on stdout, out of the process when this returns.
    pub(super) fn answer(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            self.out.write_all(b"\n")?;
        }
        Ok(self.out.flush()?)
    }

    /// A line beside the answer, on stderr. That nobody reads it is no failure.
    pub(super) fn note(&mut self, text: &str) {
        let written = writeln!(self.err, "{text}").and_then(|()| self.err.flush());
        drop(written);
    }

    /// Refuses to act unasked where nobody can be asked.
    pub(super) fn need_person(&self) -> Result<(), Failure> {
        match self.person {
            Person::Present(_) => Ok(()),
            Person::Absent => Err(unasked()),
        }
    }

    /// Asks a person a question that can be answered with yes.
    pub(super) fn ask(&mut self, question: &str) -> Result<Consent, Failure> {
        match self.person {
            Person::Present(ask) => ask(question),
            Person::Absent => Err(unasked()),
        }
    }
}

fn unasked() -> Failure {
    Failure::Usage("nobody is at the terminal to be asked: give --yes to do it unasked".to_owned())
}

/// Asks at the terminal; no is what silence means.
fn confirm(question: &str) -> Result<Consent, Failure> {
    match inquire::Confirm::new(question).with_default(false).prompt() {
        Ok(true) => Ok(Consent::Given),
        Ok(false) | Err(InquireError::OperationCanceled | InquireError::OperationInterrupted) => Ok(Consent::Withheld),
        Err(error) => Err(Failure::Failed(anyhow::Error::new(error).context("nobody could be asked"))),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    /// A stream that remembers what was written.
    #[derive(Clone, Default)]
    pub(in crate::cli) struct Paper(Rc<RefCell<Vec<u8>>>);

    impl Paper {
        pub(in crate::cli) fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).expect("text")
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A stream whose reader has gone.
    pub(in crate::cli) struct Shut;

    impl Write for Shut {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_answer_and_the_notes_go_separate_ways() {
        let (out, err) = (Paper::default(), Paper::default());
        let mut terminal = Terminal::new(Box::new(out.clone()), Box::new(err.clone()), Person::Absent);
        terminal.note("the new token of ci:");
        terminal.answer("rlv_x").expect("written");
        terminal.answer("{}\n").expect("written");
        assert_eq!(out.text(), "rlv_x\n{}\n");
        assert_eq!(err.text(), "the new token of ci:\n");
    }

    #[test]
    fn a_reader_who_has_gone_is_told_apart_and_a_lost_note_is_no_failure() {
        let mut terminal = Terminal::new(Box::new(Shut), Box::new(Shut), Person::Absent);
        terminal.note("nobody reads this");
        assert!(matches!(terminal.answer("x"), Err(Failure::Closed)));
    }
}
