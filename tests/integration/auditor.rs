//! `ossmark auditor` from outside: on runs made here, on a tree made of one, on this machine.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ossmark_dataset::Dataset;
use ossmark_harmony::Tokenizer;
use serde_json::{Value, json};

use crate::common::{ANY_SPEED, Bench, Done, SHORT_CONF, binary, finish, read_json, repository};
use crate::remote::{Kind, Server};

const LIMIT: Duration = Duration::from_secs(300);

fn auditor(dir: &Path, words: &[&str]) -> Done {
    let mut command = Command::new(binary());
    command.current_dir(dir).arg("auditor").args(words);
    finish(command, LIMIT)
}

/// A Server run of the echo engine, in `out`.
fn server() -> Bench {
    let bench = Bench::with_conf(&(SHORT_CONF.to_owned() + ANY_SPEED));
    let options = ["--echo-ttft-ms", "3", "--echo-tpot-ms", "0.2"];
    let done = finish(bench.echo("server", "performance", &options), LIMIT);
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    bench
}

/// A tree of one result, whose logs are those of the run in `out`.
fn tree_of(bench: &Bench, scenario: &str) {
    let to = bench
        .dir
        .path()
        .join("tree/closed/Org/results/box/gpt-oss-120b")
        .join(scenario);
    let run = to.join("performance/run_1");
    fs::create_dir_all(&run).unwrap();
    for name in ["mlperf_log_detail.txt", "mlperf_log_summary.txt"] {
        fs::copy(bench.out().join(name), run.join(name)).unwrap();
    }
    fs::copy(bench.dir.path().join("user.conf"), to.join("user.conf")).unwrap();
}

#[test]
fn a_run_is_as_usual_until_its_log_is_changed() {
    let bench = server();
    let dir = bench.dir.path();
    let done = auditor(dir, &["anomalies", "out", "--json", "honest.json"]);
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let found = read_json(&dir.join("honest.json"));
    let asks = |found: &Value| {
        let list = found["findings"].as_array().unwrap().iter();
        let asks = list.filter(|finding| finding["level"] == "ask");
        asks.map(|finding| finding["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(asks(&found), Vec::<String>::new());
    assert!(!found["not_looked_at"].as_array().unwrap().is_empty());
    let log = bench.out().join("mlperf_log_detail.txt");
    let text = fs::read_to_string(&log).unwrap();
    // Another seed: the round's without its first digit.
    let key = "\"effective_schedule_rng_seed\", \"value\": ";
    let seed = format!("{key}1");
    assert!(text.contains(&seed));
    fs::write(&log, text.replace(&seed, key)).unwrap();
    let done = auditor(dir, &["anomalies", "out", "--json", "changed.json"]);
    assert_eq!(done.code(), Some(1), "{}{}", done.stdout, done.stderr);
    let asks = asks(&read_json(&dir.join("changed.json")));
    assert!(asks.contains(&"schedule.times".to_owned()), "{asks:?}");
}

/// What a tree names is not used; what it counts is.
#[test]
fn a_run_is_made_again_from_its_numbers() {
    let bench = server();
    let dir = bench.dir.path();
    tree_of(&bench, "Server");
    let evil = json!({
        "command": ["ossmark", "run", "--endpoint", "http://evil.example"], "engine": "http",
        "dataset": { "path": "/evil/data.parquet" }, "api_key_file": "/evil/key", "max_new_tokens": 10240,
    });
    let run = dir.join("tree/closed/Org/results/box/gpt-oss-120b/Server/performance/run_1");
    fs::write(run.join("run_plan.json"), evil.to_string()).unwrap();
    let measured = [
        "reproduce",
        "tree",
        "--scenario",
        "server",
        "--measured",
        "out",
        "--json",
        "same.json",
    ];
    let done = auditor(dir, &measured);
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let same = read_json(&dir.join("same.json"));
    for field in same["fields"].as_array().unwrap() {
        assert_eq!(field["within_2_percent"], true, "{field}");
    }
    let words = "reproduce tree --scenario server --output again --json again.json -- --engine echo --echo-ttft-ms 3 --echo-tpot-ms 0.2";
    let done = auditor(dir, &crate::common::words(words));
    assert!(
        matches!(done.code(), Some(0 | 1)),
        "{}{}",
        done.stdout,
        done.stderr
    );
    let again = read_json(&dir.join("again.json"));
    // The schedule is that of the seeds, however fast this machine is.
    assert_eq!(
        again["fields"][0]["name"],
        "result_scheduled_samples_per_sec"
    );
    assert_eq!(again["fields"][0]["within_2_percent"], true, "{again}");
    let plan = fs::read_to_string(dir.join("again/performance/run_plan.json")).unwrap();
    assert!(!plan.contains("evil"), "{plan}");
    assert!(plan.contains("10240"), "{plan}");
    for words in [
        "reproduce tree --scenario offline --print",
        "reproduce tree --scenario server",
        "reproduce tree --scenario server --output x",
        "reproduce tree --scenario server --output x -- --dataset y",
    ] {
        auditor(dir, &crate::common::words(words)).refused(&[]);
    }
}

#[test]
fn the_machine_is_compared_field_by_field() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path();
    let done = auditor(dir, &["fingerprint", "--json", "found.json"]);
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let machine = read_json(&dir.join("found.json"))["machine"].clone();
    let bytes = machine["memory_bytes"].as_f64().unwrap();
    let mut system = json!({
        "host_memory_capacity": format!("{:.3} GB", bytes / 1e9),
        "operating_system": machine["os"],
        "host_processor_model_name": machine["cpu"],
        "cooling": "air",
    });
    let compared = |system: &Value| {
        fs::write(dir.join("system.json"), system.to_string()).unwrap();
        let words = [
            "fingerprint",
            "--system",
            "system.json",
            "--json",
            "compared.json",
            "--force",
        ];
        let done = auditor(dir, &words);
        let fields = read_json(&dir.join("compared.json"))["fields"].clone();
        let differ = fields
            .as_array()
            .unwrap()
            .iter()
            .filter(|field| field["outcome"] == "differs");
        let differ: Vec<String> = differ
            .map(|field| field["name"].as_str().unwrap().to_owned())
            .collect();
        (done.code(), differ)
    };
    let (_, differ) = compared(&system);
    // Whether a device here has ECC on is its owner's affair.
    assert!(
        differ.iter().all(|name| name.starts_with("ECC")),
        "{differ:?}"
    );
    for (name, seen, other) in [
        ("host_memory_capacity", "memory_bytes", "1 GB"),
        ("host_processor_model_name", "cpu", "Intel Xeon 99999"),
        ("host_processors_per_node", "packages", "31"),
        ("host_processor_core_count", "cores", "9999"),
        ("host_processor_frequency", "cpu_base_mhz", "9.9 GHz"),
        ("operating_system", "os", "CP/M 2.2"),
        ("framework", "engine", "ossmark 99.0.0"),
        ("accelerators_per_node", "accelerators", "31"),
    ] {
        let is_seen = match &machine[seen] {
            Value::Null => false,
            Value::Array(all) => !all.is_empty(),
            _ => true,
        };
        if !is_seen {
            continue;
        }
        let before = system[name].take();
        system[name] = json!(other);
        let (code, differ) = compared(&system);
        assert_eq!(code, Some(1));
        assert!(differ.contains(&name.to_owned()), "{name}: {differ:?}");
        system[name] = before;
    }
    // Another commit of the source, and another file than the run's.
    let git = dir.join("source/.git");
    fs::create_dir_all(&git).unwrap();
    fs::write(git.join("HEAD"), "f".repeat(40)).unwrap();
    fs::write(dir.join("data.parquet"), "PAR1").unwrap();
    let plan = json!({ "ossmark": { "git_revision": "0".repeat(40) }, "dataset": { "file_sha256": "0".repeat(64) } });
    fs::write(dir.join("run_plan.json"), plan.to_string()).unwrap();
    let line = "fingerprint --run-plan run_plan.json --source source --dataset data.parquet --json other.json";
    let done = auditor(dir, &crate::common::words(line));
    assert_eq!(done.code(), Some(1), "{}{}", done.stdout, done.stderr);
    for name in ["commit of the source", "SHA-256 of dataset"] {
        let line = format!("DIFFERS    {name}: ");
        assert!(done.stdout.contains(&line), "{name}: {}", done.stdout);
    }
}

/// What an auditor finds of a rehearsal, on the machine that made it: nothing to ask, and all figures again; then of a tree
/// that says something else.
pub(crate) fn looks_at_a_rehearsal(dir: &Path) {
    let told = |line: &str| {
        let done = auditor(dir, &crate::common::words(line));
        (
            done.code(),
            format!("{line}\n{}{}", done.stdout, done.stderr),
        )
    };
    let good = |line: &str| {
        let (code, said) = told(line);
        assert_eq!(code, Some(0), "{said}");
    };
    good("anomalies tree");
    good(
        "fingerprint --system tree/closed/Rehearsal/systems/none-x1.json --run-plan runs/server-performance/run_plan.json \
         --dataset data/performance.parquet --dataset data/accuracy.parquet",
    );
    let again = |scenario: &str| {
        format!(
            "reproduce tree --scenario {scenario} --measured runs/{scenario}-performance --accuracy runs/{scenario}-accuracy \
             --test07 audit/{scenario}/TEST07 --test09 audit/{scenario}/TEST09"
        )
    };
    for scenario in ["offline", "server", "interactive"] {
        good(&format!("anomalies runs/{scenario}-performance"));
        good(&format!("anomalies runs/{scenario}-accuracy"));
        good(&again(scenario));
    }
    let result = dir.join("tree/closed/Rehearsal/results/none-x1/gpt-oss-120b/Server");
    let change = |file: &str, label: &str| {
        let file = result.join(file);
        let text = fs::read_to_string(&file).unwrap();
        let (before, after) = text
            .rsplit_once(label)
            .unwrap_or_else(|| panic!("{label}: {text}"));
        let end = after.find([',', '\n']).unwrap();
        fs::write(&file, format!("{before}{label}77.7{}", &after[end..])).unwrap();
    };
    for (file, label, name) in [
        (
            "performance/run_1/mlperf_log_detail.txt",
            "\"result_scheduled_samples_per_sec\", \"value\": ",
            "result_scheduled_samples_per_sec",
        ),
        ("accuracy/accuracy.txt", "'exact_match': ", "exact_match"),
        (
            "TEST07/verify_accuracy.txt",
            "Accuracy score: ",
            "TEST07 accuracy score",
        ),
        (
            "TEST09/verify_output_len.txt",
            "Mean output tokens: ",
            "TEST09 mean output tokens",
        ),
    ] {
        change(file, label);
        let (code, said) = told(&again("server"));
        assert_eq!(code, Some(1), "{said}");
        let line = said.lines().find(|line| line.starts_with(name));
        assert!(
            line.is_some_and(|line| line.ends_with("DIFFERS")),
            "{name}: {said}"
        );
    }
}

/// A layer less, the same work, and the demo's answers are wrong; other questions of its kinds it answers.
#[test]
fn the_demo_fails_without_a_layer_and_answers_other_questions() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = repository().join("demo");
    let (model, data) = (demo.to_str().unwrap(), demo.join("accuracy.parquet"));
    let other = demo.join("perf.parquet");
    let done = auditor(
        tmp.path(),
        &[
            "perturb",
            "--model",
            model,
            "--dataset",
            data.to_str().unwrap(),
            "--other",
            other.to_str().unwrap(),
            "--rows",
            "24",
            "--max-new-tokens",
            "96",
            "--threads",
            "2",
            "--json",
            "perturb.json",
        ],
    );
    assert!(
        matches!(done.code(), Some(0 | 1)),
        "{}{}",
        done.stdout,
        done.stderr
    );
    let json = read_json(&tmp.path().join("perturb.json"));
    let score =
        |probed: &Value| probed["correct"].as_f64().unwrap() / probed["answers"].as_f64().unwrap();
    let unchanged = &json["unchanged"];
    assert!(score(unchanged) > 0.8, "{unchanged}");
    let probed = |name: &str| {
        let probes = json["probes"].as_array().unwrap().iter();
        probes
            .clone()
            .find(|probe| probe["probe"] == name)
            .unwrap_or_else(|| panic!("no {name}: {json}"))
    };
    let without = probed("layer-left-out");
    assert!(score(without) < score(unchanged) / 2.0, "{without}");
    for name in ["layer-left-out", "experts-swapped"] {
        for count in ["steps", "operations"] {
            assert_eq!(probed(name)[count], unchanged[count], "{name}");
        }
    }
    assert!(
        score(probed("other-prompts")) > 0.5 * score(unchanged),
        "{json}"
    );
    assert!(probed("one-token")["answers"].as_u64().unwrap() > 0);
    let model = json["findings"].as_array().unwrap().iter();
    assert_eq!(
        model
            .filter(|f| f["name"] == "perturb.model" && f["level"] == "ask")
            .count(),
        0,
        "{json}"
    );
}

#[test]
fn a_server_that_knows_the_data_set_by_heart_is_exposed() {
    let demo = repository().join("demo");
    let file = demo.join("accuracy.parquet");
    let data = Dataset::open_with(&file, &["ground_truth"]).unwrap();
    let tokenizer = Tokenizer::load(&demo).unwrap();
    let wide = |ids: &[u32]| ids.iter().map(|id| u64::from(*id)).collect::<Vec<u64>>();
    let known = (0..data.len()).filter_map(|row| {
        let truth = data.cell("ground_truth", row)?;
        let text = match data.cell("dataset", row)? {
            "aime25" => format!("\\boxed{{{truth}}}"),
            "gpqa_diamond" => format!("Answer: {truth}"),
            _ => return None,
        };
        let answer = tokenizer.encode_text(&text).unwrap();
        Some((wide(&data.prompts[row]), wide(&answer)))
    });
    let known: HashMap<Vec<u64>, Vec<u64>> = known.collect();
    assert!(known.len() > 20, "questions are asked several times");
    let server = Server::start(Kind::Memorised(Box::leak(Box::new(known))));
    let other = demo.join("perf.parquet");
    let tmp = tempfile::tempdir().unwrap();
    let done = auditor(
        tmp.path(),
        &[
            "perturb",
            "--engine",
            "http",
            "--endpoint",
            &server.url,
            "--tokenizer",
            demo.to_str().unwrap(),
            "--dataset",
            file.to_str().unwrap(),
            "--other",
            other.to_str().unwrap(),
            "--rows",
            "40",
            "--max-new-tokens",
            "64",
            "--json",
            "perturb.json",
        ],
    );
    assert_eq!(done.code(), Some(1), "{}{}", done.stdout, done.stderr);
    let json = read_json(&tmp.path().join("perturb.json"));
    assert_eq!(
        json["unchanged"]["correct"], json["unchanged"]["answers"],
        "{json}"
    );
    for place in ["one token of each prompt changed", "other prompts"] {
        let asks = json["findings"].as_array().unwrap().iter();
        let asks = asks.filter(|f| {
            f["level"] == "ask" && f["name"] == "perturb.prompts" && f["where"] == place
        });
        assert!(asks.count() > 0, "{place}: {json}");
    }
}

#[test]
fn the_report_names_the_link_that_was_cut() {
    let bench = Bench::new();
    let done = finish(bench.echo("offline", "accuracy", &[]), LIMIT);
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let dir = bench.dir.path();
    let report = || {
        let words = [
            "report",
            "--run",
            "out",
            "--output",
            "audit.html",
            "--json",
            "report.json",
            "--force",
        ];
        let done = auditor(dir, &words);
        let json = read_json(&dir.join("report.json"));
        let links = json["chains"][0]["links"].as_array().unwrap().clone();
        let state = move |name: &str| {
            let link = links
                .iter()
                .find(|link| link["name"] == name)
                .unwrap_or_else(|| panic!("no {name}"));
            link["state"].as_str().unwrap().to_owned()
        };
        (done, state)
    };
    let (_, state) = report();
    assert_eq!(state("checkpoint to run"), "missing");
    assert_eq!(state("answers to score"), "missing");
    for name in [
        "run plan to verdict",
        "LoadGen's log to verdict",
        "answers to verdict",
    ] {
        assert_eq!(state(name), "whole", "{name}");
    }
    let verdict = read_json(&bench.out().join("verdict.json"));
    let hash = verdict["files"]["mlperf_log_accuracy.json"]
        .as_str()
        .unwrap();
    fs::write(bench.out().join("accuracy.txt"), format!("hash={hash}\n")).unwrap();
    let (_, state) = report();
    assert_eq!(state("answers to score"), "whole");
    let log = bench.out().join("mlperf_log_accuracy.json");
    let text = fs::read_to_string(&log).unwrap();
    fs::write(&log, text.replacen("0", "1", 1)).unwrap();
    let (done, state) = report();
    assert_eq!(state("answers to verdict"), "broken");
    assert_eq!(done.code(), Some(1), "{}{}", done.stdout, done.stderr);
    assert!(
        done.stdout.contains("BROKEN out: answers to verdict"),
        "{}",
        done.stdout
    );
    let page = fs::read_to_string(dir.join("audit.html")).unwrap();
    assert!(
        page.contains("answers to verdict") && !page.contains("<script"),
        "{page}"
    );
}

#[test]
fn what_is_no_tree_is_said_to_be_none() {
    let tmp = tempfile::tempdir().unwrap();
    fs::write(tmp.path().join("tree.tar.zst"), "packed").unwrap();
    for command in ["anomalies", "reproduce"] {
        for (tree, said) in [("nowhere", "not found"), ("tree.tar.zst", "unpack it")] {
            let mut args = vec![command, tree];
            args.extend(
                (command == "reproduce")
                    .then_some(["--scenario", "server", "--dry-run"])
                    .iter()
                    .flatten(),
            );
            auditor(tmp.path(), &args).refused(&[tree, said]);
        }
    }
}
