//! `ossmark infer`: every (row, pass) of a data set through a generator, a bounded number at once, each kept in the journal
//! as it ends. Owns the requests under way and the display; runs on the calling thread. The files are `ossmark_infer`'s.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use ossmark_infer::{Answer, Clock, Failure, Journal, Outcome, Times};
use ossmark_protocol::{
    End, Event, Request, RequestId, Sampling, StepOutputs, StopTokens, TokenId, request_seed,
};

use super::failures::Failures;
use crate::commands::display::Display;
use crate::terminal::note;
use ossmark_protocol::Generator;

/// What is asked for each (row, pass).
pub(crate) struct Template {
    pub(crate) prompts: Vec<Arc<[TokenId]>>,
    pub(crate) sampling: Sampling,
    pub(crate) max_new_tokens: u32,
    pub(crate) seed: u64,
}

impl Template {
    /// The request for a (row, pass) is the same whenever it is made: a resumed run asks what the first would have.
    fn request(&self, row: u32, pass: u32, passes: u32) -> Request {
        let number = u64::from(row) * u64::from(passes) + u64::from(pass);
        Request {
            id: RequestId(number),
            prompt: Arc::clone(&self.prompts[row as usize]),
            sampling: self.sampling,
            seed: request_seed(self.seed, number),
            max_new_tokens: self.max_new_tokens,
            want_logits: false,
            stop_tokens: StopTokens::default(),
            ignore_eos: false,
        }
    }
}

/// What was done.
#[derive(Clone, Debug, Default)]
pub(crate) struct InferStats {
    pub(crate) answered: u64,
    pub(crate) tokens: u64,
    pub(crate) failures: Failures,
}

/// Waiting for events, to look at the clock now and then.
const TICK: Duration = Duration::from_millis(200);

/// Asks for everything that is open in the journal, `concurrency` requests at a time.
pub(crate) fn drive(
    generator: &dyn Generator,
    events: &Receiver<Event>,
    journal: &mut Journal,
    template: &Template,
    concurrency: usize,
    timeout: Duration,
) -> Result<InferStats> {
    let remaining: Vec<(u32, u32)> = journal.open_requests().collect();
    let mut this = InferLoop {
        passes: journal.passes(),
        clock: journal.clock(),
        open: HashMap::new(),
        done: InferStats::default(),
        timeout,
        last_checked: Instant::now(),
        held: 0,
        answered_then: 0,
        holding: false,
    };
    let mut remaining = remaining.into_iter();
    let mut display = Display::new("infer", journal.requests(), journal.answered());
    loop {
        let room = concurrency - this.open.len();
        let mut batch = Vec::new();
        for (row, pass) in remaining.by_ref().take(room) {
            let request = template.request(row, pass, this.passes);
            this.begin(request.id);
            batch.push(request);
        }
        if !batch.is_empty() && generator.submit(batch).is_err() {
            bail!("the engine ended; its message is above. Run the same command again to resume");
        }
        if this.open.is_empty() {
            journal.sync()?;
            return Ok(this.done);
        }
        let mut outcomes = Vec::new();
        match events.recv_timeout(TICK) {
            Ok(event) => {
                this.take(event, &mut outcomes)?;
                for event in events.try_iter() {
                    this.take(event, &mut outcomes)?;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                bail!(
                    "the engine ended before all requests did; run the same command again to resume"
                )
            }
        }
        if outcomes.is_empty() {
            journal.sync_if_due()?;
        } else {
            journal.record(&outcomes)?;
        }
        this.tell_held(generator);
        this.cancel_late(generator);
        display.show(
            journal.answered(),
            this.done.tokens,
            this.done.failures.count(),
        );
    }
}

struct InferLoop {
    passes: u32,
    clock: Clock,
    open: HashMap<RequestId, Open>,
    done: InferStats,
    timeout: Duration,
    /// When requests that take too long were last looked for.
    last_checked: Instant,
    /// How often a request was held, when it was last looked at, and the answers then.
    held: u64,
    answered_then: u64,
    holding: bool,
}

struct Open {
    began: Instant,
    first_token: Option<Instant>,
    tokens: Vec<TokenId>,
}

impl InferLoop {
    fn begin(&mut self, id: RequestId) {
        let open = Open {
            began: Instant::now(),
            first_token: None,
            tokens: Vec::new(),
        };
        self.open.insert(id, open);
    }

    fn take(&mut self, event: Event, outcomes: &mut Vec<Outcome>) -> Result<()> {
        match event {
            Event::Step(step) => self.step(step, outcomes),
            Event::Fatal(message) => {
                bail!("the engine failed: {message}; run the same command again to resume")
            }
        }
        Ok(())
    }

    fn step(&mut self, step: StepOutputs, outcomes: &mut Vec<Outcome>) {
        let (mut at, now) = (0, Instant::now());
        for out in step.outputs {
            let range = at..(at + out.n_tokens as usize).min(step.tokens.len());
            at = range.end;
            let Some(open) = self.open.get_mut(&out.id) else {
                continue;
            };
            if open.first_token.is_none() && !range.is_empty() {
                open.first_token = Some(now);
            }
            open.tokens.extend_from_slice(&step.tokens[range]);
            let Some(end) = out.end else { continue };
            let Some(open) = self.open.remove(&out.id) else {
                continue;
            };
            let times = Times {
                issued_ns: self.clock.ns(open.began),
                first_token_ns: open.first_token.map(|at| self.clock.ns(at)),
                ended_ns: self.clock.ns(now),
                engine: out.engine,
            };
            let took = now - open.began;
            outcomes.push(self.outcome(out.id, open.tokens, end, took, times));
        }
    }

    fn outcome(
        &mut self,
        id: RequestId,
        tokens: Vec<TokenId>,
        end: End,
        took: Duration,
        times: Times,
    ) -> Outcome {
        let failed = |message: String, given_up| Err(Failure { message, given_up });
        let result = match end {
            End::Failed(message) => failed(message, false),
            End::Cancelled => {
                let limit = self.timeout.as_secs_f64();
                failed(format!("no complete answer within {limit} s"), true)
            }
            _ if tokens.is_empty() => failed("the engine answered with no tokens".into(), false),
            end => Ok(Answer {
                cut: end == End::Length,
                tokens,
                took,
            }),
        };
        match &result {
            Ok(answer) => {
                self.done.answered += 1;
                self.done.tokens += answer.tokens.len() as u64;
            }
            Err(failure) => self.done.failures.add(&failure.message),
        }
        Outcome {
            row: (id.0 / u64::from(self.passes)) as u32,
            pass: (id.0 % u64::from(self.passes)) as u32,
            times: Some(times),
            result,
        }
    }

    /// Cancels what takes too long; it ends with `End::Cancelled`.
    fn cancel_late(&mut self, generator: &dyn Generator) {
        if self.last_checked.elapsed() < TICK {
            return;
        }
        self.last_checked = Instant::now();
        let late = |open: &Open| open.began.elapsed() > self.timeout;
        let late: Vec<_> = self.open.iter().filter(|(_, open)| late(open)).collect();
        if !late.is_empty() {
            generator.cancel(late.into_iter().map(|(id, _)| *id).collect());
        }
    }

    /// Says once in each outage that requests are held.
    fn tell_held(&mut self, generator: &dyn Generator) {
        if self.last_checked.elapsed() < TICK {
            return;
        }
        let held = generator.stats().map_or(0, |stats| stats.held);
        let more = held > self.held;
        if more && !self.holding {
            note!("infer: servers are gone; requests wait for them to come back (--hold)");
        }
        // An answer ends it.
        self.holding = more || (self.holding && self.done.answered == self.answered_then);
        if more {
            self.answered_then = self.done.answered;
        }
        self.held = held;
    }
}
