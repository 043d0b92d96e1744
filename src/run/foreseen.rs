//! What LoadGen will log of a run's settings, before it is made: so that the rules can be held against a run that is not there
//! yet, by the same comparison as against one that is. Pure.

use std::collections::BTreeMap;

use loadgen::{Scenario, TestSettings};
use serde_json::{Value, json};

/// The entries that the rules look at. `requested` is without audit.config, `audited` with it; `rows`: of the data set.
pub(crate) fn entries(
    requested: &TestSettings,
    audited: &TestSettings,
    rows: u64,
) -> BTreeMap<String, Value> {
    let counted = |count: u64| match count {
        0 => rows,
        count => count,
    };
    let (samples_per_query, min_query_count) = match audited.scenario == Scenario::Offline {
        true => (offline_samples(audited, rows), 1),
        false => (1, audited.min_query_count),
    };
    let entries = [
        ("effective_qsl_rng_seed", json!(audited.qsl_rng_seed)),
        (
            "effective_sample_index_rng_seed",
            json!(audited.sample_index_rng_seed),
        ),
        (
            "effective_schedule_rng_seed",
            json!(audited.schedule_rng_seed),
        ),
        ("effective_scenario", json!(audited.scenario.as_str())),
        ("effective_test_mode", json!(audited.mode.as_str())),
        (
            "requested_use_token_latencies",
            json!(requested.use_token_latencies),
        ),
        (
            "requested_server_ttft_latency",
            json!(requested.server_ttft_latency),
        ),
        (
            "requested_server_tpot_latency",
            json!(requested.server_tpot_latency),
        ),
        (
            "requested_server_coalesce_queries",
            json!(requested.server_coalesce_queries),
        ),
        ("effective_min_duration_ms", json!(audited.min_duration_ms)),
        (
            "effective_performance_sample_count",
            json!(counted(audited.performance_sample_count_override)),
        ),
        (
            "effective_accuracy_sample_count",
            json!(counted(audited.accuracy_sample_count_override)),
        ),
        (
            "effective_sample_concatenate_permutation",
            json!(audited.sample_concatenate_permutation),
        ),
        ("effective_samples_per_query", json!(samples_per_query)),
        (
            "effective_min_sample_count",
            json!(min_query_count.saturating_mul(samples_per_query)),
        ),
        (
            "effective_target_latency_ns",
            json!(audited.server_target_latency_ns),
        ),
        (
            "effective_target_latency_percentile",
            json!(audited.server_target_latency_percentile),
        ),
        (
            "effective_performance_issue_unique",
            json!(audited.performance_issue_unique),
        ),
        (
            "effective_performance_issue_same",
            json!(audited.performance_issue_same),
        ),
        (
            "effective_accuracy_log_rng_seed",
            json!(audited.accuracy_log_rng_seed),
        ),
        (
            "effective_accuracy_log_sampling_target",
            json!(audited.accuracy_log_sampling_target),
        ),
        ("effective_max_duration_ms", json!(audited.max_duration_ms)),
        ("effective_max_query_count", json!(audited.max_query_count)),
    ];
    let named = entries.map(|(name, value)| (name.to_owned(), value));
    named.into_iter().collect()
}

/// Samples of Offline's one query, before LoadGen rounds them up to whole permutations.
fn offline_samples(audited: &TestSettings, rows: u64) -> u64 {
    if audited.performance_issue_unique {
        return audited.loaded_samples(rows, rows);
    }
    let timed = 1.1 * (audited.min_duration_ms as f64 / 1e3) * audited.target_qps();
    audited.min_query_count.max(timed as u64)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use loadgen::{Mode, Settings};

    use super::*;
    use crate::run::rules::{
        Audit, EngineName, Mode as Rule, RunFacts, Scenario as Case, deviations, rules,
    };

    const CONF: [(&str, &str); 3] = [
        (
            "offline",
            include_str!("../../mlperf_conf/offline.user.conf"),
        ),
        ("server", include_str!("../../mlperf_conf/server.user.conf")),
        (
            "interactive",
            include_str!("../../mlperf_conf/interactive.user.conf"),
        ),
    ];
    const TEST07: &str = include_str!("../../mlperf_conf/audit/TEST07/audit.config");
    const TEST09: &str = include_str!("../../mlperf_conf/audit/TEST09/audit.config");

    fn facts(scenario: &str, kind: &str, more: &str, dir: &Path) -> RunFacts {
        let (_, conf) = CONF.iter().find(|(name, _)| *name == scenario).unwrap();
        let (loadgen, model, case) = match scenario {
            "offline" => (Scenario::Offline, "gpt-oss-120b", Case::Offline),
            "server" => (Scenario::Server, "gpt-oss-120b", Case::Server),
            _ => (
                Scenario::Server,
                "gpt-oss-120b-interactive",
                Case::Interactive,
            ),
        };
        let (mode, rule, rows, audit, config) = match kind {
            "accuracy" => (Mode::AccuracyOnly, Rule::Accuracy, 4395, None, None),
            "test07" => (
                Mode::PerformanceOnly,
                Rule::Performance,
                990,
                Some(Audit::Test07),
                Some(TEST07),
            ),
            "test09" => (
                Mode::PerformanceOnly,
                Rule::Performance,
                6396,
                Some(Audit::Test09),
                Some(TEST09),
            ),
            _ => (Mode::PerformanceOnly, Rule::Performance, 6396, None, None),
        };
        let mut settings = Settings::new(loadgen, mode, model, dir);
        let mut text = (*conf).to_owned();
        if kind == "test07" {
            text += include_str!("../../mlperf_conf/test07.user.conf");
        }
        text += more;
        std::fs::write(dir.join("user.conf"), text).unwrap();
        settings.user_conf = Some(dir.join("user.conf"));
        if let Some(config) = config {
            std::fs::write(dir.join("test.config"), config).unwrap();
            settings.audit_config = Some(dir.join("test.config"));
        }
        let entries = entries(
            &settings.requested().unwrap(),
            &settings.audited().unwrap(),
            rows,
        );
        RunFacts {
            round: "v6.1".into(),
            scenario: case,
            mode: rule,
            settings: entries,
            dataset_rows: rows,
            engine: EngineName::Cpu,
            model: Some(rules().model.dimensions.clone()),
            temperature: 1.0,
            top_p: 1.0,
            top_k: 0,
            max_new_tokens: rules().max_new_tokens(rule).value[0],
            prng: "mt19937".into(),
            dtype: "bf16".into(),
            synthetic: Vec::new(),
            speculation: None,
            audit,
            loadgen_version: "6.0.17".into(),
            loadgen_is_pinned: true,
        }
    }

    #[test]
    fn the_settings_that_are_shipped_will_be_official() {
        let tmp = tempfile::tempdir().unwrap();
        for scenario in ["offline", "server", "interactive"] {
            for kind in ["performance", "accuracy", "test07", "test09"] {
                let found = deviations(&facts(scenario, kind, "", tmp.path()));
                assert_eq!(found, [] as [String; 0], "{scenario} {kind}");
            }
        }
    }

    #[test]
    fn what_will_deviate_is_known_before() {
        let tmp = tempfile::tempdir().unwrap();
        for (scenario, kind, line, part) in [
            (
                "server",
                "performance",
                "gpt-oss-120b.Server.min_duration = 60000",
                "min_duration_ms",
            ),
            (
                "server",
                "performance",
                "gpt-oss-120b.Server.ttft_latency = 9000",
                "ttft_latency",
            ),
            (
                "server",
                "performance",
                "*.Server.coalesce_queries = 1",
                "coalesce_queries",
            ),
            (
                "server",
                "performance",
                "*.Server.target_latency_percentile = 90",
                "percentile",
            ),
            (
                "server",
                "performance",
                "*.Server.max_duration = 700000",
                "max_duration_ms",
            ),
            (
                "interactive",
                "performance",
                "gpt-oss-120b-interactive.Server.tpot_latency = 80",
                "tpot_latency",
            ),
            (
                "offline",
                "performance",
                "gpt-oss-120b.Offline.min_query_count = 1",
                "samples_per_query",
            ),
            (
                "offline",
                "performance",
                "gpt-oss-120b.*.performance_sample_count_override = 100",
                "performance_sample_count",
            ),
            (
                "offline",
                "performance",
                "gpt-oss-120b.*.sample_concatenate_permutation = 0",
                "concatenate_permutation",
            ),
            (
                "offline",
                "accuracy",
                "gpt-oss-120b.*.accuracy_sample_count_override = 100",
                "accuracy_sample_count",
            ),
            (
                "server",
                "test07",
                "gpt-oss-120b.*.performance_sample_count_override = 980",
                "performance_sample_count",
            ),
        ] {
            let found = deviations(&facts(scenario, kind, &format!("{line}\n"), tmp.path()));
            assert!(
                found.len() == 1 && found[0].contains(part),
                "{line}: {found:?}"
            );
        }
    }
}
