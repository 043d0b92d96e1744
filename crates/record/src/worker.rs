//! The record's writer: a thread that takes rows from a channel to the journal, writes a line a second, and makes
//! `samples.parquet` at the end. It may wait for the disk; nobody waits for it.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use ossmark_files::IfExists;

use crate::counters::{Counters, Limits, SoFar};
use crate::journal::Journal;
use crate::record::in_order;
use crate::row::Row;
use crate::scan::Scan;
use crate::shared::{Message, Outcome, Shared};
use crate::{JOURNAL, MAX_ROWS, SAMPLES, TIMELINE, columns};

/// Rows wait no longer for their frame.
const FLUSH: Duration = Duration::from_millis(500);
const SECOND: Duration = Duration::from_secs(1);
// A run that is killed loses its last second at most.
const _: () = assert!(FLUSH.as_millis() < 1000);

pub(crate) struct Worker {
    dir: PathBuf,
    shared: Arc<Shared>,
    counters: Box<dyn FnMut() -> Option<Counters> + Send>,
    so_far: SoFar,
    /// `None` once it could not be begun.
    journal: Option<Journal>,
    /// No more rows go to the journal.
    stopped: bool,
    /// `None` once it could not be written.
    timeline: Option<File>,
    /// It could be begun.
    has_timeline: bool,
    /// The count that the journal has last been told.
    lost: u64,
}

impl Worker {
    pub(crate) fn begin(
        dir: &Path,
        limits: Limits,
        shared: Arc<Shared>,
        counters: Box<dyn FnMut() -> Option<Counters> + Send>,
    ) -> Self {
        let (journal, timeline) = (dir.join(JOURNAL), dir.join(TIMELINE));
        let journal = create(dir, &journal).map_err(|e| shared.failed(|| said(JOURNAL, &e)));
        let timeline =
            ossmark_files::create_new(&timeline).map_err(|e| shared.failed(|| said(TIMELINE, &e)));
        Self {
            dir: dir.to_owned(),
            shared,
            counters,
            so_far: SoFar::new(limits),
            stopped: journal.is_err(),
            journal: journal.ok(),
            has_timeline: timeline.is_ok(),
            timeline: timeline.ok(),
            lost: 0,
        }
    }

    /// Works until it is told to end; `None` if everybody else went away without saying so.
    pub(crate) fn run(mut self, inbox: &Receiver<Message>) -> Option<Outcome> {
        let begun = Instant::now();
        let (mut flush, mut second) = (begun + FLUSH, begun + SECOND);
        loop {
            match inbox.recv_deadline(flush.min(second)) {
                Ok(Message::Rows(rows)) => self.rows(&rows),
                Ok(Message::End) => return Some(self.finish()),
                Err(RecvTimeoutError::Disconnected) => {
                    self.flush();
                    return None;
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = Instant::now();
            if now >= flush {
                self.flush();
                flush = now + FLUSH;
            }
            if now >= second {
                if self.second(inbox) {
                    return Some(self.finish());
                }
                second += SECOND;
                // Of seconds that were missed there is nothing to say.
                if second <= now {
                    second = now + SECOND;
                }
            }
        }
    }

    fn rows(&mut self, rows: &[Row]) {
        self.shared.leave(rows.len() as u64);
        rows.iter().for_each(|row| self.row(row));
    }

    fn row(&mut self, row: &Row) {
        self.so_far.row(row);
        let Some(journal) = self.journal.as_mut().filter(|_| !self.stopped) else {
            self.shared.lose(1);
            return;
        };
        if journal.is_full() {
            self.shared
                .failed(|| format!("{JOURNAL}: has {MAX_ROWS} rows, the most of a record"));
            self.shared.lose(1);
        } else if journal.push(row) {
            self.flush();
        }
    }

    /// Brings what has gathered into the journal. The first failure is the journal's end.
    fn flush(&mut self) {
        let Some(journal) = self.journal.as_mut().filter(|_| !self.stopped) else {
            return;
        };
        let gathered = journal.gathered();
        let mut written = journal.flush();
        if written.is_err() {
            self.shared.lose(gathered);
        }
        let lost = self.shared.lost();
        if written.is_ok() && lost > self.lost {
            written = journal.lost(lost);
            self.lost = lost;
        }
        if let Err(error) = written {
            self.stopped = true;
            self.shared.failed(|| said(JOURNAL, &error));
        }
    }

    /// Writes a line of the timeline, after the rows of the samples that it counts. Returns whether the end has come.
    fn second(&mut self, inbox: &Receiver<Message>) -> bool {
        let now = (self.counters)();
        let mut ends = false;
        // Those that are there by now; new ones may come for as long as this takes.
        for message in inbox.try_iter().take(inbox.len()) {
            match message {
                Message::Rows(rows) => self.rows(&rows),
                Message::End => ends = true,
            }
        }
        self.flush();
        if let Some(now) = now.filter(|_| !ends) {
            self.line(now);
        }
        ends
    }

    /// The first failure is the timeline's end.
    fn line(&mut self, now: Counters) {
        let second = self.so_far.second(now, self.shared.lost());
        let Some(file) = &mut self.timeline else {
            return;
        };
        let written = serde_json::to_vec(&second)
            .map_err(io::Error::from)
            .and_then(|mut line| {
                line.push(b'\n');
                file.write_all(&line)
            });
        if let Err(error) = written {
            self.timeline = None;
            self.shared.failed(|| said(TIMELINE, &error));
        }
    }

    fn finish(mut self) -> Outcome {
        self.flush();
        if let Some(now) = (self.counters)() {
            self.line(now);
        }
        let mut outcome = Outcome::default();
        let mut ours = Vec::new();
        if let Some(mut journal) = self.journal.take() {
            ours.extend([SAMPLES, JOURNAL]);
            outcome.rows = journal.rows();
            let reason = self.shared.reason();
            // Where the disk is full there is no end, and the record counts as cut unless samples.parquet can be made.
            let ended = journal.end(self.shared.lost(), reason.as_deref().unwrap_or_default());
            let made = self.publish(outcome.rows, reason.as_deref());
            if let Err(why) = made.and(ended.map_err(|e| said(JOURNAL, &e))) {
                self.shared.failed(|| why);
            }
        }
        ours.extend(self.has_timeline.then_some(TIMELINE));
        let ours = ours.iter().map(|name| self.dir.join(name));
        outcome.files = ours.filter(|path| path.is_file()).collect();
        outcome.lost = self.shared.lost();
        outcome.reason = self.shared.reason();
        outcome
    }

    /// Makes `samples.parquet` of the journal, which then goes.
    fn publish(&self, rows: u64, reason: Option<&str>) -> Result<(), String> {
        let path = self.dir.join(JOURNAL);
        let mut scan = Scan::open(&path).map_err(|e| said(JOURNAL, &e))?;
        let mut found = Vec::with_capacity(rows as usize);
        while scan
            .read(&mut found, MAX_ROWS as usize)
            .map_err(|e| e.to_string())?
        {}
        if let Some(damage) = scan.damage {
            return Err(damage.to_string());
        }
        if found.len() as u64 != rows {
            let found = found.len();
            return Err(format!("{JOURNAL}: has {found} rows, {rows} were written"));
        }
        in_order(&mut found);
        let samples = self.dir.join(SAMPLES);
        let lost = self.shared.lost();
        columns::write(&samples, IfExists::Refuse, &found, lost, reason)
            .map_err(|e| e.to_string())?;
        std::fs::remove_file(&path).map_err(|e| said(JOURNAL, &e))
    }
}

/// Begins a journal beside no other record.
fn create(dir: &Path, journal: &Path) -> io::Result<Journal> {
    match std::fs::symlink_metadata(dir.join(SAMPLES)) {
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("{SAMPLES} of an earlier record is there"),
        )),
        Err(_) => Journal::create(journal),
    }
}

/// By the file's name alone: a reason is in the record, which is handed to others.
fn said(name: &str, error: &io::Error) -> String {
    format!("{name}: {error}")
}
