//! The `--config` file of `ossmark run`: its options in TOML. The file is turned into the arguments that it stands for and
//! clap parses both, so that there is nothing to merge and an option cannot be forgotten. The command line wins.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use clap::builder::ValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches, value_parser};
use toml::{Table, Value};

use super::everywhere::command;
use super::run::RunArgs;
use super::{Cli, Command as Asked, earlier};

/// Tables of the file, the group of options (the `Args` structure) that each stands for, and what their options' names
/// begin with outside the file.
const TABLES: [(&str, &str, &str); 4] = [
    ("echo", "EchoArgs", "echo-"),
    ("http", "HttpArgs", "http-"),
    ("cuda", "CudaArgs", ""),
    ("synthetic", "SyntheticArgs", "synthetic-"),
];
/// Options that the file cannot hold: itself, and what starts a program.
const NOT_IN_A_FILE: [&str; 3] = ["config", "help", "power_command"];
/// A name that is at least as much like the one that was found was probably meant.
const ALIKE: f64 = 0.8;

/// The command line, with what its `--config` file adds.
///
/// # Errors
///
/// Of the file, for people; of the command line, a `clap::Error`.
pub(crate) fn parse(line: Vec<OsString>) -> Result<Cli> {
    let line = earlier::without_names(line);
    let matches = command().try_get_matches_from(&line)?;
    let matches = match matches.subcommand() {
        Some(("run", run)) => match run.get_one::<std::path::PathBuf>("config") {
            Some(file) => with_file(line, run, file)?,
            None => matches,
        },
        _ => matches,
    };
    Ok(Cli::from_arg_matches(&matches)?)
}

/// The options of `run` that these words are, with what their `--config` file adds.
///
/// # Errors
///
/// As [`parse`].
pub(crate) fn run_args(words: &[OsString]) -> Result<RunArgs> {
    let mut line: Vec<OsString> = vec!["ossmark".into(), "run".into()];
    line.extend_from_slice(words);
    match parse(line)?.command {
        Asked::Run(args) => Ok(*args),
        _ => bail!("found another command than run"),
    }
}

fn with_file(mut line: Vec<OsString>, given: &ArgMatches, file: &Path) -> Result<ArgMatches> {
    let text = ossmark_files::read_to_string(file)
        .with_context(|| format!("--config {}: cannot read", file.display()))?;
    let in_file = || format!("--config {}", file.display());
    let table: Table = toml::from_str(&text).with_context(in_file)?;
    let mut cli = command();
    cli.build();
    let run = cli.find_subcommand("run").context("no command `run`")?;
    let base = file.parent().unwrap_or(Path::new(""));
    let arguments = arguments(run, &table, base, |_| false).with_context(in_file)?;
    // By itself first, so that what is wrong in the file is reported as the file's.
    let alone = ["ossmark".into(), "run".into()]
        .into_iter()
        .chain(arguments);
    if let Err(error) = cli.clone().try_get_matches_from(alone) {
        let message = error.to_string();
        let message = message.trim_start_matches("error: ");
        bail!(
            "--config {}: {}",
            file.display(),
            message.lines().next().unwrap_or(message)
        );
    }
    let typed = |id: &str| given.value_source(id) == Some(ValueSource::CommandLine);
    let arguments = self::arguments(run, &table, base, typed)?;
    // Right behind the command: in front of it stand at most options that all commands have.
    let behind = line.iter().position(|word| word == "run");
    let behind = behind.context("no command `run`")? + 1;
    line.splice(behind..behind, arguments);
    Ok(command().try_get_matches_from(line)?)
}

/// The arguments that a file stands for, without those whose option `is_typed` on the command line.
fn arguments(
    run: &Command,
    file: &Table,
    base: &Path,
    is_typed: impl Fn(&str) -> bool,
) -> Result<Vec<OsString>> {
    let mut arguments = Vec::new();
    for (key, value) in file {
        let mut add = |arg: &Arg, key: &str, value: &Value| {
            if is_typed(arg.get_id().as_str()) {
                return Ok(());
            }
            argument(arg, value, base, &mut arguments).with_context(|| format!("key '{key}'"))
        };
        let (written, key) = (key, &plain(key));
        match (TABLES.iter().find(|(name, ..)| name == key), value) {
            (Some((_, group, prefix)), Value::Table(inner)) => {
                for (name, value) in inner {
                    let written = format!("{written}.{name}");
                    let name = &plain(name);
                    let (arg, key) = (in_table(run, group, prefix, name), format!("{key}.{name}"));
                    add(
                        arg.ok_or_else(|| unknown(run, group, prefix, &written))?,
                        &key,
                        value,
                    )?;
                }
            }
            _ if key == "power-command" => bail!(
                "key 'power-command': starts a program; expected on the command line only, so that a file from somebody else \
                 starts none"
            ),
            _ => {
                let arg = outside_tables(run).find(|arg| names(arg).any(|name| name == key));
                add(
                    arg.ok_or_else(|| unknown(run, "", "", written))?,
                    key,
                    value,
                )?;
            }
        }
    }
    Ok(arguments)
}

/// A key as options are spelled: TOML's usual underscores are theirs too.
fn plain(key: &str) -> String {
    key.replace('_', "-")
}

/// All names of an option.
fn names(arg: &Arg) -> impl Iterator<Item = &str> {
    let aliases = arg.get_all_aliases().into_iter().flatten();
    arg.get_long().into_iter().chain(aliases)
}

/// The option that `name` is in the table of a group: without its prefix, or the prefix itself for the group's switch.
fn in_table<'a>(run: &'a Command, group: &str, prefix: &str, name: &str) -> Option<&'a Arg> {
    members(run, group).find(|arg| names(arg).any(|long| short_name(long, prefix) == name))
}

fn short_name<'a>(long: &'a str, prefix: &str) -> &'a str {
    match long.strip_prefix(prefix) {
        Some(short) => short,
        None if Some(long) == prefix.strip_suffix('-') => "shape",
        None => long,
    }
}

fn members<'a>(run: &'a Command, group: &str) -> impl Iterator<Item = &'a Arg> {
    let group = run.get_groups().find(|g| g.get_id() == group);
    let ids: Vec<_> = group
        .into_iter()
        .flat_map(|g| g.get_args().cloned())
        .collect();
    run.get_arguments()
        .filter(move |arg| ids.contains(arg.get_id()))
}

fn outside_tables(run: &Command) -> impl Iterator<Item = &Arg> {
    let inside: Vec<_> = TABLES
        .iter()
        .flat_map(|(_, group, _)| members(run, group))
        .collect();
    run.get_arguments().filter(move |arg| {
        !inside.iter().any(|a| a.get_id() == arg.get_id())
            && !NOT_IN_A_FILE.contains(&arg.get_id().as_str())
    })
}

/// Of a key as it is written in the file.
fn unknown(run: &Command, group: &str, prefix: &str, written: &str) -> anyhow::Error {
    let key = &plain(written);
    let shown = |arg: &&Arg| !arg.is_hide_set();
    let names: Vec<&str> = if group.is_empty() {
        let tables = TABLES.iter().map(|(name, ..)| *name);
        outside_tables(run)
            .filter(shown)
            .filter_map(Arg::get_long)
            .chain(tables)
            .collect()
    } else {
        let longs = members(run, group).filter(shown).filter_map(Arg::get_long);
        longs.map(|long| short_name(long, prefix)).collect()
    };
    let found = key.rsplit('.').next().unwrap_or(key);
    let alike = names
        .iter()
        .map(|name| (strsim::jaro_winkler(found, name), name));
    let meant = alike.max_by(|(a, _), (b, _)| a.total_cmp(b));
    let meant = match meant.filter(|(alike, _)| *alike >= ALIKE) {
        Some((_, name)) if written.contains('_') => {
            format!("; did you mean '{}'?", name.replace('-', "_"))
        }
        Some((_, name)) => format!("; did you mean '{name}'?"),
        None => String::new(),
    };
    // What stands in another place is there by its name, with or without the prefix.
    let others = TABLES.iter().filter(|(_, other, _)| *other != group);
    let elsewhere = others.into_iter().find_map(|(table, other, prefix)| {
        let arg = in_table(run, other, prefix, short_name(found, prefix))?;
        let name = short_name(arg.get_long()?, prefix);
        Some(format!("; '{name}' belongs into the table [{table}]"))
    });
    let hint = elsewhere.unwrap_or(meant);
    anyhow!(
        "unknown key '{written}'{hint}\nexpected one of {}",
        names.join(", ")
    )
}

/// Appends what `value` is on a command line.
fn argument(arg: &Arg, value: &Value, base: &Path, to: &mut Vec<OsString>) -> Result<()> {
    let long = arg.get_long().unwrap_or_default();
    match (arg.get_action(), value) {
        (ArgAction::SetTrue, Value::Boolean(true)) => to.push(format!("--{long}").into()),
        (ArgAction::SetTrue, Value::Boolean(false)) => {}
        (ArgAction::SetTrue, other) => bail!("found {other}, expected true or false"),
        (ArgAction::Append, Value::Array(values)) => {
            for value in values {
                to.push(assignment(arg, long, value, base)?);
            }
        }
        (ArgAction::Append, other) => bail!("found {other}, expected a list"),
        (_, value) => to.push(assignment(arg, long, value, base)?),
    }
    Ok(())
}

fn assignment(arg: &Arg, long: &str, value: &Value, base: &Path) -> Result<OsString> {
    let parser = arg.get_value_parser().type_id();
    let is_path = parser == ValueParser::path_buf().type_id();
    let is_text = is_path
        || parser == ValueParser::string().type_id()
        || parser == ValueParser::from(value_parser!(IpAddr)).type_id()
        || arg.get_value_parser().possible_values().is_some();
    let mut argument = OsString::from(format!("--{long}="));
    match value {
        Value::String(path) if is_path => argument.push(base.join(path)),
        Value::String(text) if is_text => argument.push(text),
        Value::Integer(number) if !is_text => argument.push(number.to_string()),
        Value::Float(number) if !is_text => argument.push(number.to_string()),
        other if is_text => bail!("found {other}, expected a text in quotes"),
        other => bail!("found {other}, expected a number"),
    }
    Ok(argument)
}

#[cfg(test)]
mod tests;
