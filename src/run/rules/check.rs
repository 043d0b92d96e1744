//! The comparison of a run with its round, and the sentences that say where they differ.

use std::fmt::Display;

use ossmark_files::Escaped;
use serde_json::Value;

use super::{Audit, EngineName, Mode, RoundRules, Rules, RunFacts, Sourced, rules};

/// How a run differs from what its round asks for, one sentence each. None means that its settings are official.
pub(crate) fn deviations(facts: &RunFacts) -> Vec<String> {
    let rules = rules();
    let Some(round) = rules.round(&facts.round) else {
        let known: Vec<_> = rules.rounds().collect();
        return vec![format!(
            "round {} is not known; known: {}",
            facts.round,
            known.join(", ")
        )];
    };
    let mut check = Check {
        facts,
        found: Vec::new(),
    };
    check.seeds(round);
    match (facts.mode, facts.audit) {
        (Mode::FindPeak, _) => check
            .found
            .push("mode is find-peak; only performance and accuracy runs are submitted".into()),
        (Mode::Accuracy, audit) => check.accuracy(rules, audit),
        (Mode::Performance, None) => check.performance(rules),
        (Mode::Performance, Some(audit)) => check.compliance(rules, round, audit),
    }
    check.scenario(rules);
    check.generation(rules);
    check.speculation(rules);
    check.model(rules);
    check.found
}

struct Check<'a> {
    facts: &'a RunFacts,
    found: Vec<String>,
}

impl Check<'_> {
    fn say(&mut self, what: &str, found: impl Display, asks: impl Display, source: &str) {
        self.found.push(format!(
            "{what} is {found}, round {} asks for {asks} ({source})",
            self.facts.round
        ));
    }

    /// One setting from the log, held against `good`.
    fn setting(
        &mut self,
        key: &str,
        good: impl Fn(&Value) -> bool,
        asks: impl Display,
        source: &str,
    ) {
        match self.facts.settings.get(key) {
            Some(value) if good(value) => {}
            Some(value) => self.say(short(key), value.clone(), asks, source),
            None => self.say(short(key), "not in LoadGen's log", asks, source),
        }
    }

    fn at_least(&mut self, key: &str, rule: &Sourced<u64>) {
        let low = rule.value;
        self.setting(
            key,
            |v| v.as_u64().is_some_and(|v| v >= low),
            format!("at least {low}"),
            &rule.source,
        );
    }

    fn at_most(&mut self, key: &str, rule: &Sourced<u64>) {
        let high = rule.value;
        self.setting(
            key,
            |v| v.as_u64().is_some_and(|v| v <= high),
            format!("at most {high}"),
            &rule.source,
        );
    }

    fn exactly<T: Display + Into<Value> + Clone>(&mut self, key: &str, rule: &Sourced<T>) {
        let wanted: Value = rule.value.clone().into();
        self.setting(key, |v| *v == wanted, &rule.value, &rule.source);
    }

    fn fixed(&mut self, key: &str, wanted: impl Into<Value>) {
        let wanted = wanted.into();
        self.setting(
            key,
            |v| *v == wanted,
            wanted.clone(),
            "mlperf.conf in LoadGen leaves it so",
        );
    }

    fn seeds(&mut self, round: &RoundRules) {
        self.exactly("effective_qsl_rng_seed", &round.qsl_rng_seed);
        self.exactly(
            "effective_sample_index_rng_seed",
            &round.sample_index_rng_seed,
        );
        self.exactly("effective_schedule_rng_seed", &round.schedule_rng_seed);
    }

    fn scenario(&mut self, rules: &Rules) {
        let scenario = rules.scenario(self.facts.scenario);
        self.exactly("effective_scenario", &scenario.loadgen_scenario);
        self.exactly(
            "requested_use_token_latencies",
            &rules.performance.use_token_latencies,
        );
        if let Some(limit) = &scenario.ttft_latency_ns {
            self.at_most("requested_server_ttft_latency", limit);
        }
        if let Some(limit) = &scenario.tpot_latency_ns {
            self.at_most("requested_server_tpot_latency", limit);
        }
        if scenario.ttft_latency_ns.is_some() {
            self.fixed("requested_server_coalesce_queries", false);
        }
        if self.facts.loadgen_version != rules.loadgen.version.value {
            self.say(
                "LoadGen's version",
                &self.facts.loadgen_version,
                &rules.loadgen.version.value,
                &rules.loadgen.version.source,
            );
        }
        if !self.facts.loadgen_is_pinned {
            let source = &rules.loadgen.version.source;
            self.say(
                "LoadGen's source",
                "not the released package",
                "an unmodified release",
                source,
            );
        }
    }

    fn performance(&mut self, rules: &Rules) {
        let performance = &rules.performance;
        self.fixed("effective_test_mode", "PerformanceOnly");
        self.at_least("effective_min_duration_ms", &performance.min_duration_ms);
        self.at_least(
            "effective_performance_sample_count",
            &performance.sample_count,
        );
        self.exactly(
            "effective_sample_concatenate_permutation",
            &performance.equal_issue,
        );
        if let Some(least) = &rules.scenario(self.facts.scenario).min_samples_per_query {
            self.at_least("effective_samples_per_query", least);
        }
        self.at_most(
            "effective_target_latency_ns",
            &performance.max_target_latency_ns,
        );
        self.exactly(
            "effective_target_latency_percentile",
            &performance.target_latency_percentile,
        );
        self.fixed("effective_performance_issue_unique", false);
        self.fixed("effective_accuracy_log_sampling_target", 0);
        self.never_cut_short();
        self.rows(&performance.dataset_rows);
    }

    fn accuracy(&mut self, rules: &Rules, audit: Option<Audit>) {
        self.fixed("effective_test_mode", "AccuracyOnly");
        self.exactly(
            "effective_accuracy_sample_count",
            &rules.accuracy.sample_count,
        );
        self.rows(&rules.accuracy.dataset_rows);
        if audit.is_some() {
            self.found
                .push("an audit.config is applied; accuracy runs are made without one".into());
        }
    }

    fn compliance(&mut self, rules: &Rules, round: &RoundRules, audit: Audit) {
        let test = match audit {
            Audit::Test07 => &rules.compliance.test07,
            Audit::Test09 => &rules.compliance.test09,
            Audit::Unknown => {
                let text = "the audit.config is of neither TEST07 nor TEST09 (it has no test07_* or test09_* threshold); \
                            these are the compliance tests of gpt-oss-120b";
                self.found.push(text.into());
                return;
            }
        };
        self.fixed("effective_test_mode", "PerformanceOnly");
        self.exactly("effective_performance_sample_count", &test.sample_count);
        self.exactly(
            "effective_performance_issue_unique",
            &round.compliance_issue_unique,
        );
        self.exactly(
            "effective_accuracy_log_rng_seed",
            &rules.compliance.common.accuracy_log_rng_seed,
        );
        self.at_least(
            "effective_accuracy_log_sampling_target",
            &test.min_log_target,
        );
        self.at_least("effective_min_sample_count", &test.sample_count);
        self.never_cut_short();
        self.rows(&test.sample_count);
    }

    fn never_cut_short(&mut self) {
        self.fixed("effective_performance_issue_same", false);
        self.fixed("effective_max_duration_ms", 0);
        self.fixed("effective_max_query_count", 0);
    }

    fn rows(&mut self, rule: &Sourced<u64>) {
        if self.facts.dataset_rows != rule.value {
            self.say(
                "the number of rows of the data set",
                self.facts.dataset_rows,
                rule.value,
                &rule.source,
            );
        }
    }

    fn generation(&mut self, rules: &Rules) {
        let (facts, asked) = (self.facts, &rules.generation);
        if facts.engine == EngineName::Echo {
            self.found
                .push("answers are scripted (--engine echo): no model was run".into());
            return;
        }
        if facts.temperature != asked.temperature.value {
            self.say(
                "temperature",
                facts.temperature,
                asked.temperature.value,
                &asked.temperature.source,
            );
        }
        if facts.top_p != asked.top_p.value {
            self.say("top_p", facts.top_p, asked.top_p.value, &asked.top_p.source);
        }
        if facts.top_k != asked.top_k.value {
            self.say("top_k", facts.top_k, "none (0)", &asked.top_k.source);
        }
        let ours = facts.engine != EngineName::Http;
        if ours && facts.prng != asked.prng.value {
            self.say(
                "the sampler's random generator",
                &facts.prng,
                &asked.prng.value,
                &asked.prng.source,
            );
        }
        let limits = rules.max_new_tokens(facts.mode);
        if !limits.value.contains(&facts.max_new_tokens) {
            let any: Vec<String> = limits.value.iter().map(u32::to_string).collect();
            self.say(
                "max_new_tokens",
                facts.max_new_tokens,
                any.join(" or "),
                &limits.source,
            );
        }
        if ours && !asked.dtypes.value.contains(&facts.dtype) {
            self.say(
                "dtype",
                &facts.dtype,
                asked.dtypes.value.join(" or "),
                &asked.dtypes.source,
            );
        }
    }

    fn speculation(&mut self, rules: &Rules) {
        let Some(found) = &self.facts.speculation else {
            return;
        };
        let asked = &rules.speculation;
        if self.facts.scenario.name() != asked.scenario.value {
            self.say(
                "the scenario of speculative decoding",
                self.facts.scenario.name(),
                format!("{} alone", asked.scenario.value),
                &asked.scenario.source,
            );
        }
        if found.steps != asked.num_steps.value {
            self.say(
                "the number of tokens drafted at a time",
                found.steps,
                asked.num_steps.value,
                &asked.num_steps.source,
            );
        }
        let known = &asked.tensors_sha256;
        if !known.value.contains(&found.tensors_sha256) {
            let stated = found.revision.as_ref().map_or_else(
                || "no --speculate-revision is stated".into(),
                |revision| format!("stated to be {}", Escaped(revision)),
            );
            let head = format!(
                "not verified (tensors {}, {stated}; {})",
                found.tensors_sha256, known.source
            );
            self.say(
                "the draft head",
                head,
                &asked.head.value,
                &asked.head.source,
            );
        }
    }

    fn model(&mut self, rules: &Rules) {
        for what in &self.facts.synthetic {
            self.found.push(format!("{what} are made up, not given"));
        }
        if self.facts.engine == EngineName::Echo {
            return;
        }
        let Some(model) = &self.facts.model else {
            self.found.push("the model's config.json is not known, so nothing shows that it is gpt-oss-120b; give --model".into());
            return;
        };
        let wanted = rules.model.dimensions.named();
        let differing: Vec<String> = (model.named().iter().zip(wanted))
            .filter(|((_, found), (_, wanted))| found != wanted)
            .map(|((name, found), (_, wanted))| format!("{name} {found} instead of {wanted}"))
            .collect();
        if !differing.is_empty() {
            self.found.push(format!(
                "the checkpoint is not gpt-oss-120b: {} ({})",
                differing.join(", "),
                rules.model.source
            ));
        }
    }
}

/// Settings are named as people know them: without LoadGen's prefix.
fn short(key: &str) -> &str {
    key.strip_prefix("effective_")
        .or_else(|| key.strip_prefix("requested_"))
        .unwrap_or(key)
}
