//! Who answers, as far as it is known before a run: the echo engine by its script, others by steps that were measured. Pure.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use ossmark_predict::{BatchLimits, Batching, Lengths, Model, Query, Service, Slots, simulate};
use ossmark_record::Row;
use serde::{Deserialize, Serialize};

use crate::generator::echo::Script;

/// What serves samples on a virtual clock.
pub(crate) enum Serving {
    /// A line for each row of the data set, from the top again where there are more; so many samples at once (0: any number).
    Script { lines: Vec<Answer>, slots: usize },
    /// In steps.
    Steps(Calibration),
}

/// One line of a script.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Answer {
    ttft_ns: f64,
    tpot_ns: f64,
    tokens: u32,
}

/// What was measured of an engine or of servers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Calibration {
    /// Seconds of a step.
    pub(crate) model: Model,
    /// Sequences that run at once.
    pub(crate) max_seqs: u32,
    /// Tokens of a step.
    pub(crate) max_step_tokens: u32,
    /// Engines or servers that share the samples.
    pub(crate) engines: u32,
    /// Answers that were seen: row of the data set, tokens. Not empty.
    pub(crate) answers: Vec<(u32, u32)>,
}

impl Serving {
    /// The echo engine.
    pub(crate) fn of_script(script: &Script, max_new_tokens: u32) -> Self {
        let lines = script.lines.iter().map(|line| Answer {
            ttft_ns: line.ttft.as_nanos() as f64,
            tpot_ns: line.tpot.as_nanos() as f64,
            tokens: line.len().min(max_new_tokens),
        });
        Self::Script {
            lines: lines.collect(),
            slots: script.slots,
        }
    }

    /// The rows of a run of these queries, were everything `slower` times as slow. `prompts`: tokens of the data set's rows, or
    /// of another's, from the top again where there are more.
    pub(crate) fn rows(&self, queries: &[Query], prompts: &[u32], slower: f64) -> Vec<Row> {
        let prompt = |query: &Query| match prompts {
            [] => 1,
            prompts => prompts[query.sample as usize % prompts.len()],
        };
        match self {
            Self::Script { lines, slots } => {
                let line = |sample: u32| lines[sample as usize % lines.len()];
                let service = |row: &Row| Service {
                    ttft_ns: (line(row.sample_index).ttft_ns * slower).round() as i64,
                    tpot_ns: (line(row.sample_index).tpot_ns * slower).round() as i64,
                };
                let lengths = |query: &Query| Lengths {
                    prompt: prompt(query),
                    output: line(query.sample).tokens,
                };
                simulate(&mut Slots::new(*slots, service), queries, lengths)
            }
            Self::Steps(calibration) => {
                let seen: HashMap<u32, u32> = calibration.answers.iter().copied().collect();
                let lengths = |query: &Query| Lengths {
                    prompt: prompt(query),
                    output: seen.get(&query.sample).copied().unwrap_or_else(|| {
                        // As long as one that was seen: each as likely as the others.
                        let of = &calibration.answers;
                        of[query.sample as usize % of.len()].1
                    }),
                };
                calibration.rows(queries, lengths, slower)
            }
        }
    }

    /// Whether it serves any number of samples at once, each as if it were alone.
    pub(crate) fn has_no_limit(&self) -> bool {
        matches!(self, Self::Script { slots: 0, .. })
    }
}

/// Of servers, which do not tell.
const SERVER_STEP_TOKENS: u32 = 8192;

impl Calibration {
    /// Of the samples of a run, and of its steps where these were measured. `limits`: between which numbers a step's most
    /// sequences are, and its most tokens, where they are known. `None`: no times of steps follow from these samples.
    pub(crate) fn of_rows(
        rows: &[Row],
        by_steps: Option<Model>,
        limits: Option<(RangeInclusive<u32>, u32)>,
        engines: u32,
    ) -> Option<Self> {
        let first: Vec<Row> = rows.iter().filter(|row| row.engine == 0).copied().collect();
        let model = by_steps.or_else(|| Model::of_samples(&first))?;
        let (seqs, max_step_tokens) = limits.unwrap_or((1..=u32::MAX, SERVER_STEP_TOKENS));
        let max_seqs = places(&first).clamp(*seqs.start(), *seqs.end());
        let answered = rows.iter().filter(|row| row.completed_ns.is_some());
        let answers: Vec<(u32, u32)> = answered
            .map(|row| (row.sample_index, row.output_tokens))
            .collect();
        if answers.is_empty() {
            return None;
        }
        Some(Self {
            model: Model {
                step_s: six_digits(model.step_s),
                prefill_token_s: six_digits(model.prefill_token_s),
                decode_row_s: six_digits(model.decode_row_s),
                context_s: six_digits(model.context_s),
            },
            max_seqs,
            max_step_tokens,
            engines,
            answers,
        })
    }

    /// Of several engines each has its share of the samples, one after the other.
    fn rows(
        &self,
        queries: &[Query],
        lengths: impl Fn(&Query) -> Lengths,
        slower: f64,
    ) -> Vec<Row> {
        let limits = BatchLimits {
            max_seqs: self.max_seqs as usize,
            max_step_tokens: u64::from(self.max_step_tokens),
            max_chunk: u64::from(self.max_step_tokens),
        };
        let engines = self.engines.max(1) as usize;
        let mut rows = Vec::with_capacity(queries.len());
        for engine in 0..engines {
            let share: Vec<Query> = queries
                .iter()
                .skip(engine)
                .step_by(engines)
                .copied()
                .collect();
            let mut batching = Batching::new(self.model.slower(slower), limits);
            rows.extend(simulate(&mut batching, &share, &lengths));
        }
        rows
    }
}

/// For less than this share of the time, more samples were begun than there are places: what a server sent was read late.
const BY_CHANCE: f64 = 0.02;

/// How many samples a server had begun at once: where that was all of them, it may have places for more.
fn places(rows: &[Row]) -> u32 {
    let begun = |row: &Row| row.first_token_ns.map(|at| (at, 1_i64));
    let ended = |row: &Row| row.completed_ns.map(|at| (at, -1_i64));
    let mut changes: Vec<(i64, i64)> = rows.iter().filter_map(begun).collect();
    changes.extend(rows.iter().filter_map(ended));
    changes.sort_unstable();
    // Nanoseconds for which so many were begun.
    let mut lasted = vec![0; rows.len() + 1];
    let (mut now, mut since) = (0_i64, 0);
    for (at, change) in changes {
        lasted[usize::try_from(now).unwrap_or(0)] += at - since;
        (now, since) = (now + change, at);
    }
    let (first, all) = (lasted[0], lasted.iter().sum::<i64>());
    let by_chance = (all - first) as f64 * BY_CHANCE;
    let most = lasted.iter().rposition(|ns| *ns > 0).unwrap_or(0);
    if most >= rows.len() {
        return u32::MAX;
    }
    let mut more = 0;
    let usual = lasted.iter().rposition(|ns| {
        more += ns;
        more as f64 > by_chance
    });
    u32::try_from(usual.unwrap_or(0)).unwrap_or(u32::MAX).max(1)
}

/// More than is measured, and few enough to be the same number when it is read from a text again.
pub(crate) fn six_digits(x: f64) -> f64 {
    format!("{x:.5e}").parse().unwrap_or(x)
}

#[cfg(test)]
mod tests {
    use ossmark_record::End;

    use super::*;

    fn row(first: i64, last: i64) -> Row {
        Row {
            request: 0,
            sample_index: 3,
            prompt_tokens: 1,
            output_tokens: 2,
            scheduled_ns: Some(0),
            issued_ns: Some(0),
            first_token_ns: Some(first),
            completed_ns: Some(last),
            end: End::Stop,
            engine: 0,
        }
    }

    #[test]
    fn places_are_those_that_were_taken_at_once() {
        assert_eq!(places(&[row(0, 5), row(5, 9), row(6, 7)]), 2);
        assert_eq!(places(&[row(0, 5), row(1, 5)]), u32::MAX);
        assert_eq!(places(&[]), u32::MAX);
        // One at a time, but for a moment in a hundred.
        let late = [row(0, 100), row(99, 200), row(200, 300)];
        assert_eq!(places(&late), 1);
        assert_eq!(six_digits(0.123_456_789), 0.123_457);
    }

    #[test]
    fn a_run_calibrates() {
        let rows = [row(0, 5_000_000_000), row(5_000_000_000, 9_000_000_000)];
        let made = Calibration::of_rows(&rows, None, None, 1).unwrap();
        assert_eq!((made.max_seqs, made.answers.len()), (1, 2));
        assert_eq!(made.answers[0], (3, 2));
        let told = Calibration::of_rows(&rows, Some(made.model), Some((8..=8, 64)), 2).unwrap();
        assert_eq!(
            (told.max_seqs, told.max_step_tokens, told.engines),
            (8, 64, 2)
        );
        // One at a time was seen; how many it may be the engine chooses when it is loaded.
        let chosen = Calibration::of_rows(&rows, None, Some((4..=16, 64)), 1).unwrap();
        assert_eq!(chosen.max_seqs, 4);
        assert_eq!(Calibration::of_rows(&[], None, None, 1), None);
    }

    const QUERIES: [Query; 3] = [
        Query {
            due_ns: 0,
            sample: 0,
        },
        Query {
            due_ns: 0,
            sample: 1,
        },
        Query {
            due_ns: 0,
            sample: 2,
        },
    ];

    fn steps(engines: u32) -> Serving {
        Serving::Steps(Calibration {
            model: Model {
                step_s: 1.0,
                prefill_token_s: 0.0,
                decode_row_s: 0.0,
                context_s: 0.0,
            },
            max_seqs: 1,
            max_step_tokens: 100,
            engines,
            answers: vec![(0, 5), (1, 3)],
        })
    }

    fn ended_s(rows: &[Row]) -> Vec<i64> {
        let ended = rows
            .iter()
            .map(|row| row.completed_ns.unwrap() / 1_000_000_000);
        ended.collect()
    }

    /// One sequence at a time, a second a step: 5, 3, and the unseen one as the first.
    #[test]
    fn answers_are_as_long_as_those_that_were_seen() {
        let rows = steps(1).rows(&QUERIES, &[9; 3], 1.0);
        let tokens: Vec<u32> = rows.iter().map(|row| row.output_tokens).collect();
        assert_eq!(tokens, [5, 3, 5]);
        assert_eq!(ended_s(&rows), [5, 8, 13]);
        assert_eq!(
            ended_s(&steps(1).rows(&QUERIES, &[9; 3], 2.0)),
            [10, 16, 26]
        );
    }

    #[test]
    fn engines_share_the_samples() {
        let mut ended = ended_s(&steps(3).rows(&QUERIES, &[9; 3], 1.0));
        ended.sort_unstable();
        assert_eq!(ended, [3, 5, 5]);
    }

    #[test]
    fn a_script_is_slower_as_a_whole() {
        let script = Serving::Script {
            lines: vec![Answer {
                ttft_ns: 1e9,
                tpot_ns: 1e9,
                tokens: 3,
            }],
            slots: 1,
        };
        assert_eq!(ended_s(&script.rows(&QUERIES, &[], 1.0)), [3, 6, 9]);
        assert_eq!(ended_s(&script.rows(&QUERIES, &[], 2.0)), [6, 12, 18]);
        assert!(!script.has_no_limit() && !steps(1).has_no_limit());
    }
}
