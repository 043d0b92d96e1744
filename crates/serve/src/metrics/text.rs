//! Metrics in Prometheus' text format.

use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use ossmark_protocol::{Load, SpeculationStats};

use super::{CLIENT_CLOSED_REQUEST, Metrics};
use crate::settings::DraftHead;

/// What others count, at one moment.
pub(crate) struct Snapshot {
    pub(crate) engine_up: bool,
    /// Requests let in and not yet done with.
    pub(crate) open: usize,
    /// Requests that the engine was given and has not ended.
    pub(crate) in_engine: u64,
    /// Of each engine; empty where there is nothing to tell.
    pub(crate) load: Vec<Load>,
    pub(crate) draft_head: Option<DraftHead>,
}

/// Everything, in Prometheus' text format.
pub(crate) fn text(metrics: &Metrics, snapshot: &Snapshot) -> String {
    let mut out = String::with_capacity(4096);
    // Writing to a string cannot fail.
    let _ = write_all(metrics, snapshot, &mut out);
    out
}

fn write_all(metrics: &Metrics, snapshot: &Snapshot, out: &mut String) -> std::fmt::Result {
    let name = "ossmark_http_requests_total";
    writeln!(
        out,
        "# HELP {name} Requests answered, by endpoint and status; {CLIENT_CLOSED_REQUEST}: the client went away first.\n# TYPE {name} counter"
    )?;
    for (endpoint, status, n) in metrics.requests() {
        let labels = format!("endpoint=\"{endpoint}\",status=\"{status}\"");
        writeln!(out, "{name}{{{labels}}} {n}")?;
    }
    write_own(metrics, snapshot, out)?;
    write_load(&snapshot.load, out)?;
    if let Some(head) = &snapshot.draft_head {
        write_head(head, out)?;
    }
    metrics.latencies.first_token.write(
        "ossmark_time_to_first_token_seconds",
        "From submission to the first token.",
        out,
    )?;
    metrics.latencies.per_token.write(
        "ossmark_time_per_output_token_seconds",
        "Mean time per token after the first, by request.",
        out,
    )
}

/// One value; by Prometheus' convention counters, and only they, end in `_total`.
fn write_one(name: &str, help: &str, value: i64, out: &mut String) -> std::fmt::Result {
    let kind = match name.ends_with("_total") {
        true => "counter",
        false => "gauge",
    };
    writeln!(
        out,
        "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}"
    )
}

fn write_own(metrics: &Metrics, snapshot: &Snapshot, out: &mut String) -> std::fmt::Result {
    let gauge = |gauge: &AtomicI64| gauge.load(Relaxed);
    let total = |counter: &AtomicU64| counter.load(Relaxed) as i64;
    #[rustfmt::skip]
    let own = [
        ("ossmark_engine_up", "1 while the engine lives.", i64::from(snapshot.engine_up)),
        ("ossmark_http_connections", "Open connections.", gauge(&metrics.connections)),
        ("ossmark_requests_open", "Requests let in, with their body read, and not yet answered or given up.", snapshot.open as i64),
        ("ossmark_requests_in_engine", "Requests that the engine was given and has not ended, those being cancelled included.", snapshot.in_engine as i64),
        ("ossmark_requests_cancelled_total", "Requests given up because their client went away.", total(&metrics.cancelled)),
        ("ossmark_body_bytes", "Room taken for bodies that are being read or tokenised, small ones aside.", gauge(&metrics.body_bytes)),
        ("ossmark_bodies_waiting", "Requests that wait for room for their body.", gauge(&metrics.bodies_waiting)),
        ("ossmark_texts_waiting", "Requests whose text waits to be tokenised.", gauge(&metrics.texts_waiting)),
        ("ossmark_texts_tokenising", "Requests whose text is being tokenised, short ones aside.", gauge(&metrics.texts_encoding)),
        ("ossmark_texts_tokenised_total", "Requests whose text was tokenised to its end, short ones aside.", total(&metrics.texts_encoded)),
        ("ossmark_texts_refused_total", "Requests whose text cannot fit the context, told by its bytes.", total(&metrics.texts_refused)),
        ("ossmark_prompt_tokens_total", "Tokens of prompts handed to the engine.", total(&metrics.prompt_tokens)),
        ("ossmark_generated_tokens_total", "Tokens generated for requests that were open.", total(&metrics.generated_tokens)),
    ];
    own.into_iter()
        .try_for_each(|(name, help, value)| write_one(name, help, value, out))
}

fn write_load(load: &[Load], out: &mut String) -> std::fmt::Result {
    if load.is_empty() {
        return Ok(());
    }
    let sum = |of: fn(&Load) -> u64| load.iter().map(of).sum::<u64>() as i64;
    #[rustfmt::skip]
    let engines = [
        ("ossmark_engine_running", "Sequences that have a slot, over all engines.", sum(|l| l.stats.running)),
        ("ossmark_engine_waiting", "Sequences taken in that have no slot.", sum(|l| l.stats.waiting)),
        ("ossmark_kv_blocks", "Blocks of the KV pools.", sum(|l| l.total_blocks)),
        ("ossmark_kv_blocks_used", "Blocks of the KV pools that sequences hold.", sum(|l| l.total_blocks.saturating_sub(l.stats.free_blocks))),
        ("ossmark_engine_steps_total", "Steps finished.", sum(|l| l.stats.steps)),
        ("ossmark_engine_preemptions_total", "Sequences computed again because blocks ran out.", sum(|l| l.stats.preemptions)),
    ];
    engines
        .into_iter()
        .try_for_each(|(name, help, value)| write_one(name, help, value, out))?;
    write_speculation(load, out)
}

fn write_head(head: &DraftHead, out: &mut String) -> std::fmt::Result {
    let name = "ossmark_speculation_head_info";
    let DraftHead {
        tensors_sha256,
        steps,
    } = head;
    writeln!(
        out,
        "# HELP {name} The head that drafts: SHA-256 of its tensors, and tokens drafted at a time.\n# TYPE {name} gauge\n\
         {name}{{tensors_sha256=\"{tensors_sha256}\",steps=\"{steps}\"}} 1"
    )
}

/// Nothing where no round was made: an engine without a head has none.
fn write_speculation(load: &[Load], out: &mut String) -> std::fmt::Result {
    let mut all = SpeculationStats::default();
    load.iter().for_each(|l| all.add(&l.stats.speculation));
    if all.rounds == 0 {
        return Ok(());
    }
    let rounds = "Rounds of speculation: a decode step of one sequence.";
    write_one(
        "ossmark_speculation_rounds_total",
        rounds,
        all.rounds as i64,
        out,
    )?;
    if let Some(length) = all.acceptance_length() {
        let name = "ossmark_speculation_acceptance_length";
        writeln!(
            out,
            "# HELP {name} Tokens a round so far, the model's own included.\n# TYPE {name} gauge\n{name} {length}"
        )?;
    }
    let by_position = [
        (
            "ossmark_speculation_drafted_total",
            "Tokens drafted, by their place in the round.",
            all.drafted,
        ),
        (
            "ossmark_speculation_accepted_total",
            "Drafted tokens that were accepted, each a step saved.",
            all.accepted,
        ),
    ];
    for (name, help, counts) in by_position {
        writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter")?;
        for (place, n) in (1..=all.most_drafted()).zip(counts) {
            writeln!(out, "{name}{{position=\"{place}\"}} {n}")?;
        }
    }
    Ok(())
}
