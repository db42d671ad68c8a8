//! Why a command did not do what was asked, and the exit code that says so.
//!
//! Promises: every failure has one exit code: 1 refused or failed, 2 wrong usage or configuration.
//! Deliberately does not: print. [`super::run`] does, once.

use std::fmt;

use crate::serve::StartError;

use super::shapes::Problem;
use super::text::{plain, second};

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// The gateway said no; nothing has changed.
    Refused(Box<Problem>),
    /// The connection was lost after the request was sent: it may or may not have been acted upon.
    Lost(String),
    /// It could not be done.
    Failed(anyhow::Error),
    /// The command line or the configuration is wrong.
    Usage(String),
    /// Whoever read the output has gone.
    Closed,
}

impl Failure {
    /// A failure told in one sentence.
    pub(super) fn failed(text: impl fmt::Display) -> Self {
        Self::Failed(anyhow::anyhow!("{text}"))
    }

    /// The exit code.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Refused(_) | Self::Lost(_) | Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Closed => 0, // as `relevo keys list | head` expects
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(problem) => {
                write!(f, "{}: {}", plain(&problem.code), plain(problem.text()))?;
                problem.errors.iter().try_for_each(|e| write!(f, "\n  {}: {}", plain(&e.path), plain(&e.message)))?;
                problem.callers.iter().try_for_each(|caller| {
                    let agent = plain(caller.user_agent.as_deref().unwrap_or("-"));
                    let (address, route, last) =
                        (plain(&caller.address), plain(&caller.route), second(caller.last_used_at));
                    write!(f, "\n  {address} {agent} on {route}: {} requests, the last {last}", caller.requests)
                })
            }
            Self::Lost(text) | Self::Usage(text) => f.write_str(text),
            Self::Failed(error) => write!(f, "{error:#}"),
            Self::Closed => f.write_str("the output was closed"),
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error.exit_code() {
            2 => Self::Usage(error.to_string()),
            _ => Self::Failed(error.into()),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<std::io::Error> for Failure {
    /// An error of writing the output.
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::Closed;
        }
        Self::Failed(anyhow::Error::new(error).context("the output could not be written"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_the_documented_exit_code() {
        let problem =
            Problem { code: "renewal_open".into(), detail: Some("a renewal is open".into()), ..Problem::default() };
        let refused = Failure::Refused(Box::new(problem));
        assert_eq!(refused.to_string(), "renewal_open: a renewal is open");
        assert_eq!(refused.code(), 1);
        assert_eq!(Failure::Lost("gone".into()).code(), 1);
        assert_eq!(Failure::failed("no").code(), 1);
        assert_eq!(Failure::Usage("wrong".into()).code(), 2);
        assert_eq!(Failure::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe)).code(), 0);
        assert_eq!(Failure::from(std::io::Error::from(std::io::ErrorKind::StorageFull)).code(), 1);
    }

    #[test]
    fn each_mistake_of_a_request_is_told_and_none_reaches_the_terminal_raw() {
        let problem: Problem = serde_json::from_str(
            r#"{"code": "invalid_request", "title": "Invalid request", "errors": [{"path": "name", "message": "holds \u001b[2J"}]}"#,
        )
        .expect("a problem");
        let text = Failure::Refused(Box::new(problem)).to_string();
        assert_eq!(text, "invalid_request: Invalid request\n  name: holds \\u{1b}[2J");
    }
}
