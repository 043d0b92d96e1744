//! Runs of MLCommons' client: its summaries follow from its events, and what was changed since is found.

use std::fs;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use ossmark_endpoints::Severity;
use ossmark_endpoints::check::{Options, Report, check};
use ossmark_endpoints::client::{CountTokens, Event, Samples, Snapshot, Summary};
use ossmark_harmony::Tokenizer;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{Tree, fixture};

pub(crate) struct Demo(Tokenizer);

impl Demo {
    pub(crate) fn load() -> Self {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo");
        Self(Tokenizer::load(&model).unwrap())
    }
}

impl CountTokens for Demo {
    fn count(&self, text: &str) -> Result<usize, String> {
        let ids = self.0.encode_with_control_tokens(text);
        ids.map(|ids| ids.len()).map_err(|error| error.to_string())
    }
}

/// `clean` and `faults`, which can be changed.
pub(crate) fn runs() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let file = fs::File::open(fixture("client_runs.tar.gz")).unwrap();
    tar::Archive::new(GzDecoder::new(file))
        .unpack(dir.path())
        .unwrap();
    dir
}

pub(crate) fn audited(dir: &Path, tokens: Option<&dyn CountTokens>) -> Report {
    check(Options {
        tree: dir,
        tokens,
        official_only: false,
        strict: false,
    })
    .unwrap()
}

fn rules(report: &Report) -> Vec<(&'static str, Severity)> {
    let against = report
        .findings
        .iter()
        .filter(|f| f.severity != Severity::Info);
    against.map(|f| (f.rule, f.severity)).collect()
}

fn summary(dir: &Path) -> (PathBuf, Value) {
    let file = dir.join("performance/result_summary.json");
    let found = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    (file, found)
}

/// Every figure, to the last bit; the edges of histograms to the last but one, because they are the system's `exp`.
fn same(name: &str, found: &Value, expected: &Value) -> usize {
    match (found, expected) {
        (Value::Object(a), Value::Object(b)) => {
            assert_eq!(
                a.keys().collect::<Vec<_>>(),
                b.keys().collect::<Vec<_>>(),
                "{name}"
            );
            let pairs = a
                .iter()
                .map(|(key, a)| same(&format!("{name}.{key}"), a, &b[key]));
            pairs.sum()
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{name}");
            a.iter().zip(b).map(|(a, b)| same(name, a, b)).sum()
        }
        (a, b) if name.ends_with("histogram.buckets") || name.ends_with("histogram") => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!((a - b).abs() <= 4.0 * f64::EPSILON * b, "{name}: {a} {b}");
            1
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => {
            assert_eq!(a.as_f64(), b.as_f64(), "{name}");
            1
        }
        (a, b) => {
            assert_eq!(a, b, "{name}");
            1
        }
    }
}

#[test]
fn every_figure_of_the_clients_summaries_follows_from_its_events() {
    let (runs, tokens) = (runs(), Demo::load());
    for (name, known) in [
        ("clean", vec![("point-passes-not-whole", Severity::Error)]),
        (
            "faults",
            vec![
                ("point-passes-not-whole", Severity::Error),
                ("point-failed-requests", Severity::Error),
            ],
        ),
    ] {
        let dir = runs.path().join(name);
        let report = audited(&dir, Some(&tokens));
        assert_eq!(rules(&report), known, "{name}");
        // As text and back: serde_json reads a double to its last bit but one, in both alike.
        let recomputed = serde_json::to_string(&report.client_runs[0].recomputed).unwrap();
        let mut recomputed: Value = serde_json::from_str(&recomputed).unwrap();
        let (_, mut expected) = summary(&dir);
        // Who made the run, and with what settings, follows from no event.
        for name in ["version", "git_sha", "run_config"] {
            recomputed.as_object_mut().unwrap().remove(name);
            expected.as_object_mut().unwrap().remove(name);
        }
        let figures = same(name, &recomputed, &expected);
        assert!(figures > 500, "{figures}");
    }
}

/// The summary that follows from a run's events, with who made it.
fn remade<'a>(dir: &Path, tokens: &'a Demo) -> (Samples<'a>, Summary) {
    let mut samples = Samples::new(Some(tokens));
    for line in fs::read_to_string(dir.join("events.jsonl"))
        .unwrap()
        .lines()
    {
        let event: Event = serde_json::from_str(line).unwrap();
        samples.take(&event).unwrap();
    }
    let mut made = Summary::of(&mut samples).unwrap();
    let (_, written) = summary(dir);
    made.version = written["version"].as_str().unwrap().into();
    made.git_sha = Some(written["git_sha"].as_str().unwrap().into());
    made.run_config = Some(written["run_config"].clone());
    (samples, made)
}

/// Line by line; settings are in another order.
#[test]
fn the_clients_report_follows_from_its_events_too() {
    let (runs, tokens) = (runs(), Demo::load());
    let parts = |text: &str| {
        let lines: Vec<&str> = text.lines().collect();
        let end = lines
            .iter()
            .position(|line| line.contains("issued"))
            .unwrap();
        let mut words: Vec<String> = lines[..end]
            .iter()
            .flat_map(|line| line.split([' ', ',']).map(str::to_owned))
            .collect();
        words.sort();
        let figures: Vec<String> = lines[end..].iter().map(|line| (*line).to_owned()).collect();
        (words, figures)
    };
    for name in ["clean", "faults"] {
        let dir = runs.path().join(name);
        let expected = fs::read_to_string(dir.join("report.txt")).unwrap();
        let (_, made) = remade(&dir, &tokens);
        assert_eq!(parts(&made.report()), parts(&expected), "{name}");
    }
}

#[test]
fn the_aggregators_last_snapshot_follows_from_its_events_too() {
    let (runs, tokens) = (runs(), Demo::load());
    for name in ["clean", "faults"] {
        let dir = runs.path().join(name);
        let text = fs::read_to_string(dir.join("metrics/final_snapshot.json")).unwrap();
        let mut expected: Value = serde_json::from_str(&text).unwrap();
        let (mut samples, made) = remade(&dir, &tokens);
        let made = serde_json::to_string(&Snapshot::of(&mut samples, &made).unwrap()).unwrap();
        let mut made: Value = serde_json::from_str(&made).unwrap();
        // When it was published, and how often before.
        for name in ["counter", "timestamp_ns"] {
            made.as_object_mut().unwrap().remove(name);
            expected.as_object_mut().unwrap().remove(name);
        }
        let figures = same(name, &made, &expected);
        assert!(figures > 500, "{figures}");
    }
}

/// Of the chat API's answers a rehearsal counts reasoning and content; of the client's nobody but its chat template does.
#[test]
fn reasoning_is_counted_in_rehearsals_alone() {
    let tokens = Demo::load();
    let figures = |stamp: &str| {
        let mut samples = Samples::new(Some(&tokens));
        for line in [
            format!(r#"{{"event_type":"session.started","timestamp_ns":0{stamp}}}"#),
            r#"{"event_type":"session.start_performance_tracking","timestamp_ns":1}"#.into(),
            r#"{"event_type":"sample.issued","timestamp_ns":10,"sample_uuid":"a","data":["PromptData","What is 48*4?",null]}"#.into(),
            r#"{"event_type":"sample.recv_first","timestamp_ns":20,"sample_uuid":"a"}"#.into(),
            r#"{"event_type":"sample.complete","timestamp_ns":80,"sample_uuid":"a","data":["TextModelOutput","192",["4","8"],null],"finish_reason":"stop"}"#.into(),
            r#"{"event_type":"session.ended","timestamp_ns":90}"#.into(),
        ] {
            let event: Event = serde_json::from_str(&line).unwrap();
            samples.take(&event).unwrap();
        }
        let summary = serde_json::to_value(Summary::of(&mut samples).unwrap()).unwrap();
        let block = |name: &str| summary[name]["total"].clone();
        (block("output_sequence_lengths"), block("tpot"))
    };
    // Thoughts of two tokens and content of three; after the first fragment one and three.
    assert_eq!(figures(r#","rehearsal":"yes""#), (5.into(), 15.0.into()));
    assert_eq!(figures(""), (Value::Null, Value::Null));
}

/// Each number of the summary, changed in its fourth digit, is named; an event that says otherwise is too.
#[test]
fn what_does_not_follow_is_named() {
    let (runs, tokens) = (runs(), Demo::load());
    let dir = runs.path().join("clean");
    let (file, whole) = summary(&dir);
    for name in [
        "/n_samples_issued",
        "/n_samples_failed",
        "/duration_ns",
        "/ttft/total",
        "/ttft/percentiles/90.0",
        "/ttft/early_stopping_percentiles/50.0",
        "/tpot/std_dev",
        "/tpot/percentiles/1.0",
        "/latency/median",
        "/output_sequence_lengths/histogram/counts/3",
        "/input_sequence_lengths/histogram/buckets/4/1",
        "/qps",
        "/tps",
        "/finish_reason_counts/stop",
    ] {
        let mut changed = whole.clone();
        let value = changed.pointer_mut(name).unwrap();
        *value = match value.as_i64() {
            Some(n) => (n + 1).into(),
            None => (value.as_f64().unwrap() * 1.000_1).into(),
        };
        fs::write(&file, changed.to_string()).unwrap();
        let report = audited(&dir, Some(&tokens));
        let differing: Vec<_> = report
            .findings
            .iter()
            .filter(|f| f.rule == "client-summary-differs" && f.severity == Severity::Error)
            .collect();
        let place = name[1..].replace('/', ".");
        assert_eq!(differing.len(), 1, "{name}");
        assert!(
            differing[0].message.contains(&place),
            "{}",
            differing[0].message
        );
    }
    fs::write(&file, whole.to_string()).unwrap();
    // Without a tokenizer its figures are left out, and said to be.
    let report = audited(&dir, None);
    assert!(rules(&report).contains(&("client-tokens-not-counted", Severity::Warning)));
    assert!(
        !rules(&report)
            .iter()
            .any(|(rule, _)| *rule == "client-summary-differs")
    );
}

#[test]
fn another_log_than_the_summarys_is_found() {
    let tokens = Demo::load();
    let changed = |change: &dyn Fn(Vec<String>) -> Vec<String>| {
        let runs = runs();
        let dir = runs.path().join("clean");
        let log = dir.join("events.jsonl");
        let lines = fs::read_to_string(&log).unwrap();
        let lines = change(lines.lines().map(str::to_owned).collect());
        fs::write(&log, lines.join("\n") + "\n").unwrap();
        let found = rules(&audited(&dir, Some(&tokens)));
        found.into_iter().map(|(rule, _)| rule).collect::<Vec<_>>()
    };
    let position = |lines: &[String], what: &str| {
        let at = lines.iter().position(|line| line.contains(what));
        at.unwrap()
    };
    let lost = changed(&|mut lines| {
        let at = position(&lines, "sample.complete");
        lines.remove(at);
        lines
    });
    assert!(lost.contains(&"client-answers-lost") && lost.contains(&"client-summary-differs"));
    let swapped = changed(&|mut lines| {
        // The first two requests, each with its own prompt still.
        lines.swap(2, 3);
        lines
    });
    assert!(swapped.contains(&"client-order-differs"), "{swapped:?}");
    let interrupted = changed(&|mut lines| {
        lines.pop();
        lines
    });
    assert!(
        interrupted.contains(&"point-run-not-complete"),
        "{interrupted:?}"
    );
    let late = changed(&|mut lines| {
        let at = position(&lines, "sample.recv_first");
        lines[at] = lines[at].replace("\"timestamp_ns\":2", "\"timestamp_ns\":3");
        lines
    });
    assert!(late.contains(&"point-negative-time"), "{late:?}");
    let no_event = changed(&|mut lines| {
        lines.insert(5, "{\"event_type\":3}".into());
        lines
    });
    assert_eq!(no_event, ["client-events-unreadable"]);
}

#[test]
fn seeds_are_held_against_the_order_whatever_their_size() {
    let (runs, tokens) = (runs(), Demo::load());
    let dir = runs.path().join("clean");
    let config = dir.join("config.yaml");
    let whole = fs::read_to_string(&config).unwrap();
    let seed = "dataloader_random_seed: 586478644936801402";
    assert!(whole.contains(seed));
    for other in [
        "18446744073709551615",
        "586478644936801403",
        "-1",
        "36893488147419103232",
    ] {
        let changed = whole.replace(seed, &format!("dataloader_random_seed: {other}"));
        fs::write(&config, changed).unwrap();
        let found = rules(&audited(&dir, Some(&tokens)));
        assert!(
            found.contains(&("client-order-differs", Severity::Error)),
            "{other}"
        );
    }
    let changed = whole.replace("target_concurrency: 4", "target_concurrency: 5");
    fs::write(&config, changed).unwrap();
    let found = rules(&audited(&dir, Some(&tokens)));
    assert!(found.contains(&("client-concurrency-not-reached", Severity::Error)));
    fs::write(&config, whole).unwrap();
    fs::remove_file(dir.join("sample_idx_map.json")).unwrap();
    let found = rules(&audited(&dir, Some(&tokens)));
    assert_eq!(found, [("client-order-not-known", Severity::Warning)]);
}

/// Events that lie in a point's folder are looked at, and nobody else does.
#[test]
fn events_in_a_tree_are_held_against_its_points() {
    let (runs, tree) = (runs(), Tree::base());
    let point = tree
        .dir
        .path()
        .join("sub-0001/results/made_up_8x/gpt-oss-120b/r8");
    for name in ["events.jsonl", "sample_idx_map.json"] {
        fs::copy(runs.path().join("clean").join(name), point.join(name)).unwrap();
    }
    assert_eq!(rules(&tree.check(true)), []);
    let found: Vec<&str> = rules(&tree.check(false))
        .iter()
        .map(|(rule, _)| *rule)
        .collect();
    for rule in [
        "client-summary-differs",
        "client-order-differs",
        "client-concurrency-not-reached",
    ] {
        assert!(found.contains(&rule), "{rule}: {found:?}");
    }
}
