//! Every scenario in every mode, by the binding and by a C++ program with the same LoadGen: the same calls in the same order,
//! the same responses in the log, the same settings.

use loadgen::{Mode, Scenario};

use crate::child::{Answer, Event};
use crate::cpp;
use crate::log::summary;
use crate::parent::{Case, Done};
use crate::performance::find_peak;

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
fn a_search_begins_as_loadgens_own() {
    let done = find_peak().test();
    let cpp = cpp::run(&done.spec);
    let first_trial = |events: &[Event]| -> Vec<Event> {
        let of = events.split_inclusive(|event| *event == Event::Flush);
        of.map(<[Event]>::to_vec).next().unwrap()
    };
    let ours = first_trial(done.events());
    assert!(ours.len() > 12, "{ours:?}");
    assert_eq!(ours, first_trial(&cpp.events));
    let detail = done.detail();
    for prefix in ["requested_", "effective_"] {
        assert_eq!(
            detail.with_prefix(prefix),
            cpp.detail.with_prefix(prefix),
            "{prefix}"
        );
    }
}
