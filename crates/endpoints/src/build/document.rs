//! `point.yaml`.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::description::{Description, Point};
use super::point::Measured;
use crate::regions::Regions;
use crate::rehearsal::STAMP;
use crate::rules::rules;

pub(super) fn point_yaml(
    d: &Description,
    described: &Point,
    point: &Measured,
    regions: Option<&Regions>,
) -> String {
    let mut yaml = Yaml::default();
    if point.is_rehearsal {
        // Writing into a string cannot fail, here and below.
        let _ = writeln!(yaml.0, "# {STAMP}");
        yaml.text("rehearsal", STAMP);
    }
    yaml.value("concurrency", &Value::from(point.concurrency as i64));
    let region = regions.and_then(|regions| regions.of(point.concurrency));
    if let Some(region) = region.filter(|_| !point.is_dedicated) {
        yaml.text("region", region);
    }
    yaml.text("dataset", &d.dataset.key);
    yaml.text("division", &d.division);
    yaml.value(
        "max_supported_concurrency",
        &Value::from(d.system.max_supported_concurrency as i64),
    );
    for (name, value) in [
        ("model_name", &d.model.name),
        ("model_precision", &d.model.precision),
        ("link_to_model", &d.model.link),
        ("link_to_model_transformation", &d.model.link_transformation),
        ("model_notes", &d.model.notes),
        ("dataset_name", &d.dataset.name),
        ("dataset_type", &d.dataset.kind),
        ("dataset_link", &d.dataset.link),
        ("seed_set", &d.seed_set),
        ("target_cohort", &d.target_cohort),
    ] {
        yaml.text(name, value);
    }
    yaml.text("shared_src", "src");
    yaml.text("shared_docs", "docs");
    let offline = described.offline.as_deref();
    yaml.text(
        "offline",
        if point.is_dedicated {
            "dedicated"
        } else {
            offline.unwrap_or("none")
        },
    );
    let model_seed = rules().seeds.set.get(&d.seed_set).map(|set| set.model);
    yaml.value(
        "runtime_settings",
        &json!({
            "load_pattern": if point.is_dedicated { "max_throughput" } else { "concurrency" },
            "min_duration_ms": point.config.min_duration_ms,
            "min_sample_count": point.issued as i64,
            "stream_all_chunks": point.config.stream_all_chunks,
            "runtime": {
                "scheduler_rng_seed": point.scheduler_seed.map(|seed| seed as u64),
                "sample_index_rng_seed": point.sample_index_seed.map(|seed| seed as u64),
                "model_seed": model_seed,
            },
        }),
    );
    let warmup = described.warmup.as_ref().or(d.warmup.as_ref());
    let warmup = warmup.cloned().map_or_else(no_warmup, Value::Object);
    yaml.value("warmup", &warmup);
    if let Some(found) = &point.steady_state {
        let window = found.window.as_ref();
        yaml.value(
            "steady_state",
            &json!({
                "status": found.status,
                "verdict": found.verdict,
                "window": window,
                "state": found.state,
            }),
        );
    }
    let list = |maps: &Vec<Map<String, Value>>| {
        Value::Array(maps.iter().cloned().map(Value::Object).collect())
    };
    if let Some(nodes) = &described.nodes_used {
        yaml.value("nodes_used", &list(nodes));
    }
    if let Some(drafter) = &described.speculative_decoding {
        yaml.value("speculative_decoding", &Value::Object(drafter.clone()));
    }
    yaml.0
}

/// None took place.
fn no_warmup() -> Value {
    json!({"duration_s": 0, "requests_issued": 0, "requests_completed": 0, "data_source": "none", "concurrency": 0})
}

/// Lines of `key: value` with values in JSON, which YAML is too; mappings get lines of their own.
#[derive(Default)]
struct Yaml(String);

impl Yaml {
    fn text(&mut self, name: &str, text: &str) {
        self.value(name, &text.into());
    }

    fn value(&mut self, name: &str, value: &Value) {
        self.lines(0, name, value);
    }

    fn lines(&mut self, depth: usize, name: &str, value: &Value) {
        let indent = "  ".repeat(depth);
        match value {
            Value::Object(map) if !map.is_empty() => {
                let _ = writeln!(self.0, "{indent}{name}:");
                for (name, value) in map.iter().filter(|(_, value)| !value.is_null()) {
                    self.lines(depth + 1, &key(name), value);
                }
            }
            other => {
                let _ = writeln!(self.0, "{indent}{name}: {other}");
            }
        }
    }
}

/// Names of fields stand as they are; of anything else YAML might make another value.
fn key(name: &str) -> String {
    let is_plain = name.len() > 1
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit());
    let is_word = ["no", "on", "off", "yes", "true", "false", "null"].contains(&name);
    if is_plain && !is_word && !name.starts_with(|c: char| c.is_ascii_digit()) {
        name.to_owned()
    } else {
        Value::from(name).to_string()
    }
}
