//! `ossmark endpoints run`: what a rehearsal leaves is what its events say, whatever ends it on the way.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{binary, finish, read_json, repository, words};
use crate::serve::Server;

const LIMIT: Duration = Duration::from_secs(120);

fn demo(name: &str) -> String {
    let path = repository().join("demo").join(name);
    path.to_str().unwrap().to_owned()
}

/// A rehearsal over the first rows of the demo's data set, into `curve`.
fn rehearsal(dir: &TempDir, options: &str) -> Command {
    let mut command = Command::new(binary());
    command
        .current_dir(dir.path())
        .args(words("endpoints run --output curve"))
        .args(["--dataset", &demo("perf.parquet"), "--tokenizer", &demo("")])
        .args(words(options));
    command
}

fn events(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("events.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The check has every figure of the summary follow from the events, in the seed's order, with as many requests under way.
fn is_good(run: &Path) {
    let mut command = Command::new(binary());
    command
        .args(["endpoints", "check", "--strict", "--tokenizer", &demo("")])
        .arg(run);
    let done = finish(command, LIMIT);
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
}

/// How servers were asked, as the configuration says it.
fn is_asked_by(run: &Path, api: &str) {
    let config = fs::read_to_string(run.join("config.yaml")).unwrap();
    assert!(
        config.ends_with(&format!("  api_type: {api}\n")),
        "{config}"
    );
}

/// Every row as often as there are passes, each request once.
fn counted_once(run: &Path, rows: u64, passes: u64) {
    let map = read_json(&run.join("sample_idx_map.json"));
    let map = map["performance"].as_object().unwrap();
    let mut of_row: HashMap<u64, u64> = HashMap::new();
    let mut ended = HashSet::new();
    for event in events(run) {
        let uuid = event["sample_uuid"].as_str().unwrap();
        if event["event_type"] == "sample.complete" && map.contains_key(uuid) {
            assert!(ended.insert(uuid.to_owned()), "{uuid} ended twice");
            *of_row.entry(map[uuid].as_u64().unwrap()).or_default() += 1;
        }
    }
    assert_eq!(ended.len() as u64, rows * passes);
    assert_eq!(of_row.len() as u64, rows);
    assert!(of_row.values().all(|count| *count == passes));
    let summary = read_json(&run.join("performance/result_summary.json"));
    assert_eq!(summary["n_samples_issued"], rows * passes);
    assert_eq!(summary["n_samples_completed"], rows * passes);
}

#[test]
fn a_curve_of_the_echo_engine_is_what_its_events_say() {
    let dir = tempfile::tempdir().unwrap();
    let options = "--engine echo --echo-tokens 9 --echo-ttft-ms 3 --echo-tpot-ms 1 --points 1,4,16 --dedicated-offline --rows 24 --passes 2";
    let done = finish(rehearsal(&dir, options), LIMIT);
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("nothing of it may be submitted"));
    let curve = dir.path().join("curve");
    for name in ["r1", "r4", "r16", "r24"] {
        let run = curve.join(name);
        counted_once(&run, 24, 2);
        for file in [
            "config.yaml",
            "events.jsonl",
            "sample_idx_map.json",
            "performance/result_summary.json",
            "metrics/final_snapshot.json",
            "report.txt",
        ] {
            let text = fs::read_to_string(run.join(file)).unwrap();
            assert!(text.contains("rehearsal"), "{name}/{file}");
        }
        is_good(&run);
    }
    let state = read_json(&curve.join("rehearsal.json"));
    assert_eq!(state["points"].as_array().unwrap().len(), 4);
    // Nothing is measured twice.
    let before = fs::read(curve.join("r4/events.jsonl")).unwrap();
    let again = finish(rehearsal(&dir, options), LIMIT);
    assert_eq!(again.code(), Some(0), "{}", again.stderr);
    assert_eq!(before, fs::read(curve.join("r4/events.jsonl")).unwrap());
    // Other settings are no continuation.
    let other = options.replace("--passes 2", "--passes 3");
    finish(rehearsal(&dir, &other), LIMIT).refused(&["passes", "--force"]);
    let twice = options.replace("1,4,16", "1,24").replace("curve", "other");
    finish(rehearsal(&dir, &twice), LIMIT).refused(&["--dedicated-offline", "24 rows"]);
    let unknown = format!("{options} --seed-set B");
    finish(rehearsal(&dir, &unknown), LIMIT).refused(&["--seed-set B", "A"]);
}

/// Over HTTP the texts are those that the client sees: two pieces, without the stop token.
#[test]
fn a_rehearsal_against_a_server_has_its_texts_and_times() {
    let model = demo("");
    let server = Server::start(&["--engine", "cpu", "--model", &model]);
    let dir = tempfile::tempdir().unwrap();
    let url = server.url();
    let options = format!(
        "--engine http --endpoint {url} --points 2,5 --rows 12 --passes 1 --max-new-tokens 64"
    );
    let done = finish(rehearsal(&dir, &options), LIMIT);
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    for name in ["r2", "r5"] {
        let run = dir.path().join("curve").join(name);
        is_good(&run);
        is_asked_by(&run, "openai_completions");
        let answers: Vec<Value> = events(&run)
            .into_iter()
            .filter(|event| event["event_type"] == "sample.complete")
            .collect();
        assert_eq!(answers.len(), 12);
        for answer in answers {
            // Tokens that waited for a busy reader come in one piece.
            let pieces = answer["data"][1].as_array().unwrap();
            let pieces: Vec<&str> = pieces.iter().filter_map(Value::as_str).collect();
            assert!(matches!(pieces.len(), 1 | 2), "{answer}");
            assert!(pieces[0].starts_with("<|channel|>"), "{answer}");
            assert!(!pieces.concat().ends_with("<|return|>"), "{answer}");
        }
        let summary = read_json(&run.join("performance/result_summary.json"));
        assert_eq!(summary["n_samples_failed"], 0);
        assert!(summary["tpot"]["percentiles"]["90.0"].as_f64().unwrap() > 0.0);
    }
}

/// The chat API is asked in words, and answers with reasoning and content; both count, and the check agrees.
#[test]
fn a_rehearsal_by_the_chat_api_tells_reasoning_from_content() {
    let model = demo("");
    let server = Server::start(&[
        "--engine",
        "cpu",
        "--model",
        &model,
        "--chat-date",
        "2026-11-30",
    ]);
    let dir = tempfile::tempdir().unwrap();
    let options = format!(
        "--engine http --endpoint {} --api chat --message-column question --points 3 --rows 12 --passes 1 --max-new-tokens 48 \
         --accuracy-dataset {} --lcb-problems {} --accuracy-max-new-tokens 8",
        server.url(),
        demo("accuracy.parquet"),
        demo("lcb_problems.jsonl"),
    );
    let done = finish(rehearsal(&dir, &options), LIMIT);
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    assert!(
        done.stderr.contains("/v1/chat/completions"),
        "{}",
        done.stderr
    );
    let run = dir.path().join("curve/r3");
    is_asked_by(&run, "openai");
    is_good(&run);
    let (mut prompts, mut reasoned, mut told) = (0, 0, 0);
    for event in events(&run) {
        let data = &event["data"];
        match event["event_type"].as_str().unwrap() {
            "sample.issued" => {
                prompts += 1;
                let said = data[1].as_str().unwrap();
                assert!(!said.contains("<|") && data[2].is_null(), "{event}");
            }
            "sample.complete" => {
                reasoned +=
                    usize::from(data[2].as_array().is_some_and(|pieces| !pieces.is_empty()));
                told += usize::from(!data[1].is_null());
                // No token that separates is text.
                assert!(!event.to_string().contains("<|"), "{event}");
            }
            _ => {}
        }
    }
    assert_eq!((prompts, told), (12, 12));
    assert!(reasoned > 0, "the demo thinks first");
    let summary = read_json(&run.join("performance/result_summary.json"));
    assert_eq!(summary["n_samples_failed"], 0);
    for block in [
        "ttft",
        "tpot",
        "output_sequence_lengths",
        "input_sequence_lengths",
    ] {
        assert!(summary[block]["total"].as_f64().unwrap() > 0.0, "{block}");
    }
    // Under an unknown column, with another API, and by commands that have no words, nothing is asked.
    let other = options
        .replace("question", "nothing")
        .replace("--points 3", "--points 4");
    finish(rehearsal(&dir, &other), LIMIT).refused(&["--message-column nothing", "question"]);
    let other = options.replace("--api chat", "--api vllm");
    finish(rehearsal(&dir, &other), LIMIT).refused(&["--message-column question", "--api chat"]);
    let other = options.replace("--message-column question", "");
    finish(rehearsal(&dir, &other), LIMIT).refused(&["--api chat", "--message-column"]);
    let mut infer = Command::new(binary());
    infer
        .current_dir(dir.path())
        .args(words(
            "infer --output inferred.parquet --engine http --api chat --endpoint",
        ))
        .args([&server.url(), "--dataset", &demo("perf.parquet")])
        .args(["--tokenizer", &model]);
    finish(infer, LIMIT).refused(&["--api chat", "endpoints run"]);
}

/// The sequence of docs/endpoints.md, shortened: seven points and an Offline run, accuracy, tree, check, page. What the check
/// objects to is what the shortening and the echo engine's answers explain.
#[test]
fn a_curve_becomes_a_tree_and_the_check_names_what_was_shortened() {
    let (model, dir) = (demo(""), tempfile::tempdir().unwrap());
    let points = [1, 4, 8, 16, 32, 36, 40, 48];
    let options = format!(
        "--engine echo --echo-tokens 4 --echo-tpot-ms 0.2 --points 1,4,8,16,32,36,40 --dedicated-offline --rows 48 --passes 2 \
         --accuracy-dataset {} --lcb-problems {}",
        demo("accuracy.parquet"),
        demo("lcb_problems.jsonl")
    );
    let done = finish(rehearsal(&dir, &options), LIMIT);
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let mut graded = Vec::new();
    for point in points {
        let file = format!("curve/r{point}/accuracy/accuracy_results.json");
        let file = dir.path().join(file);
        if !file.exists() {
            continue;
        }
        graded.push(point);
        let results = read_json(&file);
        assert!(
            results["rehearsal"].is_string()
                && results["graders"].as_str().unwrap().contains("ossmark")
        );
        let scores = results["accuracy_scores"].as_array().unwrap();
        let total: u64 = scores
            .iter()
            .map(|s| s["total_samples"].as_u64().unwrap())
            .sum();
        assert_eq!((scores.len(), total), (3, 480));
    }
    // Ultra low, low, medium, high, and the Offline run.
    assert_eq!(
        (graded.len(), graded[0], &graded[3..]),
        (5, 1, &[40, 48][..]),
        "{graded:?}"
    );

    let shipped = fs::read_to_string(repository().join("submission/endpoints.toml")).unwrap();
    let (head, _) = shipped.split_once("[[point]]").unwrap();
    let mut text = head.replace(
        "max_supported_concurrency = 512",
        "max_supported_concurrency = 40",
    );
    for point in points {
        text += &format!("[[point]]\nrun = \"curve/r{point}\"\n");
    }
    fs::write(dir.path().join("curve.toml"), text).unwrap();
    for name in ["src/README.md", "docs/software_disclosure.md"] {
        fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
        fs::write(dir.path().join(name), "text\n").unwrap();
    }
    let build = |options: &str| {
        let mut command = Command::new(binary());
        command
            .current_dir(dir.path())
            .args(words(
                "endpoints build --description curve.toml --output tree --tokenizer",
            ))
            .arg(&model)
            .args(words(options));
        finish(command, LIMIT)
    };
    build("").refused(&["curve/r1", "--rehearsal"]);
    let built = build("--rehearsal");
    assert_eq!(built.code(), Some(1), "{}{}", built.stdout, built.stderr);

    let mut check = Command::new(binary());
    check
        .current_dir(dir.path())
        .args(words("endpoints check tree/Org --json found.json"));
    assert_eq!(finish(check, LIMIT).code(), Some(1));
    let found = read_json(&dir.path().join("found.json"));
    let errors = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| f["severity"] == "error");
    let errors: BTreeSet<&str> = errors.map(|f| f["rule"].as_str().unwrap()).collect();
    let expected = [
        "accuracy-gate",
        "accuracy-sample-count",
        "min-query-count",
        "point-passes-not-whole",
    ];
    assert_eq!(errors, BTreeSet::from(expected), "{}", built.stdout);

    let mut report = Command::new(binary());
    report
        .current_dir(dir.path())
        .args(words("endpoints report tree --output curve.html"));
    let shown = finish(report, LIMIT);
    assert_eq!(shown.code(), Some(0), "{}{}", shown.stdout, shown.stderr);
    assert!(shown.stdout.contains("8 points") && shown.stdout.contains("rehearsal"));
    let page = fs::read_to_string(dir.path().join("curve.html")).unwrap();
    assert!(page.contains("r40.system_tps") && page.contains("rehearsal"));
}

/// kill -9 again and again: the same command goes on, and in the end each request is there once. `OSSMARK_KILLS=20` for more.
#[test]
fn a_killed_rehearsal_goes_on_and_loses_and_repeats_nothing() {
    let kills = std::env::var("OSSMARK_KILLS").map_or(3, |n| n.parse::<u64>().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (rows, passes) = (32, 2 + kills);
    // About a fifth of a second for each pass at the slower point.
    let options = format!(
        "--engine echo --echo-tokens 7 --echo-ttft-ms 4 --echo-tpot-ms 2 --points 3,8 --rows {rows} --passes {passes}"
    );
    let mut killed = 0;
    for kill in 0..kills {
        let mut child = rehearsal(&dir, &options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // At a time that differs, once the log grows.
        std::thread::sleep(Duration::from_millis(250 + 97 * (kill % 7)));
        child.kill().unwrap();
        killed += u64::from(!child.wait().unwrap().success());
    }
    let done = finish(rehearsal(&dir, &options), LIMIT);
    assert_eq!(done.code(), Some(0), "{}{}", done.stdout, done.stderr);
    println!("killed {killed} times of {kills}: {}", done.stderr);
    for name in ["r3", "r8"] {
        let run: PathBuf = dir.path().join("curve").join(name);
        counted_once(&run, rows, passes);
        is_good(&run);
    }
}
