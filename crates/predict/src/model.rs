//! How long a step takes: from the tokens of prompts in it, its rows that decode, and the context that they read.

use ossmark_record::Row;
use serde::{Deserialize, Serialize};

use crate::least_squares::nonnegative;

/// What a step of continuous batching computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Tokens of prompts.
    pub prefill_tokens: u64,
    /// Sequences that decode, one token each.
    pub decode_rows: u64,
    /// Positions that those sequences look back on, of all of them.
    pub context: u64,
}

/// A step with the time that it took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// What it computed.
    pub step: Step,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// Seconds of a step: a sum of what each of its parts takes.
///
/// It knows no more: that a step of more rows reads more experts, or that a device changes its kernel with the number of rows,
/// is in it only as the straight line through the steps that were measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Seconds of every step: the weights are read once, whatever it computes.
    pub step_s: f64,
    /// Seconds of a prompt's token.
    pub prefill_token_s: f64,
    /// Seconds of a sequence that decodes.
    pub decode_row_s: f64,
    /// Seconds of a position that is looked back on.
    pub context_s: f64,
}

impl Model {
    /// Through steps that were measured, by least squares; no part takes less than no time. `None` of no steps, or where none
    /// of them took any time.
    pub fn of_steps(steps: &[Measured]) -> Option<Self> {
        let rows: Vec<_> = steps
            .iter()
            .map(|measured| (parts(&measured.step), measured.seconds))
            .collect();
        Self::of(nonnegative(&rows)?)
    }

    /// Through the samples of a server that is seen from outside, by least squares over their times from the first token to
    /// the last: each is as many steps as tokens, beside the samples that were open meanwhile and the prompts that came in.
    ///
    /// The time of a sample's own prompt is in those of the others, so that it takes a run with several samples open at once.
    /// What a step costs for its context cannot be told from its rows here. `None` where no sample has two tokens.
    pub fn of_samples(rows: &[Row]) -> Option<Self> {
        let served: Vec<Served> = rows.iter().filter_map(Served::of).collect();
        let equations: Vec<_> = served
            .iter()
            .filter(|sample| sample.steps > 0.0 && sample.last > sample.first)
            .map(|sample| {
                let span = sample.last - sample.first;
                let (mut beside, mut prefill) = (0.0, 0.0);
                for other in &served {
                    let together = other.last.min(sample.last) - other.first.max(sample.first);
                    beside += together.max(0.0) / span;
                    if sample.first < other.first && other.first <= sample.last {
                        prefill += other.prompt;
                    }
                }
                ([sample.steps, sample.steps * beside, prefill], span)
            })
            .collect();
        let [step, row, token] = nonnegative(&equations)?;
        Self::of([step, token, row, 0.0])
    }

    fn of([step_s, prefill_token_s, decode_row_s, context_s]: [f64; 4]) -> Option<Self> {
        let model = Self {
            step_s,
            prefill_token_s,
            decode_row_s,
            context_s,
        };
        let takes_time = step_s + prefill_token_s + decode_row_s + context_s > 0.0;
        takes_time.then_some(model)
    }

    /// Seconds that a step takes.
    pub fn seconds(&self, step: &Step) -> f64 {
        let each = [
            self.step_s,
            self.prefill_token_s,
            self.decode_row_s,
            self.context_s,
        ];
        parts(step).iter().zip(each).map(|(n, s)| n * s).sum()
    }

    /// Nanoseconds that a step takes, at least one: a clock that stood still would never end.
    pub fn nanoseconds(&self, step: &Step) -> i64 {
        ((self.seconds(step) * 1e9).round() as i64).max(1)
    }

    /// The model of a system that takes `times` as long for everything.
    #[must_use]
    pub fn slower(&self, times: f64) -> Self {
        Self {
            step_s: self.step_s * times,
            prefill_token_s: self.prefill_token_s * times,
            decode_row_s: self.decode_row_s * times,
            context_s: self.context_s * times,
        }
    }
}

fn parts(step: &Step) -> [f64; 4] {
    let Step {
        prefill_tokens,
        decode_rows,
        context,
    } = *step;
    [
        1.0,
        prefill_tokens as f64,
        decode_rows as f64,
        context as f64,
    ]
}

/// A sample as its server's clients see it; times in seconds.
struct Served {
    first: f64,
    last: f64,
    steps: f64,
    prompt: f64,
}

impl Served {
    fn of(row: &Row) -> Option<Self> {
        Some(Self {
            first: row.first_token_ns? as f64 / 1e9,
            last: row.completed_ns? as f64 / 1e9,
            steps: f64::from(row.output_tokens) - 1.0,
            prompt: f64::from(row.prompt_tokens),
        })
    }
}
