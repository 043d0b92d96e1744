//! The options of `ossmark run` as commands that make runs take them over: what is typed is handed on to each run, so that
//! an option that `run` gets they have too.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

use super::heading::{OPTIONS_OF_RUN, RUN};
use super::run::RunArgs;

/// What the command decides for its runs, or has an option of its own for.
const DECIDED: [&str; 13] = [
    "mode",
    "output",
    "force",
    "user_conf",
    "audit_config",
    "target_qps",
    "stop_hopeless",
    "dry_run",
    "require_official",
    "trace",
    "no_record",
    "json",
    "drill",
];
/// Behind the command's own options in its help text.
const PLACE: usize = 100;

/// The words that were typed, each an option with its value.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunOptions(pub(crate) Vec<OsString>);

fn taken_over() -> Vec<Arg> {
    let run = RunArgs::augment_args(Command::new("run"));
    let args = run
        .get_arguments()
        .filter(|arg| !DECIDED.contains(&arg.get_id().as_str()));
    args.cloned().collect()
}

impl Args for RunOptions {
    fn augment_args(command: Command) -> Command {
        let args = taken_over().into_iter().enumerate().map(|(i, arg)| {
            let arg = match arg.get_help_heading() {
                Some(RUN) => arg.help_heading(OPTIONS_OF_RUN),
                _ => arg,
            };
            arg.display_order(Some(PLACE + i))
        });
        command.args(args)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for RunOptions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut words = Vec::new();
        for arg in taken_over() {
            let id = arg.get_id().as_str();
            let (Some(long), Some(ValueSource::CommandLine)) =
                (arg.get_long(), matches.value_source(id))
            else {
                continue;
            };
            if matches!(arg.get_action(), ArgAction::SetTrue) {
                words.push(OsString::from(format!("--{long}")));
                continue;
            }
            for value in matches.get_raw(id).into_iter().flatten() {
                let mut word = OsString::from(format!("--{long}="));
                word.push(value);
                words.push(word);
            }
        }
        Ok(Self(words))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[&str]) -> Vec<String> {
        let command = RunOptions::augment_args(Command::new("peak"));
        let matches = command.try_get_matches_from([&["peak"][..], line].concat());
        let options = RunOptions::from_arg_matches(&matches.unwrap()).unwrap();
        let words = options.0.into_iter();
        words.map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn what_is_typed_is_handed_on_and_nothing_else() {
        assert_eq!(words(&[]), Vec::<String>::new());
        let typed = [
            "--engine=http",
            "--endpoint=http://a",
            "--endpoint=http://b",
            "--temperature=-1",
            "--any-dataset",
        ];
        let mut found = words(&typed);
        let mut typed = typed.map(str::to_owned).to_vec();
        found.sort_unstable();
        typed.sort_unstable();
        assert_eq!(found, typed);
    }

    /// Names that `run` no longer has would be taken over under another name.
    #[test]
    fn what_is_decided_here_are_options_of_run() {
        let run = RunArgs::augment_args(Command::new("run"));
        for id in DECIDED {
            assert!(run.get_arguments().any(|arg| arg.get_id() == id), "{id}");
        }
    }
}
