//! For comparisons with MLCommons' own checker (`benchmarks/endpoints_mutants.py`): a tree's path a line on standard input, a
//! line of JSON each on standard output, `{"exit", "crash", "rules": [[rule, severity], ...]}`.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::collections::BTreeSet;
use std::path::Path;

use ossmark_endpoints::Severity;
use ossmark_endpoints::check::{Options, Verdict, check};

fn main() {
    for line in std::io::stdin().lines() {
        let line = line.expect("a path a line");
        let options = Options {
            tokens: None,
            tree: Path::new(&line),
            official_only: true,
            strict: false,
        };
        let report = check(options).expect("a tree");
        let rules: BTreeSet<(&str, &str)> = report
            .findings
            .iter()
            .filter_map(|finding| match finding.severity {
                Severity::Error => Some((finding.rule, "error")),
                Severity::Warning => Some((finding.rule, "warning")),
                Severity::Info => None,
            })
            .collect();
        let exit = u8::from(report.verdict == Verdict::Invalid);
        let crash = report.official_crash;
        println!(
            "{}",
            serde_json::json!({"exit": exit, "crash": crash, "rules": rules})
        );
    }
}
