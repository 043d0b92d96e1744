//! The load of a point: a number of requests under way, each answered one replaced at once, in the order of the samples.
//!
//! Times are taken when the thread that reads from servers (or the engine's) hands tokens over. This thread only keeps
//! requests under way; the log is written by another (see `writer`).

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use ossmark_endpoints::rehearsal::{Journal, Resumed};
use ossmark_protocol::{
    End, Event, Generator, Request, RequestId, Sampling, StepOutputs, StopTokens, TokenId,
    request_seed,
};

use super::text::{Reader, Texts};
use super::writer::{self, Ended, Entry};
use crate::commands::display::Display;

/// An event and when it came.
pub(super) type Stamped = (Instant, Event);

/// What is asked, at every point.
pub(super) struct Template {
    /// Asked before what counts.
    pub(super) warmup: Vec<Arc<[TokenId]>>,
    pub(super) sampling: Sampling,
    pub(super) seed: u64,
    pub(super) texts: Texts,
}

/// What came of a point.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// Uuids as they were issued, with their rows.
    pub(super) order: Vec<(String, u32)>,
    /// Requests under way on average, from the first moment when all were until the last was issued; `None` for a load that
    /// was never kept up.
    pub(super) mean_under_way: Option<f64>,
    pub(super) failed: u64,
    /// Of the failed, the first message.
    pub(super) failure: Option<String>,
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
/// To look at the clock.
const TICK: Duration = Duration::from_millis(200);
const SHOW_EVERY: Duration = Duration::from_millis(100);

/// A generator and its events.
pub(super) struct Load<'a> {
    generator: &'a dyn Generator,
    events: &'a Receiver<Stamped>,
    template: &'a Template,
    /// Of this process, so that no two requests have one id.
    session: u64,
}

struct Open {
    uuid: Arc<str>,
    tokens: Vec<TokenId>,
    /// Until there is text.
    stream: Option<Reader>,
    first: usize,
}

/// A phase of a point under way.
struct Phase<'a> {
    load: &'a Load<'a>,
    clock: Clock,
    entries: &'a Sender<Entry>,
    open: HashMap<RequestId, Open>,
    under_way: UnderWay,
    max_new_tokens: u32,
    next_id: &'a mut u64,
    tokens: u64,
    ended: u64,
    measured: Measured,
}

/// How many requests were under way, over time.
#[derive(Default)]
struct UnderWay {
    at_once: usize,
    /// From when all were, while samples are left.
    from_ns: Option<i64>,
    until_ns: i64,
    /// Requests times nanoseconds.
    area: f64,
}

impl UnderWay {
    /// So many have been under way since it was last told.
    fn until(&mut self, ns: i64, open: usize) {
        // What was received is told after what was issued meanwhile.
        let ns = ns.max(self.until_ns);
        match self.from_ns {
            Some(_) => self.area += open as f64 * (ns - self.until_ns) as f64,
            None if open == self.at_once => self.from_ns = Some(ns),
            None => {}
        }
        self.until_ns = ns;
    }

    fn mean(&self) -> Option<f64> {
        let span = self.until_ns - self.from_ns?;
        (span > 0).then(|| self.area / span as f64)
    }
}

/// Nanoseconds since the point began, whatever processes it was measured by.
#[derive(Clone, Copy)]
struct Clock {
    base_ns: i64,
    began: Instant,
}

impl Clock {
    fn ns(&self, at: Instant) -> i64 {
        let since = at.saturating_duration_since(self.began);
        self.base_ns
            .saturating_add(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl<'a> Load<'a> {
    pub(super) fn new(
        generator: &'a dyn Generator,
        events: &'a Receiver<Stamped>,
        template: &'a Template,
    ) -> Self {
        Self {
            generator,
            events,
            template,
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
            log.end(clock.ns(Instant::now()))
                .context("cannot write events.jsonl")?;
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
        let mut phase = Phase {
            load: self,
            clock,
            entries,
            open: HashMap::new(),
            under_way: UnderWay::default(),
            max_new_tokens: task.max_new_tokens,
            next_id,
            tokens: 0,
            ended: 0,
            measured: Measured::default(),
        };
        if task.has_warmup {
            let warmup = self.template.warmup.iter();
            let warmup = warmup.map(|prompt| (0, Arc::clone(prompt))).collect();
            phase.run(&format!("{} warm-up", task.name), task.at_once, warmup, 0)?;
        }
        phase.measured = Measured::resumed(resumed, task);
        phase.send(Entry::Start(clock.ns(Instant::now())))?;
        let left = task.rows[kept.min(task.rows.len())..].iter();
        let left = left.map(|row| (*row, Arc::clone(&task.prompts[*row as usize])));
        phase.run(task.name, task.at_once, left.collect(), kept as u64)?;
        phase.send(Entry::Stop(clock.ns(Instant::now())))?;
        Ok(phase.measured)
    }

    fn uuid(&self, number: u64) -> Arc<str> {
        // The form of a random one: version 4, variant 2.
        let high = self.session & !0xf000 | 0x4000;
        let low = number & (u64::MAX >> 2) | 1 << 63;
        format!("{high:016x}{low:016x}").into()
    }
}

impl Phase<'_> {
    /// Keeps `at_once` of these under way until all have ended.
    fn run(
        &mut self,
        name: &str,
        at_once: usize,
        samples: Vec<(u32, Arc<[TokenId]>)>,
        earlier: u64,
    ) -> Result<()> {
        if samples.is_empty() {
            return Ok(());
        }
        let mut display = Display::new(name, earlier + samples.len() as u64, earlier);
        let mut samples = samples.into_iter();
        let mut shown = Instant::now();
        self.under_way = UnderWay {
            at_once,
            ..UnderWay::default()
        };
        (self.tokens, self.ended) = (0, 0);
        loop {
            let room = at_once - self.open.len();
            let (mut batch, mut issued) = (Vec::new(), Vec::new());
            for (row, prompt) in samples.by_ref().take(room) {
                let (request, entry) = self.issue(row, prompt);
                batch.push(request);
                issued.push(entry);
            }
            if !batch.is_empty() && self.load.generator.submit(batch).is_err() {
                bail!(
                    "the engine ended; its message is above. Run the same command again to go on"
                );
            }
            // The thread that writes is woken when that which sends has been: a request does not wait for its line in the log.
            for entry in issued {
                self.send(entry)?;
            }
            if self.open.is_empty() {
                return Ok(());
            }
            match self.load.events.recv_timeout(TICK) {
                Ok(event) => {
                    self.take(event)?;
                    // What has come meanwhile, up to a round of answers, so that places are filled again soon.
                    for event in self.load.events.try_iter().take(64) {
                        self.take(event)?;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    bail!(
                        "the engine ended before all requests did; run the same command again to go on"
                    )
                }
            }
            // The last of the load is no load: fewer and fewer are under way.
            if samples.len() > 0 {
                self.measured.mean_under_way = self.under_way.mean();
            }
            if shown.elapsed() >= SHOW_EVERY {
                shown = Instant::now();
                display.show(earlier + self.ended, self.tokens, self.measured.failed);
            }
        }
    }

    /// A request to be sent, and its line in the log.
    fn issue(&mut self, row: u32, prompt: Arc<[TokenId]>) -> (Request, Entry) {
        let id = RequestId(*self.next_id);
        *self.next_id += 1;
        let uuid = self.load.uuid(id.0);
        let template = self.load.template;
        self.measured.order.push((uuid.to_string(), row));
        let ns = self.clock.ns(Instant::now());
        self.under_way.until(ns, self.open.len());
        self.open.insert(
            id,
            Open {
                uuid: Arc::clone(&uuid),
                tokens: Vec::new(),
                stream: Some(template.texts.reader()),
                first: 0,
            },
        );
        let entry = Entry::Issued {
            ns,
            uuid,
            prompt: Arc::clone(&prompt),
        };
        let request = Request {
            id,
            prompt,
            sampling: template.sampling,
            seed: request_seed(template.seed, id.0),
            max_new_tokens: self.max_new_tokens,
            want_logits: false,
            stop_tokens: StopTokens::default(),
            ignore_eos: false,
        };
        (request, entry)
    }

    fn send(&self, entry: Entry) -> Result<()> {
        let sent = self.entries.send(entry);
        sent.map_err(|_| anyhow!("the log ended"))
    }

    fn take(&mut self, (at, event): Stamped) -> Result<()> {
        let ns = self.clock.ns(at);
        self.under_way.until(ns, self.open.len());
        match event {
            Event::Step(step) => self.step(ns, step),
            Event::Fatal(message) => {
                bail!("the engine failed: {message}; run the same command again to go on")
            }
        }
    }

    fn step(&mut self, ns: i64, step: StepOutputs) -> Result<()> {
        let mut tokens = &step.tokens[..];
        for out in step.outputs {
            let (new, others) = tokens.split_at(tokens.len().min(out.n_tokens as usize));
            tokens = others;
            let Some(open) = self.open.get_mut(&out.id) else {
                continue;
            };
            open.tokens.extend_from_slice(new);
            self.tokens += new.len() as u64;
            let visible = self.load.template.texts.visible(new, out.end.as_ref());
            let has_text = |stream: &mut Reader| stream.has_text(visible);
            if open.stream.as_mut().is_some_and(has_text) {
                open.stream = None;
                open.first = open.tokens.len();
                let uuid = Arc::clone(&open.uuid);
                self.send(Entry::First { ns, uuid })?;
            }
            if let Some(end) = out.end
                && let Some(open) = self.open.remove(&out.id)
            {
                self.ended += 1;
                self.end(ns, open, end)?;
            }
        }
        Ok(())
    }

    fn end(&mut self, ns: i64, open: Open, end: End) -> Result<()> {
        if let End::Failed(message) = &end {
            self.measured.failed += 1;
            self.measured.failure.get_or_insert_with(|| message.clone());
        }
        self.send(Entry::Ended(Ended {
            ns,
            uuid: open.uuid,
            tokens: open.tokens,
            first: open.first,
            end,
        }))
    }
}
