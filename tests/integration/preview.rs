//! `run --plan` against the run itself.

use std::num::NonZeroU32;
use std::time::Duration;

use ossmark_predict::{Plan, Seeds, server};
use serde_json::Value;

use crate::common::{ANY_SPEED, Bench, SHORT_CONF, finish, read_json};

const LIMIT: Duration = Duration::from_secs(300);

/// A script of 20 ms to the first token and 2 ms a token, 9 tokens each, so many at once.
fn script(slots: &str) -> [&str; 8] {
    [
        "--echo-tokens",
        "9",
        "--echo-ttft-ms",
        "20",
        "--echo-tpot-ms",
        "2",
        "--echo-slots",
        slots,
    ]
}

#[track_caller]
fn plan(bench: &Bench, scenario: &str, mode: &str, args: &[&str]) -> (Value, String) {
    let json = bench.dir.path().join("preview.json");
    let json = json.to_str().unwrap();
    let args = [args, &["--plan", "--force", "--json", json]].concat();
    let done = finish(bench.echo(scenario, mode, &args), LIMIT);
    assert_eq!(done.code(), Some(0), "{}\n{}", done.stdout, done.stderr);
    assert!(!bench.out().exists(), "something was written");
    assert!(
        done.stdout.contains("nothing was issued"),
        "{}",
        done.stdout
    );
    (read_json(json.as_ref()), done.stdout)
}

/// What was foreseen is what the record of the run then has: how many samples, and of which rows.
#[test]
fn a_run_issues_what_its_plan_says() {
    let conf = format!("{SHORT_CONF}{ANY_SPEED}");
    for (scenario, mode) in [
        ("offline", "performance"),
        ("server", "performance"),
        ("server", "accuracy"),
    ] {
        let bench = Bench::with_conf(&conf);
        let (preview, _) = plan(&bench, scenario, mode, &script("0"));
        let done = finish(bench.echo(scenario, mode, &script("0")), LIMIT);
        assert_eq!(done.code(), Some(0), "{}\n{}", done.stdout, done.stderr);
        let rows = ossmark_record::Record::open(&bench.out()).unwrap().rows;
        assert_eq!(
            preview["samples"],
            rows.len(),
            "{scenario} {mode}: {preview:#}"
        );
        let mut distinct: Vec<u32> = rows.iter().map(|row| row.sample_index).collect();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(preview["distinct"], distinct.len(), "{preview:#}");
        assert_eq!(preview["scenario"], scenario);
        assert_eq!(preview["mode"], mode);
    }
}

/// In the same order, and due when the seeds say: LoadGen's clock and ours are read one after the other for each sample, so
/// that some may be far apart on a busy machine, and most are within a microsecond.
#[test]
fn the_record_has_the_schedule_that_was_foreseen() {
    let bench = Bench::with_conf(&format!("{SHORT_CONF}{ANY_SPEED}"));
    let done = finish(bench.echo("server", "performance", &script("0")), LIMIT);
    assert_eq!(done.code(), Some(0), "{}\n{}", done.stdout, done.stderr);
    // As SHORT_CONF has it, with the seeds of the round.
    let foreseen = server(&Plan {
        target_qps: 500.0,
        min_duration_ms: 100,
        min_query_count: 662,
        loaded_samples: NonZeroU32::new(64).unwrap(),
        equal_issue: true,
        issue_unique: false,
        seeds: Seeds {
            qsl: 2_085_463_073_848_966_840,
            sample_index: 2_747_215_439_041_700_203,
            schedule: 16_159_082_839_903_944_936,
        },
    });
    let rows = ossmark_record::Record::open(&bench.out()).unwrap().rows;
    let made: Vec<u32> = rows.iter().map(|row| row.sample_index).collect();
    let samples: Vec<u32> = foreseen.iter().map(|query| query.sample).collect();
    assert_eq!(made, samples);
    let apart = rows.iter().zip(&foreseen).map(|(row, query)| {
        let after_ns = (query.due_ns - foreseen[0].due_ns) as i64;
        row.scheduled_ns.unwrap().abs_diff(after_ns)
    });
    let mut apart_ns: Vec<u64> = apart.collect();
    apart_ns.sort_unstable();
    let median = apart_ns[apart_ns.len() / 2];
    assert!(median < 100_000, "{apart_ns:?}");
}

/// Without a limit on slots every answer takes 20 + 8 * 2 ms.
#[test]
fn the_end_is_the_last_query_and_its_answer() {
    let bench = Bench::with_conf(SHORT_CONF);
    let (preview, _) = plan(&bench, "server", "performance", &script("0"));
    let served = &preview["predicted"];
    let number = |value: &Value| value.as_f64().unwrap();
    let took = number(&served["ends_s"]) - number(&preview["last_due_s"]);
    assert!((took - 0.036).abs() < 1e-6, "{preview:#}");
    assert_eq!(served["ttft_p99_ms"], 20.0);
    assert_eq!(served["tpot_p99_ms"], 2.0);
    assert_eq!(served["within_limits"], true);
    assert_eq!(preview["limits"]["ttft_ms"], 3000.0);
    assert_eq!(preview["queries"], preview["samples"]);

    // One at a time takes 36 ms for each of at least 662 samples that come 2 ms apart.
    let (late, told) = plan(&bench, "server", "performance", &script("1"));
    assert_eq!(late["predicted"]["within_limits"], false, "{late:#}");
    assert!(told.contains("over the limits: INVALID"), "{told}");

    // 64 samples at once, 2 at a time.
    let (offline, told) = plan(&bench, "offline", "performance", &script("2"));
    assert_eq!(offline["queries"], 1);
    let samples = number(&offline["samples"]);
    let ends = number(&offline["predicted"]["ends_s"]);
    assert!((ends - samples / 2.0 * 0.036).abs() < 1e-6, "{offline:#}");
    assert!(told.contains("all are due at once"), "{told}");
    assert_eq!(offline["limits"], Value::Null);
}

#[test]
fn an_offline_run_that_is_too_short_is_told() {
    let conf = SHORT_CONF.replace(
        "*.Offline.min_duration = 0",
        "*.Offline.min_duration = 60000",
    );
    let conf = conf.replace("*.Offline.target_qps = 500", "*.Offline.target_qps = 1");
    let (preview, told) = plan(
        &Bench::with_conf(&conf),
        "offline",
        "performance",
        &script("0"),
    );
    assert_eq!(preview["predicted"]["ends_s"], 0.036);
    assert!(
        told.contains("less than the 60000 ms that it must last: INVALID"),
        "{told}"
    );
}

#[test]
fn what_is_not_foreseen_is_said_and_not_guessed() {
    for (mode, line, why) in [
        ("find-peak", "", "find-peak"),
        (
            "performance",
            "*.Server.max_duration = 5000\n",
            "max_duration is set",
        ),
        (
            "performance",
            "*.Server.max_query_count = 700\n",
            "max_query_count is set",
        ),
    ] {
        let bench = Bench::with_conf(&format!("{SHORT_CONF}{line}"));
        let done = finish(bench.echo("server", mode, &["--plan"]), LIMIT);
        done.refused(&[why, "--dry-run"]);
        assert!(!bench.out().exists());
    }
}
