//! What a check finds, and the catalogue of rules (`mlperf_conf/checks.toml`) that says for each rule whether the official
//! checker objects too, where the rule comes from and how to fix what it found. Pure.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// How bad a finding is; each rule of the catalogue says why it is that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// MLCommons' checker objects, or the tree contradicts itself so that its result cannot be believed.
    #[default]
    Error,
    /// What an auditor would ask, and a submitter can answer or hand in.
    Question,
    /// Worth knowing.
    Note,
}

/// One rule of the catalogue.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// MLCommons' own checker objects too.
    #[serde(default)]
    pub official: bool,
    /// It ends with an exception there, and judges nothing.
    #[serde(default)]
    pub crash: bool,
    /// Errors decide the verdict.
    #[serde(default)]
    pub severity: Severity,
    /// Why it is that; of official rules, that they are official.
    #[serde(default)]
    pub why: String,
    /// Where the rule is written.
    pub source: String,
    /// How to fix it.
    pub fix: String,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Its name in the catalogue.
    pub rule: &'static str,
    /// Errors decide the verdict.
    pub severity: Severity,
    /// MLCommons' own checker objects too.
    pub official: bool,
    /// Where, from the root of the tree.
    pub path: String,
    /// What was found and what was expected.
    pub message: String,
    /// Where the rule is written.
    pub source: &'static str,
    /// How to fix it.
    pub fix: &'static str,
    /// Results under this directory are not valid because of it.
    #[serde(skip)]
    pub(crate) invalidates: Option<String>,
}

/// All rules, by name.
pub fn catalog() -> &'static BTreeMap<String, Rule> {
    static CATALOG: LazyLock<BTreeMap<String, Rule>> = LazyLock::new(|| {
        let text = include_str!("../../../mlperf_conf/checks.toml");
        toml::from_str(text)
            .expect("the embedded catalogue is part of the program and parsed by its tests")
    });
    &CATALOG
}

/// More are counted, not kept.
const KEPT: usize = 5000;

/// Collects findings.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) list: Vec<Finding>,
    pub(crate) left_out: usize,
}

impl Findings {
    /// A finding that makes no result invalid by itself, though an error makes the submission so.
    pub(crate) fn general(&mut self, rule: &'static str, path: &str, message: impl Into<String>) {
        self.add(rule, path, None, message.into());
    }

    /// A finding that makes all results at or under `invalidates` invalid.
    pub(crate) fn invalidating(
        &mut self,
        invalidates: &str,
        rule: &'static str,
        path: &str,
        message: impl Into<String>,
    ) {
        self.add(rule, path, Some(invalidates.to_owned()), message.into());
    }

    fn add(
        &mut self,
        rule: &'static str,
        path: &str,
        invalidates: Option<String>,
        mut message: String,
    ) {
        if self.list.len() == KEPT {
            self.left_out += 1;
            return;
        }
        let Some(text) = catalog().get(rule) else {
            unreachable!("rule {rule} is used but not in the catalogue; a test compares the two")
        };
        if text.crash {
            message += "; the official checker ends here with an exception and judges nothing";
        }
        // What a system or a benchmark does wrong shows in each of its results; once is enough.
        if self.list.iter().any(|f| {
            f.rule == rule && f.path == path && f.message == message && f.invalidates == invalidates
        }) {
            return;
        }
        self.list.push(Finding {
            rule,
            severity: text.severity,
            official: text.official,
            path: path.to_owned(),
            message,
            source: &text.source,
            fix: &text.fix,
            invalidates,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn used(dir: &Path, found: &mut BTreeSet<String>) {
        let rule = regex::Regex::new(r#""([a-z-]+\.[a-z0-9-]+)""#).unwrap();
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                used(&path, found);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                found.extend(rule.captures_iter(&text).map(|c| c[1].to_owned()));
            }
        }
    }

    #[test]
    fn the_catalogue_and_the_code_name_the_same_rules() {
        let mut found = BTreeSet::new();
        used(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src/check"),
            &mut found,
        );
        let text = include_str!("check.rs");
        found.extend(
            text.split('"')
                .filter(|part| part.starts_with("results."))
                .map(str::to_owned),
        );
        let file = |name: &&String| {
            [
                ".json",
                ".txt",
                ".conf",
                ".config",
                ".md",
                ".yaml",
                ".yml",
                "result.failed",
            ]
            .iter()
            .any(|end| name.ends_with(end))
        };
        let found: BTreeSet<String> = found.iter().filter(|name| !file(name)).cloned().collect();
        let known: BTreeSet<String> = catalog().keys().cloned().collect();
        assert_eq!(
            found.difference(&known).collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "not in checks.toml"
        );
        assert_eq!(
            known.difference(&found).collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "used nowhere"
        );
        for (name, rule) in catalog() {
            assert!(!rule.source.is_empty() && !rule.fix.is_empty(), "{name}");
            assert!(
                !rule.crash || rule.official,
                "{name}: a crash is the official checker's"
            );
            assert!(
                !rule.official || rule.severity == Severity::Error,
                "{name}: its objections are errors"
            );
            assert_eq!(
                rule.why.is_empty(),
                rule.official,
                "{name}: why it has its severity"
            );
        }
    }
}
