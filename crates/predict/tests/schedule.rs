//! The schedule against LoadGen itself: a null SUT notes which samples it got, LoadGen's own trace says when each was due.
//! LoadGen allows one test a process: each case runs in a child, this same executable.
#![allow(clippy::disallowed_methods, reason = "tests open what they made")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a test says"
)]

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::process::Command;
use std::sync::Mutex;

use ossmark_predict::{Plan, Seeds, offline, server};
use rand_mt::Mt64;

const CASE: &str = "OSSMARK_PREDICT_CASE";

/// The `n`-th case: seeds, loads and counts of its own.
fn case(n: u64) -> (loadgen::Scenario, Plan) {
    let mut random = Mt64::new(n);
    let mut below = |bound: u64| random.next_u64() % bound;
    let seeds = Seeds {
        qsl: below(u64::MAX),
        sample_index: below(u64::MAX),
        schedule: below(u64::MAX),
    };
    // Short in any case: LoadGen issues when a query is due.
    let plan = Plan {
        target_qps: 1000.0 + below(9_000_000) as f64 / 1000.0,
        min_duration_ms: below(100),
        min_query_count: 1 + below(400),
        loaded_samples: NonZeroU32::MIN.saturating_add(below(150) as u32),
        equal_issue: true,
        issue_unique: false,
        seeds,
    };
    let scenario = match n % 4 {
        0 => loadgen::Scenario::Offline,
        _ => loadgen::Scenario::Server,
    };
    (scenario, plan)
}

#[derive(Default)]
struct Null {
    issued: Mutex<Vec<u32>>,
}

impl loadgen::SystemUnderTest for Null {
    fn name(&self) -> &str {
        "null"
    }

    fn issue(&self, samples: loadgen::Samples<'_>) {
        for sample in samples {
            self.issued.lock().unwrap().push(sample.index as u32);
            sample.ticket.first_token(&[1]).complete(&[1, 2]);
        }
    }

    fn flush(&self) {}
}

struct Library(usize);

impl loadgen::SampleLibrary for Library {
    fn name(&self) -> &str {
        "none"
    }

    fn total_count(&self) -> usize {
        self.0
    }

    fn performance_count(&self) -> usize {
        self.0
    }

    fn load(&self, _: &[usize]) {}

    fn unload(&self, _: &[usize]) {}
}

/// When each sample was due, in nanoseconds after the first, in order of issue.
fn due_by_trace(trace: &str) -> Vec<u64> {
    let field = |line: &str, name: &str| {
        let rest = line.split_once(&format!("\"{name}\":"))?.1;
        Some(rest[..rest.find([',', '}'])?].to_owned())
    };
    let begins = trace
        .lines()
        .filter(|l| l.contains("\"name\":\"Sample\"") && l.contains("\"ph\":\"b\""));
    // Microseconds with three decimals.
    let due: BTreeMap<u64, u64> = begins
        .map(|l| {
            let us = field(l, "ts").unwrap();
            let (whole, part) = us.split_once('.').unwrap_or((&us, "0"));
            let ns = format!("{whole}{part:0<3}").parse().unwrap();
            (field(l, "id").unwrap().parse().unwrap(), ns)
        })
        .collect();
    let first = due.values().next().copied().unwrap_or_default();
    due.values().map(|ns| ns - first).collect()
}

fn run(n: u64) {
    let (scenario, plan) = case(n);
    let dir = tempfile::tempdir().unwrap();
    let mut settings = loadgen::Settings::new(
        scenario,
        loadgen::Mode::PerformanceOnly,
        "gpt-oss-120b",
        dir.path(),
    );
    settings.log.enable_trace = true;
    settings.overrides.set_target_qps(plan.target_qps);
    settings.overrides.min_duration_ms = Some(plan.min_duration_ms);
    settings.overrides.min_query_count = Some(plan.min_query_count);
    settings.overrides.set_seeds(loadgen::Seeds {
        qsl: plan.seeds.qsl,
        sample_index: plan.seeds.sample_index,
        schedule: plan.seeds.schedule,
    });
    let sut = Null::default();
    loadgen::run(
        &settings,
        &sut,
        &Library(plan.loaded_samples.get() as usize),
    )
    .unwrap();
    let issued = sut.issued.into_inner().unwrap();
    if scenario == loadgen::Scenario::Offline {
        assert_eq!(issued, offline(&plan), "case {n}: {plan:?}");
        return;
    }
    let expected = server(&plan);
    let samples: Vec<u32> = expected.iter().map(|q| q.sample).collect();
    assert_eq!(issued, samples, "case {n}: {plan:?}");
    let trace = std::fs::read_to_string(dir.path().join("mlperf_log_trace.json")).unwrap();
    let due: Vec<u64> = expected.iter().map(|q| q.due_ns).collect();
    assert_eq!(due_by_trace(&trace), due, "case {n}: {plan:?}");
}

#[test]
#[ignore = "the child process of the other test"]
fn child() {
    if let Ok(n) = std::env::var(CASE) {
        run(n.parse().unwrap());
    }
}

#[test]
fn loadgen_issues_what_was_predicted_when_it_was() {
    let children: Vec<_> = (0..28)
        .map(|n: u64| {
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args(["--ignored", "--exact", "child"]);
            child.env(CASE, n.to_string());
            (n, child.output())
        })
        .collect();
    for (n, output) in children {
        let output = output.unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("1 passed"),
            "case {n}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
