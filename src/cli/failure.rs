//! How a command ends when it does not end well: exit code, message, hint.

use std::fmt::Write as _;

use super::output::{self, Output, Tone};
use crate::{
    connector::error::{Error, ErrorKind},
    state::{
        error::{StateError, StateErrorKind},
        lock::LockError,
    },
};

/// The result of a command.
pub(super) type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// Exit codes besides 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// Whoever read our output went away: nobody to tell anything.
    Closed = 0,
    /// The project or its data has problems.
    Problems = 1,
    /// Wrong usage.
    Usage = 2,
    /// The world failed; may pass later.
    World = 3,
    /// Interrupted by the user.
    Interrupted = 130,
}

/// A command that did not end well.
#[derive(Debug)]
pub(super) struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What happened; empty where it was told already.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Failure {
    /// Everything was told already.
    pub(super) fn told(exit: Exit) -> Self {
        Self { exit, message: String::new(), hint: None }
    }

    /// Wrong usage.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into(), hint: None }
    }

    /// The project or its data has a problem.
    pub(super) fn problem(message: impl Into<String>) -> Self {
        Self { exit: Exit::Problems, message: message.into(), hint: None }
    }

    /// The user asked to stop.
    pub(super) fn interrupted() -> Self {
        Self { exit: Exit::Interrupted, message: "interrupted".to_owned(), hint: None }
    }

    /// A file that cannot be read or written.
    pub(super) fn file(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        let message = format!("{what} {}: {error}", path.display());
        Self { exit: Exit::World, message, hint: None }
    }

    /// With something to do about it.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Tells it on stderr; also where `--quiet` was given.
    pub(super) fn tell(&self, output: Output) {
        if self.message.is_empty() {
            return;
        }
        let mut text = format!("{} {}", output.messages.paint("error:", Tone::Bad), self.message);
        if let Some(hint) = &self.hint {
            let _ = write!(text, "\n{} {hint}", output.messages.paint("hint:", Tone::Dim));
        }
        output::complain(&text);
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let hint = Some(error.advice().to_owned());
        Self { exit: exit_of(error.kind), message: error.to_string(), hint }
    }
}

/// The exit code of a kind of failure.
pub(super) fn exit_of(kind: ErrorKind) -> Exit {
    match kind {
        ErrorKind::Cancelled => Exit::Interrupted,
        kind if kind.policy().world => Exit::World,
        _ => Exit::Problems,
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        let exit = match error.kind() {
            StateErrorKind::Newer => Exit::Problems,
            _ => Exit::World,
        };
        Self { exit, message: error.to_string(), hint: Some(error.hint().to_owned()) }
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        match error {
            LockError::State(error) => error.into(),
            held @ LockError::Held(_) => Self {
                exit: Exit::World,
                message: held.to_string(),
                hint: Some(
                    "wait until it ends, or stop it; commands that only look work meanwhile".to_owned(),
                ),
            },
        }
    }
}

/// What writing to stdout did.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::told(Exit::Closed);
        }
        Self { exit: Exit::World, message: format!("cannot write the result: {error}"), hint: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_their_exit_codes() {
        for (kind, exit) in [
            (ErrorKind::Unreachable, Exit::World),
            (ErrorKind::Full, Exit::World),
            (ErrorKind::BadData, Exit::Problems),
            (ErrorKind::NoRecord, Exit::Problems),
            (ErrorKind::Cancelled, Exit::Interrupted),
        ] {
            assert_eq!(Failure::from(Error::new(kind, "x")).exit, exit, "{kind:?}");
        }
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let failure = Failure::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!((failure.exit, failure.message.as_str()), (Exit::Closed, ""));
    }
}
