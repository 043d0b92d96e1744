//! What goes into the run's record (`ossmark_record`): rows from the responder, a line a second from the counters. Nothing
//! here can fail or delay the run.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ossmark_protocol::{Generator, Load, RemoteStats, RequestId};
use ossmark_record::{Counters, End, Limits, Recorder, Row, Server, Settings, Writer};
use ossmark_telemetry::Watch;

use super::metrics::Progress;

/// Rows for the record, from the thread that answers LoadGen.
pub(crate) struct Recording {
    rows: Recorder,
    /// Of each row of the data set.
    prompt_tokens: Arc<[u32]>,
    start: Arc<Start>,
    /// Not handed over yet.
    rows_here: Vec<Row>,
    /// When the first of them came.
    since: Instant,
}

/// Rows are handed over so many at a time: each by itself would wake the writer's thread.
const TOGETHER: usize = 256;
/// No row waits longer for others; with the writer's own half second a kill loses less than a second.
const WAIT: Duration = Duration::from_millis(100);

/// What the writer's thread must know of the rows.
#[derive(Default)]
struct Start {
    /// When LoadGen issued its first sample: the start of the test, as far as it can be seen from here.
    at: OnceLock<Instant>,
    /// Tokens of the prompts that were issued.
    input_tokens: AtomicU64,
    /// Tokens that came, of whole answers or not.
    output_tokens: AtomicU64,
    /// Samples whose rows were handed over.
    ended: AtomicU64,
}

/// A sample that has been answered, for its row.
pub(crate) struct Ended {
    pub(crate) id: RequestId,
    /// Row of the data set.
    pub(crate) sample: u64,
    pub(crate) issued: Instant,
    pub(crate) first_token: Option<Instant>,
    /// When its whole answer was there; `None` where it never was.
    pub(crate) completed: Option<Instant>,
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
    let start: Arc<Start> = Arc::default();
    let (progress, generator) = (Arc::clone(progress), Arc::clone(generator));
    let since = Arc::clone(&start);
    let counters = move || counters(&since, &progress, &*generator, power.as_ref());
    let (rows, writer) = ossmark_record::begin(output, settings, counters);
    let recording = Recording {
        rows,
        prompt_tokens,
        start,
        rows_here: Vec::new(),
        since: Instant::now(),
    };
    (recording, writer)
}

fn counters(
    start: &Start,
    progress: &Progress,
    generator: &dyn Generator,
    power: Option<&Watch>,
) -> Option<Counters> {
    // The rows of these samples have been handed over before: what a line counts has its row.
    let ended = start.ended.load(Acquire);
    let mut counters = Counters {
        t: start.at.get()?.elapsed(),
        issued: progress.issued.load(Relaxed),
        completed: ended,
        input_tokens: Some(start.input_tokens.load(Relaxed)),
        output_tokens: Some(start.output_tokens.load(Relaxed)),
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
    let server = |server: ossmark_protocol::RequestsTo| Server {
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

    /// LoadGen has issued samples, by their rows of the data set.
    pub(super) fn issued(&self, at: Instant, samples: impl Iterator<Item = u64>) {
        self.start.at.get_or_init(|| at);
        let tokens: u64 = samples.map(|row| u64::from(self.prompt(row))).sum();
        self.start.input_tokens.fetch_add(tokens, Relaxed);
    }

    fn prompt(&self, row: u64) -> u32 {
        let row = usize::try_from(row).ok();
        row.and_then(|row| self.prompt_tokens.get(row).copied())
            .unwrap_or(0)
    }

    /// Tokens have come.
    pub(super) fn generated(&self, tokens: usize) {
        self.start.output_tokens.fetch_add(tokens as u64, Relaxed);
    }

    /// A sample has been answered.
    pub(super) fn ended(&mut self, sample: &Ended) {
        if self.rows_here.is_empty() {
            self.rows_here.reserve_exact(TOGETHER);
            self.since = Instant::now();
        }
        let start = *self.start.at.get_or_init(|| sample.issued);
        let ns = |at: Instant| {
            let after = at.saturating_duration_since(start);
            i64::try_from(after.as_nanos()).unwrap_or(i64::MAX)
        };
        self.rows_here.push(Row {
            request: sample.id.0,
            sample_index: u32::try_from(sample.sample).unwrap_or(u32::MAX),
            prompt_tokens: self.prompt(sample.sample),
            output_tokens: u32::try_from(sample.tokens).unwrap_or(u32::MAX),
            // LoadGen hands samples over when its schedule wants them, and does not say when that was.
            scheduled_ns: None,
            issued_ns: Some(ns(sample.issued)),
            first_token_ns: sample.first_token.map(ns),
            completed_ns: sample.completed.map(ns),
            end: sample.end,
            engine: sample.engine,
        });
        if self.rows_here.len() >= TOGETHER {
            self.hand_over();
        }
    }

    /// Hands over what has waited long enough; to be called [often](Recording::OFTEN).
    pub(super) fn look(&mut self, now: Instant) {
        if !self.rows_here.is_empty() && now.saturating_duration_since(self.since) >= WAIT {
            self.hand_over();
        }
    }

    /// Hands over what is still here.
    pub(super) fn hand_over(&mut self) {
        let rows = std::mem::take(&mut self.rows_here);
        let count = rows.len() as u64;
        if count > 0 {
            self.rows.rows(rows);
            self.start.ended.fetch_add(count, Release);
        }
    }
}
