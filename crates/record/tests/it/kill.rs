//! A run that is killed with -9 leaves what it had written.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use ossmark_record::{Record, Settings, State, begin};

use crate::child::{self, LIMIT, counters, row, rows, until};

/// Rows that a child writes before it finishes its record.
const ALL: u64 = 40_000;

/// A child: rows as fast as they are taken, then the end, in a loop of records.
#[test]
fn writes_until_it_is_killed() {
    let Some(dir) = child::dir() else { return };
    for n in 0.. {
        let dir = dir.join(n.to_string());
        std::fs::create_dir(&dir).unwrap();
        let (recorder, writer) = begin(&dir, Settings::default(), counters());
        println!("record {n}");
        for request in 0..ALL {
            recorder.row(row(request));
            if request % 512 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let outcome = writer.finish(LIMIT);
        assert_eq!((outcome.lost, outcome.reason), (0, None));
    }
}

#[test]
fn a_record_is_readable_whenever_its_writer_was_killed() {
    let (mut cut, mut parts, mut whole) = (0, 0, 0);
    for seed in 0..50u64 {
        let tmp = tempfile::tempdir().unwrap();
        let mut child = child::start("kill::writes_until_it_is_killed", tmp.path(), "");
        // A slow machine makes no whole record in the time below: some are killed after their first one, whenever that is.
        let begins = if seed % 5 == 0 {
            "record 1"
        } else {
            "record 0"
        };
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let begun = lines.map(Result::unwrap).any(|line| line.contains(begins));
        assert!(begun, "the child says that it begins");
        // Any moment does; the seeds only spread them.
        let nanos = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 36;
        std::thread::sleep(Duration::from_nanos(nanos));
        child.kill().unwrap();
        child.wait().unwrap();
        for dir in std::fs::read_dir(tmp.path()).unwrap() {
            let dir = dir.unwrap().path();
            let record = match Record::open(&dir) {
                Ok(record) => record,
                // Killed before there was anything.
                Err(ossmark_record::Error::Absent { .. }) => continue,
                Err(error) => panic!("{seed}: {error}"),
            };
            assert_eq!(record.damage, None, "{seed}");
            let count = record.rows.len() as u64;
            match record.state {
                State::GoingOn => panic!("{seed}: nobody has it"),
                State::Ended => assert_eq!(count, ALL, "{seed}"),
                State::Cut => cut += 1,
            }
            whole += u32::from(record.state == State::Ended);
            parts += u32::from(0 < count && count < ALL);
            // Rows were sent in this order, so that none is missing before the last.
            assert_eq!(record.rows, rows(count), "{seed}");
            let mut timeline = record.timeline().unwrap();
            while let Some(timeline) = &mut timeline
                && timeline.next_second().unwrap().is_some()
            {}
        }
    }
    // Otherwise this would have shown nothing.
    assert!(
        cut > 0 && parts > 0 && whole > 0,
        "{cut} cut, {parts} with a part, {whole} whole"
    );
}

/// A child: some rows, and nothing more that would make room for them.
#[test]
fn writes_some_and_waits() {
    let Some(dir) = child::dir() else { return };
    let (recorder, _writer) = begin(&dir, Settings::default(), counters());
    rows(7).into_iter().for_each(|row| recorder.row(row));
    loop {
        std::thread::park();
    }
}

#[test]
fn rows_reach_the_journal_without_others_that_follow() {
    let tmp = tempfile::tempdir().unwrap();
    let mut child = child::start("kill::writes_some_and_waits", tmp.path(), "");
    until("seven rows are in the journal", || {
        Record::open(tmp.path()).is_ok_and(|record| record.rows.len() == 7)
    });
    assert_eq!(Record::open(tmp.path()).unwrap().state, State::GoingOn);
    child.kill().unwrap();
    child.wait().unwrap();
    let record = Record::open(tmp.path()).unwrap();
    assert_eq!((record.state, record.rows), (State::Cut, rows(7)));
}
