//! How a run ends on the terminal: its verdict, why, its figures, how it deviates. Pure; `verdict.json` has all of it.

use ossmark_files::Escaped;
use serde_json::Value;

use super::verdict::{SettingsLabel, Validity, Verdict};
use crate::terminal::text::{counted, decimals, wrapped};

/// What there is to say.
pub(super) struct Ending<'a> {
    pub(super) verdict: &'a Verdict,
    /// Of p99 time to first token and time per output token, in nanoseconds, where the run is held against them.
    pub(super) limits: Option<(u64, u64)>,
    /// Kernels that disagreed with the plain ones.
    pub(super) left_out: &'a [String],
    /// What servers do that is not seen from here.
    pub(super) not_seen: Option<&'a [String]>,
}

/// Columns of a figure's name.
const NAME: usize = 12;
/// Columns of a figure.
const FIGURE: usize = 14;

impl Ending<'_> {
    /// In lines of at most `columns`, but for words that are longer.
    pub(super) fn lines(&self, columns: usize) -> Vec<String> {
        let verdict = self.verdict;
        let mut texts = vec![format!(
            "{} {}: {}",
            verdict.scenario,
            verdict.mode,
            word(verdict.verdict, verdict.settings)
        )];
        texts.extend(verdict.reasons.iter().map(|r| format!("  reason: {r}")));
        texts.extend(self.figures());
        texts.push(self.loadgen());
        let retries = verdict.metrics.get("remote").map(|r| &r["retries"]);
        if let Some(retries) = retries.and_then(Value::as_u64).filter(|n| *n > 0) {
            texts.push(format!(
                "  retried over HTTP: {}, see metrics.remote in verdict.json",
                counted(retries, "time")
            ));
        }
        texts.extend(self.energy());
        texts.extend(
            verdict
                .deviations
                .iter()
                .map(|d| format!("  deviation: {d}")),
        );
        texts.extend(
            self.left_out
                .iter()
                .map(|k| format!("  kernel left out: {k}")),
        );
        if let Some(not_seen) = self.not_seen {
            texts.push(format!("  not seen from here: {}", not_seen.join(", ")));
        }
        let wrap = |text: &String| wrapped(text, columns, 4);
        texts.iter().flat_map(wrap).collect()
    }

    /// LoadGen's figures, aligned.
    fn figures(&self) -> Vec<String> {
        let metrics = &self.verdict.metrics;
        let number = |name: &str| metrics.get(name).and_then(Value::as_f64);
        let mut lines = Vec::new();
        for (name, label) in [
            ("tokens_per_second", "tokens/s"),
            ("samples_per_second", "samples/s"),
        ] {
            if let Some(value) = number(name) {
                lines.push(format!("  {label:<NAME$}{:>FIGURE$}", decimals(value, 2)));
            }
        }
        let limits = self.limits.unzip();
        for (name, label, limit) in [
            ("ttft_p99_ns", "TTFT p99", limits.0),
            ("tpot_p99_ns", "TPOT p99", limits.1),
        ] {
            if let Some(ns) = number(name) {
                let limit = limit.map_or(String::new(), |limit| {
                    format!(" (limit {})", decimals(limit as f64 / 1e6, 0))
                });
                let ms = decimals(ns / 1e6, 2);
                lines.push(format!("  {label:<NAME$}{ms:>FIGURE$} ms{limit}"));
            }
        }
        // Aligned by spaces, which wrapping would take away.
        lines
    }

    fn loadgen(&self) -> String {
        let none = match self.verdict.mode.as_str() {
            "accuracy" => "no result (accuracy mode prints none)",
            _ => "no result",
        };
        let loadgen = &self.verdict.loadgen;
        format!(
            "  LoadGen: {}, {}, {}",
            loadgen.result.as_deref().unwrap_or(none),
            counted(loadgen.errors, "error"),
            counted(loadgen.warnings, "warning")
        )
    }

    fn energy(&self) -> Option<String> {
        let power = self.verdict.metrics.get("power")?;
        let (energy, source) = (power["energy_j"].as_f64()?, power["source"].as_str()?);
        let per_joule = power["tokens_per_joule"].as_f64().unwrap_or_default();
        Some(format!(
            "  energy: {} J by {}, {per_joule:.3} tokens/J",
            decimals(energy, 1),
            Escaped(source)
        ))
    }
}

/// The verdict with what it is worth.
pub(crate) fn word(verdict: Validity, settings: SettingsLabel) -> &'static str {
    match (verdict, settings) {
        (Validity::Valid, SettingsLabel::Official) => "valid (official settings)",
        (Validity::Valid, SettingsLabel::Test) => "valid (test settings: not submittable)",
        (Validity::Invalid, SettingsLabel::Official) => "INVALID (official settings)",
        (Validity::Invalid, SettingsLabel::Test) => "INVALID (test settings)",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::super::verdict::LoadgenOutcome;
    use super::*;

    fn verdict(scenario: &str, mode: &str, validity: Validity, settings: SettingsLabel) -> Verdict {
        let is_accuracy = mode == "accuracy";
        let mut metrics = serde_json::Map::new();
        if !is_accuracy {
            metrics.insert("tokens_per_second".into(), json!(13_266.914));
            metrics.insert("samples_per_second".into(), json!(10.38));
        }
        if !is_accuracy && scenario != "offline" {
            metrics.insert("ttft_p99_ns".into(), json!(174_713_000));
            metrics.insert("tpot_p99_ns".into(), json!(10_011_000));
        }
        let deviations = match settings {
            SettingsLabel::Official => Vec::new(),
            SettingsLabel::Test => vec![
                "min_duration_ms is 1000, round v6.1 asks for at least 600000 (checker, performance_check.py; mlperf.conf \
                 *.Server.min_duration)"
                    .into(),
                "prompts are made up, not given".into(),
            ],
        };
        let reasons = match validity {
            Validity::Valid => Vec::new(),
            Validity::Invalid => vec![
                "31 times: the engine answered request 3 which is not open (answered twice?)".into(),
                "LoadGen's result is INVALID: not met: minimum duration, early stopping (p99 of TTFT and TPOT)".into(),
            ],
        };
        Verdict {
            verdict: validity,
            settings,
            deviations,
            reasons,
            loadgen: LoadgenOutcome {
                result: (!is_accuracy).then(|| "VALID".into()),
                errors: u64::from(validity == Validity::Invalid),
                warnings: 0,
            },
            faults: Vec::new(),
            scenario: scenario.into(),
            mode: mode.into(),
            metrics,
            interrupted: false,
            files: BTreeMap::new(),
        }
    }

    #[test]
    fn endings_in_the_columns_that_there_are() {
        let limits = Some((3_000_000_000, 80_000_000));
        let kernels = ["mxfp4_moe: differs from the plain one by 0.25".to_owned()];
        let servers = ["weights".to_owned(), "numerics".to_owned()];
        let mut shown = String::new();
        for columns in [60, 80, 120] {
            for (scenario, mode, validity, settings) in [
                (
                    "server",
                    "performance",
                    Validity::Valid,
                    SettingsLabel::Official,
                ),
                (
                    "offline",
                    "performance",
                    Validity::Valid,
                    SettingsLabel::Test,
                ),
                (
                    "server",
                    "performance",
                    Validity::Invalid,
                    SettingsLabel::Test,
                ),
                (
                    "offline",
                    "accuracy",
                    Validity::Valid,
                    SettingsLabel::Official,
                ),
            ] {
                let verdict = verdict(scenario, mode, validity, settings);
                let is_server = scenario == "server";
                let ending = Ending {
                    verdict: &verdict,
                    limits: limits.filter(|_| is_server),
                    left_out: if is_server { &kernels } else { &[] },
                    not_seen: is_server.then_some(&servers[..]),
                };
                shown += &format!("--- {columns} columns\n");
                for line in ending.lines(columns) {
                    assert!(line.chars().count() <= columns, "{columns}: {line}");
                    shown += &format!("{line}\n");
                }
            }
        }
        let mut snapshot = insta::Settings::clone_current();
        snapshot.set_snapshot_path("../../tests/snapshots/prints");
        snapshot.set_prepend_module_to_snapshot(false);
        snapshot.set_omit_expression(true);
        snapshot.bind(|| insta::assert_snapshot!("endings", shown));
    }
}
