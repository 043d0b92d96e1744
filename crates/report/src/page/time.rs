//! What happened over time: throughput, latency, open samples, the engine, power.

use std::collections::BTreeMap;

use ossmark_record::Second;

use super::panel::{Panel, Plot, Section};
use super::table::{Cell, Table};
use super::{Shown, power, section, speculation};
use crate::chart::{Axis, Chart};
use crate::figures::over_time;
use crate::steady::RULE;
use crate::windows::Window;

pub(super) fn sections(shown: &[Shown<'_>]) -> Vec<Section> {
    // On one scale, so that runs can be compared by eye.
    let to_s = most(shown, |one| one.figures.windows.end_s());
    let rate = most(shown, |one| greatest(one, |w| Some(w.tokens_per_s)));
    let ttft = most(shown, |one| greatest(one, |w| w.ttft_p99_ms));
    let tpot = most(shown, |one| greatest(one, |w| w.tpot_p99_ms));
    let open = most(shown, |one| greatest(one, |w| Some(w.open as f64)));
    vec![
        section(
            "Throughput over time",
            format!("Ramp and drain are shaded. {RULE}"),
            shown,
            |one, panel| {
                plot(
                    one,
                    panel,
                    "Output tokens/s",
                    ["tokens/s", ""],
                    (to_s, rate),
                    None,
                    |w| [Some(w.tokens_per_s), None],
                );
            },
        ),
        section(
            "Latency over time",
            "Median and 99th percentile of the samples that were completed in each window; LoadGen's limit is for all samples \
             together.",
            shown,
            |one, panel| {
                for (name, most) in [("TTFT", ttft), ("TPOT", tpot)] {
                    let limit = one
                        .figures
                        .summary
                        .limits
                        .iter()
                        .find(|limit| limit.name.name() == name);
                    let limit = limit.map(|limit| limit.limit_ms);
                    let title = format!("{name} in ms");
                    plot(
                        one,
                        panel,
                        &title,
                        ["p50", "p99"],
                        (to_s, most),
                        limit,
                        |w| match name {
                            "TTFT" => [w.ttft_p50_ms, w.ttft_p99_ms],
                            _ => [w.tpot_p50_ms, w.tpot_p99_ms],
                        },
                    );
                }
            },
        ),
        section(
            "Open samples",
            "Issued and not yet completed, at the end of each window.",
            shown,
            |one, panel| {
                plot(
                    one,
                    panel,
                    "Samples open",
                    ["open", ""],
                    (to_s, open),
                    None,
                    |w| [Some(w.open as f64), None],
                );
            },
        ),
        section(
            "Engine over time",
            "From timeline.jsonl, where the engine says it.",
            shown,
            |one, panel| {
                let kv = |s: &Second| {
                    Some(100.0 * s.kv_blocks_used? as f64 / s.kv_blocks.filter(|n| *n > 0)? as f64)
                };
                seconds(
                    one,
                    panel,
                    to_s,
                    "Sequences",
                    ["running", "waiting"],
                    [&|s| s.running.map(|n| n as f64), &|s| {
                        s.waiting.map(|n| n as f64)
                    }],
                );
                seconds(
                    one,
                    panel,
                    to_s,
                    "KV blocks used in %",
                    ["used", ""],
                    [&kv, &|_| None],
                );
                seconds(
                    one,
                    panel,
                    to_s,
                    "Mean rows of a step",
                    ["rows", ""],
                    [&|s| s.step_rows_mean, &|_| None],
                );
            },
        ),
        section(
            "Speculation",
            "A round drafts some tokens of a sequence and runs the model over all of them at once; each that is accepted saved a step.",
            shown,
            speculation::panel,
        ),
        section(
            "Power",
            "Of whatever was measured; which source's energy counts is in power.json.",
            shown,
            |one, panel| {
                seconds(
                    one,
                    panel,
                    to_s,
                    "Watts",
                    ["W", ""],
                    [&|s| s.power_w, &|_| None],
                );
                power::panel(one, panel);
            },
        ),
    ]
}

fn most(shown: &[Shown<'_>], of: impl Fn(&Shown<'_>) -> f64) -> f64 {
    shown
        .iter()
        .map(of)
        .filter(|value| value.is_finite())
        .fold(0.0, f64::max)
}

fn greatest(one: &Shown<'_>, of: impl Fn(&Window) -> Option<f64>) -> f64 {
    one.figures
        .windows
        .windows
        .iter()
        .filter_map(of)
        .fold(0.0, f64::max)
}

/// A plot of windows; the limit is drawn, and the axis goes beyond it where that leaves the lines readable.
fn plot(
    one: &Shown<'_>,
    panel: &mut Panel,
    title: &str,
    keys: [&str; 2],
    (to_s, most): (f64, f64),
    limit: Option<f64>,
    of: impl Fn(&Window) -> [Option<f64>; 2],
) {
    let windows = &one.figures.windows;
    if windows.windows.is_empty() {
        return;
    }
    let line = |which: usize| -> Vec<(f64, f64)> {
        let point = |w: &Window| Some((w.from_s + windows.width_s / 2.0, of(w)[which]?));
        windows.windows.iter().filter_map(point).collect()
    };
    let lines = [line(0), line(1)];
    if lines.iter().all(Vec::is_empty) {
        return;
    }
    let (title, most) = with_limit(title, most, limit);
    let mut shades = Vec::new();
    if let Some(part) = &one.figures.summary.steady {
        shades = vec![(0.0, part.from_s), (part.to_s, windows.end_s())];
        shades.retain(|(from, to)| from < to);
    }
    let chart = Chart {
        x: Axis {
            name: "seconds from the start of the test".into(),
            to: to_s,
        },
        y: Axis {
            name: String::new(),
            to: 1.05 * most,
        },
        lines: lines.into(),
        level: limit.into_iter().collect(),
        shades,
        ..Chart::default()
    };
    let keys: Vec<&str> = keys.into_iter().filter(|key| !key.is_empty()).collect();
    let cells = |w: &Window| {
        let mut cells = vec![Cell::text(format!("{:.1}", w.from_s))];
        cells.extend(of(w).iter().take(keys.len()).map(|value| match value {
            Some(value) => Cell::text(crate::number::shown(*value)),
            None => Cell::text("–"),
        }));
        cells
    };
    let table = Table {
        caption: format!("{title}, from each second on for {:.2} s", windows.width_s),
        head: std::iter::once("from s")
            .chain(keys.iter().copied())
            .map(str::to_owned)
            .collect(),
        lines: windows.windows.iter().map(cells).collect(),
    };
    panel.plots.push(Plot::new(title, &keys, &chart, table));
}

/// The title and the end of an axis of `most` when there is a limit: beyond three times what was seen it is only said.
pub(super) fn with_limit(title: &str, most: f64, limit: Option<f64>) -> (String, f64) {
    match limit {
        None => (title.into(), most),
        Some(limit) if limit <= 3.0 * most => (
            format!("{title}; limit {}", crate::number::shown(limit)),
            most.max(limit),
        ),
        Some(limit) => (
            format!(
                "{title}; the limit, {}, is outside of the plot",
                crate::number::shown(limit)
            ),
            most,
        ),
    }
}

type Value<'a> = &'a dyn Fn(&Second) -> Option<f64>;

/// A plot of the timeline, where it has any of the values.
fn seconds(
    one: &Shown<'_>,
    panel: &mut Panel,
    to_s: f64,
    title: &str,
    keys: [&str; 2],
    of: [Value<'_>; 2],
) {
    let lines = of.map(|of| over_time(&one.run.seconds, of));
    if lines.iter().all(Vec::is_empty) {
        return;
    }
    let most = lines
        .iter()
        .flatten()
        .map(|(_, value)| *value)
        .fold(0.0, f64::max);
    let last = lines.iter().flatten().map(|(t, _)| *t).fold(to_s, f64::max);
    let keys: Vec<&str> = keys.into_iter().filter(|key| !key.is_empty()).collect();
    let lines = Vec::from(lines);
    let mut head = vec!["s".to_owned()];
    head.extend(keys.iter().map(|key| (*key).to_owned()));
    let table = Table {
        caption: title.into(),
        head,
        lines: by_time(&lines[..keys.len()]),
    };
    let chart = Chart {
        x: Axis {
            name: "seconds from the start of the test".into(),
            to: last,
        },
        y: Axis {
            name: String::new(),
            to: 1.05 * most,
        },
        lines,
        ..Chart::default()
    };
    panel.plots.push(Plot::new(title, &keys, &chart, table));
}

/// A line of cells for each time that any of the lines has a value at; the last, where it has several.
fn by_time(lines: &[Vec<(f64, f64)>]) -> Vec<Vec<Cell>> {
    let mut by_time: BTreeMap<u64, Vec<Option<f64>>> = BTreeMap::new();
    for (i, (t, value)) in lines
        .iter()
        .enumerate()
        .flat_map(|(i, line)| line.iter().map(move |point| (i, *point)))
    {
        // From 0 on their bits are in their order; -0 would be last.
        let values = by_time.entry((t + 0.0).to_bits());
        values.or_insert_with(|| vec![None; lines.len()])[i] = Some(value);
    }
    let cells = |(t, values): (u64, Vec<Option<f64>>)| {
        let mut line = vec![Cell::text(format!("{:.1}", f64::from_bits(t)))];
        line.extend(
            values
                .into_iter()
                .map(|value| Cell::text(value.map_or("–".into(), crate::number::shown))),
        );
        line
    };
    by_time.into_iter().map(cells).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_table_has_the_values_of_its_time() {
        let lines = [
            vec![(2.0, 20.0), (1.0, 10.0), (1.0, 11.0)],
            vec![(-0.0, 0.5), (2.0, 0.25)],
        ];
        let found: Vec<Vec<String>> = by_time(&lines)
            .into_iter()
            .map(|line| line.into_iter().map(|cell| cell.text).collect())
            .collect();
        assert_eq!(
            found,
            [
                ["0.0", "–", "0.5000"],
                ["1.0", "11", "–"],
                ["2.0", "20", "0.2500"]
            ]
        );
    }
}
