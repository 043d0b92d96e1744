//! Who measured the power, and what each says, from power.json.

use serde_json::Value;

use super::Shown;
use super::panel::Panel;
use super::table::{Cell, Table, plain};
use crate::run::number;

/// Lines of a table from outside.
const MOST: usize = 400;

pub(super) fn panel(one: &Shown<'_>, panel: &mut Panel) {
    let list = |name: &str| {
        one.run
            .power
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .take(MOST)
    };
    let text = |value: &Value, name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or("–")
            .to_owned()
    };
    let figure = |value: &Value, name: &str| {
        let figure = value.get(name).and_then(number);
        Cell::text(figure.map_or("–".into(), crate::number::shown))
    };
    let line = |source: &Value| {
        vec![
            Cell::text(text(source, "name")),
            Cell::text(text(source, "kind")),
            figure(source, "energy_j"),
            figure(source, "mean_w"),
            figure(source, "max_w"),
            figure(source, "readings"),
        ]
    };
    let lines: Vec<Vec<Cell>> = list("sources").map(line).collect();
    if !lines.is_empty() {
        let used = one
            .run
            .power
            .get("source")
            .and_then(Value::as_str)
            .unwrap_or("none");
        panel.tables.push(Table {
            caption: format!(
                "Energy over LoadGen's window, by source; used is {}",
                plain(used)
            ),
            head: ["source", "kind", "J", "mean W", "max W", "readings"]
                .map(str::to_owned)
                .into(),
            lines,
        });
    }
    let left_out =
        list("left_out").filter(|source| source.get("absent") != Some(&Value::Bool(true)));
    let why = left_out.map(|source| {
        let reason = source
            .pointer("/reasons/0")
            .and_then(Value::as_str)
            .unwrap_or("no reason is given");
        format!("{}: {reason}", text(source, "name"))
    });
    panel.list("Sources that were left out", why);
}
