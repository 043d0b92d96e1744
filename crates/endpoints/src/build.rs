//! `endpoints build`: a submission's tree from run directories and one description.
//!
//! What is in a run is taken from it: concurrency, seeds, settings, figures, steady state. What does not add up is refused,
//! all of it at once, before anything is written; what the rules say of the finished tree is the check's to tell.

mod description;
mod document;
mod point;

use std::path::{Path, PathBuf};

use ossmark_files::{Planned, write_all};
use serde_json::{Map, Value};

use self::description::Description;
use self::point::{Measured, measured};
use crate::check::provisioned_kw;
use crate::client::CountTokens;
use crate::error::Error;
use crate::regions::Regions;
use crate::rehearsal::STAMP;
use crate::rules::rules;

/// What to build, and where.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// The TOML description; paths in it are relative to it.
    pub description: &'a Path,
    /// An empty directory.
    pub output: &'a Path,
    /// Counts tokens of the events; without it there is no steady state.
    pub tokens: Option<&'a dyn CountTokens>,
    /// Rehearsals may be among the runs; the tree then says so everywhere.
    pub rehearsal: bool,
    /// What is known of this machine, for fields that the description leaves out (`probe = true`).
    pub machine: &'a Map<String, Value>,
}

/// Builds the tree and returns the paths that were written, from the output on.
///
/// # Errors
/// [`Error::Refused`] with everything that does not add up, before anything is written; [`Error::Unusable`] for a description
/// that cannot be understood, [`Error::Io`].
pub fn build(options: Options<'_>) -> Result<Vec<String>, Error> {
    let unusable = |why: String| Error::Unusable {
        path: options.description.into(),
        why,
    };
    let text = ossmark_files::read_to_string(options.description);
    let text = text.map_err(|error| unusable(error.to_string()))?;
    let description: Description =
        toml::from_str(text.trim_start_matches('\u{feff}')).map_err(|e| unusable(e.to_string()))?;
    let mut builder = Builder {
        options,
        description: &description,
        base: options.description.parent().unwrap_or(Path::new(".")),
        problems: Vec::new(),
        files: Vec::new(),
    };
    builder.all();
    if !builder.problems.is_empty() {
        return Err(Error::Refused {
            problems: builder.problems,
        });
    }
    write_all(options.output, &builder.files)?;
    Ok(builder.files.into_iter().map(|(name, _)| name).collect())
}

struct Builder<'a> {
    options: Options<'a>,
    description: &'a Description,
    base: &'a Path,
    problems: Vec<String>,
    files: Vec<(String, Planned)>,
}

impl Builder<'_> {
    fn all(&mut self) {
        let d = self.description;
        for (what, name) in [
            ("organisation", &d.organisation),
            ("submission", &d.submission),
            ("implementation", &d.implementation),
            ("system.directory", &d.system.directory),
            ("model.name", &d.model.name),
        ] {
            let is_name = !name.is_empty()
                && !name.starts_with('.')
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c));
            if !is_name {
                self.problems.push(format!(
                    "{what} = {name:?}: expected letters, digits and -_.+, since a directory is named so"
                ));
            }
        }
        if !rules().seeds.set.contains_key(&d.seed_set) {
            self.problems
                .push(format!("seed_set = {:?}: not known", d.seed_set));
        }
        let root = format!("{}/{}", d.organisation, d.submission);
        let points = self.measured();
        self.points(&root, &points);
        self.power(&root);
        self.documents(&root, points.iter().any(|point| point.is_rehearsal));
    }

    /// What each run says.
    fn measured(&mut self) -> Vec<Measured> {
        let mut points: Vec<Measured> = Vec::new();
        if self.description.points.is_empty() {
            self.problems
                .push("found no [[point]], expected one for each run".into());
        }
        for point in &self.description.points {
            let dir = self.base.join(&point.run);
            match measured(&dir, self.options.tokens) {
                Ok(found) => {
                    let name = found.name();
                    if let Some(other) = points.iter().find(|other| other.name() == name) {
                        self.problems.push(format!(
                            "{}: is {name}, as {} is; give each concurrency once",
                            dir.display(),
                            other.dir.display()
                        ));
                    }
                    if found.is_rehearsal && !self.options.rehearsal {
                        self.problems.push(format!("{}: is a rehearsal, which nobody may submit; --rehearsal builds a tree that says so", dir.display()));
                    }
                    self.seeds(&found);
                    points.push(found);
                }
                Err(problems) => {
                    let named = problems
                        .into_iter()
                        .map(|problem| format!("{}: {problem}", dir.display()));
                    self.problems.extend(named);
                }
            }
        }
        points
    }

    /// Those of the set that the description declares.
    fn seeds(&mut self, point: &Measured) {
        let Some(set) = rules().seeds.set.get(&self.description.seed_set) else {
            return;
        };
        let expected = [
            ("scheduler_random_seed", point.scheduler_seed, set.scheduler),
            (
                "dataloader_random_seed",
                point.sample_index_seed,
                set.sample_index,
            ),
        ];
        for (name, found, expected) in expected {
            if found != Some(expected.into()) {
                let found = found.map_or("none".into(), |seed| seed.to_string());
                self.problems.push(format!(
                    "{}: {name} is {found} in config.yaml, expected {expected} of seed set {}",
                    point.dir.display(),
                    self.description.seed_set
                ));
            }
        }
    }

    fn points(&mut self, root: &str, points: &[Measured]) {
        let d = self.description;
        let lowest = points.iter().filter(|point| !point.is_dedicated);
        let lowest = lowest.map(|point| point.concurrency).min().unwrap_or(1);
        let c_min = d.system.c_min_override.unwrap_or(lowest.min(32));
        let c_max = d.system.max_supported_concurrency;
        let regions = match Regions::new(c_max, c_min, d.system.c_min_override.is_some()) {
            Ok(regions) => Some(regions),
            Err(error) => {
                self.problems.push(format!(
                    "system.max_supported_concurrency or c_min_override: {error}"
                ));
                None
            }
        };
        let highest = points
            .iter()
            .filter_map(|point| point.tps)
            .fold(0.0, f64::max);
        for (point, described) in points.iter().zip(&d.points) {
            let name = point.name();
            let dir = format!(
                "{root}/results/{}/{}/{name}",
                d.system.directory, d.model.name
            );
            let yaml = document::point_yaml(d, described, point, regions.as_ref());
            self.text(format!("{dir}/point.yaml"), yaml);
            self.copy(point.dir.join("config.yaml"), format!("{dir}/config.yaml"));
            self.copy(point.summary.clone(), format!("{dir}/result_summary.json"));
            let system = self.system(point, highest);
            self.text(format!("{dir}/system_desc.json"), system);
            let beside = point.dir.join("accuracy/accuracy_results.json");
            let accuracy = described.accuracy.as_ref().map(|path| self.base.join(path));
            if let Some(file) = accuracy.or_else(|| beside.exists().then_some(beside)) {
                self.copy(file, format!("{dir}/accuracy_results.json"));
            }
            if d.events {
                for file in ["events.jsonl", "sample_idx_map.json"] {
                    self.copy(point.dir.join(file), format!("{dir}/{file}"));
                }
            }
            for file in &described.server_config {
                let named = file.file_name().unwrap_or_default().to_string_lossy();
                self.copy(
                    self.base.join(file),
                    format!("{dir}/server_configs/{named}"),
                );
            }
        }
    }

    /// `system_desc.json`: what the description says, what is known of this machine, and the point's share of the best rate.
    fn system(&self, point: &Measured, highest: f64) -> String {
        let d = self.description;
        let mut system = d.system.description.clone();
        let mut set = |name: &str, value: Value| drop(system.insert(name.into(), value));
        set("division", d.division.as_str().into());
        set(
            "max_supported_concurrency",
            Value::from(d.system.max_supported_concurrency as i64),
        );
        if let Some(c_min) = d.system.c_min_override {
            set("c_min_override", Value::from(c_min as i64));
        }
        if let Some(tps) = point.tps.filter(|_| highest > 0.0) {
            set("tps_utilization", (tps / highest).into());
        }
        if point.is_rehearsal {
            set("rehearsal", STAMP.into());
        }
        let nodes = system.get_mut("node_types").and_then(Value::as_array_mut);
        if let (true, Some(Value::Object(node))) =
            (d.system.probe, nodes.and_then(|nodes| nodes.first_mut()))
        {
            for (name, value) in self.options.machine {
                node.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        pretty(&Value::Object(system))
    }

    /// `system_power.json` with its arithmetic.
    fn power(&mut self, root: &str) {
        let d = self.description;
        let Some(power) = &d.power else { return };
        let mut power = power.clone();
        let described = python(&Value::Object(d.system.description.clone()));
        match provisioned_kw(&python(&Value::Object(power.clone())), &described) {
            Ok(kw) => drop(power.insert("provisioned_power_kw".into(), kw.into())),
            Err(problems) => {
                let named = problems
                    .into_iter()
                    .map(|problem| format!("[power] {problem}"));
                self.problems.extend(named);
            }
        }
        let name = format!("{root}/results/{}/system_power.json", d.system.directory);
        self.text(name, pretty(&Value::Object(power)));
    }

    fn documents(&mut self, root: &str, is_rehearsal: bool) {
        let d = self.description;
        let mut has_readme = false;
        for file in &d.source {
            let named = file.file_name().unwrap_or_default().to_string_lossy();
            has_readme |= named.eq_ignore_ascii_case("readme.md");
            self.copy(
                self.base.join(file),
                format!("{root}/src/{}/{named}", d.implementation),
            );
        }
        if !has_readme {
            self.problems.push(
                "source: found no README.md, expected one that says how to reproduce a point"
                    .into(),
            );
        }
        if d.docs.is_empty() {
            self.problems
                .push("docs: found none, expected the disclosures".into());
        }
        for file in &d.docs {
            let named = file.file_name().unwrap_or_default().to_string_lossy();
            self.copy(self.base.join(file), format!("{root}/docs/{named}"));
        }
        if is_rehearsal {
            self.text(format!("{root}/docs/REHEARSAL.md"), format!("{STAMP}\n"));
        }
    }

    fn text(&mut self, name: String, text: String) {
        self.files.push((name, Planned::Text(text)));
    }

    fn copy(&mut self, from: PathBuf, name: String) {
        if self.files.iter().any(|(other, _)| *other == name) {
            self.problems.push(format!(
                "{}: another file has its place, {name}",
                from.display()
            ));
        }
        match ossmark_files::open(&from) {
            Ok(_) => self.files.push((name, Planned::Copy(from))),
            Err(error) => self.problems.push(format!(
                "{}: {error}; expected a file for {name}",
                from.display()
            )),
        }
    }
}

/// As the checker will read it.
fn python(value: &Value) -> crate::value::Value {
    ossmark_json::loads(&value.to_string()).unwrap_or(crate::value::Value::None)
}

fn pretty(value: &Value) -> String {
    // Of a value in memory with texts for keys: it cannot fail.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}
