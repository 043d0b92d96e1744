//! Whether a run was steady, and from which pass to which: MLCommons' detector (P 4.4, its client of September 2026).
//!
//! The series are percentiles of the time per token, a value for each pass over the data set. Passes before the steady level
//! are left out, at least one; then windows of at least four passes grow from the left as long as neither percentile has a
//! trend that matters nor scatters. The first window that is long enough counts, unless a later one is on another level.
//! Time to the first token is watched and decides nothing.

mod passes;
mod trend;

use serde::Serialize;

use self::passes::{Pass, issue_span_s, mean_tpot, passes};
use self::trend::{
    LEAST, Trend, change_of_level, drift, lower, median, non_zero, trend, variation,
};
use crate::rules::rules;

pub use self::passes::Sample;

/// A pass this far from the steady level belongs to the start.
const STEADY_BAND: f64 = 0.05;
/// A trend that changes less from end to end does not matter.
const LEAST_DRIFT: f64 = 0.05;
/// Coefficient of variation of the passes' percentiles.
const MOST_VARIATION: f64 = 0.08;
/// Another level of the time per token.
const LEVEL_BAND: f64 = 0.05;
/// A window lasts at least this long, and this many times the 90th percentile of the latencies.
const LEAST_S: f64 = 600.0;
const LATENCIES: f64 = 5.0;
/// Of a run; a data set of some thousand rows is passed some dozen times.
const MOST_PASSES: usize = 1000;
/// Passes until the mean is known to 5 %: (1.96 variation / 0.05)^2.
const PRECISION: f64 = 1.96 / 0.05;

/// What the detector says. Passes are counted from 0.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SteadyState {
    /// As `point.yaml` has it: `STEADY STATE`, `drifting_up`, `drifting_down`, `anomaly`, `not found`.
    pub verdict: &'static str,
    /// As `point.yaml` has it: `windowable` or why not.
    pub status: &'static str,
    /// The window that counts; of a run without one the longest that was steady.
    pub window: Option<Window>,
    /// Of the time per token, from the window to the end: `Plateau`, `Drifting Up`, `Drifting Down`.
    pub state: State,
    /// Passes of the run, the last perhaps in part.
    pub passes: usize,
    /// Passes before the steady level.
    pub left_out: usize,
    /// All windows that are steady by themselves, first and last pass.
    pub plateaus: Vec<(usize, usize)>,
    /// What the window has to last, in seconds.
    pub least_s: Option<f64>,
    /// Output tokens a second after the first fragments, from the first issue to the last.
    pub window_tps: Option<f64>,
    /// Percent of the time per token by which a later plateau differs, of an anomaly.
    pub level_shift_percent: Option<f64>,
    /// The time to the first token rises from the window on.
    pub ttft_rises: bool,
}

/// As `point.yaml` has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Window {
    /// The first pass.
    pub super_pass_start: usize,
    /// The last pass.
    pub super_pass_end: usize,
    /// Rows of the data set.
    pub super_pass_size: usize,
    /// Samples in it.
    pub n_samples: usize,
    /// From the first issue to the last.
    pub duration_s: f64,
}

/// Of each percentile that decides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct State {
    /// Median.
    pub tpot_p50: &'static str,
    /// 90th percentile.
    pub tpot_p90: &'static str,
}

/// Judges the tracked samples of a run at a concurrency, in the order in which they were issued, over a data set of `rows`.
pub fn steady_state(samples: &[Sample], rows: usize, concurrency: u64) -> SteadyState {
    let all = passes(samples, rows, MOST_PASSES);
    let left_out = start(&all).min(all.len());
    let rest = &all[left_out..];
    let plateaus = plateaus(rest);
    let inside = |at: usize| &rest[plateaus[at].0..plateaus[at].1];
    let each = 0..plateaus.len();
    let spans: Vec<f64> = each.clone().map(|at| issue_span_s(inside(at))).collect();
    let needed: Vec<f64> = each.clone().map(|at| least_s(inside(at))).collect();
    let enough = each.clone().find(|at| spans[*at] >= needed[*at]);
    let longest = each.reduce(|a, b| if spans[b] > spans[a] { b } else { a });
    let chosen = enough.or(longest);
    let shift = chosen.and_then(|at| level_shift(rest, &plateaus, at));
    let from = chosen.map_or(0, |at| plateaus[at].0);
    let tpot = trends(rest[from..].iter().filter_map(|pass| pass.tpot));
    let ttft = trends(rest[from..].iter().filter_map(|pass| pass.ttft));
    let window = chosen.map(|at| Window {
        super_pass_start: left_out + plateaus[at].0,
        super_pass_end: left_out + plateaus[at].1 - 1,
        super_pass_size: rows,
        n_samples: inside(at).iter().map(Pass::len).sum(),
        duration_s: spans[at],
    });
    let tokens = |at| inside(at).iter().map(Pass::tokens).sum::<u64>() as f64;
    let ends = plateaus.iter();
    let ends = ends.map(|(lo, hi)| (left_out + lo, left_out + hi - 1));
    SteadyState {
        verdict: match (enough, shift) {
            (Some(_), Some(_)) => "anomaly",
            (Some(_), None) => "STEADY STATE",
            (None, _) if tpot.contains(&Trend::Up) => "drifting_up",
            (None, _) if tpot.contains(&Trend::Down) => "drifting_down",
            (None, _) => "not found",
        },
        status: status(samples.len(), rows, chosen.map(|at| spans[at]), concurrency),
        window,
        state: State {
            tpot_p50: named(tpot[0]),
            tpot_p90: named(tpot[1]),
        },
        passes: all.len(),
        left_out,
        plateaus: ends.collect(),
        least_s: chosen.map(|at| needed[at]),
        window_tps: enough.map(|at| tokens(at) / spans[at]),
        level_shift_percent: shift,
        ttft_rises: ttft.contains(&Trend::Up),
    }
}

fn named(trend: Trend) -> &'static str {
    match trend {
        Trend::Up => "Drifting Up",
        Trend::Down => "Drifting Down",
        Trend::Steady => "Plateau",
    }
}

/// Whether the window may stand for the point (P 4.4): its least duration is the region's.
fn status(samples: usize, rows: usize, span_s: Option<f64>, concurrency: u64) -> &'static str {
    const ULTRA_LOW: u64 = 32;
    let points = &rules().points;
    let least_ms = if concurrency <= ULTRA_LOW {
        points.min_duration_ms_ultra_low.value
    } else {
        points.min_duration_ms.value
    };
    match span_s {
        Some(span) if span * 1000.0 >= least_ms => "windowable",
        Some(_) => "insufficient_duration",
        None if samples < rows => "partial_dataset",
        None => "insufficient_passes",
    }
}

/// How many passes come before the steady level, which is the median of the later half: at least one, at most half.
fn start(all: &[Pass<'_>]) -> usize {
    let [medians, _] = series(all.iter().filter_map(|pass| pass.tpot));
    if medians.len() < LEAST {
        return 1;
    }
    let level = non_zero(median(&medians[medians.len() / 2..]));
    let off = |v: &&f64| (**v - level).abs() / level > STEADY_BAND;
    let most = medians.len() / 2;
    medians.iter().take(most).take_while(off).count().max(1)
}

/// Windows as long as they can be, from the left, first pass and the one after the last.
fn plateaus(rest: &[Pass<'_>]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut lo = 0;
    while lo + LEAST <= rest.len() {
        let ends = (lo + LEAST..=rest.len()).take_while(|hi| is_steady(&rest[lo..*hi]));
        match ends.last() {
            Some(hi) => {
                found.push((lo, hi));
                lo = hi;
            }
            None => lo += 1,
        }
    }
    found
}

fn is_steady(window: &[Pass<'_>]) -> bool {
    let tpot: Option<Vec<[f64; 2]>> = window.iter().map(|pass| pass.tpot).collect();
    tpot.is_some_and(|tpot| {
        series(tpot.into_iter()).iter().all(|values| {
            let drifts = trend(values).is_none_or(|trend| trend != Trend::Steady);
            !(drifts && drift(values).abs() >= LEAST_DRIFT) && variation(values) <= MOST_VARIATION
        })
    })
}

/// Medians, and 90th percentiles.
fn series(passes: impl Iterator<Item = [f64; 2]>) -> [Vec<f64>; 2] {
    let (medians, nineties) = passes.map(|[a, b]| (a, b)).unzip();
    [medians, nineties]
}

fn trends(passes: impl Iterator<Item = [f64; 2]>) -> [Trend; 2] {
    series(passes).map(|values| trend(&values).unwrap_or(Trend::Steady))
}

/// What a window has to last.
fn least_s(window: &[Pass<'_>]) -> f64 {
    let [medians, _] = series(window.iter().filter_map(|pass| pass.tpot));
    let needed = (PRECISION * variation(&medians)).powi(2).ceil();
    let spans = window.iter().map(|pass| issue_span_s(&[*pass]));
    let spans: Vec<f64> = spans.filter(|span| *span > 0.0).collect();
    // Four passes are enough by themselves.
    let precise = if needed > LEAST as f64 {
        needed * median(&spans)
    } else {
        0.0
    };
    let latencies = window.iter().flat_map(Pass::latency).collect();
    let settled = LATENCIES * lower(latencies, 0.9) / 1e9;
    precise.max(settled).max(LEAST_S)
}

/// Percent by which a plateau after the chosen one differs, where the run as a whole changes its level too.
fn level_shift(rest: &[Pass<'_>], plateaus: &[(usize, usize)], chosen: usize) -> Option<f64> {
    let (lo, hi) = plateaus[chosen];
    let level = Some(mean_tpot(&rest[lo..hi])).filter(|mean| *mean > 0.0)?;
    let means: Vec<f64> = rest.iter().map(|pass| pass.mean_tpot).collect();
    change_of_level(&means)?;
    let later = plateaus[chosen + 1..].iter();
    let mut shifts = later.map(|(lo, hi)| (mean_tpot(&rest[*lo..*hi]) - level) / level);
    let shift = shifts.find(|shift| shift.abs() > LEVEL_BAND)?;
    Some(100.0 * shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passes of ten samples with these times per token, in milliseconds, a pass lasting so many seconds.
    fn run(levels: &[f64], pass_s: f64) -> SteadyState {
        let mut samples = Vec::new();
        for (pass, level) in levels.iter().enumerate() {
            for i in 0..10 {
                let at = pass as f64 + f64::from(i) / 10.0;
                let tpot = level * 1e6 * (1.0 + f64::from(i) / 100.0);
                samples.push(Sample {
                    issued_ns: (at * pass_s * 1e9) as i64,
                    ttft_ns: Some(50_000_000),
                    tpot_ns: Some(tpot),
                    rest_tokens: 100,
                    latency_ns: Some(2_000_000_000),
                });
            }
        }
        steady_state(&samples, 10, 64)
    }

    #[test]
    fn a_flat_run_is_steady_from_its_second_pass() {
        let found = run(&[5.0, 5.1, 5.0, 5.05, 5.1, 5.0, 5.05], 300.0);
        assert_eq!(
            (found.verdict, found.status),
            ("STEADY STATE", "windowable")
        );
        let window = found.window.unwrap();
        assert_eq!(
            (
                window.super_pass_start,
                window.super_pass_end,
                window.n_samples
            ),
            (1, 6, 60)
        );
        assert!(
            (window.duration_s - 1770.0).abs() < 1e-6,
            "{}",
            window.duration_s
        );
        assert!((found.window_tps.unwrap() - 6000.0 / 1770.0).abs() < 1e-9);
        // The same, too short.
        let short = run(&[5.0, 5.1, 5.0, 5.05, 5.1, 5.0, 5.05], 30.0);
        assert_eq!(
            (short.verdict, short.status),
            ("not found", "insufficient_duration")
        );
        assert!(short.window.is_some() && short.window_tps.is_none());
    }

    #[test]
    fn starts_drifts_and_steps_are_told() {
        let start = run(&[2.0, 3.0, 5.0, 5.1, 5.0, 5.05, 5.1, 5.0], 400.0);
        assert_eq!((start.left_out, start.verdict), (2, "STEADY STATE"));
        let levels: Vec<f64> = (0..12).map(|i| 4.0 * 1.06f64.powi(i)).collect();
        let up = run(&levels, 40.0);
        assert_eq!(
            (up.verdict, up.state.tpot_p50),
            ("drifting_up", "Drifting Up")
        );
        let down: Vec<f64> = levels.into_iter().rev().collect();
        assert_eq!(run(&down, 40.0).verdict, "drifting_down");
        // The start is taken off by the level of the later half, so that a step there is another level and no start.
        let mut step = vec![5.0; 20];
        step.extend([7.0; 8]);
        let stepped = run(&step, 400.0);
        assert_eq!(stepped.verdict, "anomaly");
        assert!((stepped.level_shift_percent.unwrap() - 40.0).abs() < 1e-9);
    }

    #[test]
    fn too_little_is_no_panic() {
        assert_eq!(run(&[], 1.0).verdict, "not found");
        let few = run(&[5.0, 5.0], 1000.0);
        assert_eq!(
            (few.verdict, few.status, few.passes),
            ("not found", "insufficient_passes", 2)
        );
        let part = steady_state(&[Sample::default(); 3], 10, 1);
        assert_eq!((part.status, part.window), ("partial_dataset", None));
        let none = steady_state(
            &[
                Sample {
                    issued_ns: i64::MIN,
                    ..Sample::default()
                },
                Sample {
                    issued_ns: i64::MAX,
                    ..Sample::default()
                },
            ],
            0,
            1,
        );
        assert_eq!(none.verdict, "not found");
    }
}
