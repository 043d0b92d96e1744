use super::*;
use crate::{End, Failure, Times};
use proptest::prelude::*;

const ROWS: u32 = 4;
const PASSES: u32 = 3;

fn settings() -> Value {
    json!({ "dataset": "abc", "seed": 7 })
}

fn open(path: &Path) -> Result<(Journal, Resumed)> {
    Journal::open(path, &settings(), ROWS, PASSES)
}

/// Every second one is of ossmark 0.1.
fn times(row: u32) -> Option<Times> {
    row.is_multiple_of(2).then_some(Times {
        issued_ns: 7,
        first_token_ns: (row > 0).then_some(9),
        ended_ns: 5_000_007,
        engine: 3,
    })
}

fn answer(row: u32, pass: u32) -> Outcome {
    let answer = Answer {
        tokens: (0..row * 10 + pass).collect(),
        cut: pass == 1,
        took: Duration::from_millis(5),
    };
    Outcome {
        row,
        pass,
        times: times(row),
        result: Ok(answer),
    }
}

fn failure(row: u32, pass: u32) -> Outcome {
    Outcome {
        row,
        pass,
        times: times(row),
        result: Err(Failure {
            message: "the server reported: no".into(),
            given_up: row == 2,
        }),
    }
}

#[test]
fn answers_are_found_again_and_failures_are_open() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("j");
    let (mut journal, resumed) = open(&path).unwrap();
    assert_eq!(resumed, Resumed::default());
    assert_eq!(journal.open_requests().count(), 12);
    journal
        .record(&[answer(0, 0), failure(1, 2), answer(3, 1), failure(2, 0)])
        .unwrap();
    journal.record(&[answer(1, 2)]).unwrap();
    drop(journal);

    let (journal, resumed) = open(&path).unwrap();
    assert_eq!(
        resumed,
        Resumed {
            answered: 3,
            failed: 1,
            torn_bytes: 0
        }
    );
    let open: Vec<_> = journal.open_requests().collect();
    assert_eq!(open.len(), 9);
    assert!(open.contains(&(2, 0)) && !open.contains(&(1, 2)));
    assert_eq!(journal.answer(3, 1).unwrap(), answer(3, 1).result.ok());
    assert_eq!(journal.answer(2, 0).unwrap(), None);
}

/// Without their tokens: how each ended last, and when.
#[test]
fn what_ended_is_listed_in_order() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("j");
    let (mut journal, _) = open(&path).unwrap();
    let kept = [
        answer(3, 1),
        failure(2, 0),
        answer(0, 2),
        failure(1, 2),
        answer(0, 0),
        answer(1, 2),
    ];
    journal.record(&kept).unwrap();
    let listed = |journal: &Journal| journal.ended().collect::<Result<Vec<_>>>().unwrap();
    let of = |row, pass, end, tokens| Ended {
        row,
        pass,
        times: times(row),
        end,
        tokens,
    };
    let expected = [
        of(0, 0, End::Stop, 0),
        of(0, 2, End::Stop, 2),
        of(1, 2, End::Stop, 12),
        of(2, 0, End::GivenUp, 0),
        of(3, 1, End::Length, 31),
    ];
    assert_eq!(listed(&journal), expected);
    drop(journal);
    assert_eq!(listed(&open(&path).unwrap().0), expected);
}

/// A process that goes on counts from the same beginning, and not from before what is there.
#[test]
fn times_go_on_after_a_kill() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("j");
    let (mut journal, _) = open(&path).unwrap();
    let first = journal.clock();
    let an_hour = Duration::from_secs(3600);
    let mut late = answer(0, 0);
    late.times = late.times.map(|times| Times {
        ended_ns: an_hour.as_nanos() as i64,
        ..times
    });
    journal.record(&[answer(2, 2)]).unwrap();
    drop(journal);
    std::thread::sleep(Duration::from_millis(20));
    let (mut journal, _) = open(&path).unwrap();
    let now = Instant::now();
    let (here, there) = (journal.clock().ns(now), first.ns(now));
    // The system's clock, which may be set, and the other one.
    assert!(here.abs_diff(there) < 10_000_000_000, "{here} {there}");
    assert!(here >= 5_000_007);
    journal.record(&[late]).unwrap();
    drop(journal);
    let (journal, _) = open(&path).unwrap();
    assert!(journal.clock().ns(Instant::now()) >= an_hour.as_nanos() as i64);
}

#[test]
fn a_journal_of_ossmark_0_1_goes_on() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("j");
    let (mut journal, _) = open(&path).unwrap();
    let begun = journal.length as usize;
    journal.record(&[answer(1, 0), failure(3, 2)]).unwrap();
    drop(journal);
    // As it was written then: nothing says when it was begun.
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.drain(begun - BEGUN_BYTES..begun);
    std::fs::write(&path, &bytes).unwrap();
    let (mut journal, resumed) = open(&path).unwrap();
    assert_eq!(
        (resumed.answered, resumed.failed, resumed.torn_bytes),
        (1, 1, 0)
    );
    journal.record(&[answer(2, 1)]).unwrap();
    drop(journal);
    let (journal, resumed) = open(&path).unwrap();
    assert_eq!(resumed.answered, 2);
    for outcome in [answer(1, 0), answer(2, 1)] {
        let found = journal.answer(outcome.row, outcome.pass).unwrap();
        assert_eq!(found, outcome.result.ok());
    }
}

#[test]
fn a_second_process_and_other_settings_are_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("j");
    let (journal, _) = open(&path).unwrap();
    assert!(matches!(open(&path), Err(Error::Locked { .. })));
    drop(journal);
    // Nothing was recorded yet, so that other settings may still take its place.
    let other = json!({ "dataset": "abc", "seed": 9 });
    drop(Journal::open(&path, &other, ROWS, PASSES).unwrap());
    let (mut journal, _) = open(&path).unwrap();
    journal.record(&[answer(0, 0)]).unwrap();
    drop(journal);
    let other = json!({ "dataset": "abc", "seed": 8 });
    let error = Journal::open(&path, &other, ROWS, PASSES)
        .unwrap_err()
        .to_string();
    assert!(error.contains("seed was 7, is 8"), "{error}");
    assert!(!error.contains("abc"), "{error}");
}

/// Which of the two counts nobody can say.
#[test]
fn a_request_that_was_answered_twice_is_damage() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("j");
    let (mut journal, _) = open(&path).unwrap();
    journal.record(&[answer(1, 2), answer(1, 2)]).unwrap();
    drop(journal);
    let before = std::fs::read(&path).unwrap();
    let error = open(&path).unwrap_err().to_string();
    assert!(
        error.contains("answers a request that is answered"),
        "{error}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn other_files_are_left_alone() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("j");
    for content in [
        &b"some notes of mine, which are not a journal at all"[..],
        b"PAR1\0\0\0\0PAR1",
    ] {
        std::fs::write(&path, content).unwrap();
        assert!(open(&path).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), content);
    }
}

/// A journal of five outcomes, and where each of its records ends.
fn written(path: &Path) -> (Vec<u8>, Vec<usize>) {
    let (mut journal, _) = open(path).unwrap();
    let begun = journal.length as usize;
    let mut ends = vec![begun - BEGUN_BYTES, begun];
    for outcome in [
        answer(0, 0),
        failure(1, 1),
        answer(2, 1),
        answer(1, 1),
        answer(3, 2),
    ] {
        journal.record(&[outcome]).unwrap();
        ends.push(journal.length as usize);
    }
    drop(journal);
    (std::fs::read(path).unwrap(), ends)
}

#[test]
fn cut_anywhere_it_goes_on_with_what_was_whole() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("j");
    let (bytes, ends) = written(&path);
    for length in 0..=bytes.len() {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let (mut journal, resumed) = open(&path).unwrap();
        let whole = ends.iter().filter(|end| **end <= length).count();
        let answered = [0, 0, 0, 1, 1, 2, 3, 4][whole];
        assert_eq!(resumed.answered, answered, "cut to {length}");
        let kept = ends.get(whole.wrapping_sub(1)).copied().unwrap_or(0);
        assert_eq!(
            resumed.torn_bytes as usize,
            length - kept,
            "cut to {length}"
        );
        // What comes after stands behind it, whole.
        let next = journal.open_requests().next().unwrap();
        journal.record(&[answer(next.0, next.1)]).unwrap();
        drop(journal);
        assert_eq!(open(&path).unwrap().1.answered, answered + 1);
    }
}

#[test]
fn zeros_after_a_power_cut_are_cut_off() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("j");
    let (mut bytes, _) = written(&path);
    bytes.extend([0; 4096]);
    std::fs::write(&path, &bytes).unwrap();
    let (_, resumed) = open(&path).unwrap();
    assert_eq!((resumed.answered, resumed.torn_bytes), (4, 4096));
}

#[test]
fn damage_in_the_middle_is_an_error_that_leaves_the_file_alone() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("j");
    let (mut bytes, ends) = written(&path);
    bytes[ends[2] + HEAD + 3] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = open(&path).unwrap_err();
    assert!(
        matches!(error, Error::Damaged { at, .. } if at == ends[2] as u64),
        "{error}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

proptest! {
    /// Whatever bytes change, the journal is refused or what it gives was in it: no panic, no made-up answer.
    #[test]
    fn changed_bytes_never_make_answers(edits in prop::collection::vec((any::<u16>(), any::<u8>()), 1..4)) {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("j");
        let (mut bytes, _) = written(&path);
        for (at, byte) in edits {
            let at = usize::from(at) % bytes.len();
            bytes[at] = byte;
        }
        std::fs::write(&path, &bytes).unwrap();
        if let Ok((journal, _)) = open(&path) {
            for row in 0..ROWS {
                for pass in 0..PASSES {
                    if let Some(found) = journal.answer(row, pass).unwrap() {
                        prop_assert_eq!(Ok(found), answer(row, pass).result);
                    }
                }
            }
        }
    }
}

/// Before anything is written, and before memory for it is asked for.
#[test]
fn more_requests_than_are_kept_account_of_are_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("j");
    for (rows, passes) in [(u32::MAX, 1000), (1 << 26, 2)] {
        let error = Journal::open(&path, &settings(), rows, passes)
            .map(drop)
            .unwrap_err();
        assert!(error.to_string().contains("lower --pass-k"), "{error}");
        assert!(!path.exists());
    }
}
