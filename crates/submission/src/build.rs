//! `submission build`: from the directories of finished runs and one description to the tree that is submitted.
//!
//! Owns where each file goes, and the stamp of a rehearsal on the system's name and every README. Does not own which run may
//! be handed in (`runs`), nor what makes it valid or official: that stands in its verdict.json.

mod description;
mod documents;
mod public;
mod runs;
mod text;

use std::fs;
use std::path::{Path, PathBuf};

use ossmark_files::{Planned, write_all};
use ossmark_rules::{Scenario, rules};
use serde_json::{Map, Value, json};

pub use description::{Description, ResultDescription};

use runs::RunDir;

use ossmark_logs::{ACCURACY, DETAIL, SUMMARY};

use crate::audit::RECORDS;
use crate::check::{PERFORMANCE_RUN, REHEARSAL};
use crate::error::Error;

/// What to build from, and where.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The TOML description; paths in it are relative to it.
    pub description: &'a Path,
    /// Gets closed/, open/ or network/.
    pub output: &'a Path,
    /// Accept test settings, and stamp what comes of them.
    pub rehearsal: bool,
}

/// Files of the tree by their path in it; nothing is written before all of them are known.
type Files = Vec<(String, Planned)>;

/// Builds the tree and returns the paths that were written.
///
/// # Errors
/// [`Error::Refused`] with everything that stands against the runs or is missing in the description, before anything is
/// written; [`Error::Unusable`] for a file that cannot be understood, [`Error::Io`].
pub fn build(options: Options<'_>) -> Result<Vec<String>, Error> {
    let text = text::text_of(
        options.description,
        "the description of the submission in TOML (docs/submission.md; submission/example.toml is one)",
    )?;
    let unusable = |why: String| Error::Unusable {
        path: options.description.into(),
        why,
    };
    let description: Description =
        toml::from_str(text.trim_start_matches('\u{feff}')).map_err(|e| unusable(e.to_string()))?;
    let base = options.description.parent().unwrap_or(Path::new("."));
    let mut builder = Builder {
        options,
        description: &description,
        base,
        problems: Vec::new(),
        files: Vec::new(),
    };
    builder.all()?;
    if !builder.problems.is_empty() {
        return Err(Error::Refused {
            problems: builder.problems,
        });
    }
    write_all(options.output, &builder.files)?;
    Ok(builder.files.into_iter().map(|(name, _)| name).collect())
}

/// What a run left beside its logs.
struct Left {
    plan: Value,
    verdict: Value,
}

struct Builder<'a> {
    options: Options<'a>,
    description: &'a Description,
    base: &'a Path,
    problems: Vec<String>,
    files: Files,
}

impl Builder<'_> {
    fn all(&mut self) -> Result<(), Error> {
        let d = self.description;
        let root = format!("{}/{}", d.division, d.submitter);
        let is_name = |name: &str| {
            !name.is_empty()
                && !name.starts_with('.')
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c))
        };
        for (what, name) in [("submitter", &d.submitter), ("system.name", &d.system.name)] {
            if !is_name(name) {
                self.problems.push(format!("{what} = {name:?}: expected letters, digits and -_.+, since a directory is named so"));
            }
        }
        if !rules().submission.divisions.value.contains(&d.division) {
            self.problems.push(format!(
                "division = {:?}: expected {}",
                d.division,
                rules().submission.divisions.value.join(", ")
            ));
        }
        if d.results.is_empty() {
            self.problems.push(
                "found no [[result]], expected Offline and one of Server and Interactive".into(),
            );
        }
        let mut host = Map::new();
        for result in &d.results {
            let Some(scenario) = description::scenario(&result.scenario) else {
                self.problems.push(format!(
                    "scenario = {:?}: expected offline, server or interactive",
                    result.scenario
                ));
                continue;
            };
            host = documents::detected(&self.result(&root, scenario, result)?);
        }
        self.system(&root, host);
        self.source(&root)?;
        self.text(
            format!("{root}/documentation/runs/README.md"),
            documents::RUNS.into(),
        );
        for (name, text) in documents::documents(d) {
            match text {
                Ok(text) => self.text(format!("{root}/documentation/{name}"), text),
                Err(problem) => self.problems.push(problem),
            }
        }
        Ok(())
    }

    fn text(&mut self, name: String, text: String) {
        self.files.push((name, Planned::Text(text)));
    }

    fn copy(&mut self, from: PathBuf, name: String) {
        match ossmark_files::open(&from) {
            Ok(_) => self.files.push((name, Planned::Copy(from))),
            Err(error) => {
                let found = match error.kind() {
                    std::io::ErrorKind::NotFound => "not found".into(),
                    _ => error.to_string(),
                };
                let from = from.display();
                self.problems
                    .push(format!("{from}: {found}; expected a file for {name}"));
            }
        }
    }

    fn result(
        &mut self,
        root: &str,
        scenario: Scenario,
        result: &ResultDescription,
    ) -> Result<Value, Error> {
        let d = self.description;
        let folder = description::folder(scenario);
        let dir = format!(
            "{root}/results/{}/{}/{folder}",
            d.system.name,
            rules().submission.benchmark.value
        );
        let (performance, accuracy) = (
            self.base.join(&result.performance),
            self.base.join(&result.accuracy),
        );
        let here = |name| (name, PathBuf::from(name));
        let plan = self.run(
            &performance,
            &result.scenario,
            "performance",
            &[here(DETAIL), here(SUMMARY)],
        )?;
        let also = self.run(
            &accuracy,
            &result.scenario,
            "accuracy",
            &[here(DETAIL), here(SUMMARY), here(ACCURACY)],
        )?;
        self.same_engine(&accuracy, &plan.plan, &also.plan);
        let documents = format!("{root}/documentation/runs/{}/{folder}", d.system.name);
        self.records(&format!("{documents}/performance"), &plan);
        self.records(&format!("{documents}/accuracy"), &also);
        for name in [DETAIL, SUMMARY] {
            self.copy(
                performance.join(name),
                format!("{dir}/{PERFORMANCE_RUN}/{name}"),
            );
            self.copy(accuracy.join(name), format!("{dir}/accuracy/{name}"));
        }
        self.copy(
            accuracy.join(ACCURACY),
            format!("{dir}/accuracy/{ACCURACY}"),
        );
        let score = result.accuracy_txt.as_ref().map_or_else(
            || accuracy.join("accuracy.txt"),
            |file| self.base.join(file),
        );
        self.problems
            .extend(runs::score_of_another_log(&score, &accuracy.join(ACCURACY)));
        self.copy(score, format!("{dir}/accuracy/accuracy.txt"));
        let mut attempts = Vec::new();
        let compliance = &rules().compliance;
        for (test, given, file) in [
            (
                "TEST07",
                &result.test07,
                &compliance.test07.result_file.value,
            ),
            (
                "TEST09",
                &result.test09,
                &compliance.test09.result_file.value,
            ),
        ] {
            let Some(given) = given else {
                if d.division != "open" {
                    self.problems.push(format!("scenario {}: found no {}, expected the directory that `ossmark audit` wrote", result.scenario, test.to_lowercase()));
                }
                continue;
            };
            let from = self.base.join(given);
            let logs = runs::logs_of_test();
            let of_test = self.run(&from, &result.scenario, "performance", &logs)?;
            self.same_engine(&from, &plan.plan, &of_test.plan);
            self.records(&format!("{documents}/{test}"), &of_test);
            match runs::attempts(&from, test, file) {
                Ok(line) => attempts.push(line),
                Err(problem) => self.problems.push(problem),
            }
            self.copy(from.join(file), format!("{dir}/{test}/{file}"));
            for (_, log) in logs {
                let name = format!("{dir}/{test}/{}", log.display());
                self.copy(from.join(log), name);
            }
        }
        let (plan, also) = (plan.plan, also.plan);
        let measurements = serde_json::to_string_pretty(&d.measurements).unwrap_or_default();
        self.text(format!("{dir}/measurements.json"), measurements + "\n");
        self.text(
            format!("{dir}/user.conf"),
            documents::user_conf(scenario, &plan),
        );
        self.text(
            format!("{dir}/README.md"),
            documents::readme(d, folder, &plan, &also, &attempts, self.options.rehearsal),
        );
        Ok(plan)
    }

    /// Judges a run; gives what it left.
    fn run(
        &mut self,
        dir: &Path,
        scenario: &str,
        mode: &str,
        logs: &[(&str, PathBuf)],
    ) -> Result<Left, Error> {
        let run = RunDir {
            dir,
            scenario,
            mode,
            rehearsal: self.options.rehearsal,
        };
        let judged = run.judge(logs)?;
        self.problems.extend(judged.problems);
        Ok(Left {
            plan: judged.plan,
            verdict: judged.verdict,
        })
    }

    /// Plan and verdict, for whoever asks how a run was made.
    fn records(&mut self, dir: &str, left: &Left) {
        for (name, record) in RECORDS.into_iter().zip([&left.plan, &left.verdict]) {
            let text = serde_json::to_string_pretty(&public::public(record)).unwrap_or_default();
            self.text(
                format!("{dir}/{name}"),
                ossmark_files::quiet_json(text) + "\n",
            );
        }
    }

    fn same_engine(&mut self, dir: &Path, performance: &Value, other: &Value) {
        let differences = runs::differences(performance, other);
        let at = dir.display();
        self.problems.extend(
            differences
                .iter()
                .map(|what| format!("{at}: {what}; make all runs of a result with one engine")),
        );
    }

    fn system(&mut self, root: &str, detected: Map<String, Value>) {
        let d = self.description;
        let mut system = detected;
        system.extend(d.system.description.clone());
        system.insert("division".into(), json!(d.division));
        system.insert("submitter".into(), json!(d.submitter));
        if self.options.rehearsal {
            let name = system
                .get("system_name")
                .and_then(Value::as_str)
                .unwrap_or(&d.system.name);
            let stamped = format!("{REHEARSAL} {name}, not to be submitted");
            system.insert("system_name".into(), json!(stamped));
        }
        let submission = &rules().submission;
        for key in &submission.system_fields.value {
            if submission
                .system_fields_that_may_be_empty
                .value
                .contains(key)
            {
                system.entry(key.as_str()).or_insert_with(|| json!(""));
            } else if !system.get(key).is_some_and(crate::python::truthy) {
                self.problems.push(format!(
                    "[system.description] {key}: empty or missing, expected a meaningful value"
                ));
            }
        }
        let text = serde_json::to_string_pretty(&system).unwrap_or_default();
        self.text(
            format!("{root}/systems/{}.json", d.system.name),
            text + "\n",
        );
        for key in &submission.measurement_fields.value {
            if !d.measurements.get(key).is_some_and(crate::python::truthy) {
                self.problems.push(format!(
                    "[measurements] {key}: empty or missing, expected a meaningful value"
                ));
            }
        }
    }

    /// The code that talks to LoadGen: a copy of what is named, or a note where it is public.
    fn source(&mut self, root: &str) -> Result<(), Error> {
        for given in &self.description.source {
            let from = self.base.join(given);
            let name = from
                .file_name()
                .map(|n| n.to_string_lossy().into_owned())
                .unwrap_or_default();
            if from.is_file() {
                self.copy(from, format!("{root}/src/{name}"));
                continue;
            }
            let mut open = vec![(from, format!("{root}/src/{name}"))];
            while let Some((dir, name)) = open.pop() {
                for entry in fs::read_dir(&dir)
                    .map_err(Error::io("read", &dir))?
                    .flatten()
                {
                    let (path, name) = (
                        entry.path(),
                        format!("{name}/{}", entry.file_name().to_string_lossy()),
                    );
                    match entry.file_type() {
                        Ok(kind) if kind.is_dir() => open.push((path, name)),
                        Ok(kind) if kind.is_file() => self.files.push((name, Planned::Copy(path))),
                        _ => self.problems.push(format!(
                            "{}: found a link or a special file, expected files",
                            path.display()
                        )),
                    }
                }
            }
        }
        if self.description.source.is_empty() {
            self.problems.push("source: empty or missing, expected files or directories with the code that talks to LoadGen".into());
        }
        Ok(())
    }
}
