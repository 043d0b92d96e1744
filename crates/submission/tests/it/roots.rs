//! A directory in a tree, the one above it, or a packed file given as the tree: what to give is said.

use std::fs;
use std::path::Path;

use ossmark_submission::check::{self, check};
use ossmark_submission::{truncate, truncate::cut};

use crate::common::{BENCHMARK, SUBMITTER, Tree};

fn said(input: &Path) -> String {
    let options = check::Options {
        input,
        round: "v6.1",
        submitter: None,
        official_only: false,
    };
    match check(options) {
        Ok(report) => report
            .findings
            .iter()
            .map(|f| format!("{}: {}\n", f.rule, f.message))
            .collect(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_root_that_is_meant_is_named() {
    let tree = Tree::base();
    let root = tree.dir.path();
    let system = format!("{SUBMITTER}/results/null-x1");
    for below in ["closed", SUBMITTER, &system, BENCHMARK] {
        let said = said(&root.join(below));
        let give = format!("; give {}", root.display());
        assert!(
            said.starts_with("results.zero") && said.contains(&give),
            "{below}: {said}"
        );
    }
    // The directory above it, which holds nothing else.
    let above = tempfile::tempdir().unwrap();
    let inner = above.path().join("inference_results");
    fs::rename(root, &inner).unwrap();
    let give = format!("give {}", inner.display());
    assert!(said(above.path()).contains(&give), "{}", said(above.path()));
    assert!(!said(&inner).contains("; give "));
    // A directory that no tree has to do with gets no advice.
    let nothing = tempfile::tempdir().unwrap();
    fs::create_dir_all(nothing.path().join("closed-mind/x")).unwrap();
    let said = said(nothing.path());
    assert!(
        said.contains("results.zero") && !said.contains("; give "),
        "{said}"
    );
}

#[test]
fn a_packed_file_is_to_be_unpacked() {
    let tmp = tempfile::tempdir().unwrap();
    let backup = tmp.path().join("backup");
    for (name, expected) in [
        ("org.tar.zst", "tar -xf org.tar.zst -C tree"),
        ("org.tgz", "tar -xf org.tgz -C tree"),
        ("org.txt", "no directory"),
        ("none", "not found"),
    ] {
        let file = tmp.path().join(name);
        if name != "none" {
            fs::write(&file, "x").unwrap();
        }
        let of_truncate = truncate::truncate(truncate::Options {
            input: &file,
            submitter: "Org",
            backup: &backup,
        });
        for said in [said(&file), of_truncate.unwrap_err().to_string()] {
            assert!(said.contains(expected), "{name}: {said}");
        }
    }
}

#[test]
fn a_truncated_log_is_known_as_one_and_whose_hash_to_ask_for() {
    let tree = Tree::base();
    let log = tree.path(&format!(
        "{BENCHMARK}/Offline/accuracy/mlperf_log_accuracy.json"
    ));
    let text = log.with_file_name("accuracy.txt");
    let scored = fs::read_to_string(&text).unwrap();
    let hash = scored
        .lines()
        .find_map(|line| line.strip_prefix("hash="))
        .unwrap();
    let said = cut(&log).unwrap().to_string();
    assert!(
        said.contains(&format!("the original with sha256 {hash}")),
        "{said}"
    );
    fs::write(&text, "'exact_match': 1\n").unwrap();
    let said = cut(&log).unwrap().to_string();
    assert!(said.contains("has no hash= of it"), "{said}");
    fs::write(&log, "[]").unwrap();
    assert_eq!(cut(&log), None);
    assert_eq!(cut(&log.with_file_name("nothing")), None);
    assert_eq!(cut(tree.dir.path()), None);
}
