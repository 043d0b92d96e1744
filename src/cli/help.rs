//! Every help text as a snapshot, so that a change of one is seen whole in review.

use std::collections::BTreeSet;
use std::path::Path;

use clap::{Command, CommandFactory};

use super::Cli;

/// From the folder of this file.
const SNAPSHOTS: &str = "../../tests/snapshots/help";

/// A command and those below it, each under its full name; hidden ones have no readers.
fn visible(command: Command, name: &str, found: &mut Vec<(String, Command)>) {
    for inner in command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set())
    {
        if inner.get_name() != "help" {
            visible(
                inner.clone(),
                &format!("{name} {}", inner.get_name()),
                found,
            );
        }
    }
    found.push((name.to_owned(), command));
}

#[test]
fn every_command_has_a_help_text_that_somebody_has_read() {
    let mut commands = Vec::new();
    visible(Cli::command().term_width(110), "ossmark", &mut commands);
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(SNAPSHOTS);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let mut names = BTreeSet::new();
    settings.bind(|| {
        for (name, command) in commands {
            let file = name.replace(' ', "-");
            let help = command
                .bin_name(&name)
                .display_name(&name)
                .term_width(110)
                .render_long_help();
            insta::assert_snapshot!(file.as_str(), help.to_string());
            names.insert(format!("{file}.snap"));
        }
    });
    // A command that is gone takes its snapshot with it.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/help");
    let files = std::fs::read_dir(folder).expect("the snapshots");
    let files = files.map(|file| {
        file.expect("an entry")
            .file_name()
            .into_string()
            .expect("a name")
    });
    let kept: BTreeSet<String> = files.filter(|name| name.ends_with(".snap")).collect();
    assert_eq!(kept, names, "snapshots and commands differ");
}
