//! What the power descriptor and the engagement of points need of `system_desc.json`, from the raw file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::tree::{Content, Tree};
use crate::finding::Findings;
use crate::rules::rules;
use crate::value::{Map, Value};

pub(super) const SYSTEM_DESC: &str = "system_desc.json";

#[derive(Debug, Default)]
pub(super) struct Facts {
    /// The overhead that `cooling` means.
    pub(super) overhead: Option<f64>,
    /// Cores by node type.
    pub(super) cores: BTreeMap<i128, i128>,
    pub(super) ensembles: BTreeSet<i128>,
    /// Accelerators of a node by node type.
    pub(super) accelerators: BTreeMap<i128, i128>,
    /// In small letters.
    pub(super) division: Option<String>,
}

/// Of the first description that is a JSON object, in order of the points' names as texts (r1, r16, r4).
pub(super) fn facts(dir: &Path, tree: &Tree, findings: &mut Findings) -> Facts {
    for model in tree.folders(dir, findings) {
        for point in tree.folders(&model, findings) {
            let name = point.file_name().and_then(|name| name.to_str());
            let file = point.join(SYSTEM_DESC);
            if !name.is_some_and(|name| name.starts_with('r')) || !file.exists() {
                continue;
            }
            // Bytes that are no UTF-8 are passed over here.
            if let Content::Value(Value::Map(map)) = tree.json(&file, findings) {
                return of(&map, &file, findings);
            }
        }
    }
    Facts::default()
}

fn int(value: &Value) -> Option<i128> {
    match value {
        Value::Bool(b) => Some(i128::from(*b)),
        other => other.plain_int(),
    }
}

pub(super) fn of(map: &Map, file: &Path, findings: &mut Findings) -> Facts {
    let mut facts = Facts::default();
    let mut cooling: Vec<&str> = map
        .get("cooling")
        .and_then(Value::text)
        .into_iter()
        .collect();
    let nodes = match map.get("node_types") {
        Some(Value::List(nodes)) => nodes.as_slice(),
        // Iterated over, and no node among them.
        Some(Value::Str(_) | Value::Map(_)) | None => &[],
        Some(other) if other.is_truthy() => {
            findings.crash(file, format!("found {} for node_types", other.shown()));
            &[]
        }
        Some(_) => &[],
    };
    for node in nodes.iter().filter_map(Value::map) {
        cooling.extend(node.get("cooling").and_then(Value::text));
        let ensemble = node.get("system_node_ensemble_id").and_then(|id| match id {
            Value::Str(text) => digits(text),
            other => int(other),
        });
        let Some(ensemble) = ensemble else { continue };
        facts.ensembles.insert(ensemble);
        if let Some(cores) = node.get("host_processor_core_count").and_then(int) {
            facts.cores.insert(ensemble, cores);
        }
        if let Some(accelerators) = accelerators(node) {
            facts.accelerators.insert(ensemble, accelerators);
        }
    }
    let mut overheads: Vec<f64> = cooling.into_iter().filter_map(overhead).collect();
    overheads.dedup();
    facts.overhead = match overheads[..] {
        [] => None,
        [one] => Some(one),
        // Cooled in both ways: the larger.
        _ => Some(rules().power.overhead_air.value),
    };
    let division = map.get("division").and_then(Value::text);
    facts.division = division.map(|text| ossmark_python::lower(ossmark_python::strip(text)));
    facts
}

fn digits(text: &str) -> Option<i128> {
    let text = ossmark_python::strip(text);
    let is_digits = !text.is_empty() && text.chars().all(|c| ossmark_python::digit(c).is_some());
    is_digits.then(|| crate::python::int_of_text(text))?
}

/// Of free text about cooling.
fn overhead(cooling: &str) -> Option<f64> {
    let cooling = ossmark_python::lower(cooling);
    let power = &rules().power;
    if ["liquid", "water", "immersion"]
        .iter()
        .any(|word| cooling.contains(word))
    {
        Some(power.overhead_liquid.value)
    } else {
        cooling.contains("air").then_some(power.overhead_air.value)
    }
}

/// All kinds of a node together; v0.7's field on the node where there is no list.
fn accelerators(node: &Map) -> Option<i128> {
    let count = |map: &Map| map.get("accelerators_per_node").and_then(Value::plain_int);
    let counts: Vec<i128> = match node.get("accelerator_info").and_then(Value::list) {
        Some(list) if !list.is_empty() => list
            .iter()
            .filter_map(|entry| count(entry.map()?))
            .collect(),
        _ => count(node).into_iter().collect(),
    };
    (!counts.is_empty()).then(|| counts.iter().fold(0, |sum: i128, n| sum.saturating_add(*n)))
}

/// How a point is spread over accelerators.
#[derive(Debug)]
pub(super) struct Parallelism {
    /// Accelerators of one replica: TP x PP x EP.
    pub(super) replica: i128,
    pub(super) data_parallel: i128,
    pub(super) is_disaggregated: bool,
}

impl Parallelism {
    pub(super) fn accelerators(&self) -> i128 {
        self.data_parallel.saturating_mul(self.replica)
    }

    /// Of the point's own description; `None` where it says nothing.
    pub(super) fn of(description: &Value) -> Option<Self> {
        let map = description.map()?;
        let summary = map.get("config_summary").and_then(Value::map);
        let get = |name: &str| map.get(name).or_else(|| summary?.get(name));
        let names = [
            "tensor_parallel",
            "pipeline_parallel",
            "expert_parallel",
            "data_parallel",
        ];
        let values = names.map(|name| get(name).and_then(Value::plain_int));
        if values.iter().all(Option::is_none) {
            return None;
        }
        let [tp, pp, ep, dp] = values.map(|value| value.unwrap_or(1));
        Some(Self {
            replica: tp.saturating_mul(pp).saturating_mul(ep),
            data_parallel: dp,
            is_disaggregated: match get("disaggregated") {
                Some(Value::Bool(b)) => *b,
                Some(Value::Int(n)) => *n > 1,
                _ => false,
            },
        })
    }
}
