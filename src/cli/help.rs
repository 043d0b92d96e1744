//! Every help text as a snapshot, so that a change of one is seen whole in review; and what holds for all of them.

use std::collections::BTreeSet;
use std::path::Path;

use clap::Command;

/// From the folder of this file; those of `-h` are in a folder in it.
const SNAPSHOTS: &str = "../../tests/snapshots/help";
const BRIEF: &str = "brief";
/// Columns of a terminal that nobody has made wider.
const COLUMNS: usize = 80;
/// Lines of `-h`: what is left of a screen of a laptop.
const MOST_LINES: usize = 50;

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

/// Every command with what `-h` and `--help` print.
fn texts() -> Vec<(String, String, String)> {
    let mut root = super::everywhere::command().term_width(COLUMNS);
    root.build();
    let mut commands = Vec::new();
    visible(root, "ossmark", &mut commands);
    let text = |(name, command): (String, Command)| {
        let mut command = command
            .bin_name(&name)
            .display_name(&name)
            .term_width(COLUMNS);
        let brief = command.render_help().to_string();
        let long = command.render_long_help().to_string();
        (name, brief, long)
    };
    commands.into_iter().map(text).collect()
}

#[test]
fn every_command_has_a_help_text_that_somebody_has_read() {
    let mut names = BTreeSet::new();
    for (name, brief, long) in texts() {
        let file = name.replace(' ', "-");
        for (folder, text) in [
            (SNAPSHOTS.to_owned(), long),
            (format!("{SNAPSHOTS}/{BRIEF}"), brief),
        ] {
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path(folder);
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings.bind(|| insta::assert_snapshot!(file.as_str(), text));
        }
        names.insert(format!("{file}.snap"));
    }
    // A command that is gone takes its snapshots with it.
    for folder in [String::new(), format!("/{BRIEF}")] {
        let folder = format!("tests/snapshots/help{folder}");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
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
}

#[test]
fn no_line_of_a_help_text_is_wider_than_a_terminal() {
    let mut wide = Vec::new();
    for (name, brief, long) in texts() {
        for line in brief.lines().chain(long.lines()) {
            if line.chars().count() > COLUMNS {
                wide.push(format!("{name}: {line}"));
            }
        }
    }
    assert!(wide.is_empty(), "{}", wide.join("\n"));
}

#[test]
fn the_short_help_fits_a_screen() {
    let mut long = Vec::new();
    for (name, brief, _) in texts() {
        let lines = brief.lines().count();
        if lines > MOST_LINES {
            long.push(format!(
                "{name}: {lines} lines, at most {MOST_LINES}\n{brief}"
            ));
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// What `-h` leaves out is said to be there.
#[test]
fn the_short_help_names_the_long_one() {
    for (name, brief, long) in texts() {
        if long.lines().count() > brief.lines().count() {
            assert!(brief.contains("--help"), "{name}: {brief}");
        }
    }
}
