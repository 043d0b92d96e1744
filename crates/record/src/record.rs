//! A record, read.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::row::Row;
use crate::scan::Scan;
use crate::state::{Damage, State};
use crate::timeline::Timeline;
use crate::{JOURNAL, MAX_ROWS, SAMPLES, TIMELINE, table};

/// The record in a run's directory, as it was when it was opened.
#[derive(Debug)]
pub struct Record {
    dir: PathBuf,
    /// The samples in order of issue.
    pub rows: Vec<Row>,
    /// Whether the run's record was closed.
    pub state: State,
    /// Rows that the writer lost, as far as it had written that.
    pub lost: u64,
    /// Why the writer ended before its run did, if it did. From outside: escape it where it is shown.
    pub reason: Option<String>,
    /// Where the rows stop being readable, if they do: `rows` are those before.
    pub damage: Option<Damage>,
}

impl Record {
    /// Reads `samples.parquet` where there is one, else `samples.journal`. Symbolic links are followed.
    ///
    /// # Errors
    ///
    /// [`Error::Absent`] where there is neither; [`Error::Newer`]; everything else that keeps rows from being read. A journal
    /// that is damaged or cut off is no error: its rows up to there are true.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        if let Some(ended) = Self::ended(dir)? {
            return Ok(ended);
        }
        let path = dir.join(JOURNAL);
        match Scan::open(&path) {
            Ok(scan) => Self::of(dir, scan, &path),
            // Ended between two looks.
            Err(error) if is_absent(&error) => Self::ended(dir)?.ok_or_else(|| Error::Absent {
                dir: dir.to_owned(),
            }),
            Err(error) => Err(Error::io(&path)(error)),
        }
    }

    /// The record of a run that ended, if that is what lies there.
    pub(crate) fn ended(dir: &Path) -> Result<Option<Self>, Error> {
        let path = dir.join(SAMPLES);
        match std::fs::metadata(&path) {
            Err(error) if is_absent(&error) => return Ok(None),
            found => found.map_err(Error::io(&path))?,
        };
        let mut samples = table::read(&path)?;
        in_order(&mut samples.rows);
        Ok(Some(Self {
            dir: dir.to_owned(),
            rows: samples.rows,
            state: State::Ended,
            lost: samples.lost,
            reason: samples.reason,
            damage: None,
        }))
    }

    fn of(dir: &Path, mut scan: Scan, path: &Path) -> Result<Self, Error> {
        let held = scan.is_held();
        let most = scan.rows_at_most().map_err(Error::io(path))?;
        let mut rows = Vec::with_capacity(most.min(MAX_ROWS) as usize);
        while scan.read(&mut rows, MAX_ROWS as usize)? {}
        in_order(&mut rows);
        Ok(Self {
            dir: dir.to_owned(),
            rows,
            state: scan.state(held),
            lost: scan.lost,
            reason: scan.reason,
            damage: scan.damage,
        })
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether a row of every sample is there and nothing is wrong.
    pub fn is_complete(&self) -> bool {
        self.state == State::Ended
            && self.lost == 0
            && self.reason.is_none()
            && self.damage.is_none()
    }

    /// The seconds; `None` where there is no `timeline.jsonl`.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or is no regular file.
    pub fn timeline(&self) -> Result<Option<Timeline>, Error> {
        let path = self.dir.join(TIMELINE);
        match Timeline::open(&path) {
            Err(error) if is_absent(&error) => Ok(None),
            opened => opened.map(Some).map_err(Error::io(&path)),
        }
    }
}

/// There is no such file, or no such directory.
pub(crate) fn is_absent(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::NotFound
}

/// Sorts rows by their request; those of the same one stay as they are.
pub(crate) fn in_order(rows: &mut [Row]) {
    if !rows.is_sorted_by_key(|row| row.request) {
        rows.sort_by_key(|row| row.request);
    }
}
