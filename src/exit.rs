//! Exit codes with fixed meanings: 0 done and good, 1 done and not good, 2 could not run.

use std::process::ExitCode;

/// How a command that did run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Good,
    /// An invalid run, a failed check.
    NotGood,
}

impl Outcome {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::NotGood => 1,
        }
    }
}

/// The process's exit code, with the one message on stderr when the command could not run.
pub(crate) fn exit_code(result: anyhow::Result<Outcome>) -> ExitCode {
    match result {
        Ok(outcome) => ExitCode::from(outcome.code()),
        Err(error) => {
            eprintln!("ossmark: {error:#}");
            ExitCode::from(2)
        }
    }
}
