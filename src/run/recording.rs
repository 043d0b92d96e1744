//! What goes into the run's record (`ossmark_record`): rows from the responder, a line a second from the counters. Nothing
//! here can fail or delay the run.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ossmark_protocol::{Generator, Load, RemoteStats, RequestId};
use ossmark_record::{Counters, End, Limits, Recorder, Row, Server, Settings, Writer};
use ossmark_telemetry::Watch;

use super::ledger::{Arrived, Asked};
use super::metrics::Progress;
use super::moment::Moment;

/// Rows for the record, from the thread that answers LoadGen.
pub(crate) struct Recording {
    recorder: Recorder,
    /// Of each row of the data set.
    prompt_tokens: Arc<[u32]>,
    /// When LoadGen's schedule wanted the first sample, once one was issued: the start of the test.
    start: Option<Moment>,
    counts: Counts,
    shared: Arc<Shared>,
    /// Not handed over yet.
    rows_here: Vec<Row>,
    /// Samples that ended while the writer had no room, not told to it yet.
    lost_here: u64,
    /// When something was last handed over.
    handed_over: Moment,
}

/// Counted here, and shown to the writer's thread with the rows.
#[derive(Default)]
struct Counts {
    /// Tokens of the prompts that were issued.
    input_tokens: u64,
    /// Tokens that came, of whole answers or not.
    output_tokens: u64,
    /// Samples that ended.
    ended: u64,
}

/// Rows are handed over so many at a time: each by itself would wake the writer's thread.
const TOGETHER: usize = 256;
/// No row waits longer for others; with the writer's own half second a kill loses less than a second.
const WAIT: Duration = Duration::from_millis(100);

/// What the writer's thread must know of the rows.
#[derive(Default)]
struct Shared {
    start: OnceLock<Moment>,
    input_tokens: AtomicU64,
    output_tokens: AtomicU64,
    /// Samples whose rows were handed over.
    ended: AtomicU64,
}

/// A sample that has been answered, for its row.
pub(crate) struct Ended {
    pub(crate) id: RequestId,
    pub(crate) asked: Asked,
    pub(crate) first_token: Option<Moment>,
    pub(crate) tokens: usize,
    pub(crate) end: End,
    pub(crate) engine: u16,
}

/// Begins the record in `output`, a run's directory.
pub(crate) fn begin(
    output: &Path,
    limits: Limits,
    prompt_tokens: Arc<[u32]>,
    progress: &Arc<Progress>,
    generator: &Arc<dyn Generator>,
    power: Option<Watch>,
) -> (Recording, Writer) {
    let settings = Settings {
        limits,
        ..Settings::default()
    };
    let shared: Arc<Shared> = Arc::default();
    let (progress, generator) = (Arc::clone(progress), Arc::clone(generator));
    let ours = Arc::clone(&shared);
    let counters = move || counters(&ours, &progress, &*generator, power.as_ref());
    let (recorder, writer) = ossmark_record::begin(output, settings, counters);
    let recording = Recording {
        recorder,
        prompt_tokens,
        start: None,
        counts: Counts::default(),
        shared,
        rows_here: Vec::new(),
        lost_here: 0,
        handed_over: Moment::now(),
    };
    (recording, writer)
}

fn counters(
    shared: &Shared,
    progress: &Progress,
    generator: &dyn Generator,
    power: Option<&Watch>,
) -> Option<Counters> {
    // The rows of these samples have been handed over before: what a line counts has its row.
    let ended = shared.ended.load(Acquire);
    let mut counters = Counters {
        t: Moment::now().since(*shared.start.get()?),
        issued: progress.issued.load(Relaxed),
        completed: ended,
        input_tokens: Some(shared.input_tokens.load(Relaxed)),
        output_tokens: Some(shared.output_tokens.load(Relaxed)),
        ..Counters::default()
    };
    let engines = generator.load();
    if !engines.is_empty() {
        let sum = |number: fn(&Load) -> u64| Some(engines.iter().map(number).sum());
        counters.running = sum(|engine| engine.stats.running);
        counters.waiting = sum(|engine| engine.stats.waiting);
        counters.kv_blocks = sum(|engine| engine.total_blocks);
        counters.kv_blocks_used =
            sum(|engine| engine.total_blocks.saturating_sub(engine.stats.free_blocks));
        counters.preemptions = sum(|engine| engine.stats.preemptions);
        counters.steps = sum(|engine| engine.stats.steps);
        counters.step_time = Some(engines.iter().map(|engine| engine.stats.step_time).sum());
        counters.step_rows = sum(|engine| engine.stats.step_rows);
    }
    counters.servers = generator.stats().map(servers);
    if let Some(power) = power {
        let latest = power.latest();
        counters.power_w = latest.power_w;
        let gpus: Vec<_> = latest.gpus.into_iter().map(|gpu| gpu.figures).collect();
        counters.gpus = (!gpus.is_empty()).then_some(gpus);
    }
    Some(counters)
}

fn servers(stats: RemoteStats) -> Vec<Server> {
    let server = |server: ossmark_protocol::EndpointStats| Server {
        // An address that holds a user name or a query is refused (crates/remote).
        server: server.endpoint,
        open: Some(server.open),
        retries: Some(server.retries),
        timeouts: Some(server.timed_out),
    };
    stats.by_endpoint.into_iter().map(server).collect()
}

impl Recording {
    /// The longest time between two looks.
    pub(super) const OFTEN: Duration = WAIT;

    /// LoadGen has issued samples.
    pub(super) fn issued(&mut self, samples: &[Arrived]) {
        if let (None, Some(first)) = (self.start, samples.first()) {
            self.start = Some(first.scheduled);
            let _ = self.shared.start.set(first.scheduled);
        }
        let tokens = samples.iter().map(|s| u64::from(self.prompt(s.row)));
        self.counts.input_tokens += tokens.sum::<u64>();
    }

    fn prompt(&self, row: u64) -> u32 {
        let row = usize::try_from(row).ok();
        row.and_then(|row| self.prompt_tokens.get(row).copied())
            .unwrap_or(0)
    }

    /// Tokens have come.
    pub(super) fn generated(&mut self, tokens: usize) {
        self.counts.output_tokens += tokens as u64;
    }

    /// A sample has been answered, or given up; `completed` is when LoadGen was told of its whole answer, if there was one.
    pub(super) fn ended(&mut self, sample: &Ended, completed: Option<Moment>) {
        self.counts.ended += 1;
        if self.rows_here.is_empty() {
            // What would only be lost is not made.
            if !self.recorder.has_room(TOGETHER as u64) {
                self.lost_here += 1;
                if self.lost_here >= TOGETHER as u64 {
                    self.hand_over();
                }
                return;
            }
            self.rows_here.reserve_exact(TOGETHER);
        }
        let start = self.start.unwrap_or(sample.asked.scheduled);
        let ns = |at: Moment| at.ns_since(start).cast_signed();
        self.rows_here.push(Row {
            request: sample.id.0,
            sample_index: u32::try_from(sample.asked.sample).unwrap_or(u32::MAX),
            prompt_tokens: self.prompt(sample.asked.sample),
            output_tokens: u32::try_from(sample.tokens).unwrap_or(u32::MAX),
            scheduled_ns: Some(ns(sample.asked.scheduled)),
            issued_ns: Some(ns(sample.asked.issued)),
            first_token_ns: sample.first_token.map(ns),
            completed_ns: completed.map(ns),
            end: sample.end,
            engine: sample.engine,
        });
        if self.rows_here.len() >= TOGETHER {
            self.hand_over();
        }
    }

    /// Hands over what has waited long enough; to be called [often](Recording::OFTEN).
    pub(super) fn look(&mut self, now: Moment) {
        if now.since(self.handed_over) >= WAIT {
            self.handed_over = now;
            self.hand_over();
        }
    }

    /// Hands over what is still here.
    pub(super) fn hand_over(&mut self) {
        if !self.rows_here.is_empty() {
            self.recorder.rows(std::mem::take(&mut self.rows_here));
        }
        self.recorder.lose(std::mem::take(&mut self.lost_here));
        let Counts {
            input_tokens,
            output_tokens,
            ended,
        } = self.counts;
        self.shared.input_tokens.store(input_tokens, Relaxed);
        self.shared.output_tokens.store(output_tokens, Relaxed);
        // After the rows of these samples.
        self.shared.ended.store(ended, Release);
    }
}
