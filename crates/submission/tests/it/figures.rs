//! Each figure of a submitted text that is changed, one after the other, is found.

use regex::Regex;

use crate::common::{BENCHMARK, Tree, rules};

/// Changes each number of a file and expects a finding about the file; `free` are lines whose figures nothing in the tree
/// determines.
fn every_change_is_found(file: &str, free: &[&str]) {
    let tree = Tree::clean();
    let file = format!("{BENCHMARK}/Server/{file}");
    let text = tree.read(&file);
    let number = Regex::new(r"[0-9]+(?:\.[0-9]+)?").unwrap();
    let mut changed = 0;
    for found in number.find_iter(&text) {
        let line = text[..found.end()].lines().last().unwrap();
        if free.iter().any(|free| line.trim_start().starts_with(free)) {
            continue;
        }
        for at in [found.start(), found.end() - 1] {
            let digit = text.as_bytes()[at] - b'0';
            let mut other = text.clone();
            other.replace_range(at..=at, &((digit + 1) % 10).to_string());
            tree.write(&file, &other);
            let report = tree.check(false);
            assert!(
                report.findings.iter().any(|f| f.path == file),
                "{line} with {}: {:?}",
                &other[found.range()],
                rules(&report)
            );
            changed += 1;
        }
    }
    assert!(changed >= 10, "{file}: {changed} changes");
    tree.write(&file, &text);
    assert_eq!(tree.check(false).findings.len(), 0);
}

#[test]
fn of_the_accuracy_run() {
    every_change_is_found("accuracy/accuracy.txt", &["Loaded", "hash="]);
}

#[test]
fn of_test07() {
    every_change_is_found("TEST07/verify_accuracy.txt", &["TEST07"]);
}

/// The shortest, the longest and the spread are known to the whole log of answers alone; how far they can be wrong is bounded.
#[test]
fn of_test09() {
    let free = [
        "TEST09",
        "Min output tokens",
        "Max output tokens",
        "Std deviation",
    ];
    every_change_is_found("TEST09/verify_output_len.txt", &free);
    for (old, new) in [
        ("Min output tokens: 235", "Min output tokens: 1300"),
        ("Max output tokens: 2222", "Max output tokens: 1222"),
        ("Std deviation: 239.40", "Std deviation: 1239.40"),
        ("Std deviation: 239.40", "Std deviation: 0.40"),
        ("Mean output tokens: 1278.20", "Mean output tokens: 1298.20"),
        ("Max check pass: True", "Max check pass: False"),
    ] {
        let tree = Tree::clean();
        let file = format!("{BENCHMARK}/Server/TEST09/verify_output_len.txt");
        let text = tree.read(&file);
        assert!(text.contains(old));
        tree.write(&file, &text.replace(old, new));
        assert_eq!(rules(&tree.check(false)), ["compliance.text"], "{new}");
    }
}
