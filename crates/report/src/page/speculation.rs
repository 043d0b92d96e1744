//! What a draft head was worth, from `metrics.speculation` of verdict.json, and which head it was, from run_plan.json.

use serde_json::Value;

use super::Shown;
use super::panel::Panel;
use super::table::{Cell, Table};
use crate::run::number;

/// The engine drafts fewer at a time.
const MOST: usize = 64;

/// A figure that verdict.json has of it.
pub(super) fn figure(one: &Shown<'_>, name: &str) -> Option<f64> {
    let verdict = one.run.verdict.as_ref()?;
    number(verdict.metrics.get("speculation")?.get(name)?)
}

/// The head, in a line; none where nothing was drafted.
pub(super) fn head(one: &Shown<'_>) -> Option<String> {
    let planned = one.run.plan.get("speculation").filter(|s| s.is_object())?;
    let text = |name: &str| planned.get(name).and_then(Value::as_str);
    let hash = text("tensors_sha256").unwrap_or("unknown");
    let short: String = hash.chars().take(12).collect();
    let steps = planned.get("steps").map_or("?".into(), Value::to_string);
    Some(format!(
        "{} (tensors' SHA-256 {short}…), {steps} tokens at a time",
        text("revision").or(text("head")).unwrap_or("a head"),
    ))
}

pub(super) fn panel(one: &Shown<'_>, panel: &mut Panel) {
    let Some(found) = one
        .run
        .verdict
        .as_ref()
        .and_then(|verdict| verdict.metrics.get("speculation"))
    else {
        return;
    };
    let of_place = |name: &str, place: usize| number(found.get(name)?.get(place)?);
    let places = |name: &str| {
        found
            .get(name)
            .and_then(Value::as_array)
            .map_or(0, Vec::len)
    };
    let line = |place: usize| {
        let (drafted, accepted) = (
            of_place("drafted_by_position", place),
            of_place("accepted_by_position", place),
        );
        let share = accepted
            .zip(drafted.filter(|drafted| *drafted > 0.0))
            .map(|(accepted, drafted)| 100.0 * accepted / drafted);
        let cell = |x: Option<f64>| Cell::text(x.map_or("–".into(), crate::number::shown));
        vec![
            Cell::text((place + 1).to_string()),
            cell(drafted),
            cell(accepted),
            cell(share),
        ]
    };
    let lines: Vec<_> = (0..places("drafted_by_position").min(MOST))
        .map(line)
        .collect();
    if lines.is_empty() {
        return;
    }
    panel.tables.push(Table {
        caption:
            "Drafted tokens by their place in the round; one is accepted only behind accepted ones"
                .into(),
        head: ["place", "drafted", "accepted", "%"]
            .map(str::to_owned)
            .into(),
        lines,
    });
    panel.list("Head", head(one));
}
