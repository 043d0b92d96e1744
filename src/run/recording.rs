//! What goes into the run's record (`ossmark_record`): rows from the responder, a line a second from the counters. Nothing
//! here can fail or delay the run.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use ossmark_protocol::{Generator, RequestId, TokenId};
use ossmark_record::{Counters, End, Limits, Recorder, Row, Settings, Writer};

use super::ledger::{Open, State};
use super::metrics::Progress;
use super::plan::RunPlan;

/// Rows for the record, from the thread that answers LoadGen.
pub(crate) struct Recording {
    rows: Recorder,
    prompts: Arc<[Arc<[TokenId]>]>,
    /// When LoadGen issued its first sample: the start of the test, as far as it can be seen from here.
    start: Arc<OnceLock<Instant>>,
}

/// Begins the record of `plan` in its output directory.
pub(super) fn begin(
    plan: &RunPlan,
    output: &std::path::Path,
    progress: &Arc<Progress>,
    generator: &Arc<dyn Generator>,
) -> (Recording, Writer) {
    let limit = |ns: u64| i64::try_from(ns).ok().filter(|ns| *ns > 0);
    let settings = Settings {
        limits: Limits {
            ttft_ns: limit(plan.requested.ttft_latency_ns),
            tpot_ns: limit(plan.requested.tpot_latency_ns),
        },
        ..Settings::default()
    };
    let start: Arc<OnceLock<Instant>> = Arc::default();
    let (progress, generator) = (Arc::clone(progress), Arc::clone(generator));
    let since = Arc::clone(&start);
    let counters = move || Some(counters(*since.get()?, &progress, &*generator));
    let (rows, writer) = ossmark_record::begin(output, settings, counters);
    let recording = Recording {
        rows,
        prompts: Arc::clone(&plan.prompts),
        start,
    };
    (recording, writer)
}

fn counters(start: Instant, progress: &Progress, generator: &dyn Generator) -> Counters {
    let mut counters = Counters {
        t: start.elapsed(),
        issued: progress.issued.load(Relaxed),
        completed: progress.completed.load(Relaxed),
        output_tokens: Some(progress.tokens.load(Relaxed)),
        ..Counters::default()
    };
    let engines = generator.load();
    if !engines.is_empty() {
        let sum =
            |number: fn(&ossmark_protocol::Load) -> u64| Some(engines.iter().map(number).sum());
        counters.running = sum(|engine| engine.stats.running);
        counters.waiting = sum(|engine| engine.stats.waiting);
        counters.kv_blocks = sum(|engine| engine.total_blocks);
        counters.kv_blocks_used =
            sum(|engine| engine.total_blocks.saturating_sub(engine.stats.free_blocks));
        counters.preemptions = sum(|engine| engine.stats.preemptions);
        counters.steps = sum(|engine| engine.stats.steps);
    }
    counters
}

impl Recording {
    /// LoadGen has issued samples.
    pub(super) fn issued(&self, at: Instant) {
        self.start.get_or_init(|| at);
    }

    /// A sample ended, with this many tokens.
    pub(super) fn ended(
        &self,
        id: RequestId,
        open: &Open,
        tokens: usize,
        end: End,
        at: Option<Instant>,
    ) {
        let start = *self.start.get_or_init(|| open.issued);
        let ns = |at: Instant| match at.checked_duration_since(start) {
            Some(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
            None => 0,
        };
        let first = match open.state {
            State::Waiting(_) => at.filter(|_| tokens > 0),
            State::Streaming(_, at) => Some(at),
        };
        let prompt = usize::try_from(open.sample)
            .ok()
            .and_then(|row| self.prompts.get(row));
        self.rows.row(Row {
            request: id.0,
            sample_index: u32::try_from(open.sample).unwrap_or(u32::MAX),
            prompt_tokens: prompt.map_or(0, |prompt| prompt.len() as u32),
            output_tokens: u32::try_from(tokens).unwrap_or(u32::MAX),
            // LoadGen hands samples over when its schedule wants them, and does not say when that was.
            scheduled_ns: None,
            issued_ns: Some(ns(open.issued)),
            first_token_ns: first.map(ns),
            completed_ns: at.map(ns),
            end,
            engine: 0,
        });
    }
}
