//! Who answers, as far as it is known before a run: the echo engine by its script, others by steps that were measured. Pure.

use std::collections::HashMap;

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

    /// The rows of a run of these queries, were everything `slower` times as slow. `prompts`: tokens of the data set's rows.
    pub(crate) fn rows(&self, queries: &[Query], prompts: &[u32], slower: f64) -> Vec<Row> {
        let prompt = |query: &Query| prompts.get(query.sample as usize).copied().unwrap_or(1);
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

impl Calibration {
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

#[cfg(test)]
mod tests {
    use super::*;

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
