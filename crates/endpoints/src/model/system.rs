//! `system_desc.json`: whether it is valid. What the rules need of it is read of the raw file, as the official checker does.

use crate::lax::{Fields, Problem, Problems, boolean, float, int, list, string};
use crate::value::{Key, Map, Value};

/// The field and its older names.
const AVAILABILITY: [&str; 3] = [
    "system_availability_status",
    "publication_status",
    "availability_status",
];
/// What v0.7 wrote on the node itself.
const FLAT_ACCELERATOR: [&str; 6] = [
    "accelerator_model_name",
    "accelerators_per_node",
    "accelerator_memory_capacity",
    "accelerator_memory_type",
    "accelerator_interconnect",
    "accelerator_host_interconnect",
];
/// The highest `c_min_override`, and C_min without one.
pub(crate) const ULTRA_LOW: i128 = 32;
const SHORT_NAME: usize = 20;
const PARALLELISM: [&str; 5] = [
    "expert_parallel",
    "tensor_parallel",
    "pipeline_parallel",
    "data_parallel",
    "batch",
];
const OPTIONAL_TEXTS: [&str; 20] = [
    "submitter_org_names",
    "submitter_contact",
    "submission_id",
    "submission_date",
    "publish_date",
    "system_category",
    "serving_framework",
    "endpoint_url",
    "node_config",
    "config_summary_notes",
    "link_config",
    "model_precision",
    "link_to_model",
    "link_to_model_transformation",
    "model_notes",
    "dataset_id",
    "dataset_name",
    "dataset_type",
    "dataset_link",
    "availability_url",
];
const OPTIONAL_NODE_TEXTS: [&str; 13] = [
    "host_processor_model_name",
    "host_memory_capacity",
    "host_networking",
    "host_storage_capacity",
    "host_storage_type",
    "other_hardware",
    "hw_notes",
    "cooling",
    "inference_backend",
    "operating_system",
    "container_link",
    "other_software_stack",
    "sw_notes",
];

/// C_max of a valid description.
pub(crate) fn read(value: &Value) -> Result<i128, Vec<Problem>> {
    let mut problems = Problems::default();
    let c_max = description(value, &mut problems);
    if problems.list.is_empty() {
        Ok(c_max)
    } else {
        Err(problems.list)
    }
}

/// `c_min_override`: an integer from 1 to 32 and nothing that is only like one.
pub(crate) fn c_min_override(value: &Value) -> Option<i128> {
    value.plain_int().filter(|n| (1..=ULTRA_LOW).contains(n))
}

fn description(value: &Value, problems: &mut Problems) -> i128 {
    let Some(map) = value.map() else {
        return problems.expected("a mapping", value);
    };
    let status = match availability(map) {
        Ok(status) => status,
        Err(message) => {
            problems.add(message);
            return 0;
        }
    };
    let Some(mut fields) = Fields::of(value, problems) else {
        return 0;
    };
    fields.required("system_name", string);
    fields.required("shortened_system_name", short_name);
    fields.required("system_size", string);
    fields.required("system_node_ensemble_count", int);
    fields.required("system_node_ensemble_total", int);
    fields.required("node_types", list(node_type));
    fields.required("division", |value, problems| {
        word(value, &["standardized", "serviced", "rdi"], problems)
    });
    let c_max = fields.required("max_supported_concurrency", int);
    fields.or("c_min_override", (), |value, problems| {
        if c_min_override(value).is_none() {
            problems.expected::<()>("an integer from 1 to 32", value);
        }
    });
    for name in OPTIONAL_TEXTS {
        fields.optional(name, string);
    }
    for name in PARALLELISM {
        fields.optional(name, int);
    }
    fields.optional("disaggregated", boolean);
    fields.optional("tps_utilization", float);
    for name in ["input_token_average", "output_token_average"] {
        fields.optional(name, float);
    }
    fields.optional("config_summary", config_summary);
    fields.optional("measured_accuracy_score", measured_accuracy);
    let date = fields.optional("target_availability_date", date).flatten();
    let url = fields.get("availability_url").and_then(Value::text);
    let has_url = url.is_some_and(|url| !ossmark_python::strip(url).is_empty());
    let kind = fields.given(AVAILABILITY[0], status, |value, problems| {
        word(value, &["available", "preview", "rdi"], problems)
    });
    fields.then(|problems| match kind {
        Some("available") if !has_url => {
            problems.add("found Available without availability_url, which it needs");
        }
        Some("preview") if date.is_none() => {
            problems.add("found Preview without target_availability_date, which it needs");
        }
        _ => {}
    });
    c_max
}

/// The status under whichever of its names; two that differ are an error.
fn availability(map: &Map) -> Result<Option<&Value>, String> {
    let given = |value: &&Value| !value.is_none() && value.text() != Some("");
    let found: Vec<&Value> = AVAILABILITY
        .iter()
        .filter_map(|name| map.get(name).filter(given))
        .collect();
    let plain = |value: &Value| match value {
        Value::Str(text) => ossmark_python::lower(ossmark_python::strip(text)),
        other => other.shown(),
    };
    match found[..] {
        [first, ref others @ ..] if others.iter().any(|v| plain(v) != plain(first)) => {
            Err(format!(
                "found fields of availability that disagree; give {} only",
                AVAILABILITY[0]
            ))
        }
        _ => Ok(found.first().copied()),
    }
}

/// A word in any case.
fn word(value: &Value, words: &[&'static str], problems: &mut Problems) -> Option<&'static str> {
    let text = value
        .text()
        .map(|text| ossmark_python::lower(ossmark_python::strip(text)));
    let known = words
        .iter()
        .find(|word| text.as_deref() == Some(word))
        .copied();
    known.or_else(|| problems.expected(&format!("one of {}", words.join(", ")), value))
}

fn short_name(value: &Value, problems: &mut Problems) {
    let before = problems.list.len();
    let name = string(value, problems);
    let length = name.chars().count();
    let is_blank = ossmark_python::strip(&name).is_empty();
    if problems.list.len() == before && (is_blank || length > SHORT_NAME) {
        problems.add(format!(
            "found {length} characters, expected 1 to {SHORT_NAME}"
        ));
    }
}

/// Blank is the same as absent.
fn date(value: &Value, problems: &mut Problems) -> Option<()> {
    let before = problems.list.len();
    let text = string(value, problems);
    if problems.list.len() > before || ossmark_python::strip(&text).is_empty() {
        return None;
    }
    let is_date = crate::yaml_scalar::kind(&text) == crate::yaml_scalar::Kind::Timestamp
        && text.len() == "YYYY-MM-DD".len()
        && crate::yaml_scalar::value(crate::yaml_scalar::Kind::Timestamp, &text).is_ok();
    if !is_date {
        problems.expected::<()>("a date as YYYY-MM-DD", value);
    }
    Some(())
}

fn config_summary(value: &Value, problems: &mut Problems) {
    const LEAST: usize = 4;
    if let Value::Str(text) = value {
        if text.chars().count() < LEAST {
            problems.expected::<()>("an object, or a text of at least 4 characters", value);
        }
        return;
    }
    let Some(mut fields) = Fields::of(value, problems) else {
        return;
    };
    fields.optional("disaggregated", boolean);
    for name in PARALLELISM {
        fields.optional(name, int);
    }
}

fn measured_accuracy(value: &Value, problems: &mut Problems) {
    if matches!(value, Value::Str(_)) {
        return;
    }
    let Some(map) = value.map() else {
        float(value, problems);
        return;
    };
    for (name, value) in map.named() {
        problems.within(name, |problems| {
            let Some(mut fields) = Fields::of(value, problems) else {
                return;
            };
            fields.required("scores", |value, problems| {
                let Some(scores) = value.map() else {
                    return problems.expected("a mapping", value);
                };
                for (metric, score) in scores.named() {
                    if score.plain_number().is_none() {
                        problems.within(metric, |problems| {
                            problems.expected::<()>("a number", score);
                        });
                    }
                }
            });
        });
    }
}

fn node_type(value: &Value, problems: &mut Problems) {
    let lifted = value.map().and_then(lifted);
    let value = lifted.as_ref().unwrap_or(value);
    let Some(mut fields) = Fields::of(value, problems) else {
        return;
    };
    fields.optional("system_node_ensemble_id", |value, problems| {
        // `int()` first, which takes more texts than pydantic does.
        let known = value.text().and_then(crate::python::int_of_text);
        known.unwrap_or_else(|| int(value, problems))
    });
    for name in ["number_of_nodes", "host_processors_per_node"] {
        fields.optional(name, int);
    }
    let cores = fields.optional("host_processor_core_count", int);
    let vcpus = fields.optional("host_processor_vcpu_count", int);
    for name in [
        "host_memory_configuration",
        "host_network_card_count",
        "driver",
        "filesystem",
    ] {
        fields.required(name, string);
    }
    for name in OPTIONAL_NODE_TEXTS {
        fields.optional(name, string);
    }
    fields.or("accelerator_info", Vec::new(), list(accelerator));
    fields.then(|problems| {
        if cores.or(vcpus).is_none() {
            problems.add("found neither host_processor_core_count nor host_processor_vcpu_count, expected one");
        }
    });
}

/// With v0.7's flat fields as a list of one, where there is no list.
fn lifted(node: &Map) -> Option<Value> {
    if node.get("accelerator_info").is_some_and(Value::is_truthy) {
        return None;
    }
    let mut flat = Map::default();
    for name in FLAT_ACCELERATOR {
        if let Some(value) = node.get(name).filter(|value| !value.is_none()) {
            flat.insert(Key::Str(name.into()), value.clone());
        }
    }
    if flat.is_empty() {
        return None;
    }
    let mut node = node.clone();
    let list = Value::List(vec![Value::Map(flat)]);
    node.insert(Key::Str("accelerator_info".into()), list);
    Some(Value::Map(node))
}

fn accelerator(value: &Value, problems: &mut Problems) {
    let Some(mut fields) = Fields::of(value, problems) else {
        return;
    };
    for name in FLAT_ACCELERATOR {
        if name == "accelerators_per_node" {
            fields.optional(name, int);
        } else {
            fields.optional(name, string);
        }
    }
}
