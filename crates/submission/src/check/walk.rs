//! From the root of a tree to the directories of its results, in the order of the official checker's loader.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use ossmark_rules::{RoundRules, rules};
use serde_json::{Map, Value};

use super::load::load;
use super::result_line::ResultLine;
use super::run::Run;
use super::system::System;
use super::{Options, csv, extra, official};
use crate::finding::Findings;
use crate::python;
use crate::tree::{TEXT_LIMIT, Text, directories, read_text};

/// A real round has some hundred results of all benchmarks; links in circles make as many as one likes.
const MAX_RESULTS: usize = 2000;

struct Walk<'a> {
    options: Options<'a>,
    round: &'static RoundRules,
    findings: &'a mut Findings,
    results: Vec<ResultLine>,
    /// Runs that were seen, to find one that was handed in twice.
    seen: extra::SeenRuns,
    looked_at: usize,
}

/// Judges everything under the root.
pub(super) fn walk(
    options: Options<'_>,
    round: &'static RoundRules,
    findings: &mut Findings,
) -> Vec<ResultLine> {
    let mut walk = Walk {
        options,
        round,
        findings,
        results: Vec::new(),
        seen: extra::SeenRuns::default(),
        looked_at: 0,
    };
    for division in directories(options.input).unwrap_or_default() {
        let Some(division) = division.to_str().filter(|d| {
            rules()
                .submission
                .divisions
                .value
                .iter()
                .any(|known| known == d)
        }) else {
            continue;
        };
        let dir = options.input.join(division);
        for submitter in directories(&dir).unwrap_or_default() {
            if options
                .submitter
                .is_none_or(|wanted| OsStr::new(wanted) == submitter)
            {
                walk.submitter(division, &dir, &submitter);
            }
        }
    }
    walk.results
}

impl Walk<'_> {
    fn submitter(&mut self, division: &str, dir: &Path, name: &OsString) {
        let dir = dir.join(name);
        let submitter = self.name(division, name);
        let path = format!("{division}/{submitter}");
        let results = dir.join("results");
        let Some(systems) = directories(&results) else {
            self.findings.invalidating(
                &path,
                "tree.no-results-dir",
                &path,
                "found no directory results/",
            );
            return;
        };
        let mapping = if division == "open" {
            self.model_mapping(&dir, &path)
        } else {
            Map::new()
        };
        let before = self.results.len();
        for system in &systems {
            let name = self.name(&format!("{path}/results"), system);
            let mut system = System {
                rules: rules(),
                round_name: self.options.round,
                round: self.round,
                division,
                submitter: &submitter,
                dir: results.join(system),
                path: format!("{path}/results/{name}"),
                name,
                submitter_dir: &dir,
                submitter_path: &path,
                json: None,
            };
            system.json = self.system_json(&system);
            self.system(&system, &mapping);
        }
        if self.results.len() > before {
            extra::submitter(&dir, &path, &systems, self.findings);
        }
    }

    fn model_mapping(&mut self, dir: &Path, path: &str) -> Map<String, Value> {
        let file = "model_mapping.json";
        match read_text(&dir.join(file), TEXT_LIMIT) {
            Text::Missing => return Map::new(),
            Text::Read(text) => {
                if let Ok(Value::Object(mapping)) = python::loads(&text) {
                    return mapping;
                }
            }
            Text::Unreadable(_) | Text::TooLarge(_) => {}
        }
        let at = format!("{path}/{file}");
        self.findings.invalidating(
            path,
            "tree.unreadable",
            &at,
            "found no JSON object, expected one from directory names to benchmarks",
        );
        Map::new()
    }

    fn system_json(&mut self, system: &System<'_>) -> Option<Map<String, Value>> {
        let file = system
            .submitter_dir
            .join("systems")
            .join(format!("{}.json", system.name));
        let at = system.json_path();
        let why = match read_text(&file, TEXT_LIMIT) {
            Text::Missing => {
                self.findings.invalidating(
                    &system.path,
                    "system.missing",
                    &at,
                    "not found, expected the system description",
                );
                return None;
            }
            Text::Unreadable(why) => why,
            Text::TooLarge(size) => format!("found {size} bytes"),
            Text::Read(text) => match python::loads(&text) {
                Ok(Value::Object(json)) => return Some(json),
                Ok(other) => format!("found {}", python::shown(&other)),
                Err(error) => format!("found text that is not JSON ({error})"),
            },
        };
        self.findings.invalidating(
            &system.path,
            "system.not-an-object",
            &at,
            format!("{why}, expected a JSON object"),
        );
        None
    }

    fn system(&mut self, system: &System<'_>, mapping: &Map<String, Value>) {
        let benchmarks = directories(&system.dir).unwrap_or_default();
        let type_known = system.is_open()
            || official::system_type_is_known(system, !benchmarks.is_empty(), self.findings);
        let mut scenarios_seen = false;
        for name in &benchmarks {
            let dir = system.dir.join(name);
            let benchmark = self.name(&system.path, name);
            let scenarios = directories(&dir).unwrap_or_default();
            scenarios_seen |= !scenarios.is_empty();
            self.benchmark(system, &dir, &benchmark, &scenarios, type_known, mapping);
        }
        if scenarios_seen {
            official::system(system, self.findings);
        }
    }

    fn benchmark(
        &mut self,
        system: &System<'_>,
        dir: &Path,
        benchmark: &str,
        scenarios: &[OsString],
        type_known: bool,
        mapping: &Map<String, Value>,
    ) {
        let path = format!("{}/{benchmark}", system.path);
        let submission = &system.rules.submission;
        let model = model_of(benchmark, self.round, mapping);
        if model != submission.benchmark.value {
            if self.round.known_benchmarks.value.contains(&model) {
                self.findings.general(
                    "benchmark.other",
                    &path,
                    format!("found benchmark {model}, which is not checked here"),
                );
            } else if system.is_open() {
                if !scenarios.is_empty() {
                    self.findings.invalidating(
                        &path,
                        "benchmark.unknown",
                        &path,
                        format!("found directory {benchmark}, expected the name of a benchmark"),
                    );
                    for scenario in scenarios {
                        let scenario = scenario.to_string_lossy().into_owned();
                        let path = format!("{path}/{scenario}");
                        self.results.push(ResultLine {
                            path,
                            scenario,
                            metric: None,
                            valid: false,
                            row: None,
                        });
                    }
                }
            } else {
                self.findings.invalidating(
                    &path,
                    "benchmark.unknown-closed",
                    &path,
                    format!(
                        "found directory {benchmark}, expected {}",
                        submission.benchmark.value
                    ),
                );
            }
            return;
        }
        if !system.is_open() {
            official::scenarios(system, &path, scenarios, type_known, self.findings);
        }
        if scenarios.is_empty() {
            self.findings.general(
                "benchmark.empty",
                &path,
                "found no scenario, expected Offline and one of Server and Interactive",
            );
            return;
        }
        for scenario in scenarios {
            self.looked_at += 1;
            if self.looked_at > MAX_RESULTS {
                self.findings.invalidating(
                    &path,
                    "tree.too-many",
                    &path,
                    format!("found more than {MAX_RESULTS} results, the rest is not looked at"),
                );
                return;
            }
            let folder = self.name(&path, scenario);
            let run = Run::new(
                system,
                benchmark,
                &folder,
                dir.join(scenario),
                format!("{path}/{folder}"),
            );
            self.scenario(run);
        }
    }

    fn scenario(&mut self, mut run: Run<'_>) {
        let before = self.findings.list.len();
        load(&mut run, self.findings);
        let measured = official::run(&run, self.findings);
        let objected = |findings: &Findings| findings.list[before..].iter().any(|f| f.official);
        let row = if objected(self.findings) {
            None
        } else {
            csv::row(&run, &measured, self.findings)
        };
        extra::run(&run, &mut self.seen, self.findings);
        self.results.push(ResultLine {
            path: run.path.clone(),
            scenario: run.folder.clone(),
            metric: measured.metric.filter(|m| m.is_finite()),
            valid: false,
            row,
        });
    }

    /// A name as text; what is not UTF-8 is a finding.
    fn name(&mut self, parent: &str, name: &OsStr) -> String {
        let text = name.to_string_lossy().into_owned();
        if name.to_str().is_none() {
            let at = format!("{parent}/{text}");
            self.findings.invalidating(
                &at,
                "tree.name-not-utf8",
                &at,
                "found a name that is not UTF-8",
            );
        }
        text
    }
}

/// Which benchmark a directory stands for; its own name when nobody knows it.
fn model_of(directory: &str, round: &RoundRules, mapping: &Map<String, Value>) -> String {
    let submission = &rules().submission;
    let known = |name: &str| round.known_benchmarks.value.iter().any(|k| k == name);
    if known(directory) {
        return directory.into();
    }
    let aliases = &submission.benchmark_aliases.value;
    let mapped = aliases.get(directory).cloned().or_else(|| {
        let name = mapping.get(directory)?.as_str()?;
        (!name.is_empty()).then(|| name.to_owned())
    });
    mapped.unwrap_or_else(|| {
        // Longer parts first: bert-99.9 holds bert-99.
        let mut guesses: Vec<_> = submission.benchmark_guesses.value.iter().collect();
        guesses.sort_by_key(|(part, _)| std::cmp::Reverse(part.len()));
        let guess = guesses
            .into_iter()
            .find(|(part, _)| directory.contains(part.as_str()));
        guess.map_or_else(|| directory.to_owned(), |(_, name)| name.clone())
    })
}
