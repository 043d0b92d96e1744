//! `ossmark bench engine` with a draft head: decode without it and with it, on the same prompts and seeds.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ossmark_dataset::Dataset;
use ossmark_engine::{Drafter, LoadedModel, SyntheticHead};
use ossmark_protocol::TokenId;
use serde::Serialize;
use serde_json::{Value, json};

use super::running::{Running, Timed};
use crate::cli::BenchEngineArgs;
use crate::generator::engine_plan::{drafted, speculation};
use crate::terminal::say;

/// What is compared, and on what.
pub(super) struct Comparison {
    drafter: Drafter,
    /// Sequences that decode together.
    pub(super) batch: Vec<u32>,
    /// Of a file; none: made up.
    prompts: Option<Vec<Arc<[TokenId]>>>,
    prompt: usize,
    tokens: u32,
}

/// Decode at one batch size, in one of the two ways.
#[derive(Debug, Serialize)]
struct Figure {
    batch: u32,
    drafts: bool,
    tokens: u64,
    seconds: f64,
    /// Of all threads; absent where the system does not say.
    processor_seconds: Option<f64>,
    tokens_per_s: f64,
    /// Tokens a second over those without a head, and the same by processor time.
    gain: Option<f64>,
    processor_gain: Option<f64>,
    rounds: u64,
    /// Tokens a round, the model's own included.
    acceptance_length: Option<f64>,
    /// Of those that were drafted there.
    accepted_by_position: Vec<f64>,
    /// Answers that are not those without a head; absent where acceptance is simulated.
    answers_that_differ: Option<usize>,
    #[serde(skip)]
    answers: Vec<Vec<TokenId>>,
}

impl Comparison {
    /// What was asked for, if it was.
    pub(super) fn asked(args: &BenchEngineArgs) -> Result<Option<Self>> {
        let drafter = match args.synthetic_head {
            Some(acceptance_length) => {
                if args.speculate.speculate_features.is_some() {
                    bail!("--speculate-features is for --speculate HEAD_DIR; leave it out");
                }
                let steps = drafted(&args.speculate)?;
                let most = f64::from(1 + steps);
                if !(1.0..=most).contains(&acceptance_length) {
                    bail!(
                        "--synthetic-head {acceptance_length}: expected an acceptance length of 1 to {most}, the model's own token and \
                         {steps} drafted ones at most"
                    );
                }
                Drafter::Synthetic(SyntheticHead {
                    seed: args.seed,
                    steps,
                    acceptance_length,
                })
            }
            None => match speculation(&args.speculate)? {
                Some(speculation) => speculation.into(),
                None if args.dataset.is_some() => bail!(
                    "--dataset is for --speculate HEAD_DIR and --synthetic-head; give one, or leave it out"
                ),
                None => return Ok(None),
            },
        };
        if args.offline > 0 || !args.without.is_empty() || !args.prefill.is_empty() {
            bail!(
                "--offline, --without and --prefill are measured without a head; leave them out, or leave out --speculate and \
                 --synthetic-head"
            );
        }
        let dataset = args.dataset.as_ref();
        let dataset = dataset.map(|file| {
            Dataset::open(file).with_context(|| format!("--dataset {}", file.display()))
        });
        let batch = args.batch(&[1, 8, 64]);
        if batch.is_empty() {
            bail!("--batch 0: a head is measured decoding; give at least one size");
        }
        Ok(Some(Self {
            drafter,
            batch,
            prompts: dataset.transpose()?.map(|d| d.prompts.clone()),
            prompt: args.prompt.unwrap_or(16),
            tokens: args.tokens.unwrap_or(65),
        }))
    }

    /// As the command line names what drafts.
    fn option(&self) -> String {
        match &self.drafter {
            Drafter::Head(s) => format!("--speculate {}", s.head.display()),
            Drafter::Synthetic(s) => format!("--synthetic-head {}", s.acceptance_length),
        }
    }

    /// Measures, with the head first, for its files may be bad, each way with its steps in flight; `load` loads the model
    /// and what drafts. Also says how many answers are not those without a head.
    pub(super) fn measure(
        &self,
        (plain_depth, depth): (u32, u32),
        load: impl Fn(Option<Drafter>) -> Result<LoadedModel>,
    ) -> Result<(Value, usize)> {
        let mut figures: Vec<Figure> = Vec::new();
        let mut models = Vec::new();
        for drafter in [Some(self.drafter.clone()), None] {
            let drafts = drafter.is_some();
            let loaded = load(drafter).with_context(|| match drafts {
                true => self.option(),
                false => "without a head".into(),
            })?;
            say!("{}", loaded.info.description);
            say!(
                "{:<32} {:>7} {:>8} {:>8} {:>10} {:>10}",
                "work",
                "tokens",
                "seconds",
                "CPU s",
                "tokens/s",
                "acceptance"
            );
            models.push(loaded.info.description.clone());
            let stop_tokens = match self.prompts {
                Some(_) => loaded.info.stop_tokens.clone(),
                None => Vec::new(),
            };
            let mut running = Running::start(
                loaded,
                if drafts { depth } else { plain_depth },
                stop_tokens,
            )?;
            // The first step finds the weights on the disk.
            running.work(1, self.prompt, 2)?;
            for batch in &self.batch {
                let figure = self.decode(&mut running, *batch, drafts)?;
                figure.show();
                figures.push(figure);
            }
            running.engine.shutdown(Duration::from_secs(5))?;
        }
        let same_tokens = matches!(self.drafter, Drafter::Head(_));
        let (with_head, plain) = figures.split_at_mut(self.batch.len());
        for (figure, plain) in with_head.iter_mut().zip(plain) {
            figure.compare(plain, same_tokens);
        }
        let differ = figures.iter().filter_map(|f| f.answers_that_differ).sum();
        let way = json!({
            "models": models,
            "simulated_acceptance_length": match self.drafter {
                Drafter::Synthetic(s) => Some(s.acceptance_length),
                Drafter::Head(_) => None,
            },
            "figures": figures,
        });
        Ok((way, differ))
    }

    fn decode(&self, running: &mut Running, batch: u32, drafts: bool) -> Result<Figure> {
        let before = running.engine.stats().speculation;
        let (mut tokens, mut time, mut processor) = (0, Duration::ZERO, Some(Duration::ZERO));
        let mut answers = Vec::new();
        let mut take = |timed: Timed| {
            tokens += timed.tokens;
            time += timed.time;
            processor = processor.zip(timed.processor).map(|(all, more)| all + more);
            answers.extend(timed.answers);
        };
        match &self.prompts {
            None => take(running.work(batch, self.prompt, self.tokens)?),
            Some(prompts) => {
                for group in prompts.chunks(batch as usize) {
                    take(running.answer(group.to_vec(), self.tokens)?.0);
                }
            }
        }
        let rounds = running.engine.stats().speculation.since(&before);
        let by_position = rounds.accepted.iter().zip(rounds.drafted);
        let seconds = time.as_secs_f64();
        Ok(Figure {
            batch,
            drafts,
            tokens,
            seconds,
            processor_seconds: processor.map(|p| p.as_secs_f64()),
            tokens_per_s: tokens as f64 / seconds,
            gain: None,
            processor_gain: None,
            acceptance_length: rounds.acceptance_length(),
            accepted_by_position: by_position
                .take(rounds.most_drafted())
                .map(|(accepted, drafted)| *accepted as f64 / drafted as f64)
                .collect(),
            rounds: rounds.rounds,
            answers_that_differ: None,
            answers,
        })
    }
}

fn or_none(x: Option<f64>) -> String {
    x.map_or("-".into(), |x| format!("{x:.2}"))
}

impl Figure {
    fn compare(&mut self, plain: &Self, same_tokens: bool) {
        self.gain = Some(self.tokens_per_s / plain.tokens_per_s);
        let per_token = |f: &Self| Some(f.processor_seconds? / f.tokens as f64);
        self.processor_gain = per_token(plain).zip(per_token(self)).map(|(p, s)| p / s);
        let pairs = || self.answers.iter().zip(&plain.answers);
        self.answers_that_differ = same_tokens.then(|| pairs().filter(|(a, b)| a != b).count());
        say!(
            "batch {}: {} times the tokens/s without a head by the clock, {} by processor time{}",
            self.batch,
            or_none(self.gain),
            or_none(self.processor_gain),
            match self.answers_that_differ {
                None => String::new(),
                Some(0) => "; the same tokens".into(),
                Some(n) => format!("; {n} of {} answers differ", self.answers.len()),
            }
        );
    }

    /// Shown as soon as it is measured.
    fn show(&self) {
        let way = match self.drafts {
            true => "with head",
            false => "without head",
        };
        say!(
            "{:<32} {:>7} {:>8.3} {:>8} {:>10.1} {:>10}",
            format!("decode, batch {}, {way}", self.batch),
            self.tokens,
            self.seconds,
            or_none(self.processor_seconds),
            self.tokens_per_s,
            or_none(self.acceptance_length),
        );
    }
}
