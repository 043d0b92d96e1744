//! `report.txt`, as the client writes it: the summary for people.

use std::fmt::Write as _;

use serde_json::Value;

use super::series::{Block, Percentiles, Series};
use super::summary::Summary;

/// Of the fullest bucket of a histogram.
const BAR: f64 = 30.0;
const TIME: (&str, f64) = ("ms", 1e-6);
const TOKENS: (&str, f64) = ("tokens", 1.0);

impl Summary {
    /// The lines of `report.txt`.
    pub fn report(&self) -> String {
        let mut to = String::new();
        if let Some(stamp) = self.rehearsal {
            line(&mut to, stamp);
        }
        line(&mut to, "----------------- Summary -----------------");
        self.head(&mut to);
        line(
            &mut to,
            "\n------------------- Latency Breakdowns -------------------",
        );
        let input = &self.input_sequence_lengths;
        let output = &self.output_sequence_lengths;
        for (name, series, unit) in [
            ("TTFT", &self.ttft, TIME),
            ("TPOT", &self.tpot, TIME),
            ("Latency", &self.latency, TIME),
            ("Input sequence lengths", input, TOKENS),
            ("Output sequence lengths", output, TOKENS),
        ] {
            let (block, stopping) = match series {
                Series::Empty {} => continue,
                Series::EmptyTail {
                    early_stopping_percentiles,
                } => (None, Some(early_stopping_percentiles)),
                Series::Seen(block) => (Some(&**block), block.early_stopping_percentiles.as_ref()),
            };
            line(&mut to, &format!("{name}:"));
            figures(&mut to, block, stopping, unit);
            line(&mut to, "");
        }
        line(&mut to, "----------------- End of Report -----------------");
        to
    }

    fn head(&self, to: &mut String) {
        if self.state == "interrupted" {
            line(
                to,
                "WARNING: run was interrupted (SIGTERM/SIGINT) — metrics below are best-effort partial data.",
            );
        }
        line(to, &format!("Version: {}", self.version));
        if let Some(sha) = &self.git_sha {
            line(to, &format!("Git SHA: {sha}"));
        }
        if let Some(Value::Object(sections)) = &self.run_config {
            line(to, "Run config:");
            for (section, settings) in sections {
                line(to, &format!("  {section}: {}", setting(settings)));
            }
        }
        line(
            to,
            &format!("Total samples issued: {}", self.n_samples_issued),
        );
        let completed = self.n_samples_completed;
        line(to, &format!("Total samples completed: {completed}"));
        line(
            to,
            &format!("Total samples failed: {}", self.n_samples_failed),
        );
        let two = |value: Option<f64>, unit: &str| {
            value.map_or_else(|| "N/A".into(), |value| format!("{value:.2}{unit}"))
        };
        let seconds = self.duration_ns.map(|ns| ns as f64 / 1e9);
        line(to, &format!("Duration: {}", two(seconds, " seconds")));
        line(to, &format!("QPS: {}", two(self.qps, "")));
        line(to, &format!("TPS: {}", two(self.tps, "")));
    }
}

fn line(to: &mut String, text: &str) {
    to.push_str(text);
    to.push('\n');
}

/// As Python prints it: the settings of a section side by side.
fn setting(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let all = map.iter().map(|(k, v)| format!("{k}={}", setting(v)));
            all.collect::<Vec<_>>().join(", ")
        }
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn figures(
    to: &mut String,
    block: Option<&Block>,
    stopping: Option<&Percentiles>,
    (unit, scale): (&str, f64),
) {
    let scaled = |value: Option<f64>| {
        value.map_or_else(|| "N/A".into(), |value| format!("{:.2}", value * scale))
    };
    for (name, value) in [
        ("Min", block.map(|b| b.min.as_f64())),
        ("Max", block.map(|b| b.max.as_f64())),
        ("Median", block.map(|b| b.median)),
        ("Avg.", block.map(|b| b.avg)),
        ("Std Dev.", block.map(|b| b.std_dev)),
    ] {
        line(to, &format!("  {name}: {} {unit}", scaled(value)));
    }
    line(to, "\n  Histogram:");
    if let Some(block) = block {
        let (buckets, counts) = (&block.histogram.buckets, &block.histogram.counts);
        let labels = buckets.iter().enumerate().map(|(at, (low, high))| {
            let end = if at + 1 == buckets.len() { ']' } else { ')' };
            format!("  [{}, {}{end}", scaled(Some(*low)), scaled(Some(*high)))
        });
        let labels: Vec<String> = labels.collect();
        let width = labels.iter().map(String::len).max().unwrap_or(0);
        let each = BAR / counts.iter().max().copied().unwrap_or(0).max(1) as f64;
        for (label, count) in labels.iter().zip(counts) {
            let bar = "#".repeat((*count as f64 * each) as usize);
            // Writing into a string cannot fail.
            let _ = writeln!(to, "  {label:>width$} |{bar} {count}");
        }
    }
    let percentiles = |to: &mut String, of: Option<&Percentiles>| {
        for (name, value) in of.into_iter().flat_map(|of| &of.0) {
            line(to, &format!("  {name:>6}: {} {unit}", scaled(*value)));
        }
    };
    line(to, "\n  Percentiles:");
    percentiles(to, block.map(|b| &b.percentiles));
    if stopping.is_some() {
        line(
            to,
            "\n  Early-stopping percentile estimates (N/A = insufficient samples):",
        );
        percentiles(to, stopping);
    }
}
