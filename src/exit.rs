//! Exit codes with fixed meanings: 0 done and good, 1 done and not good, 2 could not run, 130 interrupted.

use std::process::ExitCode;

use crate::terminal::{self, message, note};

/// How a command that did run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Good,
    /// An invalid run, a failed check.
    NotGood,
}

/// What shells report for a program that Ctrl-C ended.
pub(crate) const INTERRUPTED: u8 = 130;
const COULD_NOT_RUN: u8 = 2;

/// The command was interrupted; the text says what is left and where.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; {0}")]
pub(crate) struct Interrupted(pub(crate) String);

impl Outcome {
    /// For the end of the process: 2 where what was printed could not be.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Good => printed_or(0),
            Self::NotGood => printed_or(1),
        }
    }
}

fn printed_or(code: u8) -> u8 {
    match terminal::stdout_error() {
        Some(why) => {
            note!("ossmark: {why}");
            COULD_NOT_RUN
        }
        None => code,
    }
}

/// Ends the process at once, as `loadgen::exit_now` does: without files that were begun, and without programs that
/// measure power.
pub(crate) fn leave(code: i32) -> ! {
    ossmark_files::abandon_parts();
    ossmark_telemetry::end_commands();
    loadgen::exit_now(code)
}

/// The process's exit code, with the one message on stderr when the command could not run.
pub(crate) fn exit_code(result: anyhow::Result<Outcome>) -> ExitCode {
    ExitCode::from(match result {
        Ok(outcome) => outcome.code(),
        Err(error) => {
            message(&format!("ossmark: {}", whole(&error)));
            match error.is::<Interrupted>() {
                true => INTERRUPTED,
                false => COULD_NOT_RUN,
            }
        }
    })
}

/// What the system says of a file that is not there.
const ABSENT: &str = "No such file or directory (os error 2)";

/// An error with its causes, each once: some errors say their cause themselves.
fn whole(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |said, cause| {
        let cause = cause.to_string();
        let cause = cause.replace(ABSENT, "not found");
        if said.contains(&cause) {
            said
        } else if cause.starts_with(&said) {
            cause
        } else {
            format!("{said}: {cause}")
        }
    })
}

/// clap's help, version and errors, which say what was expected.
pub(crate) fn usage(said: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand as HelpInstead;
    let text = said.render().to_string();
    if !said.use_stderr() {
        terminal::page(&text);
        return ExitCode::from(printed_or(0));
    }
    match said.kind() {
        HelpInstead => text.lines().for_each(|line| note!("{line}")),
        _ => message(&text),
    }
    ExitCode::from(COULD_NOT_RUN)
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::whole;

    #[test]
    fn a_cause_is_said_once() {
        let error = anyhow!("no space")
            .context("cannot write a: no space")
            .context("cannot write a");
        assert_eq!(whole(&error), "cannot write a: no space");
        let error = anyhow!("no space").context("a").context("--output");
        assert_eq!(whole(&error), "--output: a: no space");
        let error = anyhow!("no space").context("cannot write a (no space): give another place");
        assert_eq!(
            whole(&error),
            "cannot write a (no space): give another place"
        );
        let error = anyhow!(std::io::Error::from_raw_os_error(2)).context("a: cannot be read");
        assert_eq!(whole(&error), "a: cannot be read: not found");
    }
}
