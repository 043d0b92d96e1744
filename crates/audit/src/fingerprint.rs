//! A machine as it was found against its description in a submission, field by field.
//!
//! Owns the comparison. Who looks at the machine is not its affair: it gets a [`Machine`].

mod machine;
mod seen;
mod texts;

use std::collections::BTreeMap;

use ossmark_rules::rules;
use serde::Serialize;
use serde_json::Value;

pub use machine::{Accelerator, Machine, NetworkCard};
use seen::seen;
use texts::text;

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
    /// Both say something that no rule compares: read both.
    NotCompared,
    /// The description leaves it empty, or says nothing by it (N/A).
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

/// What besides the system JSON the submission says: the commit, and hashes by the names in [`Machine`]; of a data set's its
/// first part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    /// The commit of the source.
    pub commit: Option<String>,
    /// Whether files of the source had been changed since.
    pub is_changed: bool,
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
            is_changed: plan["ossmark"]["git_dirty"] == "true",
            hashes,
        }
    }
}

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
    if let Some(is_changed) = machine.is_changed
        && (is_changed || claims.is_changed)
    {
        let word = |some: bool| Some(if some { "some" } else { "none" }.to_owned());
        // Both have changed files; whether the same ones in the same way, no commit says.
        let same = (is_changed != claims.is_changed).then_some(false);
        fields.push(field(
            "changed files of the source",
            word(claims.is_changed),
            word(is_changed),
            same,
        ));
    }
    let mut others = machine.hashes.clone();
    for (name, stated) in &claims.hashes {
        let found = machine.file(name, stated);
        if let Some((file, _)) = found {
            others.remove(file);
        }
        let found = found.map(|(_, hash)| hash);
        let same = found.map(|found| found.eq_ignore_ascii_case(stated));
        let name = format!("SHA-256 of {name}");
        fields.push(field(&name, Some(stated.clone()), found.cloned(), same));
    }
    for (name, found) in others {
        let name = format!("SHA-256 of {name}");
        fields.push(field(&name, None, Some(found), None));
    }
    fields
}

fn field(name: &str, stated: Option<String>, found: Option<String>, same: Option<bool>) -> Field {
    let outcome = match (&stated, &found, same) {
        (None, ..) => Outcome::NotStated,
        (Some(_), Some(_), Some(true)) => Outcome::Same,
        (Some(_), Some(_), Some(false)) => Outcome::Differs,
        (Some(_), Some(_), None) => Outcome::NotCompared,
        (Some(_), None, _) => Outcome::NotSeen,
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn system() -> Value {
        json!({
            "host_processor_model_name": "AMD EPYC 9554", "host_processors_per_node": 2,
            "host_processor_core_count": "64", "host_memory_capacity": "1.5 TB", "host_processor_frequency": "3.1 GHz (base)",
            "accelerators_per_node": "8", "accelerator_model_name": "NVIDIA H200-SXM-141GB",
            "accelerator_memory_capacity": "141 GB", "accelerator_frequency": "1980 MHz",
            "operating_system": "Ubuntu 24.04", "host_network_card_count": "2x 100GbE",
            "other_software_stack": { "cuda": "12.8", "driver": "570.86.10" }, "cooling": "air",
            "framework": "ossmark 0.1.0",
        })
    }

    fn machine() -> Machine {
        let port = |name: &str, slot: &str| NetworkCard {
            name: name.into(),
            slot: Some(slot.into()),
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
            cpu_base_mhz: Some(3100.0),
            cpu_mhz: Some(3751.0),
            network: vec![
                port("eth0", "0000:41:00"),
                port("eth1", "0000:41:00"),
                port("eth2", "0000:42:00"),
            ],
            accelerators: vec![accelerator; 8],
            os: Some("Ubuntu 24.04.2 LTS".into()),
            engine: Some("ossmark 0.1.0".into()),
            commit: Some("0123456789abcdef0123456789abcdef01234567".into()),
            hashes: [
                ("dataset/a.parquet".to_owned(), "bb".to_owned()),
                ("dataset/b.parquet".to_owned(), "aa".to_owned()),
            ]
            .into(),
            ..Machine::default()
        }
    }

    fn claims() -> Claims {
        Claims {
            commit: Some("0123456789ab".into()),
            is_changed: false,
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
        // Thirteen of the system JSON, ECC of eight, commit and data set.
        assert_eq!(same, 13 + 8 + 2, "{fields:?}");
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
        let changes: [(Change, &str); 16] = [
            (
                |m| m.cpu = Some("AMD EPYC 9654 96-Core Processor".into()),
                "host_processor_model_name",
            ),
            (|m| m.packages = Some(1), "host_processors_per_node"),
            (|m| m.cores = Some(48), "host_processor_core_count"),
            (|m| m.memory_bytes = Some(1 << 39), "host_memory_capacity"),
            (
                |m| m.cpu_base_mhz = Some(2400.0),
                "host_processor_frequency",
            ),
            (
                |m| m.hashes.retain(|_, hash| hash == "bb"),
                "SHA-256 of dataset",
            ),
            (|m| m.network.truncate(1), "host_network_card_count"),
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
    fn what_no_rule_compares_is_not_called_a_difference() {
        let outcome = |name: &str, stated: Value, change: fn(&mut Machine)| {
            let mut system = system();
            system[name] = stated;
            let mut machine = machine();
            change(&mut machine);
            let fields = compare(&system, &claims(), &machine);
            fields.iter().find(|f| f.name == name).unwrap().outcome
        };
        let clock = "host_processor_frequency";
        // Only the highest is known: less may be the base clock, more is none of this machine.
        let only_highest: fn(&mut Machine) = |m| m.cpu_base_mhz = None;
        assert_eq!(
            outcome(clock, json!("3.1 GHz"), only_highest),
            Outcome::NotCompared
        );
        assert_eq!(
            outcome(clock, json!("4.5 GHz"), only_highest),
            Outcome::Differs
        );
        assert_eq!(
            outcome(clock, json!("3.75 GHz"), only_highest),
            Outcome::Same
        );
        assert_eq!(
            outcome(clock, json!("fast"), only_highest),
            Outcome::NotCompared
        );
        assert_eq!(
            outcome(clock, json!("N/A"), only_highest),
            Outcome::NotStated
        );
        let cards = "host_network_card_count";
        assert_eq!(outcome(cards, json!("3 ports"), |_| ()), Outcome::Same);
        assert_eq!(
            outcome(cards, json!("2-port card"), |_| ()),
            Outcome::NotCompared
        );
        let set: fn(&mut Machine) = |m| m.accelerators[0].set_mhz = Some(1500.0);
        assert_eq!(
            outcome("accelerator_frequency", json!("1980 MHz"), set),
            Outcome::Differs
        );

        let mut changed = machine();
        changed.is_changed = Some(true);
        let claims = Claims {
            is_changed: true,
            ..claims()
        };
        let fields = compare(&system(), &claims, &changed);
        let field = fields
            .iter()
            .find(|f| f.name.starts_with("changed files"))
            .unwrap();
        assert_eq!(field.outcome, Outcome::NotCompared);
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
