//! `check --originals`: a tree whose whole logs are there, and what is found when one of the two is changed.

use std::fs;
use std::path::{Path, PathBuf};

use ossmark_submission::check::{Options, Originals, Rescored, check_with};
use ossmark_submission::truncate;

use crate::common::{BENCHMARK, Tree};

const LOG: &str = "mlperf_log_accuracy.json";
const PARTS: [&str; 3] = ["accuracy", "TEST07/accuracy", "TEST09/accuracy"];

/// Three tokens an answer.
fn whole() -> String {
    let entry = |n: usize| {
        format!("{{\"seq_id\":{n},\"qsl_idx\":{n},\"data\":\"010000000200000003000000\"}}")
    };
    let entries: Vec<String> = (0..400).map(entry).collect();
    format!("[\n{}\n]\n", entries.join(",\n"))
}

struct Both {
    tree: Tree,
    originals: tempfile::TempDir,
}

impl Both {
    fn new() -> Self {
        let tree = Tree::base();
        for scenario in ["Offline", "Server", "Interactive"] {
            for part in PARTS {
                let dir = format!("{BENCHMARK}/{scenario}/{part}");
                tree.write(&format!("{dir}/{LOG}"), &whole());
                let text = tree.read(&format!("{dir}/accuracy.txt"));
                let kept = text.lines().filter(|line| !line.starts_with("hash="));
                let kept: Vec<&str> = kept.collect();
                tree.write(&format!("{dir}/accuracy.txt"), &kept.join("\n"));
            }
            let file = format!("{BENCHMARK}/{scenario}/TEST09/verify_output_len.txt");
            let text = tree.read(&file);
            let lines = text
                .lines()
                .map(|line| match line.starts_with("Mean output tokens:") {
                    true => "Mean output tokens: 3.00",
                    false => line,
                });
            let lines: Vec<&str> = lines.collect();
            tree.write(&file, &lines.join("\n"));
        }
        let originals = tempfile::tempdir().unwrap();
        let done = truncate::truncate(truncate::Options {
            input: tree.dir.path(),
            submitter: "OracleLab",
            backup: originals.path(),
        });
        assert_eq!(done.unwrap().len(), 9);
        Self { tree, originals }
    }

    /// The claimed score of the result that a log is of, and so much more.
    fn claimed(&self, log: &Path, more: f64) -> f64 {
        let below = log.strip_prefix(self.originals.path()).unwrap();
        let text = self.tree.path(below.to_str().unwrap());
        let text = fs::read_to_string(text.with_file_name("accuracy.txt")).unwrap();
        let (_, after) = text.split_once("'exact_match': ").unwrap();
        let number = after
            .chars()
            .take_while(|c| c.is_ascii_digit() || *c == '.');
        number.collect::<String>().parse::<f64>().unwrap() + more
    }

    /// A scorer that finds so much more than is claimed.
    fn scorer(
        &self,
        more: f64,
        has_programs: bool,
    ) -> impl FnMut(&Path) -> Result<Rescored, String> {
        move |log| {
            Ok(Rescored {
                exact_match: self.claimed(log, more),
                has_programs,
            })
        }
    }

    fn original(&self, part: &str) -> PathBuf {
        self.originals
            .path()
            .join(format!("{BENCHMARK}/Offline/{part}/{LOG}"))
    }

    /// Rules of the whole logs that find something, with the result's scenario.
    fn found(
        &self,
        mut score: impl FnMut(&Path) -> Result<Rescored, String>,
    ) -> Vec<(&'static str, String)> {
        let report = check_with(
            Options {
                input: self.tree.dir.path(),
                round: "v6.1",
                submitter: None,
                official_only: false,
            },
            Originals {
                dir: self.originals.path(),
                score: Some(&mut score),
            },
        )
        .unwrap();
        let found = report
            .findings
            .iter()
            .filter(|f| f.rule.starts_with("originals."));
        found
            .map(|f| {
                let below = f.path.strip_prefix(&format!("{BENCHMARK}/")).unwrap();
                (f.rule, below.to_owned())
            })
            .collect()
    }
}

#[test]
fn whole_logs_that_are_the_trees_find_nothing_and_each_change_is_found() {
    let both = Both::new();
    assert_eq!(both.found(both.scorer(0.0, true)), []);

    let in_tree = both
        .tree
        .path(&format!("{BENCHMARK}/Offline/accuracy/{LOG}"));
    let test09 = both
        .tree
        .path(&format!("{BENCHMARK}/Offline/TEST09/verify_output_len.txt"));
    let replaced = |file: &Path, from: &str, to: &str| {
        let text = fs::read_to_string(file).unwrap();
        assert!(text.contains(from), "{}", file.display());
        (text.clone(), text.replacen(from, to, 1))
    };
    let original = both.original("accuracy");
    let of_test = both.original("TEST07/accuracy");
    for (file, from, to, rule, at) in [
        (
            &original,
            "0200",
            "0300",
            "originals.hash",
            "Offline/accuracy/accuracy.txt",
        ),
        (
            &of_test,
            "0200",
            "0300",
            "originals.hash",
            "Offline/TEST07/accuracy/accuracy.txt",
        ),
        (
            &in_tree,
            "0200",
            "0300",
            "originals.ends",
            "Offline/accuracy/mlperf_log_accuracy.json",
        ),
        (
            &test09,
            "Mean output tokens: 3.00",
            "Mean output tokens: 3.02",
            "",
            "",
        ),
    ] {
        let (before, after) = replaced(file, from, to);
        // The mean is printed twice; the last one counts.
        let (after, rule, at) = match rule {
            "" => (
                before.replace(from, to),
                "originals.lengths",
                "Offline/TEST09/accuracy/mlperf_log_accuracy.json",
            ),
            rule => (after, rule, at),
        };
        fs::write(file, after).unwrap();
        assert_eq!(both.found(both.scorer(0.0, true)), [(rule, at.to_owned())]);
        fs::write(file, before).unwrap();
    }
    fs::rename(&original, original.with_extension("away")).unwrap();
    assert_eq!(
        both.found(both.scorer(0.0, true)),
        [("originals.missing", format!("Offline/accuracy/{LOG}"))]
    );
}

#[test]
fn another_score_is_an_error_but_for_what_programs_may_make_of_it() {
    let both = Both::new();
    for (off, programs, rule) in [
        (0.0004, true, None),
        (-0.1, true, Some("originals.programs")),
        (-0.1, false, Some("originals.score")),
        (0.6, true, Some("originals.score")),
    ] {
        let found = both.found(both.scorer(off, programs));
        let rules: Vec<&str> = found.iter().map(|(rule, _)| *rule).collect();
        // In all three scenarios.
        assert_eq!(
            rules,
            rule.map_or(vec![], |rule| vec![rule; 3]),
            "{off} {programs}"
        );
    }
    let rules = both.found(|_| Err("no list".into()));
    assert_eq!(rules.len(), 3);
    assert!(rules.iter().all(|(rule, _)| *rule == "originals.unscored"));
}
