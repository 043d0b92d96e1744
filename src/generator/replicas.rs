//! Several engines behind one queue (data parallel): a request goes to the engine with the fewest open ones, and waits in
//! the queue while every engine has as many as it can work on, so that none runs dry while another still has a backlog.
//!
//! A request's tokens do not depend on which engine answers it: its seed comes with it. Submitting runs on the caller's
//! thread, handing out more on the engines' threads.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use anyhow::{Context, Result};
use ossmark_engine::ModelInfo;
use ossmark_protocol::{
    Closed, End, Event, Generator, Load, Request, RequestError, RequestId, SeqOutput, Sink,
    StepOutputs, TokenId,
};

use super::local::{Local, LocalSettings};

/// Local engines that share one queue.
pub(crate) struct Replicas {
    shared: Arc<Shared>,
    /// For what is cancelled before an engine has it.
    sink: CommonSink,
    info: ModelInfo,
}

struct Shared {
    engines: Vec<Local>,
    /// Open requests that an engine may have: what it can run at a time, and some to take in at once when one ends.
    most_open: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Request>,
    open: Vec<usize>,
}

/// An event's sink belongs to all engines.
type CommonSink = Arc<Mutex<Sink>>;

impl Replicas {
    /// Loads and warms up the engines, one after the other.
    pub(crate) fn start(settings: &[LocalSettings], sink: Sink) -> Result<Self> {
        let sink: CommonSink = Arc::new(Mutex::new(sink));
        // The engines' sinks are made before the engines, and reach what they belong to through this once all are there.
        let whole: Arc<Mutex<Weak<Shared>>> = Arc::default();
        let mut engines = Vec::with_capacity(settings.len());
        for (n, settings) in settings.iter().enumerate() {
            let engine_sink = sink_of(n, Arc::clone(&whole), Arc::clone(&sink));
            let engine = Local::start(settings, engine_sink)
                .with_context(|| format!("engine {n} of --dp {}", engines.capacity()))?;
            engines.push(engine);
        }
        let at_a_time = engines[0].capacity()?.max_seqs as usize;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                queue: VecDeque::new(),
                open: vec![0; engines.len()],
            }),
            most_open: at_a_time + at_a_time.div_ceil(4),
            engines,
        });
        *locked(&whole) = Arc::downgrade(&shared);
        let info = common_info(shared.engines.iter().map(|engine| &engine.info));
        Ok(Self { shared, sink, info })
    }

    /// Of the first engine; the others have loaded the same. With what is to be known of each.
    pub(crate) fn info(&self) -> &ModelInfo {
        &self.info
    }
}

/// What the engines have in common, and the warnings and left out kernels of each: devices may differ in these.
fn common_info<'a>(mut engines: impl Iterator<Item = &'a ModelInfo>) -> ModelInfo {
    let first = engines.next().expect("several engines");
    let mut info = first.clone();
    for (n, other) in (1..).zip(engines) {
        let new = other
            .warnings
            .iter()
            .filter(|w| !first.warnings.contains(w));
        info.warnings
            .extend(new.map(|w| format!("engine {n}: {w}")));
        if let (Some(all), Some(of)) = (&mut info.kernels, &other.kernels) {
            let known: Vec<_> = all.left_out.iter().map(|left| left.kernel).collect();
            let new = of
                .left_out
                .iter()
                .filter(|left| !known.contains(&left.kernel));
            all.left_out.extend(new.cloned());
        }
    }
    info
}

impl Generator for Replicas {
    fn submit(&self, requests: Vec<Request>) -> Result<(), Closed> {
        let mut state = locked(&self.shared.state);
        state.queue.extend(requests);
        self.shared.dispatch(&mut state)
    }

    fn check(&self, prompt: &[TokenId], max_new_tokens: u32) -> Result<(), RequestError> {
        self.shared.engines[0].check(prompt, max_new_tokens)
    }

    fn cancel(&self, ids: Vec<RequestId>) {
        let cancelled: HashSet<RequestId> = ids.iter().copied().collect();
        let queued: Vec<SeqOutput> = {
            let mut state = locked(&self.shared.state);
            let queued = take_cancelled(&mut state.queue, &cancelled);
            queued
                .into_iter()
                .map(|request| SeqOutput {
                    id: request.id,
                    n_tokens: 0,
                    end: Some(End::Cancelled),
                    engine: 0,
                    logits: Vec::new(),
                })
                .collect()
        };
        if !queued.is_empty() {
            let outputs = StepOutputs {
                tokens: Vec::new(),
                outputs: queued,
                ..StepOutputs::default()
            };
            // Nobody listens any more: the engines will notice.
            let _ = (locked(&self.sink))(Event::Step(outputs));
        }
        // Which engine has which of the others is not kept; strangers are ignored.
        for engine in &self.shared.engines {
            engine.cancel(ids.clone());
        }
    }

    fn load(&self) -> Vec<Load> {
        let mut load: Vec<Load> = self
            .shared
            .engines
            .iter()
            .flat_map(Generator::load)
            .collect();
        if let Some(first) = load.first_mut() {
            first.stats.waiting += locked(&self.shared.state).queue.len() as u64;
        }
        load
    }

    fn shutdown(&self) {
        locked(&self.shared.state).queue.clear();
        for engine in &self.shared.engines {
            engine.shutdown();
        }
    }
}

impl Shared {
    fn dispatch(&self, state: &mut State) -> Result<(), Closed> {
        let mut batches: Vec<Vec<Request>> = self.engines.iter().map(|_| Vec::new()).collect();
        for _ in 0..state.queue.len() {
            let Some(n) = least_loaded(&state.open, self.most_open) else {
                break;
            };
            batches[n].extend(state.queue.pop_front());
            state.open[n] += 1;
        }
        for (engine, batch) in self.engines.iter().zip(batches) {
            if !batch.is_empty() {
                engine.submit(batch)?;
            }
        }
        Ok(())
    }
}

/// Takes out the requests with these ids; both parts keep their order.
fn take_cancelled(queue: &mut VecDeque<Request>, ids: &HashSet<RequestId>) -> VecDeque<Request> {
    let all = std::mem::take(queue);
    let (cancelled, rest) = all
        .into_iter()
        .partition(|request| ids.contains(&request.id));
    *queue = rest;
    cancelled
}

/// The engine with the fewest open requests, the first of equals; none when all have `most`.
fn least_loaded(open: &[usize], most: usize) -> Option<usize> {
    let (n, &fewest) = open.iter().enumerate().min_by_key(|&(_, open)| open)?;
    (fewest < most).then_some(n)
}

fn sink_of(n: usize, whole: Arc<Mutex<Weak<Shared>>>, sink: CommonSink) -> Sink {
    let engine = u16::try_from(n).unwrap_or(u16::MAX);
    Box::new(move |mut event| {
        let ended = match &mut event {
            Event::Step(step) => {
                step.engine = engine;
                step.outputs.iter_mut().for_each(|out| out.engine = engine);
                step.outputs.iter().filter(|out| out.end.is_some()).count()
            }
            Event::Fatal(_) => 0,
        };
        if !(locked(&sink))(event) {
            return false;
        }
        if ended == 0 {
            return true;
        }
        // Gone: the harness has let go of the engines, and nobody waits for more.
        let Some(shared) = locked(&whole).upgrade() else {
            return false;
        };
        let mut state = locked(&shared.state);
        state.open[n] = state.open[n].saturating_sub(ended);
        // Closed: another engine is gone, and has said so itself.
        let _ = shared.dispatch(&mut state);
        true
    })
}

/// What panicked while it held a lock was an engine's sink, and its engine has reported it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ossmark_engine::{FastKernel, KernelUse, LeftOut};
    use ossmark_protocol::Sampling;

    #[test]
    fn what_one_engine_leaves_out_is_told_of_all() {
        let info = |kernels: &[FastKernel], warnings: &[&str]| ModelInfo {
            vocab_size: 1,
            max_context: 1,
            stop_tokens: Vec::new(),
            n_layers: 1,
            weight_bytes: 1,
            kv_bytes_per_block: 1,
            description: "a model".into(),
            warnings: warnings.iter().map(|w| (*w).to_owned()).collect(),
            kernels: Some(KernelUse {
                left_out: kernels
                    .iter()
                    .map(|kernel| LeftOut {
                        kernel: *kernel,
                        operation: "the router",
                        rows: 1,
                        error: 1.0,
                    })
                    .collect(),
                ..KernelUse::default()
            }),
        };
        let all = [
            info(&[FastKernel::Router], &["slow"]),
            info(&[FastKernel::Router, FastKernel::RopeKv], &["slow", "hot"]),
        ];
        let common = common_info(all.iter());
        assert_eq!(common.warnings, ["slow", "engine 1: hot"]);
        let left_out = common.kernels.unwrap().left_out;
        let kernels: Vec<_> = left_out.iter().map(|left| left.kernel).collect();
        assert_eq!(kernels, [FastKernel::Router, FastKernel::RopeKv]);
    }

    #[test]
    fn cancelled_requests_leave_the_queue_and_the_others_keep_their_order() {
        let request = |id| Request {
            id: RequestId(id),
            prompt: [1].into(),
            sampling: Sampling::GREEDY,
            seed: 0,
            max_new_tokens: 1,
            want_logits: false,
            stop_tokens: ossmark_protocol::StopTokens::default(),
            ignore_eos: false,
        };
        let mut queue: VecDeque<Request> = (0..6).map(request).collect();
        let ids = HashSet::from([1, 4, 9].map(RequestId));
        let numbers =
            |requests: &VecDeque<Request>| requests.iter().map(|r| r.id.0).collect::<Vec<_>>();
        assert_eq!(numbers(&take_cancelled(&mut queue, &ids)), [1, 4]);
        assert_eq!(numbers(&queue), [0, 2, 3, 5]);
    }

    #[test]
    fn the_least_loaded_engine_is_next_until_all_are_full() {
        assert_eq!(least_loaded(&[2, 1, 1], 3), Some(1));
        assert_eq!(least_loaded(&[0, 0], 1), Some(0));
        assert_eq!(least_loaded(&[3, 3], 3), None);
        assert_eq!(least_loaded(&[], 3), None);
    }
}
