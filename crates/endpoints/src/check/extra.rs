//! What MLCommons' checker lets through although the rules, or plain arithmetic, forbid it. Facts: §6, "Laxer than the rules".

use std::collections::BTreeSet;
use std::path::Path;

use super::loaded::{Curve, Loaded, SUMMARY};
use crate::finding::Findings;
use crate::model::accuracy::Accuracy;
use crate::model::summary::Summary;
use crate::rules::rules;
use crate::value::Value;

const OFFICIAL: &str = "windowable";

pub(super) fn check(curve: &Curve, division: Option<&str>, findings: &mut Findings) {
    for loaded in &curve.points {
        disclosed(loaded, curve.c_max, division, findings);
        window(loaded, findings);
        if let Some(summary) = &loaded.summary {
            summary_of(loaded, summary, findings);
        }
    }
    cohorts(curve, findings);
    drafters(curve, findings);
    for (at, accuracy) in &curve.accuracy {
        ungated(curve, *at, accuracy, findings);
    }
}

/// An empty docs/ discloses nothing.
pub(super) fn documents(docs: &Path, is_empty: bool, findings: &mut Findings) {
    if is_empty {
        findings.error(
            "docs-empty",
            docs,
            "found no file in docs/, expected the disclosures",
        );
    }
}

/// What two files say of one thing.
fn disclosed(
    loaded: &Loaded,
    c_max: Option<i128>,
    division: Option<&str>,
    findings: &mut Findings,
) {
    let (point, yaml) = (&loaded.point, loaded.yaml.as_path());
    if let Some((stated, described)) = point.c_max.zip(c_max)
        && stated != described
    {
        findings.error("point-c-max-differs", yaml, format!("found max_supported_concurrency {stated}, expected {described} as in system_desc.json"));
    }
    let stated = point
        .division
        .as_deref()
        .map(|text| ossmark_python::lower(ossmark_python::strip(text)));
    if let Some((stated, described)) = stated.as_deref().zip(division)
        && !stated.is_empty()
        && stated != described
    {
        findings.error(
            "point-division-differs",
            yaml,
            format!("found the division {stated:?}, expected {described:?} as in system_desc.json"),
        );
    }
}

/// A window that counts is one that the detector called steady, of whole super-passes.
fn window(loaded: &Loaded, findings: &mut Findings) {
    let Some(block) = &loaded.point.steady_state else {
        return;
    };
    if block.status.as_deref() != Some(OFFICIAL) {
        return;
    }
    if let Some(verdict @ ("anomaly" | "not found")) = block.verdict.as_deref() {
        findings.error(
            "steady-state-verdict",
            &loaded.yaml,
            format!("found {OFFICIAL} with the verdict {verdict:?}, expected STEADY STATE"),
        );
    }
    let window = &block.window;
    if let (Some(passes), Some(size), Some(samples)) =
        (window.super_passes(), window.pass_size, window.samples)
        && passes.saturating_mul(size) != samples
    {
        findings.error(
            "steady-state-window",
            &loaded.yaml,
            format!(
                "found {samples} samples in {passes} super-passes of {size}, expected {}",
                passes.saturating_mul(size)
            ),
        );
    }
}

fn summary_of(loaded: &Loaded, summary: &Summary, findings: &mut Findings) {
    let file = &loaded.dir.join(SUMMARY);
    let point = &loaded.point;
    if let Some(pass) = rules().datasets.get(&point.dataset)
        && summary.issued % pass.value != 0
    {
        findings.error(
            "point-passes-not-whole",
            file,
            format!(
                "found {} queries, expected whole passes over the {} of the data set",
                summary.issued, pass.value
            ),
        );
    }
    if summary.failed > 0 {
        findings.error("point-failed-requests", file, format!("found {} failed requests among {} completed, expected none: their answers are not counted, their time is", summary.failed, summary.completed));
    }
    if !summary.is_whole {
        findings.error(
            "point-run-not-complete",
            file,
            "found a run that was interrupted or is not complete, expected a whole one",
        );
    }
    for (name, statistics) in [
        ("tpot", &summary.tpot),
        ("ttft", &summary.ttft),
        ("latency", &summary.latency),
    ] {
        if let Some(least) = statistics.least.filter(|least| *least < 0.0) {
            findings.warning("point-negative-time", file, format!("found a {name} of {least} ns, expected none below 0: the client's time stamps are not in order"));
        }
    }
    concurrency(loaded, summary, file, findings);
}

fn concurrency(loaded: &Loaded, summary: &Summary, file: &Path, findings: &mut Findings) {
    if loaded.point.is_dedicated() || summary.latency.total <= 0.0 || summary.duration_ns <= 0.0 {
        return;
    }
    let mean = summary.latency.total / summary.duration_ns;
    held(Some(loaded.point.concurrency), mean, file, findings);
}

/// All requests' time over the duration is how many were under way: a mean that is far from the concurrency was never held.
pub(crate) fn held(concurrency: Option<i128>, mean: f64, file: &Path, findings: &mut Findings) {
    const LEAST_SHARE: f64 = 0.5;
    // A tick of the client's clock, and percentiles that were rounded.
    const MOST_SHARE: f64 = 1.01;
    let Some(concurrency) = concurrency else {
        return;
    };
    let expected = concurrency as f64;
    if mean < LEAST_SHARE * expected {
        findings.error(
            "point-concurrency-not-held",
            file,
            format!("found {mean:.2} requests under way on average, expected nearly {expected}"),
        );
    } else if mean > MOST_SHARE * expected {
        findings.error(
            "point-concurrency-not-held",
            file,
            format!("found {mean:.2} requests under way on average, expected at most {expected}"),
        );
    }
}

fn cohorts(curve: &Curve, findings: &mut Findings) {
    let named = curve
        .points
        .iter()
        .filter_map(|p| p.point.target_cohort.as_ref());
    let named: BTreeSet<&String> = named.collect();
    if named.len() > 1 {
        findings.error(
            "curve-cohorts-differ",
            &curve.dir,
            format!("found the cohorts {named:?}, expected one for the curve"),
        );
    }
}

/// It may be off at some points; where it is on, it is the same.
fn drafters(curve: &Curve, findings: &mut Findings) {
    let checksum = |loaded: &Loaded| -> Option<String> {
        let declared = loaded.point.drafter.as_ref()?;
        let value = declared
            .get("weight_checksum")
            .or_else(|| declared.get("target_checksum"));
        value.map(Value::shown)
    };
    let named: BTreeSet<String> = curve.points.iter().filter_map(checksum).collect();
    if named.len() > 1 {
        findings.error(
            "curve-drafters-differ",
            &curve.dir,
            format!("found {} drafters, expected one for the curve", named.len()),
        );
    }
}

/// Scores that no gate looks at pass every gate.
fn ungated(curve: &Curve, at: i128, accuracy: &Accuracy, findings: &mut Findings) {
    let Some(target) = rules().accuracy_of(&curve.model) else {
        return;
    };
    let inline = accuracy.inline().map(|entry| &entry.name);
    for entry in accuracy
        .entries
        .iter()
        .filter(|entry| Some(&entry.name) != inline)
    {
        let name = &entry.name;
        let metrics: Vec<&String> = target.metric.keys().collect();
        let is_gated = entry.metrics.iter().any(|(metric, value)| {
            let metric = ossmark_python::lower(metric);
            value.is_finite()
                && (metrics.contains(&&metric) || metric == "score" && metrics.len() == 1)
        });
        if !is_gated {
            let unusable = entry.unusable.join(", ");
            findings.error("accuracy-not-gated", &curve.dir, format!("r{at}: found no finite number for {metrics:?} of {name:?} ({unusable}), expected one: nothing is held against the target"));
        }
        if entry.is_incomplete {
            findings.error(
                "accuracy-not-complete",
                &curve.dir,
                format!("r{at}: found {name:?} not complete, expected every sample scored"),
            );
        }
    }
}
