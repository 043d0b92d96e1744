//! The command line against itself.

mod docs;
mod messages;
mod paths;

use std::collections::{BTreeMap, BTreeSet};

use clap::{Arg, Command as Clap};

use super::earlier;
use super::everywhere::command;
use messages::named;

/// Every command that does something, by its words, hidden ones included.
pub(crate) fn commands() -> BTreeMap<String, Clap> {
    fn walk(command: &Clap, path: &str, out: &mut BTreeMap<String, Clap>) {
        let children: Vec<&Clap> = command
            .get_subcommands()
            .filter(|c| c.get_name() != "help")
            .collect();
        if children.is_empty() {
            out.insert(path.to_owned(), command.clone());
        }
        for child in children {
            let path = format!("{path} {}", child.get_name());
            walk(child, path.trim_start(), out);
        }
    }
    let mut root = command();
    root.build();
    let mut out = BTreeMap::new();
    walk(&root, "", &mut out);
    out
}

/// The options of a command by all their names, those of before among them.
fn options(command: &Clap) -> BTreeSet<String> {
    let arguments = command.get_positionals().filter(|arg| {
        let mut earlier = earlier::ARGUMENTS.iter();
        earlier.any(|(_, option)| arg.get_id() == option)
    });
    let arguments = arguments.map(|arg| arg.get_id().to_string());
    let long = command.get_arguments().flat_map(names).map(str::to_owned);
    long.chain(arguments).collect()
}

fn names(arg: &Arg) -> impl Iterator<Item = &str> {
    let aliases = arg.get_all_aliases().into_iter().flatten();
    arg.get_long().into_iter().chain(aliases)
}

#[test]
fn clap_finds_nothing_wrong() {
    command().debug_assert();
}

#[test]
fn every_command_and_every_option_has_a_text() {
    for (name, command) in commands() {
        assert!(command.get_about().is_some(), "{name}");
        for arg in command.get_arguments() {
            let text = arg.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(text.len() > 2, "{name}: {}", arg.get_id());
        }
    }
}

/// What a command does not do without, beside what clap knows.
const NEEDED: [(&str, &[&str]); 8] = [
    ("peak", &["scenario"]),
    ("run", &["scenario", "mode", "output", "model", "dataset"]),
    ("generate", &["model"]),
    ("infer", &["model", "tokenizer"]),
    ("serve", &["model"]),
    ("score", &["inferred", "dataset", "tokenizer"]),
    ("audit test07", &["logs", "dataset", "tokenizer"]),
    ("audit test09", &["logs"]),
];

/// What a usage line has of an option or an argument.
fn shown_as(arg: &Arg) -> String {
    match (arg.get_long(), arg.get_value_names()) {
        (Some(long), _) => format!("--{long}"),
        (None, Some([value, ..])) => format!("<{value}>"),
        (None, _) => format!("<{}>", arg.get_id().as_str().to_uppercase()),
    }
}

#[test]
fn usage_lines_show_what_is_required() {
    for (name, mut command) in commands() {
        let usage = command.render_usage().to_string();
        let required = command.get_arguments().filter(|arg| arg.is_required_set());
        let mut needed: Vec<String> = required.map(shown_as).collect();
        for group in command.get_groups().filter(|group| group.is_required_set()) {
            let members = command
                .get_arguments()
                .filter(|arg| group.get_args().any(|id| id == arg.get_id()));
            needed.extend(members.map(shown_as));
        }
        let more = NEEDED.iter().filter(|(command, _)| *command == name);
        let more = more.flat_map(|(_, names)| names.iter().map(|name| format!("--{name}")));
        needed.extend(more);
        for needed in needed {
            let shown = [" ", "|", ">", "\n", "."]
                .iter()
                .any(|behind| usage.contains(&format!("{needed}{behind}")));
            assert!(
                shown || usage.ends_with(&needed),
                "{name} needs {needed}: {usage}"
            );
        }
        // A line that was written by hand names nothing that is not there.
        for option in named(&usage) {
            assert!(
                options(&command).contains(&option),
                "{name} has no --{option}: {usage}"
            );
        }
    }
}

/// tests/integration/outputs.rs tries every command of that list with outputs that are closed and full.
#[test]
fn every_command_is_in_the_list_that_tests_run() {
    let list = include_str!("../../tests/integration/commands.txt");
    let names = list.lines().filter_map(|line| line.split_once(" ::"));
    let listed: BTreeSet<String> = names.map(|(name, _)| name.to_owned()).collect();
    assert_eq!(listed, commands().into_keys().collect());
}

/// Two seeds never give the same answers: what is above the highest is refused, with the range, by every command that has one.
#[test]
fn seeds_are_in_their_range() {
    let most = ossmark_protocol::MAX_SEED;
    let mut seen = 0;
    for (name, command) in commands() {
        let Some(seed) = command
            .get_arguments()
            .find(|a| a.get_long() == Some("seed"))
        else {
            continue;
        };
        // By itself: what else a command needs is nothing to its seed.
        let alone = Clap::new("seed").arg(seed.clone().required(false));
        let parse = |value: u64| {
            let line = ["seed".to_owned(), "--seed".to_owned(), value.to_string()];
            alone.clone().try_get_matches_from(line)
        };
        assert!(parse(0).is_ok(), "{name}");
        if let Err(error) = parse(most) {
            let error = error.to_string();
            assert!(error.contains("0..=4294967295"), "{name}: {error}");
            continue;
        }
        for value in [most + 1, u64::MAX] {
            let error = parse(value).unwrap_err().to_string();
            assert!(error.contains(&format!("0..={most}")), "{name}: {error}");
        }
        seen += 1;
    }
    assert_eq!(
        seen, 8,
        "run, peak, preflight, generate, infer, serve, endpoints run, auditor perturb"
    );
}
