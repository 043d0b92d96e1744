//! The verdicts of MLCommons' own checker.

use std::collections::BTreeSet;

use ossmark_endpoints::Severity;
use ossmark_endpoints::check::Verdict;
use serde_json::Value;

use crate::common::{Tree, cases};

/// Rules and severities of errors and warnings, and rules of what passed.
fn expected(case: &Value) -> (BTreeSet<(String, String)>, BTreeSet<String>) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rules = case["expected"]["rules"].as_array().unwrap();
    let rules = rules.iter().map(|rule| (text(&rule[0]), text(&rule[1])));
    let infos = case["expected"]["infos"].as_array();
    (
        rules.collect(),
        infos.into_iter().flatten().map(text).collect(),
    )
}

#[test]
fn every_case_of_the_oracle_is_judged_as_mlcommons_checker_does() {
    let cases = cases();
    assert_eq!(cases.len(), 93);
    let mut wrong = Vec::new();
    for case in &cases {
        let tree = Tree::base();
        for operation in case["mutation"].as_array().unwrap() {
            tree.apply(operation);
        }
        let report = tree.check(true);
        let (rules, infos) = expected(case);
        let mut found = (BTreeSet::new(), BTreeSet::new());
        for finding in &report.findings {
            match finding.severity {
                Severity::Info => found.1.insert(finding.rule.to_owned()),
                Severity::Error => found.0.insert((finding.rule.into(), "error".into())),
                Severity::Warning => found.0.insert((finding.rule.into(), "warning".into())),
            };
        }
        let is_crash = case["expected"].get("crash").is_some();
        let exit = u64::from(report.verdict == Verdict::Invalid);
        let is_good = found.0 == rules
            && case["expected"]["exit"] == exit
            && report.official_crash == is_crash
            && (is_crash || found.1 == infos);
        if !is_good {
            wrong.push(format!(
                "{} ({}): exit {exit}, found {:?}, expected {rules:?}; passed beside them {:?}, and not {:?}",
                case["id"], case["what"], found.0,
                found.1.difference(&infos).collect::<Vec<_>>(), infos.difference(&found.1).collect::<Vec<_>>(),
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
