//! Trees that are damaged at random: whatever a stranger wrote, there is a report. `OSSMARK_AUDIT_TREES` says how many.
#![allow(clippy::disallowed_methods, reason = "tests open what they made")]

use std::fs;
use std::path::{Path, PathBuf};

use ossmark_audit::anomalies::{of_run, of_tree};
use ossmark_audit::chain;
use ossmark_audit::fingerprint::{Claims, Machine, compare as compare_machine};
use ossmark_audit::page::{Chain, Part, page, report};
use ossmark_audit::reproduce::{Measured, compare};
use ossmark_audit::{Kind, Level, Stated, results};
use ossmark_report::{Depth, read};
use rand_mt::Mt64;
use serde_json::Value;

const PACKED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../submission/tests/fixtures/base_tree.tar.gz"
);

fn unpack(to: &Path) {
    let file = fs::File::open(PACKED).unwrap();
    tar::Archive::new(flate2::read::GzDecoder::new(file))
        .unpack(to)
        .unwrap();
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

/// All that an auditor does with a tree, but for starting runs.
fn audit(root: &Path) {
    let Ok(found) = of_tree(root) else { return };
    let part = |file: &str, value: Value| Part {
        file: file.into(),
        sha256: "0".repeat(64),
        value,
    };
    let mut parts = vec![part("found.json", serde_json::to_value(&found).unwrap())];
    let mut chains = Vec::new();
    for place in results(root).unwrap() {
        if let Ok(stated) = Stated::of(&place) {
            let _ = stated.differences(&place);
            assert!(
                stated
                    .user_conf()
                    .lines()
                    .all(|line| line.starts_with("gpt-oss-120b"))
            );
        }
        let run = place.dir.join("performance/run_1");
        let accuracy = place.dir.join("accuracy");
        let (test07, test09) = (place.dir.join("TEST07"), place.dir.join("TEST09"));
        let measured = Measured {
            performance: Some(&run),
            accuracy: Some(&accuracy),
            test07: Some(&test07),
            test09: Some(&test09),
        };
        let compared = compare(&place, &measured);
        parts.push(part("r.json", serde_json::to_value(&compared).unwrap()));
        let system = ossmark_files::read(&place.description).unwrap_or_default();
        let system: Value = serde_json::from_slice(&system).unwrap_or_default();
        let fields = compare_machine(&system, &Claims::of_plan(&system), &Machine::default());
        parts.push(part("s.json", serde_json::json!({ "fields": fields })));
        // What stands where a command's JSON is expected.
        parts.push(part("system.json", system.clone()));
        for dir in [&run, &accuracy] {
            let Ok(run) = read(dir, Depth::Page) else {
                continue;
            };
            let _ = of_run(&run);
            chains.push(Chain {
                run: dir.display().to_string(),
                links: chain::of_run(&run, &system),
            });
        }
    }
    let html = page(&report(&parts, chains));
    assert!(!html.contains("<script") && html.len() < 4 << 20);
}

/// Damages a file in one of the ways in which files are.
fn damage(file: &Path, random: &mut Mt64) {
    let mut bytes = fs::read(file).unwrap();
    let mut below = |bound: usize| (random.next_u64() % bound.max(1) as u64) as usize;
    match below(7) {
        0 => bytes.truncate(below(bytes.len())),
        1 => bytes.clear(),
        2 => {
            for _ in 0..20 {
                let at = below(bytes.len());
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = below(256) as u8;
                }
            }
        }
        3 => bytes = vec![b'['; 200_000],
        4 => {
            // Numbers that no run has.
            let text = String::from_utf8_lossy(&bytes).replace("\"value\": ", "\"value\": 9e99");
            bytes = text.into_bytes();
        }
        5 => {
            let text = String::from_utf8_lossy(&bytes).replace("\"value\": ", "\"value\": -");
            bytes = text.into_bytes();
        }
        _ => {
            fs::remove_file(file).unwrap();
            match below(3) {
                0 => fs::create_dir(file).unwrap(),
                1 => std::os::unix::fs::symlink(file, file).unwrap(),
                _ => std::os::unix::fs::symlink("/dev/zero", file).unwrap(),
            }
            return;
        }
    }
    fs::write(file, bytes).unwrap();
}

#[test]
fn damaged_trees_give_reports() {
    let trees = std::env::var("OSSMARK_AUDIT_TREES").ok();
    let trees: u64 = trees.and_then(|n| n.parse().ok()).unwrap_or(20);
    let tmp = tempfile::tempdir().unwrap();
    for seed in 0..trees {
        let mut random = Mt64::new(seed);
        let root = tmp.path().join(seed.to_string());
        unpack(&root);
        let mut all = Vec::new();
        files(&root, &mut all);
        all.sort();
        for _ in 0..1 + random.next_u64() % 5 {
            let file = all.swap_remove((random.next_u64() % all.len() as u64) as usize);
            damage(&file, &mut random);
        }
        audit(&root);
        fs::remove_dir_all(&root).unwrap();
    }
}

/// The tree of other tests: its schedule is that of its seeds, and its made-up answers are asked about.
#[test]
fn the_base_tree_keeps_its_schedule() {
    let tmp = tempfile::tempdir().unwrap();
    unpack(tmp.path());
    let found = of_tree(tmp.path()).unwrap();
    let schedule = found
        .findings
        .iter()
        .filter(|f| f.name.starts_with("schedule."));
    assert_eq!(schedule.count(), 0, "{found:?}");
    let detail = "closed/OracleLab/results/null-x1/gpt-oss-120b/Server/performance/run_1/mlperf_log_detail.txt";
    let detail = tmp.path().join(detail);
    let text = fs::read_to_string(&detail).unwrap();
    for (from, to, kind) in [
        (
            "\"effective_target_qps\", \"value\": 12",
            "\"effective_target_qps\", \"value\": 13",
            Kind::ScheduleTimes,
        ),
        (
            "\"loaded_qsl_set\", \"value\": [",
            "\"loaded_qsl_set\", \"value\": [1,",
            Kind::ScheduleOrder,
        ),
        (
            "\"result_mean_latency_ns\", \"value\": 10511360958",
            "\"result_mean_latency_ns\", \"value\": 20511360958",
            Kind::LogFigures,
        ),
    ] {
        assert!(text.contains(from), "{from}");
        fs::write(&detail, text.replace(from, to)).unwrap();
        let found = of_tree(tmp.path()).unwrap();
        let is_it = |f: &&ossmark_audit::Finding| f.name == kind.name() && f.level == Level::Ask;
        assert!(
            found.findings.iter().any(|f| is_it(&f)),
            "{from}: {found:?}"
        );
    }
}
