//! Where a generator's threads meet the phase that is under way: what they bring is noted, and what ended is replaced, in the
//! call that brings it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use ossmark_protocol::{Event, Generator, Request, Sink};

use super::phase::{Phase, failed};

const SHOW_EVERY: Duration = Duration::from_millis(100);

/// Where the generator's threads meet the phase that is under way.
#[derive(Default)]
pub(super) struct Desk {
    state: Mutex<State>,
    /// Something other than the count of answers is new.
    told: Condvar,
}

#[derive(Default)]
struct State {
    under_way: Option<UnderWay>,
    /// Why the generator will bring nothing more.
    gone: Option<String>,
}

struct UnderWay {
    phase: Phase,
    generator: Arc<dyn Generator>,
    /// Its end, or what ended it.
    outcome: Option<Result<()>>,
}

impl UnderWay {
    /// What is to be submitted now.
    fn next(&mut self, taken: Result<()>) -> Vec<Request> {
        match taken.and_then(|()| self.phase.fill()) {
            Ok(batch) => {
                if self.phase.is_over() {
                    self.outcome = Some(Ok(()));
                }
                batch
            }
            Err(error) => {
                self.outcome = Some(Err(error));
                Vec::new()
            }
        }
    }
}

/// The generator's end of the desk; dropped with the generator.
struct Counter(Arc<Desk>);

impl Drop for Counter {
    fn drop(&mut self) {
        self.0.lock().gone.get_or_insert_with(|| ENDED.into());
        self.0.told.notify_all();
    }
}

impl Desk {
    /// What a generator is to be started with.
    pub(super) fn sink(self: &Arc<Self>) -> Sink {
        let counter = Counter(Arc::clone(self));
        Box::new(move |event| counter.0.take(Instant::now(), event))
    }

    /// Whether more is wanted.
    fn take(&self, at: Instant, event: Event) -> bool {
        let mut state = self.lock();
        let under_way = state.under_way.as_mut();
        let Some(under_way) = under_way.filter(|now| now.outcome.is_none()) else {
            // Between two phases: what comes now belongs to none, and a phase that is over may not be taken away yet.
            if let Event::Fatal(message) = event {
                state.gone = Some(failed(&message));
            }
            return true;
        };
        let ns = under_way.phase.clock.ns(at);
        let taken = under_way.phase.take(ns, event);
        let batch = under_way.next(taken);
        if under_way.outcome.is_some() {
            self.told.notify_all();
        }
        if batch.is_empty() {
            return true;
        }
        let generator = Arc::clone(&under_way.generator);
        // Whoever takes a request may look at its own locks, and so may others that wait for this one.
        drop(state);
        if generator.submit(batch).is_ok() {
            return true;
        }
        self.lock().gone.get_or_insert_with(|| ENDED.into());
        self.told.notify_all();
        false
    }

    /// Keeps a phase's requests under way until all have ended.
    pub(super) fn run(
        &self,
        phase: Phase,
        generator: &Arc<dyn Generator>,
        mut show: impl FnMut(u64, u64, u64),
    ) -> Result<Phase> {
        let mut state = self.lock();
        if let Some(why) = &state.gone {
            bail!("{why}");
        }
        let under_way = state.under_way.insert(UnderWay {
            phase,
            generator: Arc::clone(generator),
            outcome: None,
        });
        let batch = under_way.next(Ok(()));
        drop(state);
        let is_taken = batch.is_empty() || generator.submit(batch).is_ok();
        let mut state = self.lock();
        if !is_taken {
            state.gone.get_or_insert_with(|| ENDED.into());
        }
        loop {
            if let Some(under_way) = state.under_way.take_if(|now| now.outcome.is_some()) {
                return under_way
                    .outcome
                    .unwrap_or(Ok(()))
                    .map(|()| under_way.phase);
            }
            if let Some(why) = state.gone.clone() {
                state.under_way = None;
                bail!(why);
            }
            let figures = state.under_way.as_ref().map(|now| {
                let phase = &now.phase;
                (phase.ended, phase.tokens, phase.measured.failed)
            });
            drop(state);
            if let Some((ended, tokens, failed)) = figures {
                show(ended, tokens, failed);
            }
            let waited = self
                .told
                .wait_timeout_while(self.lock(), SHOW_EVERY, |state| {
                    let is_under_way = |now: &UnderWay| now.outcome.is_none();
                    state.gone.is_none() && state.under_way.as_ref().is_some_and(is_under_way)
                });
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked in here has ended the generator, which is noticed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of a generator that ends without a word of its own.
const ENDED: &str = "the engine ended before all requests did; its message is above. Run the same command again to go on";
