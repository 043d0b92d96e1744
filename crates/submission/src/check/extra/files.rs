//! Files: documents that must be there, files that should not, and the stamp of a rehearsal.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use ossmark_rules::rules;
use serde_json::Value;

use super::super::run::Run;
use crate::finding::Findings;
use crate::python;
use crate::tree;
use ossmark_logs::{ACCURACY, DETAIL, SUMMARY};

/// Stands in the system's name and in every README of a tree that is not to be submitted.
pub(crate) const REHEARSAL: &str = "REHEARSAL";

/// Real submitters have some thousand files, most of them under src/.
const MAX_FILES: usize = 200_000;
const MAX_DEPTH: usize = 64;

/// The checks of a scenario's own files.
pub(super) fn scenario(run: &Run<'_>, findings: &mut Findings) {
    let named = |json: &serde_json::Map<String, Value>| {
        json.get("system_name")
            .and_then(Value::as_str)
            .is_some_and(|n| n.contains(REHEARSAL))
    };
    if run.system.json.as_ref().is_some_and(named) {
        findings.invalidating(
            &run.system.path,
            "submission.rehearsal",
            &run.system.json_path(),
            format!("found {REHEARSAL} in system_name"),
        );
    }
    let readme = tree::read_text(&run.dir.join("README.md"), tree::TEXT_LIMIT);
    if matches!(&readme, tree::Text::Read(text) if text.contains(REHEARSAL)) {
        run.report(
            findings,
            "submission.rehearsal",
            "README.md",
            format!("found {REHEARSAL}"),
        );
    }
    let Some(measurements) = run.measurements.as_ref().and_then(Value::as_object) else {
        return;
    };
    let text = |key: &str| {
        measurements
            .get(key)
            .map(python::text)
            .unwrap_or_default()
            .to_lowercase()
    };
    let retraining = text("retraining");
    let says_no =
        ["n", "no", "none", "n/a", "false"].contains(&retraining.trim().trim_end_matches('.'));
    if !run.system.is_open() && !retraining.is_empty() && !says_no {
        run.report(
            findings,
            "measurements.retraining",
            "measurements.json",
            format!("found retraining {retraining:.80?}, expected no"),
        );
    }
    if !run.system.is_open() && !text("starting_weights_filename").contains("gpt-oss-120b") {
        let found = text("starting_weights_filename");
        run.report(
            findings,
            "measurements.weights",
            "measurements.json",
            format!("found starting_weights_filename {found:.80?}, expected openai/gpt-oss-120b"),
        );
    }
}

/// The checks of a submitter who has results.
pub(in super::super) fn submitter(
    dir: &Path,
    path: &str,
    systems: &[OsString],
    findings: &mut Findings,
) {
    for document in &rules().submission.documents.value {
        let names = ["md", "adoc"].map(|end| format!("documentation/{document}.{end}"));
        if !names
            .iter()
            .any(|name| tree::size(&dir.join(name)).is_some_and(|size| size > 0))
        {
            findings.general(
                "documentation.missing",
                &format!("{path}/documentation"),
                format!("found neither {} nor {}", names[0], names[1]),
            );
        }
    }
    for file in tree::files(&dir.join("systems")).unwrap_or_default() {
        let name = file.to_string_lossy().into_owned();
        let Some(system) = name.strip_suffix(".json") else {
            continue;
        };
        if !systems.iter().any(|s| s.to_string_lossy() == system) {
            findings.general(
                "system.unused",
                &format!("{path}/systems/{name}"),
                format!("found no results/{system}"),
            );
        }
    }
    all_files(dir, path, findings);
}

/// Every file, links not followed.
fn all_files(dir: &Path, path: &str, findings: &mut Findings) {
    let limit = rules().submission.max_file_bytes.value;
    let mut open: Vec<(PathBuf, String, usize)> = vec![(dir.into(), String::new(), 0)];
    let mut count = 0;
    while let Some((dir, below, depth)) = open.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            count += 1;
            let name = entry.file_name().to_string_lossy().into_owned();
            let below = if below.is_empty() {
                name
            } else {
                format!("{below}/{name}")
            };
            let at = format!("{path}/{below}");
            if count > MAX_FILES || depth > MAX_DEPTH {
                findings.general(
                    "tree.too-many",
                    path,
                    format!("found more than {MAX_FILES} files or {MAX_DEPTH} levels"),
                );
                return;
            }
            let Ok(metadata) = fs::symlink_metadata(entry.path()) else {
                continue;
            };
            let kind = metadata.file_type();
            if kind.is_dir() {
                open.push((entry.path(), below, depth + 1));
            } else if kind.is_symlink() {
                findings.general("tree.link", &at, "found a link");
            } else if !kind.is_file() {
                findings.general(
                    "tree.special-file",
                    &at,
                    "found neither a file, a directory nor a link",
                );
            } else {
                if metadata.len() > limit {
                    findings.general(
                        "tree.file-too-large",
                        &at,
                        format!("found {} bytes, expected at most {limit}", metadata.len()),
                    );
                }
                if !is_expected(&below) {
                    findings.general(
                        "tree.unexpected-file",
                        &at,
                        "found a file that no part of a submission is",
                    );
                }
            }
        }
    }
}

/// Whether a file under results/ has a place there; elsewhere everything has.
fn is_expected(below: &str) -> bool {
    let parts: Vec<&str> = below.split('/').collect();
    let ["results", _, benchmark, _, rest @ ..] = parts.as_slice() else {
        return true;
    };
    if *benchmark != rules().submission.benchmark.value {
        return true;
    }
    let is_log = |name: &str| {
        [
            DETAIL,
            SUMMARY,
            ACCURACY,
            "mlperf_log_trace.json",
            "spl.txt",
        ]
        .contains(&name)
    };
    let is_run = |rest: &[&str]| match rest {
        ["performance", "run_1" | "ranging" | "power", name] => is_log(name) || rest[1] == "power",
        ["accuracy", name] => is_log(name) || *name == "accuracy.txt",
        _ => false,
    };
    match rest {
        [name] => {
            [
                "measurements.json",
                "user.conf",
                "mlperf.conf",
                "audit.config",
                "audit_ledger.jsonl",
                "config.yaml",
                "config.yml",
            ]
            .contains(name)
                || name.ends_with(".md")
                || name.ends_with(".adoc")
        }
        ["audit", ..]
        | ["performance", "result_summary.json"]
        | ["accuracy", "accuracy_results.json"] => true,
        [test, name] if test.starts_with("TEST") => {
            name.starts_with("verify_") || *name == "audit.config"
        }
        [test, rest @ ..] if test.starts_with("TEST") => is_run(rest),
        rest => is_run(rest) || rest.last() == Some(&".gitkeep"),
    }
}
