//! The results of a tree: where they are. Only names of directories are looked at here.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ossmark_rules::{Scenario, rules};

use crate::Error;

/// A result of the benchmark in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The scenario that its directory is named after.
    pub scenario: Scenario,
    /// The directory of its system: that of all its results, from the root of the tree.
    pub system: String,
    /// From the root of the tree. From outside: to be escaped where it is shown.
    pub path: String,
    /// Where it is.
    pub dir: PathBuf,
    /// Where the system's description is.
    pub description: PathBuf,
}

/// More of one directory are not looked at, and no more results of a tree.
const MOST_NAMES: usize = 2000;
const MOST_RESULTS: usize = 1000;

/// All results below the root of a tree (the directory that holds closed/ or open/), in the order of their paths.
///
/// # Errors
/// [`Error::NotATree`], [`Error::NoResult`].
pub fn results(root: &Path) -> Result<Vec<Place>, Error> {
    if !root.is_dir() {
        let found = match root.exists() {
            true => {
                "found something that is no directory (unpack it first, if it is a packed tree: tar -xf)"
            }
            false => "not found",
        };
        return Err(Error::NotATree {
            path: root.into(),
            found,
        });
    }
    let mut found = Vec::new();
    for division in &rules().submission.divisions.value {
        let division_dir = root.join(division);
        for submitter in directories(&division_dir) {
            let submitter_dir = division_dir.join(&submitter);
            let results = submitter_dir.join("results");
            for system in directories(&results) {
                let benchmark = results
                    .join(&system)
                    .join(&rules().submission.benchmark.value);
                let at = format!(
                    "{division}/{}/results/{}",
                    submitter.to_string_lossy(),
                    system.to_string_lossy()
                );
                let mut json = system.clone();
                json.push(".json");
                let description = submitter_dir.join("systems").join(json);
                for name in directories(&benchmark) {
                    let name = name.to_string_lossy().into_owned();
                    let Some(scenario) = scenario(&name) else {
                        continue;
                    };
                    if found.len() < MOST_RESULTS {
                        found.push(Place {
                            scenario,
                            system: at.clone(),
                            path: format!("{at}/{}/{name}", rules().submission.benchmark.value),
                            dir: benchmark.join(&name),
                            description: description.clone(),
                        });
                    }
                }
            }
        }
    }
    match found.is_empty() {
        true => Err(Error::NoResult(root.into())),
        false => Ok(found),
    }
}

/// As a directory's name or a log spells it.
pub(crate) fn scenario(name: &str) -> Option<Scenario> {
    let all = [Scenario::Offline, Scenario::Server, Scenario::Interactive];
    all.into_iter()
        .find(|scenario| scenario.name().eq_ignore_ascii_case(name))
}

fn directories(dir: &Path) -> Vec<OsString> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let entries = entries.take(MOST_NAMES).flatten();
    let names = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<OsString> = names.map(|entry| entry.file_name()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_where_trees_have_them() {
        let tmp = tempfile::tempdir().unwrap();
        results(tmp.path()).unwrap_err();
        for place in ["Server", "offline", "TEST07", "notes.txt"] {
            let dir = tmp
                .path()
                .join("closed/Org/results/box/gpt-oss-120b")
                .join(place);
            std::fs::create_dir_all(dir).unwrap();
        }
        let found = results(tmp.path()).unwrap();
        let paths: Vec<&str> = found.iter().map(|place| place.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "closed/Org/results/box/gpt-oss-120b/Server",
                "closed/Org/results/box/gpt-oss-120b/offline"
            ]
        );
        assert_eq!(found[1].scenario, Scenario::Offline);
        assert!(
            found[0]
                .description
                .ends_with("closed/Org/systems/box.json")
        );
    }
}
