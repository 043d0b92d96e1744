//! What `point.yaml` says, one file at a time, and whether a curve's points say the same. Facts: §5, "point.yaml".

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use super::loaded::Curve;
use crate::finding::Findings;
use crate::model::point::{AGENTIC, DEDICATED, ELECTED, Point};
use crate::model::steady_state::SteadyState;
use crate::rules::rules;

const REGIONS: [&str; 6] = [
    "low_latency",
    "low_concurrency",
    "med_concurrency",
    "high_concurrency",
    "margin",
    "submitters_choice",
];
const OFFICIAL: &str = "windowable";

/// The rules that need one valid file and nothing else.
pub(super) fn point(point: &Point, yaml: &Path, findings: &mut Findings) {
    if let Some(offline) = &point.offline {
        if [DEDICATED, ELECTED, "none"].contains(&offline.as_str()) {
            findings.pass("offline-declared", yaml, offline);
        } else {
            findings.error(
                "offline-declared",
                yaml,
                format!("found offline {offline:?}, expected dedicated, elected or none"),
            );
        }
    }
    if let Some(block) = &point.steady_state {
        steady_state(block, yaml, findings);
    }
    if point.undisclosed.is_empty() {
        findings.pass("point-disclosure-complete", yaml, "complete");
    } else {
        findings.error(
            "point-disclosure-complete",
            yaml,
            format!(
                "found no value for {}, expected one each",
                point.undisclosed.join(", ")
            ),
        );
    }
    if let Some(cohort) = &point.target_cohort {
        static COHORT: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"^\d{4}-\d{2}-C[01]$").expect("a fixed pattern, compiled by the tests")
        });
        if COHORT.is_match(cohort) {
            findings.pass("target-cohort", yaml, cohort);
        } else {
            findings.error(
                "target-cohort",
                yaml,
                format!("found {cohort:?}, expected YYYY-MM-C0 or YYYY-MM-C1"),
            );
        }
    }
    if point.seed_set.is_none() {
        legacy_seeds(point, yaml, findings);
    }
    warmup(point, yaml, findings);
    load_pattern(point, yaml, findings);
    findings.pass("streaming-config", yaml, format!("stream_all_chunks {}: what the client's workers hand on, not whether the server streams", point.settings.stream_all_chunks));
    if let Some(region) = &point.region {
        if REGIONS.contains(&region.as_str()) {
            findings.pass("region-declared", yaml, region);
        } else {
            findings.error(
                "region-declared",
                yaml,
                format!(
                    "found region {region:?}, expected one of {}",
                    REGIONS.join(", ")
                ),
            );
        }
    }
}

fn steady_state(block: &SteadyState, yaml: &Path, findings: &mut Findings) {
    let words = &rules().steady_state;
    let mut bad = Vec::new();
    let mut word = |name: &str, found: &str, known: &[String]| {
        if !known.iter().any(|known| known == found) {
            bad.push(format!(
                "found {name} {found:?}, expected one of {}",
                known.join(", ")
            ));
        }
    };
    if let Some(status) = &block.status {
        word("status", status, &words.statuses.value);
    }
    if let Some(verdict) = &block.verdict {
        word("verdict", verdict, &words.verdicts.value);
    }
    for (metric, state) in &block.state {
        word(&format!("state.{metric}"), state, &words.states.value);
    }
    if bad.is_empty() {
        findings.pass("steady-state-valid", yaml, "valid");
    } else {
        findings.error("steady-state-valid", yaml, bad.join("; "));
    }
    let Some(status) = block.status.as_deref() else {
        return;
    };
    let least = words.least_super_passes.value;
    let passes = block.window.super_passes();
    let mut bad = Vec::new();
    if status == OFFICIAL {
        if let Some(passes) = passes.filter(|passes| *passes < least) {
            bad.push(format!(
                "found {OFFICIAL} for {passes} super-passes, expected at least {least}"
            ));
        }
        let drifting = block.drifting();
        if !drifting.is_empty() {
            bad.push(format!(
                "found {OFFICIAL} with {} drifting, expected plateaus",
                drifting.join(", ")
            ));
        }
    } else if let Some(passes) = passes.filter(|passes| *passes >= least)
        && status == "insufficient_passes"
    {
        bad.push(format!(
            "found {status} for {passes} super-passes, which are enough"
        ));
    }
    if bad.is_empty() {
        findings.pass("steady-state-consistency", yaml, status);
    } else {
        findings.error("steady-state-consistency", yaml, bad.join("; "));
    }
}

fn legacy_seeds(point: &Point, yaml: &Path, findings: &mut Findings) {
    let legacy = rules().seeds.legacy.value;
    for (name, seed) in [
        ("scheduler_rng_seed", point.settings.scheduler_seed),
        ("sample_index_rng_seed", point.settings.sample_index_seed),
    ] {
        if seed == Some(legacy) {
            findings.warning("seed-config-legacy", yaml, format!("found no seed_set and {name} {legacy}, which v0.7 asked for; expected a seed_set"));
        } else {
            findings.error(
                "seed-config-legacy",
                yaml,
                format!("found no seed_set and {name} {seed:?}, expected a seed_set"),
            );
        }
    }
}

fn warmup(point: &Point, yaml: &Path, findings: &mut Findings) {
    if point.settings.salt == Some(true) {
        findings.warning("warmup-salt", yaml, "found a salted warm-up");
    }
    let Some(warmup) = &point.warmup else {
        findings.error(
            "warmup-present",
            yaml,
            "found no warmup, expected what was done, or zeros",
        );
        return;
    };
    findings.pass("warmup-present", yaml, "found it");
    if warmup.is_disabled || warmup.logs_retained == Some(true) {
        findings.pass("warmup-logs-retained", yaml, "kept, or there are none");
    } else {
        findings.warning(
            "warmup-logs-retained",
            yaml,
            "found logs of the warm-up that are not kept, expected logs_retained: true",
        );
    }
}

fn load_pattern(point: &Point, yaml: &Path, findings: &mut Findings) {
    let pattern = &point.settings.load_pattern;
    if point.is_dedicated() {
        findings.pass("load-pattern", yaml, "a dedicated Offline run may have any");
    } else if !["concurrency", AGENTIC].contains(&pattern.as_str()) {
        findings.error(
            "load-pattern",
            yaml,
            format!("found {pattern:?}, expected concurrency (or {AGENTIC})"),
        );
    } else if point.concurrency <= 0 {
        findings.error(
            "load-pattern",
            yaml,
            format!(
                "found concurrency {}, expected at least 1",
                point.concurrency
            ),
        );
    } else {
        findings.pass("load-pattern", yaml, pattern);
    }
}

/// Each name once.
pub(super) fn model_names(curve: &Curve, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for loaded in &curve.points {
        let Some(name) = loaded
            .point
            .model_name
            .as_ref()
            .filter(|name| !name.is_empty())
        else {
            continue;
        };
        if !seen.insert(name) {
            continue;
        }
        let allowed = &rules().models.allowed.value;
        if allowed.contains(name) {
            findings.pass("model-name-valid", &loaded.yaml, name);
        } else {
            findings.error(
                "model-name-valid",
                &loaded.yaml,
                format!(
                    "found model_name {name:?}, expected one of {}, spelt so",
                    allowed.join(", ")
                ),
            );
        }
    }
}

/// Each pointer once.
pub(super) fn shared_paths(root: &Path, curve: &Curve, findings: &mut Findings) {
    let mut seen: BTreeMap<(&str, &String), &PathBuf> = BTreeMap::new();
    for loaded in &curve.points {
        let point = &loaded.point;
        for (name, value) in [
            ("shared_src", &point.shared_src),
            ("shared_docs", &point.shared_docs),
        ] {
            if let Some(value) = value {
                seen.entry((name, value)).or_insert(&loaded.yaml);
            }
        }
    }
    for ((name, value), yaml) in seen {
        if leads_to_a_folder(root, value) {
            findings.pass("shared-path-resolution", yaml, format!("{name} {value:?}"));
        } else {
            findings.error("shared-path-resolution", yaml, format!("found {name} {value:?}, expected a directory of the submission, from its root and without '..'"));
        }
    }
}

fn leads_to_a_folder(root: &Path, value: &str) -> bool {
    let value = ossmark_python::strip(value);
    if value.starts_with(['/', '~']) || value.contains('\0') {
        return false;
    }
    let value = value.replace('\\', "/");
    let parts: Vec<&str> = value
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    let is_inside = !parts.is_empty() && !parts.contains(&"..");
    is_inside && root.join(parts.join("/")).is_dir()
}

/// One model and one data set.
pub(super) fn consistency(curve: &Curve, findings: &mut Findings) {
    let dir = curve.dir.as_path();
    let names: Vec<&String> = curve
        .points
        .iter()
        .filter_map(|loaded| loaded.point.model_name.as_ref())
        .filter(|name| !name.is_empty())
        .collect();
    match names.first() {
        None => findings.warning(
            "model-name-consistency",
            dir,
            "found no model_name in any point.yaml, expected the folder's name",
        ),
        Some(name) if **name != curve.model => findings.error(
            "model-name-consistency",
            dir,
            format!(
                "found model_name {name:?} in the folder {:?}, expected one name",
                curve.model
            ),
        ),
        Some(name) => findings.pass("model-name-consistency", dir, *name),
    }
    let distinct: BTreeSet<&String> = names.into_iter().collect();
    if distinct.len() > 1 {
        findings.error(
            "config-consistency-model",
            dir,
            format!("found {distinct:?}, expected one model"),
        );
    } else if let Some(name) = distinct.first() {
        findings.pass("config-consistency-model", dir, *name);
    }
    let with_summary = curve
        .points
        .iter()
        .filter(|loaded| loaded.summary.is_some());
    let datasets: BTreeSet<&String> = with_summary.map(|loaded| &loaded.point.dataset).collect();
    if datasets.len() > 1 {
        findings.error(
            "config-consistency-dataset",
            dir,
            format!("found {datasets:?}, expected one data set"),
        );
    } else if let Some(name) = datasets.first() {
        findings.pass("config-consistency-dataset", dir, *name);
    }
    let patterns = curve.load_patterns();
    if patterns.len() > 1 {
        findings.error(
            "benchmark-type-consistency",
            dir,
            format!("found the load patterns {patterns:?}, expected one"),
        );
    } else if let Some(pattern) = patterns.first() {
        findings.pass("benchmark-type-consistency", dir, *pattern);
    }
}
