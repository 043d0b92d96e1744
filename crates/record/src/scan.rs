//! Reading a journal, as far as it goes; again when it has grown.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::ahead::Ahead;
use crate::error::Error;
use crate::frame::{self, Frame, HEAD, HEADER, MAX_PAYLOAD};
use crate::row::Row;
use crate::state::{Damage, State};
use crate::{JOURNAL, MAX_ROWS, VERSION};

/// The longest journal that is read: rows, heads, and room for many frames of few rows.
const MAX_BYTES: u64 = 1 << 30;

/// A journal and how far it has been read.
#[derive(Debug)]
pub(crate) struct Scan {
    path: PathBuf,
    ahead: Ahead,
    /// Rows read so far.
    pub(crate) rows: u64,
    /// Rows lost, as far as the journal says.
    pub(crate) lost: u64,
    /// Its writer closed it.
    pub(crate) ended: bool,
    /// Why the writer ended before its run did, if it did.
    pub(crate) reason: Option<String>,
    /// Set where the journal stops making sense.
    pub(crate) damage: Option<Damage>,
}

impl Scan {
    pub(crate) fn open(path: &Path) -> std::io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            ahead: Ahead::new(ossmark_files::open(path)?),
            rows: 0,
            lost: 0,
            ended: false,
            reason: None,
            damage: None,
        })
    }

    /// Rows that the file has room for.
    pub(crate) fn rows_at_most(&self) -> std::io::Result<u64> {
        Ok(self.ahead.file().metadata()?.len() / frame::ROW as u64)
    }

    /// Whether a writer holds it. To be asked before reading: what is written afterwards may be the end.
    pub(crate) fn is_held(&self) -> bool {
        is_held(self.ahead.file())
    }

    /// What the journal's end, or the lack of one, says of the run; `held` is what [`Scan::is_held`] said before reading.
    pub(crate) fn state(&self, held: bool) -> State {
        match (self.ended, held) {
            (true, _) => State::Ended,
            (false, true) => State::GoingOn,
            (false, false) => State::Cut,
        }
    }

    /// Appends the rows of whole frames until `most` were read or nothing more is there. Returns whether more may be there.
    ///
    /// # Errors
    ///
    /// Reading fails; it is no journal, or one of a later version, or has more rows than any writer writes.
    pub(crate) fn read(&mut self, rows: &mut Vec<Row>, most: usize) -> Result<bool, Error> {
        let most = rows.len().saturating_add(most);
        while rows.len() < most {
            if self.ended || self.damage.is_some() || !self.step(rows)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads the header or a frame; false when none is there as a whole.
    fn step(&mut self, rows: &mut Vec<Row>) -> Result<bool, Error> {
        if self.ahead.at() > MAX_BYTES {
            return Err(self.too_large("bytes", MAX_BYTES));
        }
        if self.ahead.at() == 0 {
            return self.header();
        }
        if !self.has(HEAD)? {
            return Ok(false);
        }
        let head = self
            .ahead
            .bytes()
            .first_chunk()
            .copied()
            .unwrap_or_default();
        let (bytes, sum) = frame::head(&head);
        // Some file systems leave zeros after a power cut.
        if head == [0; HEAD] {
            self.ahead.again();
            return Ok(false);
        }
        if bytes > MAX_PAYLOAD {
            return self.damaged(format!("a frame of {bytes} bytes"));
        }
        if !self.has(HEAD + bytes)? {
            return Ok(false);
        }
        let payload = &self.ahead.bytes()[HEAD..HEAD + bytes];
        if crc32fast::hash(payload) != sum {
            return self.damaged("a frame does not match its sum".into());
        }
        match frame::decode(payload) {
            Err(what) => return self.damaged(what),
            Ok(Frame::Rows(new)) => {
                self.rows += new.len() as u64;
                if self.rows > MAX_ROWS {
                    return Err(self.too_large("rows", MAX_ROWS));
                }
                rows.extend(new);
            }
            Ok(Frame::Lost(total)) => self.lost = total,
            Ok(Frame::Ended { rows, .. }) if rows != self.rows => {
                return self.damaged(format!("it ends with {rows} rows and has {}", self.rows));
            }
            Ok(Frame::Ended { lost, reason, .. }) => {
                self.lost = lost;
                self.ended = true;
                self.reason = (!reason.is_empty()).then_some(reason);
            }
        }
        self.ahead.pass(HEAD + bytes);
        Ok(true)
    }

    fn header(&mut self) -> Result<bool, Error> {
        if !self.has(HEADER)? && frame::header(VERSION).starts_with(self.ahead.bytes()) {
            // Killed while it was begun.
            self.ahead.again();
            return Ok(false);
        }
        let found = self.ahead.bytes().first_chunk().and_then(frame::version);
        match found {
            Some(VERSION) => {
                self.ahead.pass(HEADER);
                Ok(true)
            }
            Some(version) if version > VERSION => Err(Error::Newer {
                path: self.path.clone(),
                found: version.into(),
            }),
            _ => Err(Error::NotRecord {
                path: self.path.clone(),
                what: "found a file that does not begin as a journal".into(),
            }),
        }
    }

    /// Whether the next `count` bytes are there. Where they are not, what there is of a frame is read again next time.
    fn has(&mut self, count: usize) -> Result<bool, Error> {
        while self.ahead.bytes().len() < count {
            if !self.ahead.more().map_err(Error::io(&self.path))? {
                if self.ahead.at() > 0 {
                    self.ahead.again();
                }
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn damaged(&mut self, what: String) -> Result<bool, Error> {
        self.damage = Some(Damage {
            file: JOURNAL,
            at: self.ahead.at(),
            what,
        });
        Ok(false)
    }

    fn too_large(&self, what: &str, most: u64) -> Error {
        Error::TooLarge {
            path: self.path.clone(),
            what: format!("more than {most} {what}"),
            most,
        }
    }
}

/// A writer has an exclusive lock, so that nobody gets a shared one.
fn is_held(file: &File) -> bool {
    match flock(file, FlockOperation::NonBlockingLockShared) {
        Err(error) => error == rustix::io::Errno::WOULDBLOCK,
        Ok(()) => {
            let _ = flock(file, FlockOperation::Unlock);
            false
        }
    }
}
