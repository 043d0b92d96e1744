//! Which nodes and accelerators a point uses, and its throughput for each kilowatt. Facts: §5, "Engagement".

use std::collections::{BTreeMap, BTreeSet};

use super::loaded::{Loaded, SUMMARY};
use super::metrics::is_off;
use super::power::Computation;
use super::system::Parallelism;
use crate::finding::Findings;
use crate::model::point::NodesUsed;
use crate::model::summary::Summary;

pub(super) fn check(
    loaded: &Loaded,
    summary: &Summary,
    power: &Computation,
    parallelism: Option<&Parallelism>,
    findings: &mut Findings,
) {
    let used = match &loaded.point.nodes_used {
        None => Some(BTreeMap::new()),
        Some(declared) => nodes(loaded, declared, power, parallelism, findings),
    };
    maximal(loaded, power, parallelism, findings);
    if let Some(used) = used {
        per_kw(loaded, summary, power, &used, findings);
    }
}

/// Nodes by set; `None` where the declaration is wrong.
fn nodes(
    loaded: &Loaded,
    declared: &[NodesUsed],
    power: &Computation,
    parallelism: Option<&Parallelism>,
    findings: &mut Findings,
) -> Option<BTreeMap<i128, i128>> {
    let mut problems = Vec::new();
    let mut used = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for entry in declared {
        let ensemble = entry.ensemble;
        if !seen.insert(ensemble) {
            problems.push(format!(
                "found node type {ensemble} twice, expected it once"
            ));
            continue;
        }
        let sets: Vec<_> = power
            .sets
            .iter()
            .filter(|set| set.ensemble == ensemble)
            .collect();
        let [set] = sets[..] else {
            problems.push(format!(
                "found node type {ensemble}, which {} sets of system_power.json have, expected one",
                sets.len()
            ));
            continue;
        };
        if !(1..=set.nodes).contains(&entry.nodes) {
            problems.push(format!(
                "found {} nodes of type {ensemble}, expected 1 to {}",
                entry.nodes, set.nodes
            ));
            continue;
        }
        used.insert(set.id, entry.nodes);
    }
    if problems.is_empty() {
        problems.extend(capacity(loaded, &used, power, parallelism, findings));
    }
    if problems.is_empty() {
        findings.pass(
            "nodes-used",
            &loaded.yaml,
            format!("{} node types", used.len()),
        );
        return Some(used);
    }
    findings.error("nodes-used", &loaded.yaml, problems.join("; "));
    None
}

/// The nodes have to hold what the parallelism uses, and no node more.
fn capacity(
    loaded: &Loaded,
    used: &BTreeMap<i128, i128>,
    power: &Computation,
    parallelism: Option<&Parallelism>,
    findings: &mut Findings,
) -> Option<String> {
    let parallelism = parallelism.filter(|parallelism| !parallelism.is_disaggregated)?;
    let sets = power.sets.iter().map(|set| {
        Some((
            used.get(&set.id).copied().unwrap_or(set.nodes),
            set.accelerators?,
        ))
    });
    let sets: Vec<(i128, i128)> = sets.collect::<Option<_>>()?;
    let capacity = sets.iter().fold(0, |sum: i128, (nodes, each)| {
        sum.saturating_add(nodes.saturating_mul(*each))
    });
    let needed = parallelism.accelerators();
    if capacity < needed {
        return Some(format!(
            "found nodes with {capacity} accelerators, expected at least the {needed} that TP, PP, EP and DP use"
        ));
    }
    let is_spare =
        |&(nodes, each): &(i128, i128)| nodes > 0 && capacity.saturating_sub(each) >= needed;
    if sets.iter().any(is_spare) {
        findings.warning("nodes-used", &loaded.yaml, format!("found more nodes than the {needed} accelerators need; each counts against this point's figure"));
    }
    None
}

/// As many replicas as there is room for, or a reason why not.
fn maximal(
    loaded: &Loaded,
    power: &Computation,
    parallelism: Option<&Parallelism>,
    findings: &mut Findings,
) {
    const RULE: &str = "maximal-engagement";
    let yaml = loaded.yaml.as_path();
    let Some(parallelism) = parallelism else {
        findings.warning(
            RULE,
            yaml,
            "found no parallelism in system_desc.json, so that replicas cannot be counted",
        );
        return;
    };
    if parallelism.is_disaggregated {
        findings.warning(
            RULE,
            yaml,
            "found disaggregated serving, of which replicas cannot be counted; reviewers will ask",
        );
        return;
    }
    let accelerators = power
        .sets
        .iter()
        .map(|set| Some(set.nodes.saturating_mul(set.accelerators?)));
    let Some(accelerators) = accelerators.sum::<Option<i128>>() else {
        findings.warning(
            RULE,
            yaml,
            "found node sets whose accelerators are not known, so that replicas cannot be counted",
        );
        return;
    };
    let (replica, found) = (parallelism.replica, parallelism.data_parallel);
    if replica < 1 || found < 1 {
        findings.error(
            RULE,
            yaml,
            format!(
                "found {replica} accelerators a replica and DP {found}, expected at least 1 each"
            ),
        );
        return;
    }
    let most = accelerators.div_euclid(replica);
    let formula = format!("{accelerators} accelerators for replicas of {replica} (TP x PP x EP)");
    match &loaded.point.shortfall {
        _ if found > most => findings.error(
            RULE,
            yaml,
            format!("found DP {found}, expected at most {most}: {formula}"),
        ),
        Some(_) if found == most => findings.warning(
            RULE,
            yaml,
            format!("found a dp_shortfall with DP {found}, which is all there is room for"),
        ),
        None if found == most => findings.pass(RULE, yaml, format!("DP {found}: {formula}")),
        None => findings.error(
            RULE,
            yaml,
            format!("found DP {found} and no dp_shortfall, expected {most}: {formula}"),
        ),
        Some(stated) if stated.actual != found || stated.formula != most => findings.error(
            RULE,
            yaml,
            format!(
                "found a dp_shortfall of {} for {}, expected {found} for {most}: {formula}",
                stated.actual, stated.formula
            ),
        ),
        Some(_) => findings.warning(
            RULE,
            yaml,
            format!("found DP {found} of {most}, declared as a shortfall; reviewers may object"),
        ),
    }
}

fn per_kw(
    loaded: &Loaded,
    summary: &Summary,
    power: &Computation,
    used: &BTreeMap<i128, i128>,
    findings: &mut Findings,
) {
    let file = loaded.dir.join(SUMMARY);
    let Some(kw) = power.point_kw(used).filter(|kw| *kw > 0.0 || kw.is_nan()) else {
        return;
    };
    let Ok(tps) = summary.system_tps() else {
        return;
    };
    let expected = tps / kw;
    match summary
        .stored
        .tps_per_kw
        .filter(|stored| is_off(*stored, expected))
    {
        Some(stored) => findings.error(
            "metric-consistency-tps-per-kw",
            &file,
            format!(
                "found system_tps_per_kw {stored}, expected {expected}: {tps} tokens/s with {kw} kW"
            ),
        ),
        None => findings.pass(
            "metric-consistency-tps-per-kw",
            &file,
            format!("{expected} tokens/s for each of {kw} kW"),
        ),
    }
}
