//! What a command is about stands without an option's name (`ossmark dataset inspect perf.parquet`). The option that it was
//! before is still understood: its name is taken out of the line before clap sees it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::Arg;
use clap::builder::{Resettable, Str};

/// Commands, and the option of each that is an argument now. All of them are paths.
pub(super) const ARGUMENTS: [(&str, &str); 8] = [
    ("score", "log"),
    ("dataset inspect", "dataset"),
    ("dataset prepare", "recipe"),
    ("submission build", "description"),
    ("submission check", "input"),
    ("submission truncate", "input"),
    ("submission pack", "input"),
    ("endpoints build", "description"),
];

/// Makes an argument of the option.
pub(super) fn as_argument(arg: Arg) -> Arg {
    let earlier = format!("--{} is understood too.", arg.get_id());
    let text = match (arg.get_long_help(), arg.get_help()) {
        (Some(text), _) => format!("{text}\n\n{earlier}"),
        (None, Some(text)) => format!("{text}.\n\n{earlier}"),
        (None, None) => earlier,
    };
    arg.long(Resettable::<Str>::Reset).long_help(text)
}

/// The line without the names of options that are arguments now.
pub(super) fn without_names(line: Vec<OsString>) -> Vec<OsString> {
    let words: Vec<&str> = line
        .iter()
        .skip(1)
        .filter(|word| !["-q", "--quiet"].iter().any(|flag| word == flag))
        .map_while(|word| word.to_str().filter(|word| !word.starts_with('-')))
        .take(2)
        .collect();
    let found = ARGUMENTS.iter().find_map(|(command, option)| {
        let names: Vec<&str> = command.split(' ').collect();
        let last = line
            .iter()
            .position(|word| word == names[names.len() - 1])?;
        words.starts_with(&names).then_some((*option, last + 1))
    });
    let Some((option, behind)) = found else {
        return line;
    };
    let (name, assigned) = (format!("--{option}"), format!("--{option}="));
    let mut given = Vec::new();
    let mut rest = Vec::with_capacity(line.len());
    let mut words = line.into_iter().peekable();
    while let Some(word) = words.next() {
        if word == "--" {
            rest.push(word);
            rest.extend(words);
            break;
        }
        if word.as_bytes() == name.as_bytes() {
            let is_value = |next: &OsString| next == "-" || !next.as_bytes().starts_with(b"-");
            given.extend(words.next_if(is_value));
        } else if let Some(value) = word.as_bytes().strip_prefix(assigned.as_bytes()) {
            given.push(a_path(value));
        } else {
            rest.push(word);
        }
    }
    // In front of all options: one that takes several values would take these too.
    rest.splice(behind..behind, given);
    rest
}

/// One that does not look like an option.
fn a_path(value: &[u8]) -> OsString {
    let mut path = OsString::new();
    if value.starts_with(b"-") && value != b"-" {
        path.push("./");
    }
    path.push(OsStr::from_bytes(value));
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> String {
        let line = line.split(' ').map(OsString::from).collect();
        let words = without_names(line).into_iter();
        let words: Vec<String> = words.map(|word| word.into_string().unwrap()).collect();
        words.join(" ")
    }

    #[test]
    fn the_names_are_taken_out_where_they_were_options_and_nowhere_else() {
        for (line, expected) in [
            (
                "ossmark submission check --input tree --round v6.1",
                "ossmark submission check tree --round v6.1",
            ),
            (
                "ossmark -q submission check --csv a --input=tree",
                "ossmark -q submission check tree --csv a",
            ),
            (
                "ossmark dataset inspect --dataset=-perf.parquet",
                "ossmark dataset inspect ./-perf.parquet",
            ),
            (
                "ossmark score --log a --dataset b",
                "ossmark score a --dataset b",
            ),
            (
                "ossmark score --dataset b --lcb-problems c d --log a",
                "ossmark score a --dataset b --lcb-problems c d",
            ),
            (
                "ossmark score --log --dataset b",
                "ossmark score --dataset b",
            ),
            (
                "ossmark score --dataset b --log",
                "ossmark score --dataset b",
            ),
            ("ossmark generate --input a", "ossmark generate --input a"),
            ("ossmark run --dataset a", "ossmark run --dataset a"),
            (
                "ossmark submission check -- --input",
                "ossmark submission check -- --input",
            ),
            ("ossmark submission", "ossmark submission"),
            ("ossmark", "ossmark"),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }

    #[test]
    fn each_is_an_argument_of_its_command() {
        let commands = crate::cli::tests::commands();
        for (command, option) in ARGUMENTS {
            let found = commands[command]
                .get_positionals()
                .any(|arg| arg.get_id() == option);
            assert!(found, "{command} {option}");
        }
    }
}
