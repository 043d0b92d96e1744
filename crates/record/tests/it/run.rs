//! A record from its beginning to its end, in one process.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use ossmark_record::{
    Error, Follower, JOURNAL, Limits, Record, SAMPLES, Settings, State, TIMELINE, begin,
};

use crate::child::{LIMIT, counters, row, rows, until};

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_run_is_read_while_it_goes_on_and_after_its_end() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path();
    let settings = Settings {
        limits: Limits {
            ttft_ns: Some(89_999_999),
            tpot_ns: None,
        },
        ..Settings::default()
    };
    let (recorder, writer) = begin(dir, settings, counters());
    let mut follower = Follower::new(dir);
    // Every sixteenth late, as answers of different lengths are.
    let (late, soon): (Vec<u64>, Vec<u64>) = (0..3000).partition(|n| n % 16 == 3);
    for request in soon.iter().chain(&late) {
        recorder.row(row(*request));
    }
    let (mut followed, mut seconds, mut state) = (Vec::new(), Vec::new(), None);
    until("the rows and a second come while the run goes on", || {
        let news = follower.look().unwrap();
        followed.extend(news.rows);
        seconds.extend(news.seconds);
        state = news.state;
        followed.len() == 3000 && !seconds.is_empty()
    });
    assert_eq!(state, Some(State::GoingOn));
    assert_eq!(followed[0], row(0));
    assert_eq!(followed[2999], row(*late.last().unwrap()));
    let going_on = Record::open(dir).unwrap();
    assert_eq!(
        (going_on.state, &going_on.rows),
        (State::GoingOn, &rows(3000))
    );
    assert!(!going_on.is_complete());

    recorder.row(row(3000));
    let outcome = writer.finish(LIMIT);
    assert_eq!(
        (outcome.rows, outcome.lost, &outcome.reason),
        (3001, 0, &None)
    );
    assert_eq!(outcome.files, [dir.join(SAMPLES), dir.join(TIMELINE)]);
    assert_eq!(names(dir), [SAMPLES, TIMELINE]);
    let record = Record::open(dir).unwrap();
    assert!(record.is_complete());
    assert_eq!(record.rows, rows(3001));
    // The journal is gone by its name only.
    let news = follower.look().unwrap();
    assert_eq!(
        (news.rows, news.state),
        (vec![row(3000)], Some(State::Ended))
    );
    // A row that comes too late is lost, and that is all.
    recorder.row(row(3001));
    assert_eq!(Record::open(dir).unwrap().rows.len(), 3001);

    let mut timeline = record.timeline().unwrap().unwrap();
    let mut all = Vec::new();
    while let Some(second) = timeline.next_second().unwrap() {
        all.push(second);
    }
    assert_eq!((timeline.unreadable(), timeline.damage()), (0, None));
    assert!(all.starts_with(&seconds) && all.len() > seconds.len());
    let last = all.last().unwrap();
    assert_eq!(
        (last.issued, last.open, last.steps),
        (Some(9), Some(5), Some(3))
    );
    // Those whose schedule is known have 90 ms, the others 5 us less.
    let over = rows(3001)
        .iter()
        .filter(|r| r.ttft_ns() > Some(89_999_999))
        .count() as u64;
    assert_eq!((last.over_ttft, last.over_tpot), (Some(over), None));
    assert!(over > 0 && last.rss_mib > Some(0.1));
    // The last line may come too soon after the one before for a share.
    assert!(all[0].cpu_percent.is_some());
    let mut late = Follower::new(dir);
    let news = late.look().unwrap();
    assert_eq!((news.rows, news.state), (rows(3001), Some(State::Ended)));
    assert_eq!(news.seconds, all);
}

#[test]
fn a_writer_that_stands_still_loses_rows_and_never_keeps_anybody_waiting() {
    const CAPACITY: usize = 500;
    let tmp = tempfile::tempdir().unwrap();
    let (entered, is_in) = mpsc::channel();
    let (open, gate) = mpsc::channel::<()>();
    let settings = Settings {
        capacity: CAPACITY,
        ..Settings::default()
    };
    let (recorder, writer) = begin(tmp.path(), settings, move || {
        let _ = entered.send(());
        let _ = gate.recv();
        None
    });
    is_in
        .recv_timeout(LIMIT)
        .expect("the writer asks for counters");
    let (sent, all_sent) = mpsc::channel();
    std::thread::spawn(move || {
        let had_room =
            recorder.has_room(CAPACITY as u64) && !recorder.has_room(CAPACITY as u64 + 1);
        (0..CAPACITY as u64 + 993).for_each(|request| recorder.row(row(request)));
        // Rows that there is no room for need not be made to be counted.
        let has_room = recorder.has_room(1);
        recorder.lose(7);
        let _ = sent.send((had_room, has_room));
    });
    let room = all_sent.recv_timeout(LIMIT);
    assert_eq!(
        room.expect("sending does not wait for the writer"),
        (true, false)
    );
    assert_eq!(writer.lost(), 1000);
    drop(open);
    // Readers are told while the run goes on.
    until("the journal has the count", || {
        Record::open(tmp.path()).unwrap().lost == 1000
    });
    let outcome = writer.finish(LIMIT);
    assert_eq!((outcome.rows, outcome.lost), (CAPACITY as u64, 1000));
    let record = Record::open(tmp.path()).unwrap();
    assert_eq!((record.rows, record.lost), (rows(CAPACITY as u64), 1000));
    assert!(!Record::open(tmp.path()).unwrap().is_complete());
}

#[test]
fn a_writer_that_hangs_is_left_and_one_that_panics_is_named() {
    let tmp = tempfile::tempdir().unwrap();
    let (entered, is_in) = mpsc::channel();
    let (_open, gate) = mpsc::channel::<()>();
    let (_recorder, writer) = begin(tmp.path(), Settings::default(), move || {
        let _ = entered.send(());
        let _ = gate.recv();
        None
    });
    is_in.recv_timeout(LIMIT).unwrap();
    let reason = writer.finish(Duration::from_millis(1)).reason.unwrap();
    assert!(reason.contains("has not ended after 1.0ms"), "{reason}");

    let tmp = tempfile::tempdir().unwrap();
    let (recorder, writer) = begin(tmp.path(), Settings::default(), || {
        panic!("on purpose, by a test of the record")
    });
    until("rows are lost once the writer is gone", || {
        recorder.row(row(0));
        writer.lost() > 0
    });
    let reason = writer.finish(LIMIT).reason.unwrap();
    assert!(reason.contains("panic"), "{reason}");
    until("the lock goes with the writer", || {
        Record::open(tmp.path()).unwrap().state == State::Cut
    });
}

#[test]
fn what_is_not_finished_is_cut() {
    let tmp = tempfile::tempdir().unwrap();
    let (recorder, writer) = begin(tmp.path(), Settings::default(), || None);
    rows(100).into_iter().for_each(|row| recorder.row(row));
    drop((recorder, writer));
    until("the writer ends with the last sender", || {
        Record::open(tmp.path()).is_ok_and(|record| record.state == State::Cut)
    });
    let record = Record::open(tmp.path()).unwrap();
    assert_eq!(record.rows, rows(100));
    assert!(record.timeline().unwrap().is_some());
    assert_eq!(names(tmp.path()), [JOURNAL, TIMELINE]);
}

#[test]
fn a_record_that_cannot_be_begun_has_a_reason_and_earlier_ones_stay() {
    let tmp = tempfile::tempdir().unwrap();
    let none = tmp.path().join("none");
    let (recorder, writer) = begin(&none, Settings::default(), counters());
    rows(10).into_iter().for_each(|row| recorder.row(row));
    let outcome = writer.finish(LIMIT);
    assert_eq!((outcome.rows, outcome.lost), (0, 10));
    let reason = outcome.reason.unwrap();
    assert!(
        reason.starts_with("samples.journal: No such file"),
        "{reason}"
    );
    assert!(matches!(Record::open(&none), Err(Error::Absent { .. })));

    for earlier in [SAMPLES, JOURNAL] {
        let dir = tmp.path().join(format!("with {earlier}"));
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join(earlier), "earlier").unwrap();
        let (recorder, writer) = begin(&dir, Settings::default(), || None);
        recorder.row(row(0));
        let outcome = writer.finish(LIMIT);
        assert_eq!((outcome.rows, outcome.lost), (0, 1));
        assert_eq!(outcome.files, [dir.join(TIMELINE)]);
        let reason = outcome.reason.unwrap();
        assert!(
            reason.contains(earlier) || reason.contains("File exists"),
            "{reason}"
        );
        assert_eq!(std::fs::read(dir.join(earlier)).unwrap(), b"earlier");
    }
}

#[test]
fn an_absent_record_is_a_situation_of_its_own() {
    let tmp = tempfile::tempdir().unwrap();
    for dir in [tmp.path(), &tmp.path().join("none")] {
        let error = Record::open(dir).unwrap_err();
        assert!(matches!(error, Error::Absent { .. }), "{error}");
        assert!(error.to_string().contains("samples.journal"), "{error}");
        assert_eq!(Follower::new(dir).look().unwrap().state, None);
    }
    // A run without a single sample.
    let (_recorder, writer) = begin(tmp.path(), Settings::default(), || None);
    assert_eq!(writer.finish(LIMIT).reason, None);
    assert!(Record::open(tmp.path()).unwrap().is_complete());
}
