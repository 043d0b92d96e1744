//! How values are spread: latencies, lengths of answers, first tokens by prompt, the slowest samples.

use super::panel::{Panel, Plot, Section};
use super::table::{Cell, Table};
use super::time::with_limit;
use super::{Shown, section};
use crate::chart::{Axis, Chart, Filled};
use crate::figures::{Distribution, Slow, test09};
use crate::number::{count, shown as number};
use crate::prompts::CELLS;

pub(super) fn sections(shown: &[Shown<'_>]) -> Vec<Section> {
    let mut sections = Vec::new();
    sections.push(section(
        "Distributions",
        "Share of the samples that were as fast or faster, by LoadGen's percentiles.",
        shown,
        |one, panel| {
            let figures = one.figures;
            for (name, of) in [
                ("TTFT", &figures.ttft),
                ("TPOT", &figures.tpot),
                ("Latency", &figures.latency),
            ] {
                if let Some(distribution) = of {
                    distribution_plot(one, panel, name, distribution);
                }
            }
        },
    ));
    let band = test09().map_or(String::new(), |(from, to)| {
        format!("TEST09 wants a mean between {from} and {to}, with the benchmark's data set and no other: the shaded band.")
    });
    sections.push(section("Lengths of answers", band, shown, lengths));
    sections.push(section(
        "First token by length of prompt",
        format!(
            "Samples in cells of a {}th by a {}th, the darker the more.",
            CELLS.0, CELLS.1
        ),
        shown,
        prompts,
    ));
    sections.push(section(
        "Slowest samples",
        "By latency, the slowest first.",
        shown,
        |one, panel| {
            if !one.figures.slowest.is_empty() {
                panel.tables.push(slowest(one));
            }
        },
    ));
    sections
}

fn distribution_plot(one: &Shown<'_>, panel: &mut Panel, name: &str, of: &Distribution) {
    let limits = &one.figures.summary.limits;
    let limit = limits
        .iter()
        .find(|limit| limit.name.name() == name)
        .map(|limit| limit.limit_ms);
    let greatest = of.steps_ms.last().copied().unwrap_or_default();
    let (title, to) = with_limit(&format!("{name} in ms"), greatest, limit);
    let share = |i: usize| 100.0 * i as f64 / (of.steps_ms.len() - 1) as f64;
    let chart = Chart {
        x: Axis {
            name: format!("{name} in ms"),
            to: 1.03 * to,
        },
        y: Axis {
            name: "% of samples".into(),
            to: 100.0,
        },
        lines: vec![
            of.steps_ms
                .iter()
                .enumerate()
                .map(|(i, value)| (*value, share(i)))
                .collect(),
        ],
        upright: limit.into_iter().collect(),
        ..Chart::default()
    };
    let figure = |part: &str| one.name(&format!("{}.all.{part}", name.to_lowercase()));
    let mut lines = vec![vec![
        Cell::text("mean"),
        Cell::figure(figure("mean_ms"), of.mean_ms, " ms"),
    ]];
    for (label, value) in [
        ("p10", of.at(0.1)),
        ("p50", of.at(0.5)),
        ("p90", of.at(0.9)),
        ("p95", of.at(0.95)),
        ("p99", of.p99_ms),
        ("p99.9", of.p999_ms),
        ("max", greatest),
    ] {
        lines.push(vec![
            Cell::text(label),
            Cell::figure(figure(&format!("{label}_ms")), value, " ms"),
        ]);
    }
    let table = Table {
        caption: format!("{name} of {} samples", count(of.samples)),
        head: vec!["percentile".into(), "value".into()],
        lines,
    };
    panel.plots.push(Plot::new(title, &[], &chart, table));
}

fn lengths(one: &Shown<'_>, panel: &mut Panel) {
    let Some(lengths) = &one.figures.lengths else {
        return;
    };
    let width = f64::from(lengths.width);
    let most = lengths.bars.iter().copied().max().unwrap_or_default() as f64;
    let bar = |(i, samples): (usize, &u64)| {
        let from = i as f64 * width;
        Filled {
            from: (from, 0.0),
            to: (from + width, *samples as f64),
            strength: 0.8,
        }
    };
    let band = test09().filter(|(_, to)| *to <= 3.0 * f64::from(lengths.most));
    let to = (lengths.bars.len() as f64 * width).max(band.map_or(0.0, |(_, to)| to));
    let chart = Chart {
        x: Axis {
            name: "tokens of an answer".into(),
            to,
        },
        y: Axis {
            name: "samples".into(),
            to: 1.05 * most,
        },
        boxes: lengths.bars.iter().enumerate().map(bar).collect(),
        upright: vec![lengths.mean],
        shades: band.into_iter().collect(),
        ..Chart::default()
    };
    let line = |(i, samples): (usize, &u64)| {
        let from = i as u64 * u64::from(lengths.width);
        let to = from + u64::from(lengths.width) - 1;
        vec![
            Cell::text(format!("{} to {}", count(from), count(to))),
            Cell::text(count(*samples)),
        ]
    };
    let table = Table {
        caption: "Answers by length".into(),
        head: vec!["tokens".into(), "samples".into()],
        lines: lengths.bars.iter().enumerate().map(line).collect(),
    };
    let title = format!(
        "Answers by tokens; their mean, {}, is the line",
        number(lengths.mean)
    );
    panel.plots.push(Plot::new(title, &[], &chart, table));
    if lengths.at_limit > 0 {
        let all = count(lengths.samples);
        let sentence = format!(
            "{} of {all} answers ended at the most tokens that were allowed",
            count(lengths.at_limit)
        );
        panel.list("Cut answers", [sentence]);
    }
}

fn prompts(one: &Shown<'_>, panel: &mut Panel) {
    let Some(prompts) = &one.figures.prompts else {
        return;
    };
    let most = prompts.cells.values().copied().max().unwrap_or(1) as f64;
    let (wide, high) = (
        f64::from(prompts.most_tokens.max(1)) / f64::from(CELLS.0),
        prompts.most_ms / f64::from(CELLS.1),
    );
    let cell = |((x, y), samples): (&(u32, u32), &u64)| {
        let from = (f64::from(*x) * wide, f64::from(*y) * high);
        Filled {
            from,
            to: (from.0 + wide, from.1 + high),
            strength: 0.25 + 0.75 * (*samples as f64).ln_1p() / most.ln_1p(),
        }
    };
    let chart = Chart {
        x: Axis {
            name: "tokens of the prompt".into(),
            to: f64::from(prompts.most_tokens.max(1)),
        },
        y: Axis {
            name: "TTFT in ms".into(),
            to: prompts.most_ms,
        },
        boxes: prompts.cells.iter().map(cell).collect(),
        ..Chart::default()
    };
    let line = |line: &crate::prompts::Line| {
        vec![
            Cell::text(format!(
                "{} to {}",
                count(line.tokens.0.into()),
                count(line.tokens.1.into())
            )),
            Cell::text(count(line.samples)),
            Cell::text(number(line.p50_ms)),
            Cell::text(number(line.p99_ms)),
        ]
    };
    let table = Table {
        caption: "TTFT by length of prompt".into(),
        head: ["prompt tokens", "samples", "p50 ms", "p99 ms"]
            .map(str::to_owned)
            .into(),
        lines: prompts.lines.iter().map(line).collect(),
    };
    panel.plots.push(Plot::new(
        "TTFT by tokens of the prompt",
        &[],
        &chart,
        table,
    ));
}

fn slowest(one: &Shown<'_>) -> Table {
    let head = [
        "request",
        "row",
        "prompt",
        "answer",
        "issued s",
        "TTFT ms",
        "TPOT ms",
        "latency ms",
        "end",
        "engine",
    ];
    let line = |(i, slow): (usize, &Slow)| {
        let name = |part: &str| one.name(&format!("slowest.{i}.{part}"));
        vec![
            Cell::count(name("request"), slow.request),
            Cell::text(slow.sample_index),
            Cell::text(count(slow.prompt_tokens.into())),
            Cell::text(count(slow.output_tokens.into())),
            Cell::text(format!("{:.2}", slow.issued_s)),
            Cell::maybe(name("ttft_ms"), slow.ttft_ms, ""),
            Cell::maybe(name("tpot_ms"), slow.tpot_ms, ""),
            Cell::figure(name("latency_ms"), slow.latency_ms, ""),
            Cell::text(slow.end),
            Cell::text(slow.engine),
        ]
    };
    Table {
        caption: "The slowest samples".into(),
        head: head.map(str::to_owned).into(),
        lines: one.figures.slowest.iter().enumerate().map(line).collect(),
    }
}
