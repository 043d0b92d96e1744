//! One line: what LoadGen does with it, and whether that may be what its writer wants.
//!
//! A line for which LoadGen drops the file, or that it reads as another number than is written, is an error. So is a setting
//! of this benchmark that is spelled right and written so that LoadGen does not see it. A name that LoadGen merely does not
//! look up (another model's, a key of other tools) is a warning in a user.conf; in an audit.config, which makes the run
//! another test, an error.

use ossmark_logs::config::Line;

use super::{Finding, Kind, LoadgenAction, Problem, Setting, keys};

/// What came of a line.
#[derive(Default)]
pub(super) struct CheckedLine<'a> {
    /// There when LoadGen looks it up, right or wrong.
    pub(super) setting: Option<Setting<'a>>,
    /// Whether it is an error, and the remark.
    pub(super) finding: Option<(bool, Finding)>,
}

/// Judges what stands between two line feeds.
pub(super) fn check(number: usize, text: &[u8], kind: Kind) -> CheckedLine<'_> {
    let mut checked = CheckedLine::default();
    let mut add = |is_error, (text, effect)| {
        let line = number;
        checked.finding = Some((is_error, Finding { line, text, effect }));
    };
    let line = Line::read(text);
    let bom = number == 1 && text.starts_with(b"\xef\xbb\xbf");
    let cr = text.trim_ascii_end().contains(&b'\r');
    match line {
        Line::Blank => {}
        // A word that begins with # is a name to LoadGen, which nobody looks up; its writer means a comment.
        Line::NoValue {
            name: [b'#', ..], ..
        }
        | Line::Set {
            name: [b'#', ..], ..
        } => {}
        Line::Drops {
            name,
            found,
            as_value,
        } => add(true, dropped(name, found, as_value)),
        Line::NoValue { name, equals } => {
            let (is_ours, problem) = no_value(name, equals, kind);
            add(is_ours || kind == Kind::Audit, problem);
        }
        Line::Set { name, values } => match ours(name, kind) {
            Err(text) => add(kind == Kind::Audit, (text, LoadgenAction::Ignores)),
            Ok((model, scenario, key)) => {
                if let Err(problem) = value(name, model, key, &values, kind) {
                    add(true, problem);
                }
                checked.setting = values.last().copied().map(|value| Setting {
                    line: number,
                    model,
                    scenario,
                    key,
                    value,
                });
            }
        },
    }
    // These two hold whatever else is wrong with the line: what it says is not what its writer sees.
    let special = if bom {
        "begins with a byte order mark, which LoadGen takes for a part of the first word; save as UTF-8 without it"
    } else if cr {
        "has a carriage return inside the line, which does not end a line for LoadGen; end lines with a line feed \
         (dos2unix or mac2unix)"
    } else {
        return checked;
    };
    let effect = checked
        .finding
        .map_or(LoadgenAction::Takes, |(_, finding)| finding.effect);
    checked.finding = Some((
        true,
        Finding {
            line: number,
            text: special.into(),
            effect,
        },
    ));
    checked
}

fn shown(word: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(word)
}

fn dropped(name: &[u8], found: &[u8], as_value: bool) -> Problem {
    let (shown_name, shown_found) = (shown(name), shown(found));
    let text = if name.starts_with(b"#") {
        format!(
            "found '{shown_name}', expected a space after '#': without it the word is a name, and '=' and a number must follow"
        )
    } else if as_value && found.starts_with(b"#") {
        format!(
            "found the comment '{shown_found}' after the value of {shown_name}; put the comment on a line of its own"
        )
    } else if as_value {
        format!("found '{shown_found}' as the value of {shown_name}, expected a number")
    } else if found.contains(&b'=') || name.contains(&b'=') {
        format!(
            "found '{shown_name} {shown_found}', expected 'model.scenario.key = value'; put a space on both sides of '='"
        )
    } else {
        format!("found '{shown_name} {shown_found}', expected 'model.scenario.key = value'")
    };
    (text, LoadgenAction::DropsFile)
}

/// Whether the line means a setting of ours, and what is wrong with it.
fn no_value(name: &[u8], equals: bool, kind: Kind) -> (bool, Problem) {
    if equals {
        let text = format!("{} has no value, expected a number after '='", shown(name));
        return (ours(name, kind).is_ok(), (text, LoadgenAction::Ignores));
    }
    let meant = name.split(|b| *b == b'=').next().unwrap_or_default();
    let hint = match meant.len() < name.len() {
        true => "; put a space on both sides of '='",
        false => "",
    };
    let text = format!(
        "found '{}', expected 'model.scenario.key = value'{hint}",
        shown(name)
    );
    (ours(meant, kind).is_ok(), (text, LoadgenAction::Ignores))
}

/// Model, scenario and key of a name that LoadGen looks up in some run of the benchmark; else why it does not.
fn ours(name: &[u8], kind: Kind) -> Result<(&str, &str, keys::Key), String> {
    let Ok(text) = std::str::from_utf8(name) else {
        return Err(format!(
            "found the name '{}', which is not UTF-8",
            shown(name)
        ));
    };
    // From the right: model names may contain dots.
    let mut parts = text.rsplitn(3, '.');
    let (Some(key), Some(scenario), Some(model)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(format!(
            "found the key '{text}', expected three parts: model.scenario.key, as in *.*.min_duration"
        ));
    };
    keys::check_model(model, kind).map_err(|why| format!("{text}: {why}"))?;
    keys::check_scenario(scenario).map_err(|why| format!("{text}: {why}"))?;
    let key = keys::check_key(key, scenario, kind).map_err(|why| format!("{text}: {why}"))?;
    Ok((model, scenario, key))
}

/// What is wrong with a value, or with setting the key at all.
fn value(
    name: &[u8],
    model: &str,
    key: keys::Key,
    values: &[&str],
    kind: Kind,
) -> Result<(), Problem> {
    let name = shown(name);
    if key.name == "mode" && kind == Kind::User {
        let text = format!(
            "{name} overrides what the command line asks for; remove the line and use --mode"
        );
        return Err((text, LoadgenAction::Takes));
    }
    // A wildcard here beats the exact key in mlperf.conf, because LoadGen reads this file later.
    if kind == Kind::User && model == "*" && keys::LIMITS.contains(&key.name) {
        let text = format!(
            "{name} would replace the benchmark's own limit, which mlperf.conf sets for the model by name; remove the line, \
             or name the model if a run with another limit is meant (a test run)"
        );
        return Err((text, LoadgenAction::Takes));
    }
    let &[value] = values else {
        let found = values.join(" ");
        let last = values.last().copied().unwrap_or_default();
        return Err((
            format!("{name}: found '{found}', expected one value; LoadGen takes the last"),
            match key.check_value(last) {
                Err((_, effect)) => effect,
                Ok(()) => LoadgenAction::Takes,
            },
        ));
    };
    key.check_value(value)
        .map_err(|(text, effect)| (format!("{name}: {text}"), effect))
}
