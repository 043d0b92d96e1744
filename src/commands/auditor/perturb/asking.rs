//! All prompts to a generator that is started for them, and what came back.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail};
use crossbeam_channel::unbounded;
use ossmark_protocol::{End, Event, Request, RequestId, StopTokens, TokenId, request_seed};

use crate::cli::AuditorPerturbArgs;
use crate::generator::engine_plan::{EnginePlan, check_prompts};

/// What came back, in the order of the prompts.
pub(super) struct Answers {
    /// Up to the first token that ends an answer, that one included.
    pub(super) tokens: Vec<Vec<TokenId>>,
    /// Tokens that were generated, those behind the end included.
    pub(super) generated: u64,
    pub(super) failed: usize,
    /// From the first request to the last answer.
    pub(super) seconds: f64,
    /// Steps and rows of operations, where they are counted.
    pub(super) work: Option<(u64, u64)>,
}

/// `to_the_end`: every answer has all its tokens, whatever they are, so that the work is the same.
pub(super) fn ask(
    args: &AuditorPerturbArgs,
    plan: &EnginePlan,
    prompts: &[Vec<u32>],
    seed: u64,
    to_the_end: bool,
) -> Result<Answers> {
    let (send, events) = unbounded();
    let started = plan.start(Box::new(move |event| send.send(event).is_ok()), None)?;
    let generator = started.generator;
    let prompts: Vec<Arc<[TokenId]>> = prompts.iter().map(|p| p.as_slice().into()).collect();
    check_prompts(&*generator, &prompts, args.max_new_tokens, &args.dataset)?;
    let count = prompts.len();
    let requests = prompts.into_iter().enumerate().map(|(i, prompt)| Request {
        id: RequestId(i as u64),
        prompt,
        sampling: args.sampling.sampling(),
        seed: request_seed(seed, i as u64),
        max_new_tokens: args.max_new_tokens,
        want_logits: false,
        stop_tokens: StopTokens::default(),
        ignore_eos: to_the_end,
    });
    let began = Instant::now();
    generator.submit(requests.collect())?;
    let mut tokens: Vec<Vec<TokenId>> = vec![Vec::new(); count];
    let (mut open, mut failed) = (count, 0);
    while open > 0 {
        let step = match events.recv() {
            Ok(Event::Step(step)) => step,
            Ok(Event::Fatal(message)) => bail!("the engine failed: {message}"),
            Err(_) => bail!("the engine ended before all prompts were answered"),
        };
        let mut new = step.tokens.into_iter();
        for out in step.outputs {
            let answer = &mut tokens[out.id.0 as usize];
            answer.extend(new.by_ref().take(out.n_tokens as usize));
            if let Some(end) = out.end {
                open -= 1;
                failed += usize::from(matches!(end, End::Failed(_) | End::Cancelled));
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    generator.shutdown();
    let generated = tokens.iter().map(|answer| answer.len() as u64).sum();
    let stops = started
        .info
        .map(|info| info.stop_tokens)
        .unwrap_or_default();
    for answer in &mut tokens {
        if let Some(end) = answer.iter().position(|token| stops.contains(token)) {
            answer.truncate(end + 1);
        }
    }
    Ok(Answers {
        tokens,
        generated,
        failed,
        seconds,
        work: None,
    })
}
