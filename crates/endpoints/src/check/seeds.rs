//! The published seed set that a curve binds. Facts: §3, "Seeds".

use std::collections::BTreeSet;

use super::loaded::Curve;
use crate::finding::Findings;
use crate::rules::rules;

pub(super) fn check(curve: &Curve, findings: &mut Findings) {
    let named = curve
        .points
        .iter()
        .filter_map(|loaded| loaded.point.seed_set.as_ref());
    let named: BTreeSet<&String> = named.collect();
    if named.len() > 1 {
        findings.error(
            "seed-set-consistency",
            &curve.dir,
            format!("found the seed sets {named:?}, expected one"),
        );
    } else if let Some(name) = named.first() {
        findings.pass("seed-set-consistency", &curve.dir, *name);
    }
    let published = &rules().seeds.set;
    for loaded in &curve.points {
        let (point, yaml) = (&loaded.point, loaded.yaml.as_path());
        let Some(name) = &point.seed_set else {
            continue;
        };
        let Some(set) = published.get(name) else {
            let known: Vec<&String> = published.keys().collect();
            findings.error(
                "seed-set-membership",
                yaml,
                format!("found the seed set {name:?}, expected one of {known:?}"),
            );
            continue;
        };
        findings.pass("seed-set-membership", yaml, name);
        let seeds = [
            (
                "scheduler_rng_seed",
                point.settings.scheduler_seed,
                set.scheduler,
            ),
            (
                "sample_index_rng_seed",
                point.settings.sample_index_seed,
                set.sample_index,
            ),
            ("model_seed", point.settings.model_seed, set.model),
        ];
        let wrong: Vec<String> = seeds
            .into_iter()
            .filter(|(_, found, expected)| *found != Some(i128::from(*expected)))
            .map(|(name, found, expected)| match found {
                Some(found) => format!("{name} {found} instead of {expected}"),
                None => format!("no {name} instead of {expected}"),
            })
            .collect();
        if wrong.is_empty() {
            findings.pass("seed-runtime-match", yaml, name);
        } else {
            findings.error(
                "seed-runtime-match",
                yaml,
                format!(
                    "found {}, expected those of seed set {name}",
                    wrong.join(", ")
                ),
            );
        }
        if point.settings.has_old_names {
            findings.warning("seed-runtime-match", yaml, "found the names of v0.7, expected scheduler_rng_seed, sample_index_rng_seed and model_seed");
        }
        let Some(cohort) = &point.target_cohort else {
            continue;
        };
        if set.cohorts.contains(cohort) {
            findings.pass("seed-set-adoption", yaml, cohort);
        } else {
            findings.error(
                "seed-set-adoption",
                yaml,
                format!(
                    "found the cohort {cohort}, expected one of {} for seed set {name}",
                    set.cohorts.join(", ")
                ),
            );
        }
    }
}
