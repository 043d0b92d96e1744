//! The engine as the harness sees it: a thread that takes requests and sends events. Owns the thread, its channel and the
//! settings; the scheduler and the executor live on that thread alone. The handle may be used from every thread.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use crate::error::EngineError;
use crate::executor::{Capacity, Executor};
use crate::limits::Limits;
use crate::pipeline::Pipeline;
use crate::scheduler::Scheduler;
use crate::stats::SharedStats;
use ossmark_protocol::{
    Closed, EngineStats, Event, Request, RequestError, RequestId, Sink, StepOutputs, TokenId,
};

/// How an engine runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// A generated token of these ends its request and is its last token.
    pub stop_tokens: Vec<TokenId>,
    /// Steps in flight, 1 or 2: 1 for executors that compute in `submit` (the CPU), 2 to plan while a device computes.
    pub pipeline_depth: u32,
    /// Most sequences at once; `None`, or more than the executor has slots: as many as it has.
    pub max_batch: Option<u32>,
    /// Most tokens of one prompt in a step; `None`, or more than a step may have: as many as that.
    pub max_chunk: Option<u32>,
}

/// A running engine. Dropping it is [`Engine::abort`] without waiting.
pub struct Engine {
    commands: Sender<Command>,
    shared: Arc<Shared>,
    limits: Limits,
    ended: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

enum Command {
    Submit(Vec<Request>),
    Cancel(Vec<RequestId>),
    Stop,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    stats: SharedStats,
}

impl Engine {
    /// Starts the engine thread. `sink` is called on it: once per step (also when no request moved, so that a long prompt
    /// shows life), once per batch of refused or cancelled requests, and with [`Event::Fatal`] at most once, as the last event.
    pub fn start(
        executor: Box<dyn Executor>,
        settings: EngineSettings,
        sink: Sink,
    ) -> Result<Self, EngineError> {
        let capacity = executor.capacity();
        let depth = settings.pipeline_depth as usize;
        let scheduler = scheduler(capacity, settings)?;
        let shared = Arc::new(Shared::default());
        shared.stats.publish(&scheduler);
        let pipeline = Pipeline::new(scheduler, executor, depth);
        let (commands, received) = unbounded();
        let (ending, ended) = bounded(0);
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("engine".into())
            .spawn(move || {
                // Dropped last, whatever happens: this is how `shutdown` learns of the end.
                let _ending: Sender<()> = ending;
                run(pipeline, received, &for_thread, sink);
            })?;
        Ok(Self {
            commands,
            shared,
            limits: Limits(capacity),
            ended,
            thread: Some(thread),
        })
    }

    /// Hands requests over; never blocks. A request that can never be answered comes back as `End::Failed`. After the
    /// engine has died, requests may still be taken for a moment; like all that are open, they get no answer.
    pub fn submit(&self, requests: Vec<Request>) -> Result<(), Closed> {
        if self.shared.stop.load(SeqCst) {
            return Err(Closed);
        }
        self.commands
            .send(Command::Submit(requests))
            .map_err(|_| Closed)
    }

    /// Ends requests early: each that is still open gets `End::Cancelled` as its one end, and its blocks are free once the
    /// steps in flight that read them are over. Ids that are unknown or have ended are ignored. Never blocks.
    pub fn cancel(&self, ids: Vec<RequestId>) {
        // An engine that is gone has nothing left to cancel.
        let _ = self.commands.send(Command::Cancel(ids));
    }

    /// Whether a request could be answered if it ran alone.
    pub fn check(&self, prompt: &[TokenId], max_new_tokens: u32) -> Result<(), RequestError> {
        self.limits.check(prompt, max_new_tokens)
    }

    /// The executor's limits.
    pub fn capacity(&self) -> Capacity {
        self.limits.0
    }

    /// How it goes; cheap.
    pub fn stats(&self) -> EngineStats {
        self.shared.stats.snapshot()
    }

    /// Stops: no step is begun any more, open requests are dropped without an answer, and no step's event follows the one
    /// that may be under way. Does not wait.
    pub fn abort(&self) {
        self.shared.stop.store(true, SeqCst);
        // Wakes an idle engine; an engine that is gone needs no waking.
        let _ = self.commands.send(Command::Stop);
    }

    /// [`Engine::abort`], then waits for the thread and with it for the release of the executor.
    ///
    /// # Errors
    /// `ShutdownTimeout` when a step on the device does not return in time; the thread is then left behind.
    pub fn shutdown(mut self, timeout: Duration) -> Result<(), EngineError> {
        self.abort();
        match self.ended.recv_timeout(timeout) {
            Err(crossbeam_channel::RecvTimeoutError::Timeout) => {
                Err(EngineError::ShutdownTimeout(timeout))
            }
            _ => {
                // Panics were caught on the thread and became events.
                let _ = self.thread.take().map(JoinHandle::join);
                Ok(())
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.abort();
    }
}

/// The scheduler that an engine of this capacity has with these settings.
pub(crate) fn scheduler(
    capacity: Capacity,
    settings: EngineSettings,
) -> Result<Scheduler, EngineError> {
    check_capacity(&capacity)?;
    check_settings(&settings, &capacity)?;
    let max_seqs = settings
        .max_batch
        .map_or(capacity.max_seqs, |n| n.min(capacity.max_seqs));
    let max_chunk = settings.max_chunk.unwrap_or(u32::MAX);
    Ok(Scheduler::new(
        capacity,
        settings.stop_tokens,
        max_seqs,
        max_chunk,
    ))
}

fn check_settings(settings: &EngineSettings, capacity: &Capacity) -> Result<(), EngineError> {
    let bad = |name, found: u32, expected: &str| {
        Err(EngineError::Setting {
            name,
            found: found.to_string(),
            expected: expected.into(),
        })
    };
    if !matches!(settings.pipeline_depth, 1 | 2) {
        return bad("pipeline_depth", settings.pipeline_depth, "1 or 2");
    }
    if settings.max_batch == Some(0) {
        return bad("max_batch", 0, "at least 1");
    }
    if settings.max_chunk == Some(0) {
        return bad("max_chunk", 0, "at least 1");
    }
    if let Some(&token) = settings
        .stop_tokens
        .iter()
        .find(|&&token| token >= capacity.vocab_size)
    {
        return bad(
            "stop_tokens",
            token,
            &format!("tokens of the vocabulary, below {}", capacity.vocab_size),
        );
    }
    Ok(())
}

fn check_capacity(capacity: &Capacity) -> Result<(), EngineError> {
    let Capacity {
        n_blocks,
        block_size,
        window,
        has_full,
        max_step_tokens,
        max_seqs,
        max_context,
        vocab_size,
        draft_tokens,
    } = *capacity;
    let at_least = [
        ("n_blocks", n_blocks, 1),
        ("block_size", block_size, 1),
        ("window", window.unwrap_or(1), 1),
        ("max_step_tokens", max_step_tokens, 1),
        ("max_seqs", max_seqs, 1),
        ("max_context", max_context, 2),
        ("vocab_size", vocab_size, 1),
    ];
    if let Some(&(name, found, _)) = at_least.iter().find(|(_, found, min)| found < min) {
        return Err(EngineError::Capacity {
            name,
            found,
            expected: "more: at least 2 tokens of context, 1 of all else",
        });
    }
    if draft_tokens > 0 && !has_full {
        return Err(EngineError::Capacity {
            name: "has_full",
            found: 0,
            expected: "blocks for all positions: a draft head keeps its keys and values there",
        });
    }
    if !has_full && window.is_none() {
        return Err(EngineError::Capacity {
            name: "has_full",
            found: 0,
            expected: "layers of at least one kind",
        });
    }
    Ok(())
}

fn run(mut pipeline: Pipeline, commands: Receiver<Command>, shared: &Shared, mut sink: Sink) {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        serve(&mut pipeline, &commands, shared, &mut sink)
    }));
    let fatal = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error),
        Err(panic) => Some(EngineError::Panicked(panic_message(&*panic))),
    };
    shared.stop.store(true, SeqCst);
    // The message goes out before the executor is dropped: a broken device may hang in there, and the sink or the
    // executor may panic again. Nothing is left to tell then.
    if let Some(error) = fatal {
        let _ = catch_unwind(AssertUnwindSafe(|| sink(Event::Fatal(error.to_string()))));
    }
    let _ = catch_unwind(AssertUnwindSafe(|| drop(pipeline)));
    let _ = catch_unwind(AssertUnwindSafe(|| drop(sink)));
}

/// Until it is told to stop, nobody listens any more, or something breaks.
fn serve(
    pipeline: &mut Pipeline,
    commands: &Receiver<Command>,
    shared: &Shared,
    sink: &mut Sink,
) -> Result<(), EngineError> {
    loop {
        let mut ended = StepOutputs::default();
        let mut take = |pipeline: &mut Pipeline, command| match command {
            Command::Submit(requests) => {
                ended.outputs.extend(
                    requests
                        .into_iter()
                        .filter_map(|request| pipeline.scheduler.add(request)),
                );
                Ok(())
            }
            Command::Cancel(ids) => ids.into_iter().try_for_each(|id| {
                ended.outputs.extend(pipeline.scheduler.cancel(id)?);
                Ok(())
            }),
            // The flag was set before this was sent.
            Command::Stop => Ok::<(), EngineError>(()),
        };
        if pipeline.is_idle() {
            let Ok(command) = commands.recv() else {
                return Ok(());
            };
            take(pipeline, command)?;
        }
        for command in commands.try_iter() {
            take(pipeline, command)?;
        }
        if shared.stop.load(SeqCst) {
            pipeline.drain();
            return Ok(());
        }
        if !ended.outputs.is_empty() && !sink(Event::Step(ended)) {
            pipeline.drain();
            return Ok(());
        }
        let begun = Instant::now();
        let Some(mut outputs) = pipeline.step()? else {
            // A cancellation may have emptied the engine without a step.
            shared.stats.publish(&pipeline.scheduler);
            continue;
        };
        let ended = Instant::now();
        outputs.took = ended - begun;
        outputs.ended = Some(ended);
        shared.stats.count(&outputs);
        shared.stats.publish(&pipeline.scheduler);
        if shared.stop.load(SeqCst) || !sink(Event::Step(outputs)) {
            pipeline.drain();
            return Ok(());
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("without a message").to_owned()
}
