//! One point's accuracy against the model's target: one score of all data sets together. Facts: §5, "accuracy_results.json".

use std::path::Path;

use crate::finding::Findings;
use crate::model::accuracy::Accuracy;
use crate::rules::AccuracyTarget;

pub(super) fn check(
    concurrency: i128,
    accuracy: &Accuracy,
    target: &AccuracyTarget,
    file: &Path,
    findings: &mut Findings,
) {
    let at = format!("at concurrency {concurrency}");
    if let Some(why) = accuracy.entries.iter().find_map(|entry| entry.raises) {
        findings.crash(
            file,
            format!("{at}: found a number of samples that is infinite ({why:?})"),
        );
        return;
    }
    let counts: Vec<i128> = accuracy
        .entries
        .iter()
        .filter_map(|entry| entry.issued)
        .collect();
    if !counts.is_empty() {
        let samples = counts
            .iter()
            .fold(0, |sum: i128, count| sum.saturating_add(*count));
        if samples < target.samples {
            findings.error(
                "accuracy-sample-count",
                file,
                format!(
                    "{at}: found {samples} samples, expected at least {}",
                    target.samples
                ),
            );
        } else {
            findings.pass(
                "accuracy-sample-count",
                file,
                format!("{at}: {samples} samples"),
            );
        }
    }
    let mut scores = scores(accuracy);
    if let [(name, _)] = &mut scores[..]
        && *name == "score"
        && target.metric.len() == 1
        && let Some(only) = target.metric.keys().next()
    {
        findings.warning(
            "accuracy-gate",
            file,
            format!("{at}: found scores without the metric's name, taken for {only}"),
        );
        *name = only;
    }
    for (metric, range) in &target.metric {
        let named = |(name, _): &&(&str, f64)| ossmark_python::lower(name) == *metric;
        let Some((_, score)) = scores.iter().find(named) else {
            continue;
        };
        let (least, mut score) = (range.least(), *score);
        if (0.0..=1.0).contains(&score) && least > 1.0 {
            score *= 100.0;
        }
        if score < least {
            findings.error(
                "accuracy-gate",
                file,
                format!("{at}: found {metric} {score:.4}, expected at least {least:.4}"),
            );
        } else if let Some(most) = range.most().filter(|most| score > *most) {
            findings.error(
                "accuracy-gate",
                file,
                format!("{at}: found {metric} {score:.4}, expected at most {most:.4}"),
            );
        } else {
            findings.pass("accuracy-gate", file, format!("{at}: {metric} {score:.4}"));
        }
    }
}

/// A score, and the unique samples behind it where they are known.
type Weighted = (f64, Option<f64>);

/// Of all data sets, weighed by their unique samples, by metric in order of occurrence.
fn scores(accuracy: &Accuracy) -> Vec<(&str, f64)> {
    let mut metrics: Vec<(&str, Vec<Weighted>)> = Vec::new();
    for entry in &accuracy.entries {
        for (metric, score) in &entry.metrics {
            let pair = (*score, entry.weight);
            match metrics.iter_mut().find(|(known, _)| known == metric) {
                Some((_, pairs)) => pairs.push(pair),
                None => metrics.push((metric, vec![pair])),
            }
        }
    }
    metrics
        .into_iter()
        .map(|(metric, pairs)| (metric, mean(&pairs)))
        .collect()
}

/// Plain where a weight is missing or there is none together.
fn mean(pairs: &[Weighted]) -> f64 {
    let weights: Option<Vec<f64>> = pairs.iter().map(|(_, weight)| *weight).collect();
    if let Some(weights) = weights {
        let total: f64 = weights.iter().sum();
        if total > 0.0 {
            let sum: f64 = pairs
                .iter()
                .zip(&weights)
                .map(|((value, _), weight)| value * weight)
                .sum();
            return sum / total;
        }
    }
    pairs.iter().map(|(value, _)| value).sum::<f64>() / pairs.len() as f64
}
