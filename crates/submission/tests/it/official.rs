//! The verdict of `--official-only` is that of MLCommons' own checker.

use ossmark_submission::check::{Options, check};

use crate::common::{Tree, fixture_json, is_valid, rules};

#[test]
fn the_base_tree_is_officially_valid_and_lacks_only_its_documents() {
    let tree = Tree::base();
    let report = tree.check(true);
    assert!(is_valid(&report), "{:#?}", report.findings);
    assert!(report.results.len() == 3 && report.results.iter().all(|r| r.valid));
    assert!(!tree.check(true).findings.iter().any(|f| f.official));
    assert_eq!(rules(&tree.check(false)), ["documentation.missing"; 2]);
    let clean = Tree::clean().check(false);
    assert!(
        is_valid(&clean) && clean.findings.is_empty(),
        "{:#?}",
        clean.findings
    );
}

#[test]
fn the_table_is_the_official_one() {
    let expected = fixture_json("base_expected.json");
    let rows = expected["csv"].as_array().unwrap();
    let join = |row: &serde_json::Value, quote: &str| {
        let fields: Vec<String> = row
            .as_array()
            .unwrap()
            .iter()
            .map(|f| format!("{quote}{}{quote}", f.as_str().unwrap()))
            .collect();
        fields.join(",") + "\n"
    };
    let text = join(&rows[0], "")
        + &rows[1..]
            .iter()
            .map(|row| join(row, "\""))
            .collect::<String>();
    assert_eq!(Tree::base().check(true).csv(), text);
}

#[test]
fn every_mutant_has_the_official_verdict() {
    let expected = fixture_json("expected.json");
    let mutants = fixture_json("mutants.json");
    let mut wrong = Vec::new();
    for mutant in mutants.as_array().unwrap() {
        let id = mutant["id"].as_str().unwrap();
        let official = &expected[id];
        let tree = Tree::base();
        for edit in mutant["edits"].as_array().unwrap() {
            tree.edit(edit);
        }
        let report = tree.check(true);
        let verdict = official["verdict"].as_str().unwrap();
        let objections: Vec<_> = report.findings.iter().filter(|f| f.official).collect();
        if is_valid(&report) != (verdict == "valid")
            || objections.is_empty() != (verdict == "valid")
        {
            wrong.push(format!(
                "{id}: official {verdict}, ours {:?}: {objections:#?}",
                report.verdict
            ));
        }
        if verdict == "crash" {
            continue;
        }
        // The same results are without a verdict.
        let invalid: Vec<String> = report
            .results
            .iter()
            .filter(|r| !r.valid)
            .map(|r| format!("{}/performance/run_1/mlperf_log_detail.txt", r.path))
            .collect();
        let no_results: Vec<&str> = official["no_results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p.as_str().unwrap())
            .collect();
        if invalid != no_results {
            wrong.push(format!(
                "{id}: official NoResults {no_results:?}, ours {invalid:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_missing_file_spoils_only_its_own_result() {
    for file in [
        "performance/run_1/mlperf_log_detail.txt",
        "accuracy/mlperf_log_detail.txt",
        "accuracy/accuracy.txt",
        "measurements.json",
        "TEST07",
    ] {
        let tree = Tree::clean();
        tree.edit(&serde_json::json!({"op": "delete", "path": format!("{}/Server/{file}", crate::common::BENCHMARK)}));
        let report = tree.check(false);
        let valid: Vec<bool> = report.results.iter().map(|r| r.valid).collect();
        assert_eq!(valid, [true, true, false], "{file}: {:#?}", report.findings);
        assert!(!is_valid(&report));
    }
}

#[test]
fn what_is_no_tree_is_refused() {
    let tree = Tree::base();
    let options = |input, round| Options {
        input,
        round,
        submitter: None,
        official_only: false,
    };
    let missing = tree.path("nowhere");
    assert!(
        check(options(&missing, "v6.1"))
            .unwrap_err()
            .to_string()
            .contains("not found")
    );
    let error = check(options(tree.dir.path(), "v9.9"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("v6.0, v6.1"), "{error}");
}
