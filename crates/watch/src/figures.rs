//! The lines of a view: limits, faults, figures. A figure that is not known has no line.

use ossmark_record::{Gpu, State};
use ossmark_report::early_stopping::{PERCENTILE, allowed_over, samples_for};
use ossmark_report::number::{count, shown};

use crate::line::{Line, Tone};
use crate::so_far::Latency;
use crate::watched::Watched;

/// Of each list that a file may make long.
const MOST: usize = 8;
/// Fewer more that may be over are worth a warning: a tenth of those that are allowed.
const FEW: u64 = 10;

/// A latency beside its limit, and how many samples may still be over it.
pub(crate) fn limits(watched: &Watched) -> Vec<Line> {
    let so_far = &watched.so_far;
    let mut lines = Vec::new();
    for (label, latency) in [("TTFT", &so_far.ttft), ("TPOT", &so_far.tpot)] {
        let (Some(p50), Some(p99)) = (latency.at_ms(0.5), latency.at_ms(PERCENTILE)) else {
            continue;
        };
        let (p50, p99) = (shown(p50), shown(p99));
        let Some(limit) = latency.limit_ms() else {
            let text = format!("median {p50} ms, p99 {p99} ms");
            lines.push(Line::new(label, Tone::Plain, text));
            continue;
        };
        let (tone, margin) = margin(watched, latency);
        let text = format!("median {p50} ms, p99 {p99} ms, limit {} ms", shown(limit));
        lines.push(Line::new(label, tone, text));
        lines.push(Line::new("", tone, margin));
    }
    lines
}

/// How many samples were over a limit, and how many more may be, in early stopping's terms: of the samples that the run will
/// have where that is known and it goes on, else of those that it has.
fn margin(watched: &Watched, latency: &Latency) -> (Tone, String) {
    let (over, has) = (latency.over, latency.samples());
    let planned = watched
        .expected
        .filter(|planned| watched.state == Some(State::GoingOn) && *planned > has);
    let samples = planned.unwrap_or(has);
    let of = match planned {
        Some(_) => format!("of the {} that there will be", count(samples)),
        None => format!("of {}", count(samples)),
    };
    match allowed_over(samples, PERCENTILE) {
        Some(most) if over <= most => {
            let more = most - over;
            let tone = match more * FEW >= most {
                true => Tone::Good,
                false => Tone::Warn,
            };
            let text = format!(
                "{} over the limit, {} more may be, {of}",
                count(over),
                count(more)
            );
            (tone, text)
        }
        most => {
            let most = most.map_or("none".into(), count);
            let text = format!(
                "{} over the limit, {most} may be, {of}: {} samples would be needed",
                count(over),
                count(samples_for(over, PERCENTILE))
            );
            (Tone::Bad, text)
        }
    }
}

/// What went wrong, as it comes: what the verdict says once there is one, and what the record shows until then.
pub(crate) fn faults(watched: &Watched) -> Vec<Line> {
    let bad = |text: String| Line::new("fault", Tone::Bad, text);
    let mut lines: Vec<Line> = watched
        .problems()
        .map(|problem| bad(problem.clone()))
        .collect();
    if let Some(verdict) = &watched.verdict {
        for fault in verdict.faults.iter().take(MOST) {
            let times = match fault.count {
                0 | 1 => String::new(),
                n => format!("{} times: ", count(n)),
            };
            lines.push(bad(format!("{}: {times}{}", fault.kind, fault.message)));
        }
    }
    let so_far = &watched.so_far;
    for (what, many) in [
        ("could not be answered", so_far.failed),
        ("were given up", so_far.cancelled),
        ("got fewer than two tokens", so_far.short),
    ] {
        if many > 0 {
            lines.push(bad(format!("{} samples {what}", count(many))));
        }
    }
    let warn = |text: String| Line::new("note", Tone::Warn, text);
    if watched.lost > 0 {
        lines.push(warn(format!(
            "the record lost {} rows: the figures below lack them",
            count(watched.lost)
        )));
    }
    lines.extend(
        watched
            .reason
            .as_ref()
            .map(|why| warn(format!("the record ended before the run did: {why}"))),
    );
    lines.extend(
        watched
            .damage
            .as_ref()
            .map(|damage| warn(damage.to_string())),
    );
    let Some(now) = watched.pace.last() else {
        return lines;
    };
    for server in now.servers.iter().flatten().take(MOST) {
        let some = |n: Option<u64>| n.filter(|n| *n > 0);
        let retries = some(server.retries).map(|n| format!("{} requests sent again", count(n)));
        let timeouts =
            some(server.timeouts).map(|n| format!("{} without an answer in time", count(n)));
        let said: Vec<String> = retries.into_iter().chain(timeouts).collect();
        if !said.is_empty() {
            lines.push(warn(format!("{}: {}", server.server, said.join(", "))));
        }
    }
    for (n, gpu) in now.gpus.iter().flatten().enumerate().take(MOST) {
        let reasons = gpu.throttle_reasons.as_deref().unwrap_or_default();
        if !reasons.is_empty() && watched.state == Some(State::GoingOn) {
            lines.push(warn(format!(
                "GPU {n} is held down: {}",
                reasons.join(", ")
            )));
        }
    }
    lines
}

/// The run's other figures.
pub(crate) fn all(watched: &Watched) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut line = |label, parts: Vec<Option<String>>| {
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if !parts.is_empty() {
            lines.push(Line::new(label, Tone::Plain, parts.join(", ")));
        }
    };
    let going_on = watched.state == Some(State::GoingOn);
    let last = watched.pace.last();
    let so_far = &watched.so_far;
    let rate = |tokens: f64, s: f64| Some(tokens / s).filter(|rate| rate.is_finite());
    // The timeline counts tokens when they come, rows when their sample is done.
    let mean = match last.and_then(|s| Some((s.output_tokens? as f64, s.t_s))) {
        Some((tokens, s)) => rate(tokens, s),
        None => rate(so_far.tokens as f64, so_far.last_s),
    };
    line(
        "tokens/s",
        vec![
            watched
                .pace
                .tokens_per_s()
                .filter(|_| going_on)
                .map(|rate| format!("{} now", shown(rate.round()))),
            mean.map(|rate| format!("{} on average", shown(rate.round()))),
            official(watched).map(|rate| format!("{} by LoadGen", shown(rate.round()))),
        ],
    );
    // Beside the timeline's other counts its own, which is of the same moment.
    let counted = last.filter(|_| going_on).and_then(|s| s.completed);
    let completed = counted.unwrap_or(so_far.completed);
    let number = |n: Option<u64>, what: &str| n.map(|n| format!("{} {what}", count(n)));
    line(
        "samples",
        vec![
            number((so_far.rows > 0).then_some(completed), "completed"),
            number(last.and_then(|s| s.issued), "issued"),
            number(last.and_then(|s| s.open).filter(|_| going_on), "open"),
        ],
    );
    let Some(now) = last else { return lines };
    let now = if going_on { Some(now) } else { None };
    line(
        "queue",
        vec![number(now.and_then(|s| s.waiting), "waiting")],
    );
    line(
        "batch",
        vec![
            number(now.and_then(|s| s.running), "running"),
            now.and_then(|s| s.step_ms_mean)
                .map(|ms| format!("a step takes {} ms", shown(ms))),
            now.and_then(|s| s.step_rows_mean)
                .map(|rows| format!("of {} rows", shown(rows))),
        ],
    );
    let blocks = now.and_then(|s| Some((s.kv_blocks_used?, s.kv_blocks?)));
    line(
        "KV",
        vec![
            blocks.map(|(used, all)| {
                let share = 100.0 * used as f64 / all.max(1) as f64;
                format!("{} of {} blocks ({share:.0}%)", count(used), count(all))
            }),
            number(
                last.and_then(|s| s.preemptions).filter(|n| *n > 0),
                "preemptions",
            ),
        ],
    );
    let gpus = now.and_then(|s| s.gpus.as_deref()).unwrap_or_default();
    let greatest = |of: fn(&Gpu) -> Option<f64>| gpus.iter().filter_map(of).max_by(f64::total_cmp);
    line(
        "power",
        vec![
            now.and_then(|s| s.power_w)
                .map(|watts| format!("{} W", shown(watts.round()))),
            greatest(|gpu| gpu.temperature_c).map(|c| format!("GPUs at most {} °C", shown(c))),
            greatest(|gpu| gpu.memory_used_mib).map(|mib| format!("{} MiB", shown(mib.round()))),
        ],
    );
    let servers = now.and_then(|s| s.servers.as_deref()).unwrap_or_default();
    let open: u64 = servers
        .iter()
        .filter_map(|s| s.open)
        .fold(0, u64::saturating_add);
    line(
        "servers",
        vec![
            (!servers.is_empty())
                .then(|| format!("{} with {} requests open", servers.len(), count(open))),
        ],
    );
    line(
        "process",
        vec![
            now.and_then(|s| s.cpu_percent)
                .map(|cpu| format!("CPU {cpu:.0}%")),
            now.and_then(|s| s.rss_mib)
                .map(|mib| format!("{} MiB", shown(mib.round()))),
        ],
    );
    lines
}

/// LoadGen's tokens/s, of the verdict.
fn official(watched: &Watched) -> Option<f64> {
    let metrics = &watched.verdict.as_ref()?.metrics;
    metrics.get("tokens_per_second")?.as_f64()
}
