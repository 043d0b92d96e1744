//! What is taken from a tree to make its run again: named numbers and enums, and nothing else.
//!
//! A tree is written by a stranger, and a run is a command on the auditor's machine. [`Stated`] can be copied bit by bit, so it
//! holds no text, no path, no address and no list: the compiler sees to that ([`is_copied`]). The names that it is written with
//! are this program's own.

use std::path::{Path, PathBuf};

use ossmark_logs::config::{self, Line};
use ossmark_rules::{Mode, Scenario, rules};
use serde::Serialize;

use crate::logged::Logged;
use crate::read;
use crate::results::Place;

/// A performance run as a tree states it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Stated {
    /// The scenario that its directory is named after.
    pub scenario: Scenario,
    /// The round whose seeds it had, by this program's name for it; none where they are no round's.
    pub round: Option<&'static str>,
    /// Queries a second; samples a second in Offline.
    pub target_qps: f64,
    /// In milliseconds.
    pub min_duration_ms: u64,
    /// The least number of queries; of samples in Offline.
    pub min_query_count: u64,
    /// Samples that were loaded.
    pub performance_sample_count: u64,
    /// Most tokens of an answer, where a run plan says it.
    pub max_new_tokens: Option<u32>,
    /// What logits were divided by, where a run plan says it.
    pub temperature: Option<f32>,
    /// The share of probability that was drawn from, where a run plan says it.
    pub top_p: Option<f32>,
    /// The most tokens that were drawn from, where a run plan says it.
    pub top_k: Option<u32>,
}

/// A text that somebody wrote cannot be copied bit by bit.
const fn is_copied<T: Copy + 'static>() {}
const _: () = is_copied::<Stated>();

/// Why a run cannot be made again.
#[derive(Debug, thiserror::Error)]
pub enum NotStated {
    /// There is no log of its performance run.
    #[error(
        "{}: found no readable performance/run_1/mlperf_log_detail.txt, expected LoadGen's log, whose settings are repeated",
        ossmark_files::Escaped(.0)
    )]
    NoLog(String),
    /// A number is missing, or is that of no run.
    #[error(
        "{}: found {name} {found:?} in its log, expected a number from {least} to {most}: the run cannot be repeated from it",
        ossmark_files::Escaped(.path)
    )]
    Number {
        /// The result.
        path: String,
        /// LoadGen's name.
        name: &'static str,
        /// What the log has.
        found: Option<f64>,
        /// The least that is repeated.
        least: f64,
        /// The most that is repeated.
        most: f64,
    },
}

impl Stated {
    /// Of a result: LoadGen's log decides, and a run plan beside it says what LoadGen does not know.
    ///
    /// # Errors
    /// No log, or a number that no run has.
    pub fn of(place: &Place) -> Result<Self, NotStated> {
        let dir = place.dir.join("performance/run_1");
        let log = Logged::of(&dir).ok_or_else(|| NotStated::NoLog(place.path.clone()))?;
        let number = |name: &'static str, least: f64, most: f64| {
            let found = log.number(name);
            let good = found.filter(|x| (least..=most).contains(x));
            good.ok_or_else(|| NotStated::Number {
                path: place.path.clone(),
                name,
                found,
                least,
                most,
            })
        };
        let qps = match place.scenario {
            Scenario::Offline => "requested_offline_expected_qps",
            Scenario::Server | Scenario::Interactive => "requested_server_target_qps",
        };
        let plan = [
            Some(dir.join("run_plan.json")),
            Some(place.dir.join("run_plan.json")),
            documented(&place.dir),
        ];
        let mut plans = plan.iter().flatten().map(|file| read::json(file));
        let plan = plans.find(serde_json::Value::is_object).unwrap_or_default();
        let real = |name: &str, most: f64| {
            let value = plan["sampling"][name].as_f64()?;
            (0.0..=most).contains(&value).then_some(value as f32)
        };
        let whole = |value: &serde_json::Value| {
            let value = u32::try_from(value.as_u64()?).ok()?;
            (value <= 1 << 20).then_some(value)
        };
        Ok(Self {
            scenario: place.scenario,
            round: round(&log),
            target_qps: number(qps, 1e-6, 1e7)?,
            min_duration_ms: number("requested_min_duration_ms", 0.0, 1e9)? as u64,
            min_query_count: number("requested_min_query_count", 0.0, 1e8)? as u64,
            performance_sample_count: number("effective_performance_sample_count", 1.0, 1e8)?
                as u64,
            max_new_tokens: whole(&plan["max_new_tokens"]).filter(|tokens| *tokens > 0),
            temperature: real("temperature", 100.0),
            top_p: real("top_p", 1.0),
            top_k: whole(&plan["sampling"]["top_k"]),
        })
    }

    /// The user.conf of the run that is made again.
    pub fn user_conf(&self) -> String {
        let rules = rules().scenario(self.scenario);
        let at = format!(
            "{}.{}",
            rules.model_name.value, rules.loadgen_scenario.value
        );
        format!(
            "{at}.target_qps = {}\n{at}.min_duration = {}\n{at}.min_query_count = {}\n\
             {at}.performance_sample_count_override = {}\n",
            self.target_qps,
            self.min_duration_ms,
            self.min_query_count,
            self.performance_sample_count
        )
    }

    /// Options of `ossmark run` beside those that are the auditor's own.
    pub fn options(&self, mode: Mode) -> Vec<String> {
        let mut options: Vec<String> = Vec::new();
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                options.extend([name.to_owned(), value]);
            }
        };
        add("--scenario", Some(self.scenario.name().to_owned()));
        add("--mode", Some(mode.name().to_owned()));
        add("--round", self.round.map(str::to_owned));
        if mode == Mode::Performance {
            add(
                "--max-new-tokens",
                self.max_new_tokens.map(|n| n.to_string()),
            );
        }
        add("--temperature", self.temperature.map(|x| x.to_string()));
        add("--top-p", self.top_p.map(|x| x.to_string()));
        add("--top-k", self.top_k.map(|n| n.to_string()));
        options
    }

    /// Where the result's user.conf says something else than the log that was made with it, a sentence each.
    pub fn differences(&self, place: &Place) -> Vec<String> {
        let Some(text) = read::bytes(&place.dir.join("user.conf"), 1 << 20) else {
            return vec![format!("{}: there is no readable user.conf", place.path)];
        };
        let rules = rules().scenario(self.scenario);
        let (model, scenario) = (
            rules.model_name.value.as_str(),
            rules.loadgen_scenario.value.as_str(),
        );
        let asked = |key: &str| {
            let names = [(model, scenario), ("*", scenario), (model, "*"), ("*", "*")];
            let names = names.map(|(model, scenario)| format!("{model}.{scenario}.{key}"));
            names
                .iter()
                .find_map(|name| last_value(&text, name.as_bytes()))
        };
        let known = [
            ("target_qps", self.target_qps),
            ("min_duration", self.min_duration_ms as f64),
            ("min_query_count", self.min_query_count as f64),
            (
                "performance_sample_count_override",
                self.performance_sample_count as f64,
            ),
        ];
        let mut differ = Vec::new();
        for (key, ran) in known {
            let asked = asked(key).filter(|asked| (asked - ran).abs() > 1e-5 * ran.abs());
            differ.extend(asked.map(|asked| {
                format!(
                    "{}: user.conf has {key} {asked}, its log {ran}, which is repeated",
                    place.path
                )
            }));
        }
        differ
    }
}

/// LoadGen takes the last line of a name.
fn last_value(text: &[u8], wanted: &[u8]) -> Option<f64> {
    let lines = text.rsplit(|b| *b == b'\n').map(Line::read);
    let mut values = lines.filter_map(|line| match line {
        Line::Set { name, values } if name == wanted => values.last().copied(),
        _ => None,
    });
    config::real(values.next()?)
}

/// Where `submission build` puts the plan of a result's performance run.
fn documented(result: &Path) -> Option<PathBuf> {
    let name = |up: usize| result.ancestors().nth(up)?.file_name();
    let runs = result.ancestors().nth(4)?.join("documentation/runs");
    Some(
        runs.join(name(2)?)
            .join(name(0)?)
            .join("performance/run_plan.json"),
    )
}

/// Whose seeds these are.
fn round(log: &Logged) -> Option<&'static str> {
    let plan = log.plan().ok()?;
    rules().rounds().find(|name| {
        rules().round(name).is_some_and(|round| {
            plan.seeds.qsl == round.qsl_rng_seed.value
                && plan.seeds.sample_index == round.sample_index_rng_seed.value
                && plan.seeds.schedule == round.schedule_rng_seed.value
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LOG: [(&str, &str); 10] = [
        ("requested_server_target_qps", "18.25"),
        ("requested_min_duration_ms", "600000"),
        ("requested_min_query_count", "100"),
        ("effective_performance_sample_count", "6396"),
        ("effective_test_mode", "\"PerformanceOnly\""),
        ("effective_scenario", "\"Server\""),
        ("sut_name", "\"http://evil.example; rm -rf /\""),
        ("qsl_name", "\"/etc/passwd\""),
        ("loadgen_git_commit_date", "\"$(touch x)\""),
        ("num_errors", "0"),
    ];

    fn place(root: &Path, log: &[(&str, &str)], plan: &serde_json::Value) -> Place {
        let dir = root.join("closed/Org/results/box/gpt-oss-120b/Server");
        let run = dir.join("performance/run_1");
        std::fs::create_dir_all(&run).unwrap();
        let line = |(key, value): &(&str, &str)| {
            format!(
                ":::MLLOG {{\"key\": \"{key}\", \"value\": {value}, \"time_ms\": 0.0, \"metadata\": {{\"is_error\": false, \
                 \"is_warning\": false}}}}\n"
            )
        };
        let text: String = log.iter().map(line).collect();
        std::fs::write(run.join(ossmark_logs::DETAIL), text).unwrap();
        std::fs::write(run.join("run_plan.json"), plan.to_string()).unwrap();
        let conf = "*.Server.target_qps = 20\n*.Server.min_duration = 600000\n";
        std::fs::write(dir.join("user.conf"), conf).unwrap();
        crate::results(root).unwrap().remove(0)
    }

    /// Whatever texts a tree has: what is made of it is numbers and this program's own words.
    #[test]
    fn nothing_but_numbers_and_our_own_words_is_taken() {
        let tmp = tempfile::tempdir().unwrap();
        let plan = json!({
            "command": ["ossmark", "run", "--endpoint", "http://evil.example"],
            "model": { "path": "/evil/model" }, "dataset": { "path": "/evil/data.parquet" },
            "api_key_file": "/evil/key", "engine": "http; evil", "scenario": "evil", "round": "evil",
            "user_conf": { "path": "/evil/user.conf", "content": "evil" },
            "max_new_tokens": 10240,
            "sampling": { "temperature": 1.0, "top_p": "evil", "top_k": 0, "generator": "evil" },
            "env": { "LD_PRELOAD": "/evil.so" },
        });
        let place = place(tmp.path(), &LOG, &plan);
        let stated = Stated::of(&place).unwrap();
        assert_eq!((stated.target_qps, stated.min_query_count), (18.25, 100));
        assert_eq!(
            (stated.max_new_tokens, stated.temperature, stated.top_p),
            (Some(10240), Some(1.0), None)
        );
        let mut made = stated.options(Mode::Performance).join(" ");
        made += &stated.user_conf();
        made += &serde_json::to_string(&stated).unwrap();
        for word in [
            "evil",
            "/",
            "passwd",
            "touch",
            "endpoint",
            "LD_PRELOAD",
            "key",
        ] {
            assert!(!made.contains(word), "{word}: {made}");
        }
        assert!(
            made.contains("gpt-oss-120b.Server.target_qps = 18.25\n"),
            "{made}"
        );
        let differ = stated.differences(&place);
        assert_eq!(differ.len(), 1, "{differ:?}");
        assert!(differ[0].contains("target_qps 20"), "{differ:?}");
    }

    /// Of a plan's numbers those that no run has are not taken.
    #[test]
    fn a_plan_asks_for_no_more_than_a_run_can() {
        for (tokens, top_k, expected) in [
            (1_u64 << 20, 40_u64, (Some(1 << 20), Some(40))),
            ((1 << 20) + 1, u64::MAX, (None, None)),
            (0, 1 << 32, (None, None)),
        ] {
            let tmp = tempfile::tempdir().unwrap();
            let plan = json!({ "max_new_tokens": tokens, "sampling": { "top_k": top_k } });
            let stated = Stated::of(&place(tmp.path(), &LOG, &plan)).unwrap();
            assert_eq!((stated.max_new_tokens, stated.top_k), expected, "{plan}");
        }
    }

    #[test]
    fn a_plan_among_the_documents_is_found() {
        let tmp = tempfile::tempdir().unwrap();
        let place = place(tmp.path(), &LOG, &json!(null));
        let documents = tmp
            .path()
            .join("closed/Org/documentation/runs/box/Server/performance");
        std::fs::create_dir_all(&documents).unwrap();
        let plan = json!({ "max_new_tokens": 77 });
        std::fs::write(documents.join("run_plan.json"), plan.to_string()).unwrap();
        assert_eq!(Stated::of(&place).unwrap().max_new_tokens, Some(77));
    }

    #[test]
    fn numbers_of_no_run_are_refused() {
        for (at, value) in [
            (0, "1e30"),
            (0, "-1"),
            (0, "\"nan\""),
            (0, "[]"),
            (3, "0"),
            (2, "1e300"),
        ] {
            let tmp = tempfile::tempdir().unwrap();
            let mut log = LOG;
            log[at].1 = value;
            let place = place(tmp.path(), &log, &json!({}));
            let error = Stated::of(&place).unwrap_err().to_string();
            assert!(
                error.contains(log[at].0) && error.contains("expected a number"),
                "{error}"
            );
        }
        let tmp = tempfile::tempdir().unwrap();
        let place = place(tmp.path(), &[], &json!({}));
        Stated::of(&place).unwrap_err();
    }
}
