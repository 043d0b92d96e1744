//! Every scenario in every mode, by the binding and by a C++ program with the same LoadGen: the same calls in the same order,
//! the same responses in the log, the same settings.

use loadgen::{Mode, Scenario};

use crate::child::{Answer, Event};
use crate::cpp;
use crate::log::summary;
use crate::parent::{Case, Done};

/// Settings, counts and seeds of the detail log; times are none of them.
fn compare(done: &Done, what: &str) {
    let cpp = cpp::run(&done.spec);
    assert_eq!(done.events(), cpp.events, "{what}: the calls");
    let detail = done.detail();
    for prefix in ["requested_", "effective_", "generated_"] {
        let ours = detail.with_prefix(prefix);
        assert!(!ours.is_empty());
        assert_eq!(ours, cpp.detail.with_prefix(prefix), "{what}: {prefix}");
    }
    for key in [
        "loaded_qsl_set",
        "result_query_count",
        "result_validity",
        "result_min_duration_met",
        "result_min_queries_met",
        "early_stopping_met",
        "num_errors",
        "sut_name",
        "qsl_name",
        "qsl_reported_total_count",
        "qsl_reported_performance_count",
    ] {
        assert_eq!(detail.values(key), cpp.detail.values(key), "{what}: {key}");
    }
    assert_eq!(detail.errors(), cpp.detail.errors(), "{what}");
    // Answers are given inline, so that even their order is the same.
    let ours = std::fs::read_to_string(done.path("accuracy.json")).unwrap();
    assert_eq!(ours, cpp.accuracy, "{what}: the accuracy log");
    assert_eq!(
        summary(&done.path("summary.txt")),
        summary(&cpp.summary),
        "{what}"
    );
}

const MODES: [Mode; 3] = [
    Mode::PerformanceOnly,
    Mode::AccuracyOnly,
    Mode::SubmissionRun,
];

fn with_tokens(scenario: Scenario) {
    for mode in MODES {
        let done = Case::new(scenario, mode).test();
        done.assert_clean();
        compare(&done, &format!("{scenario:?} {mode:?}"));
    }
}

fn with_bytes(scenario: Scenario) {
    for mode in MODES {
        let mut case = Case::untimed(scenario, mode);
        case.spec.answer = Answer::Inline;
        let done = case.test();
        done.assert_clean();
        compare(&done, &format!("{scenario:?} {mode:?}, untimed"));
    }
}

#[test]
fn single_stream_is_loadgens_own() {
    with_tokens(Scenario::SingleStream);
}

#[test]
fn multi_stream_is_loadgens_own() {
    with_tokens(Scenario::MultiStream);
}

#[test]
fn server_is_loadgens_own() {
    with_tokens(Scenario::Server);
}

#[test]
fn offline_is_loadgens_own() {
    with_tokens(Scenario::Offline);
}

#[test]
fn untimed_streams_are_loadgens_own() {
    with_bytes(Scenario::SingleStream);
    with_bytes(Scenario::MultiStream);
}

#[test]
fn untimed_server_and_offline_are_loadgens_own() {
    with_bytes(Scenario::Server);
    with_bytes(Scenario::Offline);
}

/// How far the search gets depends on the machine; how it begins does not.
#[test]
fn a_search_for_the_peak_begins_as_loadgens_own() {
    let mut case = Case::new(Scenario::Server, Mode::FindPeakPerformance);
    // 4 ms a sample on one thread: a peak below 250 queries/s. The limit on the first token is met until queries pile up.
    case.spec.answer = Answer::Slowly(4);
    case.user_conf(
        "*.*.performance_sample_count_override = 12\n*.Server.target_qps = 100\n*.Server.min_duration = 300\n\
         *.Server.min_query_count = 12\n*.Server.max_duration = 3000\n*.Server.ttft_latency = 60\n",
    );
    let spec = case.spec.clone();
    let (done, cpp) = std::thread::scope(|scope| {
        let cpp = scope.spawn(|| cpp::run(&spec));
        (case.test(), cpp.join().unwrap())
    });
    let detail = done.detail();
    assert_eq!(
        detail.str("effective_test_mode"),
        Some("FindPeakPerformance")
    );
    assert!(detail.is_complete());
    // Load and unload pair up; each loaded set may be issued in several trials, with a flush after each.
    let count = |f: fn(&Event) -> bool| done.events().iter().filter(|e| f(e)).count();
    let (loads, unloads) = (
        count(|e| matches!(e, Event::Load(_))),
        count(|e| matches!(e, Event::Unload(_))),
    );
    assert!(loads >= 1 && loads == unloads, "{loads} {unloads}");
    assert_eq!(done.report().faults["dropped_issued"], 0);

    let first_trial = |events: &[Event]| -> Vec<Event> {
        let mut trials = events.split_inclusive(|event| *event == Event::Flush);
        trials.next().unwrap().to_vec()
    };
    let ours = first_trial(done.events());
    assert!(ours.len() > 12, "{ours:?}");
    assert_eq!(ours, first_trial(&cpp.events));
    for prefix in ["requested_", "effective_"] {
        assert_eq!(
            detail.with_prefix(prefix),
            cpp.detail.with_prefix(prefix),
            "{prefix}"
        );
    }
}
