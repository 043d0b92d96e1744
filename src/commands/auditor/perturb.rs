//! `ossmark auditor perturb`: the same questions to a changed model, changed and other questions to the same, and what that
//! says.

mod asking;
mod questions;

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use ossmark_audit::Findings;
use ossmark_audit::perturb::{Probe, Probed, judge, one_token_changed};
use ossmark_engine::{Change, Probe as Changed, Work};
use ossmark_harmony::Detokenizer;
use serde::Serialize;

use crate::children;
use crate::cli::{AuditorPerturbArgs, EchoArgs, EngineArg, SpeculateArgs};
use crate::exit::Outcome;
use crate::generator::device::Device;
use crate::generator::engine_plan::EnginePlan;
use crate::output;
use crate::terminal::{note, progress, say};
use asking::{Answers, ask};
use questions::Questions;

#[derive(Serialize)]
struct Written<'a> {
    command: &'static str,
    of: String,
    unchanged: &'a Probed,
    probes: &'a [Probed],
    #[serde(flatten)]
    found: &'a Findings,
}

/// Shorter answers are the same by chance.
const LONG: usize = 16;

pub(crate) fn perturb(args: &AuditorPerturbArgs) -> Result<Outcome> {
    children::end_at_signal()?;
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    let mut engine = args.engine.clone();
    engine.engine = Some(engine.engine.unwrap_or(EngineArg::Cpu));
    engine.refuse_missing(&args.http, args.tokenizer.as_ref())?;
    let none = SpeculateArgs::default();
    let mut plan = EnginePlan::choose(&engine, &none, Some(&args.http), &EchoArgs::default())?;
    let layers = layers(&plan)?;
    if let (Some(layer), Some(layers)) = (args.layer, layers)
        && layer >= layers
    {
        bail!(
            "--layer {layer}: expected 0 to {}, the model's layers",
            layers - 1
        );
    }
    let tokenizer = args.tokenizer.as_deref().or(plan.model());
    let tokenizer = tokenizer.context("missing --tokenizer PATH: what reads the answers")?;
    let tokenizer = Detokenizer::load(tokenizer)?;
    let questions = Questions::open(&args.dataset, args.rows as usize)?;
    let other = args
        .other
        .as_ref()
        .map(|file| Questions::open(file, args.rows as usize));
    let other = other.transpose()?;
    let changed = one_token_changed(&questions.prompts, args.sampling.seed);
    let mut probes = Vec::new();
    if let Some(layers) = layers {
        let layer = args.layer.unwrap_or(layers / 2);
        probes.extend([Probe::LayerLeftOut(layer), Probe::ExpertsSwapped(layer)]);
    }
    probes.push(Probe::OneToken);
    let tell = |probed: &Probed| {
        say!(
            "{:<32} {:>6.2}% right, {} of {} readable, {:.1} tokens/s{}",
            probed.probe.name(),
            100.0 * probed.score(),
            probed.readable,
            probed.answers,
            probed.tokens_per_s(),
            match (probed.steps, probed.operations) {
                (Some(steps), Some(rows)) => format!(", {steps} steps, {rows} rows of operations"),
                _ => String::new(),
            }
        );
    };
    let before = run(args, &mut plan, Probe::Unchanged, &questions.prompts)?;
    let unchanged = probed(Probe::Unchanged, &before, &questions, &tokenizer, None)?;
    tell(&unchanged);
    let mut done = Vec::new();
    for probe in probes {
        let prompts = match probe {
            Probe::OneToken => &changed,
            _ => &questions.prompts,
        };
        let answers = run(args, &mut plan, probe, prompts)?;
        let one = probed(probe, &answers, &questions, &tokenizer, Some(&before))?;
        tell(&one);
        done.push(one);
    }
    if let Some(other) = &other {
        let answers = run(args, &mut plan, Probe::OtherPrompts, &other.prompts)?;
        let one = probed(Probe::OtherPrompts, &answers, other, &tokenizer, None)?;
        tell(&one);
        done.push(one);
    } else {
        note!("no --other FILE: prompts of other content than the data set's are not tried");
    }
    let found = judge(&unchanged, &done);
    super::print(&found);
    if let Some(file) = &mut json_file {
        file.write_json(&Written {
            command: "perturb",
            of: plan.name().to_owned(),
            unchanged: &unchanged,
            probes: &done,
            found: &found,
        })?;
    }
    Ok(match found.asks() {
        0 => Outcome::Good,
        _ => Outcome::NotGood,
    })
}

/// Of a model in this process, which can be changed; servers go through prompts only.
fn layers(plan: &EnginePlan) -> Result<Option<u32>> {
    match plan {
        EnginePlan::Http { .. } => Ok(None),
        EnginePlan::Echo(_) => bail!(
            "--engine echo: its answers are a script's; expected a model (--engine cpu) or servers (--engine http)"
        ),
        EnginePlan::Model { weights, devices } => match devices.as_slice() {
            [Device::Cpu(_)] => Ok(Some(weights.config()?.layers.len() as u32)),
            [Device::Cuda(_)] => bail!(
                "--engine cuda: layers are changed on the CPU only; use --engine cpu, or a server of this model with --engine http"
            ),
            _ => bail!("--dp: one engine is probed; leave --dp out"),
        },
    }
}

/// Has the questions answered, by the model as the probe changes it.
fn run(
    args: &AuditorPerturbArgs,
    plan: &mut EnginePlan,
    probe: Probe,
    prompts: &[Vec<u32>],
) -> Result<Answers> {
    let work = Arc::new(Work::default());
    let mut counts = false;
    if let EnginePlan::Model { devices, .. } = plan
        && let Some(Device::Cpu(settings)) = devices.first_mut()
    {
        let change = match probe {
            Probe::LayerLeftOut(layer) => Change::LayerDropped(layer),
            Probe::ExpertsSwapped(layer) => Change::ExpertsSwapped(layer),
            Probe::Unchanged | Probe::OneToken | Probe::OtherPrompts => Change::Nothing,
        };
        settings.probe = Some(Changed {
            change,
            work: Arc::clone(&work),
        });
        counts = true;
    }
    progress!("{} ...", probe.name());
    // A changed model has the same random numbers, so that only it is another; a changed prompt has its own, as one that is
    // asked the next day.
    let seed = match probe {
        Probe::Unchanged | Probe::LayerLeftOut(_) | Probe::ExpertsSwapped(_) => args.sampling.seed,
        Probe::OneToken | Probe::OtherPrompts => args.sampling.seed.wrapping_add(1),
    };
    let mut answers = ask(args, plan, prompts, seed, counts)?;
    if counts {
        answers.work = Some((work.steps(), work.rows()));
    }
    Ok(answers)
}

fn probed(
    probe: Probe,
    answers: &Answers,
    questions: &Questions,
    tokenizer: &Detokenizer,
    before: Option<&Answers>,
) -> Result<Probed> {
    let (correct, readable) = questions.grade(&answers.tokens, tokenizer)?;
    let same = |before: &Answers| {
        let pairs = answers.tokens.iter().zip(&before.tokens);
        pairs.filter(|(a, b)| a.len() >= LONG && a == b).count()
    };
    Ok(Probed {
        probe,
        answers: answers.tokens.len(),
        correct,
        readable,
        failed: answers.failed,
        as_before: before.map(same),
        tokens: answers.generated,
        seconds: answers.seconds,
        steps: answers.work.map(|(steps, _)| steps),
        operations: answers.work.map(|(_, rows)| rows),
    })
}
