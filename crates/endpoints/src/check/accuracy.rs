//! Accuracy results: loaded for every point that has them, and held against the model's targets.

use super::agentic;
use super::gate;
use super::loaded::Curve;
use super::tree::{Content, Tree};
use crate::finding::Findings;
use crate::model::accuracy::Accuracy;
use crate::rules::rules;
use crate::value::Value;

const FILE: &str = "accuracy_results.json";
const OLD_FILE: &str = "results.json";
const RULE: &str = "accuracy-valid";

pub(super) fn load(curve: &mut Curve, tree: &Tree, findings: &mut Findings) {
    let valid = curve
        .points
        .iter()
        .map(|p| (p.dir.clone(), p.point.concurrency));
    let others = curve
        .unparsed
        .iter()
        .filter_map(|p| Some((p.dir.clone(), p.concurrency?)));
    let points: Vec<_> = valid.chain(others).collect();
    for (dir, concurrency) in points {
        let file = dir.join(FILE);
        let (file, value) = if file.exists() {
            let content = tree.json(&file, findings);
            let value = Tree::judged("accuracy-valid", &file, content, findings);
            (file, value)
        } else {
            let file = dir.join(OLD_FILE);
            let value = embedded(&file, tree, findings);
            (file, value)
        };
        let Some(value) = value else { continue };
        match Accuracy::read(&value) {
            Err(problems) => findings.problems("accuracy-valid", &file, problems),
            Ok(accuracy) if accuracy.entries.is_empty() => {
                findings.error(
                    RULE,
                    &file,
                    "found no data set, expected one entry for each",
                );
            }
            Ok(accuracy) => {
                curve.accuracy_dir.get_or_insert(dir);
                curve.accuracy.retain(|(known, _)| *known != concurrency);
                curve.accuracy.push((concurrency, accuracy));
            }
        }
    }
}

/// `accuracy_scores` of a results.json that has some.
fn embedded(file: &std::path::Path, tree: &Tree, findings: &mut Findings) -> Option<Value> {
    if !file.exists() {
        return None;
    }
    match tree.json(file, findings) {
        Content::Value(value) => {
            let scores = value.map()?.get("accuracy_scores")?;
            let is_empty = match scores {
                Value::Map(_) | Value::List(_) => !scores.is_truthy(),
                other => other.is_none(),
            };
            (!is_empty).then_some(value)
        }
        Content::Broken(_) => None,
        other @ (Content::NotUtf8 | Content::Crash(_)) => {
            Tree::judged("accuracy-valid", file, other, findings)
        }
    }
}

pub(super) fn check(curve: &Curve, findings: &mut Findings) {
    let agentic = rules()
        .agentic_of(&curve.model)
        .filter(|_| curve.is_agentic());
    if let Some(targets) = agentic {
        agentic::check(curve, targets, findings);
    } else if curve.is_agentic() {
        findings.warning(
            "agentic-accuracy",
            &curve.dir,
            format!(
                "found an agentic curve of {:?}, for which nothing is published",
                curve.model
            ),
        );
    }
    if agentic.is_some() || curve.accuracy.is_empty() {
        return;
    }
    let Some(target) = rules().accuracy_of(&curve.model) else {
        findings.warning(
            "accuracy-gate",
            &curve.dir,
            format!(
                "found the model {:?}, for which there is no target",
                curve.model
            ),
        );
        return;
    };
    let file = curve
        .accuracy_dir
        .as_ref()
        .unwrap_or(&curve.dir)
        .join(OLD_FILE);
    let mut all: Vec<&(i128, Accuracy)> = curve.accuracy.iter().collect();
    all.sort_by_key(|(concurrency, _)| *concurrency);
    for (concurrency, accuracy) in all {
        gate::check(*concurrency, accuracy, target, &file, findings);
    }
}
