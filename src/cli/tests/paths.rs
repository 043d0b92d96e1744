//! The list of options that take a path is complete: see tests/integration/path_options.rs.

use std::any::TypeId;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::cli::everywhere::command;

#[path = "../../../tests/integration/path_options.rs"]
#[allow(
    dead_code,
    reason = "the command lines are tried by the integration tests"
)]
mod path_options;

/// Every command that does something, with its options that take a path.
fn of_clap(command: &clap::Command, name: &str, found: &mut BTreeSet<(String, String)>) {
    let mut is_group = false;
    for below in command.get_subcommands() {
        is_group = true;
        of_clap(below, &format!("{name} {}", below.get_name()), found);
    }
    let name = name.trim_start();
    let before = found.len();
    for option in command.get_arguments() {
        let of = option.get_value_parser().type_id();
        if of == TypeId::of::<PathBuf>() || of == TypeId::of::<OsString>() {
            found.insert((name.into(), option.get_id().to_string()));
        }
    }
    if !is_group && found.len() == before {
        found.insert((name.into(), String::new()));
    }
}

#[test]
fn every_option_that_takes_a_path_is_listed() {
    let mut found = BTreeSet::new();
    of_clap(&command(), "", &mut found);
    let listed: BTreeSet<_> = path_options::path_options()
        .into_iter()
        .map(|o| (o.command.to_owned(), o.option.to_owned()))
        .chain(path_options::WITHOUT.map(|command| (command.into(), String::new())))
        .collect();
    let missing: Vec<_> = found.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "tests/integration/path_options.txt lacks {missing:?} and has too many: {gone:?}"
    );
}
