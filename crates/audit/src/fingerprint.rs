//! A machine as it was found against its description in a submission, field by field.
//!
//! Owns the comparison. Who looks at the machine is not its affair: it gets a [`Machine`].

mod texts;

use std::collections::BTreeMap;

use ossmark_rules::rules;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use texts::{capacity, first_number, megahertz, same_model, same_system, text};

/// A machine as it was found; what cannot be seen is none or empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// As Linux names it.
    pub cpu: Option<String>,
    /// Sockets.
    pub packages: Option<u64>,
    /// Of one package, not counting hyperthreads.
    pub cores: Option<u64>,
    /// The highest clock, in MHz.
    pub cpu_mhz: Option<f64>,
    /// All memory that the system has.
    pub memory_bytes: Option<u64>,
    /// Network cards: those with a device behind them.
    pub network: Vec<NetworkCard>,
    /// Accelerators, as their driver lists them.
    pub accelerators: Vec<Accelerator>,
    /// The distribution's name for itself.
    pub os: Option<String>,
    /// The kernel.
    pub kernel: Option<String>,
    /// The engine that is here, with its version: `ossmark 0.1.0`.
    pub engine: Option<String>,
    /// The commit of the source.
    pub commit: Option<String>,
    /// Whether files of the source were changed since.
    pub is_changed: Option<bool>,
    /// SHA-256 of files, by what they are: `checkpoint/NAME`, `dataset`, `tokenizer`.
    pub hashes: BTreeMap<String, String>,
    /// What could not be looked at, a sentence each.
    pub not_seen: Vec<String>,
}

/// A network card.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkCard {
    /// The interface's name.
    pub name: String,
    /// Its driver.
    pub driver: Option<String>,
    /// Megabits a second, where a link is up.
    pub mbit_per_s: Option<u64>,
}

/// An accelerator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Accelerator {
    /// Product name.
    pub name: String,
    /// Memory in MiB.
    pub memory_mib: Option<u64>,
    /// Version of the driver.
    pub driver: Option<String>,
    /// The highest clock of its cores, in MHz.
    pub mhz: Option<f64>,
    /// The highest clock that it is set to, in MHz.
    pub set_mhz: Option<f64>,
    /// Whether its memory is checked (ECC).
    pub ecc: Option<bool>,
    /// In watts.
    pub power_limit_w: Option<f64>,
}

/// How a field came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The two say the same.
    Same,
    /// They do not.
    Differs,
    /// Nothing on the machine says it: look, or ask.
    NotSeen,
    /// The description leaves it empty.
    NotStated,
}

/// A field of the description.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Field {
    /// Its name in the system JSON, or what else is compared.
    pub name: String,
    /// What the description says. From outside: to be escaped.
    pub stated: Option<String>,
    /// What the machine says. From outside: to be escaped.
    pub found: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What besides the system JSON the submission says: hashes and the commit, by the same names as in [`Machine`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    /// The commit of the source.
    pub commit: Option<String>,
    /// SHA-256 of files.
    pub hashes: BTreeMap<String, String>,
}

impl Claims {
    /// Those of a `run_plan.json` of ossmark's.
    pub fn of_plan(plan: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let mut hashes = BTreeMap::new();
        for name in ["dataset", "tokenizer"] {
            if let Some(hash) = text(&plan[name]["file_sha256"]) {
                hashes.insert(name.to_owned(), hash);
            }
        }
        let commit = text(&plan["ossmark"]["git_revision"]);
        Self {
            commit: commit.filter(|commit| commit != "unknown"),
            hashes,
        }
    }
}

/// Usable memory is less than what is built in; both are written.
const MEMORY: f64 = 0.12;
/// Clocks are rounded.
const CLOCK: f64 = 0.02;

/// Every field that a system JSON must have, then what else was claimed.
pub fn compare(system: &Value, claims: &Claims, machine: &Machine) -> Vec<Field> {
    let mut fields = Vec::new();
    for name in &rules().submission.system_fields.value {
        let stated = text(&system[name.as_str()]);
        let (found, same) = seen(name, stated.as_deref(), machine);
        fields.push(field(name, stated, found, same));
    }
    for accelerator in &machine.accelerators {
        if let Some(ecc) = accelerator.ecc {
            let word = |on: bool| if on { "on" } else { "off" };
            let found = Some(word(ecc).to_owned());
            fields.push(field(
                "ECC (rules 254)",
                Some(word(true).into()),
                found,
                Some(ecc),
            ));
        }
    }
    let commit = machine.commit.clone();
    let same = claims
        .commit
        .as_ref()
        .zip(commit.as_ref())
        .map(|(a, b)| is_commit(a, b));
    fields.push(field(
        "commit of the source",
        claims.commit.clone(),
        commit,
        same,
    ));
    if machine.is_changed == Some(true) {
        let (stated, found) = (Some("none".to_owned()), Some("some".to_owned()));
        fields.push(field(
            "changed files of the source",
            stated,
            found,
            Some(false),
        ));
    }
    let names: std::collections::BTreeSet<&String> =
        claims.hashes.keys().chain(machine.hashes.keys()).collect();
    for name in names {
        let (stated, found) = (claims.hashes.get(name), machine.hashes.get(name));
        let same = stated.zip(found).map(|(a, b)| a.eq_ignore_ascii_case(b));
        let name = format!("SHA-256 of {name}");
        fields.push(field(&name, stated.cloned(), found.cloned(), same));
    }
    fields
}

fn field(name: &str, stated: Option<String>, found: Option<String>, same: Option<bool>) -> Field {
    let outcome = match (&stated, &found, same) {
        (None, ..) => Outcome::NotStated,
        (Some(_), Some(_), Some(true)) => Outcome::Same,
        (Some(_), Some(_), Some(false)) => Outcome::Differs,
        (Some(_), ..) => Outcome::NotSeen,
    };
    Field {
        name: name.to_owned(),
        stated,
        found,
        outcome,
    }
}

/// A short form of a commit is one.
fn is_commit(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    short.len() >= 7 && long.to_lowercase().starts_with(&short.to_lowercase())
}

/// What the machine says of a field, and whether that is what was stated.
fn seen(name: &str, stated: Option<&str>, m: &Machine) -> (Option<String>, Option<bool>) {
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
        "host_processor_frequency" => match m.cpu_mhz {
            Some(mhz) => (
                Some(format!("{mhz:.0} MHz")),
                near(mhz, megahertz(stated), CLOCK),
            ),
            None => (None, None),
        },
        "host_memory_capacity" => match m.memory_bytes {
            Some(bytes) => {
                let found = format!("{:.1} GB", bytes as f64 / 1e9);
                (Some(found), near(bytes as f64, capacity(stated), MEMORY))
            }
            None => (None, None),
        },
        "host_network_card_count" if !m.network.is_empty() => count(m.network.len()),
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
        "accelerator_frequency" => match first.and_then(|first| first.set_mhz.or(first.mhz)) {
            Some(mhz) => (
                Some(format!("{mhz:.0} MHz")),
                near(mhz, megahertz(stated), CLOCK),
            ),
            None => (None, None),
        },
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn system() -> Value {
        json!({
            "host_processor_model_name": "AMD EPYC 9554", "host_processors_per_node": 2,
            "host_processor_core_count": "64", "host_memory_capacity": "1.5 TB",
            "accelerators_per_node": "8", "accelerator_model_name": "NVIDIA H200-SXM-141GB",
            "accelerator_memory_capacity": "141 GB", "accelerator_frequency": "1980 MHz",
            "operating_system": "Ubuntu 24.04", "host_network_card_count": "2x 100GbE",
            "other_software_stack": { "cuda": "12.8", "driver": "570.86.10" }, "cooling": "air",
            "framework": "ossmark 0.1.0",
        })
    }

    fn machine() -> Machine {
        let card = |name: &str| NetworkCard {
            name: name.into(),
            ..NetworkCard::default()
        };
        let accelerator = Accelerator {
            name: "NVIDIA H200".into(),
            memory_mib: Some(143_771),
            driver: Some("570.86.10".into()),
            mhz: Some(1980.0),
            ecc: Some(true),
            ..Accelerator::default()
        };
        Machine {
            cpu: Some("AMD EPYC 9554 64-Core Processor".into()),
            packages: Some(2),
            cores: Some(64),
            memory_bytes: Some(1_480_000_000_000),
            network: vec![card("eth0"), card("eth1")],
            accelerators: vec![accelerator; 8],
            os: Some("Ubuntu 24.04.2 LTS".into()),
            engine: Some("ossmark 0.1.0".into()),
            commit: Some("0123456789abcdef0123456789abcdef01234567".into()),
            hashes: [("dataset".to_owned(), "aa".to_owned())].into(),
            ..Machine::default()
        }
    }

    fn claims() -> Claims {
        Claims {
            commit: Some("0123456789ab".into()),
            hashes: [("dataset".to_owned(), "AA".to_owned())].into(),
        }
    }

    fn differing(machine: &Machine) -> Vec<String> {
        let fields = compare(&system(), &claims(), machine);
        let differ = fields.iter().filter(|f| f.outcome == Outcome::Differs);
        differ.map(|f| f.name.clone()).collect()
    }

    #[test]
    fn a_machine_that_is_as_described_has_no_difference() {
        assert_eq!(differing(&machine()), Vec::<String>::new());
        let fields = compare(&system(), &claims(), &machine());
        let same = fields.iter().filter(|f| f.outcome == Outcome::Same).count();
        // Twelve of the system JSON, ECC of eight, commit and data set.
        assert_eq!(same, 12 + 8 + 2, "{fields:?}");
        let cooling = fields.iter().find(|f| f.name == "cooling").unwrap();
        assert_eq!(cooling.outcome, Outcome::NotSeen);
        let caches = fields
            .iter()
            .find(|f| f.name == "host_processor_caches")
            .unwrap();
        assert_eq!(caches.outcome, Outcome::NotStated);
    }

    #[test]
    fn each_difference_is_named() {
        type Change = fn(&mut Machine);
        let changes: [(Change, &str); 13] = [
            (
                |m| m.cpu = Some("AMD EPYC 9654 96-Core Processor".into()),
                "host_processor_model_name",
            ),
            (|m| m.packages = Some(1), "host_processors_per_node"),
            (|m| m.cores = Some(48), "host_processor_core_count"),
            (|m| m.memory_bytes = Some(1 << 39), "host_memory_capacity"),
            (|m| m.accelerators.truncate(4), "accelerators_per_node"),
            (
                |m| m.accelerators[7].name = "NVIDIA H100".into(),
                "accelerator_model_name",
            ),
            (
                |m| m.accelerators[0].memory_mib = Some(81_559),
                "accelerator_memory_capacity",
            ),
            (
                |m| m.accelerators[0].mhz = Some(1755.0),
                "accelerator_frequency",
            ),
            (|m| m.os = Some("Ubuntu 22.04".into()), "operating_system"),
            (|m| m.engine = Some("ossmark 0.2.0".into()), "framework"),
            (|m| m.commit = Some("f".repeat(40)), "commit of the source"),
            (|m| m.is_changed = Some(true), "changed files of the source"),
            (|m| m.accelerators[3].ecc = Some(false), "ECC (rules 254)"),
        ];
        for (change, name) in changes {
            let mut other = machine();
            change(&mut other);
            assert_eq!(differing(&other), [name]);
        }
    }

    #[test]
    fn descriptions_of_any_shape_are_read() {
        for system in [
            json!(null),
            json!([1]),
            json!({ "host_processors_per_node": [[]] }),
        ] {
            let fields = compare(&system, &Claims::default(), &machine());
            assert!(fields.len() >= 35, "{fields:?}");
        }
    }
}
