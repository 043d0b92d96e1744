//! The keys that LoadGen 6.0.17 looks up, with the type in which it reads them and the scenarios under which it does.
//!
//! Source: `TestSettings::FromConfig` in LoadGen's test_settings_internal.cc (facts only: names, types, order of look-up).

use ossmark_logs::config;

use super::{Kind, LoadgenAction, Problem};

/// How LoadGen reads a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// strtoull.
    Whole,
    /// strtoull, then cut to an `int`.
    Int,
    /// strtoull, then multiplied by a million.
    Milliseconds,
    /// Compared with 0 for some keys and with 1 for others, so nothing else is safe.
    Flag,
    /// strtod.
    Rate,
    /// strtod, divided by a hundred.
    Percent,
    /// Not read by LoadGen; read as a float by the verification script.
    Threshold,
    /// One of LoadGen's four modes.
    Mode,
}

/// Where a key has an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Both,
    AuditOnly,
    /// In a scenario that is never run here.
    MultiStream,
    /// Looked up only while the built-in mlperf.conf is read.
    BuiltIn,
}

/// A key of LoadGen's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(super) name: &'static str,
    value: Value,
    /// Empty: the scenario that is run.
    scenarios: &'static [&'static str],
    scope: Scope,
}

const fn key(name: &'static str, value: Value, scenarios: &'static [&'static str]) -> Key {
    Key {
        name,
        value,
        scenarios,
        scope: Scope::Both,
    }
}

const fn key_in(name: &'static str, value: Value, scope: Scope) -> Key {
    Key {
        name,
        value,
        scenarios: &[],
        scope,
    }
}

const SERVER: &[&str] = &["Server"];

const KEYS: [Key; 37] = [
    key("min_duration", Value::Whole, &[]),
    key("max_duration", Value::Whole, &[]),
    key("min_query_count", Value::Whole, &[]),
    key("max_query_count", Value::Whole, &[]),
    key("performance_sample_count_override", Value::Whole, &[]),
    key("accuracy_sample_count_override", Value::Whole, &[]),
    key("sample_concatenate_permutation", Value::Flag, &[]),
    key("performance_issue_unique", Value::Flag, &[]),
    key("performance_issue_same", Value::Flag, &[]),
    key("performance_issue_same_index", Value::Whole, &[]),
    key("print_timestamps", Value::Flag, &[]),
    key("use_token_latencies", Value::Flag, &[]),
    key("infer_token_latencies", Value::Flag, &[]),
    key("token_latency_scaling_factor", Value::Whole, &[]),
    key("accuracy_log_rng_seed", Value::Whole, &[]),
    key("accuracy_log_sampling_target", Value::Whole, &[]),
    key("target_qps", Value::Rate, &["Offline", "Server"]),
    key("ttft_latency", Value::Milliseconds, SERVER),
    key("tpot_latency", Value::Milliseconds, SERVER),
    key("target_latency", Value::Milliseconds, SERVER),
    key("target_latency_percentile", Value::Percent, SERVER),
    key("coalesce_queries", Value::Flag, SERVER),
    key("max_async_queries", Value::Int, SERVER),
    key_in("samples_per_query", Value::Whole, Scope::MultiStream),
    key_in("mode", Value::Mode, Scope::AuditOnly),
    key_in(
        "test07_accuracy_threshold",
        Value::Threshold,
        Scope::AuditOnly,
    ),
    key_in(
        "test09_min_output_tokens",
        Value::Threshold,
        Scope::AuditOnly,
    ),
    key_in(
        "test09_max_output_tokens",
        Value::Threshold,
        Scope::AuditOnly,
    ),
    key_in("qsl_rng_seed", Value::Whole, Scope::BuiltIn),
    key_in("sample_index_rng_seed", Value::Whole, Scope::BuiltIn),
    key_in("schedule_rng_seed", Value::Whole, Scope::BuiltIn),
    key_in("accuracy_log_probability", Value::Percent, Scope::BuiltIn),
    key_in("test05", Value::Flag, Scope::BuiltIn),
    key_in("test05_qsl_rng_seed", Value::Whole, Scope::BuiltIn),
    key_in("test05_sample_index_rng_seed", Value::Whole, Scope::BuiltIn),
    key_in("test05_schedule_rng_seed", Value::Whole, Scope::BuiltIn),
    // Set by mlperf.conf itself and looked up by nothing.
    key_in("target_duration", Value::Whole, Scope::BuiltIn),
];

/// Latency limits that mlperf.conf sets for this benchmark by model name.
pub(super) const LIMITS: [&str; 3] = ["ttft_latency", "tpot_latency", "target_latency"];

/// The other keys that mlperf.conf sets for this benchmark by model name.
pub(super) const PER_MODEL: [&str; 4] = [
    "performance_sample_count_override",
    "accuracy_sample_count_override",
    "sample_concatenate_permutation",
    "use_token_latencies",
];

/// Keys by which a performance run logs answers.
pub(super) const AUDIT_LOG: [&str; 2] = ["accuracy_log_rng_seed", "accuracy_log_sampling_target"];

/// All names.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|key| key.name)
}

pub(super) fn check_model(model: &str, kind: Kind) -> Result<(), String> {
    let known: &[&str] = match kind {
        Kind::User => &["gpt-oss-120b", "gpt-oss-120b-interactive", "*"],
        Kind::Audit => &["*"],
    };
    if known.contains(&model) {
        return Ok(());
    }
    Err(format!(
        "found the model '{model}', expected {}{}",
        any_of(known),
        suggestion(model, known)
    ))
}

pub(super) fn check_scenario(scenario: &str) -> Result<(), String> {
    const KNOWN: [&str; 3] = ["Offline", "Server", "*"];
    if KNOWN.contains(&scenario) {
        return Ok(());
    }
    let hint = match scenario.eq_ignore_ascii_case("interactive") {
        true => "; Interactive is 'Server' of the model gpt-oss-120b-interactive".into(),
        false => suggestion(scenario, &KNOWN),
    };
    Err(format!(
        "found the scenario '{scenario}', expected {}{hint}",
        any_of(&KNOWN)
    ))
}

pub(super) fn check_key(name: &str, scenario: &str, kind: Kind) -> Result<Key, String> {
    let Some(key) = KEYS.iter().find(|key| key.name == name) else {
        let names: Vec<&str> = KEYS
            .iter()
            .filter(|k| k.scope != Scope::BuiltIn)
            .map(|k| k.name)
            .collect();
        return Err(format!(
            "found the key '{name}', which LoadGen 6.0.17 does not know{}",
            suggestion(name, &names)
        ));
    };
    match (key.scope, kind) {
        (Scope::BuiltIn, _) => {
            Err("LoadGen takes it from its built-in mlperf.conf only; remove the line".into())
        }
        (Scope::AuditOnly, Kind::User) if name != "mode" => {
            Err("it belongs into a compliance test's audit.config; remove the line".into())
        }
        (Scope::MultiStream, _) => {
            Err("it is looked up for 'MultiStream' only, in which gpt-oss-120b does not run".into())
        }
        _ if scenario != "*" && !key.scenarios.is_empty() && !key.scenarios.contains(&scenario) => {
            Err(format!(
                "it is looked up for {} only",
                any_of(key.scenarios)
            ))
        }
        _ => Ok(*key),
    }
}

impl Key {
    pub(super) fn check_value(&self, value: &str) -> Result<(), Problem> {
        let reads = config::whole(value);
        // Nothing is to be said where LoadGen's number is the one that is written.
        let effect = match value == reads.to_string() {
            true => LoadgenAction::Takes,
            false => LoadgenAction::Reads(reads),
        };
        let expected =
            |expected: &str| Err((format!("found {value}, expected {expected}"), effect));
        match self.value {
            Value::Whole => whole(value),
            Value::Int if reads > i32::MAX as u64 => Err((
                format!("found {value}, expected at most {}", i32::MAX),
                // What C++ makes of it: the lower half, with its sign.
                LoadgenAction::Reads(reads as i32 as u64),
            )),
            Value::Int => whole(value),
            Value::Milliseconds if reads > u64::MAX / 1_000_000 => expected(&format!(
                "milliseconds, at most {}: more overflows as nanoseconds",
                u64::MAX / 1_000_000
            )),
            Value::Milliseconds => whole(value),
            Value::Flag if ["0", "1"].contains(&value) => Ok(()),
            Value::Flag => expected("0 or 1"),
            Value::Mode if ["0", "1", "2", "3"].contains(&value) => Ok(()),
            Value::Mode => {
                let text = format!(
                    "found {value}, expected 0 (submission), 1 (accuracy), 2 (performance) or 3 (find peak)"
                );
                Err((
                    text,
                    if reads > 3 {
                        LoadgenAction::Ignores
                    } else {
                        effect
                    },
                ))
            }
            Value::Rate => decimal(value, f64::MIN_POSITIVE, f64::MAX, "a number above 0"),
            Value::Percent => decimal(
                value,
                f64::MIN_POSITIVE,
                100.0,
                "a percentage above 0, at most 100",
            ),
            Value::Threshold => decimal(value, 0.0, f64::MAX, "a number, not negative"),
        }
    }
}

fn whole(value: &str) -> Result<(), Problem> {
    let reads = config::whole(value);
    if value == reads.to_string() {
        return Ok(());
    }
    // What was probably meant.
    let hint = match value.parse::<f64>() {
        Ok(number) if number.fract() == 0.0 && (0.0..1e18).contains(&number) => {
            format!("; write {number:.0}")
        }
        _ => String::new(),
    };
    let text = format!(
        "found {value}, expected a whole number in decimal digits, at most {}{hint}",
        u64::MAX
    );
    Err((text, LoadgenAction::Reads(reads)))
}

fn decimal(value: &str, low: f64, high: f64, expected: &str) -> Result<(), Problem> {
    // Neither 'inf' nor hexadecimal, which strtod takes.
    let plain = value
        .bytes()
        .all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    match value.parse::<f64>() {
        Ok(number) if plain && (low..=high).contains(&number) => Ok(()),
        _ => Err((
            format!("found {value}, expected {expected}"),
            LoadgenAction::Takes,
        )),
    }
}

fn any_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    quoted.join(" or ")
}

/// Letters that are wrong, missing, too many or in the place of each other, at most.
const TYPING_MISTAKES: usize = 2;

/// The known name that was probably meant: the same in other letters, one that contains the other, or one that was mistyped.
fn suggestion(found: &str, known: &[&str]) -> String {
    // Hyphens are of many kinds, and look the same.
    let plain = |s: &str| {
        s.to_ascii_lowercase()
            .replace(|c: char| !c.is_ascii_alphanumeric(), "")
    };
    let found = plain(found);
    let is_near = |name: &str| {
        name.contains(&found)
            || found.contains(name)
            || strsim::osa_distance(name, &found) <= TYPING_MISTAKES
    };
    let candidates = known.iter().filter(|name| **name != "*" && found.len() > 3);
    let best = candidates
        .filter(|name| is_near(&plain(name)))
        .min_by_key(|name| plain(name).len().abs_diff(found.len()));
    best.map(|name| format!("; did you mean '{name}'?"))
        .unwrap_or_default()
}
