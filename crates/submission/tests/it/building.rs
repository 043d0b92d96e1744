//! From run directories to a tree that passes. The runs are those of the base tree, with the verdicts that ossmark writes.

use std::fs;
use std::path::Path;

use ossmark_submission::build::{Options, build};
use ossmark_submission::check::{self, check};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::common::{BENCHMARK, Tree, copy, is_valid, rules};

const SCENARIOS: [(&str, &str, f64); 3] = [
    ("offline", "Offline", 1.0),
    ("server", "Server", 12.0),
    ("interactive", "Interactive", 11.0),
];

const LOGS: [&str; 3] = [
    "mlperf_log_detail.txt",
    "mlperf_log_summary.txt",
    "mlperf_log_accuracy.json",
];

/// Run directories, the ledgers of their tests and a description; `edit` changes the plan and the verdict of one run.
pub(crate) fn runs(root: &Path, settings: &str, edit: impl Fn(&str, &mut Value, &mut Value)) {
    let tree = Tree::base();
    let mut description = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../submission/example.toml"),
    )
    .unwrap();
    description.truncate(description.find("# What `ossmark run` left").unwrap());
    fs::create_dir_all(root.join("src")).unwrap();
    fs::write(root.join("src/README.md"), "public: ossmark\n").unwrap();
    for (name, folder, qps) in SCENARIOS {
        let from = tree.path(&format!("{BENCHMARK}/{folder}"));
        let mut dirs = Vec::new();
        for (mode, logs) in [
            ("performance", "performance/run_1"),
            ("accuracy", "accuracy"),
        ] {
            let run = format!("runs/{name}-{mode}");
            copy(&from.join(logs), &root.join(&run));
            dirs.push((run, mode, "", ""));
        }
        // The base tree's logs are truncated already: the hash is not that of the file here.
        let score = root.join(format!("runs/{name}-accuracy/accuracy.txt"));
        let text = fs::read_to_string(&score).unwrap();
        let kept = text.lines().filter(|line| !line.starts_with("hash="));
        fs::write(&score, kept.collect::<Vec<_>>().join("\n")).unwrap();
        let mut ledger = String::new();
        for (test, text) in [
            ("TEST07", "verify_accuracy.txt"),
            ("TEST09", "verify_output_len.txt"),
        ] {
            let run = format!("audit/{name}/{test}");
            copy(&from.join(test), &root.join(&run));
            let result = json!({"test": test, "passed": true, "value": 1278.5, "log_sha256": sha256(&root.join(&run).join("accuracy").join(LOGS[2])),
                "text_sha256": sha256(&root.join(&run).join(text))});
            ledger += &format!(
                "{}\n",
                json!({"time_unix_s": 1, "logs": "run", "result": result})
            );
            dirs.push((run, "performance", "performance/run_1/", "accuracy/"));
        }
        fs::write(
            root.join(format!("audit/{name}/audit_ledger.jsonl")),
            ledger,
        )
        .unwrap();
        for (run, mode, logs, answers) in dirs {
            let dir = root.join(&run);
            let mut plan = json!({"command": ["ossmark", "run"], "scenario": name, "mode": mode, "engine": "cuda", "dtype": "bf16",
                "round": "v6.1", "model": {"path": "m", "description": "gpt-oss-120b", "engines": 1}, "dataset": {"rows": 6396}, "loadgen": {"source": "sha256:1"},
                "ossmark": {"cores": 8, "memory_bytes": 1_u64 << 36, "kernel": "Linux 6", "version": "0.1.0", "git_revision": "abc",
                    "gpus": [{"name": "NVIDIA H200", "memory_mib": 143_771, "driver": "580.1"}]},
                "requested_settings": {"target_qps": qps, "min_duration_ms": 600_000, "min_query_count": if name == "offline" { 6396 } else { 100 }}});
            let mut verdict = json!({"verdict": "valid", "settings": settings, "deviations": ["answers are scripted"], "reasons": [],
                "faults": [], "interrupted": false, "scenario": name, "mode": mode, "files": {}});
            for (log, below) in LOGS.into_iter().zip([logs, logs, answers]) {
                let file = dir.join(below).join(log);
                if file.exists() {
                    verdict["files"][log] = sha256(&file).into();
                }
            }
            edit(&run, &mut plan, &mut verdict);
            fs::write(dir.join("run_plan.json"), plan.to_string()).unwrap();
            verdict["files"]["run_plan.json"] = sha256(&dir.join("run_plan.json")).into();
            fs::write(dir.join("verdict.json"), verdict.to_string()).unwrap();
        }
        description += &format!(
            "[[result]]\nscenario = \"{name}\"\nperformance = \"runs/{name}-performance\"\naccuracy = \"runs/{name}-accuracy\"\n\
             test07 = \"audit/{name}/TEST07\"\ntest09 = \"audit/{name}/TEST09\"\n"
        );
    }
    fs::write(root.join("description.toml"), description).unwrap();
}

pub(crate) fn sha256(file: &Path) -> String {
    let digest = Sha256::digest(fs::read(file).unwrap());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn build_at(root: &Path, rehearsal: bool) -> Result<Vec<String>, String> {
    let options = Options {
        description: &root.join("description.toml"),
        output: &root.join("tree"),
        rehearsal,
    };
    build(options).map_err(|error| error.to_string())
}

/// Everything is refused at once and nothing is written.
#[track_caller]
pub(crate) fn refused(root: &Path, rehearsal: bool, parts: &[&str]) {
    let refused = build_at(root, rehearsal).unwrap_err();
    for part in parts {
        assert!(refused.contains(part), "{part} in {refused}");
    }
    assert!(!root.join("tree").exists());
}

fn report(tree: &Path, official_only: bool) -> check::Report {
    check(check::Options {
        input: tree,
        round: "v6.1",
        submitter: None,
        official_only,
    })
    .unwrap()
}

/// What `submission truncate` would add: the hashes of the whole logs.
fn hashes(root: &Path) {
    let base = Tree::base();
    for (_, folder, _) in SCENARIOS {
        for run in ["", "TEST07/", "TEST09/"] {
            let file = format!("{folder}/{run}accuracy/accuracy.txt");
            let to = root
                .join("closed/Org/results/1xH200/gpt-oss-120b")
                .join(&file);
            fs::copy(base.path(&format!("{BENCHMARK}/{file}")), to).unwrap();
        }
    }
}

#[test]
fn official_runs_become_a_tree_that_passes() {
    let tmp = tempfile::tempdir().unwrap();
    let tree = tmp.path().join("tree");
    runs(tmp.path(), "official", |_, _, _| ());
    let written = build_at(tmp.path(), false).unwrap();
    assert!(
        written
            .iter()
            .any(|name| name == "closed/Org/documentation/calibration.md"),
        "{written:?}"
    );
    hashes(&tree);
    let found = report(&tree, false);
    assert!(
        is_valid(&found) && found.results.len() == 3,
        "{:#?}",
        found.findings
    );
    assert_eq!(rules(&found), Vec::<&str>::new());
    let system = fs::read_to_string(tree.join("closed/Org/systems/1xH200.json")).unwrap();
    assert!(
        system.contains("\"framework\": \"ossmark 0.1.0\""),
        "{system}"
    );
    let readme = "closed/Org/results/1xH200/gpt-oss-120b/Offline/README.md";
    let readme = fs::read_to_string(tree.join(readme)).unwrap();
    assert!(
        readme.contains("TEST09: attempts: 1, in order 1278.50"),
        "{readme}"
    );
}

/// What nvidia-smi said in the runs fills the description in; on a machine without it the fields are asked for.
#[test]
fn a_gpu_is_described_by_the_runs_or_asked_for() {
    const FIELDS: [&str; 3] = [
        "accelerators_per_node",
        "accelerator_model_name",
        "accelerator_memory_capacity",
    ];
    let describe = |gpus: Value| {
        let tmp = tempfile::tempdir().unwrap();
        runs(tmp.path(), "official", |_, plan, _| {
            plan["ossmark"]["gpus"] = gpus.clone();
            plan["model"]["engines"] = json!(gpus.as_array().unwrap().len());
        });
        let file = tmp.path().join("description.toml");
        let text = fs::read_to_string(&file).unwrap();
        let kept = text.lines().filter(|line| {
            !FIELDS
                .iter()
                .any(|field| line.starts_with(&format!("{field} ")))
        });
        fs::write(&file, kept.collect::<Vec<_>>().join("\n")).unwrap();
        tmp
    };
    let gpu = json!({"name": "NVIDIA H200", "memory_mib": 143_771, "driver": "580.1"});
    let one = describe(json!([gpu]));
    build_at(one.path(), false).unwrap();
    let system = fs::read(one.path().join("tree/closed/Org/systems/1xH200.json")).unwrap();
    let system: Value = serde_json::from_slice(&system).unwrap();
    assert_eq!(
        FIELDS.map(|field| system[field].as_str().unwrap_or_default()),
        ["1", "NVIDIA H200", "143771 MiB"]
    );
    refused(describe(json!([])).path(), false, &FIELDS);
}

#[test]
fn a_rehearsal_is_stamped_and_that_is_all() {
    let tmp = tempfile::tempdir().unwrap();
    runs(tmp.path(), "test", |_, plan, _| {
        plan["engine"] = "echo".into()
    });
    refused(
        tmp.path(),
        false,
        &["not official", "scripted", "--rehearsal"],
    );
    build_at(tmp.path(), true).unwrap();
    let tree = tmp.path().join("tree");
    hashes(&tree);
    assert!(is_valid(&report(&tree, true)));
    let found = report(&tree, false);
    assert!(!is_valid(&found));
    assert!(
        found
            .findings
            .iter()
            .all(|f| f.rule == "submission.rehearsal" && !f.official),
        "{:#?}",
        found.findings
    );
    // Each of the two stamps is found: one file may be replaced by hand.
    for (file, stamps) in [("/systems/", 1), ("/README.md", 3)] {
        let at_file = |path: &str| path.contains(file);
        let n = found.findings.iter().filter(|f| at_file(&f.path)).count();
        assert_eq!(n, stamps, "{file}: {:#?}", found.findings);
    }
}

#[test]
fn runs_that_may_not_be_handed_in_are_refused_all_at_once() {
    let tmp = tempfile::tempdir().unwrap();
    runs(tmp.path(), "official", |run, _, verdict| match run {
        "runs/offline-performance" => verdict["verdict"] = json!("invalid"),
        "runs/offline-accuracy" => verdict["faults"] = json!(["engine: it broke"]),
        "runs/server-performance" => verdict["interrupted"] = json!(true),
        "runs/server-accuracy" => verdict["mode"] = json!("performance"),
        "audit/server/TEST07" => verdict["reasons"] = json!(["it is late"]),
        "audit/server/TEST09" => verdict["verdict"] = json!("invalid"),
        _ => {}
    });
    let description = tmp.path().join("description.toml");
    let text = fs::read_to_string(&description).unwrap();
    fs::write(
        &description,
        text.replace("cooling = \"Air-cooled\"\n", "")
            .replace("test09 = \"audit/interactive/TEST09\"\n", ""),
    )
    .unwrap();
    for rehearsal in [false, true] {
        let parts = [
            "offline-performance: the run is not valid",
            "TEST09: the run is not valid",
            "engine: it broke",
            "server-performance: the run was interrupted",
            "mode \"performance\" in verdict.json",
            "cooling",
            "no test09",
        ];
        refused(tmp.path(), rehearsal, &parts);
    }
}

/// The verdict alone does not make a run one of a model: without --rehearsal these are refused whatever it says.
#[test]
fn what_is_made_up_is_refused_without_rehearsal() {
    let tmp = tempfile::tempdir().unwrap();
    runs(tmp.path(), "official", |run, plan, verdict| match run {
        "runs/offline-performance" => plan["engine"] = json!("echo"),
        "runs/offline-accuracy" => plan["dataset"] = Value::Null,
        "runs/server-performance" => {
            plan["model"]["description"] = json!("Synthetic weights, seed 1")
        }
        "audit/interactive/TEST07" => {
            verdict["settings"] = json!("test");
            verdict["deviations"] = json!(["min_duration is 5"]);
        }
        _ => {}
    });
    let parts = [
        "offline-performance: the answers are scripted",
        "offline-accuracy: the prompts are made up",
        "server-performance: the weights are synthetic",
        "TEST07: the settings are not official: min_duration is 5",
    ];
    refused(tmp.path(), false, &parts);
}

/// Files of different runs, put together to look like one.
#[test]
fn stitched_runs_are_refused() {
    type Stitch = fn(&Path);
    fn other(root: &Path, from: &str, to: &str) {
        fs::copy(root.join(from), root.join(to)).unwrap();
    }
    fn edit(root: &Path, file: &str, old: &str, new: &str) {
        let text = fs::read_to_string(root.join(file)).unwrap();
        assert!(text.contains(old), "{old} in {file}");
        fs::write(root.join(file), text.replacen(old, new, 1)).unwrap();
    }
    let cases: [(&[&str], Stitch); 12] = [
        (
            &[
                "server-accuracy",
                "mlperf_log_accuracy.json in verdict.json",
            ],
            |root| {
                other(
                    root,
                    "runs/offline-accuracy/mlperf_log_accuracy.json",
                    "runs/server-accuracy/mlperf_log_accuracy.json",
                );
            },
        ),
        (
            &[
                "server-performance",
                "mlperf_log_summary.txt in verdict.json",
            ],
            |root| {
                other(
                    root,
                    "runs/interactive-performance/mlperf_log_summary.txt",
                    "runs/server-performance/mlperf_log_summary.txt",
                );
            },
        ),
        (
            &[
                "server-performance",
                "mlperf_log_detail.txt in verdict.json",
            ],
            |root| {
                other(
                    root,
                    "runs/interactive-performance/mlperf_log_detail.txt",
                    "runs/server-performance/mlperf_log_detail.txt",
                );
            },
        ),
        (
            &["offline-performance", "run_plan.json in verdict.json"],
            |root| {
                edit(
                    root,
                    "runs/offline-performance/run_plan.json",
                    "\"target_qps\":1.0",
                    "\"target_qps\":9.0",
                );
            },
        ),
        (
            &[
                "server-performance",
                "found a run of scenario \"interactive\" in verdict.json",
            ],
            |root| {
                other(
                    root,
                    "runs/interactive-performance/verdict.json",
                    "runs/server-performance/verdict.json",
                );
            },
        ),
        (
            &[
                "offline-performance",
                "found no hash of mlperf_log_detail.txt",
            ],
            |root| {
                edit(
                    root,
                    "runs/offline-performance/verdict.json",
                    "mlperf_log_detail.txt",
                    "mlperf_log_other.txt",
                );
            },
        ),
        (&["accuracy.txt: found hash=", "--log-hash"], |root| {
            fs::write(
                root.join("runs/offline-accuracy/accuracy.txt"),
                format!("'exact_match': 99.0\nhash={}\n", "0".repeat(64)),
            )
            .unwrap();
        }),
        (
            &[
                "offline/TEST07",
                "mlperf_log_accuracy.json in verdict.json",
                "found no attempt with this log",
            ],
            |root| {
                let file = "accuracy/mlperf_log_accuracy.json";
                other(
                    root,
                    &format!("audit/server/TEST07/{file}"),
                    &format!("audit/offline/TEST07/{file}"),
                );
            },
        ),
        (
            &["offline/TEST09", "mlperf_log_detail.txt in verdict.json"],
            |root| {
                let file = "performance/run_1/mlperf_log_detail.txt";
                other(
                    root,
                    &format!("audit/offline/TEST07/{file}"),
                    &format!("audit/offline/TEST09/{file}"),
                );
            },
        ),
        (
            &[
                "offline/TEST09",
                "found no attempt with this log and this verify_output_len.txt",
            ],
            |root| {
                edit(
                    root,
                    "audit/offline/TEST09/verify_output_len.txt",
                    "TEST",
                    "TEST ",
                );
            },
        ),
        (&["offline/TEST09: the test did not pass"], |root| {
            let ledger = "audit/offline/audit_ledger.jsonl";
            let text = fs::read_to_string(root.join(ledger)).unwrap();
            fs::write(
                root.join(ledger),
                text.replace("\"passed\":true", "\"passed\":false"),
            )
            .unwrap();
        }),
        (&["audit_ledger.jsonl", "expected the ledger"], |root| {
            fs::remove_file(root.join("audit/offline/audit_ledger.jsonl")).unwrap();
        }),
    ];
    for (parts, stitch) in cases {
        let tmp = tempfile::tempdir().unwrap();
        runs(tmp.path(), "official", |_, _, _| ());
        stitch(tmp.path());
        for rehearsal in [false, true] {
            refused(tmp.path(), rehearsal, parts);
        }
    }
}

#[test]
fn runs_of_two_engines_are_refused() {
    let tmp = tempfile::tempdir().unwrap();
    runs(tmp.path(), "official", |run, plan, _| match run {
        "runs/offline-accuracy" => plan["ossmark"]["git_revision"] = json!("def"),
        "audit/server/TEST07" => plan["dtype"] = json!("f32"),
        _ => {}
    });
    let parts = [
        "offline-accuracy: found ossmark/git_revision \"def\", the performance run has \"abc\"",
        "TEST07: found dtype \"f32\", the performance run has \"bf16\"",
    ];
    refused(tmp.path(), false, &parts);
}

/// Whatever is not there: what was expected in its place is said.
#[test]
fn what_is_missing_is_named_with_what_was_expected() {
    let tmp = tempfile::tempdir().unwrap();
    let found = "not found; expected the description";
    refused(tmp.path(), false, &["description.toml", found]);
    for (run, name) in [
        ("performance", "run_plan.json"),
        ("accuracy", "verdict.json"),
    ] {
        let tmp = tempfile::tempdir().unwrap();
        runs(tmp.path(), "official", |_, _, _| ());
        let file = format!("runs/offline-{run}/{name}");
        fs::remove_file(tmp.path().join(&file)).unwrap();
        let parts = [file.as_str(), "not found; expected what `ossmark run`"];
        refused(tmp.path(), false, &parts);
    }
}
