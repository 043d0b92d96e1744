//! How long answers are: against the field, between runs, and of one question that is asked again.

use std::collections::HashMap;

use ossmark_record::Row;
use ossmark_rules::{Scenario, rules};

use crate::field::field;
use crate::finding::{Finding, Findings, Level};
use crate::kind::Kind;
use crate::logged::Logged;
use crate::statistics::mean;

/// A run over the benchmark's performance set.
pub(super) fn of_log(log: &Logged, place: &str, found: &mut Findings) {
    let set = rules().performance.sample_count.value as f64;
    let Some(tokens) = log.answer_tokens() else {
        return found.skip(format!(
            "{place}: the lengths of answers; its log has no rates"
        ));
    };
    if log.number("effective_performance_sample_count") != Some(set)
        || log
            .number("qsl_reported_total_count")
            .is_some_and(|total| total < set)
    {
        return found.skip(format!(
            "{place}: the lengths of answers against the field; the run is not over its {set} samples"
        ));
    }
    let what = "output tokens of an answer";
    let seen = &field().answer_tokens.performance;
    if let Some(finding) = seen.judge(Kind::AnswerLengths, place, what, tokens) {
        found.add(finding);
    }
}

/// TEST09's text: the same questions as the performance run's.
pub(super) fn of_test09(tokens: f64, performance: Option<f64>, place: &str, found: &mut Findings) {
    let seen = &field().answer_tokens.test09;
    let what = "TEST09, mean output tokens";
    if let Some(finding) = seen.judge(Kind::AnswerLengths, place, what, tokens) {
        found.add(finding);
    }
    if let Some(performance) = performance.filter(|_| tokens > 0.0) {
        let what = "output tokens of the performance run over those of TEST09";
        let seen = &field().ratio.performance_to_test09;
        let ratio = performance / tokens;
        if let Some(finding) = seen.judge(Kind::LengthsBetweenRuns, place, what, ratio) {
            found.add(finding);
        }
    }
}

/// A scenario against Offline of the same system.
pub(super) fn of_scenario(
    scenario: Scenario,
    tokens: f64,
    offline: f64,
    place: &str,
    found: &mut Findings,
) {
    let seen = &field().ratio.server_length_to_offline;
    let what = format!("output tokens of {} over those of offline", scenario.name());
    if let Some(finding) = seen.judge(Kind::LengthsBetweenRuns, place, &what, tokens / offline) {
        found.add(finding);
    }
}

/// Answers of fewer tokens are often of the same length: there is not much to say.
const LONG: f64 = 200.0;
/// Fewer repeats say nothing.
const REPEATS: usize = 100;

/// Lengths of a question's answers, which is asked several times in a run.
pub(super) fn repeated(rows: &[Row], place: &str, found: &mut Findings) {
    let mut first: HashMap<u32, u32> = HashMap::new();
    let (mut again, mut same) = (0, 0);
    for row in rows {
        match first.get(&row.sample_index) {
            None => {
                first.insert(row.sample_index, row.output_tokens);
            }
            Some(tokens) => {
                again += 1;
                same += usize::from(*tokens == row.output_tokens);
            }
        }
    }
    if again < REPEATS {
        return found.skip(format!(
            "{place}: whether repeats of a question are computed; {again} samples were asked again, expected {REPEATS}"
        ));
    }
    let tokens: Vec<f64> = rows
        .iter()
        .map(|row| f64::from(row.output_tokens))
        .collect();
    let tokens = mean(&tokens).unwrap_or(0.0);
    let share = same as f64 / again as f64;
    let level = if tokens >= LONG && share > 0.2 {
        Level::Ask
    } else if share > 0.9 {
        Level::Note
    } else {
        return;
    };
    found.add(Finding::new(
        Kind::LengthsRepeated,
        level,
        place,
        format!("{same} of {again} repeats have as many tokens as the first answer ({tokens:.0} on average)"),
        "at temperature 1 less than one in a hundred, where answers have a thousand tokens",
    ));
}

#[cfg(test)]
mod tests {
    use super::super::honest;
    use super::*;

    #[test]
    fn repeats_of_the_same_length_are_asked_about() {
        let (_, rows) = honest::server(3);
        let mut found = Findings::default();
        repeated(&rows, "run", &mut found);
        assert_eq!(found.findings, []);
        let mut cached = rows;
        for row in &mut cached {
            row.output_tokens = 800 + row.sample_index;
        }
        let mut found = Findings::default();
        repeated(&cached, "run", &mut found);
        assert_eq!(found.asks(), 1, "{found:?}");
        for row in &mut cached {
            row.output_tokens = 20;
        }
        let mut found = Findings::default();
        repeated(&cached, "run", &mut found);
        assert_eq!((found.asks(), found.findings.len()), (0, 1), "{found:?}");
    }

    #[test]
    fn lengths_far_from_the_fields_are_asked_about() {
        for (tokens, performance, asks) in [
            (1331.0, 1330.0, 0),
            (900.0, 900.0, 1),
            (1331.0, 1200.0, 1),
            (900.0, 1331.0, 2),
        ] {
            let mut found = Findings::default();
            of_test09(tokens, Some(performance), "result", &mut found);
            assert_eq!(found.asks(), asks, "{tokens} {performance}: {found:?}");
        }
        let mut found = Findings::default();
        of_scenario(Scenario::Server, 1100.0, 1331.0, "result", &mut found);
        assert_eq!(found.asks(), 1, "{found:?}");
    }
}
