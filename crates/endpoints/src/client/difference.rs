//! Where a summary that a file holds differs from the one that follows from its events.

use serde_json::Value;

/// Doubles that follow from the same values: edges of a histogram may differ in their last bit by the system's `exp`, and a
/// sum of doubles by the order in which answers were counted.
const TOLERANCE: f64 = 1e-9;

/// Figures of one block that differ, with the first of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// `ttft.percentiles.90.0`.
    pub(super) name: String,
    pub(super) found: String,
    pub(super) expected: String,
    /// In the same block, besides the first.
    pub(super) more: usize,
}

/// Compares what both have; what the file lacks is an older client's. One difference for each block of the summary.
pub(super) fn differences(found: &Value, expected: &Value) -> Vec<Difference> {
    let mut all: Vec<Difference> = Vec::new();
    for (name, expected) in expected.as_object().into_iter().flatten() {
        let Some(found) = found.get(name) else {
            continue;
        };
        let mut here = Vec::new();
        compare(name, found, expected, &mut here);
        let more = here.len().saturating_sub(1);
        all.extend(
            here.into_iter()
                .next()
                .map(|first| Difference { more, ..first }),
        );
    }
    all
}

fn compare(name: &str, found: &Value, expected: &Value, all: &mut Vec<Difference>) {
    match (found, expected) {
        (Value::Object(a), Value::Object(b)) => {
            // A block without figures is the client's word for nothing seen.
            if a.is_empty() != b.is_empty() && !only_stopping(b) {
                all.push(difference(name, found, expected));
            }
            for (key, b) in b {
                if let Some(a) = a.get(key) {
                    compare(&format!("{name}.{key}"), a, b, all);
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{name}.{at}"), a, b, all);
            }
        }
        (Value::Number(a), Value::Number(b)) if is_equal(a, b) => {}
        (a, b) if a == b => {}
        _ => all.push(difference(name, found, expected)),
    }
}

/// An older client writes nothing where a newer one says that there are too few samples.
fn only_stopping(block: &serde_json::Map<String, Value>) -> bool {
    block.keys().all(|key| key == "early_stopping_percentiles")
}

fn is_equal(a: &serde_json::Number, b: &serde_json::Number) -> bool {
    if let (Some(a), Some(b)) = (a.as_i128(), b.as_i128()) {
        return a == b;
    }
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()),
        _ => false,
    }
}

fn difference(name: &str, found: &Value, expected: &Value) -> Difference {
    Difference {
        name: name.into(),
        found: shown(found),
        expected: shown(expected),
        more: 0,
    }
}

fn shown(value: &Value) -> String {
    const MOST: usize = 60;
    match value {
        Value::Object(map) if map.is_empty() => "nothing".into(),
        Value::Object(map) => format!("a block of {} figures", map.len()),
        Value::Array(list) => format!("a list of {}", list.len()),
        other => other.to_string().chars().take(MOST).collect(),
    }
}
