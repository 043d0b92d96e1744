//! A record that pyarrow wrote (tests/by_pyarrow.py makes it): the reader takes what others write by the same columns.

use std::path::Path;

use ossmark_record::{End, Error, Record, Row, SAMPLES, State};

#[test]
fn a_file_of_pyarrows_is_read() {
    let tmp = tempfile::tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples.pyarrow.parquet");
    std::fs::copy(golden, tmp.path().join(SAMPLES)).unwrap();
    let record = Record::open(tmp.path()).unwrap();
    assert_eq!((record.state, record.lost), (State::Ended, 2));
    assert_eq!(record.reason.as_deref(), Some("by hand"));
    assert_eq!(record.rows.len(), 1003);
    for (n, row) in record.rows[..1000].iter().enumerate() {
        let n32 = n as u32;
        let ns = n as i64 * 1_000_003;
        let expected = Row {
            request: n as u64,
            sample_index: n32 * 7 % 6396,
            prompt_tokens: 50 + n32 % 100,
            output_tokens: 2 + n32 % 900,
            scheduled_ns: (n % 3 != 0).then_some(ns),
            issued_ns: Some(ns + 11),
            first_token_ns: (n % 10 != 9).then_some(ns + 2_000_000),
            completed_ns: (n % 100 != 99).then_some(ns + 90_000_000),
            end: [End::Stop, End::Length, End::Failed, End::Cancelled][n % 4],
            engine: (n % 8) as u16,
        };
        assert_eq!(*row, expected, "{n}");
    }
    let row = |request, number, time, engine| Row {
        request,
        sample_index: number,
        prompt_tokens: number,
        output_tokens: number,
        scheduled_ns: time,
        issued_ns: time,
        first_token_ns: time,
        completed_ns: time,
        end: End::Stop,
        engine,
    };
    assert_eq!(
        record.rows[1000..],
        [
            row((1 << 63) - 1, 0, Some(i64::MIN), 0),
            row(1 << 63, 1 << 31, None, 1 << 15),
            row(u64::MAX, u32::MAX, Some(i64::MAX), u16::MAX),
        ]
    );
}

#[test]
fn parquet_files_of_others_are_refused_by_what_they_lack() {
    let tmp = tempfile::tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/other.pyarrow.parquet");
    std::fs::copy(golden, tmp.path().join(SAMPLES)).unwrap();
    let error = Record::open(tmp.path()).unwrap_err();
    assert!(matches!(error, Error::NotRecord { .. }), "{error}");
    assert!(
        error.to_string().contains("no ossmark.record.version"),
        "{error}"
    );
}
