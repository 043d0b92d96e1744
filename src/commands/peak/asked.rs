//! What was asked for: the options of the runs, as an official one would be planned by them, and what each run is given
//! instead. Starts nothing, writes nothing.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result, bail};
use ossmark_logs::config::Line;
use ossmark_predict::{Length, Limits, Plan, Query};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::cli::{PeakArgs, RunArgs, config_file};
use crate::generator::engine_plan::EnginePlan;
use crate::run::issued::{self, issued};
use crate::run::plan::{RunPlan, plan};
use crate::terminal::note;

/// A search that can be made.
pub(super) struct Asked {
    /// What a run of official length would be, but for its load.
    pub(super) plan: RunPlan,
    /// What LoadGen would issue in it, likewise.
    official: Plan,
    /// Options of each run.
    pub(super) words: Vec<OsString>,
    /// The user.conf that was given.
    conf: String,
    /// What the search depends on: another one is another search.
    pub(super) settings: Value,
}

/// An option with its value, which may begin with a hyphen.
pub(super) fn option(name: &str, value: &Path) -> OsString {
    let mut word = OsString::from(format!("{name}="));
    word.push(value);
    word
}

impl Asked {
    /// Validates what was asked.
    pub(super) fn new(args: &PeakArgs) -> Result<Self> {
        let mut words = args.run.0.clone();
        words.push("--mode=performance".into());
        words.push(option("--output", &args.output));
        words.extend(
            args.user_conf
                .iter()
                .map(|file| option("--user-conf", file)),
        );
        let run = config_file::run_args(&words)?;
        refuse_decided(&run)?;
        let file = |path: &Path| {
            ossmark_files::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))
        };
        let config = run.config.as_deref().map(file).transpose()?;
        let plan = plan(run)?;
        for warning in &plan.warnings {
            note!("ossmark: warning: {warning}");
        }
        let conf = plan.loadgen.user_conf.as_deref().map(file).transpose()?;
        let conf = conf.unwrap_or_default();
        let official = issued(&plan.requested, plan.prompts.len() as u64)?;
        if official.issue_unique {
            bail!(
                "performance_issue_unique is set: each sample is issued once, whatever the load; remove the line from user.conf"
            );
        }
        let words = args.run.0.clone();
        let shown: Vec<String> = words
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let settings = json!({
            "scenario": plan.scenario.name(),
            "options of run": shown,
            "--config": config,
            "--user-conf": conf,
            "--dataset": plan.dataset.as_ref().map(|dataset| &dataset.content_sha256),
            "--echo-script": match &plan.engine {
                EnginePlan::Echo(script) => Some(hash(&format!("{:?}", script.lines))),
                EnginePlan::Model { .. } | EnginePlan::Http { .. } => None,
            },
            "--official-runs": args.official_runs,
            "--no-confirm": args.no_confirm,
            "--budget": args.budget,
            "--probes": args.probes,
            "--probe-samples": args.probe_samples,
            // As a text: a number that is read again need not be the same in its last digit.
            "--highest-qps": args.highest_qps.map(|qps| qps.to_string()),
        });
        Ok(Self {
            plan,
            official,
            words,
            conf,
            settings,
        })
    }

    /// What LoadGen issues at a load in a run of a length.
    pub(super) fn queries(&self, target_qps: f64, length: Length) -> Vec<Query> {
        let official = Plan {
            target_qps,
            ..self.official.clone()
        };
        let plan = match length {
            Length::Official => official,
            Length::Probe(min_duration_ms) => Plan {
                min_duration_ms,
                min_query_count: 1,
                equal_issue: false,
                ..official
            },
        };
        issued::queries(&plan, self.plan.requested.scenario)
    }

    /// The first samples of the set that is loaded, which is in the order of the announced seed.
    pub(super) fn some_samples(&self, most: usize) -> Vec<Query> {
        let mut all = self.queries(1e6, Length::Probe(10));
        all.truncate(most);
        all.iter_mut().for_each(|query| query.due_ns = 0);
        all
    }

    /// The user.conf of such a run.
    pub(super) fn conf_of(&self, target_qps: f64, length: Length) -> String {
        let mut set = vec![("target_qps", target_qps.to_string())];
        if let Length::Probe(min_duration_ms) = length {
            set.extend(short(min_duration_ms, 1));
        }
        self.conf_with(&set)
    }

    /// The user.conf that was given, with these settings in the place of its own. LoadGen takes a line that names model and
    /// scenario before all others.
    pub(super) fn conf_with(&self, settings: &[(&str, String)]) -> String {
        let loadgen = &self.plan.loadgen;
        let scenario = format!("{}.{}", loadgen.model.as_str(), loadgen.scenario.as_str());
        instead(&self.conf, &scenario, settings)
    }

    /// What latencies are judged by. `samples`: of a run of official length.
    pub(super) fn limits(&self, samples: u64) -> Result<Limits> {
        let requested = &self.plan.requested;
        if !requested.use_token_latencies {
            bail!(
                "use_token_latencies is 0: LoadGen counts no tokens, and the limits of this benchmark are for those; remove the line \
                 from user.conf"
            );
        }
        let ns = |limit: u64| i64::try_from(limit).unwrap_or(i64::MAX);
        let (ttft, tpot) = (requested.server_ttft_latency, requested.server_tpot_latency);
        let percentile = requested.server_target_latency_percentile;
        Ok(Limits::new(ns(ttft), ns(tpot), percentile, samples))
    }
}

/// Settings of a run of so many milliseconds and queries at least, and no more than that makes.
pub(super) fn short(min_duration_ms: u64, queries: u64) -> [(&'static str, String); 3] {
    [
        ("min_duration", min_duration_ms.to_string()),
        ("min_query_count", queries.to_string()),
        ("sample_concatenate_permutation", "0".to_owned()),
    ]
}

fn instead(conf: &str, scenario: &str, settings: &[(&str, String)]) -> String {
    let names: Vec<String> = settings
        .iter()
        .map(|(key, _)| format!("{scenario}.{key}"))
        .collect();
    let is_kept = |line: &&str| match Line::read(line.as_bytes()) {
        Line::Set { name, .. } => !names.iter().any(|ours| ours.as_bytes() == name),
        Line::Blank | Line::NoValue { .. } | Line::Drops { .. } => true,
    };
    let mut text = String::new();
    for line in conf.lines().filter(is_kept) {
        text += line;
        text += "\n";
    }
    for (name, (_, value)) in names.iter().zip(settings) {
        text += &format!("{name} = {value}\n");
    }
    text
}

/// A `--config` file may hold what is not on this command's line.
fn refuse_decided(run: &RunArgs) -> Result<()> {
    let decided = [
        (run.target_qps.is_some(), "target-qps"),
        (run.audit_config.is_some(), "audit-config"),
        (run.stop_hopeless, "stop-hopeless"),
        (run.dry_run, "dry-run"),
        (run.require_official, "require-official"),
        (run.trace.is_some(), "trace"),
        (run.no_record, "no-record"),
        (run.json.is_some(), "json"),
        (run.drill.is_some(), "drill"),
    ];
    match decided.into_iter().find(|(is_set, _)| *is_set) {
        Some((_, key)) => bail!(
            "--config: found the key '{key}', which is decided here for each run; remove it from the file"
        ),
        None => Ok(()),
    }
}

fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_take_the_place_of_those_that_stand_there() {
        let conf = "# ours\r\ngpt-oss-120b.Server.target_qps = 5\n*.Server.target_qps = 6\n\
                    gpt-oss-120b-interactive.Server.target_qps = 7\ngpt-oss-120b.Server.min_duration = 600000";
        let found = instead(
            conf,
            "gpt-oss-120b.Server",
            &[("target_qps", 46.25.to_string())],
        );
        assert_eq!(
            found,
            "# ours\n*.Server.target_qps = 6\ngpt-oss-120b-interactive.Server.target_qps = 7\n\
             gpt-oss-120b.Server.min_duration = 600000\ngpt-oss-120b.Server.target_qps = 46.25\n"
        );
        let probe = instead(&found, "gpt-oss-120b.Server", &short(1500, 1));
        assert!(!probe.contains("600000") && probe.contains("Server.min_duration = 1500\n"));
        assert_eq!(instead("", "a.b", &[("c", "1".to_owned())]), "a.b.c = 1\n");
    }
}
