//! A record of samples that have ended already, written at once: of `ossmark infer`, whose journal has them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ossmark_files::{Claim, IfExists};

use crate::counters::{Counters, Limits, SoFar};
use crate::error::Error;
use crate::record::in_order;
use crate::row::Row;
use crate::second::Second;
use crate::{SAMPLES, TIMELINE, columns};

/// Writes the record of these samples into `dir`, which is there, in place of an earlier one; returns its files. The timeline
/// is worked out of the rows: what they do not say is absent, and seconds in which no sample was open are left out. `lost` is
/// how many samples ended whose rows are not among these.
///
/// # Errors
///
/// Writing fails; each file appears whole or not at all.
pub fn write(dir: &Path, mut rows: Vec<Row>, lost: u64) -> Result<[PathBuf; 2], Error> {
    in_order(&mut rows);
    let (samples, timeline) = (dir.join(SAMPLES), dir.join(TIMELINE));
    columns::write(&samples, IfExists::Replace, &rows, lost, None)?;
    let mut claim = Claim::new(&timeline, IfExists::Replace).map_err(Error::io(&timeline))?;
    claim
        .write_with(Error::io(&timeline), |file| {
            let mut file = std::io::BufWriter::new(file);
            let written = seconds(&rows, |second| {
                serde_json::to_writer(&mut file, second)?;
                file.write_all(b"\n")
            });
            written
                .and_then(|()| file.flush())
                .map_err(Error::io(&timeline))
        })
        .map(drop)?;
    Ok([samples, timeline])
}

const SECOND_NS: i64 = 1_000_000_000;
/// As many as are read: twelve days. Only times that nobody measured go on for longer.
const MAX_SECONDS: u64 = crate::timeline::MAX_LINES;

/// The seconds in which samples were issued, open or ended.
fn seconds(
    rows: &[Row],
    mut line: impl FnMut(&Second) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let of = |at: fn(&Row) -> Option<i64>| {
        let mut places: Vec<(i64, &Row)> = rows
            .iter()
            .filter(|row| row.issued_ns.is_some() && ended_ns(row).is_some())
            .filter_map(|row| Some((at(row)?, row)))
            .collect();
        places.sort_by_key(|(at, _)| *at);
        places
    };
    let (issued, ended) = (of(|row| row.issued_ns), of(ended_ns));
    let (mut begun, mut done) = (0, 0);
    let mut so_far = SoFar::new(Limits::default());
    let mut now = Counters::default();
    let (mut input, mut output) = (0u64, 0u64);
    let (mut t, mut lines) = (0i64, 0);
    while done < ended.len() && lines < MAX_SECONDS && t < i64::MAX {
        t = t.saturating_add(SECOND_NS);
        if begun == done && issued[begun].0 > t {
            // Nothing goes on until then.
            t += (issued[begun].0 - t) / SECOND_NS * SECOND_NS;
            continue;
        }
        lines += 1;
        while let Some((_, row)) = issued.get(begun).filter(|(at, _)| *at <= t) {
            input += u64::from(row.prompt_tokens);
            begun += 1;
        }
        while let Some((_, row)) = ended.get(done).filter(|(at, _)| *at <= t) {
            output += u64::from(row.output_tokens);
            so_far.row(row);
            done += 1;
        }
        now.t = Duration::from_nanos(t.unsigned_abs());
        (now.issued, now.completed) = (begun as u64, done as u64);
        (now.input_tokens, now.output_tokens) = (Some(input), Some(output));
        // Of another time.
        line(&Second {
            cpu_percent: None,
            rss_mib: None,
            ..so_far.second(now.clone(), 0)
        })?;
    }
    Ok(())
}

/// When a sample ended, however it did.
fn ended_ns(row: &Row) -> Option<i64> {
    row.completed_ns.or(row.first_token_ns).or(row.issued_ns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::End;
    use crate::{Record, State};

    fn row(request: u64, times: Option<[i64; 3]>) -> Row {
        Row {
            request,
            sample_index: request as u32,
            prompt_tokens: 10,
            output_tokens: 3,
            scheduled_ns: None,
            issued_ns: times.map(|[at, ..]| at),
            first_token_ns: times.map(|[_, at, _]| at),
            completed_ns: times.map(|[.., at]| at),
            end: End::Stop,
            engine: 0,
        }
    }

    #[test]
    fn the_timeline_says_what_the_rows_say_and_skips_what_nobody_waited_in() {
        let tmp = tempfile::tempdir().unwrap();
        let ms = |at: [i64; 3]| Some(at.map(|ms| ms * 1_000_000));
        // A process of two seconds, one an hour later; one row of which nothing is known.
        let rows = vec![
            row(2, ms([3_600_500, 3_600_700, 3_600_900])),
            row(0, ms([0, 100, 1500])),
            row(1, ms([200, 300, 900])),
            row(3, None),
        ];
        // Twice: the second takes the place of the first.
        for _ in 0..2 {
            let files = write(tmp.path(), rows.clone(), 0).unwrap();
            assert!(files.iter().all(|file| file.is_file()));
        }
        let record = Record::open(tmp.path()).unwrap();
        assert!(record.is_complete() && record.state == State::Ended);
        assert_eq!(record.rows, [rows[1], rows[2], rows[0], rows[3]]);
        let mut timeline = record.timeline().unwrap().unwrap();
        let mut found = Vec::new();
        while let Some(second) = timeline.next_second().unwrap() {
            let tokens = (second.input_tokens.unwrap(), second.output_tokens.unwrap());
            found.push((
                second.t_s,
                second.issued,
                second.completed,
                second.open,
                tokens,
            ));
            assert!(second.cpu_percent.is_none() && second.running.is_none());
        }
        let line = |t, issued, completed, tokens| {
            (
                t,
                Some(issued),
                Some(completed),
                Some(issued - completed),
                tokens,
            )
        };
        let expected = [
            line(1.0, 2, 1, (20, 3)),
            line(2.0, 2, 2, (20, 6)),
            line(3601.0, 3, 3, (30, 9)),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn nothing_is_a_record_too() {
        let tmp = tempfile::tempdir().unwrap();
        write(tmp.path(), Vec::new(), 0).unwrap();
        let record = Record::open(tmp.path()).unwrap();
        assert!(record.is_complete() && record.rows.is_empty());
        assert!(
            record
                .timeline()
                .unwrap()
                .unwrap()
                .next_second()
                .unwrap()
                .is_none()
        );
    }
}
