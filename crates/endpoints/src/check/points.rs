//! The rules of one point: its files, its place among the regions, its summary and its nodes.

use std::path::Path;

use super::engagement;
use super::loaded::{Curve, Loaded, SUMMARY};
use super::metrics;
use super::power::Computation;
use super::system::{Parallelism, SYSTEM_DESC};
use super::tree::{Content, Tree};
use crate::finding::Findings;
use crate::model::summary::Summary;
use crate::regions::Regions;
use crate::value::Value;

/// `config.yaml` has to be there and a mapping; nothing more is asked of it.
pub(super) fn config(dir: &Path, tree: &Tree, findings: &mut Findings) {
    let file = &dir.join("config.yaml");
    if !file.is_file() {
        findings.error(
            "config-file-present",
            file,
            "found no config.yaml, expected the one that the client ran with",
        );
        return;
    }
    match tree.yaml(file, findings) {
        Content::Value(Value::Map(_)) => {}
        Content::Value(other) => findings.error(
            "config-file-present",
            file,
            format!("found {}, expected a mapping", other.shown()),
        ),
        Content::Broken(why) => findings.error("config-file-present", file, why),
        Content::NotUtf8 => {
            findings.error("config-file-present", file, "found bytes that are no UTF-8")
        }
        Content::Crash(why) => findings.crash(file, why),
    }
}

pub(super) fn check(
    curve: &mut Curve,
    power: Option<&Computation>,
    tree: &Tree,
    findings: &mut Findings,
) {
    let regions = curve.regions;
    for loaded in &mut curve.points {
        if let Some(regions) = &regions {
            placement(loaded, regions, findings);
        }
        loaded.summary = summary(&loaded.dir, tree, findings);
        let Some(summary) = &loaded.summary else {
            continue;
        };
        let file = &loaded.dir.join(SUMMARY);
        metrics::check(&loaded.point, summary, regions.as_ref(), file, findings);
        if let Some(power) = power {
            let description = tree.raw(&loaded.dir.join(SYSTEM_DESC), findings);
            let parallelism = description.as_ref().and_then(Parallelism::of);
            engagement::check(loaded, summary, power, parallelism.as_ref(), findings);
        }
    }
    for unparsed in &curve.unparsed {
        summary(&unparsed.dir, tree, findings);
        findings.warning(
            "point-rules-skipped",
            &unparsed.yaml,
            "found no valid point.yaml, so that the rules that need it were not looked at",
        );
    }
}

fn summary(dir: &Path, tree: &Tree, findings: &mut Findings) -> Option<Summary> {
    let file = &dir.join(SUMMARY);
    if !file.exists() {
        findings.error(
            "result-summary-present",
            file,
            "found no result_summary.json, expected the one that the client wrote",
        );
        return None;
    }
    let content = tree.json(file, findings);
    let value = Tree::judged("result-file-valid", file, content, findings)?;
    match Summary::read(&value) {
        Ok(summary) => Some(summary),
        Err(problems) => {
            findings.problems("result-file-valid", file, problems);
            None
        }
    }
}

/// A dedicated Offline run may lie anywhere: its concurrency is the number of the data set's rows.
fn placement(loaded: &Loaded, regions: &Regions, findings: &mut Findings) {
    let (point, yaml) = (&loaded.point, loaded.yaml.as_path());
    let region = regions.of(point.concurrency);
    match region {
        _ if point.is_dedicated() => findings.pass(
            "concurrency-in-range",
            yaml,
            "a dedicated Offline run may have any",
        ),
        Some(region) => findings.pass("concurrency-in-range", yaml, region),
        None => findings.error(
            "concurrency-in-range",
            yaml,
            format!(
                "found concurrency {}, expected 1 to {}, the end of the margin",
                point.concurrency, regions.margin.last
            ),
        ),
    }
    let declared = point
        .region
        .as_deref()
        .filter(|declared| *declared != "submitters_choice");
    if let Some((declared, region)) = declared.zip(region) {
        if declared == region {
            findings.pass("region-placement", yaml, region);
        } else {
            findings.warning(
                "region-placement",
                yaml,
                format!(
                    "found region {declared:?}, expected {region} for concurrency {}",
                    point.concurrency
                ),
            );
        }
    }
}
