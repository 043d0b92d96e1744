//! What a machine says of a field of its description. Pure.

use std::collections::BTreeSet;

use super::machine::{Machine, NetworkCard};
use super::texts::{capacity, cards, first_number, megahertz, same_model, same_system};

/// Usable memory is less than what is built in; both are written.
const MEMORY: f64 = 0.12;
/// Clocks are rounded.
const CLOCK: f64 = 0.02;

/// What the machine says of a field, and whether that is what was stated.
pub(super) fn seen(
    name: &str,
    stated: Option<&str>,
    m: &Machine,
) -> (Option<String>, Option<bool>) {
    let stated = stated.unwrap_or_default();
    let number = first_number(stated);
    let first = m.accelerators.first();
    let near = |found: f64, stated: Option<f64>, share: f64| {
        stated.map(|stated| (found - stated).abs() <= share * stated.abs())
    };
    let count = |found: usize| (Some(found.to_string()), number.map(|n| n == found as f64));
    match name {
        "host_processor_model_name" => match &m.cpu {
            Some(cpu) => (Some(cpu.clone()), Some(same_model(stated, cpu))),
            None => (None, None),
        },
        "host_processors_per_node" => match m.packages {
            Some(packages) => count(packages as usize),
            None => (None, None),
        },
        // Of one processor, or of all: both are written.
        "host_processor_core_count" => match m.cores.zip(m.packages) {
            Some((cores, packages)) => {
                let all = cores.saturating_mul(packages);
                let same = number.map(|n| n == cores as f64 || n == all as f64);
                (Some(format!("{cores} of each of {packages}")), same)
            }
            None => (None, None),
        },
        "host_processor_frequency" => {
            let highest = m.cpu_mhz.map(|mhz| (mhz, "at most"));
            let base = m.cpu_base_mhz.map(|mhz| (mhz, "base"));
            clocks(stated, &[base, highest])
        }
        "host_memory_capacity" => match m.memory_bytes {
            Some(bytes) => {
                let found = format!("{:.1} GB", bytes as f64 / 1e9);
                (Some(found), near(bytes as f64, capacity(stated), MEMORY))
            }
            None => (None, None),
        },
        "host_network_card_count" if !m.network.is_empty() => network(stated, &m.network),
        "accelerators_per_node" if first.is_some() || number == Some(0.0) => {
            count(m.accelerators.len())
        }
        "accelerator_model_name" => match first {
            Some(first) => {
                let other = m
                    .accelerators
                    .iter()
                    .find(|one| !same_model(stated, &one.name));
                (
                    Some(other.unwrap_or(first).name.clone()),
                    Some(other.is_none()),
                )
            }
            None => (None, None),
        },
        "accelerator_memory_capacity" => match first.and_then(|first| first.memory_mib) {
            Some(mib) => {
                let bytes = mib as f64 * 1_048_576.0;
                let found = format!("{:.1} GB", bytes / 1e9);
                (Some(found), near(bytes, capacity(stated), MEMORY))
            }
            None => (None, None),
        },
        "accelerator_frequency" => {
            let highest = first.and_then(|first| first.mhz);
            // One that is set below the highest is the one that it runs at.
            let set = first.and_then(|first| first.set_mhz);
            match set {
                Some(mhz) => clocks(stated, &[Some((mhz, "as set"))]),
                None => clocks(stated, &[highest.map(|mhz| (mhz, "highest"))]),
            }
        }
        // Of another engine nothing is known here.
        "framework" if stated.starts_with("ossmark ") => match &m.engine {
            Some(engine) => (Some(engine.clone()), Some(stated.trim() == engine.as_str())),
            None => (None, None),
        },
        "operating_system" => match &m.os {
            Some(os) => (Some(os.clone()), Some(same_system(stated, os))),
            None => (None, None),
        },
        // Many things are in it; the driver is the one that the machine names.
        "other_software_stack" => match first.and_then(|first| first.driver.as_ref()) {
            Some(driver) => (
                Some(format!("driver {driver}")),
                Some(stated.contains(driver.as_str())),
            ),
            None => (None, None),
        },
        _ => (None, None),
    }
}

/// Clocks that are stated against those that are known: one of the one is one of the other. Where only the highest is known, a
/// lower one may be the base clock.
fn clocks(stated: &str, known: &[Option<(f64, &'static str)>]) -> (Option<String>, Option<bool>) {
    let known: Vec<(f64, &str)> = known.iter().copied().flatten().collect();
    let shown = known
        .iter()
        .map(|(mhz, what)| format!("{mhz:.0} MHz {what}"));
    let shown = shown.collect::<Vec<_>>().join(", ");
    if known.is_empty() {
        return (None, None);
    }
    let stated = megahertz(stated);
    let is = |a: f64, b: f64| (a - b).abs() <= CLOCK * b;
    let fits = stated
        .iter()
        .any(|stated| known.iter().any(|(mhz, _)| is(*mhz, *stated)));
    let may_be_base = |stated: &f64| {
        known
            .iter()
            .all(|(mhz, what)| *what == "at most" && stated < mhz)
    };
    let same = match stated.is_empty() || !fits && stated.iter().any(may_be_base) {
        true => None,
        false => Some(fits),
    };
    (Some(shown), same)
}

/// A card may have several ports; both are counted.
fn network(stated: &str, network: &[NetworkCard]) -> (Option<String>, Option<bool>) {
    let slots: BTreeSet<&String> = network
        .iter()
        .map(|one| one.slot.as_ref().unwrap_or(&one.name))
        .collect();
    let (slots, ports) = (slots.len(), network.len());
    let shown = match slots == ports {
        true => format!("{slots}"),
        false => format!("{slots} with {ports} ports"),
    };
    let same = cards(stated).map(|n| n == slots as f64 || n == ports as f64);
    (Some(shown), same)
}
