//! Speculative decoding: the drafter is on the benchmark's list, and has been for two cohorts. Facts: §3.

use super::loaded::Curve;
use crate::finding::Findings;
use crate::rules::{Drafter, rules};
use crate::value::{Map, Value};

/// Year, month and index; two of them a month.
type Cohort = (i128, i128, i128);

fn cohort(text: &str) -> Option<Cohort> {
    let mut parts = ossmark_python::strip(text).split('-');
    let (year, month, index) = (parts.next()?, parts.next()?, parts.next()?);
    let number = |text: &str, length: usize| {
        let is_number = text.chars().count() == length
            && text.chars().all(|c| ossmark_python::digit(c).is_some());
        is_number.then(|| crate::python::int_of_text(text))?
    };
    let (year, month) = (number(year, 4)?, number(month, 2)?);
    let index = match index {
        "C0" => 0,
        "C1" => 1,
        _ => return None,
    };
    let is_good = parts.next().is_none() && (1..=12).contains(&month);
    is_good.then_some((year, month, index))
}

/// One month later: two cohorts.
fn earliest(approved: Cohort) -> Cohort {
    match approved {
        (year, 12, index) => (year + 1, 1, index),
        (year, month, index) => (year, month + 1, index),
    }
}

fn is(drafter: &Drafter, declared: &Map) -> bool {
    let checksum = declared.get("weight_checksum").and_then(Value::text);
    checksum == Some(drafter.weight_checksum.as_str())
}

pub(super) fn check(curve: &Curve, findings: &mut Findings) {
    let mut named = curve
        .points
        .iter()
        .filter_map(|p| p.point.model_name.as_deref());
    let benchmark = named.find(|name| !name.is_empty()).unwrap_or(&curve.model);
    let approved: Vec<&Drafter> = rules()
        .drafter
        .iter()
        .filter(|drafter| drafter.benchmark == benchmark)
        .collect();
    for loaded in &curve.points {
        let (point, yaml) = (&loaded.point, loaded.yaml.as_path());
        let Some(declared) = point.drafter.as_ref().filter(|map| !map.is_empty()) else {
            continue;
        };
        let Some(drafter) = approved.iter().find(|drafter| is(drafter, declared)) else {
            let known: Vec<&str> = approved
                .iter()
                .map(|d| d.weight_checksum.as_str())
                .collect();
            findings.error("approved-drafter", yaml, format!("found a drafter that is not on the list of {benchmark:?}, expected weight_checksum to be one of {known:?}"));
            continue;
        };
        findings.pass("approved-drafter", yaml, &drafter.model_id);
        let target = cohort(point.target_cohort.as_deref().unwrap_or_default());
        let earliest = cohort(&drafter.approved).map(earliest);
        match target.zip(earliest) {
            None => findings.warning("drafter-approval-lead-time", yaml, "found no readable target_cohort, expected one two cohorts after the drafter's approval"),
            Some((target, earliest)) if target < earliest => findings.error("drafter-approval-lead-time", yaml, format!("found a drafter of {} for {target:?}, expected a target_cohort from {earliest:?} on", drafter.approved)),
            Some(_) => findings.pass("drafter-approval-lead-time", yaml, &drafter.approved),
        }
    }
}
