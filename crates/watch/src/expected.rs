//! What a run's plan says of its end and its limits, without LoadGen.

use ossmark_record::MAX_ROWS;
use ossmark_report::Kind;
use serde_json::Value;

/// The samples that LoadGen will issue, as far as `run_plan.json` tells; none where it does not, or says more than a record
/// can hold. Server's arrivals are random, which makes it approximate.
///
/// Source: the arithmetic of `TestSettings::expected_samples` in crates/loadgen, which has it from LoadGen.
pub(crate) fn expected_samples(plan: &Value) -> Option<u64> {
    let settings = plan.get("requested_settings")?;
    let number = |name: &str| settings.get(name).and_then(Value::as_u64).unwrap_or(0);
    let is = |name: &str| settings.get(name).and_then(Value::as_bool) == Some(true);
    let rows = plan
        .get("dataset")
        .and_then(|data| data.get("rows")?.as_u64());
    let believed = |samples: u64| (1..=MAX_ROWS).contains(&samples).then_some(samples);
    match plan.get("mode")?.as_str()? {
        "accuracy" => {
            let asked = Some(number("accuracy_sample_count_override")).filter(|asked| *asked > 0);
            let least = [asked, rows].into_iter().flatten().min()?;
            return believed(least);
        }
        "performance" => {}
        _ => return None,
    }
    let loaded = match number("performance_sample_count_override") {
        0 => rows,
        count => Some(rows.map_or(count, |rows| rows.min(count))),
    };
    if is("performance_issue_unique") {
        return believed(loaded?);
    }
    let slack = match plan.get("scenario").and_then(Value::as_str) {
        Some("offline") => 1.1,
        _ => 1.0,
    };
    let qps = settings.get("target_qps").and_then(Value::as_f64)?;
    let timed = (slack * number("min_duration_ms") as f64 / 1e3 * qps) as u64;
    let count = timed.max(number("min_query_count"));
    match loaded.filter(|loaded| *loaded > 0 && is("sample_concatenate_permutation")) {
        Some(loaded) => believed(count.div_ceil(loaded).saturating_mul(loaded)),
        None => believed(count),
    }
}

/// The limits, in nanoseconds: TTFT, then TPOT. LoadGen has them in its Server scenario's performance runs only.
pub(crate) fn limits(plan: &Value) -> [(Kind, Option<i64>); 2] {
    let word = |name: &str| plan.get(name).and_then(Value::as_str);
    let has = word("scenario") != Some("offline") && word("mode") != Some("accuracy");
    let limit = |name: &str| {
        let settings = plan.get("requested_settings").filter(|_| has)?;
        settings.get(name)?.as_i64().filter(|ns| *ns > 0)
    };
    [
        (Kind::Ttft, limit("ttft_latency_ns")),
        (Kind::Tpot, limit("tpot_latency_ns")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plan(scenario: &str, mode: &str, settings: Value) -> Value {
        json!({"scenario": scenario, "mode": mode, "dataset": {"rows": 100}, "requested_settings": settings})
    }

    #[test]
    fn samples_are_those_that_loadgen_will_issue() {
        let base = json!({"target_qps": 10.0, "min_duration_ms": 60_000, "min_query_count": 50});
        let with = |name: &str, value: Value| {
            let mut settings = base.clone();
            settings[name] = value;
            settings
        };
        for (scenario, mode, settings, expected) in [
            ("server", "performance", base.clone(), Some(600)),
            ("offline", "performance", base.clone(), Some(660)),
            ("server", "accuracy", base.clone(), Some(100)),
            ("server", "find-peak", base.clone(), None),
            (
                "server",
                "performance",
                with("min_query_count", json!(6396)),
                Some(6396),
            ),
            (
                "server",
                "performance",
                with("performance_issue_unique", json!(true)),
                Some(100),
            ),
            (
                "server",
                "accuracy",
                with("accuracy_sample_count_override", json!(7)),
                Some(7),
            ),
            (
                "server",
                "accuracy",
                with("accuracy_sample_count_override", json!(700)),
                Some(100),
            ),
            // Whole permutations of the loaded set.
            (
                "server",
                "performance",
                json!({"target_qps": 10.0, "min_duration_ms": 60_100, "sample_concatenate_permutation": true}),
                Some(700),
            ),
            (
                "server",
                "performance",
                json!({"target_qps": 10.0, "min_duration_ms": 60_100, "sample_concatenate_permutation": true,
                       "performance_sample_count_override": 40}),
                Some(640),
            ),
            // Nothing that a record could hold: nothing is computed for it.
            (
                "server",
                "performance",
                with("min_query_count", json!(u64::MAX)),
                None,
            ),
            (
                "server",
                "performance",
                with("target_qps", json!(1e300)),
                None,
            ),
            ("server", "performance", json!({"target_qps": "x"}), None),
            ("server", "performance", json!({"target_qps": 0.0}), None),
        ] {
            let plan = plan(scenario, mode, settings);
            assert_eq!(expected_samples(&plan), expected, "{plan}");
        }
        assert_eq!(expected_samples(&Value::Null), None);
    }

    #[test]
    fn limits_are_those_of_a_performance_run_with_a_server() {
        let settings = json!({"ttft_latency_ns": 3, "tpot_latency_ns": 0});
        let of = |scenario, mode| limits(&plan(scenario, mode, settings.clone())).map(|l| l.1);
        assert_eq!(of("server", "performance"), [Some(3), None]);
        assert_eq!(of("interactive", "find-peak"), [Some(3), None]);
        assert_eq!(of("offline", "performance"), [None, None]);
        assert_eq!(of("server", "accuracy"), [None, None]);
    }
}
