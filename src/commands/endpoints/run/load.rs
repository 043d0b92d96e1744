//! The load of a point: a number of requests under way, each answered one replaced at once, in the order of the samples.
//!
//! An answered request is replaced by the thread that brought its last token (of the HTTP client, or the engine's), in the
//! call that brought it: no other thread has to be woken first. Times are taken when that thread hands tokens over. The
//! log is written by a thread of its own (see `writer`); the one that called only waits and shows how far it is.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use crossbeam_channel::{Sender, bounded};
use ossmark_endpoints::rehearsal::{Journal, Resumed};
use ossmark_protocol::{Event, Generator, Request, Sampling, Sink, TokenId};

use super::phase::{Measured, Phase, Sample};
use super::text::Texts;
use super::writer::{self, Entry};
use crate::commands::display::Display;

/// What is asked, at every point.
pub(super) struct Template {
    /// Asked before what counts.
    pub(super) warmup: Vec<Arc<[TokenId]>>,
    pub(super) sampling: Sampling,
    pub(super) seed: u64,
    pub(super) texts: Texts,
}

impl Measured {
    /// What an earlier process measured to the end.
    pub(super) fn resumed(resumed: &Resumed, task: &Task<'_>) -> Self {
        let kept = resumed.kept.iter().cloned();
        Self {
            order: kept.zip(task.rows.iter().copied()).collect(),
            ..Self::default()
        }
    }
}

/// A point to measure.
pub(super) struct Task<'a> {
    pub(super) name: &'a str,
    /// Requests under way.
    pub(super) at_once: usize,
    /// All samples, in order.
    pub(super) rows: Vec<u32>,
    /// By row of the data set.
    pub(super) prompts: &'a [Arc<[TokenId]>],
    pub(super) max_new_tokens: u32,
    pub(super) has_warmup: bool,
}

/// Entries on their way to the log; a disk that is that slow holds the load up, which the figures then show.
const ENTRIES: usize = 1 << 16;
const SHOW_EVERY: Duration = Duration::from_millis(100);

/// Nanoseconds since the point began, whatever processes it was measured by.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    base_ns: i64,
    began: Instant,
}

impl Clock {
    fn ns(&self, at: Instant) -> i64 {
        let since = at.saturating_duration_since(self.began);
        self.base_ns
            .saturating_add(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    pub(super) fn now(&self) -> i64 {
        self.ns(Instant::now())
    }
}

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
    /// The generator will bring nothing more; why, where it said so.
    gone: Option<Option<String>>,
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
        self.0.lock().gone.get_or_insert(None);
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
        let Some(under_way) = &mut state.under_way else {
            if let Event::Fatal(message) = event {
                state.gone = Some(Some(message));
            }
            return true;
        };
        if under_way.outcome.is_some() {
            return false;
        }
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
        self.lock().gone.get_or_insert(None);
        self.told.notify_all();
        false
    }

    /// Keeps a phase's requests under way until all have ended.
    fn run(
        &self,
        phase: Phase,
        generator: &Arc<dyn Generator>,
        mut show: impl FnMut(u64, u64, u64),
    ) -> Result<Phase> {
        let mut state = self.lock();
        if let Some(why) = &state.gone {
            bail!(gone(why.as_deref()));
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
            state.gone.get_or_insert(None);
        }
        loop {
            if let Some(under_way) = state.under_way.take_if(|now| now.outcome.is_some()) {
                return under_way
                    .outcome
                    .unwrap_or(Ok(()))
                    .map(|()| under_way.phase);
            }
            if let Some(why) = &state.gone {
                let message = gone(why.as_deref());
                state.under_way = None;
                bail!(message);
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

fn gone(why: Option<&str>) -> String {
    match why {
        Some(message) => {
            format!("the engine failed: {message}; run the same command again to go on")
        }
        None => {
            "the engine ended before all requests did; its message is above. Run the same command again to go on".into()
        }
    }
}

/// A generator and what it is asked.
pub(super) struct Load {
    generator: Arc<dyn Generator>,
    desk: Arc<Desk>,
    template: Arc<Template>,
    session: u64,
}

impl Load {
    /// `generator` was started with the sink of `desk`.
    pub(super) fn new(generator: Arc<dyn Generator>, desk: Arc<Desk>, template: Template) -> Self {
        Self {
            generator,
            desk,
            template: Arc::new(template),
            session: RandomState::new().build_hasher().finish(),
        }
    }

    /// Measures what is left of a point. `next_id` counts requests over all points.
    ///
    /// # Errors
    /// The engine ended, or the log cannot be written; the point can be gone on with.
    pub(super) fn measure(
        &self,
        task: &Task<'_>,
        log: Journal,
        resumed: &Resumed,
        next_id: &mut u64,
    ) -> Result<Measured> {
        let clock = Clock {
            base_ns: resumed.last_ns,
            began: Instant::now(),
        };
        let (entries, written) = bounded(ENTRIES);
        thread::scope(|scope| {
            let texts = &self.template.texts;
            let writing = scope.spawn(move || writer::write(log, &written, texts));
            let done = self.phases(task, resumed, clock, &entries, next_id);
            drop(entries);
            let log = writing
                .join()
                .map_err(|_| anyhow!("the thread that writes the log panicked"))?;
            // Why the log cannot be written is why the load ended.
            let log = log.context("cannot write events.jsonl")?;
            let measured = done?;
            log.end(clock.now()).context("cannot write events.jsonl")?;
            Ok(measured)
        })
    }

    fn phases(
        &self,
        task: &Task<'_>,
        resumed: &Resumed,
        clock: Clock,
        entries: &Sender<Entry>,
        next_id: &mut u64,
    ) -> Result<Measured> {
        let kept = resumed.kept.len();
        let phase = |samples, next_id, measured| {
            let ground = (Arc::clone(&self.template), clock, entries.clone());
            let sizes = (task.at_once, task.max_new_tokens);
            Phase::new(ground, (self.session, next_id), sizes, samples, measured)
        };
        if task.has_warmup {
            let warmup = self.template.warmup.iter();
            let warmup = warmup.map(|prompt| (0, Arc::clone(prompt))).collect();
            let name = format!("{} warm-up", task.name);
            let done = self.run(&name, phase(warmup, *next_id, Measured::default()), 0)?;
            *next_id = done.next_id;
        }
        let left = task.rows[kept.min(task.rows.len())..].iter();
        let left: Vec<Sample> = left
            .map(|row| (*row, Arc::clone(&task.prompts[*row as usize])))
            .collect();
        let phase = phase(left, *next_id, Measured::resumed(resumed, task));
        phase.send(Entry::Start(clock.now()))?;
        let done = self.run(task.name, phase, kept as u64)?;
        *next_id = done.next_id;
        done.send(Entry::Stop(clock.now()))?;
        Ok(done.measured)
    }

    fn run(&self, name: &str, phase: Phase, earlier: u64) -> Result<Phase> {
        let count = phase.samples.len() as u64;
        if count == 0 {
            return Ok(phase);
        }
        let mut display = Display::new(name, earlier + count, earlier);
        self.desk
            .run(phase, &self.generator, |ended, tokens, failed| {
                display.show(earlier + ended, tokens, failed);
            })
    }
}
