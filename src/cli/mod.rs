//! The command line: arguments, client commands, and the start of `serve`.
//!
//! Promises: exit code 0 done, 1 refused or failed, 2 wrong usage or configuration; the answer on stdout, all else on stderr.
//! Deliberately does not: change a store. Client commands ask the admin API, as anybody could with curl.

mod admins;
mod arguments;
mod audit;
mod backup;
mod batch;
mod client;
mod close;
mod demo;
#[cfg(test)]
mod double;
mod failure;
mod find;
mod keys;
mod local;
mod pages;
mod proof;
mod renew;
mod roster;
mod session;
mod settings;
mod shapes;
mod stream;
mod table;
mod terminal;
mod text;
mod trust;
mod values;

use std::future::Future;
use std::process::ExitCode;

use clap::Parser;

use arguments::{Admins, Arguments, Audit, AuditCommand, ClientCommand, Command, Reach};
use close::Favour;
use failure::Failure;
use find::Surroundings;
use session::{Reader, Session, Subject};
use terminal::Terminal;

use crate::clock::Clock;

/// Does what the process's arguments say. The answer is the process's exit code.
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            drop(error.print()); // help goes to stdout, mistakes to stderr; nobody may be listening
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match dispatch(arguments) {
        Ok(code) => code,
        Err(failure) => {
            if !matches!(failure, Failure::Closed) {
                Terminal::of_process().note(&format!("relevo: {failure}"));
            }
            ExitCode::from(failure.code())
        }
    }
}

fn dispatch(arguments: Arguments) -> Result<ExitCode, Failure> {
    let Arguments { reach, json, command } = arguments;
    let reader = if json { Reader::Program } else { Reader::Person };
    let mut terminal = Terminal::of_process();
    match command {
        Command::Demo(demo) => return local::demo(&demo, &mut terminal, &Surroundings::of_process()),
        Command::Serve(configured) => return local::serve(configured.config.as_deref()),
        Command::Check(configured) => local::check(configured.config.as_deref(), &mut terminal, reader)?,
        Command::Schema => local::schema(&mut terminal)?,
        Command::Openapi => local::openapi(&mut terminal)?,
        Command::Completions { shell } => terminal.answer(&pages::completions(shell))?,
        Command::Man { command } => terminal.answer(&pages::man(&command)?)?,
        Command::Client(ClientCommand::Audit(Audit { command: Some(AuditCommand::Verify(verify)), .. }))
            if verify.is_local() =>
        {
            proof::verify_here(&verify, &mut terminal, reader)?;
        }
        Command::Client(ClientCommand::Admins(Admins::Rescue(configured))) => {
            local::rescue(configured.config.as_deref(), &mut terminal, reader)?;
        }
        Command::Client(command) => block_on(ask_gateway(reach, reader, terminal, command))??,
    }
    Ok(ExitCode::SUCCESS)
}

/// Does a client command.
async fn ask_gateway(reach: Reach, reader: Reader, terminal: Terminal, command: ClientCommand) -> Result<(), Failure> {
    let surroundings = Surroundings::of_process();
    let program = surroundings.program();
    if let ClientCommand::DeleteOld(close)
    | ClientCommand::Undo(close)
    | ClientCommand::Admins(Admins::DeleteOld(close) | Admins::Undo(close)) = &command
        && !close.yes
    {
        terminal.need_person()?; // before anything is asked of a gateway
    }
    let client = find::gateway(&reach, &surroundings).await?;
    let mut session = Session { client, terminal, reader, clock: Clock::system(), program, subject: Subject::Key };
    let session = &mut session;
    match command {
        ClientCommand::Keys(command) => keys::run(session, command).await,
        ClientCommand::Admins(command) => admins::run(session, command).await,
        ClientCommand::Renew(renew) => renew::renew(session, renew).await,
        ClientCommand::Plan(plan) => renew::plan(session, plan).await,
        ClientCommand::DeleteOld(close) => close::run(session, close, Favour::New).await,
        ClientCommand::Undo(close) => close::run(session, close, Favour::Old).await,
        ClientCommand::Audit(audit) => audit::run(session, audit).await,
        ClientCommand::Settings(command) => settings::run(session, command).await,
        ClientCommand::Apply(apply) => batch::apply(session, apply).await,
        ClientCommand::Backup(backup) => backup::backup(session, &backup).await,
        ClientCommand::Restore(restore) => backup::restore(session, restore).await,
        ClientCommand::Status => settings::status(session).await,
    }
}

/// Runs a client command's future on this thread.
fn block_on<F: Future>(future: F) -> Result<F::Output, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(|error| Failure::failed(format!("no runtime: {error}")))?.block_on(future))
}
