//! What a round asks for, read from `mlperf_conf/gpt-oss-120b.toml`.
//!
//! Owns the types of that file. Does not own the numbers (they and their sources are in the file), nor any comparison: a run
//! is held against them by the harness, a submission by `crates/submission`. Pure; any thread.
#![forbid(unsafe_code)]
#![allow(
    missing_docs,
    reason = "every value is explained, with its source, where it stands in the TOML file"
)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests open what they made")
)]

mod run_kind;

use std::{collections::BTreeMap, sync::LazyLock};

use serde::{Deserialize, Serialize};

pub use run_kind::{Mode, Scenario};

/// A value and the place that says so.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sourced<T> {
    pub value: T,
    pub source: String,
}

/// The whole file. Field names are explained there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    round: BTreeMap<String, RoundRules>,
    pub loadgen: LoadgenRules,
    pub performance: PerformanceRules,
    scenario: BTreeMap<String, ScenarioRules>,
    pub accuracy: AccuracyRules,
    pub generation: GenerationRules,
    pub speculation: SpeculationRules,
    pub model: ModelRules,
    pub compliance: ComplianceRules,
    pub submission: SubmissionRules,
}

/// What differs between rounds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundRules {
    #[serde(deserialize_with = "seed")]
    pub qsl_rng_seed: Sourced<u64>,
    #[serde(deserialize_with = "seed")]
    pub sample_index_rng_seed: Sourced<u64>,
    #[serde(deserialize_with = "seed")]
    pub schedule_rng_seed: Sourced<u64>,
    pub compliance_issue_unique: Sourced<bool>,
    pub known_benchmarks: Sourced<Vec<String>>,
    pub loadgen_versions: Sourced<Vec<String>>,
    pub nameplate_power: Sourced<bool>,
    pub endpoints: Sourced<bool>,
    pub loadgen_scenarios: Sourced<Vec<String>>,
}

/// Files of one release of LoadGen.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadgenFiles {
    pub version: String,
    pub source: String,
    pub files: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadgenRules {
    pub version: Sourced<String>,
    pub file_sha1: LoadgenFiles,
}

/// Performance runs of every scenario.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerformanceRules {
    pub min_duration_ms: Sourced<u64>,
    pub sample_count: Sourced<u64>,
    pub dataset_rows: Sourced<u64>,
    pub equal_issue: Sourced<bool>,
    pub use_token_latencies: Sourced<bool>,
    pub max_target_latency_ns: Sourced<u64>,
    pub target_latency_percentile: Sourced<f64>,
}

/// One scenario.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioRules {
    pub loadgen_scenario: Sourced<String>,
    pub model_name: Sourced<String>,
    pub min_samples_per_query: Option<Sourced<u64>>,
    pub ttft_latency_ns: Option<Sourced<u64>>,
    pub tpot_latency_ns: Option<Sourced<u64>>,
}

/// Accuracy runs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccuracyRules {
    pub sample_count: Sourced<u64>,
    pub dataset_rows: Sourced<u64>,
    pub repeats: Sourced<BTreeMap<String, u32>>,
    pub reference_score: Sourced<f64>,
    pub min_score: Sourced<f64>,
    pub max_tokens_per_sample: Sourced<f64>,
    pub max_log_bytes: Sourced<u64>,
    pub viewable_bytes: Sourced<u64>,
}

/// How tokens are generated.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerationRules {
    pub temperature: Sourced<f64>,
    pub top_p: Sourced<f64>,
    pub top_k: Sourced<u32>,
    pub min_new_tokens: Sourced<u32>,
    /// Any of them is accepted, the first is the default.
    pub max_new_tokens_accuracy: Sourced<Vec<u32>>,
    pub max_new_tokens_performance: Sourced<Vec<u32>>,
    pub prng: Sourced<String>,
    pub dtypes: Sourced<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeculationRules {
    /// As `--scenario` spells it.
    pub scenario: Sourced<String>,
    pub head: Sourced<String>,
    pub num_steps: Sourced<u32>,
    pub tensors_sha256: Sourced<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRules {
    pub source: String,
    pub dimensions: ModelFacts,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComplianceRules {
    #[serde(rename = "TEST07")]
    pub test07: ComplianceTest,
    #[serde(rename = "TEST09")]
    pub test09: ComplianceTest,
    pub common: ComplianceCommon,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComplianceTest {
    pub sample_count: Sourced<u64>,
    pub min_log_target: Sourced<u64>,
    pub result_file: Sourced<String>,
    pub min_score: Option<Sourced<f64>>,
    pub min_mean_tokens: Option<Sourced<f64>>,
    pub max_mean_tokens: Option<Sourced<f64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComplianceCommon {
    #[serde(deserialize_with = "seed")]
    pub accuracy_log_rng_seed: Sourced<u64>,
}

/// The tree that is submitted, and what stands in it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubmissionRules {
    pub benchmark: Sourced<String>,
    pub benchmark_aliases: Sourced<BTreeMap<String, String>>,
    pub benchmark_guesses: Sourced<BTreeMap<String, String>>,
    pub divisions: Sourced<Vec<String>>,
    pub statuses: Sourced<Vec<String>>,
    pub system_types: Sourced<Vec<String>>,
    pub benchmark_system_types: Sourced<Vec<String>>,
    pub required_scenarios: Sourced<Vec<String>>,
    pub one_of_scenarios: Sourced<Vec<String>>,
    pub source_directories: Sourced<Vec<String>>,
    pub system_fields: Sourced<Vec<String>>,
    pub system_fields_that_may_be_empty: Sourced<Vec<String>>,
    pub network_fields: Sourced<Vec<String>>,
    pub network_sut_name: Sourced<String>,
    pub measurement_files: Sourced<Vec<String>>,
    pub measurement_fields: Sourced<Vec<String>>,
    pub min_queries: Sourced<BTreeMap<String, u64>>,
    pub metrics: Sourced<BTreeMap<String, Vec<String>>>,
    pub endpoints_metrics: Sourced<BTreeMap<String, Vec<String>>>,
    pub unit: Sourced<String>,
    pub documents: Sourced<Vec<String>>,
    pub max_file_bytes: Sourced<u64>,
    pub power_files: Sourced<Vec<String>>,
}

/// TOML's integers end at i64::MAX and one seed lies beyond: they are written as text.
fn seed<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Sourced<u64>, D::Error> {
    let Sourced { value, source } = Sourced::<String>::deserialize(deserializer)?;
    let value = value
        .parse()
        .map_err(|e| serde::de::Error::custom(format!("seed {value:?}: {e}")))?;
    Ok(Sourced { value, source })
}

/// The rules that are compiled in.
pub fn rules() -> &'static Rules {
    static RULES: LazyLock<Rules> = LazyLock::new(|| {
        let text = include_str!("../../../mlperf_conf/gpt-oss-120b.toml");
        toml::from_str(text)
            .expect("the embedded rules are part of the program and parsed by its tests")
    });
    &RULES
}

/// The dimensions of a checkpoint, named as in its config.json.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFacts {
    pub num_hidden_layers: u64,
    pub hidden_size: u64,
    pub intermediate_size: u64,
    pub num_attention_heads: u64,
    pub num_key_value_heads: u64,
    pub head_dim: u64,
    pub num_local_experts: u64,
    pub num_experts_per_tok: u64,
    pub vocab_size: u64,
    pub sliding_window: u64,
}

impl ModelFacts {
    /// Every dimension with its name in config.json.
    pub fn named(&self) -> [(&'static str, u64); 10] {
        [
            ("num_hidden_layers", self.num_hidden_layers),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("head_dim", self.head_dim),
            ("num_local_experts", self.num_local_experts),
            ("num_experts_per_tok", self.num_experts_per_tok),
            ("vocab_size", self.vocab_size),
            ("sliding_window", self.sliding_window),
        ]
    }
}

impl Rules {
    /// The rounds that are known, oldest first.
    pub fn rounds(&self) -> impl Iterator<Item = &str> {
        self.round.keys().map(String::as_str)
    }

    /// A round's own values; None when there is no such round.
    pub fn round(&self, name: &str) -> Option<&RoundRules> {
        self.round.get(name)
    }

    /// A scenario's values.
    pub fn scenario(&self, scenario: Scenario) -> &ScenarioRules {
        &self.scenario[scenario.name()]
    }

    /// The most tokens that may be generated for a sample in this mode; the first is the default.
    pub fn max_new_tokens(&self, mode: Mode) -> &Sourced<Vec<u32>> {
        match mode {
            Mode::Accuracy => &self.generation.max_new_tokens_accuracy,
            Mode::Performance | Mode::FindPeak => &self.generation.max_new_tokens_performance,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_what_its_types_ask_for() {
        let rules = rules();
        assert_eq!(rules.rounds().collect::<Vec<_>>(), ["v6.0", "v6.1"]);
        let submission = &rules.submission;
        let fields = &submission.system_fields.value;
        assert_eq!(fields.len(), 35, "facts: 35 required keys");
        let may_be_empty = &submission.system_fields_that_may_be_empty.value;
        assert!(may_be_empty.iter().all(|field| fields.contains(field)));
        for round in rules.rounds() {
            let round = rules.round(round).unwrap();
            assert!(
                round
                    .known_benchmarks
                    .value
                    .contains(&submission.benchmark.value)
            );
        }
        for (test, sourced) in [
            ("TEST07", rules.compliance.test07.min_score.is_some()),
            ("TEST09", rules.compliance.test09.max_mean_tokens.is_some()),
        ] {
            assert!(sourced, "{test} has its bound");
        }
    }
}
