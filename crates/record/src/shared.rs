//! What a record's writer and everybody else see of each other: what it is told, what goes wrong, what comes of it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::row::Row;

/// What the writer's thread is told.
#[derive(Debug)]
pub(crate) enum Message {
    Rows(Vec<Row>),
    End,
}

/// What became of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Rows in it.
    pub rows: u64,
    /// Rows lost.
    pub lost: u64,
    /// Why the record ended before the run did, or is not as it should be. Names files: escape it where it is shown.
    pub reason: Option<String>,
    /// The record's files, for whoever notes their hashes.
    pub files: Vec<PathBuf>,
}

/// Counted and noted by either.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Rows on their way to the writer.
    under_way: AtomicU64,
    lost: AtomicU64,
    /// The first thing that went wrong.
    reason: Mutex<Option<String>>,
}

impl Shared {
    /// Whether there is room for so many more rows on their way; if so they count as that.
    pub(crate) fn enter(&self, rows: u64, capacity: u64) -> bool {
        let room = self.under_way.fetch_add(rows, Relaxed) + rows <= capacity;
        if !room {
            self.leave(rows);
        }
        room
    }

    pub(crate) fn has_room(&self, rows: u64, capacity: u64) -> bool {
        self.under_way.load(Relaxed).saturating_add(rows) <= capacity
    }

    pub(crate) fn leave(&self, rows: u64) {
        self.under_way.fetch_sub(rows, Relaxed);
    }

    pub(crate) fn lose(&self, rows: u64) {
        self.lost.fetch_add(rows, Relaxed);
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    pub(crate) fn failed(&self, why: impl FnOnce() -> String) {
        let mut reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        reason.get_or_insert_with(why);
    }

    pub(crate) fn reason(&self) -> Option<String> {
        let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        reason.clone()
    }
}
