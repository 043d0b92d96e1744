//! What MLPerf Endpoints asks for, read from `mlperf_conf/endpoints.toml`.
//!
//! Owns the types of that file. Does not own the numbers and texts, which are in the file with their sources.
#![allow(
    missing_docs,
    reason = "every value is explained, with its source, where it stands in the TOML file"
)]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// A value and the place that says so.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sourced<T> {
    pub value: T,
    pub source: String,
    /// What another text says, where they differ; the value is what is applied.
    pub differs: Option<String>,
}

/// One rule of the check.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// MLCommons' own checker has it, under this name.
    #[serde(default)]
    pub official: bool,
    /// Where it is written.
    pub source: String,
    /// How to fix what it finds.
    pub fix: String,
    /// Where the rules' text and the checker differ, and which is applied.
    pub differs: Option<String>,
}

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    pub points: Points,
    pub metrics: Metrics,
    pub steady_state: SteadyState,
    pub models: Models,
    pub seeds: Seeds,
    pub datasets: BTreeMap<String, Sourced<i128>>,
    pub accuracy: Vec<AccuracyTarget>,
    pub agentic: Vec<AgenticTarget>,
    pub drafter: Vec<Drafter>,
    pub power: Power,
    rule: BTreeMap<String, Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Points {
    pub least: Sourced<usize>,
    pub least_with_dedicated_offline: Sourced<usize>,
    pub most: Sourced<usize>,
    pub min_duration_ms_ultra_low: Sourced<f64>,
    pub min_duration_ms: Sourced<f64>,
    pub min_duration_ms_agentic: Sourced<f64>,
    pub offline_share: Sourced<f64>,
    pub least_passes: Sourced<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    pub tolerance: Sourced<f64>,
    pub utilization_tolerance: Sourced<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SteadyState {
    pub least_super_passes: Sourced<i128>,
    pub statuses: Sourced<Vec<String>>,
    pub verdicts: Sourced<Vec<String>>,
    pub states: Sourced<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Models {
    pub allowed: Sourced<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seeds {
    pub legacy: Sourced<i128>,
    pub set: BTreeMap<String, SeedSet>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedSet {
    #[serde(deserialize_with = "seed")]
    pub scheduler: u64,
    #[serde(deserialize_with = "seed")]
    pub sample_index: u64,
    #[serde(deserialize_with = "seed")]
    pub model: u64,
    pub cohorts: Vec<String>,
    pub source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccuracyTarget {
    pub name_has: Vec<String>,
    pub samples: i128,
    pub metric: BTreeMap<String, Range>,
    pub source: String,
}

/// A bound is reference times factor, computed as the checker does.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    pub least: [f64; 2],
    pub most: Option<[f64; 2]>,
}

impl Range {
    pub fn least(&self) -> f64 {
        self.least[0] * self.least[1]
    }

    pub fn most(&self) -> Option<f64> {
        self.most.map(|[reference, factor]| reference * factor)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgenticTarget {
    pub name_has: Vec<String>,
    pub inline: f64,
    pub swe_bench: f64,
    pub tokens_per_turn: [f64; 2],
    pub source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drafter {
    pub benchmark: String,
    pub approved: String,
    pub model_id: String,
    pub weight_checksum: String,
    pub source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Power {
    pub overhead_liquid: Sourced<f64>,
    pub overhead_air: Sourced<f64>,
    pub computed_tolerance_w: Sourced<f64>,
    pub computed_tolerance_kw: Sourced<f64>,
    pub accelerators: Sourced<Vec<(String, f64)>>,
    pub x86_cores: Sourced<i128>,
    pub x86_small_w: Sourced<f64>,
    pub x86_large_w: Sourced<f64>,
    pub arm_cores: Sourced<i128>,
    pub arm_w: Sourced<f64>,
    pub nic_w: Sourced<f64>,
    pub switches: Sourced<Vec<SwitchPower>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchPower {
    pub name_has: String,
    pub passive: f64,
    pub active_optical: Option<f64>,
}

impl Rules {
    pub fn rule(&self, name: &str) -> Option<&Rule> {
        self.rule.get(name)
    }

    pub fn names(&self) -> impl Iterator<Item = (&str, &Rule)> {
        self.rule.iter().map(|(name, rule)| (name.as_str(), rule))
    }

    /// What a model's accuracy has to reach, by its directory's name.
    pub fn accuracy_of(&self, model: &str) -> Option<&AccuracyTarget> {
        let name = squashed(model);
        self.accuracy
            .iter()
            .find(|target| has_all(&name, &target.name_has))
    }

    pub fn agentic_of(&self, model: &str) -> Option<&AgenticTarget> {
        let name = squashed(model);
        self.agentic
            .iter()
            .find(|target| has_all(&name, &target.name_has))
    }
}

fn has_all(name: &str, parts: &[String]) -> bool {
    parts.iter().all(|part| name.contains(part.as_str()))
}

/// Small letters and digits only.
pub(crate) fn squashed(name: &str) -> String {
    let small = ossmark_python::lower(name);
    small.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// TOML integers end at i64; two of the published seeds do not.
fn seed<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    String::deserialize(from)?
        .parse()
        .map_err(serde::de::Error::custom)
}

/// The rules, parsed once.
pub fn rules() -> &'static Rules {
    static RULES: LazyLock<Rules> = LazyLock::new(|| {
        let text = include_str!("../../../mlperf_conf/endpoints.toml");
        toml::from_str(text)
            .expect("the embedded rules are part of the program and parsed by its tests")
    });
    &RULES
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn used(dir: &Path, found: &mut BTreeSet<String>) {
        let call =
            regex::Regex::new(r#"(?s)\.(?:error|warning|pass|problems|add)\(\s*"([a-z0-9-]+)""#)
                .unwrap();
        let named = regex::Regex::new(r#"(?:\brule\(|RULE: &str = )"([a-z0-9-]+)""#).unwrap();
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                used(&path, found);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            found.extend(call.captures_iter(&text).map(|c| c[1].to_owned()));
            found.extend(named.captures_iter(&text).map(|c| c[1].to_owned()));
        }
    }

    #[test]
    fn the_file_and_the_code_name_the_same_rules() {
        let mut found = BTreeSet::new();
        used(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
            &mut found,
        );
        let known: BTreeSet<String> = rules().names().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(
            found.difference(&known).collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "not in endpoints.toml"
        );
        assert_eq!(
            known.difference(&found).collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "used nowhere"
        );
        for (name, rule) in rules().names() {
            assert!(!rule.source.is_empty() && !rule.fix.is_empty(), "{name}");
        }
    }

    #[test]
    fn bounds_are_computed_as_the_checker_does() {
        let target = rules().accuracy_of("gpt-oss-120b").unwrap();
        assert_eq!(
            target.metric["exact_match"].least().to_bits(),
            (83.13f64 * 0.99).to_bits()
        );
        assert!(rules().accuracy_of("gpt-oss-20b").is_none());
        assert_eq!(rules().seeds.set["A"].scheduler, 10_487_924_139_932_647_040);
    }
}
