//! What holds for every command, whatever its structure says: `-o` is --output, `-h` shows what most people need.

use clap::{Arg, ArgAction, Command, CommandFactory};

use super::{Cli, earlier, heading};

/// Commands that cannot do without --model unless --synthetic or --engine stands for it.
const WITH_A_MODEL: [&str; 5] = [
    "generate",
    "infer",
    "serve",
    "auditor perturb",
    "endpoints run",
];
/// The last options of a group.
const LAST: usize = 1000;

/// The command line as clap knows it. Whoever parses, completes or describes it takes this one.
pub(crate) fn command() -> Command {
    below(Cli::command(), "")
}

/// A command whose name, with those above it, is `name`.
fn below(command: Command, name: &str) -> Command {
    let argument = earlier::ARGUMENTS
        .iter()
        .find_map(|(command, option)| (*command == name).then_some(*option));
    let all_in_groups = command.get_arguments().count() > 0
        && command
            .get_arguments()
            .all(|arg| arg.get_help_heading().is_some());
    let command = command
        .mut_args(|arg| {
            let arg = match arg.get_long() {
                Some("output") => arg.short('o'),
                // A run's data set has one name, whatever is done with it.
                Some("reference") => arg.long("dataset").visible_alias("reference"),
                Some("model") if WITH_A_MODEL.contains(&name) => {
                    arg.required_unless_present_any(["synthetic", "engine"])
                }
                long if long.is_some() && long == argument => earlier::as_argument(arg),
                _ => arg,
            };
            match arg.get_help_heading() {
                Some(heading) if !heading::BRIEF.contains(&heading) => arg.hide_short_help(true),
                _ => arg,
            }
        })
        .mut_subcommands(|inner| {
            let name = format!("{name} {}", inner.get_name());
            below(inner, name.trim_start())
        });
    match all_in_groups {
        true => in_first_group(command),
        false => command,
    }
}

/// Where every option stands in a group, as those of `run` do, those that all commands have stand in the first.
fn in_first_group(command: Command) -> Command {
    let quiet = Cli::command()
        .get_arguments()
        .find(|arg| arg.get_id() == "quiet")
        .cloned();
    let help = Arg::new("help")
        .long("help")
        .short('h')
        .action(ArgAction::Help)
        .help("Print help (all options: --help)")
        .long_help("Print help (the most needed options: -h)");
    let placed = [quiet, Some(help)].into_iter().flatten();
    let placed = placed.map(|arg| arg.help_heading(heading::RUN).display_order(LAST));
    command.disable_help_flag(true).args(placed)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn output_is_short_wherever_there_is_one() {
        let mut with_output = 0;
        for (name, command) in crate::cli::tests::commands() {
            for arg in command.get_arguments() {
                let is_output = arg.get_long() == Some("output");
                assert_eq!(arg.get_short() == Some('o'), is_output, "{name}");
                with_output += usize::from(is_output);
            }
        }
        assert!(with_output > 15, "{with_output}");
    }

    #[test]
    fn quiet_may_stand_before_and_behind_the_command() {
        use clap::FromArgMatches;
        assert!(!Cli::parse_from(["ossmark", "doctor"]).quiet);
        for line in [
            &["ossmark", "-q", "doctor"][..],
            &["ossmark", "doctor", "--quiet"],
            &["ossmark", "run", "-q", "--scenario", "server"],
            &["ossmark", "submission", "check", "tree", "--quiet"],
        ] {
            let matches = command().try_get_matches_from(line).unwrap();
            assert!(Cli::from_arg_matches(&matches).unwrap().quiet, "{line:?}");
        }
    }
}
