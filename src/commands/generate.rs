//! `ossmark generate`: tokens for prompts without LoadGen.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use crossbeam_channel::unbounded;
use ossmark_dataset::{RecordPosition, TextFile};
use ossmark_harmony::Tokenizer;
use ossmark_protocol::{End, Event, Request, RequestId, Round, StopTokens, TokenId, request_seed};
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::children;
use crate::cli::{EchoArgs, GenerateArgs};
use crate::exit::Outcome;
use crate::generator::engine_plan::{EnginePlan, check_prompts};
use crate::generator::weights::NOISE;
use crate::output::{self, Output};
use crate::terminal::note;
use crate::terminal::text::counted;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: Value,
    input_tokens: Option<Vec<TokenId>>,
    prompt: Option<String>,
}

#[derive(Serialize)]
struct Answer<'a> {
    id: &'a Value,
    output_tokens: &'a [TokenId],
    finish_reason: &'static str,
}

struct Prompt {
    id: Value,
    tokens: Arc<[TokenId]>,
}

#[derive(Default)]
struct Generated {
    tokens: Vec<TokenId>,
    logits: Vec<f32>,
    rounds: Vec<Round>,
    end: Option<End>,
}

pub(crate) fn generate(args: &GenerateArgs) -> Result<Outcome> {
    children::end_at_signal()?;
    let plan = EnginePlan::choose(&args.engine, &args.speculate, None, &EchoArgs::default())?;
    let EnginePlan::Model { weights, .. } = &plan else {
        bail!(
            "--engine {} has no model here; generate needs one: --engine cpu or cuda (prompts for servers: ossmark infer)",
            plan.name()
        );
    };
    let sampling = args.sampling.sampling();
    sampling.check()?;
    let prompts = read_prompts(&args.input, weights.path())?;
    if args.drafts.is_some() && plan.speculation().is_none() {
        bail!("--drafts is for --speculate HEAD_DIR; give that, or leave it out");
    }
    let outputs = [
        ("--output", Some(&args.output)),
        ("--logits", args.logits.as_ref()),
        ("--drafts", args.drafts.as_ref()),
    ];
    for (i, (name, file)) in outputs.iter().enumerate() {
        if let Some((other, _)) = outputs[..i]
            .iter()
            .find(|(_, other)| file.is_some() && other == file)
        {
            bail!("{name} and {other} are the same file; give two");
        }
    }
    let mut answers_file = output::claim_file(&args.output, args.force)?;
    let mut logits_file = output::claim_optional(args.logits.as_ref(), args.force)?;
    let mut drafts_file = output::claim_optional(args.drafts.as_ref(), args.force)?;
    let (send, events) = unbounded();
    let started = plan.start(Box::new(move |event| send.send(event).is_ok()), None)?;
    let generator = started.generator;
    let tokens: Vec<Arc<[TokenId]>> = prompts.iter().map(|p| Arc::clone(&p.tokens)).collect();
    check_prompts(&*generator, &tokens, args.max_new_tokens, &args.input)?;
    let requests = tokens.into_iter().enumerate().map(|(i, prompt)| Request {
        id: RequestId(i as u64),
        prompt,
        sampling,
        seed: request_seed(args.sampling.seed, i as u64),
        max_new_tokens: args.max_new_tokens,
        want_logits: args.logits.is_some(),
        stop_tokens: StopTokens::default(),
        ignore_eos: false,
    });
    generator.submit(requests.collect())?;

    let mut generated: Vec<Generated> = prompts.iter().map(|_| Generated::default()).collect();
    let mut open = prompts.len();
    while open > 0 {
        let step = match events.recv() {
            Ok(Event::Step(step)) => step,
            Ok(Event::Fatal(message)) => bail!("the engine failed: {message}"),
            Err(_) => bail!("the engine ended before all prompts were answered"),
        };
        for round in step.rounds {
            generated[round.id.0 as usize].rounds.push(round);
        }
        let mut tokens = step.tokens.into_iter();
        for out in step.outputs {
            let g = &mut generated[out.id.0 as usize];
            g.tokens.extend(tokens.by_ref().take(out.n_tokens as usize));
            g.logits.extend(out.logits);
            if out.end.is_some() {
                g.end = out.end;
                open -= 1;
            }
        }
    }
    generator.shutdown();
    write_answers(&mut answers_file, &prompts, &generated)?;
    if let Some(file) = &mut logits_file {
        let vocab = started.info.map_or(1, |info| info.vocab_size as usize);
        write_logits(file, &prompts, &generated, vocab)?;
    }
    if let Some(file) = &mut drafts_file {
        write_rounds(file, &prompts, &generated)?;
    }
    let failed = generated
        .iter()
        .filter(|g| matches!(g.end, Some(End::Failed(_))))
        .count();
    let n_tokens: usize = generated.iter().map(|g| g.tokens.len()).sum();
    let failures = match failed {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    note!(
        "{} ({}){failures}",
        counted((prompts.len() - failed) as u64, "answer"),
        counted(n_tokens as u64, "token")
    );
    if plan.speculation().is_some() {
        let drafted_some = |r: &&Round| !r.drafted.is_empty();
        let rounds = || {
            generated
                .iter()
                .flat_map(|g| &g.rounds)
                .filter(drafted_some)
        };
        let (drafted, accepted) = rounds().fold((0, 0), |(drafted, accepted), round| {
            (
                drafted + round.drafted.len(),
                accepted + round.accepted as usize,
            )
        });
        let n = rounds().count();
        note!(
            "{n} rounds drafted {drafted} tokens, {accepted} were accepted: acceptance length {:.3}",
            1.0 + accepted as f64 / n.max(1) as f64
        );
    }
    if plan.is_synthetic() {
        note!("{NOISE}");
    }
    Ok(if failed == 0 {
        Outcome::Good
    } else {
        Outcome::NotGood
    })
}

fn read_prompts(file: &Path, model: Option<&Path>) -> Result<Vec<Prompt>> {
    let mut tokenizer = None;
    let mut prompts = Vec::new();
    let mut ids = HashSet::new();
    let text = TextFile::open(file).context("--input")?;
    text.records(file, |place, _, record| {
        let place = || match place {
            RecordPosition::Line(line) => format!("{}:{line}", file.display()),
            RecordPosition::Row(_) => format!("{}: {place}", file.display()),
        };
        let line: Line = serde_json::from_slice(record).with_context(|| {
            format!(
                "{}: expected {{\"id\":…, \"input_tokens\":[…]}} or {{\"id\":…, \"prompt\":\"…\"}}",
                place()
            )
        })?;
        if !ids.insert(line.id.to_string()) {
            bail!(
                "{}: id {} stands here twice; ids name the answers and must differ",
                place(),
                line.id
            );
        }
        let tokens = match (line.input_tokens, line.prompt) {
            (Some(tokens), None) => tokens,
            (None, Some(text)) => {
                if tokenizer.is_none() {
                    let model = model.with_context(|| {
                        let place = place();
                        format!("{place}: a prompt in text, and random weights have no tokenizer; give input_tokens")
                    })?;
                    tokenizer = Some(Tokenizer::load(model)?);
                }
                let tokenizer = tokenizer.as_ref().expect("loaded above");
                tokenizer
                    .encode_with_control_tokens(&text)
                    .with_context(place)?
            }
            _ => bail!(
                "{}: expected either input_tokens or prompt, found both or none",
                place()
            ),
        };
        if tokens.is_empty() {
            bail!("{}: the prompt is empty; give at least one token", place());
        }
        prompts.push(Prompt {
            id: line.id,
            tokens: tokens.into(),
        });
        anyhow::Ok(())
    })?;
    if prompts.is_empty() {
        bail!("--input {}: no prompts found", file.display());
    }
    Ok(prompts)
}

fn write_answers(file: &mut Output, prompts: &[Prompt], generated: &[Generated]) -> Result<()> {
    let mut text = String::new();
    for (prompt, g) in prompts.iter().zip(generated) {
        let finish_reason = match &g.end {
            Some(End::Stop) => "stop",
            Some(End::Length) => "length",
            Some(End::Failed(message)) => {
                note!("ossmark: prompt {}: {message}", prompt.id);
                "error"
            }
            Some(End::Cancelled) | None => {
                return Err(anyhow!("prompt {} was not answered", prompt.id));
            }
        };
        text += &output::json_line(&Answer {
            id: &prompt.id,
            output_tokens: &g.tokens,
            finish_reason,
        })?;
    }
    file.write(text.as_bytes())
}

/// A round of one prompt, as it is written.
#[derive(Serialize)]
struct RoundLine<'a> {
    id: &'a Value,
    position: u32,
    drafted: &'a [TokenId],
    accepted: u32,
}

fn write_rounds(file: &mut Output, prompts: &[Prompt], generated: &[Generated]) -> Result<()> {
    let mut text = String::new();
    for (prompt, g) in prompts.iter().zip(generated) {
        for round in &g.rounds {
            text += &output::json_line(&RoundLine {
                id: &prompt.id,
                position: round.position,
                drafted: &round.drafted,
                accepted: round.accepted,
            })?;
        }
    }
    file.write(text.as_bytes())
}

fn write_logits(
    file: &mut Output,
    prompts: &[Prompt],
    generated: &[Generated],
    vocab: usize,
) -> Result<()> {
    let bytes: Vec<Vec<u8>> = generated
        .iter()
        .map(|g| g.logits.iter().flat_map(|x| x.to_le_bytes()).collect())
        .collect();
    let mut tensors = Vec::new();
    for ((prompt, g), data) in prompts.iter().zip(generated).zip(&bytes) {
        let name = match &prompt.id {
            Value::String(id) => format!("logits.{id}"),
            id => format!("logits.{id}"),
        };
        let rows = g.logits.len() / vocab;
        tensors.push((name, TensorView::new(Dtype::F32, vec![rows, vocab], data)?));
    }
    let content = safetensors::serialize(tensors, None).context("cannot serialise the logits")?;
    file.write(&content)
}
