//! What a round asks for, read from `mlperf_conf/gpt-oss-120b.toml`, and how a run differs from it.
//!
//! Owns the types of both; the comparison is in [`check`]. Does not own the numbers (they and their sources are in the TOML
//! file), nor whether the run was valid: a run with deviations may be valid, it only may not be submitted. Pure; any thread.

mod check;

use std::{collections::BTreeMap, sync::LazyLock};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use check::deviations;

/// A value and the place that says so.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sourced<T> {
    pub(crate) value: T,
    pub(crate) source: String,
}

/// The whole file. Field names are explained there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rules {
    round: BTreeMap<String, RoundRules>,
    loadgen: LoadgenRules,
    pub(crate) performance: PerformanceRules,
    scenario: BTreeMap<String, ScenarioRules>,
    pub(crate) accuracy: AccuracyRules,
    pub(crate) generation: GenerationRules,
    model: ModelRules,
    compliance: ComplianceRules,
}

/// What differs between rounds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoundRules {
    #[serde(deserialize_with = "seed")]
    pub(crate) qsl_rng_seed: Sourced<u64>,
    #[serde(deserialize_with = "seed")]
    pub(crate) sample_index_rng_seed: Sourced<u64>,
    #[serde(deserialize_with = "seed")]
    pub(crate) schedule_rng_seed: Sourced<u64>,
    compliance_issue_unique: Sourced<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LoadgenRules {
    version: Sourced<String>,
}

/// Performance runs of every scenario.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PerformanceRules {
    pub(crate) min_duration_ms: Sourced<u64>,
    pub(crate) sample_count: Sourced<u64>,
    pub(crate) dataset_rows: Sourced<u64>,
    equal_issue: Sourced<bool>,
    use_token_latencies: Sourced<bool>,
    max_target_latency_ns: Sourced<u64>,
    target_latency_percentile: Sourced<f64>,
}

/// One scenario.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScenarioRules {
    loadgen_scenario: Sourced<String>,
    #[allow(
        dead_code,
        reason = "data of the file, checked by the tests; scoring and submission will read it"
    )]
    pub(crate) model_name: Sourced<String>,
    min_samples_per_query: Option<Sourced<u64>>,
    pub(crate) ttft_latency_ns: Option<Sourced<u64>>,
    pub(crate) tpot_latency_ns: Option<Sourced<u64>>,
}

/// Accuracy runs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccuracyRules {
    pub(crate) sample_count: Sourced<u64>,
    pub(crate) dataset_rows: Sourced<u64>,
    #[allow(
        dead_code,
        reason = "data of the file, checked by the tests; scoring and submission will read it"
    )]
    pub(crate) repeats: Sourced<BTreeMap<String, u32>>,
    #[allow(
        dead_code,
        reason = "data of the file, checked by the tests; scoring and submission will read it"
    )]
    pub(crate) reference_score: Sourced<f64>,
    #[allow(
        dead_code,
        reason = "data of the file, checked by the tests; scoring and submission will read it"
    )]
    pub(crate) min_score: Sourced<f64>,
}

/// How tokens are generated.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GenerationRules {
    pub(crate) temperature: Sourced<f64>,
    pub(crate) top_p: Sourced<f64>,
    pub(crate) top_k: Sourced<u32>,
    #[allow(
        dead_code,
        reason = "data of the file, checked by the tests; scoring and submission will read it"
    )]
    pub(crate) min_new_tokens: Sourced<u32>,
    /// Any of them is accepted, the first is the default.
    max_new_tokens_accuracy: Sourced<Vec<u32>>,
    max_new_tokens_performance: Sourced<Vec<u32>>,
    prng: Sourced<String>,
    dtypes: Sourced<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelRules {
    source: String,
    dimensions: ModelFacts,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ComplianceRules {
    #[serde(rename = "TEST07")]
    test07: ComplianceTest,
    #[serde(rename = "TEST09")]
    test09: ComplianceTest,
    common: ComplianceCommon,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ComplianceTest {
    sample_count: Sourced<u64>,
    min_log_target: Sourced<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ComplianceCommon {
    #[serde(deserialize_with = "seed")]
    accuracy_log_rng_seed: Sourced<u64>,
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
pub(crate) fn rules() -> &'static Rules {
    static RULES: LazyLock<Rules> = LazyLock::new(|| {
        let text = include_str!("../mlperf_conf/gpt-oss-120b.toml");
        toml::from_str(text)
            .expect("the embedded rules are part of the program and parsed by its tests")
    });
    &RULES
}

/// The three submission scenarios; the names are the ones of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ScenarioName {
    Offline,
    Server,
    Interactive,
}

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ModeName {
    Performance,
    Accuracy,
    FindPeak,
}

/// What answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EngineName {
    Cpu,
    Echo,
}

/// Which compliance test an audit configuration is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Audit {
    #[serde(rename = "TEST07")]
    Test07,
    #[serde(rename = "TEST09")]
    Test09,
    /// None that gpt-oss-120b has.
    #[serde(rename = "unknown")]
    Unknown,
}

impl Audit {
    /// Known by the thresholds that it carries for the verification.
    pub(crate) fn of(audit_config: &str) -> Self {
        let sets = |key: &str| {
            audit_config
                .lines()
                .any(|l| !l.trim_start().starts_with('#') && l.contains(&format!(".{key}")))
        };
        match (sets("test07_"), sets("test09_")) {
            (true, false) => Self::Test07,
            (false, true) => Self::Test09,
            _ => Self::Unknown,
        }
    }
}

/// The dimensions of a checkpoint, named as in its config.json.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelFacts {
    pub(crate) num_hidden_layers: u64,
    pub(crate) hidden_size: u64,
    pub(crate) intermediate_size: u64,
    pub(crate) num_attention_heads: u64,
    pub(crate) num_key_value_heads: u64,
    pub(crate) head_dim: u64,
    pub(crate) num_local_experts: u64,
    pub(crate) num_experts_per_tok: u64,
    pub(crate) vocab_size: u64,
    pub(crate) sliding_window: u64,
}

impl ModelFacts {
    fn named(&self) -> [(&'static str, u64); 10] {
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

/// What was done, as far as the rules care.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RunFacts {
    /// `v6.1`, `v6.0`.
    pub(crate) round: String,
    pub(crate) scenario: ScenarioName,
    pub(crate) mode: ModeName,
    /// `effective_*` and `requested_*` as in LoadGen's detail log. Other keys are not looked at.
    pub(crate) settings: BTreeMap<String, Value>,
    /// Rows of the data set that the library offers.
    pub(crate) dataset_rows: u64,
    pub(crate) engine: EngineName,
    /// None where it is unknown: an answer from elsewhere, or scripted.
    pub(crate) model: Option<ModelFacts>,
    pub(crate) temperature: f64,
    pub(crate) top_p: f64,
    /// 0 is off.
    pub(crate) top_k: u32,
    pub(crate) max_new_tokens: u32,
    /// The generator behind the sampler.
    pub(crate) prng: String,
    /// Numerics of the activations.
    pub(crate) dtype: String,
    /// Made up instead of given: "weights", "prompts".
    pub(crate) synthetic: Vec<String>,
    pub(crate) audit: Option<Audit>,
    pub(crate) loadgen_version: String,
    /// LoadGen was compiled from the sdist whose sha256 is pinned, without changes.
    pub(crate) loadgen_is_pinned: bool,
}

impl Rules {
    /// The rounds that are known, oldest first.
    pub(crate) fn rounds(&self) -> impl Iterator<Item = &str> {
        self.round.keys().map(String::as_str)
    }

    /// A round's own values; None when there is no such round.
    pub(crate) fn round(&self, name: &str) -> Option<&RoundRules> {
        self.round.get(name)
    }

    /// A scenario's values.
    pub(crate) fn scenario(&self, scenario: ScenarioName) -> &ScenarioRules {
        let name = match scenario {
            ScenarioName::Offline => "offline",
            ScenarioName::Server => "server",
            ScenarioName::Interactive => "interactive",
        };
        &self.scenario[name]
    }

    /// The most tokens that may be generated for a sample in this mode; the first is the default.
    pub(crate) fn max_new_tokens(&self, mode: ModeName) -> &Sourced<Vec<u32>> {
        match mode {
            ModeName::Accuracy => &self.generation.max_new_tokens_accuracy,
            ModeName::Performance | ModeName::FindPeak => {
                &self.generation.max_new_tokens_performance
            }
        }
    }
}

#[cfg(test)]
mod tests;
