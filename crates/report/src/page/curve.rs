//! The page of a curve: rates over rates, then each point's distributions.

use super::panel::{Panel, Plot, Section};
use super::table::{Cell, Table, plain};
use super::verdict::Card;
use crate::chart::{Axis, Chart, Filled};
use crate::curve::{Curve, CurvePoint, Spread};
use crate::number::shown;

pub(super) fn card(curve: &Curve) -> Card {
    let points = &curve.points;
    let best = points
        .iter()
        .filter_map(|point| Some((point, point.system_tps?)));
    let best = best.reduce(|a, b| if b.1 > a.1 { b } else { a });
    let sentence = match best {
        Some((point, tps)) => format!(
            "{} points; the most are {} tokens/s, at {} requests under way.",
            points.len(),
            shown(tps),
            point.concurrency
        ),
        None => format!("{} points, none with a rate.", points.len()),
    };
    Card {
        letter: String::new(),
        dir: plain(&curve.title),
        kind: "none",
        sentence,
        notices: curve.notices.iter().map(plain).collect(),
        limits: Vec::new(),
        reasons: Vec::new(),
        faults: Vec::new(),
        deviations: Vec::new(),
    }
}

pub(super) fn overview(curve: &Curve) -> Table {
    let head = [
        "point",
        "requests under way",
        "region",
        "tokens/s",
        "tokens/s a user",
        "TTFT p90, ms",
        "requests",
        "failed",
        "seconds",
        "kW",
        "tokens/s a kW",
        "steady state",
    ];
    let lines = curve.points.iter().map(|point| {
        let name = |figure: &str| format!("{}.{figure}", plain(&point.name));
        let ttft = point.spreads.iter().find(|spread| spread.name == "TTFT");
        let ttft = ttft.and_then(|spread| percentile(spread, 90.0));
        let per_kw = point
            .system_tps
            .zip(point.power_kw)
            .map(|(tps, kw)| tps / kw);
        vec![
            Cell::text(&point.name),
            Cell::count(name("concurrency"), point.concurrency),
            Cell::text(&point.region),
            Cell::maybe(name("system_tps"), point.system_tps, ""),
            Cell::maybe(name("tps_per_user"), point.tps_per_user, ""),
            Cell::maybe(name("ttft_p90_ms"), ttft, ""),
            Cell::count(name("requests"), point.requests),
            Cell::count(name("failed"), point.failed),
            Cell::figure(name("duration_s"), point.duration_s, ""),
            Cell::maybe(name("power_kw"), point.power_kw, ""),
            Cell::maybe(name("system_tps_per_kw"), per_kw, ""),
            // In words, which wrap where a name would not.
            Cell::text(point.steady.as_deref().unwrap_or("–").replace('_', " ")),
        ]
    });
    Table {
        caption: "Points".into(),
        head: head.map(str::to_owned).into(),
        lines: lines.collect(),
    }
}

fn percentile(spread: &Spread, percent: f64) -> Option<f64> {
    let found = spread.percentiles.iter().find(|(p, _)| *p == percent);
    found.map(|(_, value)| *value)
}

pub(super) fn sections(curve: &Curve) -> Vec<Section> {
    let mut sections = vec![Section {
        title: "The curve",
        about:
            "Published as a step function: a rate for a user is met by every point to its right."
                .into(),
        panels: vec![Panel {
            plots: vec![rates(curve), by_concurrency(curve)],
            ..Panel::default()
        }],
    }];
    let panels: Vec<Panel> = curve.points.iter().map(panel).collect();
    sections.push(Section {
        title: "Distributions",
        about: "As the client summarises them: percentiles are values that were seen, the buckets are evenly spaced logarithms.".into(),
        panels,
    });
    sections
}

/// Corners of the step function: each point holds for all rates of a user up to its own.
fn rates(curve: &Curve) -> Plot {
    let mut known: Vec<(f64, f64, &CurvePoint)> = curve
        .points
        .iter()
        .filter_map(|point| Some((point.tps_per_user?, point.system_tps?, point)))
        .collect();
    known.sort_by(|a, b| a.0.total_cmp(&b.0));
    // From the right: the best rate among those that serve a user at least as fast.
    let mut best = f64::NEG_INFINITY;
    let mut steps: Vec<(f64, f64)> = Vec::new();
    for (user, system, _) in known.iter().rev() {
        if best.is_finite() {
            steps.push((*user, best));
        }
        best = best.max(*system);
        steps.push((*user, best));
    }
    if let Some((_, last)) = steps.last().copied() {
        steps.push((0.0, last));
    }
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    let chart = Chart {
        x: Axis {
            name: "tokens/s a user".into(),
            to: 1.05 * most(&mut known.iter().map(|(user, ..)| *user)),
        },
        y: Axis {
            name: "tokens/s".into(),
            to: 1.05 * most(&mut known.iter().map(|(_, system, _)| *system)),
        },
        lines: vec![
            steps,
            known
                .iter()
                .map(|(user, system, _)| (*user, *system))
                .collect(),
        ],
        ..Chart::default()
    };
    let lines = known.iter().map(|(user, system, point)| {
        vec![
            Cell::text(&point.name),
            Cell::text(shown(*user)),
            Cell::text(shown(*system)),
        ]
    });
    let table = Table {
        caption: "Rates".into(),
        head: ["point", "tokens/s a user", "tokens/s"]
            .map(str::to_owned)
            .into(),
        lines: lines.collect(),
    };
    let keys = ["step function", "points"];
    Plot::new("Tokens/s over tokens/s a user", &keys, &chart, table)
}

fn by_concurrency(curve: &Curve) -> Plot {
    let points = || {
        curve
            .points
            .iter()
            .filter_map(|point| Some((point.concurrency as f64, point.system_tps?)))
    };
    let chart = Chart {
        x: Axis {
            name: "requests under way".into(),
            to: 1.05 * points().map(|(c, _)| c).fold(0.0, f64::max),
        },
        y: Axis {
            name: "tokens/s".into(),
            to: 1.05 * points().map(|(_, tps)| tps).fold(0.0, f64::max),
        },
        lines: vec![points().collect()],
        ..Chart::default()
    };
    let lines = points().map(|(c, tps)| vec![Cell::text(c), Cell::text(shown(tps))]);
    let table = Table {
        caption: "Rate by requests under way".into(),
        head: ["requests under way", "tokens/s"].map(str::to_owned).into(),
        lines: lines.collect(),
    };
    Plot::new(
        "Tokens/s over requests under way",
        &["tokens/s"],
        &chart,
        table,
    )
}

fn panel(point: &CurvePoint) -> Panel {
    let seen = point
        .spreads
        .iter()
        .filter(|spread| !spread.histogram.is_empty());
    Panel {
        run: plain(&point.name),
        plots: seen.map(histogram).collect(),
        tables: vec![percentiles(point)],
        ..Panel::default()
    }
}

fn histogram(spread: &Spread) -> Plot {
    let title = plain(format!("{}, {}", spread.name, spread.unit));
    // Buckets behind the highest value are empty.
    let last = spread
        .histogram
        .iter()
        .rposition(|(_, _, count)| *count > 0);
    let seen = &spread.histogram[..last.map_or(0, |last| last + 1)];
    let boxes = seen
        .iter()
        .filter(|(.., count)| *count > 0)
        .map(|(from, to, count)| Filled {
            from: (*from, 0.0),
            to: (*to, *count as f64),
            strength: 0.8,
        });
    let chart = Chart {
        x: Axis {
            name: title.clone(),
            to: seen.last().map_or(1.0, |(_, to, _)| *to),
        },
        y: Axis {
            name: "answers".into(),
            to: 1.05
                * seen
                    .iter()
                    .map(|(.., count)| *count as f64)
                    .fold(0.0, f64::max),
        },
        boxes: boxes.collect(),
        ..Chart::default()
    };
    let lines = seen.iter().map(|(from, to, count)| {
        vec![
            Cell::text(format!("{} to {}", shown(*from), shown(*to))),
            Cell::text(count),
        ]
    });
    let table = Table {
        caption: title.clone(),
        head: [spread.unit.as_str(), "answers"].map(plain).into(),
        lines: lines.collect(),
    };
    Plot::new(title, &[], &chart, table)
}

fn percentiles(point: &CurvePoint) -> Table {
    let mut head = vec!["percentile".to_owned()];
    head.extend(
        point
            .spreads
            .iter()
            .map(|spread| plain(format!("{}, {}", spread.name, spread.unit))),
    );
    let grid = point
        .spreads
        .first()
        .map(|spread| &spread.percentiles[..])
        .unwrap_or_default();
    let lines = grid.iter().map(|(p, _)| {
        let values = point.spreads.iter().map(|spread| {
            let name = format!("{}.{}.p{p}", plain(&point.name), plain(&spread.name));
            Cell::maybe(name, percentile(spread, *p), "")
        });
        std::iter::once(Cell::text(p)).chain(values).collect()
    });
    Table {
        caption: "Percentiles".into(),
        head,
        lines: lines.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::curve_page;

    fn point(name: &str, concurrency: u64, system: f64, user: f64) -> CurvePoint {
        CurvePoint {
            name: name.into(),
            concurrency,
            system_tps: Some(system),
            tps_per_user: Some(user),
            power_kw: Some(2.0),
            spreads: vec![Spread {
                name: "TTFT".into(),
                unit: "ms".into(),
                percentiles: vec![(90.0, 61.5), (50.0, 12.25)],
                histogram: vec![(1.0, 2.0, 3), (2.0, 4.0, 0), (4.0, 8.0, 5), (8.0, 16.0, 0)],
            }],
            ..CurvePoint::default()
        }
    }

    #[test]
    fn a_rate_for_a_user_is_met_by_the_best_point_that_is_as_fast() {
        let curve = Curve {
            points: vec![
                point("r1", 1, 100.0, 100.0),
                point("r8", 8, 400.0, 50.0),
                point("r9", 9, 300.0, 40.0),
            ],
            ..Curve::default()
        };
        let page = curve_page(&curve);
        for (name, value) in [
            ("r8.system_tps", "400"),
            ("r8.ttft_p90_ms", "61.5"),
            ("r8.system_tps_per_kw", "200"),
            ("r1.TTFT.p50", "12.25"),
        ] {
            assert!(
                page.contains(&format!("data-name=\"{name}\" value=\"{value}\"")),
                "{name}"
            );
        }
        // From the right: 100 up to 100 tokens/s, 400 up to 50; r9 is worse than r8 in both.
        let plot = rates(&curve);
        assert_eq!(plot.points, 6 + 3);
        assert!(!page.contains("<script") && page.contains("400 tokens/s, at 8 requests"));
        // Empty buckets behind the last value are not drawn.
        assert!(page.contains("data-points=\"2\""));
    }

    #[test]
    fn hostile_texts_and_figures_are_a_page() {
        let mut odd = point("</script>\u{202e}", u64::MAX, f64::NAN, f64::INFINITY);
        odd.spreads[0].histogram = vec![(f64::NAN, f64::INFINITY, u64::MAX); 3];
        odd.spreads[0].name = "<b>".into();
        let page = curve_page(&Curve {
            title: "<img src=x>".into(),
            notices: vec!["\u{1b}[2J".into()],
            points: vec![odd, CurvePoint::default()],
        });
        assert!(
            !page.contains("<img")
                && !page.contains("<b>")
                && !page.contains('\u{1b}')
                && !page.contains('\u{202e}')
        );
        assert!(curve_page(&Curve::default()).contains("none with a rate"));
    }
}
