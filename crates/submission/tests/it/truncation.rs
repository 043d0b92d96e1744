//! The nine cases of the oracle, and what the official tool gets wrong.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ossmark_submission::truncate::{Action, Line, Options, truncate};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::common::fixture_json;

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

fn tree(root: &Path) -> BTreeMap<String, (u64, String)> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else {
                let bytes = fs::read(&path).unwrap();
                let name = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                found.insert(name, (bytes.len() as u64, hash(&bytes)));
            }
        }
    }
    found
}

fn expected(tree: &Value) -> BTreeMap<String, (u64, String)> {
    let files = tree.as_object().unwrap().iter();
    files
        .map(|(name, file)| {
            (
                name.clone(),
                (
                    file["size"].as_u64().unwrap(),
                    file["sha256"].as_str().unwrap().to_owned(),
                ),
            )
        })
        .collect()
}

fn run(root: &Path, backup: &Path) -> Vec<Line> {
    truncate(Options {
        input: root,
        submitter: "Org",
        backup,
    })
    .unwrap()
}

#[test]
fn the_tree_is_left_as_the_official_tool_leaves_it() {
    for case in fixture_json("truncate.json").as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let tmp = tempfile::tempdir().unwrap();
        let (root, backup) = (tmp.path().join("in"), tmp.path().join("backup"));
        for (name, content) in case["files"].as_object().unwrap() {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), content.as_str().unwrap()).unwrap();
        }
        let lines = run(&root, &backup);
        assert_eq!(
            tree(&root),
            expected(&case["tree_after"]),
            "{id}: {lines:?}"
        );
        if let Some(kept) = case.get("backup_tree") {
            let mut found = tree(&backup);
            assert!(found.remove("manifest.json").is_some(), "{id}");
            assert_eq!(found, expected(kept), "{id}");
        }
        // Again, and with an empty backup: nothing changes, and no log is hashed that is not whole.
        for backup in [backup, tmp.path().join("another")] {
            let again = run(&root, &backup);
            assert_eq!(
                tree(&root),
                expected(&case["tree_after"]),
                "{id}, second run: {again:?}"
            );
            assert!(
                again
                    .iter()
                    .all(|l| matches!(l.action, Action::AlreadyDone | Action::Problem(_))),
                "{id}: {again:?}"
            );
        }
    }
}

#[test]
fn a_lost_hash_is_a_problem_and_not_a_new_one() {
    let tmp = tempfile::tempdir().unwrap();
    let (root, backup) = (tmp.path().join("in"), tmp.path().join("backup"));
    let accuracy = root.join("closed/Org/results/sys/gpt-oss-120b/Offline/TEST07/accuracy");
    fs::create_dir_all(&accuracy).unwrap();
    fs::write(
        accuracy.join("mlperf_log_accuracy.json"),
        "x".repeat(20_000),
    )
    .unwrap();
    let of_test = |lines: Vec<Line>| {
        lines
            .into_iter()
            .find(|l| l.path.contains("TEST07"))
            .unwrap()
            .action
    };
    assert_eq!(of_test(run(&root, &backup)), Action::Truncated);
    let true_hash = format!("hash={}\n", hash("x".repeat(20_000).as_bytes()));
    assert_eq!(
        fs::read_to_string(accuracy.join("accuracy.txt")).unwrap(),
        true_hash
    );
    // The original is aside, whole, and named in the manifest.
    let original = backup.join(
        "closed/Org/results/sys/gpt-oss-120b/Offline/TEST07/accuracy/mlperf_log_accuracy.json",
    );
    assert_eq!(fs::metadata(original).unwrap().len(), 20_000);
    assert!(
        fs::read_to_string(backup.join("manifest.json"))
            .unwrap()
            .contains(&true_hash[5..69])
    );
    fs::remove_file(accuracy.join("accuracy.txt")).unwrap();
    assert!(
        matches!(of_test(run(&root, &backup)), Action::Problem(why) if why.contains("truncated already"))
    );
    assert!(!accuracy.join("accuracy.txt").exists());
}

#[test]
fn a_backup_in_the_tree_or_of_another_log_is_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let root = tmp.path().join("in");
    let accuracy = "closed/Org/results/sys/gpt-oss-120b/Offline/accuracy";
    fs::create_dir_all(root.join(accuracy)).unwrap();
    fs::write(
        root.join(accuracy).join("accuracy.txt"),
        "'exact_match': 83.1\n",
    )
    .unwrap();
    fs::write(
        root.join(accuracy).join("mlperf_log_accuracy.json"),
        "y".repeat(20_000),
    )
    .unwrap();
    let inside = root.join("backup");
    assert!(
        truncate(Options {
            input: &root,
            submitter: "Org",
            backup: &inside
        })
        .is_err()
    );
    let backup = tmp.path().join("backup");
    fs::create_dir_all(backup.join(accuracy)).unwrap();
    fs::write(
        backup.join(accuracy).join("mlperf_log_accuracy.json"),
        "another",
    )
    .unwrap();
    assert!(
        matches!(&run(&root, &backup)[0].action, Action::Problem(why) if why.contains("another log in the backup"))
    );
    assert_eq!(
        fs::metadata(root.join(accuracy).join("mlperf_log_accuracy.json"))
            .unwrap()
            .len(),
        20_000
    );
}

/// Whatever a kill or a power cut left in the backup and in the tree, the same command finishes it.
#[test]
fn what_a_kill_left_is_finished() {
    let accuracy = "closed/Org/results/sys/gpt-oss-120b/Offline/accuracy";
    let (name, log) = ("mlperf_log_accuracy.json", "0123456789".repeat(20_000));
    let full = log.as_bytes();
    let zeros = [&full[..5_000], &[0; 15_000][..]].concat();
    let copies: [Option<&[u8]>; 5] = [
        None,
        Some(b""),
        Some(&full[..4_096]),
        Some(&zeros),
        Some(full),
    ];
    for copy in copies {
        for truncated_hash in [false, true] {
            let tmp = tempfile::tempdir().unwrap();
            let (root, backup) = (tmp.path().join("in"), tmp.path().join("backup"));
            let (place, kept) = (root.join(accuracy), backup.join(accuracy));
            fs::create_dir_all(&place).unwrap();
            fs::create_dir_all(&kept).unwrap();
            fs::write(place.join(name), &log).unwrap();
            let said = match truncated_hash {
                true => format!("score\n\nhash={}\n", hash(full)),
                false => "score\n".into(),
            };
            fs::write(place.join("accuracy.txt"), said).unwrap();
            if let Some(copy) = copy {
                fs::write(kept.join(name), copy).unwrap();
            }
            for dir in [&place, &kept] {
                fs::write(dir.join(format!(".{name}.ossmark-part")), "half").unwrap();
            }
            fs::write(backup.join(".manifest.json.ossmark-part"), "{").unwrap();
            let lines = run(&root, &backup);
            assert_eq!(lines[0].action, Action::Truncated, "{lines:?}");
            assert_eq!(fs::read(kept.join(name)).unwrap(), full);
            let text = fs::read_to_string(place.join("accuracy.txt")).unwrap();
            assert_eq!(text.matches(&hash(full)).count(), 1, "{text}");
            let here = tree(&root);
            assert_eq!(here.len(), 2, "{here:?}");
            // A copy that was whole is not written again.
            let parts = tree(&backup).keys().filter(|n| n.contains("part")).count();
            assert_eq!(parts, usize::from(copy == Some(full)));
        }
    }
}

/// Two at a time would write each other's manifest over.
#[test]
fn one_at_a_time() {
    let tmp = tempfile::tempdir().unwrap();
    let (root, backup) = (tmp.path().join("in"), tmp.path().join("backup"));
    fs::create_dir_all(&root).unwrap();
    let held = ossmark_files::Directory::claim(&backup).unwrap();
    let options = Options {
        input: &root,
        submitter: "Org",
        backup: &backup,
    };
    let error = truncate(options).unwrap_err().to_string();
    assert!(error.contains("another process"), "{error}");
    drop(held);
    truncate(options).unwrap();
}
