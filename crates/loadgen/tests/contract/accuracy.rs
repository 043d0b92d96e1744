//! Accuracy runs: every sample once, with all its tokens.

use loadgen::{Mode, Scenario};
use serde_json::Value;

use crate::child::{Answer, Event, tokens_of};
use crate::parent::{Case, Done, GPT_OSS, LOADED, TOTAL};

fn check(done: &Done, server: bool) {
    done.assert_clean();
    let sets = done.sets();
    assert_eq!(
        sets.iter().map(Vec::len).collect::<Vec<_>>(),
        [LOADED, TOTAL - LOADED]
    );
    let mut issued = done.issued();
    issued.sort_unstable();
    assert_eq!(issued, (0..TOTAL).collect::<Vec<_>>());
    let queries = done
        .events()
        .iter()
        .filter(|e| matches!(e, Event::Issue(_)))
        .count();
    assert_eq!(queries, if server { TOTAL } else { sets.len() });

    let mut log = done.accuracy();
    log.sort_by_key(|entry| entry.index);
    assert_eq!(
        log.iter().map(|entry| entry.index).collect::<Vec<_>>(),
        (0..TOTAL).collect::<Vec<_>>()
    );
    for entry in log {
        let tokens = tokens_of(entry.index);
        assert_eq!(entry.tokens, tokens, "all tokens of sample {}", entry.index);
        assert_eq!(entry.count, tokens.len() as u64);
        assert_eq!(entry.first, server.then(|| tokens[..1].to_vec()));
    }
    let effective = &done.report().effective;
    assert_eq!(effective["test_mode"], "AccuracyOnly");
    assert_eq!(effective["accuracy_sample_count"], TOTAL);
    assert_eq!(done.summary().0, None, "an accuracy run has no result");
    assert_eq!(done.report().summary["performance"], Value::Null);
}

#[test]
fn offline_logs_every_sample_once() {
    for answer in [Answer::Inline, Answer::Batches] {
        let mut case = Case::new(Scenario::Offline, Mode::AccuracyOnly);
        case.spec.answer = answer;
        check(&case.test(), false);
    }
}

#[test]
fn server_logs_every_sample_once() {
    for (model, answer) in [
        (GPT_OSS, Answer::Batches),
        ("gpt-oss-120b-interactive", Answer::Inline),
    ] {
        let mut case = Case::new(Scenario::Server, Mode::AccuracyOnly);
        case.spec.answer = answer;
        case.spec.model = model.into();
        check(&case.test(), true);
    }
}

#[test]
fn a_library_smaller_than_the_benchmark_is_issued_whole() {
    let mut case = Case::new(Scenario::Offline, Mode::AccuracyOnly);
    // As the built-in mlperf.conf has it: 6396 loaded, 4395 issued, of a library of 24.
    case.spec.user_conf = None;
    let requested = case.spec.settings().requested().unwrap();
    assert_eq!(
        (
            requested.performance_sample_count_override,
            requested.accuracy_sample_count_override
        ),
        (6396, 4395)
    );
    assert_eq!(requested.expected_samples(24, 24), 24);
    let done = case.test();
    done.assert_clean();
    assert_eq!(done.sets().len(), 1);
    assert_eq!(done.accuracy().len(), TOTAL);
}
