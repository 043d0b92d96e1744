//! The performance run.

use serde_json::Value;

use super::super::run::{PERFORMANCE_RUN, Run};
use super::system::is_network;
use crate::finding::Findings;
use crate::log::{Log, NoValue};
use crate::python;
use ossmark_logs::DETAIL;

/// Scenarios that end when early stopping says so.
const EARLY_STOPPING: [&str; 3] = ["Server", "SingleStream", "MultiStream"];

struct Check<'a, 'b> {
    run: &'a Run<'b>,
    log: &'a Log,
    /// As logged, None for what is no text.
    scenario: Option<String>,
    findings: &'a mut Findings,
    file: String,
}

/// The result, where the log gives one.
pub(super) fn check(run: &Run<'_>, findings: &mut Findings) -> Option<f64> {
    let log = run.performance.as_ref()?;
    let file = if log.is_endpoints {
        String::from("performance/result_summary.json")
    } else {
        format!("{PERFORMANCE_RUN}/{DETAIL}")
    };
    match log.value("effective_scenario") {
        Err(NoValue) => {
            run.report(
                findings,
                "performance.log",
                &file,
                "found effective_scenario without a value",
            );
            None
        }
        Ok(scenario) => {
            let scenario = scenario.as_str().map(|s| {
                if log.is_endpoints {
                    endpoints_scenario(s, &run.folder)
                } else {
                    s.to_owned()
                }
            });
            let mut check = Check {
                run,
                log,
                scenario,
                findings,
                file,
            };
            check.all();
            check.metric()
        }
    }
}

/// mlcommons/endpoints has other names for some scenarios.
fn endpoints_scenario(logged: &str, folder: &str) -> String {
    match (
        logged.to_lowercase().as_str(),
        folder.to_lowercase().as_str(),
    ) {
        (_, "singlestream") => "SingleStream".into(),
        (_, "interactive") | ("interactive", _) => "Interactive".into(),
        ("online", _) => "Server".into(),
        _ => logged.to_owned(),
    }
}

impl Check<'_, '_> {
    fn report(&mut self, rule: &'static str, message: impl Into<String>) {
        self.run.report(self.findings, rule, &self.file, message);
    }

    /// A number that must not be below a limit; what is no number is below every limit.
    fn at_least(&mut self, rule: &'static str, key: &str, low: u64) {
        if !self
            .log
            .number(key)
            .is_some_and(|n| n >= low as f64 || n.is_nan())
        {
            let found = self.log.shown(key);
            self.report(
                rule,
                format!("found {key} {found}, expected at least {low}"),
            );
        }
    }

    fn all(&mut self) {
        let (rules, round) = (self.run.system.rules, self.run.system.round);
        if self.log.lacks_metadata && !self.log.is_endpoints {
            self.report(
                "performance.log-entry",
                "found an entry without metadata.is_error",
            );
        }
        if !self.log.is_endpoints {
            self.at_least(
                "performance.sample-count",
                "effective_performance_sample_count",
                rules.performance.sample_count.value,
            );
        }
        for (key, wanted) in [
            ("effective_qsl_rng_seed", round.qsl_rng_seed.value),
            (
                "effective_sample_index_rng_seed",
                round.sample_index_rng_seed.value,
            ),
            ("effective_schedule_rng_seed", round.schedule_rng_seed.value),
        ] {
            // The endpoints' client has no such seed.
            let has_none = self.log.is_endpoints && key == "effective_qsl_rng_seed";
            if !has_none
                && !self
                    .log
                    .value(key)
                    .is_ok_and(|found| python::equals(found, wanted))
            {
                let found = self.log.shown(key);
                self.report(
                    "performance.seeds",
                    format!(
                        "found {key} {found}, round {} has {wanted}",
                        self.run.system.round_name
                    ),
                );
            }
        }
        self.latency();
        if !self.log.is_endpoints {
            self.counts();
        }
        self.at_least(
            "performance.min-duration",
            "effective_min_duration_ms",
            rules.performance.min_duration_ms.value,
        );
        self.sut_name();
        self.token_latencies();
    }

    fn latency(&mut self) {
        if self.log.is_endpoints {
            return;
        }
        let rules = self.run.system.rules;
        let limit = rules.performance.max_target_latency_ns.value;
        // Only the log's own scenario has an end-to-end limit when it stops early, only the directory's name otherwise.
        let key = match self.scenario.as_deref() {
            Some(scenario) if EARLY_STOPPING.contains(&scenario) => {
                if !self
                    .log
                    .value("early_stopping_met")
                    .is_ok_and(python::truthy)
                {
                    let found = self.log.shown("early_stopping_met");
                    self.report(
                        "performance.early-stopping",
                        format!("found early_stopping_met {found}, expected true"),
                    );
                    return;
                }
                (scenario == "Server").then_some("effective_target_latency_ns")
            }
            _ => self
                .run
                .folder
                .eq_ignore_ascii_case("server")
                .then_some("result_99.00_percentile_latency_ns"),
        };
        if let Some(key) = key.filter(|key| {
            !self
                .log
                .number(key)
                .is_some_and(|n| n <= limit as f64 || n.is_nan())
        }) {
            let found = self.log.shown(key);
            self.report(
                "performance.target-latency",
                format!("found {key} {found}, expected at most {limit}"),
            );
        }
    }

    fn counts(&mut self) {
        let rules = self.run.system.rules;
        let Some(scenario) = self.scenario.clone() else {
            let found = self.log.shown("effective_scenario");
            self.report(
                "performance.query-count",
                format!("found effective_scenario {found}, expected the name of a scenario"),
            );
            return;
        };
        let stops_early = EARLY_STOPPING.contains(&scenario.as_str());
        let queries = rules.submission.min_queries.value.get(&scenario);
        if let Some(low) = queries.filter(|_| !stops_early) {
            let before = self.findings.list.len();
            self.at_least("performance.query-count", "effective_min_query_count", *low);
            if self.findings.list.len() > before {
                return;
            }
        }
        let low = rules
            .scenario(ossmark_rules::Scenario::Offline)
            .min_samples_per_query
            .as_ref();
        if let (true, Some(low)) = (scenario.eq_ignore_ascii_case("offline"), low) {
            // Only closed is held to the number, but everybody must have one.
            let low = if self.run.system.division == "closed" {
                low.value
            } else {
                0
            };
            self.at_least(
                "performance.samples-per-query",
                "effective_samples_per_query",
                low,
            );
        }
    }

    fn sut_name(&mut self) {
        let Some(json) = &self.run.system.json else {
            return;
        };
        // What is wrong with is_network itself is the system's finding.
        if self.run.system.division == "closed"
            || is_network(json.get("is_network").unwrap_or(&Value::Null)) != Some(true)
        {
            return;
        }
        let wanted = &self.run.system.rules.submission.network_sut_name.value;
        let named = match self.log.value("sut_name") {
            Ok(Value::String(name)) => name.contains(wanted.as_str()),
            Ok(Value::Array(names)) => names.iter().any(|n| n.as_str() == Some(wanted)),
            Ok(Value::Object(names)) => names.contains_key(wanted),
            _ => false,
        };
        if !named {
            let found = self.log.shown("sut_name");
            self.report(
                "performance.sut-name",
                format!("found sut_name {found}, expected {wanted:?} in it"),
            );
        }
    }

    fn token_latencies(&mut self) {
        let key = "requested_use_token_latencies";
        if !self.log.is_endpoints && !self.log.value(key).is_ok_and(python::truthy) {
            let found = self.log.shown(key);
            self.report(
                "performance.token-latencies",
                format!("found {key} {found}, expected true"),
            );
            return;
        }
        let rules = self.run.system.rules;
        let limits = match self.scenario.as_deref() {
            Some("Server") => rules.scenario(ossmark_rules::Scenario::Server),
            Some("Interactive") => rules.scenario(ossmark_rules::Scenario::Interactive),
            _ => return,
        };
        for (key, limit) in [
            (
                "result_first_token_99.00_percentile_latency_ns",
                &limits.ttft_latency_ns,
            ),
            (
                "result_time_per_output_token_99.00_percentile_ns",
                &limits.tpot_latency_ns,
            ),
        ] {
            let Some(limit) = limit else { continue };
            if !self.log.number(key).is_some_and(|n| n < limit.value as f64) {
                let found = self.log.shown(key);
                self.report(
                    "performance.latency-limits",
                    format!(
                        "found {key} {found}, expected less than {} ({})",
                        limit.value, limit.source
                    ),
                );
            }
        }
    }

    /// The result, where there is one. A run may stand for another scenario in rare cases.
    fn metric(&mut self) -> Option<f64> {
        let Some(scenario) = self.scenario.clone() else {
            let found = self.log.shown("effective_scenario");
            self.report(
                "performance.scenario",
                format!("found effective_scenario {found}, expected the name of a scenario"),
            );
            return None;
        };
        let (logged, folder) = (scenario.to_lowercase(), self.run.folder.to_lowercase());
        let fits = logged == folder || (logged == "server" && folder == "interactive");
        if !fits && !self.may_stand_for(&logged, &folder) {
            self.report(
                "performance.scenario",
                format!(
                    "found a log of scenario {scenario} in directory {}",
                    self.run.folder
                ),
            );
        }
        let Some(keys) = self.metric_keys(&scenario) else {
            let round = self.run.system.round_name;
            self.report(
                "performance.metric",
                format!("found scenario {scenario}, which has no result in round {round}"),
            );
            return None;
        };
        if matches!(self.log.value("result_validity"), Err(NoValue)) {
            self.report(
                "performance.log-entry",
                "found result_validity without a value",
            );
        }
        let mut metric = None;
        for key in keys {
            metric = self.log.value(key).ok().and_then(python::float);
            if metric.is_none() {
                let found = self.log.shown(key);
                self.report(
                    "performance.metric",
                    format!("found {key} {found}, expected a number"),
                );
                return None;
            }
        }
        if !fits {
            metric = self.inferred(&logged, &folder);
        }
        if metric.is_none_or(|m| m == 0.0) {
            self.report(
                "performance.metric-zero",
                "found a result of 0, expected tokens per second",
            );
        }
        metric
    }

    /// Keys that must hold a number, the result last.
    fn metric_keys(&self, scenario: &str) -> Option<&'static [String]> {
        let (rules, round) = (&self.run.system.rules.submission, self.run.system.round);
        if !self.log.is_endpoints {
            let known = round.loadgen_scenarios.value.iter().any(|s| s == scenario);
            return rules
                .metrics
                .value
                .get(scenario)
                .filter(|_| known)
                .map(Vec::as_slice);
        }
        let mut table = rules
            .endpoints_metrics
            .value
            .iter()
            .filter(|_| round.endpoints.value);
        let (name, keys) = table.find(|(name, _)| name.eq_ignore_ascii_case(scenario))?;
        // The benchmark's own metric is looked up by the exact name, the general one by any spelling.
        Some(if name == scenario { keys } else { &keys[..1] })
    }

    fn may_stand_for(&self, logged: &str, folder: &str) -> bool {
        let system_type = self
            .run
            .system
            .json
            .as_ref()
            .and_then(|json| json.get("system_type"))
            .and_then(Value::as_str);
        system_type.is_some_and(|t| t.to_lowercase().contains("edge"))
            && matches!(
                (logged, folder),
                ("singlestream", "multistream" | "offline") | ("multistream", "offline")
            )
    }

    /// Results that the edge suite derives from another scenario's run.
    fn inferred(&self, logged: &str, folder: &str) -> Option<f64> {
        match (logged, folder) {
            ("singlestream", "offline") => self.log.number("result_qps_without_loadgen_overhead"),
            ("multistream", "offline") => {
                let mean_ms = self.log.number("result_mean_query_latency_ns")? / 1e6;
                Some(self.log.number("effective_samples_per_query")? * 1000.0 / mean_ms)
            }
            // Eight samples a query.
            ("singlestream", "multistream") => {
                Some(self.log.number("early_stopping_latency_ms")? * 8.0 / 1e6)
            }
            _ => self.log.number("result_samples_per_second").or(Some(1.0)),
        }
    }
}
