//! An engine that runs for a measurement, and how long its work takes. Used on the main thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use crossbeam_channel::{Receiver, unbounded};
use ossmark_engine::{Engine, EngineSettings, LoadedModel};
use ossmark_protocol::{
    End, Event, Request, RequestId, Sampling, StepOutputs, StopTokens, TokenId,
};

/// As the benchmark samples.
pub(super) const SAMPLED: Sampling = Sampling {
    temperature: 1.0,
    top_p: 1.0,
    top_k: 0,
};
/// Nothing here takes longer between two events.
const PATIENCE: Duration = Duration::from_secs(600);

/// A running engine, and what it says.
pub(super) struct Running {
    pub(super) engine: Engine,
    events: Receiver<(Instant, Event)>,
    /// The next request's id.
    pub(super) next: u64,
    pub(super) vocab: u32,
}

/// What requests took, from the step in which all had their first token.
pub(super) struct Timed {
    pub(super) time: Duration,
    /// Of all threads; `None` where the system does not say.
    pub(super) processor: Option<Duration>,
    /// Generated since.
    pub(super) tokens: u64,
    /// Of each request, in their order.
    pub(super) answers: Vec<Vec<TokenId>>,
}

impl Running {
    /// `pipeline_depth` steps in flight; answers end with one of `stop_tokens`.
    pub(super) fn start(
        loaded: LoadedModel,
        pipeline_depth: u32,
        stop_tokens: Vec<TokenId>,
    ) -> Result<Self> {
        let (send, events) = unbounded();
        let settings = EngineSettings {
            stop_tokens,
            pipeline_depth,
            max_batch: None,
            max_chunk: None,
        };
        let vocab = loaded.info.vocab_size;
        let sink = Box::new(move |event| send.send((Instant::now(), event)).is_ok());
        let engine =
            Engine::start(loaded.executor, settings, sink).context("cannot start the engine")?;
        Ok(Self {
            engine,
            events,
            next: 0,
            vocab,
        })
    }

    /// The next step of the engine, with the time of its coming; an end that is no answer is an error.
    pub(super) fn step(&mut self) -> Result<(Instant, StepOutputs)> {
        let (at, event) = self
            .events
            .recv_timeout(PATIENCE)
            .context("the engine does not answer")?;
        let step = match event {
            Event::Step(step) => step,
            Event::Fatal(message) => bail!("the engine failed: {message}"),
        };
        for out in &step.outputs {
            if let Some(End::Failed(message)) = &out.end {
                bail!("a request failed: {message}");
            }
        }
        Ok((at, step))
    }

    /// Runs `batch` requests to their end, which must not come before all have begun.
    pub(super) fn work(&mut self, batch: u32, prompt: usize, tokens: u32) -> Result<Timed> {
        let vocab = self.vocab;
        let prompt = |i: u32| {
            let token = |p: usize| (p as u32 * 7919 + i * 104_729) % vocab;
            (0..prompt).map(token).collect()
        };
        let (timed, early) = self.answer((0..batch).map(prompt).collect(), tokens)?;
        if early > 0 && tokens > 1 {
            bail!(
                "{early} of {batch} requests ended before all had begun: more --tokens, or a smaller --batch"
            );
        }
        Ok(timed)
    }

    /// Answers prompts, all at once; also how many of them ended before the last had begun.
    pub(super) fn answer(
        &mut self,
        prompts: Vec<Arc<[TokenId]>>,
        tokens: u32,
    ) -> Result<(Timed, usize)> {
        let n = prompts.len();
        let request = |(i, prompt): (u64, Arc<[TokenId]>)| Request {
            id: RequestId(self.next + i),
            prompt,
            sampling: SAMPLED,
            seed: i,
            max_new_tokens: tokens,
            want_logits: false,
            stop_tokens: StopTokens::default(),
            ignore_eos: false,
        };
        let requests = (0..).zip(prompts).map(request).collect();
        self.engine.submit(requests)?;
        let first_id = self.next;
        self.next += n as u64;
        let mut answers = vec![Vec::new(); n];
        let mut begun = vec![false; n];
        let (mut started, mut early, mut since, mut open) = (None, 0, 0, n);
        loop {
            let (at, step) = self.step()?;
            let n_tokens = step.tokens.len() as u64;
            let mut new = step.tokens.into_iter();
            for out in step.outputs {
                let i = (out.id.0 - first_id) as usize;
                begun[i] |= out.n_tokens > 0;
                answers[i].extend(new.by_ref().take(out.n_tokens as usize));
                open -= usize::from(out.end.is_some());
            }
            if started.is_some() {
                since += n_tokens;
            } else if begun.iter().all(|b| *b) {
                early = n - open;
                started = Some((at, ossmark_record::processor_time()));
            }
            if open == 0 {
                let (begun, spent) = started.unwrap_or((at, None));
                let now = ossmark_record::processor_time();
                let timed = Timed {
                    time: at - begun,
                    processor: now.zip(spent).and_then(|(now, then)| now.checked_sub(then)),
                    tokens: since,
                    answers,
                };
                return Ok((timed, early));
            }
        }
    }
}
