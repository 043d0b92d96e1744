//! Provisioned power: Appendix E's arithmetic and what is wrong with a descriptor. Facts: §5, "system_power.json".

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::{defaults, system};
use crate::finding::Findings;
use crate::model::power::{
    COMPONENT_SUM, COMPUTED, Components, NodeSet, PUBLISHED_SYSTEM, Power, ScaleUp, Sourced,
};
use crate::python::round_2;
use crate::rules::rules;
use crate::value::Value;

const W_PER_KW: f64 = 1000.0;

/// A set of nodes' share: P_s and N_s.
#[derive(Debug)]
pub(super) struct SetPower {
    pub(super) id: i128,
    pub(super) ensemble: i128,
    pub(super) nodes: i128,
    pub(super) watts: f64,
    pub(super) accelerators: Option<i128>,
}

#[derive(Debug, Default)]
pub(super) struct Computation {
    major: f64,
    overhead: f64,
    published: f64,
    switches: f64,
    /// Of the whole system.
    pub(super) kw: Option<f64>,
    pub(super) sets: Vec<SetPower>,
    is_declared: bool,
    pub(super) estimated: Vec<String>,
    pub(super) problems: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// What is noted while figures are summed.
#[derive(Default)]
struct Tally {
    estimated: Vec<String>,
    /// Figures that are not there: they reject only what is summed of them.
    gaps: Vec<String>,
    problems: Vec<String>,
}

impl Tally {
    fn watts(&mut self, place: &str, value: Option<&Sourced>, default: Option<f64>) -> Option<f64> {
        match (value, default) {
            (Some(value), _) => {
                let Some(watts) = value.watts else {
                    self.problems.push(format!(
                        "{place}: found picojoules, expected value_w or value_kw"
                    ));
                    return None;
                };
                if let Some(section) = &value.default {
                    self.estimated
                        .push(format!("{place} (default of {section})"));
                }
                Some(watts)
            }
            (None, Some(watts)) => {
                self.estimated
                    .push(format!("{place} (absent: the default of {watts} W)"));
                Some(watts)
            }
            (None, None) => {
                self.gaps.push(format!(
                    "{place}: not found, and there is no default, expected a figure with its source"
                ));
                None
            }
        }
    }
}

/// What a descriptor comes to beside a system's description, in kW.
pub(crate) fn provisioned_kw(power: &Value, description: &Value) -> Result<f64, Vec<String>> {
    let power = Power::read(power).map_err(|problems| {
        let shown = problems
            .into_iter()
            .map(|p| format!("{}: {}", p.field, p.message));
        shown.collect::<Vec<_>>()
    })?;
    let mut findings = Findings::new(Path::new(""));
    let facts = description
        .map()
        .map(|map| system::of(map, Path::new(""), &mut findings));
    let computed = Computation::of(&power, &facts.unwrap_or_default().cores);
    match computed.kw {
        Some(kw) if computed.problems.is_empty() => Ok(kw),
        _ => Err(computed.problems),
    }
}

impl Computation {
    pub(super) fn of(power: &Power, cores: &BTreeMap<i128, i128>) -> Self {
        let overhead = match power.cooling {
            "liquid" => rules().power.overhead_liquid.value,
            _ => rules().power.overhead_air.value,
        };
        let mut out = Self {
            overhead,
            ..Self::default()
        };
        let mut tally = Tally::default();
        let ids: HashSet<i128> = power.sets.iter().map(|set| set.id).collect();
        if ids.len() != power.sets.len() {
            out.problems
                .push("node_sets: found a node_set_id twice, expected each once".into());
        }
        let mut shares: Vec<(f64, f64)> = power
            .sets
            .iter()
            .map(|set| out.set(set, cores, &mut tally))
            .collect();
        let nics = out.fabric(power, &mut tally);
        for (set, share) in power.sets.iter().zip(&mut shares) {
            if carries_nics(power, set) {
                share.0 += set.nodes as f64 * nics;
            }
        }
        out.major = shares.iter().map(|(major, _)| major).sum();
        out.published = shares.iter().map(|(_, published)| published).sum();
        out.sets = power
            .sets
            .iter()
            .zip(&shares)
            .map(|(set, (major, published))| SetPower {
                id: set.id,
                ensemble: set.ensemble,
                nodes: set.nodes,
                watts: (1.0 + overhead) * major + published,
                accelerators: set
                    .components
                    .as_ref()
                    .and_then(|c| Some(c.accelerator.as_ref()?.count)),
            })
            .collect();
        out.problems.append(&mut tally.problems);
        out.total(power, tally);
        out
    }

    fn total_w(&self) -> f64 {
        self.major + self.overhead * self.major + self.published + self.switches
    }

    /// A declared figure governs: what is missing beneath it rejects nothing then.
    fn total(&mut self, power: &Power, mut tally: Tally) {
        let is_whole = tally.gaps.is_empty();
        if let Some(declared) = &power.declared {
            self.is_declared = true;
            match declared.watts {
                None => self.problems.push(
                    "declared_provisioned_power: found picojoules, expected value_w or value_kw"
                        .into(),
                ),
                Some(watts) => {
                    self.kw = Some(round_2(watts / W_PER_KW));
                    if declared.default.is_some() {
                        self.estimated
                            .push("declared_provisioned_power (a default)".into());
                    }
                }
            }
        } else {
            self.problems.append(&mut tally.gaps);
            self.estimated.append(&mut tally.estimated);
            if self.problems.is_empty() {
                self.kw = Some(round_2(self.total_w() / W_PER_KW));
            }
        }
        if self.problems.is_empty() && is_whole {
            self.disagreements(power);
        }
        if !self.problems.is_empty() {
            self.kw = None;
        }
    }

    fn disagreements(&mut self, power: &Power) {
        const OVERHEAD: f64 = 1e-9;
        let limits = &rules().power;
        let ours = [
            self.major,
            self.overhead * self.major,
            self.published,
            self.switches,
            self.total_w(),
        ];
        for ((name, theirs), ours) in COMPUTED.iter().zip(power.computed.watts).zip(ours) {
            let Some(theirs) = theirs else { continue };
            if (theirs - ours).abs() > limits.computed_tolerance_w.value {
                self.problems
                    .push(format!("computed.{name}: found {theirs}, expected {ours}"));
            }
        }
        if let Some(theirs) = power.computed.overhead
            && (theirs - self.overhead).abs() > OVERHEAD
        {
            self.problems.push(format!(
                "computed.overhead_fraction: found {theirs}, expected {} for {} cooling",
                self.overhead, power.cooling
            ));
        }
        if let Some((theirs, ours)) = power.provisioned_kw.zip(self.kw)
            && (theirs - ours).abs() > limits.computed_tolerance_kw.value
        {
            self.problems.push(format!(
                "provisioned_power_kw: found {theirs}, expected {ours}"
            ));
        }
    }

    /// Of one set: what takes the overhead, and what is published with it.
    fn set(
        &mut self,
        set: &NodeSet,
        cores: &BTreeMap<i128, i128>,
        tally: &mut Tally,
    ) -> (f64, f64) {
        let place = format!("node_sets[{}]", set.id);
        let nodes = set.nodes as f64;
        if set.method == COMPONENT_SUM {
            let Some(components) = &set.components else {
                self.problems.push(format!(
                    "{place}: found component_sum without components, which it needs"
                ));
                return (0.0, 0.0);
            };
            let cores = cores.get(&set.ensemble).copied();
            let node = node_w(components, cores, &place, tally);
            return (node.map_or(0.0, |watts| nodes * watts), 0.0);
        }
        let Some(published) = &set.published else {
            self.problems.push(format!(
                "{place}: found {} without published_power, which it needs",
                set.method
            ));
            return (0.0, 0.0);
        };
        let place_of_power = format!("{place}.published_power");
        let Some(watts) = tally.watts(&place_of_power, Some(published), None) else {
            return (0.0, 0.0);
        };
        if set.method == PUBLISHED_SYSTEM {
            return (0.0, nodes * watts);
        }
        match set.nodes_in_rack {
            Some(rack) if rack > set.nodes => (0.0, watts * (nodes / rack as f64)),
            rack => {
                self.problems.push(format!("{place}: found {rack:?} nodes_in_published_rack for {} nodes, expected more nodes in the rack", set.nodes));
                (0.0, 0.0)
            }
        }
    }

    /// Adds the switches; returns the counted adapters' watts of a node.
    fn fabric(&mut self, power: &Power, tally: &mut Tally) -> f64 {
        const SLACK: f64 = 1e-6;
        let fabric = &power.fabric;
        self.is_needed(power);
        if !fabric.is_present {
            return 0.0;
        }
        let (Some(cabling), Some(required), Some(nics), Some(switches)) = (
            fabric.cabling,
            fabric.required,
            &fabric.nics,
            &fabric.switches,
        ) else {
            self.problems.push("scale_out: found present without all of cabling, required_bandwidth_tbps, nics and switches, which it needs".into());
            return 0.0;
        };
        let nodes: i128 = nodes_of(power);
        let by_formula = power.sets.iter().any(|set| set.method == COMPONENT_SUM);
        let mut nics_w = 0.0;
        if nics.is_counted {
            if !by_formula && !nics.is_excluded_from_published {
                self.problems.push("scale_out.nics: found counted with published power, which includes them; set counted to false, or evidence in excluded_from_published_power".into());
            }
            let default = Some(rules().power.nic_w.value);
            let nic = tally.watts("scale_out.nics.tdp_per_nic", nics.tdp.as_ref(), default);
            nics_w = nic.map_or(0.0, |watts| nics.count as f64 * watts);
        } else if by_formula {
            self.problems.push("scale_out.nics: found adapters that are not counted with component_sum, expected counted".into());
        }
        let carried = nodes.saturating_mul(nics.count) as f64 * nics.gbps / 1000.0;
        if required < carried - SLACK {
            self.problems.push(format!("scale_out.required_bandwidth_tbps: found {required}, expected the {carried} that the adapters carry"));
        } else if required > carried + SLACK {
            self.warnings.push(format!("scale_out.required_bandwidth_tbps: found {required}, more than the {carried} that the adapters carry"));
        }
        // Of NaN the first counts, as with Python's max().
        let required = if carried > required {
            carried
        } else {
            required
        };
        let mut offered = 0.0;
        for (at, switch) in switches.iter().enumerate() {
            let place = format!("scale_out.switches[{at}].power_per_switch");
            let default = defaults::switch(&switch.model, cabling);
            if let Some(watts) = tally.watts(&place, switch.power.as_ref(), default) {
                self.switches += switch.count as f64 * watts;
            }
            offered += switch.count as f64 * switch.tbps;
        }
        if offered < required - SLACK {
            self.problems.push(format!(
                "scale_out.switches: found {offered} Tb/s, expected at least {required}"
            ));
        }
        nics_w
    }

    /// Whether there has to be a fabric.
    fn is_needed(&mut self, power: &Power) {
        let nodes = nodes_of(power);
        if power.fabric.is_present || nodes == 1 {
            if power.fabric.is_present && nodes == 1 {
                self.warnings
                    .push("scale_out: found a fabric for one node, expected present: false".into());
            }
            return;
        }
        let joins_nothing = |set: &NodeSet| {
            let up = set.components.as_ref().and_then(|c| c.scale_up.as_ref());
            set.method == COMPONENT_SUM && up.is_some_and(|up| up.method == "none")
        };
        if power.sets.iter().all(joins_nothing) {
            self.problems.push(format!(
                "scale_out: found nothing that joins the {nodes} nodes, expected a fabric"
            ));
        } else {
            self.warnings.push(format!("scale_out: found no fabric for {nodes} nodes, expected one unless scale_up_network joins them"));
        }
    }

    /// Of a point that uses so many nodes of some sets, and all of the others.
    pub(super) fn point_kw(&self, used: &BTreeMap<i128, i128>) -> Option<f64> {
        let kw = self.kw?;
        let share = |set: &SetPower| {
            used.get(&set.id).copied().unwrap_or(set.nodes) as f64 / set.nodes as f64
        };
        if self.sets.iter().all(|set| share(set) == 1.0) {
            return Some(kw);
        }
        if self.is_declared {
            let most = self
                .sets
                .iter()
                .map(share)
                .fold(f64::NEG_INFINITY, f64::max);
            return Some(round_2(kw * most));
        }
        let engaged: f64 = self
            .sets
            .iter()
            .map(|set| set.nodes as f64 * share(set))
            .sum();
        let nodes: f64 = self.sets.iter().map(|set| set.nodes as f64).sum();
        let sets: f64 = self.sets.iter().map(|set| set.watts * share(set)).sum();
        Some(round_2((sets + self.switches * engaged / nodes) / W_PER_KW))
    }
}

fn nodes_of(power: &Power) -> i128 {
    power
        .sets
        .iter()
        .fold(0, |sum: i128, set| sum.saturating_add(set.nodes))
}

/// A node that is summed has no adapters in it; a published figure has, unless it is shown not to.
fn carries_nics(power: &Power, set: &NodeSet) -> bool {
    let nics = power.fabric.nics.as_ref().filter(|nics| nics.is_counted);
    power.fabric.is_present
        && nics.is_some_and(|nics| set.method == COMPONENT_SUM || nics.is_excluded_from_published)
}

fn node_w(
    components: &Components,
    cores: Option<i128>,
    place: &str,
    tally: &mut Tally,
) -> Option<f64> {
    let place = format!("{place}.components");
    let (cpu, accelerator) = (components.cpu.as_ref(), components.accelerator.as_ref());
    let mut parts = Vec::new();
    if let Some(combined) = &components.combined {
        if [cpu, accelerator]
            .into_iter()
            .flatten()
            .any(|unit| unit.tdp.is_some())
        {
            tally.problems.push(format!(
                "{place}: found combined_cpu_accelerator beside tdp_per_unit, expected one of them"
            ));
        }
        let place = format!("{place}.combined_cpu_accelerator");
        parts.push(tally.watts(&place, Some(combined), None));
    } else {
        let Some((cpu, accelerator)) = cpu.zip(accelerator) else {
            tally.problems.push(format!("{place}: found not both cpu and accelerator, expected them or combined_cpu_accelerator"));
            return None;
        };
        for (name, unit, default) in [
            ("cpu", cpu, defaults::cpu(cpu.model.as_deref(), cores)),
            (
                "accelerator",
                accelerator,
                defaults::accelerator(accelerator.model.as_deref()),
            ),
        ] {
            let place = format!("{place}.{name}.tdp_per_unit");
            let watts = tally.watts(&place, unit.tdp.as_ref(), default);
            parts.push(watts.map(|watts| unit.count as f64 * watts));
        }
    }
    let Some(up) = &components.scale_up else {
        tally.problems.push(format!(
            "{place}: found no scale_up_network, expected one (its method may be none)"
        ));
        return None;
    };
    parts.push(scale_up_w(up, &format!("{place}.scale_up_network"), tally));
    parts.into_iter().sum()
}

fn scale_up_w(up: &ScaleUp, place: &str, tally: &mut Tally) -> Option<f64> {
    const BITS_A_BYTE: f64 = 8.0;
    match up.method {
        "none" => Some(0.0),
        "declared_tdp" => {
            let Some(count) = up.switches else {
                tally.problems.push(format!(
                    "{place}: found declared_tdp without switch_count, which it needs"
                ));
                return None;
            };
            let place = format!("{place}.tdp_per_switch");
            let watts = tally.watts(&place, up.per_switch.as_ref(), None)?;
            Some(count as f64 * watts)
        }
        _ => {
            let Some(bandwidth) = up.bandwidth else {
                tally.problems.push(format!("{place}: found bandwidth_estimate without aggregate_bandwidth_tbps, which it needs"));
                return None;
            };
            let Some(energy) = &up.per_bit else {
                tally.gaps.push(format!(
                    "{place}.energy_per_bit_pj: not found, expected a figure with its source"
                ));
                return None;
            };
            let Some(pj) = energy.pj else {
                tally.problems.push(format!(
                    "{place}.energy_per_bit_pj: found no value_pj, expected one"
                ));
                return None;
            };
            if let Some(section) = &energy.default {
                tally
                    .estimated
                    .push(format!("{place}.energy_per_bit_pj (default of {section})"));
            }
            // Terabytes a second, whatever the field is called: the rules' own examples (C.8, C.9, E.6.2).
            Some(bandwidth * BITS_A_BYTE * pj)
        }
    }
}
