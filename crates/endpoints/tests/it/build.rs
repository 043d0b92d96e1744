//! `endpoints build`: what is taken from a run, and what is refused.

use std::fs;
use std::path::Path;

use ossmark_endpoints::build::{Options, build};
use ossmark_endpoints::check::{self, check};
use ossmark_endpoints::{Error, Severity};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::client::{Demo, runs};

/// The example that is shipped, for the run `clean`.
fn description(dir: &Path, change: impl Fn(String) -> String) {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../submission/endpoints.toml");
    let text = fs::read_to_string(shipped).unwrap();
    let (text, _) = text.split_once("[[point]]").unwrap();
    let text = format!("{text}\n[[point]]\nrun = \"clean\"\n");
    fs::write(dir.join("curve.toml"), change(text)).unwrap();
    for name in ["src/README.md", "docs/software_disclosure.md"] {
        let file = dir.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "text\n").unwrap();
    }
}

fn built(runs: &TempDir, rehearsal: bool) -> Result<Vec<String>, Error> {
    let tokens = Demo::load();
    let mut machine = Map::new();
    machine.insert("host_processor_core_count".into(), json!(48));
    machine.insert("driver".into(), json!("not this"));
    machine.insert("filesystem".into(), json!("ext4"));
    build(Options {
        description: &runs.path().join("curve.toml"),
        output: &runs.path().join("out"),
        tokens: Some(&tokens),
        rehearsal,
        machine: &machine,
    })
}

fn refused(runs: &TempDir, rehearsal: bool) -> Vec<String> {
    match built(runs, rehearsal) {
        Err(Error::Refused { problems }) => problems,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_point_is_what_its_run_says() {
    let runs = runs();
    description(runs.path(), |text| text);
    let files = built(&runs, false).unwrap();
    let point = "Org/sub-0001/results/8xH200/gpt-oss-120b/r4";
    for name in [
        "point.yaml",
        "config.yaml",
        "result_summary.json",
        "system_desc.json",
    ] {
        assert!(files.contains(&format!("{point}/{name}")), "{files:?}");
    }
    let dir = runs.path().join("out").join(point);
    let yaml = fs::read_to_string(dir.join("point.yaml")).unwrap();
    for line in [
        "concurrency: 4\n",
        "region: \"low_latency\"\n",
        "sample_index_rng_seed: 586478644936801402\n",
        "scheduler_rng_seed: 10487924139932647040\n",
        "model_seed: 9315206023656308754\n",
        "status: \"partial_dataset\"\n",
    ] {
        assert!(yaml.contains(line), "{line} in {yaml}");
    }
    let system: Value =
        serde_json::from_slice(&fs::read(dir.join("system_desc.json")).unwrap()).unwrap();
    assert_eq!(system["tps_utilization"], 1.0);
    // Of this machine only what the description left out.
    let node = &system["node_types"][0];
    assert_eq!(
        (&node["host_processor_core_count"], &node["driver"]),
        (&json!(48), &json!("570"))
    );
    let power = dir.join("../../system_power.json");
    let power: Value = serde_json::from_slice(&fs::read(power).unwrap()).unwrap();
    // (2 * 400 + 8 * 700) * 1.5 W.
    assert_eq!(power["provisioned_power_kw"], 9.6);
    // Every file is one that the check can read: what it objects to is the curve, not a form.
    let tree = runs.path().join("out/Org");
    let report = check(check::Options {
        tree: &tree,
        tokens: None,
        official_only: true,
        strict: false,
    });
    let report = report.unwrap();
    for finding in report
        .findings
        .iter()
        .filter(|f| f.severity == Severity::Error)
    {
        assert!(
            !finding.rule.ends_with("-valid")
                && finding.rule != "point-disclosure-complete"
                && finding.rule != "power-descriptor",
            "{finding:?}"
        );
    }
}

#[test]
fn what_does_not_add_up_is_refused_all_at_once() {
    let runs = runs();
    description(runs.path(), |text| {
        let text = text.replace("organisation = \"Org\"", "organisation = \"../Org\"");
        let text = text.replace("source = [\"src/README.md\"]", "source = [\"src/gone.md\"]");
        text.replace("value_w = 400.0, ", "")
            + "[[point]]\nrun = \"clean\"\n[[point]]\nrun = \"gone\"\n"
    });
    let problems = refused(&runs, false);
    for part in [
        "../Org",
        "src/gone.md",
        "README.md",
        "tdp_per_unit",
        "give each concurrency once",
        "gone: found no config.yaml",
    ] {
        assert!(
            problems.iter().any(|problem| problem.contains(part)),
            "{part}: {problems:#?}"
        );
    }
    assert!(!runs.path().join("out").exists());
}

#[test]
fn a_summary_of_other_events_and_other_seeds_are_refused() {
    let runs = runs();
    description(runs.path(), |text| text);
    let file = runs.path().join("clean/performance/result_summary.json");
    let whole = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        whole.replacen(
            "\"n_samples_completed\": 64",
            "\"n_samples_completed\": 65",
            1,
        ),
    )
    .unwrap();
    let problems = refused(&runs, false);
    assert!(
        problems
            .iter()
            .any(|p| p.contains("client-summary-differs")),
        "{problems:?}"
    );
    // A rehearsal is said to be one, and stamped.
    fs::write(&file, whole.replacen('{', "{\"rehearsal\": \"yes\",", 1)).unwrap();
    assert!(refused(&runs, false)[0].contains("--rehearsal"));
    built(&runs, true).unwrap();
    let point = runs
        .path()
        .join("out/Org/sub-0001/results/8xH200/gpt-oss-120b/r4/point.yaml");
    assert!(
        fs::read_to_string(point)
            .unwrap()
            .starts_with("# A rehearsal")
    );
    let config = runs.path().join("clean/config.yaml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(
        &config,
        text.replace("scheduler_random_seed: 1048", "scheduler_random_seed: 1049"),
    )
    .unwrap();
    let problems = refused(&runs, true);
    assert!(
        problems.iter().any(|p| p.contains("seed set A")),
        "{problems:?}"
    );
}
