//! The submission's folders: results/, docs/, src/, systems, models; the rules of the whole submission. Facts: §5, "Tree".

use std::path::{Path, PathBuf};

use super::loaded::SUMMARY;
use super::power::Computation;
use super::system::{Facts, SYSTEM_DESC, facts};
use super::tree::Tree;
use super::{curve, extra};
use crate::finding::Findings;
use crate::model::power::Power;
use crate::rules::rules;
use crate::value::Value;

const RESULTS: &str = "results";
const POWER: &str = "system_power.json";

pub(super) fn check(given: &Path, findings: &mut Findings) {
    let tree = &Tree::new();
    let root = &root(given, tree, findings);
    findings.pass("path-exists", root, "found the submission");
    for name in [RESULTS, "docs"] {
        let dir = root.join(name);
        if dir.is_dir() {
            findings.pass("required-dir", &dir, "found it");
        } else {
            findings.error(
                "required-dir",
                &dir,
                format!("found no directory {name}/, expected one"),
            );
        }
    }
    let docs = root.join("docs");
    if docs.is_dir() {
        let is_empty = tree.is_empty(&docs, findings);
        extra::documents(&docs, is_empty, findings);
    }
    sources(root, tree, findings);
    let results = &root.join(RESULTS);
    if !results.is_dir() {
        return;
    }
    let systems = tree.folders(results, findings);
    if systems.is_empty() {
        findings.error(
            "system-results-dir",
            results,
            "found no directory, expected one for each system",
        );
        return;
    }
    for system in &systems {
        check_system(root, system, tree, findings);
    }
    for system in &systems {
        for model in tree.folders(system, findings) {
            utilization(&model, tree, findings);
        }
    }
    accuracy_present(results, tree, findings);
}

/// The directory with results/: the one that was given, or the only one below it that has them.
fn root(given: &Path, tree: &Tree, findings: &mut Findings) -> PathBuf {
    let has_results = |dir: &Path| dir.join(RESULTS).is_dir();
    if has_results(given) {
        return given.to_owned();
    }
    let mut below = tree.folders(given, findings);
    below.retain(|dir| has_results(dir));
    match &below[..] {
        [one] => one.clone(),
        _ => given.to_owned(),
    }
}

fn sources(root: &Path, tree: &Tree, findings: &mut Findings) {
    let src = root.join("src");
    if !src.is_dir() {
        findings.error(
            "src-dir",
            &src,
            "found no directory src/, expected one with a directory for each implementation",
        );
        return;
    }
    let implementations = tree.folders(&src, findings);
    if implementations.is_empty() {
        findings.error(
            "src-dir",
            &src,
            "found no directory in src/, expected one for each implementation",
        );
        return;
    }
    findings.pass(
        "src-dir",
        &src,
        format!("found {} implementations", implementations.len()),
    );
    for implementation in implementations {
        let is_readme = |file: &PathBuf| {
            let name = file.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| ossmark_python::lower(name) == "readme.md")
        };
        let readme = tree
            .files(&implementation, findings)
            .into_iter()
            .find(is_readme);
        match readme {
            Some(readme) => findings.pass("src-readme", &readme, "found it"),
            None => findings.error(
                "src-readme",
                &implementation.join("README.md"),
                "found no README.md, expected one that says how to reproduce a point",
            ),
        }
    }
}

fn check_system(root: &Path, system: &Path, tree: &Tree, findings: &mut Findings) {
    let facts = facts(system, tree, findings);
    let power = power(system, &facts, tree, findings);
    let models = tree.folders(system, findings);
    if models.is_empty() {
        findings.error(
            "benchmark-model-dir",
            system,
            "found no directory, expected one for each model",
        );
    }
    for model in models {
        curve::check(
            root,
            &model,
            power.as_ref(),
            facts.division.as_deref(),
            tree,
            findings,
        );
    }
}

/// Of the system, where it may be normalised with.
fn power(
    system: &Path,
    facts: &Facts,
    tree: &Tree,
    findings: &mut Findings,
) -> Option<Computation> {
    let file = &system.join(POWER);
    if !file.is_file() {
        match facts.division.as_deref() {
            Some(division @ ("rdi" | "serviced")) => {
                findings.pass(
                    "power-descriptor",
                    file,
                    format!("not needed in the division {division}"),
                );
            }
            _ => findings.error(
                "power-descriptor",
                file,
                "found no system_power.json, expected one for each system",
            ),
        }
        return None;
    }
    let content = tree.json(file, findings);
    let value = Tree::judged("power-descriptor", file, content, findings)?;
    let power = match Power::read(&value) {
        Ok(power) => power,
        Err(problems) => {
            findings.problems("power-descriptor", file, problems);
            return None;
        }
    };
    compare(&power, facts, file, findings);
    let mut computation = Computation::of(&power, &facts.cores);
    for problem in &computation.problems {
        findings.error("power-descriptor", file, problem);
    }
    for warning in &computation.warnings {
        findings.warning("power-descriptor", file, warning);
    }
    let kw = computation.kw?;
    for set in &mut computation.sets {
        set.accelerators = set
            .accelerators
            .or_else(|| facts.accelerators.get(&set.ensemble).copied());
    }
    if !computation.estimated.is_empty() {
        findings.warning(
            "power-estimated",
            file,
            format!(
                "found figures that MLCommons estimates: {}",
                computation.estimated.join("; ")
            ),
        );
    }
    findings.pass("power-descriptor", file, format!("{kw} kW"));
    Some(computation)
}

/// With the system's description.
fn compare(power: &Power, facts: &Facts, file: &Path, findings: &mut Findings) {
    let overhead = match power.cooling {
        "liquid" => rules().power.overhead_liquid.value,
        _ => rules().power.overhead_air.value,
    };
    if facts
        .overhead
        .is_some_and(|described| described != overhead)
    {
        findings.error(
            "power-descriptor",
            file,
            format!(
                "found cooling {:?}, expected what {SYSTEM_DESC} says of it",
                power.cooling
            ),
        );
    }
    let unknown: Vec<String> = power
        .sets
        .iter()
        .filter(|set| !facts.ensembles.contains(&set.ensemble))
        .map(|set| set.ensemble.to_string())
        .collect();
    if !facts.ensembles.is_empty() && !unknown.is_empty() {
        findings.warning(
            "power-descriptor",
            file,
            format!(
                "found system_node_ensemble_id {}, which {SYSTEM_DESC} does not have",
                unknown.join(", ")
            ),
        );
    }
}

/// `tps_utilization` of a curve's points against their share of its highest throughput.
fn utilization(model: &Path, tree: &Tree, findings: &mut Findings) {
    let mut points = Vec::new();
    for dir in tree.points(model, findings) {
        let file = dir.join(SYSTEM_DESC);
        let tps = tree
            .raw(&dir.join(SUMMARY), findings)
            .and_then(|value| raw_tps(&value));
        let stated = tree.raw(&file, findings);
        let stated = stated.and_then(|value| value.map()?.get("tps_utilization")?.plain_number());
        if let Some((tps, stated)) = tps.zip(stated) {
            points.push((file, tps, stated));
        }
    }
    // As Python's max(): what is not above the first is not taken, and nothing is above NaN.
    let Some(highest) = points
        .iter()
        .map(|(_, tps, _)| *tps)
        .reduce(|a, b| if b > a { b } else { a })
    else {
        return;
    };
    if highest <= 0.0 {
        return;
    }
    for (file, tps, stated) in points {
        let expected = tps / highest;
        if (stated - expected).abs() <= rules().metrics.utilization_tolerance.value {
            findings.pass(
                "tps-utilization",
                &file,
                format!("{stated}, computed {expected:.4}"),
            );
        } else {
            findings.error("tps-utilization", &file, format!("found tps_utilization {stated}, expected {expected:.4}: {tps:.4} tokens/s of at most {highest:.4}"));
        }
    }
}

fn raw_tps(summary: &Value) -> Option<f64> {
    const NS_PER_S: f64 = 1e9;
    let map = summary.map()?;
    let duration = map.get("duration_ns")?.plain_number()?;
    let total = map
        .get("output_sequence_lengths")?
        .map()?
        .get("total")?
        .plain_number()?;
    // NaN is not "at most 0" for Python.
    (duration > 0.0 || duration.is_nan()).then(|| total / (duration / NS_PER_S))
}

fn accuracy_present(results: &Path, tree: &Tree, findings: &mut Findings) {
    const FILE: &str = "accuracy_results.json";
    let files = tree.named(results, &[FILE, "results.json"], findings);
    let is_there = files.iter().any(|file| {
        if file.ends_with(FILE) {
            return true;
        }
        let scores = tree.raw(file, findings);
        let scores = scores
            .as_ref()
            .and_then(|value| value.map()?.get("accuracy_scores"));
        scores.is_some_and(|s| matches!(s, Value::Map(_) | Value::List(_)) && s.is_truthy())
    });
    if is_there {
        findings.pass("accuracy-present", results, "found accuracy results");
    } else {
        findings.error(
            "accuracy-present",
            results,
            "found no accuracy results, expected accuracy_results.json at the points that need it",
        );
    }
}
