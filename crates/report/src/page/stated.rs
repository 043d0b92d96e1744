//! What files say of a run and what is not measured here: score, settings, where it comes from, hashes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::panel::{Panel, Section};
use super::table::{Cell, Table};
use super::{Shown, section};
use crate::run::{Hashed, number};

/// Lines of a table from outside.
const MOST: usize = 400;

pub(super) fn sections(shown: &[Shown<'_>]) -> Vec<Section> {
    vec![
        section(
            "Score",
            "From score.json, which `ossmark score --json` wrote there.",
            shown,
            score,
        ),
        section(
            "LoadGen's errors",
            "The first of them, as logged.",
            shown,
            |one, panel| {
                if let Some(log) = &one.run.log {
                    panel.list("Errors", log.errors.iter().take(20));
                }
            },
        ),
        section(
            "Settings",
            "As they were asked for, and as LoadGen used them (compliance runs change some).",
            shown,
            |one, panel| panel.tables.extend(settings(one)),
        ),
        section("Provenance", "From run_plan.json.", shown, |one, panel| {
            panel.tables.extend(provenance(one));
        }),
        section(
            "Files",
            "SHA-256 as verdict.json has it, and whether the files that lie there now are the same.",
            shown,
            |one, panel| {
                if !one.run.files.is_empty() {
                    panel.tables.push(hashes(&one.run.files));
                }
            },
        ),
    ]
}

fn score(one: &Shown<'_>, panel: &mut Panel) {
    let score = &one.run.score;
    let Some(sets) = score
        .pointer("/summary/per_dataset")
        .and_then(Value::as_object)
    else {
        return;
    };
    let cell = |set: &Value, field: &str| {
        let value = set.get(field).and_then(number);
        value.map_or_else(
            || Cell::text("–"),
            |value| Cell::text(crate::number::shown(value)),
        )
    };
    let fields = ["correct", "total", "accuracy", "repeats"];
    let line = |(name, set): (&String, &Value)| {
        let mut line = vec![Cell::text(name)];
        line.extend(fields.map(|field| cell(set, field)));
        line
    };
    let mut lines: Vec<Vec<Cell>> = sets.iter().take(MOST).map(line).collect();
    let exact = score.get("exact_match").and_then(number);
    let mut last = vec![Cell::text("exact_match"), Cell::text(""), Cell::text("")];
    last.push(Cell::maybe(one.name("exact_match"), exact, ""));
    last.push(Cell::text(""));
    lines.push(last);
    panel.tables.push(Table {
        caption: "Score by data set".into(),
        head: ["data set", "correct", "answers", "%", "repeats"]
            .map(str::to_owned)
            .into(),
        lines,
    });
    let findings = score.get("findings").and_then(Value::as_array);
    panel.list(
        "What the scorer found",
        findings.into_iter().flatten().take(MOST).map(short),
    );
}

fn settings(one: &Shown<'_>) -> Option<Table> {
    let log = one.run.log.as_ref()?;
    let mut lines: BTreeMap<&str, [Option<&Value>; 2]> = BTreeMap::new();
    for (which, settings) in [&log.requested, &log.effective].into_iter().enumerate() {
        for (name, value) in settings {
            lines.entry(name).or_default()[which] = Some(value);
        }
    }
    let line = |(name, values): (&str, [Option<&Value>; 2])| {
        let mut line = vec![Cell::text(name)];
        line.extend(values.map(|value| Cell::text(value.map_or("–".into(), short))));
        line
    };
    Some(Table {
        caption: "LoadGen's settings".into(),
        head: ["setting", "asked", "used"].map(str::to_owned).into(),
        lines: lines.into_iter().take(MOST).map(line).collect(),
    })
}

fn provenance(one: &Shown<'_>) -> Option<Table> {
    // LoadGen's are above, by the names of its log.
    let settings = one.run.settings().into_iter().filter(|(name, _)| {
        !name.starts_with("loadgen.") && !name.starts_with("requested_settings")
    });
    let mut lines: Vec<Vec<Cell>> = settings
        .take(MOST)
        .map(|(name, value)| vec![Cell::text(name), Cell::text(short(&value))])
        .collect();
    if let Some(sut) = one.run.log.as_ref().and_then(|log| log.sut.as_ref()) {
        lines.push(vec![Cell::text("SUT name in the log"), Cell::text(sut)]);
    }
    let table = Table {
        caption: "What was run, on what".into(),
        head: ["name", "value"].map(str::to_owned).into(),
        lines,
    };
    (!table.lines.is_empty()).then_some(table)
}

fn hashes(files: &[Hashed]) -> Table {
    let line = |file: &Hashed| {
        vec![
            Cell::text(&file.name),
            Cell::text(&file.stated),
            match (&file.found, file.is_same()) {
                (_, true) => Cell::text("same"),
                (Ok(found), false) => Cell::text(format!("NOT THE SAME: {found}")),
                (Err(why), _) => Cell::text(format!("NOT READ: {why}")),
            },
        ]
    };
    Table {
        caption: "Files of the run".into(),
        head: ["file", "SHA-256", "now"].map(str::to_owned).into(),
        lines: files.iter().map(line).collect(),
    }
}

/// A value as people write it: a text without quotes.
fn short(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
