//! Which regions have a point, and which of the accuracy runs belongs to which. Facts: §2.

use std::collections::{BTreeMap, BTreeSet};

use super::loaded::Curve;
use super::offline;
use crate::finding::Findings;
use crate::model::point::Point;
use crate::model::system::ULTRA_LOW;
use crate::regions::{Bounds, Regions};

/// What needs an accuracy run each.
pub(super) const BANDS: [&str; 4] = [
    "ultra_low_concurrency",
    "low_concurrency",
    "med_concurrency",
    "high_concurrency",
];

pub(super) fn check(curve: &Curve, findings: &mut Findings) {
    let dir = curve.dir.as_path();
    let all = curve.concurrencies();
    let ultra_low = curve.regions.map_or(
        Bounds {
            first: 1,
            last: ULTRA_LOW,
        },
        |r| r.ultra_low,
    );
    if all.iter().any(|c| ultra_low.holds(*c)) {
        findings.pass("ultra-low-concurrency-coverage", dir, "covered");
    } else {
        findings.error(
            "ultra-low-concurrency-coverage",
            dir,
            format!("found no point at a concurrency of {ultra_low}, expected one"),
        );
    }
    let Some(regions) = &curve.regions else {
        return;
    };
    let covered: BTreeSet<&str> = all.iter().filter_map(|c| regions.covered_by(*c)).collect();
    for (name, bounds) in [
        ("low_concurrency", regions.low_concurrency),
        ("med_concurrency", regions.med_concurrency),
        ("high_concurrency", regions.high_concurrency),
    ] {
        let rule = match name {
            "low_concurrency" => rule("low-concurrency-coverage"),
            "med_concurrency" => rule("med-concurrency-coverage"),
            _ => rule("high-concurrency-coverage"),
        };
        if covered.contains(name) {
            findings.pass(rule, dir, "covered");
        } else {
            findings.error(
                rule,
                dir,
                format!("found no point at a concurrency of {bounds}, expected one"),
            );
        }
    }
    if !all.is_empty() {
        accuracy(curve, regions, findings);
    }
}

/// A rule's name, where it does not stand at its finding.
fn rule(name: &'static str) -> &'static str {
    name
}

/// A point with an accuracy run.
pub(super) struct Candidate {
    pub(super) concurrency: i128,
    pub(super) bands: Vec<&'static str>,
    is_elected: bool,
}

/// Points whose accuracy run may fill a band; an elected one comes last, because it is the Offline result anyhow.
pub(super) fn candidates(curve: &Curve, regions: &Regions) -> Vec<Candidate> {
    let at = |is: fn(&Point) -> bool| -> BTreeSet<i128> {
        let points = curve.points.iter().filter(|p| is(&p.point));
        points.map(|p| p.point.concurrency).collect()
    };
    let (dedicated, elected) = (at(Point::is_dedicated), at(Point::is_elected));
    let all: BTreeSet<i128> = curve.concurrencies().into_iter().collect();
    let has_run = |c: &i128| {
        curve
            .accuracy_at(*c)
            .is_some_and(|accuracy| accuracy.is_a_run())
    };
    let mut candidates: Vec<Candidate> = all
        .into_iter()
        .filter(|c| has_run(c) && !dedicated.contains(c))
        .map(|concurrency| Candidate {
            concurrency,
            bands: bands(concurrency, regions),
            is_elected: elected.contains(&concurrency),
        })
        .collect();
    candidates.sort_by_key(|candidate| candidate.is_elected);
    candidates
}

/// Ultra Low reaches into Low and Medium, unless C_min is declared.
fn bands(concurrency: i128, regions: &Regions) -> Vec<&'static str> {
    let ultra_low = regions.ultra_low.holds(concurrency).then_some(BANDS[0]);
    let region = regions
        .covered_by(concurrency)
        .filter(|name| *name != "low_latency");
    ultra_low.into_iter().chain(region).collect()
}

/// The concurrency that fills each band: as many bands as can be, each by another point.
pub(super) fn matched(candidates: &[Candidate]) -> BTreeMap<&'static str, i128> {
    fn place(
        at: usize,
        candidates: &[Candidate],
        seen: &mut BTreeSet<&'static str>,
        owners: &mut BTreeMap<&'static str, usize>,
    ) -> bool {
        for band in &candidates[at].bands {
            if !seen.insert(band) {
                continue;
            }
            let is_free = match owners.get(band).copied() {
                None => true,
                Some(owner) => place(owner, candidates, seen, owners),
            };
            if is_free {
                owners.insert(band, at);
                return true;
            }
        }
        false
    }
    let mut owners = BTreeMap::new();
    for at in 0..candidates.len() {
        place(at, candidates, &mut BTreeSet::new(), &mut owners);
    }
    owners
        .into_iter()
        .map(|(band, at)| (band, candidates[at].concurrency))
        .collect()
}

fn accuracy(curve: &Curve, regions: &Regions, findings: &mut Findings) {
    const RULE: &str = "accuracy-coverage";
    let dir = curve.dir.as_path();
    let candidates = candidates(curve, regions);
    let owners = matched(&candidates);
    let missing: Vec<&str> = BANDS
        .into_iter()
        .filter(|band| !owners.contains_key(band))
        .collect();
    if !missing.is_empty() {
        findings.error(
            RULE,
            dir,
            format!(
                "found no accuracy run for {}, expected one each",
                missing.join(", ")
            ),
        );
    }
    let filled: BTreeSet<i128> = owners.into_values().collect();
    let extra: Vec<String> = candidates
        .iter()
        .filter(|c| !filled.contains(&c.concurrency) && !c.is_elected)
        .map(|c| format!("r{}", c.concurrency))
        .collect();
    if !extra.is_empty() {
        findings.error(
            RULE,
            dir,
            format!(
                "found accuracy runs at {}, which no region asks for, expected one for each region",
                extra.join(", ")
            ),
        );
    }
    if missing.is_empty() && extra.is_empty() {
        findings.pass(RULE, dir, "one for each region");
    }
    for offline in offline::declared(curve) {
        let concurrency = offline.point.concurrency;
        if curve
            .accuracy_at(concurrency)
            .is_some_and(|accuracy| accuracy.is_a_run())
        {
            findings.pass(
                RULE,
                dir,
                format!("the Offline point at {concurrency} has one"),
            );
        } else {
            findings.error(
                RULE,
                dir,
                format!(
                    "found no accuracy run at the Offline point at {concurrency}, expected one"
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who came first gives way where that fills one band more.
    #[test]
    fn as_many_bands_are_filled_as_can_be() {
        let candidate = |concurrency, region| Candidate {
            concurrency,
            bands: vec![BANDS[0], region],
            is_elected: false,
        };
        let owners = matched(&[
            candidate(4, BANDS[1]),
            candidate(16, BANDS[2]),
            candidate(17, BANDS[2]),
        ]);
        assert_eq!(owners.len(), 3, "{owners:?}");
        assert_eq!(owners[BANDS[1]], 4);
    }
}
