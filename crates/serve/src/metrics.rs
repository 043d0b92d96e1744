//! Counters and histograms, and their text for Prometheus. Owns atomics only; written by every task.

use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::hub::Hub;

/// What is asked for, as metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Generate,
    Completions,
    Chat,
    Models,
    Health,
    Metrics,
    Other,
}

const ENDPOINTS: [(Endpoint, &str); 7] = [
    (Endpoint::Generate, "/generate"),
    (Endpoint::Completions, "/v1/completions"),
    (Endpoint::Chat, "/v1/chat/completions"),
    (Endpoint::Models, "/v1/models"),
    (Endpoint::Health, "/health"),
    (Endpoint::Metrics, "/metrics"),
    (Endpoint::Other, "other"),
];

impl Endpoint {
    /// What a path asks for.
    pub(crate) fn of(path: &str) -> Self {
        let known = ENDPOINTS.iter().find(|(_, name)| *name == path);
        known.map_or(Self::Other, |(endpoint, _)| *endpoint)
    }
}

/// nginx's number for a client that went away before it had an answer.
const CLIENT_GONE: u16 = 499;

#[derive(Default)]
pub(crate) struct Metrics {
    /// By endpoint and status.
    requests: Mutex<Vec<(Endpoint, u16, u64)>>,
    pub(crate) connections: AtomicI64,
    pub(crate) prompt_tokens: AtomicU64,
    pub(crate) generated_tokens: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    pub(crate) body_bytes: AtomicI64,
    pub(crate) bodies_waiting: AtomicI64,
    pub(crate) texts_waiting: AtomicI64,
    pub(crate) texts_encoding: AtomicI64,
    pub(crate) texts_encoded: AtomicU64,
    pub(crate) texts_refused: AtomicU64,
    pub(crate) first_token: Histogram<FIRST_TOKEN>,
    pub(crate) per_token: Histogram<PER_TOKEN>,
}

/// Something that is there until this is dropped, counted by a gauge.
pub(crate) struct Counting {
    hub: Arc<Hub>,
    gauge: fn(&Metrics) -> &AtomicI64,
    n: i64,
}

impl Counting {
    pub(crate) fn new(hub: &Arc<Hub>, gauge: fn(&Metrics) -> &AtomicI64, n: usize) -> Self {
        let (hub, n) = (Arc::clone(hub), n as i64);
        gauge(&hub.metrics).fetch_add(n, Relaxed);
        Self { hub, gauge, n }
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        (self.gauge)(&self.hub.metrics).fetch_sub(self.n, Relaxed);
    }
}

/// Counts a request when it is dropped: a request whose client went away ends nowhere else.
pub(crate) struct Counted<'a> {
    metrics: &'a Metrics,
    endpoint: Endpoint,
    status: u16,
}

impl Metrics {
    pub(crate) fn count(&self, endpoint: Endpoint) -> Counted<'_> {
        Counted {
            metrics: self,
            endpoint,
            status: CLIENT_GONE,
        }
    }
}

impl Counted<'_> {
    pub(crate) fn answered(&mut self, status: axum::http::StatusCode) {
        self.status = status.as_u16();
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let Ok(mut requests) = self.metrics.requests.lock() else {
            return;
        };
        let known = requests
            .iter_mut()
            .find(|(e, s, _)| (*e, *s) == (self.endpoint, self.status));
        match known {
            Some((_, _, n)) => *n += 1,
            None => requests.push((self.endpoint, self.status, 1)),
        }
    }
}

const FIRST_TOKEN: usize = 14;
const PER_TOKEN: usize = 12;
/// Upper bounds in milliseconds; MLPerf's limits for gpt-oss-120b (2 s and 3 s, 15 ms and 80 ms) are among them.
const FIRST_TOKEN_MS: [f64; FIRST_TOKEN] = [
    1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1e3, 2e3, 3e3, 1e4, 3e4, 12e4,
];
const PER_TOKEN_MS: [f64; PER_TOKEN] = [
    0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 40.0, 80.0, 250.0, 1e3,
];

/// How long something took; `N` buckets and one for all that is longer.
pub(crate) struct Histogram<const N: usize> {
    buckets: [AtomicU64; N],
    count: AtomicU64,
    sum_ns: AtomicU64,
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            count: AtomicU64::new(0),
            sum_ns: AtomicU64::new(0),
        }
    }
}

trait Bounds<const N: usize> {
    const MS: [f64; N];
}

impl Bounds<FIRST_TOKEN> for Histogram<FIRST_TOKEN> {
    const MS: [f64; FIRST_TOKEN] = FIRST_TOKEN_MS;
}

impl Bounds<PER_TOKEN> for Histogram<PER_TOKEN> {
    const MS: [f64; PER_TOKEN] = PER_TOKEN_MS;
}

#[expect(private_bounds, reason = "the bounds are this module's")]
impl<const N: usize> Histogram<N>
where
    Self: Bounds<N>,
{
    pub(crate) fn observe(&self, took: Duration) {
        let ms = took.as_secs_f64() * 1e3;
        if let Some(at) = Self::MS.iter().position(|bound| ms <= *bound) {
            self.buckets[at].fetch_add(1, Relaxed);
        }
        self.count.fetch_add(1, Relaxed);
        self.sum_ns.fetch_add(took.as_nanos() as u64, Relaxed);
    }

    fn write(&self, name: &str, help: &str, out: &mut String) -> std::fmt::Result {
        writeln!(out, "# HELP {name} {help}\n# TYPE {name} histogram")?;
        let mut below = 0;
        for (bucket, bound) in self.buckets.iter().zip(Self::MS) {
            below += bucket.load(Relaxed);
            writeln!(out, "{name}_bucket{{le=\"{}\"}} {below}", bound / 1e3)?;
        }
        let count = self.count.load(Relaxed).max(below);
        writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {count}")?;
        writeln!(out, "{name}_sum {}", self.sum_ns.load(Relaxed) as f64 / 1e9)?;
        writeln!(out, "{name}_count {count}")
    }
}

/// Everything, in Prometheus' text format.
pub(crate) fn text(hub: &Hub) -> String {
    let mut out = String::with_capacity(4096);
    // Writing to a string cannot fail.
    let _ = write_all(hub, &mut out);
    out
}

fn write_all(hub: &Hub, out: &mut String) -> std::fmt::Result {
    let metrics = &hub.metrics;
    let name = "ossmark_http_requests_total";
    writeln!(
        out,
        "# HELP {name} Requests answered, by endpoint and status; {CLIENT_GONE}: the client went away first.\n# TYPE {name} counter"
    )?;
    let requests = metrics.requests.lock().map(|requests| requests.clone());
    for (endpoint, status, n) in requests.unwrap_or_default() {
        let endpoint = ENDPOINTS
            .iter()
            .find(|(e, _)| *e == endpoint)
            .map_or("other", |(_, name)| name);
        writeln!(
            out,
            "{name}{{endpoint=\"{endpoint}\",status=\"{status}\"}} {n}"
        )?;
    }
    let mut one = |name: &str, kind: &str, help: &str, value: i64| {
        writeln!(
            out,
            "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}"
        )
    };
    let total = |counter: &AtomicU64| counter.load(Relaxed) as i64;
    one(
        "ossmark_engine_up",
        "gauge",
        "1 while the engine lives.",
        i64::from(hub.dead().is_none()),
    )?;
    one(
        "ossmark_http_connections",
        "gauge",
        "Open connections.",
        metrics.connections.load(Relaxed),
    )?;
    one(
        "ossmark_requests_open",
        "gauge",
        "Requests let in, with their body read, and not yet answered or given up.",
        hub.tickets() as i64,
    )?;
    one(
        "ossmark_requests_in_engine",
        "gauge",
        "Requests that the engine was given and has not ended, those being cancelled included.",
        hub.in_engine() as i64,
    )?;
    one(
        "ossmark_requests_cancelled_total",
        "counter",
        "Requests given up because their client went away.",
        total(&metrics.cancelled),
    )?;
    for (name, help, gauge) in [
        (
            "ossmark_body_bytes",
            "Room taken for bodies that are being read or tokenised, small ones aside.",
            &metrics.body_bytes,
        ),
        (
            "ossmark_bodies_waiting",
            "Requests that wait for room for their body.",
            &metrics.bodies_waiting,
        ),
        (
            "ossmark_texts_waiting",
            "Requests whose text waits to be tokenised.",
            &metrics.texts_waiting,
        ),
        (
            "ossmark_texts_tokenising",
            "Requests whose text is being tokenised, short ones aside.",
            &metrics.texts_encoding,
        ),
    ] {
        one(name, "gauge", help, gauge.load(Relaxed))?;
    }
    one(
        "ossmark_texts_tokenised_total",
        "counter",
        "Requests whose text was tokenised to its end, short ones aside.",
        total(&metrics.texts_encoded),
    )?;
    one(
        "ossmark_texts_refused_total",
        "counter",
        "Requests whose text cannot fit the context, told by its bytes.",
        total(&metrics.texts_refused),
    )?;
    one(
        "ossmark_prompt_tokens_total",
        "counter",
        "Tokens of prompts handed to the engine.",
        total(&metrics.prompt_tokens),
    )?;
    one(
        "ossmark_generated_tokens_total",
        "counter",
        "Tokens generated for requests that were open.",
        total(&metrics.generated_tokens),
    )?;
    let load = hub.load();
    let mut sum = |name: &str,
                   kind: &str,
                   help: &str,
                   of: &dyn Fn(&ossmark_protocol::Load) -> u64| match load
        .is_empty()
    {
        true => Ok(()),
        false => one(name, kind, help, load.iter().map(of).sum::<u64>() as i64),
    };
    sum(
        "ossmark_engine_running",
        "gauge",
        "Sequences that have a slot, over all engines.",
        &|l| l.stats.running,
    )?;
    sum(
        "ossmark_engine_waiting",
        "gauge",
        "Sequences taken in that have no slot.",
        &|l| l.stats.waiting,
    )?;
    sum(
        "ossmark_kv_blocks",
        "gauge",
        "Blocks of the KV pools.",
        &|l| l.total_blocks,
    )?;
    sum(
        "ossmark_kv_blocks_used",
        "gauge",
        "Blocks of the KV pools that sequences hold.",
        &|l| l.total_blocks.saturating_sub(l.stats.free_blocks),
    )?;
    sum(
        "ossmark_engine_steps_total",
        "counter",
        "Steps finished.",
        &|l| l.stats.steps,
    )?;
    sum(
        "ossmark_engine_preemptions_total",
        "counter",
        "Sequences computed again because blocks ran out.",
        &|l| l.stats.preemptions,
    )?;
    metrics.first_token.write(
        "ossmark_time_to_first_token_seconds",
        "From submission to the first token.",
        out,
    )?;
    metrics.per_token.write(
        "ossmark_time_per_output_token_seconds",
        "Mean time per token after the first, by request.",
        out,
    )
}
