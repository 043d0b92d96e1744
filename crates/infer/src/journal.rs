//! The journal: answers as they come, one record each, so that a process that is killed goes on where it was.
//!
//! A record is its payload's length (u32), the payload's CRC-32 (u32) and the payload, all little-endian. The first payload
//! is JSON that names the data set and the settings; the second says when that was, and the others are [`Outcome`]s. A
//! record that the end of the file cuts off, or that is the last and does not match its sum, was being written when its
//! writer was killed, and is cut off; so are zeros, which some file systems leave after a power cut. Anything else that does
//! not match is an error.
//!
//! What [`Journal::record`] has returned from survives the end of the process. It survives a power cut once it is synced,
//! which happens when the last sync is a second old.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};

use crate::clock::{Clock, now_unix};
use crate::{Answer, Ended, Error, Outcome, Result};
use record::{
    BEGUN_BYTES, ENDED_BYTES, HEAD, Payload, RecordRead, begun, decode, encode, ended, head_of,
    next_record, record_of,
};

mod record;

/// What an opened journal held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resumed {
    /// Answers.
    pub answered: u64,
    /// Requests that had failed and are open again.
    pub failed: u64,
    /// Bytes of a torn record that were cut off.
    pub torn_bytes: u64,
}

/// An open, locked journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    length: u64,
    passes: u32,
    /// By row, then pass.
    states: Vec<RequestState>,
    answered: u64,
    clock: Clock,
    synced: Instant,
    dirty: bool,
    /// Records on their way to the file.
    buffer: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestState {
    Open,
    Failed(Place),
    Answered(Place),
}

/// Where an outcome's payload lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    at: u64,
    bytes: u32,
}

const MAGIC: &str = "ossmark infer: answers so far";
/// What memory is kept account of; a thousand answers to each row of the largest file are 6.4 million.
const MAX_REQUESTS: usize = 1 << 26;
const SYNC_EVERY: Duration = Duration::from_secs(1);

impl Journal {
    /// Opens or begins the journal at `path` for `rows` times `passes` requests. `settings` is an object with all that the
    /// answers depend on.
    ///
    /// # Errors
    /// Another process holds it; it was begun with other settings; it is damaged other than at its end.
    #[allow(clippy::disallowed_methods, reason = "a journal is locked and grows")]
    pub fn open(path: &Path, settings: &Value, rows: u32, passes: u32) -> Result<(Self, Resumed)> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let requests = rows as usize * passes as usize;
        let mut states = Vec::new();
        if requests > MAX_REQUESTS || states.try_reserve_exact(requests).is_err() {
            return Err(Error::TooMany {
                requests,
                most: MAX_REQUESTS,
            });
        }
        states.resize(requests, RequestState::Open);
        let file = ossmark_files::open_to_append(path).map_err(io)?;
        if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            return Err(match error {
                rustix::io::Errno::WOULDBLOCK => Error::Locked {
                    path: path.to_owned(),
                },
                error => io(error.into()),
            });
        }
        let mut this = Self {
            path: path.to_owned(),
            file,
            length: 0,
            passes,
            states,
            answered: 0,
            clock: Clock::new(),
            synced: Instant::now(),
            dirty: false,
            buffer: Vec::new(),
        };
        let header = json!({ "file": MAGIC, "version": 1, "settings": settings });
        let resumed = this.read(&header)?;
        if this.length == 0 {
            this.buffer = record_of(header.to_string().as_bytes());
        }
        if !this.clock.is_begun {
            // Of a journal of ossmark 0.1 only what comes from now on has times.
            let now = now_unix().as_nanos();
            this.buffer
                .extend(begun(u64::try_from(now).unwrap_or(u64::MAX)));
            this.clock = Clock::new();
            this.clock.is_begun = true;
            this.write()?;
            this.sync()?;
        }
        Ok((this, resumed))
    }

    /// Keeps outcomes; they are in the file when this returns.
    pub fn record(&mut self, outcomes: &[Outcome]) -> Result<()> {
        let mut placed = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            let at = self.length + self.buffer.len() as u64 + HEAD as u64;
            let bytes = self.push(|payload| encode(outcome, payload));
            let state = state(outcome.result.is_ok(), at, bytes);
            placed.push((outcome.row, outcome.pass, state));
        }
        self.write()?;
        for (row, pass, state) in placed {
            let Some(index) = self.index(row, pass) else {
                continue;
            };
            self.answered += u64::from(matches!(state, RequestState::Answered(_)));
            self.states[index] = state;
        }
        self.sync_if_due()
    }

    /// Makes what was recorded survive a power cut, if that is due.
    pub fn sync_if_due(&mut self) -> Result<()> {
        if self.dirty && self.synced.elapsed() >= SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    /// Makes everything that was recorded survive a power cut.
    pub fn sync(&mut self) -> Result<()> {
        self.file.sync_data().map_err(|e| self.io(e))?;
        self.synced = Instant::now();
        self.dirty = false;
        Ok(())
    }

    /// Requests without an answer, as (row, pass): all passes of a row, then the next row.
    pub fn open_requests(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let passes = self.passes as usize;
        self.states
            .iter()
            .enumerate()
            .filter(|(_, state)| !matches!(state, RequestState::Answered(_)))
            .map(move |(i, _)| ((i / passes) as u32, (i % passes) as u32))
    }

    /// Requests with an answer.
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// Requests, answered or not.
    pub fn requests(&self) -> u64 {
        self.states.len() as u64
    }

    /// Requests that failed and have not been answered since.
    pub fn failed(&self) -> u64 {
        let failed = self
            .states
            .iter()
            .filter(|state| matches!(state, RequestState::Failed(_)));
        failed.count() as u64
    }

    /// Reads an answer back; `None` where there is none.
    pub fn answer(&self, row: u32, pass: u32) -> Result<Option<Answer>> {
        let state = self.index(row, pass).map(|index| self.states[index]);
        let Some(RequestState::Answered(place)) = state else {
            return Ok(None);
        };
        let payload = self.payload(place, place.bytes as usize)?;
        match decode(&payload).map_err(|what| self.bad_record(place.at - HEAD as u64, what))? {
            Payload::Outcome(outcome) => Ok(outcome.result.ok()),
            Payload::Begun { .. } => Ok(None),
        }
    }

    /// Every request that was answered or, last time, failed, without its tokens: all passes of a row, then the next row.
    ///
    /// # Errors
    /// Reading the journal fails.
    pub fn ended(&self) -> impl Iterator<Item = Result<Ended>> + '_ {
        self.states.iter().filter_map(|state| {
            let (RequestState::Answered(place) | RequestState::Failed(place)) = *state else {
                return None;
            };
            Some(self.ended_at(place))
        })
    }

    fn ended_at(&self, place: Place) -> Result<Ended> {
        let bytes = place.bytes as usize;
        let payload = self.payload(place, bytes.min(ENDED_BYTES))?;
        ended(&payload, bytes).map_err(|what| self.bad_record(place.at - HEAD as u64, what))
    }

    /// The beginning of a payload.
    fn payload(&self, place: Place, bytes: usize) -> Result<Vec<u8>> {
        let mut payload = vec![0; bytes];
        self.file
            .read_exact_at(&mut payload, place.at)
            .map_err(|e| self.io(e))?;
        Ok(payload)
    }

    /// What the times of outcomes are read from.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of passes.
    pub fn passes(&self) -> u32 {
        self.passes
    }

    fn index(&self, row: u32, pass: u32) -> Option<usize> {
        let index = row as usize * self.passes as usize + pass as usize;
        (pass < self.passes && index < self.states.len()).then_some(index)
    }

    /// Appends a record to the buffer; returns the payload's length.
    fn push(&mut self, fill: impl FnOnce(&mut Vec<u8>)) -> u32 {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; HEAD]);
        fill(&mut self.buffer);
        let payload = &self.buffer[start + HEAD..];
        let bytes = payload.len() as u32;
        let head = head_of(payload);
        self.buffer[start..start + HEAD].copy_from_slice(&head);
        bytes
    }

    fn write(&mut self) -> Result<()> {
        let written = self.file.write_all(&self.buffer);
        if let Err(error) = written {
            // Half a record must not stand before whole ones, should the caller go on.
            let _ = self.file.set_len(self.length);
            self.buffer.clear();
            return Err(self.io(error));
        }
        self.length += self.buffer.len() as u64;
        self.buffer.clear();
        self.dirty = true;
        Ok(())
    }

    /// Reads what is there, cuts off a torn record, and leaves the file at its end.
    fn read(&mut self, header: &Value) -> Result<Resumed> {
        let mut resumed = Resumed::default();
        let size = self.file.metadata().map_err(|e| self.io(e))?.len();
        let mut reader = std::io::BufReader::with_capacity(1 << 20, &self.file);
        reader.seek(SeekFrom::Start(0)).map_err(|e| self.io(e))?;
        let mut payload = Vec::new();
        let (mut at, mut found) = (0, Vec::new());
        let (mut begun_at, mut last_ns) = (None, 0);
        while at < size {
            match next_record(&mut reader, size - at, &mut payload).map_err(|e| self.io(e))? {
                RecordRead::Record => {}
                RecordRead::Torn if at == 0 && !self.is_torn_header(size, header)? => {
                    return Err(Error::NotJournal {
                        path: self.path.clone(),
                    });
                }
                RecordRead::Torn => break,
                RecordRead::Damaged => {
                    if at == 0 {
                        return Err(Error::NotJournal {
                            path: self.path.clone(),
                        });
                    }
                    return Err(Error::Damaged {
                        path: self.path.clone(),
                        at,
                        after: size - at,
                    });
                }
            }
            if at == 0 {
                match self.check_header(&payload, header) {
                    // Nothing was recorded under other settings: nothing is lost by beginning anew.
                    Err(Error::OtherSettings { .. })
                        if size <= (HEAD + payload.len() + BEGUN_BYTES) as u64 =>
                    {
                        drop(reader);
                        self.file.set_len(0).map_err(|e| self.io(e))?;
                        return Ok(resumed);
                    }
                    checked => checked?,
                }
            } else {
                match decode(&payload).map_err(|what| self.bad_record(at, what))? {
                    Payload::Begun { unix_ns } => begun_at = begun_at.or(Some(unix_ns)),
                    Payload::Outcome(outcome) => {
                        let Some(index) = self.index(outcome.row, outcome.pass) else {
                            let what = format!("names row {}, pass {}", outcome.row, outcome.pass);
                            return Err(self.bad_record(at, what));
                        };
                        let place = at + HEAD as u64;
                        let state = state(outcome.result.is_ok(), place, payload.len() as u32);
                        last_ns = last_ns.max(outcome.times.map_or(0, |times| times.ended_ns));
                        found.push((at, index, state));
                    }
                }
            }
            at += (HEAD + payload.len()) as u64;
        }
        drop(reader);
        for (at, index, state) in found {
            match self.states[index] {
                RequestState::Answered(_) => {
                    return Err(self.bad_record(at, "answers a request that is answered".into()));
                }
                _ => self.states[index] = state,
            }
        }
        resumed.torn_bytes = size - at;
        resumed.failed = self.failed();
        let answered = |state: &&RequestState| matches!(state, RequestState::Answered(_));
        self.answered = self.states.iter().filter(answered).count() as u64;
        resumed.answered = self.answered;
        if at < size {
            self.file.set_len(at).map_err(|e| self.io(e))?;
        }
        if let Some(unix_ns) = begun_at {
            self.clock = Clock::begun_at(Duration::from_nanos(unix_ns), last_ns);
        }
        self.length = at;
        Ok(resumed)
    }

    /// Whether the file is what a process leaves that was killed while it began this journal, and nobody's notes.
    fn is_torn_header(&self, size: u64, header: &Value) -> Result<bool> {
        let whole = record_of(header.to_string().as_bytes());
        if size >= whole.len() as u64 {
            return Ok(false);
        }
        let mut there = vec![0; size as usize];
        self.file
            .read_exact_at(&mut there, 0)
            .map_err(|e| self.io(e))?;
        Ok(whole.starts_with(&there) || there.iter().all(|b| *b == 0))
    }

    fn check_header(&self, payload: &[u8], expected: &Value) -> Result<()> {
        let found: Value = serde_json::from_slice(payload).unwrap_or_default();
        if found["file"] != expected["file"] {
            return Err(Error::NotJournal {
                path: self.path.clone(),
            });
        }
        if found == *expected {
            return Ok(());
        }
        let empty = serde_json::Map::new();
        let names = |value: &Value| -> Vec<String> {
            let settings = value["settings"].as_object().unwrap_or(&empty);
            settings.keys().cloned().collect()
        };
        let mut all = names(expected);
        all.extend(names(&found));
        all.sort();
        all.dedup();
        let differences: Vec<String> = all
            .iter()
            .filter(|name| found["settings"][*name] != expected["settings"][*name])
            .map(|name| {
                format!(
                    "{name} was {}, is {}",
                    found["settings"][name], expected["settings"][name]
                )
            })
            .collect();
        Err(Error::OtherSettings {
            path: self.path.clone(),
            differences: match differences.is_empty() {
                true => "its version".into(),
                false => differences.join(", "),
            },
        })
    }

    fn io(&self, source: std::io::Error) -> Error {
        Error::Io {
            path: self.path.clone(),
            source,
        }
    }

    fn bad_record(&self, at: u64, what: String) -> Error {
        Error::Record {
            path: self.path.clone(),
            at,
            what,
        }
    }
}

fn state(is_answered: bool, at: u64, bytes: u32) -> RequestState {
    let place = Place { at, bytes };
    match is_answered {
        true => RequestState::Answered(place),
        false => RequestState::Failed(place),
    }
}

#[cfg(test)]
mod tests;
