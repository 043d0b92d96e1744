use super::*;
use proptest::prelude::*;

const ROWS: u32 = 4;
const PASSES: u32 = 3;

fn settings() -> Value {
    json!({ "dataset": "abc", "seed": 7 })
}

fn open(path: &Path) -> Result<(Journal, Resumed)> {
    Journal::open(path, &settings(), ROWS, PASSES)
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
        result: Ok(answer),
    }
}

fn failure(row: u32, pass: u32) -> Outcome {
    Outcome {
        row,
        pass,
        result: Err("the server reported: no".into()),
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
    let mut ends = vec![journal.length as usize];
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
        let answered = [0, 0, 1, 1, 2, 3, 4][whole];
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
    bytes[ends[1] + HEAD + 3] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = open(&path).unwrap_err();
    assert!(
        matches!(error, Error::Damaged { at, .. } if at == ends[1] as u64),
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
