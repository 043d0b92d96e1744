//! Writing a journal: rows gather in a frame, and a frame goes to the file in one piece.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::frame::{self, HEAD, ROW};
use crate::row::Row;
use crate::{MAX_ROWS, VERSION};

/// A frame of this size goes to the file at once.
const FULL: usize = 64 << 10;

/// A journal that is written; locked for as long as it is open, which tells readers that the run goes on.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    /// Of the header and whole frames.
    bytes: u64,
    /// In whole frames.
    rows: u64,
    /// The frame that gathers.
    frame: Vec<u8>,
}

impl Journal {
    /// Begins a journal where none is.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`, and those of `open(2)` and of writing.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = ossmark_files::create_new(path)?;
        lock(&file);
        let mut journal = Self {
            file,
            bytes: 0,
            rows: 0,
            frame: Vec::with_capacity(FULL + ROW),
        };
        journal.append(&frame::header(VERSION))?;
        journal.begin();
        Ok(journal)
    }

    fn begin(&mut self) {
        self.frame.clear();
        self.frame.extend([0; HEAD]);
        self.frame.push(frame::ROWS);
    }

    /// Adds a row to the frame; returns whether it is time to flush.
    pub(crate) fn push(&mut self, row: &Row) -> bool {
        frame::push(row, &mut self.frame);
        self.frame.len() >= FULL
    }

    /// Rows in the file.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows that are not in the file yet.
    pub(crate) fn gathered(&self) -> u64 {
        ((self.frame.len() - HEAD - 1) / ROW) as u64
    }

    /// Whether it has all the rows that a reader takes.
    pub(crate) fn is_full(&self) -> bool {
        self.rows + self.gathered() >= MAX_ROWS
    }

    /// Brings the rows that have gathered into the file.
    ///
    /// # Errors
    ///
    /// Those of writing; then the rows are given up.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let rows = self.gathered();
        if rows == 0 {
            return Ok(());
        }
        let mut frame = std::mem::take(&mut self.frame);
        frame::seal(&mut frame);
        let written = self.append(&frame);
        self.frame = frame;
        self.begin();
        written?;
        self.rows += rows;
        Ok(())
    }

    /// Notes how many rows were lost so far.
    pub(crate) fn lost(&mut self, total: u64) -> io::Result<()> {
        self.append(&frame::lost(total))
    }

    /// Closes it: nothing follows.
    pub(crate) fn end(&mut self, lost: u64, reason: &str) -> io::Result<()> {
        self.append(&frame::ended(self.rows, lost, reason))
    }

    /// Writes at a place of its own: half a frame that a full disk took is behind the end, and the next is written over it.
    fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        self.file.write_all_at(frame, self.bytes)?;
        self.bytes += frame.len() as u64;
        Ok(())
    }
}

/// Readers that look whether it is locked hold it for a moment. Where there are no locks the record is written without.
fn lock(file: &File) {
    const TRIES: u32 = 100;
    for _ in 0..TRIES {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(10)),
            _ => return,
        }
    }
}
