//! The targets of agentic benchmarks: each point's own answers, the mean of SWE-bench over the regions, tokens a turn.

use std::collections::BTreeMap;

use super::coverage::{BANDS, candidates, matched};
use super::loaded::Curve;
use crate::finding::Findings;
use crate::model::accuracy::Entry;
use crate::rules::AgenticTarget;

const SWE_BENCH: &str = "swe_bench";

pub(super) fn check(curve: &Curve, targets: &AgenticTarget, findings: &mut Findings) {
    inline(curve, targets, findings);
    swe_bench(curve, targets, findings);
    tokens(curve, targets, findings);
}

/// In per cent; a score that is no fraction is refused.
fn score(
    entry: &Entry,
    at: i128,
    rule: &'static str,
    curve: &Curve,
    findings: &mut Findings,
) -> Option<f64> {
    let first = entry.metrics.first().map(|(_, value)| *value);
    let value = entry.metric("score").or(first)?;
    if !(0.0..=1.0).contains(&value) {
        findings.error(
            rule,
            &curve.dir,
            format!(
                "r{at}: found {value} for {:?}, expected a fraction from 0 to 1",
                entry.name
            ),
        );
        return None;
    }
    Some(value * 100.0)
}

fn inline(curve: &Curve, targets: &AgenticTarget, findings: &mut Findings) {
    const RULE: &str = "agentic-accuracy-inline";
    let mut missing = Vec::new();
    let mut all: Vec<i128> = curve.points.iter().map(|p| p.point.concurrency).collect();
    all.sort_unstable();
    all.dedup();
    for at in all {
        let entry = curve.accuracy_at(at).and_then(|accuracy| accuracy.inline());
        let Some(entry) = entry.filter(|entry| !entry.metrics.is_empty()) else {
            missing.push(format!("r{at}"));
            continue;
        };
        let Some(score) = score(entry, at, RULE, curve, findings) else {
            continue;
        };
        if score < targets.inline {
            findings.error(
                RULE,
                &curve.dir,
                format!(
                    "r{at}: found {score:.2}, expected at least {}",
                    targets.inline
                ),
            );
        } else {
            findings.pass(RULE, &curve.dir, format!("r{at}: {score:.2}"));
        }
    }
    if !missing.is_empty() {
        findings.error(
            "agentic-accuracy-inline",
            &curve.dir,
            format!(
                "found no score of the performance run at {}, expected one at each point",
                missing.join(", ")
            ),
        );
    }
}

fn swe_bench(curve: &Curve, targets: &AgenticTarget, findings: &mut Findings) {
    const RULE: &str = "agentic-accuracy-swebench";
    let Some(regions) = &curve.regions else {
        return;
    };
    let candidates = candidates(curve, regions);
    let owners = matched(&candidates);
    let mut bands: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for candidate in &candidates {
        let at = candidate.concurrency;
        let entry = curve
            .accuracy_at(at)
            .and_then(|accuracy| accuracy.entry(SWE_BENCH));
        let score = entry.and_then(|entry| score(entry, at, RULE, curve, findings));
        let owned = owners
            .iter()
            .find(|(_, owner)| **owner == at)
            .map(|(band, _)| *band);
        let band = owned.or_else(|| candidate.bands.first().copied());
        if let Some((score, band)) = score.zip(band) {
            bands.entry(band).or_default().push(score);
        }
    }
    if bands.is_empty() {
        findings.warning(
            RULE,
            &curve.dir,
            "found no score of swe_bench, expected one for each region",
        );
        return;
    }
    for (band, scores) in bands.iter().filter(|(_, scores)| scores.len() > 1) {
        findings.warning(
            RULE,
            &curve.dir,
            format!("found {} scores for {band}, expected one", scores.len()),
        );
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let means: Vec<f64> = bands.values().map(|scores| mean(scores)).collect();
    let (count, score) = (means.len(), mean(&means));
    if score < targets.swe_bench {
        findings.error(
            RULE,
            &curve.dir,
            format!(
                "found a mean of {score:.2} over {count} regions, expected at least {}",
                targets.swe_bench
            ),
        );
    } else if count != BANDS.len() {
        findings.warning(
            RULE,
            &curve.dir,
            format!("found scores for {count} regions, expected {}", BANDS.len()),
        );
    } else {
        findings.pass(
            "agentic-accuracy-swebench",
            &curve.dir,
            format!("a mean of {score:.2}"),
        );
    }
}

fn tokens(curve: &Curve, targets: &AgenticTarget, findings: &mut Findings) {
    const RULE: &str = "agentic-osl-range";
    let [low, high] = targets.tokens_per_turn;
    let mut missing = Vec::new();
    for loaded in &curve.points {
        let Some(summary) = &loaded.summary else {
            continue;
        };
        let at = loaded.point.concurrency;
        match summary.full_run_mean {
            None => missing.push(format!("r{at}")),
            Some(mean) if (low..=high).contains(&mean) => {
                findings.pass(RULE, &curve.dir, format!("r{at}: {mean}"))
            }
            Some(mean) => findings.error(
                RULE,
                &curve.dir,
                format!("r{at}: found {mean} tokens a turn, expected {low} to {high}"),
            ),
        }
    }
    if !missing.is_empty() {
        findings.warning(
            "agentic-osl-range",
            &curve.dir,
            format!(
                "found no output_sequence_lengths_full_run at {}, expected its mean",
                missing.join(", ")
            ),
        );
    }
}
