//! How the demo ends: a table of its runs, what they are worth, what came of them, where they are and what comes next. Pure.

use std::collections::BTreeSet;
use std::path::Path;

use ossmark_report::number::count;
use serde_json::Value;

use crate::terminal::text::{counted, decimals, shell_word, wrapped};

pub(super) struct Ending<'a> {
    /// Their verdicts.
    pub(super) runs: &'a [Value],
    /// In percent.
    pub(super) score: Option<f64>,
    pub(super) output: &'a Path,
    pub(super) page: &'a Path,
}

/// Columns of a terminal that nobody has made wider.
const COLUMNS: usize = 80;

impl Ending<'_> {
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = self.table();
        lines.push(String::new());
        lines.push(format!(
            "test runs, not MLPerf results: {}, listed in each verdict.json",
            counted(self.deviations() as u64, "deviation")
        ));
        let is = |run: &&Value, key: &str, word: &str| run[key] == word;
        let valid = self.runs.iter().filter(|run| is(run, "verdict", "valid"));
        let score = match self.score {
            Some(score) => format!("score {score:.2}%"),
            None => "no score".into(),
        };
        lines.push(format!(
            "{} of {} runs valid (test settings) · {score} · files in {}",
            valid.count(),
            self.runs.len(),
            shell_word(self.output)
        ));
        lines.push(format!(
            "next: open {}, or your own: ossmark run --help",
            shell_word(self.page)
        ));
        lines
    }

    fn table(&self) -> Vec<String> {
        let mut lines = vec![row([
            "run", "verdict", "samples", "tokens", "tokens/s", "TTFT ms", "TPOT ms",
        ])];
        let whole = |value: &Value| value.as_u64().map_or("-".into(), count);
        let ms = |value: &Value| {
            value
                .as_f64()
                .map_or("-".into(), |ns| decimals(ns / 1e6, 1))
        };
        for run in self.runs {
            let m = &run["metrics"];
            // Accuracy mode has no figure of LoadGen's: the harness's own is shown.
            let own = m["output_tokens"].as_f64().zip(m["elapsed_s"].as_f64());
            let own = own.map(|(tokens, seconds)| tokens / seconds);
            let rate = m["tokens_per_second"].as_f64().or(own);
            lines.push(row([
                &name(run),
                text(&run["verdict"]),
                &whole(&m["samples_completed"]),
                &whole(&m["output_tokens"]),
                &rate.map_or("-".into(), |rate| decimals(rate, 0)),
                &ms(&m["ttft_p99_ns"]),
                &ms(&m["tpot_p99_ns"]),
            ]));
        }
        for run in self.runs {
            let mut notes = Vec::new();
            if let Some(length) = run["metrics"]["speculation"]["acceptance_length"].as_f64() {
                let saved = whole(&run["metrics"]["speculation"]["steps_saved"]);
                notes.push(format!(
                    "{length:.2} tokens a round with a draft head (EAGLE3), {saved} steps saved"
                ));
            }
            notes.extend(
                run["reasons"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|r| text(r).to_owned()),
            );
            for note in notes {
                lines.extend(wrapped(&format!("  {}: {note}", name(run)), COLUMNS, 4));
            }
        }
        lines
    }

    /// Those of one kind are counted once: each run has its own seed of them.
    fn deviations(&self) -> usize {
        let deviations = self
            .runs
            .iter()
            .flat_map(|run| run["deviations"].as_array().into_iter().flatten());
        deviations.map(text).collect::<BTreeSet<_>>().len()
    }
}

fn row(cells: [&str; 7]) -> String {
    let [name, verdict, samples, tokens, rate, ttft, tpot] = cells;
    format!("{name:<23} {verdict:<7} {samples:>8} {tokens:>10} {rate:>10} {ttft:>8} {tpot:>8}")
}

fn name(run: &Value) -> String {
    format!("{} {}", text(&run["scenario"]), text(&run["mode"]))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_ending_fits_a_terminal() {
        let deviations = ["min_duration_ms is 1000", "prompts are made up"];
        let speculation = json!({ "acceptance_length": 2.287, "steps_saved": 19_782 });
        let runs = [
            json!({ "scenario": "offline", "mode": "performance", "verdict": "valid", "deviations": deviations, "metrics": {
                "samples_completed": 512, "output_tokens": 27_539, "tokens_per_second": 3034.7 } }),
            json!({ "scenario": "server", "mode": "performance", "verdict": "invalid", "deviations": deviations,
                "reasons": ["LoadGen's result is INVALID: not met: minimum duration, early stopping (p99 of TTFT and TPOT)"],
                "metrics": { "samples_completed": 1024, "output_tokens": 1_055_079, "tokens_per_second": 12_787.2,
                    "ttft_p99_ns": 2_341_512_000_u64, "tpot_p99_ns": 12_700_000 } }),
            json!({ "scenario": "interactive", "mode": "performance", "verdict": "valid", "deviations": deviations,
                "metrics": { "samples_completed": 663, "output_tokens": 35_214, "tokens_per_second": 762.0,
                    "ttft_p99_ns": 59_300_000, "tpot_p99_ns": 3_200_000, "speculation": speculation } }),
            json!({ "scenario": "offline", "mode": "accuracy", "verdict": "valid", "deviations": ["another"],
                "metrics": { "samples_completed": 480, "output_tokens": 23_816, "elapsed_s": 4.1 } }),
        ];
        let ending = Ending {
            runs: &runs,
            score: Some(99.861),
            output: "out/demo".as_ref(),
            page: "out/demo/report.html".as_ref(),
        };
        let lines = ending.lines();
        for line in &lines {
            assert!(line.chars().count() <= COLUMNS, "{line}");
        }
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("../../../tests/snapshots/prints");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!("demo", lines.join("\n")));
    }
}
