//! A recipe: which files become which data set.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use ossmark_harmony::Effort;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A recipe file. Paths in it are relative to it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Reasoning effort [default: high].
    pub effort: Option<Effort>,
    /// The date in the system message, YYYY-MM-DD [default: 2025-09-30].
    pub date: Option<String>,
    /// Seed of the shuffled options [default: 0].
    pub seed: Option<u32>,
    /// A template file instead of the built-in one.
    pub templates: Option<PathBuf>,
    /// What is written, in this order.
    #[serde(rename = "source")]
    pub sources: Vec<SourceRecipe>,
}

/// One data set of a recipe.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceRecipe {
    /// A kind of the template file.
    pub kind: String,
    /// The name in the column `dataset` [default: the kind].
    pub name: Option<String>,
    /// The files, read in this order. A folder stands for the parquet files in it, a pattern (`train-*.parquet`) for what fits.
    #[serde(default)]
    pub files: Vec<PathBuf>,
    /// LiveCodeBench: the directory with test.jsonl, test2.jsonl and on (or .jsonl.gz, .json, .parquet), for `release`.
    pub directory: Option<PathBuf>,
    /// LiveCodeBench: `release_v6` is everything up to v6, `v6` what came with it, `v4_v6` what came with v4 to v6.
    pub release: Option<String>,
    /// LiveCodeBench: contests from this day on, YYYY-MM-DD.
    pub from: Option<String>,
    /// LiveCodeBench: contests up to this day, YYYY-MM-DD, itself included.
    pub until: Option<String>,
    /// How often each question is asked [default: the kind's].
    pub repeats: Option<u32>,
    /// At most so many questions, the first ones.
    pub limit: Option<usize>,
    /// The column of the question [default: question, Question, problem, Problem, the first that is there].
    pub question: Option<String>,
    /// The column of the answer [default: ground_truth, answer, Answer, the first that is there].
    pub ground_truth: Option<String>,
}

/// The first version's date (mlcommons/inference #2395, harmonize_inputs.py). Fixed, because another date is another prompt.
pub(crate) const DEFAULT_DATE: &str = "2025-09-30";
/// The default of mlcommons/endpoints' GPQA data set.
pub(crate) const DEFAULT_SEED: u32 = 0;
/// No benchmark comes near it; a typing error does.
const MAX_REPEATS: u32 = 1000;
const RELEASES: u32 = 6;

impl Recipe {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Settings`].
    pub fn load(path: &Path) -> Result<Self> {
        let text = ossmark_files::read_to_string(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self> {
        let refuse = |what: String| Error::Settings {
            path: path.to_owned(),
            what,
        };
        let mut recipe: Self =
            toml::from_str(text).map_err(|e| refuse(e.to_string().trim_end().into()))?;
        if recipe.sources.is_empty() {
            return Err(refuse("no [[source]]; expected at least one".into()));
        }
        if let Some(date) = &recipe.date {
            check_date(date).map_err(|e| refuse(format!("date: {e}")))?;
        }
        let base = path.parent().unwrap_or(Path::new(""));
        if let Some(templates) = &mut recipe.templates {
            *templates = base.join(&*templates);
        }
        for (number, source) in (1..).zip(&mut recipe.sources) {
            source
                .check(base)
                .map_err(|what| refuse(format!("source {number} ({}): {what}", source.kind)))?;
        }
        Ok(recipe)
    }
}

impl SourceRecipe {
    /// The name in the column `dataset`.
    pub fn dataset(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.kind)
    }

    fn check(&mut self, base: &Path) -> Result<(), String> {
        self.files = match (&self.directory, &self.release) {
            (Some(directory), Some(release)) if self.files.is_empty() => {
                let directory = base.join(directory);
                let numbers = release_files(release)?;
                numbers.map(|n| release_file(&directory, n)).collect()
            }
            (None, None) if !self.files.is_empty() => {
                let files = self.files.iter().map(|path| {
                    ossmark_dataset::files(&base.join(path)).map_err(|e| e.to_string())
                });
                files.collect::<Result<Vec<_>, _>>()?.concat()
            }
            (None, None) => return Err("no files; expected files = [\"…\"]".into()),
            _ => {
                return Err("expected either files, or directory and release together".into());
            }
        };
        let mut seen = BTreeSet::new();
        for file in &self.files {
            if !seen.insert(file) {
                return Err(format!("{} is named twice", file.display()));
            }
        }
        for (name, date) in [("from", &self.from), ("until", &self.until)] {
            if let Some(date) = date {
                check_date(date).map_err(|e| format!("{name}: {e}"))?;
            }
        }
        if self.dataset().trim().is_empty() {
            return Err("the name is empty".into());
        }
        if !(1..=MAX_REPEATS).contains(&self.repeats.unwrap_or(1)) {
            return Err(format!("repeats: expected 1 to {MAX_REPEATS}"));
        }
        if self.limit == Some(0) {
            return Err("limit is 0; expected at least 1".into());
        }
        Ok(())
    }
}

/// The files behind the publisher's version tags. Source: livecodebench/code_generation_lite, README and loading script.
fn release_files(release: &str) -> Result<impl Iterator<Item = u32>, String> {
    let version = |text: &str| {
        let number = text.strip_prefix('v')?.parse().ok()?;
        (1..=RELEASES).contains(&number).then_some(number)
    };
    let range = match release.strip_prefix("release_") {
        Some(last) => version(last).map(|last| 1..=last),
        None => match release.split_once('_') {
            Some((first, last)) => version(first)
                .zip(version(last))
                .map(|(first, last)| first..=last),
            None => version(release).map(|only| only..=only),
        },
    };
    let range = range.filter(|range| !range.is_empty()).ok_or_else(|| {
        format!(
            "release {release:?}: expected release_v1 to release_v{RELEASES}, v1 to v{RELEASES}, or a range such as v4_v6"
        )
    })?;
    Ok(range)
}

/// The form in which a file of the publisher lies there; as it is published, where it does not.
fn release_file(directory: &Path, number: u32) -> PathBuf {
    let stem = match number {
        1 => "test".to_owned(),
        n => format!("test{n}"),
    };
    let forms = ["jsonl", "jsonl.gz", "json", "json.gz", "parquet"];
    let mut there = forms
        .map(|ending| directory.join(format!("{stem}.{ending}")))
        .into_iter();
    let published = there.next().unwrap_or_default();
    match published.exists() {
        true => published,
        false => there.find(|file| file.exists()).unwrap_or(published),
    }
}

/// Year, month and day with plausible numbers.
pub(crate) fn check_date(text: &str) -> Result<(), String> {
    let bytes = text.as_bytes();
    let shape = bytes.len() == 10
        && bytes.iter().enumerate().all(|(at, b)| match at {
            4 | 7 => *b == b'-',
            _ => b.is_ascii_digit(),
        });
    let number = |range: std::ops::Range<usize>| {
        text.get(range)
            .and_then(|t| t.parse::<u32>().ok())
            .unwrap_or(0)
    };
    if shape && (1..=12).contains(&number(5..7)) && (1..=31).contains(&number(8..10)) {
        Ok(())
    } else {
        Err(format!("{text:?}: expected a date such as 2025-09-30"))
    }
}

/// What a manifest repeats of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Selection {
    /// As in the recipe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// As in the recipe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// As in the recipe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// As in the recipe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Recipe, String> {
        Recipe::parse(text, Path::new("dir/r.toml")).map_err(|e| e.to_string())
    }

    #[test]
    fn a_recipe_is_checked_and_its_paths_are_relative_to_it() {
        let recipe = parse(
            "effort = \"low\"\n[[source]]\nkind = \"aime25\"\nfiles = [\"a.jsonl\", \"/b.csv\"]\n\
             [[source]]\nkind = \"livecodebench_v6\"\ndirectory = \"lcb\"\nrelease = \"v5_v6\"\nfrom = \"2025-01-01\"",
        )
        .unwrap();
        assert_eq!(recipe.effort, Some(Effort::Low));
        assert_eq!(
            recipe.sources[0].files,
            [Path::new("dir/a.jsonl"), Path::new("/b.csv")]
        );
        assert_eq!(
            recipe.sources[1].files,
            [
                Path::new("dir/lcb/test5.jsonl"),
                Path::new("dir/lcb/test6.jsonl")
            ]
        );
        assert_eq!(recipe.sources[1].dataset(), "livecodebench_v6");
    }

    #[test]
    fn releases_are_the_publishers() {
        let files = |release| {
            let file = |n| release_file(Path::new(""), n).display().to_string();
            release_files(release).map(|numbers| numbers.map(file).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(files("release_v1").unwrap(), "test.jsonl");
        assert_eq!(
            files("release_v3").unwrap(),
            "test.jsonl test2.jsonl test3.jsonl"
        );
        assert_eq!(files("v6").unwrap(), "test6.jsonl");
        assert_eq!(files("v1_v2").unwrap(), "test.jsonl test2.jsonl");
        for wrong in [
            "v7",
            "v0",
            "release_v7",
            "v3_v2",
            "6",
            "",
            "release_v1_v2",
            "v1_",
        ] {
            assert!(
                files(wrong).unwrap_err().contains("expected release_v1"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, expected) in [
            ("", "missing field `source`"),
            ("source = []", "no [[source]]"),
            (
                "effort = \"huge\"\n[[source]]\nkind=\"a\"\nfiles=[\"a\"]",
                "unknown variant `huge`",
            ),
            (
                "date = \"2025-13-01\"\n[[source]]\nkind=\"a\"\nfiles=[\"a\"]",
                "date: \"2025-13-01\"",
            ),
            ("[[source]]\nkind=\"a\"", "source 1 (a): no files"),
            (
                "[[source]]\nkind=\"a\"\nfiles=[\"a\"]\nrelease=\"v6\"",
                "either files, or directory and release",
            ),
            (
                "[[source]]\nkind=\"a\"\ndirectory=\"a\"",
                "either files, or directory and release",
            ),
            (
                "[[source]]\nkind=\"a\"\nfiles=[\"a\",\"a\"]",
                "is named twice",
            ),
            (
                "[[source]]\nkind=\"a\"\nfiles=[\"a\"]\nrepeats=0",
                "repeats: expected 1 to 1000",
            ),
            (
                "[[source]]\nkind=\"a\"\nfiles=[\"a\"]\nlimit=0",
                "limit is 0",
            ),
            (
                "[[source]]\nkind=\"a\"\nfiles=[\"a\"]\nfrom=\"May\"",
                "from: \"May\": expected a date",
            ),
            (
                "[[source]]\nkind=\"a\"\nfiles=[\"a\"]\nfile=\"b\"",
                "unknown field `file`",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(
                error.contains(expected) && error.contains("r.toml"),
                "{text}: {error}"
            );
        }
    }
}
