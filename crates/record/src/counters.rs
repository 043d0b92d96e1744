//! From what the caller counts and the rows that went by to a line of the timeline.

use std::time::Duration;

use hdrhistogram::Histogram;
use ossmark_protocol::DeviceFigures as Gpu;

use crate::percentile::place;
use crate::process::{self, Usage};
use crate::row::Row;
use crate::second::{Second, Server};

/// What the caller knows when it is asked, once a second. All counts are from the start of the test.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    /// Time since the start of the test.
    pub t: Duration,
    /// Samples issued.
    pub issued: u64,
    /// Samples completed.
    pub completed: u64,
    /// Tokens of the prompts that were issued.
    pub input_tokens: Option<u64>,
    /// Tokens that were generated.
    pub output_tokens: Option<u64>,
    /// Sequences in the engine's batch now.
    pub running: Option<u64>,
    /// Sequences that wait for a place in it.
    pub waiting: Option<u64>,
    /// KV blocks that are held now.
    pub kv_blocks_used: Option<u64>,
    /// KV blocks that there are.
    pub kv_blocks: Option<u64>,
    /// Preemptions.
    pub preemptions: Option<u64>,
    /// Engine steps.
    pub steps: Option<u64>,
    /// Time that all steps took together.
    pub step_time: Option<Duration>,
    /// Rows of all steps together.
    pub step_rows: Option<u64>,
    /// Power of the machine or its devices, in watts.
    pub power_w: Option<f64>,
    /// Each GPU.
    pub gpus: Option<Vec<Gpu>>,
    /// Each server.
    pub servers: Option<Vec<Server>>,
}

/// The limits of the scenario, in nanoseconds, where it has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Time to the first token.
    pub ttft_ns: Option<i64>,
    /// Time per output token.
    pub tpot_ns: Option<i64>,
}

/// Latencies beyond a day are counted as a day.
const LONGEST_NS: u64 = 86_400_000_000_000;

/// The samples so far, as percentiles and counts.
pub(crate) struct SoFar {
    ttft: Latency,
    tpot: Latency,
    steps: Option<Steps>,
    usage: Usage,
}

#[derive(Clone, Copy)]
struct Steps {
    count: u64,
    time: Option<Duration>,
    rows: Option<u64>,
}

impl SoFar {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            ttft: Latency::new(limits.ttft_ns),
            tpot: Latency::new(limits.tpot_ns),
            steps: None,
            usage: Usage::now(),
        }
    }

    pub(crate) fn row(&mut self, row: &Row) {
        self.ttft.add(row.ttft_ns());
        self.tpot.add(row.tpot_ns());
    }

    /// The line of this moment.
    pub(crate) fn second(&mut self, now: Counters, lost: u64) -> Second {
        let steps = now.steps.map(|count| Steps {
            count,
            time: now.step_time,
            rows: now.step_rows,
        });
        let before = self.steps.unwrap_or(Steps {
            count: 0,
            time: Some(Duration::ZERO),
            rows: Some(0),
        });
        self.steps = steps;
        let stepped = steps.and_then(|s| s.count.checked_sub(before.count));
        let mean = |sum: Option<f64>| {
            let stepped = stepped.filter(|n| *n > 0)?;
            Some(sum? / stepped as f64)
        };
        let time = steps.and_then(|s| s.time?.checked_sub(before.time?));
        let rows = steps.and_then(|s| s.rows?.checked_sub(before.rows?));
        let usage = Usage::now();
        let cpu_percent = usage.percent_since(&self.usage);
        self.usage = usage;
        Second {
            t_s: now.t.as_secs_f64(),
            issued: Some(now.issued),
            completed: Some(now.completed),
            open: Some(now.issued.saturating_sub(now.completed)),
            input_tokens: now.input_tokens,
            output_tokens: now.output_tokens,
            running: now.running,
            waiting: now.waiting,
            kv_blocks_used: now.kv_blocks_used,
            kv_blocks: now.kv_blocks,
            preemptions: now.preemptions,
            steps: now.steps,
            step_ms_mean: mean(time.map(|t| t.as_secs_f64() * 1e3)),
            step_rows_mean: mean(rows.map(|n| n as f64)),
            ttft_p50_ms: self.ttft.percentile_ms(0.5),
            ttft_p99_ms: self.ttft.percentile_ms(0.99),
            tpot_p50_ms: self.tpot.percentile_ms(0.5),
            tpot_p99_ms: self.tpot.percentile_ms(0.99),
            over_ttft: self.ttft.over(),
            over_tpot: self.tpot.over(),
            lost: (lost > 0).then_some(lost),
            cpu_percent,
            rss_mib: process::rss_mib(),
            power_w: now.power_w,
            gpus: now.gpus,
            servers: now.servers,
        }
    }
}

struct Latency {
    ns: Histogram<u64>,
    limit_ns: Option<i64>,
    over: u64,
}

impl Latency {
    fn new(limit_ns: Option<i64>) -> Self {
        Self {
            // 3 digits: a value is told from one that is 0.1 % greater. Some 300 KiB.
            ns: Histogram::new_with_bounds(1, LONGEST_NS, 3)
                .expect("the bounds and 3 digits are legal"),
            limit_ns,
            over: 0,
        }
    }

    fn add(&mut self, ns: Option<i64>) {
        let Some(ns) = ns else { return };
        // Below 0 as 0: they stay among the smallest.
        self.ns.saturating_record(u64::try_from(ns).unwrap_or(0));
        self.over += u64::from(self.limit_ns.is_some_and(|limit| ns > limit));
    }

    fn over(&self) -> Option<u64> {
        self.limit_ns.map(|_| self.over)
    }

    /// LoadGen's percentile, to the histogram's precision.
    fn percentile_ms(&self, p: f64) -> Option<f64> {
        let count = self.ns.len();
        let rank = place(count, p).min(count.checked_sub(1)?) + 1;
        // Half a place before: rounding must not make it the next.
        let ns = self
            .ns
            .value_at_quantile((rank as f64 - 0.5) / count as f64);
        Some(ns as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::percentile::{over, percentile};
    use crate::row::End;
    use proptest::prelude::*;

    fn row(ttft: i64, decode: i64, output_tokens: u32) -> Row {
        Row {
            request: 0,
            sample_index: 0,
            prompt_tokens: 1,
            output_tokens,
            scheduled_ns: None,
            issued_ns: Some(0),
            first_token_ns: Some(ttft),
            completed_ns: Some(ttft + decode),
            end: End::Stop,
            engine: 0,
        }
    }

    proptest! {
        /// Counts are exact even a nanosecond beside the limit; percentiles are LoadGen's to 0.1 %.
        #[test]
        fn a_line_says_what_the_rows_say(
            rows in prop::collection::vec((0..20_000_000_000i64, 0..900_000_000_000i64, 0..5000u32), 1..200),
            at in any::<prop::sample::Index>(),
            beside in -1..=1i64,
        ) {
            let rows: Vec<Row> = rows.into_iter().map(|(a, b, n)| row(a, b, n)).collect();
            let mut ttft: Vec<i64> = rows.iter().filter_map(Row::ttft_ns).collect();
            let mut tpot: Vec<i64> = rows.iter().filter_map(Row::tpot_ns).collect();
            let limits = Limits { ttft_ns: Some(*at.get(&ttft) + beside), tpot_ns: Some(*at.get(&tpot) + beside) };
            let mut so_far = SoFar::new(limits);
            rows.iter().for_each(|row| so_far.row(row));
            let second = so_far.second(Counters::default(), 0);
            prop_assert_eq!(second.over_ttft, limits.ttft_ns.map(|limit| over(ttft.iter().copied(), limit)));
            prop_assert_eq!(second.over_tpot, limits.tpot_ns.map(|limit| over(tpot.iter().copied(), limit)));
            ttft.sort_unstable();
            tpot.sort_unstable();
            for (values, p, found) in [
                (&ttft, 0.5, second.ttft_p50_ms), (&ttft, 0.99, second.ttft_p99_ms),
                (&tpot, 0.5, second.tpot_p50_ms), (&tpot, 0.99, second.tpot_p99_ms),
            ] {
                let exact = percentile(values, p).unwrap().max(0) as f64 / 1e6;
                let found = found.unwrap();
                prop_assert!((found - exact).abs() <= exact * 1e-3 + 1e-6, "{found} {exact}");
            }
        }
    }

    #[test]
    fn what_is_not_known_is_absent() {
        let second = SoFar::new(Limits::default()).second(Counters::default(), 0);
        assert_eq!((second.ttft_p50_ms, second.over_ttft), (None, None));
        assert_eq!((second.step_ms_mean, second.lost), (None, None));
        let line = serde_json::to_string(&second).unwrap();
        assert!(!line.contains("lost"), "{line}");
    }

    #[test]
    fn means_are_over_the_steps_since_the_line_before() {
        let mut so_far = SoFar::new(Limits::default());
        let at = |steps, ms, rows| Counters {
            steps: Some(steps),
            step_time: Some(Duration::from_millis(ms)),
            step_rows: Some(rows),
            issued: 5,
            completed: 3,
            ..Counters::default()
        };
        let first = so_far.second(at(10, 200, 640), 0);
        assert_eq!(
            (first.step_ms_mean, first.step_rows_mean),
            (Some(20.0), Some(64.0))
        );
        assert_eq!(first.open, Some(2));
        let second = so_far.second(at(12, 210, 640), 4);
        assert_eq!(
            (second.step_ms_mean, second.step_rows_mean),
            (Some(5.0), Some(0.0))
        );
        assert_eq!((second.steps, second.lost), (Some(12), Some(4)));
        let third = so_far.second(at(12, 210, 640), 4);
        assert_eq!((third.step_ms_mean, third.step_rows_mean), (None, None));
    }
}
