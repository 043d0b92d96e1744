//! Times of single samples: to the first token, and from token to token.

use std::collections::HashSet;

use ossmark_record::Row;

use crate::field::field;
use crate::finding::{Finding, Findings, Level};
use crate::kind::Kind;
use crate::logged::Logged;
use crate::statistics::{quantile, rank_correlation};

/// Fewer samples say nothing about how their times are spread.
const ENOUGH: usize = 100;
/// Answers of fewer tokens have a time per token that is mostly that of one step.
const TOKENS: u32 = 16;
/// The middle 90% of the times per token differ by less than this share of the median: no batch is that even. The most even of
/// the field has 2.4% from the median to percentile 99.
const EVEN: f64 = 0.002;

/// `is_benchmark`: the model is gpt-oss-120b, as far as anybody knows; smaller ones have no floor here.
pub(super) fn of_rows(rows: &[Row], is_benchmark: bool, place: &str, found: &mut Findings) {
    first_token(rows, is_benchmark, place, found);
    let long = rows.iter().filter(|row| row.output_tokens >= TOKENS);
    let times: Vec<i64> = long.filter_map(Row::tpot_ns).collect();
    if times.len() < ENOUGH {
        return found.skip(format!(
            "{place}: the times per output token; there are {} answers with {TOKENS} tokens and more whose times are known, \
             expected {ENOUGH}",
            times.len()
        ));
    }
    let mut sorted: Vec<f64> = times.iter().map(|ns| *ns as f64).collect();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| quantile(&sorted, share).unwrap_or(0.0);
    let median = at(0.5);
    if median <= 0.0 {
        return found.skip(format!(
            "{place}: the times per output token; tokens were reported together"
        ));
    }
    let spread = (at(0.95) - at(0.05)) / median;
    if spread < EVEN {
        found.add(Finding::new(
            Kind::OutputTimesConstant,
            Level::Ask,
            place,
            format!(
                "the middle 90% of {} times per output token lie within {:.4}%",
                times.len(),
                100.0 * spread
            ),
            field().ratio.tpot_p99_to_p50.usual(),
        ));
    }
    let distinct = times.iter().collect::<HashSet<_>>().len();
    if 2 * distinct < times.len() {
        found.add(Finding::new(
            Kind::OutputTimesRepeated,
            Level::Ask,
            place,
            format!(
                "{} times per output token have {distinct} values, in nanoseconds",
                times.len()
            ),
            "nearly as many values as samples",
        ));
    }
}

fn first_token(rows: &[Row], is_benchmark: bool, place: &str, found: &mut Findings) {
    let times = rows.iter().filter_map(|row| {
        let first = row.ttft_ns()?;
        Some((row.prompt_tokens, first as f64))
    });
    let times: Vec<(u32, f64)> = times.collect();
    if times.is_empty() {
        return found.skip(format!("{place}: the time to first token; no row has one"));
    }
    let floor = &field().floor;
    let below = times
        .iter()
        .filter(|(tokens, ns)| *ns < floor.first_token_ns(*tokens));
    let below = below.count();
    if below > 0 {
        let least = times
            .iter()
            .map(|(_, ns)| *ns)
            .fold(f64::INFINITY, f64::min);
        found.add(Finding::new(
            Kind::FirstTokenFloor,
            if is_benchmark {
                Level::Ask
            } else {
                Level::Note
            },
            place,
            format!(
                "{below} of {} first tokens came too soon, the soonest after {least} ns",
                times.len()
            ),
            floor.usual(),
        ));
    }
    length(&times, is_benchmark, place, found);
}

/// Whether long prompts take longer. In a system that is loaded, waiting hides that.
fn length(times: &[(u32, f64)], is_benchmark: bool, place: &str, found: &mut Findings) {
    let mut lengths: Vec<f64> = times.iter().map(|(tokens, _)| f64::from(*tokens)).collect();
    let mut firsts: Vec<f64> = times.iter().map(|(_, ns)| *ns).collect();
    lengths.sort_by(f64::total_cmp);
    firsts.sort_by(f64::total_cmp);
    let at = |values: &[f64], share: f64| quantile(values, share).unwrap_or(0.0);
    let differ = at(&lengths, 0.9) >= 3.0 * at(&lengths, 0.1).max(1.0);
    if times.len() < ENOUGH || !differ || at(&lengths, 0.9) < 512.0 {
        return found.skip(format!(
            "{place}: whether the time to first token depends on the prompt's length; lengths differ too little, or there are too \
             few prompts"
        ));
    }
    let pairs: Vec<(f64, f64)> = times
        .iter()
        .map(|(tokens, ns)| (f64::from(*tokens), *ns))
        .collect();
    let Some(correlation) = rank_correlation(&pairs) else {
        return;
    };
    let is_even = at(&firsts, 0.95) < 1.5 * at(&firsts, 0.05);
    // Of so many independent pairs a correlation is within three of these, nearly always.
    let chance = 3.0 / (times.len() as f64).sqrt();
    if correlation < chance {
        found.add(Finding::new(
            Kind::FirstTokenLength,
            if is_even && is_benchmark { Level::Ask } else { Level::Note },
            place,
            format!("rank correlation of the time to first token with the prompt's length: {correlation:.3}"),
            "above 0: a longer prompt takes longer, unless waiting takes longer still",
        ));
    }
}

/// The same of a log, which has percentiles only. It is of the benchmark.
pub(super) fn of_log(log: &Logged, place: &str, found: &mut Findings) {
    if log.is_offline() {
        return;
    }
    let floor = &field().floor;
    if let Some(least) = log.number("result_first_token_min_latency_ns")
        && least < floor.first_token_ns(1)
    {
        found.add(Finding::new(
            Kind::FirstTokenFloor,
            Level::Ask,
            place,
            format!("result_first_token_min_latency_ns {least}"),
            floor.usual(),
        ));
    }
    let at = |percent: &str| {
        log.positive(&format!(
            "result_time_per_output_token_{percent}_percentile_ns"
        ))
    };
    let Some((median, high)) = at("50.00").zip(at("99.00")) else {
        return found.skip(format!(
            "{place}: the times per output token; its log has none"
        ));
    };
    let ratio = high / median;
    if ratio < 1.0 + EVEN {
        found.add(Finding::new(
            Kind::OutputTimesConstant,
            Level::Ask,
            place,
            format!("percentile 99 of the time per output token over its median: {ratio:.5}"),
            field().ratio.tpot_p99_to_p50.usual(),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::honest;
    use super::*;

    fn levels(rows: &[Row], is_benchmark: bool) -> Vec<(&'static str, Level)> {
        let mut found = Findings::default();
        of_rows(rows, is_benchmark, "run", &mut found);
        found.findings.iter().map(|f| (f.name, f.level)).collect()
    }

    #[test]
    fn honest_times_are_as_usual_and_made_up_ones_are_not() {
        let (_, rows) = honest::server(2);
        assert_eq!(levels(&rows, true), []);

        let mut constant = rows.clone();
        for row in &mut constant {
            let steps = i64::from(row.output_tokens - 1);
            row.completed_ns = row.first_token_ns.map(|first| first + 30_000_000 * steps);
        }
        let constant = levels(&constant, true);
        assert_eq!(
            constant,
            [
                (Kind::OutputTimesConstant.name(), Level::Ask),
                (Kind::OutputTimesRepeated.name(), Level::Ask)
            ]
        );

        let mut quantised = rows.clone();
        for (n, row) in quantised.iter_mut().enumerate() {
            let steps = i64::from(row.output_tokens - 1);
            let ns = 25_000_000 + 1_000_000 * (n as i64 % 10);
            row.completed_ns = row.first_token_ns.map(|first| first + ns * steps);
        }
        assert_eq!(
            levels(&quantised, true),
            [(Kind::OutputTimesRepeated.name(), Level::Ask)]
        );

        let mut soon = rows.clone();
        for row in &mut soon {
            row.first_token_ns = row.scheduled_ns.map(|due| due + 1000);
        }
        let soon = levels(&soon, true);
        assert!(
            soon.contains(&(Kind::FirstTokenFloor.name(), Level::Ask)),
            "{soon:?}"
        );

        let mut flat = rows;
        for (n, row) in flat.iter_mut().enumerate() {
            row.first_token_ns = row.scheduled_ns.map(|due| due + 50_000_000 + n as i64 % 7);
        }
        let flat = levels(&flat, true);
        assert!(
            flat.contains(&(Kind::FirstTokenLength.name(), Level::Ask)),
            "{flat:?}"
        );
    }
}
