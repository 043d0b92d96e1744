//! What only the package itself can make: journals in pieces, files of other versions.

use ossmark_files::IfExists;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use proptest::prelude::*;

use crate::frame::{self, HEADER};
use crate::journal::Journal;
use crate::row::{End, Row};
use crate::scan::Scan;
use crate::second::Second;
use crate::{Error, Follower, JOURNAL, Record, SAMPLES, State, TIMELINE, VERSION, columns, table};

fn time() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![
        Just(None),
        any::<i64>().prop_map(Some),
        (0..10_000_000_000i64).prop_map(Some)
    ]
}

prop_compose! {
    fn any_row()(
        (request, engine) in (prop_oneof![any::<u64>(), 0..50u64], any::<u16>()),
        (sample_index, prompt_tokens, output_tokens) in any::<(u32, u32, u32)>(),
        (scheduled_ns, issued_ns, first_token_ns, completed_ns) in (time(), time(), time(), time()),
        end in prop::sample::select(&End::ALL[..]),
    ) -> Row {
        Row {
            request, sample_index, prompt_tokens, output_tokens,
            scheduled_ns, issued_ns, first_token_ns, completed_ns, end, engine,
        }
    }
}

/// Rows, of which some are in frames together.
fn frames() -> impl Strategy<Value = Vec<Vec<Row>>> {
    prop::collection::vec(prop::collection::vec(any_row(), 0..8), 0..8)
}

fn write(path: &Path, frames: &[Vec<Row>], end: bool) -> Vec<u8> {
    let mut journal = Journal::create(path).unwrap();
    for (i, rows) in frames.iter().enumerate() {
        for row in rows {
            journal.push(row);
        }
        journal.flush().unwrap();
        if i % 3 == 2 {
            journal.lost(i as u64).unwrap();
        }
    }
    if end {
        journal.end(7, "").unwrap();
    }
    std::fs::read(path).unwrap()
}

/// The rows of a journal in its own order, or the error.
fn rows_of(path: &Path) -> Result<(Vec<Row>, Scan), Error> {
    let mut scan = Scan::open(path).map_err(Error::io(path))?;
    let mut rows = Vec::new();
    while scan.read(&mut rows, 3)? {}
    Ok((rows, scan))
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by_key(|row| row.request);
    rows
}

proptest! {
    #[test]
    fn rows_come_back_from_a_journal_and_from_parquet(frames in frames(), end: bool) {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join(JOURNAL);
        write(&path, &frames, end);
        let all = frames.concat();
        let (found, scan) = rows_of(&path).unwrap();
        prop_assert_eq!(&found, &all);
        prop_assert_eq!(scan.damage, None);
        let record = Record::open(tmp.path()).unwrap();
        prop_assert_eq!(&record.rows, &sorted(all.clone()));
        prop_assert_eq!(record.state, if end { State::Ended } else { State::Cut });

        // In any order: readers sort.
        let samples = tmp.path().join(SAMPLES);
        columns::write(&samples, IfExists::Refuse, &all, 3, Some("the disk\nwas full")).unwrap();
        prop_assert_eq!(&table::read(&tmp.path().join(SAMPLES)).unwrap().rows, &all);
        let record = Record::open(tmp.path()).unwrap();
        prop_assert_eq!(&record.rows, &sorted(all));
        prop_assert_eq!((record.state, record.lost), (State::Ended, 3));
        prop_assert_eq!(record.reason.as_deref(), Some("the disk\nwas full"));
    }

    #[test]
    fn a_cut_or_changed_journal_gives_true_rows_or_says_what_is_wrong(
        frames in frames(), end: bool, cut in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1..=255u8), 0..4),
    ) {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join(JOURNAL);
        let mut bytes = write(&path, &frames, end);
        let whole = bytes.len();
        bytes.truncate(cut.index(whole + whole / 4 + 1));
        for (at, bits) in flips {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] ^= bits;
            }
        }
        std::fs::write(&path, &bytes).unwrap();
        match rows_of(&path) {
            Ok((found, _)) => {
                prop_assert!(frames.concat().starts_with(&found));
                let record = Record::open(tmp.path()).unwrap();
                prop_assert_eq!(record.rows, sorted(found));
            }
            Err(error) => prop_assert!(matches!(error, Error::NotRecord { .. }), "{error}"),
        }
    }

    /// Whatever the pieces in which a reader sees the files grow.
    #[test]
    fn a_follower_sees_what_a_reader_sees(
        frames in frames(), end: bool, seconds in 0..20u32,
        pieces in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let tmp = tempfile::tempdir().unwrap();
        let source = tmp.path().join("source");
        let journal = write(&source, &frames, end);
        let mut timeline = Vec::new();
        for t in 0..seconds {
            let second = Second { t_s: t.into(), completed: Some(t.into()), ..Second::default() };
            serde_json::to_writer(&mut timeline, &second).unwrap();
            timeline.push(b'\n');
        }
        let (dir, mut follower) = (tmp.path().join("run"), Follower::new(&tmp.path().join("run")));
        prop_assert_eq!(follower.look().unwrap().state, None);
        std::fs::create_dir(&dir).unwrap();
        let mut files = [(JOURNAL, &journal), (TIMELINE, &timeline)].map(|(name, bytes)| {
            let mut cuts: Vec<usize> = pieces.iter().map(|at| at.index(bytes.len() + 1)).collect();
            cuts.push(bytes.len());
            cuts.sort_unstable();
            (std::fs::File::create(dir.join(name)).unwrap(), bytes, cuts, 0)
        });
        let (mut rows, mut times) = (Vec::new(), Vec::new());
        for piece in 0..=pieces.len() {
            for (file, bytes, cuts, done) in &mut files {
                file.write_all(&bytes[*done..cuts[piece]]).unwrap();
                *done = cuts[piece];
            }
            loop {
                let news = follower.look().unwrap();
                prop_assert_eq!(news.damage, None);
                rows.extend(news.rows);
                times.extend(news.seconds.iter().map(|second| second.t_s as u32));
                if !news.more {
                    break;
                }
            }
        }
        prop_assert_eq!(&rows, &frames.concat());
        prop_assert_eq!(sorted(rows), Record::open(&dir).unwrap().rows);
        prop_assert_eq!(times, (0..seconds).collect::<Vec<_>>());
        let state = follower.look().unwrap().state;
        prop_assert_eq!(state, Some(if end { State::Ended } else { State::Cut }));
    }
}

fn row(request: u64) -> Row {
    Row {
        request,
        sample_index: request as u32,
        prompt_tokens: 1,
        output_tokens: 2,
        scheduled_ns: None,
        issued_ns: Some(1),
        first_token_ns: Some(2),
        completed_ns: Some(3),
        end: End::Stop,
        engine: 0,
    }
}

/// Each byte of a small journal, changed and cut off.
#[test]
fn every_byte_of_a_journal_is_held_by_something() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join(JOURNAL);
    let frames = [vec![row(0), row(1)], vec![row(2)]];
    let bytes = write(&path, &frames, true);
    let all = frames.concat();
    for at in 0..bytes.len() {
        std::fs::write(&path, &bytes[..at]).unwrap();
        let (found, scan) = rows_of(&path).unwrap();
        assert!(all.starts_with(&found) && !scan.ended, "cut at {at}");
        assert_eq!(scan.damage, None, "cut at {at}");
        let mut changed = bytes.clone();
        changed[at] ^= 0x40;
        std::fs::write(&path, &changed).unwrap();
        match rows_of(&path) {
            Err(Error::NotRecord { .. }) => assert!(at < HEADER, "{at}"),
            Err(error) => panic!("{at}: {error}"),
            Ok((found, scan)) => {
                assert!(all.starts_with(&found) && at >= HEADER, "{at}");
                assert!(scan.damage.is_some() || !scan.ended, "{at}");
            }
        }
    }
}

#[test]
fn a_journal_that_lies_about_its_rows_or_goes_on_after_its_end() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join(JOURNAL);
    let mut bytes = write(&path, &[vec![row(0)]], false);
    bytes.extend(frame::ended(2, 0, ""));
    std::fs::write(&path, &bytes).unwrap();
    let (rows, scan) = rows_of(&path).unwrap();
    assert_eq!(rows, [row(0)]);
    let damage = scan.damage.unwrap().to_string();
    assert!(damage.contains("ends with 2 rows and has 1"), "{damage}");

    let mut bytes = write(&tmp.path().join("other"), &[vec![row(0)]], true);
    bytes.extend(frame::lost(99));
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(Record::open(tmp.path()).unwrap().lost, 7);
}

#[test]
fn a_later_version_is_refused_by_its_name() {
    let tmp = tempfile::tempdir().unwrap();
    let journal = tmp.path().join(JOURNAL);
    std::fs::write(&journal, frame::header(VERSION + 1)).unwrap();
    let newer = |error: Error| {
        let said = error.to_string();
        assert!(
            said.contains("version 2, this ossmark reads version 1"),
            "{said}"
        );
        assert!(matches!(error, Error::Newer { found: 2, .. }), "{said}");
    };
    newer(Record::open(tmp.path()).unwrap_err());
    newer(Follower::new(tmp.path()).look().unwrap_err());
    std::fs::write(&journal, frame::header(0)).unwrap();
    assert!(matches!(
        Record::open(tmp.path()),
        Err(Error::NotRecord { .. })
    ));

    // The key's value is the only "1" that stands behind its name.
    let samples = tmp.path().join(SAMPLES);
    columns::write(&samples, IfExists::Refuse, &[row(0)], 0, None).unwrap();
    let bytes = std::fs::read(&samples).unwrap();
    let key = columns::VERSION_KEY.as_bytes();
    let at = bytes.windows(key.len()).position(|w| w == key).unwrap() + key.len();
    let at = at + bytes[at..].iter().position(|b| *b == b'1').unwrap();
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(&samples)
        .unwrap();
    file.write_all_at(b"2", at as u64).unwrap();
    newer(Record::open(tmp.path()).unwrap_err());
    file.write_all_at(b"x", at as u64).unwrap();
    assert!(matches!(
        Record::open(tmp.path()),
        Err(Error::NotRecord { .. })
    ));
}

/// A full disk takes half a frame; the end, for which there is room again, stands in its place.
#[test]
fn half_a_frame_is_read_again_once_it_is_written_over() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join(JOURNAL);
    let mut journal = Journal::create(&path).unwrap();
    journal.push(&row(0));
    journal.flush().unwrap();
    let at = std::fs::metadata(&path).unwrap().len();
    let frame = frame::lost(1);
    let half = &frame[..frame.len() - 1];
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(half, at).unwrap();
    let mut follower = Follower::new(tmp.path());
    let news = follower.look().unwrap();
    assert_eq!(
        (news.rows, news.state),
        (vec![row(0)], Some(State::GoingOn))
    );
    journal.end(3, "no space").unwrap();
    let news = follower.look().unwrap();
    assert_eq!((news.rows, news.lost), (vec![], 3));
    assert_eq!((news.state, news.damage), (Some(State::Ended), None));
    assert_eq!(news.reason.as_deref(), Some("no space"));
}

/// Readers sort, so that only the file itself can show it.
#[test]
fn the_parquet_file_is_in_order_of_issue() {
    let tmp = tempfile::tempdir().unwrap();
    let (recorder, writer) = crate::begin(tmp.path(), crate::Settings::default(), || None);
    for request in [4, 1, 3, 0, 2] {
        recorder.row(row(request));
    }
    assert_eq!(writer.finish(std::time::Duration::from_secs(300)).rows, 5);
    let samples = table::read(&tmp.path().join(SAMPLES)).unwrap();
    assert_eq!(samples.rows, [0, 1, 2, 3, 4].map(row));
}
