//! The page of a search: what was found, each run with what the model had thought of it, both latencies over the load.

use super::panel::{Panel, Plot, Section};
use super::table::{Cell, Table, plain};
use super::verdict::Card;
use crate::chart::{Axis, Chart};
use crate::number::shown;
use crate::peak::{Peak, PeakRun};

pub(super) fn card(peak: &Peak) -> Card {
    Card {
        letter: String::new(),
        dir: plain(&peak.title),
        kind: match peak.is_found {
            true => "valid",
            false => "invalid",
        },
        sentence: plain(&peak.sentence),
        notices: peak.notices.iter().map(plain).collect(),
        limits: Vec::new(),
        reasons: Vec::new(),
        faults: Vec::new(),
        deviations: Vec::new(),
    }
}

/// One of a pair, where there is one.
fn part(pair: Option<[f64; 2]>, k: usize) -> Option<f64> {
    pair.map(|pair| pair[k])
}

pub(super) fn overview(peak: &Peak) -> Table {
    let head = [
        "run",
        "queries/s",
        "result",
        "samples",
        "seconds",
        "TTFT, ms",
        "predicted",
        "TPOT, ms",
        "predicted",
        "slower, TTFT",
        "slower, TPOT",
        "limit by it, queries/s",
    ];
    let lines = peak.runs.iter().map(|run| {
        let name = |figure: &str| format!("{}.{figure}", plain(&run.name));
        vec![
            Cell::text(&run.name),
            Cell::figure(name("target_qps"), run.target_qps, ""),
            Cell::text(&run.result),
            Cell::count(name("samples"), run.samples),
            Cell::figure(name("seconds"), run.seconds, ""),
            Cell::maybe(name("ttft_ms"), part(run.measured_ms, 0), ""),
            Cell::maybe(name("predicted_ttft_ms"), part(run.predicted_ms, 0), ""),
            Cell::maybe(name("tpot_ms"), part(run.measured_ms, 1), ""),
            Cell::maybe(name("predicted_tpot_ms"), part(run.predicted_ms, 1), ""),
            Cell::maybe(name("slower_ttft"), part(run.slower, 0), ""),
            Cell::maybe(name("slower_tpot"), part(run.slower, 1), ""),
            Cell::maybe(name("says_qps"), run.says_qps, ""),
        ]
    });
    Table {
        caption: "Runs".into(),
        head: head.map(str::to_owned).into(),
        lines: lines.collect(),
    }
}

pub(super) fn sections(peak: &Peak) -> Vec<Section> {
    let seen = |run: &PeakRun| run.measured_ms.is_some() || run.predicted_ms.is_some();
    if !peak.runs.iter().any(seen) {
        return Vec::new();
    }
    let names = ["Time to first token", "Time per output token"];
    let plots = names
        .iter()
        .enumerate()
        .map(|(k, name)| latency(peak, k, name));
    vec![Section {
        title: "Predicted and measured",
        about: "The model as it was before any run: each run corrects it. The limit is level, the load that was found upright, \
                the interval of the true limit set off. Short runs see fewer bursts than long ones, and so take a higher load; \
                they may have too few samples for early stopping, and be INVALID for that alone."
            .into(),
        panels: vec![Panel {
            plots: plots.collect(),
            ..Panel::default()
        }],
    }]
}

fn latency(peak: &Peak, k: usize, name: &str) -> Plot {
    let mut runs: Vec<&PeakRun> = peak.runs.iter().collect();
    runs.sort_by(|a, b| a.target_qps.total_cmp(&b.target_qps));
    let line = |of: fn(&PeakRun) -> Option<[f64; 2]>| -> Vec<(f64, f64)> {
        let points = runs.iter();
        points
            .filter_map(|run| Some((run.target_qps, part(of(run), k)?)))
            .collect()
    };
    let lines = vec![line(|run| run.measured_ms), line(|run| run.predicted_ms)];
    let limit = part(peak.limits_ms, k);
    let highest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    let all = || lines.iter().flatten();
    let interval = peak
        .interval
        .filter(|interval| interval.iter().all(|end| end.is_finite()));
    let shades = interval.into_iter().map(|[low, high]| (low, high));
    let chart = Chart {
        x: Axis {
            name: "queries/s".into(),
            to: 1.05 * highest(&mut all().map(|point| point.0)),
        },
        y: Axis {
            name: "ms".into(),
            to: 1.05 * highest(&mut all().map(|point| point.1).chain(limit)),
        },
        level: limit.into_iter().collect(),
        upright: peak.target_qps.into_iter().collect(),
        shades: shades.collect(),
        lines,
        ..Chart::default()
    };
    let dash = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), shown);
    let rows = runs.iter().map(|run| {
        vec![
            Cell::text(&run.name),
            Cell::text(shown(run.target_qps)),
            Cell::text(dash(part(run.measured_ms, k))),
            Cell::text(dash(part(run.predicted_ms, k))),
        ]
    });
    let table = Table {
        caption: name.into(),
        head: ["run", "queries/s", "measured, ms", "predicted, ms"]
            .map(str::to_owned)
            .into(),
        lines: rows.collect(),
    };
    let title = format!("{name}, ms, over queries/s");
    Plot::new(title, &["measured", "predicted"], &chart, table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::peak_page;

    fn run(name: &str, target_qps: f64) -> PeakRun {
        PeakRun {
            name: name.into(),
            target_qps,
            samples: 1000,
            seconds: 12.5,
            result: "VALID".into(),
            measured_ms: Some([250.5, 12.25]),
            predicted_ms: Some([200.0, 12.0]),
            slower: Some([1.125, 1.0]),
            says_qps: Some(46.5),
        }
    }

    #[test]
    fn every_run_is_there_with_what_was_thought_of_it() {
        let page = peak_page(&Peak {
            title: "out/peak".into(),
            sentence: "46 queries/s".into(),
            is_found: true,
            target_qps: Some(46.0),
            interval: Some([45.0, 47.0]),
            limits_ms: Some([3000.0, 80.0]),
            runs: vec![run("01-probe", 50.0), run("02-official", 46.0)],
            ..Peak::default()
        });
        for (name, value) in [
            ("01-probe.target_qps", "50"),
            ("01-probe.ttft_ms", "250.5"),
            ("02-official.predicted_tpot_ms", "12"),
            ("02-official.slower_ttft", "1.125"),
            ("02-official.says_qps", "46.5"),
        ] {
            assert!(
                page.contains(&format!("data-name=\"{name}\" value=\"{value}\"")),
                "{name}"
            );
        }
        // Two runs, measured and predicted, on either plot.
        assert_eq!(page.matches("data-points=\"4\"").count(), 2);
        assert!(!page.contains("<script"));
    }

    #[test]
    fn hostile_texts_and_figures_are_a_page() {
        let odd = PeakRun {
            name: "</script>\u{202e}".into(),
            result: "<b>".into(),
            measured_ms: Some([f64::NAN, f64::INFINITY]),
            says_qps: Some(f64::NEG_INFINITY),
            ..run("", f64::NAN)
        };
        let page = peak_page(&Peak {
            title: "<img src=x>".into(),
            sentence: "\u{1b}[2J".into(),
            interval: Some([f64::NAN, f64::MAX]),
            runs: vec![odd, PeakRun::default()],
            ..Peak::default()
        });
        for bad in ["<img", "<b>", "\u{1b}", "\u{202e}"] {
            assert!(!page.contains(bad), "{bad:?}");
        }
        assert!(peak_page(&Peak::default()).contains("Runs"));
    }
}
