//! What goes wrong during a test ends up in the faults, and the test still ends.

use loadgen::{Mode, Scenario};
use serde_json::Value;

use crate::child::Answer;
use crate::parent::{Case, TOTAL};

const BOTH: [Scenario; 2] = [Scenario::Offline, Scenario::Server];

#[test]
fn dropped_tickets_are_answered_and_reported() {
    for scenario in BOTH {
        for mode in [Mode::PerformanceOnly, Mode::AccuracyOnly] {
            let mut case = Case::new(scenario, mode);
            case.spec.answer = Answer::DropSome;
            let done = case.test();
            let issued = done.issued();
            let count = |digit| issued.iter().filter(|index| *index % 10 == digit).count() as u64;
            let faults = &done.report().faults;
            assert_eq!(faults["dropped_issued"], count(3), "{scenario:?} {mode:?}");
            assert_eq!(
                faults["dropped_streaming"],
                count(7),
                "{scenario:?} {mode:?}"
            );
            let first = issued
                .iter()
                .find(|index| [3, 7].contains(&(*index % 10)))
                .unwrap();
            assert_eq!(faults["first_dropped"], *first as u64);
            let detail = done.detail();
            assert!(detail.is_complete());
            // LoadGen sees an answer of no tokens, never one that was forgotten or given twice.
            let errors = detail.errors();
            assert_eq!(errors.len() as u64, count(3) + count(7), "{errors:?}");
            assert_eq!(done.report().summary["errors"], count(3) + count(7));
            assert!(
                errors.iter().all(|e| e.contains("0 as number of tokens")),
                "{errors:?}"
            );
            if mode == Mode::AccuracyOnly {
                let log = done.accuracy();
                assert_eq!(log.len(), TOTAL);
                let empty = log
                    .iter()
                    .filter(|entry| entry.tokens.is_empty() && entry.count == 0)
                    .count();
                assert_eq!(empty as u64, count(3) + count(7));
            }
        }
    }
}

#[test]
fn dropped_batches_are_answered_and_reported() {
    for scenario in BOTH {
        let mut case = Case::new(scenario, Mode::PerformanceOnly);
        case.spec.answer = Answer::DropBatches;
        let done = case.test();
        let faults = &done.report().faults;
        let dropped = faults["dropped_issued"].as_u64().unwrap()
            + faults["dropped_streaming"].as_u64().unwrap();
        assert_eq!(dropped, done.issued().len() as u64, "{faults}");
        let errors = done.detail().errors();
        assert!(
            errors.iter().all(|e| e.contains("0 as number of tokens")),
            "{:?}",
            &errors[..3]
        );
        assert_eq!(errors.len() as u64, dropped);
    }
}

#[test]
fn dropped_untimed_tickets_are_answered_and_reported() {
    for scenario in Scenario::ALL {
        let mut case = Case::untimed(scenario, Mode::AccuracyOnly);
        case.spec.answer = Answer::DropSome;
        let done = case.test();
        let issued = done.issued();
        let dropped = issued.iter().filter(|index| *index % 10 == 3).count();
        assert!(dropped > 0);
        let faults = &done.report().faults;
        assert_eq!(faults["dropped_issued"], dropped, "{scenario:?}");
        assert_eq!(faults["dropped_streaming"], 0);
        let text = std::fs::read_to_string(done.path("accuracy.json")).unwrap();
        let entries: Vec<Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(entries.len(), issued.len());
        let empty = entries.iter().filter(|entry| entry["data"] == "").count();
        assert_eq!(empty, dropped);
    }
}

#[test]
fn dropped_untimed_batches_are_answered_and_reported() {
    for scenario in Scenario::ALL {
        let mut case = Case::untimed(scenario, Mode::AccuracyOnly);
        case.spec.answer = Answer::DropBatches;
        let done = case.test();
        let faults = &done.report().faults;
        assert_eq!(
            faults["dropped_issued"],
            done.issued().len(),
            "{scenario:?}"
        );
        assert!(done.detail().is_complete());
    }
}

#[test]
fn a_panic_in_issue_is_caught() {
    for scenario in BOTH {
        let mut case = Case::new(scenario, Mode::PerformanceOnly);
        case.spec.answer = Answer::PanicInIssue;
        let done = case.test();
        let faults = &done.report().faults;
        assert_eq!(
            faults["panics"],
            serde_json::json!(["issue: an engine bug"])
        );
        assert_eq!(faults["panic_count"], 1);
        // The first sample was answered; Offline's one query had 107 more, Server's none.
        assert_eq!(
            faults["dropped_issued"],
            if scenario == Scenario::Offline {
                107
            } else {
                0
            }
        );
        assert!(done.detail().is_complete());
    }
}

#[test]
fn a_panic_in_an_untimed_issue_is_caught() {
    let mut case = Case::untimed(Scenario::Offline, Mode::AccuracyOnly);
    case.spec.answer = Answer::PanicInIssue;
    let done = case.test();
    let faults = &done.report().faults;
    let panic = "issue: an engine bug";
    assert_eq!(faults["panics"], serde_json::json!([panic, panic]));
    assert_eq!(faults["dropped_issued"], TOTAL);
}

#[test]
fn panics_in_the_other_calls_are_caught() {
    for mut case in [
        Case::new(Scenario::Offline, Mode::PerformanceOnly),
        Case::untimed(Scenario::Offline, Mode::PerformanceOnly),
    ] {
        case.spec.answer = Answer::PanicInOthers;
        let done = case.test();
        assert_eq!(
            done.report().faults["panics"],
            serde_json::json!([
                "load: no memory",
                "flush: the device is gone",
                "unload: still in use"
            ])
        );
        assert_eq!(done.report().faults["dropped_issued"], 0);
    }
}

#[test]
fn the_first_panics_are_kept_and_all_are_counted() {
    let mut case = Case::new(Scenario::Offline, Mode::AccuracyOnly);
    case.spec.answer = Answer::PanicInOthers;
    case.user_conf("*.*.performance_sample_count_override = 1\n");
    let done = case.test();
    let faults = &done.report().faults;
    // Of each sample by itself: loaded, flushed, unloaded.
    assert_eq!(faults["panic_count"], 3 * TOTAL);
    assert_eq!(faults["panics"].as_array().unwrap().len(), 16);
}

#[test]
fn a_second_test_is_refused() {
    let mut case = Case::new(Scenario::Offline, Mode::PerformanceOnly);
    case.spec.twice = true;
    let done = case.test();
    done.assert_clean();
    assert!(
        done.report()
            .second_error
            .as_deref()
            .unwrap()
            .contains("already run")
    );
    assert_eq!(done.sets().len(), 1, "the second test issued nothing");
}

#[test]
fn the_process_can_end_in_the_middle_of_a_test() {
    let mut case = Case::new(Scenario::Server, Mode::PerformanceOnly);
    case.spec.answer = Answer::ExitNow;
    let done = case.run();
    assert_eq!(done.status.code(), Some(7), "{}", done.stderr);
    assert!(!done.detail().is_complete());
}

#[test]
fn an_exception_of_loadgens_ends_the_process() {
    if std::env::var_os("LOADGEN_SANITIZE").is_some() {
        println!("not under a sanitizer, which needs terabytes of addresses");
        return;
    }
    // In a SubmissionRun the accuracy part has issued its samples when there is no memory for those of the performance part.
    for (mode, when) in [
        (Mode::PerformanceOnly, "before the first query"),
        (Mode::SubmissionRun, "in the middle of a test"),
    ] {
        let mut case = Case::new(Scenario::Offline, mode);
        // 900 million samples need 7 GB at once.
        case.spec.overrides.min_query_count = Some(900_000_000);
        case.address_space_kb = Some(2_000_000);
        let done = case.run();
        assert_eq!(
            done.status.code(),
            Some(2),
            "{:?} {}",
            done.status,
            done.stderr
        );
        let said = format!("LoadGen failed {when}: std::bad_alloc; the process ends here");
        assert!(done.stderr.contains(&said), "{}", done.stderr);
    }
}
