//! The load of a point: a number of requests under way, each answered one replaced at once, in the order of the samples.
//!
//! An answered request is replaced by the thread that brought its last token (of the HTTP client, or the engine's), in the
//! call that brought it: no other thread has to be woken first. Times are taken when that thread hands tokens over. The
//! log is written by a thread of its own (see `writer`); the one that called only waits and shows how far it is.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use crossbeam_channel::{Sender, bounded};
use ossmark_endpoints::rehearsal::{Journal, Resumed};
use ossmark_protocol::{Generator, TokenId};

use super::desk::Desk;
use super::phase::{Clock, Measured, Phase, Sample, Template};
use super::writer::{self, Entry};
use crate::commands::display::Display;

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
